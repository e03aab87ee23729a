// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func updateSecret(c *call, r *reader) work {
	name := r.secretName()
	description, given := r.parameters["Description"]
	if description == "" && c.switches.KeepsEmptyDescription {
		given = false
	}
	custom, customGiven := r.newCustomData()
	return func() (reply, *emulator.Failure) {
		next, failure := c.editable(name)
		switch {
		case failure != nil:
			return nil, failure
		case customGiven && next.Managed == nil:
			return nil, invalid("ExtendedConfig.CustomData")
		case customGiven:
			next.Managed.Config[configCustom] = custom
		}
		if given {
			next.Description = description
		}
		return reply{"SecretName": next.Name}, c.store(next)
	}
}

// newCustomData reads the custom data of a managed secret, which SDKs send in two
// ways.
func (r *reader) newCustomData() (custom any, given bool) {
	const name = "ExtendedConfig.CustomData"
	config := map[string]any{}
	if r.parameters["ExtendedConfig"] != "" {
		r.decode("ExtendedConfig", &config)
		r.check("ExtendedConfig", len(config) == 1 && config[configCustom] != nil)
	}
	if text := r.parameters[name]; text != "" {
		var object map[string]any
		r.decode(name, &object)
		config[configCustom] = object
	}
	if len(config) == 0 {
		return nil, false
	}
	r.customData(name, config)
	return config[configCustom], true
}

func deleteSecret(c *call, r *reader) work {
	name, force := r.secretName(), r.flag("ForceDeleteWithoutRecovery", false)
	days := r.number("RecoveryWindowInDays", minWindowDays, maxWindowDays, maxWindowDays)
	r.check("RecoveryWindowInDays", !force || !c.switches.StrictForce || r.parameters["RecoveryWindowInDays"] == "")
	return func() (reply, *emulator.Failure) {
		found, failure := c.secret(name)
		switch {
		case failure != nil:
			return nil, failure
		case found.pendingDeletion() && (!force || !c.switches.ForceInWindow):
			return nil, fail(codeInDeleteWindow, "secret in delete period")
		}
		next := found.copy()
		if force {
			next.ShownDeleteAt = c.now
			next.DeleteAt = c.now.Add(time.Duration(c.switches.DeletionLag) * time.Second)
		} else {
			next.ShownDeleteAt = c.now.Add(time.Duration(days) * 24 * time.Hour)
			next.DeleteAt = next.ShownDeleteAt
		}
		answer := reply{"SecretName": next.Name, "PlannedDeleteTime": timeText(next.ShownDeleteAt)}
		if next.Gone(c.now) {
			return answer, c.remove(next)
		}
		return answer, c.store(next)
	}
}

// remove deletes a secret for good.
func (c *call) remove(s *secret) *emulator.Failure {
	return c.server.secrets.TryRemoveLocked(s.Ref(), fail(codeInternal, "The secret could not be removed."))
}

func restoreSecret(c *call, r *reader) work {
	name := r.secretName()
	return func() (reply, *emulator.Failure) {
		found, failure := c.secret(name)
		switch {
		case failure != nil:
			return nil, failure
		case !found.pendingDeletion():
			return nil, fail(codeInUse, "restore normal secret")
		}
		next := found.copy()
		next.DeleteAt, next.ShownDeleteAt = time.Time{}, time.Time{}
		return reply{"SecretName": next.Name}, c.store(next)
	}
}
