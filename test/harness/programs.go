// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// PluginName is the plugin's name in the catalog, and of its file.
const PluginName = "vault-plugin-secrets-cloudsync"

// Programs are the paths of the binaries under test.
type Programs struct{ Vault, Plugin, Emulator string }

// cloudRead is the program that reads as applications do. It is built together
// with the emulator.
func (p Programs) cloudRead() string { return filepath.Join(filepath.Dir(p.Emulator), "cloud-read") }

// Require returns the programs that make built, and skips the test where they
// aren't given.
func Require(tb testing.TB) Programs {
	tb.Helper()
	p := Programs{Vault: os.Getenv("VAULT_BINARY"), Plugin: os.Getenv("PLUGIN_BINARY"), Emulator: os.Getenv("EMULATOR_BINARY")}
	if p.Vault == "" || p.Plugin == "" || p.Emulator == "" {
		tb.Skip("needs a real Vault and built binaries: run it with make test-e2e")
	}
	for _, path := range []*string{&p.Vault, &p.Plugin, &p.Emulator} {
		absolute, err := filepath.Abs(*path)
		if err == nil {
			_, err = os.Stat(absolute)
		}
		if err != nil {
			tb.Fatalf("find the binaries: %v; run make test-e2e, which builds them", err)
		}
		*path = absolute
	}
	return p
}

// directory makes a private one for a process. Its path is short, because Unix
// sockets go into it, and it stays after a failure.
func directory(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "cloudsync-"+name+"-") //nolint:usetesting // TempDir has a long path and goes after a failure
	if err != nil {
		tb.Fatalf("make a directory for %s: %v", name, err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the files and logs of %s are kept in %s", name, dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove the files of %s: %v", name, err)
		}
	})
	return dir
}
