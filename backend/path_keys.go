// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

func (b *backend) keysPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "keys",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "kms-keys"},
		Fields: map[string]*framework.FieldSchema{
			fieldDestination: {Type: framework.TypeString, Query: true, Description: "Only replicas at this destination, as type/name."},
			fieldKMSKeyID:    {Type: framework.TypeString, Query: true, Description: "Only replicas that are under this key, or should be."},
			fieldAfter:       {Type: framework.TypeString, Query: true, Description: "Only secrets after this one; the next of the page before."},
			fieldLimit:       {Type: framework.TypeInt, Query: true, Default: defaultLimit, Description: "Most secrets that a page looks at, up to 1000. Defaults to 100."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(readKeys), DisplayAttrs: display("read", "kms-keys"),
				Summary: "Which replicas are under which KMS keys, and which should be under another.",
				Responses: responds(map[string]*framework.FieldSchema{
					"replicas": field(framework.TypeSlice, "Each replica with the KMS key that is asked for and the one in effect, in the order of the secrets' names."),
					fieldNext:  field(framework.TypeString, "What after has to be for the next page; missing at the end."),
				}),
			},
		},
		HelpSynopsis: "Which replicas are under which KMS keys.",
		HelpDescription: "Tells for each replica the KMS key that is asked for by the secret, its rules or the destination, and the one that the remote secret is under. " +
			"They differ where the cloud fixes the key when a secret is created; rekey/<name> puts a replica under another key. It goes by what is stored in Vault, a page at a time, and makes no remote call.",
	}}
}

func readKeys(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	limit := d.Get(fieldLimit).(int)
	if limit < 1 || limit > mostListed {
		return nil, engine.Refusef("limit is %d; it has to be from 1 to %d", limit, mostListed)
	}
	query := engine.KeyQuery{Destination: d.Get(fieldDestination).(string), After: d.Get(fieldAfter).(string), Limit: limit}
	query.KMSKeyID = d.Get(fieldKMSKeyID).(string)
	report, err := e.ReportKeys(ctx, query)
	if err != nil {
		return nil, err
	}
	replicas := make([]any, len(report.Replicas))
	for i, r := range report.Replicas {
		replicas[i] = encodeReplicaKey(r)
	}
	resp := &logical.Response{Data: map[string]any{"replicas": replicas}}
	if report.Next != "" {
		resp.Data[fieldNext] = report.Next
	}
	return resp, nil
}

func encodeReplicaKey(r engine.ReplicaKey) map[string]any {
	encoded := map[string]any{
		fieldSecret: r.Secret, fieldDestination: r.Destination, fieldRemoteName: r.RemoteName,
		fieldKMSKeyID: r.Asked, "differs": r.Differs, "leaving": r.Leaving,
	}
	if r.Made {
		encoded["kms_key_id_in_effect"] = r.InEffect
	}
	if r.Key != "" {
		encoded["key"] = r.Key
	}
	return encoded
}
