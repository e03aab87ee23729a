// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// firstVersion is the id of the version that CreateSecret makes. Its answer
// doesn't name it.
const firstVersion = "v1"

// Create implements provider.Writer by CreateSecret, and a second call for the
// tags.
func (d *destination) Create(ctx context.Context, name string, s provider.NewSecret) (provider.Created, error) {
	body := &model.CreateSecretRequestBody{Name: name, Description: &s.Description}
	body.SecretString, body.SecretBinary = fields(s.Value)
	if s.KMSKeyID != "" {
		body.KmsKeyId = &s.KMSKeyID
	}
	if d.enterprise != "" {
		body.EnterpriseProjectId = &d.enterprise
	}
	answer, err := createSecret.call(ctx, d, &model.CreateSecretRequest{Body: body}, s.Value)
	if err != nil {
		return provider.Created{}, d.taken(ctx, name, err)
	}
	created := provider.Created{VersionID: firstVersion, KMSKeyID: at(at(answer.Secret).KmsKeyId)}
	if len(s.Tags) > 0 {
		created.TagsError = d.addTags(ctx, at(answer.Secret).Id, s.Tags)
	}
	return created, nil
}

// unspecific tells whether a refusal may be for a reason that has no documented
// code of its own: it says no more than that the request is wrong, or has a code
// that nobody has listed.
func unspecific(err error) bool {
	var e *provider.Error
	if !errors.As(err, &e) {
		return false
	}
	vague := []provider.Class{provider.ClassInternal, provider.ClassConflict}
	if e.Code != "" {
		vague = append(vague, provider.ClassPermission)
	}
	_, listed := verdicts[e.Code]
	return e.Class == provider.ClassInvalid || !listed && slices.Contains(vague, e.Class)
}

// taken finds out whether a creation was refused because the name is in use:
// the code for that isn't documented, and it may be one about the state that the
// secret of that name is in.
func (d *destination) taken(ctx context.Context, name string, refusal error) error {
	if !unspecific(refusal) && provider.ClassOf(refusal) != provider.ClassConflict {
		return refusal
	}
	switch _, err := d.show(ctx, name); {
	case provider.IsNotFound(err):
		return refusal
	case err != nil:
		return err
	}
	return because(refusal, provider.ClassExists, "a secret of that name is there already")
}

// PutVersion implements provider.Writer by CreateSecretVersion. With no stages
// named the service moves SYSCURRENT to the new version.
func (d *destination) PutVersion(ctx context.Context, name, _ string, v provider.Value) (string, error) {
	body := &model.CreateSecretVersionRequestBody{}
	body.SecretString, body.SecretBinary = fields(v)
	answer, err := createSecretVersion.call(ctx, d, &model.CreateSecretVersionRequest{SecretName: name, Body: body}, v)
	if err != nil {
		return "", d.unwritable(ctx, name, err)
	}
	id := at(at(answer.VersionMetadata).Id)
	if id == "" {
		return "", createSecretVersion.lacking(d, "version id")
	}
	return id, nil
}

// unwritable finds out why a version was refused, where no code is documented:
// the service manages the secret's value, or has no room.
func (d *destination) unwritable(ctx context.Context, name string, refusal error) error {
	if !unspecific(refusal) {
		return refusal
	}
	s, err := d.Describe(ctx, name)
	if err != nil {
		return err
	}
	if s.CloudManaged {
		return because(refusal, provider.ClassOwnership, "the cloud itself manages the value of a secret of type "+s.Type)
	}
	versions, err := d.Versions(ctx, name)
	if err != nil {
		return err
	}
	if len(versions) >= limits.Versions {
		return because(refusal, provider.ClassLimit, fmt.Sprintf(
			"the secret has %d versions and the service takes no other; it has no call to delete one, so delete the secret there, and sync it to make it anew", len(versions)))
	}
	return refusal
}

// because returns a refusal with the class and the words of what was found out.
func because(refusal error, class provider.Class, message string) error {
	var e *provider.Error
	if !errors.As(refusal, &e) {
		return refusal
	}
	changed := *e
	changed.Class, changed.Message = class, message
	return &changed
}

// SetDescription implements provider.Writer by UpdateSecret.
func (d *destination) SetDescription(ctx context.Context, name, description string) error {
	return d.update(ctx, name, &model.UpdateSecretRequestBody{Description: &description})
}

// ChangeKey implements provider.KeyChanger by UpdateSecret. Versions that are
// there keep their key, which has to stay usable.
func (d *destination) ChangeKey(ctx context.Context, name, kmsKeyID string) error {
	return d.update(ctx, name, &model.UpdateSecretRequestBody{KmsKeyId: &kmsKeyID})
}

func (d *destination) update(ctx context.Context, name string, body *model.UpdateSecretRequestBody) error {
	_, err := updateSecret.call(ctx, d, &model.UpdateSecretRequest{SecretName: name, Body: body})
	return err
}

// MoveCurrent implements provider.CurrentMover by UpdateSecretStage. Whether
// SYSPREVIOUS moves too isn't documented, and nothing here relies on it.
func (d *destination) MoveCurrent(ctx context.Context, name, versionID string) error {
	_, err := updateSecretStage.call(ctx, d, &model.UpdateSecretStageRequest{
		SecretName: name, StageName: stageCurrent, Body: &model.UpdateSecretStageRequestBody{VersionId: versionID},
	})
	return err
}

// Delete implements provider.Writer by DeleteSecretForSchedule, or DeleteSecret
// for a deletion at once. A part of a day counts as a whole one, so that
// nothing goes earlier than asked.
func (d *destination) Delete(ctx context.Context, name string, window time.Duration) error {
	const day = 24 * time.Hour
	var err error
	if window <= 0 {
		_, err = deleteSecret.call(ctx, d, &model.DeleteSecretRequest{SecretName: name})
	} else {
		days := int32(min(window+day-1, provider.Days(1000)) / day) //nolint:gosec // at most a thousand
		_, err = scheduleDeletion.call(ctx, d, &model.DeleteSecretForScheduleRequest{
			SecretName: name, Body: &model.DeleteSecretForScheduleRequestBody{RecoveryWindowInDays: days},
		})
	}
	// Which of the two codes stands for a deletion that is scheduled already
	// isn't certain; both say that it is.
	if code := codeOf(err); code == codeScheduled || code == codePendingDelete || provider.IsNotFound(err) {
		return nil
	}
	return err
}

// Restore implements provider.Restorer by RestoreSecret.
func (d *destination) Restore(ctx context.Context, name string) error {
	_, err := restoreSecret.call(ctx, d, &model.RestoreSecretRequest{SecretName: name})
	if codeOf(err) == codeNotScheduled {
		return nil
	}
	return err
}
