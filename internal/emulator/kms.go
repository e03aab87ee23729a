// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import "sync"

// KMSKey is a customer's encryption key. The service's own default key always
// works and isn't among them.
type KMSKey struct {
	ID       string `json:"id"`
	Region   string `json:"region,omitempty"` // "" for every region
	Disabled bool   `json:"disabled,omitempty"`

	PendingDeletion bool   `json:"pending_deletion,omitempty"`
	Instance        string `json:"instance,omitempty"` // KMS instance that holds it, where the cloud has them
}

// ExampleKMSKeyID is the key that exists where no other was given.
const ExampleKMSKeyID = "11111111-2222-3333-4444-555555555555"

// KMSKeys are the encryption keys that a service can use. It is safe for
// concurrent use.
type KMSKeys struct {
	mu   sync.RWMutex
	keys map[string]KMSKey // by id
}

// NewKMSKeys returns a set with keys, or with the example key if there are none.
func NewKMSKeys(keys ...KMSKey) *KMSKeys {
	if len(keys) == 0 {
		keys = []KMSKey{{ID: ExampleKMSKeyID}}
	}
	s := &KMSKeys{keys: make(map[string]KMSKey)}
	for _, k := range keys {
		s.Put(k)
	}
	return s
}

// Put adds a key or replaces the one with its id.
func (s *KMSKeys) Put(k KMSKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.ID] = k
}

// Find returns the key with that id, usable or not, if region has it.
func (s *KMSKeys) Find(region, id string) (KMSKey, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.keys[id]
	return k, ok && (k.Region == "" || k.Region == region)
}

// Usable tells whether the key with that id works in region.
func (s *KMSKeys) Usable(region, id string) bool {
	k, ok := s.Find(region, id)
	return ok && !k.Disabled && !k.PendingDeletion
}
