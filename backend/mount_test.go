// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// mount is a mounted backend as a test sees it: requests in, answers out, on a
// storage and a cloud that outlive a restart.
type mount struct {
	t       *testing.T
	storage *faultyStorage
	kinds   []provider.Kind
	logs    *syncBuffer
	system  *logical.StaticSystemView
	events  logical.EventSender // nil for none
	b       *backend
}

const testKeySecret = "canary-access-key-secret"

// newMount mounts the backend on an empty storage with one cloud in memory.
func newMount(t *testing.T, model providertest.Model) (*mount, *providertest.Region) {
	t.Helper()
	cloud := providertest.NewMemory(model)
	m := &mount{
		t: t, storage: &faultyStorage{Storage: &logical.InmemStorage{}}, kinds: []provider.Kind{cloud.Kind()},
		logs: &syncBuffer{}, system: &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
	}
	m.start()
	t.Cleanup(func() { m.b.Cleanup(context.Background()) })
	m.write("destinations/memory/main", map[string]any{"region": "r1", "access_key_id": "id", "access_key_secret": testKeySecret})
	return m, cloud.Region("r1")
}

func (m *mount) start() {
	m.t.Helper()
	b, err := newBackend(context.Background(), &logical.BackendConfig{
		StorageView: m.storage, System: m.system, BackendUUID: "test", EventsSender: m.events,
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m.logs}),
	}, m.kinds)
	if err != nil {
		m.t.Fatalf("make the backend: %v", err)
	}
	m.b = b
	if err := b.Initialize(context.Background(), &logical.InitializationRequest{Storage: m.storage}); err != nil {
		m.t.Fatalf("initialise the backend: %v", err)
	}
}

// restart stops the backend and starts it again on the same storage.
func (m *mount) restart() {
	m.t.Helper()
	m.b.Cleanup(context.Background())
	m.start()
}

// do sends a request as Vault does: an existence check first, where the path
// has one.
func (m *mount) do(operation logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	m.t.Helper()
	req := &logical.Request{Operation: operation, Path: path, Data: data, Storage: m.storage, ID: "test-request", DisplayName: "tester"}
	if operation == logical.UpdateOperation {
		found, exists, err := m.b.HandleExistenceCheck(context.Background(), req)
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) {
			return nil, err
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	return m.b.HandleRequest(context.Background(), req)
}

func (m *mount) must(operation logical.Operation, path string, data map[string]any) *logical.Response {
	m.t.Helper()
	resp, err := m.do(operation, path, data)
	if err != nil || resp.IsError() {
		m.t.Fatalf("%s %s: %v %v", operation, path, resp.Error(), err)
	}
	return resp
}

func (m *mount) write(path string, data map[string]any) *logical.Response {
	m.t.Helper()
	return m.must(logical.UpdateOperation, path, data)
}

func (m *mount) read(path string) *logical.Response {
	m.t.Helper()
	return m.must(logical.ReadOperation, path, nil)
}

func (m *mount) remove(path string) *logical.Response {
	m.t.Helper()
	return m.must(logical.DeleteOperation, path, nil)
}

// refuse sends a write that must be refused and returns what it says.
func (m *mount) refuse(path string, data map[string]any) string {
	m.t.Helper()
	resp, err := m.do(logical.UpdateOperation, path, data)
	if !errors.Is(err, logical.ErrInvalidRequest) || !resp.IsError() {
		m.t.Fatalf("write %s: got %v, %v; want a refusal", path, resp, err)
	}
	return resp.Error().Error()
}

// replica reads the status of the secret's replica at destinations/memory/main.
func (m *mount) replica(name string) map[string]any {
	m.t.Helper()
	return m.replicaAt(name, "memory/main")
}

func (m *mount) replicaAt(name, destination string) map[string]any {
	m.t.Helper()
	resp := m.read("status/" + name)
	if resp == nil {
		return nil
	}
	replica, _ := resp.Data["destinations"].(map[string]any)[destination].(map[string]any)
	return replica
}

// await polls the status until the replica is in the state. It yields between
// looks and fails after a long time only, so that it never decides by timing.
func (m *mount) await(name, state string) map[string]any {
	m.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		replica := m.replica(name)
		if replica != nil && replica["state"] == state {
			return replica
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the replica of %s isn't %s: %v\n%s", name, state, replica, m.logs)
		}
		time.Sleep(time.Millisecond)
	}
}

// pending returns how many pending marks are stored.
func (m *mount) pending() int {
	m.t.Helper()
	marks, err := m.storage.Storage.List(context.Background(), "pending/")
	if err != nil {
		m.t.Fatal(err)
	}
	return len(marks)
}

// awaitSettled waits until no mark is left.
func (m *mount) awaitSettled() {
	m.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for m.pending() > 0 {
		if time.Now().After(deadline) {
			m.t.Fatalf("%d pending marks are left\n%s", m.pending(), m.logs)
		}
		time.Sleep(time.Millisecond)
	}
}

// current is the value that a reader at the cloud gets who names no version, or
// the pointer where the cloud has no such thing.
func current(t *testing.T, region *providertest.Region, name string) string {
	t.Helper()
	secret, ok := region.Secret(name)
	if !ok {
		t.Fatalf("the cloud has no secret %s, only %v", name, region.Names())
	}
	if secret.State != provider.StateEnabled {
		t.Fatalf("the cloud's secret %s is %s", name, secret.State)
	}
	if pointer, ok := secret.Version("SSM_Current"); ok {
		return pointer.Value.Reveal()
	}
	for _, v := range secret.Versions {
		for _, label := range v.Labels {
			if label == providertest.LabelCurrent {
				return v.Value.Reveal()
			}
		}
	}
	t.Fatalf("the cloud's secret %s has no current version", name)
	return ""
}

// versionIDs are the ids that the cloud holds of a secret, oldest first.
func versionIDs(region *providertest.Region, name string) []string {
	secret, _ := region.Secret(name)
	var ids []string
	for _, v := range secret.Versions {
		ids = append(ids, v.ID)
	}
	return ids
}

// faultyStorage is a storage that can be told to fail, or to die: to fail from
// then on.
type faultyStorage struct {
	logical.Storage
	mu    sync.Mutex
	fault func(operation, key string) error
}

// fail installs a fault that is asked before each access; nil removes it.
func (s *faultyStorage) fail(fault func(operation, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *faultyStorage) ask(operation, key string) error {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(operation, key)
}

func (s *faultyStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if err := s.ask("get", key); err != nil {
		return nil, err
	}
	return s.Storage.Get(ctx, key)
}

func (s *faultyStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if err := s.ask("put", entry.Key); err != nil {
		return err
	}
	return s.Storage.Put(ctx, entry)
}

func (s *faultyStorage) Delete(ctx context.Context, key string) error {
	if err := s.ask("delete", key); err != nil {
		return err
	}
	return s.Storage.Delete(ctx, key)
}

func (s *faultyStorage) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.ask("list", prefix); err != nil {
		return nil, err
	}
	return s.Storage.List(ctx, prefix)
}

// dump returns everything stored, for searching it.
func (s *faultyStorage) dump(t *testing.T) map[string]string {
	t.Helper()
	keys, err := logical.CollectKeys(context.Background(), s.Storage)
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]string{}
	for _, key := range keys {
		entry, err := s.Storage.Get(context.Background(), key)
		if err != nil || entry == nil || strings.HasSuffix(key, "/upgrading") {
			continue // the KV library writes that one when it pleases
		}
		stored[key] = string(entry.Value)
	}
	return stored
}

// syncBuffer collects logs.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// yield lets other goroutines run for a moment.
func yield() { time.Sleep(time.Millisecond) }
