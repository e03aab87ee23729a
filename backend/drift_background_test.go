// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// diary is when each secret was looked at.
type diary struct {
	mu    sync.Mutex
	looks map[string][]time.Time
}

// watch notes the looks at a region from now on.
func watch(region *providertest.Region) *diary {
	d := &diary{looks: map[string][]time.Time{}}
	region.Before(func(op, name string) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if op == providertest.OpDescribe {
			d.looks[name] = append(d.looks[name], time.Now())
		}
		return nil
	})
	return d
}

// byName are the times of the looks at each remote secret.
func (d *diary) byName() map[string][]time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.looks)
}

// all are the times of all looks, in order.
func (d *diary) all() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []time.Time
	for _, times := range d.looks {
		all = append(all, times...)
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// most is how many looks there were within any hour.
func (d *diary) most() int {
	all, most := d.all(), 0
	for i := range all {
		n := 0
		for _, at := range all[i:] {
			if at.Sub(all[i]) < time.Hour {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// inBackground mounts a destination with n secrets that were in sync for a while,
// in fake time.
func inBackground(t *testing.T, n int, settings map[string]any, test func(t *testing.T, m *mount, region *providertest.Region)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, region := newMount(t, providertest.Overwriting())
		defer func() { m.b.Cleanup(t.Context()) }()
		if settings != nil {
			m.write("destinations/memory/main", settings)
		}
		m.sent(n)
		region.ResetCalls()
		test(t, m, region)
	})
}

func TestInTheBackgroundEachReplicaIsLookedAtWithinTheBudgetAndNothingIsWritten(t *testing.T) {
	inBackground(t, 130, map[string]any{"verifications_per_hour": 60}, func(t *testing.T, m *mount, region *providertest.Region) {
		seen := watch(region)
		var mu sync.Mutex
		writes := map[string]int{}
		m.storage.fail(func(operation, key string) error {
			mu.Lock()
			defer mu.Unlock()
			if operation == "put" || operation == "delete" {
				writes[key]++
			}
			return nil
		})
		time.Sleep(time.Hour - time.Minute)
		if got := seen.all(); len(got) > 0 {
			t.Errorf("what was in sync for less than an hour was looked at %d times", len(got))
		}
		time.Sleep(4 * time.Hour)
		if len(seen.byName()) != 130 {
			t.Errorf("%d of 130 were looked at", len(seen.byName()))
		}
		if got := seen.most(); got > 61 {
			t.Errorf("within an hour there were %d looks", got)
		}
		for name, times := range seen.byName() {
			for i := range times[1:] {
				if gap := times[i+1].Sub(times[i]); gap < time.Hour {
					t.Errorf("%s was looked at again after %s", name, gap)
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for key, n := range writes {
			if key != "verification/memory/main" || n > 5 {
				t.Errorf("%s was written %d times", key, n)
			}
		}
		m.storage.fail(nil)
		if at := m.replica("s0000")["last_verification"]; at == "" {
			t.Error("the status doesn't say when it was looked at")
		}
	})
}

func TestNothingIsLookedAtInTheBackgroundWhereThatIsNotWanted(t *testing.T) {
	for name, set := range map[string]func(m *mount){
		"with a budget of none": func(m *mount) { m.write("destinations/memory/main", map[string]any{"verifications_per_hour": 0}) },
		"while the mount is paused": func(m *mount) {
			m.write("config", map[string]any{"paused": true})
		},
		"while the destination is paused":   func(m *mount) { m.write("destinations/memory/main", map[string]any{"paused": true}) },
		"while the destination is disabled": func(m *mount) { m.write("destinations/memory/main", map[string]any{"disabled": true}) },
		"where the destination ignores drift": func(m *mount) {
			m.write("destinations/memory/main", map[string]any{"drift_action": "ignore"})
		},
		"where a rule ignores drift": func(m *mount) { m.write("rules/all", map[string]any{"drift_action": "ignore"}) },
		"where each secret ignores drift": func(m *mount) {
			for i := range 3 {
				m.write(fmt.Sprintf("secrets/s%04d", i), map[string]any{"drift_action": "ignore"})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBackground(t, 3, map[string]any{"verifications_per_hour": 600}, func(t *testing.T, m *mount, region *providertest.Region) {
				set(m)
				time.Sleep(time.Minute)
				seen := watch(region)
				time.Sleep(5 * time.Hour)
				if got := seen.all(); len(got) > 0 {
					t.Errorf("there were %d looks", len(got))
				}
			})
		})
	}
}

func TestAChangedBudgetCountsSoon(t *testing.T) {
	inBackground(t, 30, map[string]any{"verifications_per_hour": 0}, func(t *testing.T, m *mount, region *providertest.Region) {
		time.Sleep(2 * time.Hour)
		seen := watch(region)
		m.write("destinations/memory/main", map[string]any{"verifications_per_hour": 3600})
		time.Sleep(3 * time.Minute)
		if len(seen.byName()) != 30 {
			t.Errorf("%d of 30 were looked at", len(seen.byName()))
		}
	})
}

func TestARoundGoesOnAfterARestart(t *testing.T) {
	inBackground(t, 200, map[string]any{"verifications_per_hour": 60}, func(t *testing.T, m *mount, region *providertest.Region) {
		time.Sleep(time.Hour)
		seen := watch(region)
		for range 6 { // never long enough for a whole round
			time.Sleep(90 * time.Minute)
			m.restart()
		}
		if len(seen.byName()) != 200 {
			t.Errorf("%d of 200 were looked at", len(seen.byName()))
		}
	})
}

func TestInTheBackgroundDriftIsTreatedAsItsActionSays(t *testing.T) {
	change := func(region *providertest.Region) {
		s, _ := region.Secret("s0001")
		s.State = provider.StateDisabled
		region.Seed(s)
	}
	for action, want := range map[string]struct {
		state, remote string
	}{
		"report": {"drifted", "disabled"}, "repair": {"in_sync", "enabled"}, "ignore": {"in_sync", "disabled"},
	} {
		for level, set := range map[string]func(m *mount){
			"the destination": func(m *mount) { m.write("destinations/memory/main", map[string]any{"drift_action": action}) },
			"a rule":          func(m *mount) { m.write("rules/all", map[string]any{"drift_action": action}) },
			"the secret": func(m *mount) {
				m.write("destinations/memory/main", map[string]any{"drift_action": "ignore"})
				m.write("secrets/s0001", map[string]any{"drift_action": action})
			},
		} {
			t.Run(action+", set on "+level, func(t *testing.T) {
				inBackground(t, 3, nil, func(t *testing.T, m *mount, region *providertest.Region) {
					set(m)
					time.Sleep(2 * time.Hour)
					change(region)
					time.Sleep(3 * time.Hour)
					secret, _ := region.Secret("s0001")
					if got := m.replica("s0001")["state"]; got != want.state || string(secret.State) != want.remote {
						t.Errorf("it is %v, and the remote is %s", got, secret.State)
					}
				})
			})
		}
	}
}

func TestAnotherActionCountsForWhatHasDrifted(t *testing.T) {
	for action, want := range map[string]struct{ state, remote string }{
		"repair": {"in_sync", "enabled"}, "ignore": {"in_sync", "disabled"}, "report": {"drifted", "disabled"},
	} {
		t.Run(action, func(t *testing.T) {
			inBackground(t, 3, nil, func(t *testing.T, m *mount, region *providertest.Region) {
				s, _ := region.Secret("s0001")
				s.State = provider.StateDisabled
				region.Seed(s)
				if got := m.verify("s0001", nil).Data["result"]; got != "drifted" {
					t.Fatalf("it is %v", got)
				}
				m.write("rules/all", map[string]any{"drift_action": action})
				time.Sleep(time.Minute)
				secret, _ := region.Secret("s0001")
				if got := m.replica("s0001")["state"]; got != want.state || string(secret.State) != want.remote {
					t.Errorf("it is %v, and the remote is %s", got, secret.State)
				}
			})
		})
	}
}

func TestDriftThatIsMadeUndoneByHandIsForgotten(t *testing.T) {
	inBackground(t, 2, nil, func(t *testing.T, m *mount, region *providertest.Region) {
		before, _ := region.Secret("s0001")
		changed := before
		changed.Description = "theirs"
		region.Seed(changed)
		m.verify("s0001", map[string]any{"values": true})
		m.await("s0001", "drifted")
		region.Seed(before)
		time.Sleep(3 * time.Hour)
		if replica := m.replica("s0001"); replica["state"] != "in_sync" || replica["drift"] != nil {
			t.Errorf("it is %v", replica)
		}
		m.awaitSettled()
	})
}

func TestADestinationThatIsAwayIsNotLookedAtAgainAndAgain(t *testing.T) {
	inBackground(t, 50, map[string]any{"verifications_per_hour": 3600}, func(t *testing.T, m *mount, region *providertest.Region) {
		time.Sleep(time.Hour)
		var calls atomic.Int64
		region.Before(func(string, string) error {
			calls.Add(1)
			return providertest.Failure(provider.ClassUnavailable)
		})
		time.Sleep(time.Hour)
		if n := calls.Load(); n == 0 || n > 3700/5 {
			t.Errorf("within an hour %d calls were made", n)
		}
		if states, _ := m.read("status").Data["states"].(map[string]int); states["in_sync"] != 50 {
			t.Error("what can't be looked at isn't in sync any more")
		}
		seen := watch(region)
		time.Sleep(10 * time.Minute)
		if len(seen.byName()) != 50 {
			t.Errorf("when it is back %d of 50 are looked at", len(seen.byName()))
		}
	})
}

// A refused permission for tags or values leaves the rest to be compared.
func TestWhatMayNotBeReadIsNamedAndTheRestCompared(t *testing.T) {
	for name, model := range clouds {
		t.Run(name, func(t *testing.T) {
			m, region := newMount(t, model())
			m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
			m.awaitSettled()
			region.Before(providertest.Always(providertest.OpRead, providertest.Failure(provider.ClassPermission)))
			got := m.verify("s", map[string]any{"values": true})
			notes, _ := dig(got.Data["replicas"].([]any)[0], "not_compared").([]string)
			if got.Data["result"] != "in_sync" || len(notes) != 1 || !strings.HasPrefix(notes[0], "values: ") {
				t.Errorf("it is %v", got.Data)
			}
			region.Before(providertest.Always(providertest.OpDescribe, providertest.Failure(provider.ClassPermission)))
			got = m.verify("s", nil)
			if class := dig(got.Data["replicas"].([]any)[0], "error", "class"); got.Data["result"] != "failed" || class != "permission" { //nolint:forcetypeassert,errcheck // as above
				t.Errorf("without any permission it is %v", got.Data)
			}
			if state := m.replica("s")["state"]; state != "in_sync" {
				t.Errorf("a refused look makes it %v", state)
			}
		})
	}
}
