// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// live plans for a replica that should be readable with the desired value.
func live(want Desired, have Observed, can provider.Abilities, limits provider.Limits) Plan {
	if !have.Exists() {
		return Plan{Steps: creation(want)}
	}
	if refusal := mayWrite(want, have); refusal != nil {
		return Plan{Refusal: refusal}
	}
	if refusal := behind(want, have); refusal != nil {
		return Plan{Refusal: refusal, Ahead: true}
	}
	var steps []Step
	if have.State == provider.StatePendingDeletion {
		if !can.Restores {
			return Plan{Refusal: &provider.Error{
				Class:   provider.ClassConflict,
				Message: "the remote secret is being deleted and this service can't cancel that",
			}}
		}
		steps = append(steps, Step{Action: Restore, State: restored(can)})
	}
	if can.ChangesKey && want.KMSKeyID != "" && want.KMSKeyID != have.KeyAsked && want.KMSKeyID != have.KMSKeyID {
		// Before the value, which is then encrypted under the new key.
		steps = append(steps, Step{Action: ChangeKey, KMSKeyID: want.KMSKeyID})
	}
	content, refusal := contentSteps(want, have, can, limits)
	if refusal != nil {
		return Plan{Refusal: refusal}
	}
	steps = append(steps, content...)
	if have.Description != want.Description {
		steps = append(steps, Step{Action: SetDescription, Description: want.Description})
	}
	if can.Switches && have.State != provider.StateEnabled {
		steps = enabling(steps, have)
	}
	if set, remove := tagChanges(want, have); can.ChangesTags && len(set)+len(remove) > 0 {
		// Last, so that a refused tag keeps nothing from the readers.
		steps = append(steps, Step{Action: ChangeTags, SetTags: set, RemoveTags: remove})
	}
	return Plan{Steps: steps}
}

// enabling adds the step that turns reading on: after the values, but before
// those that are only compared, which takes reading them.
func enabling(steps []Step, have Observed) []Step {
	var before, after []Step
	for _, step := range steps {
		if _, there := have.version(step.VersionID); there && step.Action == PutVersion {
			after = append(after, step)
		} else {
			before = append(before, step)
		}
	}
	return append(append(before, Step{Action: Enable}), after...)
}

// tagChanges are what brings the tags that we set to those that are wanted.
// Tags of others are never touched.
func tagChanges(want Desired, have Observed) (set map[string]string, remove []string) {
	set = map[string]string{}
	for key, value := range want.Tags {
		if had, found := have.Tags[key]; !found || had != value || slices.Contains(have.TagsInDoubt, key) {
			set[key] = value
		}
	}
	for _, key := range slices.Concat(slices.Collect(maps.Keys(have.Tags)), have.TagsInDoubt) {
		if _, keep := want.Tags[key]; !keep {
			remove = append(remove, key)
		}
	}
	slices.Sort(remove)
	return set, slices.Compact(remove)
}

// creation makes the secret with its first version, history before pointer.
func creation(want Desired) []Step {
	first := want.PointerID
	if want.History || first == "" {
		first = want.Version.ID()
	}
	steps := []Step{{Action: Create, VersionID: first, Version: want.Version, Description: want.Description}}
	if want.PointerID != "" && first != want.PointerID {
		steps = append(steps, Step{Action: PutVersion, VersionID: want.PointerID, Version: want.Version})
	}
	return steps
}

// contentSteps bring the value to where readers find it, and remove what was
// destroyed in Vault.
func contentSteps(want Desired, have Observed, can provider.Abilities, limits provider.Limits) ([]Step, *provider.Error) {
	steps := destroySteps(want, have, can)
	gone := map[string]bool{}
	for _, step := range steps {
		gone[step.VersionID] = true
	}
	if have.Serves(want) {
		return append(steps, mendSteps(want, have, can, gone)...), nil
	}
	if want.PointerID == "" {
		current, refusal := labelSteps(want, have, can, limits, gone)
		return append(steps, current...), refusal
	}
	if want.History {
		history, refusal := historySteps(want, have, can, limits, gone)
		if refusal != nil {
			return nil, refusal
		}
		steps = append(steps, history...)
	}
	pointer, refusal := pointerSteps(want, have, can, limits, steps)
	return append(steps, pointer...), refusal
}

// mendSteps set right the version of the history that somebody else overwrote while
// the pointer was left.
func mendSteps(want Desired, have Observed, can provider.Abilities, gone map[string]bool) []Step {
	kept, found := have.holding(want.Version, want.Digest)
	if !found || want.PointerID == "" || !want.History || !can.Overwrites || gone[kept.ID] || kept.Digest == "" || kept.Digest == want.Digest {
		return nil
	}
	return []Step{{Action: Overwrite, VersionID: kept.ID, Version: want.Version}}
}

// historySteps put the version under an id of its own beside the pointer.
func historySteps(want Desired, have Observed, can provider.Abilities, limits provider.Limits, gone map[string]bool) ([]Step, *provider.Error) {
	kept, found := have.holding(want.Version, want.Digest)
	switch {
	case !found && have.newestBefore(want.Version, gone).Digest == want.Digest:
		return nil, nil // equal content makes no version
	case !found:
		room, refusal := makeRoom(want, have, can, limits, gone)
		return append(room, Step{Action: PutVersion, VersionID: have.freeID(want.Version), Version: want.Version}), refusal
	case kept.Digest == "":
		// Putting it again succeeds if it holds the value; if it holds another,
		// somebody made it who isn't us as we are now.
		return []Step{{Action: PutVersion, VersionID: kept.ID, Version: want.Version}}, nil
	case kept.Digest != want.Digest && can.Overwrites:
		// The format changed, not the version.
		return []Step{{Action: Overwrite, VersionID: kept.ID, Version: want.Version}}, nil
	default:
		return nil, nil
	}
}

// labelSteps make the wanted version the one with the service's label for the
// current one: by adding it, which moves the label, or by moving the label.
func labelSteps(want Desired, have Observed, can provider.Abilities, limits provider.Limits, gone map[string]bool) ([]Step, *provider.Error) {
	kept, found := have.holding(want.Version, want.Digest)
	if unnumbered, ok := have.holding(VersionNumber{}, want.Digest); ok && unnumbered.Digest == want.Digest && kept.Digest != want.Digest {
		kept, found = unnumbered, true // put when nobody learned of it
	}
	if older, ok := have.equal(want); ok && !found && can.MovesCurrent && !assignsIDs(limits) {
		kept, found = older, true // as after a rollback: readers get it by the label
	}
	move := Step{Action: MoveCurrent, VersionID: kept.ID, Version: want.Version}
	switch {
	case found && kept.Digest == want.Digest && can.MovesCurrent:
		return []Step{move}, nil
	case found && kept.Digest == "":
		// Putting it again tells whether it holds the value. Whether that moves
		// the label isn't known of every service.
		steps := []Step{{Action: PutVersion, VersionID: kept.ID, Version: want.Version}}
		if can.MovesCurrent && have.Current.ID != kept.ID {
			steps = append(steps, move)
		}
		return steps, nil
	default:
		room, refusal := makeRoom(want, have, can, limits, gone)
		return append(room, Step{Action: PutVersion, VersionID: have.freeID(want.Version), Version: want.Version}), refusal
	}
}

// equal is the newest version that holds the wanted value, of whatever Vault version
// of this incarnation.
func (o Observed) equal(want Desired) (newest Version, ok bool) {
	for _, v := range o.Versions {
		if v.Digest == want.Digest && v.Version.Number > newest.Version.Number && v.Version.incarnation() == want.Version.incarnation() {
			newest, ok = v, true
		}
	}
	return newest, ok
}

// assignsIDs tells whether the service numbers versions by itself. Such a service
// has a word for the latest one, and whether that is the newest or the labelled one
// isn't certain, so that the current value has to be both.
func assignsIDs(limits provider.Limits) bool { return limits.VersionIDBytes == 0 }

// pointerSteps put the value where readers look for it, after the steps before.
func pointerSteps(want Desired, have Observed, can provider.Abilities, limits provider.Limits, before []Step) ([]Step, *provider.Error) {
	put := Step{Action: PutVersion, VersionID: want.PointerID, Version: want.Version}
	if _, exists := have.version(want.PointerID); exists {
		put.Action = Overwrite
		return []Step{put}, nil
	}
	// A pointer that has to be made anew needs room as any version does.
	gone := map[string]bool{}
	for _, step := range before {
		have = Done(want, have, step, "")
	}
	room, refusal := makeRoom(want, have, can, limits, gone)
	return append(room, put), refusal
}

// newestBefore returns the newest version of the same incarnation that came
// before number and isn't about to go.
func (o Observed) newestBefore(number VersionNumber, gone map[string]bool) (newest Version) {
	for _, v := range o.Versions {
		if !gone[v.ID] && v.Version.incarnation() == number.incarnation() && v.Version.Number < number.Number && v.Version.Number > newest.Version.Number {
			newest = v
		}
	}
	return newest
}

// Serves tells whether readers surely get the wanted value, under whichever
// version: equal content makes no version.
func (o Observed) Serves(want Desired) bool {
	return o.Current.Digest != "" && o.Current.Digest == want.Digest &&
		(want.PointerID == "" || o.Current.ID == want.PointerID)
}

// makeRoom removes the oldest version of ours when the next one would pass the
// service's limit. It never removes what isn't ours, the pointer, or the
// version that is wanted.
func makeRoom(want Desired, have Observed, can provider.Abilities, limits provider.Limits, gone map[string]bool) ([]Step, *provider.Error) {
	if limits.Versions == 0 || limits.EvictsVersions || len(have.Versions)-len(gone) < limits.Versions {
		return nil, nil
	}
	if can.DeletesVersions {
		for _, v := range have.Versions {
			if v.Version.Number > 0 && !gone[v.ID] && v.ID != want.PointerID && v.ID != want.Version.ID() {
				return []Step{{Action: DeleteVersion, VersionID: v.ID}}, nil
			}
		}
	}
	return nil, &provider.Error{
		Class:   provider.ClassLimit,
		Message: fmt.Sprintf("the remote secret holds %d versions, the most the service allows, and none of them was made by this mount; remove one of them", len(have.Versions)),
	}
}

// mayTouch refuses what isn't this secret's replica.
func mayTouch(want Desired, have Observed) *provider.Error {
	switch mark := have.Owner(); {
	case have.CloudManaged:
		return &provider.Error{
			Class:   provider.ClassOwnership,
			Message: fmt.Sprintf("the remote secret is of the cloud-managed type %s, its value is made by the cloud and is never written", have.Type),
		}
	case mark.IsZero() && have.Unmarked && want.Presence == Live:
		return nil // it is wanted again before the release was over
	case mark != want.Owner && have.State == provider.StatePendingDeletion:
		return &provider.Error{Class: provider.ClassOwnership, Message: tombstone(have)}
	case mark.IsZero():
		return &provider.Error{
			Class:   provider.ClassOwnership,
			Message: "the remote secret exists and carries no mark of this mount: somebody else made it, or this mount released it, so it isn't changed",
		}
	case mark != want.Owner:
		return &provider.Error{
			Class:   provider.ClassOwnership,
			Message: fmt.Sprintf("the remote secret belongs to %s, so it isn't changed", mark),
		}
	default:
		return nil
	}
}

// tombstone explains why a name isn't free although its secret is being deleted.
func tombstone(have Observed) string {
	whose, until := "carries no mark of this mount: somebody else made it, or this mount released it", "it is gone"
	if mark := have.Owner(); !mark.IsZero() {
		whose = fmt.Sprintf("belongs to %s", mark)
	}
	if !have.DeletionTime.IsZero() {
		until = have.DeletionTime.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("a remote secret that is being deleted holds the name until %s, and %s; wait until then, when this goes on by itself, have its owner delete it at once, or set remote_name to another name",
		until, whose)
}

// mayWrite refuses what isn't ours, and what Vault would set back.
func mayWrite(want Desired, have Observed) *provider.Error {
	if refusal := mayTouch(want, have); refusal != nil {
		return refusal
	}
	if have.State == provider.StateOther {
		return &provider.Error{
			Class:   provider.ClassConflict,
			Message: "the remote secret is in a state of the cloud's own (being made, failed or frozen) and can't be written",
		}
	}
	return nil
}

// behind refuses to write to a remote that holds what Vault doesn't know.
func behind(want Desired, have Observed) *provider.Error {
	for _, v := range have.Versions {
		if ahead(v.Version, want) {
			return &provider.Error{
				Class: provider.ClassConflict,
				Message: fmt.Sprintf("the remote holds version %s, but the newest in Vault is %s: Vault is behind, as after a restored snapshot, and would set the replica back",
					v.ID, VersionNumber{Number: want.Newest, Incarnation: want.Version.Incarnation}.ID()),
			}
		}
	}
	return nil
}

func ahead(v VersionNumber, want Desired) bool {
	switch have, mine := v.incarnation(), want.Version.incarnation(); {
	case v.Number == 0:
		return false
	case have == mine:
		return v.Number > want.Newest
	default:
		return have > mine
	}
}
