// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// States as inspection shows them; the service has no words for them.
const (
	stateActive          = "Active"
	statePendingDeletion = "PendingDeletion"
)

func (k secretKey) document() string { return k.account + "/" + k.region + "/" + k.name }

// load reads the secrets that files hold.
func (s *Server) load() error {
	return s.core.Files.Each(func(_ string, body json.RawMessage) error {
		stored := new(secret)
		if err := strictUnmarshal(body, stored); err != nil {
			return fmt.Errorf("read the secret: %w", err)
		}
		s.secrets[stored.key()] = stored
		return nil
	})
}

// lookupLocked returns the secret of a key unless its deletion has fallen due;
// then it is removed for good.
func (s *Server) lookupLocked(key secretKey, now time.Time) (*secret, bool) {
	found, ok := s.secrets[key]
	if ok && found.gone(now) {
		if err := s.removeLocked(key); err != nil {
			s.core.Logger.Error("a deleted secret's file remains", "error", err)
		}
		return nil, false
	}
	return found, ok
}

// storeLocked makes next the state of its secret, in the files first.
func (s *Server) storeLocked(next *secret) error {
	if err := s.core.Files.Put(next.key().document(), next); err != nil {
		return err
	}
	s.secrets[next.key()] = next
	return nil
}

func (s *Server) removeLocked(key secretKey) error {
	if err := s.core.Files.Delete(key.document()); err != nil {
		return err
	}
	delete(s.secrets, key)
	return nil
}

// secretsLocked returns the secrets of an account in a region, ordered by name.
func (s *Server) secretsLocked(account, region string, now time.Time) []*secret {
	var list []*secret
	for _, key := range slices.Collect(maps.Keys(s.secrets)) {
		if key.account != account || key.region != region {
			continue
		}
		if found, ok := s.lookupLocked(key, now); ok {
			list = append(list, found)
		}
	}
	slices.SortFunc(list, func(a, b *secret) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Find returns a secret as it is stored. A version whose SecretDataType is
// binary has SecretData, as it was sent, in Binary.
func (s *Server) Find(ref emulator.Ref) (emulator.Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.lookupLocked(keyOf(ref), s.core.Clock.Now())
	if !ok {
		return emulator.Secret{}, false
	}
	return found.export(), true
}

// List returns the secrets of an account in a region, ordered by name.
func (s *Server) List(account, region string) []emulator.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.secretsLocked(keyOf(emulator.Ref{Account: account}).account, region, s.core.Clock.Now())
	list := make([]emulator.Secret, len(stored))
	for i, one := range stored {
		list[i] = one.export()
	}
	return list
}

func (s *secret) export() emulator.Secret {
	out := emulator.Secret{
		Ref:   emulator.Ref{Account: s.Account, Region: s.Region, Name: s.Name},
		State: stateActive, Description: s.Description, KMSKeyID: s.KMSKeyID, Instance: s.Instance, Tags: maps.Clone(s.Tags),
		Created: s.Created, DeletionTime: s.ShownDeleteAt,
	}
	if s.pendingDeletion() {
		out.State = statePendingDeletion
	}
	if s.Type != typeGeneric {
		out.Type = s.Type
	}
	for _, v := range s.Versions {
		exported := emulator.Version{ID: v.ID, Created: v.Created, Labels: s.labelsOf(v.ID)}
		if v.Binary {
			exported.Binary = []byte(v.Data)
		} else {
			exported.Text = v.Data
		}
		out.Versions = append(out.Versions, exported)
	}
	return out
}

// Seed stores a secret as somebody else would have made it. Type is "" or
// "Generic", or a managed type such as "Rds". State is "" or "Active", or
// "PendingDeletion" with a DeletionTime. When no version has a label, the last
// is ACSCurrent and the one before is ACSPrevious.
func (s *Server) Seed(seed emulator.Secret) error {
	next, err := s.imported(seed)
	if err != nil {
		return fmt.Errorf("seed secret %q: %w", seed.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.storeLocked(next)
}

func (s *Server) imported(seed emulator.Secret) (*secret, error) {
	kind := cmp.Or(seed.Type, typeGeneric)
	state := cmp.Or(seed.State, stateActive)
	switch {
	case kind != typeGeneric && !slices.Contains(managedTypes, kind):
		return nil, fmt.Errorf("type %q: it must be Generic or one of %v", seed.Type, managedTypes)
	case state != stateActive && state != statePendingDeletion:
		return nil, fmt.Errorf("state %q: it must be Active or PendingDeletion", state)
	case (state == statePendingDeletion) == seed.DeletionTime.IsZero():
		return nil, fmt.Errorf("state %s: deletion_time belongs to PendingDeletion", state)
	case !slices.Contains(s.regions, seed.Region):
		return nil, fmt.Errorf("region %q isn't one of %v", seed.Region, s.regions)
	case !nameForm.MatchString(seed.Name):
		return nil, errors.New("the name isn't a legal one")
	}
	key, now := keyOf(seed.Ref), s.core.Clock.Now()
	created := timeOr(seed.Created, now)
	next := &secret{
		Account: key.account, Region: key.region, Name: key.name, Type: kind, Description: seed.Description,
		KMSKeyID: seed.KMSKeyID, Instance: seed.Instance, Tags: maps.Clone(seed.Tags), Labels: make(map[string]string),
		Created: created, Updated: created, DeleteAt: seed.DeletionTime, ShownDeleteAt: seed.DeletionTime,
	}
	if err := next.importVersions(seed.Versions, now); err != nil {
		return nil, err
	}
	return next, nil
}

func (s *secret) importVersions(seeds []emulator.Version, now time.Time) error {
	for _, seed := range seeds {
		if _, twice := s.find(seed.ID); twice || seed.ID == "" {
			return fmt.Errorf("version %q: each needs an id of its own", seed.ID)
		}
		v := version{ID: seed.ID, Data: seed.Text, Created: timeOr(seed.Created, now)}
		if seed.Binary != nil {
			v.Data, v.Binary = string(seed.Binary), true
		}
		s.Versions = append(s.Versions, v)
		for _, label := range seed.Labels {
			if _, twice := s.Labels[label]; twice {
				return fmt.Errorf("label %q: it can mark one version only", label)
			}
			s.Labels[label] = v.ID
		}
	}
	if n := len(s.Versions); len(s.Labels) == 0 && n > 0 {
		if n > 1 {
			s.Labels[labelPrevious] = s.Versions[n-2].ID
		}
		s.Labels[labelCurrent] = s.Versions[n-1].ID
	}
	return nil
}

func timeOr(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
