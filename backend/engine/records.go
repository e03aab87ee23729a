// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/record"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// The kinds of records, all that the engine stores beside the KV v2 store:
//
//	mount                            identity of the mount and its hashing key
//	config                           settings of the mount
//	lease                            when this was last known to be the active node
//	place                            path and accessor of the mount, as of the first write
//	rule/<name>                      a rule
//	destination/<type>/<name>        settings and credentials of a destination
//	secret/<id of name>              settings and mapping of a secret
//	managed/<id of name>             what is wanted and known of a managed credential
//	pending/<page>                   marks: which secrets may have replicas out of sync
//	brake/<type>/<name>              what a destination lost in the last hour
//	verification/<type>/<name>       how far the verification of a destination's replicas has come
//	claim/<type>/<name>/<id of remote name>
//	                                 which secret owns a remote name
//	job/<id>, jobreport/<id>/<page>  long work and what came of it
//
// An id is a keyed hash, so that storage keys have one length and tell nothing.
var (
	mounts       = record.Kind[mountRecord]{Prefix: "mount", Sealed: true, Version: 1}
	configs      = record.Kind[Config]{Prefix: "config", Version: 1}
	leases       = record.Kind[leaseRecord]{Prefix: "lease", Version: 1}
	places       = record.Kind[placeRecord]{Prefix: "place", Version: 1}
	rules        = record.Kind[ruleRecord]{Prefix: "rule/", Version: 1}
	destinations = record.Kind[destinationRecord]{Prefix: "destination/", Sealed: true, Version: 1}
	secrets      = record.Kind[Secret]{Prefix: "secret/", Version: 1}
	pendings     = record.Kind[pendingRecord]{Prefix: "pending/", Version: 1}
	rounds       = record.Kind[roundRecord]{Prefix: "verification/", Version: 1}
	claims       = record.Kind[claimRecord]{Prefix: "claim/", Version: 1}
	brakes       = record.Kind[brakeRecord]{Prefix: "brake/", Version: 1}
)

// SealWrapPaths are the storage paths that Vault should wrap with the seal.
func SealWrapPaths() []string {
	var paths []string
	for _, path := range []string{
		mounts.SealWrapPath(), configs.SealWrapPath(), destinations.SealWrapPath(),
		secrets.SealWrapPath(), places.SealWrapPath(), leases.SealWrapPath(), rules.SealWrapPath(), pendings.SealWrapPath(), claims.SealWrapPath(),
		brakes.SealWrapPath(),
		rounds.SealWrapPath(),
		jobRecords.SealWrapPath(), jobReports.SealWrapPath(),
		managed.SealWrapPath(),
	} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

type mountRecord struct {
	ID  string `json:"id"`
	Key []byte `json:"key"` // of ids and digests
}

// id is the storage id of a secret's or remote secret's name.
func (m mountRecord) id(name string) string {
	mac := hmac.New(sha256.New, m.Key)
	mac.Write([]byte("name\x00" + name))
	return hex.EncodeToString(mac.Sum(nil)[:20])
}

// digestKey keys the hashes of values; it differs from the one of ids.
func (m mountRecord) digestKey() []byte {
	mac := hmac.New(sha256.New, m.Key)
	mac.Write([]byte("digest"))
	return mac.Sum(nil)
}

// placeRecord is where the mount was when it was first written to. Remote names
// may be made of it, so it doesn't follow when the mount is moved.
type placeRecord struct {
	MountPath     string `json:"mount_path"`
	MountAccessor string `json:"mount_accessor"`
}

type leaseRecord struct {
	Time time.Time `json:"time"`
}

// ruleRecord is a rule and, while its last change isn't yet applied to all
// secrets, what it was before.
type ruleRecord struct {
	rule.Rule
	Sweep *ruleSweep `json:"sweep,omitempty"`
	// Deleted is set while the secrets of a deleted rule are looked through.
	Deleted bool `json:"deleted,omitempty"`
}

// ruleSweep is a change of a rule that isn't yet applied to all secrets.
type ruleSweep struct {
	Before []rule.Rule `json:"before,omitempty"` // each that was in force since all secrets were looked through
	Since  time.Time   `json:"since"`
	By     Cause       `json:"by,omitzero"` // of the last change
	// Deletes tells of each of Before whether the change of it asked to delete what
	// it takes away.
	Deletes []bool `json:"deletes,omitempty"`
}

// Config is the mount's own settings.
type Config struct {
	// DefaultWait is how long a write waits for its replicas; nil for the
	// default of five seconds.
	DefaultWait *time.Duration `json:"default_wait,omitempty"`
	// Paused stops every remote change. Writes are accepted and stay pending.
	Paused bool `json:"paused,omitempty"`
	// PauseReason is why the mount paused itself; "" when somebody else did.
	PauseReason string `json:"pause_reason,omitempty"`
}

// defaultWait is what DefaultWait is when nobody set it.
const defaultWait = 5 * time.Second

// Wait is how long a write waits unless it says otherwise.
func (c Config) Wait() time.Duration {
	if c.DefaultWait == nil {
		return defaultWait
	}
	return *c.DefaultWait
}

// pendingRecord is a page of the journal: secrets by name, and since when their
// replicas may be out of sync.
type pendingRecord struct {
	Marks map[string]time.Time `json:"marks"`
	// Causes are why, as far as it is known; records of before there were causes
	// have none.
	Causes map[string]Cause `json:"causes,omitempty"`
}

type claimRecord struct {
	Secret     string `json:"secret"`
	RemoteName string `json:"remote_name"`
}

// Secret is what is kept of a secret beside its values.
type Secret struct {
	Name string `json:"name"`
	// Incarnation counts how often the name was begun anew after a deletion
	// with all versions; 0 and 1 are the first. It keeps version ids unique.
	Incarnation int `json:"incarnation,omitempty"`
	// Born is when the KV store first saw the present incarnation.
	Born time.Time `json:"born,omitzero"`
	// Deleting is set before the KV store is asked to delete the secret, which
	// takes it several steps: a deletion that was broken off is completed.
	Deleting bool `json:"deleting,omitempty"`
	// Importing is set while several versions are brought in from a cloud, until
	// the last one: the import goes on from there if it was broken off. Meanwhile no
	// remote is touched.
	Importing bool `json:"importing,omitempty"`
	// Forms are the formats that follow from how values were written, oldest
	// first: each holds from a version on.
	Forms    []form   `json:"implied_formats,omitempty"`
	Settings Settings `json:"settings,omitzero"`
	// Replicas by slot. One with a removal is on its way out.
	Replicas map[string]*Replica `json:"replicas,omitempty"`
	// Released are replicas by slot that were given up or are being deleted, as they
	// were left: wanted again, they are taken back if nobody changed them.
	Released map[string]*Replica `json:"released,omitempty"`
	// Gone are the trails of the replicas that went last.
	Gone []goneReplica `json:"gone,omitempty"`
}

// form is the format that the way of writing implies, from a version on.
type form struct {
	From   uint64         `json:"from"`
	Format payload.Format `json:"format"`
}

// implied is the format that follows from how a version was written.
func (s *Secret) implied(version uint64) payload.Format {
	for _, f := range slices.Backward(s.Forms) {
		if f.From <= version {
			return f.Format
		}
	}
	return payload.JSON
}

// newestVersion stands for the version that is about to be written.
const newestVersion = math.MaxUint64

// imply notes the format of the versions from next on; what only versions below
// oldest had is dropped.
func (s *Secret) imply(format payload.Format, next, oldest uint64) {
	forms := append(slices.Clone(s.Forms), form{From: next, Format: format})
	for len(forms) > 1 && forms[1].From <= oldest {
		forms = forms[1:]
	}
	s.Forms = forms
}

// clone is deep as far as anybody changes it.
func (s *Secret) clone() *Secret {
	c := *s
	c.Settings = s.Settings.clone()
	c.Released = maps.Clone(s.Released)
	c.Replicas = maps.Clone(s.Replicas)
	for destination, replica := range s.Replicas {
		r := *replica
		c.Replicas[destination] = &r
	}
	return &c
}

func (s *Secret) equal(other *Secret) bool { return reflect.DeepEqual(s, other) }

// isEmpty tells whether there is nothing in it worth keeping.
func (s *Secret) isEmpty() bool {
	return !s.Importing && s.Incarnation <= 1 && s.Born.IsZero() && len(s.Replicas)+len(s.Released) == 0 && s.Settings.isZero() && len(s.Forms) == 0
}

// State is where a replica is between Vault and its destination.
type State string

// The states.
const (
	StateInSync    State = "in_sync"
	StatePending   State = "pending"   // waits for its turn
	StateRetrying  State = "retrying"  // failed for now, tried again by itself
	StateBlocked   State = "blocked"   // needs a person
	StateWithdrawn State = "withdrawn" // the secret has no live version
	StateDeleting  State = "deleting"  // is to be removed
	StateReleasing State = "releasing" // is to lose the mark, the remote secret stays
	StateHeld      State = "held"      // would be taken from its readers, and waits for a person
	StatePaused    State = "paused"    // waits for the end of a pause
	StateDisabled  State = "disabled"  // the destination is switched off
	StateDrifted   State = "drifted"   // was in sync, and then somebody else changed it
)

// Replica is one secret at one destination.
type Replica struct {
	// Set when the secret, its settings or its rules are written.
	RemoteName string   `json:"remote_name"`
	Removal    *Removal `json:"removal,omitempty"` // nil while it is wanted
	// Verify asks for the remote to be looked at once more when it is in sync,
	// since another replica is given up for it.
	Verify bool `json:"verify,omitempty"`
	// AdoptedBy is the job that took over the remote secret, "" if it was made for
	// this mount.
	AdoptedBy string `json:"adopted_by,omitempty"`
	// Term is that of the engine that last saw or made the remote, see guard.go.
	Term term `json:"term,omitempty"`
	// Ahead is set when the remote holds what Vault doesn't know, and Undecided when
	// nothing is done there until somebody decides.
	Ahead     bool `json:"ahead,omitempty"`
	Undecided bool `json:"undecided,omitempty"`
	// Refused is why the replica can't be, although rules ask for it. It has no
	// claim on its name.
	Refused *Failure `json:"refused,omitempty"`

	// Set by convergence.
	State    State         `json:"state"`
	Observed plan.Observed `json:"observed,omitzero"`
	// Held is since when its deletion or withdrawal is held; nil while it isn't.
	Held *Held `json:"held,omitempty"`
	// TagsFailure is why the cloud made the secret without its tags.
	TagsFailure *Failure  `json:"tags_failure,omitempty"`
	Format      string    `json:"format,omitempty"` // how the value it holds was encoded
	Failure     *Failure  `json:"failure,omitempty"`
	LastSync    time.Time `json:"last_sync,omitzero"` // when it was last brought in sync
	// Drift is what somebody else changed since; nil if nothing is known.
	Drift *Drift `json:"drift,omitempty"`
	// LastVerification is when it was last compared with the remote, as of the
	// last time that the record was written.
	LastVerification time.Time `json:"last_verification,omitzero"`
	// RequestIDs are the service's ids of the calls of the last work that changed
	// the replica, for its support.
	RequestIDs []string `json:"request_ids,omitempty"`
	// Trail is what was changed there last, oldest first, see trail.go.
	Trail []TrailEntry `json:"trail,omitempty"`
}

// Removal says what happens to a replica that its secret no longer wants. It is
// decided when the secret or the destination is taken away, since the settings
// are gone afterwards.
type Removal struct {
	Policy     DeletionPolicy `json:"policy"`
	WindowDays int            `json:"window_days,omitempty"`
	// After is the slot that takes its place: until that is in sync it stays.
	After string `json:"after,omitempty"`
}

// Failure is why a replica isn't in sync.
type Failure struct {
	Class     provider.Class `json:"class"`
	Message   string         `json:"message"`
	Code      string         `json:"code,omitempty"`
	RequestID string         `json:"request_id,omitempty"`
	Time      time.Time      `json:"time"` // of the first failure of this kind
}

// Settings are what can be set on a secret itself.
type Settings struct {
	Destinations []string          `json:"destinations,omitempty"` // sorted
	KMSKeyIDs    map[string]string `json:"kms_key_ids,omitempty"`  // by destination
	Tags         map[string]string `json:"tags,omitempty"`
	Description  string            `json:"description,omitempty"`
	RemoteName   string            `json:"remote_name,omitempty"`
	RemoteNames  map[string]string `json:"remote_names,omitempty"` // by destination, before RemoteName
	// CurrentVersionIDs are the version ids that always hold the current value, by
	// destination, before the destination's: those that readers of an adopted secret use.
	CurrentVersionIDs map[string]string `json:"current_version_ids,omitempty"`
	Format            payload.Format    `json:"format,omitempty"`
	DeletionPolicy    DeletionPolicy    `json:"deletion_policy,omitempty"`
	// Paused stops every remote change of the secret.
	Paused      bool        `json:"paused,omitempty"`
	DriftAction DriftAction `json:"drift_action,omitempty"`
}

func (s Settings) clone() Settings {
	s.Destinations = append([]string(nil), s.Destinations...)
	s.KMSKeyIDs = maps.Clone(s.KMSKeyIDs)
	s.RemoteNames = maps.Clone(s.RemoteNames)
	s.CurrentVersionIDs = maps.Clone(s.CurrentVersionIDs)
	s.Tags = maps.Clone(s.Tags)
	return s
}

func (s Settings) isZero() bool {
	return len(s.Destinations) == 0 && len(s.KMSKeyIDs) == 0 && len(s.RemoteNames) == 0 && len(s.CurrentVersionIDs) == 0 && len(s.Tags) == 0 &&
		s.Description == "" && s.RemoteName == "" && s.Format == "" && s.DeletionPolicy == "" && s.DriftAction == "" && !s.Paused
}
