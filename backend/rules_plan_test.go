// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestAPlannedRuleChangesNothingAndTellsWhatItWould(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("rules/all", map[string]any{"match": "team-a/**", "destinations": "memory/main"})
	m.kv("team-a/x", map[string]any{"n": "1"})
	m.kv("team-b/x", map[string]any{"n": "1"})
	m.awaitSettled()
	calls := region.Count("")
	stored := m.storage.dump(t)
	resp := m.write("rules/all/plan", map[string]any{"match": "team-b/**", "tags": "a=b"})
	if resp.Data["matched"] != 1 || resp.Data["affected"] != 2 {
		t.Errorf("%v", resp.Data)
	}
	changes := fmt.Sprint(resp.Data["changes"])
	if !containsAll(changes, "team-a/x", "team-b/x", "team-b_x") {
		t.Error(changes)
	}
	resp = m.write("rules/all/plan", map[string]any{"delete": true})
	if resp.Data["affected"] != 1 {
		t.Errorf("%v", resp.Data)
	}
	if region.Count("") != calls || fmt.Sprint(m.storage.dump(t)) != fmt.Sprint(stored) {
		t.Error("the plan called the cloud or changed the storage")
	}
}

func TestAPlanTellsOfSecretsThatWouldComeToOneName(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("rules/all", map[string]any{"match": "team-a/**", "destinations": "memory/main"})
	m.kv("team-a/x", map[string]any{"n": "1"})
	m.kv("team-a/b/x", map[string]any{"n": "1"})
	m.kv("team-a/b/y", map[string]any{"n": "1"})
	m.write("secrets/y", map[string]any{"value": "1", "destinations": "memory/main"})
	m.awaitSettled()
	resp := m.write("rules/all/plan", map[string]any{"secret_name_template": "{{ .SecretBaseName }}"})
	refused, _ := resp.Data["refused"].([]any)
	says := fmt.Sprint(refused)
	if len(refused) != 2 || !containsAll(says, "team-a/x", "team-a/b/x", `"x"`, "team-a/b/y", `secret "y"`, "memory/main") {
		t.Error(says)
	}
	if resp = m.write("rules/all/plan", map[string]any{"secret_name_template": "a-{{ .SecretPath }}"}); fmt.Sprint(resp.Data["refused"]) != "[]" {
		t.Error(resp.Data["refused"])
	}
}
