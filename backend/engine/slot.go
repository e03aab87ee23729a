// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
)

// A slot names one replica of a secret. It is the destination for the replica of
// the whole secret, destination#key for the replica of one key of its data, and
// destination@name for one that is on its way out under a former remote name.
// Destinations have neither character in their names.

func keySlot(ref, key string) string           { return ref + "#" + key }
func formerSlot(ref, remoteName string) string { return ref + "@" + remoteName }

// slotRef is the destination of a slot.
func slotRef(slot string) string {
	if i := strings.IndexAny(slot, "#@"); i >= 0 {
		return slot[:i]
	}
	return slot
}

// slotKey is the key of the data that a slot is for; false if it is for none.
func slotKey(slot string) (string, bool) {
	rest := slot[len(slotRef(slot)):]
	return strings.CutPrefix(rest, "#")
}

// slotIsFormer tells whether the slot is for a replica under a former name.
func slotIsFormer(slot string) bool { return strings.HasPrefix(slot[len(slotRef(slot)):], "@") }

// slots are those of the secret's replicas, sorted.
func (s *Secret) slots() []string { return slices.Sorted(maps.Keys(s.Replicas)) }

// at returns the slots that the secret has at a destination, sorted.
func (s *Secret) at(ref string) []string {
	return slices.DeleteFunc(s.slots(), func(slot string) bool { return slotRef(slot) != ref })
}

// named returns the slot of the replica with a remote name at a destination, ""
// if the secret has none.
func (s *Secret) named(ref, remoteName string) string {
	for _, slot := range s.at(ref) {
		if r := s.Replicas[slot]; r.RemoteName == remoteName && r.Refused == nil {
			return slot
		}
	}
	return ""
}

// keyed tells whether the secret has replicas of single keys.
func (s *Secret) keyed() bool {
	for slot := range s.Replicas {
		if _, keyed := slotKey(slot); keyed {
			return true
		}
	}
	return false
}

// item is how a slot of a secret stands in the queue of its destination: by the
// secret's name, with the slot behind it unless that is the destination. No name
// has the byte between them.
func item(name, slot string) string {
	if slot == slotRef(slot) {
		return name
	}
	return name + "\x00" + slot
}

func splitItem(queued, ref string) (name, slot string) {
	name, slot, found := strings.Cut(queued, "\x00")
	if !found {
		slot = ref
	}
	return name, slot
}

// neverMade tells whether a replica surely isn't in the cloud.
func (e *Engine) neverMade(s *Secret, slot string) bool {
	return s.Replicas[slot].Observed.NeverMade(owner.For(e.mount.ID, s.Name)) && !e.activities.busy(s.Name, slot)
}

// setAside makes room in the slot of a replica, which is then on its way out under
// its former name; after is the slot that it stays for, "" for none.
func (e *Engine) setAside(s *Secret, slot, after string) {
	replica := s.Replicas[slot]
	if replica.Removal == nil {
		replica.Removal = &Removal{Policy: DeleteRetain, After: after}
	}
	if after != "" && e.activities.busy(s.Name, slot) {
		// A call that is under way must end first: it may make what is to go.
		removal := *replica.Removal
		removal.After = after
		replica.Removal = &removal
	}
	replica.Observed.Known = false
	s.Replicas[formerSlot(slotRef(slot), replica.RemoteName)] = replica
	delete(s.Replicas, slot)
}
