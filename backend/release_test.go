// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func TestAReplicaIsGivenBackAndTakenBack(t *testing.T) {
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			c.seed(t, "s", func(s *emulator.Secret) { s.Versions = kinds.versions("one") })
			m.imported(c.destination, map[string]any{"match": "s", "adopt": true})
			before := c.values(t, "s")
			goes := func() string {
				names, _ := m.ask("lookup/"+c.destination, map[string]any{"secret": "s"})["names"].([]any)
				name, _ := names[0].(map[string]any)
				return fmt.Sprint(name["goes_there"], name["released"])
			}
			if got := goes(); got != "true false" {
				t.Errorf("before, lookup says %s", got)
			}
			answer := m.write("release/s", nil)
			if done := yes(answer.Data, "released"); !done || answer.Data["destination"] != c.destination {
				t.Errorf("the answer is %v %v", answer.Data, answer.Warnings)
			}
			if text, mark := owner.Split(c.at("s").stored(t).Description); !mark.IsZero() || text != "made by hand" {
				t.Errorf("the description is %q %v", text, mark)
			}
			if got := c.values(t, "s"); !maps.Equal(got, before) {
				t.Errorf("the cloud has %v", got)
			}
			if got := goes(); got != "false true" {
				t.Errorf("afterwards lookup says %s", got)
			}
			m.write("secrets/s", map[string]any{"value": "two"})
			if got := c.values(t, "s"); !maps.Equal(got, before) {
				t.Errorf("after a write the cloud has %v", got)
			}
			report := m.imported(c.destination, map[string]any{"match": "s", "adopt": true, "on_conflict": "keep"})
			if report["s"]["result"] != "adopted" {
				t.Errorf("it is taken back as %v", report["s"])
			}
			if got := c.readBy(t, "s", "v1"); got != "two" {
				t.Errorf("taken back, readers get %q", got)
			}
			if text := m.refuse("release/s", map[string]any{"destination": "memory/other"}); !strings.Contains(text, c.destination) {
				t.Errorf("releasing it elsewhere says %s", text)
			}
			m.write("rules/r", map[string]any{"match": "*", "destinations": c.destination})
			if text := m.refuse("release/s", nil); !strings.Contains(text, "rule r") {
				t.Errorf("what a rule sends there is refused with %s", text)
			}
			m.refuse("release/none", nil)
		})
	}
}

func TestTwoReplicasAreGivenBackAtOnce(t *testing.T) {
	m, _ := newMount(t, providertest.LabelMoving())
	m.write("destinations/memory/second", map[string]any{"region": "r2", "access_key_id": "id", "access_key_secret": "secret"})
	for i := range 20 {
		name := fmt.Sprint("s", i)
		m.write("secrets/"+name, map[string]any{"value": "one", "destinations": "memory/main,memory/second"})
		m.await(name, "in_sync")
		var both sync.WaitGroup
		for _, destination := range []string{"memory/main", "memory/second"} {
			both.Go(func() { m.write("release/"+name, map[string]any{"destination": destination}) })
		}
		both.Wait()
		m.awaitSettled()
		if got := m.read("secrets/" + name).Data["destinations"]; got != nil {
			t.Fatalf("%s still goes to %v", name, got)
		}
	}
}
