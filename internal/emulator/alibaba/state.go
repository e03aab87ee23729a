// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// States as inspection shows them; the service has no words for them.
const (
	stateActive          = "Active"
	statePendingDeletion = "PendingDeletion"
)

// Export is the secret as tests see it.
func (s *secret) Export() emulator.Secret {
	out := emulator.Secret{
		Ref:   s.Ref(),
		State: stateActive, Description: s.Description, KMSKeyID: s.KMSKeyID, Instance: s.Instance, Tags: maps.Clone(s.Tags),
		Created: s.Created, DeletionTime: s.ShownDeleteAt,
	}
	if s.pendingDeletion() {
		out.State = statePendingDeletion
	}
	if s.Type != typeGeneric {
		out.Type = s.Type
	}
	for _, v := range s.Versions {
		exported := emulator.Version{ID: v.ID, Created: v.Created, Labels: s.labelsOf(v.ID)}
		if v.Binary {
			exported.Binary = []byte(v.Data)
		} else {
			exported.Text = v.Data
		}
		out.Versions = append(out.Versions, exported)
	}
	return out
}

// Seed stores a secret as somebody else would have made it. Type is "" or
// "Generic", or a managed type such as "Rds". State is "" or "Active", or
// "PendingDeletion" with a DeletionTime. When no version has a label, the last
// is ACSCurrent and the one before is ACSPrevious.
func (s *Server) Seed(seed emulator.Secret) error {
	next, err := s.imported(seed)
	if err != nil {
		return fmt.Errorf("seed secret %q: %w", seed.Name, err)
	}
	s.secrets.Lock()
	defer s.secrets.Unlock()
	if next.Managed != nil {
		s.managed[next.Ref()] = true
	}
	return s.secrets.PutLocked(next)
}

func (s *Server) imported(seed emulator.Secret) (*secret, error) {
	kind := cmp.Or(seed.Type, typeGeneric)
	state := cmp.Or(seed.State, stateActive)
	switch {
	case kind != typeGeneric && managedTypes[kind].subTypes == nil:
		return nil, fmt.Errorf("type %q: it must be Generic or one of %v", seed.Type, typeNames())
	case state != stateActive && state != statePendingDeletion:
		return nil, fmt.Errorf("state %q: it must be Active or PendingDeletion", state)
	case (state == statePendingDeletion) == seed.DeletionTime.IsZero():
		return nil, fmt.Errorf("state %s: deletion_time belongs to PendingDeletion", state)
	case !slices.Contains(s.regions, seed.Region):
		return nil, fmt.Errorf("region %q isn't one of %v", seed.Region, s.regions)
	case !nameForm.MatchString(seed.Name):
		return nil, errors.New("the name isn't a legal one")
	}
	ref, now := seed.WithAccount(), s.Clock().Now()
	created := timeOr(seed.Created, now)
	next := &secret{
		Account: ref.Account, Region: ref.Region, Name: ref.Name, Type: kind, Description: seed.Description,
		KMSKeyID: seed.KMSKeyID, Instance: seed.Instance, Tags: maps.Clone(seed.Tags), Labels: make(map[string]string),
		Created: created, Updated: created, DeleteAt: seed.DeletionTime, ShownDeleteAt: seed.DeletionTime,
	}
	if kind != typeGeneric {
		next.Managed = &managed{Config: map[string]any{}}
	}
	if err := next.importVersions(seed.Versions, now); err != nil {
		return nil, err
	}
	return next, nil
}

func (s *secret) importVersions(seeds []emulator.Version, now time.Time) error {
	for _, seed := range seeds {
		if _, twice := s.find(seed.ID); twice || seed.ID == "" {
			return fmt.Errorf("version %q: each needs an id of its own", seed.ID)
		}
		v := version{ID: seed.ID, Data: seed.Text, Created: timeOr(seed.Created, now)}
		if seed.Binary != nil {
			v.Data, v.Binary = string(seed.Binary), true
		}
		s.Versions = append(s.Versions, v)
		for _, label := range seed.Labels {
			if _, twice := s.Labels[label]; twice {
				return fmt.Errorf("label %q: it can mark one version only", label)
			}
			s.Labels[label] = v.ID
		}
	}
	if n := len(s.Versions); len(s.Labels) == 0 && n > 0 {
		if n > 1 {
			s.Labels[labelPrevious] = s.Versions[n-2].ID
		}
		s.Labels[labelCurrent] = s.Versions[n-1].ID
	}
	return nil
}

func timeOr(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
