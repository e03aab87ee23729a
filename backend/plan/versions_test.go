// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// tencentCase is a case of version ids at a service like Tencent's.
type tencentCase struct {
	name string
	want plan.Desired
	have plan.Observed
	plan string // for a refusal, how it starts
}

func runTencent(t *testing.T, cases []tencentCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := tencent.plan(c.want, c.have)
			if refusal := strings.HasPrefix(c.plan, "refuse"); got != c.plan && (!refusal || !strings.HasPrefix(got, c.plan)) {
				t.Errorf("\ngot  %s\nwant %s", got, c.plan)
			}
		})
	}
}

// TestRoomForVersions is about the limit of 10 versions, the pointer included.
func TestRoomForVersions(t *testing.T) {
	withPointerFirst := tencent.holding(1, 9)
	withPointerFirst.Versions = append([]plan.Version{{ID: pointerID}}, withPointerFirst.Versions[:9]...)
	noPointer := tencent.holding(1, 10)
	noPointer.Versions, noPointer.Current = noPointer.Versions[:10], plan.Current{}
	lostPointer := tencent.holding(2, 10)
	lostPointer.Versions, lostPointer.Current = foreign(lostPointer, "theirs").Versions[:10], plan.Current{}
	aLimitOfOne := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	replaced := tencent.live(10)
	replaced.Destroyed = map[uint64]bool{4: true}

	runTencent(t, []tencentCase{
		{
			"one below the limit, nothing is removed", tencent.live(9), tencent.holding(1, 8),
			"put v9, overwrite SSM_Current=v9",
		},
		{
			"at the limit, the oldest goes", tencent.live(10), tencent.holding(1, 9),
			"remove v1, put v10, overwrite SSM_Current=v10",
		},
		{
			"the pointer stays though it is the oldest", tencent.live(10), withPointerFirst,
			"remove v1, put v10, overwrite SSM_Current=v10",
		},
		{
			"foreign ids stay though they are older", tencent.live(8), foreign(tencent.holding(3, 7), "theirs", "V1", "v01", "v0"),
			"remove v3, put v8, overwrite SSM_Current=v8",
		},
		{
			"all but the pointer are foreign: refused", tencent.live(2), foreign(with(absentPointer, looked)(tencent), aLimitOfOne...),
			"refuse limit: the remote secret holds 10 versions",
		},
		{
			"a destroyed version makes the room", replaced, tencent.holding(1, 9),
			"remove v4, put v10, overwrite SSM_Current=v10",
		},
		{
			"the value is there and the pointer isn't: room for the pointer", tencent.live(10), noPointer,
			"remove v1, put SSM_Current=v10",
		},
		{
			"room for the pointer is never made by removing what it should hold",
			tencent.live(5), foreign(with(holding(5, 5), func(o *plan.Observed) { o.Versions = o.Versions[:1]; o.Current = plan.Current{} })(tencent), aLimitOfOne...),
			"refuse limit: ",
		},
		{
			"version and pointer are both missing at the limit: room is made twice", tencent.live(11), lostPointer,
			"remove v2, put v11, remove v3, put SSM_Current=v11",
		},
	})

	t.Run("a pointer without history needs no room", func(t *testing.T) {
		have := foreign(pointerOnly.holding(1, 1), aLimitOfOne...)
		if got := pointerOnly.plan(pointerOnly.live(2), have); got != "overwrite SSM_Current=v2" {
			t.Error(got)
		}
	})
	t.Run("a service without a limit needs no room", func(t *testing.T) {
		s := tencent
		s.limits.Versions = 0
		if got := s.plan(s.live(100), s.holding(1, 99)); got != "put v100, overwrite SSM_Current=v100" {
			t.Error(got)
		}
	})
	t.Run("a service that drops the oldest by itself needs no room", func(t *testing.T) {
		if got := labels.plan(labels.live(11), labels.holding(1, 10)); got != "put v11" {
			t.Error(got)
		}
	})
	t.Run("where versions can't be removed the limit is refused", func(t *testing.T) {
		s := tencent
		s.can.DeletesVersions = false
		if got := s.plan(s.live(10), s.holding(1, 9)); !strings.HasPrefix(got, "refuse limit: ") {
			t.Error(got)
		}
	})
}

// absentPointer is a remote of ours that holds the pointer alone, of version 1.
func absentPointer(service) plan.Observed { return pointerOnly.holding(1, 1) }

func TestIncarnations(t *testing.T) {
	reborn := func(number uint64, incarnation int) plan.Desired {
		want := tencent.live(number)
		want.Version.Incarnation = incarnation
		want.Digest = "digest of another life"
		return want
	}
	lives := func(ids ...string) plan.Observed {
		have := tencent.holding(1, 1)
		have.Versions = nil
		for _, id := range ids {
			have.Versions = append(have.Versions, plan.Version{ID: id, Version: plan.ParseVersionID(id)})
		}
		return have
	}
	destroyed := reborn(3, 2)
	destroyed.Destroyed = map[uint64]bool{1: true, 2: true}
	full := lives("v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v1-2", pointerID)

	runTencent(t, []tencentCase{
		{
			"version 1 of the second life has an id of its own", reborn(1, 2), tencent.holding(1, 3),
			"put v1-2, overwrite SSM_Current=v1-2",
		},
		{
			"higher numbers of an earlier life aren't ahead", reborn(2, 2), lives("v9", "v1-2", pointerID),
			"put v2-2, overwrite SSM_Current=v2-2",
		},
		{
			"a higher number of the same life is ahead", reborn(2, 2), lives("v1-2", "v3-2", pointerID),
			"refuse conflict: the remote holds version v3-2, but the newest in Vault is v2-2",
		},
		{
			"a lower number of a later life is ahead", reborn(5, 2), lives("v5-2", "v1-3", pointerID),
			"refuse conflict: the remote holds version v1-3, but the newest in Vault is v5-2",
		},
		{
			"a second life is ahead of the first, which has no number", tencent.live(5), lives("v5", "v1-2", pointerID),
			"refuse conflict: the remote holds version v1-2, but the newest in Vault is v5",
		},
		{
			"incarnations 0 and 1 are the same", reborn(2, 1), tencent.holding(1, 2),
			"overwrite v2, overwrite SSM_Current=v2",
		},
		{
			"what is foreign is never ahead", tencent.live(2), foreign(tencent.holding(1, 2), "v99999999999999999999", "9", "v7x"),
			"",
		},
		{
			"a version that was destroyed in this life isn't that of another", destroyed, lives("v1", "v2", "v1-2", pointerID),
			"remove v1-2, put v3-2, overwrite SSM_Current=v3-2",
		},
		{
			"room is made of the earlier life first", reborn(2, 2), full,
			"remove v1, put v2-2, overwrite SSM_Current=v2-2",
		},
	})
}

func TestWhatVaultNoLongerHas(t *testing.T) {
	destroying := func(want plan.Desired, numbers ...uint64) plan.Desired {
		want.Destroyed = map[uint64]bool{}
		for _, number := range numbers {
			want.Destroyed[number] = true
		}
		return want
	}
	runTencent(t, []tencentCase{
		{
			"an older version that was destroyed is removed", destroying(tencent.live(3), 1), tencent.holding(1, 3),
			"remove v1",
		},
		{
			"all that were destroyed are removed", destroying(tencent.live(4), 1, 3), tencent.holding(1, 4),
			"remove v1, remove v3",
		},
		{
			"one that the remote doesn't hold needs nothing", destroying(tencent.live(4), 1), tencent.holding(2, 4),
			"",
		},
		{
			"the newest was destroyed: it goes, and the pointer falls back", destroying(fallback(2, 3)(tencent), 3), tencent.holding(1, 3),
			"remove v3, overwrite SSM_Current=v2",
		},
		{
			"the newest was deleted: it stays, and the pointer falls back", fallback(2, 3)(tencent), tencent.holding(1, 3),
			"overwrite SSM_Current=v2",
		},
		{
			"the fallback is no longer there: it is put again", fallback(2, 3)(tencent), tencent.holding(3, 3),
			"put v2, overwrite SSM_Current=v2",
		},
		{
			"after undelete the pointer goes forward again", tencent.live(3), pointingAt(2, tencent.holding(1, 3)),
			"overwrite SSM_Current=v3",
		},
	})
	t.Run("where versions can't be removed they stay", func(t *testing.T) {
		if got := labels.plan(destroying(labels.live(3), 1), labels.holding(1, 3)); got != "" {
			t.Error(got)
		}
	})
}

func pointingAt(number uint64, have plan.Observed) plan.Observed {
	have.Current.Version, have.Current.Digest = plan.VersionNumber{Number: number}, digest(number)
	return have
}

// TestTheSameVersionInAnotherForm is about changes that make no version in
// Vault: of the format, of the text, of the mount's settings.
func TestTheSameVersionInAnotherForm(t *testing.T) {
	reformatted := tencent.live(2)
	reformatted.Digest = "digest of another format"
	described := tencent.live(2)
	described.Description = mine.Append("new text")
	next := tencent.live(3)
	next.Description = described.Description
	equal := tencent.live(3)
	equal.Digest = digest(2)
	unseen := tencent.holding(1, 2)
	for i := range unseen.Versions {
		unseen.Versions[i].Digest = ""
	}
	unread := tencent.holding(1, 2)
	unread.Current = plan.Current{}
	renamed := tencent.live(2)
	renamed.PointerID = "current"
	halfway := tencent.holding(1, 2)
	halfway.Versions[1].Digest = reformatted.Digest
	onlyPointer := pointerOnly.holding(1, 2)

	runTencent(t, []tencentCase{
		{
			"another format: history, then pointer", reformatted, tencent.holding(1, 2),
			"overwrite v2, overwrite SSM_Current=v2",
		},
		{
			"another format, broken off between the two: the pointer alone", reformatted, halfway,
			"overwrite SSM_Current=v2",
		},
		{
			"a history that was only seen doesn't matter while readers get the value", tencent.live(2), unseen,
			"",
		},
		{
			"a pointer whose value isn't known is written", tencent.live(2), unread,
			"overwrite SSM_Current=v2",
		},
		{
			"another text: the description alone", described, tencent.holding(1, 2),
			`describe "new text [vault-cloudsync mount=mount-1 secret=team/db]"`,
		},
		{
			"another text and version: the version comes first", next, tencent.holding(1, 2),
			`put v3, overwrite SSM_Current=v3, describe "new text [vault-cloudsync mount=mount-1 secret=team/db]"`,
		},
		{
			"another version with the same value: equal content makes no version", equal, tencent.holding(1, 2),
			"",
		},
		{
			"another pointer id: it is made, the old one stays", renamed, tencent.holding(1, 2),
			"put current=v2",
		},
		{
			"history is switched on: it begins with the next version", tencent.live(2), onlyPointer,
			"",
		},
	})
	t.Run("history is switched off: what is there stays", func(t *testing.T) {
		if got := pointerOnly.plan(pointerOnly.live(3), tencent.holding(1, 2)); got != "overwrite SSM_Current=v3" {
			t.Error(got)
		}
	})
}

func TestNeverMade(t *testing.T) {
	for name, c := range map[string]struct {
		have plan.Observed
		want bool
	}{
		"never attempted":            {plan.Observed{Known: true}, true},
		"seen to be absent":          {plan.Absent(), true},
		"seen to be somebody else's": {with(holding(1, 1), unmarked)(tencent), true},
		"ours":                       {tencent.holding(1, 1), false},
		"attempted, outcome unknown": {plan.Observed{}, false},
	} {
		if got := c.have.NeverMade(mine); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSeen(t *testing.T) {
	made := tencent.holding(1, 2)
	remote := provider.Secret{Name: "db", State: provider.StateDisabled, Description: mine.Append("changed"), KMSKeyID: "key", Type: "custom"}
	versions := []provider.Version{{ID: "v2"}, {ID: "v7"}, {ID: "theirs"}, {ID: pointerID}}

	t.Run("the service tells what is there, memory what it holds", func(t *testing.T) {
		seen := plan.Seen(remote, versions, made, plan.Service{})
		if !seen.Known || !seen.Looked || seen.State != provider.StateDisabled || seen.Description != remote.Description || seen.KMSKeyID != "key" || seen.Type != "" {
			t.Errorf("%+v", seen)
		}
		if !slices.Equal(seen.Versions, []plan.Version{
			{ID: "v2", Version: plan.VersionNumber{Number: 2, Incarnation: 1}, Digest: digest(2)},
			{ID: "v7", Version: plan.VersionNumber{Number: 7, Incarnation: 1}},
			{ID: "theirs"},
			{ID: pointerID, Digest: digest(2)},
		}) {
			t.Errorf("%+v", seen.Versions)
		}
		if seen.Current != made.Current {
			t.Errorf("%+v", seen.Current)
		}
	})
	t.Run("in doubt nobody knows what a version holds", func(t *testing.T) {
		doubtful := made
		doubtful.Known = false
		seen := plan.Seen(remote, versions, doubtful, plan.Service{})
		if seen.Current != (plan.Current{}) || slices.ContainsFunc(seen.Versions, func(v plan.Version) bool { return v.Digest != "" }) {
			t.Errorf("%+v", seen)
		}
	})
	t.Run("a pointer that is gone holds nothing", func(t *testing.T) {
		if seen := plan.Seen(remote, versions[:3], made, plan.Service{}); seen.Current != (plan.Current{}) {
			t.Errorf("%+v", seen.Current)
		}
	})
	t.Run("a label tells which version readers get", func(t *testing.T) {
		for _, known := range []bool{true, false} {
			before := labels.holding(1, 2)
			before.Known = known
			labelled := []provider.Version{{ID: "v1", Labels: []string{"x", labels.reading.CurrentLabel}}, {ID: "v2", Labels: []string{"y"}}}
			seen := plan.Seen(remote, labelled, before, labels.reading)
			if seen.Current.ID != "v1" || seen.Current.Version.Number != 1 || seen.Current.Digest != digest(1) {
				t.Errorf("known %v: %+v", known, seen.Current)
			}
		}
	})
	t.Run("ids of the service say nothing of Vault's versions, memory does", func(t *testing.T) {
		before := plan.Observed{Known: true, Versions: []plan.Version{{ID: "v7", Version: plan.VersionNumber{Number: 1}, Digest: digest(1)}}}
		seen := plan.Seen(remote, []provider.Version{{ID: "v7"}, {ID: "v8"}}, before, assigned.reading)
		if !slices.Equal(seen.Versions, []plan.Version{before.Versions[0], {ID: "v8"}}) {
			t.Errorf("%+v", seen.Versions)
		}
	})
	t.Run("a cloud-managed secret names its type", func(t *testing.T) {
		s := remote
		s.CloudManaged, s.Type = true, "mysql"
		if seen := plan.Seen(s, nil, made, plan.Service{}); !seen.CloudManaged || seen.Type != "mysql" {
			t.Errorf("%+v", seen)
		}
	})
}

func TestDone(t *testing.T) {
	want := tencent.live(3)
	want.KMSKeyID = "key"
	held := func(have plan.Observed, id string) plan.Version {
		i := slices.IndexFunc(have.Versions, func(v plan.Version) bool { return v.ID == id })
		if i < 0 {
			return plan.Version{}
		}
		return have.Versions[i]
	}
	t.Run("a creation knows version, text and key", func(t *testing.T) {
		step := plan.Step{Action: plan.Create, VersionID: "v3", Version: want.Version, Description: "text"}
		have := plan.Done(want, plan.Absent(), step, "v3")
		if !have.Known || !have.Looked || have.State != provider.StateEnabled || have.Description != "text" || have.KeyAsked != "key" {
			t.Errorf("%+v", have)
		}
		if held(have, "v3") != (plan.Version{ID: "v3", Version: want.Version, Digest: digest(3)}) || have.Current.ID != "" {
			t.Errorf("%+v", have)
		}
	})
	t.Run("the pointer is current and no version", func(t *testing.T) {
		for _, action := range []plan.Action{plan.PutVersion, plan.Overwrite} {
			have := plan.Done(want, tencent.holding(1, 2), plan.Step{Action: action, VersionID: pointerID, Version: want.Version}, "")
			if held(have, pointerID) != (plan.Version{ID: pointerID, Digest: digest(3)}) || len(have.Versions) != 3 {
				t.Errorf("%s: %+v", action, have.Versions)
			}
			if have.Current != (plan.Current{ID: pointerID, Version: want.Version, Digest: digest(3)}) {
				t.Errorf("%s: %+v", action, have.Current)
			}
		}
	})
	t.Run("the history isn't current", func(t *testing.T) {
		before := tencent.holding(1, 2)
		have := plan.Done(want, before, plan.Step{Action: plan.PutVersion, VersionID: "v3", Version: want.Version}, "v3")
		if held(have, "v3") != (plan.Version{ID: "v3", Version: want.Version, Digest: digest(3)}) || have.Current != before.Current {
			t.Errorf("%+v", have)
		}
	})
	t.Run("an id that the service gave is kept, and is current by label", func(t *testing.T) {
		want := labels.live(3)
		have := plan.Done(want, labels.holding(1, 2), plan.Step{Action: plan.PutVersion, VersionID: "v3", Version: want.Version}, "4711")
		if held(have, "4711").Version != want.Version || have.Current != (plan.Current{ID: "4711", Version: want.Version, Digest: digest(3)}) {
			t.Errorf("%+v", have)
		}
	})
	t.Run("a removed version is gone", func(t *testing.T) {
		have := plan.Done(want, tencent.holding(1, 2), plan.Step{Action: plan.DeleteVersion, VersionID: "v1"}, "")
		if held(have, "v1") != (plan.Version{}) || len(have.Versions) != 2 {
			t.Errorf("%+v", have.Versions)
		}
	})
	t.Run("what was observed before isn't changed", func(t *testing.T) {
		before := tencent.holding(1, 3)
		for _, step := range []plan.Step{{Action: plan.Overwrite, VersionID: "v1", Version: want.Version}, {Action: plan.DeleteVersion, VersionID: "v1"}} {
			plan.Done(want, before, step, "")
			if !slices.Equal(before.Versions, tencent.holding(1, 3).Versions) {
				t.Errorf("%s changed %+v", step.Action, before.Versions)
			}
		}
	})
	t.Run("states follow their steps", func(t *testing.T) {
		for _, c := range []struct {
			step plan.Step
			want provider.State
		}{
			{plan.Step{Action: plan.Enable}, provider.StateEnabled},
			{plan.Step{Action: plan.Disable}, provider.StateDisabled},
			{plan.Step{Action: plan.Delete, After: window}, provider.StatePendingDeletion},
			{plan.Step{Action: plan.Delete}, ""},
		} {
			if have := plan.Done(want, tencent.holding(1, 2), c.step, ""); have.State != c.want || !have.Known {
				t.Errorf("%s after %s: %q", c.step.Action, c.step.After, have.State)
			}
		}
	})
	t.Run("a restored secret is disabled where the service has a switch", func(t *testing.T) {
		for _, c := range []struct {
			service
			want provider.State
		}{{tencent, provider.StateDisabled}, {labels, provider.StateEnabled}} {
			want, have := c.live(2), with(holding(1, 2), pending)(c.service)
			restore := plan.Make(want, have, c.can, c.limits).Steps[0]
			if have = plan.Done(want, have, restore, ""); restore.Action != plan.Restore || have.State != c.want {
				t.Errorf("after %s it is %s, want %s", restore.Action, have.State, c.want)
			}
		}
	})
	t.Run("a restored secret has no deletion time", func(t *testing.T) {
		have := with(holding(1, 2), pending)(tencent)
		have.DeletionTime = have.DeletionTime.Add(window)
		if have = plan.Done(want, have, plan.Step{Action: plan.Restore}, ""); have.State == provider.StatePendingDeletion || !have.DeletionTime.IsZero() {
			t.Errorf("%+v", have)
		}
	})
	t.Run("a description is as it was set", func(t *testing.T) {
		have := plan.Done(want, tencent.holding(1, 2), plan.Step{Action: plan.SetDescription, Description: "new"}, "")
		if have.Description != "new" || !have.Owner().IsZero() {
			t.Errorf("%+v", have)
		}
	})
}

func TestVersionIDs(t *testing.T) {
	for id, want := range map[string]plan.VersionNumber{
		"v1":                    {Number: 1, Incarnation: 1},
		"v42":                   {Number: 42, Incarnation: 1},
		"v3-2":                  {Number: 3, Incarnation: 2},
		"v9-999999999":          {Number: 9, Incarnation: 999999999},
		"v9999999999999999999":  {Number: 9999999999999999999, Incarnation: 1},
		"":                      {},
		"v":                     {},
		"v0":                    {},
		"v01":                   {},
		"v3-0":                  {},
		"v3-1":                  {}, // the first has no number
		"v3-02":                 {},
		"v3-":                   {},
		"v-3":                   {},
		"V3":                    {},
		"v3\n":                  {},
		"\x20v3":                {},
		"v3-2-2":                {},
		"3":                     {},
		"SSM_Current":           {},
		"v20000000000000000000": {},
	} {
		if got := plan.ParseVersionID(id); got != want {
			t.Errorf("%q: %+v, want %+v", id, got, want)
		}
	}
}

func FuzzVersionIDs(f *testing.F) {
	f.Add(uint64(1), 0, "v1")
	f.Add(uint64(3), 2, "v3-2")
	f.Add(uint64(1), 1, "v01")
	f.Fuzz(func(t *testing.T, number uint64, incarnation int, text string) {
		const largest = 9_999_999_999_999_999_999
		v := plan.VersionNumber{Number: max(1, min(number, largest)), Incarnation: max(0, incarnation%1_000_000_000)}
		if back := plan.ParseVersionID(v.ID()); !back.Same(v) {
			t.Errorf("%+v has the id %s, which is read as %+v", v, v.ID(), back)
		}
		if read := plan.ParseVersionID(text); read.Number > 0 && read.ID() != text {
			t.Errorf("%q is read as %+v, whose id is %s", text, read, read.ID())
		}
	})
}

// What an older version holds comes back: readers get it by the service's own means.
func TestARollback(t *testing.T) {
	back := func(s service) plan.Desired {
		want := s.live(4)
		want.Digest = digest(1)
		return want
	}
	evicted := labels.holding(2, 3)
	reborn := back(labels)
	reborn.Version.Incarnation = 2
	moved := labels.holding(1, 3)
	moved.Current = plan.Current{ID: "v1", Version: plan.VersionNumber{Number: 1}, Digest: digest(1)}
	for _, c := range []struct {
		name string
		service
		want plan.Desired
		have plan.Observed
		plan string
	}{
		{"a label moves to the version that is there", labels, back(labels), labels.holding(1, 3), "move v1"},
		{"it stays there", labels, back(labels), moved, ""},
		{"a version that the service dropped is put again", labels, back(labels), evicted, "put v4"},
		{"a version of an earlier life isn't taken", labels, reborn, labels.holding(1, 3), "put v4-2"},
		// The word for the latest version may mean the newest one there.
		{"where the service numbers versions another is made", assigned, back(assigned), assigned.holding(1, 3), "put v4"},
		{"a history gets it, and the pointer", tencent, back(tencent), tencent.holding(1, 3), "put v4, overwrite SSM_Current=v4"},
		{"a pointer alone", pointerOnly, back(pointerOnly), pointerOnly.holding(1, 3), "overwrite SSM_Current=v4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.service.plan(c.want, c.have); got != c.plan {
				t.Errorf("got %q, want %q", got, c.plan)
			}
		})
	}
}
