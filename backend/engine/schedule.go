// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// begin notes a change of the secret and stores its mark. The caller holds the
// secret's lock.
func (e *Engine) begin(ctx context.Context, s *Secret) error {
	e.takeUpEarly(ctx, s)
	now := time.Now().UTC()
	began := e.activities.begin(s.Name, now, s.slots())
	e.activities.attribute(s.Name, causeOf(ctx))
	if err := e.journal.mark(ctx, s.Name, now); err != nil {
		if began {
			e.activities.end(s.Name)
		}
		return err
	}
	return nil
}

// takeUpEarly takes up the secret's mark of an earlier life, if there may be one
// that still waits for it, and with it the doubt about what was attempted then.
func (e *Engine) takeUpEarly(ctx context.Context, s *Secret) {
	if !e.resumed.Load() {
		e.takeUpLocked(ctx, s)
	}
}

// Sync queues a secret's replicas now, also those that are blocked.
func (e *Engine) Sync(ctx context.Context, name string) (Changed, error) {
	ctx = because(ctx, ReasonSync)
	defer e.lock(name)()
	s, _, err := e.resettle(ctx, name)
	if err != nil {
		return Changed{}, err
	}
	if len(s.Replicas) == 0 {
		return Changed{}, Refusef("secret %q has no destinations; give it some with destinations=type/name at secrets/%s, or by a rule", name, name)
	}
	if s.repair() {
		if err := e.storeSecret(ctx, s); err != nil {
			return Changed{}, err
		}
	}
	if err := e.begin(ctx, s); err != nil {
		return Changed{}, err
	}
	for _, slot := range s.slots() {
		if r := e.replicators.get(slotRef(slot)); r != nil {
			r.current.Load().refused.Store(nil) // a person asks: try again
		}
	}
	e.enqueueAll(s, quota.People)
	return Changed{Generation: e.activities.generation(name)}, nil
}

// enqueueAll puts the secret in the queue of each of its destinations, to be
// worked on at once.
func (e *Engine) enqueueAll(s *Secret, lane quota.Lane) {
	e.activities.note(s)
	for _, slot := range s.slots() {
		e.enqueueAt(slot, s.Name, lane)
	}
}

// enqueueAt queues one replica of the secret. If its destination isn't open and can't be
// opened right now, it is tried in the background: a request that ends, or a
// storage that stumbles, must not leave the secret unqueued.
func (e *Engine) enqueueAt(slot, name string, lane quota.Lane) {
	e.enqueueItem(slotRef(slot), item(name, slot), lane)
}

func (e *Engine) enqueueItem(ref, queued string, lane quota.Lane) {
	if r := e.replicators.get(ref); r != nil {
		r.add(queued, lane)
		return
	}
	e.background(func(ctx context.Context) {
		e.persist(ctx, "open destination "+ref, func() error {
			r, err := e.replicator(ctx, ref)
			if r != nil {
				r.add(queued, lane)
			}
			return err
		})
	})
}

// persist calls work until it succeeds or ctx is done, ever more slowly.
func (e *Engine) persist(ctx context.Context, what string, work func() error) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := work()
		if err == nil || ctx.Err() != nil {
			return
		}
		e.log.Error("background work failed, it is tried again", "work", what, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(firstRetry<<min(attempt, 6), time.Minute)):
		}
	}
}

// enqueue queues the outstanding replicas of a secret.
func (e *Engine) enqueue(name string, lane quota.Lane) {
	outstanding, _ := e.activities.snapshot(name)
	for slot := range outstanding {
		e.enqueueAt(slot, name, lane)
	}
}

// answerTime is kept of a request's time for answering it.
const answerTime = time.Second

// Wait blocks until the secret's replicas are in sync as of generation, or can't
// go on by themselves, or until ctx is done or the time is over. It doesn't tell
// which; Status does. Replication goes on in any case.
func (e *Engine) Wait(ctx context.Context, name string, generation uint64, limit time.Duration) {
	if generation == 0 || limit <= 0 {
		return
	}
	until := time.Now().Add(limit)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-answerTime).Before(until) {
		until = deadline.Add(-answerTime)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		done, changed := e.activities.settled(name, generation)
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
