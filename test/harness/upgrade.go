// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"os/exec"
	"path/filepath"
	"testing"
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

// RunningVersion is the version of the plugin that serves the mount.
func (v *Vault) RunningVersion() string {
	v.tb.Helper()
	mounts, err := v.Client.Sys().ListMountsWithContext(v.tb.Context())
	if err != nil {
		v.tb.Fatalf("list the mounts: %v", err)
	}
	return mounts[Mount+"/"].RunningVersion
}
