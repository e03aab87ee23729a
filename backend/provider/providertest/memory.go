// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Labels of a [Model] with Labels set.
const (
	LabelCurrent  = "Current"
	LabelPrevious = "Previous"
)

// Model says what kind of service a [Memory] plays. The zero Model lacks every
// ability and lets the caller choose version ids.
type Model struct {
	Type      string // of the Kind; "" for "memory"
	Abilities provider.Abilities

	// AssignsIDs makes the service number the versions itself: "1", "2", ...
	AssignsIDs bool
	// Labels makes the service keep LabelCurrent on the newest version and
	// LabelPrevious on the one before.
	Labels bool
	// EvictsVersions drops the oldest version instead of refusing one too many.
	EvictsVersions bool
	// Quotas are documented for the service, and counted by access key id; their
	// operations are the Op constants. It doesn't enforce them.
	Quotas []provider.Quota
}

// Overwriting plays a service like Tencent's: every ability, no labels, and a
// fixed id for the current value.
func Overwriting() Model {
	return Model{Abilities: provider.Abilities{Overwrites: true, DeletesVersions: true, Switches: true, Restores: true, ChangesTags: true}}
}

// LabelMoving plays a service like Alibaba's: callers choose ids, a label says
// which version is current, and old versions go by themselves.
func LabelMoving() Model {
	return Model{Labels: true, EvictsVersions: true, Abilities: provider.Abilities{Restores: true, MovesCurrent: true, ChangesTags: true}}
}

// IDAssigning plays a service like Huawei's: as LabelMoving, with ids of its own
// and keys that can be changed.
func IDAssigning() Model {
	m := LabelMoving()
	m.AssignsIDs = true
	m.Abilities.ChangesKey = true
	return m
}

// Memory is a cloud in memory. Its secrets outlive the destinations opened on
// it, so that a test can restart the engine. Each region is an account of its
// own. Safe for concurrent use.
type Memory struct {
	model Model

	mu      sync.Mutex
	regions map[string]*Region // by name
}

// NewMemory returns an empty cloud that works as model says.
func NewMemory(model Model) *Memory {
	if model.Type == "" {
		model.Type = "memory"
	}
	return &Memory{model: model, regions: map[string]*Region{}}
}

// Kind opens destinations on this cloud. Region, access key id and secret must
// be set; any are accepted unless [Region.Accept] says otherwise.
func (m *Memory) Kind() provider.Kind {
	kind := provider.Kind{
		Type:   m.model.Type,
		Title:  "in-memory cloud",
		Limits: m.limits(),

		Quotas:  func(provider.Config) []provider.Quota { return slices.Clone(m.model.Quotas) },
		Account: func(c provider.Config) string { return c.AccessKeyID },
		Open:    m.open,

		Prototype:   withAbilities(&destination{}, m.model.Abilities),
		Credentials: m.model.products(),
	}
	if m.model.Abilities.Overwrites {
		kind.CurrentVersionID = "SSM_Current"
	}
	if m.model.Labels {
		kind.CurrentLabel = LabelCurrent
	}
	return kind
}

func (m *Memory) limits() provider.Limits {
	limits := provider.Limits{
		Name:             provider.NameRule{MaxBytes: 128, Punctuation: "_-", FirstAlphanumeric: true},
		VersionIDBytes:   64,
		ValueBytes:       32 << 10,
		Versions:         10,
		EvictsVersions:   m.model.EvictsVersions,
		DescriptionBytes: 2048,
		Tags: provider.TagRule{
			Max: 50, KeyChars: 127, ValueChars: 255,
			Punctuation: "+-=._:/@()[],;><", ReservedPrefixes: []string{"reserved:"},
		},
		Window: provider.WindowRule{MinDays: 1, MaxDays: 30, DefaultDays: 30, Immediate: true},
	}
	if m.model.AssignsIDs {
		limits.VersionIDBytes = 0
	}
	return limits
}

func (m *Memory) open(c provider.Config) (provider.Destination, error) {
	for _, required := range []struct{ name, value string }{
		{"region", c.Region},
		{"access_key_id", c.AccessKeyID},
		{"access_key_secret", c.AccessKeySecret.Reveal()},
	} {
		if required.value == "" {
			return nil, &provider.Error{Class: provider.ClassInvalid, Message: required.name + " is empty"}
		}
	}
	d := &destination{region: m.Region(c.Region), keyID: c.AccessKeyID, keySecret: c.AccessKeySecret, gate: c.Gate}
	return withAbilities(d, m.model.Abilities), nil
}

// Region returns the account behind destinations with that region, empty at
// first.
func (m *Memory) Region(name string) *Region {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.regions[name]
	if !ok {
		r = &Region{
			model:       m.model,
			limits:      m.limits(),
			secrets:     map[string]*Stored{},
			refusedKeys: map[string]bool{},
			now:         time.Now,
			tasks:       map[string]*credentialTask{},
			accounts:    map[string]bool{},
		}
		m.regions[name] = r
	}
	return r
}

// Region is one account and region of a [Memory]: what it stores, what it
// answers, and what it was asked. Safe for concurrent use.
type Region struct {
	faults faults
	model  Model
	limits provider.Limits

	mu          sync.Mutex
	secrets     map[string]*Stored // by name
	refusedKeys map[string]bool    // KMS key ids
	tagsError   *provider.Error
	keyID       string // with keySecret, the only credentials accepted; "" for any
	keySecret   sensitive.String
	lastID      int // of the ids given by this service
	now         func() time.Time

	tasks     map[string]*credentialTask // by id
	accounts  map[string]bool            // that credentials give access with
	taskTime  time.Duration              // how long tasks take
	taskFault string                     // why the next task fails, "" if it doesn't
}

// Stored is a secret as the cloud holds it.
type Stored struct {
	provider.Secret
	Tags     map[string]string
	Versions []StoredVersion // oldest first
	// Credential is set for what CreateCredential made.
	Credential *StoredCredential
}

// StoredVersion is a version with its value.
type StoredVersion struct {
	provider.Version
	Value provider.Value
}

// Version returns the version with that id.
func (s Stored) Version(id string) (StoredVersion, bool) {
	i := s.index(id)
	if i < 0 {
		return StoredVersion{}, false
	}
	return s.Versions[i], true
}

func (s Stored) index(id string) int {
	return slices.IndexFunc(s.Versions, func(v StoredVersion) bool { return v.ID == id })
}

func (s Stored) clone() Stored {
	s.Tags = maps.Clone(s.Tags)
	s.Credential = s.Credential.clone()
	s.Versions = slices.Clone(s.Versions)
	for i := range s.Versions {
		s.Versions[i].Labels = slices.Clone(s.Versions[i].Labels)
	}
	return s
}

// Secret returns a copy of what is stored under name.
func (r *Region) Secret(name string) (Stored, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireLocked()
	s, ok := r.secrets[name]
	if !ok {
		return Stored{}, false
	}
	return s.clone(), true
}

// Names returns the names of all secrets, sorted.
func (r *Region) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireLocked()
	return slices.Sorted(maps.Keys(r.secrets))
}

// Seed stores a secret as if somebody else had made or changed it. Name must
// be set; an unset State means enabled.
func (r *Region) Seed(s Stored) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.State == "" {
		s.State = provider.StateEnabled
	}
	if s.CreatedTime.IsZero() {
		s.CreatedTime = r.now()
	}
	kept := s.clone()
	r.secrets[s.Name] = &kept
}

// Remove deletes a secret as if somebody else had done it.
func (r *Region) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.secrets, name)
}

// Accept makes every call with other credentials fail with class Auth.
func (r *Region) Accept(keyID, keySecret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keyID, r.keySecret = keyID, sensitive.NewString(keySecret)
}

// RefuseKey makes checks of that KMS key, and creations under it, fail with class
// KMS.
func (r *Region) RefuseKey(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusedKeys[id] = true
}

// FailTags makes creations succeed without their tags, with err as
// Created.TagsError; nil ends it.
func (r *Region) FailTags(err *provider.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tagsError = err
}

// SetClock replaces the clock, by which scheduled deletions fall due.
func (r *Region) SetClock(now func() time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

func (r *Region) expireLocked() {
	now := r.now()
	r.advanceCredentialsLocked(now)
	maps.DeleteFunc(r.secrets, func(_ string, s *Stored) bool {
		return s.State == provider.StatePendingDeletion && !s.DeletionTime.After(now)
	})
}
