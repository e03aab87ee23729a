// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Destination is one cloud account and region to replicate into. A value of it
// is never changed once it is handed out.
type Destination struct {
	Type string
	Name string

	Region   string
	Endpoint string
	CACert   string

	AuthMethod      string
	AccessKeyID     string
	AccessKeySecret sensitive.String
	SecurityToken   sensitive.String

	Defaults             rule.Settings // what secrets and rules leave open
	RecoveryWindowDays   int           // 0 for the service's default
	AllowedPaths         []string      // globs on secret names; none allows all
	MaxRequestsPerSecond float64       // 0 for no limit of our own
	MaxDeletionsPerHour  *int          // nil for the default, [UnlimitedDeletions] for no limit
	Disabled             bool
	Paused               bool
	// VerificationsPerHour is how many replicas are compared with the cloud per hour
	// in the background; nil for the default, 0 for none.
	VerificationsPerHour *int
	VerifyValues         bool // compares values too

	// For services without a label for the current version.
	NoVersionHistory bool
	CurrentVersionID string // "" for the kind's default

	Settings map[string]string // the kind's own
}

// AuthAccessKey is the auth method with a fixed key pair.
const AuthAccessKey = "access_key"

// Ref names the destination as secrets do: "tencent-ssm/prod".
func (d *Destination) Ref() string { return d.Type + "/" + d.Name }

// Allows tells whether the secret name may be sent here.
func (d *Destination) Allows(name string) bool {
	if len(d.AllowedPaths) == 0 {
		return true
	}
	return matchesAnyGlob(d.AllowedPaths, name)
}

// hasTemplate tells whether a tag is a template, whose text only a secret makes.
func hasTemplate(tags map[string]string) bool {
	for _, value := range tags {
		if strings.Contains(value, "{{") {
			return true
		}
	}
	return false
}

// DeletionsPerHour is how many secrets an hour may be taken from their readers,
// [UnlimitedDeletions] for any number.
func (d *Destination) DeletionsPerHour() int {
	if d.MaxDeletionsPerHour == nil {
		return DefaultMaxDeletionsPerHour
	}
	return *d.MaxDeletionsPerHour
}

func (d *Destination) windowDays(kind provider.Kind) int {
	return firstSet(d.RecoveryWindowDays, kind.Limits.Window.DefaultDays)
}

// pointer is the version id that always holds the current value, "" where the
// service has labels for that.
func (d *Destination) pointer(kind provider.Kind) string {
	if kind.CurrentVersionID == "" {
		return ""
	}
	return firstSet(d.CurrentVersionID, kind.CurrentVersionID)
}

// pointer is as [Destination.pointer], for one secret.
func (s *Secret) pointer(d *Destination, kind provider.Kind) string {
	return firstSet(s.Settings.CurrentVersionIDs[d.Ref()], d.pointer(kind))
}

// destinationRecord is how a destination is stored: the one place where its
// credentials are plain text.
type destinationRecord struct {
	Region               string            `json:"region,omitempty"`
	Endpoint             string            `json:"endpoint,omitempty"`
	CACert               string            `json:"ca_cert,omitempty"`
	AuthMethod           string            `json:"auth_method,omitempty"`
	AccessKeyID          string            `json:"access_key_id,omitempty"`
	AccessKeySecret      string            `json:"access_key_secret,omitempty"`
	SecurityToken        string            `json:"security_token,omitempty"`
	Defaults             rule.Settings     `json:"defaults,omitzero"`
	RecoveryWindowDays   int               `json:"recovery_window_days,omitempty"`
	AllowedPaths         []string          `json:"allowed_paths,omitempty"`
	MaxRequestsPerSecond float64           `json:"max_requests_per_second,omitempty"`
	MaxDeletionsPerHour  *int              `json:"max_deletions_per_hour,omitempty"`
	Disabled             bool              `json:"disabled,omitempty"`
	Paused               bool              `json:"paused,omitempty"`
	VerificationsPerHour *int              `json:"verifications_per_hour,omitempty"`
	VerifyValues         bool              `json:"verify_values,omitempty"`
	NoVersionHistory     bool              `json:"no_version_history,omitempty"`
	CurrentVersionID     string            `json:"current_version_id,omitempty"`
	Settings             map[string]string `json:"settings,omitempty"`

	// Sweep is set while a change of the settings isn't yet applied to all of
	// the destination's replicas; it survives a restart.
	Sweep sweep `json:"sweep,omitempty"`
	By    Cause `json:"by,omitzero"` // of the last change
}

// sweep is how the replicas of a destination are looked through after its
// settings changed.
type sweep string

const (
	sweepSettings sweep = "settings" // compare with what is known of each
	sweepRemote   sweep = "remote"   // look at each remote: it may be another place
)

// and is the sweep that does what both do.
func (s sweep) and(other sweep) sweep {
	if s == sweepRemote || other == sweepRemote {
		return sweepRemote
	}
	return firstSet(s, other)
}

func (d *Destination) record(pending sweep) *destinationRecord {
	return &destinationRecord{
		Region: d.Region, Endpoint: d.Endpoint, CACert: d.CACert,
		AuthMethod: d.AuthMethod, AccessKeyID: d.AccessKeyID,
		AccessKeySecret: d.AccessKeySecret.Reveal(), SecurityToken: d.SecurityToken.Reveal(),
		Defaults: d.Defaults, RecoveryWindowDays: d.RecoveryWindowDays,
		AllowedPaths: d.AllowedPaths, MaxRequestsPerSecond: d.MaxRequestsPerSecond, Disabled: d.Disabled, Paused: d.Paused,
		MaxDeletionsPerHour:  d.MaxDeletionsPerHour,
		VerificationsPerHour: d.VerificationsPerHour, VerifyValues: d.VerifyValues,
		NoVersionHistory: d.NoVersionHistory, CurrentVersionID: d.CurrentVersionID,
		Settings: d.Settings, Sweep: pending,
	}
}

func (r *destinationRecord) destination(kind, name string) *Destination {
	d := &Destination{
		Type: kind, Name: name, Region: r.Region, Endpoint: r.Endpoint, CACert: r.CACert,
		AuthMethod: r.AuthMethod, AccessKeyID: r.AccessKeyID,
		Defaults: r.Defaults, RecoveryWindowDays: r.RecoveryWindowDays,
		AllowedPaths: r.AllowedPaths, MaxRequestsPerSecond: r.MaxRequestsPerSecond, Disabled: r.Disabled, Paused: r.Paused,
		MaxDeletionsPerHour:  r.MaxDeletionsPerHour,
		VerificationsPerHour: r.VerificationsPerHour, VerifyValues: r.VerifyValues,
		NoVersionHistory: r.NoVersionHistory, CurrentVersionID: r.CurrentVersionID,
		Settings: r.Settings,
	}
	if r.AccessKeySecret != "" {
		d.AccessKeySecret = sensitive.NewString(r.AccessKeySecret)
	}
	if r.SecurityToken != "" {
		d.SecurityToken = sensitive.NewString(r.SecurityToken)
	}
	return d
}

// check refuses settings that could never work. It makes no remote call.
func (d *Destination) check(kind provider.Kind) error {
	limits := kind.Limits
	if d.AuthMethod != AuthAccessKey {
		return Refusef("auth_method %q isn't available for %s in this version, possible is %s", d.AuthMethod, d.Type, AuthAccessKey)
	}
	if err := d.Defaults.Check(); err != nil {
		return Refusef("%v", err)
	}
	if err := limits.Tags.Check(d.Defaults.Tags); err != nil && !hasTemplate(d.Defaults.Tags) {
		return Refusef("custom_tags: %v", err)
	}
	if d.RecoveryWindowDays != 0 {
		if err := limits.Window.Check(d.RecoveryWindowDays); err != nil {
			return Refusef("recovery_window_days: %v", err)
		}
	}
	if err := checkGlobs("allowed_paths", d.AllowedPaths); err != nil {
		return err
	}
	if err := d.checkRates(); err != nil {
		return err
	}
	if kind.CurrentVersionID == "" && (d.CurrentVersionID != "" || d.NoVersionHistory) {
		return Refusef("current_version_id and version_history have no meaning for %s, whose service marks the current version itself", d.Type)
	}
	if d.CurrentVersionID != "" {
		if err := checkPointer(d.CurrentVersionID, limits); err != nil {
			return err
		}
	}
	config, _, err := configure(d, "")
	if err == nil {
		_, err = kind.Open(config)
	}
	if err != nil {
		return Refusef("%v", err)
	}
	return nil
}

// checkRates refuses rates that make no sense.
func (d *Destination) checkRates() error {
	if d.MaxRequestsPerSecond < 0 {
		return Refusef("max_requests_per_second: %v is negative", d.MaxRequestsPerSecond)
	}
	if d.DeletionsPerHour() < UnlimitedDeletions {
		return Refusef("max_deletions_per_hour: %d is negative; 0 holds every deletion, -1 none", *d.MaxDeletionsPerHour)
	}
	if n := d.VerificationBudget(); n < 0 || n > mostVerificationsPerHour {
		return Refusef("verifications_per_hour %d isn't from 0 to %d", n, mostVerificationsPerHour)
	}
	return nil
}

// sweepFor is how replicas have to be looked through after d became next. New
// credentials alone don't count: they are rotated often, and for the same place.
func (d *Destination) sweepFor(next *Destination) sweep {
	switch {
	case d.Endpoint != next.Endpoint || !maps.Equal(d.Settings, next.Settings):
		return sweepRemote
	case d.NoVersionHistory != next.NoVersionHistory || d.CurrentVersionID != next.CurrentVersionID ||
		!reflect.DeepEqual(d.Defaults, next.Defaults) || !slices.Equal(d.AllowedPaths, next.AllowedPaths):
		return sweepSettings
	default:
		return ""
	}
}

func checkPointer(id string, limits provider.Limits) error {
	const allowed = "letters, digits, _, - and ."
	form := provider.NameRule{MaxBytes: limits.VersionIDBytes, Punctuation: "_-.", FirstAlphanumeric: true}
	if form.Check(id) != nil {
		return Refusef("current_version_id %q isn't a version id: at most %d of %s, a letter or digit first", abbreviate(id), limits.VersionIDBytes, allowed)
	}
	if plan.ParseVersionID(id).Number > 0 {
		return Refusef("current_version_id %q has the form of a version in the history; choose another", id)
	}
	return nil
}

// Destination returns a destination by its ref, nil if there is none. It reads
// what is stored, so that one can be corrected that doesn't open.
func (e *Engine) Destination(ctx context.Context, ref string) (*Destination, error) {
	kind, name, err := splitRef(ref)
	if err != nil {
		return nil, err
	}
	stored, err := destinations.Get(ctx, e.storage, ref)
	if err != nil || stored == nil {
		return nil, err
	}
	return stored.destination(kind, name), nil
}

func splitRef(ref string) (kind, name string, err error) {
	kind, name, found := strings.Cut(ref, "/")
	if !found || kind == "" || name == "" || strings.Contains(name, "/") {
		return "", "", Refusef("destination %q isn't of the form type/name, as in tencent-ssm/prod", abbreviate(ref))
	}
	return kind, name, nil
}
