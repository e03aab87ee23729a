// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"maps"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
)

// fulfil makes the record ask for the replicas that should be, and for the end
// of the others. removals says at which destinations replicas of single keys go
// by the deletion policy when their key is gone; what a destination or a name is
// taken away from stays, without the mark, unless its deletion was asked for.
func (e *Engine) fulfil(s *Secret, wishes map[string]wish, removals map[string]Removal, asked map[string]*Removal) error {
	for _, slot := range s.slots() {
		replica := s.Replicas[slot]
		if _, wanted := wishes[slot]; wanted || slotIsFormer(slot) || replica.Removal != nil {
			continue
		}
		if replica.Refused != nil {
			delete(s.Replicas, slot)
			continue
		}
		replica.Removal, replica.State = &Removal{Policy: DeleteRetain}, StateReleasing
		if removal, perKey := removals[slotRef(slot)]; perKey && slot != slotRef(slot) {
			replica.Removal, replica.State = &removal, removal.shown()
		} else if removal := asked[slotRef(slot)]; removal != nil {
			replica.Removal, replica.State = new(*removal), removal.shown()
		}
	}
	for _, slot := range slices.Sorted(maps.Keys(wishes)) {
		if err := e.fulfilOne(s, slot, wishes[slot]); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) fulfilOne(s *Secret, slot string, w wish) error {
	if s.Replicas == nil {
		s.Replicas = map[string]*Replica{}
	}
	replica := s.Replicas[slot]
	switch {
	case w.refused != nil:
		if replica != nil && replica.Refused != nil && replica.Refused.Message == w.refused.Message {
			return nil
		}
		if replica != nil && replica.Refused == nil && !e.neverMade(s, slot) {
			e.setAside(s, slot, "")
		}
		s.Replicas[slot] = &Replica{State: StateBlocked, Refused: w.refused, Failure: w.refused}
		return nil
	case replica != nil && replica.Refused == nil && replica.RemoteName == w.name:
		replica.takeBack()
		return nil
	case replica == nil || replica.Refused != nil || e.neverMade(s, slot):
	default:
		// A rename: the old one stays until the new one is seen to be there.
		e.setAside(s, slot, slot)
		next, err := e.newReplica(s, slot, w.name)
		if err != nil {
			return err
		}
		next.Verify = true
		s.Replicas[slot] = next
		return nil
	}
	next, err := e.newReplica(s, slot, w.name)
	if err != nil {
		return err
	}
	s.Replicas[slot] = next
	return nil
}

// takeBack makes a replica wanted again. Its mark may have been taken off already.
func (r *Replica) takeBack() {
	if r.Removal != nil && r.Removal.Policy == DeleteRetain && r.Observed.Exists() {
		r.Observed.Known, r.Observed.Unmarked = false, true
	}
	if r.Removal != nil {
		r.Removal, r.Held = nil, nil
	}
}

// newReplica begins a replica, or takes up one that was given up under the name.
func (e *Engine) newReplica(s *Secret, slot, name string) (*Replica, error) {
	next := &Replica{RemoteName: name, State: StatePending, Observed: plan.Observed{Known: true}}
	if other := s.named(slotRef(slot), name); other != "" && other != slot {
		if e.activities.busy(s.Name, other) {
			return nil, Refusef("destination %s: the replica %q of secret %q is just being given up; try again in a moment", slotRef(slot), name, s.Name)
		}
		next.Observed, next.Trail = s.Replicas[other].Observed, s.Replicas[other].Trail
		delete(s.Replicas, other)
		return next, nil
	}
	former := formerSlot(slotRef(slot), name)
	for _, where := range []string{slot, former} {
		if left := s.Released[where]; left != nil && left.RemoteName == name {
			next.Observed = left.Observed
			delete(s.Released, where)
		}
	}
	return next, nil
}
