// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

const (
	fieldRepair = "repair"
	fieldValues = "values"
)

func (b *backend) verifyPaths() []*framework.Path {
	repair := &framework.FieldSchema{Type: framework.TypeBool, Description: "Have what drifted made again what it should be, where that is possible. By default it is reported."}
	values := &framework.FieldSchema{Type: framework.TypeBool, Description: "Read and compare values too. Defaults to the destination's verify_values."}
	wait := *waitField
	wait.Description = "How long to wait for repairs, or for a job's end, before answering. 0 answers at once. Defaults to the mount's default_wait."
	return []*framework.Path{
		{
			Pattern:      "verify/?",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secrets"},
			Fields: map[string]*framework.FieldSchema{
				fieldMatch:       {Type: framework.TypeCommaStringSlice, Description: "Globs on the names of the secrets: * within a segment, ** across.", Required: true},
				fieldDestination: {Type: framework.TypeString, Description: "Only replicas at this destination, as type/name."},
				fieldRepair:      repair, fieldValues: values, fieldWait: &wait,
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(verifyMany), Responses: responds(jobFields), DisplayAttrs: display("verify", "secrets"),
					Summary: "Compare many secrets with what is in the clouds, in the background.",
				},
			},
			HelpSynopsis: "Compare many secrets with what is in the clouds.",
			HelpDescription: strings.TrimSpace(`
Begins a job that compares the replicas of the secrets that match with what is
in the clouds. jobs/<id> tells how far it is and what came of each secret: in_sync,
drifted, repairing, skipped or failed.`),
		},
		{
			Pattern:      "verify/" + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret"},
			Fields: map[string]*framework.FieldSchema{
				fieldName:        secretName,
				fieldDestination: {Type: framework.TypeString, Description: "Only the replicas at this destination, as type/name."},
				fieldRepair:      repair, fieldValues: values, fieldWait: &wait,
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(verifySecret), Responses: responds(verifyFields), DisplayAttrs: display("verify", "secret"),
					Summary: "Compare a secret's replicas with what is in the clouds.",
				},
			},
			HelpSynopsis: "Compare a secret's replicas with what is in the clouds.",
			HelpDescription: strings.TrimSpace(`
Looks at each replica and says what somebody else changed since it was in sync:
versions, labels, tags, description, ownership mark, key, state, and with
values=true the value. What is in sync, or drifted, can be compared; the rest is
skipped. With repair=true what drifted is made again what it should be; what isn't
this mount's any more, or is ahead of Vault, never is.`),
		},
	}
}

var verifyFields = map[string]*framework.FieldSchema{
	fieldResult: field(framework.TypeString, "Of the replicas the result that needs most attention: failed, drifted, repairing, repaired, in_sync or skipped."),
	"replicas":  field(framework.TypeSlice, "For each replica: destination, key, remote_name, result, findings, calls, and why it was skipped, isn't repaired, or couldn't be compared."),
	"calls":     field(framework.TypeInt, "Remote calls that the comparison made."),
	"text":      field(framework.TypeString, "The same in words, a line for each replica."),
}

func verifySecret(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	asked := engine.VerifyRequest{Name: name, Lane: quota.People, Values: given[bool](d, fieldValues)}
	assign(&asked.Destination, given[string](d, fieldDestination))
	assign(&asked.Repair, given[bool](d, fieldRepair))
	wait, err := waitOf(ctx, e, d)
	if err != nil {
		return nil, err
	}
	if err := e.Await(ctx, name, wait); err != nil { // what is under way can't be compared
		return nil, err
	}
	found, generation, err := e.Verify(ctx, asked)
	if err != nil {
		return nil, err
	}
	if err := e.AwaitRepairs(ctx, name, found, generation, wait); err != nil {
		return nil, err
	}
	calls, replicas := 0, make([]any, len(found))
	for i, v := range found {
		calls += v.Calls
		replicas[i] = encodeVerified(v)
	}
	return &logical.Response{Data: map[string]any{
		fieldResult: string(engine.WorstOf(found)), "replicas": replicas, "calls": calls, "text": engine.Describe(found),
	}}, nil
}

// waitOf is how long a request waits.
func waitOf(ctx context.Context, e *engine.Engine, d *framework.FieldData) (time.Duration, error) {
	if wait := given[int](d, fieldWait); wait != nil {
		return time.Duration(*wait) * time.Second, nil
	}
	config, err := e.Config(ctx)
	return config.Wait(), err
}

func encodeVerified(v engine.Verified) map[string]any {
	encoded := map[string]any{
		fieldDestination: v.Destination, fieldRemoteName: v.RemoteName, fieldResult: string(v.Result),
		"findings": encodeFindings(v.Findings), "calls": v.Calls,
	}
	if v.Key != "" {
		encoded["key"] = v.Key
	}
	if v.Reason != "" {
		encoded["reason"] = v.Reason
	}
	if len(v.NotCompared) > 0 {
		encoded["not_compared"] = v.NotCompared
	}
	if v.Failure != nil {
		encoded["error"] = encodeFailure(v.Failure)
	}
	return encoded
}

// encodeFindings describes drift.
func encodeFindings(findings []plan.Finding) []any {
	encoded := make([]any, len(findings))
	for i, f := range findings {
		finding := map[string]any{"kind": string(f.Kind), "remote": f.Remote, "expected": f.Expected, "repairable": f.Unrepairable == ""}
		if f.Unrepairable != "" {
			finding["action"] = f.Unrepairable
		}
		encoded[i] = finding
	}
	return encoded
}

func verifyMany(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	asked := engine.VerifyMany{Values: given[bool](d, fieldValues)}
	assign(&asked.Match, given[[]string](d, fieldMatch))
	assign(&asked.Destination, given[string](d, fieldDestination))
	assign(&asked.Repair, given[bool](d, fieldRepair))
	id, err := e.StartVerify(ctx, asked, author(req))
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(ctx, e, d)
	if err != nil {
		return nil, err
	}
	return awaitJob(ctx, e, id, wait)
}
