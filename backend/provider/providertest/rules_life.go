// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var lifeRules = []rule{
	{"a disabled secret can't be read, and an enabled one can again", switches},
	{"a disabled secret takes new versions and descriptions", writesDisabled},
	{"an enabled secret is not deleted where it has to be disabled first", refusesDeletingEnabled},
	{"a deletion with a window can be seen with its time", schedulesDeletion},
	{"a secret pending deletion can neither be read nor written, and holds its name", guardsPending},
	{"deleting twice is success and keeps the time", deletesTwice},
	{"a scheduled deletion falls due", fallsDue},
	{"a restored secret is back with its versions", restores},
	{"restoring what isn't deleted is success", restoresLive},
	{"a secret deleted at once is gone, and its name is free", deletesAtOnce},
}

func switches(s *suite) {
	switcher := ability[provider.Switcher](s)
	name, id := s.made(s.text("1"))
	for range 2 {
		s.noError(switcher.Disable(s.ctx, name), "disable")
		s.hasState(name, provider.StateDisabled)
	}
	_, err := s.Read(s.ctx, name, id)
	s.fails(err, provider.ClassConflict, "read a disabled secret")
	for range 2 {
		s.noError(switcher.Enable(s.ctx, name), "enable")
		s.hasState(name, provider.StateEnabled)
	}
	s.holds(name, id, s.text("1"))
}

func writesDisabled(s *suite) {
	switcher := ability[provider.Switcher](s)
	name, _ := s.made(s.text("1"))
	s.noError(switcher.Disable(s.ctx, name), "disable")
	second := s.put(name, "v2", s.text("2"))
	s.noError(s.SetDescription(s.ctx, name, "withdrawn"), "set the description")
	if got := s.hasState(name, provider.StateDisabled); got.Description != "withdrawn" {
		s.Errorf("the description is %q", got.Description)
	}
	s.noError(switcher.Enable(s.ctx, name), "enable")
	s.holds(name, second, s.text("2"))
}

func refusesDeletingEnabled(s *suite) {
	ability[provider.Switcher](s)
	name, id := s.made(s.text("1"))
	s.fails(s.Delete(s.ctx, name, s.window()), provider.ClassConflict, "delete an enabled secret")
	s.hasState(name, provider.StateEnabled)
	s.holds(name, id, s.text("1"))
}

func schedulesDeletion(s *suite) {
	name, _ := s.made(s.text("1"))
	created := s.described(name).CreatedTime
	s.schedule(name)
	got := s.hasState(name, provider.StatePendingDeletion)
	// Clocks differ and services round, but not by more than a day.
	due, tolerance := created.Add(s.window()), provider.Days(1)
	if got.DeletionTime.Before(due.Add(-tolerance)) || got.DeletionTime.After(due.Add(tolerance)) {
		s.Errorf("it falls due at %v, want about %v", got.DeletionTime, due)
	}
}

func guardsPending(s *suite) {
	name, id := s.made(s.text("1"))
	s.schedule(name)
	_, err := s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v1"), Value: s.text("1")})
	s.fails(err, provider.ClassExists, "create the name")
	if _, err = s.Read(s.ctx, name, id); err != nil || !s.ReadsPending {
		s.fails(err, provider.ClassConflict, "read")
	}
	_, err = s.PutVersion(s.ctx, name, s.id("v2"), s.text("2"))
	s.fails(err, provider.ClassConflict, "put a version")
	s.fails(s.SetDescription(s.ctx, name, "x"), provider.ClassConflict, "set the description")
	if overwriter, ok := s.Destination.(provider.Overwriter); ok {
		s.fails(overwriter.Overwrite(s.ctx, name, id, s.text("2")), provider.ClassConflict, "overwrite")
	}
	if switcher, ok := s.Destination.(provider.Switcher); ok {
		s.fails(switcher.Enable(s.ctx, name), provider.ClassConflict, "enable")
		s.fails(switcher.Disable(s.ctx, name), provider.ClassConflict, "disable")
	}
	s.hasState(name, provider.StatePendingDeletion)
}

func deletesTwice(s *suite) {
	name, _ := s.made(s.text("1"))
	s.schedule(name)
	before := s.described(name)
	s.tick()
	s.noError(s.Delete(s.ctx, name, s.window()), "delete again")
	if after := s.hasState(name, provider.StatePendingDeletion); !after.DeletionTime.Equal(before.DeletionTime) {
		s.Errorf("the deletion moved from %v to %v", before.DeletionTime, after.DeletionTime)
	}
	s.noError(s.Delete(s.ctx, s.name(), s.window()), "delete an absent secret")
}

func fallsDue(s *suite) {
	s.can(s.Expire != nil, "moving the clock")
	name, _ := s.made(s.text("1"))
	s.schedule(name)
	s.Expire()
	s.isAbsent(name)
}

func restores(s *suite) {
	restorer := ability[provider.Restorer](s)
	name, first := s.made(s.text("1"))
	second := s.put(name, "v2", s.text("2"))
	s.schedule(name)
	for range 2 {
		s.noError(restorer.Restore(s.ctx, name), "restore")
		if got := s.hasState(name, s.restoredState()); !got.DeletionTime.IsZero() {
			s.Errorf("a deletion is still set for %v", got.DeletionTime)
		}
	}
	if switcher, ok := s.Destination.(provider.Switcher); ok {
		s.noError(switcher.Enable(s.ctx, name), "enable")
	}
	s.holds(name, first, s.text("1"))
	s.holds(name, second, s.text("2"))
}

// restoredState: a service with switches restores as disabled.
func (s *suite) restoredState() provider.State {
	if _, ok := s.Destination.(provider.Switcher); ok {
		return provider.StateDisabled
	}
	return provider.StateEnabled
}

func restoresLive(s *suite) {
	restorer := ability[provider.Restorer](s)
	name, id := s.made(s.text("1"))
	s.noError(restorer.Restore(s.ctx, name), "restore an enabled secret")
	s.hasState(name, provider.StateEnabled)
	s.holds(name, id, s.text("1"))
}

func deletesAtOnce(s *suite) {
	s.can(s.Kind.Limits.Window.Immediate, "deleting at once")
	name, _ := s.made(s.text("old"))
	s.disable(name)
	for range 2 {
		s.noError(s.Delete(s.ctx, name, 0), "delete at once")
		s.isAbsent(name)
	}
	created, err := s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v1"), Value: s.text("new")})
	s.noError(err, "create the name again")
	s.hasState(name, provider.StateEnabled)
	s.holds(name, created.VersionID, s.text("new"))
}
