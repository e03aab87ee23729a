// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

const metricsPath = "metrics"

func (b *backend) metricsPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      metricsPath,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "metrics"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(readMetrics), DisplayAttrs: display("read", "metrics"),
				Responses: map[int][]framework.Response{http.StatusOK: {{Description: "The metrics, in Prometheus' text format.", MediaType: "text/plain"}}},
				Summary:   "Figures of the mount for Prometheus.",
			},
		},
		HelpSynopsis:    "Figures of the mount for Prometheus.",
		HelpDescription: "Answers in Prometheus' text format: replicas by destination and state, calls with outcome and duration, queues, and how each destination does. No secret is named.",
	}}
}

func readMetrics(ctx context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	text, contentType, err := e.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode: http.StatusOK, logical.HTTPContentType: contentType, logical.HTTPRawBody: text,
	}}, nil
}
