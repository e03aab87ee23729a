// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Account is one access key, whose it is, and what it may do. Several access
// keys can belong to one cloud account and then see the same secrets.
type Account struct {
	AccessKeyID     string `json:"access_key_id"`
	AccessKeySecret string `json:"access_key_secret"`

	// SecurityToken makes the key a temporary one: calls must carry the token.
	SecurityToken string `json:"security_token,omitempty"`
	// TokenExpires is when the token stops working; zero means never.
	TokenExpires time.Time `json:"token_expires,omitzero"`

	// AccountID is the cloud account, digits only. Empty means [ExampleAccountID].
	AccountID string `json:"account_id,omitempty"`
	// Denied are the operations this key has no permission for; "*" is all.
	Denied []string `json:"denied,omitempty"`
}

// ExampleAccountID is the cloud account of keys that name none.
const ExampleAccountID = "100000000001"

// ExampleAccount returns the account that exists where no other was given. Its
// key is public and works on emulators only.
func ExampleAccount() Account {
	return Account{AccessKeyID: "emulator-example-id", AccessKeySecret: "emulator-example-secret", AccountID: ExampleAccountID}
}

// Allows tells whether the key may call operation.
func (a Account) Allows(operation string) bool {
	return !slices.Contains(a.Denied, operation) && !slices.Contains(a.Denied, "*")
}

// String names the key, and never shows its secret.
func (a Account) String() string { return "access key " + a.AccessKeyID }

// GoString is String, so that no format verb shows the secret.
func (a Account) GoString() string { return a.String() }

// Accounts are the access keys that a service knows. It is safe for concurrent use.
type Accounts struct {
	mu   sync.RWMutex
	keys map[string]Account // by access key id
}

// NewAccounts returns a set with the given accounts, or with [ExampleAccount]
// when there are none.
func NewAccounts(accounts ...Account) (*Accounts, error) {
	if len(accounts) == 0 {
		accounts = []Account{ExampleAccount()}
	}
	s := &Accounts{keys: make(map[string]Account)}
	for _, a := range accounts {
		if err := s.Put(a); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Put adds an access key or replaces the one with its id.
func (s *Accounts) Put(a Account) error {
	if a.AccessKeyID == "" || a.AccessKeySecret == "" {
		return fmt.Errorf("account with access key %q: access_key_id and access_key_secret must be given", a.AccessKeyID)
	}
	if a.AccountID == "" {
		a.AccountID = ExampleAccountID
	}
	for _, c := range a.AccountID {
		if c < '0' || c > '9' {
			return fmt.Errorf("account with access key %q: account_id must consist of digits", a.AccessKeyID)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Denied = slices.Clone(a.Denied)
	s.keys[a.AccessKeyID] = a
	return nil
}

// Remove takes an access key away and tells whether it was there.
func (s *Accounts) Remove(accessKeyID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.keys[accessKeyID]
	delete(s.keys, accessKeyID)
	return ok
}

// Find returns the account of an access key.
func (s *Accounts) Find(accessKeyID string) (Account, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.keys[accessKeyID]
	return a, ok
}

// IDs lists the access key ids in order.
func (s *Accounts) IDs() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.keys))
}
