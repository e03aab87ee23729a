// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

const (
	remotePrefix  = "remote/"
	fieldOwner    = "owner"
	fieldVersions = "versions"
)

func (b *backend) remotePaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      remotePrefix + framework.GenericNameRegex(fieldType) + "/" + framework.GenericNameRegex(fieldName) + "/?",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "remote-secrets"},
		Fields: map[string]*framework.FieldSchema{
			fieldType:     {Type: framework.TypeString, Description: "Type of the destination."},
			fieldName:     {Type: framework.TypeString, Description: "Name of the destination."},
			fieldOwner:    {Type: framework.TypeString, Query: true, Description: "Only secrets that are ours, another_mount, cloud_managed or unmanaged.", AllowedValues: []any{"ours", "another_mount", "cloud_managed", "unmanaged"}},
			fieldVersions: {Type: framework.TypeBool, Query: true, Description: "Whether to list the versions of each too, which costs a call for each."},
			fieldAfter:    {Type: framework.TypeString, Query: true, Description: "Where the page begins; the next of the page before."},
			fieldLimit:    {Type: framework.TypeInt, Query: true, Default: defaultLimit, Description: "Most secrets that a page looks at, up to 1000. Defaults to 100."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback: b.operation(listRemote), Responses: responds(remoteFields), DisplayAttrs: display("list", "remote-secrets"),
				Summary: "What is in the cloud, and whose it is.",
			},
		},
		HelpSynopsis: "What is in the cloud, and whose it is.",
		HelpDescription: strings.TrimSpace(`
Lists the secrets of every type that the account and region of a destination has,
also those that are scheduled for deletion, a page at a time. It reads metadata
and never a value.`),
	}}
}

var remoteFields = map[string]*framework.FieldSchema{
	"keys":     field(framework.TypeStringSlice, "The remote names, in the order of the cloud; missing in an empty page."),
	"key_info": field(framework.TypeMap, "By remote name: whose the secret is, its state, type, key, times, and description."),
	fieldNext:  field(framework.TypeString, "What after has to be for the next page; missing at the end."),
}

func listRemote(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	limit := d.Get(fieldLimit).(int)
	if limit < 1 || limit > mostListed {
		return nil, engine.Refusef("limit is %d; it has to be from 1 to %d", limit, mostListed)
	}
	q := engine.InventoryQuery{
		Destination: textField(d, fieldType) + "/" + textField(d, fieldName), Owner: engine.RemoteOwner(textField(d, fieldOwner)),
		After: textField(d, fieldAfter), Limit: limit,
	}
	assign(&q.Versions, given[bool](d, fieldVersions))
	if q.Owner != "" && !slices.Contains(engine.RemoteOwners(), q.Owner) {
		return nil, engine.Refusef("owner %q is unknown, possible are ours, another_mount, cloud_managed and unmanaged", q.Owner)
	}
	page, err := e.Inventory(ctx, q)
	if err != nil {
		return nil, err
	}
	names, info := make([]string, len(page.Secrets)), map[string]any{}
	for i, s := range page.Secrets {
		names[i], info[s.Name] = s.Name, encodeRemoteSecret(s)
	}
	resp := logical.ListResponseWithInfo(names, info)
	if page.Next != "" {
		resp.Data[fieldNext] = page.Next
	}
	return resp, nil
}

func encodeRemoteSecret(s engine.RemoteSecret) map[string]any {
	encoded := map[string]any{
		fieldOwner: string(s.Owner), fieldState: string(s.State), "tombstone": s.Tombstone(), fieldType: s.Type, "cloud_managed": s.CloudManaged,
		fieldKMSKeyID: s.KMSKeyID, fieldDescription: s.Text, "created_time": encodeTime(s.CreatedTime),
	}
	if s.Tombstone() {
		encoded["deletion_time"] = encodeTime(s.DeletionTime)
	}
	if s.SecretName != "" {
		encoded[fieldSecret] = s.SecretName
	}
	switch s.Owner {
	case engine.RemoteOurs:
		encoded["in_vault"] = s.InVault
	case engine.RemoteAnotherMount:
		encoded["mount_id"] = s.Mark.Mount
	case engine.RemoteCloudManaged, engine.RemoteUnmanaged:
	}
	if s.Failure != nil {
		encoded["error_class"], encoded["error"] = string(s.Failure.Class), s.Failure.Message
	}
	if s.Brief {
		encoded[fieldOwner] = "unknown"
	}
	if s.Versions != nil {
		versions := make([]any, len(s.Versions))
		for i, v := range s.Versions {
			versions[i] = map[string]any{fieldID: v.ID, "created_time": encodeTime(v.CreatedTime), "labels": append([]string{}, v.Labels...)}
		}
		encoded[fieldVersions] = versions
	}
	return encoded
}
