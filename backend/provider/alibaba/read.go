// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Describe implements provider.Reader by DescribeSecret. A secret under the
// default key has no KMSKeyID.
func (d *destination) Describe(ctx context.Context, name string) (provider.Secret, error) {
	s, _, err := d.describe(ctx, name, false)
	return s, err
}

// DescribeTagged implements provider.TagReader by DescribeSecret, which gives the
// tags when it is asked for them.
func (d *destination) DescribeTagged(ctx context.Context, name string) (provider.Secret, map[string]string, error) {
	return d.describe(ctx, name, true)
}

func (d *destination) describe(ctx context.Context, name string, tagged bool) (provider.Secret, map[string]string, error) {
	request := kms.CreateDescribeSecretRequest()
	request.SecretName = name
	if tagged {
		request.FetchTags = "true"
	}
	answer, err := call(ctx, d, request, kms.CreateDescribeSecretResponse())
	if err != nil {
		return provider.Secret{}, nil, err
	}
	if answer.SecretName == "" {
		return provider.Secret{}, nil, failed("DescribeSecret").incomprehensible()
	}
	s := secret(name, answer.SecretType, answer.CreateTime, answer.PlannedDeleteTime)
	s.Description = answer.Description
	s.KMSKeyID = answer.EncryptionKeyId
	tags := map[string]string{}
	for _, t := range answer.Tags.Tag {
		tags[t.TagKey] = t.TagValue
	}
	return s, tags, nil
}

// secret is what DescribeSecret and ListSecrets both return. The service has no
// word for the state: a secret with a planned deletion is pending, others live.
func secret(name, secretType, created, planned string) provider.Secret {
	s := provider.Secret{
		Name:        name,
		State:       provider.StateEnabled,
		Type:        cmp.Or(secretType, genericType), // the first edition of the API had no other
		CreatedTime: parseTime(created),
	}
	s.CloudManaged = s.Type != genericType
	if planned != "" {
		s.State, s.DeletionTime = provider.StatePendingDeletion, parseTime(planned)
	}
	return s
}

// parseTime reads a time, in some answers of 2020 with fractions and an offset.
// What can't be read is the zero time.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// versionPage is what other clients of the API ask for. No maximum is
// documented, so a page may be shorter. A generic secret has ten versions at
// most.
const versionPage = 50

// Versions implements provider.Reader by ListSecretVersionIds, whose order isn't
// documented. Versions without a label are asked for: the service leaves them
// out otherwise.
func (d *destination) Versions(ctx context.Context, name string) ([]provider.Version, error) {
	found := map[string]provider.Version{} // by id: while versions come and go, pages overlap
	for page := 1; ; page++ {
		request := kms.CreateListSecretVersionIdsRequest()
		request.SecretName = name
		request.IncludeDeprecated = "true"
		request.PageNumber = requests.NewInteger(page)
		request.PageSize = requests.NewInteger(versionPage)
		answer, err := call(ctx, d, request, kms.CreateListSecretVersionIdsResponse())
		if err != nil {
			return nil, err
		}
		rows, before := answer.VersionIds.VersionId, len(found)
		for _, v := range rows {
			found[v.VersionId] = provider.Version{ID: v.VersionId, CreatedTime: parseTime(v.CreateTime), Labels: v.VersionStages.VersionStage}
		}
		last := len(rows) < versionPage && len(found) >= answer.TotalCount
		if last || len(found) == before {
			break
		}
	}
	versions := make([]provider.Version, 0, len(found))
	for _, v := range found {
		versions = append(versions, v)
	}
	slices.SortFunc(versions, func(a, b provider.Version) int {
		return cmp.Or(
			a.CreatedTime.Compare(b.CreatedTime),
			// Times are whole seconds. Within one, v9 comes before v10.
			cmp.Compare(len(a.ID), len(b.ID)),
			strings.Compare(a.ID, b.ID),
		)
	})
	return versions, nil
}

// Read implements provider.Reader by GetSecretValue.
func (d *destination) Read(ctx context.Context, name, versionID string) (provider.Value, error) {
	v, err := d.value(ctx, name, versionID)
	if !vague(err) {
		return v, err
	}
	if explained := d.explain(ctx, name, err); explained != nil {
		return provider.Value{}, explained
	}
	if !provider.IsNotFound(err) {
		if _, absent := d.version(ctx, name, versionID, err); absent != nil {
			return provider.Value{}, absent
		}
	}
	return provider.Value{}, err
}

func (d *destination) value(ctx context.Context, name, versionID string) (provider.Value, error) {
	request := kms.CreateGetSecretValueRequest()
	request.SecretName = name
	request.VersionId = versionID
	answer, err := call(ctx, d, request, kms.CreateGetSecretValueResponse())
	switch {
	case err != nil:
		return provider.Value{}, err
	case answer.VersionId == "":
		return provider.Value{}, failed("GetSecretValue").incomprehensible()
	case answer.VersionId != versionID:
		// Of a secret that it manages, the service gives the current version only.
		return provider.Value{}, &provider.Error{
			Class: provider.ClassConflict, Operation: "GetSecretValue", RequestID: answer.RequestId,
			Message: "the service gives version " + answer.VersionId + " instead of " + versionID,
		}
	}
	return decode(answer.SecretData, answer.SecretDataType), nil
}

// listPage is the largest page that the service gives.
const listPage = 100

// List implements provider.Lister by ListSecrets, whose rows have neither
// description nor key. Pages are counted, and their order isn't documented, so
// what is made or deleted meanwhile can shift a secret past the listing.
func (d *destination) List(ctx context.Context, pageToken string) ([]provider.Secret, string, error) {
	page := 1
	if pageToken != "" {
		n, err := strconv.ParseInt(pageToken, 10, 32)
		if err != nil || n < 1 {
			return nil, "", invalid("the page token isn't one that a listing returned; start again without one")
		}
		page = int(n)
	}
	rows, err := d.listSecrets(ctx, page, listPage, "")
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) >= listPage {
		next = strconv.Itoa(page + 1)
	}
	return rows, next, nil
}

func (d *destination) listSecrets(ctx context.Context, page, size int, filters string) ([]provider.Secret, error) {
	request := kms.CreateListSecretsRequest()
	request.PageNumber = requests.NewInteger(page)
	request.PageSize = requests.NewInteger(size)
	request.Filters = filters
	answer, err := call(ctx, d, request, kms.CreateListSecretsResponse())
	if err != nil {
		return nil, err
	}
	var rows []provider.Secret
	for _, row := range answer.SecretList.Secret {
		listed := secret(row.SecretName, row.SecretType, row.CreateTime, row.PlannedDeleteTime)
		listed.Brief = true
		rows = append(rows, listed)
	}
	return rows, nil
}
