// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"maps"
	"net/http"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// tagged returns the secret whose id the path has.
func (c *call) tagged() (*secret, *emulator.Failure) {
	id := c.values["secret_id"]
	if !idForm.MatchString(id) {
		return nil, invalid("secret_id is a UUID")
	}
	for _, s := range c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now) {
		if s.ID == id {
			return c.server.present(s, c.now), nil
		}
	}
	return nil, c.switches.notFound(codeNotFound)
}

// retaggable returns a copy of the secret whose id the path has.
func (c *call) retaggable() (*secret, *emulator.Failure) {
	found, failure := c.tagged()
	if failure != nil {
		return nil, failure
	}
	if found.State == statePendingDelete && !c.switches.TagsWhilePending {
		return nil, fail(codePendingDelete)
	}
	return found.copy(), nil
}

type tagBatch struct {
	Action   string `json:"action"`
	Tags     []tag  `json:"tags"`
	Sequence string `json:"sequence"`
}

func batchTags(c *call, b tagBatch) (any, *emulator.Failure) {
	next, failure := c.retaggable()
	switch {
	case failure != nil:
		return nil, failure
	case len(b.Tags) == 0 || len(b.Tags) > maxTags:
		return nil, invalid("1 to 20 tags must be given")
	case b.Action == "create":
		return c.addTags(next, b.Tags)
	case b.Action != "delete":
		return nil, invalid("action must be create or delete")
	}
	for _, t := range b.Tags {
		delete(next.Tags, t.Key)
	}
	return noBody(http.StatusNoContent), c.store(next)
}

type tagCreation struct {
	Tag tag `json:"tag"`
}

func createTag(c *call, b tagCreation) (any, *emulator.Failure) {
	next, failure := c.retaggable()
	if failure != nil {
		return nil, failure
	}
	return c.addTags(next, []tag{b.Tag})
}

func (c *call) addTags(next *secret, tags []tag) (any, *emulator.Failure) {
	given := make(map[string]string, len(tags))
	for _, t := range tags {
		if failure := t.check(); failure != nil {
			return nil, failure
		}
		if _, twice := given[t.Key]; twice {
			return nil, invalid("a tag key is given twice")
		}
		if _, used := next.Tags[t.Key]; used && c.switches.RefuseOverwrite {
			return nil, invalid("the tag key is in use")
		}
		given[t.Key] = t.Value
	}
	if next.Tags == nil {
		next.Tags = make(map[string]string)
	}
	maps.Copy(next.Tags, given)
	if len(next.Tags) > maxTags {
		if c.switches.KMSTagCodes {
			return nil, fail(codeKMSTagQuota)
		}
		return nil, invalid("a secret has 20 tags at most")
	}
	return noBody(http.StatusNoContent), c.store(next)
}

func deleteTag(c *call) (any, *emulator.Failure) {
	next, failure := c.retaggable()
	if failure != nil {
		return nil, failure
	}
	if _, ok := next.Tags[c.values["key"]]; !ok {
		if c.switches.KMSTagCodes {
			return nil, fail(codeKMSTagNotFound)
		}
		return nil, c.switches.notFound(codeNotFound)
	}
	delete(next.Tags, c.values["key"])
	return noBody(http.StatusNoContent), c.store(next)
}

func listTags(c *call) (any, *emulator.Failure) {
	found, failure := c.tagged()
	if failure != nil {
		return nil, failure
	}
	tags := []tag{}
	for _, key := range slices.Sorted(maps.Keys(found.Tags)) {
		tags = append(tags, tag{key, found.Tags[key]})
	}
	return object{"tags": tags, "sys_tags": nil}, nil
}
