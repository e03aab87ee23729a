// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// mount is the plugin without a Vault, with an emulated cloud as its destination.
type mount struct {
	t       *testing.T
	b       logical.Backend
	storage logical.Storage
	cloud   emulator.Service
	ref     string // of the destination
}

func newMount(t *testing.T, c cloud) *mount {
	t.Helper()
	m := &mount{t: t, storage: &logical.InmemStorage{}, ref: c.ref()}
	var endpoint string
	m.cloud, endpoint = c.emulate(t)
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
	m.write("destinations/"+m.ref, c.destination(endpoint))
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
// waited for its replicas when it returns, but the cloud notes a call only after
// it was answered: those of before are left out, and at least awaits are awaited.
func (m *mount) calls(awaits int, do func()) []string {
	m.t.Helper()
	begin := time.Now()
	do()
	var operations []string
	harness.Eventually(m.t, fmt.Sprintf("%d calls", awaits), func() error {
		operations = nil
		for _, call := range m.cloud.Core().Calls.List() {
			if call.Time.After(begin) {
				operations = append(operations, call.Operation)
			}
		}
		if len(operations) < awaits {
			return fmt.Errorf("the cloud saw %v", operations)
		}
		return nil
	})
	return operations
}

const longWait = int(time.Minute / time.Second)

// put writes a version and waits for its replica.
func (m *mount) put(name, value string) {
	m.t.Helper()
	m.write("secrets/"+name, map[string]any{"value": value, "destinations": m.ref, "wait": longWait})
}

// set changes settings of the secret a.
func (m *mount) set(setting string, value any) {
	m.t.Helper()
	m.write("secrets/a", map[string]any{setting: value, "wait": longWait})
}

func (m *mount) fill(versions int) {
	m.t.Helper()
	for i := range versions {
		m.put("a", fmt.Sprintf("filling %d", i))
	}
}

// steps are the rows of the tables of calls: what is done to the secret a, which
// has one version, and before. A table has those that its cloud knows.
var steps = map[string]struct{ prepare, do func(m *mount) }{
	"new secret": {nil, func(m *mount) { m.put("b", "1") }},
	"new secret with tags": {nil, func(m *mount) {
		m.write("secrets/b", map[string]any{"value": "1", "destinations": m.ref, "tags": "k=v", "wait": longWait})
	}},
	"new version":                     {nil, func(m *mount) { m.put("a", "2") }},
	"new version when ten exist":      {func(m *mount) { m.fill(8) }, func(m *mount) { m.put("a", "2") }},
	"new version when the most exist": {func(m *mount) { m.fill(20) }, func(m *mount) { m.put("a", "2") }},
	"equal content written again":     {nil, func(m *mount) { m.put("a", "1") }},
	"rollback": {func(m *mount) { m.put("a", "2") }, func(m *mount) {
		m.write("rollback/a", map[string]any{"version": 1, "wait": longWait})
	}},
	"newest version soft-deleted": {func(m *mount) { m.put("a", "2") }, func(m *mount) { m.remove("data/a") }},
	"undelete of the newest version": {func(m *mount) { m.put("a", "2"); m.remove("data/a") }, func(m *mount) {
		m.write("undelete/a", map[string]any{"versions": []int{2}})
	}},
	"older version destroyed": {func(m *mount) { m.put("a", "2") }, func(m *mount) {
		m.write("destroy/a", map[string]any{"versions": []int{1}})
	}},
	"new secret with `version_history=false`":  {withoutHistory, func(m *mount) { m.put("b", "1") }},
	"new version with `version_history=false`": {withoutHistory, func(m *mount) { m.put("a", "2") }},
	"new description":                          {nil, func(m *mount) { m.set("description", "of a") }},
	"tags added":                               {nil, func(m *mount) { m.set("tags", "k=v") }},
	"tags replaced":                            {func(m *mount) { m.set("tags", "k=v") }, func(m *mount) { m.set("tags", "l=w") }},
	"another KMS key":                          {nil, func(m *mount) { m.set("kms_key_id", emulator.ExampleKMSKeyID) }},
	"no live version any more":                 {nil, func(m *mount) { m.remove("data/a") }},
	"undelete of the only version": {func(m *mount) { m.remove("data/a") }, func(m *mount) {
		m.write("undelete/a", map[string]any{"versions": []int{1}})
	}},
	"deletion": {nil, func(m *mount) { m.remove("secrets/a") }},
	"written again within the recovery window": {func(m *mount) { m.remove("secrets/a") }, func(m *mount) { m.put("a", "2") }},
	"destination taken away":                   {nil, func(m *mount) { m.set("destinations", "") }},
	"another endpoint, per replica": {nil, func(m *mount) {
		stored := m.read("destinations/" + m.ref)
		endpoint, _ := stored["endpoint"].(string)
		m.write("destinations/"+m.ref, map[string]any{"endpoint": strings.Replace(endpoint, "127.0.0.1", "localhost", 1)})
	}},
	"verification":             {nil, func(m *mount) { m.verify(false) }},
	"verification with tags":   {func(m *mount) { m.set("tags", "k=v") }, func(m *mount) { m.verify(false) }},
	"verification with values": {nil, func(m *mount) { m.verify(true) }},
	"verification with values and `version_history=false`": {withoutHistory, func(m *mount) { m.verify(true) }},
	"read, status, sync of what is in sync": {nil, func(m *mount) {
		m.read("secrets/a")
		m.read("status/a")
		m.read("status")
		m.write("sync/a", map[string]any{"wait": longWait})
	}},
}

// verify compares the secret a with the cloud, and is the object that the answer
// has of its replica.
func (m *mount) verify(values bool) any {
	m.t.Helper()
	var verified any
	harness.Eventually(m.t, "the replica can be compared", func() error { // a changed destination is gone through first
		answer := m.write("verify/a", map[string]any{"values": values})
		replicas, _ := answer["replicas"].([]any)
		if len(replicas) != 1 || inner(replicas[0], "result") == "skipped" {
			return fmt.Errorf("the answer has the replicas %v", replicas)
		}
		verified = replicas[0]
		return nil
	})
	return verified
}

// tamper changes the secret with a remote name as somebody else would.
func (m *mount) tamper(remoteName string, change func(s *emulator.Secret)) {
	m.t.Helper()
	ref := emulator.Ref{Region: "ap-guangzhou", Name: remoteName}.WithAccount()
	s, found := m.cloud.Find(ref)
	if !found {
		m.t.Fatalf("the cloud has no secret %s", remoteName)
	}
	change(&s)
	emulatortest.Seed(m.t, m.cloud, s)
}

func withoutHistory(m *mount) {
	m.write("destinations/"+m.ref, map[string]any{"version_history": false})
	m.put("a", "without history")
}

func TestEachOperationCostsTheCallsThatTheTableSays(t *testing.T) {
	for _, c := range clouds {
		rows := callTable(t, c.page)
		if len(rows) == 0 {
			t.Errorf("%s has no table of calls", c.page)
		}
		for _, row := range slices.Sorted(maps.Keys(rows)) {
			t.Run(c.kind+" "+row, func(t *testing.T) {
				step, known := steps[row]
				if !known {
					t.Fatalf("%s: nothing is known of %q", c.page, row)
				}
				m := newMount(t, c)
				m.write("config", map[string]any{"default_wait": longWait})
				m.put("a", "1")
				if step.prepare != nil {
					step.prepare(m)
				}
				got := m.calls(rows[row].count, func() { step.do(m) })
				if !slices.Equal(got, rows[row].calls) || len(got) != rows[row].count {
					t.Errorf("the cloud saw %d, %v; the table says %d, %v", len(got), got, rows[row].count, rows[row].calls)
				}
			})
		}
	}
}

// callRow is a row of a table of calls.
type callRow struct {
	count int
	calls []string
}

func callTable(t *testing.T, name string) map[string]callRow {
	t.Helper()
	rows := map[string]callRow{}
	inTable := false
	for _, l := range readPage(t, name).lines {
		row := cells(l.text)
		switch {
		case len(row) != 3:
			inTable = false
		case slices.Equal(row, []string{"what", "calls", "which"}):
			inTable = true
		case inTable && !strings.HasPrefix(row[0], "---"):
			count, err := strconv.Atoi(row[1])
			if err != nil {
				t.Errorf("%s:%d: %v", name, l.number, err)
			}
			var calls []string
			for _, found := range code.FindAllStringSubmatch(row[2], -1) {
				calls = append(calls, found[1])
			}
			rows[row[0]] = callRow{count, calls}
		}
	}
	return rows
}

// The schema doesn't go into objects, so that what is in them is looked up in
// answers of a replica that is in sync, one with a note, and one that is blocked.
func TestTheObjectsInAnswersAreDescribed(t *testing.T) {
	m := newMount(t, clouds[0])
	written := m.write("secrets/a", map[string]any{
		"data": map[string]any{"k": "v"}, "destinations": "tencent-ssm/gz", "tags": "a=b", "description": "d",
		"remote_name": "a1", "format": "json", "deletion_policy": "force", "wait": longWait,
	})
	short := []any{inner(written, "destinations", "tencent-ssm/gz")}
	settled := m.read("secrets/a")
	m.write("secrets/a", map[string]any{"kms_key_id": "another", "paused": true, "wait": longWait})
	settings := []any{settled["settings"], m.read("secrets/a")["settings"]}
	m.write("secrets/a", map[string]any{"paused": false, "wait": longWait})
	full := []any{inner(m.read("status/a"), "destinations", "tencent-ssm/gz")}
	versions := inner(full[0], "versions", "v1")
	current := inner(full[0], "versions", "SSM_Current")
	at := inner(m.read("secrets/a/versions/1"), "destinations", "tencent-ssm/gz")

	// Somebody disables it and takes the mark off: one can be repaired, one not.
	m.tamper("a1", func(s *emulator.Secret) { s.State = "Disabled" })
	verified := []any{m.verify(true)}
	drift := []any{findingOf(verified[0])}
	drifted := inner(m.read("status/a"), "destinations", "tencent-ssm/gz")
	m.tamper("a1", func(s *emulator.Secret) { s.Description, s.State = "", "Enabled" })
	answer := m.write("verify/a", map[string]any{"repair": true})
	replicas, _ := answer["replicas"].([]any)
	verified = append(verified, replicas...)
	drift = append(drift, findingOf(verified[1]))
	m.write("secrets/a", map[string]any{"drift_action": "ignore", "paused": true})
	settings = append(settings, m.read("secrets/a")["settings"])
	m.write("secrets/a", map[string]any{"paused": false})

	m.write("destinations/tencent-ssm/gz", map[string]any{"access_key_secret": "wrong"})
	check := m.write("destinations/tencent-ssm/gz/check", nil)
	short = append(short, inner(m.write("secrets/a", map[string]any{"value": "x", "format": "", "wait": longWait}), "destinations", "tencent-ssm/gz"))
	full = append(full, inner(m.read("status/a"), "destinations", "tencent-ssm/gz"), versions, current, drifted)

	listed := m.request(logical.ListOperation, "status/", nil)

	findings, _ := check["findings"].([]any)
	api := readAPI(t)
	for object, seen := range map[string][]any{
		"Replica in short":         short,
		"Replica in full":          full,
		"Listed replica":           {inner(listed, "key_info", "a", "destinations", "tencent-ssm/gz")},
		"Health":                   {inner(m.read("status"), "health", "tencent-ssm/gz")},
		"Failure":                  {inner(full[1], "error")},
		"Finding":                  findings,
		"Drift":                    drift,
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

// findingOf is the first finding of a verified replica.
func findingOf(verified any) any {
	findings, _ := inner(verified, "findings").([]any)
	if len(findings) == 0 {
		return nil
	}
	return findings[0]
}

// inner follows keys into nested maps.
func inner(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}
