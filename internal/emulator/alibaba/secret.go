// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// The stage labels that the service moves by itself.
const (
	labelCurrent  = "ACSCurrent"
	labelPrevious = "ACSPrevious"
)

// typeGeneric is a secret whose values callers write.
const typeGeneric = "Generic"

// secret is a secret as it is stored, also in files. It is replaced and never
// changed, so that an answer can be made from it without a lock.
type secret struct {
	Account, Region, Name string

	Type        string
	Description string
	KMSKeyID    string // "" for the default key
	Instance    string // KMS instance, "" for none
	Tags        map[string]string
	Versions    []version         // in the order they were made
	Labels      map[string]string // version ids by stage label: a label marks one version
	Evicted     []string          // ids of versions that had to go
	Created     time.Time
	Updated     time.Time
	Managed     *managed `json:",omitempty"` // nil for a generic one

	// DeleteAt is when the secret vanishes, and ShownDeleteAt what callers are
	// told; they differ when a deletion at once lags.
	DeleteAt, ShownDeleteAt time.Time
}

type version struct {
	ID      string
	Data    string // as the caller sent it: the service doesn't decode binary values
	Binary  bool   // SecretDataType is binary
	Created time.Time
}

// Ref names the secret.
func (s *secret) Ref() emulator.Ref {
	return emulator.Ref{Account: s.Account, Region: s.Region, Name: s.Name}
}

func (s *secret) arn() string {
	return "acs:kms:" + s.Region + ":" + s.Account + ":secret/" + s.Name
}

// copy returns a secret to be changed.
func (s *secret) copy() *secret {
	next := *s
	next.Versions, next.Evicted = slices.Clone(s.Versions), slices.Clone(s.Evicted)
	next.Labels, next.Tags = maps.Clone(s.Labels), maps.Clone(s.Tags)
	if s.Managed != nil {
		next.Managed = s.Managed.copy()
	}
	if next.Labels == nil {
		next.Labels = make(map[string]string)
	}
	if next.Tags == nil {
		next.Tags = make(map[string]string)
	}
	return &next
}

// find returns the version with that id.
func (s *secret) find(id string) (version, bool) {
	for _, v := range s.Versions {
		if v.ID == id {
			return v, true
		}
	}
	return version{}, false
}

// labelled returns the version that a stage label marks.
func (s *secret) labelled(label string) (version, bool) {
	id, ok := s.Labels[label]
	if !ok {
		return version{}, false
	}
	return s.find(id)
}

// labelsOf returns the stage labels of a version, in order.
func (s *secret) labelsOf(id string) []string {
	labels := []string{}
	for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
		if s.Labels[label] == id {
			labels = append(labels, label)
		}
	}
	return labels
}

// mark moves a stage label to a version. The version that was current becomes
// the previous one.
func (s *secret) mark(label, id string) {
	was, had := s.Labels[label]
	s.Labels[label] = id
	if label == labelCurrent && had && was != id {
		s.Labels[labelPrevious] = was
	}
}

// evict removes the oldest versions without a label until limit are left.
func (s *secret) evict(limit int) {
	for len(s.Versions) > limit {
		i := slices.IndexFunc(s.Versions, func(v version) bool { return len(s.labelsOf(v.ID)) == 0 })
		if i < 0 {
			return // can't be: there are fewer labels than versions
		}
		s.Evicted = append(s.Evicted, s.Versions[i].ID)
		s.Versions = slices.Delete(s.Versions, i, i+1)
	}
}

// pendingDeletion tells whether the secret is to be deleted.
func (s *secret) pendingDeletion() bool { return !s.DeleteAt.IsZero() }

// Gone tells whether the secret's deletion has happened by now.
func (s *secret) Gone(now time.Time) bool { return s.pendingDeletion() && !now.Before(s.DeleteAt) }
