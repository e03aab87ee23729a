// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Create implements provider.Writer by CreateSecret. If that refuses tags because
// they must exist in the Tag service before, a second call makes the secret
// without; ChangeTags makes and gives them.
func (d *destination) Create(ctx context.Context, name string, s provider.NewSecret) (provider.Created, error) {
	answer, err := d.create(ctx, name, s)
	refused := err
	if codeOf(err) == codeTagsNotExisted {
		s.Tags = nil
		answer, err = d.create(ctx, name, s)
	}
	if err != nil {
		return provider.Created{}, err
	}
	created := provider.Created{VersionID: s.VersionID, TagsError: refused}
	if id := at(answer.VersionId); id != "" {
		created.VersionID = id
	}
	if code := at(answer.TagCode); code != 0 && len(s.Tags) > 0 {
		created.TagsError = d.tagsError(tagOutcome{"CreateSecret", answer.TagCode, answer.TagMsg, answer.RequestId}, s.Value)
	}
	return created, nil
}

// create makes the call.
func (d *destination) create(ctx context.Context, name string, s provider.NewSecret) (*ssm.CreateSecretResponseParams, error) {
	request := ssm.NewCreateSecretRequest()
	request.SecretName = &name
	if s.VersionID != "" {
		request.VersionId = &s.VersionID
	}
	request.Description = &s.Description
	request.SecretString, request.SecretBinary = fields(s.Value)
	if s.KMSKeyID != "" {
		request.KmsKeyId = &s.KMSKeyID
	}
	request.Tags = tagList(s.Tags)
	answer, err := call(ctx, d, (*ssm.Client).CreateSecretWithContext, request, s.Value)
	if err != nil {
		return nil, err
	}
	return answer.Response, nil
}

// tagList is tags as the creations take them, sorted by key; nil for none, because the SDK's
// JSON leaves out what is nil, and not what is empty.
func tagList(tags map[string]string) []*ssm.Tag {
	if len(tags) == 0 {
		return nil
	}
	list := make([]*ssm.Tag, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		list = append(list, &ssm.Tag{TagKey: &key, TagValue: &value})
	}
	return list
}

// tagOutcome is what the answer to a creation tells of the tags.
type tagOutcome struct {
	operation          string
	code               *uint64
	message, requestID *string
}

// tagsError is about a secret that was made without its tags. TagCode 1 is an
// internal error of the Tag service, 2 one of its rules.
func (d *destination) tagsError(r tagOutcome, sent ...provider.Value) error {
	f := failed(r.operation, d.secrets(sent)...)
	class, code := provider.ClassUnavailable, at(r.code)
	if code == 2 {
		class = provider.ClassInvalid
	}
	return &provider.Error{
		Class:     class,
		Operation: f.Operation,
		Code:      fmt.Sprintf("TagCode %d", code),
		RequestID: f.Scrub(at(r.requestID)),
		Message:   "the secret was made without its tags: " + f.Scrub(at(r.message)),
	}
}

// PutVersion implements provider.Writer by PutSecretValue. The service refuses
// a taken id whatever the value, so then the value there is read and compared.
func (d *destination) PutVersion(ctx context.Context, name, versionID string, v provider.Value) (string, error) {
	request := ssm.NewPutSecretValueRequest()
	request.SecretName = &name
	request.VersionId = &versionID
	request.SecretString, request.SecretBinary = fields(v)
	_, err := call(ctx, d, (*ssm.Client).PutSecretValueWithContext, request, v)
	if codeOf(err) == codeVersionIDExists {
		err = d.compare(ctx, name, versionID, v, err)
	}
	if refused := d.settle(ctx, name, err, writing); refused != nil {
		return "", refused
	}
	return versionID, nil
}

// compare returns nil if the taken version holds v, so that a repeated put
// succeeds, and otherwise an error that says what stands in the way.
func (d *destination) compare(ctx context.Context, name, versionID string, v provider.Value, taken error) error {
	there, err := d.Read(ctx, name, versionID)
	switch {
	case provider.ClassOf(err) == provider.ClassConflict:
		return withMessage(taken, "version %s is there already, and whether it holds the same value can't be told because the secret can't be read in its state; enable or restore it first", versionID)
	case err != nil:
		return err
	case !there.Equal(v):
		return withMessage(taken, "version %s is there already with another value", versionID)
	}
	return nil
}

// Overwrite implements provider.Overwriter by UpdateSecret.
func (d *destination) Overwrite(ctx context.Context, name, versionID string, v provider.Value) error {
	request := ssm.NewUpdateSecretRequest()
	request.SecretName = &name
	request.VersionId = &versionID
	request.SecretString, request.SecretBinary = fields(v)
	_, err := call(ctx, d, (*ssm.Client).UpdateSecretWithContext, request, v)
	return d.settle(ctx, name, err, writing)
}

// SetDescription implements provider.Writer by UpdateDescription.
func (d *destination) SetDescription(ctx context.Context, name, description string) error {
	request := ssm.NewUpdateDescriptionRequest()
	request.SecretName = &name
	request.Description = &description
	_, err := call(ctx, d, (*ssm.Client).UpdateDescriptionWithContext, request)
	return d.settle(ctx, name, err, writing)
}

// DeleteVersion implements provider.VersionDeleter by DeleteSecretVersion. The
// service has one answer for an absent version and an absent secret; both are
// success.
func (d *destination) DeleteVersion(ctx context.Context, name, versionID string) error {
	request := ssm.NewDeleteSecretVersionRequest()
	request.SecretName = &name
	request.VersionId = &versionID
	_, err := call(ctx, d, (*ssm.Client).DeleteSecretVersionWithContext, request)
	if provider.IsNotFound(err) {
		return nil
	}
	return err
}

func codeOf(err error) string {
	var e *provider.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// withMessage returns err, class Conflict, with other words.
func withMessage(err error, format string, args ...any) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	changed := *e
	changed.Class = provider.ClassConflict
	changed.Message = fmt.Sprintf(format, args...)
	return &changed
}
