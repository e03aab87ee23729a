// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
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
		return secrets.Delete(ctx, e.storage, id)
	}
	if err := secrets.Put(ctx, e.storage, id, s); err != nil {
		e.records.drop(id) // it may be in storage or not
		return err
	}
	e.records.put(id, s)
	return nil
}

func (s *Secret) destinations() []string { return slices.Sorted(maps.Keys(s.Replicas)) }

// process works once on a secret at a destination.
func (e *Engine) process(r *replicator, name string) {
	generation, doubt, ok := e.activities.start(name, r.ref)
	if !ok || r.ctx.Err() != nil {
		return
	}
	defer e.activities.report(name, r.ref, func(p *progress) { p.running = false })
	o := r.current.Load()
	config, err := e.Config(r.ctx)
	switch {
	case err != nil:
		e.retry(r, name, err)
		return
	case config.Paused:
		return // the end of the pause queues it again
	case o.destination.Disabled:
		e.activities.report(name, r.ref, func(p *progress) {
			p.state, p.settled, p.failure, p.nextRetry = StateDisabled, generation, nil, time.Time{}
		})
		return
	}
	if ok, until, failure := o.breaker.admits(); !ok {
		e.rest(r, name, until, failure)
		return
	}
	lane := r.queue.lane(name)
	ctx, calls := traced(quota.WithLane(r.ctx, lane))
	result, err := e.reconcile(ctx, o, name, doubt > 0)
	result.requestIDs = calls.ids
	o.breaker.gaveUp(name, result.err, e.failure)
	r.meters.converged(result, err)
	if err == nil && r.ctx.Err() == nil {
		err = e.save(r.ctx, r.ref, name, generation, doubt, result)
	}
	switch {
	case r.ctx.Err() != nil:
	case err != nil:
		e.retry(r, name, err)
	case result.err != nil && provider.ClassOf(result.err).Recovers():
		e.retry(r, name, result.err)
	case result.err != nil && provider.ClassOf(result.err).Lingers():
		r.backoff.forget(name)
		r.queue.addAfter(name, quota.Retry, blockedRetry/2+rand.N(blockedRetry)) //nolint:gosec // spreading load needs no secrecy
	default:
		r.backoff.forget(name)
		if !result.due.IsZero() {
			r.queue.addAfter(name, quota.People, time.Until(result.due)+time.Second)
		}
	}
}

// rest lets a replica wait for the next look at a destination that is away.
func (e *Engine) rest(r *replicator, name string, until time.Time, failure *Failure) {
	// Not all at once, so that one of them can find out.
	until = until.Add(rand.N(firstRetry)) //nolint:gosec // spreading load needs no secrecy
	e.activities.report(name, r.ref, func(p *progress) {
		p.state, p.failure, p.nextRetry = StateRetrying, failure, until
	})
	e.tellFailure(name, r.ref, StateRetrying, failure)
	r.queue.addAfter(name, max(r.queue.lane(name), quota.Retry), time.Until(until))
}

// retry queues the name again after a while.
func (e *Engine) retry(r *replicator, name string, cause error) {
	delay, attempts := r.backoff.next(name)
	delay = max(delay, retryAfter(cause))
	failure := e.failure(cause)
	e.activities.report(name, r.ref, func(p *progress) {
		if p.failure != nil && p.failure.Class == failure.Class {
			failure.Time = p.failure.Time
		}
		p.state, p.failure, p.attempts, p.nextRetry = StateRetrying, failure, attempts, time.Now().Add(delay)
	})
	e.tellFailure(name, r.ref, StateRetrying, failure)
	if provider.IsAmbiguous(cause) {
		e.activities.doubt(name, r.ref)
	}
	e.log.Warn("replication failed, it is tried again", "secret", name, "destination", r.ref,
		"class", failure.Class, "code", failure.Code, "request_id", failure.RequestID, "attempt", attempts, "next", delay.String())
	r.queue.addAfter(name, max(r.queue.lane(name), quota.Retry), delay)
}

// retryAfter is the service's hint when to come back, 0 for none.
func retryAfter(err error) time.Duration {
	var remote *provider.Error
	if errors.As(err, &remote) {
		return remote.RetryAfter
	}
	return 0
}

// failure describes an error for people.
func (e *Engine) failure(err error) *Failure {
	f := &Failure{Class: provider.ClassOf(err), Message: err.Error(), Time: time.Now().UTC()}
	var remote *provider.Error
	if errors.As(err, &remote) {
		f.Code, f.RequestID = remote.Code, remote.RequestID
	}
	return f
}

// reconcile makes one replica what it should be. Its error is a failure of our
// own storage; what the destination refuses is in the outcome.
func (e *Engine) reconcile(ctx context.Context, o *opened, name string, doubtful bool) (outcome, error) {
	s, err := e.load(ctx, name)
	if err != nil {
		return outcome{}, err
	}
	replica := s.Replicas[o.destination.Ref()]
	if replica == nil {
		return outcome{stale: true}, nil
	}
	if s.Deleting {
		if err := e.completeDeletion(ctx, name); err != nil {
			return outcome{}, err
		}
		if s, err = e.load(ctx, name); err != nil {
			return outcome{}, err
		}
	}
	meta, err := e.store.ReadMetadata(ctx, e.storage, name)
	if err != nil {
		return outcome{}, err
	}
	s, err = e.incarnate(ctx, s, meta)
	if err != nil {
		return outcome{}, err
	}
	if replica = s.Replicas[o.destination.Ref()]; replica == nil {
		return outcome{stale: true}, nil
	}
	have := replica.Observed
	have.Known = have.Known && !doubtful
	c := &convergence{e: e, o: o, name: replica.RemoteName, have: have, tagsFailure: replica.TagsFailure}
	out := outcome{remoteName: replica.RemoteName}
	if meta != nil {
		out.born = meta.CreatedTime
	}
	if err := e.desire(ctx, c, s, replica, meta); err != nil {
		var unfit *RefusedError
		if !errors.As(err, &unfit) {
			return outcome{}, err
		}
		out.err = &provider.Error{Class: provider.ClassInvalid, Message: unfit.message}
		out.observed, out.tags, out.format = have, replica.TagsFailure, replica.Format
		return out, nil
	}
	out.err = c.converge(ctx)
	out.observed, out.tags, out.format, out.presence = c.have, c.tagsFailure, c.format, c.want.Presence
	out.due = c.due
	out.removed = out.err == nil && (c.want.Presence == plan.Deleted || c.want.Presence == plan.Released)
	return out, nil
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
	r := e.resolve(s, d, live)
	c.want = plan.Desired{
		Owner: owner.For(e.mount.ID, s.Name), Description: r.description,
		KMSKeyID: r.kmsKeyID, Tags: r.tags,
		PointerID: d.pointer(c.o.kind), History: !d.NoVersionHistory,
	}
	if !s.wants(d.Ref()) {
		c.want.Presence, c.want.DeleteAfter = replica.Removal.presence()
		return nil
	}
	c.want.Presence = plan.Withdrawn
	c.want.DeleteAfter = provider.Days(max(r.removal.WindowDays, c.o.kind.Limits.Window.MinDays))
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
	c.due = meta.Versions[live].DeletionTime
	c.load = func(ctx context.Context) error { return e.readValue(ctx, c, s, r, live) }
	c.format = r.formatKey()
	if c.have.Known && c.have.Current.Version.Same(c.want.Version) && c.have.Current.Digest != "" && replica.Format == c.format {
		c.want.Digest = c.have.Current.Digest
		return nil
	}
	return c.load(ctx)
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

func (e *Engine) readValue(ctx context.Context, c *convergence, s *Secret, r resolved, live uint64) error {
	version, err := e.store.ReadVersion(ctx, e.storage, s.Name, live)
	if err != nil {
		return err
	}
	if version == nil {
		return errChanging
	}
	if err := r.check(c.o.destination, c.o.kind.Limits, version.Data, valueField(s.implied(live))); err != nil {
		return err
	}
	c.value, _ = r.encode(version.Data) // checked just now
	c.want.Digest = payload.Digest(e.mount.digestKey(), c.value)
	c.otherForms = nil
	for _, format := range []payload.Format{payload.JSON, payload.Raw, payload.Binary} {
		if other, err := payload.Encode(version.Data, format); err == nil {
			c.otherForms = append(c.otherForms, payload.Digest(e.mount.digestKey(), other))
		}
	}
	return nil
}

// presence is what becomes of a replica that isn't wanted. Where nothing was
// noted the remote stays: moving is not deleting.
func (r *Removal) presence() (plan.Presence, time.Duration) {
	switch {
	case r == nil || r.Policy == DeleteRetain:
		return plan.Released, 0
	case r.Policy == DeleteForce:
		return plan.Deleted, 0
	default:
		return plan.Deleted, provider.Days(r.WindowDays)
	}
}

// wants tells whether the secret should have a replica at the destination.
func (s *Secret) wants(ref string) bool { return slices.Contains(s.Settings.Destinations, ref) }
