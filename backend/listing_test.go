// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// pages lists the status page by page, and returns the names of all pages and
// what is told of them.
func (m *mount) pages(query map[string]any) (names []string, info map[string]any, pages int) {
	m.t.Helper()
	info = map[string]any{}
	query = maps.Clone(query)
	for {
		resp := m.must(logical.ListOperation, "status/", maps.Clone(query))
		page, _ := resp.Data["keys"].([]string)
		names = append(names, page...)
		if pages++; pages > 1000 {
			m.t.Fatal("the pages have no end")
		}
		more, _ := resp.Data["key_info"].(map[string]any)
		maps.Copy(info, more)
		next, found := resp.Data["next"].(string)
		if !found {
			return names, info, pages
		}
		if query == nil {
			query = map[string]any{}
		}
		query["after"] = next
	}
}

// short is what is told of a replica in a listing: its state and error class.
func short(info map[string]any, name, ref string) string {
	secret, _ := info[name].(map[string]any)
	destinations, _ := secret["destinations"].(map[string]any)
	replica, _ := destinations[ref].(map[string]any)
	state, _ := replica["state"].(string)
	class, _ := replica["error_class"].(string)
	return strings.TrimSpace(state + " " + class)
}

// zoo makes a mount with replicas in several states, and returns the names by
// state, in order.
func zoo(t *testing.T) (*mount, map[string][]string) {
	t.Helper()
	m, region := newMount(t, providertest.Overwriting())
	m.write("destinations/memory/two", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s", "disabled": true})
	byState := map[string][]string{
		// Slashes, and what sorts before and after them.
		"in_sync":   {"a", "a-b", "a/b", "a/b/c", "a/c", "a0", "b/b", "z"},
		"withdrawn": {"b/a", "w"},
		"blocked":   {"blocked", "c/blocked"},
		"retrying":  {"c/retrying", "retrying"},
		"disabled":  {"b/b", "disabled"},
	}
	region.Before(func(op, name string) error {
		switch {
		case op == providertest.OpCreate && strings.HasSuffix(name, "blocked"):
			return providertest.Failure(provider.ClassPermission)
		case op == providertest.OpCreate && strings.HasSuffix(name, "retrying"):
			return providertest.Failure(provider.ClassInternal)
		}
		return nil
	})
	m.write("config", map[string]any{"default_wait": 0})
	for _, state := range []string{"in_sync", "withdrawn", "blocked", "retrying"} {
		for _, name := range byState[state] {
			m.write("secrets/"+name, map[string]any{"value": "v", "destinations": "memory/main"})
			if state == "withdrawn" {
				m.remove("data/" + name)
			}
		}
	}
	m.write("secrets/b/b", map[string]any{"destinations": "memory/main,memory/two"})
	m.write("secrets/disabled", map[string]any{"value": "v", "destinations": "memory/two"})
	m.write("secrets/nowhere", map[string]any{"value": "v"})
	for state, names := range byState {
		for _, name := range names {
			ref := "memory/main"
			if state == "disabled" {
				ref = "memory/two"
			}
			until(t, name+" to be "+state, func() bool { return m.replicaAt(name, ref)["state"] == state })
		}
	}
	return m, byState
}

func TestSecretsAreListedByTheStateOfTheirReplicas(t *testing.T) {
	m, byState := zoo(t)
	attention := slices.Sorted(slices.Values(slices.Concat(byState["blocked"], byState["retrying"], byState["disabled"])))
	tests := []struct {
		name  string
		query map[string]any
		want  []string
	}{
		{"without a state, what is neither in sync nor withdrawn", nil, attention},
		{"blocked", map[string]any{"state": "blocked"}, byState["blocked"]},
		{"retrying", map[string]any{"state": "retrying"}, byState["retrying"]},
		{"disabled", map[string]any{"state": "disabled"}, byState["disabled"]},
		{"none that is being deleted", map[string]any{"state": "deleting"}, nil},
		{"in sync", map[string]any{"state": "in_sync"}, byState["in_sync"]},
		{"withdrawn", map[string]any{"state": "withdrawn"}, byState["withdrawn"]},
		{"at one destination", map[string]any{"destination": "memory/two"}, byState["disabled"]},
		{"in sync at a destination where none is", map[string]any{"state": "in_sync", "destination": "memory/two"}, nil},
		{"after a name", map[string]any{"after": "blocked"}, attention[2:]},
		{"after a name in a folder", map[string]any{"state": "in_sync", "after": "a/b"}, byState["in_sync"][3:]},
		{"after a name that isn't there", map[string]any{"state": "in_sync", "after": "a/bb"}, byState["in_sync"][4:]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := maps.Clone(test.query)
			if all == nil {
				all = map[string]any{}
			}
			for _, limit := range []int{1, 2, 3, 1000} {
				all["limit"] = limit
				if names, _, _ := m.pages(all); !slices.Equal(names, test.want) {
					t.Errorf("in pages of %d they are %v, want %v", limit, names, test.want)
				}
			}
		})
	}
}

func TestAListingTellsStateAndErrorClassPerDestination(t *testing.T) {
	m, _ := zoo(t)
	_, info, _ := m.pages(nil)
	for _, want := range []struct{ name, ref, says string }{
		{"blocked", "memory/main", "blocked permission"},
		{"retrying", "memory/main", "retrying internal"},
		{"b/b", "memory/main", "in_sync"},
		{"b/b", "memory/two", "disabled"},
	} {
		if got := short(info, want.name, want.ref); got != want.says {
			t.Errorf("%s at %s is %q, want %q", want.name, want.ref, got, want.says)
		}
	}
	_, info, _ = m.pages(map[string]any{"state": "in_sync"})
	if got := short(info, "b/b", "memory/two"); got != "disabled" {
		t.Errorf("beside its replica in sync, b/b is %q", got)
	}
}

func TestWhatWasOutstandingBeforeARestartIsListed(t *testing.T) {
	m, byState := zoo(t)
	m.restart()
	until(t, "the blocked ones to be listed", func() bool {
		names, _, _ := m.pages(map[string]any{"state": "blocked"})
		return slices.Equal(names, byState["blocked"])
	})
}

func TestASecretWithReplicasOfSingleKeysIsListedOnce(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	region.Before(func(op, name string) error {
		if op == providertest.OpCreate && strings.Contains(name, "bad") {
			return providertest.Failure(provider.ClassPermission)
		}
		return nil
	})
	m.write("rules/all", map[string]any{
		"match": "**", "destinations": "memory/main", "granularity": "secret-key", "secret_name_template": "{{ .SecretBaseName }}-{{ .SecretKey }}",
	})
	m.write("secrets/x", map[string]any{"data": map[string]any{"good": "1", "bad": "2"}, "wait": 30})
	until(t, "one of each", func() bool {
		counts := m.counted("memory/main")
		return counts["blocked"] == 1 && counts["in_sync"] == 1
	})
	for _, state := range []string{"", "blocked", "in_sync"} {
		names, info, _ := m.pages(map[string]any{"state": state, "destination": "memory/main"})
		if got := short(info, "x", "memory/main"); !slices.Equal(names, []string{"x"}) || got != "blocked permission" {
			t.Errorf("with state %q the list is %v, and x is %q", state, names, got)
		}
	}
}

func TestAListingReadsNoMoreThanItShows(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for i := range 30 {
		m.write(fmt.Sprintf("secrets/%d/%d", i%3, i), map[string]any{"value": "v", "destinations": "memory/main"})
	}
	m.awaitSettled()
	m.restart()
	var reads atomic.Int64
	m.storage.fail(func(operation, key string) error {
		if operation == "get" && strings.HasPrefix(key, "secret/") {
			reads.Add(1)
		}
		return nil
	})
	for _, test := range []struct {
		state string
		most  int64
	}{{"blocked", 0}, {"", 0}, {"in_sync", 7}, {"withdrawn", 7}} {
		reads.Store(0)
		m.must(logical.ListOperation, "status/", map[string]any{"state": test.state, "limit": 7})
		if got := reads.Load(); got != test.most {
			t.Errorf("state %q: a page of 7 reads %d records, want %d", test.state, got, test.most)
		}
	}
	names, _, pages := m.pages(map[string]any{"state": "withdrawn", "limit": 7})
	if len(names) > 0 || pages != 5 {
		t.Errorf("none is withdrawn: %v in %d pages", names, pages)
	}
}

func TestAListingThatMakesNoSenseIsRefused(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for _, test := range []struct {
		query map[string]any
		says  []string
	}{
		{map[string]any{"state": "bloked"}, []string{`"bloked"`, "blocked", "in_sync"}},
		{map[string]any{"destination": "memory/absent"}, []string{"memory/absent", "memory/main"}},
		{map[string]any{"limit": 0}, []string{"limit", "1 to 1000"}},
		{map[string]any{"limit": 1001}, []string{"limit", "1 to 1000"}},
		{map[string]any{"stat": "blocked"}, []string{`"stat"`, "state", "destination", "after", "limit"}},
	} {
		resp, err := m.do(logical.ListOperation, "status/", test.query)
		if !errors.Is(err, logical.ErrInvalidRequest) || !containsAll(resp.Error().Error(), test.says...) {
			t.Errorf("%v: %v %v", test.query, resp, err)
		}
	}
	if resp, err := m.do(logical.ReadOperation, "status", map[string]any{"state": "blocked"}); !errors.Is(err, logical.ErrInvalidRequest) {
		t.Errorf("reading takes parameters of listing: %v %v", resp, err)
	}
}

// yes tells whether a field of an answer is true.
func yes(answer map[string]any, field string) bool {
	is, _ := answer[field].(bool)
	return is
}

// health is how memory/main does.
func (m *mount) health() map[string]any {
	m.t.Helper()
	byDestination, _ := m.read("status").Data["health"].(map[string]any)
	health, _ := byDestination["memory/main"].(map[string]any)
	return health
}

func TestTheStatusTellsHowADestinationDoes(t *testing.T) {
	failing := func(class provider.Class) func(m *mount, region *providertest.Region) {
		return func(m *mount, region *providertest.Region) {
			region.Before(providertest.Always(providertest.OpCreate, providertest.Failure(class)))
			for i := range 5 {
				m.write(fmt.Sprintf("secrets/s%d", i), map[string]any{"value": "v", "destinations": "memory/main"})
			}
		}
	}
	tests := []struct {
		name   string
		harm   func(m *mount, region *providertest.Region)
		broken func(health map[string]any) bool
		mend   func(m *mount, region *providertest.Region)
		class  string
	}{
		{
			name: "away", harm: failing(provider.ClassUnavailable), class: "unavailable",
			broken: func(h map[string]any) bool { return yes(h, "away") && h["away_since"] != "" },
			mend:   func(_ *mount, region *providertest.Region) { region.Before(nil) },
		},
		{
			name: "refusing credentials", class: "auth",
			harm: func(m *mount, region *providertest.Region) {
				region.Accept("id", "another")
				m.write("secrets/x", map[string]any{"value": "v", "destinations": "memory/main"})
			},
			broken: func(h map[string]any) bool { return yes(h, "credentials_refused") },
			mend: func(m *mount, _ *providertest.Region) {
				m.write("destinations/memory/main", map[string]any{"access_key_secret": "another"})
			},
		},
		{
			name: "throttling", harm: failing(provider.ClassThrottled),
			broken: func(h map[string]any) bool {
				rates, _ := h["slowed_rates"].(map[string]float64)
				throttled, _ := h["throttled_calls"].(int64)
				return len(rates) == 1 && throttled > 0
			},
			mend: func(_ *mount, region *providertest.Region) { region.Before(nil) },
		},
		{
			name: "disabled",
			harm: func(m *mount, _ *providertest.Region) {
				m.write("destinations/memory/main", map[string]any{"disabled": true})
			},
			broken: func(h map[string]any) bool { return yes(h, "disabled") },
			mend: func(m *mount, _ *providertest.Region) {
				m.write("destinations/memory/main", map[string]any{"disabled": false})
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			m.write("config", map[string]any{"default_wait": 0})
			if test.broken(m.health()) {
				t.Fatalf("it is so from the beginning: %v", m.health())
			}
			test.harm(m, region)
			until(t, "the status to tell", func() bool { return test.broken(m.health()) })
			if failure, _ := m.health()["error"].(map[string]any); test.class != "" && failure["class"] != test.class {
				t.Errorf("the error is %v", failure)
			}
			test.mend(m, region)
			if test.class != "" || test.name == "disabled" {
				until(t, "the status to tell that it is over", func() bool { return !test.broken(m.health()) && m.health()["error"] == nil })
			}
			m.awaitSettled()
			if age := m.health()["oldest_pending_age"]; age != int64(0) {
				t.Errorf("nothing is pending for %v seconds", age)
			}
		})
	}
}
