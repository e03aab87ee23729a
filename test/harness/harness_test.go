// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func TestVaultKeepsItsDataOverACrash(t *testing.T) {
	v := StartVault(t, Require(t), Raft)
	v.CLI("secrets", "enable", "-path=plain", "kv")
	v.CLI("kv", "put", "-mount=plain", "name", "value=kept")
	for _, end := range []func(){v.Kill, v.Crash, v.Stop} {
		end()
		v.Start()
		if got := v.CLI("kv", "get", "-mount=plain", "-field=value", "name"); strings.TrimSpace(got) != "kept" {
			t.Errorf("after the start the value is %q", got)
		}
	}
	v.Seal()
	v.Unseal()
}

func TestAFailedCommandTellsWhy(t *testing.T) {
	v := StartVault(t, Require(t), Dev)
	if _, err := v.TryCLI("", "read", "nowhere/at/all"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("the error of a failed command is %v", err)
	}
}

func TestTheEmulatorKeepsWhatItAcknowledgedOverACrash(t *testing.T) {
	cloud := StartEmulator(t, Require(t))
	err := cloud.Control.Seed(t.Context(), emulator.Secret{
		Ref: Tencent.ref("db"), Versions: []emulator.Version{{ID: "v1", Text: "kept"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	cloud.Kill()
	cloud.Start()
	if got := cloud.Text("db", "v1"); got != "kept" {
		t.Errorf("after the crash the value is %q", got)
	}
}

func TestAClusterGoesOnWithoutItsLeader(t *testing.T) {
	c := StartCluster(t, Require(t))
	old := c.Leader()
	old.CLI("secrets", "enable", "-path=plain", "kv")
	for _, end := range []struct {
		name       string
		end, begin func(*Vault)
	}{
		{"crashed", (*Vault).Crash, (*Vault).Start},
		{"sealed", (*Vault).Seal, (*Vault).Unseal},
	} {
		old.CLI("kv", "put", "-mount=plain", "name", "value="+end.name)
		end.end(old)
		leader := c.LeaderOtherThan(old)
		if got := leader.CLI("kv", "get", "-mount=plain", "-field=value", "name"); strings.TrimSpace(got) != end.name {
			t.Errorf("after the leader was %s, %s has %q", end.name, leader.Name(), got)
		}
		end.begin(old)
		for _, standby := range c.Standbys() {
			if got := standby.CLI("kv", "get", "-mount=plain", "-field=value", "name"); strings.TrimSpace(got) != end.name {
				t.Errorf("after the leader was %s, the standby %s answers %q", end.name, standby.Name(), got)
			}
		}
		old = c.Leader()
	}
}
