// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestAnOlderVersionComesBackInTheFormItWasWrittenIn(t *testing.T) {
	for cloud, model := range clouds {
		ways := map[string]func(m *mount){
			"by deleting the newer one": func(m *mount) { m.remove("data/x") },
			"by a rollback":             func(m *mount) { m.write("rollback/x", map[string]any{"version": 1}) },
		}
		for way, back := range ways {
			t.Run(way+" at "+cloud, func(t *testing.T) {
				m, region := newMount(t, model())
				m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
				m.write("secrets/x", map[string]any{"data": map[string]any{"value": "two"}})
				if got := current(t, region, "x"); got != `{"value":"two"}` {
					t.Errorf("readers get %q", got)
				}
				before := len(versionIDs(region, "x"))
				back(m)
				m.awaitSettled()
				if got := current(t, region, "x"); got != "one" {
					t.Errorf("readers get %q", got)
				}
				if way == "by deleting the newer one" && len(versionIDs(region, "x")) != before {
					t.Errorf("it made a version: %v", versionIDs(region, "x"))
				}
				if data := m.read("secrets/x/versions/1").Data; data["value"] != "one" {
					t.Errorf("it is read as %v", data)
				}
			})
		}
	}
}

// dieAfterCreate stops the mount without it noticing that a creation came
// through, and starts it again while its marks can't be taken up.
func dieAfterCreate(t *testing.T, m *mount, region *providertest.Region) (takeUp func()) {
	t.Helper()
	var made atomic.Bool
	region.After(func(op, _ string) error {
		if op == providertest.OpCreate {
			made.Store(true)
		}
		return nil
	})
	m.storage.fail(func(operation, _ string) error {
		if made.Load() && operation != "get" {
			return errDied
		}
		return nil
	})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
	until(t, "the creation", made.Load)
	until(t, "its failed saving", func() bool { return strings.Contains(m.logs.String(), "replication failed") })
	m.b.Cleanup(context.Background())
	region.After(nil)
	var ready atomic.Bool
	m.storage.fail(func(operation, key string) error {
		if operation == "list" && key == "pending/" && !ready.Load() {
			return errDied
		}
		return nil
	})
	m.start()
	return func() { ready.Store(true) }
}

func TestAReplicaThatMayHaveBeenMadeBeforeACrashIsGivenUpWhenItIsRenamed(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	takeUp := dieAfterCreate(t, m, region)
	m.write("secrets/x", map[string]any{"value": "two", "remote_name": "y", "wait": 0})
	takeUp()
	m.awaitSettled()
	if got := current(t, region, "y"); got != "two" {
		t.Errorf("readers get %q", got)
	}
	if former, there := region.Secret("x"); !there || strings.Contains(former.Description, "[vault-cloudsync") {
		t.Errorf("the one that was made before the crash is left as %+v", former)
	}
}

func TestASecretDeletedAndMadeAnewAfterACrashGetsIDsOfItsOwn(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("config", map[string]any{"default_wait": 0})
	takeUp := dieAfterCreate(t, m, region)
	m.write("config", map[string]any{"paused": true})
	m.remove("secrets/x")
	m.write("secrets/x", map[string]any{"value": "anew", "destinations": "memory/main"})
	m.write("config", map[string]any{"paused": false})
	takeUp()
	m.await("x", "in_sync")
	if got := current(t, region, "x"); got != "anew" {
		t.Errorf("readers get %q", got)
	}
	secret, _ := region.Secret("x")
	if v, found := secret.Version("v1"); found && v.Value.Reveal() != "one" {
		t.Errorf("v1 came back with %q", v.Value.Reveal())
	}
}

func TestADestinationThatWasTakenAwayIsNotWaitedFor(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("destinations/memory/two", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s"})
	region.Seed(providertest.Stored{Secret: provider.Secret{Name: "x", Description: "theirs"}})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main,memory/two"})
	m.write("secrets/x", map[string]any{"destinations": "memory/main"})
	until(t, "the release", func() bool { return m.replicaAt("x", "memory/two") == nil })
	destinations, _ := m.read("status").Data["destinations"].(map[string]any)
	if counts, _ := destinations["memory/two"].(map[string]any); len(counts) > 0 {
		t.Errorf("a destination without replicas has %v", counts)
	}
}

func TestADestinationThatIsWantedAgainDuringItsReleaseIsMarkedAgain(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	hold := region.Hold(providertest.OpSetDescription, "x")
	m.write("secrets/x", map[string]any{"destinations": "", "wait": 0})
	<-hold.Reached()
	m.write("secrets/x", map[string]any{"destinations": "memory/main", "wait": 0})
	hold.Release()
	m.await("x", "in_sync")
	m.awaitSettled()
	if secret, _ := region.Secret("x"); !strings.Contains(secret.Description, "[vault-cloudsync ") {
		t.Errorf("description %q", secret.Description)
	}
}

func TestRefusedCredentialsAreNotTriedForEverySecret(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("config", map[string]any{"default_wait": 0})
	region.Accept("id", "another")
	for i := range 40 {
		m.write(fmt.Sprintf("secrets/s%d", i), map[string]any{"value": "x", "destinations": "memory/main"})
	}
	for i := range 40 {
		m.await(fmt.Sprintf("s%d", i), "blocked")
	}
	// Calls that were under way at the same time can't be taken back.
	if calls := region.Count(""); calls > 8 {
		t.Errorf("the refused key was tried %d times", calls)
	}
	m.write("destinations/memory/main", map[string]any{"access_key_secret": "another"})
	for i := range 40 {
		m.await(fmt.Sprintf("s%d", i), "in_sync")
	}
}

func TestTagsOfALostAnswerAreTakenAwayAgain(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("config", map[string]any{"default_wait": 0})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 5})
	region.After(providertest.Once(providertest.OpChangeTags, providertest.LostAnswer()))
	hold := region.Hold(providertest.OpDescribe, "x")
	m.write("secrets/x", map[string]any{"tags": map[string]any{"owner": "me"}})
	<-hold.Reached() // the look after the lost answer
	m.write("secrets/x", map[string]any{"tags": map[string]any{}})
	hold.Release()
	m.awaitSettled()
	if secret, _ := region.Secret("x"); len(secret.Tags) > 0 {
		t.Errorf("tags %v", secret.Tags)
	}
}

func TestAVersionThatExpiresIsWithdrawn(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("metadata/x", map[string]any{"delete_version_after": "2s"})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	if state := m.replica("x")["state"]; state != "in_sync" {
		t.Errorf("it is %v", state)
	}
	m.restart()
	m.await("x", "withdrawn")
	m.awaitSettled()
	if secret, _ := region.Secret("x"); secret.State != provider.StateDisabled {
		t.Errorf("the remote is %s", secret.State)
	}
}

func TestWhatIsRememberedOfVersionsDoesNotGrow(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("secrets/x", map[string]any{"value": "0", "destinations": "memory/main"})
	for i := range 30 {
		m.write("secrets/x", map[string]any{"value": fmt.Sprint(i + 1)})
	}
	versions, _ := m.replica("x")["versions"].(map[string]any)
	if held := versionIDs(region, "x"); len(versions) != len(held) {
		t.Errorf("%d versions are remembered, the cloud holds %v", len(versions), held)
	}
}

func TestADestinationThatComesBackTakesItsReplicaBack(t *testing.T) {
	tests := map[string]struct {
		meanwhile func(region *providertest.Region)
		want      string
	}{
		"if nobody touched it": {func(*providertest.Region) {}, "in_sync"},
		"not if somebody wrote a description": {func(region *providertest.Region) {
			secret, _ := region.Secret("x")
			secret.Description = "mine now"
			region.Seed(secret)
		}, "blocked"},
		"not if somebody added a version": {func(region *providertest.Region) {
			secret, _ := region.Secret("x")
			secret.Versions = append(secret.Versions, providertest.StoredVersion{Version: provider.Version{ID: "theirs"}, Value: provider.Text("theirs")})
			region.Seed(secret)
		}, "blocked"},
	}
	for cloud, model := range clouds {
		for name, test := range tests {
			t.Run(name+", at "+cloud, func(t *testing.T) {
				m, region := newMount(t, model())
				m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
				if resp := m.write("secrets/x", map[string]any{"destinations": ""}); len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "taken away") {
					t.Errorf("warnings %q", resp.Warnings)
				}
				m.awaitSettled()
				m.write("secrets/x", map[string]any{"value": "two"})
				test.meanwhile(region)
				before := len(versionIDs(region, "x"))
				m.write("secrets/x", map[string]any{"destinations": "memory/main"})
				m.await("x", test.want)
				if test.want == "in_sync" {
					if got := current(t, region, "x"); got != "two" {
						t.Errorf("readers get %q", got)
					}
				} else if len(versionIDs(region, "x")) != before {
					t.Errorf("it was changed: %v", versionIDs(region, "x"))
				}
			})
		}
	}
}
