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

const fieldTake = "take"

func (b *backend) resumePaths() []*framework.Path {
	take := &framework.FieldSchema{Type: framework.TypeString, AllowedValues: []any{string(engine.TakeVault), string(engine.TakeRemote)}, Description: "Whose value wins where a remote secret is ahead of Vault: vault sends what Vault has, remote makes the remote's value a new version in Vault."}
	destination := &framework.FieldSchema{Type: framework.TypeString, Description: "Decide only about the remote secrets there, as type/name. By default about those of each destination."}
	return []*framework.Path{
		{
			Pattern:      "resume",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "replication"},
			Fields: map[string]*framework.FieldSchema{
				fieldTake:        take,
				fieldMatch:       {Type: framework.TypeCommaStringSlice, Description: "With take: globs on the names of the secrets that are decided about. By default all, and then the pause of the mount ends."},
				fieldDestination: destination,
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(resume), DisplayAttrs: display("resume", "replication"),
					Summary: "End the pause of the mount and go on with what is pending.",
					Responses: responds(map[string]*framework.FieldSchema{
						"secrets": field(framework.TypeInt, "How many secrets have outstanding work, which goes on now; missing with take."),
						"job":     field(framework.TypeString, "With take: id of the job that decides, see jobs."),
					}),
				},
			},
			HelpSynopsis:    "End the pause of the mount.",
			HelpDescription: "Does what paused=false at config does: everything that was written during the pause is replicated. A destination or a secret that is paused itself stays so. With take it decides first about remote secrets that are ahead of Vault, as after a restored snapshot, in a job.",
		},
		{
			Pattern:      "resume/" + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret"},
			Fields: map[string]*framework.FieldSchema{
				fieldName:        {Type: framework.TypeString, Description: "Name of the secret."},
				fieldTake:        {Type: framework.TypeString, AllowedValues: take.AllowedValues, Required: true, Description: take.Description},
				fieldDestination: {Type: framework.TypeString, Description: "Decide only about the remote secret there, as type/name. Needed with take=remote if the secret is behind several."},
				fieldWait:        waitField,
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(resumeSecret), DisplayAttrs: display("resume", "secret"),
					Summary: "Decide about remote secrets that are ahead of Vault.",
					Responses: responds(map[string]*framework.FieldSchema{
						"ahead":           field(framework.TypeSlice, "The destinations whose remote secrets were ahead of Vault."),
						"confirmed":       field(framework.TypeInt, "How many others were compared and are as Vault knows them."),
						fieldVersion:      field(framework.TypeInt, "The version in Vault that the remote's value was made; missing if none was."),
						fieldState:        field(framework.TypeString, "As in a write."),
						fieldDestinations: field(framework.TypeMap, "By destination: where the replica is."),
					}),
				},
			},
			HelpSynopsis:    "Decide about remote secrets that are ahead of Vault.",
			HelpDescription: "Reads the remote secrets that this Vault hasn't seen since its start. Where one holds what Vault doesn't know, take says whose value wins. Nothing is sent while the mount is paused.",
		},
	}
}

func resume(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	var match []string
	decodeList(d, fieldMatch, &match)
	take, destination := d.Get(fieldTake).(string), d.Get(fieldDestination).(string)
	if take != "" {
		parsed, err := engine.ParseTake(take)
		if err != nil {
			return nil, err
		}
		id, err := e.StartDeciding(ctx, engine.DecideMany{Take: parsed, Match: match, Destination: destination}, author(req))
		if err != nil {
			return nil, err
		}
		return &logical.Response{Data: map[string]any{"job": id}}, nil
	}
	if len(match) > 0 || destination != "" {
		return nil, engine.Refusef("match and destination need take=vault or take=remote: they say about which secrets to decide")
	}
	secrets, err := e.Resume(ctx)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"secrets": secrets}}, nil
}

func resumeSecret(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	take, err := engine.ParseTake(d.Get(fieldTake).(string))
	if err != nil {
		return nil, err
	}
	name := d.Get(fieldName).(string)
	decided, err := e.Decide(ctx, engine.Decision{Name: name, Destination: d.Get(fieldDestination).(string), Take: take, Request: req})
	if err != nil {
		return nil, err
	}
	if len(decided.Ahead) == 0 && decided.Confirmed == 0 {
		return nil, engine.Refusef("no remote secret of %q is ahead of Vault; status/%s tells where they stand", name, name)
	}
	status, err := awaitStatus(ctx, e, name, decided.Generation, given[int](d, fieldWait))
	if err != nil {
		return nil, err
	}
	resp := &logical.Response{Data: map[string]any{"ahead": decided.Ahead, "confirmed": decided.Confirmed}}
	if decided.Version > 0 {
		resp.Data[fieldVersion] = decided.Version
	}
	addStatus(resp, status)
	return resp, nil
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
	return fmt.Sprintf(lagging(r)+": %s %s paused; go on with %s", strings.Join(what, " and "), is, strings.Join(how, " and "))
}

// pauseLevels is what holds a replica up, as answers name it.
func pauseLevels(r engine.ReplicaStatus) []string {
	levels := make([]string, len(r.PausedBy))
	for i, level := range r.PausedBy {
		levels[i] = string(level)
	}
	return levels
}
