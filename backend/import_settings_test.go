// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func TestAFullSecretAtTencentIsAdoptedOnlyWithVersionsThatMayGo(t *testing.T) {
	c, kinds := emulatedClouds["Tencent"](t), estates["Tencent"]
	m := mountOn(t, c)
	var values []string
	for i := range 10 {
		values = append(values, fmt.Sprintf("value %d", i+1))
	}
	c.seed(t, "full", func(s *emulator.Secret) { s.Versions = kinds.versions(values...) })
	report := m.imported(c.destination, map[string]any{"match": "full", "adopt": true})
	if report["full"]["result"] != "refused" || !strings.Contains(fmt.Sprint(report["full"]), "10 versions") {
		t.Errorf("without room it is %v", report["full"])
	}
	report = m.imported(c.destination, map[string]any{"match": "full", "adopt": true, "versions": 10})
	if report["full"]["result"] != "adopted" {
		t.Fatalf("it is %v", report["full"])
	}
	m.write("secrets/full", map[string]any{"value": "next"})
	if got := c.readBy(t, "full", "v10"); got != "next" {
		t.Errorf("readers get %q: %v", got, m.replicaAt("full", c.destination))
	}
	held := c.values(t, "full")
	if _, oldest := held["v1"]; oldest || len(held) != 10 {
		t.Errorf("the cloud has %v", slices.Sorted(maps.Keys(held)))
	}
	m.write("rollback/full", map[string]any{"version": 2})
	if got := c.readBy(t, "full", "v10"); got != "value 2" {
		t.Errorf("rolled back, readers get %q", got)
	}
}

// What rules and the destination ask for doesn't change what is adopted.
func TestAnAdoptionChangesNothingButTheMark(t *testing.T) {
	tests := map[string]struct {
		destination, rule map[string]any
		result            string
	}{
		"with another KMS key":              {map[string]any{"kms_key_id": emulator.ExampleKMSKeyID}, nil, "adopted"},
		"with a format":                     {map[string]any{"format": "json"}, nil, "adopted"},
		"with a template of names":          {map[string]any{"secret_name_template": "x-{{ .SecretPath }}"}, nil, "adopted"},
		"with a description":                {nil, map[string]any{"description": "by the rule"}, "adopted"},
		"with a rule that sends it there":   {nil, map[string]any{}, "adopted"},
		"with paths that aren't allowed":    {map[string]any{"allowed_paths": "other/*"}, nil, "refused"},
		"with a replica of each key":        {nil, map[string]any{"granularity": "secret-key"}, "refused"},
		"with a key of the data sent alone": {map[string]any{"value_key": "password", "format": "raw"}, nil, "refused"},
	}
	for cloud, open := range emulatedClouds {
		for what, test := range tests {
			t.Run(what+" at "+cloud, func(t *testing.T) {
				t.Parallel()
				c, kinds := open(t), estates[cloud]
				m := mountOn(t, c)
				c.seed(t, "s", func(s *emulator.Secret) { s.Versions = kinds.versions("one") })
				if test.destination != nil {
					m.write("destinations/"+c.destination, test.destination)
				}
				if test.rule != nil {
					test.rule = maps.Clone(test.rule)
					test.rule["match"], test.rule["destinations"] = "s", c.destination
					m.write("rules/r", test.rule)
				}
				before := c.at("s").stored(t)
				report := m.imported(c.destination, map[string]any{"match": "s", "adopt": true})
				if report["s"]["result"] != test.result {
					t.Fatalf("it is %v", report["s"])
				}
				if test.result == "adopted" {
					m.write("sync/s", nil)
				}
				m.awaitSettled()
				after := c.at("s").stored(t)
				if test.result == "adopted" != (after.Description != before.Description) {
					t.Errorf("the description is %q", after.Description)
				}
				after.Description = before.Description
				if fmt.Sprint(after) != fmt.Sprint(before) {
					t.Errorf("it became %+v", after)
				}
			})
		}
	}
}

func TestJobsAreListedCancelledAndRemoved(t *testing.T) {
	c := emulatedClouds["Tencent"](t)
	m := mountOn(t, c)
	for i := range 60 {
		c.seed(t, fmt.Sprintf("s%02d", i), nil)
	}
	first := m.runImport(c.destination, map[string]any{"match": "s00", "dry_run": true})
	m.write("config", map[string]any{"paused": true})
	id := fmt.Sprint(m.write("import/"+c.destination, map[string]any{"match": "*", "adopt": true, "wait": 0}).Data["id"])
	until(t, "it waits for the end of the pause", func() bool { return m.read("jobs/" + id).Data["waiting"] == "pause" })
	listed := m.must(logical.ListOperation, "jobs/", nil).Data
	if keys, _ := listed["keys"].([]string); !slices.Equal(keys, []string{id, fmt.Sprint(first["id"])}) {
		t.Errorf("listed are %v", keys)
	}
	if resp, err := m.do(logical.DeleteOperation, "jobs/"+id, nil); err == nil || !resp.IsError() {
		t.Errorf("a running job was removed: %v, %v", resp, err)
	}
	m.write("jobs/"+id+"/cancel", nil)
	job := m.awaitImport(id)
	if job["state"] != "cancelled" || job["by"] != "tester" || job["request_id"] != "test-request" {
		t.Errorf("the job is %v", job)
	}
	m.remove("jobs/" + id)
	if resp, err := m.do(logical.ReadOperation, "jobs/"+id, nil); err != nil || resp != nil {
		t.Errorf("a removed job is %v, %v", resp, err)
	}
	if text := m.refuse("jobs/"+id+"/cancel", nil); !strings.Contains(text, "there is no job "+id) {
		t.Errorf("cancelling a removed job: %s", text)
	}
	if got := c.service.Core().Calls.Count("UpdateDescription"); got != 0 {
		t.Errorf("%d secrets were marked", got)
	}
}

func TestABlockedReplicaSaysUnderWhichNameItIsTakenOver(t *testing.T) {
	c := emulatedClouds["Tencent"](t)
	m := mountOn(t, c)
	c.seed(t, "team_db", nil)
	m.write("secrets/team/db", map[string]any{"value": "one", "destinations": c.destination})
	replica := m.awaitAt("team/db", c.destination, "blocked")
	if text := fmt.Sprint(replica["error"]); !strings.Contains(text, "match=team_db adopt=true path_template=team/db") {
		t.Errorf("the blocked replica says %s", text)
	}
	report := m.imported(c.destination, map[string]any{"match": "team_db", "adopt": true, "path_template": "team/db", "on_conflict": "keep"})
	if report["team_db"]["result"] != "adopted" {
		t.Errorf("taken over as it says it is %v", report)
	}
	m.awaitAt("team/db", c.destination, "in_sync")
}
