// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Ability is something that only some services can do.
type Ability struct {
	Name    string
	Meaning string // in plain words, beginning with a verb

	has func(provider.Destination) bool
}

// abilities are the optional interfaces of the contract, each with what it lets
// the engine do.
var abilities = []Ability{
	{"overwrite_version", "replace the value of a version in place, so that the current one has a fixed id", able[provider.Overwriter]},
	{"delete_version", "delete a single version", able[provider.VersionDeleter]},
	{"disable", "switch reading off and on again", able[provider.Switcher]},
	{"restore", "cancel a scheduled deletion", able[provider.Restorer]},
	{"move_current", "make readers get an older version again", able[provider.CurrentMover]},
	{"change_tags", "change the tags of a secret that is there", able[provider.Tagger]},
	{"read_tags", "tell which tags a secret has", able[provider.TagReader]},
	{"change_key", "change the KMS key of a secret that is there", able[provider.KeyChanger]},
	{"check_key", "tell about a KMS key before a secret is put under it", able[provider.KeyChecker]},
	{"check", "tell what stands in the way of working with a destination", able[provider.Checker]},
	{"list", "list the secrets that are there", able[provider.Lister]},
}

func able[T any](d provider.Destination) bool {
	_, can := d.(T)
	return can
}

// AbilitiesOf returns what destinations of a kind can do beyond the contract.
func AbilitiesOf(kind provider.Kind) []Ability {
	var has []Ability
	for _, ability := range abilities {
		if ability.has(kind.Prototype) {
			has = append(has, ability)
		}
	}
	return has
}

// QuotasOf returns the documented rates of the calls of a kind, as they are at the
// cloud's public endpoint.
func QuotasOf(kind provider.Kind) []provider.Quota {
	if kind.Quotas == nil {
		return nil
	}
	return kind.Quotas(provider.Config{})
}

// Defaults are what holds where nobody says otherwise.
type Defaults struct {
	Wait           time.Duration // of a write for its replicas
	AuthMethod     string
	DeletionPolicy DeletionPolicy
	Granularity    payload.Granularity

	// A replica that failed for now is tried again after a random time below a
	// bound, which grows from FirstRetry to LongestRetry.
	FirstRetry, LongestRetry time.Duration
	// BlockedRetry is about how long a replica rests that needs a person and may
	// get on without telling us.
	BlockedRetry time.Duration
	// RefusalRest is how long refused credentials aren't tried again.
	RefusalRest time.Duration
	// VerificationsPerHour is how many replicas of a destination are compared with
	// the cloud per hour in the background.
	VerificationsPerHour int
	// LongestProbe is the longest time between two tries of a destination that is
	// away.
	LongestProbe time.Duration
}

// DefaultsInForce returns the defaults that the engine works with.
func DefaultsInForce() Defaults {
	return Defaults{
		Wait: defaultWait, AuthMethod: AuthAccessKey, DeletionPolicy: DeleteScheduled, Granularity: payload.PerSecret,
		FirstRetry: firstRetry, LongestRetry: longestRetry, BlockedRetry: blockedRetry,
		RefusalRest: refusalTime, LongestProbe: longestProbe,
		VerificationsPerHour: defaultVerificationsPerHour,
	}
}

// LongestName is how many bytes the name of a secret can have.
const LongestName = maxNameBytes
