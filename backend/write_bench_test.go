// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// BenchmarkWrite writes through the whole backend and waits until the replica is
// in sync, on storage and a cloud in memory. Time is of our own code alone; what
// counts in Vault are the accesses to storage, each a call from the plugin to
// Vault.
func BenchmarkWrite(b *testing.B) {
	newSecret := func(i int) string { return "app-" + strconv.Itoa(i) }
	oneSecret := func(int) string { return "app" }
	for _, bench := range []struct {
		name         string
		path         string
		secret       func(i int) string
		destinations string
		history      bool
	}{
		{"create/destinations=0", "data/", newSecret, "", true},
		{"create/destinations=1", secretsPrefix, newSecret, "memory/main", true},
		{"update/destinations=0", "data/", oneSecret, "", true},
		{"update/destinations=1", "data/", oneSecret, "memory/main", true},
		{"update/destinations=1,history=false", "data/", oneSecret, "memory/main", false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			m := newBenchMount(b, bench.history)
			if bench.destinations != "" {
				m.write(b, secretsPrefix+oneSecret(0), map[string]any{"data": map[string]any{}, "destinations": bench.destinations})
			}
			data := map[string]any{"user": "app", "password": "correct horse battery staple"}
			body := map[string]any{"data": data}
			if bench.path == secretsPrefix && bench.destinations != "" {
				body["destinations"] = bench.destinations
			}
			m.reset()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				// A value of its own each time: an unchanged one is no remote call.
				data["serial"] = i
				m.write(b, bench.path+bench.secret(i), body)
				i++
			}
			m.report(b)
		})
	}
}

// benchMount is a mounted backend that counts what it asks of the world.
type benchMount struct {
	storage *countingStorage
	region  *providertest.Region
	b       *backend
}

func newBenchMount(b *testing.B, history bool) *benchMount {
	b.Helper()
	cloud := providertest.NewMemory(providertest.Overwriting())
	m := &benchMount{storage: &countingStorage{Storage: &logical.InmemStorage{}}, region: cloud.Region("r1")}
	mounted, err := newBackend(b.Context(), &logical.BackendConfig{
		StorageView: m.storage, System: &logical.StaticSystemView{}, BackendUUID: "bench", Logger: hclog.NewNullLogger(),
	}, []provider.Kind{cloud.Kind()})
	if err != nil {
		b.Fatalf("make the backend: %v", err)
	}
	m.b = mounted
	if err := mounted.Initialize(b.Context(), &logical.InitializationRequest{Storage: m.storage}); err != nil {
		b.Fatalf("initialise the backend: %v", err)
	}
	b.Cleanup(func() { mounted.Cleanup(context.Background()) })
	m.write(b, "config", map[string]any{"default_wait": "1m"}) // in sync, however busy the machine
	m.write(b, "destinations/memory/main", map[string]any{
		"region": "r1", "access_key_id": "id", "access_key_secret": "secret", "version_history": history,
	})
	return m
}

func (m *benchMount) write(b *testing.B, path string, data map[string]any) {
	b.Helper()
	resp, err := m.b.HandleRequest(b.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: path, Data: data, Storage: m.storage})
	if err != nil || resp.IsError() || resp != nil && len(resp.Warnings) > 0 {
		b.Fatalf("write %s: %v %v", path, resp, err)
	}
}

func (m *benchMount) reset() {
	m.region.ResetCalls()
	m.storage.reads.Store(0)
	m.storage.writes.Store(0)
}

func (m *benchMount) report(b *testing.B) {
	b.Helper()
	for unit, n := range map[string]int64{
		"storage-reads/op": m.storage.reads.Load(), "storage-writes/op": m.storage.writes.Load(),
		"remote-calls/op": int64(len(m.region.Calls())),
	} {
		b.ReportMetric(float64(n)/float64(b.N), unit)
	}
}

// countingStorage counts accesses, deletions as writes.
type countingStorage struct {
	logical.Storage
	reads, writes atomic.Int64
}

func (s *countingStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	s.reads.Add(1)
	return s.Storage.Get(ctx, key)
}

func (s *countingStorage) List(ctx context.Context, prefix string) ([]string, error) {
	s.reads.Add(1)
	return s.Storage.List(ctx, prefix)
}

func (s *countingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.writes.Add(1)
	return s.Storage.Put(ctx, entry)
}

func (s *countingStorage) Delete(ctx context.Context, key string) error {
	s.writes.Add(1)
	return s.Storage.Delete(ctx, key)
}
