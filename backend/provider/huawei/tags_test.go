// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

func TestTagsAtCreation(t *testing.T) {
	tagged := provider.NewSecret{Value: provider.Text(exampleValue), Tags: map[string]string{"team": "a", "empty": ""}}
	t.Run("are set", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		if created, err := d.Create(t.Context(), "tagged", tagged); err != nil || created.TagsError != nil {
			t.Fatal(err, created.TagsError)
		}
		if stored, _ := server.Inspect(project, "tagged"); !maps.Equal(stored.Tags, tagged.Tags) {
			t.Errorf("tags %v", stored.Tags)
		}
	})
	t.Run("may fail, and the secret is there all the same", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("BatchCreateOrDeleteTags", "CSMS.0302"))
		created, err := d.Create(t.Context(), "tagged", tagged)
		if err != nil || created.VersionID != "v1" {
			t.Fatal(err, created)
		}
		if e := failure(t, created.TagsError); e.Class != provider.ClassPermission || e.Operation != "BatchCreateOrDeleteTags" {
			t.Errorf("tags error %v", created.TagsError)
		}
		if _, ok := server.Inspect(project, "tagged"); !ok {
			t.Error("the secret isn't there")
		}
	})
}

func TestChangingTags(t *testing.T) {
	const tagOp = "BatchCreateOrDeleteTags"
	change := func(t *testing.T, d full) error {
		t.Helper()
		return d.ChangeTags(t.Context(), "tagged", map[string]string{"changes": "two", "comes": "4", "stays": "1"}, []string{"goes"})
	}
	before := map[string]string{"stays": "1", "changes": "2", "goes": "3", "foreign": "x"}
	after := map[string]string{"stays": "1", "changes": "two", "comes": "4", "foreign": "x"}
	start := func(t *testing.T, switches emulated.Switches) (*emulated.Server, full) {
		t.Helper()
		server, d := emulate(t, switches)
		seed(t, server, emulator.Secret{Ref: emulator.Ref{Name: "tagged"}, Tags: before})
		return server, d
	}
	for name, c := range map[string]struct {
		switches emulated.Switches
		batches  int
	}{
		"takes one call for what goes and one for what comes": {emulated.Switches{}, 2},
		"replaces where nothing is overwritten":               {emulated.Switches{RefuseOverwrite: true}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			server, d := start(t, c.switches)
			if err := change(t, d); err != nil {
				t.Fatal(err)
			}
			if stored, _ := server.Inspect(project, "tagged"); !maps.Equal(stored.Tags, after) {
				t.Errorf("tags %v", stored.Tags)
			}
			if n := server.Calls().Count(tagOp); n != c.batches {
				t.Errorf("%d calls, want %d", n, c.batches)
			}
			if err := change(t, d); err != nil || server.Calls().Count(tagOp) != c.batches {
				t.Errorf("again: error %v, %d calls in all", err, server.Calls().Count(tagOp))
			}
		})
		for n := range c.batches {
			t.Run(fmt.Sprintf("%s, and can be repeated when the answer of call %d was lost", name, n+1), func(t *testing.T) {
				server, d := start(t, c.switches)
				fault := emulator.LostReply(tagOp)
				fault.Skip = n
				emulatortest.AddFault(t, server, fault)
				if e := failure(t, change(t, d)); e.Class != provider.ClassUnavailable || !e.Ambiguous {
					t.Errorf("ambiguous %t: %v", e.Ambiguous, e)
				}
				if err := change(t, d); err != nil {
					t.Fatal(err)
				}
				if stored, _ := server.Inspect(project, "tagged"); !maps.Equal(stored.Tags, after) {
					t.Errorf("tags %v", stored.Tags)
				}
			})
		}
	}
	t.Run("is ambiguous when a part was done, else not", func(t *testing.T) {
		for skip, want := range []bool{false, true} {
			server, d := start(t, emulated.Switches{})
			emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Code: "APIGW.0308", Operation: tagOp, Skip: skip, Count: 1})
			if e := failure(t, change(t, d)); e.Class != provider.ClassThrottled || e.Ambiguous != want {
				t.Errorf("call %d fails: ambiguous %t: %v", skip+1, e.Ambiguous, e)
			}
		}
	})
	t.Run("is ambiguous when a tag was taken away and not given again", func(t *testing.T) {
		server, d := start(t, emulated.Switches{RefuseOverwrite: true})
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Code: "APIGW.0308", Operation: tagOp, Skip: 2, Count: 1})
		err := d.ChangeTags(t.Context(), "tagged", map[string]string{"changes": "two"}, nil)
		if e := failure(t, err); e.Class != provider.ClassThrottled || !e.Ambiguous {
			t.Errorf("ambiguous %t: %v", e.Ambiguous, e)
		}
	})
	t.Run("makes no call when there is nothing to change", func(t *testing.T) {
		cloud := &stub{}
		if err := opened(t, cloud).ChangeTags(t.Context(), "app-db", nil, nil); err != nil || len(cloud.asked) > 0 {
			t.Errorf("calls %v, error %v", cloud.made(), err)
		}
	})
}
