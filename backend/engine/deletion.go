// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// completeDeletion ends a deletion that was broken off: the values go, if they
// haven't yet, and then the settings. Some values may be gone already, so nothing
// else can be done with the secret before. The caller holds the secret's lock.
func (e *Engine) completeDeletion(ctx context.Context, s *Secret) error {
	name := s.Name
	request := kvstore.DeleteRequest(&logical.Request{Storage: e.storage}, name)
	if resp, err := e.store.Handle(ctx, request); kvstore.Failed(resp, err) {
		return fmt.Errorf("complete the deletion of secret %q in the KV v2 store: %w", name, errors.Join(err, resp.Error()))
	}
	return e.bury(ctx, s)
}

// bury decides what becomes of each replica of a deleted secret while its
// settings are known, and then drops the settings: a secret that is made anew
// under the name starts afresh. The caller holds the secret's lock.
func (e *Engine) bury(ctx context.Context, s *Secret) error {
	if err := e.retire(ctx, s); err != nil {
		return err
	}
	return e.storeSecret(ctx, s)
}

// retire makes a record that of a deleted secret. It stores nothing.
func (e *Engine) retire(ctx context.Context, s *Secret) error {
	for _, slot := range s.slots() {
		replica := s.Replicas[slot]
		switch {
		case replica.Refused != nil:
			delete(s.Replicas, slot)
			continue
		case replica.Removal != nil:
			continue
		}
		removal, err := e.removalOf(ctx, s, slotRef(slot))
		if err != nil {
			return err
		}
		if removal != nil {
			replica.Removal, replica.State = removal, removal.shown()
		}
	}
	if len(s.Replicas) > 0 {
		// Whatever comes under this name is another life, with ids of its own.
		s.Incarnation, s.Born = max(s.Incarnation, 1)+1, time.Time{}
	}
	// A pause holds for the deletion too.
	s.Settings, s.Forms, s.Deleting = Settings{Paused: s.Settings.Paused && len(s.Replicas) > 0}, nil, false
	maps.DeleteFunc(s.Released, func(_ string, left *Replica) bool { return left.Observed.Unmarked })
	return nil
}

// removalOf is what deleting the secret does to its replicas at a destination;
// nil if there is no such destination. Where settings contradict each other the
// remote can be restored.
func (e *Engine) removalOf(ctx context.Context, s *Secret, ref string) (*Removal, error) {
	o, err := e.openedAt(ctx, ref)
	if err != nil || o == nil {
		return nil, err
	}
	var refusal *RefusedError
	byRules, err := e.byRules(ctx, s, ref)
	if err != nil && !errors.As(err, &refusal) {
		return nil, err
	}
	r, err := e.resolve(s, o.destination, byRules, newestVersion, nil)
	if err != nil && r.removal.Policy == "" {
		return &Removal{Policy: DeleteScheduled, WindowDays: o.destination.windowDays(o.kind)}, nil
	}
	return &r.removal, nil
}

// shown is the state of a replica that is on its way out; "" for one that isn't.
func (r *Removal) shown() State {
	presence, _ := r.presence()
	switch {
	case r == nil:
		return ""
	case presence == plan.Released:
		return StateReleasing
	default:
		return StateDeleting
	}
}

// presence is what becomes of a replica that isn't wanted. Where nothing was
// noted the remote stays: moving is not deleting.
func (r *Removal) presence() (plan.Presence, time.Duration) {
	switch {
	case r == nil || r.Policy == DeleteRetain:
		return plan.Released, 0
	case r.Policy == DeleteForce:
		return plan.Deleted, 0
	default:
		return plan.Deleted, provider.Days(r.WindowDays)
	}
}
