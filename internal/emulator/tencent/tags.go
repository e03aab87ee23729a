// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"crypto/md5" //nolint:gosec // what the service returns
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// The Tag service (API version 2018-08-13), as far as it changes and lists the
// tags of secrets. It makes tags that don't exist, as Terraform relies on.

// tagOperations are its calls that the emulator knows.
var tagOperations = map[string]operation{
	"ModifyResourceTags":                takes(modifyResourceTags),
	"DescribeResourceTagsByResourceIds": takes(describeResourceTags),
}

// Limits of its calls.
const (
	maxTagsPerCall      = 10 // of each list
	maxResourcesPerCall = 50
	defaultTagPage      = 15
)

// resourceForm is the name of a secret in six segments. Without an uin it is of
// the caller's account.
var (
	resourceForm   = regexp.MustCompile(`^qcs::ssm:([a-z0-9-]+):uin/(\d*):secret/(creatorUin/.*)$`)
	resourceIDForm = regexp.MustCompile(`^creatorUin/(\d+)/([A-Za-z0-9_-]+)$`)
)

// tagged returns the secret that a resource id names. Whether the Tag service
// itself knows which resources there are isn't documented.
func (c *call) tagged(region, id, code string) (*secret, *emulator.Failure) {
	m := resourceIDForm.FindStringSubmatch(id)
	if m == nil {
		return nil, fail(code, "The resource id isn't one of a secret.")
	}
	found, ok := c.server.secrets.LookupLocked(emulator.Ref{Account: c.Account.AccountID, Region: region, Name: m[2]}, c.now)
	if !ok || strconv.FormatUint(found.CreateUin, 10) != m[1] {
		return nil, fail(code, "There is no such resource.")
	}
	return found, nil
}

type modifyTagsParameters struct {
	Resource    string `need:"true"`
	ReplaceTags []tag
	DeleteTags  []tagKey
}

type tagKey struct {
	TagKey string `need:"true"`
}

func modifyResourceTags(c *call, p modifyTagsParameters) (reply, *emulator.Failure) {
	m := resourceForm.FindStringSubmatch(p.Resource)
	if len(m) == 0 || m[2] != "" && m[2] != c.Account.AccountID {
		return nil, fail(codeResource, "The resource isn't described in six segments, or isn't the caller's.")
	}
	found, failure := c.tagged(m[1], m[3], codeResource)
	if failure != nil {
		return nil, failure
	}
	if failure := p.check(); failure != nil {
		return nil, failure
	}
	next := found.copy()
	next.Tags = maps.Clone(found.Tags)
	for _, gone := range p.DeleteTags {
		if _, there := next.Tags[gone.TagKey]; !there && c.switches.StrictTagRemoval {
			return nil, fail(codeFailedOperation, "The resource doesn't have the tag.")
		}
		delete(next.Tags, gone.TagKey)
	}
	if next.Tags == nil {
		next.Tags = map[string]string{}
	}
	for _, t := range p.ReplaceTags {
		next.Tags[t.TagKey] = t.TagValue
	}
	if len(next.Tags) > maxTags {
		return nil, fail(codeAttachedTags, "The resource would have more than 50 tags.")
	}
	return reply{}, c.store(next)
}

// check looks at the two lists by themselves.
func (p modifyTagsParameters) check() *emulator.Failure {
	switch {
	case p.ReplaceTags == nil && p.DeleteTags == nil:
		return missing("ReplaceTags")
	case p.ReplaceTags != nil && len(p.ReplaceTags) == 0, p.DeleteTags != nil && len(p.DeleteTags) == 0:
		return fail(codeTagParameter, "A list of tags may be absent, but not empty.")
	case max(len(p.ReplaceTags), len(p.DeleteTags)) > maxTagsPerCall:
		return fail(codeTagsPerRequest, "A call takes at most 10 tags of each list.")
	}
	replaced := map[string]bool{}
	for _, t := range p.ReplaceTags {
		if replaced[t.TagKey] {
			return fail(codeTagKeyDuplicate, "A tag key was given twice.")
		}
		replaced[t.TagKey] = true
		if failure := cmp.Or(checkTagKey(t.TagKey), checkTagValue(t.TagValue)); failure != nil {
			return failure
		}
	}
	for _, t := range p.DeleteTags {
		if replaced[t.TagKey] {
			return fail(codeDeleteTags, "A tag key is in both lists.")
		}
		if failure := checkTagKey(t.TagKey); failure != nil {
			return failure
		}
	}
	return nil
}

func checkTagKey(key string) *emulator.Failure {
	switch {
	case key == "":
		return fail(codeTagKeyEmpty, "A tag key is empty.")
	case utf8.RuneCountInString(key) > maxTagKey:
		return fail(codeTagKeyLength, "A tag key is too long.")
	case reservedTagKey(key):
		return fail(codeReservedTagKey, "A tag key is reserved.")
	case !tagText(key, maxTagKey):
		return fail(codeTagKeyCharacter, "A tag key has a character that is not allowed.")
	}
	return nil
}

func checkTagValue(value string) *emulator.Failure {
	switch {
	case value == "":
		return fail(codeTagValueEmpty, "A tag value is empty.")
	case utf8.RuneCountInString(value) > maxTagValue:
		return fail(codeTagValueLength, "A tag value is too long.")
	case !tagText(value, maxTagValue):
		return fail(codeTagValueCharacter, "A tag value has a character that is not allowed.")
	}
	return nil
}

type describeTagsParameters struct {
	ServiceType    string   `need:"true"`
	ResourcePrefix string   `need:"true"`
	ResourceIds    []string `need:"true"` //nolint:revive // the API's spelling
	ResourceRegion string   `need:"true"`
	Offset         uint64
	Limit          uint64
}

func describeResourceTags(c *call, p describeTagsParameters) (reply, *emulator.Failure) {
	limit := cmp.Or(p.Limit, defaultTagPage)
	switch {
	case p.ServiceType != ssmName:
		return nil, fail(codeServiceType, "This emulator has the tags of ssm only.")
	case p.ResourcePrefix != "secret":
		return nil, fail(codeResourcePrefix, "The prefix of secrets is secret.")
	case !slices.Contains(c.server.regions, p.ResourceRegion):
		return nil, fail(codeTagRegion, "There is no such region.")
	case len(p.ResourceIds) > maxResourcesPerCall:
		return nil, fail(codeResourcePerRequest, "A call takes at most 50 resources.")
	case p.Offset%limit != 0:
		return nil, fail(codeOffset, "Offset must be a multiple of Limit.")
	}
	rows := []reply{}
	for _, id := range p.ResourceIds {
		found, failure := c.tagged(p.ResourceRegion, id, codeResourceID)
		if failure != nil {
			return nil, failure
		}
		for _, key := range slices.Sorted(maps.Keys(found.Tags)) {
			value := found.Tags[key]
			rows = append(rows, reply{
				"TagKey": key, "TagValue": value, "ResourceId": id, "ServiceType": ssmName,
				"TagKeyMd5": digestMD5(key), "TagValueMd5": digestMD5(value),
			})
		}
	}
	total := uint64(len(rows))
	page := rows[min(p.Offset, total):min(p.Offset+min(limit, total), total)]
	return reply{"TotalCount": total, "Offset": p.Offset, "Limit": limit, "Tags": page}, nil
}

func digestMD5(text string) string {
	digest := md5.Sum([]byte(text)) //nolint:gosec // what the service returns
	return hex.EncodeToString(digest[:])
}
