// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// secret returns the secret that the path names, of the caller's account.
func (c *call) secret() (*secret, *emulator.Failure) {
	name := c.values["secret_name"]
	if failure := c.checkName(name); failure != nil {
		return nil, failure
	}
	found, ok := c.server.secrets.LookupLocked(emulator.Ref{Account: c.Account.AccountID, Region: c.Region, Name: name}, c.now)
	if ok {
		return c.server.present(found, c.now), nil
	}
	if c.switches.NameNotFound {
		return nil, c.switches.notFound(codeNameNotFound)
	}
	return nil, c.switches.notFound(codeNotFound)
}

// enabled returns the secret if its values can be read and written.
func (c *call) enabled() (*secret, *emulator.Failure) {
	found, failure := c.secret()
	switch {
	case failure != nil:
		return nil, failure
	case found.State == statePendingDelete:
		return nil, fail(codePendingDelete)
	case found.State != stateEnabled:
		return nil, fail(codeNotEnabled)
	}
	return found, nil
}

// store makes next the state of its secret.
func (c *call) store(next *secret) *emulator.Failure {
	return c.server.secrets.TryPutLocked(next, failWith(0, codeKMSInternal, "The change could not be stored."))
}

type creation struct {
	Name         string   `json:"name"`
	KMSKeyID     string   `json:"kms_key_id"`
	Description  string   `json:"description"`
	SecretBinary *string  `json:"secret_binary"`
	SecretString *string  `json:"secret_string"`
	SecretType   string   `json:"secret_type"`
	Events       []string `json:"event_subscriptions"`
	Enterprise   string   `json:"enterprise_project_id"`

	AutoRotation   bool   `json:"auto_rotation"`
	RotationPeriod string `json:"rotation_period"`
	RotationConfig string `json:"rotation_config"`
	RotationURN    string `json:"rotation_func_urn"`
}

func (b creation) check(c *call) *emulator.Failure {
	if failure := cmp.Or(c.checkName(b.Name), checkDescription(b.Description), events(b.Events)); failure != nil {
		return failure
	}
	if len(b.Enterprise) > maxEnterpriseProject {
		return invalid("enterprise_project_id is too long")
	}
	switch {
	case managedType(b.SecretType):
		return b.rotation().check()
	case cmp.Or(b.SecretType, typeCommon) != typeCommon:
		return invalid("secret_type must be COMMON, RDS-FG or GaussDB-FG")
	case !b.rotation().empty():
		return invalid("secrets of the type COMMON aren't rotated")
	}
	return nil
}

func (b creation) rotation() rotation {
	return rotation{Auto: b.AutoRotation, Period: b.RotationPeriod, Config: b.RotationConfig, Function: b.RotationURN}
}

func createSecret(c *call, b creation) (any, *emulator.Failure) {
	if failure := b.check(c); failure != nil {
		return nil, failure
	}
	first, failure := c.read(value{b.SecretString, b.SecretBinary})
	if failure != nil {
		return nil, failure
	}
	next := &secret{
		Account: c.Account.AccountID, Project: c.Region, Name: b.Name, ID: newUUID(),
		Type: cmp.Or(b.SecretType, typeCommon), State: stateEnabled, Description: b.Description, KMSKeyID: b.KMSKeyID,
		EnterpriseProject: cmp.Or(b.Enterprise, defaultEnterpriseProject), Events: b.Events,
		Rotation: b.rotation(), Created: c.now, Updated: c.now,
	}
	next.Rotation.schedule(c.now)
	versions := []version{first}
	if next.Type != typeCommon {
		if c.switches.NeedsAgency && !c.server.agencies.granted(next.Account, next.Type) {
			return nil, failWith(http.StatusForbidden, codeDenied, "The agency for the rotation function does not exist.")
		}
		if versions, failure = c.managedVersions(first, next.Rotation); failure != nil {
			return nil, failure
		}
	}
	for i, v := range versions {
		next.LastVersion++
		v.Number, v.KMSKeyID = next.LastVersion, next.KMSKeyID
		next.Versions = append(next.Versions, v)
		next.move([]string{stageCurrent, stagePrevious}[i], v.Number, c.now)
	}
	if failure := cmp.Or(c.nameFree(next.Ref()), c.keyUsable(next.KMSKeyID)); failure != nil {
		return nil, failure
	}
	return c.showing(next), c.store(next)
}

// nameFree tells whether a secret of that name can be made.
func (c *call) nameFree(ref emulator.Ref) *emulator.Failure {
	if _, taken := c.server.secrets.LookupLocked(ref, c.now); taken {
		return failWith(c.switches.ExistsStatus, cmp.Or(c.switches.ExistsCode, codeExists), "The secret name already exists.")
	}
	if len(c.server.secrets.ListLocked(ref.Account, ref.Region, c.now)) >= c.switches.secretLimit() {
		return fail(codeSecretQuota)
	}
	return nil
}

type update struct {
	KMSKeyID       *string   `json:"kms_key_id"`
	Description    *string   `json:"description"`
	Events         *[]string `json:"event_subscriptions"`
	AutoRotation   *bool     `json:"auto_rotation"`
	RotationPeriod *string   `json:"rotation_period"`
	RotationURN    *string   `json:"rotation_func_urn"`
}

func updateSecret(c *call, b update) (any, *emulator.Failure) {
	found, failure := c.secret()
	switch {
	case failure != nil:
		return nil, failure
	case found.State == statePendingDelete:
		return nil, fail(codePendingDelete)
	}
	next := found.copy()
	next.Updated = c.now
	if failure := b.rotate(next, c.now); failure != nil {
		return nil, failure
	}
	if b.Description != nil {
		next.Description, failure = *b.Description, checkDescription(*b.Description)
	}
	if b.Events != nil {
		next.Events, failure = slices.Clone(*b.Events), cmp.Or(failure, events(*b.Events))
	}
	if b.KMSKeyID != nil {
		next.KMSKeyID, failure = *b.KMSKeyID, cmp.Or(failure, c.checkNewKey(*b.KMSKeyID))
	}
	if failure != nil {
		return nil, failure
	}
	return c.showing(next), c.store(next)
}

// rotate changes how the secret is rotated. The period counts anew when it, or
// the switch, was given.
func (b update) rotate(next *secret, now time.Time) *emulator.Failure {
	r := &next.Rotation
	if b.AutoRotation != nil {
		r.Auto = *b.AutoRotation
	}
	if b.RotationPeriod != nil {
		r.Period = *b.RotationPeriod
	}
	if b.RotationURN != nil {
		r.Function = *b.RotationURN
	}
	given := b.AutoRotation != nil || b.RotationPeriod != nil
	if given {
		r.schedule(now)
	}
	switch {
	case next.Type == typeCommon && !r.empty():
		return invalid("secrets of the type COMMON aren't rotated")
	case managedType(next.Type) && (given || b.RotationURN != nil):
		return r.check()
	}
	return nil
}

func (c *call) checkNewKey(id string) *emulator.Failure {
	switch {
	case len(id) < 2 || len(id) > 64:
		return invalid("kms_key_id has 2 to 64 characters")
	case c.switches.UncheckedKey:
		return nil
	}
	return c.keyUsable(id)
}

func deleteSecret(c *call) (any, *emulator.Failure) {
	found, failure := c.secret()
	switch {
	case failure != nil:
		return nil, failure
	case found.State == statePendingDelete && !c.switches.DeleteWhilePending:
		return nil, fail(codePendingDelete)
	case found.State != stateEnabled && found.State != statePendingDelete && c.switches.DeleteEnabledOnly:
		return nil, fail(codeNotEnabled)
	}
	failure = c.server.secrets.TryRemoveLocked(found.Ref(), failWith(0, codeKMSInternal, "The secret could not be removed."))
	return noBody(http.StatusOK), failure
}

type schedule struct {
	Days *int32 `json:"recovery_window_in_days"`
}

func scheduleDeletion(c *call, b schedule) (any, *emulator.Failure) {
	found, failure := c.secret()
	switch {
	case failure != nil:
		return nil, failure
	case b.Days == nil || *b.Days < minWindowDays || *b.Days > maxWindowDays:
		return nil, invalid("recovery_window_in_days must lie between 7 and 30")
	case found.State == statePendingDelete:
		return nil, fail(codeScheduled)
	case found.State != stateEnabled && c.switches.DeleteEnabledOnly:
		return nil, fail(codeNotEnabled)
	}
	next := found.copy()
	next.State, next.StateBefore = statePendingDelete, found.State
	next.Updated, next.DeleteAt = c.now, c.now.Add(time.Duration(*b.Days)*24*time.Hour)
	return c.showing(next), c.store(next)
}

func restoreSecret(c *call) (any, *emulator.Failure) {
	found, failure := c.secret()
	switch {
	case failure != nil:
		return nil, failure
	case found.State != statePendingDelete:
		return nil, fail(codeNotScheduled)
	}
	next := found.copy()
	next.State = stateEnabled
	if c.switches.RestoreKeepsState {
		next.State = found.StateBefore
	}
	next.StateBefore, next.Updated, next.DeleteAt = "", c.now, time.Time{}
	return c.showing(next), c.store(next)
}
