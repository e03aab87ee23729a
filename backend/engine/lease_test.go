// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

func TestTheLeaseHoldsForAWhileAfterAWrite(t *testing.T) {
	tests := map[string]struct {
		before func(s *leasedStorage)
		want   int // writes that it takes to go on
	}{
		"nothing was written yet": {func(*leasedStorage) {}, 1},
		"a record was just written": {func(s *leasedStorage) {
			_ = s.Put(context.Background(), &logical.StorageEntry{Key: "k"})
		}, 0},
		"a record was just removed": {func(s *leasedStorage) { _ = s.Delete(context.Background(), "k") }, 0},
		"the last write was long ago": {func(s *leasedStorage) {
			_ = s.Put(context.Background(), &logical.StorageEntry{Key: "k"})
			time.Sleep(leaseTime)
		}, 1},
		"the last write failed": {func(s *leasedStorage) {
			disk, _ := s.Storage.(*testStorage)
			disk.intervene(func(int, string, string) error { return errStorage }, nil)
			_ = s.Put(context.Background(), &logical.StorageEntry{Key: "k"})
			disk.intervene(nil, nil)
		}, 1},
		"the clock was set back":                             {func(s *leasedStorage) { s.last = time.Now().Round(0).Add(time.Hour) }, 1},
		"only the wall clock went on, as after a suspension": {func(s *leasedStorage) { s.last = time.Now().Round(0).Add(-time.Hour) }, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := &testStorage{}
				s := &leasedStorage{Storage: disk}
				test.before(s)
				before := disk.puts
				if err := s.renew(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := disk.puts - before; got != test.want {
					t.Errorf("it took %d writes, want %d", got, test.want)
				}
			})
		})
	}
}

func TestWithoutStorageThereIsNoLease(t *testing.T) {
	disk := &testStorage{}
	disk.intervene(func(int, string, string) error { return errStorage }, nil)
	s := &leasedStorage{Storage: disk}
	err := s.renew(t.Context())
	if err == nil || !provider.ClassOf(err).Recovers() || provider.IsAmbiguous(err) || !strings.Contains(err.Error(), "no call is made") {
		t.Errorf("it says %v", err)
	}
}

func TestManyCallsAtATimeTakeOneWriteForTheLease(t *testing.T) {
	disk := &testStorage{}
	s := &leasedStorage{Storage: disk}
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if err := s.renew(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if disk.puts != 1 {
		t.Errorf("it took %d writes", disk.puts)
	}
}
