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

// ask reads a path with parameters.
func (m *mount) ask(path string, parameters map[string]any) map[string]any {
	m.t.Helper()
	return m.must(logical.ReadOperation, path, parameters).Data
}

// refuseToRead sends a read that must be refused and returns what it says.
func (m *mount) refuseToRead(path string, parameters map[string]any) string {
	m.t.Helper()
	resp, err := m.do(logical.ReadOperation, path, parameters)
	if !errors.Is(err, logical.ErrInvalidRequest) || !resp.IsError() {
		m.t.Fatalf("read %s: got %v, %v; want a refusal", path, resp, err)
	}
	return resp.Error().Error()
}

// oneLine writes an answer on one line, in the order of its fields, without what is
// empty.
func oneLine(answer any) string {
	fields, _ := answer.(map[string]any)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if text := fmt.Sprint(fields[name]); text != "" && text != "false" {
			parts = append(parts, name+"="+text)
		}
	}
	return strings.Join(parts, " ")
}

func TestARemoteNameIsLookedUp(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("rules/keys", map[string]any{"match": "keys/*", "destinations": "memory/main", "granularity": "secret-key"})
	m.kv("keys/db", map[string]any{"user": "u", "password": "p"})
	m.write("secrets/team-a/db", map[string]any{"value": "1", "destinations": "memory/main"})
	m.write("secrets/late", map[string]any{"value": "1", "destinations": "memory/main"})
	m.write("secrets/gone", map[string]any{"value": "1", "destinations": "memory/main", "deletion_policy": "force"})
	m.write("secrets/renamed", map[string]any{"value": "1", "destinations": "memory/main"})
	m.awaitSettled()
	m.remove("secrets/gone")
	region.Before(func(op, name string) error {
		if op == providertest.OpCreate && name == "new-name" {
			return providertest.Failure(provider.ClassPermission)
		}
		return nil
	})
	hold := region.Hold("", "late")
	t.Cleanup(hold.Release)
	m.write("secrets/late", map[string]any{"value": "2", "wait": 0})
	m.write("secrets/renamed", map[string]any{"remote_name": "new-name", "wait": 0})
	m.await("renamed", "blocked")
	until(t, "the end of the deletion", func() bool { _, there := region.Secret("gone"); return !there })
	for name, test := range map[string]struct{ remoteName, want string }{
		"one of a secret":              {"team-a_db", "remote_name=team-a_db secret=team-a/db state=in_sync"},
		"one of a secret that is late": {"late", "remote_name=late secret=late state=pending"},
		"one of a key of a secret":     {"keys_db_user", "key=user remote_name=keys_db_user secret=keys/db state=in_sync"},
		"a new name that is asked for": {"new-name", "remote_name=new-name secret=renamed state=blocked"},
		"a former one, on its way out": {"renamed", "former=true remote_name=renamed secret=renamed state="},
		"one that nobody had":          {"other", "free=true remote_name=other"},
		"one of a deleted secret":      {"gone", "free=true remote_name=gone"},
		"one that no secret can have":  {"a/b", "free=true reason=the remote name contains"},
		"one that differs in a letter": {"team-a_dB", "free=true remote_name=team-a_dB"},
	} {
		until(t, name, func() bool {
			return strings.HasPrefix(oneLine(m.ask("lookup/memory/main", map[string]any{"remote_name": test.remoteName})), test.want)
		})
	}
}

func TestALookupCostsTwoReadsOfStorage(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/team-a/db", map[string]any{"value": "1", "destinations": "memory/main"})
	m.awaitSettled()
	m.restart()
	m.read("status/other") // opens what has to be opened once
	m.ask("lookup/memory/main", map[string]any{"remote_name": "other"})
	calls := region.Count("")
	for name, most := range map[string]int64{"team-a_db": 2, "other": 1} {
		var reads atomic.Int64
		m.storage.fail(func(_, key string) error {
			// What goes on since the start reads other things.
			if strings.HasPrefix(key, "claim/") || strings.HasPrefix(key, "secret/") || strings.HasPrefix(key, "kv/") {
				reads.Add(1)
			}
			return nil
		})
		m.ask("lookup/memory/main", map[string]any{"remote_name": name})
		m.storage.fail(nil)
		if n := reads.Load(); n > most {
			t.Errorf("looking %s up costs %d accesses to storage", name, n)
		}
	}
	if region.Count("") != calls {
		t.Error("a lookup makes a call")
	}
}

func TestWhichRemoteNameASecretGets(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	long := strings.Repeat("segment/", 20) + "end"
	m.write("destinations/memory/picky", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s", "allowed_paths": "team-b/*"})
	m.write("rules/named", map[string]any{"match": "named/*", "destinations": "memory/main", "secret_name_template": "prod.{{ .SecretBaseName }}"})
	m.write("rules/keys", map[string]any{"match": "keys/*", "destinations": "memory/main", "granularity": "secret-key", "exclude_keys": "note"})
	m.kv("keys/db", map[string]any{"user": "u", "password": "p", "note": "n"})
	m.write("secrets/a_b", map[string]any{"value": "1", "destinations": "memory/main"})
	m.write("secrets/exact", map[string]any{"value": "1", "destinations": "memory/main", "remote_name": "chosen"})
	m.awaitSettled()
	calls := region.Count("")
	for name, test := range map[string]struct {
		secret string
		want   []string
	}{
		"legal as it is":                {"plain", []string{"change=unchanged remote_name=plain template_result=plain"}},
		"made legal":                    {"team-a/db", []string{"change=normalised remote_name=team-a_db template_result=team-a/db"}},
		"too long":                      {long, []string{"change=shortened remote_name=segment_segment_"}},
		"by the template of a rule":     {"named/x", []string{"change=normalised remote_name=prod-x template_result=prod.x"}},
		"chosen by somebody":            {"exact", []string{"change=unchanged goes_there=true remote_name=chosen template_result=chosen"}},
		"its own, which it has already": {"a_b", []string{"change=unchanged goes_there=true remote_name=a_b template_result=a_b"}},
		"that of another secret":        {"a/b", []string{"change=normalised remote_name=a_b taken_by=a_b template_result=a/b"}},
		"one for each key that is sent": {"keys/db", []string{
			"change=normalised goes_there=true key=password remote_name=keys_db_password template_result=keys/db/password",
			"change=normalised goes_there=true key=user remote_name=keys_db_user template_result=keys/db/user",
		}},
		"none without a value that has keys": {"keys/none", nil},
	} {
		names, _ := m.ask("lookup/memory/main", map[string]any{"secret": test.secret})["names"].([]any)
		if len(names) != len(test.want) {
			t.Errorf("%s: %v, want %v", name, names, test.want)
			continue
		}
		for i, want := range test.want {
			if got := oneLine(names[i]); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
	for _, test := range []struct {
		destination string
		parameters  map[string]any
		says        string
	}{
		{"memory/main", nil, "neither remote_name nor secret"},
		{"memory/main", map[string]any{"remotename": "x"}, "unknown parameter"},
		{"memory/other", map[string]any{"remote_name": "x"}, "memory/other doesn't exist"},
		{"memory/picky", map[string]any{"secret": "team-a/x"}, "allowed_paths are team-b/*"},
		{"memory/main", map[string]any{"secret": "x/versions/1"}, "reserved"},
	} {
		if says := m.refuseToRead("lookup/"+test.destination, test.parameters); !strings.Contains(says, test.says) {
			t.Errorf("%s with %v is refused with %q", test.destination, test.parameters, says)
		}
	}
	if region.Count("") != calls {
		t.Error("a lookup makes a call")
	}
	// What was told comes true.
	told, _ := m.ask("lookup/memory/main", map[string]any{"secret": long})["names"].([]any)
	m.write("secrets/"+long, map[string]any{"value": "1", "destinations": "memory/main"})
	if replica := m.await(long, "in_sync"); replica["remote_name"] != dig(told[0], "remote_name") {
		t.Errorf("the replica is %v, and %v was told", replica["remote_name"], told)
	}
}
