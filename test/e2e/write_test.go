// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package e2e tests the plugin as it is used: real programs, the vault command,
// and what an application finds in the cloud.
package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// secretName is written in these tests, remoteName is what it is called in the
// cloud, and current the version that applications read.
const (
	secretName = "team-a/db"
	remoteName = "team-a_db"
	current    = "SSM_Current"
)

func TestEveryWayToWriteAVersionReachesTheCloud(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Vault.Write("config", map[string]any{"default_wait": harness.Patience.String()})
	r.Write(secretName, map[string]any{"user": "app", "password": "1"})
	for _, step := range []struct {
		name, version, want string
		run                 func()
	}{
		{
			"kv put makes a version", "v2", `{"password":"2","user":"app"}`,
			func() { r.Vault.CLI("kv", "put", "-mount=cloudsync", secretName, "user=app", "password=2") },
		},
		{
			"kv patch changes one key", "v3", `{"password":"3","user":"app"}`,
			func() { r.Vault.CLI("kv", "patch", "-mount=cloudsync", secretName, "password=3") },
		},
		{
			"kv rollback brings an old version back", "v4", `{"password":"1","user":"app"}`,
			func() { r.Vault.CLI("kv", "rollback", "-mount=cloudsync", "-version=1", secretName) },
		},
		{
			"a write to secrets keeps the destinations", "v5", `{"password":"5"}`,
			func() {
				r.Vault.Write("secrets/"+secretName, map[string]any{"data": map[string]any{"password": "5"}})
			},
		},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.run()
			for _, id := range []string{step.version, current} {
				if got := r.Cloud.Text(remoteName, id); got != step.want {
					t.Errorf("version %s has %q, want %q", id, got, step.want)
				}
			}
		})
	}
	if got := r.Vault.CLI("kv", "get", "-mount=cloudsync", "-field=password", secretName); strings.TrimSpace(got) != "5" {
		t.Errorf("vault has the password %q", got)
	}
	if got := r.Cloud.Text(remoteName, "v1"); got != `{"password":"1","user":"app"}` {
		t.Errorf("the first version has become %q", got)
	}
}

func TestAWriteToADeadCloudIsAcceptedAndArrivesLater(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Cloud.Kill()
	answer := r.Vault.Write("secrets/"+secretName, map[string]any{
		"data": map[string]any{"password": "1"}, "destinations": harness.Destination, "wait": "0",
	})
	if answer == nil {
		t.Error("the write has no answer")
	}
	r.Cloud.Start()
	r.AwaitText(remoteName, current, `{"password":"1"}`)
	r.AwaitState(secretName, "in_sync")
}

func TestWhatIsUnchangedCostsNoCall(t *testing.T) {
	r := harness.Start(t, harness.Raft)
	r.Write(secretName, map[string]any{"password": "1"})
	r.Cloud.ResetCalls()

	r.Vault.Read("secrets/" + secretName)
	r.Vault.Seal()
	r.Vault.Unseal()
	r.AwaitState(secretName, "in_sync")
	r.Write("team-a/other", map[string]any{"password": "1"}) // its replica has come: the work before it is done

	calls := r.Cloud.CallsTo(remoteName)
	if len(calls) != 0 {
		t.Errorf("the cloud was asked for %v", slices.Sorted(slices.Values(calls)))
	}
}
