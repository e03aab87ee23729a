// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// Holding is what Vault knows of a remote name at a destination. What the cloud
// has under the name beside that isn't looked at.
type Holding struct {
	RemoteName string
	Illegal    string // why no secret there can have the name; "" if one can

	Secret string // that holds the name; "" if it is free
	// Credential is the managed credential that holds the name, "" if none does.
	Credential string
	Key        string // of the secret's data, for the replica of one key
	Former     bool   // the replica is on its way out under this name
	State      State  // of the replica
}

// Lookup tells which secret a remote name belongs to at a destination, by the
// claims. Two storage reads.
func (e *Engine) Lookup(ctx context.Context, ref, remoteName string) (*Holding, error) {
	o, err := e.destinationAt(ctx, ref)
	if err != nil {
		return nil, err
	}
	holding := &Holding{RemoteName: remoteName, Credential: e.credentials.holding(ref, remoteName)}
	if err := o.kind.Limits.Name.Check(remoteName); err != nil {
		holding.Illegal = err.Error()
	}
	id := e.claimID(ref, remoteName)
	beingStored := e.claimant(id)
	stored, err := claims.Get(ctx, e.storage, id)
	if err != nil {
		return nil, err
	}
	if stored == nil && beingStored == "" {
		return holding, nil
	}
	if stored == nil {
		stored = &claimRecord{Secret: beingStored}
	}
	s, err := e.peek(ctx, stored.Secret)
	if err != nil {
		return nil, err
	}
	slot := ""
	if s != nil {
		slot = s.named(ref, remoteName)
	}
	switch {
	case slot != "":
		holding.Secret, holding.Former, holding.State = s.Name, slotIsFormer(slot), e.stateShown(s, slot)
		if key, keyed := slotKey(slot); keyed {
			holding.Key = key
		}
	case beingStored != "":
		holding.Secret, holding.State = beingStored, StatePending
	}
	return holding, nil
}

// stateShown is the state of a replica with its outstanding work.
func (e *Engine) stateShown(s *Secret, slot string) State {
	replica := s.Replicas[slot]
	progress, _ := e.activities.snapshot(s.Name)
	p, outstanding := progress[slot]
	switch {
	case !outstanding:
		return replica.State
	case p.state == StatePending:
		return firstSet(replica.Removal.shown(), p.state)
	default:
		return p.state
	}
}

// CompiledName is the remote name that a secret, or one of its keys, gets at a
// destination by the settings in force.
type CompiledName struct {
	remotename.Result
	Key     string // of the secret's data, with a replica of each key
	Illegal string // why no secret there can have the name; "" if one can
	TakenBy string // another secret that has the name; "" if none has
	// Goes is set when the secret has a replica under the name; Released when it had
	// one that was given back, and is taken back when it goes there again.
	Goes, Released bool
}

// CompileNames returns the remote names that a secret gets at a destination,
// whether it goes there by now or not. It need not exist, unless each key of its
// value has a name of its own. A *RefusedError says why it gets none.
func (e *Engine) CompileNames(ctx context.Context, ref, secret string) ([]CompiledName, error) {
	if err := CheckName(secret); err != nil {
		return nil, err
	}
	o, err := e.destinationAt(ctx, ref)
	if err != nil {
		return nil, err
	}
	if !o.destination.Allows(secret) {
		return nil, Refusef("destination %s doesn't take secret %q: its allowed_paths are %s", ref, secret, strings.Join(o.destination.AllowedPaths, ", "))
	}
	s, err := e.load(ctx, secret)
	if err != nil {
		return nil, err
	}
	byRules, err := e.byRules(ctx, s, ref)
	if err != nil {
		return nil, err
	}
	r, err := e.resolve(s, o.destination, byRules, newestVersion, nil)
	if err != nil {
		return nil, err
	}
	keys := []string{""}
	if r.perKey() {
		if keys, err = e.keysSent(ctx, s, r); err != nil {
			return nil, err
		}
	}
	names := make([]CompiledName, len(keys))
	for i, key := range keys {
		compiled, err := r.compile(s, o.kind.Limits.Name, key)
		if err != nil {
			return nil, err
		}
		holding, err := e.Lookup(ctx, ref, compiled.Name)
		if err != nil {
			return nil, err
		}
		names[i] = CompiledName{Result: compiled, Key: key, Illegal: holding.Illegal}
		if holding.Secret != secret {
			names[i].TakenBy = holding.Secret
		}
		names[i].Goes = holding.Secret == secret && !holding.Former
		names[i].Released = s.released(ref, compiled.Name)
	}
	return names, nil
}

// keysSent are the keys of the secret's live value that have replicas of their
// own, sorted.
func (e *Engine) keysSent(ctx context.Context, s *Secret, r resolved) ([]string, error) {
	data, err := e.currentData(ctx, s.Name)
	if err != nil || data == nil {
		return nil, err
	}
	values, err := r.split(data)
	if err != nil {
		return nil, Refusef("destination %s: %v", r.destination, err)
	}
	return slices.Sorted(maps.Keys(values)), nil
}

// destinationAt returns a destination, opened. A *RefusedError says that there is
// none.
func (e *Engine) destinationAt(ctx context.Context, ref string) (*opened, error) {
	site, err := e.replicator(ctx, ref)
	if err != nil {
		return nil, err
	}
	if site == nil {
		return nil, Refusef("destination %s doesn't exist; create it at destinations/%s or choose another", ref, ref)
	}
	return site.current.Load(), nil
}
