// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

const (
	planPrefix = "plan/"
	fieldCalls = "calls"
)

var planFields = map[string]*framework.FieldSchema{
	fieldSecret: field(framework.TypeString, "The secret."),
	"replicas":  field(framework.TypeSlice, "Each replica with the calls that converging it would make, in order, and what is in the way."),
	fieldCalls:  field(framework.TypeInt, "How many remote calls would be made that change something."),
	"looks":     field(framework.TypeInt, "How many remote calls this plan took itself. They only read."),
	"text":      field(framework.TypeString, "The same in words, a line for each call."),
	"notes":     field(framework.TypeSlice, "What else is to be known; missing if nothing."),
}

var planPageFields = map[string]*framework.FieldSchema{
	"plans":    field(framework.TypeSlice, "The plan of each secret for which something is to be done or in the way."),
	"examined": field(framework.TypeInt, "How many secrets were looked at."),
	"idle":     field(framework.TypeInt, "How many of them need nothing."),
	fieldCalls: planFields[fieldCalls],
	"looks":    planFields["looks"],
	"text":     planFields["text"],
	fieldNext:  field(framework.TypeString, "Where the plan was cut: give it as after to go on. Missing when all secrets were looked at."),
}

func (b *backend) planPaths() []*framework.Path {
	fields := map[string]*framework.FieldSchema{
		fieldDelete:  {Type: framework.TypeBool, Description: "Plan the deletion of the secret."},
		fieldVersion: {Type: framework.TypeInt, Description: "Plan a rollback to this version."},
	}
	for _, name := range []string{
		fieldName, fieldData, fieldValue, fieldBinary, fieldDestinations, fieldKMSKeyID, fieldKMSKeyIDs, fieldTags,
		fieldDescription, fieldRemoteName, fieldFormat, fieldDeletionPolicy,
	} {
		fields[name] = b.secretPaths()[0].Fields[name]
	}
	return []*framework.Path{
		{
			Pattern:      "plan/?",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secrets"},
			Fields: map[string]*framework.FieldSchema{
				fieldMatch:       {Type: framework.TypeCommaStringSlice, Description: "Globs on the names of secrets: * within a segment, ** across. Without any, all."},
				fieldExclude:     {Type: framework.TypeCommaStringSlice, Description: "Globs on names that are left out."},
				fieldDestination: {Type: framework.TypeString, Description: "Plan the replicas at this destination only, as type/name."},
				fieldAfter:       {Type: framework.TypeString, Description: "Plan secrets after this one; the next of the page before."},
				fieldLimit:       {Type: framework.TypeInt, Default: defaultLimit, Description: "How many secrets to look at, up to 1000. Defaults to 100."},
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(planSecrets), Responses: responds(planPageFields), DisplayAttrs: display("plan", "secrets"),
					Summary: "Tell which remote calls convergence would make now, for many secrets. Only reads.",
				},
			},
			HelpSynopsis:    "Tell which remote calls convergence would make now, for many secrets.",
			HelpDescription: "Looks at the remote secrets of each replica and says what converging it would do. Changes nothing, here or at the clouds. Each replica costs two remote calls or more, so a page is bounded: next says how to go on.",
		},
		{
			Pattern:      planPrefix + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret"},
			Fields:       fields,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(planSecret), Responses: responds(planFields), DisplayAttrs: display("plan", "secret"),
					Summary: "Tell which remote calls convergence of a secret would make now, or after a change. Only reads.",
				},
			},
			HelpSynopsis: "Tell which remote calls convergence of a secret would make.",
			HelpDescription: strings.TrimSpace(`
Looks at the remote secret of each replica and says what converging it would do,
as data and in words. Changes nothing, here or at the clouds. With parameters of
secrets/<name> it plans that write before it is made, with version a rollback and
with delete the deletion; a write that would be refused is refused here too. A
value that is given is compared, never stored and never answered: whoever may give
one learns whether it equals the one that is there.`),
		},
	}
}

func (b *backend) destinationPlanPath(kind provider.Kind) *framework.Path {
	suffix := kind.Type + "-destination"
	fields := destinationFields(kind)
	for _, changesNoReplica := range []string{
		fieldMaxRequestsPerSecond, fieldMaxDeletionsPerHour, fieldDisabled, fieldPaused, fieldVerificationsPerHour, fieldVerifyValues,
	} {
		delete(fields, changesNoReplica)
	}
	fields[fieldName] = &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the destination."}
	fields[fieldAfter] = &framework.FieldSchema{Type: framework.TypeString, Description: "Plan secrets after this one; the next of the page before."}
	fields[fieldLimit] = &framework.FieldSchema{Type: framework.TypeInt, Default: defaultLimit, Description: "How many secrets to look at, up to 1000. Defaults to 100."}
	return &framework.Path{
		Pattern:      "destinations/" + kind.Type + "/" + framework.GenericNameRegex(fieldName) + "/plan",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: suffix},
		Fields:       fields,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.operation(planDestination(kind)), Responses: responds(planPageFields), DisplayAttrs: display("plan", suffix),
				Summary: "Tell which remote calls a change of the destination would cause. Only reads.",
			},
		},
		HelpSynopsis:    "Tell which remote calls a change of a destination would cause.",
		HelpDescription: "Takes the parameters of the destination and plans its replicas as if they were saved. It reads the remotes with the settings that are given, also with the stored credentials at another endpoint, so it is for those who may write the destination. Changes nothing, here or at the cloud.",
	}
}

// others are the parameters that a request has besides some, sorted.
func others(d *framework.FieldData, besides ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.Raw)), func(name string) bool {
		return slices.Contains(besides, name) || d.Schema[name] == nil
	})
}

func planSecret(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	if err := engine.CheckName(name); err != nil {
		return nil, err
	}
	change, err := plannedChange(ctx, e, d)
	if err != nil {
		return nil, err
	}
	planned, err := e.PlanSecret(ctx, name, change)
	if err != nil {
		return nil, err
	}
	data := encodePlan(planned)
	data["text"] = strings.Join(planned.Lines(), "\n")
	return &logical.Response{Data: data}, nil
}

// plannedChange is the change that a request wants planned; nil for none.
func plannedChange(ctx context.Context, e *engine.Engine, d *framework.FieldData) (*engine.Change, error) {
	name := d.Get(fieldName).(string)
	for _, alone := range []string{fieldDelete, fieldVersion} {
		if rest := others(d, fieldName, alone); d.Raw[alone] != nil && len(rest) > 0 {
			return nil, engine.Refusef("%s is planned alone; leave out %s", alone, strings.Join(rest, ", "))
		}
	}
	if d.Get(fieldDelete).(bool) {
		return &engine.Change{Name: name, Removes: true}, nil
	}
	if d.Raw[fieldVersion] != nil {
		change, err := rollbackChange(ctx, e, name, d.Get(fieldVersion).(int))
		return &change, err
	}
	change, err := settingsChange(d)
	if err != nil {
		return nil, err
	}
	data, implied, err := writtenData(d)
	switch {
	case err != nil:
		return nil, err
	case data != nil:
		change.Data, change.Implied = data, &implied
	case change.Settings.IsZero():
		return nil, nil
	}
	change.Name = name
	return &change, nil
}

func planSecrets(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	limit, err := pageLimit(d)
	if err != nil {
		return nil, err
	}
	query := engine.PlanQuery{Match: valueOr(given[[]string](d, fieldMatch)), Exclude: valueOr(given[[]string](d, fieldExclude)), Limit: limit}
	query.Destination, query.After = d.Get(fieldDestination).(string), d.Get(fieldAfter).(string)
	page, err := e.PlanMatching(ctx, query)
	if err != nil {
		return nil, err
	}
	resp := &logical.Response{Data: map[string]any{}}
	encodePlanPage(page, resp)
	return resp, nil
}

func planDestination(kind provider.Kind) handler {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		limit, err := pageLimit(d)
		if err != nil {
			return nil, err
		}
		next, err := destinationAfter(ctx, e, kind, d)
		if err != nil {
			return nil, err
		}
		page, warnings, err := e.PlanDestination(ctx, next, engine.PlanQuery{After: d.Get(fieldAfter).(string), Limit: limit})
		if err != nil {
			return nil, err
		}
		resp := &logical.Response{Data: map[string]any{}, Warnings: warnings}
		encodePlanPage(page, resp)
		return resp, nil
	}
}

func pageLimit(d *framework.FieldData) (int, error) {
	limit := d.Get(fieldLimit).(int)
	if limit < 1 || limit > mostListed {
		return 0, engine.Refusef("limit is %d; it has to be from 1 to %d", limit, mostListed)
	}
	return limit, nil
}

func valueOr[T any](given *T) T {
	var zero T
	if given == nil {
		return zero
	}
	return *given
}

func encodePlanPage(page *engine.PlanPage, to *logical.Response) {
	plans := make([]any, len(page.Plans))
	var lines []string
	calls := 0
	for i, planned := range page.Plans {
		plans[i] = encodePlan(planned)
		calls += planned.Calls()
		for _, line := range planned.Lines() {
			lines = append(lines, planned.Secret+": "+line)
		}
	}
	to.Data["plans"], to.Data["examined"], to.Data["idle"] = plans, page.Examined, page.Idle
	to.Data[fieldCalls], to.Data["looks"], to.Data["text"] = calls, page.Looks, strings.Join(lines, "\n")
	if page.Next != "" {
		to.Data[fieldNext] = page.Next
		to.AddWarning("the plan is cut after secret " + page.Next + "; give after=" + page.Next + " to go on")
	}
}

func encodePlan(p *engine.Plan) map[string]any {
	replicas := make([]any, len(p.Replicas))
	for i, r := range p.Replicas {
		replicas[i] = encodePlannedReplica(r)
	}
	encoded := map[string]any{fieldSecret: p.Secret, "replicas": replicas, fieldCalls: p.Calls(), "looks": p.Looks}
	if len(p.Notes) > 0 {
		encoded["notes"] = p.Notes
	}
	return encoded
}

func encodePlannedReplica(r engine.PlannedReplica) map[string]any {
	encoded := map[string]any{
		fieldDestination: r.Destination, fieldRemoteName: r.RemoteName, "change": string(r.Change),
		"presence": string(r.Presence), fieldCalls: encodePlannedCalls(r.Calls), "looks": r.Looks, "drifted": r.Drifted,
	}
	if r.Key != "" {
		encoded["key"] = r.Key
	}
	if r.Former {
		encoded["former"] = true
	}
	if r.Drifted {
		encoded["calls_without_look"] = encodePlannedCalls(r.Blind)
	}
	if r.Refused != nil {
		encoded["refused"] = encodeFailure(r.Refused)
	}
	if len(r.Waits) > 0 {
		encoded["waits"] = r.Waits
	}
	if len(r.Notes) > 0 {
		encoded["notes"] = r.Notes
	}
	return encoded
}

func encodePlannedCalls(calls []engine.PlannedCall) []any {
	encoded := make([]any, len(calls))
	for i, c := range calls {
		encoded[i] = encodePlannedCall(c)
	}
	return encoded
}

func encodePlannedCall(c engine.PlannedCall) map[string]any {
	call := map[string]any{
		"action": string(c.Action), "operations": c.Operations, fieldRemoteName: c.RemoteName,
		"sends_value": c.SendsData, "text": c.String(),
	}
	put := func(name string, value any, isSet bool) {
		if isSet {
			call[name] = value
		}
	}
	put("version_id", c.VersionID, c.VersionID != "")
	put("version_id", "assigned by the service", c.Assigned)
	put(fieldVersion, c.Version, c.Version > 0)
	put("labels", []string{c.Label}, c.Label != "")
	put(fieldDescription, c.Description, c.Description != "" || c.Action == "set_description")
	put("set_tags", c.SetTags, len(c.SetTags) > 0)
	put("remove_tags", c.RemoveTags, len(c.RemoveTags) > 0)
	put(fieldKMSKeyID, c.KMSKeyID, c.KMSKeyID != "")
	put(fieldRecoveryWindowDays, int(c.Window/(24*time.Hour)), c.Action == "delete")
	return call
}
