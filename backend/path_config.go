// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"maps"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

const (
	fieldDefaultWait = "default_wait"
	fieldPaused      = "paused"
)

var ownConfigFields = map[string]*framework.FieldSchema{
	fieldDefaultWait: {Type: framework.TypeDurationSecond, Description: "How long a write waits for its replicas to be in sync before it answers. Defaults to 5 seconds; 0 answers at once."},
	fieldPaused:      {Type: framework.TypeBool, Description: "Stops every remote change of this mount. Writes are accepted and stay pending until it is false again."},
}

// configPaths join the mount's own settings with those of the KV engine, whose
// config path they share.
func (b *backend) configPaths() []*framework.Path {
	fields := maps.Clone(ownConfigFields)
	answers := maps.Clone(ownConfigFields)
	if kv, err := b.schema.Path("config"); err == nil {
		for name, schema := range kv.Fields {
			fields[name] = schema
			answers[name] = schema
		}
	}
	return []*framework.Path{{
		Pattern:      "config",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "configuration"},
		Fields:       fields,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(readConfig), Responses: responds(answers), DisplayAttrs: display("read", "configuration"),
				Summary: "Read the mount's settings.",
			},
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.operation(writeConfig), Responses: responds(nil), DisplayAttrs: display("configure", ""),
				Summary: "Change the mount's settings; what isn't given stays.",
			},
		},
		HelpSynopsis:    "Settings of the mount.",
		HelpDescription: "default_wait and paused are of replication; max_versions, cas_required and delete_version_after are the KV v2 engine's, with its meaning.",
	}}
}

func readConfig(ctx context.Context, e *engine.Engine, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	resp, err := e.Forward(ctx, req)
	if err != nil || resp.IsError() {
		return resp, err
	}
	config, err := e.Config(ctx)
	if err != nil {
		return nil, err
	}
	resp.Data[fieldDefaultWait] = int64(config.Wait() / time.Second)
	resp.Data[fieldPaused] = config.Paused
	return resp, nil
}

func writeConfig(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	seconds, paused := given[int](d, fieldDefaultWait), given[bool](d, fieldPaused)
	if seconds != nil && *seconds < 0 {
		return nil, engine.Refusef("default_wait is negative; 0 answers at once")
	}
	forward := *req
	forward.Data = maps.Clone(req.Data)
	maps.DeleteFunc(forward.Data, func(name string, _ any) bool { return ownConfigFields[name] != nil })
	if len(forward.Data) > 0 {
		resp, err := e.Forward(ctx, &forward)
		if err != nil || resp.IsError() {
			return resp, err
		}
	}
	if seconds == nil && paused == nil {
		return nil, nil
	}
	return nil, e.ChangeConfig(ctx, func(c *engine.Config) {
		if seconds != nil {
			wait := time.Duration(*seconds) * time.Second
			c.DefaultWait = &wait
		}
		assign(&c.Paused, paused)
	})
}
