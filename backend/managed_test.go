// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// issued is what a managed credential in these tests is written with.
func issued(more map[string]any) map[string]any {
	data := map[string]any{
		"destination": "memory/main", "product": "database", "instance_id": "db-1",
		"user_name_prefix": "app", "domains": "%,10.0.0.1", "privileges": map[string]any{"*": "read"}, "pool_size": 5,
		"wait": "1h",
	}
	maps.Copy(data, more)
	return data
}

// What answers hold, for looking at it.
func textOfAny(value any) string { s, _ := value.(string); return s }
func flag(value any) bool        { b, _ := value.(bool); return b }
func number(value any) int64     { n, _ := value.(int64); return n }
func list(value any) []any       { l, _ := value.([]any); return l }
func names(resp *logical.Response) []string {
	keys, _ := resp.Data["keys"].([]string)
	return keys
}

// onMount runs a test with a mount and one cloud in a bubble, in which time passes
// by itself.
func onMount(t *testing.T, model providertest.Model, test func(t *testing.T, m *mount, region *providertest.Region)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, region := newMount(t, model)
		m.write("config", map[string]any{"default_wait": "1h"})
		test(t, m, region)
		m.b.Cleanup(t.Context())
		time.Sleep(time.Hour)
	})
}

// eachCloud runs a test for every kind of cloud.
func eachCloud(t *testing.T, test func(t *testing.T, m *mount, region *providertest.Region)) {
	t.Helper()
	for name, model := range clouds {
		t.Run(name, func(t *testing.T) { onMount(t, model(), test) })
	}
}

func (m *mount) credential(name string) map[string]any {
	m.t.Helper()
	return m.read("managed/" + name + "/credentials").Data
}

// theOne returns the only managed credential of the region.
func theOne(t *testing.T, region *providertest.Region) providertest.Stored {
	t.Helper()
	var found []providertest.Stored
	for _, name := range region.Names() {
		if s, _ := region.Secret(name); s.Credential != nil {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the cloud has %d managed credentials, want one: %v", len(found), region.Names())
	}
	return found[0]
}

func TestAManagedCredentialIsMadeReadRotatedAndDeleted(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		region.SlowTasks(30 * time.Second)
		resp := m.write("managed/team/orders-db", issued(map[string]any{"description": "orders", "tags": "team=a"}))
		if resp.Data["state"] != "ready" || len(resp.Warnings) > 0 {
			t.Fatalf("answered with %v, %v\n%s", resp.Data, resp.Warnings, m.logs)
		}
		stored := theOne(t, region)
		if stored.Credential.Parameters["domains"] != `["%","10.0.0.1"]` || stored.Credential.Parameters["privileges"] != `{"*":"read"}` ||
			stored.Credential.Parameters["pool_size"] != "5" || stored.Credential.Product != "Database" || stored.Tags["team"] != "a" {
			t.Errorf("the cloud was asked for %+v", stored)
		}
		if !strings.HasPrefix(stored.Description, "orders [vault-cloudsync mount=") {
			t.Errorf("the description is %q", stored.Description)
		}
		first := m.credential("team/orders-db")
		if first["password"] != stored.Credential.Values[0].Password || flag(first["rotating"]) {
			t.Errorf("the value is %v", first)
		}
		if resp := m.write("managed/team/orders-db/rotate", nil); resp.Data["state"] != "ready" {
			t.Errorf("a rotation ends with %v", resp.Data)
		}
		second := m.credential("team/orders-db")
		if second["password"] == first["password"] || second["username"] == first["username"] {
			t.Errorf("after a rotation the value is still %v", second["username"])
		}
		if versions := list(m.read("managed/team/orders-db/history").Data["versions"]); len(versions) != 2 {
			t.Errorf("the history is %v", versions)
		}
		password := textOfAny(second["password"])
		for key, value := range m.storage.dump(t) {
			if strings.Contains(value, password) {
				t.Errorf("storage has the password under %s", key)
			}
		}
		for _, path := range []string{"managed/team/orders-db", "managed/team/orders-db/history", "managed/team/orders-db/rotation", "status", "metrics"} {
			if strings.Contains(fmt.Sprint(m.read(path).Data), password) {
				t.Errorf("%s has the password", path)
			}
		}
		if strings.Contains(m.logs.String(), password) {
			t.Error("the log has the password")
		}
		keys := names(m.must(logical.ListOperation, "managed/", nil))
		if below := names(m.must(logical.ListOperation, "managed/team", nil)); !slices.Equal(keys, []string{"team/"}) || !slices.Equal(below, []string{"orders-db"}) {
			t.Errorf("listed are %v and %v", keys, below)
		}
		resp = m.must(logical.DeleteOperation, "managed/team/orders-db", map[string]any{"deletion_policy": "force", "delete_accounts": true, "wait": "1h"})
		if resp != nil {
			t.Errorf("the deletion is answered with %v", resp.Warnings)
		}
		if left := region.Names(); len(left) > 0 {
			t.Errorf("the cloud still has %v", left)
		}
		if left := region.Accounts(); len(left) > 0 {
			t.Errorf("the accounts %v are left", left)
		}
		if resp := m.read("managed/team/orders-db"); resp != nil {
			t.Errorf("it is still there: %v", resp.Data)
		}
	})
}

func TestTheScheduleOfAManagedCredential(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		begin := time.Now().Add(36 * time.Hour).Truncate(time.Second)
		m.write("managed/db", issued(map[string]any{"enable_rotation": true, "rotation_frequency": "35", "rotation_begin_time": begin.In(time.FixedZone("", 8*3600)).Format(time.RFC3339)}))
		read := m.read("managed/db/rotation").Data
		if !flag(read["enable_rotation"]) || read["rotation_frequency"] != "35" || read["next_rotation"] != begin.UTC().Format(time.RFC3339Nano) {
			t.Errorf("the schedule is %v, want the first rotation at %v", read, begin.UTC())
		}
		value := m.credential("db")
		if number(value["ttl"]) > 36*3600 || number(value["ttl"]) < 35*3600 || value["rotation_period"] != int64(35*24*3600) {
			t.Errorf("the value says ttl %v and rotation_period %v", value["ttl"], value["rotation_period"])
		}
		if without := m.must(logical.ReadOperation, "managed/db/credentials", map[string]any{"ttl": false}).Data; without["ttl"] != nil {
			t.Errorf("ttl=false answers ttl %v", without["ttl"])
		}
		region.ResetCalls()
		m.write("managed/db/rotation", map[string]any{"rotation_frequency": "48h"})
		if n := region.Count(providertest.OpSetRotation); n != 1 {
			t.Errorf("a changed schedule costs %d calls of it", n)
		}
		if read := m.read("managed/db/rotation").Data; read["rotation_frequency"] != "2" || !flag(read["enable_rotation"]) {
			t.Errorf("the schedule is %v", read)
		}
		m.write("managed/db/rotation", map[string]any{"enable_rotation": false})
		if read := m.read("managed/db/rotation").Data; flag(read["enable_rotation"]) || read["next_rotation"] != "" {
			t.Errorf("the schedule is off and reads as %v", read)
		}
		if len(theOne(t, region).Credential.Values) != 1 {
			t.Error("changing the schedule has rotated the credential")
		}
	})
}

func TestAManagedCredentialIsPassedOn(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("destinations/memory/two", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": testKeySecret})
		m.write("rules/db", map[string]any{"match": "team/orders", "destinations": "memory/two"})
		m.write("managed/db", issued(map[string]any{"replicate_to": "team/orders", "enable_rotation": true, "rotation_frequency": 2, "poll_interval": "1m"}))
		password := func() string {
			data, _ := m.read("data/team/orders").Data["data"].(map[string]any)
			return textOfAny(data["password"])
		}
		if want := theOne(t, region).Credential.Values[0].Password; password() != want {
			t.Errorf("the secret has another value than the cloud")
		}
		time.Sleep(time.Second)
		if copied := m.replicaAt("team/orders", "memory/two"); copied["state"] != "in_sync" {
			t.Errorf("the other cloud has it %v", copied)
		}
		m.write("managed/db/rotate", nil)
		if want := theOne(t, region).Credential.Values[0].Password; password() != want {
			t.Errorf("after a rotation that was asked for the secret has the old value")
		}
		region.ResetCalls()
		time.Sleep(10 * time.Minute)
		if n := len(region.Calls()); n < 8 || n > 12 {
			t.Errorf("ten minutes of looking each minute cost %d calls: %v", n, region.Calls())
		}
		time.Sleep(48*time.Hour + time.Minute)
		stored := theOne(t, region).Credential
		if len(stored.Values) < 3 || password() != stored.Values[0].Password {
			t.Errorf("a rotation by schedule isn't passed on; the cloud has %d values", len(stored.Values))
		}
		if meta := m.read("metadata/team/orders").Data["current_version"]; meta != uint64(len(stored.Values)) {
			t.Errorf("the secret has version %v of %d values", meta, len(stored.Values))
		}
	})
}

func TestReadingSharesCallsAndMayKeepValues(t *testing.T) {
	onMount(t, providertest.Overwriting(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(map[string]any{"enable_rotation": true, "rotation_frequency": 1, "credential_cache_ttl": "30m"}))
		region.ResetCalls()
		first := m.credential("db")
		for range 5 {
			if again := m.credential("db"); again["password"] != first["password"] || !flag(again["cached"]) {
				t.Errorf("it isn't answered from memory: %v", again["cached"])
			}
		}
		if n := region.Count(providertest.OpReadCredential); n != 1 {
			t.Errorf("six reads cost %d", n)
		}
		m.write("managed/db/rotate", nil)
		if after := m.credential("db"); after["password"] == first["password"] {
			t.Error("after a rotation the old value is answered from memory")
		}
		time.Sleep(24*time.Hour - 10*time.Minute)
		before := m.credential("db")
		time.Sleep(20 * time.Minute)
		if after := m.credential("db"); after["password"] == before["password"] {
			t.Error("after a rotation by schedule the old value is answered from memory")
		}
		m.write("managed/db", map[string]any{"credential_cache_ttl": 0})
		region.ResetCalls()
		m.credential("db")
		m.credential("db")
		if n, described := region.Count(providertest.OpReadCredential), region.Count(providertest.OpDescribeCredential); n != 2 || described > 1 {
			t.Errorf("two reads without memory cost %d reads and %d looks", n, described)
		}
	})
}

func TestARefusedManagedCredentialSaysWhatToDo(t *testing.T) {
	onMount(t, providertest.Overwriting(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("secrets/taken", map[string]any{"value": "x", "destinations": "memory/main"})
		m.write("managed/there", issued(map[string]any{"replicate_to": "copy"}))
		for name, c := range map[string]struct {
			path string
			data map[string]any
			want []string
		}{
			"a destination that isn't there":         {"managed/a", issued(map[string]any{"destination": "memory/none"}), []string{"doesn't exist"}},
			"a product that there isn't":             {"managed/a", issued(map[string]any{"product": "x"}), []string{"Database", "Imported", "Key"}},
			"no product":                             {"managed/a", map[string]any{"destination": "memory/main"}, []string{"product", "managed-products"}},
			"a secret with the name of a credential": {"secrets/there", map[string]any{"value": "x", "destinations": "memory/main"}, []string{"managed credential \"there\""}},
			"a field of another product":             {"managed/a", map[string]any{"destination": "memory/main", "product": "key", "user_name_prefix": "x"}, []string{"user_name_prefix is no parameter of product Key"}},
			"a required field that is missing":       {"managed/a", map[string]any{"destination": "memory/main", "product": "database", "instance_id": "i"}, []string{"user_name_prefix"}},
			"no instance":                            {"managed/a", map[string]any{"destination": "memory/main", "product": "database", "user_name_prefix": "x"}, []string{"instance_id"}},
			"initial credentials not wanted":         {"managed/a", issued(map[string]any{"initial_credentials": map[string]any{"a": "canary-x"}}), []string{"no initial_credentials"}},
			"a time without zone":                    {"managed/a", issued(map[string]any{"rotation_begin_time": "2030-01-01 03:00:00"}), []string{"RFC 3339"}},
			"a frequency that is none":               {"managed/a", issued(map[string]any{"rotation_frequency": "often"}), []string{"rotation_frequency"}},
			"a schedule that is too long":            {"managed/a", issued(map[string]any{"enable_rotation": true, "rotation_frequency": 400}), []string{"365 days"}},
			"a reserved segment":                     {"managed/a/rotate/b", issued(nil), []string{"rotate", "reserved"}},
			"the name of a secret":                   {"managed/a", issued(map[string]any{"remote_name": "taken"}), []string{"secret \"taken\""}},
			"the name of another":                    {"managed/a", issued(map[string]any{"remote_name": "there"}), []string{"managed credential \"there\""}},
			"a secret that is in use":                {"managed/a", issued(map[string]any{"replicate_to": "taken"}), []string{"there already"}},
			"a secret that another is passed to":     {"managed/a", issued(map[string]any{"replicate_to": "copy"}), []string{"copy"}},
			"another instance later":                 {"managed/there", map[string]any{"instance_id": "db-2"}, []string{"instance_id can't be changed", "write another"}},
			"other privileges later":                 {"managed/there", map[string]any{"privileges": "x"}, []string{"privileges can't be changed"}},
			"a poll that is too often":               {"managed/there", map[string]any{"poll_interval": 1}, []string{"10s"}},
			"a rotation of what isn't there":         {"managed/none/rotate", nil, []string{"doesn't exist"}},
			"an unknown parameter":                   {"managed/a", issued(map[string]any{"nonsense": 1}), []string{"nonsense"}},
		} {
			text := m.refuse(c.path, c.data)
			for _, part := range c.want {
				if !strings.Contains(text, part) {
					t.Errorf("%s: %q doesn't say %q", name, text, part)
				}
			}
			if strings.Contains(text, "canary") {
				t.Errorf("%s: the refusal quotes a secret: %s", name, text)
			}
		}
		if keys := names(m.must(logical.ListOperation, "managed/", nil)); !slices.Equal(keys, []string{"there"}) {
			t.Errorf("after refusals there are %v", keys)
		}
		theOne(t, region)
	})
}

func TestACreationThatTheCloudFailsIsToldWithTheReason(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		region.SlowTasks(10 * time.Second)
		region.FailTask("the instance is stopped")
		resp := m.write("managed/db", issued(nil))
		failure, _ := resp.Data["error"].(map[string]any)
		if resp.Data["state"] != "blocked" || failure == nil || !containsAll(textOfAny(failure["message"]), "the instance is stopped", "write it again") || len(resp.Warnings) != 1 {
			t.Fatalf("answered with %v, %v", resp.Data, resp.Warnings)
		}
		region.ResetCalls()
		time.Sleep(24 * time.Hour)
		m.restart()
		time.Sleep(time.Hour)
		if n := region.Count(providertest.OpCreateCredential); n != 0 {
			t.Errorf("a creation that failed is tried %d more times", n)
		}
		m.must(logical.DeleteOperation, "managed/db", map[string]any{"deletion_policy": "force", "wait": "1h"})
		if resp := m.write("managed/db", issued(nil)); resp.Data["state"] != "ready" {
			t.Errorf("written again it is %v", resp.Data)
		}
		theOne(t, region)
	})
}

func TestARotationThatTheCloudFailsLeavesTheValue(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(nil))
		before := m.credential("db")
		region.FailTask("the account is locked")
		resp := m.write("managed/db/rotate", nil)
		failure, _ := resp.Data["rotation_error"].(map[string]any)
		if resp.Data["state"] != "rotation_failed" || failure == nil || !strings.Contains(textOfAny(failure["message"]), "the account is locked") {
			t.Fatalf("answered with %v, %v", resp.Data, resp.Warnings)
		}
		if after := m.credential("db"); after["password"] != before["password"] {
			t.Error("the value is another")
		}
		if resp := m.write("managed/db/rotate", nil); resp.Data["state"] != "ready" || resp.Data["rotation_error"] != nil {
			t.Errorf("a further rotation ends with %v", resp.Data)
		}
		if after := m.credential("db"); after["password"] == before["password"] {
			t.Error("the value is still the same")
		}
	})
}

func TestInitialCredentialsAreHandedOnAndNotKept(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		const canary = "canary-initial-password"
		initial := map[string]any{"destination": "memory/main", "product": "imported", "instance_id": "db-1", "initial_credentials": `{"password":"` + canary + `"}`}
		// The cloud is away, so that they have to wait.
		region.Before(providertest.Always("", providertest.Failure(provider.ClassUnavailable)))
		m.write("managed/db", maps.Clone(initial))
		for key, value := range m.storage.dump(t) {
			if strings.Contains(value, canary) {
				t.Errorf("storage has the initial credentials under %s", key)
			}
		}
		m.restart()
		region.Before(nil)
		time.Sleep(time.Hour)
		read := m.read("managed/db").Data
		failure, _ := read["error"].(map[string]any)
		if read["state"] != "blocked" || failure == nil || !strings.Contains(textOfAny(failure["message"]), "write it again with initial_credentials") {
			t.Fatalf("after a restart it is %v", read)
		}
		if resp := m.write("managed/db", maps.Clone(initial)); resp.Data["state"] != "ready" {
			t.Errorf("written again it is %v", resp.Data)
		}
		if !strings.Contains(theOne(t, region).Credential.Initial, canary) {
			t.Error("the cloud didn't get them")
		}
		if strings.Contains(m.logs.String(), canary) {
			t.Error("the log has them")
		}
	})
}

func TestWhatHasTheNameAtTheCloudIsNotTouched(t *testing.T) {
	onMount(t, providertest.Overwriting(), func(t *testing.T, m *mount, region *providertest.Region) {
		region.Seed(providertest.Stored{Secret: provider.Secret{Name: "plain", Description: "somebody's"}})
		theirs := &providertest.StoredCredential{Credential: provider.Credential{Name: "theirs", State: provider.CredentialReady, Product: "Database"}}
		region.Seed(providertest.Stored{Secret: provider.Secret{Name: "theirs", CloudManaged: true, Type: "managed", Description: "x [vault-cloudsync mount=another secret=y]"}, Credential: theirs})
		for _, name := range []string{"plain", "theirs"} {
			before, _ := region.Secret(name)
			resp := m.write("managed/"+name, issued(nil))
			failure, _ := resp.Data["error"].(map[string]any)
			if resp.Data["state"] != "blocked" || failure["class"] != "ownership" || !strings.Contains(textOfAny(failure["message"]), "another remote_name") {
				t.Errorf("%s: answered with %v", name, resp.Data)
			}
			m.must(logical.DeleteOperation, "managed/"+name, map[string]any{"deletion_policy": "force", "wait": "1h"})
			if after, there := region.Secret(name); !there || after.Description != before.Description {
				t.Errorf("%s was touched: %+v", name, after)
			}
		}
	})
}

func TestADeletedManagedCredentialComesBackWithinItsWindow(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(nil))
		before := m.credential("db")
		resp := m.must(logical.DeleteOperation, "managed/db", map[string]any{"recovery_window_days": 7, "wait": "1h"})
		if resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "accounts stay") {
			t.Errorf("the deletion is answered with %v", resp)
		}
		if s := theOne(t, region); s.State != provider.StatePendingDeletion || time.Until(s.DeletionTime) > provider.Days(7) {
			t.Errorf("the cloud has it as %v until %v", s.State, s.DeletionTime)
		}
		if resp := m.write("managed/db", issued(nil)); resp.Data["state"] != "ready" {
			t.Errorf("written again it is %v", resp.Data)
		}
		if after := m.credential("db"); after["password"] != before["password"] {
			t.Error("it came back with another value")
		}
		m.must(logical.DeleteOperation, "managed/db", map[string]any{"deletion_policy": "retain", "wait": "1h"})
		if s := theOne(t, region); s.State != provider.StateEnabled || strings.Contains(s.Description, "vault-cloudsync") {
			t.Errorf("retained it is %v, %q", s.State, s.Description)
		}
	})
}

func TestADestinationWithManagedCredentialsIsntLost(t *testing.T) {
	onMount(t, providertest.LabelMoving(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(nil))
		resp, err := m.do(logical.DeleteOperation, "destinations/memory/main", nil)
		if err == nil || !strings.Contains(resp.Error().Error(), `"db"`) {
			t.Errorf("its destination is deleted: %v", resp)
		}
		if text := m.refuse("destinations/memory/main", map[string]any{"region": "r9"}); !strings.Contains(text, `"db"`) {
			t.Errorf("its region changes: %s", text)
		}
		resp = m.must(logical.DeleteOperation, "destinations/memory/main", map[string]any{"force": true})
		if warnings := strings.Join(resp.Warnings, "\n"); !strings.Contains(warnings, "1 managed credentials, such as") {
			t.Errorf("what is forgotten isn't told: %q", warnings)
		}
		if m.read("managed/db") != nil {
			t.Error("it is still there")
		}
		theOne(t, region)
	})
}

func TestThePauseAndADisabledDestinationHoldManagedCredentials(t *testing.T) {
	onMount(t, providertest.IDAssigning(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("config", map[string]any{"paused": true})
		resp := m.write("managed/db", issued(nil))
		if len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "paused") || len(region.Names()) > 0 {
			t.Errorf("paused: %v, the cloud has %v", resp.Warnings, region.Names())
		}
		m.write("config", map[string]any{"paused": false})
		time.Sleep(time.Minute)
		if state := m.read("managed/db").Data["state"]; state != "ready" {
			t.Errorf("after the pause it is %v", state)
		}
		m.write("destinations/memory/main", map[string]any{"disabled": true})
		if resp := m.write("managed/db/rotate", nil); resp.Data["state"] != "disabled" || len(theOne(t, region).Credential.Values) != 1 {
			t.Errorf("disabled: %v", resp.Data)
		}
		m.write("destinations/memory/main", map[string]any{"disabled": false})
		time.Sleep(time.Minute)
		if state := m.read("managed/db").Data["state"]; state != "ready" || len(theOne(t, region).Credential.Values) != 2 {
			t.Errorf("after enabling it is %v", state)
		}
		managed, _ := m.read("status").Data["managed"].(map[string]any)
		counts, _ := managed["memory/main"].(map[string]any)
		if counts["ready"] != 1 {
			t.Errorf("the overview counts %v", counts)
		}
	})
}

func TestSettledManagedCredentialsCostNothing(t *testing.T) {
	eachCloud(t, func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(nil))
		m.write("managed/key", map[string]any{"destination": "memory/main", "product": "key"})
		region.ResetCalls()
		m.restart()
		time.Sleep(24 * time.Hour)
		m.read("managed/db")
		m.write("managed/db", issued(nil))
		if calls := region.Calls(); len(calls) > 0 {
			t.Errorf("a restart and an equal write cost %v", calls)
		}
		if resp := m.write("managed/db", map[string]any{"description": "new", "tags": map[string]any{"a": "b"}}); resp.Data["state"] != "ready" {
			t.Errorf("a description ends with %v", resp.Data)
		}
		if calls := region.Calls(); len(calls) != 2 {
			t.Errorf("a description and a tag cost %v", calls)
		}
	})
}

func TestProductFieldsOfAllCloudsAgree(t *testing.T) {
	if types := knownTypes(kinds); len(types) > 0 {
		t.Errorf("fields of one name have several types: %v", types)
	}
	common := managedFields(nil)
	for _, kind := range kinds {
		for _, product := range kind.Credentials {
			for _, f := range product.Fields {
				if common[f.Name] != nil {
					t.Errorf("%s %s: the field %s is one of all products", kind.Type, product.Name, f.Name)
				}
			}
		}
	}
}

func TestTheBrakeHoldsDeletionsOfManagedCredentials(t *testing.T) {
	onMount(t, providertest.IDAssigning(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("destinations/memory/main", map[string]any{"max_deletions_per_hour": 1})
		for _, name := range []string{"a", "b", "c"} {
			m.write("managed/"+name, issued(nil))
		}
		remove := func(name string) *logical.Response {
			return m.must(logical.DeleteOperation, "managed/"+name, map[string]any{"wait": "1m"})
		}
		remove("a")
		region.ResetCalls()
		for _, name := range []string{"b", "c"} {
			if resp := remove(name); resp == nil || !strings.Contains(resp.Warnings[0], "held") || m.read("managed/" + name).Data["state"] != "held" {
				t.Errorf("the deletion of %s beyond the limit answers %v", name, resp)
			}
		}
		m.restart()
		time.Sleep(3 * time.Hour)
		if calls := region.Calls(); len(calls) > 0 {
			t.Errorf("held deletions make the calls %v", calls)
		}
		if resp := m.write("managed/c", issued(nil)); resp.Data["state"] != "ready" {
			t.Errorf("written again it is %v", resp.Data)
		}
		if resp := m.write("release-held/memory/main", nil); resp.Data["released"] != 1 {
			t.Errorf("let go are %v", resp.Data)
		}
		time.Sleep(time.Minute)
		if m.read("managed/b") != nil || m.read("managed/c").Data["state"] != "ready" {
			t.Errorf("left are %v and %v", m.read("managed/b"), m.read("managed/c"))
		}
	})
}

func TestAReadThatTheCloudDoesntAnswerSaysWhetherToTryAgain(t *testing.T) {
	onMount(t, providertest.LabelMoving(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(nil))
		if found := m.must(logical.ReadOperation, "lookup/memory/main", map[string]any{"remote_name": "db"}).Data; flag(found["free"]) || found["credential"] != "db" {
			t.Errorf("its remote name is told to be %v", found)
		}
		for class, status := range map[provider.Class]int{
			provider.ClassUnavailable: 503, provider.ClassThrottled: 503, provider.ClassPermission: 400, provider.ClassNotFound: 400,
		} {
			region.Before(providertest.Always(providertest.OpReadCredential, providertest.Failure(class)))
			resp, err := m.do(logical.ReadOperation, "managed/db/credentials", nil)
			got, text := 400, ""
			if err == nil && resp != nil {
				code, _ := resp.Data[logical.HTTPStatusCode].(int)
				body, _ := resp.Data[logical.HTTPRawBody].([]byte)
				got, text = code, string(body)
			} else if resp.IsError() {
				text = resp.Error().Error()
			}
			if got != status || !containsAll(text, "db", string(class), "memory/main") {
				t.Errorf("%s is answered with %d: %s", class, got, text)
			}
		}
	})
}
