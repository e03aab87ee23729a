// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

const (
	lookupPrefix = "lookup/"
	fieldType    = "type"
	fieldSecret  = "secret"
)

func (b *backend) lookupPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      lookupPrefix + framework.GenericNameRegex(fieldType) + "/" + framework.GenericNameRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "remote-name"},
		Fields: map[string]*framework.FieldSchema{
			fieldType:       {Type: framework.TypeString, Description: "Type of the destination."},
			fieldName:       {Type: framework.TypeString, Description: "Name of the destination."},
			fieldRemoteName: {Type: framework.TypeString, Query: true, Description: "The name of a remote secret there."},
			fieldSecret:     {Type: framework.TypeString, Query: true, Description: "The name of a secret in Vault, to learn which remote name it gets there."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(lookUp), Responses: responds(lookupFields), DisplayAttrs: display("look-up", "remote-name"),
				Summary: "Which secret a remote name belongs to at a destination, and which remote name a secret gets there.",
			},
		},
		HelpSynopsis: "Which secret a remote name belongs to at a destination.",
		HelpDescription: "With remote_name it tells which secret has the name there, also as a former name of one that was renamed, or that the name is free. " +
			"With secret it tells which remote name that secret gets, whether it goes there by now or not, and what was done to the name to make it legal. It goes by what is stored in Vault, and makes no remote call.",
	}}
}

var lookupFields = map[string]*framework.FieldSchema{
	fieldRemoteName: field(framework.TypeString, "The remote name that was asked for."),
	"free":          field(framework.TypeBool, "Whether nothing of this mount has the name."),
	"credential":    field(framework.TypeString, "The managed credential that has the name; missing if none has."),
	fieldSecret:     field(framework.TypeString, "The secret that has the name; missing if it is free."),
	"key":           field(framework.TypeString, "The key of the secret's data, if the replica is of one key."),
	"former":        field(framework.TypeBool, "Whether the replica is on its way out under this name."),
	fieldState:      field(framework.TypeString, "The state of the replica."),
	"reason":        field(framework.TypeString, "Why no secret can have the name there; missing if one can."),
	"names":         field(framework.TypeSlice, "With secret: each remote name that it gets, and how it comes about."),
}

func lookUp(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	ref := d.Get(fieldType).(string) + "/" + d.Get(fieldName).(string)
	remoteName, secret := d.Get(fieldRemoteName).(string), d.Get(fieldSecret).(string)
	if remoteName == "" && secret == "" {
		return nil, engine.Refusef("neither remote_name nor secret is given; give one to say what to look up")
	}
	data := map[string]any{}
	if remoteName != "" {
		holding, err := e.Lookup(ctx, ref, remoteName)
		if err != nil {
			return nil, err
		}
		encodeHolding(holding, data)
	}
	if secret != "" {
		compiled, err := e.CompileNames(ctx, ref, secret)
		if err != nil {
			return nil, err
		}
		names := make([]any, len(compiled))
		for i, name := range compiled {
			names[i] = encodeCompiledName(name)
		}
		data["names"] = names
	}
	return &logical.Response{Data: data}, nil
}

func encodeHolding(h *engine.Holding, to map[string]any) {
	to[fieldRemoteName], to["free"] = h.RemoteName, h.Secret == "" && h.Credential == ""
	if h.Credential != "" {
		to["credential"] = h.Credential
	}
	if h.Illegal != "" {
		to["reason"] = h.Illegal
	}
	if h.Secret == "" {
		return
	}
	to[fieldSecret], to[fieldState], to["former"] = h.Secret, string(h.State), h.Former
	if h.Key != "" {
		to["key"] = h.Key
	}
}

func encodeCompiledName(n engine.CompiledName) map[string]any {
	encoded := map[string]any{fieldRemoteName: n.Name, "change": string(n.Change), "template_result": n.Full, "goes_there": n.Goes, "released": n.Released}
	for name, text := range map[string]string{"key": n.Key, "reason": n.Illegal, "taken_by": n.TakenBy} {
		if text != "" {
			encoded[name] = text
		}
	}
	return encoded
}
