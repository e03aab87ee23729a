// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
)

const fieldID = "id"

// versionPaths are listed before the secrets' own path, which would match too.
func (b *backend) versionPaths() []*framework.Path {
	rollback := &framework.PathOperation{
		Callback: b.operation(rollback), Responses: responds(writtenFields), DisplayAttrs: display("roll-back", "secret"),
		Summary: "Write a new version with the content of an older one.",
	}
	return []*framework.Path{
		{
			Pattern:      secretsPrefix + `(?P<name>.+)/versions/(?P<id>\d+)`,
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret-version"},
			Fields: map[string]*framework.FieldSchema{
				fieldName: secretName,
				fieldID:   {Type: framework.TypeInt, Description: "Number of the version."},
				fieldWait: waitField,
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readVersion, fieldName, fieldID), Responses: responds(versionFields), DisplayAttrs: display("read", "secret-version"),
					Summary: "Read one version, and where it is at each destination.",
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback: b.operation(destroyVersion), Responses: responds(nil), DisplayAttrs: display("destroy", "secret-version"),
					Summary: "Destroy one version here and at every destination that can delete a version.",
				},
			},
			HelpSynopsis:    "Read or destroy one version of a secret.",
			HelpDescription: "Reading tells under which version id each destination holds the version. Deleting destroys the version for good, here and at the destinations that can delete single versions; for the others the answer says that they still hold it.",
		},
		{
			Pattern:      secretsPrefix + `(?P<name>.+)/versions/?`,
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret-versions"},
			Fields:       map[string]*framework.FieldSchema{fieldName: secretName},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{
					Callback: b.operation(listVersions), Responses: listed(), DisplayAttrs: display("list", "secret-versions"),
					Summary: "List the versions of a secret with the destinations that hold each.",
				},
			},
			HelpSynopsis:    "List the versions of a secret.",
			HelpDescription: "Lists version numbers with created time, deletion, and the destinations that hold them.",
		},
		{
			Pattern:      "rollback/" + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "rollback"},
			Fields: map[string]*framework.FieldSchema{
				fieldName:    secretName,
				fieldVersion: {Type: framework.TypeInt, Description: "The version whose content to bring back.", Required: true},
				fieldCAS:     casField,
				fieldWait:    waitField,
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: rollback,
			},
			HelpSynopsis:    "Bring back an older version of a secret.",
			HelpDescription: "Writes a new version with the content of an older one that is neither deleted nor destroyed; settings stay as they are.",
		},
	}
}

var versionFields = func() map[string]*framework.FieldSchema {
	fields := maps.Clone(secretFields)
	delete(fields, "settings")
	delete(fields, "state")
	fields[fieldDestinations] = field(framework.TypeMap, "By destination that holds the version: its remote version ids, and whether readers get it when they name none.")
	return fields
}()

func readVersion(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name, number := d.Get(fieldName).(string), d.Get(fieldID).(int)
	if number < 1 {
		return nil, engine.Refusef("versions begin at 1")
	}
	resp, found, err := describeVersion(ctx, e, name, uint64(number))
	if err != nil || resp == nil {
		return nil, err
	}
	status, err := e.Status(ctx, name)
	if err != nil {
		return nil, err
	}
	resp.Data[fieldDestinations] = heldAt(status, uint64(number))
	if !found {
		return notFound(req, resp)
	}
	return resp, nil
}

// heldAt tells by destination under which remote version ids it holds a version.
func heldAt(status *engine.SecretStatus, number uint64) map[string]any {
	held := map[string]any{}
	if status == nil {
		return held
	}
	for destination, ids := range status.RemoteVersions(number) {
		held[destination] = map[string]any{
			"remote_versions": ids, "current": status.Serves(destination, number),
			"labels": append([]string{}, status.LabelsOf(destination, ids)...),
		}
	}
	return held
}

func listVersions(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	meta, err := e.ReadMetadata(ctx, name)
	if err != nil || meta == nil {
		return nil, err
	}
	status, err := e.Status(ctx, name)
	if err != nil {
		return nil, err
	}
	keys := []string{}
	info := map[string]any{}
	for _, number := range slices.Sorted(maps.Keys(meta.Versions)) {
		key := strconv.FormatUint(number, 10)
		version := encodeVersion(number, meta.Versions[number])
		delete(version, fieldVersion)
		version[fieldDestinations] = heldAt(status, number)
		keys = append(keys, key)
		info[key] = version
	}
	return logical.ListResponseWithInfo(keys, info), nil
}

func destroyVersion(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name, number := d.Get(fieldName).(string), d.Get(fieldID).(int)
	if number < 1 {
		return nil, engine.Refusef("versions begin at 1")
	}
	resp, err := apply(ctx, e, d, engine.Change{Name: name, Request: kvstore.DestroyRequest(req, name, uint64(number))})
	if err != nil || resp.IsError() {
		return resp, err
	}
	answer := &logical.Response{Warnings: resp.Warnings}
	status, err := e.Status(ctx, name)
	if err != nil {
		answer.AddWarning(fmt.Sprintf("the version is destroyed here, but its replication status can't be read: %v", err))
		return answer, nil
	}
	if status != nil {
		for destination, ids := range status.RemoteVersions(uint64(number)) {
			answer.AddWarning(fmt.Sprintf("destination %s: the version is destroyed here, but is still held there as %s", destination, strings.Join(ids, ", ")))
		}
	}
	if len(answer.Warnings) == 0 {
		return nil, nil
	}
	return answer, nil
}

func rollback(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	change, err := rollbackChange(ctx, e, name, d.Get(fieldVersion).(int))
	if err != nil {
		return nil, err
	}
	change.CAS = given[int](d, fieldCAS)
	change.Request = kvstore.WriteRequest(req, name, change.Data, change.CAS)
	return apply(ctx, e, d, change)
}

// rollbackChange writes the content of an older version again.
func rollbackChange(ctx context.Context, e *engine.Engine, name string, number int) (engine.Change, error) {
	if number < 1 {
		return engine.Change{}, engine.Refusef("version is missing: give the number of the version to bring back")
	}
	version, err := e.ReadVersion(ctx, name, uint64(number))
	if err != nil {
		return engine.Change{}, err
	}
	if version == nil {
		return engine.Change{}, engine.Refusef("version %d of secret %q doesn't exist, is deleted or is destroyed; LIST secrets/%s/versions shows which can be brought back", number, name, name)
	}
	form, err := e.Form(ctx, name, uint64(number))
	return engine.Change{Name: name, Data: version.Data, Implied: &form}, err
}
