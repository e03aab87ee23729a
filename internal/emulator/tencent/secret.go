// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// The statuses of a secret, in the service's words.
const (
	statusEnabled       = "Enabled"
	statusDisabled      = "Disabled"
	statusPendingDelete = "PendingDelete"
	statusCreating      = "Creating" // product secrets only, like Failed
	statusFailed        = "Failed"
)

// typeCustom is a secret whose values callers write. The other types are the
// service's own: typeProduct, typeSSHKey, 3 API key pair, 4 Redis.
const typeCustom = 0

// currentVersionID names the first version of a secret that was created without
// a version id. For product secrets it stands for the newest version.
const currentVersionID = "SSM_Current"

// secret is a secret as it is stored, also in files. It is replaced and never
// changed, so that an answer can be made from it without a lock.
type secret struct {
	Account, Region, Name string

	Type        uint64
	Status      string
	Description string
	KMSKeyID    string // "" for the default key
	Tags        map[string]string
	Versions    []version // in the order they were made
	CreateUin   uint64
	Created     time.Time
	ResourceID  string
	Managed     *managed `json:",omitempty"` // of typeProduct and typeSSHKey, else nil

	// DeleteAt is when the secret vanishes: set for PendingDelete, and for
	// deletion at once while it lags.
	DeleteAt time.Time
}

type version struct {
	ID      string
	Value   []byte // as the caller meant it, decoded
	Binary  bool
	Created time.Time
}

// Ref names the secret.
func (s *secret) Ref() emulator.Ref {
	return emulator.Ref{Account: s.Account, Region: s.Region, Name: s.Name}
}

// copy returns a secret to be changed; its tags are shared.
func (s *secret) copy() *secret {
	next := *s
	next.Versions = slices.Clone(s.Versions)
	next.Managed = s.Managed.copy()
	return &next
}

// find returns the position of a version, -1 if it is absent.
func (s *secret) find(versionID string) int {
	return slices.IndexFunc(s.Versions, func(v version) bool { return v.ID == versionID })
}

// read returns the version that a reader means by versionID.
func (s *secret) read(versionID string) (version, bool) {
	if i := s.find(versionID); i >= 0 {
		return s.Versions[i], true
	}
	if s.Type != typeCustom && versionID == currentVersionID && len(s.Versions) > 0 {
		return s.Versions[len(s.Versions)-1], true
	}
	return version{}, false
}

// Gone tells whether the secret's deletion has happened by now.
func (s *secret) Gone(now time.Time) bool { return !s.DeleteAt.IsZero() && !now.Before(s.DeleteAt) }

func (s *secret) uninitialized() bool { return s.Status == statusCreating || s.Status == statusFailed }
