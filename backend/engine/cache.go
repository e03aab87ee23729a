// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cachedRecords is how many records of secrets are kept in memory. It covers
// what is written and converges at one time, some megabytes at most.
const cachedRecords = 1024

// recordCache keeps the records of the secrets that were used last, by storage
// id. Values aren't in them. It is safe for concurrent use.
type recordCache struct {
	mu   sync.Mutex
	lru  *simplelru.LRU[string, *Secret]
	read uint64 // changes when a record may have changed, so that an older one isn't kept

	hits, misses uint64
}

// counts are how often a record was found, and not.
func (c *recordCache) counts() (hits, misses uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits, c.misses
}

func newRecordCache() *recordCache {
	lru, _ := simplelru.NewLRU[string, *Secret](cachedRecords, nil) // fails for a size below 1 only
	return &recordCache{lru: lru}
}

// get returns a copy of the record. Without one it returns a ticket for keep.
func (c *recordCache) get(id string) (s *Secret, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept, found := c.lru.Get(id); found {
		c.hits++
		return kept.clone(), 0
	}
	c.misses++
	return nil, c.read
}

// keep keeps what was read from storage, unless a record changed meanwhile.
func (c *recordCache) keep(id string, s *Secret, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read == ticket {
		c.lru.Add(id, s.clone())
	}
}

// drop forgets a record that is about to change, or was changed by another node.
func (c *recordCache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read++
	c.lru.Remove(id)
}

// put keeps a record that was stored.
func (c *recordCache) put(id string, s *Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read++
	c.lru.Add(id, s.clone())
}
