// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

const (
	pointerID = "SSM_Current"
	window    = 30 * 24 * time.Hour
)

var mine = owner.For("mount-1", "team/db")

// service is a kind of destination that plans are made for.
type service struct {
	can     provider.Abilities
	limits  provider.Limits
	pointer string
	history bool
	reading plan.Service
}

var (
	labelling   = provider.Abilities{Restores: true, MovesCurrent: true, ChangesTags: true}
	keyChanging = provider.Abilities{Restores: true, MovesCurrent: true, ChangesTags: true, ChangesKey: true}
	everything  = provider.Abilities{Overwrites: true, DeletesVersions: true, Switches: true, Restores: true, ChangesTags: true}
	tencent     = service{everything, provider.Limits{Versions: 10}, pointerID, true, plan.Service{}}
	pointerOnly = service{everything, provider.Limits{Versions: 10}, pointerID, false, plan.Service{}}
	labels      = service{labelling, provider.Limits{Versions: 10, EvictsVersions: true, VersionIDBytes: 64}, "", true, plan.Service{CurrentLabel: providertest.LabelCurrent}}
	assigned    = service{keyChanging, provider.Limits{Versions: 10, EvictsVersions: true}, "", true, plan.Service{CurrentLabel: providertest.LabelCurrent, AssignsIDs: true}}
)

func (s service) plan(want plan.Desired, have plan.Observed) string {
	return words(plan.Make(want, have, s.can, s.limits))
}

// live is the desire for a version that is Vault's newest.
func (s service) live(number uint64) plan.Desired {
	return plan.Desired{
		Presence: plan.Live, Owner: mine, Description: mine.Append("text"),
		Version: plan.VersionNumber{Number: number}, Newest: number, Digest: digest(number),
		PointerID: s.pointer, History: s.history, DeleteAfter: window,
	}
}

func (s service) desire(presence plan.Presence) plan.Desired {
	want := s.live(2)
	want.Presence, want.Version, want.Newest, want.Digest = presence, plan.VersionNumber{}, 0, ""
	return want
}

// holding is a remote to which the versions from first to last were written.
func (s service) holding(first, last uint64) plan.Observed {
	have := plan.Observed{Known: true, State: provider.StateEnabled, Description: mine.Append("text")}
	for number := first; number <= last; number++ {
		version := plan.VersionNumber{Number: number}
		if s.history {
			have.Versions = append(have.Versions, plan.Version{ID: version.ID(), Version: version, Digest: digest(number)})
		}
		have.Current = plan.Current{ID: version.ID(), Version: version, Digest: digest(number)}
	}
	if s.pointer != "" {
		have.Versions = append(have.Versions, plan.Version{ID: s.pointer, Digest: digest(last)})
		have.Current.ID = s.pointer
	}
	return have
}

// foreign adds version ids that aren't ours.
func foreign(have plan.Observed, ids ...string) plan.Observed {
	for _, id := range ids {
		have.Versions = append([]plan.Version{{ID: id}}, have.Versions...)
	}
	return have
}

func digest(number uint64) string { return fmt.Sprintf("digest of version %d", number) }

// words is a plan as a line of text.
func words(p plan.Plan) string {
	switch {
	case p.Look:
		return "look"
	case p.Refusal != nil:
		return fmt.Sprintf("refuse %s: %s", p.Refusal.Class, p.Refusal.Message)
	}
	var b strings.Builder
	for i, step := range p.Steps {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(stepWords(step))
	}
	return b.String()
}

func stepWords(step plan.Step) string {
	switch step.Action {
	case plan.Create, plan.PutVersion, plan.Overwrite:
		action, _, _ := strings.Cut(string(step.Action), "_")
		if id := step.Version.ID(); id != step.VersionID {
			return fmt.Sprintf("%s %s=%s", action, step.VersionID, id)
		}
		return action + " " + step.VersionID
	case plan.DeleteVersion:
		return "remove " + step.VersionID
	case plan.MoveCurrent:
		return "move " + step.VersionID
	case plan.SetDescription:
		return fmt.Sprintf("describe %q", step.Description)
	case plan.Delete:
		return fmt.Sprintf("delete after %s", step.After)
	default:
		return string(step.Action)
	}
}

// anything marks a case that can't occur at a service.
const anything = "*"

// planCase has one expectation for each service: the whole plan, or for a
// refusal a part of it that starts with the class.
type planCase struct {
	name string
	want func(service) plan.Desired
	have func(service) plan.Observed

	tencent, pointerOnly, labels string
}

func (c planCase) run(t *testing.T) {
	for what, on := range map[string]struct {
		service
		plan string
	}{
		"version history": {tencent, c.tencent},
		"pointer only":    {pointerOnly, c.pointerOnly},
		"labels":          {labels, c.labels},
	} {
		if on.plan == anything {
			continue
		}
		got := on.service.plan(c.want(on.service), c.have(on.service))
		if refusal := strings.HasPrefix(on.plan, "refuse"); got != on.plan && (!refusal || !strings.HasPrefix(got, on.plan)) {
			t.Errorf("%s:\ngot  %s\nwant %s", what, got, on.plan)
		}
	}
}

func live(number uint64) func(service) plan.Desired {
	return func(s service) plan.Desired { return s.live(number) }
}

func desire(presence plan.Presence) func(service) plan.Desired {
	return func(s service) plan.Desired { return s.desire(presence) }
}

// atOnce is the desire for a deletion at once.
func atOnce(restoreFirst bool) func(service) plan.Desired {
	return func(s service) plan.Desired {
		want := s.desire(plan.Deleted)
		want.DeleteAfter, want.RestoreFirst = 0, restoreFirst
		return want
	}
}

// fallback is the desire for a version that isn't the newest any more.
func fallback(number, newest uint64) func(service) plan.Desired {
	return func(s service) plan.Desired {
		want := s.live(number)
		want.Newest = newest
		return want
	}
}

func absent(service) plan.Observed { return plan.Observed{Known: true} }

func holding(first, last uint64) func(service) plan.Observed {
	return func(s service) plan.Observed { return s.holding(first, last) }
}

// with changes what is observed.
func with(have func(service) plan.Observed, edit func(*plan.Observed)) func(service) plan.Observed {
	return func(s service) plan.Observed {
		o := have(s)
		edit(&o)
		return o
	}
}

func unknown(o *plan.Observed)   { o.Known = false }
func looked(o *plan.Observed)    { o.Looked = true }
func disabled(o *plan.Observed)  { o.State = provider.StateDisabled }
func pending(o *plan.Observed)   { o.State = provider.StatePendingDeletion }
func scheduled(o *plan.Observed) { o.Scheduled = true }
func other(o *plan.Observed)     { o.State = provider.StateOther }
func unmarked(o *plan.Observed)  { o.Description = "text" }
func managed(o *plan.Observed)   { o.CloudManaged, o.Type = true, "mysql" }

func ofAnother(mount, secret string) func(*plan.Observed) {
	return func(o *plan.Observed) { o.Description = owner.For(mount, secret).Append("text") }
}

func both(edits ...func(*plan.Observed)) func(*plan.Observed) {
	return func(o *plan.Observed) {
		for _, edit := range edits {
			edit(o)
		}
	}
}

// TestTheTable repeats the table of the package comment, line by line.
func TestTheTable(t *testing.T) {
	const (
		nothing   = ""
		conflict  = "refuse conflict: "
		ownership = "refuse ownership: "
	)
	for _, c := range []planCase{
		{
			"live, not known: it is looked at first", live(2), with(holding(1, 1), unknown),
			"look", "look", "look",
		},
		{
			"withdrawn, not known: it is looked at first", desire(plan.Withdrawn), with(holding(1, 1), unknown),
			"look", "look", "look",
		},
		{
			"deleted, not known: it is looked at first", desire(plan.Deleted), with(absent, unknown),
			"look", "look", "look",
		},
		{
			"released, not known: it is looked at first", desire(plan.Released), with(absent, unknown),
			"look", "look", "look",
		},
		{
			"live, absent: it is created with the value, then the pointer", live(3), absent,
			"create v3, put SSM_Current=v3", "create SSM_Current=v3", "create v3",
		},
		{
			"live, holds the value: nothing", live(2), holding(1, 2),
			nothing, nothing, nothing,
		},
		{
			"live, holds another value: the version is added, then the pointer", live(3), holding(1, 2),
			"put v3, overwrite SSM_Current=v3", "overwrite SSM_Current=v3", "put v3",
		},
		{
			"live, versions were never sent: the newest alone is added", live(9), holding(1, 2),
			"put v9, overwrite SSM_Current=v9", "overwrite SSM_Current=v9", "put v9",
		},
		{
			"live, holds as many as it can: room is made first, unless the service does that", live(11), holding(2, 10),
			"remove v2, put v11, overwrite SSM_Current=v11", "overwrite SSM_Current=v11", "put v11",
		},
		{
			"live, had the value before: the pointer or the label moves", fallback(1, 2), holding(1, 2),
			"overwrite SSM_Current=v1", "overwrite SSM_Current=v1", "move v1",
		},
		{
			"live, disabled with the value: it is enabled", live(2), with(holding(1, 2), disabled),
			"enable", "enable", anything, // no such state there
		},
		{
			"live, disabled with another value: the value comes first", live(3), with(holding(1, 2), disabled),
			"put v3, overwrite SSM_Current=v3, enable", "overwrite SSM_Current=v3, enable", anything,
		},
		{
			"live, being deleted with the value: it is restored and enabled", live(2), with(holding(1, 2), pending),
			"restore, enable", "restore, enable", "restore",
		},
		{
			"live, being deleted with another value: restored, value, enabled", live(3), with(holding(1, 2), pending),
			"restore, put v3, overwrite SSM_Current=v3, enable", "restore, overwrite SSM_Current=v3, enable", "restore, put v3",
		},
		{
			"live, ahead of Vault: refused, with both versions", live(2), holding(1, 3),
			conflict + "the remote holds version v3, but the newest in Vault is v2", anything, conflict + "the remote holds version v3",
		},
		{
			"live, without a mark: refused", live(2), with(holding(1, 2), unmarked),
			ownership + "the remote secret exists and carries no mark", ownership, ownership,
		},
		{
			"live, of another mount: refused, and said whose", live(2), with(holding(1, 2), ofAnother("mount-2", "team/db")),
			ownership + "the remote secret belongs to mount mount-2, secret team/db", ownership, ownership,
		},
		{
			"live, of another secret: refused, and said whose", live(2), with(holding(1, 2), ofAnother("mount-1", "team/other")),
			ownership + "the remote secret belongs to mount mount-1, secret team/other", ownership, ownership,
		},
		{
			"live, cloud-managed: refused even with the mark", live(2), with(holding(1, 2), managed),
			ownership + "the remote secret is of the cloud-managed type mysql", ownership, ownership,
		},
		{
			"live, not ours and being deleted: refused, not restored", live(2), with(holding(1, 2), both(unmarked, pending)),
			ownership, ownership, ownership,
		},
		{
			"live, being made or failed: refused", live(2), with(holding(1, 1), other),
			conflict + "the remote secret is in a state of the cloud's own", conflict, conflict,
		},
		{
			"withdrawn, absent: nothing", desire(plan.Withdrawn), absent,
			nothing, nothing, nothing,
		},
		{
			"withdrawn, disabled: nothing", desire(plan.Withdrawn), with(holding(1, 2), disabled),
			nothing, nothing, anything,
		},
		{
			"withdrawn, being deleted: nothing", desire(plan.Withdrawn), with(holding(1, 2), pending),
			nothing, nothing, nothing,
		},
		{
			"withdrawn, enabled: disabled, or deleted later where that isn't possible", desire(plan.Withdrawn), holding(1, 2),
			"disable", "disable", "delete after 720h0m0s",
		},
		{
			"withdrawn, not ours: refused", desire(plan.Withdrawn), with(holding(1, 2), ofAnother("mount-2", "x")),
			ownership + "the remote secret belongs to mount mount-2, secret x", ownership, ownership,
		},
		{
			"withdrawn, cloud-managed: refused", desire(plan.Withdrawn), with(holding(1, 2), managed),
			ownership, ownership, ownership,
		},
		{
			"deleted, absent: nothing", desire(plan.Deleted), absent,
			nothing, nothing, nothing,
		},
		{
			"deleted, there by memory: it is looked at first", desire(plan.Deleted), holding(1, 2),
			"look", "look", "look",
		},
		{
			"deleted, enabled: disabled where needed, then deleted", desire(plan.Deleted), with(holding(1, 2), looked),
			"disable, delete after 720h0m0s", "disable, delete after 720h0m0s", "delete after 720h0m0s",
		},
		{
			"deleted, disabled: deleted", desire(plan.Deleted), with(holding(1, 2), both(looked, disabled)),
			"delete after 720h0m0s", "delete after 720h0m0s", anything,
		},
		{
			"deleted, being deleted: nothing", desire(plan.Deleted), with(holding(1, 2), both(looked, pending)),
			nothing, nothing, nothing,
		},
		{
			"deleted at once, being deleted: deleted", atOnce(false), with(holding(1, 2), both(looked, pending)),
			"delete after 0s", "delete after 0s", "delete after 0s",
		},
		{
			"deleted at once, being deleted, which the service insists on: restored, deleted", atOnce(true), with(holding(1, 2), both(looked, pending)),
			"restore, delete after 0s", "restore, delete after 0s", "restore, delete after 0s",
		},
		{
			"deleted at once, being deleted, not ours: nothing", atOnce(false), with(holding(1, 2), both(looked, pending, unmarked)),
			nothing, nothing, nothing,
		},
		{
			"deleted, without a mark: nothing", desire(plan.Deleted), with(holding(1, 2), both(looked, unmarked)),
			nothing, nothing, nothing,
		},
		{
			"deleted, of another mount: nothing", desire(plan.Deleted), with(holding(1, 2), both(looked, ofAnother("mount-2", "team/db"))),
			nothing, nothing, nothing,
		},
		{
			"deleted, cloud-managed: nothing", desire(plan.Deleted), with(holding(1, 2), both(looked, managed)),
			nothing, nothing, nothing,
		},
		{
			"released, there by memory: it is looked at first", desire(plan.Released), holding(1, 2),
			"look", "look", "look",
		},
		{
			"released, ours: the mark is taken off, the text stays", desire(plan.Released), with(holding(1, 2), looked),
			`describe "text"`, `describe "text"`, `describe "text"`,
		},
		{
			"released, absent: nothing", desire(plan.Released), absent,
			nothing, nothing, nothing,
		},
		{
			"released, being deleted by others: nothing", desire(plan.Released), with(holding(1, 2), both(looked, pending)),
			nothing, nothing, nothing,
		},
		{
			"released, being deleted by us: restored, then the mark is taken off", desire(plan.Released), with(holding(1, 2), both(looked, pending, scheduled)),
			`restore, describe "text"`, `restore, describe "text"`, `restore, describe "text"`,
		},
		{
			"released, without a mark: nothing", desire(plan.Released), with(holding(1, 2), both(looked, unmarked)),
			nothing, nothing, nothing,
		},
		{
			"released, of another mount: nothing", desire(plan.Released), with(holding(1, 2), both(looked, ofAnother("mount-2", "team/db"))),
			nothing, nothing, nothing,
		},
		{
			"a presence that nobody knows is refused", desire("elsewhere"), holding(1, 2),
			"refuse internal: ", "refuse internal: ", "refuse internal: ",
		},
	} {
		t.Run(c.name, c.run)
	}
}

func TestDeletionAtOnce(t *testing.T) {
	want := tencent.desire(plan.Deleted)
	want.DeleteAfter = 0
	have := with(holding(1, 2), looked)(tencent)
	if got := tencent.plan(want, have); got != "disable, delete after 0s" {
		t.Error(got)
	}
}

func TestAServiceThatCantRestore(t *testing.T) {
	s := labels
	s.can.Restores = false
	have := with(holding(1, 2), pending)(s)
	if got := s.plan(s.live(3), have); !strings.HasPrefix(got, "refuse conflict: the remote secret is being deleted") {
		t.Error(got)
	}
}
