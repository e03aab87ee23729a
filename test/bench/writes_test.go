// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// engine is something that stores a write.
type engine struct {
	label string // in the table
	slug  string // in the benchmark format
	mount string
	// create, if set, writes the first version another way than data/ does.
	create string
	body   map[string]any
	// wait is the mount's default_wait while it is measured; "" leaves it alone.
	wait string
}

var engines = []engine{
	{label: "KV v2, built in", slug: "kv-builtin", mount: "kv-builtin"},
	{label: "KV v2, as a plugin", slug: "kv-plugin", mount: "kv-plugin"},
	{label: "cloudsync, no destination", slug: "plain", mount: harness.Mount},
	{label: "cloudsync, replicates later", slug: "background", mount: harness.Mount, create: "secrets", body: replicated, wait: "0"},
	{label: "cloudsync, until in sync", slug: "in-sync", mount: harness.Mount, create: "secrets", body: replicated, wait: "60"},
}

var replicated = map[string]any{"destinations": harness.Destination}

// series are all samples of one engine, operation and number of clients.
type series struct {
	took    []time.Duration
	elapsed time.Duration
}

// TestWrites measures new secrets and second versions. Rounds go around all the
// engines, so that a slow moment of the machine hits each.
func TestWrites(t *testing.T) {
	r := start(t)
	mountKV(t, r.Vault)
	effort := measured()
	all := map[string]*series{}
	began := time.Now()
	for round := range effort.rounds {
		if time.Since(began) > effort.longest {
			progress(t, "writes: that takes too long here, the rest of the rounds is left out")
			break
		}
		progress(t, "writes, round %d of %d: %d new secrets and %d new versions by 1 and by 8 clients, in %d engines",
			round+1, effort.rounds, effort.writes, effort.writes, len(engines))
		for _, e := range engines {
			e.configure(r.Vault)
			for _, clients := range []int{1, 8} {
				e.measure(t, r.Vault, all, round, clients)
			}
		}
	}
	shown := figures.table("Latency and rate of writes (raft, one machine)", "engine", "operation", "clients", "p50", "p99", "writes/s")
	for _, operation := range operations {
		for _, clients := range []int{1, 8} {
			for _, e := range engines {
				s := all[e.key(operation, clients)]
				shown.row(e.label, operation, clients, quantile(s.took, 0.5), quantile(s.took, 0.99), float64(len(s.took))/s.elapsed.Seconds())
			}
		}
	}
}

var operations = []string{"create", "update"}

func (e engine) key(operation string, clients int) string {
	return fmt.Sprintf("Write/engine=%s/op=%s/clients=%d", e.slug, operation, clients)
}

func (e engine) configure(v *harness.Vault) {
	if e.wait != "" {
		v.Write("config", map[string]any{"default_wait": e.wait})
	}
}

// measure creates secrets and writes each a second time. What is left to
// replicate is waited for, but not measured.
func (e engine) measure(t *testing.T, v *harness.Vault, all map[string]*series, round, clients int) {
	t.Helper()
	n := measured().writes
	for version, operation := range operations {
		took, elapsed := load(t, v, clients, n, e.request(t, fmt.Sprintf("bench/%s/%d/%d", e.slug, round, clients), version))
		awaitSync(t, v)
		key := e.key(operation, clients)
		if all[key] == nil {
			all[key] = &series{}
		}
		all[key].took, all[key].elapsed = append(all[key].took, took...), all[key].elapsed+elapsed
		figures.line(key, n,
			nanoseconds(elapsed/time.Duration(n), "ns/op"), value{float64(n) / elapsed.Seconds(), "writes/s"},
			nanoseconds(quantile(took, 0.5), "p50-ns"), nanoseconds(quantile(took, 0.99), "p99-ns"))
	}
}

func (e engine) request(t *testing.T, folder string, version int) func(*api.Client, int) error {
	t.Helper()
	below := "data"
	if version == 0 && e.create != "" {
		below = e.create
	}
	return func(client *api.Client, i int) error {
		path := fmt.Sprintf("%s/%s/%s/%d", e.mount, below, folder, i)
		body := map[string]any{"data": credentials(2*i + version)}
		if version == 0 {
			maps.Copy(body, e.body)
		}
		answer, err := client.Logical().WriteWithContext(t.Context(), path, body)
		if err == nil && e.wait != "0" && len(answer.Warnings) > 0 {
			err = fmt.Errorf("write %s: %v", path, answer.Warnings)
		}
		return err
	}
}

// mountKV mounts the built-in KV v2 engine, and the same library as a plugin.
func mountKV(t *testing.T, v *harness.Vault) {
	t.Helper()
	const name = "kv-plugin"
	binary := filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, "./"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	v.InstallPlugin(binary, name)
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	err = v.Client.Sys().RegisterPluginWithContext(t.Context(), &api.RegisterPluginInput{
		Name: name, Type: api.PluginTypeSecrets, Command: name, SHA256: fmt.Sprintf("%x", sha256.Sum256(content)),
	})
	if err != nil {
		t.Fatalf("register %s: %v", name, err)
	}
	for path, mount := range map[string]*api.MountInput{
		"kv-builtin": {Type: "kv", Options: map[string]string{"version": "2"}},
		name:         {Type: name},
	} {
		if err := v.Client.Sys().MountWithContext(t.Context(), path, mount); err != nil {
			t.Fatalf("mount %s: %v", path, err)
		}
	}
	for _, path := range []string{"kv-builtin", name} {
		// The library prepares its storage in the background.
		harness.Eventually(t, "first write to "+path, func() error {
			_, err := v.Client.Logical().WriteWithContext(t.Context(), path+"/data/first", map[string]any{"data": map[string]any{}})
			return err
		})
	}
}
