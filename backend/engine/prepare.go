// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// prepare works out the secret's record after the change and the data that will
// be written, and refuses what can't succeed.
func (e *Engine) prepare(ctx context.Context, c Change, before *Secret) (next *Secret, data map[string]any, err error) {
	next = before.clone()
	next.Importing = false
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
	settles := c.Amend != nil || !c.Settings.IsZero() && !c.Settings.PausesOnly()
	if data == nil && c.Patch == nil && c.CustomMetadata == nil && !settles {
		return next, nil, nil
	}
	if c.Patch != nil && (len(next.Settings.Destinations) > 0 || len(set.For(c.Name)) > 0) {
		if data, err = e.patched(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	err = e.settle(ctx, next, settling{
		rules: set, number: newestVersion, checked: true, deleteAt: c.deleteAt(before, next),
		data: sync.OnceValues(func() (map[string]any, error) {
			if data != nil {
				return data, nil
			}
			return e.currentData(ctx, c.Name)
		}),
		custom: sync.OnceValues(func() (map[string]string, error) { return e.customMetadata(ctx, c) }),
	})
	if err == nil {
		err = c.amend(next)
	}
	return next, data, err
}

// deleteAt are the destinations at which the change has replicas deleted.
func (c Change) deleteAt(before, next *Secret) []string {
	if !c.Deletes {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(before.Settings.Destinations), func(ref string) bool {
		return slices.Contains(next.Settings.Destinations, ref)
	})
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
