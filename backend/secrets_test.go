// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestAWriteAnswersWithTheVersionAndInSync(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	resp := m.write("secrets/team-a/db", map[string]any{
		"data": map[string]any{"user": "app", "port": 5432}, "destinations": "memory/main",
		"kms_key_id": "key-1", "tags": map[string]any{"env": "prod"}, "description": "the database",
	})
	if resp.Data["version"] != uint64(1) || resp.Data["state"] != "in_sync" || len(resp.Warnings) > 0 {
		t.Errorf("answer: %v, warnings %v", resp.Data, resp.Warnings)
	}
	if got, want := current(t, region, "team-a_db"), `{"port":5432,"user":"app"}`; got != want {
		t.Errorf("readers get %s, want %s", got, want)
	}
	secret, _ := region.Secret("team-a_db")
	if secret.KMSKeyID != "key-1" || secret.Tags["env"] != "prod" {
		t.Errorf("key %q and tags %v", secret.KMSKeyID, secret.Tags)
	}
	if !strings.HasPrefix(secret.Description, "the database [vault-cloudsync mount=") || !strings.HasSuffix(secret.Description, " secret=team-a/db]") {
		t.Errorf("description %q", secret.Description)
	}
	if got, want := versionIDs(region, "team-a_db"), []string{"v1", "SSM_Current"}; !slices.Equal(got, want) {
		t.Errorf("versions %v, want %v", got, want)
	}
	m.awaitSettled()
}

// The cost of a write is a promise to those who pay for calls by quota.
func TestRemoteCallsPerOperation(t *testing.T) {
	withoutHistory := map[string]any{"region": "r1", "version_history": false}
	tests := []struct {
		name        string
		destination map[string]any
		do          func(m *mount)
		want        []string
	}{
		{"creating with history takes two calls", nil, func(m *mount) {
			m.write("secrets/b", map[string]any{"value": "x", "destinations": "memory/main"})
		}, []string{providertest.OpCreate, providertest.OpPutVersion}},
		{"creating without history takes one", withoutHistory, func(m *mount) {
			m.write("secrets/b", map[string]any{"value": "x", "destinations": "memory/main"})
		}, []string{providertest.OpCreate}},
		{"a new version takes one for the history and one for the pointer", nil, func(m *mount) {
			m.write("secrets/a", map[string]any{"value": "two"})
		}, []string{providertest.OpPutVersion, providertest.OpOverwrite}},
		{"a new version without history takes one", withoutHistory, func(m *mount) {
			m.write("secrets/a", map[string]any{"value": "two"})
		}, []string{providertest.OpOverwrite}},
		{"a sync of what is in sync takes none", nil, func(m *mount) { m.write("sync/a", nil) }, nil},
		{"a restart takes none", nil, func(m *mount) { m.restart() }, nil},
		{"reading takes none", nil, func(m *mount) { m.read("secrets/a"); m.read("status/a"); m.read("status") }, nil},
		{"custom metadata takes none", nil, func(m *mount) {
			m.write("metadata/a", map[string]any{"custom_metadata": map[string]any{"owner": "me"}})
		}, nil},
		{"a new description takes one", nil, func(m *mount) {
			m.write("secrets/a", map[string]any{"description": "new"})
		}, []string{providertest.OpSetDescription}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			if test.destination != nil {
				m.write("destinations/memory/main", test.destination)
			}
			m.write("secrets/a", map[string]any{"value": "one", "destinations": "memory/main"})
			region.ResetCalls()
			test.do(m)
			m.awaitSettled()
			var got []string
			for _, call := range region.Calls() {
				got = append(got, call.Op)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("calls %v, want %v", got, test.want)
			}
		})
	}
}

func TestEveryWayToWriteReplicates(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/s", map[string]any{"data": map[string]any{"a": "1"}, "destinations": "memory/main"})
	steps := []struct {
		name string
		do   func()
		want string
	}{
		{"a write through data/", func() { m.write("data/s", map[string]any{"data": map[string]any{"a": "2", "b": "x"}}) }, `{"a":"2","b":"x"}`},
		{"a patch through data/", func() {
			m.must(logical.PatchOperation, "data/s", map[string]any{"data": map[string]any{"b": nil, "c": "3"}})
		}, `{"a":"2","c":"3"}`},
		{"a patch through secrets/", func() {
			m.must(logical.PatchOperation, "secrets/s", map[string]any{"data": map[string]any{"c": "4"}})
		}, `{"a":"2","c":"4"}`},
		{"a rollback", func() { m.write("rollback/s", map[string]any{"version": 1}) }, `{"a":"1"}`},
		{"deleting the newest version falls back to the one before", func() { m.remove("data/s") }, `{"a":"2","c":"4"}`},
		{"undeleting it brings it back", func() { m.write("undelete/s", map[string]any{"versions": "5"}) }, `{"a":"1"}`},
		{"destroying it falls back", func() { m.remove("secrets/s/versions/5") }, `{"a":"2","c":"4"}`},
		{"a string", func() { m.write("secrets/s", map[string]any{"value": "plain"}) }, "plain"},
		{"data that fits the string form keeps it", func() { m.write("data/s", map[string]any{"data": map[string]any{"value": "other"}}) }, "other"},
		{"data that doesn't goes as json", func() { m.write("data/s", map[string]any{"data": map[string]any{"k": "v"}}) }, `{"k":"v"}`},
		{"bytes", func() { m.write("secrets/s", map[string]any{"binary": "AAECAw=="}) }, "\x00\x01\x02\x03"},
		{"data as JSON text, as the CLI's data=@file gives it", func() { m.write("secrets/s", map[string]any{"data": "{\"n\": 8080}\n"}) }, `{"n":8080}`},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			step.do()
			m.awaitSettled()
			if got := current(t, region, "s"); got != step.want {
				t.Errorf("readers get %q, want %q", got, step.want)
			}
		})
	}
	if ids := versionIDs(region, "s"); slices.Contains(ids, "v5") {
		t.Errorf("the destroyed version is still there: %v", ids)
	}
}

func TestASecretIsReadInTheFormItWasWrittenIn(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for _, written := range []map[string]any{
		{"data": map[string]any{"a": "b"}}, {"value": ""}, {"value": "text"}, {"binary": "AAEC"},
	} {
		m.write("secrets/s", written)
		resp := m.read("secrets/s")
		for form, want := range written {
			if got := resp.Data[form]; !reflect.DeepEqual(got, want) {
				t.Errorf("wrote %v, read %v", written, resp.Data)
			}
		}
	}
}

func TestBadInputIsRefusedWithAClearErrorAndNothingIsStored(t *testing.T) {
	tests := []struct {
		name string
		path string
		data map[string]any
		says []string
	}{
		{
			"a remote name that is too long", "secrets/s",
			map[string]any{"value": "x", "destinations": "memory/main", "remote_name": strings.Repeat("n", 129)},
			[]string{"memory/main", "129 bytes", "limit is 128"},
		},
		{
			"a remote name with a forbidden character", "secrets/s",
			map[string]any{"value": "x", "destinations": "memory/main", "remote_name": "a/b"},
			[]string{"memory/main", `'/'`},
		},
		{
			"a value that is too large", "secrets/s",
			map[string]any{"value": strings.Repeat("x", 32<<10+1), "destinations": "memory/main"},
			[]string{"memory/main", "value", "32769 bytes", "limit is 32768"},
		},
		{
			"a value that is too large through data/", "data/present",
			map[string]any{"data": map[string]any{"k": strings.Repeat("x", 32<<10)}},
			[]string{"memory/main", "bytes", "limit is 32768"},
		},
		{"an unknown destination", "secrets/s", map[string]any{"value": "x", "destinations": "memory/other"}, []string{"memory/other", "doesn't exist"}},
		{"a destination without a type", "secrets/s", map[string]any{"value": "x", "destinations": "main"}, []string{`"main"`, "type/name"}},
		{"two forms of a value", "secrets/s", map[string]any{"value": "x", "data": map[string]any{"a": "b"}}, []string{"more than one of data, value and binary"}},
		{"bad base64", "secrets/s", map[string]any{"binary": "?"}, []string{"binary", "base64"}},
		{"data that is no object", "secrets/s", map[string]any{"data": "[1]"}, []string{"data", "JSON object"}},
		{"a bad check-and-set", "secrets/present", map[string]any{"value": "x", "cas": 7, "description": "changed"}, []string{"check-and-set"}},
		{"a bad check-and-set on a new secret", "secrets/s", map[string]any{"value": "x", "cas": 1, "destinations": "memory/main"}, []string{"check-and-set"}},
		{"a bad tag", "secrets/s", map[string]any{"value": "x", "destinations": "memory/main", "tags": map[string]any{"k": ""}}, []string{"memory/main", "tag", `"k"`, "empty"}},
		{"an unknown parameter", "secrets/s", map[string]any{"value": "x", "destination": "memory/main"}, []string{`unknown parameter "destination"`, "destinations"}},
		{"nothing to write", "secrets/present", map[string]any{}, []string{"nothing to write"}},
		{"settings of a secret that doesn't exist", "secrets/s", map[string]any{"description": "x"}, []string{"doesn't exist"}},
		{"a reserved segment", "secrets/versions/a", map[string]any{"value": "x"}, []string{"reserved"}},
		{"a name of more than 512 bytes", "secrets/" + strings.Repeat("n", 513), map[string]any{"value": "x"}, []string{"513 bytes", "512"}},
		{"a key for several destinations", "secrets/s", map[string]any{"value": "x", "kms_key_id": "k"}, []string{"kms_key_id", "exactly one destination"}},
		{
			"a key for a destination that the secret doesn't have", "secrets/s",
			map[string]any{"value": "x", "destinations": "memory/main", "kms_key_ids": map[string]any{"memory/b": "k"}},
			[]string{"kms_key_ids", "memory/b"},
		},
		{"an unknown format", "secrets/s", map[string]any{"value": "x", "format": "yaml"}, []string{"format", "yaml", "json, raw and binary"}},
		{
			"data that doesn't fit the format that was chosen", "secrets/s",
			map[string]any{"data": map[string]any{"a": "b"}, "format": "raw", "destinations": "memory/main"},
			[]string{"memory/main", "format raw", `"value"`},
		},
		{
			"a remote name that another secret has", "secrets/s",
			map[string]any{"value": "x", "destinations": "memory/main", "remote_name": "present"},
			[]string{"memory/main", `"present"`, "taken by secret"},
		},
		{"an unknown version to roll back to", "rollback/present", map[string]any{"version": 9}, []string{"version 9", "doesn't exist"}},
		{"a plain http endpoint", "destinations/memory/b", map[string]any{"region": "r", "access_key_id": "i", "access_key_secret": "s", "endpoint": "http://10.0.0.1"}, []string{"endpoint", "http://10.0.0.1", "loopback", "https"}},
		{"a destination without a region", "destinations/memory/b", map[string]any{"access_key_id": "i", "access_key_secret": "s"}, []string{"region"}},
		{"a destination with an unknown parameter", "destinations/memory/b", map[string]any{"regoin": "r"}, []string{`"regoin"`, "region"}},
		{"a destination with a bad glob", "destinations/memory/b", map[string]any{"region": "r", "access_key_id": "i", "access_key_secret": "s", "allowed_paths": "a[/"}, []string{"allowed_paths"}},
		{"a window that the cloud doesn't have", "destinations/memory/b", map[string]any{"region": "r", "access_key_id": "i", "access_key_secret": "s", "recovery_window_days": 90}, []string{"recovery_window_days", "90", "1 to 30"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, _ := newMount(t, providertest.Overwriting())
			m.write("secrets/present", map[string]any{"value": "there", "destinations": "memory/main"})
			m.awaitSettled()
			before := m.storage.dump(t)
			message := m.refuse(test.path, test.data)
			if !containsAll(message, test.says...) {
				t.Errorf("it says %q, want all of %q", message, test.says)
			}
			if after := m.storage.dump(t); !reflect.DeepEqual(before, after) {
				t.Errorf("the refused request changed the storage")
			}
		})
	}
}

func TestWhatTheCloudRefusesIsBlockedWithTheReasonAndTheRemedy(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	region.Accept("id", "another secret")
	resp := m.write("secrets/s", map[string]any{"value": "x", "destinations": "memory/main"})
	if resp.Data["version"] != uint64(1) || resp.Data["state"] != "blocked" || len(resp.Warnings) == 0 {
		t.Errorf("answer %v, warnings %q", resp.Data, resp.Warnings)
	}
	failure, _ := m.replica("s")["error"].(map[string]any)
	if action, _ := failure["action"].(string); failure["class"] != "auth" || !strings.Contains(action, "credentials") {
		t.Errorf("error %v", failure)
	}

	t.Run("a restart keeps it known", func(*testing.T) {
		m.restart()
		m.await("s", "blocked")
	})
	t.Run("correcting the destination converges without a write", func(t *testing.T) {
		m.write("destinations/memory/main", map[string]any{"access_key_secret": "another secret\n"})
		m.await("s", "in_sync")
		if got := current(t, region, "s"); got != "x" {
			t.Errorf("readers get %q", got)
		}
	})
}

func TestNothingThatIsNotOursIsChanged(t *testing.T) {
	seeds := map[string]providertest.Stored{
		"a secret without a mark":        {Secret: provider.Secret{Name: "s", Description: "by hand"}},
		"another mount's secret":         {Secret: provider.Secret{Name: "s", Description: "[vault-cloudsync mount=other secret=s]"}},
		"another secret of our own name": {Secret: provider.Secret{Name: "s", Description: "[vault-cloudsync mount=MOUNT secret=t]"}},
		"a cloud-managed secret":         {Secret: provider.Secret{Name: "s", CloudManaged: true, Type: "Mysql", Description: "[vault-cloudsync mount=MOUNT secret=s]"}},
	}
	for name, seed := range seeds {
		t.Run(name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			mountID, _ := m.read("status").Data["mount_id"].(string)
			seed.Description = strings.Replace(seed.Description, "MOUNT", mountID, 1)
			seed.Versions = []providertest.StoredVersion{{Version: provider.Version{ID: "SSM_Current"}, Value: provider.Text("theirs")}}
			region.Seed(seed)
			before, _ := region.Secret("s")
			m.write("secrets/s", map[string]any{"value": "ours", "destinations": "memory/main"})
			if failure, _ := m.replica("s")["error"].(map[string]any); failure["class"] != "ownership" {
				t.Errorf("replica %v", m.replica("s"))
			}
			m.write("secrets/s", map[string]any{"value": "ours again"})
			m.remove("secrets/s")
			m.awaitSettled()
			if after, _ := region.Secret("s"); !reflect.DeepEqual(before, after) {
				t.Errorf("it was changed from %v to %v", before, after)
			}
		})
	}
}

func TestDeletingASecretDealsWithTheReplicaByPolicy(t *testing.T) {
	tests := []struct {
		policy string
		check  func(t *testing.T, secret providertest.Stored, there bool)
	}{
		{"schedule", func(t *testing.T, secret providertest.Stored, there bool) {
			if !there || secret.State != provider.StatePendingDeletion {
				t.Errorf("state %q", secret.State)
			}
		}},
		{"force", func(t *testing.T, _ providertest.Stored, there bool) {
			if there {
				t.Error("it is still there")
			}
		}},
		{"retain", func(t *testing.T, secret providertest.Stored, there bool) {
			if !there || secret.State != provider.StateEnabled || secret.Description != "mine" {
				t.Errorf("state %q, description %q", secret.State, secret.Description)
			}
		}},
	}
	for _, path := range []string{"secrets/s", "metadata/s"} {
		for _, test := range tests {
			t.Run(test.policy+" through "+path, func(t *testing.T) {
				m, region := newMount(t, providertest.Overwriting())
				m.write("secrets/s", map[string]any{"value": "x", "destinations": "memory/main", "deletion_policy": test.policy, "description": "mine"})
				m.remove(path)
				m.awaitSettled()
				secret, there := region.Secret("s")
				test.check(t, secret, there)
				if resp, err := m.do(logical.ReadOperation, "secrets/s", nil); resp != nil || err != nil {
					t.Errorf("the secret is still read: %v %v", resp, err)
				}
				// The name is free for a secret of another name.
				if test.policy == "force" {
					m.write("secrets/other", map[string]any{"value": "y", "destinations": "memory/main", "remote_name": "s"})
				}
			})
		}
	}
}

func TestASecretThatIsMadeAnewNeverReusesAVersionID(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
	m.write("secrets/s", map[string]any{"value": "two"})
	m.remove("secrets/s")
	m.awaitSettled()
	m.restart()
	resp := m.write("secrets/s", map[string]any{"value": "anew", "destinations": "memory/main"})
	if resp.Data["version"] != uint64(1) || resp.Data["state"] != "in_sync" {
		t.Errorf("answer %v, %v", resp.Data, resp.Warnings)
	}
	if got := current(t, region, "s"); got != "anew" {
		t.Errorf("readers get %q", got)
	}
	secret, _ := region.Secret("s")
	old, _ := secret.Version("v1")
	anew, _ := secret.Version("v1-2")
	if old.Value.Reveal() != "one" || anew.Value.Reveal() != "anew" {
		t.Errorf("versions %v", versionIDs(region, "s"))
	}
}

func TestASecretWithoutALiveVersionIsWithdrawn(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main"})
	m.remove("data/s")
	m.await("s", "withdrawn")
	if secret, _ := region.Secret("s"); secret.State != provider.StateDisabled {
		t.Errorf("state %q", secret.State)
	}
	m.write("undelete/s", map[string]any{"versions": "1"})
	m.await("s", "in_sync")
	if got := current(t, region, "s"); got != "one" {
		t.Errorf("readers get %q", got)
	}
}

func TestTakingADestinationAwayLeavesTheRemoteUnmarked(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/s", map[string]any{"value": "one", "destinations": "memory/main", "description": "mine"})
	m.write("secrets/s", map[string]any{"destinations": ""})
	m.awaitSettled()
	secret, _ := region.Secret("s")
	if secret.State != provider.StateEnabled || secret.Description != "mine" {
		t.Errorf("state %q, description %q", secret.State, secret.Description)
	}
	if replica := m.replica("s"); replica != nil {
		t.Errorf("the replica is still known: %v", replica)
	}
}

func TestTheOldestVersionsMakeRoom(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/s", map[string]any{"value": "1", "destinations": "memory/main"})
	for i := range 14 {
		if resp := m.write("secrets/s", map[string]any{"value": strconv.Itoa(i + 2)}); resp.Data["state"] != "in_sync" {
			t.Fatalf("answer %v %v", resp.Data, resp.Warnings)
		}
	}
	want := []string{"SSM_Current", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15"}
	if got := versionIDs(region, "s"); !slices.Equal(got, want) {
		t.Errorf("versions %v, want %v", got, want)
	}
}

func TestVersionsTellWhereTheyAre(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("secrets/team/s", map[string]any{"data": map[string]any{"k": "one"}, "destinations": "memory/main"})
	m.write("secrets/team/s", map[string]any{"data": map[string]any{"k": "two"}})
	list := m.must(logical.ListOperation, "secrets/team/s/versions/", nil)
	if keys := list.Data["keys"]; !reflect.DeepEqual(keys, []string{"1", "2"}) {
		t.Errorf("versions %v", keys)
	}
	for number, wantCurrent := range map[string]bool{"1": false, "2": true} {
		resp := m.read("secrets/team/s/versions/" + number)
		destinations, _ := resp.Data["destinations"].(map[string]any)
		held, _ := destinations["memory/main"].(map[string]any)
		if ids, _ := held["remote_versions"].([]string); !slices.Contains(ids, "v"+number) || held["current"] != wantCurrent {
			t.Errorf("version %s is held as %v", number, held)
		}
	}
	if keys := m.must(logical.ListOperation, "secrets/", nil).Data["keys"]; !reflect.DeepEqual(keys, []string{"team/"}) {
		t.Errorf("folders %v", keys)
	}
}

func TestADeletedVersionIsANotFoundWithItsMetadata(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("secrets/s", map[string]any{"value": "one"})
	m.remove("data/s")
	for _, path := range []string{"secrets/s", "secrets/s/versions/1", "data/s"} {
		resp, err := m.do(logical.ReadOperation, path, nil)
		if err != nil || resp == nil || resp.Data[logical.HTTPStatusCode] != http.StatusNotFound {
			t.Errorf("%s: %v, %v", path, resp, err)
		}
	}
}

func TestADestinationTakesOnlyWhatItAllows(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("destinations/memory/main", map[string]any{"allowed_paths": "team-a/**,shared/*"})
	for _, name := range []string{"team-a/x", "team-a/x/y", "shared/x"} {
		m.write("secrets/"+name, map[string]any{"value": "x", "destinations": "memory/main"})
	}
	for _, name := range []string{"team-b/x", "shared/x/y", "x"} {
		if message := m.refuse("secrets/"+name, map[string]any{"value": "x", "destinations": "memory/main"}); !containsAll(message, "memory/main", "allowed_paths", "team-a/**") {
			t.Errorf("%s: %s", name, message)
		}
	}
}
