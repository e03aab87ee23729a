// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"context"
	"maps"
	"slices"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// MoveCurrent implements provider.CurrentMover by UpdateSecretVersionStage. The
// service takes the label from the version that has it, which becomes the
// previous one; naming that version isn't needed.
func (d *destination) MoveCurrent(ctx context.Context, name, versionID string) error {
	request := kms.CreateUpdateSecretVersionStageRequest()
	request.SecretName = name
	request.VersionStage = currentLabel
	request.MoveToVersion = versionID
	_, err := call(ctx, d, request, kms.CreateUpdateSecretVersionStageResponse())
	if !vague(err) {
		return err
	}
	if explained := d.explain(ctx, name, err); explained != nil {
		return explained
	}
	v, absent := d.version(ctx, name, versionID, err)
	switch {
	case absent != nil:
		return absent
	case slices.Contains(v.Labels, currentLabel):
		return nil // moving a label to where it is may be refused
	}
	return err
}

const (
	secretResource = "secret" // a ResourceType
	maxTagsPerCall = 20
)

// ChangeTags implements provider.Tagger by UntagResources and TagResources, the
// pair that ignores keys that aren't set. Removing goes first, so that the new
// ones don't exceed the limit. A key in both is removed.
func (d *destination) ChangeTags(ctx context.Context, name string, set map[string]string, remove []string) error {
	done := false // whether a call has had its effect
	for keys := range slices.Chunk(remove, maxTagsPerCall) {
		request := kms.CreateUntagResourcesRequest()
		request.ResourceType = secretResource
		request.ResourceId = &[]string{name}
		request.TagKey = &keys
		if _, err := call(ctx, d, request, kms.CreateUntagResourcesResponse()); err != nil {
			return provider.Partly(done, err)
		}
		done = true
	}
	wanted := slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(key string) bool { return slices.Contains(remove, key) })
	for keys := range slices.Chunk(wanted, maxTagsPerCall) {
		tags := make([]kms.TagResourcesTag, 0, len(keys))
		for _, key := range keys {
			tags = append(tags, kms.TagResourcesTag{Key: key, Value: set[key]})
		}
		request := kms.CreateTagResourcesRequest()
		request.ResourceType = secretResource
		request.ResourceId = &[]string{name}
		request.Tag = &tags
		if _, err := call(ctx, d, request, kms.CreateTagResourcesResponse()); err != nil {
			return provider.Partly(done, err)
		}
		done = true
	}
	return nil
}
