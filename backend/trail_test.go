// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// as sends a write as somebody.
func (m *mount) as(who, requestID, path string, data map[string]any) {
	m.t.Helper()
	req := &logical.Request{
		Operation: logical.UpdateOperation, Path: path, Data: data, Storage: m.storage,
		ID: requestID, DisplayName: who, EntityID: "entity-of-" + who,
	}
	if resp, err := m.b.HandleRequest(context.Background(), req); err != nil || resp.IsError() {
		m.t.Fatalf("%s: %v %v", path, resp, err)
	}
}

// trail is the changes of the replica in the place, the newest first.
func (m *mount) trail(name string, place int) []map[string]any {
	m.t.Helper()
	replicas := objects(m.read("trail/" + name).Data["replicas"])
	if len(replicas) <= place {
		return nil
	}
	return objects(replicas[place]["changes"])
}

// told is a change in short: why, by whom, by which request, with which calls.
func told(change map[string]any) string {
	var operations []string
	for _, c := range objects(change["calls"]) {
		operations = append(operations, fmt.Sprint(c["operation"]))
	}
	return fmt.Sprintf("%v by %v in %v: %s", change["why"], change["display_name"], change["vault_request_id"], strings.Join(operations, " "))
}

func TestTheTrailTellsWhatWasChangedWhyAndByWhom(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.as("ann", "r1", "secrets/s", map[string]any{"value": "canary-one", "destinations": "memory/main"})
	m.as("bob", "r2", "data/s", map[string]any{"data": map[string]any{"value": "canary-two"}})
	m.as("ann", "r3", "secrets/s", map[string]any{"description": "text"})
	m.as("cid", "r4", "rollback/s", map[string]any{"version": 1})
	m.as("cid", "r5", "delete/s", map[string]any{"versions": "3"})
	m.as("ops", "r6", "rules/r", map[string]any{"match": "s", "destinations": "memory/main", "tags": "a=b"})
	until(t, "the rule's tags", func() bool { stored, _ := region.Secret("s"); return stored.Tags["a"] == "b" })
	m.as("ops", "r7", "destinations/memory/main", map[string]any{"custom_tags": "c=d"})
	until(t, "the destination's tags", func() bool { stored, _ := region.Secret("s"); return stored.Tags["c"] == "d" })
	m.awaitSettled()
	m.as("ann", "r8", "secrets/s", map[string]any{"description": "text"}) // nothing to change
	changes := m.trail("s", 0)
	var got []string
	for _, change := range slices.Backward(changes) {
		got = append(got, told(change))
	}
	want := []string{
		"write by ann in r1: Create",
		"write by bob in r2: PutVersion",
		"settings by ann in r3: SetDescription",
		"write by cid in r4: MoveCurrent",
		"versions by cid in r5: MoveCurrent",
		"rule by ops in r6: ChangeTags",
		"destination by ops in r7: ChangeTags",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if newest := changes[0]; newest["entity_id"] != "entity-of-ops" || newest["time"] == "" {
		t.Errorf("%v", newest)
	}
	for _, call := range objects(changes[len(changes)-1]["calls"]) {
		if call["version_id"] != "v1" || call["request_id"] != "memory" {
			t.Errorf("%v", call)
		}
	}
	if text := fmt.Sprint(m.read("trail/s").Data); strings.Contains(text, "canary-") {
		t.Error(text)
	}
}

// The trail costs no write of its own: who isn't told of a change finds nothing.
func TestTheTrailIsBoundedAndOutlivesTheReplica(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for i := range 14 {
		m.as("ann", fmt.Sprint("r", i), "secrets/s", map[string]any{"value": fmt.Sprint(i), "destinations": "memory/main"})
	}
	if changes := m.trail("s", 0); len(changes) != 10 || changes[0]["vault_request_id"] != "r13" || changes[9]["vault_request_id"] != "r4" {
		t.Errorf("%d changes: %v", len(changes), changes)
	}
	m.remove("secrets/s")
	m.awaitSettled()
	replicas := objects(m.read("trail/s").Data["replicas"])
	if len(replicas) != 1 || fmt.Sprint(replicas[0]["gone"]) != "true" {
		t.Fatalf("%v", replicas)
	}
	if got := told(m.trail("s", 0)[0]); got != "removal by tester in test-request: Disable Delete" {
		t.Error(got)
	}
}

// Who asked for it is known after a crash, too: it is stored with the mark.
func TestTheTrailTellsWhoAskedBeforeARestart(t *testing.T) {
	for cloud, model := range clouds {
		t.Run(cloud, func(t *testing.T) {
			m, region := newMount(t, model())
			m.write("config", map[string]any{"default_wait": 0})
			region.Before(providertest.Always("", providertest.Failure(provider.ClassUnavailable)))
			m.as("ann", "r1", "secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
			m.restart()
			region.Before(nil)
			m.awaitSettled()
			change := m.trail("s", 0)[0]
			if got := told(change); !strings.HasPrefix(got, "write by ann in r1: Create") || fmt.Sprint(change["resumed"]) != "true" {
				t.Errorf("%s, %v", got, change)
			}
		})
	}
}

func TestACallWithoutAnAnswerIsInTheTrailAsDoubtful(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.as("ann", "r1", "secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
	region.After(providertest.Once(providertest.OpPutVersion, providertest.LostAnswer()))
	m.as("ann", "r2", "secrets/s", map[string]any{"value": "two"})
	m.awaitSettled()
	doubtful := 0
	for _, change := range m.trail("s", 0) {
		for _, call := range objects(change["calls"]) {
			if fmt.Sprint(call["doubtful"]) == "true" && change["vault_request_id"] == "r2" {
				doubtful++
			}
		}
	}
	if doubtful != 1 {
		t.Errorf("%d calls are doubtful: %v", doubtful, m.trail("s", 0))
	}
}

// Each cloud says how its own audit is asked for the calls.
func TestTheTrailComesWithAQueryForTheCloudsOwnAudit(t *testing.T) {
	for name, want := range map[string]struct{ service, query, byRequest string }{
		"Tencent": {"CloudAudit", `"AttributeKey":"ResourceName","AttributeValue":"s"`, `"AttributeKey":"RequestId"`},
		"Alibaba": {"ActionTrail", "--LookupAttribute.1.Key ResourceName --LookupAttribute.1.Value s", ""},
		"Huawei":  {"CTS", "resource_name=s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := emulatedClouds[name](t)
			m := mountOn(t, cloud)
			m.write("secrets/s", map[string]any{"value": "one", "destinations": cloud.destination})
			replica := objects(m.read("trail/s").Data["replicas"])[0]
			audit, _ := replica["audit"].(map[string]any)
			if audit["service"] != want.service || !strings.Contains(fmt.Sprint(audit["query"]), want.query) {
				t.Errorf("%v", audit)
			}
			byRequest, _ := audit["query_by_request"].(string)
			if (byRequest != "") != (want.byRequest != "") || !strings.Contains(byRequest, want.byRequest) {
				t.Errorf("%v", audit)
			}
			// The ids are those that the cloud gave.
			ids := map[string]bool{}
			for _, call := range cloud.service.Core().Calls.List() {
				ids[call.RequestID] = true
			}
			for _, call := range objects(objects(replica["changes"])[0]["calls"]) {
				if id := fmt.Sprint(call["request_id"]); !ids[id] {
					t.Errorf("the cloud knows no request %q", id)
				}
			}
		})
	}
}

func TestTheTrailsOfManyReplicasTakeLittleRoom(t *testing.T) {
	m, _ := newMount(t, providertest.LabelMoving())
	m.write("destinations/memory/main", map[string]any{"granularity": "secret-key"})
	const keys = 60
	for round := range 5 {
		data := map[string]any{}
		for key := range keys {
			data[fmt.Sprint("key", key)] = fmt.Sprint("value ", round)
		}
		m.write("secrets/s", map[string]any{"data": data, "destinations": "memory/main"})
		m.awaitSettled()
	}
	changes := 0
	replicas := objects(m.read("trail/s").Data["replicas"])
	for i := range replicas {
		changes += len(m.trail("s", i))
	}
	if len(replicas) != keys || changes < keys || changes > 200 {
		t.Errorf("%d changes of %d replicas are kept", changes, len(replicas))
	}
}
