// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"
)

// Service is one emulated cloud service: its wire protocol, and what tests see
// and do behind its back. All methods are safe for concurrent use.
type Service interface {
	http.Handler

	// Core gives access to what all services have.
	Core() *Core
	// Find returns a secret as it is stored, values included.
	Find(Ref) (Secret, bool)
	// List returns the secrets of an account in a region, ordered by name.
	List(account, region string) []Secret
	// Seed stores a secret as somebody else would have made it, in any type and
	// state, replacing one of that name. Limits aren't enforced.
	Seed(Secret) error
}

// Switched is a [Service] whose behaviour can be changed where the cloud's
// documentation leaves it open.
type Switched interface {
	// Switches returns the switches as JSON.
	Switches() json.RawMessage
	// SetSwitches replaces all of them; what the JSON leaves out gets its default.
	SetSwitches(json.RawMessage) error
}

// Ref names a secret. Account "" is [ExampleAccountID].
type Ref struct {
	Account string `json:"account,omitempty"`
	Region  string `json:"region"`
	Name    string `json:"name"`
}

// WithAccount returns the reference with the account that "" stands for.
func (r Ref) WithAccount() Ref {
	r.Account = cmp.Or(r.Account, ExampleAccountID)
	return r
}

// document is the key of the secret's file.
func (r Ref) document() string { return r.Account + "/" + r.Region + "/" + r.Name }

// Secret is a secret as a service stores it.
type Secret struct {
	Ref
	// Type is the service's word for the type; "" for a secret whose values
	// callers write.
	Type string `json:"type,omitempty"`
	// State is the service's word for the state; "" when seeding is the state
	// of a new secret.
	State       string            `json:"state,omitempty"`
	Description string            `json:"description,omitempty"`
	KMSKeyID    string            `json:"kms_key_id,omitempty"` // "" when seeding is the default key
	Instance    string            `json:"instance,omitempty"`   // KMS instance, where the cloud has them
	Tags        map[string]string `json:"tags,omitempty"`
	Versions    []Version         `json:"versions,omitempty"` // oldest first

	Created      time.Time `json:"created,omitzero"`       // zero when seeding is now
	DeletionTime time.Time `json:"deletion_time,omitzero"` // when a scheduled deletion falls due
}

// Version is one version of a secret with its value: Binary if it isn't nil,
// else Text.
type Version struct {
	ID      string    `json:"id"`
	Text    string    `json:"text,omitempty"`
	Binary  []byte    `json:"binary,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Labels  []string  `json:"labels,omitempty"` // stage labels, where the service has them
}

// Version returns the version with that id.
func (s Secret) Version(id string) (Version, bool) {
	for _, v := range s.Versions {
		if v.ID == id {
			return v, true
		}
	}
	return Version{}, false
}
