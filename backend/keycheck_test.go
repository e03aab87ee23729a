// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// newKeyMount has two destinations, a rule and a secret, all without keys.
func newKeyMount(t *testing.T) (m *mount, one, two *providertest.Region) {
	t.Helper()
	// A cloud of whose regions more than one can be seen.
	cloud := providertest.NewMemory(providertest.IDAssigning())
	m, _ = newMount(t, providertest.IDAssigning())
	m.b.Cleanup(t.Context())
	m.kinds = []provider.Kind{cloud.Kind()}
	m.start()
	m.write("destinations/memory/two", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "s"})
	m.write("rules/all", map[string]any{"match": "team-a/*", "destinations": "memory/main"})
	m.write("secrets/x", map[string]any{"value": "1", "destinations": "memory/main,memory/two"})
	m.awaitSettled()
	return m, cloud.Region("r1"), cloud.Region("r2")
}

// keyWrites are the writes that can name a KMS key.
var keyWrites = map[string]struct {
	path string
	data map[string]any
}{
	"a destination":         {"destinations/memory/main", map[string]any{"kms_key_id": "key-1"}},
	"a new destination":     {"destinations/memory/new", map[string]any{"region": "r1", "access_key_id": "id", "access_key_secret": "s", "kms_key_id": "key-1"}},
	"a rule":                {"rules/all", map[string]any{"kms_key_id": "key-1"}},
	"a new rule":            {"rules/new", map[string]any{"match": "team-b/*", "destinations": "memory/main", "kms_key_id": "key-1"}},
	"a secret":              {"secrets/x", map[string]any{"kms_key_ids": "memory/main=key-1", "wait": 0}},
	"a secret with a value": {"secrets/x", map[string]any{"value": "2", "kms_key_ids": "memory/main=key-1", "wait": 0}},
	"a new secret":          {"secrets/new", map[string]any{"value": "1", "destinations": "memory/main", "kms_key_id": "key-1", "wait": 0}},
	"a rekey":               {"rekey/x", map[string]any{"destination": "memory/main", "kms_key_id": "key-1", "wait": 0}},
}

// withoutLease is everything stored but the note that this node is active.
func (m *mount) withoutLease() map[string]string {
	m.t.Helper()
	stored := m.storage.dump(m.t)
	delete(stored, "lease")
	return stored
}

func TestAKMSKeyThatTheCloudCallsUnusableIsRefusedBeforeAnythingIsStored(t *testing.T) {
	for name, write := range keyWrites {
		t.Run(name, func(t *testing.T) {
			m, one, _ := newKeyMount(t)
			refusal := providertest.Failure(provider.ClassKMS)
			one.Before(providertest.Always(providertest.OpCheckKey, refusal))
			before := m.withoutLease()
			says := m.refuse(write.path, maps.Clone(write.data))
			if !containsAll(says, "destination memory/", "key-1", "class kms", refusal.Message, refusal.Code) {
				t.Errorf("it says %q", says)
			}
			if after := m.withoutLease(); !maps.Equal(before, after) {
				t.Error("something was stored")
			}
			if n := one.Count(providertest.OpCheckKey); n != 1 {
				t.Errorf("%d checks", n)
			}
		})
	}
}

func TestAWriteGoesOnWithAWarningWhenNothingIsKnownOfItsKMSKey(t *testing.T) {
	answers := map[string]provider.Class{
		"the cloud is away": provider.ClassUnavailable, "the call isn't allowed": provider.ClassPermission,
		"the cloud throttles": provider.ClassThrottled, "the credentials are refused": provider.ClassAuth,
	}
	for name, write := range keyWrites {
		for reason, class := range answers {
			t.Run(name+", "+reason, func(t *testing.T) {
				t.Parallel()
				m, one, _ := newKeyMount(t)
				one.Before(providertest.Always(providertest.OpCheckKey, providertest.Failure(class)))
				m.checkUnchecked(m.write(write.path, maps.Clone(write.data)), "injected by the test")
				one.Before(nil)
				m.sayKey(write.path)
			})
		}
	}
}

// checkUnchecked wants exactly one warning that a key couldn't be checked.
func (m *mount) checkUnchecked(resp *logical.Response, reason string) {
	m.t.Helper()
	var warnings []string
	if resp != nil {
		for _, warning := range resp.Warnings {
			if strings.Contains(warning, "couldn't be checked") {
				warnings = append(warnings, warning)
			}
		}
	}
	if len(warnings) != 1 || !containsAll(warnings[0], "destination memory/", "key-1", reason) {
		m.t.Errorf("the warnings are %q, want one with %q", warnings, reason)
	}
}

// sayKey wants the key to be stored.
func (m *mount) sayKey(path string) {
	m.t.Helper()
	if name, isRekey := strings.CutPrefix(path, "rekey/"); isRekey {
		path = "secrets/" + name
	}
	data := m.read(path).Data
	if strings.HasPrefix(path, "secrets/") {
		if keys, _ := dig(data["settings"], "kms_key_ids").(map[string]string); keys["memory/main"] != "key-1" {
			m.t.Errorf("the secret has the keys %v", keys)
		}
		return
	}
	if data["kms_key_id"] != "key-1" {
		m.t.Errorf("%s has the key %v", path, data["kms_key_id"])
	}
}

func TestAWriteDoesNotWaitForACloudThatIsSilentAboutAKMSKey(t *testing.T) {
	m, one, _ := newKeyMount(t)
	hold := one.Hold(providertest.OpCheckKey, "")
	t.Cleanup(hold.Release)
	m.checkUnchecked(m.write("destinations/memory/main", map[string]any{"kms_key_id": "key-1"}), "interrupted")
	m.sayKey("destinations/memory/main")
}

func TestNoCallIsMadeAboutAKMSKeyWhereNoneMayBe(t *testing.T) {
	for reason, stop := range map[string]struct {
		path string
		data map[string]any
	}{
		"the mount is paused":         {"config", map[string]any{"paused": true}},
		"the destination is disabled": {"destinations/memory/main", map[string]any{"disabled": true}},
	} {
		for name, write := range keyWrites {
			if name == "a new destination" && reason != "the mount is paused" {
				continue
			}
			t.Run(name+", "+reason, func(t *testing.T) {
				m, one, _ := newKeyMount(t)
				m.write(stop.path, maps.Clone(stop.data))
				one.ResetCalls()
				m.checkUnchecked(m.write(write.path, maps.Clone(write.data)), reason)
				m.sayKey(write.path)
				if calls := one.Calls(); len(calls) > 0 {
					t.Errorf("the cloud saw %v", calls)
				}
			})
		}
	}
	t.Run("by a write that disables the destination itself", func(t *testing.T) {
		m, one, _ := newKeyMount(t)
		m.checkUnchecked(m.write("destinations/memory/main", map[string]any{"kms_key_id": "key-1", "disabled": true}), "disabled")
		if one.Count(providertest.OpCheckKey) > 0 {
			t.Error("the key was checked")
		}
	})
}

func TestAKMSKeyIsCheckedOnceWhereItIsNew(t *testing.T) {
	m, one, two := newKeyMount(t)
	step := func(name, path string, data map[string]any, atOne, atTwo int) {
		t.Helper()
		one.ResetCalls()
		two.ResetCalls()
		resp := m.write(path, data)
		if resp != nil && strings.Contains(strings.Join(resp.Warnings, "\n"), "checked") {
			t.Errorf("%s: warnings %q", name, resp.Warnings)
		}
		if a, b := one.Count(providertest.OpCheckKey), two.Count(providertest.OpCheckKey); a != atOne || b != atTwo {
			t.Errorf("%s: %d and %d checks, want %d and %d", name, a, b, atOne, atTwo)
		}
	}
	step("a rule without a key", "rules/all", map[string]any{"tags": "a=b"}, 0, 0)
	step("a rule with a new key", "rules/all", map[string]any{"kms_key_id": "k"}, 1, 0)
	step("the same key again", "rules/all", map[string]any{"kms_key_id": "k"}, 0, 0)
	step("another setting of the rule", "rules/all", map[string]any{"tags": "a=c"}, 0, 0)
	step("another destination of the rule", "rules/all", map[string]any{"destinations": "memory/main,memory/two,memory/two"}, 0, 1)
	step("another key at both", "rules/all", map[string]any{"kms_key_id": "k2"}, 1, 1)
	step("no key any more", "rules/all", map[string]any{"kms_key_id": ""}, 0, 0)
	step("a destination's key", "destinations/memory/two", map[string]any{"kms_key_id": "k"}, 0, 1)
	step("the destination's same key", "destinations/memory/two", map[string]any{"kms_key_id": "k", "format": "json"}, 0, 0)
	step("a secret's keys", "secrets/x", map[string]any{"kms_key_ids": "memory/main=k,memory/two=k"}, 1, 1)
	step("one of the secret's keys", "secrets/x", map[string]any{"kms_key_ids": "memory/main=k,memory/two=k2"}, 0, 1)
	step("the secret's value", "secrets/x", map[string]any{"value": "2"}, 0, 0)
	step("a plan of a rule", "rules/all/plan", map[string]any{"kms_key_id": "k3"}, 0, 0)
	m.awaitSettled()
}

// A refusal of our own comes first: the cloud isn't asked about a write that can't
// be.
func TestTheCloudIsNotAskedAboutAKMSKeyOfAWriteThatCannotBe(t *testing.T) {
	m, one, _ := newKeyMount(t)
	for path, data := range map[string]map[string]any{
		"destinations/memory/main": {"kms_key_id": "key-1", "recovery_window_days": 1000},
		"rules/all":                {"kms_key_id": "key-1", "destinations": "memory/main,memory/none"},
		"secrets/x":                {"kms_key_id": "key-1"},
	} {
		m.refuse(path, data)
	}
	if n := one.Count(providertest.OpCheckKey); n > 0 {
		t.Errorf("%d checks", n)
	}
}
