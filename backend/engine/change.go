// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// maxNameBytes is the longest name of a secret.
const maxNameBytes = 512

// CheckName refuses names that no secret can have.
func CheckName(name string) error {
	switch {
	case name == "":
		return Refusef("the secret's name is empty")
	case len(name) > maxNameBytes:
		return Refusef("the secret's name has %d bytes, the limit is %d", len(name), maxNameBytes)
	case !utf8.ValidString(name):
		return Refusef("the secret's name isn't UTF-8 text")
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/"):
		return Refusef("the secret's name starts or ends with a slash")
	case slices.Contains(strings.Split(name, "/"), "versions"):
		return Refusef("the secret's name has the segment %q, which is reserved for the list of versions", "versions")
	default:
		return nil
	}
}

// Change is one change of a secret: of its value, of its settings, or of both.
type Change struct {
	Name string
	// Request is what the KV store is asked to do; nil for settings alone.
	Request *logical.Request

	// Data is the value that Request would write; nil if it writes none. A
	// patch is given as Patch instead.
	Data  map[string]any
	Patch map[string]any
	// CAS is the version that Request checks, for a check ahead of it.
	CAS *int

	// Implied is the format that the kind of write implies; nil keeps it.
	Implied  *payload.Format
	Settings SettingsChange

	// Removes is set when Request deletes the secret with all its versions.
	Removes bool
}

// Changed is the result of a change.
type Changed struct {
	Response   *logical.Response // of the KV store, nil for settings alone
	Generation uint64            // to wait for; 0 if the secret has no replicas
	TakenAway  []string          // destinations that the secret no longer names
}

// Apply carries out a change. A *RefusedError means that nothing was stored. A
// refusal by the KV store (a failed check-and-set, say) is in the response, as
// the store gave it. Replication goes on after Apply returns; see Wait.
func (e *Engine) Apply(ctx context.Context, c Change) (Changed, error) {
	defer e.lock(c.Name)()
	before, err := e.load(ctx, c.Name)
	if err != nil {
		return Changed{}, err
	}
	e.takeUpEarly(ctx, before)
	next, data, err := e.prepare(ctx, c, before)
	if err != nil {
		return Changed{}, err
	}
	altered := !reflect.DeepEqual(before, next)
	if altered && data != nil {
		if err := e.checkCAS(ctx, c); err != nil {
			return Changed{}, err
		}
	}
	claimed, err := e.claimAll(ctx, before, next)
	if err != nil {
		return Changed{}, err
	}
	defer e.settleClaims(claimed)
	if len(before.Replicas)+len(next.Replicas) > 0 {
		if err := e.begin(ctx, next); err != nil {
			return Changed{}, err
		}
	}
	changed, err := e.commit(ctx, c, before, next, altered, claimed)
	// From here on a convergence sees the change; one that began before doesn't
	// count as its end.
	changed.Generation = e.activities.renew(c.Name)
	for _, ref := range before.Settings.Destinations {
		if !next.wants(ref) && !c.Removes {
			changed.TakenAway = append(changed.TakenAway, ref)
		}
	}
	e.enqueueAll(next, quota.People)
	return changed, err
}

// commit stores what Apply prepared, after the mark.
func (e *Engine) commit(ctx context.Context, c Change, before, next *Secret, altered bool, made []claimed) (Changed, error) {
	if altered {
		if err := e.storeSecret(ctx, next); err != nil {
			return Changed{}, err
		}
	}
	changed, err := e.request(ctx, c)
	if kvstore.Failed(changed.Response, err) {
		// A deletion that failed halfway can't be taken back; it is completed.
		if altered && !next.Deleting {
			e.takeBack(ctx, before, made)
		}
		return changed, err
	}
	if c.Removes && !before.isEmpty() {
		if err := e.bury(ctx, next); err != nil {
			return Changed{}, err
		}
	}
	return changed, e.releaseRenamed(ctx, before, next)
}

// takeBack restores the record of a secret whose value the KV store refused.
func (e *Engine) takeBack(ctx context.Context, before *Secret, made []claimed) {
	if err := e.storeSecret(ctx, before); err != nil {
		e.log.Error("the settings of a refused write can't be taken back", "secret", before.Name, "error", err)
		return
	}
	e.releaseClaims(ctx, before.Name, made)
}

func (e *Engine) request(ctx context.Context, c Change) (Changed, error) {
	if c.Request == nil {
		return Changed{}, nil
	}
	resp, err := e.store.Handle(ctx, c.Request)
	return Changed{Response: resp}, err
}

// prepare works out the secret's record after the change and the data that will
// be written, and refuses what can't succeed.
func (e *Engine) prepare(ctx context.Context, c Change, before *Secret) (next *Secret, data map[string]any, err error) {
	next = before.clone()
	next.Deleting = c.Removes && len(before.Replicas) > 0
	if c.Removes {
		return next, nil, nil
	}
	if next.Settings, err = c.Settings.apply(next.Settings); err != nil {
		return nil, nil, err
	}
	data = c.Data
	if err := e.noteForm(ctx, c, next); err != nil {
		return nil, nil, err
	}
	if c.Patch != nil && len(next.Settings.Destinations) > 0 {
		if data, err = e.patched(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	for ref, replica := range next.Replicas {
		if !next.wants(ref) && replica.Removal == nil {
			replica.Removal = &Removal{Policy: DeleteRetain}
		}
	}
	if data == nil && c.Settings.IsZero() {
		return next, nil, nil
	}
	check := data
	if data == nil {
		if check, err = e.currentData(ctx, c.Name); err != nil {
			return nil, nil, err
		}
	}
	for _, ref := range next.Settings.Destinations {
		if err := e.want(ctx, next, ref, check); err != nil {
			return nil, nil, err
		}
	}
	return next, data, nil
}

// noteForm notes the format that the way of writing implies, if it is another
// one than that of the version before.
func (e *Engine) noteForm(ctx context.Context, c Change, next *Secret) error {
	if c.Implied == nil || *c.Implied == next.implied(newestVersion) {
		return nil
	}
	meta, err := e.store.ReadMetadata(ctx, e.storage, c.Name)
	if err != nil {
		return err
	}
	if meta == nil {
		meta = &kvstore.Metadata{}
	}
	next.imply(*c.Implied, meta.Current+1, meta.Oldest)
	return nil
}

// want makes sure that the secret has a replica at the destination, and refuses
// one that could never be in sync.
func (e *Engine) want(ctx context.Context, s *Secret, ref string, data map[string]any) error {
	site, err := e.replicator(ctx, ref)
	if err != nil {
		return err
	}
	if site == nil {
		if kind, _, _ := strings.Cut(ref, "/"); e.kinds[kind].Type == "" {
			return Refusef("destination %s: the type %s is unknown; known are %s", ref, kind, strings.Join(slices.Sorted(maps.Keys(e.kinds)), ", "))
		}
		return Refusef("destination %s doesn't exist; create it at destinations/%s or choose another", ref, ref)
	}
	o := site.current.Load()
	if !o.destination.Allows(s.Name) {
		return Refusef("destination %s doesn't take secret %q: its allowed_paths are %s", ref, s.Name, strings.Join(o.destination.AllowedPaths, ", "))
	}
	r := e.resolve(s, o.destination, newestVersion)
	replica := s.Replicas[ref]
	switch {
	case replica == nil:
	case replica.Observed.NeverMade(owner.For(e.mount.ID, s.Name)) && !e.activities.busy(s.Name, ref):
	case s.Settings.RemoteName == "" || s.Settings.RemoteName == replica.RemoteName:
		r.remoteName = replica.RemoteName // the name that it has stays, however it came about
	default:
		return Refusef("destination %s: the replica exists as %q, or is being made, and can't be renamed; take the destination away from the secret first, which leaves the remote secret in place", ref, replica.RemoteName)
	}
	if err := r.check(o.destination, o.kind.Limits, data, valueField(s.implied(newestVersion))); err != nil {
		return err
	}
	if replica == nil || replica.RemoteName != r.remoteName {
		if s.Replicas == nil {
			s.Replicas = map[string]*Replica{}
		}
		replica = &Replica{RemoteName: r.remoteName, State: StatePending, Observed: plan.Observed{Known: true}}
		if left := s.Released[ref]; left != nil && left.RemoteName == r.remoteName {
			replica.Observed = left.Observed
		}
		delete(s.Released, ref)
		s.Replicas[ref] = replica
	}
	replica.Removal = nil
	return nil
}

// patched is the data after the patch; nil if there is nothing to patch, which
// the KV store then says itself.
func (e *Engine) patched(ctx context.Context, c Change) (map[string]any, error) {
	// A patch is of the newest version, live or not.
	current, err := e.store.ReadVersion(ctx, e.storage, c.Name, 0)
	if err != nil || current == nil {
		return nil, err
	}
	old, err := json.Marshal(current.Data)
	if err != nil {
		return nil, fmt.Errorf("encode the value to patch: %w", err)
	}
	patch, err := json.Marshal(c.Patch)
	if err != nil {
		return nil, Refusef("data: the patch can't be encoded as JSON")
	}
	merged, err := jsonpatch.MergePatch(old, patch)
	if err != nil {
		return nil, Refusef("data: the patch isn't a JSON merge patch")
	}
	var data map[string]any
	if err := json.Unmarshal(merged, &data); err != nil {
		return nil, fmt.Errorf("decode the patched value: %w", err)
	}
	return data, nil
}

// currentData is the data of the newest live version, nil if there is none.
func (e *Engine) currentData(ctx context.Context, name string) (map[string]any, error) {
	version, err := e.store.ReadVersion(ctx, e.storage, name, 0)
	if err != nil {
		return nil, err
	}
	if version == nil {
		meta, err := e.store.ReadMetadata(ctx, e.storage, name)
		if err != nil || meta == nil || meta.Newest(time.Now()) == 0 {
			return nil, err
		}
		if version, err = e.store.ReadVersion(ctx, e.storage, name, meta.Newest(time.Now())); err != nil || version == nil {
			return nil, err
		}
	}
	return version.Data, nil
}

// checkCAS refuses a write whose check-and-set will fail, before its settings
// are stored. The store checks again.
func (e *Engine) checkCAS(ctx context.Context, c Change) error {
	if c.CAS == nil {
		return nil
	}
	meta, err := e.store.ReadMetadata(ctx, e.storage, c.Name)
	if err != nil {
		return err
	}
	var current uint64
	if meta != nil {
		current = meta.Current
	}
	if *c.CAS < 0 || uint64(*c.CAS) != current {
		return Refusef("cas: check-and-set parameter did not match the current version, which is %d", current)
	}
	return nil
}

// completeDeletion ends a deletion that was broken off: the values go, if they
// haven't yet, and then the settings. A write that came meanwhile has ended the
// deletion in its own way.
func (e *Engine) completeDeletion(ctx context.Context, name string) error {
	defer e.lock(name)()
	s, err := e.load(ctx, name)
	if err != nil || !s.Deleting {
		return err
	}
	request := kvstore.DeleteRequest(&logical.Request{Storage: e.storage}, name)
	if resp, err := e.store.Handle(ctx, request); kvstore.Failed(resp, err) {
		return fmt.Errorf("complete the deletion of secret %q in the KV v2 store: %w", name, errors.Join(err, resp.Error()))
	}
	return e.bury(ctx, s)
}

// bury decides what becomes of each replica of a deleted secret while its
// settings are known, and then drops the settings: a secret that is made anew
// under the name starts afresh. The caller holds the secret's lock.
func (e *Engine) bury(ctx context.Context, s *Secret) error {
	for ref, replica := range s.Replicas {
		if !s.wants(ref) {
			continue
		}
		r, err := e.replicator(ctx, ref)
		if err != nil {
			return err
		}
		if r != nil {
			removal := e.resolve(s, r.current.Load().destination, newestVersion).removal
			replica.Removal, replica.State = &removal, StateDeleting
		}
	}
	if len(s.Replicas) > 0 {
		// Whatever comes under this name is another life, with ids of its own.
		s.Incarnation, s.Born = max(s.Incarnation, 1)+1, time.Time{}
	}
	s.Settings, s.Forms, s.Deleting, s.Released = Settings{}, nil, false, nil
	return e.storeSecret(ctx, s)
}
