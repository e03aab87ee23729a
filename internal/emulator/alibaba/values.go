// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func createSecret(c *call, r *reader) work {
	if kind := r.oneOf("SecretType", append([]string{typeGeneric}, typeNames()...)...); managedTypes[kind].subTypes != nil {
		return createManaged(c, r, kind)
	}
	name := r.createdName(c.switches.nameLimit())
	r.need("VersionId")
	data, binary := r.value(c.switches)
	var list []tag
	r.decode("Tags", &list)
	next := &secret{
		Account: c.Account.AccountID, Region: c.Region, Name: name, Type: typeGeneric,
		Description: r.parameters["Description"], KMSKeyID: r.parameters["EncryptionKeyId"], Instance: r.parameters["DKMSInstanceId"],
		Versions: []version{{ID: r.versionID("VersionId"), Data: data, Binary: binary}},
		Labels:   map[string]string{labelCurrent: r.parameters["VersionId"]},
	}
	tags := r.tags("Tags", list, c.switches)
	r.check("EnableAutomaticRotation", !r.flag("EnableAutomaticRotation", false)) // managed secrets only
	r.policy(next.Instance)
	return func() (reply, *emulator.Failure) { return c.create(next.copy(), tags) }
}

func (c *call) create(next *secret, tags map[string]string) (reply, *emulator.Failure) {
	next.Created, next.Versions[0].Created = c.now, c.now
	answer := reply{
		"Arn": next.arn(), "SecretName": next.Name, "VersionId": next.Versions[0].ID, "SecretType": next.Type,
	}
	if next.Instance != "" {
		answer["DKMSInstanceId"] = next.Instance
	}
	if failure := c.setTags(next, tags); failure != nil {
		return nil, failure
	}
	if failure := c.mayEncrypt(next); failure != nil {
		return nil, failure
	}
	found, taken := c.server.secrets.LookupLocked(next.Ref(), c.now)
	switch {
	case taken && found.pendingDeletion():
		return nil, fail(codeInDeleteWindow, "secret in delete period")
	case taken && c.switches.IdempotentCreate && found.holds(next.Versions[0]):
		return answer, nil
	case taken:
		return nil, fail(codeExists, "The resource already exists.")
	case c.switches.SecretLimit > 0 && len(c.server.secrets.ListLocked(next.Account, next.Region, c.now)) >= c.switches.SecretLimit:
		return nil, fail(codeLimitExceeded, "The number of secrets exceeds the quota.")
	}
	return answer, c.store(next)
}

// mayEncrypt checks the key and the instance of a new secret.
func (c *call) mayEncrypt(next *secret) *emulator.Failure {
	switch {
	case next.Instance != "" && !c.server.hasInstance(next.Instance):
		return fail(codeInstanceNotFound, "The specified DKMS instance is not found.")
	case next.KMSKeyID == "" && c.switches.KeyRequired:
		return fail(codeKeyNotFound, "There is no key for secrets that name none.")
	}
	if failure := c.keyUsable(next.KMSKeyID, "GenerateDataKey"); failure != nil {
		return failure
	}
	if key, found := c.server.KMSKeys().Find(c.Region, next.KMSKeyID); found && key.Instance != next.Instance {
		return invalid("EncryptionKeyId") // key and secret must be in one instance
	}
	return nil
}

// holds tells whether the secret has a version with that id and value.
func (s *secret) holds(v version) bool {
	found, ok := s.find(v.ID)
	return ok && found.Data == v.Data
}

func putSecretValue(c *call, r *reader) work {
	name := r.secretName()
	r.need("VersionId")
	data, binary := r.value(c.switches)
	added := version{ID: r.versionID("VersionId"), Data: data, Binary: binary}
	labels := r.labels()
	return func() (reply, *emulator.Failure) {
		next, failure := c.writable(name)
		if failure != nil {
			return nil, failure
		}
		if failure := c.keyUsable(next.KMSKeyID, "GenerateDataKey"); failure != nil {
			return nil, failure
		}
		return c.put(next, added, labels)
	}
}

// put adds a version, or moves labels to it if it is there already.
func (c *call) put(next *secret, added version, labels []string) (reply, *emulator.Failure) {
	added.Created = c.now
	existing, repeated := next.find(added.ID)
	differs := repeated && (!next.holds(added) || c.switches.CompareDataType && existing.Binary != added.Binary)
	if differs || c.switches.EvictedIDsTaken && slices.Contains(next.Evicted, added.ID) {
		return nil, c.versionConflict()
	}
	if !repeated {
		next.Versions = append(next.Versions, added)
	}
	if !repeated || c.switches.RepeatMovesLabels {
		for _, label := range labels {
			next.mark(label, added.ID)
		}
		if failure := c.checkLabels(next); failure != nil {
			return nil, failure
		}
		next.evict(maxVersions)
		if failure := c.store(next); failure != nil {
			return nil, failure
		}
	}
	return reply{
		"SecretName": next.Name, "VersionId": added.ID,
		"VersionStages": reply{"VersionStage": next.labelsOf(added.ID)},
	}, nil
}

func (c *call) versionConflict() *emulator.Failure {
	code := c.switches.VersionConflictCode
	if code == "" {
		code = codeExists
	}
	return fail(code, "The version exists with another value.")
}

func getSecretValue(c *call, r *reader) work {
	name := r.secretName()
	id, label := r.parameters["VersionId"], r.parameters["VersionStage"]
	fetchConfig := r.flag("FetchExtendedConfig", false)
	r.flag("DryRun", false)
	return func() (reply, *emulator.Failure) {
		found, failure := c.secret(name)
		if failure != nil {
			return nil, failure
		}
		if found.pendingDeletion() && !c.switches.ReadableInWindow {
			return nil, c.switches.pendingDeletion()
		}
		v, failure := c.choose(found, id, label)
		if failure != nil {
			return nil, failure
		}
		if failure := c.keyUsable(found.KMSKeyID, "Decrypt"); failure != nil {
			return nil, failure
		}
		return c.show(found, v, fetchConfig), nil
	}
}

// choose returns the version that a reader means.
func (c *call) choose(s *secret, id, label string) (version, *emulator.Failure) {
	if s.Type != typeGeneric {
		if label != "" && label != labelCurrent && label != labelPrevious {
			return version{}, invalid("VersionStage")
		}
		id = "" // not for managed secrets
	}
	var v version
	var ok bool
	switch {
	case id != "":
		v, ok = s.find(id)
		if c.switches.BothMustMatch && label != "" && s.Labels[label] != id {
			ok = false
		}
	case label != "":
		v, ok = s.labelled(label)
	default:
		v, ok = s.labelled(labelCurrent)
	}
	if !ok {
		return version{}, c.switches.versionNotFound()
	}
	return v, nil
}

// show is a version with its value.
func (c *call) show(s *secret, v version, fetchConfig bool) reply {
	created, dataType := s.Created, "text"
	if c.switches.VersionCreateTime {
		created = v.Created
	}
	if v.Binary {
		dataType = "binary"
	}
	answer := reply{
		"SecretName": s.Name, "VersionId": v.ID, "SecretData": v.Data, "SecretDataType": dataType, "SecretType": s.Type,
		"VersionStages": reply{"VersionStage": s.labelsOf(v.ID)}, "CreateTime": timeText(created),
	}
	if s.Managed != nil {
		s.Managed.describe(answer, fetchConfig)
	}
	return answer
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
