// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"maps"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestASecretThatComesBackHasNoTagsOfItsEarlierLife(t *testing.T) {
	m := newTestMount(t)
	m.Start()
	ctx := context.Background()
	tag := func(tags map[string]string) {
		if _, err := m.Apply(ctx, Change{Name: "s", Settings: SettingsChange{Tags: &tags}}); err != nil {
			t.Fatal(err)
		}
	}
	remote := func() providertest.Stored {
		stored, _ := m.cloud.Secret("s")
		return stored
	}
	m.mustWrite("s", "one", testRef)
	tag(map[string]string{"old": "1"})
	eventually(t, "the tag is set", func() bool { return remote().Tags["old"] == "1" })
	origin := &logical.Request{Storage: m.disk}
	if _, err := m.Apply(ctx, Change{Name: "s", Request: kvstore.DeleteRequest(origin, "s"), Removes: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is to be deleted", func() bool {
		return remote().State == provider.StatePendingDeletion && len(m.secret("s").Replicas) == 0
	})
	m.mustWrite("s", "two", testRef)
	tag(map[string]string{"new": "2"})
	eventually(t, "it is as asked for", func() bool {
		return remote().State == provider.StateEnabled && maps.Equal(remote().Tags, map[string]string{"new": "2"})
	})
}
