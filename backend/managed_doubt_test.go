// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestARotationThatTimedOutHasTimeToShow(t *testing.T) {
	onMount(t, providertest.Overwriting(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(nil))
		var mu sync.Mutex
		var asked []time.Time
		region.Before(func(op, _ string) error {
			if op != providertest.OpRotateCredential {
				return nil
			}
			mu.Lock()
			asked = append(asked, time.Now())
			first := len(asked) == 1
			mu.Unlock()
			if first {
				time.Sleep(provider.CallTimeout)
				return providertest.LostAnswer()
			}
			return nil
		})
		if resp := m.write("managed/db/rotate", nil); resp.Data["state"] != "ready" {
			t.Fatalf("the rotation ends with %v", resp.Data)
		}
		if len(asked) != 2 || asked[1].Sub(asked[0]) < provider.CallTimeout+30*time.Second {
			t.Errorf("a call that ended at its limit of %v is repeated at %v, before it can have shown", provider.CallTimeout, asked)
		}
	})
}

func TestADeletionThatTheCloudRefusesCanBeAskedForInAnotherWay(t *testing.T) {
	onMount(t, providertest.IDAssigning(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(nil))
		region.Before(providertest.Always(providertest.OpDeleteCredential, providertest.Failure(provider.ClassInvalid)))
		for range 2 { // asking again in the same way is a try
			region.ResetCalls()
			m.must(logical.DeleteOperation, "managed/db", map[string]any{"wait": "1h"})
			if state := m.read("managed/db").Data["state"]; state != "blocked" || region.Count(providertest.OpDeleteCredential) != 1 {
				t.Errorf("a deletion that is refused leaves it %v after %v", state, region.Calls())
			}
		}
		m.must(logical.DeleteOperation, "managed/db", map[string]any{"deletion_policy": "retain", "wait": "1h"})
		if read := m.read("managed/db"); read != nil || strings.Contains(theOne(t, region).Description, "vault-cloudsync") {
			t.Errorf("asked to leave it at the cloud instead, it is %v", read)
		}
	})
}

func TestAnotherDeletionDoesntGetPastTheBrake(t *testing.T) {
	onMount(t, providertest.IDAssigning(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("destinations/memory/main", map[string]any{"max_deletions_per_hour": 1})
		m.write("managed/a", issued(nil))
		m.write("managed/b", issued(nil))
		for _, name := range []string{"a", "b", "b"} {
			m.must(logical.DeleteOperation, "managed/"+name, map[string]any{"deletion_policy": "force", "wait": "1m"})
		}
		if state := m.read("managed/b").Data["state"]; state != "held" {
			t.Errorf("after a deletion that was held, and asked for again, it is %v", state)
		}
		theOne(t, region)
	})
}

func TestASecretMadeAnewByOthersIsntWrittenByACredential(t *testing.T) {
	onMount(t, providertest.Overwriting(), func(t *testing.T, m *mount, region *providertest.Region) {
		m.write("managed/db", issued(map[string]any{"replicate_to": "copy"}))
		m.must(logical.DeleteOperation, "secrets/copy", nil)
		time.Sleep(time.Minute)
		m.write("secrets/copy", map[string]any{"value": "of somebody else"})
		time.Sleep(time.Minute)
		m.write("managed/db/rotate", nil)
		time.Sleep(time.Hour)
		if data, _ := m.read("data/copy").Data["data"].(map[string]any); data["value"] != "of somebody else" {
			t.Errorf("the secret that somebody else made is overwritten with %v", data)
		}
		failure, _ := m.read("managed/db").Data["error"].(map[string]any)
		if failure == nil || !strings.Contains(textOfAny(failure["message"]), "give another replicate_to") {
			t.Errorf("the credential says %v", failure)
		}
		// When it is out of the way, the value follows by itself.
		m.must(logical.DeleteOperation, "secrets/copy", nil)
		time.Sleep(2 * time.Hour)
		data, _ := m.read("data/copy").Data["data"].(map[string]any)
		if data["password"] != theOne(t, region).Credential.Values[0].Password {
			t.Errorf("when the name is free the secret has %v", data)
		}
	})
}

func TestAChangedScheduleKeepsToTheHourThatWasChosen(t *testing.T) {
	onMount(t, providertest.Overwriting(), func(t *testing.T, m *mount, region *providertest.Region) {
		begin := time.Now().Add(36 * time.Hour).Truncate(time.Second).UTC()
		m.write("managed/db", issued(map[string]any{"enable_rotation": true, "rotation_frequency": 2, "rotation_begin_time": begin.Format(time.RFC3339)}))
		time.Sleep(20*24*time.Hour + time.Minute)
		m.write("managed/db/rotation", map[string]any{"rotation_frequency": 3})
		sent := theOne(t, region).Credential.Rotation.Begin
		if sent.Before(time.Now()) || sent.Sub(begin)%(3*24*time.Hour) != 0 || time.Until(sent) > 3*24*time.Hour {
			t.Errorf("at %v the cloud is told to begin at %v, the first rotation was at %v", time.Now(), sent, begin)
		}
	})
}
