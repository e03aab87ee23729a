// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"slices"
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
			r := harness.Start(t, harness.Raft, harness.Services...)
			r.Write(secretName, map[string]any{"password": "1"})
			for _, cloud := range r.Clouds {
				cloud.Kill()
			}
			r.Vault.Write("secrets/"+secretName, map[string]any{"data": map[string]any{"password": "2"}, "wait": "0"})
			test.crash(r)
			for _, cloud := range r.Clouds {
				cloud.Start()
			}
			r.AwaitCurrent(secretName, `{"password":"2"}`)
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
			r := harness.Start(t, harness.Raft, harness.Services...)
			r.Write(secretName, map[string]any{"password": "1"})
			lost := make([]emulator.Rule, len(r.Clouds))
			for i, cloud := range r.Clouds {
				lost[i] = cloud.Break(emulator.LostReply(puts[cloud.Service.Type]))
			}
			r.Vault.Write("secrets/"+secretName, map[string]any{"data": map[string]any{"password": "2"}, "wait": "0"})
			for i, cloud := range r.Clouds {
				cloud.AwaitFault(lost[i])
			}
			test.crash(r)
			r.AwaitCurrent(secretName, `{"password":"2"}`)
			r.AwaitState(secretName, "in_sync")

			for _, cloud := range r.Clouds {
				secret, _ := cloud.Secret(cloud.Service.RemoteName(secretName))
				var ids []string
				for _, version := range secret.Versions {
					if version.ID != current {
						ids = append(ids, version.ID)
					}
				}
				if !slices.Equal(ids, []string{"v1", "v2"}) {
					t.Errorf("%s has the versions %v", cloud.Service.Type, ids)
				}
			}
		})
	}
}
