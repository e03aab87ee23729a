// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// remove ends a credential as its removal says. What can't be undone is never
// decided on what is stored alone: the cloud is looked at first.
func (run *credentialRun) remove(ctx context.Context) error {
	p := &run.c.Progress
	p.State = StateDeleting
	if p.Dropping {
		return run.followRemoval(ctx)
	}
	if run.untried && !p.Made && p.Task == "" {
		run.gone = true
		return nil
	}
	leave, err := run.askBrake(ctx)
	if err != nil || run.held || run.later > 0 {
		return err
	}
	defer leave.end()
	found, err := run.find(ctx)
	if err != nil && provider.ClassOf(err) != provider.ClassOwnership {
		return err
	}
	run.gone = found == nil || run.owned(*found) != nil
	if run.gone { // what has the name isn't ours to touch
		return nil
	}
	if run.c.Removal.Policy == DeleteRetain {
		return run.retain(ctx, *found)
	}
	switch found.State {
	case provider.CredentialPendingDeletion:
		if run.c.Removal.Policy == DeleteScheduled {
			run.gone = true
			return nil
		}
	case provider.CredentialCreating, provider.CredentialRotating:
		run.later = longestLook
		return nil
	case provider.CredentialReady, provider.CredentialDisabled, provider.CredentialFailed:
	}
	if err := leave.use(ctx); err != nil {
		return err
	}
	run.admitted = true
	return run.drop(ctx, *found)
}

// askBrake asks for leave before the first call of what takes the credential from
// its readers. Without it the deletion is held.
func (run *credentialRun) askBrake(ctx context.Context) (*admission, error) {
	p := &run.c.Progress
	if run.c.Removal.Policy == DeleteRetain || run.admitted {
		return &admission{}, nil
	}
	if err := paused(ctx); err != nil {
		return nil, (&provider.Error{Class: provider.ClassUnavailable, Message: "nothing is deleted"}).Because(err)
	}
	leave, err := run.e.admit(ctx, run.c.Destination, run.o.destination.DeletionsPerHour(), p.Held)
	switch held := heldBy(err); {
	case held != nil:
		p.Held, p.State, run.held = held, StateHeld, true
		return nil, nil
	case errors.Is(err, errBrakeBusy):
		run.later = brakeRetry
		return nil, nil
	case err != nil:
		return nil, err
	}
	return leave, nil
}

// drop has the cloud delete the credential.
func (run *credentialRun) drop(ctx context.Context, found provider.Credential) error {
	p, removal := &run.c.Progress, run.c.Removal
	window := provider.Days(removal.WindowDays)
	if found.State == provider.CredentialFailed && run.product.Window.Immediate {
		window = 0 // there is nothing to keep
	}
	run.e.credentials.outdate(run.c.Name)
	task, err := run.issuer.DeleteCredential(ctx, found.Name, window, removal.Accounts)
	if err != nil {
		return err
	}
	if task.ID == "" {
		run.gone = true
		return nil
	}
	p.Dropping, p.Task = true, task.ID
	if err := run.save(ctx); err != nil {
		return err
	}
	return run.followRemoval(ctx)
}

// followRemoval waits until the cloud has removed what the credential gave access
// with.
func (run *credentialRun) followRemoval(ctx context.Context) error {
	p := &run.c.Progress
	status, err := run.issuer.CredentialTask(ctx, run.c.remote(run.product), p.Task)
	switch {
	case provider.IsNotFound(err):
	case err != nil:
		return err
	case status.State == provider.TaskRunning:
		run.later = longestLook
		return nil
	case status.State == provider.TaskFailed:
		f := run.reason("the cloud couldn't delete the accounts", status)
		run.e.log.Warn("a managed credential is deleted, but not the accounts that it gave access with", "credential", run.c.Name,
			"destination", run.c.Destination, "code", f.Code, "reason", f.Message)
		return run.accountsLeft(ctx, f)
	}
	run.gone = true
	return nil
}

// accountsLeft says that accounts stay; the next deletion only forgets.
func (run *credentialRun) accountsLeft(ctx context.Context, f *Failure) error {
	p := &run.c.Progress
	found, err := run.find(ctx)
	if err != nil {
		return err
	}
	if found == nil || found.State == provider.CredentialPendingDeletion {
		run.gone = true
		return nil
	}
	p.Dropping, p.Task = false, ""
	return &provider.Error{Class: provider.ClassConflict, Code: f.Code, Message: fmt.Sprintf(
		"%s; mend the cause, it is tried again about every half hour", f.Message)}
}

// retain leaves the credential at the cloud, without our mark.
func (run *credentialRun) retain(ctx context.Context, found provider.Credential) error {
	if found.State == provider.CredentialCreating {
		run.later = longestLook
		return nil
	}
	text, _ := owner.Split(found.Description)
	if found.State != provider.CredentialPendingDeletion && found.State != provider.CredentialFailed {
		if err := run.o.remote.SetDescription(ctx, found.Name, text); err != nil {
			return err
		}
	}
	run.gone = true
	return nil
}
