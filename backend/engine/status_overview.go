// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// Overview is the mount at a glance.
type Overview struct {
	Destinations map[string]DestinationStatus
	// PendingSince is the time of the oldest outstanding change; zero if none.
	PendingSince time.Time
	Paused       bool
	PauseReason  string // why the mount paused itself
	MountID      string
	// TakingUp is set while the work of before the start isn't all known yet.
	TakingUp bool
	// Sweeps are the changes of rules and destinations that secrets are still to
	// follow, by their paths.
	Sweeps map[string]SweepStatus
}

// DestinationStatus is where one destination stands.
type DestinationStatus struct {
	// Replicas counts by state; each is in one. Those in sync include the
	// withdrawn ones, which need nothing either.
	Replicas map[State]int
	// Credentials counts the managed ones by state.
	Credentials map[State]int
	// Queue is how many replicas wait for a worker right now, by lane.
	Queue        map[quota.Lane]int
	PendingSince time.Time // of the oldest outstanding change; zero if none
	Disabled     bool
	Paused       bool

	HeldSince           time.Time // of the oldest held replica; zero if none is
	Deletions           int       // of the last hour, with withdrawals
	MaxDeletionsPerHour int       // [UnlimitedDeletions] for no limit

	// AwaySince is since when the destination doesn't answer, and Away why; zero
	// and nil while it does.
	AwaySince time.Time
	Away      *Failure
	Refused   *Failure // of the credentials; nil while they are accepted
	// Slowed is the present rate of each group of calls that recovers from
	// throttling, in calls per second.
	Slowed    map[string]float64
	Throttled int64 // calls so far
}

// longestTakeUp is how long a request waits for what was pending at the start to
// be known.
const longestTakeUp = 5 * time.Second

// awaitTakenUp waits a while until what was pending at the start is known.
func (e *Engine) awaitTakenUp(ctx context.Context) {
	if !e.Started() || e.resumed.Load() {
		return
	}
	select {
	case <-e.takenUp:
	case <-time.After(longestTakeUp):
	case <-ctx.Done():
	}
}

// Overview counts without reading the secrets: what is in sync is what isn't
// outstanding.
func (e *Engine) Overview(ctx context.Context) (*Overview, error) {
	config, err := e.Config(ctx)
	if err != nil {
		return nil, err
	}
	refs, err := e.refs(ctx)
	if err != nil {
		return nil, err
	}
	e.awaitTakenUp(ctx)
	overview := &Overview{
		Destinations: map[string]DestinationStatus{}, Paused: config.Paused, PauseReason: config.PauseReason, MountID: e.mount.ID,
		Sweeps: e.sweeping.all(), TakingUp: e.Started() && !e.resumed.Load(),
	}
	for _, ref := range refs {
		if overview.Destinations[ref], err = e.destinationStatus(ctx, ref); err != nil {
			return nil, err
		}
	}
	e.awaitCredentials(ctx)
	for ref, counts := range e.credentials.counts() {
		if d, found := overview.Destinations[ref]; found {
			d.Credentials = counts
			overview.Destinations[ref] = d
		}
	}
	for ref, b := range e.activities.outstanding() {
		d, found := overview.Destinations[ref]
		if !found {
			continue // deleted just now
		}
		rest := d.Replicas[StateInSync] + b.unclaimed
		for state, n := range b.states {
			d.Replicas[state] = n
			rest -= n
		}
		if d.Replicas[StateInSync] = rest; rest <= 0 {
			delete(d.Replicas, StateInSync)
		}
		d.PendingSince, d.HeldSince = b.since, b.heldSince
		overview.Destinations[ref] = d
		overview.PendingSince = older(overview.PendingSince, b.since)
	}
	return overview, nil
}

// destinationStatus is where a destination stands, with all replicas counted as
// in sync.
func (e *Engine) destinationStatus(ctx context.Context, ref string) (DestinationStatus, error) {
	d := DestinationStatus{Replicas: map[State]int{}, Queue: map[quota.Lane]int{}}
	n, err := e.countClaims(ctx, ref)
	if err != nil {
		return d, err
	}
	if n > 0 {
		d.Replicas[StateInSync] = n
	}
	r, err := e.replicator(ctx, ref)
	if err != nil {
		// What hinders opening it is told where it is needed.
		e.log.Debug("a destination can't be opened for its status", "destination", ref, "error", err)
	}
	if r == nil {
		return d, nil
	}
	o := r.current.Load()
	if d.Deletions, err = e.brakeAt(ref).taken(ctx); err != nil {
		return d, err
	}
	d.MaxDeletionsPerHour = o.destination.DeletionsPerHour()
	d.Queue, d.Disabled, d.Paused = r.queue.depths(), o.destination.Disabled, o.destination.Paused
	d.AwaySince, d.Away = o.breaker.away()
	d.Slowed, d.Throttled = o.pacer.Slowed(), r.meters.throttled.Load()
	if refused := o.refused.Load(); refused != nil && !o.accepted.Load() {
		d.Refused = e.failure(refused.err)
		d.Refused.Time = refused.until.Add(-refusalTime).UTC()
	}
	return d, nil
}
