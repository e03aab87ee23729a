// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"
)

// Rekey asks for a replica to be put under another KMS key.
type Rekey struct {
	Secret      string
	Destination string // "" for the only one
	KMSKeyID    string
	// RemoteName is the name of the new remote secret, where the service fixes the
	// key when a secret is created.
	RemoteName string
	// Retire says what becomes of the old remote secret then; "" for the deletion
	// policy of the replica.
	Retire DeletionPolicy
}

// Rekey puts a replica under another key. Where the service can, the key is
// changed. Elsewhere a new remote secret is made beside the old one, under another
// name, and the old one is retired when the new one was seen to hold the value. A
// *RefusedError means that nothing was stored.
func (e *Engine) Rekey(ctx context.Context, r Rekey) (Changed, error) {
	s, err := e.load(ctx, r.Secret)
	if err != nil {
		return Changed{}, err
	}
	ref, replica, err := s.replicaOf(r.Destination)
	if err != nil {
		return Changed{}, err
	}
	site, err := e.replicator(ctx, ref)
	if err != nil {
		return Changed{}, err
	}
	if site == nil {
		return Changed{}, Refusef("destination %s doesn't exist", ref)
	}
	o := site.current.Load()
	change := Change{Name: r.Secret, Settings: SettingsChange{KMSKeyAt: map[string]string{ref: r.KMSKeyID}}}
	beside, err := r.check(o, replica)
	if err != nil {
		return Changed{}, err
	}
	if !beside {
		return e.Apply(ctx, change)
	}
	change.Settings.RemoteNameAt = map[string]string{ref: r.RemoteName}
	removal, err := e.removalOf(ctx, s, ref)
	if err != nil {
		return Changed{}, err
	}
	former := formerSlot(ref, replica.RemoteName)
	change.Amend = func(next *Secret) error {
		if old := next.Replicas[former]; old != nil && old.Removal != nil && removal != nil {
			old.Removal.Policy, old.Removal.WindowDays = firstSet(r.Retire, removal.Policy), removal.WindowDays
		}
		return nil
	}
	return e.Apply(ctx, change)
}

// check tells whether a new remote secret has to be made beside the one that there
// is, and refuses what can't be.
func (r Rekey) check(o *opened, replica *Replica) (beside bool, err error) {
	ref, have := o.destination.Ref(), replica.Observed
	other := r.RemoteName != "" && r.RemoteName != replica.RemoteName
	switch {
	case have.Exists() && (r.KMSKeyID == have.KeyAsked || r.KMSKeyID == have.KMSKeyID):
		return false, Refusef("destination %s: the remote secret %q is under key %s already", ref, replica.RemoteName, r.KMSKeyID)
	case !have.Exists() && (other || r.Retire != ""):
		return false, Refusef("destination %s: the remote secret %q isn't made yet, so the key alone is needed; leave out remote_name and deletion_policy", ref, replica.RemoteName)
	case !have.Exists():
		return false, nil
	case o.abilities.ChangesKey && (r.RemoteName != "" || r.Retire != ""):
		return false, Refusef("destination %s: %s changes the key of the secret that is there, so there is no new one; leave out remote_name and deletion_policy", ref, o.kind.Title)
	case o.abilities.ChangesKey:
		return false, nil
	case r.RemoteName == "":
		return false, Refusef("destination %s: %s fixes the key when a secret is created, so a new one has to be made, and the name %q is taken as long as the old one is there or can be restored; "+
			"give remote_name for the new one, and let readers follow before the old one is gone", ref, o.kind.Title, replica.RemoteName)
	case !other:
		return false, Refusef("destination %s: the remote secret %q has that name already; its versions would be lost before the new one is there; choose another remote_name", ref, r.RemoteName)
	}
	return true, nil
}

// replicaOf returns the replica of the whole secret at a destination, or at the
// only one for "".
func (s *Secret) replicaOf(destination string) (string, *Replica, error) {
	var refs []string
	for _, slot := range s.slots() {
		if ref := slotRef(slot); s.Replicas[slot].Removal == nil && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	switch {
	case destination == "" && len(refs) != 1:
		return "", nil, Refusef("secret %q has %d destinations (%s); say which with destination", s.Name, len(refs), strings.Join(refs, ", "))
	case destination == "":
		destination = refs[0]
	case !slices.Contains(refs, destination):
		return "", nil, Refusef("secret %q has no replica at destination %s, only at %s", s.Name, destination, strings.Join(refs, ", "))
	}
	replica := s.Replicas[destination]
	if replica == nil || replica.Removal != nil || replica.Refused != nil {
		return "", nil, Refusef("destination %s has no replica of the whole secret %q; with granularity secret-key, change kms_key_id and secret_name_template of its rule instead", destination, s.Name)
	}
	return destination, replica, nil
}
