// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

// Base is what the servers of all clouds offer behind the back of their
// callers. Each server embeds one.
type Base struct {
	core    *Core
	secrets exporter
}

// exporter is a [Store], whatever its secrets are.
type exporter interface {
	Find(Ref) (Secret, bool)
	List(account, region string) []Secret
}

// Open makes what options ask for, with the secrets that files hold, of a
// service with documented rates.
func Open[T any, S Stored[T]](options Options, documented Throttling) (Base, *Store[T, S], error) {
	core, err := NewCore(options, documented)
	if err != nil {
		return Base{}, nil, err
	}
	secrets, err := OpenStore[T, S](core)
	if err != nil {
		return Base{}, nil, err
	}
	return Base{core, secrets}, secrets, nil
}

// Core returns clock, accounts, KMS keys, faults and calls.
func (b Base) Core() *Core { return b.core }

// Account adds an access key or replaces the one with its id.
func (b Base) Account(a Account) error { return b.core.Accounts.Put(a) }

// Accounts are the access keys that may call.
func (b Base) Accounts() *Accounts { return b.core.Accounts }

// Faults are the faults that strike calls.
func (b Base) Faults() *Faults { return b.core.Faults }

// Calls are the calls that came in.
func (b Base) Calls() *Calls { return b.core.Calls }

// Rates are the documented rates, as far as they are enforced.
func (b Base) Rates() *Rates { return b.core.Rates }

// Clock is the service's time.
func (b Base) Clock() *Clock { return b.core.Clock }

// KMSKeys are the keys that secrets can be encrypted with.
func (b Base) KMSKeys() *KMSKeys { return b.core.KMSKeys }

// Find returns a secret as it is stored.
func (b Base) Find(ref Ref) (Secret, bool) { return b.secrets.Find(ref) }

// Inspect returns a secret of the example account as it is stored.
func (b Base) Inspect(region, name string) (Secret, bool) {
	return b.Find(Ref{Region: region, Name: name})
}

// List returns the secrets of an account in a region, ordered by name.
func (b Base) List(account, region string) []Secret { return b.secrets.List(account, region) }
