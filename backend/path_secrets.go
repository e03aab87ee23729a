// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
)

const secretsPrefix = "secrets/"

// Names of fields, as in requests and answers.
const (
	fieldName           = "name"
	fieldData           = "data"
	fieldValue          = "value"
	fieldBinary         = "binary"
	fieldDestinations   = "destinations"
	fieldKMSKeyID       = "kms_key_id"
	fieldKMSKeyIDs      = "kms_key_ids"
	fieldTags           = "tags"
	fieldDescription    = "description"
	fieldRemoteName     = "remote_name"
	fieldFormat         = "format"
	fieldDeletionPolicy = "deletion_policy"
	fieldCAS            = "cas"
	fieldWait           = "wait"
	fieldVersion        = "version"
)

var secretName = &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the secret: segments separated by /, at most 512 bytes. The segment \"versions\" is reserved."}

var waitField = &framework.FieldSchema{
	Type:         framework.TypeDurationSecond,
	Description:  "How long to wait for the replicas to be in sync before answering. 0 answers at once. Defaults to the mount's default_wait.",
	DisplayAttrs: &framework.DisplayAttributes{Name: "Wait", Value: "5s"},
}

var casField = &framework.FieldSchema{
	Type:        framework.TypeInt,
	Description: "Check-and-set: write only if the secret's current version is this; 0 writes only if the secret doesn't exist.",
}

func (b *backend) secretPaths() []*framework.Path {
	write := &framework.PathOperation{
		Callback: b.operation(writeSecret), Responses: responds(writtenFields), DisplayAttrs: display("write", "secret"),
		Summary: "Write a new version of a secret, or change its settings.",
	}
	return []*framework.Path{{
		Pattern:      secretsPrefix + framework.MatchAllRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret"},
		Fields: map[string]*framework.FieldSchema{
			fieldName:           secretName,
			fieldData:           {Type: framework.TypeMap, Description: "The value as a map. Exactly one of data, value and binary writes a new version; none of them changes settings only.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			fieldValue:          {Type: framework.TypeString, Description: "The value as a string, which is sent to clouds as it is.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			fieldBinary:         {Type: framework.TypeString, Description: "The value as standard base64, which is sent to clouds in their binary form.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			fieldDestinations:   {Type: framework.TypeCommaStringSlice, Description: "The destinations of the secret, as type/name. One that is left out keeps its remote secret, without this mount's mark."},
			fieldKMSKeyID:       {Type: framework.TypeString, Description: "KMS key at the one destination of the secret. It takes effect when the remote secret is created, and later where the cloud can change it."},
			fieldKMSKeyIDs:      {Type: framework.TypeKVPairs, Description: "KMS keys by destination, as type/name=key."},
			fieldTags:           {Type: framework.TypeKVPairs, Description: "Tags of the remote secrets, beside those of the destination."},
			fieldDescription:    {Type: framework.TypeString, Description: "Description of the remote secrets. The ownership mark is appended to it."},
			fieldRemoteName:     {Type: framework.TypeString, Description: "Exact name of the remote secrets. By default it is derived from the secret's name."},
			fieldFormat:         {Type: framework.TypeString, Description: "What clouds store: json (the whole data), raw (the string under the key value), binary (the base64 under the key value). By default it follows from how the value was written.", AllowedValues: []any{"json", "raw", "binary"}},
			fieldDeletionPolicy: {Type: framework.TypeString, Description: "What deleting the secret does to its replicas: schedule (delete after the cloud's recovery window), force (at once), retain (leave them, without the mark).", AllowedValues: []any{"schedule", "force", "retain"}},
			fieldDelete:         {Type: framework.TypeBool, Description: "With destinations: delete the replicas at those that are left out, by the deletion policy. By default they stay, without the mark."},
			fieldPaused:         {Type: framework.TypeBool, Description: "Stops every remote change of this secret. Writes are accepted and stay pending until it is false again."},
			fieldDriftAction:    {Type: framework.TypeString, Description: driftActionHelp, AllowedValues: driftActions},
			fieldCAS:            casField,
			fieldVersion:        {Type: framework.TypeInt, Description: "Version to read. Defaults to the newest.", Query: true},
			fieldWait:           waitField,
		},
		ExistenceCheck: b.existence(secretExists),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.CreateOperation: write,
			logical.UpdateOperation: write,
			logical.PatchOperation: &framework.PathOperation{
				Callback: b.operation(patchSecret, fieldName, fieldData, fieldCAS, fieldWait), Responses: responds(writtenFields),
				DisplayAttrs: display("patch", "secret"),
				Summary:      "Change part of a secret's data by a JSON merge patch; makes a new version.",
			},
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(readSecret, fieldName, fieldVersion), Responses: responds(secretFields), DisplayAttrs: display("read", "secret"),
				Summary: "Read a secret with its settings and the state of its replicas.",
			},
			logical.DeleteOperation: &framework.PathOperation{
				Callback: b.operation(deleteSecret, fieldName, fieldWait), Responses: responds(nil), DisplayAttrs: display("delete", "secret"),
				Summary: "Delete a secret with all its versions, and its replicas by their deletion policy.",
			},
			logical.ListOperation: &framework.PathOperation{
				Callback: b.operation(listSecrets), Responses: listed(), DisplayAttrs: display("list", "secrets"),
				Summary: "List secrets and folders below a folder.",
			},
		},
		HelpSynopsis: "Write, read, list and delete secrets, and say where each is replicated.",
		HelpDescription: strings.TrimSpace(`
A secret is a versioned value at a hierarchical name. The value is given as data
(a map), value (a string) or binary (base64); without any of them a write
changes settings only and makes no version.

By default a write waits until the replicas are in sync and says so. What isn't
by then is named in a warning and goes on in the background; status/<name>
tells more.`),
	}}
}

// destinationsField describes the state of replicas in an answer.
var destinationsField = field(framework.TypeMap, "By destination: state, remote name, remote version, and what is in the way.")

var writtenFields = map[string]*framework.FieldSchema{
	fieldVersion:      field(framework.TypeInt64, "The version that was written; missing when only settings were changed."),
	"created_time":    field(framework.TypeTime, "When the version was made."),
	"deletion_time":   field(framework.TypeString, "When the version will be deleted, if ever."),
	"destroyed":       field(framework.TypeBool, "Whether the version is destroyed."),
	"custom_metadata": field(framework.TypeMap, "The secret's custom metadata."),
	"state":           field(framework.TypeString, "in_sync when every replica is, otherwise the state that needs most attention; missing without destinations."),
	fieldDestinations: destinationsField,
}

var secretFields = map[string]*framework.FieldSchema{
	fieldData:         field(framework.TypeMap, "The value, if it is a map."),
	fieldValue:        field(framework.TypeString, "The value, if it was written as a string."),
	fieldBinary:       field(framework.TypeString, "The value in base64, if it was written as binary."),
	fieldVersion:      field(framework.TypeInt64, "The version that was read."),
	"created_time":    field(framework.TypeTime, "When the version was made."),
	"deletion_time":   field(framework.TypeString, "When the version will be deleted, if ever."),
	"destroyed":       field(framework.TypeBool, "Whether the version is destroyed."),
	"custom_metadata": field(framework.TypeMap, "The secret's custom metadata."),
	"settings":        field(framework.TypeMap, "What is set on the secret itself."),
	"state":           writtenFields["state"],
	fieldDestinations: destinationsField,
}

func secretExists(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (bool, error) {
	meta, err := e.ReadMetadata(ctx, d.Get(fieldName).(string))
	return meta != nil, err
}

func writeSecret(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	if err := engine.CheckName(name); err != nil {
		return nil, err
	}
	if d.Raw[fieldVersion] != nil {
		return nil, engine.Refusef("version can't be written; to bring an older version back, use rollback/%s", name)
	}
	change, err := settingsChange(d)
	if err != nil {
		return nil, err
	}
	change.Name, change.Deletes = name, d.Get(fieldDelete).(bool)
	if change.Deletes && change.Settings.Destinations == nil {
		return nil, engine.Refusef("delete goes with destinations, whose list then leaves out where the replica is to be deleted; to delete the secret, use DELETE secrets/%s", name)
	}
	data, implied, err := writtenData(d)
	if err != nil {
		return nil, err
	}
	cas := given[int](d, fieldCAS)
	if data == nil {
		return changeSettings(ctx, e, d, change, cas)
	}
	change.Data, change.Implied, change.CAS = data, &implied, cas
	change.Request = kvstore.WriteRequest(req, name, data, cas)
	return apply(ctx, e, d, change)
}

// changeSettings handles a write without a value.
func changeSettings(ctx context.Context, e *engine.Engine, d *framework.FieldData, change engine.Change, cas *int) (*logical.Response, error) {
	switch {
	case change.Settings.IsZero():
		return nil, engine.Refusef("nothing to write: give one of data, value and binary, or a setting to change")
	case cas != nil:
		return nil, engine.Refusef("cas checks the version of a value, and none is given")
	}
	meta, err := e.ReadMetadata(ctx, change.Name)
	if err != nil {
		return nil, err
	}
	if meta == nil && change.Settings.PausesOnly() {
		// A pause may also hold up the replicas of a deleted secret.
		if status, err := e.Status(ctx, change.Name); err != nil || status != nil && (len(status.Replicas) > 0 || status.Settings.Paused) {
			if err != nil {
				return nil, err
			}
			return apply(ctx, e, d, change)
		}
	}
	if meta == nil {
		return nil, engine.Refusef("secret %q doesn't exist; write its value with data, value or binary, settings can come along", change.Name)
	}
	return apply(ctx, e, d, change)
}

// writtenData returns the value of a write as data for the KV store, with the
// format that its form implies; nil if there is none.
func writtenData(d *framework.FieldData) (map[string]any, payload.Format, error) {
	data, value, binary := given[map[string]any](d, fieldData), given[string](d, fieldValue), given[string](d, fieldBinary)
	forms := 0
	for _, isGiven := range []bool{data != nil, value != nil, binary != nil} {
		if isGiven {
			forms++
		}
	}
	switch {
	case forms > 1:
		return nil, "", engine.Refusef("more than one of data, value and binary is given; a version has one of them")
	case data != nil:
		return *data, payload.JSON, nil
	case value != nil:
		return map[string]any{payload.Key: *value}, payload.Raw, nil
	case binary != nil:
		written := map[string]any{payload.Key: *binary}
		if _, err := payload.Encode(written, payload.Binary); err != nil {
			return nil, "", engine.Refusef("binary isn't standard base64 (RFC 4648 with padding); encode the bytes with base64")
		}
		return written, payload.Binary, nil
	default:
		return nil, "", nil
	}
}

func settingsChange(d *framework.FieldData) (engine.Change, error) {
	change := engine.Change{Settings: engine.SettingsChange{
		Destinations: given[[]string](d, fieldDestinations),
		KMSKeyID:     given[string](d, fieldKMSKeyID),
		KMSKeyIDs:    given[map[string]string](d, fieldKMSKeyIDs),
		Tags:         given[map[string]string](d, fieldTags),
		Description:  given[string](d, fieldDescription),
		RemoteName:   given[string](d, fieldRemoteName),
		Paused:       given[bool](d, fieldPaused),
	}}
	if text := given[string](d, fieldFormat); text != nil {
		format, err := payload.ParseFormat(*text)
		if err != nil {
			return change, engine.Refusef("%v", err)
		}
		change.Settings.Format = &format
	}
	if text := given[string](d, fieldDeletionPolicy); text != nil {
		policy, err := engine.ParseDeletionPolicy(*text)
		if err != nil {
			return change, engine.Refusef("%v", err)
		}
		change.Settings.DeletionPolicy = &policy
	}
	if text := given[string](d, fieldDriftAction); text != nil {
		action, err := engine.ParseDriftAction(*text)
		if err != nil {
			return change, err
		}
		change.Settings.DriftAction = &action
	}
	return change, nil
}

func patchSecret(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	patch := given[map[string]any](d, fieldData)
	if patch == nil {
		return nil, engine.Refusef("a patch needs data")
	}
	request := kvstore.WriteRequest(req, name, *patch, given[int](d, fieldCAS))
	request.Operation = logical.PatchOperation
	return apply(ctx, e, d, engine.Change{Name: name, Request: request, Patch: *patch})
}

func readSecret(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	number := d.Get(fieldVersion).(int)
	if number < 0 {
		return nil, engine.Refusef("version %d is negative", number)
	}
	resp, found, err := describeVersion(ctx, e, name, uint64(number))
	if err != nil || resp == nil {
		return nil, err
	}
	status, err := e.Status(ctx, name)
	if err != nil {
		return nil, err
	}
	addStatus(resp, status)
	if status != nil {
		resp.Data["settings"] = encodeSettings(status.Settings)
	}
	if !found {
		return notFound(req, resp)
	}
	return resp, nil
}

// describeVersion returns a version with its value in the form in which it was
// written. A version that can't be read is described without, and found false.
func describeVersion(ctx context.Context, e *engine.Engine, name string, number uint64) (resp *logical.Response, found bool, err error) {
	version, err := e.ReadVersion(ctx, name, number)
	if err != nil {
		return nil, false, err
	}
	if version != nil {
		resp := &logical.Response{Data: encodeVersion(version.Number, version.VersionInfo)}
		resp.Data["custom_metadata"] = version.CustomMetadata
		field, value, err := e.Present(ctx, name, version.Number, version.Data)
		resp.Data[field] = value
		return resp, true, err
	}
	meta, err := e.ReadMetadata(ctx, name)
	if err != nil || meta == nil {
		return nil, false, err
	}
	if number == 0 {
		number = meta.Current
	}
	info, known := meta.Versions[number]
	if !known {
		return nil, false, nil
	}
	resp = &logical.Response{Data: encodeVersion(number, info)}
	resp.Data["custom_metadata"] = meta.CustomMetadata
	return resp, false, nil
}

func deleteSecret(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	resp, err := apply(ctx, e, d, engine.Change{Name: name, Request: kvstore.DeleteRequest(req, name), Removes: true})
	if err != nil || resp.IsError() {
		return resp, err
	}
	if len(resp.Warnings) == 0 {
		return nil, nil
	}
	// Something is left to do at a destination: say what.
	return &logical.Response{Warnings: resp.Warnings}, nil
}

func listSecrets(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	folder := d.Get(fieldName).(string)
	list := *req
	list.Path = "metadata/" + folder
	return e.Forward(ctx, &list)
}

// apply carries out a change, waits for its replicas, and answers with the
// version written and where the replicas stand.
func apply(ctx context.Context, e *engine.Engine, d *framework.FieldData, change engine.Change) (*logical.Response, error) {
	changed, err := e.Apply(ctx, change)
	if err != nil || kvstore.Failed(changed.Response, err) {
		return changed.Response, err
	}
	resp := &logical.Response{Data: map[string]any{}}
	if changed.Response != nil {
		resp.Warnings = changed.Response.Warnings
		for _, field := range []string{fieldVersion, "created_time", "deletion_time", "destroyed", "custom_metadata"} {
			if value, ok := changed.Response.Data[field]; ok {
				resp.Data[field] = value
			}
		}
	}
	resp.Warnings = append(resp.Warnings, changed.Warnings...)
	status, err := awaitStatus(ctx, e, change.Name, changed.Generation, given[int](d, fieldWait))
	if err != nil {
		// The write itself succeeded and must not be answered as a failure.
		resp.AddWarning(fmt.Sprintf("the write is stored, but its replication status can't be read: %v", err))
		return resp, nil
	}
	addStatus(resp, status)
	for _, warning := range warnings(status) {
		resp.AddWarning(warning)
	}
	for _, destination := range changed.TakenAway {
		if change.Deletes {
			resp.AddWarning(fmt.Sprintf("destination %s: taken away from the secret; its remote secret is deleted by the deletion policy", destination))
			continue
		}
		resp.AddWarning(fmt.Sprintf("destination %s: taken away from the secret; its remote secret stays as it is, without this mount's mark", destination))
	}
	return resp, nil
}
