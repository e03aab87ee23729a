// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// products are the types that CreateSecret takes besides COMMON (2025-10-16). The
// legacy RDS can be read and rotated, and not be made any more.
var products = []provider.CredentialProduct{
	managedProduct(typeRDS, "accounts of RDS for MySQL, PostgreSQL, SQL Server or MariaDB"),
	managedProduct(typeGaussDB, "accounts of TaurusDB"),
}

// The types of managed secrets that can be made.
const (
	typeRDS     = "RDS-FG"
	typeGaussDB = "GaussDB-FG"
)

func managedProduct(name, title string) provider.CredentialProduct {
	return provider.CredentialProduct{
		Name: name, Title: title,
		Fields: creationFields, Check: checkNew,
		InstanceRequired: true, InitialValue: true,
		ShortestRotation: 6 * time.Hour, LongestRotation: provider.Days(365), RotationUnit: time.Second,
		Rotates: true,
		Deletion: "The database account stays, with its last password, and nothing rotates it any more: " +
			"drop it or change its password in the database.",
		Window: limits.Window,
	}
}

// Products implements provider.CredentialIssuer. The service has no call for it.
func (d *destination) Products(ctx context.Context) ([]string, error) {
	if ctx.Err() != nil {
		return nil, failedCall{provider.Call{Operation: "Products"}}.Interrupted(ctx.Err(), false)
	}
	names := make([]string, len(products))
	for i, p := range products {
		names[i] = p.Name
	}
	return names, nil
}

// FindCredential implements provider.CredentialIssuer: callers choose the names.
func (d *destination) FindCredential(context.Context, string) (string, error) { return "", nil }

// managed shows a secret that the service manages.
func (d *destination) managed(ctx context.Context, name string) (*model.Secret, error) {
	shown, err := d.show(ctx, name)
	if err != nil {
		return nil, err
	}
	if s := secret(shown); !s.CloudManaged {
		return nil, &provider.Error{
			Class: provider.ClassConflict, Operation: showSecret.name,
			Message: "the secret is of type " + s.Type + ", whose value the service doesn't manage",
		}
	}
	return shown, nil
}

// DescribeCredential implements provider.CredentialIssuer by ShowSecret, and by
// ListSecretTask for whether a rotation is under way and how the last one ended.
func (d *destination) DescribeCredential(ctx context.Context, name string) (provider.Credential, error) {
	shown, err := d.managed(ctx, name)
	if err != nil {
		return provider.Credential{}, err
	}
	last, err := d.lastTask(ctx, name)
	if err != nil {
		return provider.Credential{}, err
	}
	s := secret(shown)
	made := provider.Credential{
		Name: name, Type: s.Type, Product: s.Type,
		Description: s.Description, KMSKeyID: s.KMSKeyID, CreatedTime: s.CreatedTime, DeletionTime: s.DeletionTime,
		Rotation:     provider.Rotation{Enabled: at(shown.AutoRotation), Interval: periodOf(at(shown.RotationPeriod))},
		LastRotation: milliseconds(shown.RotationTime),
		Parameters:   map[string]string{},
	}
	if made.Rotation.Enabled {
		made.NextRotation = milliseconds(shown.NextRotationTime)
	}
	made.State = credentialStates[s.State]
	if last.running() && made.State == provider.CredentialReady {
		made.State = provider.CredentialRotating
	}
	if status := d.status(last.SecretTask); status.State == provider.TaskFailed {
		made.RotationProblem = "the last rotation failed: " + status.Message
	}
	config := readConfig(at(shown.RotationConfig))
	made.InstanceID = config.instance
	for field, text := range map[string]string{
		fieldSubType: config.subType, fieldConfig: at(shown.RotationConfig), fieldFunction: at(shown.RotationFuncUrn),
		fieldEvents: eventList(at(shown.EventSubscriptions)),
	} {
		if text != "" {
			made.Parameters[field] = text
		}
	}
	return made, nil
}

var credentialStates = map[provider.State]provider.CredentialState{
	provider.StateEnabled:         provider.CredentialReady,
	provider.StateDisabled:        provider.CredentialDisabled,
	provider.StateOther:           provider.CredentialDisabled, // frozen: it can't be read
	provider.StatePendingDeletion: provider.CredentialPendingDeletion,
}

// stagePending is at a version whose password isn't set yet, and may stay there
// when setting it has failed.
const stagePending = "SYSPENDING"

// CredentialVersions implements provider.CredentialIssuer by ListSecretVersions.
// Which account a version is for stands only in its value. Those that have never
// worked are left out.
func (d *destination) CredentialVersions(ctx context.Context, name string) ([]provider.CredentialVersion, error) {
	versions, err := d.Versions(ctx, name)
	if err != nil {
		return nil, err
	}
	listed := make([]provider.CredentialVersion, 0, len(versions))
	for _, v := range slices.Backward(versions) {
		if len(v.Labels) != 1 || v.Labels[0] != stagePending {
			listed = append(listed, provider.CredentialVersion{ID: v.ID, Labels: v.Labels, CreatedTime: v.CreatedTime})
		}
	}
	return listed, nil
}

// mostReads is how often the current version may change while it is read.
const mostReads = 3

// ReadCredential implements provider.CredentialIssuer by ShowSecretVersion. What
// works is the version with SYSCURRENT, also while a rotation goes on. Whether
// "latest" is that one isn't certain, so where its stages don't say so, the stage
// is asked for by ShowSecretStage and its version is shown.
func (d *destination) ReadCredential(ctx context.Context, name string) (provider.CredentialValue, error) {
	versionID, asked := latestVersion, false
	for range mostReads {
		answer, err := showSecretVersion.call(ctx, d, &model.ShowSecretVersionRequest{SecretName: name, VersionId: versionID})
		if err != nil {
			return provider.CredentialValue{}, err
		}
		if answer.Version == nil || answer.Version.VersionMetadata == nil {
			return provider.CredentialValue{}, showSecretVersion.lacking(d, "version with its metadata")
		}
		found := version(*answer.Version.VersionMetadata)
		if slices.Contains(found.Labels, stageCurrent) || asked && len(found.Labels) == 0 {
			value, err := d.value(answer.Version)
			if err != nil {
				return provider.CredentialValue{}, err
			}
			return provider.CredentialValue{VersionID: found.ID, Labels: found.Labels, CreatedTime: found.CreatedTime, Fields: parts(value)}, nil
		}
		if versionID, err = d.currentVersion(ctx, name); err != nil {
			return provider.CredentialValue{}, err
		}
		asked = true
	}
	return provider.CredentialValue{}, &provider.Error{
		Class: provider.ClassUnavailable, Operation: showSecretVersion.name,
		Message: "the current version has changed each time it was read; try again",
	}
}

// latestVersion is said instead of a version id.
const latestVersion = "latest"

func (d *destination) currentVersion(ctx context.Context, name string) (string, error) {
	answer, err := showSecretStage.call(ctx, d, &model.ShowSecretStageRequest{SecretName: name, StageName: stageCurrent})
	if err != nil {
		return "", err
	}
	if answer.Stage == nil || at(answer.Stage.VersionId) == "" {
		return "", showSecretStage.lacking(d, "version id")
	}
	return *answer.Stage.VersionId, nil
}

// DeleteCredential implements provider.CredentialIssuer by DeleteSecretForSchedule
// or DeleteSecret. The service never touches the accounts.
func (d *destination) DeleteCredential(ctx context.Context, name string, window time.Duration, accounts bool) (provider.CredentialTask, error) {
	if accounts {
		return provider.CredentialTask{}, invalid("Huawei Cloud CSMS deletes no database accounts; leave delete_accounts out, and drop them in the database")
	}
	return provider.CredentialTask{Name: name}, d.Delete(ctx, name, window)
}

// advised adds to a refusal what can be done about it, by its code.
func advised(err error, advice map[string]string) error {
	code := codeOf(err)
	more, known := advice[code]
	if !known {
		return err
	}
	return reworded(err, func(message string) string { return strings.TrimPrefix(message+"; "+more, "; ") })
}
