// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// keysReport reads the report page by page, each replica on one line.
func (m *mount) keysReport(query map[string]any) (lines []string, pages int) {
	m.t.Helper()
	query = maps.Clone(query)
	for {
		answer := m.ask("keys", maps.Clone(query))
		replicas, _ := answer["replicas"].([]any)
		for _, replica := range replicas {
			lines = append(lines, oneLine(replica))
		}
		if pages++; pages > 100 {
			m.t.Fatal("the pages have no end")
		}
		next, found := answer["next"].(string)
		if !found {
			return lines, pages
		}
		if query == nil {
			query = map[string]any{}
		}
		query["after"] = next
	}
}

func TestTheReportTellsWhichReplicasAreUnderWhichKeys(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("destinations/memory/two", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s", "kms_key_id": "of-two"})
	m.write("rules/team-a", map[string]any{"match": "team-a/*", "destinations": "memory/main", "kms_key_id": "of-rule"})
	m.write("rules/keys", map[string]any{"match": "keys/*", "destinations": "memory/main", "granularity": "secret-key", "kms_key_id": "of-keys"})
	m.kv("team-a/db", map[string]any{"n": "1"})
	m.kv("keys/db", map[string]any{"user": "u"})
	m.write("secrets/both", map[string]any{"value": "1", "destinations": "memory/main,memory/two"})
	m.write("secrets/changed", map[string]any{"value": "1", "destinations": "memory/main", "kms_key_id": "before"})
	m.write("secrets/changed", map[string]any{"kms_key_id": "after"})
	m.write("secrets/cleared", map[string]any{"value": "1", "destinations": "memory/main", "kms_key_id": "before"})
	m.write("secrets/cleared", map[string]any{"kms_key_id": ""})
	m.write("secrets/alone", map[string]any{"value": "1"})
	m.awaitSettled()
	region.Before(providertest.Always(providertest.OpCreate, providertest.Failure(provider.ClassPermission)))
	m.write("secrets/unmade", map[string]any{"value": "1", "destinations": "memory/main", "kms_key_id": "before"})
	m.await("unmade", "blocked")

	both := "destination=memory/main remote_name=both secret=both"
	bothAtTwo := "destination=memory/two kms_key_id=of-two kms_key_id_in_effect=of-two remote_name=both secret=both"
	changed := "destination=memory/main differs=true kms_key_id=after kms_key_id_in_effect=before remote_name=changed secret=changed"
	cleared := "destination=memory/main differs=true kms_key_id_in_effect=before remote_name=cleared secret=cleared"
	keys := "destination=memory/main key=user kms_key_id=of-keys kms_key_id_in_effect=of-keys remote_name=keys_db_user secret=keys/db"
	team := "destination=memory/main kms_key_id=of-rule kms_key_id_in_effect=of-rule remote_name=team-a_db secret=team-a/db"
	unmade := "destination=memory/main kms_key_id=before remote_name=unmade secret=unmade"
	calls := region.Count("")
	for name, test := range map[string]struct {
		query map[string]any
		want  []string
	}{
		"everything":                           {nil, []string{both, bothAtTwo, changed, cleared, keys, team, unmade}},
		"at one destination":                   {map[string]any{"destination": "memory/two"}, []string{bothAtTwo}},
		"a key that is in effect or asked for": {map[string]any{"kms_key_id": "before"}, []string{changed, cleared, unmade}},
		"a key that isn't in effect yet":       {map[string]any{"kms_key_id": "after"}, []string{changed}},
		"a key elsewhere":                      {map[string]any{"kms_key_id": "of-two", "destination": "memory/main"}, nil},
		"page by page":                         {map[string]any{"limit": 1}, []string{both, bothAtTwo, changed, cleared, keys, team, unmade}},
		"pages without any":                    {map[string]any{"limit": 1, "kms_key_id": "of-rule"}, []string{team}},
	} {
		if got, _ := m.keysReport(test.query); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
	for says, query := range map[string]map[string]any{
		"limit is 0":                 {"limit": 0},
		"limit is 1001":              {"limit": 1001},
		"memory/other doesn't exist": {"destination": "memory/other"},
		"unknown parameter":          {"key": "x"},
	} {
		if got := m.refuseToRead("keys", query); !strings.Contains(got, says) {
			t.Errorf("%v is refused with %q", query, got)
		}
	}
	if region.Count("") != calls {
		t.Error("the report makes a call")
	}
}

func TestWhereTheKeyCanBeChangedTheReportShowsTheNewOne(t *testing.T) {
	m, region := newMount(t, providertest.IDAssigning())
	m.write("secrets/a", map[string]any{"value": "1", "destinations": "memory/main", "kms_key_id": "before"})
	m.awaitSettled()
	hold := region.Hold(providertest.OpChangeKey, "a")
	t.Cleanup(hold.Release)
	m.write("secrets/a", map[string]any{"kms_key_id": "after", "wait": 0})
	<-hold.Reached()
	if got, _ := m.keysReport(map[string]any{"kms_key_id": "after"}); len(got) != 1 || !strings.Contains(got[0], "differs=true") {
		t.Errorf("meanwhile: %v", got)
	}
	hold.Release()
	m.awaitSettled()
	if got, _ := m.keysReport(nil); len(got) != 1 || strings.Contains(got[0], "differs") || !strings.Contains(got[0], "in_effect=after") {
		t.Errorf("afterwards: %v", got)
	}
	m.write("secrets/a", map[string]any{"destinations": "", "wait": 0})
	m.awaitSettled()
	if got, _ := m.keysReport(nil); len(got) != 0 {
		t.Errorf("after it was taken away: %v", got)
	}
}

// A report over many secrets is many small requests.
func TestAPageOfTheReportReadsNoMoreSecretsThanItsLimit(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for i := range 30 {
		m.write(fmt.Sprintf("secrets/s%02d", i), map[string]any{"value": "1", "destinations": "memory/main"})
	}
	m.awaitSettled()
	m.restart()
	m.keysReport(map[string]any{"limit": 1, "after": "s28"}) // opens what has to be opened once
	var reads atomic.Int64
	m.storage.fail(func(operation, key string) error {
		if operation == "get" && strings.HasPrefix(key, "secret/") {
			reads.Add(1)
		}
		return nil
	})
	answer := m.ask("keys", map[string]any{"limit": 7, "after": "s09"})
	m.storage.fail(nil)
	replicas, _ := answer["replicas"].([]any)
	if len(replicas) != 7 || dig(replicas[0], "secret") != "s10" || answer["next"] != "s16" {
		t.Errorf("the page is %v", answer)
	}
	if n := reads.Load(); n != 7 {
		t.Errorf("a page of 7 reads %d records", n)
	}
}
