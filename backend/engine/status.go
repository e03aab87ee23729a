// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
)

// SecretStatus is where a secret stands at all its destinations. It never holds
// a value.
type SecretStatus struct {
	Name        string
	Incarnation int // of the name; 0 and 1 are the first
	Settings    Settings
	Replicas    []ReplicaStatus // sorted by destination
	Notes       []string        // about rules that have no effect
	Tombstones  []Tombstone     // of replicas that are deleted, until the clouds purge them
	// PendingSince is when the oldest outstanding change was made; zero if
	// nothing is outstanding.
	PendingSince time.Time
}

// Tombstone is a remote secret that was deleted and can still be restored.
type Tombstone struct {
	Destination  string
	Key          string // of the secret's data, for the replica of one key
	RemoteName   string
	DeletionTime time.Time // when the cloud deletes it for good
}

// tombstones are the replicas that were deleted and can still be restored.
func (s *Secret) tombstones(now time.Time) []Tombstone {
	var all []Tombstone
	for _, slot := range slices.Sorted(maps.Keys(s.Released)) {
		if left := s.Released[slot]; left.Observed.DeletionTime.After(now) {
			key, _ := slotKey(slot)
			all = append(all, Tombstone{Destination: slotRef(slot), Key: key, RemoteName: left.RemoteName, DeletionTime: left.Observed.DeletionTime})
		}
	}
	return all
}

// ReplicaStatus is where one replica stands.
type ReplicaStatus struct {
	Destination string
	Key         string // of the secret's data, for the replica of one key
	Former      bool   // on its way out under a former name
	State       State
	PausedBy    []PauseLevel // also while it needs no call
	// DeletionTime is when a scheduled deletion falls due; zero if none is.
	DeletionTime time.Time
	Held         *Held    // nil while its deletion isn't held
	Removal      *Removal // nil while it is wanted
	RemoteName   string
	// Version is the Vault version that readers get at the destination, and
	// VersionID the remote version id that they get it under; 0 and "" if none.
	Version   uint64
	VersionID string
	Versions  []plan.Version // what the remote holds, oldest first

	Failure   *Failure
	Attempts  int       // failed in a row
	NextRetry time.Time // zero if none is planned
	LastSync  time.Time
	// LastVerification is when it was last compared with the cloud, as far as that is
	// known; Drift what was found then, nil if nothing.
	LastVerification time.Time
	Drift            *Drift
	// RequestIDs are the service's ids of the calls of the last work on it.
	RequestIDs []string

	Labels  []string // the service's labels on it that are known here
	current plan.VersionNumber

	KMSKeyID string
	Tags     map[string]string
	// Notes are settings that aren't in effect at the destination, and why.
	Notes []string
}

// Status returns where a secret stands; nil if nothing is known of it beside
// its values. One storage read.
func (e *Engine) Status(ctx context.Context, name string) (*SecretStatus, error) {
	s, err := e.load(ctx, name)
	if err != nil {
		return nil, err
	}
	if s.isEmpty() {
		return nil, nil
	}
	if _, err := e.Config(ctx); err != nil { // known from here on, see pausedAt
		return nil, err
	}
	status := &SecretStatus{Name: name, Incarnation: s.Incarnation, Settings: s.Settings}
	progress, since := e.activities.snapshot(name)
	status.PendingSince, status.Tombstones = since, s.tombstones(time.Now())
	status.Notes = e.notAllowed(ctx, s)
	for _, slot := range s.slots() {
		r := e.replicaStatus(ctx, s, slot)
		r.PausedBy = e.pausedAt(r.Destination, s.Settings.Paused)
		if p, outstanding := progress[slot]; outstanding {
			r.State, r.Attempts, r.NextRetry = p.state, p.attempts, p.nextRetry
			if p.failure != nil {
				r.Failure = p.failure
			}
			if len(p.requestIDs) > 0 {
				r.RequestIDs = p.requestIDs
			}
			if p.state == StatePending {
				r.State = firstSet(s.Replicas[slot].Removal.shown(), p.state)
			}
		}
		status.Replicas = append(status.Replicas, r)
	}
	return status, nil
}

// Await waits until the secret's replicas are in sync, or can't go on by
// themselves, or until ctx is done or the time is over. Replication goes on in any
// case.
func (e *Engine) Await(ctx context.Context, name string, limit time.Duration) error {
	if limit <= 0 {
		return nil
	}
	generation, err := e.outstanding(ctx, name)
	if err != nil {
		return err
	}
	e.Wait(ctx, name, generation, limit)
	return nil
}

// outstanding returns the secret's generation, 0 if it has no outstanding work,
// also right after the start, when not every mark was taken up yet.
func (e *Engine) outstanding(ctx context.Context, name string) (uint64, error) {
	if e.Started() && !e.resumed.Load() {
		defer e.lock(name)()
		s, err := e.load(ctx, name)
		if err != nil {
			return 0, err
		}
		e.takeUpEarly(ctx, s)
	}
	return e.activities.generation(name), nil
}

func (e *Engine) replicaStatus(ctx context.Context, s *Secret, slot string) ReplicaStatus {
	replica, ref := s.Replicas[slot], slotRef(slot)
	current := replica.Observed.Current
	status := ReplicaStatus{
		Destination: ref, State: replica.State, Held: replica.Held, Removal: replica.Removal,
		DeletionTime: replica.Observed.DeletionTime, RemoteName: replica.RemoteName,
		current: current.Version, Version: current.Version.Number, VersionID: current.ID, Versions: replica.Observed.Versions,
		Failure: replica.Failure, LastSync: replica.LastSync, RequestIDs: replica.RequestIDs,
		KMSKeyID: firstSet(replica.Observed.KMSKeyID, replica.Observed.KeyAsked), Tags: replica.Observed.Tags,
	}
	if key, keyed := slotKey(slot); keyed {
		status.Key = key
	}
	status.Former = slotIsFormer(slot)
	status.LastVerification, status.Drift = e.lastVerified(s.Name, slot, replica), replica.Drift
	if r, err := e.replicator(ctx, ref); err == nil && r != nil {
		if label := r.current.Load().kind.CurrentLabel; label != "" && current.ID != "" {
			status.Labels = []string{label}
		}
		status.Notes = e.notes(ctx, s, replica, r.current.Load())
	}
	return status
}

// notes tells what was asked for and can't be had, so that nothing is silently
// ignored.
func (e *Engine) notes(ctx context.Context, s *Secret, replica *Replica, o *opened) []string {
	var notes []string
	if f := replica.TagsFailure; f != nil {
		notes = append(notes, "the cloud made the secret but refused its tags: "+f.Message)
	}
	have := replica.Observed
	if !have.Exists() || replica.Removal != nil {
		return notes
	}
	byRules, err := e.byRules(ctx, s, o.destination.Ref())
	if err != nil {
		return notes
	}
	r, err := e.resolve(s, o.destination, byRules, newestVersion, nil)
	if err != nil {
		return notes
	}
	key := valueOf(r.settings.KMSKeyID)
	if !o.abilities.ChangesKey && key != "" && key != have.KeyAsked && key != have.KMSKeyID {
		notes = append(notes, fmt.Sprintf("kms_key_id %s isn't in effect: %s fixes the key when the secret is created; re-create it with rekey/%s", key, o.kind.Title, s.Name))
	}
	if key == "" && have.KeyAsked != "" {
		notes = append(notes, fmt.Sprintf("no kms_key_id is set any more, but the remote secret keeps key %s", have.KeyAsked))
	}
	if !o.abilities.ChangesTags && replica.TagsFailure == nil && !maps.Equal(r.tags, have.Tags) {
		notes = append(notes, "the tags asked for aren't in effect: here this version sets tags only when it creates the remote secret")
	}
	return notes
}

// Lag is how many versions readers at the replica are behind Vault, whose newest
// live version is newest; negative when they get a newer one that is no longer
// live in Vault.
func (s *SecretStatus) Lag(r ReplicaStatus, newest uint64) int64 {
	served := r.current
	if !served.Same(plan.VersionNumber{Number: served.Number, Incarnation: s.Incarnation}) {
		served.Number = 0 // of an earlier life of the name
	}
	return int64(newest) - int64(served.Number) //nolint:gosec // version numbers are small
}

// RemoteVersions returns by Vault version which remote version ids hold it at
// each destination, the present incarnation only.
func (s *SecretStatus) RemoteVersions(number uint64) map[string][]string {
	held := map[string][]string{}
	wanted := plan.VersionNumber{Number: number, Incarnation: s.Incarnation}
	for _, r := range s.Replicas {
		for _, v := range r.Versions {
			if v.Version.Same(wanted) {
				held[r.Destination] = append(held[r.Destination], v.ID)
			}
		}
		if r.current.Same(wanted) && !slices.Contains(held[r.Destination], r.VersionID) {
			held[r.Destination] = append(held[r.Destination], r.VersionID)
		}
	}
	return held
}

// ReadVersion returns a version of a secret's value, the newest for number 0;
// nil if there is none that can be read.
func (e *Engine) ReadVersion(ctx context.Context, name string, number uint64) (*kvstore.Version, error) {
	return e.store.ReadVersion(ctx, e.storage, name, number)
}

// ReadMetadata returns a secret's list of versions, nil if there is no secret.
func (e *Engine) ReadMetadata(ctx context.Context, name string) (*kvstore.Metadata, error) {
	return e.store.ReadMetadata(ctx, e.storage, name)
}

// Form is the format that follows from how a version was written.
func (e *Engine) Form(ctx context.Context, name string, version uint64) (payload.Format, error) {
	s, err := e.load(ctx, name)
	if err != nil {
		return "", err
	}
	return s.implied(version), nil
}

// Forward hands a request that reads the KV store to it, unchanged.
func (e *Engine) Forward(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	return e.store.Handle(ctx, req)
}

// Present returns a value in the form in which it was written, and the name of
// that form: data, value or binary.
func (e *Engine) Present(ctx context.Context, name string, version uint64, data map[string]any) (form string, value any, err error) {
	s, err := e.load(ctx, name)
	if err != nil {
		return "", nil, err
	}
	text, isText := data[payload.Key].(string)
	switch {
	case len(data) != 1 || !isText:
	case s.implied(version) == payload.Raw:
		return "value", text, nil
	case s.implied(version) == payload.Binary && payload.Fits(data, payload.Binary):
		return "binary", text, nil
	}
	return "data", data, nil
}

// KVExists is the KV store's answer to an existence check.
func (e *Engine) KVExists(ctx context.Context, req *logical.Request) (bool, error) {
	return e.store.Exists(ctx, req)
}

// Serves tells whether readers at the destination get the Vault version number
// when they name none, or one with the same content under its id.
func (s *SecretStatus) Serves(destination string, number uint64) bool {
	wanted := plan.VersionNumber{Number: number, Incarnation: s.Incarnation}
	return slices.ContainsFunc(s.Replicas, func(r ReplicaStatus) bool {
		return r.Destination == destination && (r.current.Same(wanted) || slices.ContainsFunc(r.Versions, func(v plan.Version) bool {
			return v.ID == r.VersionID && v.Version.Same(wanted)
		}))
	})
}

// LabelsOf are the service's labels on any of the remote version ids at the
// destination, as far as they are known here.
func (s *SecretStatus) LabelsOf(destination string, ids []string) []string {
	for _, r := range s.Replicas {
		if r.Destination == destination && slices.Contains(ids, r.VersionID) {
			return r.Labels
		}
	}
	return nil
}
