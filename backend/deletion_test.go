// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// inBubble runs a test on a mount whose time passes only when everything waits.
func inBubble(t *testing.T, model providertest.Model, test func(m *mount, region *providertest.Region)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, region := newMount(t, model)
		defer func() { m.b.Cleanup(t.Context()) }()
		test(m, region)
	})
}

func TestAVersionThatExpiresWhileTheReplicaIsBlockedIsTakenFromReadersInTime(t *testing.T) {
	inBubble(t, providertest.Overwriting(), func(m *mount, region *providertest.Region) {
		m.write("metadata/x", map[string]any{"delete_version_after": "10m"})
		m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
		region.Before(providertest.Always(providertest.OpPutVersion, providertest.Failure(provider.ClassPermission)))
		m.write("secrets/x", map[string]any{"value": "two"})
		m.await("x", "blocked")
		time.Sleep(11 * time.Minute)
		if got := readable(region); got != 0 {
			t.Errorf("an expired version can be read: %v", m.replica("x"))
		}
	})
}

func TestWhatCanNotBeSentAnyMoreIsWithdrawnAllTheSame(t *testing.T) {
	inBubble(t, providertest.Overwriting(), func(m *mount, region *providertest.Region) {
		m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
		m.write("destinations/memory/main", map[string]any{"custom_tags": map[string]any{"a": "{{ .SecretPath }}?!"}})
		m.await("x", "blocked")
		m.remove("data/x")
		time.Sleep(time.Second)
		if got := m.replica("x"); got["state"] != "withdrawn" || readable(region) != 0 {
			t.Errorf("its replica is %v", got)
		}
	})
}

func TestANameIsTakenWhenSomebodyElsesTombstoneIsGone(t *testing.T) {
	for name, model := range clouds {
		t.Run("at "+name, func(t *testing.T) {
			inBubble(t, model(), func(m *mount, region *providertest.Region) {
				due := time.Now().Add(10 * 24 * time.Hour)
				region.Seed(providertest.Stored{Secret: provider.Secret{
					Name: "x", Description: "theirs", State: provider.StatePendingDeletion, DeletionTime: due,
				}})
				m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
				failure, _ := m.await("x", "blocked")["error"].(map[string]any)
				if text, _ := failure["message"].(string); !containsAll(text, due.UTC().Format(time.RFC3339), "no mark of this mount", "remote_name") {
					t.Errorf("it is explained with %v", failure)
				}
				time.Sleep(time.Until(due) + 2*time.Hour)
				if readable(region) != 1 {
					t.Errorf("its replica is %v", m.replica("x"))
				}
			})
		})
	}
}

func TestThePolicyDecidesWhatBecomesOfAWithdrawnReplica(t *testing.T) {
	for name, model := range clouds {
		for policy, left := range map[string]bool{"schedule": true, "force": false, "retain": true} {
			t.Run(policy+" at "+name, func(t *testing.T) {
				inBubble(t, model(), func(m *mount, region *providertest.Region) {
					m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "deletion_policy": policy})
					m.remove("data/x")
					m.await("x", "withdrawn")
					m.remove("secrets/x")
					time.Sleep(time.Minute)
					secret, there := region.Secret("x")
					switch {
					case there != left:
						t.Errorf("it is there: %t", there)
					case policy == "schedule" && secret.State != provider.StatePendingDeletion:
						t.Errorf("it is %s", secret.State)
					case policy == "retain" && (secret.State == provider.StatePendingDeletion || strings.Contains(secret.Description, "vault-cloudsync")):
						t.Errorf("it is %s with the description %q", secret.State, secret.Description)
					}
				})
			})
		}
	}
}

func TestWhatOthersScheduledForDeletionIsNotRestoredWhenItIsGivenUp(t *testing.T) {
	inBubble(t, providertest.LabelMoving(), func(m *mount, region *providertest.Region) {
		m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
		secret, _ := region.Secret("x")
		secret.State, secret.DeletionTime = provider.StatePendingDeletion, time.Now().Add(24*time.Hour)
		region.Seed(secret)
		m.write("secrets/x", map[string]any{"destinations": ""})
		time.Sleep(time.Minute)
		if secret, _ := region.Secret("x"); secret.State != provider.StatePendingDeletion {
			t.Errorf("it is %s", secret.State)
		}
	})
}
