// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Describe implements provider.Reader by DescribeSecret.
func (d *destination) Describe(ctx context.Context, name string) (provider.Secret, error) {
	r, err := d.describe(ctx, name)
	if err != nil {
		return provider.Secret{}, err
	}
	return described(name, r), nil
}

func (d *destination) describe(ctx context.Context, name string) (*ssm.DescribeSecretResponseParams, error) {
	request := ssm.NewDescribeSecretRequest()
	request.SecretName = &name
	answer, err := call(ctx, d, (*ssm.Client).DescribeSecretWithContext, request)
	if err != nil {
		return nil, err
	}
	return answer.Response, nil
}

func described(name string, r *ssm.DescribeSecretResponseParams) provider.Secret {
	return secret(metadata{
		name: name, description: r.Description, keyID: r.KmsKeyId, status: r.Status,
		created: r.CreateTime, due: r.DeleteTime, secretType: r.SecretType,
	})
}

// metadata is what DescribeSecret and ListSecrets both return.
type metadata struct {
	name                       string
	description, keyID, status *string
	created, due               *uint64 // unix seconds
	secretType                 *int64
}

var states = map[string]provider.State{
	"Enabled":       provider.StateEnabled,
	"Disabled":      provider.StateDisabled,
	"PendingDelete": provider.StatePendingDeletion,
}

// typeNames are by SecretType. Only the first is written by callers, for all
// others the service makes the value.
var typeNames = []string{"custom", "product", "SSH key pair", "cloud API key pair", "Redis"}

func secret(m metadata) provider.Secret {
	state, ok := states[at(m.status)]
	if !ok {
		state = provider.StateOther // Creating, Failed
	}
	s := provider.Secret{
		Name:         m.name,
		State:        state,
		Description:  at(m.description),
		KMSKeyID:     at(m.keyID),
		CloudManaged: at(m.secretType) != 0,
		Type:         fmt.Sprintf("type %d", at(m.secretType)),
		CreatedTime:  unixTime(at(m.created)),
	}
	if n := at(m.secretType); n >= 0 && n < int64(len(typeNames)) {
		s.Type = typeNames[n]
	}
	if state == provider.StatePendingDeletion {
		s.DeletionTime = unixTime(at(m.due))
	}
	return s
}

// unixTime returns the zero time for 0, which the service means as none.
func unixTime(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC() //nolint:gosec // overflows in 292 billion years
}

// Versions implements provider.Reader by ListSecretVersionIds, which isn't
// paged and whose order isn't documented.
func (d *destination) Versions(ctx context.Context, name string) ([]provider.Version, error) {
	request := ssm.NewListSecretVersionIdsRequest()
	request.SecretName = &name
	answer, err := call(ctx, d, (*ssm.Client).ListSecretVersionIdsWithContext, request)
	if err != nil {
		return nil, err
	}
	var versions []provider.Version
	for _, v := range answer.Response.Versions {
		if v != nil {
			versions = append(versions, provider.Version{ID: at(v.VersionId), CreatedTime: unixTime(at(v.CreateTime))})
		}
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
	request := ssm.NewGetSecretValueRequest()
	request.SecretName = &name
	request.VersionId = &versionID
	answer, err := call(ctx, d, (*ssm.Client).GetSecretValueWithContext, request)
	if err != nil {
		return provider.Value{}, err
	}
	// The service fills the unused field with "".
	encoded := at(answer.Response.SecretBinary)
	if encoded == "" {
		return provider.Text(at(answer.Response.SecretString)), nil
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return provider.Value{}, &provider.Error{
			Class:     provider.ClassInternal,
			Operation: request.GetAction(),
			RequestID: at(answer.Response.RequestId),
			Message:   "the binary value isn't base64",
		}
	}
	return provider.Binary(decoded), nil
}

// pageSize is far below the page that other clients of the API ask for (200),
// so that a page stays below maxAnswer. The API documents no maximum.
const pageSize = 50

// List implements provider.Lister by ListSecrets, which lists one type of
// secret per call. So a page may be empty although more follow.
func (d *destination) List(ctx context.Context, pageToken string) ([]provider.Secret, string, error) {
	position, err := parseListPosition(pageToken)
	if err != nil {
		return nil, "", err
	}
	rows, err := d.listSecrets(ctx, position, pageSize)
	if position.secretType > 0 && err != nil && provider.ClassOf(err) == provider.ClassInvalid {
		// An installation that doesn't know this type has none of it.
		rows, err = nil, nil
	}
	if err != nil {
		return nil, "", err
	}
	return rows, position.after(len(rows)).token(), nil
}

func (d *destination) listSecrets(ctx context.Context, from listPosition, limit uint64) ([]provider.Secret, error) {
	const oldestFirst = uint64(1) // new secrets then don't shift the pages
	order := oldestFirst
	request := ssm.NewListSecretsRequest()
	request.SecretType = &from.secretType
	request.Offset = &from.offset
	request.Limit = &limit
	request.OrderType = &order
	answer, err := call(ctx, d, (*ssm.Client).ListSecretsWithContext, request)
	if err != nil {
		return nil, err
	}
	var rows []provider.Secret
	for _, m := range answer.Response.SecretMetadatas {
		if m == nil {
			continue
		}
		rows = append(rows, secret(metadata{
			name: at(m.SecretName), description: m.Description, keyID: m.KmsKeyId, status: m.Status,
			created: m.CreateTime, due: m.DeleteTime, secretType: m.SecretType,
		}))
	}
	return rows, nil
}

// listPosition is where a page starts.
type listPosition struct {
	secretType uint64
	offset     uint64 // among the secrets of that type
}

// token is "type:offset", and "" past the last type.
func (p listPosition) token() string {
	if p.secretType >= uint64(len(typeNames)) {
		return ""
	}
	return fmt.Sprintf("%d:%d", p.secretType, p.offset)
}

func parseListPosition(token string) (listPosition, error) {
	if token == "" {
		return listPosition{}, nil
	}
	secretType, offset, _ := strings.Cut(token, ":")
	t, err1 := strconv.ParseUint(secretType, 10, 64)
	o, err2 := strconv.ParseUint(offset, 10, 64)
	if err1 != nil || err2 != nil || t >= uint64(len(typeNames)) {
		return listPosition{}, &provider.Error{Class: provider.ClassInvalid, Message: "the page token isn't one that a listing returned; start again without one"}
	}
	return listPosition{secretType: t, offset: o}, nil
}

// after is the position behind a page of that many rows.
func (p listPosition) after(rows int) listPosition {
	if rows < pageSize {
		return listPosition{secretType: p.secretType + 1}
	}
	return listPosition{secretType: p.secretType, offset: p.offset + uint64(rows)}
}
