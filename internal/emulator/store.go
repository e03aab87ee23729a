// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Stored is a secret as one cloud stores it, also in files, where it is JSON.
type Stored[T any] interface {
	*T
	// Ref names the secret, with its account.
	Ref() Ref
	// Gone tells whether the secret's deletion has happened by now.
	Gone(now time.Time) bool
	// Export returns the secret as all clouds show it to tests.
	Export() Secret
}

// Store keeps the secrets of one service, in memory and in the files of its
// core. Its lock also keeps changes and files in one order: methods whose names
// end in Locked are for whoever holds it. The others are safe for concurrent use.
type Store[T any, S Stored[T]] struct {
	// ForgetsAnyway removes a secret from memory even if its file can't be
	// removed. It is set before use.
	ForgetsAnyway bool

	core *Core

	mu      sync.Mutex
	secrets map[Ref]S // by reference with account: names are unique per account and region
}

// OpenStore returns the secrets that the files of core hold.
func OpenStore[T any, S Stored[T]](core *Core) (*Store[T, S], error) {
	s := &Store[T, S]{core: core, secrets: make(map[Ref]S)}
	err := core.Files.Each(func(_ string, body json.RawMessage) error {
		var stored S = new(T)
		if err := DecodeStrict(body, stored); err != nil {
			return fmt.Errorf("read the secret: %w", err)
		}
		s.secrets[stored.Ref()] = stored
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Lock waits until nobody else reads or changes secrets.
func (s *Store[T, S]) Lock() { s.mu.Lock() }

// Unlock lets others go on.
func (s *Store[T, S]) Unlock() { s.mu.Unlock() }

// LookupLocked returns a secret unless its deletion has fallen due; then it is
// removed for good.
func (s *Store[T, S]) LookupLocked(ref Ref, now time.Time) (S, bool) {
	found, ok := s.secrets[ref]
	if ok && found.Gone(now) {
		if err := s.RemoveLocked(ref); err != nil {
			s.core.Logger.Error("a deleted secret's file remains", "error", err)
		}
		return nil, false
	}
	return found, ok
}

// SearchLocked returns a secret that matches, even if its deletion has fallen due.
func (s *Store[T, S]) SearchLocked(matches func(S) bool) (S, bool) {
	for _, stored := range s.secrets {
		if matches(stored) {
			return stored, true
		}
	}
	return nil, false
}

// ListLocked returns the secrets of an account in a region, ordered by name.
func (s *Store[T, S]) ListLocked(account, region string, now time.Time) []S {
	var list []S
	for _, ref := range slices.Collect(maps.Keys(s.secrets)) {
		if ref.Account != account || ref.Region != region {
			continue
		}
		if found, ok := s.LookupLocked(ref, now); ok {
			list = append(list, found)
		}
	}
	slices.SortFunc(list, func(a, b S) int { return cmp.Compare(a.Ref().Name, b.Ref().Name) })
	return list
}

// PutLocked makes next the state of its secret, in the files first.
func (s *Store[T, S]) PutLocked(next S) error {
	if err := s.core.Files.Put(next.Ref().document(), next); err != nil {
		return err
	}
	s.secrets[next.Ref()] = next
	return nil
}

// RemoveLocked removes a secret for good, from the files first.
func (s *Store[T, S]) RemoveLocked(ref Ref) error {
	err := s.core.Files.Delete(ref.document())
	if err == nil || s.ForgetsAnyway {
		delete(s.secrets, ref)
	}
	return err
}

// TryPutLocked is PutLocked for a call: if it fails, the log says why and the
// call is answered with otherwise.
func (s *Store[T, S]) TryPutLocked(next S, otherwise *Failure) *Failure {
	if err := s.PutLocked(next); err != nil {
		s.core.Logger.Error("a change could not be stored", "secret", next.Ref().Name, "error", err)
		return otherwise
	}
	return nil
}

// TryRemoveLocked is RemoveLocked for a call, in the same way.
func (s *Store[T, S]) TryRemoveLocked(ref Ref, otherwise *Failure) *Failure {
	if err := s.RemoveLocked(ref); err != nil {
		s.core.Logger.Error("a secret could not be removed", "secret", ref.Name, "error", err)
		return otherwise
	}
	return nil
}

// Put is PutLocked for callers without the lock.
func (s *Store[T, S]) Put(next S) error {
	s.Lock()
	defer s.Unlock()
	return s.PutLocked(next)
}

// Find returns a secret as it is stored.
func (s *Store[T, S]) Find(ref Ref) (Secret, bool) {
	s.Lock()
	defer s.Unlock()
	found, ok := s.LookupLocked(ref.WithAccount(), s.core.Clock.Now())
	if !ok {
		return Secret{}, false
	}
	return found.Export(), true
}

// List returns the secrets of an account in a region, ordered by name. Account
// "" is [ExampleAccountID].
func (s *Store[T, S]) List(account, region string) []Secret {
	s.Lock()
	defer s.Unlock()
	account = Ref{Account: account}.WithAccount().Account
	stored := s.ListLocked(account, region, s.core.Clock.Now())
	list := make([]Secret, len(stored))
	for i, one := range stored {
		list[i] = one.Export()
	}
	return list
}
