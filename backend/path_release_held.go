// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

func (b *backend) releaseHeldPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "release-held/" + framework.GenericNameRegex(fieldType) + "/" + framework.GenericNameRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "held-deletions"},
		Fields: map[string]*framework.FieldSchema{
			fieldType: {Type: framework.TypeString, Description: "Type of the destination."},
			fieldName: {Type: framework.TypeString, Description: "Name of the destination."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.operation(releaseHeld), DisplayAttrs: display("release", "held-deletions"),
				Summary: "Let go on the deletions and withdrawals that are held at a destination by now.",
				Responses: responds(map[string]*framework.FieldSchema{
					"released": field(framework.TypeInt, "How many replicas were held and go on now."),
				}),
			},
		},
		HelpSynopsis:    "Let held deletions go on.",
		HelpDescription: "What goes beyond max_deletions_per_hour of a destination is held until a person has looked at it: list it with state=held at status. This lets go on all that is held by now, without counting it; what comes later beyond the limit is held again. To keep a secret instead, bring it back: write or undelete it, or put the rule back.",
	}}
}

func releaseHeld(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	kind, _ := d.Get(fieldType).(string)
	name, _ := d.Get(fieldName).(string)
	released, err := e.ReleaseHeld(ctx, kind+"/"+name)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"released": released}}, nil
}

// heldWarning says what is held, and what a person can do.
func heldWarning(r engine.ReplicaStatus) string {
	what := "withdrawal"
	if r.Removal != nil {
		what = "deletion"
	}
	return "its " + what + " is held for review, since more are asked for here than max_deletions_per_hour: nothing is changed there and it can still be read; " +
		"see which with state=held at LIST status, then let them go on with release-held/" + r.Destination + ", or bring the secret back"
}
