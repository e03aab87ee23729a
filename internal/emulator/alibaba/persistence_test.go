// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

func TestAServerOnTheSameFilesHasTheSameState(t *testing.T) {
	t.Parallel()
	options := alibaba.Options{Options: emulator.Options{DataDir: filepath.Join(t.TempDir(), "kms")}}
	c := start(t, options)
	names := []string{"s", "S", "a/b", strings.Repeat("n", 192), "deleting", "deleted", "managed"}
	for _, name := range names {
		c.create(t, name, "value of "+name)
	}
	for i := 2; i <= 12; i++ {
		wantCode(t, c.put("s", fmt.Sprint("v", i), "value"), "")
	}
	wantCode(t, c.stage("s", "Mine", "v5", ""), "")
	wantCode(t, c.update("s", "words"), "")
	wantCode(t, c.tag("s", `[{"TagKey":"k","TagValue":"v"}]`), "")
	wantCode(t, c.putBinary("S", "v2", "\x01 binary"), "")
	wantCode(t, c.deleteAfter("deleting", "7"), "")
	wantCode(t, c.deleteNow("deleted"), "")
	emulatortest.Seed(t, c.server, emulator.Secret{
		Ref: emulator.Ref{Region: region, Name: "managed"}, Type: "Rds", Instance: "kst", KMSKeyID: "key",
		Versions: []emulator.Version{{ID: "v1", Text: "x"}},
	})

	again, err := alibaba.New(options)
	if err != nil {
		t.Fatal(err)
	}
	emulatortest.WantRestarted(t, c.server.List("", region), again.List("", region), len(names)-1)
}

func TestAChangeThatCannotBeStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kms")
	c := start(t, alibaba.Options{Options: emulator.Options{DataDir: dir}})
	c.create(t, "s", "value")
	_, err := c.createManaged(managedExamples["a server's password"], nil)
	wantCode(t, err, "")
	described, err := c.describe("acs/ecs/s")
	wantCode(t, err, "")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.put("s", "v2", "value"), "InternalFailure")
	wantCode(t, c.update("s", "words"), "InternalFailure")
	wantCode(t, c.tag("s", `[{"TagKey":"k","TagValue":"v"}]`), "InternalFailure")
	wantCode(t, c.stage("s", "Mine", "v1", ""), "InternalFailure")
	if stored := c.stored(t, "s"); c.layout(t, "s") != "v1:ACSCurrent" || stored.Description != "" || len(stored.Tags) != 0 {
		t.Errorf("a refused change shows: %+v", stored)
	}

	wantCode(t, c.rotate("acs/ecs/s", "v2"), "InternalFailure")
	wantCode(t, c.schedule("acs/ecs/s", "true", "7d"), "InternalFailure")
	wantCode(t, c.raw("UpdateSecret", map[string]string{"SecretName": "acs/ecs/s", "ExtendedConfig.CustomData": `{"k":"v"}`}), "InternalFailure")
	again, err := c.describe("acs/ecs/s")
	wantCode(t, err, "")
	if c.layout(t, "acs/ecs/s") != "v1:ACSCurrent" || again.AutomaticRotation != described.AutomaticRotation || again.ExtendedConfig != described.ExtendedConfig {
		t.Errorf("a refused change shows: %+v", again)
	}
}

func TestASeedThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	ref := emulator.Ref{Region: region, Name: "seed"}
	tests := map[string]emulator.Secret{
		"an unknown type":                    {Ref: ref, Type: "database"},
		"an unknown state":                   {Ref: ref, State: "Lost"},
		"a deletion without a time":          {Ref: ref, State: "PendingDeletion"},
		"a deletion time without a deletion": {Ref: ref, DeletionTime: noon},
		"an unknown region":                  {Ref: emulator.Ref{Region: "xx", Name: "seed"}},
		"an illegal name":                    {Ref: emulator.Ref{Region: region, Name: "a:b"}},
		"a version without an id":            {Ref: ref, Versions: []emulator.Version{{Text: "x"}}},
		"a version twice":                    {Ref: ref, Versions: []emulator.Version{{ID: "v1"}, {ID: "v1"}}},
		"a label on two versions":            {Ref: ref, Versions: []emulator.Version{{ID: "v1", Labels: []string{"a"}}, {ID: "v2", Labels: []string{"a"}}}},
	}
	emulatortest.WantSeedsRefused(t, server, tests)
}
