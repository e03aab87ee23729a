// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// outcome is what one convergence did.
type outcome struct {
	remoteName string // that it worked on
	observed   plan.Observed
	tags       *Failure // why the remote has no tags
	format     string
	presence   plan.Presence
	removed    bool      // nothing is left to do for a replica that isn't wanted
	err        error     // why the replica isn't in sync
	due        time.Time // when the live version stops being live by itself
	born       time.Time
	term       term // of the engine that knows the remote
	waiting    bool // for another replica to take its place
	stale      bool // the replica is gone from the record: nothing to report
	requestIDs []string
	done       []TrailCall // calls that changed something, or may have
	version    uint64      // of Vault, that readers were to get
	cause      Cause
	// drift is what is known of drift afterwards; with left set, the replica was
	// left as it is.
	drift *Drift
	left  bool
}

// tried is how the calls went; nil also if the last one wasn't made.
func (out outcome) tried() error {
	if errors.Is(out.err, errPaused) || errors.Is(out.err, errBrakeBusy) || heldBy(out.err) != nil {
		return nil
	}
	return out.err
}

// nextDue is when something changes by itself: the live version stops being that, or
// the name is given free by somebody else's secret that is being deleted.
func (out outcome) nextDue() time.Time {
	if provider.ClassOf(out.err) != provider.ClassOwnership || out.observed.State != provider.StatePendingDeletion {
		return out.due
	}
	free := out.observed.DeletionTime
	if soonest := time.Now().Add(blockedRetry); free.Before(soonest) && !free.IsZero() {
		free = soonest // also when the cloud is late
	}
	return older(out.due, free)
}

// save stores what a convergence did and ends the secret's work if that was the
// last of it.
func (e *Engine) save(ctx context.Context, slot, name string, generation, doubt uint64, out outcome) error {
	defer e.lock(name)()
	s, err := e.load(ctx, name)
	if err != nil {
		return err
	}
	replica := s.Replicas[slot]
	ahead, _ := isAhead(out.err)
	switch {
	case replica == nil:
		e.activities.forget(name, slot)
		e.finish(s)
		return nil
	case replica.RemoteName != out.remoteName:
		return nil // renamed meanwhile, and queued again by that
	case out.waiting, out.stale:
		return nil // it is queued again by the one that it waits for, or by who changed it
	case replica.Term == e.term && out.term != e.term && ahead:
		// Somebody decided about it meanwhile, which must not be made undone.
		e.enqueueAt(slot, name, quota.Retry)
		return nil
	case out.left:
		return e.saveDrifted(ctx, s, slot, generation, doubt, out)
	case out.removed && replica.Removal != nil:
		s.rememberRemoved(slot, replica.RemoteName, out)
		s.rememberTrail(slot, replica, out)
		if err := e.dropReplica(ctx, s, slot); err != nil {
			return err
		}
		e.tell(eventOf(EventReplicated, name, slot, removed, operationRemove))
		e.finish(s)
		return nil
	default:
		return e.saveStanding(ctx, s, slot, generation, doubt, out)
	}
}

// saveStanding stores where a replica stands that is still there. The caller holds
// the secret's lock.
func (e *Engine) saveStanding(ctx context.Context, s *Secret, slot string, generation, doubt uint64, out outcome) error {
	name, replica := s.Name, s.Replicas[slot]
	e.activities.expect(name, slot, out.due)
	if replica.Term == e.term {
		out.term = e.term // it was compared meanwhile
	}
	next := replica.advance(out, e.failure)
	next.Trail = share(next.Trail, len(s.Replicas))
	changed := !replica.same(next)
	if changed || s.Born.IsZero() && !out.born.IsZero() {
		s.Replicas[slot] = next
		if s.Born.IsZero() {
			s.Born = out.born
		}
		if err := e.storeSecret(ctx, s); err != nil {
			return err
		}
	}
	if next.Observed.Known {
		e.activities.cleared(name, slot, doubt)
	} else {
		e.activities.doubt(name, slot)
	}
	if errors.Is(out.err, errPaused) || errors.Is(out.err, errBrakeBusy) {
		return nil // it isn't at its end
	}
	e.report(name, slot, generation, replica, next, out.requestIDs)
	e.tellOutcome(name, slot, next, changed)
	e.letGo(s, slot, next)
	e.finish(s)
	return nil
}

// report notes where a replica stands after a convergence that began in a
// generation and made some calls. The caller holds the secret's lock.
func (e *Engine) report(name, slot string, generation uint64, before, next *Replica, calls []string) {
	current := e.activities.generation(name) == generation
	e.activities.report(name, slot, func(p *progress) {
		if current && next.Failure == nil && !p.done(generation) {
			e.caughtUp(slotRef(slot), p.since, before, next)
		}
		p.state, p.failure, p.served, p.heldSince = next.State, next.Failure, next.Observed.Current.Version.Number, next.heldSince()
		p.admitted = p.admitted && next.Failure != nil
		if len(calls) > 0 {
			p.requestIDs = calls
		}
		if next.State != StateRetrying {
			p.settled, p.attempts, p.nextRetry = generation, 0, time.Time{}
		}
	})
}

// letGo queues the replicas that stayed until this one is in sync.
func (e *Engine) letGo(s *Secret, slot string, done *Replica) {
	if done.State != StateInSync && done.State != StateWithdrawn {
		return
	}
	for _, other := range s.slots() {
		if removal := s.Replicas[other].Removal; removal != nil && removal.After == slot {
			e.enqueueAt(other, s.Name, quota.Retry)
		}
	}
}

// finish removes the pending mark when every replica is in sync. The caller
// holds the secret's lock.
func (e *Engine) finish(s *Secret) {
	if !e.activities.converged(s.Name, s.slots()) {
		return
	}
	e.journal.unmark(s.Name)
	e.activities.end(s.Name)
	e.tidyJournal()
}

// rememberRemoved keeps what may be needed of a replica that is gone when it is
// wanted again.
func (s *Secret) rememberRemoved(slot, remoteName string, out outcome) {
	left := out.observed
	switch {
	case out.presence == plan.Released && left.Unmarked:
		s.remember(slot, &Replica{RemoteName: remoteName, Observed: left})
	case out.presence == plan.Deleted && left.Exists():
		// It may be restored, and no look tells which of its tags are ours, nor
		// everywhere which of its versions.
		s.remember(slot, &Replica{RemoteName: remoteName, Observed: plan.Observed{
			Tags: left.Tags, TagsInDoubt: left.TagsInDoubt, Versions: left.Versions, DeletionTime: left.DeletionTime, Scheduled: left.Scheduled,
		}})
	}
}

// remember keeps what a released replica was left as.
func (s *Secret) remember(slot string, left *Replica) {
	if s.Released == nil {
		s.Released = map[string]*Replica{}
	}
	left.Observed.Known, left.Observed.Looked = false, false
	s.Released[slot] = left
}

// dropReplica forgets a replica and gives its remote name free. The caller
// holds the secret's lock. The record goes first: a claim that is left over is
// recognised as such, a missing one would not be.
func (e *Engine) dropReplica(ctx context.Context, s *Secret, slot string) error {
	remoteName := s.Replicas[slot].RemoteName
	delete(s.Replicas, slot)
	if err := e.storeSecret(ctx, s); err != nil {
		return err
	}
	e.activities.forget(s.Name, slot)
	e.finish(s) // whatever becomes of the claim
	return e.releaseClaim(ctx, s.Name, slotRef(slot), remoteName)
}

// advance returns the replica after a convergence.
func (r *Replica) advance(out outcome, describe func(error) *Failure) *Replica {
	next := *r
	next.Observed, next.TagsFailure, next.Drift = out.observed, out.tags, out.drift
	next.Observed.Looked = false
	next.Trail = extended(r.Trail, out)
	next.Term = out.term
	next.Ahead, next.Undecided = isAhead(out.err)
	if len(out.requestIDs) > 0 {
		next.RequestIDs = out.requestIDs
	}
	if errors.Is(out.err, errPaused) || errors.Is(out.err, errBrakeBusy) {
		next.Ahead, next.Undecided = r.Ahead, r.Undecided
		return &next // what was done so far
	}
	if held := heldBy(out.err); held != nil {
		next.State, next.Failure, next.Held = StateHeld, nil, held
		return &next
	}
	if out.err == nil || out.presence != plan.Deleted && out.presence != plan.Withdrawn {
		next.Held = nil
	}
	if out.err != nil {
		next.State = StateBlocked
		if provider.ClassOf(out.err).Recovers() {
			next.State = StateRetrying
		}
		failure := describe(out.err)
		if r.Failure != nil && r.Failure.Class == failure.Class {
			failure.Time = r.Failure.Time
		}
		next.Failure = failure
		return &next
	}
	next.State, next.Failure, next.Format, next.Verify = StateInSync, nil, out.format, false
	if out.presence == plan.Withdrawn {
		next.State = StateWithdrawn
	}
	if !r.same(&next) {
		next.LastSync = time.Now().UTC()
	}
	return &next
}

// same tells whether storing other instead of r would change anything worth a
// write: the request id of yet another failure of one kind isn't, and nor are
// those of the calls.
func (r *Replica) same(other *Replica) bool {
	a, b := *r, *other
	for _, replica := range []*Replica{&a, &b} {
		replica.LastSync, replica.LastVerification, replica.RequestIDs, replica.Trail = time.Time{}, time.Time{}, nil, nil
		if replica.Failure != nil {
			replica.Failure = &Failure{Class: replica.Failure.Class, Code: replica.Failure.Code}
		}
	}
	return reflect.DeepEqual(a, b)
}
