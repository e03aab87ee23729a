// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

const (
	// rotationDoubt is how long a rotation that wasn't answered may take to show
	// before it is asked for again.
	rotationDoubt = 30 * time.Second
	// longestRotation is how long one that was accepted may take.
	longestRotation = 10 * time.Minute
)

// rotate has the cloud carry out the rotation that was asked for, once.
//
//	nothing begun        note the versions there are, store that, ask
//	accepted, with task  follow the task
//	accepted, no task    wait until the versions change
//	not answered         versions changed: done; the cloud rotates: wait;
//	                     otherwise ask again, where that could rotate twice after
//	                     a while only
func (run *credentialRun) rotate(ctx context.Context) error {
	c, p := run.c, &run.c.Progress
	if !c.rotates() {
		return nil
	}
	p.State = StateRotating
	if p.Rotating == nil || p.Rotating.Token != c.Rotate.Token {
		versions, err := run.versions(ctx)
		if err != nil {
			return err
		}
		p.Rotating = &RotationProgress{Token: c.Rotate.Token, Before: versions, Begun: time.Now().UTC()}
		if err := run.save(ctx); err != nil {
			return err
		}
		return run.askToRotate(ctx)
	}
	if p.Rotating.Task != "" {
		return run.followRotation(ctx)
	}
	return run.awaitVersions(ctx)
}

func (run *credentialRun) versions(ctx context.Context) (string, error) {
	versions, err := run.issuer.CredentialVersions(ctx, run.c.remote(run.product))
	return versionsSeen(versions), run.missing(err)
}

// askToRotate makes the call. Nothing but the order of who asked is tried again
// later: a rotation that comes hours after is no help.
func (run *credentialRun) askToRotate(ctx context.Context) error {
	p := &run.c.Progress
	run.e.credentials.outdate(run.c.Name)
	task, err := run.issuer.RotateCredential(ctx, run.c.remote(run.product), p.Rotating.Token)
	switch class := provider.ClassOf(err); {
	case err == nil:
		rotating := *p.Rotating
		rotating.Accepted, rotating.Task = true, task.ID
		p.Rotating = &rotating
		if err := run.save(ctx); err != nil {
			return err
		}
		if rotating.Task != "" {
			return run.followRotation(ctx)
		}
		return run.awaitVersions(ctx)
	case provider.IsAmbiguous(err):
		rotating := *p.Rotating
		rotating.Begun = time.Now().UTC() // a call that ended at its limit may only just have arrived
		p.Rotating = &rotating
		return err
	case class == provider.ClassConflict:
		if found, lookErr := run.describe(ctx); lookErr == nil && found.State == provider.CredentialRotating {
			run.later = longestLook
			return nil
		}
		return run.notRotated(ctx, run.e.failure(err))
	case class.Recovers() && class != provider.ClassNotFound:
		p.Rotating = nil // nothing has begun
		return err
	default:
		return run.notRotated(ctx, run.e.failure(run.missing(err)))
	}
}

// followRotation looks how far the cloud's work is.
func (run *credentialRun) followRotation(ctx context.Context) error {
	p := &run.c.Progress
	status, err := run.issuer.CredentialTask(ctx, run.c.remote(run.product), p.Rotating.Task)
	switch {
	case provider.IsNotFound(err): // it has ended, and the versions tell how
		return run.awaitVersions(ctx)
	case err != nil:
		return err
	case status.State == provider.TaskRunning:
		run.later = longestLook
		return nil
	case status.State == provider.TaskFailed:
		return run.notRotated(ctx, run.reason("the cloud couldn't rotate it", status))
	}
	return run.rotated(ctx)
}

// awaitVersions tells by the versions whether the rotation took place.
func (run *credentialRun) awaitVersions(ctx context.Context) error {
	p := &run.c.Progress
	found, err := run.describe(ctx)
	if err != nil {
		return run.missing(err)
	}
	if found.State == provider.CredentialRotating {
		run.later = longestLook
		return nil
	}
	versions, err := run.versions(ctx)
	if err != nil {
		return err
	}
	waited := time.Since(p.Rotating.Begun)
	switch {
	case versions != p.Rotating.Before:
		return run.rotated(ctx)
	case p.Rotating.Accepted && found.RotationProblem != "":
		return run.notRotated(ctx, run.reason("the cloud couldn't rotate it", provider.TaskStatus{Message: found.RotationProblem}))
	case p.Rotating.Accepted && waited > longestRotation:
		return run.notRotated(ctx, run.reason(fmt.Sprintf("the cloud accepted the rotation %s ago and shows no new version", waited.Round(time.Second)), provider.TaskStatus{}))
	case p.Rotating.Accepted || !run.product.RotatesOnce && waited < rotationDoubt:
		run.later = longestLook
		return nil
	}
	rotating := *p.Rotating
	rotating.Begun = time.Now().UTC()
	p.Rotating = &rotating
	if err := run.save(ctx); err != nil {
		return err
	}
	return run.askToRotate(ctx)
}

// rotated notes the end of a rotation.
func (run *credentialRun) rotated(ctx context.Context) error {
	p := &run.c.Progress
	if _, err := run.describe(ctx); err != nil {
		return run.missing(err)
	}
	run.e.credentials.outdate(run.c.Name)
	p.Rotated, p.Rotating, p.NotRotated, run.pass = p.Rotating.Token, nil, nil, true
	return run.save(ctx)
}

// notRotated notes that a rotation failed: the value from before still works.
func (run *credentialRun) notRotated(ctx context.Context, why *Failure) error {
	p := &run.c.Progress
	run.e.credentials.outdate(run.c.Name)
	p.Rotated, p.Rotating, p.NotRotated = p.Rotating.Token, nil, why
	return run.save(ctx)
}
