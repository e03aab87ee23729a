// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/version"
)

func (b *backend) statusPaths() []*framework.Path {
	return []*framework.Path{
		{
			Pattern:      "status/?",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "status"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readOverview), Responses: responds(overviewFields), DisplayAttrs: display("read", "status"),
					Summary: "The mount at a glance.",
				},
			},
			HelpSynopsis:    "The mount at a glance.",
			HelpDescription: "Counts replicas by destination and state, and tells how much work is outstanding and since when.",
		},
		{
			Pattern:      "status/" + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret-status"},
			Fields:       map[string]*framework.FieldSchema{fieldName: secretName},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readStatus), Responses: responds(statusFields), DisplayAttrs: display("read", "secret-status"),
					Summary: "Where a secret stands at each of its destinations; never its value.",
				},
			},
			HelpSynopsis:    "Where a secret stands at each of its destinations.",
			HelpDescription: "Tells everything about the replicas of a secret: state, error with the cloud's code and request id and what to do, attempts, next retry, remote name, versions, key, tags. It never holds the value.",
		},
		{
			Pattern:      "sync/" + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "sync"},
			Fields:       map[string]*framework.FieldSchema{fieldName: secretName, fieldWait: waitField},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(syncSecret), Responses: responds(statusFields), DisplayAttrs: display("sync", "secret"),
					Summary: "Converge a secret's replicas now, also those that are blocked.",
				},
			},
			HelpSynopsis:    "Converge a secret's replicas now.",
			HelpDescription: "Tries every replica of the secret at once, also those that wait for a retry or are blocked, and answers with the status after waiting. A replica that is in sync costs no remote call.",
		},
	}
}

var overviewFields = map[string]*framework.FieldSchema{
	fieldDestinations:      field(framework.TypeMap, "By destination: how many replicas are in each state. in_sync includes withdrawn ones."),
	"outstanding":          field(framework.TypeInt, "Replicas that aren't in sync."),
	"queue_depth":          field(framework.TypeInt, "Replicas that wait for a worker right now."),
	"oldest_pending_since": field(framework.TypeString, "When the oldest outstanding change was made; empty if nothing is outstanding."),
	"oldest_pending_age":   field(framework.TypeInt64, "Age of the oldest outstanding change in seconds."),
	"paused":               field(framework.TypeBool, "Whether remote changes are paused."),
	"replicating":          field(framework.TypeBool, "Whether this node is the one that calls the clouds."),
	"mount_id":             field(framework.TypeString, "The id in the ownership marks of this mount."),
	"plugin_version":       field(framework.TypeString, "Version of the running plugin."),
	"plugin_commit":        field(framework.TypeString, "Commit that the running plugin was built from."),
	"destination_types":    field(framework.TypeStringSlice, "The types of destinations that this version knows."),
}

var statusFields = map[string]*framework.FieldSchema{
	"state":           writtenFields["state"],
	"settings":        secretFields["settings"],
	fieldVersion:      field(framework.TypeInt64, "The newest live version in Vault; 0 if there is none."),
	"pending_since":   field(framework.TypeString, "When the oldest outstanding change was made; empty if nothing is outstanding."),
	fieldDestinations: field(framework.TypeMap, "By destination: everything about the replica."),
}

func readOverview(ctx context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	overview, err := e.Overview(ctx)
	if err != nil {
		return nil, err
	}
	byDestination := map[string]any{}
	outstanding := 0
	for ref, counts := range overview.Replicas {
		encoded := map[string]any{}
		for state, n := range counts {
			encoded[string(state)] = n
			if state != engine.StateInSync {
				outstanding += n
			}
		}
		byDestination[ref] = encoded
	}
	var age int64
	if !overview.PendingSince.IsZero() {
		age = int64(time.Since(overview.PendingSince) / time.Second)
	}
	return &logical.Response{Data: map[string]any{
		fieldDestinations: byDestination, "queue_depth": overview.QueueDepth, "outstanding": outstanding,
		"oldest_pending_since": encodeTime(overview.PendingSince), "oldest_pending_age": age,
		"paused": overview.Paused, "replicating": e.Started(), "mount_id": overview.MountID,
		"plugin_version": version.Version, "plugin_commit": version.Commit, "destination_types": slices.Sorted(maps.Keys(e.Kinds())),
	}}, nil
}

func readStatus(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	status, err := e.Status(ctx, d.Get(fieldName).(string))
	if err != nil || status == nil {
		return nil, err
	}
	return encodeStatus(ctx, e, status)
}

func syncSecret(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	changed, err := e.Sync(ctx, name)
	if err != nil {
		return nil, err
	}
	status, err := awaitStatus(ctx, e, name, changed.Generation, given[int](d, fieldWait))
	if err != nil || status == nil {
		return nil, err
	}
	resp, err := encodeStatus(ctx, e, status)
	if err != nil {
		return nil, err
	}
	for _, text := range warnings(status) {
		resp.AddWarning(text)
	}
	return resp, nil
}

func encodeStatus(ctx context.Context, e *engine.Engine, status *engine.SecretStatus) (*logical.Response, error) {
	meta, err := e.ReadMetadata(ctx, status.Name)
	if err != nil {
		return nil, err
	}
	var newest uint64
	if meta != nil {
		newest = meta.Newest(time.Now())
	}
	replicas := map[string]any{}
	for _, r := range status.Replicas {
		replica := encodeReplica(r)
		replica["lag"] = status.Lag(r, newest)
		replicas[r.Destination] = replica
	}
	return &logical.Response{Data: map[string]any{
		"state": string(overall(status)), fieldVersion: newest, "settings": encodeSettings(status.Settings),
		"pending_since": encodeTime(status.PendingSince), fieldDestinations: replicas,
	}}, nil
}

func encodeReplica(r engine.ReplicaStatus) map[string]any {
	replica := map[string]any{
		"state": string(r.State), "remote_name": r.RemoteName,
		"version": r.Version, "remote_version": r.VersionID, "labels": append([]string{}, r.Labels...), "versions": encodeRemoteVersions(r.Versions),
		"attempts": r.Attempts, "next_retry": encodeTime(r.NextRetry), "last_sync": encodeTime(r.LastSync),
		"kms_key_id": r.KMSKeyID, "tags": r.Tags,
	}
	if r.Failure != nil {
		replica["error"] = encodeFailure(r.Failure)
	}
	if len(r.Notes) > 0 {
		replica["notes"] = r.Notes
	}
	return replica
}

// encodeRemoteVersions maps remote version ids to what they are.
func encodeRemoteVersions(versions []plan.Version) map[string]any {
	ids := map[string]any{}
	for _, v := range versions {
		switch {
		case v.Version.Number > 0:
			ids[v.ID] = map[string]any{"version": v.Version.Number, "incarnation": max(v.Version.Incarnation, 1)}
		default:
			ids[v.ID] = map[string]any{}
		}
	}
	return ids
}
