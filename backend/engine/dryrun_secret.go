// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
)

// Plan is what convergence of one secret would do. It never holds a value.
type Plan struct {
	Secret   string
	Replicas []PlannedReplica // by destination
	Looks    int              // remote calls that the plan itself took, which only read
	Notes    []string
}

// Calls is how many remote calls would be made that change something.
func (p *Plan) Calls() int {
	calls := 0
	for _, r := range p.Replicas {
		for _, c := range r.Calls {
			calls += len(c.Operations)
		}
	}
	return calls
}

// Idle tells whether nothing is to be done and nothing in the way.
func (p *Plan) Idle() bool {
	return !slices.ContainsFunc(p.Replicas, func(r PlannedReplica) bool {
		return len(r.Calls) > 0 || r.Refused != nil || r.Drifted
	})
}

// ReplicaChange is what becomes of a replica as a whole.
type ReplicaChange string

// The changes.
const (
	ReplicaStays    ReplicaChange = "stays"
	ReplicaAppears  ReplicaChange = "appears"  // there was none
	ReplicaRenamed  ReplicaChange = "renamed"  // made under another name
	ReplicaReturns  ReplicaChange = "returns"  // was on its way out
	ReplicaReleased ReplicaChange = "released" // left without our mark
	ReplicaDeleted  ReplicaChange = "deleted"
)

// PlannedReplica is what convergence of one replica would do.
type PlannedReplica struct {
	Destination string
	Key         string // of the secret's data, for the replica of one key
	Former      bool   // on its way out under a former name
	RemoteName  string
	Change      ReplicaChange
	Presence    plan.Presence

	Calls   []PlannedCall // in order
	Looks   int           // remote calls that the plan itself took for it
	Refused *Failure      // why it is blocked, after the calls
	// Drifted is set when the remote isn't what was last made or seen. Then Blind are
	// the calls of a convergence that has no reason to look first.
	Drifted bool
	Blind   []PlannedCall
	Waits   []string // what it waits for
	Notes   []string

	slot string
}

// PlanSecret tells which remote calls convergence of a secret would make now; with
// a change, after that. It reads the remotes and changes nothing, here and there. A
// *RefusedError is what the change itself would be refused with.
func (e *Engine) PlanSecret(ctx context.Context, name string, change *Change) (*Plan, error) {
	s, err := e.suppose(ctx, name)
	if err != nil {
		return nil, err
	}
	switch {
	case change != nil:
		if s, err = e.supposeChange(ctx, *change, s); err != nil {
			return nil, err
		}
	case s.meta == nil && len(s.next.Replicas) == 0:
		return nil, Refusef("secret %q doesn't exist", name)
	}
	return e.dryRun(ctx, s)
}

// supposeChange is a secret as it would be after a change.
func (e *Engine) supposeChange(ctx context.Context, c Change, s subject) (subject, error) {
	if s.meta == nil && c.Data == nil {
		return s, Refusef("secret %q doesn't exist; plan its first write with data, value or binary", c.Name)
	}
	if c.Removes {
		s.next, s.meta = s.before.clone(), nil
		return s, e.retire(ctx, s.next)
	}
	counted, calls := traced(ctx)
	warnings, err := e.checkSecretKeys(counted, c)
	if err != nil {
		return s, err
	}
	s.looks = calls.calls
	s.notes = append(s.notes, warnings...)
	start := s.before
	if s.before.Deleting {
		start = s.next
	}
	if s.next, s.data, err = e.prepare(ctx, c, start); err != nil {
		return s, err
	}
	for _, wanted := range newNames(s.before, s.next) {
		if refusal, err := e.takenBy(ctx, c.Name, wanted); err != nil {
			return s, err
		} else if refusal != nil {
			return s, refusal
		}
	}
	s.reborn()
	if c.Data != nil {
		s.write()
	}
	return s, nil
}

// write adds the version that isn't stored to the list of versions.
func (s *subject) write() {
	next := kvstore.Metadata{CreatedTime: time.Now().UTC()}
	if s.meta != nil {
		next = *s.meta
	}
	next.Versions = maps.Clone(next.Versions)
	if next.Versions == nil {
		next.Versions = map[uint64]kvstore.VersionInfo{}
	}
	next.Current++
	next.Versions[next.Current] = kvstore.VersionInfo{CreatedTime: time.Now().UTC()}
	s.meta, s.number = &next, next.Current
}
