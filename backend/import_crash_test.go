// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

var errStorageDied = errors.New("the storage died")

// imports are those that crash and fail in every way: one version, and several.
var crashingImports = map[string]int{"the current version": 1, "three versions": 3}

// wantAdopted checks that an import came to its end and changed nothing but marks.
func (c emulated) wantAdopted(t *testing.T, m *mount, job map[string]any, versions int, before map[string]map[string]string) {
	t.Helper()
	report := m.reportOf(job["id"])
	if job["state"] != "done" || len(report) != len(before) {
		t.Fatalf("the import is %v, %v\n%s", job, report, m.logs)
	}
	for name, values := range before {
		if report[name]["result"] != "adopted" {
			t.Errorf("%s is %v", name, report[name])
		}
		if got := c.values(t, name); !maps.Equal(got, values) {
			t.Errorf("the cloud has the versions %v of %s, before it had %v", got, name, values)
		}
		if _, mark := owner.Split(c.at(name).stored(t).Description); mark.Secret != name {
			t.Errorf("the mark of %s is %v", name, mark)
		}
		data := m.read("secrets/" + name).Data
		if data["value"] != "three" || data["version"] != uint64(versions) { //nolint:gosec // a small number
			t.Errorf("Vault has %v of %s", data["version"], name)
		}
	}
}

func (c emulated) seedEstate(t *testing.T, k estate) map[string]map[string]string {
	t.Helper()
	before := map[string]map[string]string{}
	for _, name := range []string{"a", "b"} {
		c.seed(t, name, func(s *emulator.Secret) { s.Versions = k.versions("one", "two", "three") })
		before[name] = c.values(t, name)
	}
	return before
}

// The node dies at each write to storage in turn, and another one goes on.
func TestAnImportThatDiesAtAnyWriteIsCompleted(t *testing.T) {
	for cloud, open := range emulatedClouds {
		for what, versions := range crashingImports {
			if versions == 1 && cloud != "Tencent" {
				continue // where labels tell what is current, it is a part of the other
			}
			t.Run(fmt.Sprintf("%s at %s", what, cloud), func(t *testing.T) {
				t.Parallel()
				for nth := 1; dieAt(t, open(t), estates[cloud], versions, nth); nth++ {
				}
			})
		}
	}
}

// dieAt imports while the storage dies at a write, and tells whether it came to
// that.
func dieAt(t *testing.T, c emulated, k estate, versions, nth int) bool {
	t.Helper()
	m := mountOn(t, c)
	before := c.seedEstate(t, k)
	died, writes := make(chan struct{}), 0
	var mu sync.Mutex
	m.storage.fail(func(operation, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if operation != "put" && operation != "delete" || writes < nth && func() bool { writes++; return writes < nth }() {
			return nil
		}
		select {
		case <-died:
		default:
			close(died)
		}
		return errStorageDied
	})
	parameters := map[string]any{"match": "*", "adopt": true, "versions": versions, "wait": 0}
	resp, err := m.do("update", "import/"+c.destination, parameters)
	id := ""
	if err == nil && !resp.IsError() {
		id, _ = resp.Data["id"].(string)
	}
	over := func() bool {
		select {
		case <-died:
			return true
		default:
			return id != "" && m.read("jobs/" + id).Data["state"] != "running"
		}
	}
	for deadline := time.Now().Add(time.Minute); !over(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the import neither ends nor dies at write %d\n%s", nth, m.logs)
		}
	}
	if id == "" {
		m.storage.fail(nil)
		m.b.Cleanup(t.Context())
		return true // it was never begun
	}
	m.b.Cleanup(t.Context())
	m.storage.fail(nil)
	m.start()
	c.wantAdopted(t, m, m.awaitImport(id), versions, before)
	m.b.Cleanup(t.Context())
	select {
	case <-died:
		return !t.Failed()
	default:
		return false
	}
}

// Each remote call goes wrong in turn.
func TestAnImportComesOutRightWhenAnyCallGoesWrong(t *testing.T) {
	ways := map[string]emulator.Fault{
		"fails with a fault of the service": {Kind: emulator.HTTP, Status: 503},
		"has its effect and no answer":      emulator.LostReply(""),
	}
	for cloud, open := range emulatedClouds {
		for way, fault := range ways {
			t.Run(fmt.Sprintf("a call that %s at %s", way, cloud), func(t *testing.T) {
				t.Parallel()
				for n := 0; importWithFault(t, open(t), estates[cloud], fault, n); n++ {
				}
			})
		}
	}
}

func importWithFault(t *testing.T, c emulated, k estate, fault emulator.Fault, n int) bool {
	t.Helper()
	m := mountOn(t, c)
	before := c.seedEstate(t, k)
	fault.Skip, fault.Count = n, 1
	rule := emulatortest.AddFault(t, c.service, fault)
	job := m.runImport(c.destination, map[string]any{"match": "*", "adopt": true, "versions": 3})
	c.wantAdopted(t, m, job, 3, before)
	m.b.Cleanup(t.Context())
	select {
	case <-rule.Struck:
		return !t.Failed()
	default:
		return false
	}
}
