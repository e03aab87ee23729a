// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"
	tag "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/tag/v20180813"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// maxTagsPerCall is how many tags ModifyResourceTags sets, or removes, at once.
const maxTagsPerCall = 10

// resource is a secret as the Tag service knows it.
type resource struct {
	region string
	id     string // creatorUin/CREATOR/NAME
}

// String returns the resource's name in six segments. The main account's uin
// stays empty, for the caller's own: Tencent's Terraform provider does so.
func (r resource) String() string {
	return "qcs::" + serviceSSM + ":" + r.region + ":uin/:" + resourcePrefix + "/" + r.id
}

const resourcePrefix = "secret"

// resource describes the secret to find out who created it, which is a part of
// its name.
func (d *destination) resource(ctx context.Context, name string) (resource, error) {
	r, err := d.describe(ctx, name)
	if err != nil {
		return resource{}, err
	}
	return d.resourceOf(name, r)
}

func (d *destination) resourceOf(name string, r *ssm.DescribeSecretResponseParams) (resource, error) {
	creator := at(r.CreateUin)
	if creator == 0 {
		return resource{}, &provider.Error{
			Class: provider.ClassUnavailable, Operation: "DescribeSecret", RequestID: at(r.RequestId),
			Message: "the service's answer has no creator of the secret, by which its tags are found",
		}
	}
	return resource{d.region, fmt.Sprintf("creatorUin/%d/%s", creator, name)}, nil
}

// DescribeTagged implements provider.TagReader by DescribeSecret, which names the
// creator, and the Tag service's DescribeResourceTagsByResourceIds.
func (d *destination) DescribeTagged(ctx context.Context, name string) (provider.Secret, map[string]string, error) {
	r, err := d.describe(ctx, name)
	if err != nil {
		return provider.Secret{}, nil, err
	}
	of, err := d.resourceOf(name, r)
	if err != nil {
		return provider.Secret{}, nil, err
	}
	tags, err := d.tags(ctx, of)
	if err != nil {
		return provider.Secret{}, nil, err
	}
	return described(name, r), tags, nil
}

// ChangeTags implements provider.Tagger by the Tag service's ModifyResourceTags,
// which makes tags that the account hasn't had yet, as Terraform relies on.
// Removing goes first, in calls of its own, so that the new ones don't exceed
// the limit. A key in both is removed.
func (d *destination) ChangeTags(ctx context.Context, name string, set map[string]string, remove []string) error {
	if len(set)+len(remove) == 0 {
		return nil
	}
	on, err := d.resource(ctx, name)
	if err != nil {
		return err
	}
	done := false // whether a call has had its effect
	for keys := range slices.Chunk(remove, maxTagsPerCall) {
		if err := d.removeTags(ctx, on, keys); err != nil {
			return provider.Partly(done, err)
		}
		done = true
	}
	wanted := slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(key string) bool { return slices.Contains(remove, key) })
	for keys := range slices.Chunk(wanted, maxTagsPerCall) {
		var tags []*tag.Tag
		for _, key := range keys {
			value := set[key]
			tags = append(tags, &tag.Tag{TagKey: &key, TagValue: &value})
		}
		if err := d.modifyTags(ctx, on, tags, nil); err != nil {
			return provider.Partly(done, err)
		}
		done = true
	}
	return nil
}

// removeTags takes tags away. Whether a key that the secret doesn't have is
// refused isn't documented; then those are removed that it has.
func (d *destination) removeTags(ctx context.Context, from resource, keys []string) error {
	err := d.modifyTags(ctx, from, nil, keys)
	if code := codeOf(err); code != codeFailedOperation && code != codeTagParameter && !strings.HasPrefix(code, "ResourceNotFound") {
		return err
	}
	have, lookErr := d.tags(ctx, from)
	if lookErr != nil {
		return lookErr
	}
	there := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { _, ok := have[key]; return !ok })
	switch len(there) {
	case 0:
		return nil
	case len(keys):
		return err
	}
	return d.modifyTags(ctx, from, nil, there)
}

// modifyTags makes one call. Neither list may be sent empty.
func (d *destination) modifyTags(ctx context.Context, on resource, set []*tag.Tag, remove []string) error {
	request := tag.NewModifyResourceTagsRequest()
	name := on.String()
	request.Resource = &name
	request.ReplaceTags = set
	for _, key := range remove {
		request.DeleteTags = append(request.DeleteTags, &tag.TagKeyObject{TagKey: &key})
	}
	_, err := callTags(ctx, d, (*tag.Client).ModifyResourceTagsWithContext, request)
	return err
}

// tagPage is the Tag service's default for a page. No maximum is documented, and
// offsets must be multiples of it.
const tagPage = uint64(15)

// tags returns all tags of a secret, whoever gave them, by
// DescribeResourceTagsByResourceIds.
func (d *destination) tags(ctx context.Context, of resource) (map[string]string, error) {
	service, prefix, limit := serviceSSM, resourcePrefix, tagPage
	found := map[string]string{}
	for offset := uint64(0); ; offset += tagPage {
		request := tag.NewDescribeResourceTagsByResourceIdsRequest()
		request.ServiceType, request.ResourcePrefix = &service, &prefix
		request.ResourceIds, request.ResourceRegion = []*string{&of.id}, &of.region
		request.Offset, request.Limit = &offset, &limit
		answer, err := callTags(ctx, d, (*tag.Client).DescribeResourceTagsByResourceIdsWithContext, request)
		if err != nil {
			return nil, err
		}
		rows, before := answer.Response.Tags, len(found)
		for _, row := range rows {
			if row != nil {
				found[at(row.TagKey)] = at(row.TagValue)
			}
		}
		// A page without news would come for ever.
		if uint64(len(rows)) < tagPage || len(found) == before {
			return found, nil
		}
	}
}
