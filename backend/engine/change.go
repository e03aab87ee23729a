// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
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
	// CustomMetadata is what Request gives as the secret's custom metadata; nil if
	// nothing. In a patch an empty value stands for a key that goes.
	CustomMetadata map[string]string
	// CAS is the version that Request checks, for a check ahead of it.
	CAS *int

	// Implied is the format that the kind of write implies; nil keeps it.
	Implied  *payload.Format
	Settings SettingsChange

	// Deletes has the replicas deleted at destinations that Settings takes away from
	// the secret; otherwise they stay, without the mark.
	Deletes bool

	// Amend, if set, changes in the secret's record what the settings don't say. It
	// runs under the secret's lock.
	Amend func(next *Secret) error

	// Lane is whose work the change is; the zero one is people's.
	Lane quota.Lane

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
	ctx = because(ctx, c.reason())
	defer e.lock(c.Name)()
	return e.applyLocked(ctx, c)
}

// applyLocked is apply for who holds the secret's lock.
func (e *Engine) applyLocked(ctx context.Context, c Change) (Changed, error) {
	before, err := e.begun(ctx, c.Name)
	if err != nil {
		return Changed{}, err
	}
	next, data, err := e.prepare(ctx, c, before)
	if err != nil {
		return Changed{}, err
	}
	if c.Data != nil || c.Patch != nil {
		next.repair()
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
	e.enqueueAll(next, c.Lane)
	return changed, err
}

func (c Change) amend(next *Secret) error {
	if c.Amend == nil {
		return nil
	}
	return c.Amend(next)
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
