// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// The trail of a replica is what was changed there last, why, and who asked for it.
// It is kept in the secret's record and written only when that is written anyway: a
// convergence that changed something at the cloud has something to note there.

const (
	trailLength = 10  // changes that are kept of a replica
	trailsTotal = 200 // and of all replicas of a secret, whose record has to fit an entry of storage
	trailCalls  = 12  // calls that are kept of a change
	goneLength  = 4   // replicas that are gone and whose trails are kept
)

// TrailEntry is one change of a replica. It holds no value.
type TrailEntry struct {
	Time    time.Time      `json:"time"`
	Calls   []TrailCall    `json:"calls"`
	Version uint64         `json:"version,omitempty"` // of Vault, that readers were to get; 0 for none
	Cause   Cause          `json:"cause,omitzero"`
	Failure provider.Class `json:"failure,omitempty"` // why it was broken off, "" if it wasn't
}

// TrailCall is one call that changed something.
type TrailCall struct {
	Operation string `json:"operation"` // as the service names it
	VersionID string `json:"version_id,omitempty"`
	RequestID string `json:"request_id,omitempty"` // of the service
	// Doubtful is set when no answer came: it may have taken effect.
	Doubtful bool `json:"doubtful,omitempty"`
}

// goneReplica is what is kept of a replica that is gone.
type goneReplica struct {
	Slot       string       `json:"slot"`
	RemoteName string       `json:"remote_name"`
	Trail      []TrailEntry `json:"trail"`
}

// stepTrace collects the calls of one step.
type stepTrace struct {
	mu    sync.Mutex
	calls []TrailCall
}

type stepKey struct{}

func (t *stepTrace) add(operation, requestID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = append(t.calls, TrailCall{Operation: operation, RequestID: requestID})
}

// record notes the calls of a step that changed something, or may have. Of a call
// that was made again the last one counts.
func (c *convergence) record(step plan.Step, id string, trace *stepTrace, err error) {
	doubtful := provider.IsAmbiguous(err)
	if err != nil && !doubtful {
		return
	}
	trace.mu.Lock()
	defer trace.mu.Unlock()
	planned := c.plannedCall(step)
	if id == "" {
		id = step.VersionID
	}
	var calls []TrailCall
	for i, call := range trace.calls {
		again := slices.ContainsFunc(trace.calls[i+1:], func(next TrailCall) bool { return next.Operation == call.Operation })
		if !slices.Contains(planned.Operations, call.Operation) || again && len(planned.Operations) == 1 {
			continue
		}
		call.VersionID = id
		calls = append(calls, call)
	}
	if len(calls) > 0 {
		calls[len(calls)-1].Doubtful = doubtful
	}
	c.done = append(c.done, calls...)
}

// extended is the trail with what a convergence did, within its bounds.
func extended(trail []TrailEntry, out outcome) []TrailEntry {
	if len(out.done) == 0 {
		return trail
	}
	entry := TrailEntry{Time: time.Now().UTC().Truncate(time.Millisecond), Calls: out.done, Cause: out.cause, Version: out.version}
	if len(entry.Calls) > trailCalls {
		entry.Calls = entry.Calls[len(entry.Calls)-trailCalls:]
	}
	if out.err != nil {
		entry.Failure = provider.ClassOf(out.err)
	}
	kept := trail
	if len(kept) >= trailLength {
		kept = kept[len(kept)-trailLength+1:]
	}
	return append(slices.Clone(kept), entry)
}

// share is the part of a replica's trail that is kept of a secret with so many.
func share(trail []TrailEntry, replicas int) []TrailEntry {
	return trail[max(0, len(trail)-trailsTotal/max(replicas, 1)):]
}

// rememberTrail keeps the trail of a replica that is gone, as long as the secret's record is.
func (s *Secret) rememberTrail(slot string, r *Replica, out outcome) {
	trail := extended(r.Trail, out)
	if len(trail) == 0 {
		return
	}
	gone := append(slices.Clone(s.Gone), goneReplica{Slot: slot, RemoteName: r.RemoteName, Trail: trail})
	s.Gone = gone[max(0, len(gone)-goneLength):]
}

// ReplicaTrail is the trail of one replica, the newest change first.
type ReplicaTrail struct {
	Destination string
	Key         string // of the secret's data, for the replica of one key
	Former      bool   // on its way out under a former name
	Gone        bool   // there is no such replica any more
	RemoteName  string
	Changes     []TrailEntry
	// Audit is how the cloud's own audit is asked for these calls; nil where that
	// isn't known.
	Audit *provider.AuditQuery
}

// Trail is what was changed at the replicas of a secret last; nil if nothing is
// known of the secret. One storage read.
func (e *Engine) Trail(ctx context.Context, name string) ([]ReplicaTrail, error) {
	s, err := e.load(ctx, name)
	if err != nil || s.isEmpty() && len(s.Gone) == 0 {
		return nil, err
	}
	trails := []ReplicaTrail{}
	for _, slot := range s.slots() {
		if r := s.Replicas[slot]; r.RemoteName != "" {
			trails = append(trails, e.replicaTrail(ctx, slot, r.RemoteName, r.Trail))
		}
	}
	for _, gone := range slices.Backward(s.Gone) {
		trail := e.replicaTrail(ctx, gone.Slot, gone.RemoteName, gone.Trail)
		trail.Gone = true
		trails = append(trails, trail)
	}
	return trails, nil
}

func (e *Engine) replicaTrail(ctx context.Context, slot, remoteName string, entries []TrailEntry) ReplicaTrail {
	trail := ReplicaTrail{Destination: slotRef(slot), Former: slotIsFormer(slot), RemoteName: remoteName, Changes: slices.Clone(entries)}
	slices.Reverse(trail.Changes)
	if key, keyed := slotKey(slot); keyed {
		trail.Key = key
	}
	o, err := e.openedAt(ctx, trail.Destination)
	if err != nil || o == nil || o.kind.Audit == nil || len(entries) == 0 {
		return trail
	}
	// The clouds' clocks and delays aren't ours.
	const margin = 15 * time.Minute
	scope := provider.AuditScope{
		Region: o.destination.Region, Settings: o.destination.Settings, Name: remoteName,
		From: entries[0].Time.Add(-margin), To: entries[len(entries)-1].Time.Add(margin),
	}
	for _, call := range trail.Changes[0].Calls {
		if call.RequestID != "" {
			scope.RequestID = call.RequestID // of the newest change, its last call
		}
	}
	query := o.kind.Audit(scope)
	trail.Audit = &query
	return trail
}
