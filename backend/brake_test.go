// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// sent writes secrets that a rule sends to the destination, all at once.
func (m *mount) sent(n int) {
	m.t.Helper()
	m.write("config", map[string]any{"default_wait": 0})
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main"})
	for i := range n {
		m.write(fmt.Sprintf("data/s%04d", i), map[string]any{"data": map[string]any{"n": i}})
	}
	m.awaitSettled()
}

// readable counts the secrets that readers at the cloud get.
func readable(region *providertest.Region) int {
	n := 0
	for _, name := range region.Names() {
		if secret, _ := region.Secret(name); secret.State == provider.StateEnabled {
			n++
		}
	}
	return n
}

// awaitCount waits until the status counts as many replicas in the state.
func (m *mount) awaitCount(state string, n int) {
	m.t.Helper()
	until(m.t, fmt.Sprintf("%d replicas %s", n, state), func() bool {
		return m.counted("memory/main")[state] == n && m.read("status").Data["queue_depth"] == 0
	})
}

func TestABadRuleDeletionStopsAtTheLimitAndAllOfItIsRecovered(t *testing.T) {
	for name, model := range clouds {
		t.Run("at "+name, func(t *testing.T) {
			all := 200
			if name == "a cloud with a pointer" {
				all = 2000
			}
			m, region := newMount(t, model())
			m.sent(all)
			m.must(logical.DeleteOperation, "rules/all", map[string]any{"delete": true})
			m.awaitCount("held", all-50)
			if got := readable(region); got != all-50 {
				t.Errorf("%d secrets can still be read", got)
			}
			if got := m.health()["deletions_last_hour"]; got != 50 {
				t.Errorf("%v deletions are counted", got)
			}
			region.ResetCalls()
			m.restart()
			m.awaitCount("held", all-50)
			if got := region.Calls(); len(got) > 0 {
				t.Errorf("%d calls were made for what is held, such as %v", len(got), got[0])
			}
			m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main"})
			m.awaitSettled()
			if got := readable(region); got != all {
				t.Errorf("after the rule was put back %d secrets can be read", got)
			}
			if got := m.counted("memory/main"); got["in_sync"] != all || len(got) != 1 {
				t.Errorf("after the rule was put back they are %v", got)
			}
		})
	}
}

// taking are the ways to take a secret from its readers, and to want it again.
var taking = map[string]struct{ take, back func(m *mount, name string) }{
	"a deletion": {
		func(m *mount, name string) { m.remove("secrets/" + name) },
		func(m *mount, name string) { m.write("data/"+name, map[string]any{"data": map[string]any{"n": 2}}) },
	},
	"a withdrawal": {
		func(m *mount, name string) { m.remove("data/" + name) },
		func(m *mount, name string) { m.write("undelete/"+name, map[string]any{"versions": "1"}) },
	},
}

func TestWhatIsHeldWaitsForAPersonOrForTheSecretToBeWantedAgain(t *testing.T) {
	for name, model := range clouds {
		for what, way := range taking {
			t.Run(what+" at "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, region := newMount(t, model())
					defer func() { m.b.Cleanup(t.Context()) }()
					m.sent(4)
					m.write("destinations/memory/main", map[string]any{"max_deletions_per_hour": 1})
					for i := range 3 {
						way.take(m, fmt.Sprintf("s%04d", i))
						time.Sleep(time.Second)
					}
					held := m.await("s0001", "held")
					if since, _ := held["held_since"].(string); since == "" || held["error"] != nil {
						t.Errorf("it is shown as %v", held)
					}
					if plan, _ := m.write("plan/s0001", nil).Data["text"].(string); !strings.Contains(plan, "release-held/memory/main") {
						t.Errorf("the plan doesn't say that it is held: %s", plan)
					}
					time.Sleep(3 * time.Hour)
					m.write("sync/s0001", nil)
					time.Sleep(time.Second)
					if got := readable(region); got != 3 {
						t.Fatalf("without a person %d secrets are left", got)
					}
					way.back(m, "s0001")
					m.await("s0001", "in_sync")
					if got := m.write("release-held/memory/main", nil).Data["released"]; got != 1 {
						t.Errorf("%v were let go", got)
					}
					time.Sleep(time.Second)
					if got := readable(region); got != 2 {
						t.Errorf("after the release %d secrets can be read", got)
					}
					// The hour begins anew, and what was let go doesn't count.
					way.take(m, "s0001")
					way.take(m, "s0003")
					time.Sleep(time.Minute)
					if got := m.counted("memory/main")["held"]; got != 1 {
						t.Errorf("of two more %d are held", got)
					}
				})
			})
		}
	}
}

func TestTheLimitIsADestinationsOwn(t *testing.T) {
	for limit, want := range map[int]int{0: 3, 1: 2, 2: 1, 3: 0, -1: 0} {
		t.Run(fmt.Sprintf("%d", limit), func(t *testing.T) {
			m, _ := newMount(t, providertest.Overwriting())
			m.sent(3)
			m.write("destinations/memory/main", map[string]any{"max_deletions_per_hour": limit})
			m.must(logical.DeleteOperation, "rules/all", map[string]any{"delete": true})
			until(t, "the end", func() bool {
				n := 0
				for _, count := range m.counted("memory/main") {
					n += count
				}
				return n == want && m.counted("memory/main")["held"] == want
			})
			if got := m.health()["max_deletions_per_hour"]; got != limit {
				t.Errorf("the limit is shown as %v", got)
			}
		})
	}
	m, _ := newMount(t, providertest.Overwriting())
	if got := m.refuse("destinations/memory/main", map[string]any{"max_deletions_per_hour": -2}); !containsAll(got, "max_deletions_per_hour", "-1") {
		t.Errorf("less than -1 is refused with %q", got)
	}
}

func TestADeletionThatIsTriedAgainCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, region := newMount(t, providertest.Overwriting())
		defer func() { m.b.Cleanup(t.Context()) }()
		m.sent(2)
		m.write("destinations/memory/main", map[string]any{"max_deletions_per_hour": 2})
		failures := 0
		region.Before(func(op, _ string) error {
			if op != providertest.OpDelete || failures == 5 {
				return nil
			}
			failures++
			return providertest.Failure(provider.ClassUnavailable)
		})
		m.remove("secrets/s0000")
		time.Sleep(time.Hour / 2)
		m.remove("secrets/s0001")
		time.Sleep(time.Minute)
		if got := m.counted("memory/main"); len(got) > 0 || failures != 5 {
			t.Errorf("after %d failures there is %v", failures, got)
		}
	})
}

func TestADeletionThatCannotBeCountedIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, region := newMount(t, providertest.Overwriting())
		defer func() { m.b.Cleanup(t.Context()) }()
		m.sent(1)
		m.storage.fail(func(operation, key string) error {
			if operation == "put" && key == "brake/memory/main" {
				return errors.New("the disk is full")
			}
			return nil
		})
		m.remove("secrets/s0000")
		time.Sleep(time.Minute)
		if got := readable(region); got != 1 {
			t.Errorf("%d secrets can be read", got)
		}
		m.storage.fail(nil)
		time.Sleep(10 * time.Minute)
		if got := readable(region); got != 0 {
			t.Errorf("when it can be counted %d secrets can be read", got)
		}
	})
}

func TestTheAnswerToADeletionSaysThatItIsHeld(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	m.write("destinations/memory/main", map[string]any{"max_deletions_per_hour": 0})
	resp := m.remove("secrets/x")
	if resp == nil || len(resp.Warnings) != 1 || !containsAll(resp.Warnings[0], "deletion is held", "release-held/memory/main") {
		t.Errorf("the answer is %v", resp)
	}
	if got := m.must(logical.ListOperation, "status/", map[string]any{"state": "held"}).Data["keys"]; fmt.Sprint(got) != "[x]" {
		t.Errorf("listed as held are %v", got)
	}
}
