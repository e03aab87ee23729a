// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

const (
	fieldRegion               = "region"
	fieldEndpoint             = "endpoint"
	fieldCACert               = "ca_cert"
	fieldAuthMethod           = "auth_method"
	fieldAccessKeyID          = "access_key_id"
	fieldAccessKeySecret      = "access_key_secret"
	fieldSecurityToken        = "security_token"
	fieldCustomTags           = "custom_tags"
	fieldRecoveryWindowDays   = "recovery_window_days"
	fieldAllowedPaths         = "allowed_paths"
	fieldMaxRequestsPerSecond = "max_requests_per_second"
	fieldMaxDeletionsPerHour  = "max_deletions_per_hour"
	fieldDisabled             = "disabled"
	fieldVerificationsPerHour = "verifications_per_hour"
	fieldVerifyValues         = "verify_values"
	fieldVersionHistory       = "version_history"
	fieldCurrentVersionID     = "current_version_id"
	fieldForce                = "force"
)

func (b *backend) destinationPaths() []*framework.Path {
	types := &framework.Path{
		Pattern:      "destinations/?",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "destination-types"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback: b.operation(listDestinations("")), Responses: listed(), DisplayAttrs: display("list", "destination-types"),
				Summary: "List the types that have destinations.",
			},
		},
		HelpSynopsis:    "List the types of destinations.",
		HelpDescription: "Lists the types that have destinations; each is a folder of its destinations.",
	}
	paths := make([]*framework.Path, 0, 1+4*len(b.kinds))
	paths = append(paths, types)
	for _, kind := range b.kinds {
		paths = append(paths, b.kindPaths(kind)...)
	}
	return paths
}

// knownType refuses the path of a destination of an unknown type. Each type has
// paths of its own, so Vault would say no more than that there is no such path.
func knownType(path string, kinds []provider.Kind) error {
	rest, isDestination := strings.CutPrefix(path, "destinations/")
	wanted, _, hasName := strings.Cut(rest, "/")
	if !isDestination || !hasName {
		return nil
	}
	types := make([]string, len(kinds))
	for i, kind := range kinds {
		types[i] = kind.Type
	}
	if slices.Contains(types, wanted) {
		return nil
	}
	return fmt.Errorf("destination type %q is unknown, possible are %s", wanted, strings.Join(types, ", "))
}

func (b *backend) kindPaths(kind provider.Kind) []*framework.Path {
	suffix := kind.Type + "-destination"
	prefix := "destinations/" + kind.Type + "/"
	name := &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the destination."}
	fields := destinationFields(kind)
	fields[fieldName] = name
	fields[fieldForce] = &framework.FieldSchema{Type: framework.TypeBool, Description: "For deleting: forget the destination's replicas and leave them in the cloud.", Query: true}
	parameters := append(slices.Sorted(maps.Keys(destinationFields(kind))), fieldName)
	write := &framework.PathOperation{
		Callback: b.operation(writeDestination(kind), parameters...), Responses: responds(nil), DisplayAttrs: display("write", suffix),
		Summary: "Create or change a destination; what isn't given stays.",
	}
	return []*framework.Path{
		b.destinationPlanPath(kind),
		{
			Pattern:      prefix + "?",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: suffix + "s"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{
					Callback: b.operation(listDestinations(kind.Type)), Responses: listed(), DisplayAttrs: display("list", suffix+"s"),
					Summary: "List the destinations of this type.",
				},
			},
			HelpSynopsis:    "List the destinations in " + kind.Title + ".",
			HelpDescription: "Lists the names of the destinations in " + kind.Title + ".",
		},
		{
			Pattern:        prefix + framework.GenericNameRegex(fieldName),
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: suffix},
			Fields:         fields,
			ExistenceCheck: b.existence(destinationExists(kind)),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.CreateOperation: write,
				logical.UpdateOperation: write,
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readDestination(kind), fieldName), Responses: responds(destinationAnswer(kind)),
					DisplayAttrs: display("read", suffix),
					Summary:      "Read a destination; its credentials are never returned.",
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback: b.operation(deleteDestination(kind), fieldName, fieldForce), Responses: responds(nil), DisplayAttrs: display("delete", suffix),
					Summary: "Delete a destination that has no replicas, or forget them with force.",
				},
			},
			HelpSynopsis:    "A destination in " + kind.Title + ": one account and region, with its credentials.",
			HelpDescription: "Credentials are stored seal-wrapped and never returned. A changed destination is tried at once for every replica that waits for it. One with replicas can be deleted only with force=true, which forgets them and leaves them in the cloud.",
		},
		{
			Pattern:      prefix + framework.GenericNameRegex(fieldName) + "/check",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: suffix},
			Fields:       map[string]*framework.FieldSchema{fieldName: name},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(checkDestination(kind)), DisplayAttrs: display("check", suffix),
					Summary: "Make harmless live calls and say what is wrong.",
					Responses: responds(map[string]*framework.FieldSchema{
						"ok":       field(framework.TypeBool, "Whether nothing is in the way."),
						"findings": field(framework.TypeSlice, "What was checked, what was found, and what to do about it."),
					}),
				},
			},
			HelpSynopsis:    "Check a destination with harmless live calls.",
			HelpDescription: "Says in plain words whether credentials, permissions and endpoint work, and what to do if they don't. Changes nothing at the cloud.",
		},
	}
}

// destinationFields are the parameters of a destination of the kind.
func destinationFields(kind provider.Kind) map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		fieldRegion:   {Type: framework.TypeString, Description: "Region, as the cloud names it. Fixed while the destination has replicas.", Required: true},
		fieldEndpoint: {Type: framework.TypeString, Description: "Where calls go instead of the cloud's public endpoint: a host, or a URL without path. Plain http is accepted on loopback only."},
		fieldCACert:   {Type: framework.TypeString, Description: "PEM certificates to trust in addition to the system's."},
		fieldAuthMethod: {
			Type: framework.TypeString, Description: "How to authenticate. This version has access_key.",
			Default: engine.AuthAccessKey, AllowedValues: []any{engine.AuthAccessKey},
		},
		fieldAccessKeyID:     {Type: framework.TypeString, Description: "Id of the access key (Tencent: SecretId). Surrounding white space is dropped."},
		fieldAccessKeySecret: {Type: framework.TypeString, Description: "Secret of the access key (Tencent: SecretKey). Surrounding white space is dropped.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		fieldSecurityToken:   {Type: framework.TypeString, Description: "Session token of temporary credentials; empty for permanent ones.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		fieldRecoveryWindowDays: {Type: framework.TypeInt, Description: fmt.Sprintf("Days in which a scheduled deletion can be undone, %d to %d. Defaults to %d.",
			kind.Limits.Window.MinDays, kind.Limits.Window.MaxDays, kind.Limits.Window.DefaultDays)},
		fieldAllowedPaths:         {Type: framework.TypeCommaStringSlice, Description: "Globs on the names of secrets that may be sent here: * within a segment, ** across. Without any, all may."},
		fieldMaxRequestsPerSecond: {Type: framework.TypeFloat, Description: "Most remote calls per second of this destination. 0 for no limit."},
		fieldMaxDeletionsPerHour: {
			Type: framework.TypeInt, Default: engine.DefaultMaxDeletionsPerHour,
			Description: "How many secrets an hour may be deleted or withdrawn here; more are held until release-held lets them go on. 0 holds all, -1 none. Defaults to 50.",
		},
		fieldPaused: {Type: framework.TypeBool, Description: "Stops every remote change here, also of work under way before its next call. Writes are accepted and stay pending until it is false again."},
		fieldVerificationsPerHour: {
			Type: framework.TypeInt, Default: engine.DefaultsInForce().VerificationsPerHour,
			Description: "How many replicas are compared with the cloud per hour in the background, two to four remote calls each, and none twice within an hour. 0 for none.",
		},
		fieldVerifyValues: {Type: framework.TypeBool, Description: "Compare values too, which takes the cloud's permission to read them and another call or two."},
		fieldDisabled:     {Type: framework.TypeBool, Description: "Makes no remote call here. Writes are accepted and stay pending."},
	}
	if kind.CurrentVersionID != "" {
		fields[fieldVersionHistory] = &framework.FieldSchema{Type: framework.TypeBool, Default: true, Description: "Keep each version under an id of its own (v1, v2, ..) beside the current one. Without it an update is one call, and readers can't ask for older versions."}
		fields[fieldCurrentVersionID] = &framework.FieldSchema{Type: framework.TypeString, Default: kind.CurrentVersionID, Description: "The version id that always holds the current value. The service has no \"latest\", so readers name this one."}
	}
	// What rules and secrets leave open.
	maps.Copy(fields, settingsFields(fieldCustomTags))
	for _, setting := range kind.Settings {
		fields[setting.Name] = &framework.FieldSchema{Type: framework.TypeString, Description: setting.Description, Required: setting.Required}
	}
	return fields
}

// destinationAnswer describes what reading a destination gives: its parameters,
// and which credentials are set instead of the credentials.
func destinationAnswer(kind provider.Kind) map[string]*framework.FieldSchema {
	answer := destinationFields(kind)
	for _, credential := range []string{fieldAccessKeyID, fieldAccessKeySecret, fieldSecurityToken} {
		delete(answer, credential)
	}
	answer["credentials"] = field(framework.TypeMap, "Which credentials are set: true or false by name.")
	return answer
}

func listDestinations(kind string) handler {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
		names, err := e.ListDestinations(ctx, kind)
		if err != nil {
			return nil, err
		}
		return logical.ListResponse(names), nil
	}
}

func destinationRef(kind provider.Kind, d *framework.FieldData) string {
	return kind.Type + "/" + d.Get(fieldName).(string)
}

func destinationExists(kind provider.Kind) existenceCheck {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (bool, error) {
		destination, err := e.Destination(ctx, destinationRef(kind, d))
		return destination != nil, err
	}
}

func writeDestination(kind provider.Kind) handler {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		next, err := destinationAfter(ctx, e, kind, d)
		if err != nil {
			return nil, err
		}
		return warned(e.PutDestination(ctx, next))
	}
}

// destinationAfter is the destination as it would be after the request.
func destinationAfter(ctx context.Context, e *engine.Engine, kind provider.Kind, d *framework.FieldData) (*engine.Destination, error) {
	next := engine.Destination{Type: kind.Type, Name: d.Get(fieldName).(string), AuthMethod: engine.AuthAccessKey}
	old, err := e.Destination(ctx, destinationRef(kind, d))
	if err != nil {
		return nil, err
	}
	if old != nil {
		next = *old
	}
	return &next, decodeDestination(kind, d, &next)
}

// decodeDestination applies the given parameters.
func decodeDestination(kind provider.Kind, d *framework.FieldData, next *engine.Destination) error {
	for name, target := range map[string]*string{
		fieldRegion: &next.Region, fieldEndpoint: &next.Endpoint,
		fieldAuthMethod: &next.AuthMethod, fieldAccessKeyID: &next.AccessKeyID,
		fieldCurrentVersionID: &next.CurrentVersionID,
	} {
		if d.Schema[name] == nil {
			continue
		}
		if text := given[string](d, name); text != nil {
			*target = strings.TrimSpace(*text)
		}
	}
	assign(&next.CACert, given[string](d, fieldCACert))
	decodeCredential(d, fieldAccessKeySecret, &next.AccessKeySecret)
	decodeCredential(d, fieldSecurityToken, &next.SecurityToken)
	assign(&next.RecoveryWindowDays, given[int](d, fieldRecoveryWindowDays))
	assign(&next.AllowedPaths, given[[]string](d, fieldAllowedPaths))
	assign(&next.MaxRequestsPerSecond, given[float64](d, fieldMaxRequestsPerSecond))
	if limit := given[int](d, fieldMaxDeletionsPerHour); limit != nil {
		next.MaxDeletionsPerHour = limit
	}
	if n := given[int](d, fieldVerificationsPerHour); n != nil {
		next.VerificationsPerHour = n
	}
	assign(&next.VerifyValues, given[bool](d, fieldVerifyValues))
	assign(&next.Disabled, given[bool](d, fieldDisabled))
	assign(&next.Paused, given[bool](d, fieldPaused))
	if d.Schema[fieldVersionHistory] != nil {
		if history := given[bool](d, fieldVersionHistory); history != nil {
			next.NoVersionHistory = !*history
		}
	}
	settings := map[string]string{}
	for _, setting := range kind.Settings {
		settings[setting.Name] = next.Settings[setting.Name]
		if text := given[string](d, setting.Name); text != nil {
			settings[setting.Name] = strings.TrimSpace(*text)
		}
	}
	next.Settings = settings
	return decodeSettings(d, fieldCustomTags, &next.Defaults)
}

func decodeCredential(d *framework.FieldData, name string, target *sensitive.String) {
	text := given[string](d, name)
	if text == nil {
		return
	}
	*target = sensitive.String{}
	// A file given with @ ends with a newline more often than not.
	if trimmed := strings.TrimSpace(*text); trimmed != "" {
		*target = sensitive.NewString(trimmed)
	}
}

func assign[T any](target, value *T) {
	if value != nil {
		*target = *value
	}
}

func readDestination(kind provider.Kind) handler {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		destination, err := e.Destination(ctx, destinationRef(kind, d))
		if err != nil || destination == nil {
			return nil, err
		}
		data := map[string]any{
			fieldRegion: destination.Region, fieldEndpoint: destination.Endpoint, fieldCACert: destination.CACert,
			fieldAuthMethod: destination.AuthMethod, fieldRecoveryWindowDays: destination.RecoveryWindowDays,
			fieldAllowedPaths: listOf(destination.AllowedPaths), fieldMaxRequestsPerSecond: destination.MaxRequestsPerSecond,
			fieldMaxDeletionsPerHour:  destination.DeletionsPerHour(),
			fieldVerificationsPerHour: destination.VerificationBudget(), fieldVerifyValues: destination.VerifyValues,
			fieldDisabled: destination.Disabled, fieldPaused: destination.Paused,
			"credentials": map[string]any{
				fieldAccessKeyID:     destination.AccessKeyID != "",
				fieldAccessKeySecret: destination.AccessKeySecret.IsSet(),
				fieldSecurityToken:   destination.SecurityToken.IsSet(),
			},
		}
		encodeDefaults(destination.Defaults, fieldCustomTags, data)
		if kind.CurrentVersionID != "" {
			data[fieldVersionHistory] = !destination.NoVersionHistory
			data[fieldCurrentVersionID] = destination.CurrentVersionID
			if destination.CurrentVersionID == "" {
				data[fieldCurrentVersionID] = kind.CurrentVersionID
			}
		}
		for name, value := range destination.Settings {
			data[name] = value
		}
		return &logical.Response{Data: data}, nil
	}
}

func deleteDestination(kind provider.Kind) handler {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		forgotten, err := e.DeleteDestination(ctx, destinationRef(kind, d), d.Get(fieldForce).(bool))
		if err != nil || forgotten.Replicas+forgotten.Credentials == 0 {
			return nil, err
		}
		resp := &logical.Response{}
		if forgotten.Replicas > 0 {
			resp.AddWarning(fmt.Sprintf("forgotten: %d replicas, such as that of secret %q; they stay in the cloud with this mount's mark, and their secrets no longer name the destination", forgotten.Replicas, forgotten.Secret))
		}
		if forgotten.Credentials > 0 {
			resp.AddWarning(fmt.Sprintf("forgotten: %d managed credentials, such as %q; they stay in the cloud with this mount's mark, and Vault no longer has them", forgotten.Credentials, forgotten.Credential))
		}
		return resp, nil
	}
}

func checkDestination(kind provider.Kind) handler {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		findings, err := e.CheckDestination(ctx, destinationRef(kind, d))
		if err != nil {
			return nil, err
		}
		ok := true
		encoded := make([]any, len(findings))
		for i, finding := range findings {
			ok = ok && finding.OK
			encoded[i] = encodeFinding(finding)
		}
		return &logical.Response{Data: map[string]any{"ok": ok, "findings": encoded}}, nil
	}
}
