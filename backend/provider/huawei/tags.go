// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"context"
	"maps"
	"slices"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Actions of BatchCreateOrDeleteTags.
const (
	tagsCreate = "create"
	tagsDelete = "delete"
)

// addTags gives tags to a secret that has none.
func (d *destination) addTags(ctx context.Context, secretID *string, tags map[string]string) error {
	if secretID == nil {
		return createSecret.lacking(d, "id, by which tags are given")
	}
	return d.batch(ctx, *secretID, tagsCreate, tags)
}

// ChangeTags implements provider.Tagger by BatchCreateOrDeleteTags. Tags are
// addressed by the secret's id, so it is shown first; and they are listed, so
// that only what differs is sent. Removing comes first, to make room.
func (d *destination) ChangeTags(ctx context.Context, name string, set map[string]string, remove []string) error {
	if len(set)+len(remove) == 0 {
		return nil
	}
	shown, err := d.show(ctx, name)
	if err != nil {
		return err
	}
	if shown.Id == nil {
		return showSecret.lacking(d, "id, by which tags are given")
	}
	have, err := d.tags(ctx, *shown.Id)
	if err != nil {
		return err
	}
	gone := maps.Clone(have)
	maps.DeleteFunc(gone, func(key, _ string) bool { return !slices.Contains(remove, key) })
	wanted := maps.Clone(set)
	maps.DeleteFunc(wanted, func(key, value string) bool {
		there, ok := have[key]
		return ok && there == value
	})
	if err := d.batch(ctx, *shown.Id, tagsDelete, gone); err != nil {
		return err
	}
	replaced := maps.Clone(have)
	maps.DeleteFunc(replaced, func(key, _ string) bool { _, ok := wanted[key]; return !ok })
	return provider.Partly(len(gone) > 0, d.replaceTags(ctx, *shown.Id, wanted, replaced))
}

// replaceTags sets tags. Whether a key that is there gets the new value isn't
// documented; where it is refused, the old ones are taken away before.
func (d *destination) replaceTags(ctx context.Context, secretID string, wanted, replaced map[string]string) error {
	err := d.batch(ctx, secretID, tagsCreate, wanted)
	if err == nil || len(replaced) == 0 || !unspecific(err) {
		return err
	}
	if err := d.batch(ctx, secretID, tagsDelete, replaced); err != nil {
		return err
	}
	return provider.Partly(true, d.batch(ctx, secretID, tagsCreate, wanted))
}

// DescribeTagged implements provider.TagReader by ShowSecret, which gives the id,
// and ListSecretTags.
func (d *destination) DescribeTagged(ctx context.Context, name string) (provider.Secret, map[string]string, error) {
	shown, err := d.show(ctx, name)
	if err != nil {
		return provider.Secret{}, nil, err
	}
	if shown.Id == nil {
		return provider.Secret{}, nil, showSecret.lacking(d, "id, by which tags are listed")
	}
	tags, err := d.tags(ctx, *shown.Id)
	if err != nil {
		return provider.Secret{}, nil, err
	}
	s := secret(shown)
	s.Name = name
	return s, tags, nil
}

func (d *destination) tags(ctx context.Context, secretID string) (map[string]string, error) {
	answer, err := listSecretTags.call(ctx, d, &model.ListSecretTagsRequest{SecretId: secretID})
	if err != nil {
		return nil, err
	}
	if answer.Tags == nil {
		return nil, listSecretTags.lacking(d, "tags")
	}
	tags := map[string]string{}
	for _, t := range *answer.Tags {
		tags[t.Key] = at(t.Value)
	}
	return tags, nil
}

// batch makes no call without tags. Whether a deletion looks at the values isn't
// documented, so they should be those that are there.
func (d *destination) batch(ctx context.Context, secretID, action string, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	body := &model.BatchCreateOrDeleteTagsRequestBody{Action: action}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		body.Tags = append(body.Tags, model.TagItem{Key: key, Value: &value})
	}
	_, err := batchTags.call(ctx, d, &model.BatchCreateOrDeleteTagsRequest{SecretId: secretID, Body: body})
	return err
}
