// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

type nameParameters struct {
	SecretName string `need:"true"`
}

type descriptionParameters struct {
	SecretName  string `need:"true"`
	Description string `need:"true"`
}

func updateDescription(c *call, p descriptionParameters) (reply, *emulator.Failure) {
	found, failure := c.secret(p.SecretName)
	switch {
	case failure != nil:
		return nil, failure
	case p.Description == "" && c.switches.NoEmptyDescription:
		return nil, missing("Description")
	case found.Status != statusEnabled && found.Status != statusDisabled:
		return nil, wrongStatus(found)
	}
	if failure := checkDescription(p.Description); failure != nil {
		return nil, failure
	}
	next := found.copy()
	next.Description = p.Description
	return reply{"SecretName": next.Name}, c.store(next)
}

func enableSecret(c *call, p nameParameters) (reply, *emulator.Failure) {
	return c.switchTo(p.SecretName, statusEnabled)
}

func disableSecret(c *call, p nameParameters) (reply, *emulator.Failure) {
	return c.switchTo(p.SecretName, statusDisabled)
}

func (c *call) switchTo(name, status string) (reply, *emulator.Failure) {
	found, failure := c.secret(name)
	switch {
	case failure != nil:
		return nil, failure
	case found.uninitialized():
		return nil, uninitialized()
	case found.Status == statusPendingDelete, found.Status == status && c.switches.StrictSwitching:
		return nil, wrongStatus(found)
	}
	next := found.copy()
	next.Status = status
	if status == statusDisabled && next.Managed != nil {
		next.Managed.Schedule.disable()
	}
	return reply{"SecretName": next.Name}, c.store(next)
}

type deleteParameters struct {
	SecretName           string `need:"true"`
	RecoveryWindowInDays uint64
	CleanSSHKey          bool
	DeleteMode           uint64
}

func deleteSecret(c *call, p deleteParameters) (reply, *emulator.Failure) {
	found, failure := c.secret(p.SecretName)
	switch {
	case failure != nil:
		return nil, failure
	case p.RecoveryWindowInDays > maxWindowDays || p.DeleteMode > 1:
		return nil, fail(codeInvalidValue, "RecoveryWindowInDays must lie between 0 and 30, and DeleteMode must be 0 or 1.")
	case found.Status == statusCreating, found.Status == statusFailed && c.switches.KeepsFailed:
		return nil, uninitialized()
	case found.Status != statusDisabled && found.Status != statusFailed:
		return nil, wrongStatus(found)
	case found.Type == typeSSHKey && p.RecoveryWindowInDays > 0:
		return nil, fail(codeInvalidValue, "RecoveryWindowInDays must be 0 for an SSH key pair.")
	}
	if found.Status == statusFailed {
		p.RecoveryWindowInDays = 0 // there is nothing to recover
	}
	window := time.Duration(p.RecoveryWindowInDays) * 24 * time.Hour
	due := c.now.Add(window)
	answer := reply{"SecretName": found.Name, "DeleteTime": due.Unix()}

	next := found.copy()
	next.DeleteAt = due
	switch {
	case p.DeleteMode == 1 && found.Type == typeProduct && found.Status != statusFailed:
		// The accounts are dropped by a flow, and the secret is gone with its end.
		answer["FlowID"] = c.server.begin(next, flow{Work: workDeletion, Looks: c.switches.flowLooks()}, c.now).ID
		next.DeleteAt = time.Time{}
		if window > 0 {
			next.Status, next.DeleteAt = statusPendingDelete, due
		}
	case window > 0:
		next.Status = statusPendingDelete
	case c.switches.DeletionLag > 0:
		next.DeleteAt = due.Add(time.Duration(c.switches.DeletionLag) * time.Second)
	default:
		return answer, c.remove(next)
	}
	return answer, c.store(next)
}

// remove deletes a secret for good.
func (c *call) remove(s *secret) *emulator.Failure {
	return c.server.secrets.TryRemoveLocked(s.Ref(), fail(codeInternal, "The secret could not be removed."))
}

func restoreSecret(c *call, p nameParameters) (reply, *emulator.Failure) {
	found, failure := c.secret(p.SecretName)
	switch {
	case failure != nil:
		return nil, failure
	case found.Status != statusPendingDelete:
		return nil, wrongStatus(found)
	}
	next := found.copy()
	next.Status, next.DeleteAt = statusDisabled, time.Time{}
	return reply{"SecretName": next.Name}, c.store(next)
}

// wrongStatus is what the documentation suggests for calls that a secret's
// status forbids; the codes per status exist for reading only.
func wrongStatus(s *secret) *emulator.Failure {
	return fail(codeFailedOperation, "The operation is not possible while the secret is "+s.Status+".")
}
