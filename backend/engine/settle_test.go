// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// wished draws what settings may ask for: at each destination nothing, one
// replica, one for each of some keys, or what can't be.
func wished(t *rapid.T) (map[string]wish, map[string]Removal) {
	wishes, removals := map[string]wish{}, map[string]Removal{}
	for _, ref := range []string{"a/x", "b/x"} {
		names := rapid.Permutation([]string{"n1", "n2", "n3"}).Draw(t, "names at "+ref)
		switch rapid.SampledFrom([]string{"none", "whole", "keys", "keys", "refused"}).Draw(t, "replicas at "+ref) {
		case "whole":
			wishes[ref] = wish{name: names[0]}
		case "keys":
			removals[ref] = Removal{Policy: DeleteScheduled, WindowDays: 7}
			for i, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"k1", "k2"}), rapid.ID[string]).Draw(t, "keys") {
				wishes[keySlot(ref, key)] = wish{name: names[i]}
			}
		case "refused":
			wishes[ref] = wish{refused: &Failure{Class: provider.ClassInvalid, Message: "can't be", Time: time.Now()}}
		}
	}
	return wishes, removals
}

// remotes are the remote secrets that the record knows to be or may be there, by
// destination and name.
func remotes(s *Secret, mark owner.Mark) map[string]bool {
	known := map[string]bool{}
	for slot, r := range s.Replicas {
		if r.Refused == nil && !r.Observed.NeverMade(mark) {
			known[slotRef(slot)+" "+r.RemoteName] = true
		}
	}
	return known
}

// Whatever settings ask for one after the other, and however far convergence has
// come between: there is a replica for each wish, no remote name is used twice,
// and nothing that is in a cloud is forgotten.
func TestNoSequenceOfWishesForgetsARemoteSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Engine{mount: mountRecord{ID: "mount"}, activities: activities{byName: map[string]*activity{}}}
		s := &Secret{Name: "s"}
		mark := owner.For(e.mount.ID, s.Name)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			wishes, removals := wished(t)
			next := s.clone()
			err := e.fulfil(next, wishes, removals, nil)
			var refusal *RefusedError
			if errors.As(err, &refusal) {
				continue // nothing is stored
			}
			if err != nil {
				t.Fatal(err)
			}
			checkFulfilled(t, s, next, wishes, mark)
			again := next.clone()
			if err := e.fulfil(again, wishes, removals, nil); err != nil || !again.equal(next) {
				t.Fatalf("the same wishes change the record again: %v\n%v\n%v", err, shown(next), shown(again))
			}
			s = next
			e.activities.begin(s.Name, time.Now(), s.slots())
			converge(t, e, s, mark)
		}
	})
}

func checkFulfilled(t *rapid.T, before, next *Secret, wishes map[string]wish, mark owner.Mark) {
	t.Helper()
	used := map[string]string{}
	for slot, r := range next.Replicas {
		if r.Refused != nil {
			continue
		}
		name := slotRef(slot) + " " + r.RemoteName
		if other := used[name]; other != "" {
			t.Fatalf("%s and %s both have %s", other, slot, name)
		}
		used[name] = slot
		if _, wanted := wishes[slot]; !wanted && r.Removal == nil {
			t.Fatalf("%s stays, although nobody wants it", slot)
		}
	}
	for slot, w := range wishes {
		r := next.Replicas[slot]
		switch {
		case r == nil, r.Removal != nil, (r.Refused != nil) != (w.refused != nil), r.RemoteName != w.name:
			t.Fatalf("%s isn't what was wished for: %s", slot, shown(next))
		}
	}
	known := remotes(next, mark)
	for remote := range remotes(before, mark) {
		if !known[remote] && used[remote] == "" {
			t.Fatalf("the remote secret %s is forgotten:\n%s\n%s", remote, shown(before), shown(next))
		}
	}
}

// converge lets the work on some replicas begin, fail or end.
func converge(t *rapid.T, e *Engine, s *Secret, mark owner.Mark) {
	for _, slot := range s.slots() {
		r := s.Replicas[slot]
		if r.Refused != nil {
			continue
		}
		switch rapid.SampledFrom([]string{"waits", "works", "is done", "is done"}).Draw(t, slot) {
		case "works":
			e.activities.start(s.Name, slot)
		case "is done":
			e.activities.report(s.Name, slot, func(p *progress) { p.running = false })
			if r.Removal != nil && !s.waits(r.Removal.After) {
				delete(s.Replicas, slot)
				e.activities.forget(s.Name, slot)
				continue
			}
			if r.Removal == nil {
				r.Observed = plan.Observed{Known: true, State: provider.StateEnabled, Description: mark.Append("")}
				r.State, r.Verify = StateInSync, false
			}
		}
	}
}

func shown(s *Secret) string {
	var lines []string
	for slot, r := range s.Replicas {
		lines = append(lines, fmt.Sprintf("%s: name %q, removal %v, refused %v, state %s, observed %+v", slot, r.RemoteName, r.Removal, r.Refused != nil, r.State, r.Observed))
	}
	slices.Sort(lines)
	return fmt.Sprint(lines)
}
