// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// The states of a secret, in the service's words. No operation leads to
// DISABLED or FROZEN; secrets can be seeded in them.
const (
	stateEnabled       = "ENABLED"
	stateDisabled      = "DISABLED"
	statePendingDelete = "PENDING_DELETE"
	stateFrozen        = "FROZEN"
)

// typeCommon is a secret whose values callers write. The others are managed by
// the service.
const typeCommon = "COMMON"

// The stages that the service has for every secret.
const (
	stageCurrent  = "SYSCURRENT"
	stagePrevious = "SYSPREVIOUS"
)

// secret is a secret as it is stored, also in files. It is replaced and never
// changed, so that an answer can be made from it without a lock.
type secret struct {
	Account, Project, Name string

	ID                string // a UUID; tags are addressed by it
	Type              string
	State             string
	StateBefore       string // of a secret that is PENDING_DELETE
	Description       string
	KMSKeyID          string // for new versions; "" for the default key
	EnterpriseProject string
	Events            []string
	Rotation          rotation
	Tasks             []task // in the order they were begun
	Tags              map[string]string
	Versions          []version // in the order they were made
	LastVersion       int       // the highest number that was ever given
	Stages            []stage   // each name once
	Created, Updated  time.Time
	DeleteAt          time.Time // when the secret vanishes, if it is PENDING_DELETE
}

type version struct {
	Number   int
	Value    []byte // as the caller meant it, decoded
	Binary   bool
	KMSKeyID string // that encrypted it, "" for the default key
	Created  time.Time
	Expires  time.Time // zero for never
}

// stage marks one version.
type stage struct {
	Name    string
	Version int
	Moved   time.Time
}

// Ref names the secret.
func (s *secret) Ref() emulator.Ref {
	return emulator.Ref{Account: s.Account, Region: s.Project, Name: s.Name}
}

// copy returns a secret to be changed.
func (s *secret) copy() *secret {
	next := *s
	next.Versions = slices.Clone(s.Versions)
	next.Stages = slices.Clone(s.Stages)
	next.Tags = maps.Clone(s.Tags)
	next.Tasks = slices.Clone(s.Tasks)
	return &next
}

// Gone tells whether the secret's deletion has happened by now.
func (s *secret) Gone(now time.Time) bool { return !s.DeleteAt.IsZero() && !now.Before(s.DeleteAt) }

// find returns the position of a version, -1 if it is absent.
func (s *secret) find(number int) int {
	return slices.IndexFunc(s.Versions, func(v version) bool { return v.Number == number })
}

// stage returns the stage of a name.
func (s *secret) stage(name string) (stage, bool) {
	i := slices.IndexFunc(s.Stages, func(one stage) bool { return one.Name == name })
	if i < 0 {
		return stage{}, false
	}
	return s.Stages[i], true
}

// stagesOf lists the names of a version's stages.
func (s *secret) stagesOf(number int) []string {
	names := []string{}
	for _, one := range s.Stages {
		if one.Version == number {
			names = append(names, one.Name)
		}
	}
	return names
}

// move lets a stage mark a version, whichever it marked before.
func (s *secret) move(name string, number int, now time.Time) {
	s.Stages = slices.DeleteFunc(s.Stages, func(one stage) bool { return one.Name == name })
	s.Stages = append(s.Stages, stage{name, number, now})
}

// dropUnstaged removes versions without a stage, oldest first, until limit are
// left or all have one.
func (s *secret) dropUnstaged(limit int) {
	excess := len(s.Versions) - limit
	s.Versions = slices.DeleteFunc(s.Versions, func(v version) bool {
		if excess <= 0 || len(s.stagesOf(v.Number)) > 0 {
			return false
		}
		excess--
		return true
	})
}

// versionID is a version's number in the form of the API.
func versionID(number int) string { return "v" + strconv.Itoa(number) }

// versionNumber reads a version id, of which there is one spelling.
func versionNumber(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, "v")
	number, err := strconv.Atoi(digits)
	return number, ok && err == nil && number > 0 && versionID(number) == id
}
