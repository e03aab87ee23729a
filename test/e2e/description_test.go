// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// document is Vault's OpenAPI document, as far as the test looks at it.
type document struct {
	Paths map[string]struct {
		Description              string
		Get, Post, Patch, Delete struct {
			OperationID string `json:"operationId"`
		}
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]struct{ Description string }
		}
	}
}

// described is a path in the document, and its operations by method.
type described struct {
	path, get, post, patch, delete string
	fields                         []string // of a post
}

var commonFields = []string{
	"region", "endpoint", "ca_cert", "auth_method", "access_key_id", "access_key_secret", "security_token", "kms_key_id",
	"custom_tags", "format", "deletion_policy", "recovery_window_days", "allowed_paths", "max_requests_per_second", "max_deletions_per_hour", "disabled", "verifications_per_hour", "verify_values", "paused",
	"description", "value_key", "granularity", "include_keys", "exclude_keys", "secret_name_template", "custom_metadata_tags", "drift_action",
}

var ruleFields = []string{
	"match", "exclude", "destinations", "allowed_destinations", "kms_key_id", "tags", "description", "format", "deletion_policy",
	"value_key", "granularity", "include_keys", "exclude_keys", "secret_name_template", "custom_metadata_tags", "drift_action",
}

var descriptions = []described{
	{
		"secrets/{name}", "cloudsync-read-secret", "cloudsync-write-secret", "cloudsync-patch-secret", "cloudsync-delete-secret",
		[]string{
			"data", "value", "binary", "destinations", "tags", "description", "remote_name", "format",
			"deletion_policy", "drift_action", "kms_key_id", "kms_key_ids", "delete", "paused", "cas", "wait",
		},
	},
	{path: "secrets/{name}/", get: "cloudsync-list-secrets"},
	{path: "secrets/{name}/versions/", get: "cloudsync-list-secret-versions"},
	{path: "secrets/{name}/versions/{id}", get: "cloudsync-read-secret-version", delete: "cloudsync-destroy-secret-version"},
	{path: "rollback/{name}", post: "cloudsync-roll-back-secret", fields: []string{"version", "cas", "wait"}},
	{path: "rekey/{name}", post: "cloudsync-rekey-secret", fields: []string{"destination", "kms_key_id", "remote_name", "deletion_policy", "wait"}},
	{
		path: "managed/{name}", get: "cloudsync-read-managed-credential", post: "cloudsync-write-managed-credential", delete: "cloudsync-delete-managed-credential",
		fields: []string{
			"destination", "product", "instance_id", "kms_key_id", "remote_name", "initial_credentials", "description", "tags", "enable_rotation",
			"rotation_frequency", "rotation_begin_time", "replicate_to", "poll_interval", "credential_cache_ttl", "wait",
			"user_name_prefix", "domains", "privileges", "secret_sub_type", "extended_config", "rotation_func_urn", "rotation_config",
		},
	},
	{path: "managed/{name}/", get: "cloudsync-list-managed-credentials"},
	{path: "managed/{name}/credentials", get: "cloudsync-read-managed-credential-value"},
	{path: "managed/{name}/rotate", post: "cloudsync-rotate-managed-credential", fields: []string{"wait"}},
	{
		path: "managed/{name}/rotation", get: "cloudsync-read-managed-credential-schedule", post: "cloudsync-write-managed-credential-schedule",
		fields: []string{"enable_rotation", "rotation_frequency", "rotation_begin_time", "wait"},
	},
	{path: "managed/{name}/history", get: "cloudsync-read-managed-credential-history"},
	{path: "managed-products/{type}/{name}", get: "cloudsync-read-managed-products"},
	{path: "verify", post: "cloudsync-verify-secrets", fields: []string{"match", "destination", "repair", "values", "wait"}},
	{path: "verify/{name}", post: "cloudsync-verify-secret", fields: []string{"destination", "repair", "values", "wait"}},
	{path: "rules/", get: "cloudsync-list-rules"},
	{path: "rules/{name}", get: "cloudsync-read-rule", post: "cloudsync-write-rule", delete: "cloudsync-delete-rule", fields: append([]string{"delete"}, ruleFields...)},
	{path: "rules/{name}/plan", post: "cloudsync-plan-rule", fields: append([]string{"after", "calls", "delete", "limit"}, ruleFields...)},
	{path: "trail/{name}", get: "cloudsync-read-trail"},
	{path: "plan", post: "cloudsync-plan-secrets", fields: []string{"match", "exclude", "destination", "after", "limit"}},
	{path: "plan/{name}", post: "cloudsync-plan-secret", fields: []string{
		"data", "value", "binary", "destinations", "kms_key_id", "kms_key_ids", "tags", "description", "remote_name", "format", "deletion_policy",
		"version", "delete",
	}},
	{path: "status", get: "cloudsync-read-status"},
	{path: "release-held/{type}/{name}", post: "cloudsync-release-held-deletions"},
	{path: "resume", post: "cloudsync-resume-replication", fields: []string{"take", "match", "destination"}},
	{path: "resume/{name}", post: "cloudsync-resume-secret", fields: []string{"take", "destination", "wait"}},
	{path: "status/", get: "cloudsync-list-status"},
	{path: "metrics", get: "cloudsync-read-metrics"},
	{path: "info", get: "cloudsync-read-info"},
	{path: "lookup/{type}/{name}", get: "cloudsync-look-up-remote-name"},
	{path: "keys", get: "cloudsync-read-kms-keys"},
	{path: "release/{name}", post: "cloudsync-release-replica", fields: []string{"destination", "wait"}},
	{path: "remote/{type}/{name}/", get: "cloudsync-list-remote-secrets"},
	{path: "import/{type}/{name}", post: "cloudsync-import-secrets", fields: []string{
		"match", "exclude", "path_template", "prefix", "adopt", "dry_run", "on_conflict", "versions", "destinations", "guard", "wait",
	}},
	{path: "jobs/", get: "cloudsync-list-jobs"},
	{path: "jobs/{id}", get: "cloudsync-read-job", delete: "cloudsync-delete-job"},
	{path: "jobs/{id}/cancel", post: "cloudsync-cancel-job"},
	{path: "status/{name}", get: "cloudsync-read-secret-status"},
	{path: "sync/{name}", post: "cloudsync-sync-secret", fields: []string{"wait"}},
	{
		path: "config", get: "cloudsync-read-configuration", post: "cloudsync-configure-configuration",
		fields: []string{"default_wait", "paused", "max_versions", "cas_required", "delete_version_after"},
	},
	{path: "data/{path}", get: "kv-v2-read", post: "kv-v2-write", patch: "kv-v2-patch", delete: "kv-v2-delete", fields: []string{"data", "options"}},
	{
		path: "metadata/{path}", get: "kv-v2-read-metadata", post: "kv-v2-write-metadata", patch: "kv-v2-patch-metadata-path",
		delete: "kv-v2-delete-metadata-and-all-versions", fields: []string{"max_versions", "cas_required", "custom_metadata"},
	},
	{path: "metadata/{path}/", get: "kv-v2-list"},
	{path: "delete/{path}", post: "kv-v2-delete-versions", fields: []string{"versions"}},
	{path: "undelete/{path}", post: "kv-v2-undelete-versions", fields: []string{"versions"}},
	{path: "destroy/{path}", post: "kv-v2-destroy-versions", fields: []string{"versions"}},
	{path: "subkeys/{path}", get: "kv-v2-read-subkeys"},
	{path: "destinations/", get: "cloudsync-list-destination-types"},
	destinationPath("tencent-ssm", "version_history", "current_version_id"),
	destinationPath("alicloud-kms", "kms_instance_id"),
	destinationPath("huawei-csms", "project_id", "enterprise_project_id"),
	{path: "destinations/tencent-ssm/", get: "cloudsync-list-tencent-ssm-destinations"},
	{path: "destinations/tencent-ssm/{name}/check", post: "cloudsync-check-tencent-ssm-destination"},
	{path: "destinations/alicloud-kms/{name}/check", post: "cloudsync-check-alicloud-kms-destination"},
	{path: "destinations/tencent-ssm/{name}/plan", post: "cloudsync-plan-tencent-ssm-destination"},
	{path: "destinations/alicloud-kms/{name}/plan", post: "cloudsync-plan-alicloud-kms-destination"},
	{path: "destinations/huawei-csms/{name}/plan", post: "cloudsync-plan-huawei-csms-destination"},
	{path: "destinations/huawei-csms/{name}/check", post: "cloudsync-check-huawei-csms-destination"},
}

func destinationPath(kind string, own ...string) described {
	suffix := "-" + kind + "-destination"
	return described{
		path: "destinations/" + kind + "/{name}", get: "cloudsync-read" + suffix, post: "cloudsync-write" + suffix,
		delete: "cloudsync-delete" + suffix, fields: slices.Concat(commonFields, own),
	}
}

func TestTheOpenAPIDocumentHasEveryPathWithItsFields(t *testing.T) {
	v := harness.StartVault(t, harness.Require(t), harness.Dev)
	v.MountPlugin()
	v.CLI("secrets", "disable", "secret/") // Vault's own KV engine has the same paths
	var doc document
	if err := json.Unmarshal([]byte(v.CLI("read", "-format=raw", "sys/internal/specs/openapi")), &doc); err != nil {
		t.Fatal(err)
	}
	for _, want := range descriptions {
		shown := doc.Paths["/cloudsync/"+want.path]
		if shown.Description == "" {
			t.Errorf("%s has no description", want.path)
		}
		for operation, got := range map[string]string{
			want.get: shown.Get.OperationID, want.post: shown.Post.OperationID,
			want.patch: shown.Patch.OperationID, want.delete: shown.Delete.OperationID,
		} {
			if operation != "" && got != operation {
				t.Errorf("%s has the operation %q instead of %q", want.path, got, operation)
			}
		}
		// Vault loses the references from operations to schemas for engines that
		// are processes of their own; the name of the schema is the operation's.
		schema := doc.Components.Schemas[camelCase(want.post)+"Request"].Properties
		for _, field := range want.fields {
			if schema[field].Description == "" {
				t.Errorf("%s doesn't describe %s; it has %v", want.path, field, slices.Sorted(maps.Keys(schema)))
			}
		}
	}
	for path := range doc.Paths {
		own, isOurs := strings.CutPrefix(path, "/cloudsync/")
		known := slices.ContainsFunc(descriptions, func(d described) bool { return d.path == own })
		// Vault lists the pattern that catches stray paths, without an operation.
		stray := own == "^.*$" && doc.Paths[path].Get.OperationID+doc.Paths[path].Post.OperationID == ""
		if isOurs && !known && !stray && !strings.HasPrefix(own, "destinations/") {
			t.Errorf("%s isn't known here", own)
		}
	}
}

func camelCase(words string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(words, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

func TestPathHelpDescribesEveryPath(t *testing.T) {
	v := harness.StartVault(t, harness.Require(t), harness.Dev)
	v.MountPlugin()
	for path, says := range map[string][]string{
		"":                                 {"secrets/", "destinations/tencent-ssm/", "status/"},
		"secrets/x":                        {"destinations", "kms_key_ids", "remote_name", "DESCRIPTION"},
		"secrets/x/versions/1":             {"id", "DESCRIPTION"},
		"status/x":                         {"never holds the value"},
		"info":                             {"limits", "error classes", "templates"},
		"lookup/tencent-ssm/x":             {"remote_name", "secret", "no remote call"},
		"keys":                             {"kms_key_id", "after", "limit"},
		"remote/tencent-ssm/x":             {"owner", "versions", "never a value"},
		"import/tencent-ssm/x":             {"path_template", "on_conflict", "mark of this mount"},
		"jobs/x":                           {"after", "result", "report"},
		"rollback/x":                       {"version"},
		"sync/x":                           {"wait"},
		"config":                           {"default_wait", "paused", "max_versions"},
		"data/x":                           {"data", "options"},
		"destinations/tencent-ssm/x":       {"region", "current_version_id"},
		"destinations/alicloud-kms/x":      {"region", "kms_instance_id"},
		"destinations/huawei-csms/x":       {"region", "project_id"},
		"destinations/huawei-csms/x/check": {"live calls"},
	} {
		out := v.CLI("path-help", harness.Mount+"/"+path)
		for _, part := range says {
			if !strings.Contains(out, part) {
				t.Errorf("path-help of %s doesn't say %q:\n%s", path, part, out)
			}
		}
	}
}

// Which version is running is what operators look for first.
func TestTheRunningVersionIsReported(t *testing.T) {
	programs := harness.Require(t)
	v := harness.StartVault(t, programs, harness.Dev)
	v.MountPlugin()
	printed, err := exec.CommandContext(t.Context(), programs.Plugin, "-version").Output()
	if err != nil || len(strings.Fields(string(printed))) < 2 {
		t.Fatalf("the plugin prints %q, %v", printed, err)
	}
	want := strings.Fields(string(printed))[1]

	mounts, err := v.Client.Sys().ListMountsWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := mounts["cloudsync/"].RunningVersion; got != want {
		t.Errorf("sys/mounts has running_plugin_version %q, want %q", got, want)
	}
	if got := v.Read("status").Data["plugin_version"]; got != want {
		t.Errorf("the status has %q, want %q", got, want)
	}
	v.RegisterPlugin(harness.PluginName, want)
	list := v.CLI("plugin", "list", "-detailed", "secret")
	if !strings.Contains(list, harness.PluginName) || !strings.Contains(list, want) {
		t.Errorf("the list of plugins has no %s:\n%s", want, list)
	}
}
