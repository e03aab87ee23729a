// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Describe implements provider.Reader by ShowSecret.
func (d *destination) Describe(ctx context.Context, name string) (provider.Secret, error) {
	shown, err := d.show(ctx, name)
	if err != nil {
		return provider.Secret{}, err
	}
	s := secret(shown)
	s.Name = name
	return s, nil
}

func (d *destination) show(ctx context.Context, name string) (*model.Secret, error) {
	answer, err := showSecret.call(ctx, d, &model.ShowSecretRequest{SecretName: name})
	if err != nil {
		return nil, err
	}
	if answer.Secret == nil {
		return nil, showSecret.lacking(d, "secret")
	}
	return answer.Secret, nil
}

var states = map[string]provider.State{
	"ENABLED":        provider.StateEnabled,
	"DISABLED":       provider.StateDisabled, // no call leads there or back
	"PENDING_DELETE": provider.StatePendingDeletion,
}

// typeCommon is a secret whose value callers write. For all others, of which
// there may be more than the documented, the service makes it.
const typeCommon = "COMMON"

func secret(m *model.Secret) provider.Secret {
	state, ok := states[at(m.State)]
	if !ok {
		state = provider.StateOther // FROZEN
	}
	secretType := typeCommon
	if m.SecretType != nil {
		secretType = cmp.Or(m.SecretType.Value(), typeCommon)
	}
	s := provider.Secret{
		Name:         at(m.Name),
		State:        state,
		Description:  at(m.Description),
		KMSKeyID:     at(m.KmsKeyId),
		CloudManaged: secretType != typeCommon,
		Type:         secretType,
		CreatedTime:  milliseconds(m.CreateTime),
	}
	if state == provider.StatePendingDeletion {
		s.DeletionTime = milliseconds(m.ScheduledDeleteTime)
	}
	return s
}

// milliseconds reads a time. The documentation says seconds, but its examples,
// and what clients rely on, are milliseconds.
func milliseconds(p *int64) time.Time {
	if at(p) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*p).UTC()
}

// pageSize is the service's default, given all the same because the default may
// change. A page of secrets then stays below maxAnswer.
const pageSize = 50

// nextPage is the marker of the page after one that was asked for by marker and
// had that many rows, "" after the last. Whether the last page has a marker
// isn't documented, and it may be the same again.
func nextPage(marker string, rows int, info *model.PageInfo) string {
	if info == nil || rows == 0 || at(info.NextMarker) == marker {
		return ""
	}
	return at(info.NextMarker)
}

// Versions implements provider.Reader by ListSecretVersions, whose order isn't
// documented.
func (d *destination) Versions(ctx context.Context, name string) ([]provider.Version, error) {
	limit := int32(pageSize)
	byID := map[string]provider.Version{}
	for marker := ""; ; {
		request := &model.ListSecretVersionsRequest{SecretName: name, Limit: &limit}
		if marker != "" {
			request.Marker = &marker
		}
		answer, err := listSecretVersions.call(ctx, d, request)
		if err != nil {
			return nil, err
		}
		if answer.VersionMetadatas == nil {
			return nil, listSecretVersions.lacking(d, "versions")
		}
		known := len(byID)
		for _, m := range *answer.VersionMetadatas {
			byID[at(m.Id)] = version(m)
		}
		next := nextPage(marker, len(*answer.VersionMetadatas), answer.PageInfo)
		// A page without news would come for ever.
		if next == "" || len(byID) == known {
			break
		}
		marker = next
	}
	delete(byID, "")
	return byNumber(byID), nil
}

func version(m model.VersionMetadata) provider.Version {
	v := provider.Version{ID: at(m.Id), CreatedTime: milliseconds(m.CreateTime)}
	for _, stage := range at(m.VersionStages) {
		if stage != "" {
			v.Labels = append(v.Labels, stage)
		}
	}
	return v
}

// byNumber sorts v9 before v10.
func byNumber(byID map[string]provider.Version) []provider.Version {
	versions := make([]provider.Version, 0, len(byID))
	for _, v := range byID {
		versions = append(versions, v)
	}
	slices.SortFunc(versions, func(a, b provider.Version) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), strings.Compare(a.ID, b.ID))
	})
	return versions
}

// Read implements provider.Reader by ShowSecretVersion.
func (d *destination) Read(ctx context.Context, name, versionID string) (provider.Value, error) {
	answer, err := showSecretVersion.call(ctx, d, &model.ShowSecretVersionRequest{SecretName: name, VersionId: versionID})
	if err != nil {
		return provider.Value{}, err
	}
	if answer.Version == nil {
		return provider.Value{}, showSecretVersion.lacking(d, "version")
	}
	return d.value(answer.Version)
}

func (d *destination) value(v *model.Version) (provider.Value, error) {
	encoded := at(v.SecretBinary)
	if encoded == "" {
		if v.SecretString == nil {
			return provider.Value{}, showSecretVersion.lacking(d, "value")
		}
		return provider.Text(*v.SecretString), nil
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return provider.Value{}, &provider.Error{
			Class:     provider.ClassInternal,
			Operation: showSecretVersion.name,
			Message:   "the binary value isn't base64",
		}
	}
	return provider.Binary(decoded), nil
}

// List implements provider.Lister by ListSecrets. The token is the name that
// the page comes after.
func (d *destination) List(ctx context.Context, pageToken string) ([]provider.Secret, string, error) {
	rows, info, err := d.list(ctx, pageToken, pageSize)
	if err != nil {
		return nil, "", err
	}
	page := make([]provider.Secret, 0, len(rows))
	for i := range rows {
		page = append(page, secret(&rows[i]))
	}
	return page, nextPage(pageToken, len(rows), info), nil
}

func (d *destination) list(ctx context.Context, marker string, limit int) ([]model.Secret, *model.PageInfo, error) {
	size := strconv.Itoa(limit)
	request := &model.ListSecretsRequest{Limit: &size}
	if marker != "" {
		request.Marker = &marker
	}
	answer, err := listSecrets.call(ctx, d, request)
	if err != nil {
		return nil, nil, err
	}
	if answer.Secrets == nil {
		return nil, nil, listSecrets.lacking(d, "secrets")
	}
	return *answer.Secrets, answer.PageInfo, nil
}
