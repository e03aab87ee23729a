// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// replicaPlan is the plan of the only replica of secret "s".
func replicaPlan(t *testing.T, m *mount, params map[string]any) map[string]any {
	t.Helper()
	replicas := objects(m.write("plan/s", params).Data["replicas"])
	if len(replicas) != 1 {
		t.Fatalf("planned are %v", replicas)
	}
	return replicas[0]
}

func actions(calls any) string {
	var names []string
	for _, c := range objects(calls) {
		names = append(names, fmt.Sprint(c["action"]))
	}
	return strings.Join(names, " ")
}

func TestAPlanOfWhatSomebodyElseHasIsARefusal(t *testing.T) {
	for cloud, model := range clouds {
		t.Run(cloud, func(t *testing.T) {
			m, region := newMount(t, model())
			region.Seed(providertest.Stored{Secret: provider.Secret{Name: "s", Description: "theirs"}})
			m.write("config", map[string]any{"paused": true})
			m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
			planned := replicaPlan(t, m, nil)
			refused, _ := planned["refused"].(map[string]any)
			if refused["class"] != "ownership" || actions(planned["calls"]) != "" || fmt.Sprint(planned["drifted"]) != "false" {
				t.Errorf("%v", planned)
			}
			m.write("config", map[string]any{"paused": false})
			m.await("s", "blocked")
			if stored, _ := region.Secret("s"); stored.Description != "theirs" {
				t.Errorf("the cloud has %v", stored)
			}
		})
	}
}

// A look finds what a convergence without a reason to look doesn't notice; the plan
// says both.
func TestAPlanTellsWhatWasChangedBehindTheMountsBack(t *testing.T) {
	cases := map[string]struct {
		change        func(region *providertest.Region)
		looked, blind string // actions
	}{
		"the description": {func(region *providertest.Region) {
			stored, _ := region.Secret("s")
			stored.Description = "new " + stored.Description
			region.Seed(stored)
		}, "set_description", ""},
		"it is gone": {func(region *providertest.Region) { region.Remove("s") }, "create put_version", ""},
		"it is disabled": {func(region *providertest.Region) {
			stored, _ := region.Secret("s")
			stored.State = provider.StateDisabled
			region.Seed(stored)
		}, "enable", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
			m.awaitSettled()
			c.change(region)
			planned := replicaPlan(t, m, nil)
			if fmt.Sprint(planned["drifted"]) != "true" || actions(planned["calls"]) != c.looked || actions(planned["calls_without_look"]) != c.blind {
				t.Errorf("%v", planned)
			}
			// By memory alone nothing is to be done, and nothing is done.
			region.ResetCalls()
			m.write("sync/s", nil)
			if region.Count("") != 0 {
				t.Errorf("a sync made the calls %v", region.Calls())
			}
			// After a restart with work outstanding it is looked at, as the plan did.
			m.write("config", map[string]any{"paused": true})
			m.write("secrets/s", map[string]any{"tags": "a=1"})
			m.restart()
			until(t, "taking up", func() bool { return !isTakingUp(m.read("status")) })
			planned = replicaPlan(t, m, nil)
			region.ResetCalls()
			m.write("config", map[string]any{"paused": false})
			m.awaitSettled()
			var done []string
			for _, call := range region.Calls() {
				if providertest.IsWrite(call.Op) {
					done = append(done, call.Op)
				}
			}
			if want := plannedOperations(planned); !slices.Equal(done, want) {
				t.Errorf("planned %v, executed %v", want, done)
			}
		})
	}
}

func TestAPlanAfterALostAnswerIsWhatIsDoneThen(t *testing.T) {
	for cloud, model := range clouds {
		for _, op := range []string{providertest.OpPutVersion, providertest.OpCreate} {
			t.Run(cloud+", "+op, func(t *testing.T) {
				m, region := newMount(t, model())
				m.write("config", map[string]any{"default_wait": 0})
				if op != providertest.OpCreate {
					m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
					m.awaitSettled()
				}
				region.Before(providertest.Always(providertest.OpDescribe, providertest.Failure(provider.ClassPermission)))
				region.After(providertest.Once(op, providertest.LostAnswer()))
				m.write("secrets/s", map[string]any{"value": "two", "destinations": "memory/main"})
				m.await("s", "blocked") // since it can't look, and doesn't know
				m.write("config", map[string]any{"paused": true})
				region.Before(nil)
				region.After(nil)
				planned := replicaPlan(t, m, nil)
				region.ResetCalls()
				m.write("config", map[string]any{"paused": false})
				m.write("sync/s", nil)
				m.awaitSettled()
				var done []string
				for _, call := range region.Calls() {
					if providertest.IsWrite(call.Op) {
						done = append(done, call.Op)
					}
				}
				if want := plannedOperations(planned); !slices.Equal(done, want) {
					t.Errorf("planned %v, executed %v", want, done)
				}
			})
		}
	}
}

func TestAPlanHoldsNoValue(t *testing.T) {
	m, _ := newMount(t, providertest.LabelMoving())
	m.write("secrets/s", map[string]any{"value": "canary-stored", "destinations": "memory/main"})
	resp := m.write("plan/s", map[string]any{"value": "canary-given"})
	if text := fmt.Sprint(resp.Data) + m.logs.String(); strings.Contains(text, "canary-") {
		t.Error(text)
	}
	for key, stored := range m.storage.dump(t) {
		if strings.Contains(stored, "canary-given") {
			t.Errorf("%s holds the value that was only planned", key)
		}
	}
	if read := m.read("secrets/s").Data["value"]; read != "canary-stored" {
		t.Errorf("the secret is %v", read)
	}
}

func TestAPlannedWriteThatWouldBeRefusedIsRefused(t *testing.T) {
	m, _ := newMount(t, providertest.LabelMoving())
	m.write("secrets/taken", map[string]any{"value": "1", "destinations": "memory/main"})
	m.write("secrets/s", map[string]any{"value": "1", "destinations": "memory/main"})
	for _, c := range []struct {
		path   string
		params map[string]any
		says   []string
	}{
		{"plan/s", map[string]any{"remote_name": "taken"}, []string{"memory/main", `"taken"`, "taken by secret"}},
		{"plan/s", map[string]any{"remote_name": "no name"}, []string{"memory/main", "remote_name"}},
		{"plan/s", map[string]any{"value": strings.Repeat("x", 40<<10)}, []string{"memory/main", "value"}},
		{"plan/s", map[string]any{"destinations": "memory/none"}, []string{"memory/none"}},
		{"plan/none", nil, []string{"doesn't exist"}},
		{"plan/none", map[string]any{"tags": "a=b"}, []string{"doesn't exist"}},
		{"plan/s", map[string]any{"version": 7}, []string{"version 7"}},
		{"plan/s", map[string]any{"delete": true, "tags": "a=b"}, []string{"delete", "tags"}},
		{"plan", map[string]any{"limit": 1001}, []string{"limit"}},
		{"plan", map[string]any{"destination": "memory/none"}, []string{"memory/none"}},
	} {
		if says := m.refuse(c.path, c.params); !containsAll(says, c.says...) {
			t.Errorf("%s %v: %s", c.path, c.params, says)
		}
	}
}

func TestADeletionAndARollbackArePlanned(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
	m.write("secrets/s", map[string]any{"value": "two"})
	m.awaitSettled()
	region.ResetCalls()
	deletion := replicaPlan(t, m, map[string]any{"delete": true})
	if deletion["change"] != "deleted" || actions(deletion["calls"]) != "disable delete" {
		t.Errorf("%v", deletion)
	}
	back := replicaPlan(t, m, map[string]any{"version": 1})
	if actions(back["calls"]) != "put_version overwrite_version" {
		t.Errorf("%v", back)
	}
	away := replicaPlan(t, m, map[string]any{"destinations": ""})
	if away["change"] != "released" || actions(away["calls"]) != "set_description" {
		t.Errorf("%v", away)
	}
	for _, call := range region.Calls() {
		if providertest.IsWrite(call.Op) {
			t.Errorf("a plan made the call %v", call)
		}
	}
}

func TestAPlanOfManySecretsIsBoundedAndSaysHowToGoOn(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	for i := range 12 {
		m.write(fmt.Sprintf("secrets/team/s%02d", i), map[string]any{"value": "one", "destinations": "memory/main"})
	}
	m.write("secrets/other", map[string]any{"value": "one", "destinations": "memory/main"})
	m.awaitSettled()
	m.write("config", map[string]any{"paused": true})
	for _, i := range []int{1, 6, 11} {
		m.write(fmt.Sprintf("secrets/team/s%02d", i), map[string]any{"value": "two"})
	}
	region.ResetCalls()
	var changed []string
	examined, idle, after := 0, 0, ""
	for pages := 0; ; pages++ {
		resp := m.write("plan", map[string]any{"match": "team/**", "limit": 5, "after": after, "destination": "memory/main"})
		for _, p := range objects(resp.Data["plans"]) {
			changed = append(changed, fmt.Sprint(p["secret"]))
		}
		looked, _ := resp.Data["examined"].(int)
		nothing, _ := resp.Data["idle"].(int)
		examined, idle = examined+looked, idle+nothing
		next, more := resp.Data["next"].(string)
		if cut := len(resp.Warnings) > 0; cut != more {
			t.Errorf("cut %v, warnings %v", more, resp.Warnings)
		}
		if !more {
			if pages != 2 {
				t.Errorf("%d pages", pages+1)
			}
			break
		}
		after = next
	}
	if examined != 12 || idle != 9 || !slices.Equal(changed, []string{"team/s01", "team/s06", "team/s11"}) {
		t.Errorf("examined %d, idle %d, changed %v", examined, idle, changed)
	}
	if region.Count("") != 24 {
		t.Errorf("%d calls", region.Count(""))
	}
}

func TestAPlannedRuleAndDestinationTellTheirCalls(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("rules/all", map[string]any{"match": "team/**", "destinations": "memory/main"})
	for _, name := range []string{"team/a", "team/b", "team/c"} {
		m.kv(name, map[string]any{"n": "1"})
	}
	m.awaitSettled()
	before := fmt.Sprint(m.storage.dump(t))
	for path, params := range map[string]map[string]any{
		"rules/all/plan":                {"tags": "a=b", "calls": true},
		"destinations/memory/main/plan": {"custom_tags": "a=b"},
	} {
		resp := m.write(path, params)
		if resp.Data["calls"] != 3 || strings.Count(fmt.Sprint(resp.Data["text"]), "ChangeTags") != 3 || len(objects(resp.Data["plans"])) != 3 {
			t.Errorf("%s: %v", path, resp.Data)
		}
		params["limit"] = 2
		resp = m.write(path, params)
		if resp.Data["next"] != "team/b" || resp.Data["calls"] != 2 {
			t.Errorf("%s: %v", path, resp.Data)
		}
		params["after"] = "team/b"
		if resp = m.write(path, params); resp.Data["next"] != nil || resp.Data["calls"] != 1 {
			t.Errorf("%s: %v", path, resp.Data)
		}
	}
	resp := m.write("rules/all/plan", map[string]any{"delete": true, "calls": true})
	if strings.Count(fmt.Sprint(resp.Data["text"]), "SetDescription") != 3 {
		t.Errorf("%v", resp.Data)
	}
	if says := m.refuse("rules/all/plan", map[string]any{"delete": true, "tags": "a=b"}); !strings.Contains(says, "tags") {
		t.Error(says)
	}
	if after := fmt.Sprint(m.storage.dump(t)); after != before {
		t.Error("the plans changed the storage")
	}
	for _, call := range region.Calls() {
		if call.Op == providertest.OpChangeTags {
			t.Errorf("a plan made the call %v", call)
		}
	}
}
