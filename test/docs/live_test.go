// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// mount is the plugin without a Vault, with an emulated SSM as its destination
// tencent-ssm/gz.
type mount struct {
	t       *testing.T
	b       logical.Backend
	storage logical.Storage
	cloud   *tencent.Server
}

func newMount(t *testing.T) *mount {
	t.Helper()
	m := &mount{t: t, storage: &logical.InmemStorage{}}
	var endpoint string
	m.cloud, endpoint = emulatortest.Tencent(t, tencent.Options{})
	b, err := backend.Factory(t.Context(), &logical.BackendConfig{
		StorageView: m.storage, System: &logical.StaticSystemView{}, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.b = b
	t.Cleanup(func() { b.Cleanup(t.Context()) })
	if err := b.Initialize(t.Context(), &logical.InitializationRequest{Storage: m.storage}); err != nil {
		t.Fatal(err)
	}
	account := emulator.ExampleAccount()
	m.write("destinations/tencent-ssm/gz", map[string]any{
		"region": "ap-guangzhou", "endpoint": endpoint,
		"access_key_id": account.AccessKeyID, "access_key_secret": account.AccessKeySecret,
	})
	return m
}

// request returns the answer's data, and the status of the first error.
func (m *mount) request(operation logical.Operation, path string, data map[string]any) map[string]any {
	m.t.Helper()
	req := &logical.Request{Operation: operation, Path: path, Data: data, Storage: m.storage}
	if operation == logical.UpdateOperation {
		found, exists, err := m.b.HandleExistenceCheck(m.t.Context(), req)
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) {
			m.t.Fatal(err)
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	resp, err := m.b.HandleRequest(m.t.Context(), req)
	if err != nil || resp.IsError() {
		m.t.Fatalf("%s %s: %v %v", operation, path, err, resp.Error())
	}
	if resp == nil {
		return nil
	}
	return resp.Data
}

func (m *mount) write(path string, data map[string]any) map[string]any {
	m.t.Helper()
	return m.request(logical.UpdateOperation, path, data)
}

func (m *mount) read(path string) map[string]any {
	m.t.Helper()
	return m.request(logical.ReadOperation, path, nil)
}

func (m *mount) remove(path string) {
	m.t.Helper()
	m.request(logical.DeleteOperation, path, nil)
}

// calls runs do and returns the operations that the cloud saw. A write has
// waited for its replicas when it returns.
func (m *mount) calls(do func()) []string {
	m.t.Helper()
	m.cloud.Calls().Reset()
	do()
	var operations []string
	for _, call := range m.cloud.Calls().List() {
		operations = append(operations, call.Operation)
	}
	return operations
}

const longWait = int(time.Minute / time.Second)

func TestEachOperationCostsTheCallsThatTheTableSays(t *testing.T) {
	secret := func(value string) map[string]any {
		return map[string]any{"value": value, "destinations": "tencent-ssm/gz", "wait": longWait}
	}
	steps := []struct {
		row     string
		prepare func(m *mount)
		do      func(m *mount)
	}{
		{"new secret", nil, func(m *mount) { m.write("secrets/b", secret("1")) }},
		{"new version", nil, func(m *mount) { m.write("secrets/a", secret("2")) }},
		{"new version when ten exist", func(m *mount) {
			for range 8 {
				m.write("secrets/a", map[string]any{"value": time.Now().String(), "wait": longWait})
			}
		}, func(m *mount) { m.write("secrets/a", secret("2")) }},
		{"new secret with `version_history=false`", withoutHistory, func(m *mount) { m.write("secrets/b", secret("1")) }},
		{"new version with `version_history=false`", withoutHistory, func(m *mount) { m.write("secrets/a", secret("2")) }},
		{"new description", nil, func(m *mount) {
			m.write("secrets/a", map[string]any{"description": "of a", "wait": longWait})
		}},
		{"no live version any more", nil, func(m *mount) { m.remove("data/a") }},
		{"undelete of the only version", func(m *mount) { m.remove("data/a") }, func(m *mount) {
			m.write("undelete/a", map[string]any{"versions": []int{1}})
		}},
		{"deletion", nil, func(m *mount) { m.remove("secrets/a") }},
		{"written again within the recovery window", func(m *mount) { m.remove("secrets/a") }, func(m *mount) { m.write("secrets/a", secret("2")) }},
		{"destination taken away", nil, func(m *mount) {
			m.write("secrets/a", map[string]any{"destinations": "", "wait": longWait})
		}},
		{"read, status, sync of what is in sync", nil, func(m *mount) {
			m.read("secrets/a")
			m.read("status/a")
			m.read("status")
			m.write("sync/a", map[string]any{"wait": longWait})
		}},
	}
	rows := map[string][]string{}
	for _, l := range readPage(t, "docs/tencent-ssm.md").lines {
		if row := cells(l.text); len(row) == 3 {
			for _, found := range code.FindAllStringSubmatch(row[2], -1) {
				rows[row[0]] = append(rows[row[0]], found[1])
			}
		}
	}
	for _, step := range steps {
		t.Run(step.row, func(t *testing.T) {
			m := newMount(t)
			m.write("config", map[string]any{"default_wait": longWait})
			m.write("secrets/a", secret("1"))
			if step.prepare != nil {
				step.prepare(m)
			}
			if got := m.calls(func() { step.do(m) }); !slices.Equal(got, rows[step.row]) {
				t.Errorf("the cloud saw %v, the table says %v", got, rows[step.row])
			}
		})
	}
}

func withoutHistory(m *mount) {
	m.write("destinations/tencent-ssm/gz", map[string]any{"version_history": false})
	m.write("secrets/a", map[string]any{"value": "without history", "wait": longWait})
}

// The schema doesn't go into objects, so that what is in them is looked up in
// answers of a replica that is in sync, one with a note, and one that is blocked.
func TestTheObjectsInAnswersAreDescribed(t *testing.T) {
	m := newMount(t)
	written := m.write("secrets/a", map[string]any{
		"data": map[string]any{"k": "v"}, "destinations": "tencent-ssm/gz", "tags": "a=b", "description": "d",
		"remote_name": "a1", "format": "json", "deletion_policy": "force", "wait": longWait,
	})
	short := []any{inner(written, "destinations", "tencent-ssm/gz")}
	settled := m.read("secrets/a")
	m.write("secrets/a", map[string]any{"kms_key_id": "another", "wait": longWait})
	settings := []any{settled["settings"], m.read("secrets/a")["settings"]}
	full := []any{inner(m.read("status/a"), "destinations", "tencent-ssm/gz")}
	versions := inner(full[0], "versions", "v1")
	at := inner(m.read("secrets/a/versions/1"), "destinations", "tencent-ssm/gz")

	m.write("destinations/tencent-ssm/gz", map[string]any{"access_key_secret": "wrong"})
	check := m.write("destinations/tencent-ssm/gz/check", nil)
	short = append(short, inner(m.write("secrets/a", map[string]any{"value": "x", "format": "", "wait": longWait}), "destinations", "tencent-ssm/gz"))
	full = append(full, inner(m.read("status/a"), "destinations", "tencent-ssm/gz"), versions)

	findings, _ := check["findings"].([]any)
	api := readAPI(t)
	for object, seen := range map[string][]any{
		"Replica in short":         short,
		"Replica in full":          full,
		"Failure":                  {inner(full[1], "error")},
		"Finding":                  findings,
		"Version at a destination": {at},
		"Settings":                 settings,
		"Credentials":              {m.read("destinations/tencent-ssm/gz")["credentials"]},
	} {
		fields := map[string]bool{}
		for _, one := range seen {
			object, _ := one.(map[string]any)
			for field := range object {
				fields[field] = true
			}
		}
		compare(t, object, api.objects[object], fields)
	}
	for object := range maps.Keys(api.objects) {
		if len(api.objects[object]) == 0 {
			t.Errorf("%s has no fields", object)
		}
	}
}

// inner follows keys into nested maps.
func inner(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}
