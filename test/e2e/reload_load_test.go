// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// nextVersion is the version that the tests upgrade to.
const nextVersion = "v9.9.9"

// What an operator does to a mount while clients write to it.
func TestOperationsUnderLoadLoseNothing(t *testing.T) {
	s := startSingle(t)
	next := harness.BuildPlugin(t, nextVersion)
	before := s.vault.RunningVersion()
	load := harness.StartLoad(t, s.clouds, s.vault)
	for _, step := range []struct {
		name, version string // version runs afterwards
		run           func()
	}{
		{"the plugin is reloaded", before, s.vault.ReloadPlugin},
		{"and again", before, s.vault.ReloadPlugin},
		{"the mount is upgraded to another version of the plugin", nextVersion, func() {
			s.vault.InstallPlugin(next, "next")
			s.vault.RegisterPlugin("next", nextVersion)
			s.vault.ChooseVersion(nextVersion)
			s.vault.ReloadPlugin()
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
	s.vault.MoveMount(harness.Mount, elsewhere)
	load.Move(elsewhere)
	load.AwaitWrites(30)
	s.awaitCalls(t)
	load.Check(s.vault).Report(t)
}

// A mount that is disabled leaves the clouds as they are at that moment, though
// there is work left.
func TestADisabledMountLeavesTheCloudsAlone(t *testing.T) {
	s := startSingle(t)
	load := harness.StartLoad(t, s.clouds, s.vault)
	load.AwaitWrites(60)
	s.awaitCalls(t)
	plugins := s.vault.PluginPIDs()
	s.vault.Disable()
	disabled := time.Now()
	s.vault.AwaitPluginEnd(plugins)
	load.Stop()
	for _, cloud := range s.clouds {
		secrets := cloud.Secrets()
		if len(secrets) == 0 {
			t.Errorf("%s has no secret any more", cloud.Service.Type)
		}
		for _, secret := range secrets {
			checkVersions(t, cloud, secret)
			if !strings.Contains(secret.Description, "[vault-cloudsync mount=") {
				t.Errorf("%s has lost the mark, its description is %q", secret.Name, secret.Description)
			}
		}
		if again := cloud.Secrets(); !reflect.DeepEqual(again, secrets) {
			t.Errorf("%s still changes", cloud.Service.Type)
		}
	}
	if all, after := s.calls(disabled); after > 0 {
		t.Errorf("%d of %d calls began after the mount was disabled", after, all)
	}
}
