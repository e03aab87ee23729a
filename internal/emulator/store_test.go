// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// note is a secret of a service that stores nothing but names.
type note struct{ Account, Region, Name string }

func (n *note) Ref() emulator.Ref {
	return emulator.Ref{Account: n.Account, Region: n.Region, Name: n.Name}
}
func (n *note) Gone(time.Time) bool     { return false }
func (n *note) Export() emulator.Secret { return emulator.Secret{Ref: n.Ref()} }

func TestASecretWhoseFileCannotBeRemovedStaysUnlessItIsForgottenAnyway(t *testing.T) {
	t.Parallel()
	for _, forgets := range []bool{false, true} {
		dir := t.TempDir()
		core, err := emulator.NewCore(emulator.Options{DataDir: dir}, emulator.Throttling{})
		if err != nil {
			t.Fatal(err)
		}
		store, err := emulator.OpenStore[note](core)
		if err != nil {
			t.Fatal(err)
		}
		store.ForgetsAnyway = forgets
		kept := &note{emulator.ExampleAccountID, "here", "s"}
		if err := store.Put(kept); err != nil {
			t.Fatal(err)
		}
		replaceByFullDirectories(t, dir)
		store.Lock()
		err = store.RemoveLocked(kept.Ref())
		store.Unlock()
		if _, found := store.Find(kept.Ref()); err == nil || found == forgets {
			t.Errorf("forgetting anyway is %v: the removal ended with %v, and the secret is there: %v", forgets, err, found)
		}
	}
}

// replaceByFullDirectories makes the files of dir impossible to remove.
func replaceByFullDirectories(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the files are %v, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(files[0], "full"), 0o700); err != nil {
		t.Fatal(err)
	}
}
