// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

var module = filepath.Join("..", "..", "bootstrap", "terraform")

// The provider of Terraform isn't to be had in the tests. These are the requests
// that its resources make for the module with the example of its variables, in the
// order of their dependencies.
func TestTheRequestsOfTheTerraformModuleSetUpTheEngine(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	ctx := t.Context()
	v := r.Vault
	if err := v.Client.Sys().UnmountWithContext(ctx, harness.Mount); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(module, "example.tfvars.json"))
	if err != nil {
		t.Fatal(err)
	}
	var variables struct{ Destinations, Rules map[string]map[string]any }
	if err := json.Unmarshal(text, &variables); err != nil {
		t.Fatal(err)
	}

	// vault_mount, and what it can't say.
	mount := &api.MountInput{Type: harness.PluginName, Description: "Secrets with replicas in the clouds"}
	if err := v.Client.Sys().MountWithContext(ctx, harness.Mount, mount); err != nil {
		t.Fatal(err)
	}
	tune := map[string]any{"options": map[string]any{"version": "2"}}
	if _, err := v.Client.Logical().WriteWithContext(ctx, "sys/mounts/"+harness.Mount+"/tune", tune); err != nil {
		t.Fatal(err)
	}
	endpoints := map[string]map[string]any{"config": {"default_wait": 5}}
	for _, cloud := range r.Clouds {
		for ref, settings := range variables.Destinations {
			if strings.HasPrefix(ref, cloud.Service.Type+"/") {
				endpoints["destinations/"+ref] = joined(cloud.Settings(), settings)
			}
		}
	}
	for name, rule := range variables.Rules {
		endpoints["rules/"+name] = rule
	}
	for _, path := range slices.Sorted(maps.Keys(endpoints)) {
		v.Write(path, endpoints[path])
	}
	for path, written := range endpoints {
		read := v.Read(path).Data
		for name, to := range written {
			if got, can := read[name]; can && asJSON(t, got) != asJSON(t, to) {
				t.Errorf("%s of %s is %s in the module and read as %s: the next plan isn't empty", name, path, asJSON(t, to), asJSON(t, got))
			}
		}
	}

	v.CLI("kv", "put", "-mount="+harness.Mount, "team-a/db", "password=1")
	for _, cloud := range r.Clouds {
		harness.Eventually(t, "the replica at "+cloud.Service.Type, func() error {
			if got := cloud.Current("prod-team-a-db"); got != `{"password":"1"}` {
				return fmt.Errorf("it is %q", got)
			}
			return nil
		})
	}

	// terraform destroy takes rules away before destinations, which may have to wait
	// until what the rules sent there is given up.
	for name := range variables.Rules {
		if _, err := v.Client.Logical().DeleteWithContext(ctx, harness.Mount+"/rules/"+name); err != nil {
			t.Error(err)
		}
	}
	for ref := range variables.Destinations {
		harness.Eventually(t, "deletion of destination "+ref, func() error {
			_, err := v.Client.Logical().DeleteWithContext(ctx, harness.Mount+"/destinations/"+ref)
			return err
		})
	}
	for _, cloud := range r.Clouds {
		secret, there := cloud.Secret("prod-team-a-db")
		if !there || strings.Contains(secret.Description, "[vault-cloudsync") {
			t.Errorf("%s: after terraform destroy the secret is there: %t, with %q", cloud.Service.Type, there, secret.Description)
		}
	}
}

func TestTheTerraformModuleIsFormatted(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("needs terraform on the PATH")
	}
	cmd := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", module)
	cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, output)
	}
}
