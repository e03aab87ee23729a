// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/version"
)

func (b *backend) infoPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "info",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "info"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(readInfo), Responses: responds(infoFields), DisplayAttrs: display("read", "info"),
				Summary: "What this build is and what it knows: versions, limits and abilities of the clouds, defaults, states, error classes, templates.",
			},
		},
		HelpSynopsis:    "What this build of the plugin is and what it knows.",
		HelpDescription: "Tells the versions of the plugin and of the libraries that matter; for each type of destination its limits, what it can do, its documented rates and its settings; the defaults, states, error classes with what to do, formats, and the fields and functions of templates. It depends on nothing that is stored.",
	}}
}

var infoFields = map[string]*framework.FieldSchema{
	"plugin_version":     field(framework.TypeString, "Version of the running plugin."),
	"plugin_commit":      field(framework.TypeString, "Commit that the running plugin was built from."),
	"go_version":         field(framework.TypeString, "Version of Go that it was built with."),
	"libraries":          field(framework.TypeMap, "By module: version of the KV engine, Vault's SDK and the clouds' SDKs in it."),
	"destination_types":  field(framework.TypeMap, "By type of destination: title, limits, abilities, quotas and settings."),
	"defaults":           field(framework.TypeMap, "What holds where nobody says otherwise."),
	"longest_name":       field(framework.TypeInt, "Most bytes of a secret's name."),
	"states":             field(framework.TypeStringSlice, "The states of replicas, those that need most attention first."),
	"error_classes":      field(framework.TypeMap, "By error class: whether it is tried again by itself, and what to do."),
	"formats":            field(framework.TypeStringSlice, "The formats of what clouds store."),
	"granularities":      field(framework.TypeStringSlice, "How many remote secrets a secret can have at a destination."),
	"template_fields":    field(framework.TypeStringSlice, "The fields that templates can use."),
	"template_functions": field(framework.TypeMap, "By function of templates: how it is used."),
}

// reportedModules are the modules whose versions decide how secrets are stored
// and how clouds are called; one that ends with a slash stands for all below it.
var reportedModules = []string{
	"github.com/hashicorp/vault-plugin-secrets-kv",
	"github.com/hashicorp/vault/sdk",
	"github.com/aliyun/",
	"github.com/huaweicloud/",
	"github.com/tencentcloud/",
}

func reported(module string) bool {
	for _, name := range reportedModules {
		if module == name || strings.HasSuffix(name, "/") && strings.HasPrefix(module, name) {
			return true
		}
	}
	return false
}

// librariesOf are the versions of the reported modules in a build; nil gives none.
func librariesOf(build *debug.BuildInfo) map[string]any {
	versions := map[string]any{}
	if build == nil {
		return versions
	}
	for _, module := range build.Deps {
		if reported(module.Path) {
			versions[module.Path] = cmp.Or(module.Replace, module).Version
		}
	}
	return versions
}

func readInfo(_ context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	build, _ := debug.ReadBuildInfo()
	types := map[string]any{}
	for name, kind := range e.Kinds() {
		types[name] = encodeKind(kind)
	}
	functions := map[string]any{}
	for name, usage := range remotename.FunctionUsages() {
		functions[name] = usage
	}
	return &logical.Response{Data: map[string]any{
		"plugin_version": version.Version, "plugin_commit": version.Commit, "go_version": runtime.Version(), "libraries": librariesOf(build),
		"destination_types": types, "defaults": encodeDefaultsInForce(engine.DefaultsInForce()), "longest_name": engine.LongestName,
		"states": texts(engine.States()), "error_classes": encodeClasses(),
		"formats": texts(payload.Formats()), "granularities": texts(payload.Granularities()),
		"template_fields": remotename.FieldNames(), "template_functions": functions,
	}}, nil
}

func texts[T ~string](list []T) []string {
	converted := make([]string, len(list))
	for i, one := range list {
		converted[i] = string(one)
	}
	return converted
}

// encodeKind describes a type of destination.
func encodeKind(kind provider.Kind) map[string]any {
	abilities := map[string]any{}
	for _, ability := range engine.AbilitiesOf(kind) {
		abilities[ability.Name] = ability.Meaning
	}
	documented := engine.QuotasOf(kind)
	quotas := make([]any, len(documented))
	for i, quota := range documented {
		quotas[i] = map[string]any{
			"group": quota.Group, "calls_per_second": quota.PerSecond, "operations": append([]string{}, quota.Operations...),
		}
	}
	settings := map[string]any{}
	for _, setting := range kind.Settings {
		settings[setting.Name] = map[string]any{"description": setting.Description, "required": setting.Required}
	}
	return map[string]any{
		"title": kind.Title, "limits": encodeLimits(kind.Limits), "abilities": abilities, "quotas": quotas, "settings": settings,
		fieldCurrentVersionID: kind.CurrentVersionID, "current_label": kind.CurrentLabel, "assigns_version_ids": kind.AssignsVersionIDs(),
	}
}

func encodeLimits(l provider.Limits) map[string]any {
	return map[string]any{
		fieldRemoteName: map[string]any{
			"bytes": l.Name.MaxBytes, "punctuation": l.Name.Punctuation, "first_alphanumeric": l.Name.FirstAlphanumeric,
			"reserved_prefixes": append([]string{}, l.Name.ReservedPrefixes...),
		},
		"version_id_bytes": l.VersionIDBytes,
		"value_bytes":      l.Largest(false), "binary_bytes": l.Largest(true), "empty_value": l.EmptyValue,
		"versions": l.Versions, "evicts_versions": l.EvictsVersions,
		"description_bytes": l.DescriptionBytes,
		fieldTags: map[string]any{
			"most": l.Tags.Max, "key_characters": l.Tags.KeyChars, "value_characters": l.Tags.ValueChars, "empty_value": l.Tags.EmptyValue,
			"punctuation": l.Tags.Punctuation, "value_punctuation": l.Tags.ValuePunctuation,
			"reserved_prefixes": append([]string{}, l.Tags.ReservedPrefixes...),
		},
		fieldRecoveryWindowDays: map[string]any{
			"least": l.Window.MinDays, "most": l.Window.MaxDays, "default": l.Window.DefaultDays, "immediate": l.Window.Immediate,
		},
	}
}

// encodeDefaultsInForce describes the defaults; times are in seconds.
func encodeDefaultsInForce(d engine.Defaults) map[string]any {
	seconds := func(t time.Duration) int64 { return int64(t / time.Second) }
	return map[string]any{
		fieldDefaultWait: seconds(d.Wait), fieldAuthMethod: d.AuthMethod,
		fieldDeletionPolicy: string(d.DeletionPolicy), fieldGranularity: string(d.Granularity),
		"first_retry": seconds(d.FirstRetry), "longest_retry": seconds(d.LongestRetry), "blocked_retry": seconds(d.BlockedRetry),
		"refused_credentials_rest": seconds(d.RefusalRest), "longest_probe": seconds(d.LongestProbe),
		fieldVerificationsPerHour: d.VerificationsPerHour,
	}
}

// encodeClasses describes what follows from each error class.
func encodeClasses() map[string]any {
	classes := map[string]any{}
	for _, class := range provider.Classes() {
		again := "no"
		switch {
		case class.Recovers():
			again = "yes"
		case class.Lingers():
			again = "now and then"
		}
		classes[string(class)] = map[string]any{"tried_again": again, "action": class.Action()}
	}
	return classes
}
