// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// replicaSettings are all settings that rules and destinations have in common, in
// the forms in which Terraform sends them.
func replicaSettings() map[string]any {
	return map[string]any{
		"kms_key_id": emulator.ExampleKMSKeyID, "description": "of {{ .SecretPath }}", "format": "raw", "value_key": "password",
		"secret_name_template": "{{ .SecretPath | lowercase }}", "deletion_policy": "retain", "custom_metadata_tags": []string{"owner", "cost"},
	}
}

func keySettings() map[string]any {
	return map[string]any{
		"granularity": "secret-key", "include_keys": []string{"user", "pass*"}, "exclude_keys": []string{"password_old"},
		"secret_name_template": "{{ .SecretBaseName }}-{{ .SecretKey }}",
	}
}

// unset are the settings in the form that leaves them to others.
func unset() map[string]any {
	return map[string]any{
		"kms_key_id": "", "description": "", "format": "", "value_key": "", "granularity": "", "include_keys": []string{}, "exclude_keys": []string{},
		"secret_name_template": "", "deletion_policy": "", "custom_metadata_tags": []string{},
	}
}

func joined(parts ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

// Terraform's vault_generic_endpoint writes, reads at once, and compares what it
// reads with what it wrote; a plan that follows is empty if both are the same.
// Fields that can't be read, as credentials, count as the same.
func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	destination := joined(map[string]any{
		"auth_method": "access_key", "custom_tags": map[string]string{"env": "prod", "n": "1"}, "recovery_window_days": 7,
		"allowed_paths": []string{"team-b/**", "team-a/**"}, "max_requests_per_second": 2.5, "disabled": false, "ca_cert": "",
	}, replicaSettings())
	rule := map[string]any{
		"match": []string{"team-b/**", "team-a/**"}, "exclude": []string{"team-a/x"}, "destinations": []string{"tencent-ssm/gz", "alicloud-kms/hz"},
		"allowed_destinations": []string{"huawei-csms/*"}, "tags": map[string]string{"b": "2", "a": "{{ .SecretBaseName }}"},
	}
	tests := map[string]map[string]any{
		"rules/team":   joined(rule, replicaSettings()),
		"rules/keys":   joined(map[string]any{"match": []string{"keys/*"}, "destinations": []string{"tencent-ssm/keys"}}, keySettings()),
		"rules/unset":  joined(map[string]any{"match": []string{"u/*"}, "destinations": []string{"tencent-ssm/unset"}, "exclude": []string{}, "allowed_destinations": []string{}, "tags": map[string]string{}}, unset()),
		"rules/limits": {"match": []string{"**"}, "destinations": []string{}, "allowed_destinations": []string{"*/*"}},
		"config": {
			"default_wait": 7, "paused": false, "max_versions": 12, "cas_required": false, "delete_version_after": "720h0m0s",
		},
		"destinations/tencent-ssm/unset": joined(r.Cloud.Settings(), map[string]any{"allowed_paths": []string{}, "custom_tags": map[string]string{}}, unset()),
		"destinations/tencent-ssm/keys":  joined(r.Cloud.Settings(), keySettings()),
	}
	for _, cloud := range r.Clouds {
		tests["destinations/"+cloud.Service.Destination] = joined(cloud.Settings(), destination)
	}
	tests["destinations/tencent-ssm/gz"]["version_history"] = false
	tests["destinations/tencent-ssm/gz"]["current_version_id"] = "current"
	for _, path := range slices.Sorted(maps.Keys(tests)) {
		t.Run(path, func(t *testing.T) {
			for _, round := range []string{"written", "written again"} {
				r.Vault.Write(path, tests[path])
				read := r.Vault.Read(path).Data
				for name, to := range tests[path] {
					got, can := read[name]
					if !can && slices.Contains([]string{"access_key_id", "access_key_secret", "security_token"}, name) {
						continue
					}
					if asJSON(t, got) != asJSON(t, to) {
						t.Errorf("%s %s as %s is read as %s", name, round, asJSON(t, to), asJSON(t, got))
					}
				}
			}
		})
	}
}

// asJSON is the form in which Terraform compares.
func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
