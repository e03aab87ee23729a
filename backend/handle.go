// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// handler serves one operation of a path with the mount's engine. A
// *engine.RefusedError becomes a bad request, every other error a failure.
type handler func(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error)

// operation wraps a handler: it opens the engine, refuses parameters that the
// operation doesn't have (the framework alone would at most warn of a misspelt
// one) and gives errors their status. The parameters are those of the path
// unless they are named; see none.
func (b *backend) operation(h handler, parameters ...string) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		if err := refuseUnknown(req, d, parameters); err != nil {
			return refused(err)
		}
		e, err := b.open(ctx, req.Storage)
		if err != nil {
			return nil, err
		}
		if req.Operation == logical.CreateOperation || req.Operation == logical.UpdateOperation {
			if err := e.Settle(ctx, req.MountPoint, req.MountAccessor); err != nil {
				return nil, err
			}
		}
		resp, err := h(engine.WithCause(ctx, requestCause(req)), e, req, d)
		var refusal *engine.RefusedError
		if errors.As(err, &refusal) {
			return refused(refusal)
		}
		var remote *engine.RemoteError
		if errors.As(err, &remote) {
			return notAnswered(remote)
		}
		return resp, err
	}
}

// notAnswered is a refusal, or a 503 where trying again may help, which clients do
// by themselves.
func notAnswered(err *engine.RemoteError) (*logical.Response, error) {
	if class := err.Class; class != provider.ClassUnavailable && class != provider.ClassThrottled && class != provider.ClassInternal {
		return refused(err)
	}
	body, encoding := json.Marshal(map[string]any{"errors": []string{err.Error()}})
	if encoding != nil {
		return nil, encoding
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPContentType: "application/json", logical.HTTPRawBody: body, logical.HTTPStatusCode: http.StatusServiceUnavailable,
	}}, nil
}

// requestCause is who makes a request.
func requestCause(req *logical.Request) engine.Cause {
	return engine.Cause{RequestID: req.ID, EntityID: req.EntityID, DisplayName: req.DisplayName}
}

// none says that an operation takes no parameters.
var none = []string{}

// existenceCheck tells with the mount's engine whether what a request is about
// exists.
type existenceCheck func(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (bool, error)

// existence wraps an existence check.
func (b *backend) existence(check existenceCheck) framework.ExistenceFunc {
	return func(ctx context.Context, req *logical.Request, d *framework.FieldData) (bool, error) {
		e, err := b.open(ctx, req.Storage)
		if err != nil {
			return false, err
		}
		return check(ctx, e, req, d)
	}
}

func refused(err error) (*logical.Response, error) {
	return logical.ErrorResponse(err.Error()), logical.ErrInvalidRequest
}

func refuseUnknown(req *logical.Request, d *framework.FieldData, known []string) error {
	if known == nil {
		known = slices.Sorted(maps.Keys(d.Schema))
	}
	var unknown []string
	for name := range req.Data {
		if !slices.Contains(known, name) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	if len(known) == 0 {
		return fmt.Errorf("unknown parameter %s; this call takes none", strings.Join(unknown, ", "))
	}
	return fmt.Errorf("unknown parameter %s; this call knows %s", strings.Join(unknown, ", "), strings.Join(known, ", "))
}

// notFound is a 404 with resp as its body, as the KV engine answers for a
// deleted version; nil gives the plain one.
func notFound(req *logical.Request, resp *logical.Response) (*logical.Response, error) {
	if resp == nil {
		return nil, nil
	}
	return logical.RespondWithStatusCode(resp, req, http.StatusNotFound)
}

// responds describes the answers of an operation: with fields a body, without
// an empty answer.
func responds(fields map[string]*framework.FieldSchema) map[int][]framework.Response {
	if fields == nil {
		return map[int][]framework.Response{http.StatusNoContent: {{Description: http.StatusText(http.StatusNoContent)}}}
	}
	return map[int][]framework.Response{http.StatusOK: {{Description: http.StatusText(http.StatusOK), Fields: fields}}}
}

// field is shorthand for the description of a field in an answer.
func field(kind framework.FieldType, description string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: kind, Description: description}
}

// listed describes the answer of a list operation.
func listed() map[int][]framework.Response {
	return responds(map[string]*framework.FieldSchema{
		"keys":     field(framework.TypeStringSlice, "The names; one that ends with a slash is a folder."),
		"key_info": {Type: framework.TypeMap, Description: "More about each name, where there is more."},
	})
}

// given returns a field's value if the request has it. Its kind is the one of
// the schema.
func given[T any](d *framework.FieldData, name string) *T {
	raw, ok := d.GetOk(name)
	if !ok {
		return nil
	}
	value, ok := raw.(T)
	if !ok {
		return nil
	}
	return &value
}

// display names an operation in the OpenAPI document.
func display(verb, suffix string) *framework.DisplayAttributes {
	return &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: verb, OperationSuffix: suffix}
}

// kvFailure gives our refusals their status and leaves the library's own
// answers as they are.
func kvFailure(resp *logical.Response, err error) (*logical.Response, error) {
	var refusal *engine.RefusedError
	if errors.As(err, &refusal) {
		return refused(refusal)
	}
	return resp, err
}
