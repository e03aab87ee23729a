// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// setBack restores storage as it was when dumped, under a new process.
func (m *mount) setBack(snapshot map[string]string) {
	m.t.Helper()
	m.b.Cleanup(context.Background())
	restored := &logical.InmemStorage{}
	for key, value := range snapshot {
		if err := restored.Put(context.Background(), &logical.StorageEntry{Key: key, Value: []byte(value)}); err != nil {
			m.t.Fatal(err)
		}
	}
	m.storage.Storage = restored
	m.start()
}

// held is everything that a region holds.
func held(region *providertest.Region) map[string]providertest.Stored {
	all := map[string]providertest.Stored{}
	for _, name := range region.Names() {
		all[name], _ = region.Secret(name)
	}
	return all
}

// services are clouds of each kind, and what of a destination makes it one.
var services = []struct {
	name     string
	model    providertest.Model
	settings map[string]any
}{
	{"a pointer and a history", providertest.Overwriting(), nil},
	{"a pointer alone", providertest.Overwriting(), map[string]any{"version_history": false}},
	{"labels and our ids", providertest.LabelMoving(), nil},
	{"labels and the service's ids", providertest.IDAssigning(), nil},
}

// aheadMount has five secrets whose remotes are a version ahead of its storage.
func aheadMount(t *testing.T, model providertest.Model, settings map[string]any) (*mount, *providertest.Region, []string) {
	t.Helper()
	m, region := newMount(t, model)
	if settings != nil {
		m.write("destinations/memory/main", settings)
	}
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		m.write("secrets/"+name, map[string]any{"value": "old " + name, "destinations": "memory/main"})
		m.write("secrets/"+name, map[string]any{"value": "newer " + name})
		m.await(name, "in_sync")
	}
	m.awaitSettled()
	snapshot := m.storage.dump(t)
	for _, name := range names {
		m.write("secrets/"+name, map[string]any{"value": "lost " + name})
		m.await(name, "in_sync")
	}
	m.awaitSettled()
	m.setBack(snapshot)
	return m, region, names
}

func TestNothingIsOverwrittenAfterARestore(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			m, region, names := aheadMount(t, service.model, service.settings)
			before := held(region)
			for i, name := range names {
				resp := m.write("secrets/"+name, map[string]any{"value": "written after the restore", "wait": 2})
				if warnings := strings.Join(resp.Warnings, "\n"); i == 0 && (!strings.Contains(warnings, "take=vault") || !strings.Contains(warnings, "class conflict")) {
					t.Errorf("the warnings don't say what to do: %s", warnings)
				}
				m.write("secrets/"+name, map[string]any{"value": "and once more", "wait": 0})
			}
			m.awaitPause()
			m.remove("secrets/a")
			m.write("sync/b", nil)
			status := m.read("status").Data
			if reason, _ := status["pause_reason"].(string); !strings.Contains(reason, "snapshot") {
				t.Errorf("the mount is paused: %v, because of %q\n%s", status["paused"], reason, m.logs)
			}
			m.restart() // and what is undecided stays so
			for _, name := range names[1:] {
				m.write("secrets/"+name, map[string]any{"value": "and again", "wait": 0})
			}
			m.write("resume", nil) // without a decision
			m.await("b", "blocked")
			m.await("c", "blocked")
			m.write("sync/b", nil) // what is known already is no news
			if after := held(region); !reflect.DeepEqual(before, after) {
				for name := range after {
					if !reflect.DeepEqual(before[name], after[name]) {
						t.Errorf("the remote %s was changed from %v to %v", name, before[name], after[name])
					}
				}
			}
		})
	}
}

func TestSomebodyDecidesAfterARestore(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			m, region, _ := aheadMount(t, service.model, service.settings)
			m.write("secrets/a", map[string]any{"value": "from vault", "wait": 2})
			m.await("a", "blocked")

			m.write("resume/a", map[string]any{"take": "vault"})
			m.await("a", "in_sync")
			if got := current(t, region, "a"); got != "from vault" {
				t.Errorf("readers get %q, want Vault's value", got)
			}

			versions := len(versionIDs(region, "b"))
			resp := m.write("resume/b", map[string]any{"take": "remote"})
			m.await("b", "in_sync")
			if got := m.read("secrets/b").Data; got["value"] != "lost b" || resp.Data["version"] != uint64(3) {
				t.Errorf("Vault has %v, and the answer is %v", got["value"], resp.Data)
			}
			if got := versionIDs(region, "b"); len(got) != versions || current(t, region, "b") != "lost b" {
				t.Errorf("taking the remote's value changed the remote: %v", got)
			}
			for _, name := range []string{"a", "b"} {
				m.write("secrets/"+name, map[string]any{"value": "next"})
				m.await(name, "in_sync")
				if got := current(t, region, name); got != "next" {
					t.Errorf("%s: readers get %q after the next write", name, got)
				}
			}
			m.awaitSettled()
		})
	}
}

func TestAJobDecidesAboutAllSecrets(t *testing.T) {
	for _, take := range []string{"vault", "remote"} {
		for _, service := range services {
			t.Run(take+" wins with "+service.name, func(t *testing.T) {
				m, region, names := aheadMount(t, service.model, service.settings)
				m.write("secrets/new", map[string]any{"value": "new", "destinations": "memory/main"})
				for _, name := range names[:4] {
					m.write("secrets/"+name, map[string]any{"value": "after", "wait": 2})
				}
				m.awaitPause()
				id, _ := m.write("resume", map[string]any{"take": take}).Data["job"].(string)
				job := m.awaitJob(id)
				if counts, _ := job["counts"].(map[string]any); job["state"] != "done" || fmt.Sprint(counts["taken"]) != "5" {
					t.Errorf("the job is %v with %v: %v", job["state"], job["counts"], job["report"])
				}
				m.awaitSettled()
				if paused, _ := m.read("status").Data["paused"].(bool); paused {
					t.Error("the mount is still paused")
				}
				for i, name := range names {
					want := "lost " + name
					switch {
					case take == "vault" && i < 4:
						want = "after"
					case take == "vault":
						want = "newer " + name
					}
					if got, value := current(t, region, name), m.read("secrets/" + name).Data["value"]; got != want || value != want {
						t.Errorf("%s: readers get %q and Vault has %q, want %q", name, got, value, want)
					}
				}
			})
		}
	}
}

func TestARestartIsNoRestore(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			m, region := newMount(t, service.model)
			if service.settings != nil {
				m.write("destinations/memory/main", service.settings)
			}
			for round := range 3 {
				value := fmt.Sprint("value ", round)
				m.write("secrets/x", map[string]any{"value": value, "destinations": "memory/main"})
				m.await("x", "in_sync")
				m.awaitSettled()
				m.restart()
				region.ResetCalls()
				m.write("secrets/x", map[string]any{"value": value})
				m.awaitSettled()
				if calls := region.Calls(); len(calls) > 0 {
					t.Errorf("writing the same again after a restart made the calls %v", calls)
				}
			}
			m.remove("secrets/x")
			m.awaitSettled()
			m.restart()
			m.write("secrets/x", map[string]any{"value": "another life", "destinations": "memory/main"})
			m.await("x", "in_sync")
			if got := current(t, region, "x"); got != "another life" {
				t.Errorf("readers get %q", got)
			}
		})
	}
}

func TestADecisionThatCannotBe(t *testing.T) {
	m, _, _ := aheadMount(t, providertest.LabelMoving(), nil)
	for path, parameters := range map[string]map[string]any{
		"resume/a":      {"take": "both"},
		"resume/b":      {},
		"resume/absent": {"take": "vault"},
		"resume":        {"match": "a"},
	} {
		if text := m.refuse(path, parameters); !slices.ContainsFunc([]string{"vault", "status/absent"}, func(part string) bool { return strings.Contains(text, part) }) {
			t.Errorf("%s with %v is refused with %q", path, parameters, text)
		}
	}
}

// awaitPause waits until the mount pauses itself.
func (m *mount) awaitPause() {
	m.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for paused := false; !paused; paused, _ = m.read("status").Data["paused"].(bool) {
		if time.Now().After(deadline) {
			m.t.Fatalf("the mount doesn't pause itself\n%s", m.logs)
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitJob waits for the end of a job and returns it.
func (m *mount) awaitJob(id string) map[string]any {
	m.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		job := m.read("jobs/" + id).Data
		if job["state"] != "running" {
			return job
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the job goes on and on: %v\n%s", job, m.logs)
		}
		time.Sleep(time.Millisecond)
	}
}

// writtenElsewhere lets another cluster write a version to the remote secret.
func writtenElsewhere(t *testing.T, region *providertest.Region, name, value string) {
	t.Helper()
	s, found := region.Secret(name)
	if !found {
		t.Fatalf("there is no remote secret %s", name)
	}
	next := providertest.StoredVersion{Version: provider.Version{ID: "v7"}, Value: provider.Text(value)}
	for i, v := range s.Versions {
		if v.ID == "SSM_Current" {
			s.Versions[i].Value = next.Value
		} else if slices.Contains(v.Labels, providertest.LabelCurrent) {
			next.Labels, s.Versions[i].Labels = v.Labels, nil
		}
	}
	s.Versions = append(s.Versions, next)
	region.Seed(s)
}

func TestSomebodyDecidesAboutWhatAVerificationFoundAhead(t *testing.T) {
	for name, model := range map[string]providertest.Model{"a pointer": providertest.Overwriting(), "labels": providertest.LabelMoving()} {
		for take, want := range map[string]string{"vault": "ours", "remote": "theirs"} {
			t.Run(take+" wins with "+name, func(t *testing.T) {
				m, region := newMount(t, model)
				m.write("secrets/a", map[string]any{"value": "ours", "destinations": "memory/main"})
				m.await("a", "in_sync")
				m.awaitSettled()
				writtenElsewhere(t, region, "a", "theirs")
				if got := m.write("verify/a", nil).Data["result"]; got != "drifted" {
					t.Fatalf("the verification says %v", got)
				}
				m.write("resume/a", map[string]any{"take": take})
				m.await("a", "in_sync")
				if got, value := current(t, region, "a"), m.read("secrets/a").Data["value"]; got != want || value != want {
					t.Errorf("readers get %q and Vault has %q, want %q", got, value, want)
				}
				m.write("secrets/a", map[string]any{"value": "next"})
				m.await("a", "in_sync")
				m.awaitSettled()
				if got := current(t, region, "a"); got != "next" {
					t.Errorf("readers get %q after the next write", got)
				}
				if got := m.write("verify/a", nil).Data["result"]; got != "in_sync" {
					t.Errorf("afterwards the verification says %v", got)
				}
			})
		}
	}
}

func TestNoValueIsTakenFromWhatIsNotOurs(t *testing.T) {
	m, region, _ := aheadMount(t, providertest.LabelMoving(), nil)
	m.write("secrets/a", map[string]any{"value": "after", "wait": 2})
	m.await("a", "blocked")
	theirs, _ := region.Secret("a")
	theirs.Description = "somebody else's"
	region.Seed(theirs)
	if text := m.refuse("resume/a", map[string]any{"take": "remote"}); !strings.Contains(text, "import/memory/main") {
		t.Errorf("the refusal doesn't say what to do: %s", text)
	}
	if got := m.read("secrets/a").Data["value"]; got != "after" {
		t.Errorf("Vault has %v", got)
	}
}

func TestADecisionAboutWhatWasDeletedAtTheCloudMeanwhile(t *testing.T) {
	for _, service := range services {
		t.Run(service.name, func(t *testing.T) {
			m, region, _ := aheadMount(t, service.model, service.settings)
			m.write("secrets/a", map[string]any{"value": "after", "wait": 2})
			m.await("a", "blocked")
			region.Remove("a")
			if text := m.refuse("resume/a", map[string]any{"take": "remote"}); !strings.Contains(text, "take=vault") {
				t.Errorf("the refusal doesn't say what to do: %s", text)
			}
			m.write("resume/a", map[string]any{"take": "vault"})
			m.await("a", "in_sync")
			if got := current(t, region, "a"); got != "after" {
				t.Errorf("readers get %q", got)
			}
		})
	}
}

func TestTheRemotesOfSeveralKeysAreTakenAtOnce(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("destinations/memory/main", map[string]any{"granularity": "secret-key"})
	version := func(text string) map[string]any {
		return map[string]any{"a": text + " a", "b": text + " b", "c": "constant"}
	}
	m.write("secrets/s", map[string]any{"data": version("old"), "destinations": "memory/main"})
	m.awaitSettled()
	snapshot := m.storage.dump(t)
	m.write("secrets/s", map[string]any{"data": version("lost")})
	m.awaitSettled()
	m.setBack(snapshot)
	before := held(region)
	m.write("resume/s", map[string]any{"take": "remote"})
	m.awaitSettled()
	if got := m.read("secrets/s").Data["data"]; !reflect.DeepEqual(got, version("lost")) {
		t.Errorf("Vault has %v", got)
	}
	if got := held(region); !reflect.DeepEqual(got, before) {
		t.Errorf("taking the remotes' values changed the remotes from %v to %v", before, got)
	}
}
