// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// A dry run is a convergence whose steps are noted and not carried out. It looks
// at the remote, decides as every convergence does, and goes on as if each step
// had succeeded. It writes nothing, claims nothing and leaves the work that is
// outstanding alone.

// rehearsal is what makes a convergence a dry run.
type rehearsal struct {
	looked bool // the remote was looked at; steps since then are noted alone
	steps  []plan.Step
	notes  []string

	// number and data are a version that isn't stored; 0 for none.
	number uint64
	data   map[string]any

	blind   []plan.Step // what would be done by memory alone
	drifted bool        // memory decides otherwise than a look
}

// goOn is the state after a step that leaves something to look at, which nobody can
// before it is made.
func (r *rehearsal) goOn(have plan.Observed) plan.Observed {
	have.Known, have.Looked = true, true
	if len(r.steps) > 0 {
		r.notes = append(r.notes, "what comes after the restore depends on what the remote secret holds, which can only be read then; if it holds the value already, no version is made")
	}
	return have
}

// rehearse converges without carrying anything out, after one look at the remote.
// It tells too what would be done without one, as long as nothing is in doubt.
func (c *convergence) rehearse(ctx context.Context) error {
	before := c.have
	if err := c.look(ctx); err != nil {
		return err
	}
	// What would be read to find out what the versions hold has been read.
	seen := c.have
	err := c.converge(ctx)
	if !before.Known || c.want.Presence == plan.Deleted || c.want.Presence == plan.Released {
		return err
	}
	alone := *c
	alone.dry, alone.have, alone.remembered = &rehearsal{looked: true}, before, nil
	if blindErr := alone.converge(ctx); blindErr == nil && before.Exists() {
		c.dry.blind = alone.dry.steps
		c.dry.drifted = err != nil || !sameSteps(c.dry.steps, c.dry.blind) ||
			before.State != seen.State || before.Owner() != seen.Owner()
	}
	return err
}

func sameSteps(a, b []plan.Step) bool {
	return slices.EqualFunc(a, b, func(x, y plan.Step) bool { return reflect.DeepEqual(x, y) })
}

// supposition is what a plan takes as given instead of what is stored. It goes with
// the context.
type supposition struct {
	rules        *rule.Set
	destinations map[string]*opened // by ref
	moved        map[string]bool    // destinations whose remotes may be at another place
}

type suppositionKey struct{}

func supposing(ctx context.Context, s *supposition) context.Context {
	return context.WithValue(ctx, suppositionKey{}, s)
}

func suppositionOf(ctx context.Context) *supposition {
	s, _ := ctx.Value(suppositionKey{}).(*supposition)
	return s
}

// openedAt is a destination as it is open, or as a plan supposes it; nil if there
// is none.
func (e *Engine) openedAt(ctx context.Context, ref string) (*opened, error) {
	if s := suppositionOf(ctx); s != nil && s.destinations[ref] != nil {
		return s.destinations[ref], nil
	}
	site, err := e.replicator(ctx, ref)
	if err != nil || site == nil {
		return nil, err
	}
	return site.current.Load(), nil
}

// subject is a secret as a dry run takes it.
type subject struct {
	before, next *Secret // as it is stored, and as it is taken to be
	meta         *kvstore.Metadata
	number       uint64 // of the version that isn't stored, with data; 0 for none
	data         map[string]any
	only         string // the one destination that is asked about; "" for all
	looks        int    // remote calls that were made to find it out
	notes        []string
}

// dryRun plans the replicas of a secret.
func (e *Engine) dryRun(ctx context.Context, s subject) (*Plan, error) {
	progress, _ := e.activities.snapshot(s.next.Name)
	result := &Plan{Secret: s.next.Name, Notes: s.notes, Looks: s.looks}
	if _, err := e.Config(ctx); err != nil { // known from here on, see pausedAt
		return nil, err
	}
	slots := slices.DeleteFunc(s.next.slots(), func(slot string) bool { return s.only != "" && slotRef(slot) != s.only })
	// A replica that stays until another is in sync comes after that.
	slices.SortStableFunc(slots, func(a, b string) int {
		return cmp.Compare(rank(s.next.Replicas[a]), rank(s.next.Replicas[b]))
	})
	values := e.readOnce()
	for _, slot := range slots {
		planned, err := e.dryRunAt(ctx, values, s, slot, progress[slot])
		if err != nil {
			return nil, err
		}
		for _, level := range e.pausedAt(slotRef(slot), s.next.Settings.Paused) {
			planned.Waits = append(planned.Waits, "the "+string(level)+" is paused")
		}
		result.Replicas = append(result.Replicas, *planned)
		result.Looks += planned.Looks
	}
	slices.SortFunc(result.Replicas, func(a, b PlannedReplica) int { return cmp.Compare(a.slot, b.slot) })
	return result, nil
}

func rank(r *Replica) int {
	if r.Removal != nil {
		return 1
	}
	return 0
}

// dryRunAt plans one replica, and takes what comes of it over into the record.
func (e *Engine) dryRunAt(ctx context.Context, values *readOnce, s subject, slot string, p progress) (*PlannedReplica, error) {
	ref, replica := slotRef(slot), s.next.Replicas[slot]
	planned := &PlannedReplica{
		slot: slot, Destination: ref, Former: slotIsFormer(slot), RemoteName: replica.RemoteName, Change: s.change(slot),
	}
	if key, keyed := slotKey(slot); keyed {
		planned.Key = key
	}
	o, err := e.openedAt(ctx, ref)
	if err != nil || o == nil {
		return planned, err
	}
	if o.destination.Disabled {
		planned.Waits = append(planned.Waits, "the destination is disabled: disabled=false lets it go on")
	}
	if held := replica.Held; held != nil {
		planned.Waits = append(planned.Waits, fmt.Sprintf("its deletion is held since %s: release-held/%s lets those go on that are held", held.Since.Format(time.RFC3339), ref))
	}
	if p.running {
		planned.Notes = append(planned.Notes, "a convergence is at work right now; what it does is not in here")
	}
	ctx, calls := traced(ctx)
	c := &convergence{e: e, o: o, values: values, slot: slot, dry: &rehearsal{number: s.number, data: s.data}}
	out, err := c.work(ctx, s.next, s.meta, e.doubtful(ctx, s.before, slot, p))
	switch {
	case errors.Is(err, errKeyGone):
		planned.Notes = append(planned.Notes, "the live version doesn't have the key any more")
		return planned, nil
	case err != nil:
		return nil, err
	}
	planned.Looks = calls.calls
	if out.waiting {
		planned.Waits = append(planned.Waits, "it stays until the replica that takes its place is in sync")
		return planned, nil
	}
	planned.Presence = c.want.Presence
	if held := replica.Held; held != nil && (planned.Presence == plan.Deleted || planned.Presence == plan.Withdrawn) && !e.brakeAt(ref).released(*held) {
		planned.Waits = append(planned.Waits, "it is held for review since "+held.Since.Format(time.RFC3339)+": release-held/"+ref+" lets it go on")
	}
	planned.Calls = c.calls(c.dry.steps)
	planned.Notes = append(planned.Notes, c.dry.notes...)
	if planned.Drifted = c.dry.drifted; planned.Drifted {
		planned.Blind = c.calls(c.dry.blind)
	}
	if out.err != nil {
		planned.Refused = e.failure(out.err)
	}
	s.next.Replicas[slot] = replica.advance(out, e.failure)
	s.next.Replicas[slot].Verify = replica.Verify && out.err != nil
	return planned, nil
}

// doubtful tells whether the replica's next convergence begins with a look.
func (e *Engine) doubtful(ctx context.Context, s *Secret, slot string, p progress) bool {
	if supposed := suppositionOf(ctx); supposed != nil && supposed.moved[slotRef(slot)] {
		return true
	}
	if p.doubt > 0 || e.resumed.Load() {
		return p.doubt > 0
	}
	if err := e.journal.load(ctx); err != nil {
		return true // it isn't known, and then it is looked at
	}
	_, marked := e.journal.since(s.Name)
	return marked && e.activities.generation(s.Name) == 0
}

// change is what becomes of the replica in a slot, compared with what is stored.
func (s subject) change(slot string) ReplicaChange {
	next, before := s.next.Replicas[slot], s.before.Replicas[slot]
	switch {
	case next.Removal != nil && next.Removal.Policy == DeleteRetain:
		return ReplicaReleased
	case next.Removal != nil:
		return ReplicaDeleted
	case before == nil || before.Refused != nil && next.Refused == nil:
		return ReplicaAppears
	case before.RemoteName != next.RemoteName && next.Refused == nil:
		return ReplicaRenamed
	case before.Removal != nil:
		return ReplicaReturns
	default:
		return ReplicaStays
	}
}

// suppose is a secret as it is now: what is under way is taken as done.
func (e *Engine) suppose(ctx context.Context, name string) (subject, error) {
	before, err := e.load(ctx, name)
	if err != nil {
		return subject{}, err
	}
	s := subject{before: before, next: before.clone()}
	if before.Deleting {
		s.notes = append(s.notes, "a deletion of the secret was broken off; it is completed first")
		return s, e.retire(ctx, s.next)
	}
	values := e.readOnce()
	if s.meta, err = e.store.ReadMetadata(ctx, values, name); err != nil || s.meta == nil {
		return s, err
	}
	if s.next, err = e.resettled(ctx, values, before, s.meta); err != nil {
		return s, err
	}
	s.reborn()
	err = e.refuseTaken(ctx, s)
	return s, err
}

// reborn notices, as a convergence does, that a name was deleted and begun anew.
func (s *subject) reborn() {
	if s.meta != nil && !s.next.Born.IsZero() && !s.next.Born.Equal(s.meta.CreatedTime) {
		s.next.Incarnation, s.next.Born = max(s.next.Incarnation, 1)+1, s.meta.CreatedTime
	}
}

// refuseTaken notes which new names other secrets have.
func (e *Engine) refuseTaken(ctx context.Context, s subject) error {
	names := newNames(s.before, s.next)
	for _, slot := range slices.Sorted(maps.Keys(names)) {
		refusal, err := e.takenBy(ctx, s.next.Name, names[slot])
		if err != nil {
			return err
		}
		if refusal != nil {
			failure := &Failure{Class: "conflict", Message: refusal.message, Time: time.Now().UTC()}
			s.next.Replicas[slot] = &Replica{State: StateBlocked, Refused: failure, Failure: failure}
		}
	}
	return nil
}

// takenBy says which other secret has a remote name; nil if none does.
func (e *Engine) takenBy(ctx context.Context, secret string, c claimed) (*RefusedError, error) {
	holder, err := e.holder(ctx, e.claimID(c.ref, c.remoteName), c.ref, c.remoteName)
	if err != nil || holder == "" || holder == secret {
		return nil, err
	}
	return &RefusedError{fmt.Sprintf("destination %s: the remote name %q is taken by secret %q; set remote_name to another name", c.ref, c.remoteName, holder)}, nil
}
