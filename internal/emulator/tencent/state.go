// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
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

// lookup returns the secret of a key unless its deletion has fallen due; then
// it is removed for good. s.mu is held.
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
	err := s.core.Files.Delete(key.document())
	delete(s.secrets, key)
	return err
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

// Find returns a secret as it is stored.
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
		State: s.Status, Description: s.Description, KMSKeyID: s.KMSKeyID, Tags: maps.Clone(s.Tags),
		Created: s.Created, DeletionTime: s.DeleteAt,
	}
	if s.Type != typeCustom {
		out.Type = strconv.FormatUint(s.Type, 10)
	}
	for _, v := range s.Versions {
		exported := emulator.Version{ID: v.ID, Created: v.Created}
		if v.Binary {
			exported.Binary = slices.Clone(v.Value)
		} else {
			exported.Text = string(v.Value)
		}
		out.Versions = append(out.Versions, exported)
	}
	return out
}

// Seed stores a secret as somebody else would have made it. Type is "" or "0"
// for a custom secret and "1" for a product secret; states are Enabled,
// Disabled, PendingDelete (with a DeletionTime), Creating and Failed.
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
	kind, err := strconv.ParseUint(cmp.Or(seed.Type, "0"), 10, 64)
	if err != nil || kind > 4 {
		return nil, fmt.Errorf("type %q: it must be a number from 0 to 4", seed.Type)
	}
	status := cmp.Or(seed.State, statusEnabled)
	if !slices.Contains([]string{statusEnabled, statusDisabled, statusPendingDelete, statusCreating, statusFailed}, status) {
		return nil, fmt.Errorf("state %q: it must be Enabled, Disabled, PendingDelete, Creating or Failed", status)
	}
	if (status == statusPendingDelete) == seed.DeletionTime.IsZero() {
		return nil, fmt.Errorf("state %s: deletion_time belongs to PendingDelete", status)
	}
	if !slices.Contains(s.regions, seed.Region) {
		return nil, fmt.Errorf("region %q isn't one of %v", seed.Region, s.regions)
	}
	if !nameForm.MatchString(seed.Name) {
		return nil, errors.New("the name isn't a legal one")
	}
	key, now := keyOf(seed.Ref), s.core.Clock.Now()
	next := &secret{
		Account: key.account, Region: key.region, Name: key.name,
		Type: kind, Status: status, Description: seed.Description, KMSKeyID: seed.KMSKeyID, Tags: maps.Clone(seed.Tags),
		CreateUin: uinOf(key.account), Created: timeOr(seed.Created, now), ResourceID: newResourceID(key.account, now), DeleteAt: seed.DeletionTime,
	}
	for _, v := range seed.Versions {
		imported := version{ID: v.ID, Value: []byte(v.Text), Created: timeOr(v.Created, now)}
		if v.Binary != nil {
			imported.Binary, imported.Value = true, slices.Clone(v.Binary)
		}
		next.Versions = append(next.Versions, imported)
	}
	return next, nil
}

func timeOr(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// uinOf reads an account id, which consists of digits.
func uinOf(account string) uint64 {
	uin, _ := strconv.ParseUint(account, 10, 64) // one that is too long gives the largest number
	return uin
}

// newResourceID has the form that replies for custom secrets show.
func newResourceID(account string, now time.Time) string {
	return fmt.Sprintf("1250000000_%s_customize_%d_emu", account, now.UnixNano())
}
