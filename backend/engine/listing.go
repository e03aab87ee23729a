// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// backlog is the outstanding work of one destination.
type backlog struct {
	states map[State]int // replicas
	since  time.Time     // of the oldest change
	// heldSince is when the oldest one was held, zero if none is.
	heldSince time.Time
	// unclaimed are those of the replicas that have no claim to a name.
	unclaimed int
}

// outstanding counts the replicas that aren't in sync, by destination.
func (as *activities) outstanding() map[string]*backlog {
	as.mu.Lock()
	defer as.mu.Unlock()
	byDestination := map[string]*backlog{}
	for _, a := range as.byName {
		for slot, p := range a.progress {
			if p.done(a.generation) {
				continue
			}
			destination := slotRef(slot)
			b := byDestination[destination]
			if b == nil {
				b = &backlog{states: map[State]int{}}
				byDestination[destination] = b
			}
			b.states[p.shown(a.generation)]++
			if p.unclaimed {
				b.unclaimed++
			}
			b.heldSince = older(b.heldSince, p.heldSince)
			if p.shown(a.generation) != StateDrifted { // that isn't behind
				b.since = older(b.since, p.since)
			}
		}
	}
	return byDestination
}

// States are all states, those that need most attention first.
func States() []State {
	return []State{
		StateBlocked, StateHeld, StateRetrying, StateDrifted, StatePaused, StateDisabled, StateDeleting, StateReleasing,
		StatePending, StateWithdrawn, StateInSync,
	}
}

// Query asks for secrets by where their replicas stand.
type Query struct {
	State       State  // "" for all that aren't in sync or withdrawn
	Destination string // "" for any
	After       string // names after this one
	Limit       int    // at most that many
}

// Listing is a page of secrets.
type Listing struct {
	Names []string // in order
	// Replicas are where they stand, by name and destination; of several at one
	// destination the one that needs most attention.
	Replicas map[string]map[string]Listed
	// Next is what After must be for the next page; "" at the end. A page may have
	// fewer names than asked for, or none, before the end.
	Next string
}

// Listed is where a replica stands, in short.
type Listed struct {
	State State
	Class provider.Class // of the failure; "" without one
}

// List returns a page of the secrets that have a replica in the state at the
// destination. Work is outstanding for those that aren't in sync, and is known
// without reading. The others are found by their names in the KV v2 store, of
// which one page looks at no more than its limit. A *RefusedError means that the
// query makes no sense.
func (e *Engine) List(ctx context.Context, q Query) (*Listing, error) {
	if states := States(); q.State != "" && !slices.Contains(states, q.State) {
		known := make([]string, len(states))
		for i, state := range states {
			known[i] = string(state)
		}
		return nil, Refusef("state %q is unknown, possible are %s", q.State, strings.Join(known, ", "))
	}
	if q.Destination != "" {
		refs, err := e.refs(ctx)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(refs, q.Destination) {
			return nil, Refusef("destination %s doesn't exist; choose one of %s", q.Destination, strings.Join(refs, ", "))
		}
	}
	if q.State == StateInSync || q.State == StateWithdrawn {
		return e.listStored(ctx, q)
	}
	return e.listOutstanding(q), nil
}

// listOutstanding lists secrets with outstanding work.
func (e *Engine) listOutstanding(q Query) *Listing {
	names := e.activities.match(q)
	slices.Sort(names)
	l := &Listing{Replicas: map[string]map[string]Listed{}}
	for _, name := range names {
		if len(l.Names) == q.Limit {
			l.Next = l.Names[len(l.Names)-1]
			break
		}
		replicas := map[string]Listed{}
		progress, _ := e.activities.snapshot(name)
		for destination, p := range progress {
			replicas[destination] = listed(p.state, p.failure)
		}
		l.add(q, name, replicas) // unless it has come to an end meanwhile
	}
	return l
}

// listStored lists secrets by the names in the KV v2 store.
func (e *Engine) listStored(ctx context.Context, q Query) (*Listing, error) {
	l := &Listing{Replicas: map[string]map[string]Listed{}}
	looked, last := 0, ""
	err := e.walk(ctx, q.After, func(name string) (more bool, err error) {
		if looked == q.Limit {
			l.Next = last
			return false, nil
		}
		looked, last = looked+1, name
		s, err := e.peek(ctx, name)
		if err != nil || s == nil {
			return err == nil, err
		}
		progress, _ := e.activities.snapshot(name)
		replicas := map[string]Listed{}
		for destination, replica := range s.Replicas {
			replicas[destination] = listed(replica.State, replica.Failure)
			if p, outstanding := progress[destination]; outstanding {
				replicas[destination] = listed(p.state, p.failure)
			}
		}
		l.add(q, name, replicas)
		return true, nil
	})
	return l, err
}

// add adds a secret if it has a replica that is asked for.
func (l *Listing) add(q Query, name string, bySlot map[string]Listed) {
	found := false
	byDestination := map[string]Listed{}
	for slot, r := range bySlot {
		found = found || q.matches(slot, r.State)
		ref := slotRef(slot)
		if other, has := byDestination[ref]; !has || slices.Index(States(), r.State) < slices.Index(States(), other.State) {
			byDestination[ref] = r
		}
	}
	if found {
		l.Names = append(l.Names, name)
		l.Replicas[name] = byDestination
	}
}

func listed(state State, failure *Failure) Listed {
	l := Listed{State: state}
	if failure != nil && state != StateInSync && state != StateWithdrawn {
		l.Class = failure.Class
	}
	return l
}

// matches tells whether a replica is asked for.
func (q Query) matches(slot string, state State) bool {
	if q.Destination != "" && q.Destination != slotRef(slot) {
		return false
	}
	if q.State == "" {
		return state != StateInSync && state != StateWithdrawn
	}
	return q.State == state
}

// match returns the names of the secrets with outstanding work that are asked
// for.
func (as *activities) match(q Query) []string {
	as.mu.Lock()
	defer as.mu.Unlock()
	var names []string
	for name, a := range as.byName {
		if name <= q.After {
			continue
		}
		for destination, p := range a.progress {
			if q.matches(destination, p.shown(a.generation)) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// peek returns a secret's record, nil if there is none. It leaves the cache to
// those that are worked on.
func (e *Engine) peek(ctx context.Context, name string) (*Secret, error) {
	id := e.mount.id(name)
	if s, _ := e.records.get(id); s != nil {
		return s, nil
	}
	return secrets.Get(ctx, e.storage, id)
}

// walk calls visit for the names in the KV v2 store, in order, that come after a
// name, until it wants no more.
func (e *Engine) walk(ctx context.Context, after string, visit func(name string) (more bool, err error)) error {
	_, err := e.walkFolder(ctx, "", after, visit)
	return err
}

func (e *Engine) walkFolder(ctx context.Context, folder, after string, visit func(name string) (more bool, err error)) (more bool, err error) {
	names, err := e.store.List(ctx, e.storage, folder)
	if err != nil {
		return false, err
	}
	// A folder ends with a slash, which puts it where its names belong.
	slices.Sort(names)
	for _, name := range names {
		name = folder + name
		switch {
		case strings.HasSuffix(name, "/") && (name > after || strings.HasPrefix(after, name)):
			more, err = e.walkFolder(ctx, name, after, visit)
		case !strings.HasSuffix(name, "/") && name > after:
			more, err = visit(name)
		default:
			continue
		}
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}
