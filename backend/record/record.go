// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package record keeps typed values in Vault's storage with one codec.
//
// A stored entry is a JSON envelope with the version of its schema:
//
//	{"version":1,"record":{...}}
//
// Absent, present and unreadable are three answers: nil, the value, an error.
// An entry of a schema newer than this program is unreadable, with an error
// that says so, so that a downgrade never misreads or overwrites it blindly.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
)

// Kind is one kind of record: where it lives and how it is encoded. The zero
// value of T must not be meaningful as "absent". A Kind holds no state and may
// be used concurrently.
type Kind[T any] struct {
	// Prefix starts the storage key of every record of the kind. A kind with a
	// single record uses it as the whole key, with the id "".
	Prefix string
	// Sealed asks Vault to wrap the entries with the seal as well.
	Sealed bool
	// Version is the version of T's schema that is written. It grows when an
	// older program would misread the new form.
	Version int
}

type envelope struct {
	Version int             `json:"version"`
	Record  json.RawMessage `json:"record"`
}

// Get returns the record, or nil if there is none.
func (k Kind[T]) Get(ctx context.Context, s logical.Storage, id string) (*T, error) {
	entry, err := s.Get(ctx, k.Prefix+id)
	if err != nil {
		return nil, fmt.Errorf("read %s from storage: %w", k.Prefix+id, err)
	}
	if entry == nil {
		return nil, nil
	}
	var stored envelope
	if err := json.Unmarshal(entry.Value, &stored); err != nil {
		return nil, fmt.Errorf("stored entry %s is unreadable: %w", k.Prefix+id, err)
	}
	if stored.Version < 1 || stored.Version > k.Version {
		return nil, fmt.Errorf("stored entry %s has schema version %d, this plugin reads up to %d: run the plugin version that wrote it, or a newer one",
			k.Prefix+id, stored.Version, k.Version)
	}
	value := new(T)
	if err := json.Unmarshal(stored.Record, value); err != nil {
		return nil, fmt.Errorf("stored entry %s is unreadable: %w", k.Prefix+id, err)
	}
	return value, nil
}

// Put stores the record.
func (k Kind[T]) Put(ctx context.Context, s logical.Storage, id string, value *T) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", k.Prefix+id, err)
	}
	stored, err := json.Marshal(envelope{Version: k.Version, Record: encoded})
	if err != nil {
		return fmt.Errorf("encode %s: %w", k.Prefix+id, err)
	}
	if err := s.Put(ctx, &logical.StorageEntry{Key: k.Prefix + id, Value: stored, SealWrap: k.Sealed}); err != nil {
		return writeError("write "+k.Prefix+id+" to storage", err)
	}
	return nil
}

// writeError adds what failed, except to the error that Vault recognises by its
// text and answers by forwarding the request to a node that may write.
func writeError(what string, err error) error {
	if errors.Is(err, logical.ErrReadOnly) || err.Error() == logical.ErrReadOnly.Error() {
		return logical.ErrReadOnly
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Delete removes the record; an absent one is success.
func (k Kind[T]) Delete(ctx context.Context, s logical.Storage, id string) error {
	if err := s.Delete(ctx, k.Prefix+id); err != nil {
		return writeError("delete "+k.Prefix+id+" from storage", err)
	}
	return nil
}

// List returns what lies directly below the id prefix under, sorted by the
// storage. Ids that go deeper show up once, as a folder with a trailing slash.
func (k Kind[T]) List(ctx context.Context, s logical.Storage, under string) ([]string, error) {
	keys, err := s.List(ctx, k.Prefix+under)
	if err != nil {
		return nil, fmt.Errorf("list %s in storage: %w", k.Prefix+under, err)
	}
	return keys, nil
}

// SealWrapPath returns the storage path to wrap with the seal, "" if none.
func (k Kind[T]) SealWrapPath() string {
	if !k.Sealed {
		return ""
	}
	return k.Prefix
}
