// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"
)

// readOnce is storage whose entries are read at most once: a convergence asks the
// KV store for the list of versions and then for one of them, for which it reads
// the list again. It is for one goroutine, and only reads.
type readOnce struct {
	logical.Storage
	entries map[string]*logical.StorageEntry
}

func (e *Engine) readOnce() *readOnce {
	return &readOnce{Storage: e.storage, entries: map[string]*logical.StorageEntry{}}
}

func (s *readOnce) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if entry, known := s.entries[key]; known {
		return entry, nil
	}
	entry, err := s.Storage.Get(ctx, key)
	if err == nil {
		s.entries[key] = entry
	}
	return entry, err
}
