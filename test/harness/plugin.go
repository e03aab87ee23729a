// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/hashicorp/vault/api"
)

// Mount is where the tests mount the plugin.
const Mount = "cloudsync"

func (v *Vault) pluginDir() string { return filepath.Join(v.dir, "plugins") }

// InstallPlugin copies a plugin binary into the plugin directory under a name.
func (v *Vault) InstallPlugin(binary, name string) {
	v.tb.Helper()
	target := filepath.Join(v.pluginDir(), name)
	err := os.Remove(target)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		v.tb.Fatalf("install plugin %s: %v", name, err)
	}
	if err := copyProgram(binary, target); err != nil {
		v.tb.Fatalf("install plugin %s: %v", name, err)
	}
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700) //nolint:gosec // it is executed
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// RegisterPlugin puts the installed plugin of that name into the catalog with
// its checksum, as a version such as "v1.2.3", or "" for none.
func (v *Vault) RegisterPlugin(name, version string) {
	v.tb.Helper()
	binary, err := os.ReadFile(filepath.Join(v.pluginDir(), name))
	if err != nil {
		v.tb.Fatalf("register plugin %s: %v", name, err)
	}
	err = v.Client.Sys().RegisterPluginWithContext(v.tb.Context(), &api.RegisterPluginInput{
		Name: PluginName, Type: api.PluginTypeSecrets, Command: name, Version: version,
		SHA256: fmt.Sprintf("%x", sha256.Sum256(binary)),
	})
	if err != nil {
		v.tb.Fatalf("register plugin %s: %v\n%s", name, err, v.process.lastLines())
	}
}

// MountPlugin mounts the plugin at [Mount] and tags the mount as KV v2, so that
// the vault kv commands work on it.
func (v *Vault) MountPlugin() {
	v.tb.Helper()
	err := v.Client.Sys().MountWithContext(v.tb.Context(), Mount, &api.MountInput{Type: PluginName})
	if err != nil {
		v.tb.Fatalf("mount the plugin: %v\n%s", err, v.process.lastLines())
	}
	v.CLI("kv", "enable-versioning", Mount+"/")
}

// PluginPIDs are the plugin's processes under this Vault.
func (v *Vault) PluginPIDs() []int {
	var pids []int
	for _, pid := range children(v.process.cmd.Process.Pid) {
		if v.isPlugin(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isPlugin tells a plugin of this Vault from any other process, also when its
// pid has been given to somebody else.
func (v *Vault) isPlugin(pid int) bool {
	installed, _ := filepath.Glob(filepath.Join(v.pluginDir(), "*"))
	return slices.ContainsFunc(installed, func(path string) bool { return runs(pid, path) })
}

// KillPlugin ends the plugin's processes with SIGKILL, as a crash does. Vault
// starts a new one with the next request.
func (v *Vault) KillPlugin() {
	v.tb.Helper()
	pids := v.PluginPIDs()
	if len(pids) == 0 {
		v.tb.Fatal("kill the plugin: no process of it is running; make a request first")
	}
	v.killPIDs(pids)
	v.AwaitPluginEnd(pids)
}

// AwaitPluginEnd waits until none of the plugin's processes is running.
func (v *Vault) AwaitPluginEnd(pids []int) {
	v.tb.Helper()
	Eventually(v.tb, "end of the plugin", func() error {
		for _, pid := range pids {
			if v.isPlugin(pid) {
				return fmt.Errorf("process %d is running", pid)
			}
		}
		return nil
	})
}

func (v *Vault) killPIDs(pids []int) {
	for _, pid := range pids {
		if v.isPlugin(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// endPlugins ends what a Vault that died by itself has left behind: its plugins
// run on without it.
func (v *Vault) endPlugins() {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), "%d", &pid); err == nil && v.isPlugin(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
