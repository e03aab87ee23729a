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

func (b *backend) resumePaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "resume",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "replication"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.operation(resume, none...), DisplayAttrs: display("resume", "replication"),
				Summary: "End the pause of the mount and go on with what is pending.",
				Responses: responds(map[string]*framework.FieldSchema{
					"secrets": field(framework.TypeInt, "How many secrets have outstanding work, which goes on now."),
				}),
			},
		},
		HelpSynopsis:    "End the pause of the mount.",
		HelpDescription: "Does what paused=false at config does: everything that was written during the pause is replicated. A destination or a secret that is paused itself stays so.",
	}}
}

func resume(ctx context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	secrets, err := e.Resume(ctx)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"secrets": secrets}}, nil
}

// pauseWarning says what is paused and how to go on.
func pauseWarning(status *engine.SecretStatus, r engine.ReplicaStatus) string {
	remedies := map[engine.PauseLevel]string{
		engine.PausedMount:       "resume",
		engine.PausedDestination: "paused=false at destinations/" + r.Destination,
		engine.PausedSecret:      "paused=false at secrets/" + status.Name,
	}
	what, how := make([]string, len(r.PausedBy)), make([]string, len(r.PausedBy))
	for i, level := range r.PausedBy {
		what[i], how[i] = "the "+string(level), remedies[level]
	}
	if len(what) == 0 { // it ended just now
		return "stored in Vault, and replicated now that the pause is over"
	}
	is := "is"
	if len(what) > 1 {
		is = "are"
	}
	return fmt.Sprintf("stored in Vault, but not replicated: %s %s paused; go on with %s", strings.Join(what, " and "), is, strings.Join(how, " and "))
}

// pauseLevels is what holds a replica up, as answers name it.
func pauseLevels(r engine.ReplicaStatus) []string {
	levels := make([]string, len(r.PausedBy))
	for i, level := range r.PausedBy {
		levels[i] = string(level)
	}
	return levels
}
