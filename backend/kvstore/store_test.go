// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package kvstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
)

const canary = "canary-4f1d7c22"

// mount is a store on the storage of a mount.
type mount struct {
	*testing.T
	storage logical.Storage
	store   *kvstore.Store
}

func newMount(t *testing.T) *mount { return openMount(t, &logical.InmemStorage{}) }

func openMount(t *testing.T, storage logical.Storage) *mount {
	t.Helper()
	store, err := kvstore.Open(t.Context(), &logical.BackendConfig{
		StorageView: storage, System: logical.StaticSystemView{}, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(context.WithoutCancel(t.Context())) })
	return &mount{T: t, storage: storage, store: store}
}

func (m *mount) request(operation logical.Operation, path string, data map[string]any) *logical.Request {
	return &logical.Request{Operation: operation, Path: path, Data: data, Storage: m.storage}
}

// do carries out a request that must succeed.
func (m *mount) do(req *logical.Request) *logical.Response {
	m.Helper()
	resp, err := m.store.Handle(m.Context(), req)
	if kvstore.Failed(resp, err) {
		m.Fatalf("%s %s: %+v, %v", req.Operation, req.Path, resp, err)
	}
	return resp
}

func (m *mount) update(path string, data map[string]any) *logical.Response {
	m.Helper()
	return m.do(m.request(logical.UpdateOperation, path, data))
}

// write makes a version whose value is text, and returns its number.
func (m *mount) write(name, text string) uint64 {
	m.Helper()
	return kvstore.WrittenVersion(m.do(kvstore.WriteRequest(m.request("", "", nil), name, map[string]any{"k": text}, nil)))
}

func (m *mount) metadata(name string) *kvstore.Metadata {
	m.Helper()
	meta, err := m.store.ReadMetadata(m.Context(), m.storage, name)
	if err != nil {
		m.Fatal(err)
	}
	return meta
}

// read returns the text of a version and its number, "" and 0 if there is none.
func (m *mount) read(name string, number uint64) (string, uint64) {
	m.Helper()
	version, err := m.store.ReadVersion(m.Context(), m.storage, name, number)
	if err != nil {
		m.Fatal(err)
	}
	if version == nil {
		return "", 0
	}
	text, _ := version.Data["k"].(string)
	return text, version.Number
}

func (m *mount) wantRead(name string, asked uint64, text string, number uint64) {
	m.Helper()
	if gotText, got := m.read(name, asked); gotText != text || got != number {
		m.Errorf("version %d of %s is %q, %d, want %q, %d", asked, name, gotText, got, text, number)
	}
}

func (m *mount) wantNewest(name string, want uint64) {
	m.Helper()
	if got := m.metadata(name).Newest(time.Now()); got != want {
		m.Errorf("the newest live version of %s is %d, want %d", name, got, want)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	m := newMount(t)
	if number := m.write("team-a/db", "one"); number != 1 {
		t.Errorf("the first version is %d", number)
	}
	if number := m.write("team-a/db", "two"); number != 2 {
		t.Errorf("the second version is %d", number)
	}
	m.wantRead("team-a/db", 0, "two", 2)
	m.wantRead("team-a/db", 1, "one", 1)
	m.wantRead("team-a/db", 3, "", 0)
	m.wantRead("team-a", 0, "", 0)
}

func TestMetadataTellsTheVersions(t *testing.T) {
	m := newMount(t)
	if meta := m.metadata("db"); meta != nil {
		t.Errorf("a secret that isn't there has %+v", meta)
	}
	start := time.Now()
	m.write("db", "one")
	m.write("db", "two")
	m.update("metadata/db", map[string]any{"custom_metadata": map[string]any{"owner": "team-a"}})
	meta := m.metadata("db")
	if meta.Current != 2 || len(meta.Versions) != 2 || meta.CustomMetadata["owner"] != "team-a" {
		t.Errorf("%+v", meta)
	}
	for what, at := range map[string]time.Time{
		"the secret": meta.CreatedTime, "version 1": meta.Versions[1].CreatedTime, "version 2": meta.Versions[2].CreatedTime,
	} {
		if at.Before(start) || at.After(time.Now()) {
			t.Errorf("%s was made at %s", what, at)
		}
	}
	version, err := m.store.ReadVersion(t.Context(), m.storage, "db", 2)
	if err != nil || version.CreatedTime != meta.Versions[2].CreatedTime || version.CustomMetadata["owner"] != "team-a" {
		t.Errorf("%+v, %v", version, err)
	}
}

func TestOldVersionsGoByTheLimit(t *testing.T) {
	m := newMount(t)
	m.update("config", map[string]any{"max_versions": 2})
	for i := range 4 {
		m.write("db", fmt.Sprint(i+1))
	}
	if meta := m.metadata("db"); meta.Current != 4 || meta.Oldest != 3 || len(meta.Versions) != 2 {
		t.Errorf("%+v", meta)
	}
	m.wantRead("db", 2, "", 0)
	m.wantRead("db", 3, "3", 3)
}

func TestTheNewestLiveVersion(t *testing.T) {
	m := newMount(t)
	for _, text := range []string{"one", "two", "three"} {
		m.write("db", text)
	}
	m.wantNewest("db", 3)

	m.do(m.request(logical.DeleteOperation, "data/db", nil))
	m.wantNewest("db", 2)
	m.wantRead("db", 3, "", 0)
	m.wantRead("db", 0, "", 0) // KV's newest, not the newest live one

	m.do(kvstore.DestroyRequest(m.request("", "", nil), "db", 2))
	m.wantNewest("db", 1)
	m.wantRead("db", 2, "", 0)
	if meta := m.metadata("db"); !meta.Versions[2].Destroyed || meta.Versions[3].Destroyed || meta.Current != 3 {
		t.Errorf("%+v", meta)
	}

	m.update("delete/db", map[string]any{"versions": []int{1}})
	m.wantNewest("db", 0)

	m.update("undelete/db", map[string]any{"versions": []int{1, 2, 3}})
	m.wantNewest("db", 3)
	m.wantRead("db", 3, "three", 3)
	m.wantRead("db", 2, "", 0) // destroyed is for good
}

func TestAVersionExpires(t *testing.T) {
	m := newMount(t)
	m.write("db", "one")
	m.update("metadata/db", map[string]any{"delete_version_after": "1h"})
	m.write("db", "two")
	meta, now := m.metadata("db"), time.Now()
	for at, want := range map[time.Time]uint64{now: 2, now.Add(59 * time.Minute): 2, now.Add(61 * time.Minute): 1} {
		if got := meta.Newest(at); got != want {
			t.Errorf("%s from now it is %d, want %d", at.Sub(now), got, want)
		}
	}
	m.wantRead("db", 2, "two", 2)
}

func TestNewest(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	live := kvstore.VersionInfo{}
	destroyed := kvstore.VersionInfo{Destroyed: true}
	deleted := kvstore.VersionInfo{DeletionTime: now.Add(-time.Second)}
	expiring := kvstore.VersionInfo{DeletionTime: now.Add(time.Second)}
	for name, c := range map[string]struct {
		versions map[uint64]kvstore.VersionInfo
		want     uint64
	}{
		"no versions":                   {nil, 0},
		"numbers aren't sorted as text": {map[uint64]kvstore.VersionInfo{9: live, 10: live, 2: live}, 10},
		"deleted":                       {map[uint64]kvstore.VersionInfo{1: live, 2: deleted}, 1},
		"destroyed":                     {map[uint64]kvstore.VersionInfo{1: live, 2: destroyed}, 1},
		"not yet expired":               {map[uint64]kvstore.VersionInfo{1: live, 2: expiring}, 2},
		"expiring just now":             {map[uint64]kvstore.VersionInfo{1: live, 2: {DeletionTime: now}}, 1},
		"destroyed before it expires":   {map[uint64]kvstore.VersionInfo{1: live, 2: {DeletionTime: now.Add(1), Destroyed: true}}, 1},
		"none is live":                  {map[uint64]kvstore.VersionInfo{1: deleted, 2: destroyed}, 0},
	} {
		if got := (&kvstore.Metadata{Versions: c.versions}).Newest(now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestASecretThatIsMadeAnewIsAnother(t *testing.T) {
	m := newMount(t)
	m.write("db", "one")
	m.write("db", "two")
	first := m.metadata("db").CreatedTime
	m.do(kvstore.DeleteRequest(m.request("", "", nil), "db"))
	if meta := m.metadata("db"); meta != nil {
		t.Errorf("after the deletion there is %+v", meta)
	}
	m.wantRead("db", 1, "", 0)
	if number := m.write("db", "three"); number != 1 {
		t.Errorf("it begins at version %d", number)
	}
	if second := m.metadata("db").CreatedTime; !second.After(first) {
		t.Errorf("it was made at %s, the first at %s", second, first)
	}
	m.write("db", "four")
	if third := m.metadata("db"); third.CreatedTime != third.Versions[1].CreatedTime {
		t.Error("a second version changes the time of the first")
	}
}

func TestList(t *testing.T) {
	m := newMount(t)
	for _, name := range []string{"team-a/db", "team-a/x/y", "b", "team-a"} {
		m.write(name, "v")
	}
	for under, want := range map[string][]string{
		"metadata/":        {"b", "team-a", "team-a/"},
		"metadata/team-a/": {"db", "x/"},
	} {
		resp := m.do(m.request(logical.ListOperation, under, nil))
		if keys, _ := resp.Data["keys"].([]string); !slices.Equal(keys, want) {
			t.Errorf("%s: %q", under, keys)
		}
	}
}

func TestTheCheckOfTheVersion(t *testing.T) {
	m := newMount(t)
	zero, one := 0, 1
	data := map[string]any{"k": "v"}
	for i, c := range []struct {
		cas   *int
		fails bool
	}{{&one, true}, {&zero, false}, {&zero, true}, {&one, false}, {nil, false}} {
		resp, err := m.store.Handle(t.Context(), kvstore.WriteRequest(m.request("", "", nil), "db", data, c.cas))
		if kvstore.Failed(resp, err) != c.fails {
			t.Errorf("write %d: %+v, %v", i, resp, err)
		}
		if c.fails && kvstore.WrittenVersion(resp) != 0 {
			t.Errorf("write %d made version %d", i, kvstore.WrittenVersion(resp))
		}
	}
}

func TestExists(t *testing.T) {
	m := newMount(t)
	exists := func() bool {
		found, err := m.store.Exists(t.Context(), m.request(logical.CreateOperation, "data/db", nil))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if exists() {
		t.Error("it exists before it is written")
	}
	m.write("db", "one")
	if !exists() {
		t.Error("it doesn't exist after it is written")
	}
}

func TestTheWireIsThatOfKV(t *testing.T) {
	m := newMount(t)
	m.write("db", "one")
	m.do(m.request(logical.DeleteOperation, "data/db", nil))
	for path, want := range map[string]int{"data/db": http.StatusNotFound, "data/none": 0, "nonsense": http.StatusNotFound} {
		resp, err := m.store.Handle(t.Context(), m.request(logical.ReadOperation, path, nil))
		if err != nil || kvstore.StatusCode(resp) != want || kvstore.Failed(resp, err) != (want != 0) {
			t.Errorf("%s: %+v, %v, want status %d", path, resp, err, want)
		}
	}
}

func TestARequestIsntChanged(t *testing.T) {
	m := newMount(t)
	for _, req := range []*logical.Request{
		m.request(logical.UpdateOperation, "data/db", map[string]any{"data": map[string]any{"k": "v"}, "options": map[string]any{"cas": 0}}),
		m.request(logical.ReadOperation, "data/db", map[string]any{"version": "1"}),
		m.request(logical.UpdateOperation, "destroy/db", map[string]any{"versions": []int{1}}),
	} {
		before := fmt.Sprintf("%+v", *req)
		m.do(req)
		if after := fmt.Sprintf("%+v", *req); after != before || req.Storage != m.storage {
			t.Errorf("%s became %s", before, after)
		}
	}
}

// TestTheCallerIsKept wants the attribution that KV stores with each version to
// name who asked, not the engine.
func TestTheCallerIsKept(t *testing.T) {
	m := newMount(t)
	origin := m.request(logical.CreateOperation, "secrets/db", map[string]any{"data": "x", "wait": 1})
	origin.DisplayName, origin.EntityID, origin.ClientID, origin.ClientToken = "ldap-alice", "entity-1", "client-1", "token-1"
	origin.MountPoint, origin.ID = "cloudsync/", "request-1"
	cas := 0
	for what, c := range map[string]struct {
		req       *logical.Request
		operation logical.Operation
		path      string
		data      map[string]any
	}{
		"write": {
			kvstore.WriteRequest(origin, "db", map[string]any{"k": "v"}, &cas), logical.UpdateOperation, "data/db",
			map[string]any{"data": map[string]any{"k": "v"}, "options": map[string]any{"cas": 0}},
		},
		"write without a check": {
			kvstore.WriteRequest(origin, "db", map[string]any{"k": "v"}, nil), logical.UpdateOperation, "data/db",
			map[string]any{"data": map[string]any{"k": "v"}},
		},
		"delete":  {kvstore.DeleteRequest(origin, "db"), logical.DeleteOperation, "metadata/db", nil},
		"destroy": {kvstore.DestroyRequest(origin, "db", 3), logical.UpdateOperation, "destroy/db", map[string]any{"versions": []int{3}}},
	} {
		want := *origin
		want.Operation, want.Path, want.Data = c.operation, c.path, c.data
		if !reflect.DeepEqual(*c.req, want) {
			t.Errorf("%s: %+v, want %+v", what, *c.req, want)
		}
	}
	if origin.Path != "secrets/db" || origin.Operation != logical.CreateOperation || origin.Data["wait"] != 1 {
		t.Errorf("the caller's request became %+v", origin)
	}

	m.do(kvstore.WriteRequest(origin, "db", map[string]any{"k": "v"}, nil))
	resp := m.do(m.request(logical.ReadOperation, "metadata/db", nil))
	if by := fmt.Sprint(resp.Data["last_updated_by"]); !strings.Contains(by, "ldap-alice") || !strings.Contains(by, "entity-1") || !strings.Contains(by, "client-1") {
		t.Errorf("the version was made by %s", by)
	}
}

func TestASecondOpeningKeepsEverything(t *testing.T) {
	first := newMount(t)
	first.update("config", map[string]any{"max_versions": 3})
	first.write("team-a/db", "one")
	first.write("team-a/db", "two")
	before := first.metadata("team-a/db")
	first.store.Close(t.Context())

	second := openMount(t, first.storage)
	second.await("team-a/db")
	if after := second.metadata("team-a/db"); !reflect.DeepEqual(after, before) {
		t.Errorf("%+v became %+v", before, after)
	}
	second.wantRead("team-a/db", 1, "one", 1)
	second.wantRead("team-a/db", 0, "two", 2)
	if config := second.do(second.request(logical.ReadOperation, "config", nil)); fmt.Sprint(config.Data["max_versions"]) != "3" {
		t.Errorf("the settings became %v", config.Data)
	}
	if number := second.write("team-a/db", "three"); number != 3 {
		t.Errorf("the next version is %d", number)
	}
}

// TestADeathRightAfterTheFirstOpening is about the library's note that a store
// is ready, which it writes in the background: without it the next opening goes
// through all keys, and must take none of them for those of a KV version 1.
func TestADeathRightAfterTheFirstOpening(t *testing.T) {
	first := newMount(t)
	first.write("db", "one")
	const note = "kv/v2/upgrading"
	first.eventually("the library notes that the store is ready", func() bool {
		entry, err := first.storage.Get(t.Context(), note)
		return err == nil && entry != nil
	})
	first.store.Close(t.Context())
	if err := first.storage.Delete(t.Context(), note); err != nil {
		t.Fatal(err)
	}
	second := openMount(t, first.storage)
	second.await("db")
	second.wantRead("db", 0, "one", 1)
}

// await waits until the store serves, which the library refuses while it looks
// through the keys.
func (m *mount) await(name string) {
	m.Helper()
	m.eventually("the store serves "+name, func() bool {
		meta, err := m.store.ReadMetadata(m.Context(), m.storage, name)
		return err == nil && meta != nil
	})
}

func (m *mount) eventually(what string, holds func() bool) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			m.Fatal("in vain: " + what)
		}
	}
}

func TestInvalidation(t *testing.T) {
	// Two nodes of a cluster on one storage.
	active := newMount(t)
	active.write("db", "one")
	active.update("config", map[string]any{"max_versions": 10})
	standby := openMount(t, active.storage)
	standby.await("db")
	versions := func() string {
		return fmt.Sprint(standby.do(standby.request(logical.ReadOperation, "config", nil)).Data["max_versions"])
	}
	if got := versions(); got != "10" {
		t.Fatalf("%s versions", got)
	}
	active.update("config", map[string]any{"max_versions": 2})
	for _, key := range []string{"v2/config", "config", "secret/db", "kv/", ""} {
		standby.store.Invalidate(t.Context(), key)
		if got := versions(); got != "10" {
			t.Fatalf("%q, which isn't the key of the settings, dropped them: %s versions", key, got)
		}
	}
	standby.store.Invalidate(t.Context(), "kv/v2/config")
	if got := versions(); got != "2" {
		t.Errorf("%s versions after the invalidation", got)
	}
}

// TestStorageKeys wants the store to stay below its prefix, to wrap with the
// seal what holds values, and to hide names.
func TestStorageKeys(t *testing.T) {
	spy := &spy{Storage: &logical.InmemStorage{}, entries: map[string][]byte{}}
	m := openMount(t, spy)
	m.update("config", map[string]any{"max_versions": 3})
	m.write("team-a/"+canary, "value-"+canary)
	m.update("metadata/team-a/"+canary, map[string]any{"custom_metadata": map[string]any{"k": "v"}})
	m.do(m.request(logical.DeleteOperation, "data/team-a/"+canary, nil))

	schema, err := kvstore.NewSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrapped := schema.SealWrapPaths()
	if want := []string{"kv/v2/versions/", "kv/v2/policy/", "kv/v2/archive/"}; !slices.Equal(wrapped, want) {
		t.Errorf("wrapped are %q, want %q", wrapped, want)
	}
	values := 0
	for key, value := range spy.all() {
		if !strings.HasPrefix(key, "kv/v2/") {
			t.Errorf("the key %s isn't below the store's prefix", key)
		}
		if strings.Contains(key, canary) {
			t.Errorf("the key %s shows the name", key)
		}
		if bytes.Contains(value, []byte("value-"+canary)) {
			values++
			if !slices.ContainsFunc(wrapped, func(path string) bool { return strings.HasPrefix(key, path) }) {
				t.Errorf("the value under %s isn't wrapped with the seal", key)
			}
		}
	}
	if values == 0 {
		t.Error("no value was stored")
	}
}

// spy notes what is written.
type spy struct {
	logical.Storage
	mu      sync.Mutex
	entries map[string][]byte
}

func (s *spy) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[entry.Key] = entry.Value
	return s.Storage.Put(ctx, entry)
}

func (s *spy) all() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string][]byte{}
	for key, value := range s.entries {
		all[key] = value
	}
	return all
}

func TestASchemaForEveryPath(t *testing.T) {
	schema, err := kvstore.NewSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range kvstore.PathNames {
		path, err := schema.Path(name + "example")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(path.Pattern, "^"+name) { // else it is the library's "invalid path"
			t.Errorf("%s is served by %q", name, path.Pattern)
		}
		if len(path.Operations) == 0 || path.Fields["path"] == nil || path.HelpSynopsis == "" {
			t.Errorf("%s: %d operations, fields %v, help %q", name, len(path.Operations), path.Fields, path.HelpSynopsis)
		}
	}
	config, err := schema.Path("config")
	if err != nil || config.Fields["max_versions"] == nil {
		t.Errorf("config: %+v, %v", config, err)
	}
}

func TestAFailureOfTheStorageIsTold(t *testing.T) {
	inner := &logical.InmemStorage{}
	m := openMount(t, inner)
	m.write("db", "one")
	m.storage = broken{m.storage}
	if meta, err := m.store.ReadMetadata(t.Context(), m.storage, "db"); meta != nil || !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "read the metadata from the KV v2 store") {
		t.Errorf("%+v, %v", meta, err)
	}
	if version, err := m.store.ReadVersion(t.Context(), m.storage, "db", 0); version != nil || !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "read the value from the KV v2 store") {
		t.Errorf("%+v, %v", version, err)
	}
}

var errBroken = errors.New("the storage is gone")

type broken struct{ logical.Storage }

func (broken) Get(context.Context, string) (*logical.StorageEntry, error) { return nil, errBroken }

func TestAnswers(t *testing.T) {
	status := func(code int) *logical.Response {
		return &logical.Response{Data: map[string]any{logical.HTTPStatusCode: code}}
	}
	for name, c := range map[string]struct {
		resp   *logical.Response
		err    error
		failed bool
		status int
	}{
		"none":             {nil, nil, false, 0},
		"data":             {&logical.Response{Data: map[string]any{"k": "v"}}, nil, false, 0},
		"an error":         {nil, errBroken, true, 0},
		"a refusal":        {logical.ErrorResponse("no"), nil, true, 0},
		"not found":        {status(http.StatusNotFound), nil, true, http.StatusNotFound},
		"no content":       {status(http.StatusNoContent), nil, false, http.StatusNoContent},
		"a fault of ours":  {status(http.StatusInternalServerError), nil, true, http.StatusInternalServerError},
		"data and a fault": {&logical.Response{}, errBroken, true, 0},
	} {
		if failed, status := kvstore.Failed(c.resp, c.err), kvstore.StatusCode(c.resp); failed != c.failed || status != c.status {
			t.Errorf("%s: failed %v, status %d", name, failed, status)
		}
	}
}

func TestWrittenVersion(t *testing.T) {
	for name, c := range map[string]struct {
		version any
		want    uint64
	}{
		"from the library":    {uint64(7), 7},
		"as it was decoded":   {json.Number("12"), 12},
		"no number":           {json.Number("x"), 0},
		"no version":          {nil, 0},
		"text is no version":  {"3", 0},
		"of a delete request": {map[string]any{}, 0},
	} {
		if got := kvstore.WrittenVersion(&logical.Response{Data: map[string]any{"version": c.version}}); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := kvstore.WrittenVersion(nil); got != 0 {
		t.Errorf("no answer: %d", got)
	}
}
