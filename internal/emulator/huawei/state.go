// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func (k secretKey) document() string { return k.account + "/" + k.project + "/" + k.name }

// load reads the secrets that files hold.
func (s *Server) load() error {
	return s.core.Files.Each(func(_ string, body json.RawMessage) error {
		stored := new(secret)
		if err := strictUnmarshal(body, stored); err != nil {
			return fmt.Errorf("read the secret: %w", err)
		}
		s.secrets[stored.key()] = stored
		return nil
	})
}

// lookupLocked returns the secret of a key unless its deletion has fallen due;
// then it is removed for good.
func (s *Server) lookupLocked(key secretKey, now time.Time) (*secret, bool) {
	found, ok := s.secrets[key]
	if ok && found.gone(now) {
		if err := s.removeLocked(key); err != nil {
			s.core.Logger.Error("a deleted secret's file remains", "error", err)
		}
		return nil, false
	}
	return found, ok
}

// storeLocked makes next the state of its secret, in the files first.
func (s *Server) storeLocked(next *secret) error {
	if err := s.core.Files.Put(next.key().document(), next); err != nil {
		return err
	}
	s.secrets[next.key()] = next
	return nil
}

func (s *Server) removeLocked(key secretKey) error {
	if err := s.core.Files.Delete(key.document()); err != nil {
		return err
	}
	delete(s.secrets, key)
	return nil
}

// secretsLocked returns the secrets of an account in a project, ordered by name.
func (s *Server) secretsLocked(account, project string, now time.Time) []*secret {
	var list []*secret
	for _, key := range slices.Collect(maps.Keys(s.secrets)) {
		if key.account != account || key.project != project {
			continue
		}
		if found, ok := s.lookupLocked(key, now); ok {
			list = append(list, found)
		}
	}
	slices.SortFunc(list, func(a, b *secret) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Find returns a secret as it is stored. The region is the project.
func (s *Server) Find(ref emulator.Ref) (emulator.Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.lookupLocked(keyOf(ref), s.core.Clock.Now())
	if !ok {
		return emulator.Secret{}, false
	}
	return found.export(), true
}

// List returns the secrets of an account in a project, ordered by name.
func (s *Server) List(account, project string) []emulator.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.secretsLocked(keyOf(emulator.Ref{Account: account}).account, project, s.core.Clock.Now())
	list := make([]emulator.Secret, len(stored))
	for i, one := range stored {
		list[i] = one.export()
	}
	return list
}

func (s *secret) export() emulator.Secret {
	out := emulator.Secret{
		Ref:   emulator.Ref{Account: s.Account, Region: s.Project, Name: s.Name},
		State: s.State, Description: s.Description, KMSKeyID: s.KMSKeyID, Tags: maps.Clone(s.Tags),
		Created: s.Created, DeletionTime: s.DeleteAt,
	}
	if s.Type != typeCommon {
		out.Type = s.Type
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
// state ENABLED, DISABLED, FROZEN or PENDING_DELETE (with a DeletionTime), and
// version ids are v1, v2 and so on, ascending. If no version has labels, they
// are those of versions that were written one after the other.
func (s *Server) Seed(seed emulator.Secret) error {
	next, err := s.imported(seed)
	if err == nil {
		err = next.importVersions(seed.Versions, s.core.Clock.Now())
	}
	if err != nil {
		return fmt.Errorf("seed secret %q: %w", seed.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.storeLocked(next)
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
	key, now := keyOf(seed.Ref), s.core.Clock.Now()
	created := seed.Created
	if created.IsZero() {
		created = now
	}
	next := &secret{
		Account: key.account, Project: key.project, Name: key.name, ID: newUUID(),
		Type: cmp.Or(seed.Type, typeCommon), State: state, Description: seed.Description, KMSKeyID: seed.KMSKeyID,
		EnterpriseProject: defaultEnterpriseProject, Tags: maps.Clone(seed.Tags), Created: created, Updated: created, DeleteAt: seed.DeletionTime,
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
