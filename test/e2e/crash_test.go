// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// What was answered with success reaches the cloud without a person, whatever
// is killed meanwhile.
func TestAnAcceptedWriteSurvives(t *testing.T) {
	for _, test := range []struct {
		name  string
		crash func(harness.Replication)
	}{
		{"a crash of the machine", func(r harness.Replication) { r.Vault.Crash(); r.Vault.Start() }},
		{"a kill of vault alone", func(r harness.Replication) { r.Vault.Kill(); r.Vault.Start() }},
		{"a kill of the plugin", func(r harness.Replication) { r.Vault.KillPlugin(); r.Vault.AwaitAnswer("status/" + secretName) }},
		{"a restart", func(r harness.Replication) { r.Vault.Stop(); r.Vault.Start() }},
		{"a seal", func(r harness.Replication) { r.Vault.Seal(); r.Vault.Unseal() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := harness.Start(t, harness.Raft)
			r.Write(secretName, map[string]any{"password": "1"})
			r.Cloud.Kill()
			r.Vault.Write("secrets/"+secretName, map[string]any{"data": map[string]any{"password": "2"}, "wait": "0"})
			test.crash(r)
			r.Cloud.Start()
			r.AwaitText(remoteName, current, `{"password":"2"}`)
			r.AwaitState(secretName, "in_sync")
			if got := r.Cloud.Text(remoteName, "v1"); got != `{"password":"1"}` {
				t.Errorf("the first version has become %q", got)
			}
		})
	}
}

func TestThePluginEndsWhenItsVaultIsKilled(t *testing.T) {
	v := harness.StartVault(t, harness.Require(t), harness.Raft)
	v.MountPlugin()
	plugins := v.PluginPIDs()
	if len(plugins) != 1 {
		t.Errorf("%d processes serve one mount", len(plugins))
	}
	v.Kill()
	v.AwaitPluginEnd(plugins)
}

func TestACallWhoseAnswerWasLostMakesNoSecondVersion(t *testing.T) {
	for _, test := range []struct {
		name  string
		crash func(harness.Replication)
	}{
		{"without a crash", func(harness.Replication) {}},
		{"with a crash of the machine after it", func(r harness.Replication) { r.Vault.Crash(); r.Vault.Start() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := harness.Start(t, harness.Raft)
			r.Write(secretName, map[string]any{"password": "1"})
			lost := r.Cloud.Break(emulator.LostReply("PutSecretValue"))
			r.Vault.Write("secrets/"+secretName, map[string]any{"data": map[string]any{"password": "2"}, "wait": "0"})
			r.Cloud.AwaitFault(lost)
			test.crash(r)
			r.AwaitText(remoteName, current, `{"password":"2"}`)
			r.AwaitState(secretName, "in_sync")

			secret, _ := r.Cloud.Secret(remoteName)
			var ids []string
			for _, version := range secret.Versions {
				ids = append(ids, version.ID)
			}
			if len(ids) != 3 { // v1, v2 and the current one
				t.Errorf("the cloud has the versions %v", ids)
			}
		})
	}
}
