// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hashicorp/vault/api"
)

// Mounts of the KV v2 engine to compare with.
const (
	KVMount       = "plain"     // the one that is built into Vault
	KVPluginMount = "kv-plugin" // the library that this project embeds, as a plugin and nothing else
)

// kvPlugin is the package of that plugin.
const kvPlugin = "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/bench/kv-plugin"

// MountKV mounts Vault's own KV v2 engine at [KVMount], and waits until it
// takes requests.
func (v *Vault) MountKV() {
	v.tb.Helper()
	v.mountKV(KVMount, &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}})
}

// MountKVPlugin builds the plugin that is the KV v2 library alone, mounts it at
// [KVPluginMount], and waits until it takes requests.
func (v *Vault) MountKVPlugin() {
	v.tb.Helper()
	binary := filepath.Join(v.tb.TempDir(), KVPluginMount)
	build := exec.CommandContext(v.tb.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, kvPlugin)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		v.tb.Fatalf("build %s: %v\n%s", kvPlugin, err, out)
	}
	v.InstallPlugin(binary, KVPluginMount)
	content, err := os.ReadFile(binary)
	if err != nil {
		v.tb.Fatalf("read %s: %v", binary, err)
	}
	err = v.Client.Sys().RegisterPluginWithContext(v.tb.Context(), &api.RegisterPluginInput{
		Name: KVPluginMount, Type: api.PluginTypeSecrets, Command: KVPluginMount, SHA256: fmt.Sprintf("%x", sha256.Sum256(content)),
	})
	if err != nil {
		v.tb.Fatalf("register %s: %v", KVPluginMount, err)
	}
	v.mountKV(KVPluginMount, &api.MountInput{Type: KVPluginMount})
}

func (v *Vault) mountKV(path string, mount *api.MountInput) {
	v.tb.Helper()
	if err := v.Client.Sys().MountWithContext(v.tb.Context(), path, mount); err != nil {
		v.tb.Fatalf("mount %s: %v", path, err)
	}
	// The library prepares its storage in the background.
	Eventually(v.tb, "first write to "+path, func() error {
		_, err := v.Client.Logical().WriteWithContext(v.tb.Context(), path+"/data/first", map[string]any{"data": map[string]any{}})
		return err
	})
	if _, err := v.Client.Logical().DeleteWithContext(v.tb.Context(), path+"/metadata/first"); err != nil {
		v.tb.Fatalf("remove the first secret of %s: %v", path, err)
	}
}

// Quieten makes Vault and its plugins log warnings and errors only: the trace
// of many thousand requests takes longer than they do.
func (v *Vault) Quieten() {
	v.tb.Helper()
	_, err := v.Client.Logical().WriteWithContext(v.tb.Context(), "sys/loggers", map[string]any{"level": "warn"})
	if err != nil {
		v.tb.Fatalf("set the log level of vault: %v", err)
	}
}
