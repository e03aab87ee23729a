// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// task is one replica that a worker works on.
type task struct {
	*replicator
	queued     string // as it stands in the queue
	name, slot string
}

func (t task) report(e *Engine, change func(p *progress)) {
	e.activities.report(t.name, t.slot, change)
}

// process works once on a replica.
func (e *Engine) process(r *replicator, queued string) {
	t := task{replicator: r, queued: queued}
	t.name, t.slot = splitItem(queued, r.ref)
	generation, doubt, ok := e.activities.start(t.name, t.slot)
	if !ok || r.ctx.Err() != nil {
		r.backoff.forget(queued) // nobody else does when its work ended otherwise
		return
	}
	defer t.report(e, func(p *progress) { p.running = false })
	o := r.current.Load()
	_, err := e.Config(r.ctx) // known from here on, see pausedAt
	switch {
	case err != nil:
		e.retry(t, err)
		return
	case o.destination.Disabled:
		t.report(e, func(p *progress) {
			p.state, p.settled, p.failure, p.nextRetry = StateDisabled, generation, nil, time.Time{}
		})
		return
	}
	if ok, until, failure := o.breaker.admits(queued); !ok {
		e.rest(t, until, failure)
		return
	}
	cause := e.activities.cause(t.name, t.slot)
	ctx, calls := traced(e.pausable(quota.WithLane(r.ctx, r.queue.lane(queued)), r, t.name))
	result, err := e.reconcile(ctx, o, t.name, t.slot, doubt > 0)
	result.requestIDs, result.cause = calls.ids, cause
	o.breaker.gaveUp(queued, result.tried(), e.failure)
	r.meters.converged(result, err)
	if err == nil && r.ctx.Err() == nil {
		err = e.save(r.ctx, t.slot, t.name, generation, doubt, result)
	}
	if newlyAhead(result.err) {
		e.standBack(r.ctx, t.name)
	}
	e.followUp(t, generation, result, err)
}

// followUp plans when a replica is worked on again, after an outcome that was saved
// unless err says why not.
func (e *Engine) followUp(t task, generation uint64, result outcome, err error) {
	switch {
	case t.ctx.Err() != nil:
	case err != nil:
		e.retry(t, err)
	case result.err != nil && result.tried() == nil:
		e.waitElsewhere(t, generation, result.err)
	case result.err != nil && provider.ClassOf(result.err).Recovers():
		e.retry(t, result.err)
	case result.err != nil && provider.ClassOf(result.err).Lingers():
		t.backoff.forget(t.queued)
		delay := blockedRetry/2 + rand.N(blockedRetry) //nolint:gosec // spreading load needs no secrecy
		if due := result.nextDue(); !due.IsZero() {
			delay = min(delay, time.Until(due)+time.Second)
		}
		t.queue.addAfter(t.queued, quota.Retry, delay)
	default:
		t.backoff.forget(t.queued)
		if due := result.nextDue(); !due.IsZero() {
			t.queue.addAfter(t.queued, quota.People, time.Until(due)+time.Second)
		}
	}
}

// waitElsewhere lets a replica wait for what isn't the cloud's to end.
func (e *Engine) waitElsewhere(t task, generation uint64, cause error) {
	switch held := heldBy(cause); {
	case held != nil:
		e.hold(t, *held)
	case errors.Is(cause, errBrakeBusy):
		e.yieldToOthers(t)
	default:
		e.stay(t, generation)
	}
}

// rest lets a replica wait for the next look at a destination that is away.
func (e *Engine) rest(t task, until time.Time, failure *Failure) {
	// Not all at once, so that one of them can find out.
	until = until.Add(rand.N(firstRetry)) //nolint:gosec // spreading load needs no secrecy
	t.report(e, func(p *progress) {
		p.state, p.failure, p.nextRetry = StateRetrying, failure, until
	})
	e.tellFailure(t.name, t.slot, StateRetrying, failure)
	t.queue.addAfter(t.queued, max(t.queue.lane(t.queued), quota.Retry), time.Until(until))
}

// retry queues the replica again after a while.
func (e *Engine) retry(t task, cause error) {
	delay, attempts := t.backoff.next(t.queued)
	delay = max(delay, retryAfter(cause))
	failure := e.failure(cause)
	t.report(e, func(p *progress) {
		if p.failure != nil && p.failure.Class == failure.Class {
			failure.Time = p.failure.Time
		}
		p.state, p.failure, p.attempts, p.nextRetry = StateRetrying, failure, attempts, time.Now().Add(delay)
	})
	e.tellFailure(t.name, t.slot, StateRetrying, failure)
	if provider.IsAmbiguous(cause) {
		e.activities.doubt(t.name, t.slot)
	}
	e.log.Warn("replication failed, it is tried again", "secret", t.name, "destination", t.slot,
		"class", failure.Class, "code", failure.Code, "request_id", failure.RequestID, "attempt", attempts, "next", delay.String())
	t.queue.addAfter(t.queued, max(t.queue.lane(t.queued), quota.Retry), delay)
}

// retryAfter is the service's hint when to come back, 0 for none.
func retryAfter(err error) time.Duration {
	var remote *provider.Error
	if errors.As(err, &remote) {
		return remote.RetryAfter
	}
	return 0
}

// failure describes an error for people.
func (e *Engine) failure(err error) *Failure {
	f := &Failure{Class: provider.ClassOf(err), Message: err.Error(), Time: time.Now().UTC()}
	var remote *provider.Error
	if errors.As(err, &remote) {
		f.Code, f.RequestID = remote.Code, remote.RequestID
	}
	return f
}
