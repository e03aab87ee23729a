// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

const (
	jobsPrefix  = "jobs/"
	fieldResult = "result"
)

func (b *backend) jobPaths() []*framework.Path {
	id := &framework.FieldSchema{Type: framework.TypeString, Description: "Id of the job, as the call that began it answered."}
	attributes := &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "job"}
	return []*framework.Path{
		{
			Pattern:      jobsPrefix + "?",
			DisplayAttrs: attributes,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{
					Callback: b.operation(listJobs), Responses: listed(), DisplayAttrs: display("list", "jobs"),
					Summary: "The jobs, the latest first.",
				},
			},
			HelpSynopsis:    "Long work that somebody asked for.",
			HelpDescription: "Jobs work in the background and go on after a restart or a failover. Finished ones are kept for seven days, at most fifty of them.",
		},
		{
			Pattern:      jobsPrefix + framework.GenericNameRegex(fieldID) + "/cancel",
			DisplayAttrs: attributes,
			Fields:       map[string]*framework.FieldSchema{fieldID: id},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(cancelJob), Responses: responds(jobFields), DisplayAttrs: display("cancel", "job"),
					Summary: "End a job before its next subject.",
				},
			},
			HelpSynopsis:    "End a job.",
			HelpDescription: "The job ends before its next subject. What it did stays, and stays in its report.",
		},
		{
			Pattern:      jobsPrefix + framework.GenericNameRegex(fieldID),
			DisplayAttrs: attributes,
			Fields: map[string]*framework.FieldSchema{
				fieldID:     id,
				fieldAfter:  {Type: framework.TypeInt, Query: true, Description: "How many results of the report to leave out; the next of the page before."},
				fieldLimit:  {Type: framework.TypeInt, Query: true, Default: defaultLimit, Description: "Most results of a page, up to 1000. Defaults to 100."},
				fieldResult: {Type: framework.TypeString, Query: true, Description: "Only results of this kind, such as failed."},
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readJob), Responses: responds(jobReportFields), DisplayAttrs: display("read", "job"),
					Summary: "How far a job has come, and a page of its report.",
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback: b.operation(deleteJob, none...), Responses: responds(nil), DisplayAttrs: display("delete", "job"),
					Summary: "Remove a job that is over, with its report.",
				},
			},
			HelpSynopsis:    "How far a job has come, and what came of each subject.",
			HelpDescription: "Tells how many subjects are done, what came of them, and a page of the report, which has one entry for each subject. It never holds the value of a secret.",
		},
	}
}

var jobFields = map[string]*framework.FieldSchema{
	fieldID:      field(framework.TypeString, "Id of the job."),
	"kind":       field(framework.TypeString, "What kind of work it is."),
	fieldState:   field(framework.TypeString, "running, done, cancelled, or failed: it can't go on, error says why."),
	"waiting":    field(framework.TypeString, "What a running job waits for: its turn, the end of a pause, or the next try after a failure, which is given; missing while it works."),
	"cancelling": field(framework.TypeBool, "Whether somebody asked for its end."),
	"error":      field(framework.TypeString, "Why the job failed; missing if it didn't."),
	"parameters": field(framework.TypeMap, "What it was begun with."),
	"items":      field(framework.TypeInt, "How many subjects are done."),
	"total":      field(framework.TypeInt, "How many subjects there are; 0 while that isn't known."),
	"counts":     field(framework.TypeMap, "By result: how many subjects it came to."),
	"started":    field(framework.TypeString, "When it was begun."),
	"updated":    field(framework.TypeString, "When it last got on."),
	"request_id": field(framework.TypeString, "Vault's id of the request that began it."),
	"entity_id":  field(framework.TypeString, "Vault's id of the entity that began it; missing without one."),
	"by":         field(framework.TypeString, "Display name of who began it."),
}

var jobReportFields = func() map[string]*framework.FieldSchema {
	fields := maps.Clone(jobFields)
	fields["report"] = field(framework.TypeSlice, "For each subject of the page: subject, result, message and details, in the order in which they were done.")
	fields[fieldNext] = field(framework.TypeInt, "What after has to be for the next page; missing at the end.")
	return fields
}()

// author is who made a request.
func author(req *logical.Request) engine.JobAuthor {
	return engine.JobAuthor{RequestID: req.ID, EntityID: req.EntityID, DisplayName: req.DisplayName}
}

func encodeJob(j *engine.JobProgress) map[string]any {
	counts := map[string]any{}
	for result, n := range j.Counts {
		counts[result] = n
	}
	parameters := map[string]any{}
	_ = json.Unmarshal(j.Parameters, &parameters) // an object always, since we wrote it
	encoded := map[string]any{
		fieldID: j.ID, "kind": j.Kind, fieldState: string(j.State), "cancelling": j.Cancelling, "parameters": parameters,
		"items": j.Items, "total": j.Total, "counts": counts,
		"started": j.Started.Format(time.RFC3339), "updated": j.Updated.Format(time.RFC3339),
		"request_id": j.Who.RequestID, "by": j.Who.DisplayName,
	}
	for name, text := range map[string]string{"waiting": j.Waiting, "error": j.Failure, "entity_id": j.Who.EntityID} {
		if text != "" {
			encoded[name] = text
		}
	}
	return encoded
}

func encodeJobItem(item engine.JobItem) map[string]any {
	encoded := map[string]any{"subject": item.Subject, fieldResult: item.Result}
	if item.Message != "" {
		encoded["message"] = item.Message
	}
	if len(item.Details) > 0 {
		encoded["details"] = item.Details
	}
	return encoded
}

func listJobs(ctx context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	all, err := e.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	ids, info := make([]string, len(all)), map[string]any{}
	for i, j := range all {
		ids[i], info[j.ID] = j.ID, encodeJob(j)
	}
	return logical.ListResponseWithInfo(ids, info), nil
}

func readJob(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	limit := d.Get(fieldLimit).(int)
	if limit < 1 || limit > mostListed {
		return nil, engine.Refusef("limit is %d; it has to be from 1 to %d", limit, mostListed)
	}
	j, err := e.Job(ctx, d.Get(fieldID).(string))
	if err != nil {
		return nil, err
	}
	if j == nil {
		return notFound(req, nil)
	}
	part, err := e.JobReport(ctx, j.ID, d.Get(fieldResult).(string), d.Get(fieldAfter).(int), limit)
	if err != nil {
		return nil, err
	}
	if part == nil {
		return notFound(req, nil)
	}
	resp := &logical.Response{Data: encodeJob(j)}
	report := make([]any, len(part.Items))
	for i, item := range part.Items {
		report[i] = encodeJobItem(item)
	}
	resp.Data["report"] = report
	if part.Next >= 0 {
		resp.Data[fieldNext] = part.Next
	}
	return resp, nil
}

func cancelJob(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	id := d.Get(fieldID).(string)
	found, err := e.CancelJob(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, engine.Refusef("there is no job %s; LIST jobs tells which there are", id)
	}
	j, err := e.Job(ctx, id)
	if err != nil || j == nil {
		return nil, err
	}
	return &logical.Response{Data: encodeJob(j)}, nil
}

func deleteJob(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, e.DeleteJob(ctx, d.Get(fieldID).(string))
}

// awaitJob answers with a job after waiting for its end, as long as asked for.
func awaitJob(ctx context.Context, e *engine.Engine, id string, wait time.Duration) (*logical.Response, error) {
	e.AwaitJob(ctx, id, wait)
	j, err := e.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	if j == nil {
		return nil, fmt.Errorf("job %s was deleted before it was answered", id)
	}
	resp := &logical.Response{Data: encodeJob(j)}
	if j.State == engine.JobRunning {
		resp.AddWarning(fmt.Sprintf("the job goes on in the background; read jobs/%s to see how far it is", id))
	}
	return resp, nil
}
