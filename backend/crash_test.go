// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

var errDied = errors.New("the storage is gone")

// operationsUnderFault are what is interrupted at every storage access and every
// remote call in turn. Each begins with the secret "s" at version 1, "one".
var operationsUnderFault = map[string]func(m *mount) (*logical.Response, error){
	"a new secret": func(m *mount) (*logical.Response, error) {
		return m.do(logical.UpdateOperation, "secrets/new", map[string]any{"value": "new", "destinations": "memory/main", "wait": 0})
	},
	"a new version": func(m *mount) (*logical.Response, error) {
		return m.do(logical.UpdateOperation, "secrets/s", map[string]any{"value": "two", "wait": 0})
	},
	"a new version with settings": func(m *mount) (*logical.Response, error) {
		return m.do(logical.UpdateOperation, "secrets/s", map[string]any{"value": "two", "description": "changed", "wait": 0})
	},
	"a version through data/": func(m *mount) (*logical.Response, error) {
		return m.do(logical.UpdateOperation, "data/s", map[string]any{"data": map[string]any{"value": "two"}})
	},
	"a deleted version": func(m *mount) (*logical.Response, error) { return m.do(logical.DeleteOperation, "data/s", nil) },
	"a deleted secret":  func(m *mount) (*logical.Response, error) { return m.do(logical.DeleteOperation, "secrets/s", nil) },
	"a destination taken away": func(m *mount) (*logical.Response, error) {
		return m.do(logical.UpdateOperation, "secrets/s", map[string]any{"destinations": "", "wait": 0})
	},
	"a deletion and a new beginning": func(m *mount) (*logical.Response, error) {
		if resp, err := m.do(logical.DeleteOperation, "metadata/s", nil); err != nil || resp.IsError() {
			return resp, err
		}
		return m.do(logical.UpdateOperation, "secrets/s", map[string]any{"value": "anew", "destinations": "memory/main", "wait": 0})
	},
}

// agree fails the test unless every replica is what Vault's own state says it
// should be. It is the whole promise, and knows nothing of how it is kept.
func agree(t *testing.T, m *mount, region *providertest.Region) {
	t.Helper()
	m.awaitSettled()
	for _, name := range []string{"s", "new"} {
		resp, err := m.do(logical.ReadOperation, "secrets/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		secret, there := region.Secret(name)
		ours := there && strings.Contains(secret.Description, "[vault-cloudsync ")
		settings := map[string]any{}
		if resp != nil {
			settings, _ = resp.Data["settings"].(map[string]any)
		}
		wanted := settings["destinations"] != nil
		deleted := resp != nil && resp.Data[logical.HTTPStatusCode] != nil
		switch {
		case resp == nil || !deleted && !wanted:
			if ours && secret.State == provider.StateEnabled {
				t.Errorf("%s isn't wanted, but its replica is there, marked and readable", name)
			}
		case deleted:
			if there && secret.State == provider.StateEnabled {
				t.Errorf("%s has no live version, but its replica can be read", name)
			}
		default:
			if got := current(t, region, name); got != resp.Data["value"] {
				t.Errorf("%s: readers get %q, Vault has %v", name, got, resp.Data["value"])
			}
			if state := m.replica(name)["state"]; state != "in_sync" {
				t.Errorf("%s is %v", name, state)
			}
		}
		for i, v := range secret.Versions {
			for _, other := range secret.Versions[:i] {
				if v.ID != "SSM_Current" && other.ID != "SSM_Current" && v.Value.Equal(other.Value) {
					t.Errorf("%s: versions %s and %s hold the same value", name, other.ID, v.ID)
				}
			}
		}
	}
	m.noLeftovers()
}

// noLeftovers fails the test if storage holds claims of replicas that don't
// exist and can't be taken over.
func (m *mount) noLeftovers() {
	m.t.Helper()
	for _, name := range []string{"s", "new"} {
		probe := fmt.Sprintf("probe-%s", name)
		if replica := m.replica(name); replica != nil {
			continue
		}
		resp, err := m.do(logical.UpdateOperation, "secrets/"+probe, map[string]any{"value": "p", "destinations": "memory/main", "remote_name": name, "wait": 0})
		if err != nil {
			m.t.Errorf("the remote name %s isn't free: %v %v", name, resp, err)
		}
	}
}

// clouds are the kinds of services that there are.
var clouds = map[string]func() providertest.Model{
	"a cloud with a pointer":   providertest.Overwriting,
	"a cloud with labels":      providertest.LabelMoving,
	"a cloud that assigns ids": providertest.IDAssigning,
}

func begin(t *testing.T, model providertest.Model) (*mount, *providertest.Region) {
	t.Helper()
	m, region := newMount(t, model)
	m.write("config", map[string]any{"default_wait": 0})
	m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main", "wait": 5})
	m.awaitSettled()
	return m, region
}

// Each storage access of an operation, its background work included, is the
// last one before the machine dies; after the restart everything must agree.
func TestADeathAtAnyStorageAccessLosesNothing(t *testing.T) {
	for name, operation := range operationsUnderFault {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := int64(1); ; n++ {
				m, region := begin(t, providertest.Overwriting())
				var accesses atomic.Int64
				m.storage.fail(func(string, string) error {
					if accesses.Add(1) > n {
						return errDied
					}
					return nil
				})
				resp, err := operation(m)
				acknowledged := err == nil && !resp.IsError()
				if acknowledged {
					waitQuiet(m)
				}
				died := accesses.Load() > n
				m.b.Cleanup(context.Background())
				m.storage.fail(nil)
				m.start()
				agree(t, m, region)
				if acknowledged {
					acknowledgedIsThere(t, m, name)
				}
				if t.Failed() {
					t.Fatalf("after a death at storage access %d\n%s", n, m.logs)
				}
				if !died {
					return
				}
			}
		})
	}
}

// acknowledgedIsThere fails the test if what was answered with success is lost.
func acknowledgedIsThere(t *testing.T, m *mount, operation string) {
	t.Helper()
	want := map[string]string{
		"a new version": "two", "a new version with settings": "two", "a version through data/": "two", "a deletion and a new beginning": "anew",
	}[operation]
	if want == "" {
		return
	}
	if got := m.read("secrets/s").Data["value"]; got != want {
		t.Errorf("the write was answered with success, but Vault has %v", got)
	}
}

// waitQuiet lets background work run until it has ended or died.
func waitQuiet(m *mount) {
	for range 2000 {
		if m.pending() == 0 || strings.Contains(m.logs.String(), "replication failed") {
			return
		}
		yield()
	}
}

// Each remote call of an operation fails in turn, in each of the ways a network
// has, and once: what is tried again must come out right and double nothing.
func TestARemoteFailureAtAnyCallComesOutRight(t *testing.T) {
	ways := map[string]func(region *providertest.Region, n int64, struck *atomic.Bool){
		"fails before it takes effect": func(region *providertest.Region, n int64, struck *atomic.Bool) {
			region.Before(nth(n, struck, providertest.Failure(provider.ClassUnavailable)))
		},
		"takes effect and its answer is lost": func(region *providertest.Region, n int64, struck *atomic.Bool) {
			region.After(nth(n, struck, providertest.LostAnswer()))
		},
		"is throttled": func(region *providertest.Region, n int64, struck *atomic.Bool) {
			region.Before(nth(n, struck, providertest.Failure(provider.ClassThrottled)))
		},
	}
	for cloud, model := range clouds {
		for way, install := range ways {
			for name, operation := range operationsUnderFault {
				t.Run(name+" at "+cloud+", when a call "+way, func(t *testing.T) {
					t.Parallel()
					for n := int64(1); interrupted(t, model(), n, install, operation); n++ {
					}
				})
			}
		}
	}
}

// interrupted carries out the operation with a fault at the n-th remote call,
// and tells whether there was such a call.
func interrupted(t *testing.T, model providertest.Model, n int64,
	install func(region *providertest.Region, n int64, struck *atomic.Bool), operation func(m *mount) (*logical.Response, error),
) bool {
	t.Helper()
	m, region := begin(t, model)
	var struck atomic.Bool
	install(region, n, &struck)
	if resp, err := operation(m); err != nil || resp.IsError() {
		t.Fatalf("the operation failed: %v %v", resp, err)
	}
	agree(t, m, region)
	if t.Failed() {
		t.Fatalf("with call %d\n%v\n%s", n, region.Calls(), m.logs)
	}
	return struck.Load()
}

// nth fails the n-th call.
func nth(n int64, struck *atomic.Bool, err error) providertest.Hook {
	var calls atomic.Int64
	return func(string, string) error {
		if calls.Add(1) != n {
			return nil
		}
		struck.Store(true)
		return err
	}
}
