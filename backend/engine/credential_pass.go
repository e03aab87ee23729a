// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// passDelay is how long after a rotation falls due the value is looked at: the
// cloud takes its time.
const passDelay = 10 * time.Second

// passOn makes the value that works now a version of the secret that the
// credential is passed on to, unless it is one. It reads the value when it is time
// to: after a rotation that was asked for, when one by schedule falls due, and in
// between as often as people want.
func (run *credentialRun) passOn(ctx context.Context) error {
	c, p := run.c, &run.c.Progress
	if c.ReplicateTo == "" {
		p.Passed = nil
		return nil
	}
	if p.Passed != nil && p.Passed.Secret != c.ReplicateTo {
		p.Passed = nil
	}
	if p.Passed != nil && !run.pass {
		return nil
	}
	value, err := run.issuer.ReadCredential(ctx, c.remote(run.product))
	if err != nil {
		return run.missing(err)
	}
	data := map[string]any{}
	for field, text := range value.Fields {
		data[field] = text.Reveal()
	}
	digest, err := run.e.dataDigest(data)
	if err != nil {
		return err
	}
	same := p.Passed != nil && p.Passed.Digest == digest
	overdue := !p.NextRotation.IsZero() && time.Now().After(p.NextRotation)
	if !same || overdue {
		if err := run.noteSchedule(ctx); err != nil {
			return err
		}
	}
	if same {
		return nil
	}
	// The secret is written without any lock of the credential's held.
	version, err := run.e.passValue(ctx, c, data, digest)
	if err != nil {
		return unfit(err)
	}
	run.e.credentials.outdate(c.Name)
	p.Passed = &Passed{Secret: c.ReplicateTo, Digest: digest, Version: version, Time: time.Now().UTC()}
	return run.save(ctx)
}

// noteSchedule learns when the next rotation is, and why the schedule stopped.
func (run *credentialRun) noteSchedule(ctx context.Context) error {
	p := &run.c.Progress
	found, err := run.describe(ctx)
	if err != nil {
		return run.missing(err)
	}
	switch {
	case found.RotationProblem == "":
		p.NotRotated = nil
	case p.NotRotated == nil:
		p.NotRotated = run.reason("the cloud's rotation by schedule has stopped", provider.TaskStatus{Message: found.RotationProblem})
	}
	return nil
}

func (e *Engine) dataDigest(data map[string]any) (string, error) {
	encoded, err := payload.Encode(data, payload.JSON)
	if err != nil {
		return "", err
	}
	return payload.Digest(e.mount.digestKey(), encoded), nil
}

// passValue writes the value as a new version of the secret, unless the newest one
// has it already, as after a crash. A secret that was never ours isn't written.
func (e *Engine) passValue(ctx context.Context, c *ManagedCredential, data map[string]any, digest string) (uint64, error) {
	meta, err := e.ReadMetadata(ctx, c.ReplicateTo)
	if err != nil {
		return 0, err
	}
	var newest uint64
	if meta != nil {
		newest = meta.Current
		if had, err := e.holdsData(ctx, c.ReplicateTo, meta, digest); had || err != nil {
			return newest, err
		}
		if p := c.Progress.Passed; p == nil || meta.CreatedTime.After(p.Time) {
			return 0, Refusef("secret %q is there already and not from managed credential %q; give another replicate_to, or delete the secret and write the credential again", c.ReplicateTo, c.Name)
		}
	}
	cas, implied := int(newest), payload.JSON
	changed, err := e.Apply(ctx, Change{
		Name: c.ReplicateTo, Data: data, Implied: &implied, CAS: &cas,
		Request: kvstore.WriteRequest(&logical.Request{Storage: e.storage}, c.ReplicateTo, data, &cas),
	})
	if err != nil {
		return 0, err
	}
	if kvstore.Failed(changed.Response, nil) {
		if kvstore.StatusCode(changed.Response) >= http.StatusInternalServerError {
			return 0, errors.New("the secret can't be written")
		}
		return 0, &provider.Error{Class: provider.ClassUnavailable, Message: fmt.Sprintf(
			"the value can't be written to secret %q: somebody else may be writing it; it is tried again", c.ReplicateTo)}
	}
	return kvstore.WrittenVersion(changed.Response), nil
}

// holdsData tells whether the newest version of the secret is live and has the
// data.
func (e *Engine) holdsData(ctx context.Context, name string, meta *kvstore.Metadata, digest string) (bool, error) {
	if meta.Newest(time.Now()) != meta.Current || meta.Current == 0 {
		return false, nil
	}
	version, err := e.ReadVersion(ctx, name, meta.Current)
	if err != nil || version == nil {
		return false, err
	}
	held, err := e.dataDigest(version.Data)
	return held == digest, err
}

// passLater says when the value is looked at again that is passed on.
func (e *Engine) passLater(r *replicator, queued string, run *credentialRun) {
	c := run.c
	if c.ReplicateTo == "" {
		return
	}
	work, known := e.credentials.snapshot(c.Name)
	if !known || !run.pass && work.nextPass.After(time.Now()) {
		if known {
			r.queue.addAfter(queued, quota.Bulk, time.Until(work.nextPass))
		}
		return
	}
	interval := firstSet(c.PollInterval, defaultPoll)
	// Not all at once after a start.
	next := time.Now().Add(interval - rand.N(interval/10+1)) //nolint:gosec // spreading load needs no secrecy
	if due := c.Progress.NextRotation.Add(passDelay); c.Progress.NextRotation.After(time.Now()) && due.Before(next) {
		next = due
	}
	e.credentials.report(c.Name, func(w *credentialWork) { w.nextPass = next })
	r.queue.addAfter(queued, quota.Bulk, time.Until(next))
}
