// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/vault/sdk/helper/locksutil"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// A claim says which secret owns a remote name at a destination. It is stored
// before the record of the secret that wants it, and removed after. A claim whose
// secret has no such replica is left over from a crash, and the next who wants
// the name takes it.

func (e *Engine) claimID(ref, remoteName string) string { return ref + "/" + e.mount.id(remoteName) }

// claimed is a claim that a change made.
type claimed struct {
	ref, remoteName string
	stored          bool // there is a record of it already
}

// newNames are the remote names that next has beyond before, by slot.
func newNames(before, next *Secret) map[string]claimed {
	names := map[string]claimed{}
	for _, slot := range next.slots() {
		replica, ref := next.Replicas[slot], slotRef(slot)
		if replica.Refused == nil && before.named(ref, replica.RemoteName) == "" {
			names[slot] = claimed{ref: ref, remoteName: replica.RemoteName}
		}
	}
	return names
}

// reserveAll reserves the remote names that next has beyond before, until
// settleClaims. It writes nothing.
func (e *Engine) reserveAll(ctx context.Context, before, next *Secret) ([]claimed, error) {
	names := newNames(before, next)
	made := make([]claimed, 0, len(names))
	for _, slot := range slices.Sorted(maps.Keys(names)) {
		reserved, err := e.reserve(ctx, next.Name, names[slot])
		if err != nil {
			e.settleClaims(made)
			return nil, err
		}
		made = append(made, reserved)
	}
	return made, nil
}

// secure stores the claims that were reserved, and the secret's mark, at one time.
func (e *Engine) secure(ctx context.Context, before, next *Secret, made []claimed) error {
	if len(before.Replicas)+len(next.Replicas) == 0 {
		return nil
	}
	failed := make([]error, len(made))
	var storing sync.WaitGroup
	for i, c := range made {
		storing.Go(func() { failed[i] = e.storeClaim(ctx, next.Name, c) })
	}
	marked := e.begin(ctx, next)
	storing.Wait()
	if err := errors.Join(failed...); err != nil || marked != nil {
		e.releaseClaims(ctx, next.Name, made)
		if marked == nil {
			e.abandon(ctx, before)
		}
		return errors.Join(err, marked)
	}
	return nil
}

// abandon ends what was begun for a change that doesn't come about.
func (e *Engine) abandon(ctx context.Context, before *Secret) {
	if err := e.begin(ctx, before); err != nil {
		return // it is marked, and looked at after the next start
	}
	e.enqueueAll(before, quota.Retry)
	e.finish(before)
}

// claimPossible claims what is free of the remote names that next has beyond
// before, and notes in next which are taken.
func (e *Engine) claimPossible(ctx context.Context, before, next *Secret) ([]claimed, error) {
	var made []claimed
	names := newNames(before, next)
	for _, slot := range slices.Sorted(maps.Keys(names)) {
		wanted := names[slot]
		err := e.claim(ctx, next.Name, wanted)
		var refusal *RefusedError
		switch {
		case errors.As(err, &refusal):
			failure := refused(provider.ClassConflict, refusal)
			if old := before.Replicas[slot]; old != nil && old.Refused != nil && old.Refused.Message == failure.Message {
				next.Replicas[slot] = old
				continue
			}
			next.Replicas[slot] = &Replica{State: StateBlocked, Refused: failure, Failure: failure}
		case err != nil:
			e.releaseClaims(ctx, next.Name, made)
			e.settleClaims(made)
			return nil, err
		default:
			made = append(made, wanted)
		}
	}
	return made, nil
}

// settleClaims ends the time in which claims count without a stored record.
func (e *Engine) settleClaims(made []claimed) {
	for _, c := range made {
		e.claiming.Delete(e.claimID(c.ref, c.remoteName))
	}
}

// lockClaim lets nobody else claim or give up a remote name until the returned
// function is called.
func (e *Engine) lockClaim(id string) (unlock func()) {
	e.claimLock.RLock()
	entry := locksutil.LockForKey(e.claimLocks, id)
	entry.Lock()
	return func() {
		entry.Unlock()
		e.claimLock.RUnlock()
	}
}

// claimant is the secret that is just claiming the name, "" if none is.
func (e *Engine) claimant(id string) string {
	secret, _ := e.claiming.Load(id)
	name, _ := secret.(string)
	return name
}

// releaseClaims gives back what a change claimed that didn't come about. One
// that can't be given back is left over, and recognised as such.
func (e *Engine) releaseClaims(ctx context.Context, secret string, made []claimed) {
	for _, c := range made {
		if err := e.releaseClaim(ctx, secret, c.ref, c.remoteName); err != nil {
			e.log.Warn("a remote name can't be given free yet", "secret", secret, "destination", c.ref, "error", err)
		}
	}
}

// claim claims a remote name, for a change that doesn't hurry.
func (e *Engine) claim(ctx context.Context, secret string, c claimed) error {
	c, err := e.reserve(ctx, secret, c)
	if err != nil {
		return err
	}
	if err := e.storeClaim(ctx, secret, c); err != nil {
		e.settleClaims([]claimed{c})
		return err
	}
	return nil
}

// reserve finds out whether a remote name is free for a secret, and keeps it free
// until settleClaims. A *RefusedError says who has it.
func (e *Engine) reserve(ctx context.Context, secret string, c claimed) (claimed, error) {
	id := e.claimID(c.ref, c.remoteName)
	defer e.lockClaim(id)()
	if e.replicators.get(c.ref) == nil {
		return c, Refusef("destination %s was just deleted", c.ref)
	}
	holder := e.claimant(id)
	c.stored = holder != ""
	if !c.stored {
		record, err := claims.Get(ctx, e.storage, id)
		if err != nil {
			return c, err
		}
		c.stored = record != nil
		if holder, err = e.holds(ctx, record, c.ref, c.remoteName); err != nil {
			return c, err
		}
	}
	if holder != "" && holder != secret {
		return c, Refusef("destination %s: the remote name %q is taken by secret %q; set remote_name to another name", c.ref, c.remoteName, holder)
	}
	if credential := e.credentials.holding(c.ref, c.remoteName); credential != "" {
		return c, Refusef("destination %s: the remote name %q is taken by managed credential %q; set remote_name to another name", c.ref, c.remoteName, credential)
	}
	e.claiming.Store(id, secret)
	return c, nil
}

// storeClaim stores the claim of a name that is reserved.
func (e *Engine) storeClaim(ctx context.Context, secret string, c claimed) error {
	id := e.claimID(c.ref, c.remoteName)
	defer e.lockClaim(id)()
	if e.replicators.get(c.ref) == nil {
		return Refusef("destination %s was just deleted", c.ref)
	}
	if err := claims.Put(ctx, e.storage, id, &claimRecord{Secret: secret, RemoteName: c.remoteName}); err != nil {
		e.claimCounts.forget(c.ref) // it may be in storage or not
		return err
	}
	if !c.stored {
		e.claimCounts.add(c.ref, 1)
	}
	return nil
}

// holder returns the secret that owns the remote name, "" if none does.
func (e *Engine) holder(ctx context.Context, id, ref, remoteName string) (string, error) {
	if secret := e.claimant(id); secret != "" {
		return secret, nil
	}
	stored, err := claims.Get(ctx, e.storage, id)
	if err != nil {
		return "", err
	}
	return e.holds(ctx, stored, ref, remoteName)
}

// holds returns the secret of a stored claim; "" if there is none or it was left
// over.
func (e *Engine) holds(ctx context.Context, stored *claimRecord, ref, remoteName string) (string, error) {
	if stored == nil {
		return "", nil
	}
	s, err := e.load(ctx, stored.Secret)
	if err != nil {
		return "", err
	}
	if s.named(ref, remoteName) == "" {
		return "", nil
	}
	return stored.Secret, nil
}

// releaseClaim gives a remote name free, if the secret holds it.
func (e *Engine) releaseClaim(ctx context.Context, secret, ref, remoteName string) error {
	id := e.claimID(ref, remoteName)
	defer e.lockClaim(id)()
	stored, err := claims.Get(ctx, e.storage, id)
	if err != nil || stored == nil || stored.Secret != secret {
		return err
	}
	return e.deleteClaim(ctx, ref, id)
}

// deleteClaim removes a stored claim. The caller holds claimLock.
func (e *Engine) deleteClaim(ctx context.Context, ref, id string) error {
	if err := claims.Delete(ctx, e.storage, id); err != nil {
		e.claimCounts.forget(ref) // it may be in storage or not
		return err
	}
	e.claimCounts.add(ref, -1)
	return nil
}

// releaseRenamed gives free what a change no longer uses.
func (e *Engine) releaseRenamed(ctx context.Context, before, next *Secret) error {
	for _, unused := range newNames(next, before) {
		if err := e.releaseClaim(ctx, next.Name, unused.ref, unused.remoteName); err != nil {
			return err
		}
	}
	return nil
}

// claimCounts are how many claims there are, by destination, as far as they were
// listed. It is safe for concurrent use; while claims are counted none changes.
type claimCounts struct {
	mu    sync.Mutex
	byRef map[string]int
}

// add notes that claims of a destination were added or removed.
func (c *claimCounts) add(ref string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, counted := c.byRef[ref]; counted {
		c.byRef[ref] += n
	}
}

// forget lets the claims of a destination be listed again.
func (c *claimCounts) forget(ref string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byRef, ref)
}

func (c *claimCounts) get(ref string) (n int, counted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, counted = c.byRef[ref]
	return n, counted
}

func (c *claimCounts) set(ref string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRef[ref] = n
}

// countClaims returns how many remote names are claimed at the destination. Only
// the first time it lists them.
func (e *Engine) countClaims(ctx context.Context, ref string) (int, error) {
	if n, counted := e.claimCounts.get(ref); counted {
		return n, nil
	}
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	ids, err := claims.List(ctx, e.storage, ref+"/")
	if err != nil {
		return 0, err
	}
	e.claimCounts.set(ref, len(ids))
	return len(ids), nil
}
