// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// pauses are what can be paused, for secret x.
var pauses = map[string]struct {
	path   string
	level  string
	remedy string // that a warning names
	end    step   // another way to end it than paused=false
}{
	"the mount":       {"config", "mount", "resume", step{logical.UpdateOperation, "resume", nil}},
	"the destination": {"destinations/memory/main", "destination", "paused=false at destinations/memory/main", update("destinations/memory/main", map[string]any{"paused": false})},
	"the secret":      {"secrets/x", "secret", "paused=false at secrets/x", update("secrets/x", map[string]any{"paused": false})},
}

func TestNothingIsSentDuringAPauseAndItsEndCatchesUp(t *testing.T) {
	for name, pause := range pauses {
		t.Run("of "+name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main"})
			m.write("secrets/other", map[string]any{"value": "one", "destinations": "memory/main"})
			m.write(pause.path, map[string]any{"paused": true})
			if got := m.await("x", "in_sync"); fmt.Sprint(got["paused_by"]) != "["+pause.level+"]" {
				t.Errorf("in sync, it is paused by %v", got["paused_by"])
			}
			region.ResetCalls()
			resp := m.write("secrets/x", map[string]any{"value": "two"})
			if resp.Data["state"] != "paused" || len(resp.Warnings) != 1 || !containsAll(resp.Warnings[0], pause.level+" is paused", pause.remedy) {
				t.Errorf("the write is answered with %v, %v", resp.Data["state"], resp.Warnings)
			}
			m.restart()
			m.await("x", "paused")
			m.write("sync/x", nil)
			if got := m.must(logical.ListOperation, "status/", map[string]any{"state": "paused"}).Data["keys"]; fmt.Sprint(got) != "[x]" {
				t.Errorf("listed as paused are %v", got)
			}
			if got := m.counted("memory/main"); got["paused"] != 1 || got["in_sync"] != 1 {
				t.Errorf("counted are %v", got)
			}
			if got := region.Calls(); len(got) > 0 {
				t.Errorf("during the pause these calls were made: %v", got)
			}
			if current(t, region, "x") != "one" {
				t.Error("the pause didn't hold")
			}
			m.must(pause.end.operation, pause.end.path, pause.end.data)
			m.awaitSettled()
			if got := current(t, region, "x"); got != "two" {
				t.Errorf("after the pause the cloud has %q", got)
			}
		})
	}
}

func TestAPauseOfOneStopsNoOther(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "paused": true})
	m.write("secrets/x/below", map[string]any{"value": "one", "destinations": "memory/main"})
	m.await("x/below", "in_sync")
	if m.await("x", "paused"); slices.Contains(region.Names(), "x") {
		t.Error("a secret that was paused when it was made was sent")
	}
}

func TestAPauseStopsWorkThatIsUnderWayBeforeItsNextCall(t *testing.T) {
	for name, pause := range pauses {
		t.Run("of "+name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			m.write("config", map[string]any{"default_wait": 0})
			hold := region.Hold(providertest.OpCreate, "x")
			m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "wait": 0})
			<-hold.Reached()
			m.write(pause.path, map[string]any{"paused": true})
			hold.Release()
			m.await("x", "paused")
			if got := region.Count(providertest.OpPutVersion); got != 0 {
				t.Errorf("%d more calls were made", got)
			}
			m.write(pause.path, map[string]any{"paused": false})
			m.awaitSettled()
			if got := region.Count(providertest.OpCreate); got != 1 || current(t, region, "x") != "one" {
				t.Errorf("it was made %d times", got)
			}
		})
	}
}

func TestAPauseHoldsUpADeletionToo(t *testing.T) {
	for name, pause := range pauses {
		t.Run("of "+name, func(t *testing.T) {
			m, region := newMount(t, providertest.Overwriting())
			m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "deletion_policy": "force"})
			m.write(pause.path, map[string]any{"paused": true})
			if resp := m.remove("secrets/x"); resp == nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "taken away in Vault, but still there") {
				t.Errorf("the deletion was answered with %v", resp)
			}
			m.await("x", "paused")
			if got := current(t, region, "x"); got != "one" {
				t.Errorf("the cloud has %q", got)
			}
			m.write(pause.path, map[string]any{"paused": false})
			m.awaitSettled()
			if got := region.Names(); len(got) > 0 {
				t.Errorf("after the pause the cloud has %v", got)
			}
		})
	}
}

func TestAWarningNamesEveryPause(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("config", map[string]any{"paused": true})
	m.write("destinations/memory/main", map[string]any{"paused": true})
	resp := m.write("secrets/x", map[string]any{"value": "one", "destinations": "memory/main", "paused": true})
	want := "the mount and the destination and the secret are paused; go on with resume and paused=false at destinations/memory/main and paused=false at secrets/x"
	if len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], want) {
		t.Errorf("the warnings are %q", resp.Warnings)
	}
}

func TestNothingIsStoredWhenNothingIsPausedThatIsResumed(t *testing.T) {
	m, _ := newMount(t, providertest.LabelMoving())
	m.storage.fail(func(operation, key string) error {
		if operation == "put" {
			return errors.New("storage is asked to write " + key)
		}
		return nil
	})
	m.write("resume", nil)
	m.storage.fail(nil)
}
