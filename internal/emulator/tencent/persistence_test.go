// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestAServerOnTheSameFilesHasTheSameState(t *testing.T) {
	t.Parallel()
	options := tencent.Options{Options: emulator.Options{DataDir: filepath.Join(t.TempDir(), "ssm")}}
	c := start(t, options)
	names := []string{"s", "S", strings.Repeat("n", 128), "binary", "disabled", "deleting", "deleted", "empty"}
	for _, name := range names {
		c.create(t, name, "value of "+name)
	}
	wantCode(t, c.put("s", "v2", "second"), "")
	wantCode(t, c.update("s", "v1", "changed"), "")
	wantCode(t, c.updateDescription("s", "words"), "")
	wantCode(t, c.deleteVersion("empty", "v1"), "")
	for _, name := range []string{"disabled", "deleting", "deleted"} {
		wantCode(t, c.disable(name), "")
	}
	wantCode(t, c.deleteAfter("deleting", 7), "")
	wantCode(t, c.deleteAfter("deleted", 0), "")
	emulatortest.Seed(t, c.server, emulator.Secret{
		Ref: emulator.Ref{Region: region, Name: "binary"}, Type: "1", Tags: map[string]string{"k": "v"},
		Versions: []emulator.Version{{ID: "v1", Binary: []byte{0, 255}}},
	})

	again, err := tencent.New(options)
	if err != nil {
		t.Fatal(err)
	}
	emulatortest.WantRestarted(t, c.server.List("", region), again.List("", region), len(names)-1)
}

func TestAChangeThatCannotBeStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ssm")
	c := start(t, tencent.Options{Options: emulator.Options{DataDir: dir}})
	c.create(t, "s", "value")
	c.ready(t, "db")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.schedule("db", false, 0, ""), "InternalError")
	_, err := c.rotate("db")
	wantCode(t, err, "InternalError")
	if detail := c.detail(t, "db"); !*detail.EnableRotation {
		t.Error("the refused change of the schedule shows")
	}
	wantCode(t, c.put("s", "v2", "value"), "InternalError")
	wantCode(t, c.update("s", "v1", "other"), "InternalError")
	if stored, _ := c.server.Inspect(region, "s"); len(stored.Versions) != 1 || stored.Versions[0].Text != "value" {
		t.Errorf("the refused change shows: %v", stored)
	}
}

func TestASeedThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	ref := emulator.Ref{Region: region, Name: "seed"}
	tests := map[string]emulator.Secret{
		"an unknown type":                    {Ref: ref, Type: "database"},
		"an unknown state":                   {Ref: ref, State: "Lost"},
		"a deletion without a time":          {Ref: ref, State: "PendingDelete"},
		"a deletion time without a deletion": {Ref: ref, DeletionTime: noon},
		"an unknown region":                  {Ref: emulator.Ref{Region: "xx", Name: "seed"}},
		"an illegal name":                    {Ref: emulator.Ref{Region: region, Name: "a/b"}},
	}
	emulatortest.WantSeedsRefused(t, server, tests)
}
