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
)

func (b *backend) rekeyPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "rekey/" + framework.MatchAllRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret"},
		Fields: map[string]*framework.FieldSchema{
			fieldName:           secretName,
			fieldDestination:    {Type: framework.TypeString, Description: "The destination, as type/name. Not needed for a secret with one."},
			fieldKMSKeyID:       {Type: framework.TypeString, Description: "The new KMS key.", Required: true},
			fieldRemoteName:     {Type: framework.TypeString, Description: "Name of the new remote secret, where the cloud fixes the key when a secret is created."},
			fieldDeletionPolicy: {Type: framework.TypeString, Description: "What becomes of the old remote secret where a new one is made: schedule, force or retain. Defaults to the deletion policy of the replica.", AllowedValues: []any{"schedule", "force", "retain"}},
			fieldWait:           waitField,
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.operation(rekey), DisplayAttrs: display("rekey", "secret"),
				Summary: "Put a replica under another KMS key.",
				Responses: responds(map[string]*framework.FieldSchema{
					"state":           writtenFields["state"],
					fieldDestinations: destinationsField,
				}),
			},
		},
		HelpSynopsis: "Put a replica under another KMS key.",
		HelpDescription: strings.TrimSpace(`
Where the cloud can change the key of a secret, it is changed. Elsewhere a new
remote secret is made beside the old one under the name that remote_name gives.
The old one stays until the new one was seen to hold the value, and is then
retired by the deletion policy; status/<name> shows it under former.`),
	}}
}

func rekey(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	key := strings.TrimSpace(d.Get(fieldKMSKeyID).(string))
	if key == "" {
		return nil, engine.Refusef("kms_key_id is empty; give the new key")
	}
	policy, err := engine.ParseDeletionPolicy(d.Get(fieldDeletionPolicy).(string))
	if err != nil {
		return nil, engine.Refusef("%v", err)
	}
	name := d.Get(fieldName).(string)
	asked := engine.Rekey{Secret: name, KMSKeyID: key, Retire: policy}
	assign(&asked.Destination, given[string](d, fieldDestination))
	assign(&asked.RemoteName, given[string](d, fieldRemoteName))
	changed, err := e.Rekey(ctx, asked)
	if err != nil {
		return nil, err
	}
	resp := &logical.Response{Data: map[string]any{}, Warnings: changed.Warnings}
	status, err := awaitStatus(ctx, e, name, changed.Generation, given[int](d, fieldWait))
	if err != nil {
		resp.AddWarning(fmt.Sprintf("the new key is stored, but the replication status can't be read: %v", err))
		return resp, nil
	}
	addStatus(resp, status)
	for _, text := range warnings(status) {
		resp.AddWarning(text)
	}
	return resp, nil
}
