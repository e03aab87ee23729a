// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"
)

// Released is a replica that is being given back.
type Released struct {
	Changed
	Destination string
	RemoteNames []string // several with a replica of each key
}

// Release gives a replica back: its mark is taken off, the remote secret stays as
// it is, and the secret no longer names the destination; "" stands for the only
// one. A *RefusedError says why not. What rules ask for can't be given back, since
// they would have it made again.
func (e *Engine) Release(ctx context.Context, name, destination string) (Released, error) {
	defer e.lock(name)()
	s, err := e.load(ctx, name)
	if err != nil {
		return Released{}, err
	}
	ref, err := s.wantedAt(destination)
	if err != nil {
		return Released{}, err
	}
	set, err := e.ruleSet(ctx)
	if err != nil {
		return Released{}, err
	}
	all, err := targets(s, set)
	if err != nil {
		return Released{}, err
	}
	for _, t := range all {
		if t.ref == ref && len(t.rules) > 0 {
			return Released{}, Refusef("rule %s sends secret %q to destination %s, and would have it made again; put the secret into exclude of the rule (%s), which gives the replica back",
				t.rules[0], name, ref, strings.Join(t.rules, ", "))
		}
	}
	released := Released{Destination: ref}
	for _, slot := range s.at(ref) {
		if replica := s.Replicas[slot]; replica.Removal == nil && replica.Refused == nil {
			released.RemoteNames = append(released.RemoteNames, replica.RemoteName)
		}
	}
	others := slices.DeleteFunc(slices.Clone(s.Settings.Destinations), func(other string) bool { return other == ref })
	released.Changed, err = e.applyLocked(ctx, Change{Name: name, Settings: SettingsChange{Destinations: &others}})
	return released, err
}

// wantedAt is a destination that the secret goes to, the only one for "".
func (s *Secret) wantedAt(destination string) (string, error) {
	var refs []string
	for _, slot := range s.slots() {
		if ref := slotRef(slot); s.Replicas[slot].Removal == nil && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	switch {
	case len(refs) == 0:
		return "", Refusef("secret %q has no replica", s.Name)
	case destination == "" && len(refs) == 1:
		return refs[0], nil
	case destination == "":
		return "", Refusef("secret %q has %d destinations (%s); say which with destination", s.Name, len(refs), strings.Join(refs, ", "))
	case !slices.Contains(refs, destination):
		return "", Refusef("secret %q has no replica at destination %s, only at %s", s.Name, destination, strings.Join(refs, ", "))
	default:
		return destination, nil
	}
}

// IsReleased tells whether nothing of a secret is left at a destination.
func (e *Engine) IsReleased(ctx context.Context, name, ref string) (bool, error) {
	s, err := e.load(ctx, name)
	return err == nil && len(s.at(ref)) == 0, err
}

// released tells whether the secret gave the remote name back at a destination.
func (s *Secret) released(ref, remoteName string) bool {
	for slot, left := range s.Released {
		if slotRef(slot) == ref && left.RemoteName == remoteName && left.Observed.Unmarked {
			return true
		}
	}
	return false
}
