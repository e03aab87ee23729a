// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Export is the secret as tests see it.
func (s *secret) Export() emulator.Secret {
	out := emulator.Secret{
		Ref:   s.Ref(),
		State: s.State, Description: s.Description, KMSKeyID: s.KMSKeyID, Tags: maps.Clone(s.Tags),
		Created: s.Created, DeletionTime: s.DeleteAt,
	}
	if s.Type != typeCommon {
		out.Type = s.Type
		settings, _ := s.Rotation.config()
		out.Instance = cmp.Or(settings.Instance, settings.Legacy)
	}
	for _, v := range s.Versions {
		exported := emulator.Version{ID: versionID(v.Number), Created: v.Created, Labels: s.stagesOf(v.Number)}
		if v.Binary {
			exported.Binary = slices.Clone(v.Value)
		} else {
			exported.Text = string(v.Value)
		}
		out.Versions = append(out.Versions, exported)
	}
	return out
}

// Seed stores a secret as somebody else would have made it, with a new id. The
// region is the project, the type any of the service's ("" for COMMON), the
// state ENABLED, DISABLED, FROZEN or PENDING_DELETE (with a DeletionTime), the
// instance that of a database, and version ids are v1, v2 and so on, ascending. If no version has labels, they
// are those of versions that were written one after the other.
func (s *Server) Seed(seed emulator.Secret) error {
	next, err := s.imported(seed)
	if err == nil {
		err = next.importVersions(seed.Versions, s.Clock().Now())
	}
	if err != nil {
		return fmt.Errorf("seed secret %q: %w", seed.Name, err)
	}
	return s.secrets.Put(next)
}

func (s *Server) imported(seed emulator.Secret) (*secret, error) {
	state := cmp.Or(seed.State, stateEnabled)
	switch {
	case !slices.Contains([]string{stateEnabled, stateDisabled, stateFrozen, statePendingDelete}, state):
		return nil, fmt.Errorf("state %q: it must be ENABLED, DISABLED, FROZEN or PENDING_DELETE", state)
	case (state == statePendingDelete) == seed.DeletionTime.IsZero():
		return nil, fmt.Errorf("state %s: deletion_time belongs to PENDING_DELETE", state)
	case !slices.Contains(s.projects, seed.Region):
		return nil, fmt.Errorf("region %q isn't one of the projects %v", seed.Region, s.projects)
	case !dottedNameForm.MatchString(seed.Name):
		return nil, errors.New("the name isn't a legal one")
	}
	ref, now := seed.WithAccount(), s.Clock().Now()
	created := seed.Created
	if created.IsZero() {
		created = now
	}
	next := &secret{
		Account: ref.Account, Project: ref.Region, Name: ref.Name, ID: newUUID(),
		Type: cmp.Or(seed.Type, typeCommon), State: state, Description: seed.Description, KMSKeyID: seed.KMSKeyID,
		EnterpriseProject: defaultEnterpriseProject, Tags: maps.Clone(seed.Tags), Created: created, Updated: created, DeleteAt: seed.DeletionTime,
	}
	if seed.Instance != "" && next.Type != typeCommon {
		next.Rotation = seededRotation(next.Type, seed.Instance)
	}
	if state == statePendingDelete {
		next.StateBefore = stateEnabled
	}
	return next, nil
}

func (s *secret) importVersions(versions []emulator.Version, now time.Time) error {
	labelled := slices.ContainsFunc(versions, func(v emulator.Version) bool { return len(v.Labels) > 0 })
	for i, v := range versions {
		number, ok := versionNumber(v.ID)
		if !ok || number <= s.LastVersion {
			return fmt.Errorf("version %q: ids are v1, v2 and so on, ascending", v.ID)
		}
		next := version{Number: number, Value: []byte(v.Text), KMSKeyID: s.KMSKeyID, Created: v.Created}
		if v.Binary != nil {
			next.Binary, next.Value = true, slices.Clone(v.Binary)
		}
		if next.Created.IsZero() {
			next.Created = now
		}
		s.Versions, s.LastVersion = append(s.Versions, next), number
		labels := v.Labels
		switch {
		case !labelled && i == len(versions)-1:
			labels = []string{stageCurrent}
		case !labelled && i == len(versions)-2:
			labels = []string{stagePrevious}
		}
		for _, label := range labels {
			s.move(label, number, next.Created)
		}
	}
	return nil
}

// newUUID returns an id like those of secrets.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return uuidOf(b[:])
}

// defaultKeyID is the key csms/default that the service makes in a project.
func defaultKeyID(project string) string {
	d := sha256.Sum256([]byte("csms/default of " + project))
	return uuidOf(d[:16])
}

func uuidOf(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
