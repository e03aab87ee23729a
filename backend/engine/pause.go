// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// PauseLevel is what was paused: the mount, a destination, or a secret. Each
// holds by itself, and none is inherited by anything else.
type PauseLevel string

// The levels.
const (
	PausedMount       PauseLevel = "mount"
	PausedDestination PauseLevel = "destination"
	PausedSecret      PauseLevel = "secret"
)

// errPaused says that a call wasn't made because of a pause.
var errPaused = errors.New("remote changes are paused")

type pauseKey struct{}

// pausable returns a context in which no call is made any more from when the
// replica is paused at one of the levels. A replica that needs no call is worked
// on all the same.
func (e *Engine) pausable(ctx context.Context, r *replicator, name string) context.Context {
	return context.WithValue(ctx, pauseKey{}, func() bool {
		if _, err := e.Config(ctx); err != nil {
			return true // nobody knows
		}
		return len(e.pausedAt(r.ref, e.activities.paused(name))) > 0
	})
}

// paused refuses a call in a context that is paused.
func paused(ctx context.Context) error {
	if is, found := ctx.Value(pauseKey{}).(func() bool); found && is() {
		return errPaused
	}
	return nil
}

// pausedAt tells at which levels a replica is paused, from memory; the caller
// knows whether its secret is.
func (e *Engine) pausedAt(ref string, secret bool) []PauseLevel {
	var levels []PauseLevel
	if config := e.config.Load(); config != nil && config.Paused {
		levels = append(levels, PausedMount)
	}
	if r := e.replicators.get(ref); r != nil && r.current.Load().destination.Paused {
		levels = append(levels, PausedDestination)
	}
	if secret {
		levels = append(levels, PausedSecret)
	}
	return levels
}

// stay notes that a replica waits for the end of a pause.
func (e *Engine) stay(t task, generation uint64) {
	t.backoff.forget(t.queued)
	t.report(e, func(p *progress) {
		p.state, p.settled, p.nextRetry = StatePaused, generation, time.Time{}
	})
}

// Resume ends the pause of the mount and returns how many secrets are taken up.
// What is paused at a destination or a secret stays so.
func (e *Engine) Resume(ctx context.Context) (secrets int, err error) {
	outstanding := len(e.activities.names())
	return outstanding, e.ChangeConfig(ctx, func(c *Config) { c.Paused = false })
}

// requeueAll has all outstanding work looked at again.
func (e *Engine) requeueAll() {
	for _, name := range e.activities.names() {
		e.activities.wake(name, func(string) bool { return true })
		e.enqueue(name, quota.Retry)
	}
}

// paused tells whether the secret with outstanding work is paused.
func (as *activities) paused(name string) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	return a != nil && a.paused
}

// wake lets replicas be waited for again that came to rest at a switch.
func (as *activities) wake(name string, at func(ref string) bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return
	}
	for slot, p := range a.progress {
		if (p.state == StatePaused || p.state == StateDisabled) && at(slotRef(slot)) {
			p.state, p.settled = StatePending, 0
		}
	}
}
