// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// leaseTime is how long a successful write to storage shows that this node is
// the active one. It is shorter than the time in which Vault notices that a node
// is gone and another takes over, so a node that stood still (a paused virtual
// machine, say) makes no further call from memory when it goes on.
const leaseTime = time.Second

// leasedStorage notes when storage was last written to. It is safe for
// concurrent use.
type leasedStorage struct {
	logical.Storage
	renewing sync.Mutex // held while a write is made for the lease alone

	mu   sync.Mutex
	last time.Time // when the last successful write began
}

func (s *leasedStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	began := time.Now()
	err := s.Storage.Put(ctx, entry)
	s.note(began, err)
	return err
}

func (s *leasedStorage) Delete(ctx context.Context, key string) error {
	began := time.Now()
	err := s.Storage.Delete(ctx, key)
	s.note(began, err)
	return err
}

func (s *leasedStorage) note(began time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && began.After(s.last) {
		s.last = began
	}
}

// held tells whether the lease holds. Both clocks have to say so: one stands
// still while a machine is suspended, the other can be set.
func (s *leasedStorage) held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	byWall := now.Round(0).Sub(s.last.Round(0))
	return now.Sub(s.last) < leaseTime && byWall >= 0 && byWall < leaseTime
}

// renew makes sure that the lease holds, by a write if need be.
func (s *leasedStorage) renew(ctx context.Context) error {
	if s.held() {
		return nil
	}
	s.renewing.Lock()
	defer s.renewing.Unlock()
	if s.held() {
		return nil
	}
	if err := leases.Put(ctx, s, "", &leaseRecord{Time: time.Now().UTC()}); err != nil {
		return (&provider.Error{
			Class:   provider.ClassInternal,
			Message: fmt.Sprintf("no call is made, since Vault's storage can't be written to: this node may not be the active one any more (%v)", err),
		})
	}
	return nil
}
