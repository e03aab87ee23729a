// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

const (
	// The time between two looks at what the cloud is still at work on grows from
	// the first to the longest.
	firstLook   = time.Second
	longestLook = 15 * time.Second
	// impatient is for how many looks somebody may wait.
	impatient = 12
)

// credentialRun is one time of working on a credential: look at what is stored, do
// what is next, store what was done. It may be broken off anywhere and made anew.
type credentialRun struct {
	e       *Engine
	o       *opened
	issuer  provider.CredentialIssuer
	product provider.CredentialProduct
	mark    owner.Mark

	c      *ManagedCredential // as stored; the run changes its Progress alone
	stored CredentialProgress // as it is in storage
	began  CredentialProgress // as it was before

	generation uint64 // as of which it was loaded

	untried bool // it is sure that no creation was sent
	initial sensitive.String
	later   time.Duration // when to look again at what the cloud is at work on; 0 for not
	gone    bool          // nothing is left of it
	held    bool          // its deletion waits for a person
	// admitted is set when the deletion has counted among those of the hour.
	admitted bool
	pass     bool // the value is to be looked at now
}

// workOnItem works once on what a queue gave out.
func (e *Engine) workOnItem(r *replicator, queued string) {
	if name, managed := strings.CutPrefix(queued, credentialItems); managed {
		e.processCredential(r, queued, name)
		return
	}
	e.process(r, queued)
}

// processCredential works once on a credential.
func (e *Engine) processCredential(r *replicator, queued, name string) {
	work, ok := e.credentials.start(name)
	if !ok || r.ctx.Err() != nil {
		r.backoff.forget(queued)
		return
	}
	defer e.credentials.report(name, func(w *credentialWork) { w.running = false })
	o := r.current.Load()
	_, err := e.Config(r.ctx) // known from here on, see pausedAt
	switch {
	case err != nil:
		e.retryCredential(r, queued, name, err)
		return
	case o.destination.Disabled:
		e.credentials.report(name, func(w *credentialWork) {
			w.state, w.settled, w.failure, w.nextRetry = StateDisabled, work.generation, nil, time.Time{}
		})
		return
	}
	if ok, until, failure := o.breaker.admits(queued); !ok {
		e.restCredential(r, queued, name, until, failure)
		return
	}
	ctx, calls := traced(e.pausable(quota.WithLane(r.ctx, r.queue.lane(queued)), r, ""))
	run, err := e.runCredential(ctx, o, name)
	tried := err
	if errors.Is(err, errPaused) {
		tried = nil // there was no call
	}
	o.breaker.gaveUp(queued, tried, e.failure)
	if run == nil || r.ctx.Err() != nil {
		if err != nil && r.ctx.Err() == nil {
			e.retryCredential(r, queued, name, err)
		}
		return
	}
	if len(calls.ids) > 0 {
		run.c.Progress.RequestIDs = calls.ids
	}
	if err := e.endCredentialRun(r, queued, run, err); err != nil && r.ctx.Err() == nil {
		e.retryCredential(r, queued, name, err)
	}
}

// runCredential loads a credential and works on it. Without a run the credential is
// gone or can't be read.
func (e *Engine) runCredential(ctx context.Context, o *opened, name string) (*credentialRun, error) {
	c, work, err := e.loadSettledCredential(ctx, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		e.credentials.end(name)
		return nil, nil
	}
	product, err := o.product(c.Product)
	if err != nil {
		return nil, err
	}
	run := &credentialRun{
		e: e, o: o, issuer: provider.IssuerOf(o.remote), product: product, mark: e.credentialOwner(name),
		c: c, stored: c.clone().Progress, began: c.clone().Progress, untried: work.untried, initial: work.initial, admitted: work.admitted,
		generation: work.generation, pass: !time.Now().Before(work.nextPass),
	}
	if run.issuer == nil {
		return nil, &provider.Error{Class: provider.ClassInternal, Message: o.kind.Title + " makes no credentials in this version of the plugin"}
	}
	err = run.converge(ctx)
	return run, err
}

// loadSettledCredential waits for the end of a change that is under way, and returns
// what is known as of it: whoever takes up a new record at the start mustn't miss
// the initial credentials that come with it.
func (e *Engine) loadSettledCredential(ctx context.Context, name string) (*ManagedCredential, credentialWork, error) {
	defer e.credentials.lock(name)()
	c, err := e.loadCredential(ctx, name)
	work, _ := e.credentials.snapshot(name)
	return c, work, err
}

// converge makes the cloud have what is stored. With a nil error everything is as
// it should be, or the cloud is at work and run.later set.
func (run *credentialRun) converge(ctx context.Context) error {
	if run.c.Removal != nil {
		return run.remove(ctx)
	}
	for _, step := range []func(context.Context) error{run.make, run.adjust, run.rotate, run.passOn} {
		if err := step(ctx); err != nil || run.later > 0 || run.gone {
			return err
		}
	}
	return nil
}

// save stores what was done so far, beside what people may have changed meanwhile.
func (run *credentialRun) save(ctx context.Context) error {
	if run.stored.same(run.c.Progress) {
		return nil
	}
	defer run.e.credentials.lock(run.c.Name)()
	now, err := run.e.loadCredential(ctx, run.c.Name)
	if err != nil {
		return err
	}
	if now == nil {
		return errors.New("the record of the managed credential is gone")
	}
	now.Progress = run.c.clone().Progress
	if now.Removal != nil && run.c.Removal == nil {
		now.Progress.State = StateDeleting // asked for meanwhile
	}
	if err := run.e.storeCredential(ctx, now); err != nil {
		return err
	}
	run.stored = run.c.clone().Progress
	return nil
}

// same tells whether storing other instead of p would change anything worth a
// write: the ids of calls alone aren't.
func (p CredentialProgress) same(other CredentialProgress) bool {
	other.RequestIDs = p.RequestIDs
	return reflect.DeepEqual(p, other)
}

// endCredentialRun stores the outcome of a run and says when the next is due.
func (e *Engine) endCredentialRun(r *replicator, queued string, run *credentialRun, cause error) error {
	c, generation := run.c, run.generation
	if cause != nil && run.e.isStorageFailure(cause) {
		return cause
	}
	if run.gone {
		return e.forgetCredential(r, queued, run)
	}
	if errors.Is(cause, errPaused) {
		r.backoff.forget(queued)
		e.credentials.report(c.Name, func(w *credentialWork) {
			w.state, w.settled, w.failure, w.nextRetry = StatePaused, generation, nil, time.Time{}
			run.handBack(w)
		})
		return run.save(r.ctx)
	}
	run.note(cause)
	if err := run.save(r.ctx); err != nil {
		return err
	}
	e.tellCredential(c, run.began)
	r.meters.credentialRun(cause)
	done := cause == nil && run.later == 0
	e.credentials.report(c.Name, func(w *credentialWork) {
		w.state, w.failure = c.Progress.State, c.Progress.Failure
		run.handBack(w)
		w.admitted = run.admitted
		w.remote = firstSet(c.Progress.RemoteName, c.RemoteName)
		if run.later == 0 {
			w.looks = 0
		}
		if done || cause != nil && !provider.ClassOf(cause).Recovers() || c.Progress.State == StateBlocked {
			w.settled, w.attempts, w.nextRetry = generation, 0, time.Time{}
		}
	})
	if cause != nil && c.Progress.State == StateRetrying {
		return cause
	}
	r.backoff.forget(queued)
	e.queueNext(r, queued, run, cause)
	return nil
}

// handBack keeps what the next run needs. What came with a later change isn't this
// run's to take away, unless the credential is made and nobody needs it.
func (run *credentialRun) handBack(w *credentialWork) {
	if w.generation == run.generation {
		w.untried = run.untried
	}
	if w.generation == run.generation || run.c.Progress.Made {
		w.initial = run.initial
	}
}

// queueNext says when a credential is worked on again.
func (e *Engine) queueNext(r *replicator, queued string, run *credentialRun, cause error) {
	switch {
	case cause != nil && (provider.ClassOf(cause).Lingers() || run.passes()):
		r.queue.addAfter(queued, quota.Retry, blockedRetry/2+rand.N(blockedRetry)) //nolint:gosec // spreading load needs no secrecy
	case cause != nil: // until a person has written it
	case run.later > 0:
		e.lookLater(r, queued, run.c.Name, run.later)
	default:
		e.passLater(r, queued, run)
	}
}

// passes tells whether there is a value to pass on. What is in the way of that may be
// a secret or a rule, whose change the credential isn't told of.
func (run *credentialRun) passes() bool {
	return run.c.ReplicateTo != "" && run.c.Progress.Made && run.c.Removal == nil
}

// isStorageFailure tells an error of our own storage from one of a destination.
func (e *Engine) isStorageFailure(err error) bool {
	var remote *provider.Error
	return !errors.As(err, &remote)
}

// note puts the outcome into the progress.
func (run *credentialRun) note(cause error) {
	p := &run.c.Progress
	if cause == nil {
		p.Failure = nil
		switch {
		case run.later > 0 || run.held: // the step has said where it is
		case p.NotRotated != nil:
			p.State = StateRotationFailed
		default:
			p.State = StateReady
		}
		return
	}
	failure := run.e.failure(cause)
	if had := p.Failure; had != nil && had.Class == failure.Class {
		failure.Time = had.Time
		if had.Code == failure.Code {
			failure = had // another request id isn't worth a write
		}
	}
	p.Failure, p.State = failure, StateBlocked
	if failure.Class.Recovers() && failure.Class != provider.ClassNotFound {
		p.State = StateRetrying
	}
	if !failure.Class.Recovers() && !failure.Class.Lingers() {
		run.initial = sensitive.String{} // whoever mends it gives them again
	}
}

// lookLater queues a credential that the cloud is at work on.
func (e *Engine) lookLater(r *replicator, queued, name string, longest time.Duration) {
	var looks int
	e.credentials.report(name, func(w *credentialWork) { w.looks++; looks = w.looks })
	delay := longestLook
	if looks < 8 {
		delay = min(firstLook*time.Duration(1<<(looks/2)), longestLook)
	}
	lane := quota.Retry
	if looks <= impatient {
		lane = quota.People
	}
	r.queue.addAfter(queued, lane, min(delay, longest))
}

// retryCredential queues a credential again after a while.
func (e *Engine) retryCredential(r *replicator, queued, name string, cause error) {
	delay, attempts := r.backoff.next(queued)
	delay = max(delay, retryAfter(cause))
	failure := e.failure(cause)
	e.credentials.report(name, func(w *credentialWork) {
		if w.failure != nil && w.failure.Class == failure.Class {
			failure.Time = w.failure.Time
		}
		w.state, w.failure, w.attempts, w.nextRetry = StateRetrying, failure, attempts, time.Now().Add(delay)
	})
	e.tellCredentialFailure(name, StateRetrying, failure)
	e.log.Warn("work on a managed credential failed, it is tried again", "credential", name, "destination", r.ref,
		"class", failure.Class, "code", failure.Code, "request_id", failure.RequestID, "attempt", attempts, "next", delay.String())
	r.queue.addAfter(queued, max(r.queue.lane(queued), quota.Retry), delay)
}

// restCredential lets a credential wait for the next look at a destination that is
// away.
func (e *Engine) restCredential(r *replicator, queued, name string, until time.Time, failure *Failure) {
	until = until.Add(rand.N(firstRetry)) //nolint:gosec // spreading load needs no secrecy
	e.credentials.report(name, func(w *credentialWork) {
		w.state, w.failure, w.nextRetry = StateRetrying, failure, until
	})
	e.tellCredentialFailure(name, StateRetrying, failure)
	r.queue.addAfter(queued, max(r.queue.lane(queued), quota.Retry), time.Until(until))
}

// forgetCredential removes the record of a credential that is gone.
func (e *Engine) forgetCredential(r *replicator, queued string, run *credentialRun) error {
	name := run.c.Name
	defer e.credentials.lock(name)()
	if err := managed.Delete(r.ctx, e.storage, e.mount.id(name)); err != nil {
		return err
	}
	r.backoff.forget(queued)
	e.credentials.end(name)
	e.tell(Event{Kind: EventCredentialDeleted, Credential: name, Destination: run.c.Destination, State: removed, Operation: operationRemove})
	return nil
}

// sameTags tells whether the cloud has the tags.
func sameTags(a, b map[string]string) bool { return maps.Equal(a, b) }
