// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

var errStorage = errors.New("the storage fails")

// testStorage counts accesses and lets a test step in before and after them.
type testStorage struct {
	logical.InmemStorage

	mu       sync.Mutex
	accesses int
	puts     int
	before   func(nth int, operation, key string) error // nil for none
	after    func(operation, key string)
}

// intervene sets what happens before and after accesses from now on.
func (s *testStorage) intervene(before func(nth int, operation, key string) error, after func(operation, key string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accesses, s.before, s.after = 0, before, after
}

func (s *testStorage) access(operation, key string, do func() error) error {
	s.mu.Lock()
	s.accesses++
	if operation == "put" {
		s.puts++
	}
	nth, before, after := s.accesses, s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(nth, operation, key); err != nil {
			return err
		}
	}
	err := do()
	if after != nil {
		after(operation, key)
	}
	return err
}

func (s *testStorage) Get(ctx context.Context, key string) (entry *logical.StorageEntry, err error) {
	err = s.access("get", key, func() (err error) {
		entry, err = s.InmemStorage.Get(ctx, key)
		return err
	})
	return entry, err
}

func (s *testStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	return s.access("put", entry.Key, func() error { return s.InmemStorage.Put(ctx, entry) })
}

func (s *testStorage) Delete(ctx context.Context, key string) error {
	return s.access("delete", key, func() error { return s.InmemStorage.Delete(ctx, key) })
}

func (s *testStorage) List(ctx context.Context, prefix string) (keys []string, err error) {
	err = s.access("list", prefix, func() (err error) {
		keys, err = s.InmemStorage.List(ctx, prefix)
		return err
	})
	return keys, err
}
