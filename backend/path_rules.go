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

func (b *backend) rulePaths() []*framework.Path {
	write := &framework.PathOperation{
		Callback: b.operation(writeRule), Responses: responds(nil), DisplayAttrs: display("write", "rule"),
		Summary: "Create or change a rule; what isn't given stays.",
	}
	planned := ruleFields()
	planned[fieldDelete] = &framework.FieldSchema{Type: framework.TypeBool, Description: "Plan the deletion of the rule."}
	planned[fieldLimit] = &framework.FieldSchema{Type: framework.TypeInt, Default: 100, Description: "How many changes to list at most, and how many refusals."}
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
			Fields:         ruleFields(),
			ExistenceCheck: b.existence(ruleExists),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.CreateOperation: write,
				logical.UpdateOperation: write,
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readRule, fieldName), Responses: responds(answer), DisplayAttrs: display("read", "rule"),
					Summary: "Read a rule, and how far its last change has come.",
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback: b.operation(deleteRule, fieldName), Responses: responds(nil), DisplayAttrs: display("delete", "rule"),
					Summary: "Delete a rule; what only it sent stays at the clouds, without the mark.",
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
					Summary: "Tell what a change of a rule would do, without making it.",
					Responses: responds(map[string]*framework.FieldSchema{
						"matched":  field(framework.TypeInt64, "How many secrets the rule would match."),
						"affected": field(framework.TypeInt64, "How many secrets the change would touch."),
						"changes":  field(framework.TypeSlice, "What would change for each of them: secret, destination, change, and from what to what. At most limit."),
						"refused":  field(framework.TypeSlice, "Secrets that the change would keep from a destination, and why. At most limit."),
					}),
				},
			},
			HelpSynopsis:    "Tell what a change of a rule would do.",
			HelpDescription: "Takes the parameters of the rule and lists what saving them would change: destinations, names, keys, tags and formats. Changes nothing and makes no remote call.",
		},
	}
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
	return warned(e.PutRule(ctx, r))
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
	return nil, e.DeleteRule(ctx, d.Get(fieldName).(string))
}

func planRule(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	var next *rule.Rule
	name := d.Get(fieldName).(string)
	if !d.Get(fieldDelete).(bool) {
		r, err := decodeRule(ctx, e, d)
		if err != nil {
			return nil, err
		}
		next = &r
	}
	limit := d.Get(fieldLimit).(int)
	if limit < 1 || limit > mostListed {
		return nil, engine.Refusef("limit %d isn't from 1 to %d", limit, mostListed)
	}
	preview, err := e.PlanRule(ctx, name, next, limit)
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
	return &logical.Response{Data: map[string]any{
		"matched": preview.Matched, "affected": preview.Affected, "changes": changes, "refused": refusals,
	}}, nil
}
