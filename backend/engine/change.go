// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
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
	// CustomMetadata is what Request gives as the secret's custom metadata; nil if
	// nothing. In a patch an empty value stands for a key that goes.
	CustomMetadata map[string]string
	// CAS is the version that Request checks, for a check ahead of it.
	CAS *int

	// Implied is the format that the kind of write implies; nil keeps it.
	Implied  *payload.Format
	Settings SettingsChange

	// Retire, if set, decides what becomes of replicas that others take the place
	// of.
	Retire func(next *Secret)

	// Removes is set when Request deletes the secret with all its versions.
	Removes bool
}

// Changed is the result of a change.
type Changed struct {
	Response   *logical.Response // of the KV store, nil for settings alone
	Generation uint64            // to wait for; 0 if the secret has no replicas
	TakenAway  []string          // destinations that the secret no longer names
	Warnings   []string          // of KMS keys of which isn't known whether they can be used
}

// Apply carries out a change. A *RefusedError means that nothing was stored. A
// refusal by the KV store (a failed check-and-set, say) is in the response, as
// the store gave it. Replication goes on after Apply returns; see Wait.
func (e *Engine) Apply(ctx context.Context, c Change) (Changed, error) {
	warnings, err := e.checkSecretKeys(ctx, c)
	if err != nil {
		return Changed{}, err
	}
	changed, err := e.apply(ctx, c)
	changed.Warnings = warnings
	return changed, err
}

func (e *Engine) apply(ctx context.Context, c Change) (Changed, error) {
	defer e.lock(c.Name)()
	before, err := e.begun(ctx, c.Name)
	if err != nil {
		return Changed{}, err
	}
	next, data, err := e.prepare(ctx, c, before)
	if err != nil {
		return Changed{}, err
	}
	altered := !next.equal(before)
	if altered && data != nil {
		if err := e.checkCAS(ctx, c); err != nil {
			return Changed{}, err
		}
	}
	claimed, err := e.reserveAll(ctx, before, next)
	if err != nil {
		return Changed{}, err
	}
	defer e.settleClaims(claimed)
	changed, err := e.commit(ctx, c, before, next, altered, claimed)
	// From here on a convergence sees the change; one that began before doesn't
	// count as its end.
	changed.Generation = e.activities.renew(c.Name)
	for _, ref := range before.Settings.Destinations {
		if !next.goesTo(ref) && !c.Removes {
			changed.TakenAway = append(changed.TakenAway, ref)
		}
	}
	if err == nil && e.mayMove(c, next) && !kvstore.Failed(changed.Response, nil) {
		next, changed.Generation, err = e.follow(ctx, next)
	}
	e.enqueueAll(next, quota.People)
	return changed, err
}

// mayMove tells whether a change that gives no value may change which replicas
// there should be: those of single keys when another version becomes the live
// one, and all when the secret was there before any rule.
func (e *Engine) mayMove(c Change, s *Secret) bool {
	if c.Request == nil || c.Removes || c.Data != nil || c.Patch != nil {
		return false
	}
	return s.keyed() || len(s.Replicas) == 0
}

// follow settles a secret after its values changed. The caller holds the
// secret's lock. What fails here is made up for: the mark is stored.
func (e *Engine) follow(ctx context.Context, s *Secret) (*Secret, uint64, error) {
	next, altered, err := e.resettle(ctx, s.Name)
	if altered {
		s = next
	}
	return s, e.activities.generation(s.Name), err
}

// goesTo tells whether the secret should have a replica at the destination.
func (s *Secret) goesTo(ref string) bool {
	return slices.ContainsFunc(s.at(ref), func(slot string) bool { return s.Replicas[slot].Removal == nil })
}

// commit stores what Apply prepared: claims and mark, then the record, then the
// value. The KV store may begin at once, as long as nobody can see what it does.
func (e *Engine) commit(ctx context.Context, c Change, before, next *Secret, altered bool, made []claimed) (Changed, error) {
	laid := make(chan struct{})
	var unlaid error
	go func() {
		defer close(laid)
		if unlaid = e.secure(ctx, before, next, made); unlaid == nil && altered {
			unlaid = e.storeSecret(ctx, next)
		}
	}()
	ground := func() error {
		<-laid
		return unlaid
	}
	changed, err := e.request(ctx, c, ground)
	if err := ground(); err != nil {
		return Changed{}, err
	}
	if kvstore.Failed(changed.Response, err) {
		// A deletion that failed halfway can't be taken back; it is completed.
		if altered && !next.Deleting {
			e.takeBack(ctx, before, next, made)
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

// takeBack restores the record of a secret whose value the KV store refused. What
// was begun at the clouds meanwhile, under another name say, is given up as after
// any other change.
func (e *Engine) takeBack(ctx context.Context, before, next *Secret, made []claimed) {
	back := before
	if slots := before.slots(); len(slots) > 0 && (len(made) > 0 || !slices.Equal(slots, next.slots())) {
		back = next.clone()
		back.Settings, back.Forms = before.Settings, before.Forms
		made = nil // what isn't used is released when it is seen to be unused
	}
	err := e.storeSecret(ctx, back)
	if err == nil && back != before {
		_, _, err = e.resettle(ctx, before.Name)
	}
	e.workOn(before, next)
	if err != nil {
		e.log.Error("the settings of a refused write can't be taken back", "secret", before.Name, "error", err)
		return
	}
	e.releaseClaims(ctx, before.Name, made)
}

// workOn has the replicas of two states of a secret's record worked on, where it
// isn't known which of them is in storage. What isn't in the record is forgotten
// then. The caller holds the secret's lock, and the secret is marked.
func (e *Engine) workOn(before, next *Secret) {
	slots := slices.Compact(slices.Sorted(slices.Values(slices.Concat(before.slots(), next.slots()))))
	e.activities.begin(before.Name, time.Now().UTC(), slots)
	for _, slot := range slots {
		e.enqueueAt(slot, before.Name, quota.Retry)
	}
}

func (e *Engine) request(ctx context.Context, c Change, ground func() error) (Changed, error) {
	if c.Request == nil {
		return Changed{}, nil
	}
	resp, err := e.store.HandleAfter(ctx, c.Request, ground)
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
	set, err := e.ruleSet(ctx)
	if err != nil {
		return nil, nil, err
	}
	if next.Settings, err = c.Settings.apply(next.Settings, sentTo(set, c.Name)); err != nil {
		return nil, nil, err
	}
	if err := e.noteForm(ctx, c, next); err != nil {
		return nil, nil, err
	}
	data = c.Data
	if data == nil && c.Patch == nil && c.CustomMetadata == nil && c.Settings.IsZero() {
		return next, nil, nil
	}
	if c.Patch != nil && (len(next.Settings.Destinations) > 0 || len(set.For(c.Name)) > 0) {
		if data, err = e.patched(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	err = e.settle(ctx, next, settling{
		rules: set, number: newestVersion, checked: true,
		data: sync.OnceValues(func() (map[string]any, error) {
			if data != nil {
				return data, nil
			}
			return e.currentData(ctx, c.Name)
		}),
		custom: sync.OnceValues(func() (map[string]string, error) { return e.customMetadata(ctx, c) }),
	})
	if err == nil && c.Retire != nil {
		c.Retire(next)
	}
	return next, data, err
}

// sentTo are the destinations that rules send a secret to.
func sentTo(set *rule.Set, name string) []string {
	var refs []string
	for _, m := range set.For(name) {
		refs = append(refs, m.Rule.Destinations...)
	}
	return refs
}

// customMetadata is the secret's custom metadata after the change.
func (e *Engine) customMetadata(ctx context.Context, c Change) (map[string]string, error) {
	custom := map[string]string{}
	if c.CustomMetadata == nil || c.Request.Operation == logical.PatchOperation {
		meta, err := e.store.ReadMetadata(ctx, e.storage, c.Name)
		if err != nil {
			return nil, err
		}
		if meta != nil {
			maps.Copy(custom, meta.CustomMetadata)
		}
	}
	for key, value := range c.CustomMetadata {
		if custom[key] = value; value == "" {
			delete(custom, key)
		}
	}
	return custom, nil
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

// patched is the data after the patch; nil if there is nothing to patch, which
// the KV store then says itself.
func (e *Engine) patched(ctx context.Context, c Change) (map[string]any, error) {
	// A patch is of the newest version, live or not.
	current, err := e.store.ReadVersion(ctx, e.storage, c.Name, 0)
	if err != nil || current == nil || current.Data == nil {
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

// begun is the record of a secret that is about to change, with what was begun
// before taken up. The caller holds the secret's lock.
func (e *Engine) begun(ctx context.Context, name string) (*Secret, error) {
	s, err := e.load(ctx, name)
	if err != nil {
		return nil, err
	}
	e.takeUpEarly(ctx, s)
	if !s.Deleting {
		return s, nil
	}
	if err := e.completeDeletion(ctx, s); err != nil {
		return nil, err
	}
	return e.load(ctx, name)
}
