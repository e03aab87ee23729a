// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Create implements provider.Writer by CreateSecret.
func (d *destination) Create(ctx context.Context, name string, s provider.NewSecret) (provider.Created, error) {
	request := kms.CreateCreateSecretRequest()
	request.SecretName = name
	request.VersionId = s.VersionID
	request.SecretData = encode(s.Value)
	request.SecretDataType = dataType(s.Value)
	request.Description = s.Description
	request.EncryptionKeyId = s.KMSKeyID
	request.DKMSInstanceId = d.instance
	if len(s.Tags) > 0 {
		request.Tags = tagList(s.Tags)
	}
	answer, err := call(ctx, d, request, kms.CreateCreateSecretResponse(), s.Value)
	switch {
	case err != nil:
		return provider.Created{}, err
	case answer.SecretName == "":
		return provider.Created{}, failed("CreateSecret").incomprehensible()
	}
	return provider.Created{VersionID: s.VersionID}, nil
}

// tagList is tags in the form of CreateSecret.
func tagList(tags map[string]string) string {
	type tag struct{ TagKey, TagValue string }
	list := make([]tag, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tag{key, tags[key]})
	}
	encoded, _ := json.Marshal(list) // two texts always encode
	return string(encoded)
}

// PutVersion implements provider.Writer by PutSecretValue. The service takes the
// same value under the same id again and ignores it; whether it then gives the
// current label back to an older version isn't documented. Which code another
// value gets isn't either, so a refused version is looked at.
func (d *destination) PutVersion(ctx context.Context, name, versionID string, v provider.Value) (string, error) {
	request := kms.CreatePutSecretValueRequest()
	request.SecretName = name
	request.VersionId = versionID
	request.SecretData = encode(v)
	request.SecretDataType = dataType(v)
	answer, err := call(ctx, d, request, kms.CreatePutSecretValueResponse(), v)
	switch {
	case err != nil:
		err = d.compare(ctx, name, versionID, v, err)
	case answer.SecretName == "":
		err = failed("PutSecretValue").incomprehensible()
	}
	if err != nil {
		return "", err
	}
	return versionID, nil
}

// compare looks into a refused put. It returns nil if the version is there with
// the same value, and otherwise an error that says what stands in the way.
func (d *destination) compare(ctx context.Context, name, versionID string, v provider.Value, refused error) error {
	if !vague(refused) {
		return refused
	}
	if explained := d.explain(ctx, name, refused); explained != nil {
		return explained
	}
	there, err := d.value(ctx, name, versionID)
	switch {
	case vague(err):
		return refused // there is no such version: it isn't taken
	case err != nil:
		return err
	case !there.Equal(v):
		return withMessage(refused, provider.ClassConflict, "version "+versionID+" is there already with another value")
	}
	return nil
}

// SetDescription implements provider.Writer by UpdateSecret. It isn't documented
// that an empty description takes the old one away, so then a second call looks.
func (d *destination) SetDescription(ctx context.Context, name, description string) error {
	request := kms.CreateUpdateSecretRequest()
	request.SecretName = name
	request.QueryParams["Description"] = description // the field would leave out an empty one
	_, err := call(ctx, d, request, kms.CreateUpdateSecretResponse())
	if err != nil || description != "" {
		return err
	}
	s, err := d.Describe(ctx, name)
	switch {
	case err != nil:
		return provider.Partly(true, err)
	case s.Description != "":
		return invalid("the service keeps the old description when the new one is empty; give the secret a description")
	}
	return nil
}

// Delete implements provider.Writer by DeleteSecret. A part of a day counts as a
// whole one, so that nothing goes earlier than asked. Force and window exclude
// each other.
func (d *destination) Delete(ctx context.Context, name string, window time.Duration) error {
	const day = 24 * time.Hour
	request := kms.CreateDeleteSecretRequest()
	request.SecretName = name
	if window <= 0 {
		request.ForceDeleteWithoutRecovery = "true"
	} else {
		request.RecoveryWindowInDays = strconv.FormatInt(int64((window+day-1)/day), 10)
	}
	_, err := call(ctx, d, request, kms.CreateDeleteSecretResponse())
	if provider.IsNotFound(err) || codeOf(err) == codeInDeleteWindow {
		return nil
	}
	return err
}

// Restore implements provider.Restorer by RestoreSecret.
func (d *destination) Restore(ctx context.Context, name string) error {
	request := kms.CreateRestoreSecretRequest()
	request.SecretName = name
	_, err := call(ctx, d, request, kms.CreateRestoreSecretResponse())
	if codeOf(err) == codeInUse {
		return nil // it isn't to be deleted
	}
	return err
}
