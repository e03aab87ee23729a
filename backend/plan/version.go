// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// ID is the remote version id for services where the caller chooses it: "v3",
// and "v3-2" for version 3 of the second incarnation, so that no id ever comes
// back with another value.
func (v VersionNumber) ID() string {
	id := "v" + strconv.FormatUint(v.Number, 10)
	if v.incarnation() > 1 {
		id += "-" + strconv.Itoa(v.Incarnation)
	}
	return id
}

func (v VersionNumber) incarnation() int { return max(v.Incarnation, 1) }

// Same tells whether both are one version of one incarnation.
func (v VersionNumber) Same(other VersionNumber) bool {
	return v.Number == other.Number && v.incarnation() == other.incarnation()
}

// String is the id.
func (v VersionNumber) String() string {
	if v.Number == 0 {
		return "none"
	}
	return v.ID()
}

// After tells whether v was given after other.
func (v VersionNumber) After(other VersionNumber) bool {
	if v.incarnation() != other.incarnation() {
		return v.Number > 0 && v.incarnation() > other.incarnation()
	}
	return v.Number > other.Number
}

// SameIncarnation tells whether both are of one incarnation.
func (v VersionNumber) SameIncarnation(other VersionNumber) bool {
	return v.incarnation() == other.incarnation()
}

// Max is the one that was given later.
func (v VersionNumber) Max(other VersionNumber) VersionNumber {
	if v.Number == 0 || other.After(v) {
		return other
	}
	return v
}

var versionID = regexp.MustCompile(`^v([1-9][0-9]{0,18})(?:-([1-9][0-9]{0,8}))?(r[1-9][0-9]{0,8})?$`)

// ParseVersionID reads an id that ID made, or a further one of the same version
// ("v3r2"); the zero VersionNumber for others.
func ParseVersionID(id string) VersionNumber {
	parts := versionID.FindStringSubmatch(id)
	if parts == nil {
		return VersionNumber{}
	}
	number, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return VersionNumber{}
	}
	v := VersionNumber{Number: number, Incarnation: 1}
	if parts[2] != "" {
		v.Incarnation, _ = strconv.Atoi(parts[2])
	}
	if v.ID()+parts[3] != id {
		return VersionNumber{}
	}
	return v
}

// Service is what has to be known of a service to read its lists of versions.
type Service struct {
	// AssignsIDs is set where the service numbers versions itself, so that an id
	// says nothing of the Vault version.
	AssignsIDs bool
	// CurrentLabel is on the version that readers get; "" without such labels.
	CurrentLabel string
}

// Seen is the observed state of a remote that was just read. What is known of
// values is kept from before, the rest is as the service says.
func Seen(s provider.Secret, versions []provider.Version, before Observed, service Service) Observed {
	seen := Observed{
		Known: true, Looked: true,
		State: s.State, CloudManaged: s.CloudManaged,
		Description: s.Description, KMSKeyID: s.KMSKeyID, DeletionTime: s.DeletionTime,
		KeyAsked: before.KeyAsked, Tags: before.Tags, TagsInDoubt: before.TagsInDoubt, Unmarked: before.Unmarked,
		Scheduled: before.Scheduled && s.State == provider.StatePendingDeletion,
	}
	if s.CloudManaged {
		seen.Type = s.Type
	}
	// What a version holds can't be seen without reading the value, so it counts
	// as unknown unless nothing was in doubt, or versions never change.
	for _, v := range versions {
		kept := Version{ID: v.ID}
		old, found := before.version(v.ID)
		if found && (before.Known || service.CurrentLabel != "") {
			kept.Digest = old.Digest
		}
		switch kept.Version = ParseVersionID(v.ID); {
		case service.AssignsIDs:
			kept.Version = old.Version
		case old.Version.Number > 0: // of one that was adopted the id tells nothing
			kept.Version = VersionNumber{Number: old.Version.Number, Incarnation: old.Version.incarnation()}
		}
		seen.Versions = append(seen.Versions, kept)
		if service.CurrentLabel != "" && slices.Contains(v.Labels, service.CurrentLabel) {
			seen.Current = Current(kept)
		}
	}
	// As above: what a pointer holds can't be seen.
	if before.Known && service.CurrentLabel == "" {
		if _, still := seen.version(before.Current.ID); still {
			seen.Current = before.Current
		}
	}
	return seen
}

// Absent is the observed state of a remote that isn't there.
func Absent() Observed { return Observed{Known: true, Looked: true} }

// Done is the observed state after step was carried out on have. The id is the
// one that the service gave the version.
func Done(want Desired, have Observed, step Step, id string) Observed {
	next := have
	next.Versions = append([]Version(nil), have.Versions...)
	switch step.Action {
	case Create:
		next = Observed{
			Known: true, Looked: have.Looked, State: provider.StateEnabled,
			Description: step.Description, KeyAsked: want.KMSKeyID, Tags: want.Tags,
		}
		next.hold(want, step, id)
	case PutVersion, Overwrite:
		next.hold(want, step, id)
	case DeleteVersion:
		next.drop(step.VersionID)
		if next.Current.ID == step.VersionID {
			next.Current = Current{}
		}
	case MoveCurrent:
		kept, _ := have.version(step.VersionID)
		next.Current = Current(kept)
	case ChangeTags:
		next.Tags, next.TagsInDoubt = want.Tags, nil
	case ChangeKey:
		next.KeyAsked, next.KMSKeyID = step.KMSKeyID, ""
	case SetDescription:
		next.Description = step.Description
		next.Unmarked = have.Owner() == want.Owner && next.Owner().IsZero()
	case Enable:
		// Values can be read from here on, so a look would now tell more.
		next.State, next.Looked = provider.StateEnabled, false
	case Disable:
		next.State = provider.StateDisabled
	case Restore:
		next.State, next.DeletionTime, next.Scheduled, next.Looked = step.State, time.Time{}, false, false // as for Enable
	case Delete:
		switch {
		case step.After > 0:
			next.State, next.Scheduled = provider.StatePendingDeletion, true
		case have.State == provider.StatePendingDeletion:
			next.Known, next.Looked = false, false // not every service does that
		default:
			return Observed{Known: true, Looked: have.Looked}
		}
	}
	return next
}

// hold notes that the version id now holds the desired value.
func (o *Observed) hold(want Desired, step Step, id string) {
	if id == "" {
		id = step.VersionID
	}
	held := Version{ID: id, Digest: want.Digest}
	if id != want.PointerID {
		held.Version = step.Version
	}
	i := slices.IndexFunc(o.Versions, func(v Version) bool { return v.ID == id })
	if i >= 0 {
		o.Versions[i] = held
	} else {
		o.Versions = append(o.Versions, held)
	}
	// A version that was there keeps the labels that it had.
	if id == want.PointerID || want.PointerID == "" && i < 0 {
		o.Current = Current{ID: id, Version: step.Version, Digest: want.Digest}
	}
}

func (o *Observed) drop(id string) {
	o.Versions = slices.DeleteFunc(o.Versions, func(v Version) bool { return v.ID == id })
}

// Identified is the observed state once it is known that the version id holds a
// Vault version with that digest.
func (o Observed) Identified(id string, number VersionNumber, digest string) Observed {
	o.Versions = slices.Clone(o.Versions)
	for i := range o.Versions {
		if o.Versions[i].ID == id {
			o.Versions[i].Version, o.Versions[i].Digest = number, digest
		}
	}
	if o.Current.ID == id {
		o.Current.Version, o.Current.Digest = number, digest
	}
	return o
}

// HasUnknown tells whether there are versions of which not even the value is known.
func (o Observed) HasUnknown() bool {
	return slices.ContainsFunc(o.Versions, func(v Version) bool { return v.Version.Number == 0 && v.Digest == "" })
}

// Doubtful is the observed state after step was attempted on have and nobody
// knows whether it took effect.
func Doubtful(want Desired, have Observed, step Step, can provider.Abilities) Observed {
	have.Known = false
	have.Scheduled = have.Scheduled || step.Action == Delete && step.After > 0
	switch {
	case step.Action == Create && !can.ChangesTags:
		// If it was made, then with these.
		have.KeyAsked, have.Tags = want.KMSKeyID, want.Tags
	case step.Action == Create:
		have.KeyAsked, have.TagsInDoubt = want.KMSKeyID, slices.Sorted(maps.Keys(want.Tags))
	case step.Action == ChangeTags:
		keys := slices.Concat(have.TagsInDoubt, slices.Collect(maps.Keys(step.SetTags)), step.RemoveTags)
		slices.Sort(keys)
		have.TagsInDoubt = slices.Compact(keys)
	case step.Action == SetDescription && have.Owner() == want.Owner && step.Description != want.Description:
		have.Unmarked = true
	}
	return have
}

// Trimmed forgets the oldest versions where the service drops them by itself, so
// that what is remembered doesn't grow with history.
func (o Observed) Trimmed(limits provider.Limits) Observed {
	if !limits.EvictsVersions || limits.Versions == 0 || len(o.Versions) <= limits.Versions {
		return o
	}
	surplus := len(o.Versions) - limits.Versions
	kept := make([]Version, 0, limits.Versions)
	for _, v := range o.Versions {
		if surplus > 0 && v.ID != o.Current.ID {
			surplus--
			continue
		}
		kept = append(kept, v)
	}
	o.Versions = kept
	return o
}

// LeftUnmarked tells whether a description without a mark is what it becomes when
// we take ours off: that was done, or attempted, or is what is wanted and its
// outcome may have been forgotten.
func (o Observed) LeftUnmarked(want Desired, description string) bool {
	if !o.Unmarked && want.Presence != Released {
		return false
	}
	text, mark := owner.Split(o.Description)
	return description == text && (mark == want.Owner || o.Unmarked && mark.IsZero())
}

// Newest is the newest Vault version that the remote is known to hold.
func (o Observed) Newest() VersionNumber {
	newest := o.Current.Version
	for _, v := range o.Versions {
		newest = newest.Max(v.Version)
	}
	return newest
}

// Beyond is the id of a version that was given after newest, "" if there is none.
func (o Observed) Beyond(newest VersionNumber) string {
	for _, v := range o.Versions {
		if v.Version.After(newest) {
			return v.ID
		}
	}
	return ""
}

// ReadersGet is the id of the version that readers get: the one with the label, the
// pointer, or else the newest; "" if there is none.
func (o Observed) ReadersGet(pointer string) string {
	if o.Current.ID != "" {
		return o.Current.ID
	}
	if _, there := o.version(pointer); there {
		return pointer
	}
	if len(o.Versions) == 0 {
		return ""
	}
	return o.Versions[len(o.Versions)-1].ID
}

// Find returns the version with an id.
func (o Observed) Find(id string) (Version, bool) { return o.version(id) }

// Holds tells whether a version is known to hold the value with that digest.
func (o Observed) Holds(digest string) bool {
	return slices.ContainsFunc(o.Versions, func(v Version) bool { return v.Digest == digest })
}

// HoldsAll tells whether every version was observed before.
func (o Observed) HoldsAll(versions []Version) bool {
	return !slices.ContainsFunc(versions, func(v Version) bool {
		_, known := o.version(v.ID)
		return !known
	})
}

// NewestIncarnation is the highest incarnation that an id among them tells of; 0
// if none has the form of ours.
func NewestIncarnation(versions []provider.Version) int {
	newest := 0
	for _, v := range versions {
		if number := ParseVersionID(v.ID); number.Number > 0 {
			newest = max(newest, number.incarnation())
		}
	}
	return newest
}

// CurrentAlone tells whether the current version is under no id beside the one
// that readers use.
func (o Observed) CurrentAlone() bool {
	return !slices.ContainsFunc(o.Versions, func(v Version) bool { return v.ID != o.Current.ID && v.Version.Same(o.Current.Version) })
}
