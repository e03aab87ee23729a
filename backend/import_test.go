// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// imported runs an import to its end and returns what came of each remote secret.
func (m *mount) imported(destination string, parameters map[string]any) map[string]map[string]any {
	m.t.Helper()
	job := m.runImport(destination, parameters)
	if job["state"] != "done" {
		m.t.Fatalf("the import is %v\n%s", job, m.logs)
	}
	return m.reportOf(job["id"])
}

func (m *mount) runImport(destination string, parameters map[string]any) map[string]any {
	m.t.Helper()
	parameters = maps.Clone(parameters)
	parameters["wait"] = 0
	id, _ := m.write("import/"+destination, parameters).Data["id"].(string)
	return m.awaitImport(id)
}

func (m *mount) awaitImport(id string) map[string]any {
	m.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		job := m.read("jobs/" + id).Data
		if job["state"] != "running" {
			return job
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the job doesn't end: %v\n%s", job, m.logs)
		}
	}
}

// reportOf is a job's report by subject.
func (m *mount) reportOf(job any) map[string]map[string]any {
	m.t.Helper()
	id, _ := job.(string)
	report := map[string]map[string]any{}
	for after := 0; ; {
		page := m.must(logical.ReadOperation, "jobs/"+id, map[string]any{"after": after, "limit": 50}).Data
		items, _ := page["report"].([]any)
		for _, raw := range items {
			item, _ := raw.(map[string]any)
			subject, _ := item["subject"].(string)
			if report[subject] != nil {
				m.t.Errorf("%s is reported twice", subject)
			}
			report[subject] = item
		}
		next, more := page["next"].(int)
		if !more {
			return report
		}
		after = next
	}
}

func results(report map[string]map[string]any) map[string]string {
	all := map[string]string{}
	for subject, item := range report {
		all[subject], _ = item["result"].(string)
	}
	return all
}

func (c emulated) at(name string) emulated {
	c.ref.Name = name
	return c
}

// values are what the versions in the cloud hold, by id.
func (c emulated) values(t *testing.T, name string) map[string]string {
	t.Helper()
	held := map[string]string{}
	for _, v := range c.at(name).stored(t).Versions {
		held[v.ID] = v.Text + string(v.Binary)
	}
	return held
}

// readBy is what a reader gets who reads as before the adoption: by the label, or
// under the id that was the newest.
func (c emulated) readBy(t *testing.T, name, pointer string) string {
	t.Helper()
	for _, v := range c.at(name).stored(t).Versions {
		if v.ID == pointer && strings.HasPrefix(c.destination, "tencent") || slices.Contains(v.Labels, "ACSCurrent") || slices.Contains(v.Labels, "SYSCURRENT") {
			return v.Text + string(v.Binary)
		}
	}
	t.Fatalf("the cloud's secret %s has no current version", name)
	return ""
}

// versions makes versions as a team would have made them, the last one current.
func (k estate) versions(values ...string) []emulator.Version {
	var all []emulator.Version
	for i, value := range values {
		v := emulator.Version{ID: fmt.Sprintf("v%d", i+1), Text: value, Created: time.Now().Add(time.Duration(i-100) * time.Hour)}
		if i == len(values)-1 && k.label != "" {
			v.Labels = []string{k.label}
		}
		all = append(all, v)
	}
	return all
}

func TestAnEstateIsAdoptedWithoutAVersionAndItsHistoryGoesOn(t *testing.T) {
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			values := map[string]string{
				"plain": "swordfish", "canonical": `{"a":"1","n":10.5}`, "spaced": `{"a": "1"}`, "unsorted": `{"b":1,"a":2}`, "list": `[1,2]`, "exact": `{"n":10.50}`, "large": `{"n":12345678901234567890}`,
			}
			for name, value := range values {
				c.seed(t, name, func(s *emulator.Secret) { s.Versions = kinds.versions("old "+name, value) })
			}
			c.seed(t, "bytes", func(s *emulator.Secret) {
				s.Versions = kinds.versions("x")
				s.Versions[0].Text, s.Versions[0].Binary = "", []byte{0, 1, 255}
			})
			c.seed(t, "templated", func(s *emulator.Secret) {
				s.Versions, s.Description = kinds.versions("t"), "uses {{ .Values }} of the chart"
			})
			values["bytes"], values["templated"] = string([]byte{0, 1, 255}), "t"
			before := map[string]map[string]string{}
			for name := range values {
				before[name] = c.values(t, name)
			}
			dry := m.runImport(c.destination, map[string]any{"match": "*", "adopt": true, "dry_run": true, "prefix": "team/"})
			for name := range values {
				if got := m.reportOf(dry["id"])[name]; got["result"] != "adopt" {
					t.Errorf("the dry run has %v of %s", got, name)
				}
			}
			if names := m.must(logical.ListOperation, "metadata/", nil).Data["keys"]; names != nil {
				t.Errorf("after the dry run Vault has %v", names)
			}
			report := m.imported(c.destination, map[string]any{"match": "*", "adopt": true, "prefix": "team/", "guard": dry["id"]})
			for name := range values {
				if report[name]["result"] != "adopted" {
					t.Errorf("%s is %v", name, report[name])
					continue
				}
				if got := c.values(t, name); !maps.Equal(got, before[name]) {
					t.Errorf("the cloud has the versions %v of %s", slices.Sorted(maps.Keys(got)), name)
				}
				text, mark := owner.Split(c.at(name).stored(t).Description)
				if mark.Secret != "team/"+name || text == "" {
					t.Errorf("the description of %s is %q %v", name, text, mark)
				}
				if replica := m.replicaAt("team/"+name, c.destination); replica["state"] != "in_sync" || replica["version"] != uint64(1) {
					t.Errorf("the replica of %s is %v", name, replica)
				}
			}
			wantForms(t, report, map[string]string{"plain": "value", "canonical": "data", "spaced": "value", "unsorted": "value", "exact": "value", "large": "value", "list": "value", "bytes": "binary"})
			if text, _ := owner.Split(c.at("templated").stored(t).Description); text != "uses {{ .Values }} of the chart" {
				t.Errorf("the description became %q", text)
			}
			m.restart() // what the record says must be enough
			for name := range values {
				pointer := detail(report[name], "current_version_id")
				if resp := m.write("secrets/team/"+name, map[string]any{"value": "next " + name}); resp.Data["state"] != "in_sync" {
					t.Errorf("the next write of %s: %v", name, resp.Data)
				}
				if got := c.readBy(t, name, pointer); got != "next "+name {
					t.Errorf("after the next write readers of %s get %q", name, got)
				}
				for id, value := range before[name] {
					if got := c.values(t, name)[id]; got != value && id != pointer {
						t.Errorf("version %s of %s became %q", id, name, got)
					}
				}
			}
		})
	}
}

// detail is one of the details of a result.
func detail(item map[string]any, name string) string {
	details, _ := item["details"].(map[string]any)
	text, _ := details[name].(string)
	return text
}

func wantForms(t *testing.T, report map[string]map[string]any, forms map[string]string) {
	t.Helper()
	for name, form := range forms {
		if got := detail(report[name], "form"); got != form {
			t.Errorf("%s is kept as %v, not as %s", name, got, form)
		}
	}
}

func TestWhatAnImportNeverTakes(t *testing.T) {
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			c.seed(t, "theirs", func(s *emulator.Secret) { s.Description = owner.For("another-mount", "x").Append("") })
			c.seed(t, "managed", func(s *emulator.Secret) { s.Type = kinds.managed })
			c.seed(t, "dying", func(s *emulator.Secret) { s.State, s.DeletionTime = kinds.pending, time.Now().Add(100*time.Hour) })
			c.seed(t, "a_b", func(s *emulator.Secret) { s.Versions = kinds.versions("1") })
			c.seed(t, "a-b", func(s *emulator.Secret) { s.Versions = kinds.versions("2") })
			c.seed(t, "versions", func(s *emulator.Secret) { s.Versions = kinds.versions("3") })
			c.seed(t, "left-out", func(s *emulator.Secret) { s.Versions = kinds.versions("4") })
			m.write("secrets/mine", map[string]any{"value": "v", "destinations": c.destination})
			before := map[string]string{}
			for _, name := range []string{"theirs", "managed", "dying", "a_b", "a-b", "versions", "mine"} {
				before[name] = fmt.Sprint(c.at(name).stored(t))
			}
			report := m.imported(c.destination, map[string]any{
				"match": "*", "exclude": "left-*", "adopt": true, "path_template": `{{ .RemoteName | replace "_" "-" }}`,
			})
			want := map[string]string{
				"theirs": "skipped", "managed": "skipped", "dying": "skipped", "a_b": "refused", "a-b": "refused", "versions": "refused", "mine": "unchanged",
			}
			if got := results(report); !maps.Equal(got, want) {
				t.Errorf("the report is %v", report)
			}
			for name := range before {
				if got := fmt.Sprint(c.at(name).stored(t)); got != before[name] {
					t.Errorf("%s was changed: %s", name, got)
				}
			}
			if keys := m.must(logical.ListOperation, "metadata/", nil).Data["keys"]; fmt.Sprint(keys) != "[mine]" {
				t.Errorf("Vault has %v", keys)
			}
		})
	}
}

func TestWhatChangedSinceTheDryRunIsLeftAlone(t *testing.T) {
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			for _, name := range []string{"same", "rotated"} {
				c.seed(t, name, func(s *emulator.Secret) { s.Versions = kinds.versions("one") })
			}
			dry := m.runImport(c.destination, map[string]any{"match": "*", "adopt": true, "dry_run": true})
			rotated := c.at("rotated").stored(t)
			rotated.Versions[0].Text = "two"
			if err := c.service.Seed(rotated); err != nil {
				t.Skipf("the emulator doesn't take a secret twice: %v", err)
			}
			c.seed(t, "new", func(s *emulator.Secret) { s.Versions = kinds.versions("three") })
			report := m.imported(c.destination, map[string]any{"match": "*", "adopt": true, "guard": dry["id"]})
			if got := results(report); !maps.Equal(got, map[string]string{"same": "adopted", "rotated": "changed", "new": "changed"}) {
				t.Errorf("the report is %v", report)
			}
		})
	}
}

func TestAnImportBringsTheVersionsThatAreWanted(t *testing.T) {
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			c.seed(t, "s", func(s *emulator.Secret) { s.Versions = kinds.versions("one", `{"b":2}`, "three", "four") })
			before := c.values(t, "s")
			report := m.imported(c.destination, map[string]any{"match": "s", "adopt": true, "versions": 3})
			if report["s"]["result"] != "adopted" {
				t.Fatalf("it is %v", report["s"])
			}
			for version, want := range map[int]any{1: map[string]any{"b": "2"}, 2: map[string]any{"value": "three"}, 3: map[string]any{"value": "four"}} {
				got := m.must(logical.ReadOperation, "data/s", map[string]any{"version": version}).Data["data"]
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("version %d is %v", version, got)
				}
			}
			if got := c.values(t, "s"); !maps.Equal(got, before) {
				t.Errorf("the cloud has %v", slices.Sorted(maps.Keys(got)))
			}
			pointer := detail(report["s"], "current_version_id")
			m.remove("data/s") // readers get the version before
			m.awaitSettled()
			if got := c.readBy(t, "s", pointer); got != "three" {
				t.Errorf("without the newest version readers get %q", got)
			}
			m.write("secrets/s", map[string]any{"value": "five"})
			if got := c.readBy(t, "s", pointer); got != "five" {
				t.Errorf("after a write readers get %q", got)
			}
		})
	}
}

func TestASecretThatVaultHasAlready(t *testing.T) {
	tests := map[string]struct {
		parameters map[string]any
		vault      string
		result     string
		inVault    string
		inCloud    string
		marked     bool
	}{
		"with the same value it is marked":                   {map[string]any{"adopt": true}, "cloud's", "adopted", "cloud's", "cloud's", true},
		"with the same value it isn't copied again":          {map[string]any{}, "cloud's", "unchanged", "cloud's", "cloud's", false},
		"with another value it is skipped":                   {map[string]any{"adopt": true}, "vault's", "conflict", "vault's", "cloud's", false},
		"with another value the cloud's can be taken":        {map[string]any{"adopt": true, "on_conflict": "replace"}, "vault's", "adopted", "cloud's", "cloud's", true},
		"with another value Vault's can be sent":             {map[string]any{"adopt": true, "on_conflict": "keep"}, "vault's", "adopted", "vault's", "vault's", true},
		"with another value the cloud's can be copied":       {map[string]any{"on_conflict": "replace"}, "vault's", "imported", "cloud's", "cloud's", false},
		"without adopting, keeping Vault's changes nothing":  {map[string]any{"on_conflict": "keep"}, "vault's", "unchanged", "vault's", "cloud's", false},
		"a dry run changes nothing":                          {map[string]any{"adopt": true, "on_conflict": "replace", "dry_run": true}, "vault's", "adopt", "vault's", "cloud's", false},
		"a dry run of what is the same changes nothing also": {map[string]any{"adopt": true, "dry_run": true}, "cloud's", "adopt", "cloud's", "cloud's", false},
	}
	for cloud, open := range emulatedClouds {
		for name, test := range tests {
			for _, blocked := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s at %s, blocked replica %t", name, cloud, blocked), func(t *testing.T) {
					t.Parallel()
					c, kinds := open(t), estates[cloud]
					m := mountOn(t, c)
					c.seed(t, "s", func(s *emulator.Secret) { s.Versions = kinds.versions("older", "cloud's") })
					setup := map[string]any{"value": test.vault}
					if blocked {
						setup["destinations"] = c.destination
					}
					m.write("secrets/s", setup)
					if blocked {
						replica := m.awaitAt("s", c.destination, "blocked")
						if text := fmt.Sprint(replica["error"]); !strings.Contains(text, "import/"+c.destination) {
							t.Errorf("the blocked replica says %s", text)
						}
					}
					parameters := maps.Clone(test.parameters)
					parameters["match"] = "s"
					report := m.imported(c.destination, parameters)
					if report["s"]["result"] != test.result {
						t.Fatalf("it is %v, want %s\n%s", report["s"], test.result, m.logs)
					}
					if got := m.read("secrets/s").Data["value"]; got != test.inVault {
						t.Errorf("Vault has %v", got)
					}
					if got := c.readBy(t, "s", "v2"); got != test.inCloud {
						t.Errorf("readers in the cloud get %v", got)
					}
					if _, mark := owner.Split(c.at("s").stored(t).Description); mark.IsZero() == test.marked {
						t.Errorf("the mark is %v", mark)
					}
					if test.marked {
						m.write("secrets/s", map[string]any{"value": "next"})
						if got := c.readBy(t, "s", "v2"); got != "next" {
							t.Errorf("after the next write readers in the cloud get %v: %v", got, m.replicaAt("s", c.destination))
						}
					}
				})
			}
		}
	}
}

// awaitAt waits until the replica at a destination is in the state.
func (m *mount) awaitAt(name, destination, state string) map[string]any {
	m.t.Helper()
	until(m.t, name+" is "+state, func() bool { return m.replicaAt(name, destination)["state"] == state })
	return m.replicaAt(name, destination)
}
