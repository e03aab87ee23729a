// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Vault's storage can go back: a snapshot is restored, or a cluster is cloned.
// What the mount remembers of its remotes is then older than they are, and
// carrying on from it would overwrite what it wrote in the meantime.
//
// Storage can't tell, since all of it goes back together. The remotes can. So the
// first time that an engine is about to change a remote that an earlier one left
// it reads it, and compares the versions that it holds with those that are
// remembered. From then on its own memory holds.

// term is another number for each engine that was opened, never 0. A replica has
// that of the engine which last saw or made it, and a restored record never has
// the present one's.
type term uint32

func newTerm() term {
	return term(rand.Uint32() | 1) //nolint:gosec // it need only differ from the others
}

// aheadError says that a remote holds what Vault doesn't know of.
type aheadError struct {
	message string
	// sure is set when no call of ours can have done it, so that nothing but a
	// decision can end it.
	sure bool
	// old is set when that is known already.
	old bool
}

func (e *aheadError) Error() string { return e.message }

func (e *aheadError) Unwrap() error {
	return &provider.Error{Class: provider.ClassConflict, Message: e.message}
}

// isAhead tells whether err is such an error, and whether that is sure.
func isAhead(err error) (is, sure bool) {
	var ahead *aheadError
	if !errors.As(err, &ahead) {
		return false, false
	}
	return true, ahead.sure
}

// newlyAhead tells whether err is such an error that was found just now.
func newlyAhead(err error) bool {
	var ahead *aheadError
	return errors.As(err, &ahead) && !ahead.old
}

// isAhead tells whether the remote was found ahead of Vault, by a convergence or by
// a verification, and nobody has decided about it yet.
func (r *Replica) isAhead() bool {
	return r.Ahead || r.Drift != nil && plan.Finds(r.Drift.Findings, plan.DriftAhead)
}

func (c *convergence) ahead(what string, sure bool) error {
	return &aheadError{sure: sure, message: fmt.Sprintf(
		"%s: Vault's storage was set back, as by a restored snapshot or a cloned cluster, or somebody else wrote to the remote secret; nothing is changed there until you decide. "+
			"resume/%s take=vault sends what Vault has, take=remote makes the remote's value a new version in Vault", what, c.secret)}
}

// recognise compares a remote that was just read with what an earlier engine
// remembered of it.
func (c *convergence) recognise(ctx context.Context) error {
	before := *c.remembered
	if !c.have.Exists() || c.have.CloudManaged || c.have.Owner() != c.want.Owner {
		c.remembered = nil
		return nil // others' remotes aren't touched anyway
	}
	err := c.compare(ctx, before)
	is, sure := isAhead(err)
	switch {
	case is:
		c.have = before // what was found must not be taken for ours next time
		c.have.Known = before.Known && sure
		return err
	case err != nil:
		c.have.Known = false
		return err
	}
	c.remembered = nil
	return nil
}

func (c *convergence) compare(ctx context.Context, before plan.Observed) error {
	newest := before.Newest()
	attempted := c.doubtful || !before.Known || !before.Exists() // more may have been sent than is remembered
	if attempted {
		newest = newest.Max(c.newest)
	}
	if attempted && (c.want.Presence == plan.Deleted || c.want.Presence == plan.Released) {
		return nil // what may have been sent is gone from Vault
	}
	if id := c.have.Beyond(newest); id != "" && !c.o.kind.AssignsVersionIDs() {
		return c.ahead(fmt.Sprintf("the remote holds version %s, but the newest that this mount knows of there is %s", id, newest), !attempted)
	}
	id := c.unexplained(before, attempted)
	switch {
	case id == "":
		return nil
	case c.have.State != provider.StateEnabled, c.newest.Incarnation > max(before.Newest().Incarnation, 1):
		return nil // it can't be read, or may be of an earlier life of the name
	default:
		return c.explain(ctx, before, id, !attempted)
	}
}

// unexplained is a version of which neither its id nor memory tells what it holds:
// the one that readers get, or the newest of those that may have been attempted;
// "" if there is none.
func (c *convergence) unexplained(before plan.Observed, attempted bool) string {
	if c.o.kind.AssignsVersionIDs() {
		if _, known := before.Find(c.have.Current.ID); known {
			return ""
		}
		return c.have.Current.ID
	}
	if attempted {
		var newest plan.Version
		for _, v := range c.have.Versions {
			if _, known := before.Find(v.ID); !known && v.Version.After(before.Newest().Max(newest.Version)) && v.Version.SameIncarnation(c.newest) {
				newest = v
			}
		}
		if newest.ID != "" {
			return newest.ID
		}
	}
	// Without a history nothing but its value tells that a pointer was overwritten.
	if _, there := c.have.Find(c.want.PointerID); there && !c.want.History && c.want.Presence == plan.Live && before.State == provider.StateEnabled {
		return c.want.PointerID
	}
	return ""
}

// mostVersions bounds how many of Vault's versions a remote one is compared with.
const mostVersions = 10

// explain reads a version back, and compares it with what it was last known to
// hold and with the newest versions in Vault.
func (c *convergence) explain(ctx context.Context, before plan.Observed, id string, sure bool) error {
	_, known := before.Find(id)
	found, _ := c.have.Find(id)
	digest := found.Digest
	if known || digest == "" { // otherwise it was read just now
		var value provider.Value
		err := c.call(ctx, func(ctx context.Context) (err error) {
			value, err = c.o.remote.Read(ctx, c.name, id)
			return err
		})
		switch {
		case provider.IsNotFound(err), err != nil && !c.o.kind.AssignsVersionIDs() && provider.ClassOf(err) == provider.ClassPermission:
			return nil // reading isn't needed there otherwise, so it may not be allowed
		case err != nil:
			return err
		}
		digest = payload.Digest(c.e.mount.digestKey(), value)
	}
	if before.Current.Digest == digest || before.Holds(digest) {
		return nil
	}
	possible, err := c.possible(ctx, max(before.Newest().Number, 1), digest)
	if err != nil || possible {
		return err
	}
	return c.ahead(fmt.Sprintf("the remote's version %s holds a value that no version in Vault has", id), sure)
}

// possible tells whether one of Vault's newest versions may have that digest, in
// any form that it may have been sent in: a call that arrived late may have sent
// an older one. One since the number that can't be read any more may.
func (c *convergence) possible(ctx context.Context, since uint64, digest string) (bool, error) {
	meta, err := c.e.store.ReadMetadata(ctx, c.values, c.secret)
	if err != nil || meta == nil {
		return meta == nil, err
	}
	oldest := uint64(1)
	if meta.Current > mostVersions {
		oldest = meta.Current - mostVersions + 1
	}
	for number := oldest; number <= meta.Current; number++ {
		version, err := c.e.store.ReadVersion(ctx, c.values, c.secret, number)
		if err != nil || version == nil && number >= since {
			return err == nil, err
		}
		if version == nil {
			continue
		}
		for _, value := range c.forms(version.Data) {
			if payload.Digest(c.e.mount.digestKey(), value) == digest {
				return true, nil
			}
		}
	}
	return false, nil
}

// forms are the values that data may have been sent as.
func (c *convergence) forms(data map[string]any) []provider.Value {
	var values []provider.Value
	if key, keyed := slotKey(c.slot); keyed {
		all, err := payload.Split(data, nil, nil)
		if value, found := all[key]; err == nil && found {
			values = append(values, value)
		}
		return values
	}
	for _, format := range payload.Formats() {
		if value, err := payload.Encode(data, format); err == nil {
			values = append(values, value)
		}
	}
	for key := range data {
		for _, format := range payload.Formats() {
			if value, err := payload.EncodeKey(data, format, key); err == nil {
				values = append(values, value)
			}
		}
	}
	return values
}

// aheadTolerated is how many secrets may be found ahead of Vault before the whole
// mount stops: one or two are somebody's doing, more are a storage set back.
const aheadTolerated = 2

// guard counts the secrets whose remotes are ahead of Vault.
type guard struct {
	mu    sync.Mutex
	ahead map[string]bool // by name, at most a few
}

// found tells whether the mount has to stop, the first time that it does.
func (g *guard) found(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ahead == nil {
		g.ahead = map[string]bool{}
	}
	if len(g.ahead) > aheadTolerated || g.ahead[name] {
		return false
	}
	g.ahead[name] = true
	return len(g.ahead) > aheadTolerated
}

// reset begins to count anew.
func (g *guard) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ahead = nil
}

// standBack notes that the remote of a secret is ahead of Vault, and pauses the
// mount when that is more than a few.
func (e *Engine) standBack(ctx context.Context, name string) {
	if !e.guard.found(name) {
		return
	}
	const reason = "several remote secrets hold versions that Vault doesn't know: its storage was restored from an older snapshot, or this is a clone of another cluster. " +
		"Review with plan and LIST status state=blocked, then decide with resume take=vault or take=remote"
	e.log.Error("the mount pauses itself", "reason", reason)
	err := e.ChangeConfig(ctx, func(c *Config) { c.Paused, c.PauseReason = true, reason })
	if err != nil {
		e.guard.reset() // the next one tries again
		e.log.Error("the mount can't be paused", "error", err)
	}
}
