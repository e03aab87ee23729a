// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// make has the cloud make the credential, unless it has.
//
//	task known           follow it
//	failed before        blocked until a person writes it again
//	may have been tried  look by name and mark; what is ours is taken up
//	otherwise            create
func (run *credentialRun) make(ctx context.Context) error {
	p := &run.c.Progress
	if p.Made {
		return nil
	}
	if p.NotMade != nil {
		return run.notMade()
	}
	if p.Task != "" {
		return run.followCreation(ctx)
	}
	p.State = StateCreating
	if !run.untried {
		found, err := run.find(ctx)
		if err != nil || found != nil {
			return run.orTakeUp(ctx, found, err)
		}
	}
	p.Outdated = false
	err := run.create(ctx)
	if provider.ClassOf(err) == provider.ClassExists && err != nil {
		found, lookErr := run.find(ctx)
		if lookErr != nil || found != nil {
			return run.orTakeUp(ctx, found, lookErr)
		}
	}
	if err != nil || run.c.Progress.Task == "" && run.later > 0 {
		return err
	}
	return run.followCreation(ctx)
}

func (run *credentialRun) orTakeUp(ctx context.Context, found *provider.Credential, err error) error {
	if err != nil {
		return err
	}
	return run.takeUp(ctx, *found)
}

// find looks for the credential by its name, and where the cloud makes that up, by
// the mark; nil if there is none.
func (run *credentialRun) find(ctx context.Context) (*provider.Credential, error) {
	p := &run.c.Progress
	if run.product.AssignsName && p.RemoteName == "" {
		name, err := run.issuer.FindCredential(ctx, run.mark.Append(""))
		if err != nil || name == "" {
			return nil, err
		}
		p.RemoteName = name
	}
	found, err := run.describe(ctx)
	switch {
	case provider.IsNotFound(err):
		return nil, nil
	case err != nil && provider.ClassOf(err) == provider.ClassConflict:
		return nil, run.foreign("a secret that isn't a managed credential")
	case err != nil:
		return nil, err
	}
	return &found, nil
}

func (run *credentialRun) describe(ctx context.Context) (provider.Credential, error) {
	found, err := run.issuer.DescribeCredential(ctx, run.c.remote(run.product))
	if err == nil {
		p := &run.c.Progress
		p.LastRotation, p.NextRotation, p.CreatedTime = utc(found.LastRotation), utc(found.NextRotation), utc(found.CreatedTime)
	}
	return found, err
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// foreign says that the remote name belongs to something else.
func (run *credentialRun) foreign(whose string) error {
	return &provider.Error{Class: provider.ClassOwnership, Message: fmt.Sprintf(
		"the remote name %q is taken by %s; delete managed credential %q and write it with another remote_name, or remove what has the name if it isn't needed and write it again",
		run.c.remote(run.product), whose, run.c.Name)}
}

// owned checks that what was found is ours.
func (run *credentialRun) owned(found provider.Credential) error {
	_, mark := owner.Split(found.Description)
	switch mark {
	case run.mark:
		return nil
	case owner.Mark{}:
		return run.foreign("a managed credential without this mount's mark")
	default:
		return run.foreign("a managed credential of " + mark.String())
	}
}

// create sends the creation.
func (run *credentialRun) create(ctx context.Context) error {
	c, p := run.c, &run.c.Progress
	n, err := run.e.newCredential(c, run.o)
	if err != nil {
		return unfit(err)
	}
	if n.Initial = run.initial; run.product.InitialValue && !n.Initial.IsSet() {
		return &provider.Error{Class: provider.ClassInvalid, Message: fmt.Sprintf(
			"the cloud doesn't have managed credential %q yet, and its initial credentials aren't kept, so they are no longer known; write it again with initial_credentials", c.Name)}
	}
	run.untried = false
	run.e.credentials.report(c.Name, func(w *credentialWork) { w.untried = false })
	task, err := run.issuer.CreateCredential(ctx, c.RemoteName, n)
	if err != nil {
		run.untried = !provider.IsAmbiguous(err) && provider.ClassOf(err) != provider.ClassExists
		if provider.IsAmbiguous(err) && run.product.AssignsName {
			// A late one wouldn't be refused for its name.
			return later(err, longestLook)
		}
		return err
	}
	run.initial = sensitive.String{}
	if p.RemoteName = task.Name; task.Name == c.RemoteName {
		p.RemoteName = ""
	}
	p.Task, p.Description, p.Tags, p.Rotation = task.ID, n.Description, n.Tags, c.Rotation
	p.TagsFailure = nil
	if task.TagsError != nil {
		p.Tags, p.TagsFailure = nil, run.e.failure(task.TagsError)
	}
	return run.save(ctx)
}

// unfit gives a refusal of our own a class.
func unfit(err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return &provider.Error{Class: provider.ClassInvalid, Message: refused.message}
	}
	return err
}

// later makes an error be tried again after a while only.
func later(err error, after time.Duration) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	changed := *e
	changed.RetryAfter = max(changed.RetryAfter, after)
	return &changed
}

// followCreation looks how far the cloud is.
func (run *credentialRun) followCreation(ctx context.Context) error {
	p := &run.c.Progress
	if p.Task != "" {
		status, err := run.issuer.CredentialTask(ctx, run.c.remote(run.product), p.Task)
		switch {
		case provider.IsNotFound(err): // it has ended, and the credential tells how
		case err != nil:
			return err
		case status.State == provider.TaskRunning:
			p.State, run.later = StateCreating, longestLook
			return nil
		case status.State == provider.TaskFailed:
			p.Task, p.NotMade = "", run.reason("the cloud couldn't make it", status)
			return run.notMade()
		}
	}
	found, err := run.find(ctx)
	if err != nil {
		return err
	}
	if found == nil {
		p.Task = ""
		return &provider.Error{Class: provider.ClassUnavailable, Message: "the cloud took the creation and doesn't show the credential yet"}
	}
	return run.takeUp(ctx, *found)
}

// reason is why the cloud's work failed.
func (run *credentialRun) reason(what string, status provider.TaskStatus) *Failure {
	text := what
	if status.Message != "" {
		text += ": " + status.Message
	}
	return &Failure{Class: provider.ClassInvalid, Message: text, Code: status.Code, Time: time.Now().UTC()}
}

// notMade is the error of a credential that the cloud couldn't make.
func (run *credentialRun) notMade() error {
	f := run.c.Progress.NotMade
	return &provider.Error{Class: f.Class, Code: f.Code, RequestID: f.RequestID, Message: fmt.Sprintf(
		"%s; mend the cause, delete managed credential %q with deletion_policy=force and write it again", f.Message, run.c.Name)}
}

// takeUp goes on with what is at the cloud under the name.
func (run *credentialRun) takeUp(ctx context.Context, found provider.Credential) error {
	if err := run.owned(found); err != nil {
		return err
	}
	c, p := run.c, &run.c.Progress
	if found.InstanceID != "" && c.InstanceID != "" && found.InstanceID != c.InstanceID {
		return &provider.Error{Class: provider.ClassConflict, Message: fmt.Sprintf(
			"the cloud still has a credential %q of this mount for instance %s; delete managed credential %q and write it with another remote_name, or for that instance", found.Name, found.InstanceID, c.Name)}
	}
	if p.Outdated {
		return &provider.Error{Class: provider.ClassConflict, Message: fmt.Sprintf(
			"the cloud made %q with the parameters from before they were changed here; delete managed credential %q with deletion_policy=force and write it again", found.Name, c.Name)}
	}
	switch found.State {
	case provider.CredentialCreating:
		p.State, run.later = StateCreating, longestLook
		return nil
	case provider.CredentialFailed:
		p.Task = ""
		p.NotMade = run.reason("the cloud couldn't make it", provider.TaskStatus{Message: found.RotationProblem})
		return run.notMade()
	case provider.CredentialPendingDeletion, provider.CredentialDisabled:
		if err := run.restore(ctx, found); err != nil {
			return err
		}
	case provider.CredentialReady, provider.CredentialRotating:
	}
	p.Made, p.Task, run.initial = true, "", sensitive.String{}
	p.Description = found.Description
	if !p.Rotation.equal(c.Rotation) {
		p.Rotation = Schedule{Enabled: found.Rotation.Enabled, Interval: found.Rotation.Interval}
		if p.Rotation.Enabled == c.Rotation.Enabled && p.Rotation.Interval == c.Rotation.Interval {
			p.Rotation = c.Rotation
		}
	}
	return run.save(ctx)
}

// restore brings back a credential that was deleted, and written again before it
// was gone.
func (run *credentialRun) restore(ctx context.Context, found provider.Credential) error {
	if found.State == provider.CredentialPendingDeletion {
		if err := provider.Restore(ctx, run.o.remote, found.Name); err != nil {
			return err
		}
	}
	if run.o.abilities.Switches {
		return provider.Enable(ctx, run.o.remote, found.Name)
	}
	return nil
}

// adjust brings description, tags and schedule to the cloud.
func (run *credentialRun) adjust(ctx context.Context) error {
	c, p, name := run.c, &run.c.Progress, run.c.remote(run.product)
	n, err := run.e.newCredential(c, run.o)
	if err != nil {
		return unfit(err)
	}
	if p.Description != n.Description {
		if err := run.o.remote.SetDescription(ctx, name, n.Description); err != nil {
			return run.missing(err)
		}
		p.Description = n.Description
	}
	if !sameTags(p.Tags, n.Tags) && run.o.abilities.ChangesTags {
		var remove []string
		for key := range p.Tags {
			if _, kept := n.Tags[key]; !kept {
				remove = append(remove, key)
			}
		}
		slices.Sort(remove)
		if err := provider.ChangeTags(ctx, run.o.remote, name, n.Tags, remove); err != nil {
			return run.missing(err)
		}
		p.Tags, p.TagsFailure = n.Tags, nil
	}
	if !p.Rotation.equal(c.Rotation) {
		if err := run.issuer.SetRotation(ctx, name, c.Rotation.provider()); err != nil {
			return run.missing(err)
		}
		p.Rotation, p.NotRotated = c.Rotation, nil
		if _, err := run.describe(ctx); err != nil {
			return run.missing(err)
		}
	}
	return run.save(ctx)
}

// missing says what to do about a credential that somebody removed at the cloud.
func (run *credentialRun) missing(err error) error {
	var e *provider.Error
	if !provider.IsNotFound(err) || !errors.As(err, &e) {
		return err
	}
	changed := *e
	changed.Message = fmt.Sprintf("the cloud no longer has managed credential %q (remote name %q): %s; delete it here and write it again", run.c.Name, run.c.remote(run.product), e.Message)
	return &changed
}
