// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/vault/api"
)

const modulePath = "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync"

// BuildPlugin builds the plugin from the source at hand as another version, such
// as "v9.9.9", with the race detector, and returns the path of the binary.
func BuildPlugin(tb testing.TB, version string) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), PluginName+"-"+version)
	build := exec.CommandContext(tb.Context(), "go", "build", "-race", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X "+modulePath+"/backend/version.Version="+version, "-o", binary, modulePath+"/cmd/"+PluginName)
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the plugin as %s: %v\n%s", version, err, out)
	}
	return binary
}

// ReloadPlugin makes Vault start the plugin's processes anew.
func (v *Vault) ReloadPlugin() {
	v.tb.Helper()
	_, err := v.Client.Sys().ReloadPluginWithContext(v.tb.Context(), &api.ReloadPluginInput{Plugin: PluginName})
	if err != nil {
		v.tb.Fatalf("reload the plugin: %v", err)
	}
}

// ChooseVersion sets the version of the plugin that the mount runs from its next
// reload on.
func (v *Vault) ChooseVersion(version string) {
	v.tb.Helper()
	if err := v.Client.Sys().TuneMountAllowNilWithContext(v.tb.Context(), Mount, api.TuneMountConfigInput{PluginVersion: &version}); err != nil {
		v.tb.Fatalf("choose version %s of the plugin: %v", version, err)
	}
}

// RunningVersion is the version of the plugin that serves the mount.
func (v *Vault) RunningVersion() string {
	v.tb.Helper()
	mounts, err := v.Client.Sys().ListMountsWithContext(v.tb.Context())
	if err != nil {
		v.tb.Fatalf("list the mounts: %v", err)
	}
	return mounts[Mount+"/"].RunningVersion
}

// MoveMount moves the mount to another path, and waits until that is done.
func (v *Vault) MoveMount(from, to string) {
	v.tb.Helper()
	if err := v.Client.Sys().RemountWithContext(v.tb.Context(), from, to); err != nil {
		v.tb.Fatalf("move the mount from %s to %s: %v", from, to, err)
	}
}

// Disable takes the mount out of Vault, with everything in it.
func (v *Vault) Disable() {
	v.tb.Helper()
	if err := v.Client.Sys().UnmountWithContext(v.tb.Context(), Mount); err != nil {
		v.tb.Fatalf("disable the mount: %v", err)
	}
}
