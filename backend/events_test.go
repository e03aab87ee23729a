// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// bus keeps the events that are sent to it.
type bus struct {
	mu   sync.Mutex
	sent []string
	err  error
}

// SendEvent notes an event in one line.
func (b *bus) SendEvent(_ context.Context, kind logical.EventType, event *logical.EventData) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if !strings.HasPrefix(string(kind), "cloudsync/") {
		return nil // of the KV engine
	}
	fields := event.GetMetadata().GetFields()
	parts := []string{string(kind)}
	for _, name := range []string{"path", "data_path", "operation", "secret", "destination", "state", "error_class", "version"} {
		parts = append(parts, name+"="+fields[name].GetStringValue())
		delete(fields, name)
	}
	for name, value := range fields {
		parts = append(parts, name+"="+value.GetStringValue())
	}
	b.sent = append(b.sent, strings.Join(parts, " "))
	return nil
}

// events returns what was sent, without what is the same in all events here.
func (b *bus) events() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := make([]string, len(b.sent))
	for i, event := range b.sent {
		events[i] = strings.Replace(event, "path=status/x data_path=status/x ", "", 1)
		events[i] = strings.Replace(events[i], "secret=x destination=memory/main ", "", 1)
	}
	return events
}

func newMountWithBus(t *testing.T) (*mount, *providertest.Region, *bus) {
	t.Helper()
	m, region := newMount(t, providertest.Overwriting())
	b := &bus{}
	m.events = b
	m.restart()
	return m, region, b
}

func TestEventsTellOfTransitions(t *testing.T) {
	const (
		replicated = "cloudsync/replicated operation=replicate state=in_sync error_class= version="
		failed     = "cloudsync/failed operation=replicate state="
	)
	tests := []struct {
		name string
		do   func(m *mount, region *providertest.Region)
		want []string
	}{
		{"a version that arrives", func(m *mount, _ *providertest.Region) {
			m.write("secrets/x", map[string]any{"value": "two"})
		}, []string{replicated + "2"}},
		{"a sync without a call tells nothing", func(m *mount, _ *providertest.Region) {
			m.write("sync/x", nil)
			m.awaitSettled()
		}, nil},
		{"a secret without a live version", func(m *mount, _ *providertest.Region) {
			m.remove("data/x")
		}, []string{"cloudsync/replicated operation=withdraw state=withdrawn error_class= version=0"}},
		{"a deleted secret", func(m *mount, _ *providertest.Region) {
			m.remove("secrets/x")
		}, []string{"cloudsync/replicated operation=remove state=removed error_class= version=0"}},
		{"tries that fail tell once, and their end", func(m *mount, region *providertest.Region) {
			region.Before(providertest.Always(providertest.OpPutVersion, providertest.Failure(provider.ClassInternal)))
			m.write("secrets/x", map[string]any{"value": "two", "wait": 0})
			until(t, "three tries", func() bool { return region.Count(providertest.OpPutVersion) > 3 })
			region.Before(nil)
			m.write("sync/x", nil)
		}, []string{failed + "retrying error_class=internal version=1", replicated + "2"}},
		// After the look that a restart demands, the version in the cloud isn't known.
		{"a replica that is blocked, and stays so", func(m *mount, region *providertest.Region) {
			region.Before(providertest.Always(providertest.OpPutVersion, providertest.Failure(provider.ClassPermission)))
			m.write("secrets/x", map[string]any{"value": "two"})
			m.await("x", "blocked")
			m.write("secrets/x", map[string]any{"value": "three"})
			m.await("x", "blocked")
			m.restart()
			m.await("x", "blocked")
			region.Before(providertest.Always(providertest.OpPutVersion, providertest.Failure(provider.ClassKMS)))
			m.write("sync/x", nil)
		}, []string{failed + "blocked error_class=permission version=1", failed + "blocked error_class=kms version=0"}},
		{"a deletion that is refused", func(m *mount, region *providertest.Region) {
			region.Before(providertest.Always(providertest.OpDelete, providertest.Failure(provider.ClassPermission)))
			m.remove("secrets/x")
		}, []string{"cloudsync/failed operation=remove state=blocked error_class=permission version=1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, region, b := newMountWithBus(t)
			m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
			want := slices.Concat([]string{replicated + "1"}, test.want)
			until(t, "the first event", func() bool { return len(b.events()) == 1 })
			test.do(m, region)
			until(t, "the events", func() bool { return len(b.events()) >= len(want) })
			m.b.Cleanup(t.Context())
			if got := b.events(); !slices.Equal(got, want) {
				t.Errorf("they are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestEventsNameTheKeyOfAReplicaOfOneKey(t *testing.T) {
	m, region, b := newMountWithBus(t)
	region.Before(func(op, name string) error {
		if op == providertest.OpCreate && strings.Contains(name, "bad") {
			return providertest.Failure(provider.ClassPermission)
		}
		return nil
	})
	m.write("rules/all", map[string]any{
		"match": "**", "destinations": "memory/main", "granularity": "secret-key", "secret_name_template": "{{ .SecretBaseName }}-{{ .SecretKey }}",
	})
	m.write("secrets/x", map[string]any{"data": map[string]any{"good": "1", "bad": "2"}})
	until(t, "two events", func() bool { return len(b.events()) == 2 })
	m.b.Cleanup(t.Context())
	got := b.events()
	slices.Sort(got)
	want := []string{
		"cloudsync/failed operation=replicate state=blocked error_class=permission version=0 key=bad",
		"cloudsync/replicated operation=replicate state=in_sync error_class= version=1 key=good",
	}
	if !slices.Equal(got, want) {
		t.Errorf("they are\n%s", strings.Join(got, "\n"))
	}
}

func TestABusThatFailsHindersNoReplication(t *testing.T) {
	m, _, b := newMountWithBus(t)
	b.err = errors.New("the bus is down")
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	m.await("x", "in_sync")
	until(t, "the event to be counted as lost", func() bool { return m.metric("events_dropped_total") == 1 })
}
