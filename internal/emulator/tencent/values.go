// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

type createParameters struct {
	SecretName       string `need:"true"`
	VersionId        string //nolint:revive // the API's spelling
	Description      string
	KmsKeyId         string //nolint:revive // the API's spelling
	SecretType       uint64
	SecretBinary     string
	SecretString     string
	AdditionalConfig string
	Tags             []tag
	KmsHsmClusterId  string //nolint:revive // the API's spelling
	EncryptType      uint64
}

func createSecret(c *call, p createParameters) (reply, *emulator.Failure) {
	next, failure := c.newSecret(p)
	if failure != nil {
		return nil, failure
	}
	if failure := c.room(next); failure != nil {
		return nil, failure
	}
	answer := c.saveTags(next)
	answer["SecretName"], answer["VersionId"] = next.Name, next.Versions[0].ID
	return answer, c.store(next)
}

// newSecret checks the parameters of a creation by themselves.
func (c *call) newSecret(p createParameters) (*secret, *emulator.Failure) {
	if failure := c.checkName(p.SecretName); failure != nil {
		return nil, failure
	}
	versionID := cmp.Or(p.VersionId, currentVersionID)
	if failure := cmp.Or(c.checkVersionID(versionID), checkDescription(p.Description)); failure != nil {
		return nil, failure
	}
	if p.SecretType != typeCustom || p.EncryptType > 1 {
		return nil, fail(codeInvalidValue, "This emulator creates custom secrets only: SecretType must be 0, and EncryptType 0 or 1.")
	}
	content, binary, failure := c.value(p.SecretString, p.SecretBinary)
	if failure != nil {
		return nil, failure
	}
	tags, failure := c.tags(p.Tags)
	if failure != nil {
		return nil, failure
	}
	return &secret{
		Account: c.Account.AccountID, Region: c.Region, Name: p.SecretName,
		Type: typeCustom, Status: statusEnabled, Description: p.Description, KMSKeyID: p.KmsKeyId, Tags: tags,
		Versions:  []version{{ID: versionID, Value: content, Binary: binary, Created: c.now}},
		CreateUin: uinOf(c.Account.AccountID), Created: c.now, ResourceID: newResourceID(c.Account.AccountID, c.now),
	}, c.keyUsable(p.KmsKeyId)
}

type valueParameters struct {
	SecretName   string `need:"true"`
	VersionId    string `need:"true"` //nolint:revive // the API's spelling
	SecretBinary string
	SecretString string
}

// check reads the value that is to be written.
func (p valueParameters) check(c *call) (version, *emulator.Failure) {
	if failure := cmp.Or(c.checkName(p.SecretName), c.checkVersionID(p.VersionId)); failure != nil {
		return version{}, failure
	}
	content, binary, failure := c.value(p.SecretString, p.SecretBinary)
	return version{ID: p.VersionId, Value: content, Binary: binary, Created: c.now}, failure
}

func putSecretValue(c *call, p valueParameters) (reply, *emulator.Failure) {
	added, failure := p.check(c)
	if failure != nil {
		return nil, failure
	}
	next, failure := c.writable(p.SecretName)
	switch {
	case failure != nil:
		return nil, failure
	case next.find(added.ID) >= 0:
		return nil, fail(codeVersionIDExists, "The version exists already.")
	case len(next.Versions) >= c.switches.versionLimit():
		return nil, fail(codeLimitExceeded, fmt.Sprintf("The secret has %d versions, which is the limit.", len(next.Versions)))
	}
	next.Versions = append(next.Versions, added)
	return reply{"SecretName": next.Name, "VersionId": added.ID}, c.store(next)
}

func updateSecret(c *call, p valueParameters) (reply, *emulator.Failure) {
	written, failure := p.check(c)
	if failure != nil {
		return nil, failure
	}
	next, failure := c.writable(p.SecretName)
	if failure != nil {
		return nil, failure
	}
	i := next.find(written.ID)
	if i < 0 {
		return nil, versionNotFound()
	}
	if !c.switches.UpdateMovesTime {
		written.Created = next.Versions[i].Created
	}
	next.Versions[i] = written
	return reply{"SecretName": next.Name, "VersionId": written.ID}, c.store(next)
}

func versionNotFound() *emulator.Failure { return fail(codeNotFound, "The version does not exist.") }

type readParameters struct {
	SecretName          string `need:"true"`
	VersionId           string `need:"true"` //nolint:revive // the API's spelling
	EncryptionPublicKey string
	EncryptionAlgorithm string
}

func getSecretValue(c *call, p readParameters) (reply, *emulator.Failure) {
	if p.EncryptionPublicKey != "" || p.EncryptionAlgorithm != "" {
		return nil, fail(codeInvalidValue, "This emulator does not encrypt answers.")
	}
	found, failure := c.secret(p.SecretName)
	if failure != nil {
		if failure.Code == codeNotFound && c.switches.SecretNotExistCode {
			failure.Code = codeSecretNotExist
		}
		return nil, failure
	}
	if failure := cmp.Or(c.checkVersionID(p.VersionId), c.roleGranted(), readable(found)); failure != nil {
		return nil, failure
	}
	if found.Type == typeSSHKey {
		return nil, fail(codeFailedOperation, "The secret is an SSH key pair; GetSSHKeyPairValue reads it.")
	}
	v, ok := found.read(p.VersionId)
	if !ok {
		return nil, versionNotFound()
	}
	answer := reply{"SecretName": found.Name, "VersionId": v.ID, "SecretString": "", "SecretBinary": ""}
	used, unused := "SecretString", "SecretBinary"
	if v.Binary {
		used, unused = unused, used
		answer[used] = base64.StdEncoding.EncodeToString(v.Value)
	} else {
		answer[used] = string(v.Value)
	}
	if c.switches.OmitUnusedValue {
		delete(answer, unused)
	}
	return answer, c.keyUsable(found.KMSKeyID)
}

func readable(s *secret) *emulator.Failure {
	switch s.Status {
	case statusEnabled:
		return nil
	case statusDisabled:
		return fail(codeResourceDisabled, "The secret is disabled.")
	case statusPendingDelete:
		return fail(codePendingDeleted, "The secret is going to be deleted.")
	default:
		return uninitialized()
	}
}

func uninitialized() *emulator.Failure {
	return fail(codeUninitialized, "The secret is not initialized.")
}

func (c *call) roleGranted() *emulator.Failure {
	if c.switches.RoleMissing {
		return fail(codeRoleNotExist, "The service role does not exist.")
	}
	return nil
}

type versionParameters struct {
	SecretName string `need:"true"`
	VersionId  string `need:"true"` //nolint:revive // the API's spelling
}

func deleteSecretVersion(c *call, p versionParameters) (reply, *emulator.Failure) {
	found, failure := c.secret(p.SecretName)
	if failure != nil {
		return nil, failure
	}
	if failure := c.checkVersionID(p.VersionId); failure != nil {
		return nil, failure
	}
	switch {
	case found.uninitialized():
		return nil, uninitialized()
	case found.Type != typeCustom:
		return nil, fail(codeFailedOperation, "Versions of a secret that the service manages cannot be deleted.")
	}
	i := found.find(p.VersionId)
	if i < 0 {
		return nil, versionNotFound()
	}
	next := found.copy()
	next.Versions = slices.Delete(next.Versions, i, i+1)
	return reply{"SecretName": next.Name, "VersionId": p.VersionId}, c.store(next)
}
