// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// TestMemory measures the plugin's process: resident now, and at most so far.
// The rest of the Go runtime's memory is given back slowly, so the peak says
// more about what the work needs.
func TestMemory(t *testing.T) {
	r := start(t)
	effort := measured()
	shown := figures.table("Resident memory of the plugin", "after", "now", "peak")
	look := func(label, name string) {
		now, peak := resident(t, r.Vault)
		shown.row(label, now, peak)
		figures.line("Memory/after="+name, 1, bytes(now, "RSS-bytes"), bytes(peak, "peak-RSS-bytes"))
	}
	look("the start", "start")

	r.Vault.Write("config", map[string]any{"default_wait": "0"})
	progress(t, "memory: %d secrets are replicated", effort.secrets)
	put(t, r.Vault, effort.secrets, 1)
	awaitSync(t, r.Vault)
	look(fmt.Sprintf("%d secrets", effort.secrets), "secrets")

	progress(t, "memory: each gets %d versions", effort.versions)
	for version := 2; version <= effort.versions; version++ {
		put(t, r.Vault, effort.secrets, version)
	}
	awaitSync(t, r.Vault)
	look(fmt.Sprintf("%d versions of each", effort.versions), "versions")
}

// put writes a version of each of n secrets.
func put(t *testing.T, v *harness.Vault, n, version int) {
	t.Helper()
	load(t, v, 8, n, func(client *api.Client, i int) error {
		body := map[string]any{"data": credentials(n*version + i)}
		if version == 1 {
			body["destinations"] = harness.Destination
		}
		_, err := client.Logical().WriteWithContext(t.Context(), fmt.Sprintf("%s/secrets/bench/%d", harness.Mount, i), body)
		return err
	})
}

// resident reads the resident memory of the plugin, and its peak, from /proc.
func resident(t *testing.T, v *harness.Vault) (now, peak size) {
	t.Helper()
	pids := v.PluginPIDs()
	if len(pids) != 1 {
		t.Fatalf("the plugin runs in %d processes", len(pids))
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
	now, noNow := kilobytes(string(status), "VmRSS:")
	peak, noPeak := kilobytes(string(status), "VmHWM:")
	if err := errors.Join(err, noNow, noPeak); err != nil {
		t.Fatalf("read the plugin's memory: %v", err)
	}
	return now, peak
}

func kilobytes(status, field string) (size, error) {
	_, rest, _ := strings.Cut(status, field)
	var n size
	_, err := fmt.Sscanf(rest, "%d kB", &n)
	return n << 10, err
}
