// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/record"
)

// managed are the records of managed credentials, by the id of the name. Their
// values are only at the clouds.
var managed = record.Kind[ManagedCredential]{Prefix: "managed/", Version: 1}

// ManagedCredential is a credential that a cloud makes and rotates. What people
// want is stored first, then the cloud is made to follow, and what was done there
// is in Progress. No value is part of it.
type ManagedCredential struct {
	Name        string            `json:"name"`
	Destination string            `json:"destination"`
	Product     string            `json:"product"`
	InstanceID  string            `json:"instance_id,omitempty"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	KMSKeyID    string            `json:"kms_key_id,omitempty"`
	RemoteName  string            `json:"remote_name,omitempty"` // that the cloud is asked for
	// NamedBy is the remote name as people gave it, "" if it follows from Name.
	NamedBy string `json:"named_by,omitempty"`

	Description  string            `json:"description,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
	Rotation     Schedule          `json:"rotation,omitzero"`
	ReplicateTo  string            `json:"replicate_to,omitempty"`
	PollInterval time.Duration     `json:"poll_interval,omitempty"`
	CacheTTL     time.Duration     `json:"cache_ttl,omitempty"`

	// Rotate is the last rotation that was asked for.
	Rotate *RotationOrder `json:"rotate,omitempty"`
	// Removal is set when it is to go.
	Removal *CredentialRemoval `json:"removal,omitempty"`

	Progress CredentialProgress `json:"progress,omitzero"`
}

// Schedule is when the cloud rotates a credential by itself.
type Schedule struct {
	Enabled  bool          `json:"enabled,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
	Begin    time.Time     `json:"begin,omitzero"`
}

func (s Schedule) equal(other Schedule) bool {
	return s.Enabled == other.Enabled && s.Interval == other.Interval && s.Begin.Equal(other.Begin)
}

// RotationOrder is a rotation that somebody asked for. The token names it.
type RotationOrder struct {
	Token string    `json:"token"`
	Time  time.Time `json:"time"`
}

// CredentialRemoval says how a credential goes.
type CredentialRemoval struct {
	Policy     DeletionPolicy `json:"policy"`
	WindowDays int            `json:"window_days,omitempty"`
	Accounts   bool           `json:"accounts,omitempty"`
}

// CredentialProgress is how far a credential has come. Only its worker changes
// it.
type CredentialProgress struct {
	State State `json:"state,omitempty"`
	// RemoteName is the name that the cloud has made up, where it does.
	RemoteName string `json:"remote_name,omitempty"`
	// Made is set once the cloud has made it.
	Made bool `json:"made,omitempty"`
	// Task is the cloud's work of making or removing it that is waited for.
	Task string `json:"task,omitempty"`
	// Outdated is set when what the cloud is asked for was changed while a creation
	// may have been sent already.
	Outdated bool `json:"outdated,omitempty"`
	// NotMade is why the cloud couldn't make it.
	NotMade *Failure `json:"not_made,omitempty"`
	// Dropping is set when its deletion was accepted and Task is waited for.
	Dropping bool `json:"dropping,omitempty"`

	// Held is set while its deletion waits for a person to let it go.
	Held *Held `json:"held,omitempty"`

	// What was last given to the cloud.
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Rotation    Schedule          `json:"rotation,omitzero"`

	// Rotating is the rotation under way that somebody asked for, Rotated the token of
	// the last one that came to an end, and NotRotated why that or one by schedule
	// failed.
	Rotating     *RotationProgress `json:"rotating,omitempty"`
	Rotated      string            `json:"rotated,omitempty"`
	NotRotated   *Failure          `json:"not_rotated,omitempty"`
	LastRotation time.Time         `json:"last_rotation,omitzero"`
	NextRotation time.Time         `json:"next_rotation,omitzero"`

	// Passed tells which value the secret has that the credential is passed on to.
	Passed *Passed `json:"passed,omitempty"`

	Failure     *Failure  `json:"failure,omitempty"`
	TagsFailure *Failure  `json:"tags_failure,omitempty"`
	CreatedTime time.Time `json:"created_time,omitzero"`
	RequestIDs  []string  `json:"request_ids,omitempty"`
}

// RotationProgress is a rotation under way.
type RotationProgress struct {
	Token string `json:"token"`
	// Before identifies the versions that there were, so that a rotation whose
	// answer was lost can be told from one that never began.
	Before string    `json:"before"`
	Begun  time.Time `json:"begun"`
	// Accepted is set when the cloud has answered; Task is its work then, if it
	// has a name.
	Accepted bool   `json:"accepted,omitempty"`
	Task     string `json:"task,omitempty"`
}

// Passed is what was passed on to a secret of this mount.
type Passed struct {
	Secret  string    `json:"secret"`
	Digest  string    `json:"digest,omitempty"` // keyed
	Version uint64    `json:"version,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}

// The states that only credentials have, beside those of replicas.
const (
	StateCreating       State = "creating"
	StateReady          State = "ready"
	StateRotating       State = "rotating"
	StateRotationFailed State = "rotation_failed" // the value from before still works
)

// CredentialStates are all states of managed credentials.
func CredentialStates() []State {
	return []State{
		StateCreating, StateReady, StateRotating, StateRotationFailed,
		StatePending, StateRetrying, StateBlocked, StateDeleting, StateDisabled, StatePaused, StateHeld,
	}
}

// reservedSegments can't be in names of credentials: they are paths below them.
var reservedSegments = []string{"credentials", "rotate", "rotation", "history"}

// CheckCredentialName refuses names that no managed credential can have.
func CheckCredentialName(name string) error {
	if err := CheckName(name); err != nil {
		return Refusef("%s", strings.ReplaceAll(err.Error(), "the secret's name", "the managed credential's name"))
	}
	for segment := range strings.SplitSeq(name, "/") {
		if slices.Contains(reservedSegments, segment) {
			return Refusef("the managed credential's name has the segment %q, which is reserved for a path below it", segment)
		}
	}
	return nil
}

// credentialOwner is how credentials are marked; no secret is marked so that can
// be written.
func (e *Engine) credentialOwner(name string) owner.Mark {
	return owner.For(e.mount.ID, managedMark+name)
}

// managedMark is before the name of a managed credential in its mark.
const managedMark = "managed:"

// remote is the name of the credential at the cloud, "" if it isn't known yet.
func (c *ManagedCredential) remote(product provider.CredentialProduct) string {
	if product.AssignsName {
		return c.Progress.RemoteName
	}
	return firstSet(c.Progress.RemoteName, c.RemoteName)
}

// rotates tells whether a rotation that was asked for hasn't come to its end.
func (c *ManagedCredential) rotates() bool {
	return c.Rotate != nil && c.Rotate.Token != c.Progress.Rotated
}

// settled tells whether nothing is left to do for the credential.
func (c *ManagedCredential) settled() bool {
	p := c.Progress
	return c.Removal == nil && p.Made && p.Failure == nil && p.Task == "" && !c.rotates() &&
		(c.ReplicateTo == "" || p.Passed != nil && p.Passed.Secret == c.ReplicateTo)
}

func (c *ManagedCredential) clone() *ManagedCredential {
	copied := *c
	copied.Parameters, copied.Tags, copied.Progress.Tags = maps.Clone(c.Parameters), maps.Clone(c.Tags), maps.Clone(c.Progress.Tags)
	return &copied
}
