// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

const (
	fieldMatch               = "match"
	fieldExclude             = "exclude"
	fieldAllowedDestinations = "allowed_destinations"
	fieldDelete              = "delete"
)

func ruleFields() map[string]*framework.FieldSchema {
	fields := settingsFields(fieldTags)
	fields[fieldName] = &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the rule."}
	fields[fieldMatch] = &framework.FieldSchema{Type: framework.TypeCommaStringSlice, Description: "Globs on the names of secrets: * within a segment, ** across.", Required: true}
	fields[fieldExclude] = &framework.FieldSchema{Type: framework.TypeCommaStringSlice, Description: "Globs on names that the rule leaves out."}
	fields[fieldDestinations] = &framework.FieldSchema{Type: framework.TypeCommaStringSlice, Description: "Where the secrets go, as type/name."}
	fields[fieldAllowedDestinations] = &framework.FieldSchema{Type: framework.TypeCommaStringSlice, Description: "Globs on the destinations that these secrets may name themselves, beside those of the rule. Without any, each may."}
	return fields
}

// rulePlanParameters are those of a plan of a rule.
func rulePlanParameters() map[string]*framework.FieldSchema {
	planned := ruleFields()
	planned[fieldDelete] = &framework.FieldSchema{Type: framework.TypeBool, Description: "Plan the deletion of the rule."}
	planned[fieldLimit] = &framework.FieldSchema{Type: framework.TypeInt, Default: defaultLimit, Description: "How many changes to list at most, and how many refusals, up to 1000. Defaults to 100."}
	planned[fieldAfter] = &framework.FieldSchema{Type: framework.TypeString, Description: "List changes of secrets after this one; the next of the page before."}
	planned[fieldCalls] = &framework.FieldSchema{Type: framework.TypeBool, Description: "Plan the remote calls too, for the secrets that are listed. Reads their remotes."}
	return planned
}

func (b *backend) rulePaths() []*framework.Path {
	write := &framework.PathOperation{
		Callback: b.operation(writeRule), Responses: responds(nil), DisplayAttrs: display("write", "rule"),
		Summary: "Create or change a rule; what isn't given stays.",
	}
	planned := rulePlanParameters()
	written := ruleFields()
	written[fieldDelete] = &framework.FieldSchema{
		Type: framework.TypeBool, Query: true,
		Description: "Delete the replicas that the change takes away from a destination, by their deletion policy. By default they stay, without the mark.",
	}
	answer := ruleFields()
	answer["sweep"] = field(framework.TypeMap, "How far the last change has come, while it isn't applied to all secrets: since, examined, affected.")
	return []*framework.Path{
		{
			Pattern:      "rules/?",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "rules"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{
					Callback: b.operation(listRules), Responses: listed(), DisplayAttrs: display("list", "rules"),
					Summary: "List the rules.",
				},
			},
			HelpSynopsis:    "List the rules.",
			HelpDescription: "Lists the names of the rules.",
		},
		{
			Pattern:        "rules/" + framework.GenericNameRegex(fieldName),
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "rule"},
			Fields:         written,
			ExistenceCheck: b.existence(ruleExists),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.CreateOperation: write,
				logical.UpdateOperation: write,
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readRule, fieldName), Responses: responds(answer), DisplayAttrs: display("read", "rule"),
					Summary: "Read a rule, and how far its last change has come.",
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback: b.operation(deleteRule, fieldName, fieldDelete), Responses: responds(nil), DisplayAttrs: display("delete", "rule"),
					Summary: "Delete a rule; what only it sent stays at the clouds, without the mark, or is deleted with delete=true.",
				},
			},
			HelpSynopsis: "A rule: which secrets go where, and how they look there.",
			HelpDescription: strings.TrimSpace(`
All rules that match a secret's name contribute their destinations. For one
destination the settings of the most specific rule win, and what is set on the
secret itself wins over rules. Two rules that are equally specific and
contradict each other are refused. Changing or deleting a rule makes the secrets
follow that it touches, in the background.`),
		},
		{
			Pattern:      "rules/" + framework.GenericNameRegex(fieldName) + "/plan",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "rule"},
			Fields:       planned,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(planRule), DisplayAttrs: display("plan", "rule"),
					Summary:   "Tell what a change of a rule would do, without making it.",
					Responses: responds(plannedRuleFields),
				},
			},
			HelpSynopsis:    "Tell what a change of a rule would do.",
			HelpDescription: "Takes the parameters of the rule and lists what saving them would change: destinations, names, keys, tags and formats. Changes nothing. It makes no remote call unless calls=true asks for those that would follow, for which it reads the remotes.",
		},
	}
}

// plannedRuleFields describe the answer to a plan of a rule.
var plannedRuleFields = map[string]*framework.FieldSchema{
	"matched":  field(framework.TypeInt64, "How many secrets the rule would match."),
	"affected": field(framework.TypeInt64, "How many secrets the change would touch."),
	"changes":  field(framework.TypeSlice, "What would change for each of them: secret, destination, change, and from what to what. At most limit."),
	"refused":  field(framework.TypeSlice, "Secrets that the change would keep from a destination, and why. At most limit."),
	fieldNext:  field(framework.TypeString, "Where the lists were cut: give it as after to go on. Missing when they are complete."),
	"plans":    planPageFields["plans"],
	"calls":    planPageFields["calls"],
	"examined": planPageFields["examined"],
	"idle":     planPageFields["idle"],
	"looks":    planPageFields["looks"],
	"text":     planPageFields["text"],
}

func listRules(ctx context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := e.ListRules(ctx)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

func ruleExists(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (bool, error) {
	stored, err := e.Rule(ctx, d.Get(fieldName).(string))
	return stored != nil, err
}

// decodeRule is the rule as it would be after the request.
func decodeRule(ctx context.Context, e *engine.Engine, d *framework.FieldData) (rule.Rule, error) {
	r := rule.Rule{Name: d.Get(fieldName).(string)}
	stored, err := e.Rule(ctx, r.Name)
	if err != nil {
		return r, err
	}
	if stored != nil {
		r = stored.Rule
	}
	decodeList(d, fieldMatch, &r.Match)
	decodeList(d, fieldExclude, &r.Exclude)
	decodeList(d, fieldDestinations, &r.Destinations)
	decodeList(d, fieldAllowedDestinations, &r.AllowedDestinations)
	return r, decodeSettings(d, fieldTags, &r.Settings)
}

func writeRule(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	r, err := decodeRule(ctx, e, d)
	if err != nil {
		return nil, err
	}
	return warned(e.PutRule(ctx, r, d.Get(fieldDelete).(bool)))
}

func readRule(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	stored, err := e.Rule(ctx, d.Get(fieldName).(string))
	if err != nil || stored == nil {
		return nil, err
	}
	data := map[string]any{
		fieldName: stored.Name, fieldMatch: listOf(stored.Match), fieldExclude: listOf(stored.Exclude),
		fieldDestinations: listOf(stored.Destinations), fieldAllowedDestinations: listOf(stored.AllowedDestinations),
	}
	encodeDefaults(stored.Settings, fieldTags, data)
	if s := stored.Sweep; s != nil {
		data["sweep"] = encodeSweep(*s)
	}
	return &logical.Response{Data: data}, nil
}

func deleteRule(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, e.DeleteRule(ctx, d.Get(fieldName).(string), d.Get(fieldDelete).(bool))
}

func planRule(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	var next *rule.Rule
	name := d.Get(fieldName).(string)
	if d.Get(fieldDelete).(bool) {
		if given := others(d, fieldName, fieldDelete, fieldLimit, fieldAfter, fieldCalls); len(given) > 0 {
			return nil, engine.Refusef("delete=true plans the deletion of the rule; leave out %s", strings.Join(given, ", "))
		}
	} else {
		r, err := decodeRule(ctx, e, d)
		if err != nil {
			return nil, err
		}
		next = &r
	}
	limit, err := pageLimit(d)
	if err != nil {
		return nil, err
	}
	query := engine.PreviewQuery{Limit: limit}
	query.After, query.Calls = d.Get(fieldAfter).(string), d.Get(fieldCalls).(bool)
	preview, err := e.PlanRule(ctx, name, next, query)
	if err != nil {
		return nil, err
	}
	changes := make([]any, len(preview.Changes))
	for i, c := range preview.Changes {
		changes[i] = map[string]any{"secret": c.Secret, "destination": c.Destination, "change": c.What, "from": c.From, "to": c.To}
	}
	refusals := make([]any, len(preview.Refused))
	for i, c := range preview.Refused {
		refusals[i] = map[string]any{"secret": c.Secret, "destination": c.Destination, "reason": c.To}
	}
	resp := &logical.Response{Data: map[string]any{
		"matched": preview.Matched, "affected": preview.Affected, "changes": changes, "refused": refusals,
	}}
	if preview.Page != nil {
		encodePlanPage(preview.Page, resp)
	}
	if preview.Next != "" {
		resp.Data[fieldNext] = preview.Next
	}
	return resp, nil
}
