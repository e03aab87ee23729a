// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// lossyStorage carries out the nth access and says that it failed; with dies set
// nothing works from then on.
type lossyStorage struct {
	logical.Storage
	before bool // it fails without being carried out
	dies   bool
	nth    int64
	seen   atomic.Int64
}

func (s *lossyStorage) struck() bool { return s.seen.Load() >= s.nth }

// access tells whether the access is carried out, and whether it fails.
func (s *lossyStorage) access() (carriedOut bool, err error) {
	n := s.seen.Add(1)
	switch {
	case n < s.nth || n > s.nth && !s.dies:
		return true, nil
	case n > s.nth:
		return false, errDied
	default:
		return !s.before, errDied
	}
}

func (s *lossyStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if _, err := s.access(); err != nil {
		return nil, err
	}
	return s.Storage.Get(ctx, key)
}

func (s *lossyStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	carriedOut, err := s.access()
	if carriedOut {
		err = errors.Join(err, s.Storage.Put(ctx, entry))
	}
	return err
}

func (s *lossyStorage) Delete(ctx context.Context, key string) error {
	carriedOut, err := s.access()
	if carriedOut {
		err = errors.Join(err, s.Storage.Delete(ctx, key))
	}
	return err
}

func (s *lossyStorage) List(ctx context.Context, prefix string) ([]string, error) {
	if _, err := s.access(); err != nil {
		return nil, err
	}
	return s.Storage.List(ctx, prefix)
}

// tampered is a mount with a secret "s" whose second version is current, and whose
// remote somebody else changed in several ways that can be repaired.
func tampered(t *testing.T, model providertest.Model) (*mount, *providertest.Region) {
	t.Helper()
	m, region := newMount(t, model)
	m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main", "tags": "a=b", "description": "d"})
	m.write("secrets/s", map[string]any{"value": "two"})
	m.awaitSettled()
	s, _ := region.Secret("s")
	s.Tags = map[string]string{"a": "theirs", "foreign": "1"}
	s.Description = "theirs " + markOf(s.Description)
	if model.Abilities.Switches {
		s.State = provider.StateDisabled
	}
	for i := range s.Versions {
		s.Versions[i].Labels = nil
	}
	if model.Labels {
		s.Versions[0].Labels = []string{providertest.LabelCurrent}
	}
	region.Seed(s)
	return m, region
}

// wantRepaired wants the remote of "s" to be as Vault made it, and no version of it
// twice.
func wantRepaired(t *testing.T, m *mount, region *providertest.Region) {
	t.Helper()
	s, _ := region.Secret("s")
	if got := current(t, region, "s"); got != "two" || s.Tags["a"] != "b" || s.Tags["foreign"] != "1" || s.Description[:2] != "d " {
		t.Errorf("readers get %q, tags %v, description %q", got, s.Tags, s.Description)
	}
	held := map[string]string{}
	for _, v := range s.Versions {
		if v.ID == "SSM_Current" {
			continue
		}
		if other, twice := held[v.Value.Reveal()]; twice {
			t.Errorf("versions %s and %s hold the same value", other, v.ID)
		}
		held[v.Value.Reveal()] = v.ID
	}
	if replica := m.replica("s"); replica["state"] != "in_sync" || replica["drift"] != nil {
		t.Errorf("the status is %v", replica)
	}
}

// A repair that is broken off anywhere is ended by asking again, and doubles
// nothing.
func TestARepairIsBrokenOffAtAnyStorageAccessAndEndedByTheNext(t *testing.T) {
	ways := map[string]lossyStorage{
		"fails":                      {before: true},
		"is carried out and fails":   {},
		"is the last before a death": {dies: true},
		"dies before":                {dies: true, before: true},
	}
	for name, model := range clouds {
		for way := range ways {
			t.Run("an access "+way+" at "+name, func(t *testing.T) {
				t.Parallel()
				for n := int64(1); ; n++ {
					m, region := tampered(t, model())
					lossy := &lossyStorage{Storage: m.storage.Storage, nth: n, before: ways[way].before, dies: ways[way].dies}
					m.storage.Storage = lossy
					_, _ = m.do(logical.UpdateOperation, "verify/s", map[string]any{"repair": true, "wait": 1})
					m.b.Cleanup(context.Background())
					struck := lossy.struck()
					m.storage.Storage = lossy.Storage
					m.start()
					m.write("verify/s", map[string]any{"repair": true, "wait": 30})
					m.awaitSettled()
					if wantRepaired(t, m, region); t.Failed() {
						t.Fatalf("with access %d\n%s", n, m.logs)
					}
					m.b.Cleanup(context.Background())
					if !struck {
						return
					}
				}
			})
		}
	}
}

func TestARepairIsBrokenOffAtAnyRemoteCallAndEndsByItself(t *testing.T) {
	ways := map[string]func(r *providertest.Region, hook providertest.Hook){
		"has no effect":  (*providertest.Region).Before,
		"has its effect": (*providertest.Region).After,
	}
	for name, model := range clouds {
		for way, install := range ways {
			t.Run("a call "+way+" and gets no answer at "+name, func(t *testing.T) {
				t.Parallel()
				for n := int64(1); ; n++ {
					m, region := tampered(t, model())
					var seen atomic.Int64
					install(region, func(string, string) error {
						if seen.Add(1) == n {
							return providertest.LostAnswer()
						}
						return nil
					})
					m.write("verify/s", map[string]any{"repair": true, "wait": 30})
					struck := seen.Load() >= n
					install(region, nil)
					if replica := m.replica("s"); replica["drift"] == nil && replica["state"] != "in_sync" || n <= 2 {
						m.write("verify/s", map[string]any{"repair": true, "wait": 30}) // it could not be looked at
					}
					m.awaitSettled()
					if wantRepaired(t, m, region); t.Failed() {
						t.Fatalf("with call %d: %v\n%s", n, region.Calls(), m.logs)
					}
					m.b.Cleanup(context.Background())
					if !struck {
						return
					}
				}
			})
		}
	}
}

// Nothing is changed at the cloud where nobody asked for it, whatever goes wrong.
func TestAReportChangesNothingAtTheCloudWhateverAccessFails(t *testing.T) {
	for name, model := range clouds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); ; n++ {
				m, region := tampered(t, model())
				before, _ := region.Secret("s")
				lossy := &lossyStorage{Storage: m.storage.Storage, nth: n}
				m.storage.Storage = lossy
				_, _ = m.do(logical.UpdateOperation, "verify/s", map[string]any{"values": true})
				struck := lossy.struck()
				m.storage.Storage = lossy.Storage
				m.restart()
				if got := m.verify("s", map[string]any{"values": true}); got.Data["result"] != "drifted" {
					t.Errorf("with access %d: afterwards it is %v", n, got.Data)
				}
				m.restart()
				until(t, "the end of the start", func() bool { return !busy(m) })
				if after, _ := region.Secret("s"); fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", before) {
					t.Errorf("with access %d the cloud has\n%+v\nand had\n%+v", n, after, before)
				}
				if state := m.replica("s")["state"]; state != "drifted" {
					t.Errorf("with access %d it is %v", n, state)
				}
				m.b.Cleanup(context.Background())
				if t.Failed() {
					t.Fatal(m.logs)
				}
				if !struck {
					return
				}
			}
		})
	}
}

func TestDriftOverAPausedMountIsReportedAndItsRepairWaits(t *testing.T) {
	m, region := tampered(t, providertest.Overwriting())
	m.write("config", map[string]any{"paused": true})
	if got := m.verify("s", map[string]any{"repair": true, "wait": 0}); got.Data["result"] != "repairing" {
		t.Fatalf("during the pause it is %v", got.Data)
	}
	if calls := region.Calls(); slices.ContainsFunc(calls, func(c providertest.Call) bool { return c.Op == providertest.OpEnable }) {
		t.Errorf("during the pause it was repaired: %v", calls)
	}
	m.write("config", map[string]any{"paused": false})
	m.awaitSettled()
	wantRepaired(t, m, region)
}
