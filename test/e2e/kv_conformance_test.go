// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

const (
	// generatedSequences are run by each make test-e2e; KV_SEQUENCES says another number.
	generatedSequences = 400
	sequenceLength     = 12
	// sequenceWorkers send at the same time, each below folders of its own.
	sequenceWorkers = 4
	// enoughFailures is how many are shown, after which more say nothing.
	enoughFailures = 10
)

// difference is one that is meant to be, or that nobody can avoid.
type difference struct {
	reason string
	// undo takes it out of the two answers and tells whether it was there.
	undo func(r wireRequest, ours, theirs *wireAnswer) bool
}

// clientDifferences are those between the built-in engine and any plugin.
var clientDifferences = map[string]difference{attribution: clientID}

// replicaDifferences are those between the built-in engine and this mount, for
// a secret that has destinations.
var replicaDifferences = map[string]difference{
	attribution: clientID,
	"warnings of replicas": {
		reason: "a write tells which replicas aren't in sync yet, and what a cloud couldn't do",
		undo: func(_ wireRequest, ours, _ *wireAnswer) bool {
			all, _ := ours.body["warnings"].([]any)
			left := slices.DeleteFunc(slices.Clone(all), func(text any) bool { return strings.HasPrefix(fmt.Sprint(text), "destination ") })
			if len(left) == len(all) {
				return false
			}
			if ours.body["warnings"] = left; len(left) == 0 {
				ours.body["warnings"] = nil
			}
			return true
		},
	},
}

// builtinDifferences are those for a secret that has none.
var builtinDifferences = map[string]difference{
	attribution: clientID,
	"default_wait and paused in config": {
		reason: "the mount's own settings share the path with those of KV v2",
		undo: func(r wireRequest, ours, _ *wireAnswer) bool {
			if r.kind() != "config" {
				return false
			}
			wait, paused := dropped(ours.body, "default_wait"), dropped(ours.body, "paused")
			return wait || paused
		},
	},
	"unknown parameters of config": {
		reason: "a misspelt setting of replication must not pass for one that was made",
		undo: func(r wireRequest, ours, theirs *wireAnswer) bool {
			refused := r.kind() == "config" && ours.status == http.StatusBadRequest && strings.Contains(ours.String(), "unknown parameter")
			if refused {
				*ours = *theirs
			}
			return refused
		},
	},
}

const attribution = "client_id in created_by, deleted_by and last_updated_by"

var clientID = difference{
	reason: "Vault doesn't tell it to engines that are processes of their own",
	undo:   func(_ wireRequest, _, theirs *wireAnswer) bool { return dropped(theirs.body, "client_id") },
}

// dropped takes a field out of a body at any depth.
func dropped(value any, name string) bool {
	found := false
	switch value := value.(type) {
	case map[string]any:
		_, found = value[name]
		delete(value, name)
		for _, element := range value {
			found = dropped(element, name) || found
		}
	case []any:
		for _, element := range value {
			found = dropped(element, name) || found
		}
	}
	return found
}

// comparison sends each request to two engines in one Vault.
type comparison struct {
	wire         *wire
	ours, theirs string // mounts
	differences  map[string]difference

	mu   sync.Mutex
	seen map[string]int // how often each difference was met
	sent int
}

func compareWith(t *testing.T, v *harness.Vault, ours, theirs string, differences map[string]difference) *comparison {
	t.Helper()
	return &comparison{wire: newWire(t, v, ours, theirs), ours: ours, theirs: theirs, differences: differences, seen: map[string]int{}}
}

// each runs the sequences, several at a time.
func (c *comparison) each(t *testing.T, sequences []sequence) {
	t.Helper()
	next, failures := make(chan sequence, len(sequences)), 0
	for _, s := range sequences {
		next <- s
	}
	close(next)
	var workers sync.WaitGroup
	for range sequenceWorkers {
		workers.Go(func() {
			for s := range next {
				err := c.run(s.requests)
				c.mu.Lock()
				if err != nil && failures < enoughFailures {
					failures++
					t.Errorf("%s: %v", s.name, err)
				}
				c.mu.Unlock()
			}
		})
	}
	workers.Wait()
}

// run sends the requests in order, and returns where the answers differ first.
func (c *comparison) run(requests []wireRequest) error {
	for i, r := range requests {
		theirs, err := c.wire.send(c.theirs, r)
		if err != nil {
			return fmt.Errorf("send to %s: %s: %w", c.theirs, r, err)
		}
		ours, err := c.wire.send(c.ours, r)
		if err != nil {
			return fmt.Errorf("send to %s: %s: %w", c.ours, r, err)
		}
		want, got := theirs.String(), ours.String()
		if want != got {
			c.undo(r, &ours, &theirs)
		}
		if want, got = theirs.String(), ours.String(); want != got {
			return fmt.Errorf("%s\nis answered\n%s\nwhere %s answers\n%s\nafter\n%s", r, clip(got, 2000), c.theirs, clip(want, 2000), history(requests[:i]))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += len(requests)
	return nil
}

func (c *comparison) undo(r wireRequest, ours, theirs *wireAnswer) {
	for name, d := range c.differences {
		if d.undo(r, ours, theirs) {
			c.mu.Lock()
			c.seen[name]++
			c.mu.Unlock()
		}
	}
}

func history(requests []wireRequest) string {
	if len(requests) == 0 {
		return "nothing"
	}
	lines := make([]string, len(requests))
	for i, r := range requests {
		lines[i] = r.String()
	}
	return strings.Join(lines, "\n")
}

// finish fails the test if a difference that is listed was never met: it must
// not stay listed. A few sequences alone needn't meet it.
func (c *comparison) finish(t *testing.T) {
	t.Helper()
	for name, d := range c.differences {
		if c.seen[name] == 0 && !t.Failed() && os.Getenv("KV_SEQUENCES") == "" {
			t.Errorf("the difference %q (%s) no longer exists: take it off the list", name, d.reason)
		}
		t.Logf("%d answers differ in %s: %s", c.seen[name], name, d.reason)
	}
	t.Logf("%d requests were answered alike", c.sent)
}

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return number
}

// A client can't tell the mount from Vault's own KV v2 engine, whatever it asks.
func TestEveryKVRequestIsAnsweredAsByVaultsOwnEngine(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Vault.Quieten()
	r.Vault.MountKV()
	c := compareWith(t, r.Vault, harness.Mount, harness.KVMount, builtinDifferences)
	t.Run("generated sequences", func(t *testing.T) { c.each(t, generated(t, 0, generatedSequences)) })
	t.Run("odd names", func(t *testing.T) { c.each(t, nameSequences()) })
	t.Run("odd bodies", func(t *testing.T) { c.each(t, bodySequences()) })
	t.Run("odd queries", func(t *testing.T) { c.each(t, querySequences()) })
	// One after the other, since these are about the same secrets, or about all.
	for name, sequences := range map[string][]sequence{"stray paths": straySequences(), "configuration": configSequences()} {
		t.Run(name, func(t *testing.T) {
			for _, s := range sequences {
				if err := c.run(s.requests); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			}
		})
	}
	c.finish(t)
}

// The library that the mount embeds answers the same to the letter when it is a
// plugin and nothing else. So what is left of differences to the built-in engine
// comes from being a plugin, and nothing from the version of the library.
func TestEveryKVRequestIsAnsweredAsByTheLibraryAlone(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Vault.Quieten()
	r.Vault.MountKV()
	r.Vault.MountKVPlugin()
	c := compareWith(t, r.Vault, harness.Mount, harness.KVPluginMount, nil)
	t.Run("generated sequences", func(t *testing.T) { c.each(t, generated(t, generatedSequences, generatedSequences/4)) })
	t.Run("what a plugin sees otherwise", func(t *testing.T) { c.each(t, pluginSequences) })
	c.finish(t)

	compareWith(t, r.Vault, harness.Mount, harness.KVMount, nil).differ(t, pluginSequences)
}

// A secret that has destinations is one of KV v2 like any other: its replicas are
// in the warnings alone, and nowhere if they are in sync.
func TestEveryKVRequestForAReplicatedSecretIsAnsweredAsByVaultsOwnEngine(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	for _, destination := range r.Destinations() {
		r.Vault.Write("destinations/"+destination, map[string]any{"max_deletions_per_hour": -1}) // sequences delete a lot
	}
	r.Vault.Quieten()
	r.Vault.MountKV()
	for _, test := range []struct {
		name        string
		wait        string
		seeds       uint64 // that are left out
		differences map[string]difference
	}{
		{"writes wait until the replicas are in sync", harness.Patience.String(), 0, clientDifferences},
		{"writes don't wait", "0", generatedSequences, replicaDifferences},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.Vault.Write("config", map[string]any{"default_wait": test.wait})
			c := compareWith(t, r.Vault, harness.Mount, harness.KVMount, test.differences)
			sequences := generated(t, test.seeds, generatedSequences/8)
			for i, s := range sequences {
				for _, name := range []string{s.folder + "/db", s.folder + "/db/replica"} {
					c.replicate(t, r, name)
				}
				sequences[i].requests = slices.DeleteFunc(s.requests, isApart)
			}
			c.each(t, sequences)
			c.finish(t)
			awaitSettled(t, r.Vault)
		})
	}
	c := compareWith(t, r.Vault, harness.Mount, harness.KVMount, replicaDifferences)
	for _, s := range replicaSequences {
		c.replicate(t, r, s.folder)
	}
	c.differ(t, replicaSequences)
}

// replicate writes the first version of a secret, and gives it destinations.
func (c *comparison) replicate(t *testing.T, r harness.Replication, name string) {
	t.Helper()
	first := wireRequest{method: http.MethodPost, path: "data/" + name, body: `{"data":{"first":"version"}}`}
	if err := c.run([]wireRequest{first}); err != nil {
		t.Fatal(err)
	}
	r.Vault.Write("secrets/"+name, map[string]any{"destinations": r.Destinations(), "wait": 0})
}

// isApart tells whether the request begins what is one of replicaSequences.
func isApart(r wireRequest) bool { return len(r.body) > 30<<10 || r.body == `{"data":null}` }

// differ fails the test if a sequence is answered the same.
func (c *comparison) differ(t *testing.T, sequences []sequence) {
	t.Helper()
	for _, s := range sequences {
		if err := c.run(s.requests); err == nil {
			t.Errorf("%s: %s answers the same by now: move it to the lists that it is compared by", s.name, c.theirs)
		}
	}
}

// awaitSettled waits until no replica is left to be made, and fails the test if
// one of them can't be.
func awaitSettled(t *testing.T, v *harness.Vault) {
	t.Helper()
	harness.Eventually(t, "all replicas in sync", func() error {
		status, err := v.Client.Logical().ReadWithContext(t.Context(), harness.Mount+"/status")
		if err != nil {
			return err
		}
		if left := number(t, status.Data["outstanding"]); left != 0 {
			return fmt.Errorf("%d aren't: %v", left, status.Data)
		}
		return nil
	})
}
