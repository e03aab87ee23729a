// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// nextVersion is the version that the tests upgrade to.
const nextVersion = "v9.9.9"

// What an operator does to a mount while clients write to it.
func TestOperationsUnderLoadLoseNothing(t *testing.T) {
	s := startSingle(t)
	next := harness.BuildPlugin(t, nextVersion)
	before := s.vault.RunningVersion()
	reload := func() { s.vault.CLI("plugin", "reload", "-plugin="+harness.PluginName, "-scope=global") }
	load := harness.StartLoad(t, s.clouds, s.vault)
	for _, step := range []struct {
		name, version string // version runs afterwards
		run           func()
	}{
		{"the plugin is reloaded", before, reload},
		{"and again", before, reload},
		{"the mount is upgraded to another version of the plugin", nextVersion, func() {
			s.vault.InstallPlugin(next, "next")
			s.vault.RegisterPlugin("next", nextVersion)
			s.vault.CLI("secrets", "tune", "-plugin-version="+nextVersion, harness.Mount+"/")
			reload()
		}},
	} {
		load.AwaitWrites(30)
		s.awaitCalls(t)
		old := s.vault.PluginPIDs()
		step.run()
		s.vault.AwaitPluginEnd(old)
		load.AwaitWrites(10)
		s.awaitCalls(t)
		if got := s.vault.RunningVersion(); got != step.version {
			t.Errorf("%s: version %q serves the mount instead of %q", step.name, got, step.version)
		}
	}
	const elsewhere = "elsewhere/cloudsync"
	s.vault.CLI("secrets", "move", harness.Mount, elsewhere)
	load.Move(elsewhere)
	load.AwaitWrites(30)
	s.awaitCalls(t)
	load.Check(s.vault).Report(t)
}

// A mount that is disabled leaves the clouds as they are at that moment, though
// there is work left, and though the process goes on for another mount.
func TestADisabledMountLeavesTheCloudsAlone(t *testing.T) {
	s := startSingle(t)
	s.vault.CLI("secrets", "enable", "-path=second", harness.PluginName)
	load := harness.StartLoad(t, s.clouds, s.vault)
	s.slow()
	load.AwaitWrites(60)
	s.awaitCalls(t)
	s.vault.CLI("secrets", "disable", harness.Mount)
	disabled := time.Now()
	load.Stop()
	s.awaitIdle()
	left := make([][]emulator.Secret, len(s.clouds))
	for i, cloud := range s.clouds {
		left[i] = cloud.Secrets()
		if len(left[i]) == 0 {
			t.Errorf("%s has no secret any more", cloud.Service.Type)
		}
		for _, secret := range left[i] {
			checkVersions(t, cloud, secret)
			if !strings.Contains(secret.Description, "[vault-cloudsync mount=") {
				t.Errorf("%s has lost the mark, its description is %q", secret.Name, secret.Description)
			}
		}
	}
	s.replicateSecond(t)
	for i, cloud := range s.clouds {
		now := slices.DeleteFunc(cloud.Secrets(), func(secret emulator.Secret) bool { return secret.Name == "second" })
		if !reflect.DeepEqual(now, left[i]) {
			t.Errorf("%s has changed after the mount was disabled", cloud.Service.Type)
		}
	}
	if all, after := s.calls(disabled); after > 0 {
		t.Errorf("%d of %d calls began after the mount was disabled", after, all)
	}
}

// replicateSecond replicates a secret from the other mount, directly to the
// clouds.
func (s single) replicateSecond(t *testing.T) {
	t.Helper()
	for _, cloud := range s.clouds {
		path := "second/destinations/" + cloud.Service.Destination
		if _, err := s.vault.Client.Logical().WriteWithContext(t.Context(), path, cloud.Settings()); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := s.vault.Client.Logical().WriteWithContext(t.Context(), "second/secrets/second", map[string]any{
		"value": "1", "destinations": harness.Replication{Clouds: s.clouds}.Destinations(), "wait": harness.Patience.String(),
	})
	if err != nil || answer.Data["state"] != "in_sync" {
		t.Fatalf("the other mount doesn't replicate any more: %v, %v", answer, err)
	}
}
