// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
)

// fieldPath is the name that the library gives to a secret's name.
const fieldPath = "path"

// kvPaths are the KV v2 engine's own paths: its patterns, fields, help and
// answers, served by the library. A request that changes a secret passes through
// the engine first, so that its replicas follow. The last one takes what no path
// serves, since the library has an answer for that too.
func (b *backend) kvPaths() ([]*framework.Path, error) {
	var paths []*framework.Path
	for _, route := range append(slices.Clone(kvstore.PathNames), "") {
		library, err := b.schema.Path(route + "example")
		if err != nil {
			return nil, err
		}
		path := *library
		path.Operations = map[logical.Operation]framework.OperationHandler{}
		for operation, served := range library.Operations {
			properties := served.Properties()
			path.Operations[operation] = &framework.PathOperation{
				Callback: b.serveKV(library, operation, route != ""),
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

// customMetadata is what a request gives as custom metadata, nil if nothing that
// the library would take.
func customMetadata(req *logical.Request) map[string]string {
	var custom map[string]string
	raw, isMap := req.Data["custom_metadata"].(map[string]any)
	if !isMap {
		return nil
	}
	custom = map[string]string{}
	for key, value := range raw {
		switch value := value.(type) {
		case string:
			custom[key] = value
		case nil:
			custom[key] = "" // a patch takes the key away
		}
	}
	return custom
}

// serveKV serves one operation of a KV path, of one that has secrets or of the
// last, which has none.
func (b *backend) serveKV(path *framework.Path, operation logical.Operation, secrets bool) framework.OperationFunc {
	reads := operation == logical.ReadOperation || operation == logical.ListOperation || operation == logical.HelpOperation
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		e, err := b.open(ctx, req.Storage)
		if err != nil {
			return nil, err
		}
		req = withoutIgnored(req, path)
		if reads || !secrets {
			return e.Forward(ctx, req)
		}
		if err := e.Settle(ctx, req.MountPoint, req.MountAccessor); err != nil {
			return nil, err
		}
		return changeByKV(engine.WithCause(ctx, requestCause(req)), e, req, d)
	}
}

// withoutIgnored leaves out the parameters that the path doesn't have, or has in
// its URL: this mount's framework warns of them, and the library's would do so a
// second time.
func withoutIgnored(req *logical.Request, path *framework.Path) *logical.Request {
	known := *req
	known.Data = maps.Clone(req.Data)
	maps.DeleteFunc(known.Data, func(name string, _ any) bool { return name == fieldPath || path.Fields[name] == nil })
	return &known
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
	if kind == "metadata" && req.Operation != logical.DeleteOperation {
		change.CustomMetadata = customMetadata(req)
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
