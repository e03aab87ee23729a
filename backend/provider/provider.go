// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package provider is the contract between the replication engine and the
// secret managers of the clouds.
//
// A provider translates and nothing else: one method is one remote call (where
// a comment says so, a second one that makes it repeatable), and it keeps no
// state between calls. Names, limits, ownership, order, retries, rate limits
// and the decision what to call belong to the engine, once for all clouds.
// Nothing of Vault appears here.
//
// To add a cloud, add one folder with a [Kind] and one line in the list of
// kinds that the backend is built with.
package provider

import (
	"context"
	"time"
)

// Destination is one account and region of one cloud service.
//
// Methods may run concurrently. Every error is an [*Error] with a class, except
// that a done ctx comes back as an error for which errors.Is(err, ctx.Err())
// holds. A method returns soon after ctx is done. Names and version ids are
// legal by the kind's [Limits] before they get here.
type Destination interface {
	Reader
	Writer
}

// Reader looks, and changes nothing.
type Reader interface {
	// Describe returns the metadata of a secret, never its value.
	// An absent secret is class NotFound.
	Describe(ctx context.Context, name string) (Secret, error)

	// Versions returns the versions that the service holds, oldest first.
	// An absent secret is class NotFound; one without versions gives none.
	Versions(ctx context.Context, name string) ([]Version, error)

	// Read returns the value of one version. An absent secret or version is
	// class NotFound. What can't be read in the secret's present state is
	// class Conflict.
	Read(ctx context.Context, name, versionID string) (Value, error)
}

// Writer changes one secret.
//
// Each method may be repeated after any failure, also when the first call took
// effect and only its answer was lost; what each then does is said below. An
// error with Ambiguous set means that the call may have taken effect.
type Writer interface {
	// Create makes a secret with its first version and returns the id of that
	// version: the one asked for, or the service's own where it assigns them.
	// A name that is taken, in whatever state and by whomever, is class Exists;
	// the caller then describes it and decides. Create never changes a secret
	// that is there already.
	Create(ctx context.Context, name string, s NewSecret) (Created, error)

	// PutVersion adds an immutable version and returns its id. Where callers
	// choose ids, putting the same value under the same id again succeeds and
	// changes nothing, and another value under a taken id is class Conflict.
	// Where the service assigns ids, versionID is ignored and every call makes a
	// version, so after an Ambiguous error the caller looks before it repeats.
	// Where the service has a label for the current version, the new one gets it.
	PutVersion(ctx context.Context, name, versionID string, v Value) (string, error)

	// SetDescription replaces the description.
	SetDescription(ctx context.Context, name, description string) error

	// Delete removes the secret with all its versions: after window, or at once
	// when window is 0. An absent secret, and one whose deletion is already
	// scheduled, is success.
	Delete(ctx context.Context, name string, window time.Duration) error
}

// The interfaces below are what only some services can do. The engine asks for
// them in one place, [AbilitiesOf] and the function beside each.

// Overwriter replaces the value of an existing version in place. A service has
// it that knows no label for the current version: the value that readers should
// get then lives under one fixed id.
type Overwriter interface {
	// Overwrite sets the value under versionID. An absent version is class
	// NotFound. Repeating it changes nothing.
	Overwrite(ctx context.Context, name, versionID string, v Value) error
}

// VersionDeleter removes single versions.
type VersionDeleter interface {
	// DeleteVersion removes one version for good. An absent one is success.
	DeleteVersion(ctx context.Context, name, versionID string) error
}

// Switcher turns reading on and off. A service that has it refuses to delete an
// enabled secret, and restores a deleted one as disabled.
type Switcher interface {
	// Enable lets the secret be read. An enabled one is success.
	Enable(ctx context.Context, name string) error
	// Disable stops reading. A disabled one is success.
	Disable(ctx context.Context, name string) error
}

// Restorer cancels a scheduled deletion.
type Restorer interface {
	// Restore cancels the deletion. A secret that isn't scheduled for deletion
	// is success.
	Restore(ctx context.Context, name string) error
}

// CurrentMover puts the service's label for the current version on another
// version that it holds.
type CurrentMover interface {
	// MoveCurrent makes readers who name no version get versionID. If they get
	// it already, that is success. An absent version is class NotFound.
	MoveCurrent(ctx context.Context, name, versionID string) error
}

// Tagger changes the tags of a secret that is there.
type Tagger interface {
	// ChangeTags gives the secret the tags in set and takes away those with a
	// key in remove; other tags stay. It may take several calls, and repeating
	// it after any of them gives the same result.
	ChangeTags(ctx context.Context, name string, set map[string]string, remove []string) error
}

// TagReader reads tags.
type TagReader interface {
	// DescribeTagged is Describe with the secret's tags, also those of others, in
	// as few calls as the service needs for both.
	DescribeTagged(ctx context.Context, name string) (Secret, map[string]string, error)
}

// KeyChanger changes the KMS key of a secret that is there.
type KeyChanger interface {
	// ChangeKey makes later versions be encrypted under the key. Versions that
	// are there may keep theirs.
	ChangeKey(ctx context.Context, name, kmsKeyID string) error
}

// KeyChecker finds out about a KMS key before a secret is put under it.
type KeyChecker interface {
	// CheckKey makes a harmless call about the key. It returns nil if the key is
	// there and of a kind and in a state that secrets can be encrypted with, class
	// KMS if it isn't, and another class if the service doesn't tell. Whether the
	// credentials may use the key shows only when they do.
	CheckKey(ctx context.Context, kmsKeyID string) error
}

// Checker says what stands in the way of working with a destination.
type Checker interface {
	// Check makes harmless calls and reports on each. It returns an error only
	// when ctx is done; what the service refuses is a finding.
	Check(ctx context.Context) ([]Finding, error)
}

// Lister takes inventory.
type Lister interface {
	// List returns one page of secrets of every type and the token of the next
	// page, "" after the last. The first page has token "".
	List(ctx context.Context, pageToken string) (page []Secret, next string, err error)
}

// State is where a secret is in its life at the service.
type State string

// The states of a secret.
const (
	StateEnabled         State = "enabled"
	StateDisabled        State = "disabled"         // there, but can't be read
	StatePendingDeletion State = "pending_deletion" // can be restored until Secret.DeletionTime
	StateOther           State = "other"            // being made, failed, frozen: nothing to write to
)

// Secret is a secret's metadata as the service tells it.
type Secret struct {
	Name        string
	State       State
	Description string // with the ownership mark, if there is one
	KMSKeyID    string // as the service names the key; it may differ from what was asked for

	// CloudManaged is set when the service itself makes and rotates the value
	// (database accounts and the like). Such a secret is never written.
	CloudManaged bool
	// Type is the service's own word for the type, for messages.
	Type string
	// Brief is set in a listing whose rows have neither description nor key.
	Brief bool

	CreatedTime  time.Time
	DeletionTime time.Time // when a scheduled deletion falls due; zero if none is
}

// Version is one version of a secret at the service.
type Version struct {
	ID          string
	CreatedTime time.Time
	Labels      []string // stage labels, where the service has them
}

// NewSecret is what a secret is created with.
type NewSecret struct {
	VersionID   string // of the first version; ignored where the service assigns ids
	Value       Value
	Description string
	Tags        map[string]string
	KMSKeyID    string // "" for the service's default key
}

// Created is the answer to a creation.
type Created struct {
	VersionID string
	// KMSKeyID is the key as the service names it; "" where its answer doesn't.
	KMSKeyID string
	// TagsError is set when the secret was made but its tags were not; it is
	// an *Error.
	TagsError error
}

// Finding is one result of a [Checker].
type Finding struct {
	Check   string // what was checked, e.g. "credentials"
	OK      bool
	Message string // what was found, in plain words
	Action  string // what to do about it; "" if there is nothing to do
	Err     *Error // what the service answered, if it refused
}
