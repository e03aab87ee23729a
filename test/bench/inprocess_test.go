// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"context"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// countingStorage counts accesses, deletions as writes.
type countingStorage struct {
	logical.InmemStorage

	reads, writes atomic.Int64
}

func (s *countingStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	s.reads.Add(1)
	return s.InmemStorage.Get(ctx, key)
}

func (s *countingStorage) List(ctx context.Context, prefix string) ([]string, error) {
	s.reads.Add(1)
	return s.InmemStorage.List(ctx, prefix)
}

func (s *countingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.writes.Add(1)
	return s.InmemStorage.Put(ctx, entry)
}

func (s *countingStorage) Delete(ctx context.Context, key string) error {
	s.writes.Add(1)
	return s.InmemStorage.Delete(ctx, key)
}

// stored is the number of bytes in all entries and their keys.
func (s *countingStorage) stored(tb testing.TB) (total int64) {
	tb.Helper()
	keys, err := logical.CollectKeys(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	for _, key := range keys {
		entry, err := s.InmemStorage.Get(tb.Context(), key)
		if err != nil {
			tb.Fatal(err)
		}
		total += int64(len(key) + len(entry.Value))
	}
	return total
}

// mount is an engine in this process, on storage that counts.
type mount struct {
	factory logical.Factory
	engine  logical.Backend
	storage *countingStorage
	cloud   emulator.Service // nil without a destination
}

// open mounts an engine.
func open(tb testing.TB, factory logical.Factory) *mount {
	tb.Helper()
	m := &mount{factory: factory, storage: new(countingStorage)}
	m.start(tb)
	tb.Cleanup(func() { m.engine.Cleanup(context.Background()) })
	return m
}

// reopen ends the engine, and starts another one on its storage.
func (m *mount) reopen(tb testing.TB) {
	tb.Helper()
	m.engine.Cleanup(tb.Context())
	m.start(tb)
}

func (m *mount) start(tb testing.TB) {
	tb.Helper()
	engine, err := m.factory(tb.Context(), &logical.BackendConfig{
		StorageView: m.storage, System: &logical.StaticSystemView{}, BackendUUID: "bench", Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		tb.Fatalf("make the engine: %v", err)
	}
	if err := engine.Initialize(tb.Context(), &logical.InitializationRequest{Storage: m.storage}); err != nil {
		tb.Fatalf("initialise the engine: %v", err)
	}
	m.engine = engine
}

// openKV mounts the KV library alone.
func openKV(tb testing.TB) *mount {
	tb.Helper()
	m := open(tb, kv.VersionedKVFactory)
	await(tb, pollInProcess, "the KV library's first write", func() error { return m.try(tb, "data/first", map[string]any{"data": map[string]any{}}) })
	return m
}

// openReplicating mounts cloudsync with destinations at one emulator. Writes
// wait until their replicas are in sync.
func openReplicating(tb testing.TB, at ...cloud) *mount {
	tb.Helper()
	m := open(tb, backend.Factory)
	m.write(tb, "config", map[string]any{"default_wait": "5m"})
	var endpoint string
	switch at[0].service.Type {
	case tencent.ServiceName:
		m.cloud, endpoint = emulatortest.Tencent(tb, tencent.Options{})
	case alibaba.ServiceName:
		m.cloud, endpoint = emulatortest.Alibaba(tb, alibaba.Options{})
	case huawei.ServiceName:
		m.cloud, endpoint = emulatortest.Huawei(tb, huawei.Options{})
	}
	for _, c := range at {
		m.configure(tb, c, endpoint)
	}
	return m
}

// configure writes the destination of a cloud, whose account may be a new one.
func (m *mount) configure(tb testing.TB, c cloud, endpoint string) {
	tb.Helper()
	account := emulator.ExampleAccount()
	if c.account.AccessKeyID != "" {
		account = c.account
		if err := m.cloud.Core().Accounts.Put(account); err != nil {
			tb.Fatal(err)
		}
	}
	settings := map[string]any{
		"region": c.service.Region, "endpoint": endpoint,
		"access_key_id": account.AccessKeyID, "access_key_secret": account.AccessKeySecret,
	}
	if c.service.Type == huawei.ServiceName {
		settings["project_id"] = huawei.ExampleProjectID
	}
	maps.Copy(settings, c.settings)
	m.write(tb, "destinations/"+c.ref, settings)
}

func (m *mount) request(tb testing.TB, operation logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	tb.Helper()
	resp, err := m.engine.HandleRequest(tb.Context(), &logical.Request{Operation: operation, Path: path, Data: data, Storage: m.storage})
	if err == nil && resp.IsError() {
		err = resp.Error()
	}
	return resp, err
}

func (m *mount) try(tb testing.TB, path string, data map[string]any) error {
	tb.Helper()
	_, err := m.request(tb, logical.CreateOperation, path, data)
	return err
}

// write writes, and wants no warning: what was to be in sync is.
func (m *mount) write(tb testing.TB, path string, data map[string]any) {
	tb.Helper()
	resp, err := m.request(tb, logical.UpdateOperation, path, data)
	if err != nil || resp != nil && len(resp.Warnings) > 0 {
		tb.Fatalf("write %s: %v %v", path, resp, err)
	}
}
