// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// A claim says which secret owns a remote name at a destination. It is stored
// before the record of the secret that wants it, and removed after. A claim whose
// secret has no such replica is left over from a crash, and the next who wants
// the name takes it.

func (e *Engine) claimID(ref, remoteName string) string { return ref + "/" + e.mount.id(remoteName) }

// claimed is a claim that a change made.
type claimed struct{ ref, remoteName string }

// newNames are the remote names that next has beyond before, by slot.
func newNames(before, next *Secret) map[string]claimed {
	names := map[string]claimed{}
	for _, slot := range next.slots() {
		replica, ref := next.Replicas[slot], slotRef(slot)
		if replica.Refused == nil && before.named(ref, replica.RemoteName) == "" {
			names[slot] = claimed{ref, replica.RemoteName}
		}
	}
	return names
}

// claimAll claims the remote names that next has beyond before. Until
// settleClaims they also count while the record of next isn't stored yet.
func (e *Engine) claimAll(ctx context.Context, before, next *Secret) ([]claimed, error) {
	var made []claimed
	names := newNames(before, next)
	for _, slot := range slices.Sorted(maps.Keys(names)) {
		wanted := names[slot]
		if err := e.claim(ctx, next.Name, wanted.ref, wanted.remoteName); err != nil {
			e.releaseClaims(ctx, next.Name, made)
			e.settleClaims(made)
			return nil, err
		}
		made = append(made, wanted)
	}
	return made, nil
}

// claimPossible claims what is free of the remote names that next has beyond
// before, and notes in next which are taken.
func (e *Engine) claimPossible(ctx context.Context, before, next *Secret) ([]claimed, error) {
	var made []claimed
	names := newNames(before, next)
	for _, slot := range slices.Sorted(maps.Keys(names)) {
		wanted := names[slot]
		err := e.claim(ctx, next.Name, wanted.ref, wanted.remoteName)
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
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	for _, c := range made {
		delete(e.claiming, e.claimID(c.ref, c.remoteName))
	}
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

func (e *Engine) claim(ctx context.Context, secret, ref, remoteName string) error {
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	if e.replicators.get(ref) == nil {
		return Refusef("destination %s was just deleted", ref)
	}
	id := e.claimID(ref, remoteName)
	holder := e.claiming[id]
	stored := holder != ""
	if !stored {
		claim, err := claims.Get(ctx, e.storage, id)
		if err != nil {
			return err
		}
		stored = claim != nil
		if holder, err = e.holds(ctx, claim, ref, remoteName); err != nil {
			return err
		}
	}
	if holder != "" && holder != secret {
		return Refusef("destination %s: the remote name %q is taken by secret %q; set remote_name to another name", ref, remoteName, holder)
	}
	if err := claims.Put(ctx, e.storage, id, &claimRecord{Secret: secret, RemoteName: remoteName}); err != nil {
		e.claimCounts.forget(ref) // it may be in storage or not
		return err
	}
	if !stored {
		e.claimCounts.add(ref, 1)
	}
	e.claiming[id] = secret
	return nil
}

// holder returns the secret that owns the remote name, "" if none does.
func (e *Engine) holder(ctx context.Context, id, ref, remoteName string) (string, error) {
	if secret := e.claiming[id]; secret != "" {
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
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	id := e.claimID(ref, remoteName)
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
// listed. Claims change under claimLock, and so does this.
type claimCounts struct{ byRef map[string]int }

// add notes that claims of a destination were added or removed.
func (c *claimCounts) add(ref string, n int) {
	if _, counted := c.byRef[ref]; counted {
		c.byRef[ref] += n
	}
}

// forget lets the claims of a destination be listed again.
func (c *claimCounts) forget(ref string) { delete(c.byRef, ref) }

// countClaims returns how many remote names are claimed at the destination. Only
// the first time it lists them.
func (e *Engine) countClaims(ctx context.Context, ref string) (int, error) {
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	if n, counted := e.claimCounts.byRef[ref]; counted {
		return n, nil
	}
	ids, err := claims.List(ctx, e.storage, ref+"/")
	if err != nil {
		return 0, err
	}
	e.claimCounts.byRef[ref] = len(ids)
	return len(ids), nil
}
