// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// mayTake tells whether the convergence may come to take the secret from its
// readers, as far as that can be told without a call.
func (c *convergence) mayTake() bool {
	switch c.want.Presence {
	case plan.Deleted:
		scheduled := c.have.State == provider.StatePendingDeletion && c.want.DeleteAfter > 0
		return !c.have.Known || c.have.Exists() && !scheduled
	case plan.Withdrawn:
		p := plan.Make(c.want, c.have, c.o.abilities, c.o.kind.Limits)
		return p.Look || slices.ContainsFunc(p.Steps, takes)
	case plan.Live, plan.Released:
	}
	return false
}

// takes tells whether a step takes the secret from its readers.
func takes(step plan.Step) bool { return step.Action == plan.Delete || step.Action == plan.Disable }

// askBrake asks for leave before the first call of what may take the secret from
// its readers. Nothing is asked during a pause, and again for what had leave before
// and failed.
func (c *convergence) askBrake(ctx context.Context) error {
	if !c.mayTake() {
		return nil
	}
	if err := paused(ctx); err != nil {
		return err
	}
	return c.admit(ctx)
}

func (c *convergence) admit(ctx context.Context) (err error) {
	if c.e.activities.admitted(c.secret, c.slot) {
		c.leave = &admission{}
		return nil
	}
	c.leave, err = c.e.admit(ctx, c.o.destination.Ref(), c.o.destination.DeletionsPerHour(), c.held)
	return err
}

// take uses the leave before a step that takes the secret from its readers.
func (c *convergence) take(ctx context.Context) error {
	if c.leave == nil {
		// Only a look has shown that it is necessary.
		if err := c.admit(ctx); err != nil {
			return err
		}
	}
	if err := c.leave.use(ctx); err != nil {
		return err
	}
	c.e.activities.admit(c.secret, c.slot, true)
	return nil
}

// heldBy returns what an error says that is held.
func heldBy(err error) *Held {
	var held *HeldError
	if errors.As(err, &held) {
		return &held.Held
	}
	return nil
}

// hold notes that a replica is held, and has it looked at again if it was let go
// just then.
func (e *Engine) hold(t task, held Held) {
	t.backoff.forget(t.queued)
	if e.brakeAt(t.ref).released(held) {
		t.queue.add(t.queued, t.queue.lane(t.queued))
	}
}

// yieldToOthers has a replica ask again when those before it have come to their
// ends.
func (e *Engine) yieldToOthers(t task) {
	t.queue.addAfter(t.queued, t.queue.lane(t.queued), brakeRetry)
}

// admitted tells whether the replica had the leave of the brake.
func (as *activities) admitted(name, slot string) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	return a != nil && a.progress[slot] != nil && a.progress[slot].admitted
}

// admit notes whether the replica has the leave of the brake: it is counted once,
// however often it is tried.
func (as *activities) admit(name, slot string, leave bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil && a.progress[slot] != nil {
		a.progress[slot].admitted = leave
	}
}

// heldSince is since when a replica is held, zero if it isn't.
func (r *Replica) heldSince() time.Time {
	if r.Held == nil {
		return time.Time{}
	}
	return r.Held.Since
}
