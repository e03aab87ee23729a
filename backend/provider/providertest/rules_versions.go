// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var versionRules = []rule{
	{"putting the same version again succeeds and adds none", repeatsPut},
	{"another value under a taken version id is class conflict and changes nothing", refusesTakenID},
	{"versions are listed oldest first", ordersVersions},
	{"one version more than the service holds is refused or evicts the oldest, as the limits say", boundsVersions},
	{"where there are labels, the newest version has the one of the current", movesLabel},
	{"a deleted version is gone, and the others stay", deletesVersion},
	{"deleting an absent version is success", deletesAbsentVersion},
}

func (s *suite) needsChosenIDs() {
	s.Helper()
	if s.assignsIDs() {
		s.Skip("the service assigns version ids")
	}
}

func repeatsPut(s *suite) {
	s.needsChosenIDs()
	name, _ := s.made(s.text("first"))
	for range 3 {
		if id := s.put(name, "v2", s.text("second")); id != "v2" {
			s.Errorf("the version has id %q", id)
		}
	}
	s.put(name, "v1", s.text("first"))
	if ids := s.versionIDs(name); len(ids) != 2 {
		s.Errorf("it has the versions %v, want two", ids)
	}
}

func refusesTakenID(s *suite) {
	s.needsChosenIDs()
	name, _ := s.made(s.text("first"))
	for what, v := range map[string]provider.Value{
		"another text":                s.text("second"),
		"the same content as binary":  provider.Binary([]byte(s.text("first").Reveal())),
		"another with the same start": s.text("first and more"),
	} {
		_, err := s.PutVersion(s.ctx, name, "v1", v)
		s.fails(err, provider.ClassConflict, "put %s under a taken id", what)
	}
	s.holds(name, "v1", s.text("first"))
}

func ordersVersions(s *suite) {
	name, first := s.made(s.text("1"))
	made := []string{first}
	// Past v9, so that an order by text shows.
	for i := 2; i <= 10; i++ {
		s.tick()
		made = append(made, s.put(name, fmt.Sprintf("v%d", i), s.text(strconv.Itoa(i))))
	}
	versions, err := s.Versions(s.ctx, name)
	s.noError(err, "list the versions")
	listed := make([]string, 0, len(versions))
	for i, v := range versions {
		listed = append(listed, v.ID)
		if v.CreatedTime.IsZero() {
			s.Errorf("version %s has no time", v.ID)
		}
		if i > 0 && v.CreatedTime.Before(versions[i-1].CreatedTime) {
			s.Errorf("version %s is listed after the newer %s", v.ID, versions[i-1].ID)
		}
	}
	if !slices.Equal(listed, made) {
		s.Errorf("listed are %v, made were %v", listed, made)
	}
}

func boundsVersions(s *suite) {
	limit := s.Kind.Limits.Versions
	s.can(limit > 0, "a limit of versions")
	name, first := s.made(s.text("1"))
	for i := 2; i <= limit; i++ {
		s.tick()
		s.put(name, fmt.Sprintf("v%d", i), s.text(strconv.Itoa(i)))
	}
	s.tick()
	_, err := s.PutVersion(s.ctx, name, s.id("one-more"), s.text("one more"))
	if s.Kind.Limits.EvictsVersions {
		s.noError(err, "put one version more")
	} else {
		s.fails(err, provider.ClassLimit, "put one version more")
	}
	ids := s.versionIDs(name)
	if len(ids) != limit {
		s.Errorf("it has %d versions, the limit is %d", len(ids), limit)
	}
	if slices.Contains(ids, first) == s.Kind.Limits.EvictsVersions {
		s.Errorf("the versions are %v; whether %s is there contradicts the limits", ids, first)
	}
}

func movesLabel(s *suite) {
	name, first := s.made(s.text("1"))
	labels := s.labels(name)
	s.can(len(labels[first]) > 0, "labels")
	current := labels[first][0]
	second := s.put(name, "v2", s.text("2"))
	labels = s.labels(name)
	if !slices.Contains(labels[second], current) || slices.Contains(labels[first], current) {
		s.Errorf("the label %s should be at %s alone: %v", current, second, labels)
	}
}

func (s *suite) labels(name string) map[string][]string {
	s.Helper()
	versions, err := s.Versions(s.ctx, name)
	s.noError(err, "list the versions")
	labels := map[string][]string{}
	for _, v := range versions {
		labels[v.ID] = v.Labels
	}
	return labels
}

func deletesVersion(s *suite) {
	deleter := ability[provider.VersionDeleter](s)
	name, first := s.made(s.text("first"))
	second := s.put(name, "v2", s.text("second"))
	for range 2 {
		s.noError(deleter.DeleteVersion(s.ctx, name, first), "delete the first version")
	}
	_, err := s.Read(s.ctx, name, first)
	s.fails(err, provider.ClassNotFound, "read the deleted version")
	s.holds(name, second, s.text("second"))
	if ids := s.versionIDs(name); !slices.Equal(ids, []string{second}) {
		s.Errorf("it has the versions %v, want %s alone", ids, second)
	}

	s.noError(deleter.DeleteVersion(s.ctx, name, second), "delete the last version")
	if ids := s.versionIDs(name); len(ids) != 0 {
		s.Errorf("it has the versions %v, want none", ids)
	}
	s.hasState(name, provider.StateEnabled)
}

func deletesAbsentVersion(s *suite) {
	deleter := ability[provider.VersionDeleter](s)
	name, id := s.made(s.text("first"))
	s.noError(deleter.DeleteVersion(s.ctx, name, "v9"), "delete an absent version")
	s.holds(name, id, s.text("first"))
}
