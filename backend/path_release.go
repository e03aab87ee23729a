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

func (b *backend) releasePaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "release/" + framework.MatchAllRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "replica"},
		Fields: map[string]*framework.FieldSchema{
			fieldName:        secretName,
			fieldDestination: {Type: framework.TypeString, Description: "The destination, as type/name. Not needed for a secret with one."},
			fieldWait:        waitField,
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.operation(release), DisplayAttrs: display("release", "replica"),
				Summary: "Give a replica back: take the mark off and leave the remote secret as it is.",
				Responses: responds(map[string]*framework.FieldSchema{
					fieldDestination: field(framework.TypeString, "The destination."),
					"remote_names":   field(framework.TypeStringSlice, "The remote secrets that are given back; several with a replica of each key."),
					"released":       field(framework.TypeBool, "Whether it is done. If not, it goes on in the background."),
				}),
			},
		},
		HelpSynopsis: "Give a replica back.",
		HelpDescription: strings.TrimSpace(`
Takes the mark of this mount off the remote secret, which stays as it is, and the
destination off the secret's own. What a rule sends there can't be released, since
the rule would have it made again: put the secret into the rule's exclude.`),
	}}
}

func release(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := textField(d, fieldName)
	released, err := e.Release(ctx, name, textField(d, fieldDestination))
	if err != nil {
		return nil, err
	}
	resp := &logical.Response{Warnings: released.Warnings, Data: map[string]any{
		fieldDestination: released.Destination, "remote_names": released.RemoteNames, "released": false,
	}}
	status, err := awaitStatus(ctx, e, name, released.Generation, given[int](d, fieldWait))
	if err != nil {
		return nil, err
	}
	done, err := e.IsReleased(ctx, name, released.Destination)
	if err != nil {
		return nil, err
	}
	resp.Data["released"] = done
	if !done && status != nil {
		resp.AddWarning(fmt.Sprintf("the mark isn't off yet; it goes on in the background, see status/%s", name))
		for _, text := range warnings(status) {
			resp.AddWarning(text)
		}
	}
	return resp, nil
}
