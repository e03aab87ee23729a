// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// DriftKind is a way in which somebody else changed a remote.
type DriftKind string

// The kinds of drift.
const (
	DriftValue             DriftKind = "value_changed"
	DriftVersionAdded      DriftKind = "version_added"
	DriftVersionRemoved    DriftKind = "version_removed"
	DriftLabel             DriftKind = "label_moved"
	DriftTags              DriftKind = "tags_changed"
	DriftDescription       DriftKind = "description_changed"
	DriftMarkRemoved       DriftKind = "mark_removed"
	DriftMarkChanged       DriftKind = "mark_changed"
	DriftKey               DriftKind = "key_changed"
	DriftDisabled          DriftKind = "disabled"
	DriftReadable          DriftKind = "readable" // although the secret has no live version
	DriftDeletionScheduled DriftKind = "deletion_scheduled"
	DriftDeleted           DriftKind = "deleted"
	DriftType              DriftKind = "type_changed"
	DriftState             DriftKind = "state_changed" // to one of the cloud's own
	DriftAhead             DriftKind = "ahead"         // of Vault
)

// DriftKinds are all kinds.
func DriftKinds() []DriftKind {
	return []DriftKind{
		DriftValue, DriftVersionAdded, DriftVersionRemoved, DriftLabel, DriftTags, DriftDescription, DriftMarkRemoved, DriftMarkChanged,
		DriftKey, DriftDisabled, DriftReadable, DriftDeletionScheduled, DriftDeleted, DriftType, DriftState, DriftAhead,
	}
}

// Finding is one thing that somebody else changed, in words that hold no value.
type Finding struct {
	Kind     DriftKind `json:"kind"`
	Remote   string    `json:"remote"`   // what the remote has
	Expected string    `json:"expected"` // what was last made or seen there
	// Unrepairable is why convergence won't or can't make it undone, and what a
	// person can do; "" if it does.
	Unrepairable string `json:"unrepairable,omitempty"`
}

// Look is what one look at a remote gave.
type Look struct {
	Seen Observed // by [Seen], or [Absent]
	Time time.Time
	// Tags are the remote's tags; nil if they weren't read.
	Tags map[string]string
	// Digests are the keyed hashes of the versions whose values were read, by id.
	Digests map[string]string
}

// Drift compares a look at a remote with what it was when it was last in sync.
// Versions that the service drops by itself are no drift, and nor are tags that
// others set.
func Drift(want Desired, have Observed, look Look, can provider.Abilities, limits provider.Limits) []Finding {
	seen := look.Seen
	switch {
	case !have.Exists():
		return nil
	case !seen.Exists():
		if have.State == provider.StatePendingDeletion && !have.DeletionTime.After(look.Time) {
			return nil // its time had come
		}
		return []Finding{{Kind: DriftDeleted, Remote: "there is no such secret", Expected: stateWords(have)}}
	case seen.CloudManaged && !have.CloudManaged:
		return append([]Finding{{
			Kind: DriftType, Remote: "of the cloud-managed type " + seen.Type, Expected: "a secret whose values callers write",
			Unrepairable: "the cloud makes its value, which is never written: " + givenUp,
		}}, markDrift(want, seen)...)
	}
	if mark := markDrift(want, seen); mark != nil {
		return mark
	}
	return slices.Concat(
		stateDrift(have, seen, can), descriptionDrift(have, seen), keyDrift(want, have, seen, can),
		versionDrift(want, have, seen, limits), labelDrift(want, have, seen), valueDrift(want, have, look), tagDrift(have, look, can),
	)
}

const givenUp = "delete or rename it in the cloud, or take the destination off the secret"

func markDrift(want Desired, seen Observed) []Finding {
	switch mark := seen.Owner(); {
	case mark == want.Owner:
		return nil
	case mark.IsZero():
		return []Finding{{
			Kind: DriftMarkRemoved, Remote: "no ownership mark", Expected: "the mark of " + want.Owner.String(),
			Unrepairable: "what doesn't carry this mount's mark isn't changed: adopt it with import, or " + givenUp,
		}}
	default:
		return []Finding{{
			Kind: DriftMarkChanged, Remote: "the mark of " + mark.String(), Expected: "the mark of " + want.Owner.String(),
			Unrepairable: "it belongs to somebody else and isn't changed: find out who took it over, and " + givenUp,
		}}
	}
}

func stateWords(o Observed) string {
	if o.State == provider.StatePendingDeletion {
		if o.DeletionTime.IsZero() {
			return "scheduled for deletion"
		}
		return "scheduled for deletion at " + o.DeletionTime.UTC().Format(time.RFC3339)
	}
	return string(o.State)
}

func stateDrift(have, seen Observed, can provider.Abilities) []Finding {
	found := Finding{Remote: stateWords(seen), Expected: stateWords(have)}
	switch {
	case seen.State == have.State:
		return nil
	case seen.State == provider.StatePendingDeletion:
		found.Kind = DriftDeletionScheduled
		if !can.Restores {
			found.Unrepairable = "this service can't cancel a deletion: wait for its end, then sync the secret"
		}
	case seen.State == provider.StateEnabled:
		found.Kind = DriftReadable
	case seen.State == provider.StateDisabled && have.State == provider.StateEnabled:
		found.Kind = DriftDisabled
		if !can.Switches {
			found.Unrepairable = "no call of this service enables a secret: have the cloud do it"
		}
	case seen.State == provider.StateDisabled:
		return nil // withdrawn in another way
	default:
		found.Kind, found.Remote = DriftState, "in a state of the cloud's own (being made, failed or frozen)"
		found.Unrepairable = "it can't be written in that state: find out why in the cloud's console"
	}
	return []Finding{found}
}

func descriptionDrift(have, seen Observed) []Finding {
	if have.Description == seen.Description {
		return nil
	}
	return []Finding{{Kind: DriftDescription, Remote: "another text", Expected: "the text that was set"}}
}

// keyDrift compares keys where it is known how the service names the one that the
// secret had. Where keys can be changed, the service takes their ids alone.
func keyDrift(want Desired, have, seen Observed, can provider.Abilities) []Finding {
	expected := have.KMSKeyID
	if expected == "" && can.ChangesKey {
		expected = have.KeyAsked
	}
	if expected == "" || expected == seen.KMSKeyID {
		return nil
	}
	found := Finding{Kind: DriftKey, Remote: seen.KMSKeyID, Expected: expected}
	if found.Remote == "" {
		found.Remote = "the cloud's default key"
	}
	switch {
	case !can.ChangesKey:
		found.Unrepairable = "this service fixes the key when the secret is created: re-create it with rekey"
	case want.KMSKeyID == "":
		found.Unrepairable = "no kms_key_id is set in Vault that could be set again: set one, or sync the secret to accept the key"
	}
	return []Finding{found}
}

// versionDrift tells apart what others added, what is ahead of Vault, and what
// they removed.
func versionDrift(want Desired, have, seen Observed, limits provider.Limits) []Finding {
	var added, newer, removed []string
	// What is remembered may be shorter than what the service holds.
	full := limits.EvictsVersions && limits.Versions > 0 && len(have.Versions) >= limits.Versions
	known := !full
	for _, v := range seen.Versions {
		_, ours := have.version(v.ID)
		known = known || ours
		switch {
		case ours || !known:
		case ahead(v.Version, want):
			newer = append(newer, v.ID)
		default:
			added = append(added, v.ID)
		}
	}
	for _, v := range have.Versions {
		if _, there := seen.version(v.ID); !there && (!limits.EvictsVersions || v.ID == have.Current.ID) {
			removed = append(removed, v.ID)
		}
	}
	var found []Finding
	if len(newer) > 0 {
		found = append(found, Finding{
			Kind: DriftAhead, Remote: "version " + strings.Join(newer, ", "),
			Expected:     "none after " + VersionNumber{Number: want.Newest, Incarnation: want.Version.Incarnation}.ID(),
			Unrepairable: "Vault is behind, as after a restored snapshot, and would set the replica back: decide with resume, take=vault or take=remote",
		})
	}
	if len(added) > 0 {
		found = append(found, Finding{
			Kind: DriftVersionAdded, Remote: "version " + strings.Join(added, ", "), Expected: "no version that this mount didn't make",
		})
	}
	if len(removed) > 0 {
		ids := strings.Join(removed, ", ")
		found = append(found, Finding{Kind: DriftVersionRemoved, Remote: "without version " + ids, Expected: "version " + ids})
	}
	return found
}

func labelDrift(want Desired, have, seen Observed) []Finding {
	if want.PointerID != "" || have.Current.ID == "" || have.Current.ID == seen.Current.ID {
		return nil
	}
	found := Finding{Kind: DriftLabel, Remote: "readers get version " + seen.Current.ID, Expected: "readers get version " + have.Current.ID}
	if seen.Current.ID == "" {
		found.Remote = "no version has the label for the current one"
	}
	return []Finding{found}
}

func valueDrift(want Desired, have Observed, look Look) []Finding {
	changed := slices.Sorted(maps.Keys(Differing(want, have, look.Digests)))
	if len(changed) == 0 {
		return nil
	}
	return []Finding{{Kind: DriftValue, Remote: "another value in version " + strings.Join(changed, ", "), Expected: "the value that was sent"}}
}

// expectedDigest is what a version id should hold, "" if that isn't known.
func (o Observed) expectedDigest(want Desired, id string) string {
	if id == o.Current.ID {
		if o.Current.Digest == "" && o.Current.Version.Same(want.Version) {
			return want.Digest
		}
		return o.Current.Digest
	}
	v, _ := o.version(id)
	return v.Digest
}

func tagDrift(have Observed, look Look, can provider.Abilities) []Finding {
	if look.Tags == nil {
		return nil
	}
	var missing, other []string
	for _, key := range slices.Sorted(maps.Keys(have.Tags)) {
		value, there := look.Tags[key]
		switch {
		case slices.Contains(have.TagsInDoubt, key):
		case !there:
			missing = append(missing, key)
		case value != have.Tags[key]:
			other = append(other, key)
		}
	}
	var words []string
	if len(missing) > 0 {
		words = append(words, "without "+strings.Join(missing, ", "))
	}
	if len(other) > 0 {
		words = append(words, "another value of "+strings.Join(other, ", "))
	}
	if len(words) == 0 {
		return nil
	}
	found := Finding{Kind: DriftTags, Remote: strings.Join(words, "; "), Expected: fmt.Sprintf("the %d tags that were set", len(have.Tags))}
	if !can.ChangesTags {
		found.Unrepairable = "this service sets tags only when it creates the secret"
	}
	return []Finding{found}
}

// Drifted is the observed state to converge from after drift was found. What a
// look won't tell is taken from the one that found it: digests are those of the
// versions that hold other values, by id.
func (o Observed) Drifted(findings []Finding, digests map[string]string) Observed {
	o.Versions = slices.Clone(o.Versions)
	for i, v := range o.Versions {
		if digest, other := digests[v.ID]; other {
			o.Versions[i].Digest = digest
		}
	}
	if digest, other := digests[o.Current.ID]; other {
		o.Current.Version, o.Current.Digest = VersionNumber{}, digest
	}
	if Finds(findings, DriftKey) {
		o.KeyAsked = "" // it is asked for again
	}
	return o
}

// Finds tells whether a kind of drift is among the findings.
func Finds(findings []Finding, kind DriftKind) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Kind == kind })
}

// TagsLeft is the observed state with those of our tags that the remote still
// has, as it has them.
func (o Observed) TagsLeft(remote map[string]string) Observed {
	left := map[string]string{}
	for key := range o.Tags {
		if value, there := remote[key]; there {
			left[key] = value
		}
	}
	o.Tags = left
	return o
}

// Differing are the digests of versions that don't hold what they should.
func Differing(want Desired, have Observed, digests map[string]string) map[string]string {
	var differing map[string]string
	for id, digest := range digests {
		if expected := have.expectedDigest(want, id); expected != "" && expected != digest {
			if differing == nil {
				differing = map[string]string{}
			}
			differing[id] = digest
		}
	}
	return differing
}

// Holding are the ids that should hold a Vault version: what readers get and, where
// versions can be overwritten, the one of the history.
func (o Observed) Holding(number VersionNumber, overwritten bool) []string {
	var ids []string
	if o.Current.ID != "" {
		ids = append(ids, o.Current.ID)
	}
	if kept, found := o.holding(number, o.Current.Digest); found && overwritten && kept.ID != o.Current.ID {
		ids = append(ids, kept.ID)
	}
	return ids
}
