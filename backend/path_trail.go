// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

func (b *backend) trailPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "trail/" + framework.MatchAllRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "trail"},
		Fields:       map[string]*framework.FieldSchema{fieldName: secretName},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(b.readTrail), DisplayAttrs: display("read", "trail"),
				Summary: "What was changed at the replicas of a secret last, why, and who asked for it; never a value.",
				Responses: responds(map[string]*framework.FieldSchema{
					fieldSecret: field(framework.TypeString, "The secret."),
					"replicas":  field(framework.TypeSlice, "Each replica with its last changes, the newest first, and how to ask the cloud's own audit for them."),
				}),
			},
		},
		HelpSynopsis: "What was changed at the replicas of a secret last, and who asked for it.",
		HelpDescription: "Gives the last ten changes of each replica: when, by which calls, with the cloud's and Vault's request ids, why, and who asked for it as Vault tells it. " +
			"Replicas that went last are there too. With it comes a query for the cloud's own audit. Holds no value, and makes no remote call.",
	}}
}

func (b *backend) readTrail(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	trails, err := e.Trail(ctx, name)
	if err != nil || trails == nil {
		return nil, err
	}
	entities := map[string]map[string]any{}
	replicas := make([]any, len(trails))
	for i, trail := range trails {
		changes := make([]any, len(trail.Changes))
		for j, change := range trail.Changes {
			changes[j] = b.encodeChange(change, entities)
		}
		replica := map[string]any{fieldDestination: trail.Destination, fieldRemoteName: trail.RemoteName, "changes": changes}
		if trail.Key != "" {
			replica["key"] = trail.Key
		}
		if trail.Former {
			replica["former"] = true
		}
		if trail.Gone {
			replica["gone"] = true
		}
		if q := trail.Audit; q != nil {
			audit := map[string]any{"service": q.Service, "query": q.Command, "note": q.Note}
			if q.ByRequest != "" {
				audit["query_by_request"] = q.ByRequest
			}
			replica["audit"] = audit
		}
		replicas[i] = replica
	}
	return &logical.Response{Data: map[string]any{fieldSecret: name, "replicas": replicas}}, nil
}

func (b *backend) encodeChange(change engine.TrailEntry, entities map[string]map[string]any) map[string]any {
	calls := make([]any, len(change.Calls))
	for i, c := range change.Calls {
		call := map[string]any{"operation": c.Operation, "request_id": c.RequestID}
		if c.VersionID != "" {
			call["version_id"] = c.VersionID
		}
		if c.Doubtful {
			call["doubtful"] = true
		}
		calls[i] = call
	}
	encoded := map[string]any{
		"time": encodeTime(change.Time), "calls": calls, "why": string(change.Cause.Reason), fieldVersion: change.Version,
		"vault_request_id": change.Cause.RequestID, "display_name": change.Cause.DisplayName, "entity_id": change.Cause.EntityID,
	}
	if change.Cause.Resumed {
		encoded["resumed"] = true
	}
	if change.Failure != "" {
		encoded["error_class"] = string(change.Failure)
	}
	if id := change.Cause.EntityID; id != "" {
		if entities[id] == nil {
			entities[id] = b.entity(id)
		}
		for key, value := range entities[id] {
			encoded[key] = value
		}
	}
	return encoded
}

// entity is what Vault tells of an entity by now: its name, and by which auth mounts
// it is known. One that is gone has neither.
func (b *backend) entity(id string) map[string]any {
	known := map[string]any{}
	entity, err := b.System().EntityInfo(id)
	if err != nil || entity == nil {
		return known
	}
	known["entity_name"] = entity.Name
	accessors := []string{}
	for _, alias := range entity.Aliases {
		accessors = append(accessors, alias.MountAccessor)
	}
	known["mount_accessors"] = accessors
	return known
}
