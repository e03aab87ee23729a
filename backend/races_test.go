// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// until waits for a condition, and fails only after a long time.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); yield() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestARetriedConvergenceThatIsHeldUpDoesNotEndALaterWrite(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	hold := region.Hold(providertest.OpCreate, "x")
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
	<-hold.Reached()
	m.write("secrets/x", map[string]any{"value": "two", "wait": 0})
	hold.Release()
	m.awaitSettled()
	if got := current(t, region, "x"); got != "two" {
		t.Errorf("readers get %q, and no mark is left", got)
	}
}

func TestAReplicaThatIsRenamedWhileItIsMadeIsGivenUpAfterwards(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	hold := region.Hold(providertest.OpCreate, "x")
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
	<-hold.Reached()
	m.write("secrets/x", map[string]any{"remote_name": "other", "wait": 0})
	hold.Release()
	m.awaitSettled()
	if got := current(t, region, "other"); got != "one" {
		t.Errorf("readers get %q", got)
	}
	if former, _ := region.Secret("x"); strings.Contains(former.Description, "[vault-cloudsync") || former.State != provider.StateEnabled {
		t.Errorf("the former one is left as %+v", former)
	}
}

func TestABlockedReplicaWhoseNameWasTakenCanBeRenamed(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	region.Seed(providertest.Stored{Secret: provider.Secret{Name: "x", Description: "theirs"}})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	m.await("x", "blocked")
	m.write("secrets/x", map[string]any{"remote_name": "x2"})
	m.await("x", "in_sync")
	if got := current(t, region, "x2"); got != "one" {
		t.Errorf("readers get %q", got)
	}
}

// Whatever a step sends was read from Vault, also when the plan comes as a
// surprise.
func TestWhatIsMadeAnewHoldsTheValue(t *testing.T) {
	tests := map[string]func(m *mount, region *providertest.Region){
		"a pointer under another id": func(m *mount, _ *providertest.Region) {
			m.write("destinations/memory/main", map[string]any{"current_version_id": "Current2"})
		},
		"a remote that is gone when the description changes": func(m *mount, region *providertest.Region) {
			region.Remove("x")
			m.write("secrets/x", map[string]any{"description": "new"})
		},
		"a withdrawn remote that is gone when it comes back": func(m *mount, region *providertest.Region) {
			m.remove("data/x")
			m.awaitSettled()
			region.Remove("x")
			m.write("undelete/x", map[string]any{"versions": "1"})
		},
		"another format whose first sending is throttled": func(m *mount, region *providertest.Region) {
			region.Before(providertest.Once(providertest.OpOverwrite, providertest.Failure(provider.ClassThrottled)))
			m.write("secrets/x", map[string]any{"format": "json"})
			m.awaitSettled()
			m.write("secrets/x", map[string]any{"format": "raw"})
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
			change(m, region)
			until(t, "the end", func() bool { return m.pending() == 0 && m.replica("x")["state"] == "in_sync" && !sweeping(m) })
			secret, _ := region.Secret("x")
			for _, v := range secret.Versions {
				if v.Value.Reveal() != "one" {
					t.Errorf("%s holds %q", v.ID, v.Value.Reveal())
				}
			}
			pointer := "SSM_Current"
			if strings.HasPrefix(name, "a pointer") {
				pointer = "Current2"
			}
			if _, found := secret.Version(pointer); !found {
				t.Errorf("there is no %s, only %v", pointer, versionIDs(region, "x"))
			}
		})
	}
}

// sweeping tells whether a destination's replicas are still to be looked through.
func sweeping(m *mount) bool {
	for key, stored := range m.storage.dump(m.t) {
		if strings.HasPrefix(key, "destination/") && strings.Contains(stored, `"sweep"`) {
			return true
		}
	}
	return false
}

func TestAVaultThatWasSetBackDoesNotOverwriteItsOwnNumbers(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	snapshot := m.storage.dump(t)
	m.write("secrets/x", map[string]any{"value": "two"})
	m.b.Cleanup(context.Background())
	m.storage.Storage = &logical.InmemStorage{}
	for key, value := range snapshot {
		if err := m.storage.Put(context.Background(), &logical.StorageEntry{Key: key, Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	m.start()
	m.write("secrets/x", map[string]any{"value": "another two", "wait": 0})
	replica := m.await("x", "blocked")
	if failure, _ := replica["error"].(map[string]any); failure["class"] != "conflict" {
		t.Errorf("error %v", failure)
	}
	if got := current(t, region, "x"); got != "two" {
		t.Errorf("readers get %q", got)
	}
}

func TestAStartThatStumblesTakesUpEverything(t *testing.T) {
	stumbles := map[string]func(m *mount) func(operation, key string) error{
		"the destination can't be read at first": func(*mount) func(string, string) error {
			var n atomic.Int32
			return func(operation, key string) error {
				if operation == "get" && strings.HasPrefix(key, "destination/") && n.Add(1) == 1 {
					return errDied
				}
				return nil
			}
		},
		"one mark is unreadable": func(m *mount) func(string, string) error {
			_ = m.storage.Put(context.Background(), &logical.StorageEntry{Key: "pending/0000", Value: []byte("{")})
			return nil
		},
		"the marks can't be listed at first": func(*mount) func(string, string) error {
			var n atomic.Int32
			return func(operation, key string) error {
				if operation == "list" && key == "pending/" && n.Add(1) == 1 {
					return errDied
				}
				return nil
			}
		},
	}
	for name, stumble := range stumbles {
		t.Run(name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			region.Before(providertest.Always("", providertest.Failure(provider.ClassUnavailable)))
			m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
			m.b.Cleanup(context.Background())
			region.Before(nil)
			m.storage.fail(stumble(m))
			m.start()
			m.await("x", "in_sync")
			if got := current(t, region, "x"); got != "one" {
				t.Errorf("readers get %q", got)
			}
		})
	}
}

func TestForgettingOneDestinationLeavesTheWorkOfAnother(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("destinations/memory/two", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s"})
	region.Before(providertest.Always("", providertest.Failure(provider.ClassUnavailable)))
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main,memory/two", "wait": 0})
	m.b.Cleanup(context.Background())
	var readable atomic.Bool
	m.storage.fail(func(operation, key string) error {
		if operation == "list" && key == "pending/" && !readable.Load() {
			return errDied // nothing can be taken up yet
		}
		return nil
	})
	m.start()
	m.must(logical.DeleteOperation, "destinations/memory/two", map[string]any{"force": true})
	region.Before(nil)
	readable.Store(true)
	m.await("x", "in_sync")
	if got := current(t, region, "x"); got != "one" {
		t.Errorf("readers get %q", got)
	}
}

func TestAMarkIsStoredAgainAfterItsRemovalFailedHalfway(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	var failed atomic.Bool
	m.storage.fail(func(operation, key string) error {
		if operation == "delete" && strings.HasPrefix(key, "pending/") && failed.CompareAndSwap(false, true) {
			return errors.Join(errDied, m.storage.Storage.Delete(context.Background(), key))
		}
		return nil
	})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
	until(t, "the failed removal", failed.Load)
	until(t, "its report", func() bool { return strings.Contains(m.logs.String(), "remove marks of finished work") })
	hold := region.Hold("", "")
	defer hold.Release()
	m.write("secrets/x", map[string]any{"value": "two", "wait": 0})
	if m.pending() != 1 {
		t.Error("the second write is outstanding and has no mark")
	}
}

func TestSecretsWithoutDestinationsLeaveNoMarks(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("data/a", map[string]any{"data": map[string]any{"k": "v"}})
	m.write("secrets/b", map[string]any{"value": "v"})
	m.write("secrets/b", map[string]any{"description": "d"})
	m.remove("secrets/b")
	m.write("metadata/c", map[string]any{"cas_required": true})
	if says := m.refuse("secrets/c", map[string]any{"value": "v", "destinations": "memory/main"}); !strings.Contains(says, "check-and-set") {
		t.Error(says)
	}
	m.awaitSettled()
	for key := range m.storage.dump(t) {
		for _, kind := range []string{"pending/", "claim/", "secret/"} {
			if strings.HasPrefix(key, kind) {
				t.Errorf("%s is left in storage", key)
			}
		}
	}
	if since := m.read("status").Data["oldest_pending_since"]; since != "" {
		t.Errorf("something is outstanding since %v", since)
	}
}

func TestADestroyedValueLeavesTheCloud(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	m.write("destroy/x", map[string]any{"versions": "1"})
	m.await("x", "withdrawn")
	if ids := versionIDs(region, "x"); len(ids) > 0 {
		t.Errorf("the cloud still holds %v", ids)
	}
	m.write("secrets/x", map[string]any{"value": "two"})
	m.await("x", "in_sync")
	if got := current(t, region, "x"); got != "two" {
		t.Errorf("readers get %q", got)
	}
}

func TestEqualContentMakesNoRemoteVersion(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"data": map[string]any{"a": "1", "b": "2"}, "destinations": "memory/main"})
	region.ResetCalls()
	resp := m.write("secrets/x", map[string]any{"data": map[string]any{"b": "2", "a": "1"}})
	if resp.Data["version"] != uint64(2) || resp.Data["state"] != "in_sync" {
		t.Errorf("answer %v", resp.Data)
	}
	if calls := region.Calls(); len(calls) > 0 {
		t.Errorf("calls %v", calls)
	}
	if version := m.replica("x")["version"]; version != uint64(2) {
		t.Errorf("version %v is served", version)
	}
}

func TestACreationWhoseAnswerWasLostLeavesNoFalseNote(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	region.After(providertest.Once(providertest.OpCreate, providertest.LostAnswer()))
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "tags": map[string]any{"a": "b"}, "kms_key_id": "k"})
	if notes := m.await("x", "in_sync")["notes"]; notes != nil {
		t.Errorf("notes %v", notes)
	}
}
