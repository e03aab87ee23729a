// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"encoding/base64"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// latestVersion is what readers say instead of a version id.
const latestVersion = "latest"

type versionCreation struct {
	SecretBinary *string  `json:"secret_binary"`
	SecretString *string  `json:"secret_string"`
	Stages       []string `json:"version_stages"`
	ExpireTime   int64    `json:"expire_time"`
}

func createVersion(c *call, b versionCreation) (any, *emulator.Failure) {
	added, failure := c.read(value{b.SecretString, b.SecretBinary})
	if failure != nil {
		return nil, failure
	}
	if added.Expires, failure = c.expiry(b.ExpireTime); failure != nil {
		return nil, failure
	}
	if failure := checkStages(b.Stages); failure != nil {
		return nil, failure
	}
	next, failure := c.writable()
	if failure != nil {
		return nil, failure
	}
	next.LastVersion++
	added.Number, added.KMSKeyID = next.LastVersion, next.KMSKeyID
	next.Versions = append(next.Versions, added)
	if len(b.Stages) == 0 {
		next.makeCurrent(added.Number, c.now)
	} else {
		c.mark(next, added.Number, b.Stages)
	}
	if failure := cmp.Or(c.keyUsable(next.KMSKeyID), c.stagesFit(next), c.makeRoom(next)); failure != nil {
		return nil, failure
	}
	return object{"version_metadata": c.metadata(next, added)}, c.store(next)
}

// writable returns a copy of the secret to change versions and stages of.
func (c *call) writable() (*secret, *emulator.Failure) {
	found, failure := c.enabled()
	if failure != nil {
		return nil, failure
	}
	next := found.copy()
	next.Updated = c.now
	return next, c.manageable(found)
}

func (c *call) manageable(s *secret) *emulator.Failure {
	if s.Type != typeCommon && c.switches.RefuseManaged {
		return invalid("the service manages the versions of a secret of this type")
	}
	return nil
}

// makeRoom keeps the secret within its number of versions.
func (c *call) makeRoom(next *secret) *emulator.Failure {
	limit := c.switches.versionLimit()
	if c.switches.DropUnstaged {
		next.dropUnstaged(0)
	}
	if !c.switches.RejectVersions {
		next.dropUnstaged(limit)
	}
	if len(next.Versions) > limit {
		return failWith(0, cmp.Or(c.switches.VersionLimitCode, codeVersionLimit), "The number of version has reached the upper limit.")
	}
	return nil
}

// version returns the version that the path names.
func (c *call) version(s *secret) (version, *emulator.Failure) {
	id := c.values["version_id"]
	if !versionIDForm.MatchString(id) {
		return version{}, invalid("a version id is v1, v2 and so on")
	}
	number, ok := versionNumber(id)
	if id == latestVersion {
		number, ok = c.latest(s)
	}
	i := s.find(number)
	if !ok || i < 0 {
		return version{}, c.switches.notFound(codeNotFound)
	}
	return s.Versions[i], nil
}

func (c *call) latest(s *secret) (number int, ok bool) {
	if last := len(s.Versions) - 1; c.switches.LatestIsNewest && last >= 0 {
		return s.Versions[last].Number, true
	}
	current, ok := s.stage(stageCurrent)
	return current.Version, ok
}

func showVersion(c *call) (any, *emulator.Failure) {
	found, failure := c.enabled()
	if failure != nil {
		return nil, failure
	}
	shown, failure := c.version(found)
	if failure != nil {
		return nil, failure
	}
	answer := object{"version_metadata": c.metadata(found, shown)}
	if shown.Binary {
		answer["secret_binary"] = base64.StdEncoding.EncodeToString(shown.Value)
	} else {
		answer["secret_string"] = string(shown.Value)
	}
	return object{"version": answer}, c.keyUsable(shown.KMSKeyID)
}

type versionUpdate struct {
	ExpireTime *int64 `json:"expire_time"`
}

func updateVersion(c *call, b versionUpdate) (any, *emulator.Failure) {
	found, failure := c.enabled()
	if failure != nil {
		return nil, failure
	}
	changed, failure := c.version(found)
	if failure != nil {
		return nil, failure
	}
	if b.ExpireTime == nil {
		return nil, invalid("expire_time must be given")
	}
	if changed.Expires, failure = c.expiry(*b.ExpireTime); failure != nil {
		return nil, failure
	}
	next := found.copy()

	next.Versions[next.find(changed.Number)] = changed
	return object{"version_metadata": c.metadata(next, changed)}, c.store(next)
}
