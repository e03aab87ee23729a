// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"sync/atomic"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// EventKind is a type of events, as subscribers name it.
type EventKind string

// The types of events. None has a value.
const (
	// EventReplicated says that a replica was brought in sync, or removed.
	EventReplicated EventKind = "cloudsync/replicated"
	// EventFailed says that a replica can't be brought in sync for now, or not
	// without a person. Further tries that fail are no events.
	EventFailed EventKind = "cloudsync/failed"
	// EventHeld says that a deletion or withdrawal waits for a person, since too many
	// were asked for at once.
	EventHeld EventKind = "cloudsync/held"
	// EventDrifted says that somebody changed a replica in the cloud, in other ways
	// than was told before; with another state than drifted, that it is no longer so.
	EventDrifted EventKind = "cloudsync/drifted"
	// The events of managed credentials. A rotation that the cloud makes by schedule
	// is told where the credential is passed on to a secret.
	EventCredentialCreated EventKind = "cloudsync/credential-created"
	EventCredentialRotated EventKind = "cloudsync/credential-rotated"
	EventCredentialFailed  EventKind = "cloudsync/credential-failed"
	EventCredentialDeleted EventKind = "cloudsync/credential-deleted"
)

// Event is a change of a replica that others may want to hear of.
type Event struct {
	Kind        EventKind
	Secret      string
	Credential  string // the managed credential that it is of, instead of a secret
	Destination string
	Key         string         // of the secret's data, for the replica of one key
	State       State          // or "removed"
	Class       provider.Class // of the failure; "" without one
	Version     uint64         // that readers at the destination get; 0 if none
	Operation   string         // what was done or tried
	Drift       []plan.DriftKind
}

const (
	removed State = "removed" // of a replica that is no more

	operationReplicate = "replicate"
	operationWithdraw  = "withdraw"
	operationRemove    = "remove"
	operationCreate    = "create"
	operationRotate    = "rotate"
	operationConverge  = "converge"
	operationVerify    = "verify"
)

// waitingEvents is how many events wait for being published. When the bus is too
// slow for them, later ones are dropped: replication doesn't wait.
const waitingEvents = 1024

// events publishes events in the background. It is safe for concurrent use.
type events struct {
	publish func(ctx context.Context, event Event) error // nil for none
	waiting chan Event
	dropped atomic.Int64
}

func newEvents(publish func(ctx context.Context, event Event) error) *events {
	return &events{publish: publish, waiting: make(chan Event, waitingEvents)}
}

// announce publishes events until ctx is done.
func (e *Engine) announce(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-e.events.waiting:
			err := e.events.publish(ctx, event)
			if err == nil || ctx.Err() != nil {
				failing = false
				continue
			}
			e.events.dropped.Add(1)
			if !failing {
				e.log.Warn("events can't be published", "error", err)
			}
			failing = true
		}
	}
}

// tell has an event published, if that is possible.
func (e *Engine) tell(event Event) {
	if e.events.publish == nil {
		return
	}
	select {
	case e.events.waiting <- event:
	default:
		e.events.dropped.Add(1)
	}
}

// eventOf is an event of a replica.
func eventOf(kind EventKind, name, slot string, state State, operation string) Event {
	event := Event{Kind: kind, Secret: name, Destination: slotRef(slot), State: state, Operation: operation}
	event.Key, _ = slotKey(slot)
	return event
}

// tellFailure tells that a replica isn't in sync, unless that was the last thing
// told of it.
func (e *Engine) tellFailure(name, slot string, state State, failure *Failure) {
	before, p := e.activities.tell(name, slot, telling(state, failure))
	if before == p.told {
		return
	}
	event := eventOf(EventFailed, name, slot, state, operationReplicate)
	event.Class, event.Version = failure.Class, p.served
	if p.leaving != "" {
		event.Operation = operationRemove
	}
	e.tell(event)
}

// tellOutcome tells what a convergence has led to, if that is new. What is tried
// again is told by who does so.
func (e *Engine) tellOutcome(name, slot string, r *Replica, changed bool) {
	if r.Failure != nil {
		if r.State == StateBlocked {
			e.tellFailure(name, slot, r.State, r.Failure)
		}
		return
	}
	if r.State == StateHeld {
		e.tellHeld(name, slot, r)
		return
	}
	if before, _ := e.activities.tell(name, slot, ""); before == "" && !changed {
		return
	}
	event := eventOf(EventReplicated, name, slot, r.State, operationReplicate)
	if r.State == StateWithdrawn {
		event.Operation = operationWithdraw
	} else {
		event.Version = r.Observed.Current.Version.Number
	}
	e.tell(event)
}

// tellHeld tells that a replica is held, unless that was the last thing told of it.
func (e *Engine) tellHeld(name, slot string, r *Replica) {
	if before, _ := e.activities.tell(name, slot, string(StateHeld)); before == string(StateHeld) {
		return
	}
	event := eventOf(EventHeld, name, slot, StateHeld, operationWithdraw)
	event.Version = r.Observed.Current.Version.Number
	if r.Removal != nil {
		event.Operation = operationRemove
	}
	e.tell(event)
}

// telling identifies a failure as far as it is told. Another failure of what is
// tried again anyway isn't.
func telling(state State, failure *Failure) string {
	if state == StateBlocked {
		return string(state) + " " + string(failure.Class)
	}
	return string(StateRetrying)
}

// tell notes the failure that is told of a replica, "" for none, and returns the
// one before and a copy of the progress; two empty ones without outstanding work.
func (as *activities) tell(name, slot, failure string) (before string, now progress) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil || a.progress[slot] == nil {
		return "", progress{}
	}
	p := a.progress[slot]
	before, p.told = p.told, failure
	return before, *p
}
