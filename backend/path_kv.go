// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
)

// kvPaths are the KV v2 engine's own paths: its patterns, fields, help and
// answers, served by the library. A request that changes a secret passes through
// the engine first, so that its replicas follow.
func (b *backend) kvPaths() ([]*framework.Path, error) {
	var paths []*framework.Path
	for _, name := range kvstore.PathNames {
		library, err := b.schema.Path(name + "example")
		if err != nil {
			return nil, err
		}
		path := *library
		path.Operations = map[logical.Operation]framework.OperationHandler{}
		for operation, served := range library.Operations {
			properties := served.Properties()
			path.Operations[operation] = &framework.PathOperation{
				Callback: b.serveKV(operation),
				Summary:  properties.Summary, Description: properties.Description, Examples: properties.Examples,
				Responses: properties.Responses, Unpublished: properties.Unpublished, Deprecated: properties.Deprecated,
				DisplayAttrs:                properties.DisplayAttrs,
				ForwardPerformanceSecondary: properties.ForwardPerformanceSecondary,
				ForwardPerformanceStandby:   properties.ForwardPerformanceStandby,
			}
		}
		if library.ExistenceCheck != nil {
			path.ExistenceCheck = b.existence(func(ctx context.Context, e *engine.Engine, req *logical.Request, _ *framework.FieldData) (bool, error) {
				return e.KVExists(ctx, req)
			})
		}
		paths = append(paths, &path)
	}
	return paths, nil
}

// serveKV serves one operation of a KV path. Unknown parameters are left to the
// library, so that the wire behaviour is the KV engine's.
func (b *backend) serveKV(operation logical.Operation) framework.OperationFunc {
	reads := operation == logical.ReadOperation || operation == logical.ListOperation || operation == logical.HelpOperation
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		e, err := b.open(ctx, req.Storage)
		if err != nil {
			return nil, err
		}
		if reads {
			return e.Forward(ctx, req)
		}
		return changeByKV(ctx, e, req, d)
	}
}

// changeByKV carries out a KV request that changes a secret. The answer is the
// library's, with a warning for each replica that isn't in sync in time.
func changeByKV(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	kind, name, _ := strings.Cut(req.Path, "/")
	change := engine.Change{Name: name, Request: req}
	switch {
	case kind == "metadata" && req.Operation == logical.DeleteOperation:
		change.Removes = true
	case kind != "data" || req.Operation == logical.DeleteOperation:
	case given[map[string]any](d, fieldData) == nil:
		// The library says what is missing.
	case req.Operation == logical.PatchOperation:
		change.Patch = *given[map[string]any](d, fieldData)
	default:
		change.Data = *given[map[string]any](d, fieldData)
	}
	if change.Data != nil || kind == "metadata" && req.Operation != logical.DeleteOperation {
		if err := engine.CheckName(name); err != nil {
			return refused(err)
		}
	}
	changed, err := e.Apply(ctx, change)
	if err != nil {
		return kvFailure(changed.Response, err)
	}
	if kvstore.Failed(changed.Response, nil) {
		return changed.Response, nil
	}
	status, err := awaitStatus(ctx, e, name, changed.Generation, nil)
	if err != nil || changed.Response == nil {
		// An empty answer stays one: clients of the KV engine expect no body.
		return changed.Response, nil //nolint:nilerr // the change is stored; status tells the rest
	}
	for _, text := range warnings(status) {
		changed.Response.AddWarning(text)
	}
	return changed.Response, nil
}
