// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// The mounts of engines that cloudsync is compared with.
const (
	builtinKV = "kv-builtin" // in Vault's own process
	pluginKV  = "kv-plugin"  // the same library as an external plugin
)

// mountKV mounts the built-in KV v2 engine, and the same library as a plugin.
func mountKV(t *testing.T, v *harness.Vault) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), pluginKV)
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, "./"+pluginKV)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pluginKV, err, out)
	}
	v.InstallPlugin(binary, pluginKV)
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	err = v.Client.Sys().RegisterPluginWithContext(t.Context(), &api.RegisterPluginInput{
		Name: pluginKV, Type: api.PluginTypeSecrets, Command: pluginKV, SHA256: fmt.Sprintf("%x", sha256.Sum256(content)),
	})
	if err != nil {
		t.Fatalf("register %s: %v", pluginKV, err)
	}
	for path, mount := range map[string]*api.MountInput{
		builtinKV: {Type: "kv", Options: map[string]string{"version": "2"}},
		pluginKV:  {Type: pluginKV},
	} {
		if err := v.Client.Sys().MountWithContext(t.Context(), path, mount); err != nil {
			t.Fatalf("mount %s: %v", path, err)
		}
	}
	for _, path := range []string{builtinKV, pluginKV} {
		// The library prepares its storage in the background.
		harness.Eventually(t, "first write to "+path, func() error {
			_, err := v.Client.Logical().WriteWithContext(t.Context(), path+"/data/first", map[string]any{"data": map[string]any{}})
			return err
		})
	}
}
