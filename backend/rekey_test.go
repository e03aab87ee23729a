// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestARekeyMakesANewSecretBesideTheOldOneWhereTheKeyIsFixed(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "kms_key_id": "key-1"})
	for name, test := range map[string]struct {
		data map[string]any
		says []string
	}{
		"without a name":       {map[string]any{"kms_key_id": "key-2"}, []string{"memory/main", "fixes the key", `"x"`, "remote_name"}},
		"under the same name":  {map[string]any{"kms_key_id": "key-2", "remote_name": "x"}, []string{"memory/main", "would be lost"}},
		"to the key it has":    {map[string]any{"kms_key_id": "key-1", "remote_name": "y"}, []string{"key-1 already"}},
		"without a key":        {map[string]any{"remote_name": "y"}, []string{"kms_key_id is empty"}},
		"at another's":         {map[string]any{"kms_key_id": "key-2", "destination": "memory/none"}, []string{"memory/none", "memory/main"}},
		"with an unknown rest": {map[string]any{"kms_key_id": "key-2", "remote_name": "y", "deletion_policy": "burn"}, []string{"burn", "schedule"}},
	} {
		if says := m.refuse("rekey/x", test.data); !containsAll(says, test.says...) {
			t.Errorf("%s: %s", name, says)
		}
	}
	region.Before(providertest.Always(providertest.OpCreate, providertest.Failure(provider.ClassKMS)))
	m.write("rekey/x", map[string]any{"kms_key_id": "key-2", "remote_name": "y", "wait": 0})
	m.await("x", "blocked")
	if old, _ := region.Secret("x"); old.State != provider.StateEnabled || !strings.Contains(old.Description, testMark) {
		t.Errorf("the old one was retired before the new one was there: %+v", old)
	}
	region.Before(nil)
	m.write("sync/x", nil)
	m.awaitSettled()
	if made, _ := region.Secret("y"); made.KMSKeyID != "key-2" || current(t, region, "y") != "one" {
		t.Errorf("the new one is %+v", made)
	}
	if old, _ := region.Secret("x"); old.State != provider.StatePendingDeletion {
		t.Errorf("the old one is %s", old.State)
	}
	m.write("secrets/x", map[string]any{"value": "two"})
	if got := current(t, region, "y"); got != "two" {
		t.Errorf("readers get %s", got)
	}
}

func TestARekeyChangesTheKeyWhereTheServiceCan(t *testing.T) {
	m, region := newMount(t, providertest.IDAssigning())
	m.write("rules/all", map[string]any{"match": "**", "destinations": "memory/main", "kms_key_id": "key-1"})
	m.kv("x", map[string]any{"n": "1"})
	m.awaitSettled()
	before := len(versionIDs(region, "x"))
	m.write("rekey/x", map[string]any{"kms_key_id": "key-2"})
	m.awaitSettled()
	if secret, _ := region.Secret("x"); secret.KMSKeyID != "key-2" || len(versionIDs(region, "x")) != before {
		t.Errorf("%+v", secret)
	}
	if says := m.refuse("rekey/x", map[string]any{"kms_key_id": "key-3", "remote_name": "y"}); !containsAll(says, "remote_name") {
		t.Error(says)
	}
}
