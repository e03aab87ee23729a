// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"strconv"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// resource reads which resource the tag operations for a single one mean.
func (r *reader) resource() string {
	given := 0
	for _, name := range []string{"SecretName", "KeyId", "CertificateId"} {
		if r.parameters[name] != "" {
			given++
		}
	}
	r.check("SecretName", given <= 1)
	if given == 1 && r.parameters["SecretName"] == "" {
		r.refuse(fail(codeUnsupported, "This emulator has tags for secrets only."))
		return ""
	}
	return r.secretName()
}

func tagResource(c *call, r *reader) work {
	name := r.resource()
	r.need("Tags")
	var list []tag
	r.decode("Tags", &list)
	tags := r.tags("Tags", list, c.switches)
	return func() (reply, *emulator.Failure) {
		return c.retag([]string{name}, func(s *secret) *emulator.Failure { return c.setTags(s, tags) })
	}
}

func untagResource(c *call, r *reader) work {
	name := r.resource()
	r.need("TagKeys")
	var keys []string
	r.decode("TagKeys", &keys)
	for _, key := range keys {
		r.check("TagKeys", tagKey(key, c.switches))
	}
	return func() (reply, *emulator.Failure) { return c.retag([]string{name}, without(keys, false)) }
}

// without is a change that removes tags; keys that aren't set are ignored.
func without(keys []string, all bool) func(*secret) *emulator.Failure {
	return func(s *secret) *emulator.Failure {
		for _, key := range keys {
			delete(s.Tags, key)
		}
		if all && len(keys) == 0 {
			clear(s.Tags)
		}
		return nil
	}
}

// retag changes the tags of all the named secrets, or of none.
func (c *call) retag(names []string, change func(*secret) *emulator.Failure) (reply, *emulator.Failure) {
	var changed []*secret
	for _, name := range names {
		next, failure := c.editable(name)
		if failure != nil {
			return nil, failure
		}
		if failure := change(next); failure != nil {
			return nil, failure
		}
		changed = append(changed, next)
	}
	for _, next := range changed {
		if failure := c.store(next); failure != nil {
			return nil, failure
		}
	}
	return reply{}, nil
}

// listResourceTags is for keys alone, and keys have no tags here.
func listResourceTags(c *call, r *reader) work {
	id := r.need("KeyId")
	return func() (reply, *emulator.Failure) {
		if _, found := c.server.KMSKeys().Find(c.Region, id); !found {
			return nil, fail(codeKeyNotFound, "The specified Key is not found.")
		}
		return reply{"Tags": reply{"Tag": []reply{}}}, nil
	}
}

// resources reads what the tag operations for several resources have in common.
func (r *reader) resources(needed bool) []string {
	r.need("RegionId")
	r.need("ResourceType")
	r.check("ResourceType", r.parameters["ResourceType"] == "secret")
	if needed {
		r.need("ResourceId.1")
	}
	items := r.list("ResourceId", "")
	names := make([]string, 0, len(items))
	for _, item := range items {
		names = append(names, item[""])
	}
	r.check("ResourceId", len(names) <= maxTagged)
	return names
}

// numberedTags reads Tag.1.Key, Tag.1.Value and so on.
func (r *reader) numberedTags() []tag {
	items := r.list("Tag", ".Key", ".Value")
	list := make([]tag, 0, len(items))
	for _, item := range items {
		list = append(list, tag{item[".Key"], item[".Value"]})
	}
	r.check("Tag", len(list) <= 20)
	return list
}

func tagResources(c *call, r *reader) work {
	names := r.resources(true)
	r.need("Tag.1.Key")
	tags := r.tags("Tag", r.numberedTags(), c.switches)
	return func() (reply, *emulator.Failure) {
		return c.retag(names, func(s *secret) *emulator.Failure { return c.setTags(s, tags) })
	}
}

func untagResources(c *call, r *reader) work {
	names, all := r.resources(true), r.flag("All", false)
	items := r.list("TagKey", "")
	keys := make([]string, 0, len(items))
	for _, item := range items {
		keys = append(keys, item[""])
		r.check("TagKey", tagKey(item[""], c.switches))
	}
	r.check("TagKey", len(keys) <= 20)
	if !all && len(keys) == 0 {
		r.need("TagKey.1")
	}
	return func() (reply, *emulator.Failure) { return c.retag(names, without(keys, all)) }
}

func listTagResources(c *call, r *reader) work {
	names, wanted := r.resources(false), r.numberedTags()
	from := r.number("NextToken", 0, maxPageNumber, 0) // the token is the number of rows before
	return func() (reply, *emulator.Failure) {
		rows := []reply{}
		for _, s := range c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now) {
			if among(names, s.Name) && s.hasTags(wanted) {
				for _, row := range s.tagRows() {
					row["ResourceId"], row["ResourceType"] = s.Name, "secret"
					rows = append(rows, row)
				}
			}
		}
		next := ""
		rows = rows[min(from, len(rows)):]
		if len(rows) > maxTagPage {
			rows, next = rows[:maxTagPage], strconv.Itoa(from+maxTagPage)
		}
		return reply{"NextToken": next, "TagResources": reply{"TagResource": rows}}, nil
	}
}

// among tells whether name is one of names, of which none means all.
func among(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return len(names) == 0
}

// hasTags tells whether the secret has all tags; one without a value stands for any.
func (s *secret) hasTags(wanted []tag) bool {
	for _, t := range wanted {
		value, there := s.Tags[t.TagKey]
		if !there || t.TagValue != "" && t.TagValue != value {
			return false
		}
	}
	return true
}
