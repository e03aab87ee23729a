// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Export is the secret as tests see it.
func (s *secret) Export() emulator.Secret {
	out := emulator.Secret{
		Ref:   s.Ref(),
		State: s.Status, Description: s.Description, KMSKeyID: s.KMSKeyID, Tags: maps.Clone(s.Tags),
		Created: s.Created, DeletionTime: s.DeleteAt,
	}
	if s.Type != typeCustom {
		out.Type = strconv.FormatUint(s.Type, 10)
	}
	if s.Managed != nil && s.Managed.SSHKey != nil {
		key := s.Managed.SSHKey
		out.Versions = append(out.Versions, emulator.Version{ID: key.ID, Text: key.Private, Created: s.Created})
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
	return s.secrets.Put(next)
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
	ref, now := seed.WithAccount(), s.Clock().Now()
	next := &secret{
		Account: ref.Account, Region: ref.Region, Name: ref.Name,
		Type: kind, Status: status, Description: seed.Description, KMSKeyID: seed.KMSKeyID, Tags: maps.Clone(seed.Tags),
		CreateUin: uinOf(ref.Account), Created: timeOr(seed.Created, now), ResourceID: newResourceID(ref.Account, now), DeleteAt: seed.DeletionTime,
	}
	if kind == typeProduct {
		next.ResourceID = "cdb-seeded"
		next.Managed = &managed{Product: supportedProducts[0], Instance: next.ResourceID, Accounts: newAccounts("seed"), Domains: []string{"%"}}
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
