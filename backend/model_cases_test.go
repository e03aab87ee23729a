// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// found are cases that the model came upon, each in its shortest form. Before it
// the secret "s" doesn't exist.
var found = map[string]struct {
	do    func(w *world)
	wrong func(w *world) string // beside what the model finds; "" if nothing is
}{
	"a secret is renamed just when its first replica begins to be made": {
		do: func(w *world) {
			w.node.write("config", map[string]any{"paused": true})
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main"})
			var begin sync.Once
			w.node.storage.fail(func(operation, key string) error {
				if operation == "put" && strings.HasPrefix(key, "claim/") {
					begin.Do(func() {
						w.node.write("config", map[string]any{"paused": false})
						for range 10000 { // the replica's turn, as far as it gets
							runtime.Gosched()
						}
					})
				}
				return nil
			})
			w.node.write("secrets/s", map[string]any{"remote_name": "renamed"})
		},
	},
	"a secret with tags is deleted twice and begun anew without tags": {
		do: func(w *world) {
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main", "tags": "a=b"})
			w.settle(patience)
			w.node.remove("secrets/s")
			w.settle(patience)
			w.node.remove("secrets/s")
			w.node.write("secrets/s", map[string]any{"value": two, "destinations": "memory/main"})
		},
	},
	"the newest version goes after the outcome of the first one was in doubt": {
		do: func(w *world) {
			w.lose()
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main"})
			w.outage(func() { w.node.write("secrets/s", value(two)) })
			w.node.remove("data/s")
		},
	},
	"a version whose outcome was in doubt is deleted and comes back": {
		do: func(w *world) {
			w.lose()
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main"})
			w.outage(func() { w.node.remove("data/s") })
			w.node.write("undelete/s", map[string]any{"versions": "1"})
		},
	},
	"a destination is named again after its release wasn't noted at first": {
		do: func(w *world) {
			w.failOnce("secret/", func() bool { return w.unmarked("s") })
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main"})
			w.settle(patience)
			w.node.write("secrets/s", map[string]any{"destinations": ""})
			w.settle(patience)
			w.node.write("secrets/s", map[string]any{"destinations": "memory/main"})
		},
	},
	"a destination is named again before its release is noted": {
		do: func(w *world) {
			w.failOnce("secret/", func() bool { return w.unmarked("s") })
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main"})
			w.settle(patience)
			w.node.write("secrets/s", map[string]any{"destinations": ""})
			synctest.Wait()
			w.node.write("secrets/s", map[string]any{"destinations": "memory/main"})
		},
	},
	"somebody deletes a version after a deletion of the secret was broken off": {
		do: func(w *world) {
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main"})
			w.node.write("secrets/s", value(two))
			w.settle(patience)
			deletions := 0
			w.node.storage.fail(func(operation, key string) error {
				if operation == "delete" && strings.HasPrefix(key, "kv/") {
					if deletions++; deletions > 1 {
						return errStumbled
					}
				}
				return nil
			})
			w.node.request(logical.DeleteOperation, "metadata/s", nil)
			w.node.storage.fail(nil)
			w.node.request(logical.UpdateOperation, "delete/s", map[string]any{"versions": "3"})
		},
		wrong: func(w *world) string {
			if v := w.truth("s"); len(v.versions) > 0 {
				return "the deletion isn't completed"
			}
			return ""
		},
	},
	"a destination is stored although storage says that it isn't": {
		do: func(w *world) {
			w.node.write("secrets/s", map[string]any{"value": one, "destinations": "memory/main"})
			w.settle(patience)
			w.effectAndFail(1)
			w.node.request(logical.UpdateOperation, "destinations/memory/main", map[string]any{"custom_tags": "a=b"})
		},
		wrong: func(w *world) string {
			if secret, _ := w.places[0].region.Secret("s"); secret.Tags["a"] != "b" {
				return "the tags of the destination as it is stored aren't at the replica"
			}
			return ""
		},
	},
	"a rule is stored although storage says that it isn't": {
		do: func(w *world) {
			w.node.write("secrets/s", map[string]any{"value": one})
			w.effectAndFail(1)
			w.node.request(logical.UpdateOperation, "rules/all", map[string]any{"match": "**", "destinations": "memory/main"})
		},
		wrong: func(w *world) string {
			if _, there := w.places[0].region.Secret("s"); !there {
				return "the secret doesn't follow the rule that is stored"
			}
			return ""
		},
	},
}

func TestWhatTheModelFoundComesRight(t *testing.T) {
	for name, c := range found {
		for cloud, model := range clouds {
			t.Run(name+" at "+cloud, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, model())
					w.names = []string{"s"}
					w.places[0].seen.left["s"] = true
					c.do(w)
					w.node.storage.fail(nil)
					wrong := append(w.calm(), w.settle(patience)...)
					wrong = append(wrong, w.disagreements()...)
					if c.wrong != nil {
						if text := c.wrong(w); text != "" {
							wrong = append(wrong, text)
						}
					}
					for _, text := range wrong {
						t.Error(text)
					}
				})
			})
		}
	}
}

// lose loses the answer of the next remote call, which takes effect.
func (w *world) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remoteFaults = []remoteFault{{nth: 1, fate: isLostAfter}}
}

// outage does something while the first place is away, and waits until what comes
// of it is in sync.
func (w *world) outage(do func()) {
	set := func(e *provider.Error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.places[0].outage = e
	}
	synctest.Wait()
	set(providertest.Failure(provider.ClassUnavailable))
	do()
	set(nil)
	w.settle(patience)
}

// unmarked tells whether a remote secret is there without a mark.
func (w *world) unmarked(name string) bool {
	secret, there := w.places[0].region.Secret(name)
	return there && !strings.Contains(secret.Description, testMark)
}

// failOnce lets the first write of a record fail from a moment on.
func (w *world) failOnce(prefix string, from func() bool) {
	failed := false
	w.node.storage.fail(func(operation, key string) error {
		if failed || operation != "put" || !strings.HasPrefix(key, prefix) || !from() {
			return nil
		}
		failed = true
		return errStumbled
	})
}

// effectAndFail lets the nth write to storage take effect and fail.
func (w *world) effectAndFail(nth int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storageFaults = []storageFault{{nth: nth, fate: getsLost, writes: true}}
}
