// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// load returns a copy of a secret's record, an empty one if there is none.
func (e *Engine) load(ctx context.Context, name string) (*Secret, error) {
	id := e.mount.id(name)
	s, ticket := e.records.get(id)
	if s == nil {
		var err error
		s, err = secrets.Get(ctx, e.storage, id)
		if err != nil {
			return nil, err
		}
		if s == nil {
			return &Secret{Name: name}, nil
		}
		e.records.keep(id, s, ticket)
	}
	if s.Name != name {
		return nil, fmt.Errorf("the record of secret %q holds another secret's name", name)
	}
	return s, nil
}

// storeSecret writes a secret's record, or removes it when nothing is left in
// it. The caller holds the secret's lock.
func (e *Engine) storeSecret(ctx context.Context, s *Secret) error {
	id := e.mount.id(s.Name)
	e.records.drop(id)
	if s.isEmpty() {
		defer e.records.drop(id) // somebody may have read it meanwhile
		return secrets.Delete(ctx, e.storage, id)
	}
	if err := secrets.Put(ctx, e.storage, id, s); err != nil {
		e.records.drop(id) // it may be in storage or not
		return err
	}
	e.records.put(id, s)
	return nil
}

// reconcile makes one replica what it should be. Its error is a failure of our
// own storage; what the destination refuses is in the outcome.
func (e *Engine) reconcile(ctx context.Context, o *opened, name, slot string, doubtful bool) (outcome, error) {
	values := e.readOnce()
	s, meta, err := e.present(ctx, values, name, slot)
	if err != nil {
		return outcome{}, err
	}
	c := &convergence{e: e, o: o, values: values, slot: slot}
	out, err := c.work(ctx, s, meta, doubtful)
	if errors.Is(err, errKeyGone) {
		return outcome{stale: true}, e.giveUpKey(ctx, name)
	}
	return out, err
}

// work makes the replica in the convergence's slot what it should be, by the
// secret's record and list of versions.
func (c *convergence) work(ctx context.Context, s *Secret, meta *kvstore.Metadata, doubtful bool) (outcome, error) {
	replica := s.Replicas[c.slot]
	if out, is := atRest(s, replica); is {
		return out, nil
	}
	begun := c.e.convergence(c.o, c.values, s, meta, c.slot, doubtful)
	begun.dry = c.dry
	*c = *begun
	out := outcome{remoteName: replica.RemoteName}
	if meta != nil {
		out.born = meta.CreatedTime
	}
	var unfit *RefusedError
	err := c.e.desire(ctx, c, s, replica, meta)
	switch {
	case errors.As(err, &unfit):
		out.err = &provider.Error{Class: provider.ClassInvalid, Message: unfit.message}
		out.observed, out.tags, out.format, out.drift, out.term = c.have, replica.TagsFailure, replica.Format, replica.Drift, replica.Term
		out.due = c.due
		return out, nil
	case err != nil:
		return outcome{}, err
	}
	if out.due = c.due; c.e.leaveDrifted(c, replica, &out) {
		return out, nil
	}
	out.err = c.run(ctx, replica.Verify)
	out.err = c.showWayOut(out.err)
	c.conclude(replica, &out)
	return out, nil
}

// conclude notes what is known of the remote after the convergence.
func (c *convergence) conclude(replica *Replica, out *outcome) {
	out.observed, out.tags, out.format, out.presence = c.have, c.tagsFailure, c.format, c.want.Presence
	out.done, out.version = c.done, c.want.Version.Number
	out.due, out.term = c.due, replica.Term
	if c.remembered == nil {
		out.term = c.e.term
	}
	if c.drift != nil {
		out.observed, out.drift = replica.Observed, c.drift // nothing more is known
	}
	out.removed = out.err == nil && (c.want.Presence == plan.Deleted || c.want.Presence == plan.Released)
}

// convergence begins one of a replica that the secret has.
func (e *Engine) convergence(o *opened, values *readOnce, s *Secret, meta *kvstore.Metadata, slot string, doubtful bool) *convergence {
	replica := s.Replicas[slot]
	c := &convergence{
		e: e, o: o, values: values, name: replica.RemoteName, slot: slot, have: replica.Observed, tagsFailure: replica.TagsFailure,
		adopted: replica.AdoptedBy != "",
		secret:  s.Name, held: replica.Held, doubtful: doubtful, newest: plan.VersionNumber{Incarnation: s.Incarnation},
	}
	c.have.Known = c.have.Known && !doubtful
	if due := c.have.DeletionTime; replica.State == StateBlocked && c.have.State == provider.StatePendingDeletion && time.Now().After(due) {
		c.have.Known = false // it should be gone by now
	}
	if meta != nil {
		c.newest.Number = meta.Current
	}
	if replica.Term != e.term {
		c.remembered = &replica.Observed
	}
	return c
}

// run converges; with verify the remote is looked at once more if it wasn't.
func (c *convergence) run(ctx context.Context, verify bool) error {
	if c.dry != nil {
		return c.rehearse(ctx)
	}
	defer func() { c.leave.end() }()
	if err := c.askBrake(ctx); err != nil {
		return err
	}
	if err := c.converge(ctx); err != nil || !verify || c.have.Looked {
		return err
	}
	if err := c.look(ctx); err != nil {
		return err
	}
	return c.converge(ctx)
}

// atRest is the outcome for a replica that nothing is to be done for by now; false
// if something may be.
func atRest(s *Secret, replica *Replica) (outcome, bool) {
	switch {
	case replica == nil:
		return outcome{stale: true}, true
	case replica.Refused != nil:
		return outcome{remoteName: replica.RemoteName, err: &provider.Error{Class: replica.Refused.Class, Message: replica.Refused.Message}}, true
	case s.Importing, replica.Removal != nil && s.waits(replica.Removal.After):
		return outcome{waiting: true}, true
	case replica.Undecided && replica.Failure != nil:
		return outcome{
			remoteName: replica.RemoteName, observed: replica.Observed, tags: replica.TagsFailure, format: replica.Format, term: replica.Term,
			err: &aheadError{message: replica.Failure.Message, sure: true, old: true},
		}, true
	}
	return outcome{}, false
}

// present is where a secret stands in Vault: its record, without a replica at the
// slot if there is none any more, and its list of versions, nil without one. What
// was broken off before is ended first.
func (e *Engine) present(ctx context.Context, values *readOnce, name, slot string) (*Secret, *kvstore.Metadata, error) {
	s, err := e.loadSettled(ctx, name, slot)
	if err != nil {
		return nil, nil, err
	}
	if s, err = e.reconsider(ctx, s, slot); err != nil || s.Replicas[slot] == nil {
		return s, nil, err
	}
	meta, err := e.store.ReadMetadata(ctx, values, name)
	if err != nil {
		return nil, nil, err
	}
	s, err = e.incarnate(ctx, s, meta)
	return s, meta, err
}

// loadSettled waits for the end of a change that is under way, and completes a
// deletion that was broken off. A change that found the replica idle may just be
// giving it another name, under which it would be lost.
func (e *Engine) loadSettled(ctx context.Context, name, slot string) (*Secret, error) {
	defer e.lock(name)()
	s, err := e.load(ctx, name)
	if err != nil || !s.Deleting || s.Replicas[slot] == nil {
		return s, err
	}
	if err := e.completeDeletion(ctx, s); err != nil {
		return nil, err
	}
	return e.load(ctx, name)
}

// waits tells whether the replica that is to take another one's place isn't
// there yet.
func (s *Secret) waits(after string) bool {
	next := s.Replicas[after]
	return after != "" && next != nil && next.Removal == nil &&
		(next.Verify || next.State != StateInSync && next.State != StateWithdrawn)
}

// giveUpKey settles a secret one of whose keys is gone.
func (e *Engine) giveUpKey(ctx context.Context, name string) error {
	defer e.lock(name)()
	s, altered, err := e.resettle(ctx, name)
	if err != nil {
		return err
	}
	if !altered {
		return errChanging
	}
	e.enqueueAll(s, quota.Retry)
	return nil
}

// reconsider works out anew which replicas there should be, if this one couldn't.
func (e *Engine) reconsider(ctx context.Context, s *Secret, slot string) (*Secret, error) {
	if replica := s.Replicas[slot]; replica == nil || replica.Refused == nil {
		return s, nil
	}
	defer e.lock(s.Name)()
	s, altered, err := e.resettle(ctx, s.Name)
	if altered {
		for _, other := range s.slots() {
			if other != slot {
				e.enqueueAt(other, s.Name, quota.Retry)
			}
		}
	}
	return s, err
}

// incarnate notices that a name was deleted and begun anew, by the time when
// the KV store first saw it.
func (e *Engine) incarnate(ctx context.Context, s *Secret, meta *kvstore.Metadata) (*Secret, error) {
	if meta == nil || s.Born.IsZero() || s.Born.Equal(meta.CreatedTime) {
		return s, nil
	}
	defer e.lock(s.Name)()
	s, err := e.load(ctx, s.Name)
	if err != nil || s.Born.Equal(meta.CreatedTime) {
		return s, err
	}
	s.Incarnation = max(s.Incarnation, 1) + 1
	s.Born = meta.CreatedTime
	return s, e.storeSecret(ctx, s)
}

// desire works out what the replica should be. It reads the value only if the
// replica may not hold it. A *RefusedError means that the secret as it is
// can't go to the destination.
func (e *Engine) desire(ctx context.Context, c *convergence, s *Secret, replica *Replica, meta *kvstore.Metadata) error {
	d := c.o.destination
	var live uint64
	if meta != nil {
		live = meta.Newest(time.Now())
	}
	c.want = plan.Desired{
		Owner: owner.For(e.mount.ID, s.Name), PointerID: s.pointer(d, c.o.kind), History: !d.NoVersionHistory,
	}
	if replica.Removal != nil {
		c.want.Presence, c.want.DeleteAfter = replica.Removal.presence()
		return nil
	}
	if live > 0 {
		c.due = meta.Versions[live].DeletionTime
	}
	r, err := e.looksAt(ctx, c, s, replica, meta, live)
	if err != nil && (live > 0 || !isRefusal(err)) {
		return err // what is withdrawn needs no settings
	}
	c.driftAction = firstSet(valueOf(r.settings.DriftAction), DriftReport)
	c.want.Description, c.want.KMSKeyID, c.want.Tags = r.description, valueOf(r.settings.KMSKeyID), r.tags
	c.want.Presence = plan.Withdrawn
	c.want.DeleteAfter = provider.Days(max(firstSet(r.removal.WindowDays, d.windowDays(c.o.kind)), c.o.kind.Limits.Window.MinDays))
	if meta == nil {
		return nil // its first write was broken off
	}
	c.want.Version = plan.VersionNumber{Number: live, Incarnation: s.Incarnation}
	c.want.Newest = meta.Current
	c.want.Destroyed = destroyed(meta)
	if live == 0 {
		return nil
	}
	c.want.Presence = plan.Live
	c.load = func(ctx context.Context) error { return e.readValue(ctx, c, s, r, live) }
	c.format = r.formatKey()
	if c.have.Known && c.have.Current.Version.Same(c.want.Version) && c.have.Current.Digest != "" && replica.Format == c.format {
		c.want.Digest = c.have.Current.Digest
		return nil
	}
	return c.load(ctx)
}

// looksAt is how the replica should look by the settings in force.
func (e *Engine) looksAt(ctx context.Context, c *convergence, s *Secret, replica *Replica, meta *kvstore.Metadata, live uint64) (resolved, error) {
	d := c.o.destination
	byRules, err := e.byRules(ctx, s, d.Ref())
	if err != nil {
		return resolved{}, err
	}
	var custom map[string]string
	if meta != nil {
		custom = meta.CustomMetadata
	}
	r, err := e.resolve(s, d, byRules, live, custom)
	if err != nil {
		return r, err
	}
	return r, r.check(d, c.o.kind.Limits, replica.RemoteName)
}

// destroyed are the versions that exist in name only.
func destroyed(meta *kvstore.Metadata) map[uint64]bool {
	numbers := map[uint64]bool{}
	for number, info := range meta.Versions {
		if info.Destroyed {
			numbers[number] = true
		}
	}
	return numbers
}

// errChanging says that the secret changes while it is read.
var errChanging = errors.New("the version to replicate was deleted while it was read")

// errKeyGone says that the live version doesn't have the key of a replica.
var errKeyGone = errors.New("the live version doesn't have the key")

// read returns the data of a version.
func (c *convergence) read(ctx context.Context, name string, number uint64) (map[string]any, error) {
	if c.dry != nil && c.dry.number == number {
		return c.dry.data, nil
	}
	version, err := c.e.store.ReadVersion(ctx, c.values, name, number)
	if err != nil {
		return nil, err
	}
	if version == nil {
		return nil, errChanging
	}
	return version.Data, nil
}

// readValue reads the version that should be live.
func (e *Engine) readValue(ctx context.Context, c *convergence, s *Secret, r resolved, live uint64) error {
	data, err := c.read(ctx, s.Name, live)
	if err != nil {
		return err
	}
	d, limits := c.o.destination, c.o.kind.Limits
	c.otherForms = nil
	if key, keyed := slotKey(c.slot); keyed {
		values, err := r.split(data)
		if err != nil {
			return Refusef("destination %s: %v", d.Ref(), err)
		}
		value, found := values[key]
		if !found {
			return errKeyGone
		}
		if err := checkValue(d, limits, value, nil, "key "+key); err != nil {
			return err
		}
		c.value, c.want.Digest = value, payload.Digest(e.mount.digestKey(), value)
		return nil
	}
	value, err := r.encode(data)
	if err := checkValue(d, limits, value, err, valueField(s.implied(live))); err != nil {
		return err
	}
	c.value, c.want.Digest = value, payload.Digest(e.mount.digestKey(), value)
	for _, format := range []payload.Format{payload.JSON, payload.Raw, payload.Binary} {
		if other, err := payload.Encode(data, format); err == nil {
			c.otherForms = append(c.otherForms, payload.Digest(e.mount.digestKey(), other))
		}
	}
	return nil
}
