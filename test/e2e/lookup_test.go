// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// query reads below the mount with parameters, which go into the URL.
func query(t *testing.T, v *harness.Vault, path string, parameters map[string][]string) map[string]any {
	t.Helper()
	answer, err := v.Client.Logical().ReadWithDataWithContext(t.Context(), harness.Mount+"/"+path, parameters)
	if err != nil || answer == nil {
		t.Fatalf("read %s with %v: %v, %v", path, parameters, answer, err)
	}
	return answer.Data
}

// An operator who meets a secret in a cloud's console finds out whose it is, and
// the other way round, with the commands that the documentation gives.
func TestARemoteNameLeadsToItsSecretAndBack(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Write(secretName, map[string]any{"password": "1"})
	for _, cloud := range r.Clouds {
		path := "lookup/" + cloud.Service.Destination
		names, _ := query(t, r.Vault, path, map[string][]string{"secret": {secretName}})["names"].([]any)
		if len(names) != 1 {
			t.Fatalf("%s: the names of the secret are %v", cloud.Service.Type, names)
		}
		name, _ := names[0].(map[string]any)
		remoteName, _ := name["remote_name"].(string)
		if _, there := cloud.Secret(remoteName); !there {
			t.Errorf("%s has no secret %q, which was told", cloud.Service.Type, remoteName)
		}
		if change := name["change"]; (change == "unchanged") != (remoteName == secretName) {
			t.Errorf("%s: the name %q is %v", cloud.Service.Type, remoteName, change)
		}
		found := query(t, r.Vault, path, map[string][]string{"remote_name": {remoteName}})
		if found["secret"] != secretName || found["state"] != "in_sync" || found["former"] == nil {
			t.Errorf("%s: %q belongs to %v", cloud.Service.Type, remoteName, found)
		}
		for name, free := range map[string]bool{remoteName: false, "nobodys": true} {
			if found := query(t, r.Vault, path, map[string][]string{"remote_name": {name}}); found["free"] != free {
				t.Errorf("%s: %q is %v", cloud.Service.Type, name, found)
			}
		}
	}
}

// What is told of the build is that of the program that runs.
func TestInfoTellsOfTheRunningBuild(t *testing.T) {
	v := harness.StartVault(t, harness.Require(t), harness.Dev)
	v.MountPlugin()
	info := v.Read("info").Data
	if info["plugin_version"] != v.Read("status").Data["plugin_version"] {
		t.Errorf("the version is %v", info["plugin_version"])
	}
	libraries, _ := info["libraries"].(map[string]any)
	for _, module := range []string{"hashicorp/vault-plugin-secrets-kv", "hashicorp/vault/sdk", "aliyun/", "huaweicloud/", "tencentcloud/"} {
		found := false
		for path, version := range libraries {
			text, _ := version.(string)
			found = found || strings.HasPrefix(path, "github.com/"+module) && strings.HasPrefix(text, "v")
		}
		if !found {
			t.Errorf("the version of %s isn't among %v", module, libraries)
		}
	}
	types, _ := info["destination_types"].(map[string]any)
	for _, service := range harness.Services {
		if told, _ := types[service.Type].(map[string]any); told["title"] == nil {
			t.Errorf("nothing is told of %s", service.Type)
		}
	}
}

// Alibaba tells of a key before a secret is put under it. What it calls unusable
// is refused in its words, and what it doesn't answer about goes on.
func TestAlibabaIsAskedAboutAKMSKeyBeforeItIsStored(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Alibaba)
	ref := r.Cloud.Service.Destination
	for _, key := range []emulator.KMSKey{{ID: "disabled", Disabled: true}, {ID: "going", PendingDeletion: true}} {
		if err := r.Cloud.Control.PutKMSKey(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	writes := map[string]func(key string) (*api.Secret, error){
		"destinations/" + ref: func(key string) (*api.Secret, error) {
			return r.Vault.Client.Logical().WriteWithContext(t.Context(), "cloudsync/destinations/"+ref, map[string]any{"kms_key_id": key})
		},
		"rules/all": func(key string) (*api.Secret, error) {
			return r.Vault.Client.Logical().WriteWithContext(t.Context(), "cloudsync/rules/all", map[string]any{"match": "team-z/**", "destinations": ref, "kms_key_id": key})
		},
		"secrets/" + secretName: func(key string) (*api.Secret, error) {
			return r.Vault.Client.Logical().WriteWithContext(t.Context(), "cloudsync/secrets/"+secretName, map[string]any{
				"value": "1", "destinations": ref, "kms_key_id": key, "wait": "0s",
			})
		},
	}
	for path, write := range writes {
		for key, says := range map[string]string{
			"absent": "Forbidden.KeyNotFound", "disabled": "state Disabled", "going": "state PendingDeletion",
		} {
			_, err := write(key)
			if err == nil {
				t.Errorf("%s is written with a key that is %s", path, key)
				continue
			}
			for _, part := range []string{"Code: 400", "destination " + ref, "KMS key " + key, "class kms", "DescribeKey", says, "request id"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s with a key that is %s: the refusal doesn't say %q: %v", path, key, part, err)
				}
			}
		}
	}
	if secrets := r.Cloud.Secrets(); len(secrets) > 0 {
		t.Errorf("the cloud has %v", secrets)
	}
	for path, write := range writes {
		answer, err := write(emulator.ExampleKMSKeyID)
		if err != nil || answer != nil && slices.ContainsFunc(answer.Warnings, func(w string) bool { return strings.Contains(w, "checked") }) {
			t.Errorf("%s with a key that is usable: %v, %v", path, answer, err)
		}
	}
	r.AwaitState(secretName, "in_sync")
	reportedKey(t, r.Vault, secretName, emulator.ExampleKMSKeyID, emulator.ExampleKMSKeyID)

	r.Cloud.Kill()
	for path, write := range writes {
		answer, err := write("another")
		if err != nil || answer == nil || !strings.Contains(strings.Join(answer.Warnings, "\n"), "KMS key another couldn't be checked") {
			t.Errorf("%s while the cloud is down: %v, %v", path, answer, err)
		}
	}
	r.Cloud.Start()
	// The key of what is there is fixed, and the report says that another is asked for.
	r.AwaitState(secretName, "in_sync")
	reportedKey(t, r.Vault, secretName, "another", emulator.ExampleKMSKeyID)
}

// reportedKey wants the report on keys to tell what is asked for and in effect for
// the one replica of a secret.
func reportedKey(t *testing.T, v *harness.Vault, secret, asked, inEffect string) {
	t.Helper()
	replicas, _ := query(t, v, "keys", map[string][]string{"kms_key_id": {inEffect}, "limit": {"10"}})["replicas"].([]any)
	if len(replicas) != 1 {
		t.Fatalf("the report has %v", replicas)
	}
	replica, _ := replicas[0].(map[string]any)
	differs, _ := replica["differs"].(bool)
	if replica["secret"] != secret || replica["kms_key_id"] != asked || replica["kms_key_id_in_effect"] != inEffect || differs != (asked != inEffect) {
		shown, _ := json.Marshal(replica)
		t.Errorf("the report says %s", shown)
	}
}
