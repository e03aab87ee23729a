// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// awaitStatus reads the status of x in the background, waiting for it.
func (m *mount) awaitStatus(ctx context.Context, seconds int) <-chan string {
	answer := make(chan string, 1)
	go func() {
		req := &logical.Request{Operation: logical.ReadOperation, Path: "status/x", Data: map[string]any{"wait": seconds}, Storage: m.storage}
		resp, err := m.b.HandleRequest(ctx, req)
		if err != nil || resp.IsError() {
			answer <- fmt.Sprintf("%v %v", resp.Error(), err)
			return
		}
		state, _ := resp.Data["state"].(string)
		answer <- state
	}()
	return answer
}

const anHour = 3600

func TestTheStatusWaitsForReplicas(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(m *mount, region *providertest.Region)
		during  func(m *mount, hold *providertest.Hold, answer <-chan string)
		seconds int
		want    string
	}{
		{
			name: "until they are in sync",
			during: func(m *mount, hold *providertest.Hold, answer <-chan string) {
				for range 30 {
					yield()
				}
				if len(answer) > 0 {
					m.t.Error("it answered while the call was under way")
				}
				hold.Release()
			},
			seconds: anHour, want: "in_sync",
		},
		{
			name: "until they can't go on by themselves",
			prepare: func(_ *mount, region *providertest.Region) {
				region.Before(providertest.Always(providertest.OpCreate, providertest.Failure(provider.ClassPermission)))
			},
			during:  func(_ *mount, hold *providertest.Hold, _ <-chan string) { hold.Release() },
			seconds: anHour, want: "blocked",
		},
		{name: "until the time is over", seconds: 1, want: "pending"},
		{name: "not at all without a time", seconds: 0, want: "pending"},
		{
			name:    "not beyond the pause of the mount",
			prepare: func(m *mount, _ *providertest.Region) { m.write("config", map[string]any{"paused": true}) },
			seconds: anHour, want: "paused",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			hold := region.Hold(providertest.OpCreate, "x")
			t.Cleanup(hold.Release)
			if test.prepare != nil {
				test.prepare(m, region)
			}
			m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
			answer := m.awaitStatus(t.Context(), test.seconds)
			if test.during != nil {
				test.during(m, hold, answer)
			}
			if got := <-answer; got != test.want {
				t.Errorf("the state is %q", got)
			}
		})
	}
}

func TestEndingTheWaitForAStatusDoesNotEndTheReplication(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	hold := region.Hold(providertest.OpCreate, "x")
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
	<-hold.Reached()
	ctx, cancel := context.WithCancel(t.Context())
	answer := m.awaitStatus(ctx, anHour)
	cancel()
	<-answer
	hold.Release()
	m.await("x", "in_sync")
	if got := region.Count(providertest.OpCreate); got != 1 {
		t.Errorf("the secret was made %d times", got)
	}
}

func TestALookThatFindsNothingNewStoresNoRecord(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	look := func(endpoint string) {
		region.ResetCalls()
		m.write("destinations/memory/main", map[string]any{"endpoint": endpoint})
		until(t, "the look", func() bool { return region.Count(providertest.OpDescribe) > 0 })
		m.awaitSettled()
	}
	look("https://one.example") // it may find more than a creation tells
	var stored atomic.Int64
	m.storage.fail(func(operation, key string) error {
		if operation == "put" && strings.HasPrefix(key, "secret/") {
			stored.Add(1)
		}
		return nil
	})
	// The calls have other ids than the last time.
	region.Before(providertest.Once(providertest.OpDescribe, providertest.Failure(provider.ClassThrottled)))
	look("https://two.example")
	if ids, _ := m.replica("x")["request_ids"].([]string); len(ids) == 0 {
		t.Error("the status has no request ids")
	}
	if got := stored.Load(); got > 0 {
		t.Errorf("the record was stored %d times, for the ids of the calls alone", got)
	}
}

func TestTheStatusHasTheRequestIDsOfTheLastCalls(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	ids := func() []string {
		ids, _ := m.replica("x")["request_ids"].([]string)
		return ids
	}
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	if got := ids(); !slices.Equal(got, []string{"memory", "memory"}) {
		t.Errorf("after a creation of two calls they are %v", got)
	}
	puts := 0
	m.storage.fail(func(operation, _ string) error {
		if operation == "put" {
			puts++
		}
		return nil
	})
	m.write("sync/x", nil)
	m.awaitSettled()
	if got := ids(); len(got) != 2 {
		t.Errorf("after a sync without a call they are %v", got)
	}
	m.storage.fail(nil)
	if puts > 1 {
		t.Errorf("a sync without a call stored %d times, which the mark alone needs", puts)
	}
	m.restart()
	if got := ids(); len(got) != 2 {
		t.Errorf("after a restart they are %v", got)
	}
	region.Before(providertest.Always(providertest.OpPutVersion, providertest.Failure(provider.ClassPermission)))
	m.write("secrets/x", map[string]any{"value": "two"})
	if got := ids(); !slices.Equal(got, []string{"memory", "memory", "test"}) {
		t.Errorf("after a refused call, the first since a restart, they are %v", got)
	}
	if failure, _ := m.replica("x")["error"].(map[string]any); failure["request_id"] != "test" {
		t.Errorf("the failure is %v", failure)
	}
}

// counted are the replicas in GET status by state at a destination.
func (m *mount) counted(ref string) map[string]int {
	m.t.Helper()
	destinations, _ := m.read("status").Data["destinations"].(map[string]any)
	counts, _ := destinations[ref].(map[string]any)
	byState := map[string]int{}
	for state, n := range counts {
		byState[state], _ = n.(int)
	}
	return byState
}

func TestTheCountsAddUpWhateverHappens(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	second := map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s"}
	m.write("destinations/memory/two", second)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same operations each time
	var broken atomic.Bool
	var accesses atomic.Int64
	m.storage.fail(func(operation, key string) error {
		if broken.Load() && operation != "get" && accesses.Add(1)%3 == 0 {
			if operation == "delete" && strings.HasPrefix(key, "claim/") {
				_ = m.storage.Storage.Delete(context.Background(), key) // it fails after its effect
			}
			return fmt.Errorf("%s %s: injected by the test", operation, key)
		}
		return nil
	})
	names := []string{"a", "b", "c", "d", "e", "f"}
	for range 60 {
		m.write("config", map[string]any{"default_wait": 30}) // one change after the other
		name := names[random.IntN(len(names))]
		broken.Store(random.IntN(4) == 0)
		switch random.IntN(6) {
		case 0, 1:
			_, _ = m.do(logical.UpdateOperation, "secrets/"+name, map[string]any{"value": "v", "destinations": "memory/main,memory/two"})
		case 2:
			_, _ = m.do(logical.UpdateOperation, "secrets/"+name, map[string]any{"destinations": "memory/two"})
		case 3:
			_, _ = m.do(logical.DeleteOperation, "secrets/"+name, nil)
		case 4:
			_, _ = m.do(logical.UpdateOperation, "secrets/"+name, map[string]any{"remote_name": "other-" + name})
		case 5:
			_, _ = m.do(logical.DeleteOperation, "destinations/memory/two", map[string]any{"force": true})
			broken.Store(false)
			m.write("destinations/memory/two", second)
		}
		broken.Store(false)
		for _, ref := range []string{"memory/main", "memory/two"} {
			until(t, "the counts of "+ref+" to be those of its claims", func() bool {
				claims, err := m.storage.List(t.Context(), "claim/"+ref+"/")
				sum := 0
				for _, n := range m.counted(ref) {
					sum += n
				}
				return err == nil && sum == len(claims)
			})
		}
	}
}

func TestCountingReplicasListsThemOnce(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	m.restart()
	lists := 0
	m.storage.fail(func(operation, key string) error {
		if operation == "list" && key == "claim/memory/main/" {
			lists++
		}
		return nil
	})
	for i := range 5 {
		m.write(fmt.Sprintf("secrets/s%d", i), map[string]any{"value": "one", "destinations": "memory/main"})
		if got := m.counted("memory/main"); got["in_sync"] != i+2 {
			t.Errorf("after %d more secrets it is %v", i+1, got)
		}
	}
	m.storage.fail(nil)
	if lists != 1 {
		t.Errorf("they were listed %d times", lists)
	}
}

func TestAReplicaIsCountedByWhatIsDoneWithIt(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("config", map[string]any{"default_wait": 0})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	m.await("x", "in_sync")
	reached, refuse := make(chan struct{}), make(chan struct{})
	var once sync.Once
	region.Before(func(op, _ string) error {
		if op != providertest.OpDelete {
			return nil
		}
		once.Do(func() { close(reached) })
		<-refuse
		return providertest.Failure(provider.ClassPermission)
	})
	m.remove("secrets/x")
	<-reached
	if got := m.counted("memory/main"); got["deleting"] != 1 || len(got) != 1 {
		t.Errorf("while it is deleted it is %v", got)
	}
	close(refuse)
	m.await("x", "blocked")
	if got := m.counted("memory/main"); got["blocked"] != 1 || len(got) != 1 {
		t.Errorf("when that is refused it is %v", got)
	}
	m.write("config", map[string]any{"paused": true})
	m.restart()
	until(t, "the mark to be taken up", func() bool { return m.counted("memory/main")["paused"] == 1 })
}

func TestOldWorkIsNotTheAgeOfANewChange(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	// Its mark stays until the version expires.
	m.write("metadata/x", map[string]any{"delete_version_after": "24h"})
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	if got := m.read("status/x").Data["pending_since"]; got != "" {
		t.Errorf("in sync, it is pending since %v", got)
	}
	first := m.replica("x")["last_sync"]
	hold := region.Hold(providertest.OpPutVersion, "x")
	m.write("secrets/x", map[string]any{"value": "two", "wait": 0})
	<-hold.Reached()
	since, _ := m.read("status").Data["oldest_pending_since"].(string)
	if last, _ := first.(string); since <= last {
		t.Errorf("it was in sync at %s and is pending since %s", last, since)
	}
	hold.Release()
	m.await("x", "in_sync")
}
