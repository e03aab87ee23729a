// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

const testMark = "[vault-cloudsync"

// awaitRule waits until a change of the rule is applied to all secrets.
func (m *mount) awaitRule(name string) {
	m.t.Helper()
	until(m.t, "the end of the rule's sweep", func() bool {
		return !strings.Contains(m.storage.dump(m.t)["rule/"+name], `"sweep"`)
	})
	m.awaitSettled()
}

func (m *mount) kv(name string, data map[string]any) *logical.Response {
	m.t.Helper()
	return m.write("data/"+name, map[string]any{"data": data})
}

func TestARuleSendsWhatIsWrittenThroughKV(t *testing.T) {
	for cloud, model := range clouds {
		t.Run(cloud, func(t *testing.T) {
			m, region := newMount(t, model())
			m.write("rules/team-a", map[string]any{
				"match": "team-a/**", "exclude": "team-a/private/**", "destinations": "memory/main", "kms_key_id": "key-1",
				"tags": "team=a,app={{ .SecretBaseName }}", "description": "of {{ .SecretPath }}",
				"secret_name_template": "prod-{{ .SecretPath | replace \"/\" \"-\" }}",
			})
			m.kv("team-a/db", map[string]any{"password": "one"})
			m.kv("team-a/private/x", map[string]any{"password": "one"})
			m.kv("team-b/db", map[string]any{"password": "one"})
			m.awaitSettled()
			if got, want := region.Names(), []string{"prod-team-a-db"}; !slices.Equal(got, want) {
				t.Fatalf("the cloud has %v, want %v", got, want)
			}
			secret, _ := region.Secret("prod-team-a-db")
			if secret.KMSKeyID != "key-1" || secret.Tags["team"] != "a" || secret.Tags["app"] != "db" || !strings.HasPrefix(secret.Description, "of team-a/db "+testMark) {
				t.Errorf("key %q, tags %v, description %q", secret.KMSKeyID, secret.Tags, secret.Description)
			}
			if got := current(t, region, "prod-team-a-db"); got != `{"password":"one"}` {
				t.Errorf("readers get %s", got)
			}
		})
	}
}

func TestSecretsThatAreThereFollowARule(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	for i := range 40 {
		m.kv(fmt.Sprintf("team-a/s%02d", i), map[string]any{"n": "1"})
	}
	m.kv("team-b/s", map[string]any{"n": "1"})
	m.write("rules/all-a", map[string]any{"match": "team-a/**", "destinations": "memory/main"})
	m.awaitRule("all-a")
	if n := len(region.Names()); n != 40 {
		t.Errorf("the cloud has %d secrets", n)
	}
	calls := region.Count("")
	m.write("rules/all-a", map[string]any{"tags": "env=prod"})
	m.awaitRule("all-a")
	if secret, _ := region.Secret("team-a_s07"); secret.Tags["env"] != "prod" {
		t.Errorf("tags %v", secret.Tags)
	}
	if versions := versionIDs(region, "team-a_s07"); len(versions) != 2 {
		t.Errorf("a change of tags made versions: %v", versions)
	}
	calls = region.Count("") - calls
	if calls > 2*40 {
		t.Errorf("%d calls for 40 changes of tags", calls)
	}
	m.remove("rules/all-a")
	m.awaitRule("all-a")
	for _, name := range region.Names() {
		if secret, _ := region.Secret(name); strings.Contains(secret.Description, testMark) || secret.State != provider.StateEnabled {
			t.Fatalf("after the rule was deleted %s is %s with %q", name, secret.State, secret.Description)
		}
	}
}

func TestAChangedRuleIsAppliedAlsoAfterARestart(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	for i := range 20 {
		m.kv(fmt.Sprintf("team-a/s%02d", i), map[string]any{"n": "1"})
	}
	m.storage.fail(func(operation, key string) error {
		if operation == "list" && strings.HasPrefix(key, "kv/") {
			return errDied // nothing can be looked through
		}
		return nil
	})
	m.write("rules/all-a", map[string]any{"match": "team-a/**", "destinations": "memory/main"})
	m.write("rules/all-a", map[string]any{"tags": "env=prod"})
	m.b.Cleanup(t.Context())
	m.storage.fail(nil)
	m.start()
	m.awaitRule("all-a")
	if n := len(region.Names()); n != 20 {
		t.Errorf("the cloud has %d secrets", n)
	}
}

func TestPrecedenceOfSettings(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("destinations/memory/main", map[string]any{"kms_key_id": "of-destination", "custom_tags": "a=destination,b=destination,c=destination"})
	m.write("rules/wide", map[string]any{"match": "**", "destinations": "memory/main", "kms_key_id": "of-wide", "tags": "b=wide,c=wide"})
	m.write("rules/narrow", map[string]any{"match": "team-a/*", "destinations": "memory/main", "kms_key_id": "of-narrow", "tags": "c=narrow"})
	m.kv("x", map[string]any{"n": "1"})
	m.kv("team-a/y", map[string]any{"n": "1"})
	m.write("secrets/team-a/z", map[string]any{"value": "1", "destinations": "memory/main", "kms_key_id": "own", "tags": "c=own"})
	m.awaitSettled()
	for name, want := range map[string]string{
		"x":        "of-wide a=destination b=wide c=wide",
		"team-a/y": "of-narrow a=destination b=wide c=narrow",
		"team-a/z": "own a=destination b=wide c=own",
	} {
		secret, _ := region.Secret(strings.ReplaceAll(name, "/", "_"))
		if _, there := region.Secret(name); there {
			secret, _ = region.Secret(name)
		}
		got := fmt.Sprintf("%s a=%s b=%s c=%s", secret.KMSKeyID, secret.Tags["a"], secret.Tags["b"], secret.Tags["c"])
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestContradictingRulesAreRefusedNamingBoth(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("rules/one", map[string]any{"match": "team-a/*", "destinations": "memory/main", "kms_key_id": "k1"})
	says := m.refuse("rules/two", map[string]any{"match": "team-*/x", "destinations": "memory/main", "format": "tar"})
	if !containsAll(says, "format", "tar", "json") {
		t.Error(says)
	}
	says = m.refuse("rules/two", map[string]any{"match": "team-a/*", "destinations": "memory/main", "kms_key_id": "k2"})
	if !containsAll(says, "one", "two", "kms_key_id", "memory/main") {
		t.Error(says)
	}
	if m.read("rules/two") != nil {
		t.Error("the refused rule is stored")
	}
}

func TestBadRulesAreRefused(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for name, test := range map[string]struct {
		data map[string]any
		says []string
	}{
		"without a match":         {map[string]any{"destinations": "memory/main"}, []string{"rule r", "match", "team-a/**"}},
		"with a bad glob":         {map[string]any{"match": "a[", "destinations": "memory/main"}, []string{"match", "a["}},
		"to nowhere":              {map[string]any{"match": "**"}, []string{"destinations"}},
		"to an absent one":        {map[string]any{"match": "**", "destinations": "memory/none"}, []string{"memory/none", "destinations/memory/none"}},
		"with an unknown field":   {map[string]any{"match": "**", "destinations": "memory/main", "secret_name_template": "{{ .Path }}"}, []string{"secret_name_template", ".Path", ".SecretPath"}},
		"with a misspelt setting": {map[string]any{"match": "**", "destinations": "memory/main", "kms_key": "k"}, []string{"kms_key", "kms_key_id"}},
		"with a tag from nowhere": {map[string]any{"match": "**", "destinations": "memory/main", "tags": "k={{ .Foo }}"}, []string{"tags", "k", ".Foo", ".SecretPath"}},
		"with an unclosed text":   {map[string]any{"match": "**", "destinations": "memory/main", "description": "{{ .SecretPath"}, []string{"description", "unclosed"}},
		"with a tag too long":     {map[string]any{"match": "**", "destinations": "memory/main", "tags": "k=" + strings.Repeat("v", 1000)}, []string{"tags", "limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			if says := m.refuse("rules/r", test.data); !containsAll(says, test.says...) {
				t.Error(says)
			}
		})
	}
}

func TestADestinationThatARuleNamesStays(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main"})
	resp, err := m.do(logical.DeleteOperation, "destinations/memory/main", map[string]any{"force": true})
	if err == nil || !containsAll(resp.Error().Error(), "rule all", "memory/main") {
		t.Errorf("%v %v", resp, err)
	}
}

func TestAChangedTemplateRenames(t *testing.T) {
	for cloud, model := range clouds {
		t.Run(cloud, func(t *testing.T) {
			m, region := newMount(t, model())
			m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main", "secret_name_template": "a-{{ .SecretBaseName }}"})
			m.kv("x", map[string]any{"n": "1"})
			m.kv("x", map[string]any{"n": "2"})
			m.awaitSettled()
			m.write("rules/all", map[string]any{"secret_name_template": "b-{{ .SecretBaseName }}"})
			m.awaitRule("all")
			if got := current(t, region, "b-x"); got != `{"n":"2"}` {
				t.Errorf("readers of the new name get %s", got)
			}
			if got := current(t, region, "a-x"); got != `{"n":"2"}` {
				t.Errorf("readers of the former name get %s", got)
			}
			if former, _ := region.Secret("a-x"); strings.Contains(former.Description, testMark) {
				t.Errorf("the former one is still marked: %s", former.Description)
			}
			m.kv("x", map[string]any{"n": "3"})
			m.awaitSettled()
			if got := current(t, region, "a-x"); got != `{"n":"2"}` {
				t.Errorf("a write reached the former name: %s", got)
			}
			// And back: what was left there is taken back.
			m.write("rules/all", map[string]any{"secret_name_template": "a-{{ .SecretBaseName }}"})
			m.awaitRule("all")
			if got := current(t, region, "a-x"); got != `{"n":"3"}` {
				t.Errorf("readers get %s", got)
			}
			if replica := m.replica("x"); replica["remote_name"] != "a-x" || replica["former"] != nil {
				t.Errorf("%v", replica)
			}
		})
	}
}

func TestTheFormerNameStaysUntilTheNewOneIsThere(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
	region.Before(providertest.Always(providertest.OpCreate, providertest.Failure(provider.ClassPermission)))
	m.write("secrets/x", map[string]any{"remote_name": "y", "wait": 0})
	m.await("x", "blocked")
	m.write("sync/x", nil)
	if former, _ := region.Secret("x"); !strings.Contains(former.Description, testMark) {
		t.Error("the former one was given up although the new one can't be made")
	}
	replica := m.replica("x")
	if former, _ := replica["former"].(map[string]any); former["x"] == nil {
		t.Errorf("%v", replica)
	}
	region.Before(nil)
	m.write("sync/x", nil)
	m.awaitSettled()
	if former, _ := region.Secret("x"); strings.Contains(former.Description, testMark) {
		t.Error("the former one is still marked")
	}
}

func TestEachKeyCanHaveARemoteSecretOfItsOwn(t *testing.T) {
	for cloud, model := range clouds {
		t.Run(cloud, func(t *testing.T) {
			m, region := newMount(t, model())
			m.write("rules/all", map[string]any{
				"match": "**", "destinations": "memory/main", "granularity": "secret-key", "exclude_keys": "private*", "deletion_policy": "force",
				"secret_name_template": "{{ .SecretBaseName }}-{{ .SecretKey }}",
			})
			m.kv("x", map[string]any{"user": "u1", "password": "p1", "private_note": "no", "port": 5432})
			m.awaitSettled()
			if got, want := region.Names(), []string{"x-password", "x-port", "x-user"}; !slices.Equal(got, want) {
				t.Fatalf("the cloud has %v, want %v", got, want)
			}
			if got := current(t, region, "x-port"); got != "5432" {
				t.Errorf("readers get %s", got)
			}
			before := len(versionIDs(region, "x-user"))
			m.kv("x", map[string]any{"user": "u1", "password": "p2", "host": "h"})
			m.awaitSettled()
			if got := current(t, region, "x-password"); got != "p2" {
				t.Errorf("readers get %s", got)
			}
			if got := current(t, region, "x-host"); got != "h" {
				t.Errorf("readers get %s", got)
			}
			if n := len(versionIDs(region, "x-user")); n != before {
				t.Errorf("an unchanged key made a version: %v", versionIDs(region, "x-user"))
			}
			if _, there := region.Secret("x-port"); there {
				t.Error("a key that is gone is still there")
			}
			m.remove("data/x") // version 1 is the live one again
			m.awaitSettled()
			if got := current(t, region, "x-port"); got != "5432" {
				t.Errorf("readers get %s", got)
			}
			if got := current(t, region, "x-password"); got != "p1" {
				t.Errorf("readers get %s", got)
			}
			if _, there := region.Secret("x-host"); there {
				t.Error("the newer version's key is still there")
			}
			m.remove("metadata/x")
			m.awaitSettled()
			if names := region.Names(); len(names) != 0 {
				t.Errorf("after the deletion the cloud has %v", names)
			}
		})
	}
}

func TestCustomMetadataBecomesTags(t *testing.T) {
	m, region := newMount(t, providertest.LabelMoving())
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main", "custom_metadata_tags": "owner,cost"})
	m.write("metadata/x", map[string]any{"custom_metadata": map[string]any{"owner": "ann", "other": "no"}})
	m.kv("x", map[string]any{"n": "1"})
	m.awaitSettled()
	secret, _ := region.Secret("x")
	if secret.Tags["owner"] != "ann" || secret.Tags["other"] != "" {
		t.Errorf("tags %v", secret.Tags)
	}
	m.write("metadata/x", map[string]any{"custom_metadata": map[string]any{"cost": "7"}})
	m.awaitSettled()
	secret, _ = region.Secret("x")
	if _, there := secret.Tags["owner"]; there || secret.Tags["cost"] != "7" {
		t.Errorf("tags %v", secret.Tags)
	}
	if n := len(versionIDs(region, "x")); n != 1 {
		t.Errorf("a change of tags made %d versions", n)
	}
	says := m.refuse("metadata/x", map[string]any{"custom_metadata": map[string]any{"cost": strings.Repeat("7", 400)}})
	if !containsAll(says, "memory/main", "tag", "limit") {
		t.Error(says)
	}
}

func TestTwoSecretsNeverShareARemoteName(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main", "secret_name_template": "{{ .SecretBaseName }}"})
	m.kv("a/x", map[string]any{"n": "a"})
	resp, err := m.do(logical.UpdateOperation, "data/b/x", map[string]any{"data": map[string]any{"n": "b"}})
	if err == nil || !containsAll(resp.Error().Error(), "memory/main", `"x"`, "a/x") {
		t.Errorf("%v %v", resp, err)
	}
	if m.read("data/b/x") != nil {
		t.Error("the refused value is stored")
	}
	m.awaitSettled()
	if got := current(t, region, "x"); got != `{"n":"a"}` {
		t.Errorf("readers get %s", got)
	}
}

func TestWhatARuleCannotSendIsReported(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.kv("a/x", map[string]any{"n": "a"})
	m.kv("b/x", map[string]any{"n": "b"})
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main", "secret_name_template": "{{ .SecretBaseName }}"})
	until(t, "the end of the rule's sweep", func() bool { return m.read("rules/all").Data["sweep"] == nil })
	states := func() (blocked, inSync string) {
		for _, name := range []string{"a/x", "b/x"} {
			switch m.replica(name)["state"] {
			case "blocked":
				blocked = name
			case "in_sync":
				inSync = name
			}
		}
		return blocked, inSync
	}
	until(t, "one of both", func() bool { blocked, inSync := states(); return blocked != "" && inSync != "" })
	blocked, inSync := states()
	failure, _ := m.replica(blocked)["error"].(map[string]any)
	if message, _ := failure["message"].(string); !containsAll(message, inSync, "remote_name") {
		t.Errorf("%v", failure)
	}
	// What stood in the way goes away.
	m.write("secrets/"+inSync, map[string]any{"deletion_policy": "force"})
	m.remove("secrets/" + inSync)
	until(t, "the deletion", func() bool { return len(region.Names()) == 0 })
	until(t, "the end of the one that had the name", func() bool { return m.replica(inSync) == nil })
	m.write("sync/"+blocked, nil)
	m.awaitSettled()
	if got := current(t, region, "x"); got != fmt.Sprintf(`{"n":"%s"}`, blocked[:1]) {
		t.Errorf("readers get %s", got)
	}
}

func TestALongNameIsShortenedWithAHash(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	one, two := strings.Repeat("n", 200)+"1", strings.Repeat("n", 200)+"2"
	m.write("secrets/"+one, map[string]any{"value": "1", "destinations": "memory/main"})
	m.write("secrets/"+two, map[string]any{"value": "2", "destinations": "memory/main"})
	for name, want := range map[string]string{one: "1", two: "2"} {
		remote, _ := m.replica(name)["remote_name"].(string)
		if got := current(t, region, remote); got != want || len(remote) != 128 {
			t.Errorf("%s holds %q", remote, got)
		}
	}
}

func TestARuleHoldsSecretsToItsDestinations(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("destinations/memory/other", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s"})
	m.write("rules/team-a", map[string]any{"match": "team-a/**", "allowed_destinations": "memory/main"})
	m.write("secrets/team-a/x", map[string]any{"value": "1", "destinations": "memory/main"})
	if says := m.refuse("secrets/team-a/x", map[string]any{"value": "1", "destinations": "memory/other"}); !containsAll(says, "rule team-a", "memory/other", "allowed_destinations") {
		t.Error(says)
	}
	m.write("secrets/team-b/x", map[string]any{"value": "1", "destinations": "memory/other"})
}

func TestOneKeyCanBeSentAlone(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main", "format": "raw", "value_key": "password"})
	m.kv("x", map[string]any{"user": "u", "password": "p"})
	m.awaitSettled()
	if got := current(t, region, "x"); got != "p" {
		t.Errorf("readers get %s", got)
	}
	before := versionIDs(region, "x")
	m.kv("x", map[string]any{"user": "another", "password": "p"})
	m.awaitSettled()
	if got := versionIDs(region, "x"); !slices.Equal(got, before) {
		t.Errorf("an unchanged value made a version: %v", got)
	}
	resp, err := m.do(logical.UpdateOperation, "data/x", map[string]any{"data": map[string]any{"user": "u"}})
	if err == nil || !containsAll(resp.Error().Error(), "memory/main", "password", "value_key") {
		t.Errorf("%v %v", resp, err)
	}
}

func TestADestinationThatTakesMoreThanBeforeGetsWhatRulesSend(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("destinations/memory/main", map[string]any{"allowed_paths": "team-b/**"})
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main"})
	m.kv("team-a/x", map[string]any{"n": "1"})
	m.awaitSettled()
	if names := region.Names(); len(names) != 0 {
		t.Fatalf("the cloud has %v", names)
	}
	if resp := m.kv("team-a/x", map[string]any{"n": "2"}); len(resp.Warnings) > 0 {
		t.Errorf("warnings %v", resp.Warnings)
	}
	m.write("destinations/memory/main", map[string]any{"allowed_paths": ""})
	until(t, "the secret", func() bool { return len(region.Names()) == 1 })
	m.awaitSettled()
	m.write("destinations/memory/main", map[string]any{"allowed_paths": "team-b/**"})
	until(t, "the end of the replica", func() bool { return m.replica("team-a/x") == nil })
	if left, _ := region.Secret("team-a_x"); left.State != provider.StateEnabled || strings.Contains(left.Description, testMark) {
		t.Errorf("it is left as %+v", left)
	}
}
