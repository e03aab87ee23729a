// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package plan decides which remote calls make a replica what it should be.
//
// [Make] is a pure function of the desired state, the observed state and what
// the cloud can do. It performs nothing, and it is the only place that decides
// whether something at a cloud may be touched. Each step of a plan is one remote
// call, and a plan may be broken off after any step and made anew from there.
//
//	desired   observed                    plan
//	any       not known                   look first
//	live      absent                      create with the value, then the pointer
//	live      ours, holds the value       nothing, whatever version it came with
//	live      ours, holds another value   make room, add the version, then the pointer
//	live      ours, had the value before  move the pointer or the label
//	live      ours, other tags or key     change them, where the service can
//	live      ours, disabled              as above, then enable
//	live      ours, being deleted         restore, as above, enable
//	live      ours, ahead of Vault        refuse: conflict
//	live      not ours, or cloud-managed  refuse: ownership, and say whose
//	live      being made, failed          refuse: conflict
//	withdrawn absent, disabled, deleted   nothing
//	withdrawn ours, enabled               disable, or schedule the deletion where that isn't possible
//	deleted   absent                      nothing
//	deleted   ours                        look, disable where needed, delete by the policy
//	deleted   ours, being deleted         nothing, or delete at once if asked: restored before, where the service insists
//	deleted   not ours                    nothing: forget it
//	released  ours                        take the mark off
//	released  ours, being deleted by us   restore, then take the mark off
//	released  absent, not ours            nothing
//
// Order within a plan: the history comes before the pointer, so that a reader
// of the pointer never sees a version that isn't there, and reading is enabled
// last.
package plan

import (
	"slices"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Presence is whether and how a replica should be at its destination.
type Presence string

// The presences.
const (
	Live      Presence = "live"      // readable, with the value
	Withdrawn Presence = "withdrawn" // kept, but not readable: the secret has no live version
	Deleted   Presence = "deleted"   // gone, by DeleteAfter
	Released  Presence = "released"  // left as it is, without our mark
)

// VersionNumber is a Vault version. A secret that is deleted and made anew
// starts again at version 1, in the next incarnation.
type VersionNumber struct {
	Number      uint64 `json:"number"`
	Incarnation int    `json:"incarnation,omitempty"` // 0 and 1 are the first
}

// Desired is what a replica should be.
type Desired struct {
	Presence Presence
	Owner    owner.Mark

	Version VersionNumber // what readers should get
	Digest  string        // keyed hash of its value, "" only unless Live
	// Newest is the highest version number that Vault ever gave in this
	// incarnation. A remote that holds a higher one is ahead.
	Newest uint64
	// Destroyed are the version numbers of this incarnation that no longer
	// exist in Vault because somebody destroyed them.
	Destroyed map[uint64]bool

	Description string // with the mark
	KMSKeyID    string
	Tags        map[string]string

	// PointerID is the version id that always holds the current value; "" where
	// the service has labels for that.
	PointerID string
	// History keeps each version under an id of its own too.
	History bool

	// DeleteAfter is the recovery window when Deleted, or when Withdrawn at a
	// service that can't disable. 0 deletes at once.
	DeleteAfter time.Duration
	// RestoreFirst is set when the service didn't delete at once what it was about to
	// delete anyway.
	RestoreFirst bool
}

// Observed is what a replica is, as last seen or made. It is stored with the
// secret's record.
type Observed struct {
	// Known is false when something was attempted whose outcome isn't known.
	// A replica that was never attempted counts as known to be absent: creating
	// it is safe, since a creation never changes what is there.
	Known bool `json:"known,omitempty"`
	// Looked is set when the remote was read in the present convergence.
	Looked bool `json:"-"`

	State        provider.State `json:"state,omitempty"` // "" when absent
	Type         string         `json:"type,omitempty"`  // the service's word for the type, if it isn't the plain one
	CloudManaged bool           `json:"cloud_managed,omitempty"`
	Description  string         `json:"description,omitempty"`
	KMSKeyID     string         `json:"kms_key_id,omitempty"` // as the service names it; "" before it was read
	DeletionTime time.Time      `json:"deletion_time,omitzero"`
	// Scheduled is set while the remote is being deleted because we asked for it.
	Scheduled bool `json:"scheduled,omitempty"`

	// KeyAsked is the key that was asked for last, which the service may name in
	// another way; Tags are those that we gave the secret.
	KeyAsked string            `json:"key_asked,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`

	// TagsInDoubt are keys of tags that we may have set or removed besides Tags.
	TagsInDoubt []string `json:"tags_in_doubt,omitempty"`
	// Unmarked is set when it was us who took our mark off.
	Unmarked bool `json:"unmarked,omitempty"`

	// Versions are the ids that the remote holds, oldest first.
	Versions []Version `json:"versions,omitempty"`
	// Current is what readers get without naming a version.
	Current Current `json:"current,omitzero"`
}

// Version is one version id at the remote.
type Version struct {
	ID string `json:"id"`
	// Version is the Vault version that it is; zero for a pointer, and for ids
	// that aren't ours.
	Version VersionNumber `json:"version,omitzero"`
	// Digest is the keyed hash of its value; "" when it was seen, not made.
	Digest string `json:"digest,omitempty"`
}

// Current is the value that readers get.
type Current struct {
	ID      string        `json:"id,omitempty"`
	Version VersionNumber `json:"version,omitzero"`
	Digest  string        `json:"digest,omitempty"` // "" when unknown
}

// Exists tells whether there is a secret at all.
func (o Observed) Exists() bool { return o.State != "" }

// Owner returns the mark on the remote.
func (o Observed) Owner() owner.Mark {
	_, mark := owner.Split(o.Description)
	return mark
}

// NeverMade tells whether the remote secret surely wasn't made for mark: nothing
// was attempted, or it was seen to be absent or somebody else's.
func (o Observed) NeverMade(mark owner.Mark) bool {
	return o.Known && (!o.Exists() || o.Owner() != mark)
}

func (o Observed) version(id string) (Version, bool) {
	i := slices.IndexFunc(o.Versions, func(v Version) bool { return v.ID == id })
	if i < 0 {
		return Version{}, false
	}
	return o.Versions[i], true
}

// holding returns the version id that holds a Vault version, the one with the
// digest if several do.
func (o Observed) holding(number VersionNumber, digest string) (found Version, ok bool) {
	for _, v := range o.Versions {
		if v.Version.Same(number) && (!ok || v.Digest == digest) {
			found, ok = v, true
		}
	}
	return found, ok
}

// freeID is an id for the version that the remote doesn't have. A version whose
// format changed needs another one where versions can't be overwritten.
func (o Observed) freeID(number VersionNumber) string {
	id := number.ID()
	for revision := 2; ; revision++ {
		if _, taken := o.version(id); !taken {
			return id
		}
		id = number.ID() + "r" + strconv.Itoa(revision)
	}
}

// Action is a kind of remote call.
type Action string

// The actions.
const (
	Create         Action = "create"
	PutVersion     Action = "put_version"
	Overwrite      Action = "overwrite_version"
	DeleteVersion  Action = "delete_version"
	SetDescription Action = "set_description"
	Enable         Action = "enable"
	Disable        Action = "disable"
	Restore        Action = "restore"
	Delete         Action = "delete"
	MoveCurrent    Action = "move_current"
	ChangeTags     Action = "change_tags"
	ChangeKey      Action = "change_key"
)

// Step is one remote call.
type Step struct {
	Action Action
	// VersionID is the version that Create, PutVersion, Overwrite and
	// DeleteVersion are about.
	VersionID string
	// Version is the Vault version whose value the step sends.
	Version VersionNumber
	// Description is the new one of SetDescription.
	Description string
	// State is what the service restores to: disabled where it has a switch,
	// enabled elsewhere.
	State provider.State
	// After is the recovery window of Delete.
	After time.Duration
	// SetTags and RemoveTags are what ChangeTags changes, RemoveTags by key.
	SetTags    map[string]string
	RemoveTags []string
	// KMSKeyID is the new one of ChangeKey.
	KMSKeyID string
}

// SendsValue tells whether the step sends the desired value.
func (s Step) SendsValue() bool {
	return s.Action == Create || s.Action == PutVersion || s.Action == Overwrite
}

// Plan is what to do next. At most one of its fields is set; all empty means
// that nothing is to be done.
type Plan struct {
	// Look asks for the remote to be read before anything is decided.
	Look bool
	// Steps are carried out in order.
	Steps []Step
	// Refusal says why the remote may not be touched.
	Refusal *provider.Error
	// Ahead is set with a Refusal because the remote holds what Vault doesn't know.
	Ahead bool
}

// Make decides. See the package comment for the cases.
func Make(want Desired, have Observed, can provider.Abilities, limits provider.Limits) Plan {
	if !have.Known {
		return Plan{Look: true}
	}
	switch want.Presence {
	case Live:
		return live(want, have, can, limits)
	case Withdrawn:
		return withdrawn(want, have, can)
	case Deleted:
		return deleted(want, have, can)
	case Released:
		return released(want, have, can)
	default:
		return Plan{Refusal: &provider.Error{Class: provider.ClassInternal, Message: "no plan for the presence " + string(want.Presence)}}
	}
}

func withdrawn(want Desired, have Observed, can provider.Abilities) Plan {
	if !have.Exists() || have.State == provider.StatePendingDeletion {
		return Plan{}
	}
	if refusal := mayTouch(want, have); refusal != nil {
		return Plan{Refusal: refusal}
	}
	switch {
	case !can.Switches:
		return Plan{Steps: []Step{{Action: Delete, After: want.DeleteAfter}}}
	case have.State == provider.StateEnabled:
		return Plan{Steps: append([]Step{{Action: Disable}}, destroySteps(want, have, can)...)}
	default:
		return Plan{Steps: destroySteps(want, have, can)}
	}
}

// destroySteps remove the versions that were destroyed in Vault, and the pointer
// if it holds one of them.
func destroySteps(want Desired, have Observed, can provider.Abilities) []Step {
	if !can.DeletesVersions {
		return nil
	}
	isDestroyed := func(number VersionNumber) bool {
		return number.Number > 0 && number.incarnation() == want.Version.incarnation() && want.Destroyed[number.Number]
	}
	var steps []Step
	for _, v := range have.Versions {
		gone := isDestroyed(v.Version)
		if want.Presence == Withdrawn && v.ID == want.PointerID {
			// While nobody reads it, a pointer may hold a destroyed value, unless
			// it is known to hold another.
			gone = len(want.Destroyed) > 0 && (have.Current.ID != v.ID || isDestroyed(have.Current.Version))
		}
		if gone {
			steps = append(steps, Step{Action: DeleteVersion, VersionID: v.ID})
		}
	}
	return steps
}

func deleted(want Desired, have Observed, can provider.Abilities) Plan {
	if !have.Exists() {
		return Plan{}
	}
	// What can't be undone is never decided on memory alone.
	if !have.Looked {
		return Plan{Look: true}
	}
	if have.Owner() != want.Owner || have.CloudManaged {
		return Plan{}
	}
	if have.State == provider.StatePendingDeletion {
		return deletedAtOnce(want, can)
	}
	var steps []Step
	if can.Switches && have.State == provider.StateEnabled {
		steps = append(steps, Step{Action: Disable})
	}
	return Plan{Steps: append(steps, Step{Action: Delete, After: want.DeleteAfter})}
}

// deletedAtOnce ends the wait of what is being deleted, if that is asked for.
func deletedAtOnce(want Desired, can provider.Abilities) Plan {
	switch {
	case want.DeleteAfter > 0:
		return Plan{}
	case !want.RestoreFirst:
		return Plan{Steps: []Step{{Action: Delete}}}
	case !can.Restores:
		return Plan{} // it is gone when its time comes
	default:
		return Plan{Steps: []Step{{Action: Restore, State: restored(can)}, {Action: Delete}}}
	}
}

// restored is the state that a restored secret has.
func restored(can provider.Abilities) provider.State {
	if can.Switches {
		return provider.StateDisabled
	}
	return provider.StateEnabled
}

func released(want Desired, have Observed, can provider.Abilities) Plan {
	pending := have.State == provider.StatePendingDeletion
	if !have.Exists() || pending && (!have.Scheduled || !can.Restores) {
		return Plan{} // others want it gone
	}
	if !have.Looked {
		return Plan{Look: true}
	}
	if have.Owner() != want.Owner {
		return Plan{}
	}
	text, _ := owner.Split(have.Description)
	unmarked := Step{Action: SetDescription, Description: text}
	if pending {
		// What is given up stays.
		return Plan{Steps: []Step{{Action: Restore, State: restored(can)}, unmarked}}
	}
	return Plan{Steps: []Step{unmarked}}
}
