// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// RefusedError says why a request can't be carried out as it is. Nothing was
// stored. Its text is for the caller and free of secrets.
type RefusedError struct{ message string }

func (e *RefusedError) Error() string { return e.message }

// Refusef makes a *RefusedError.
func Refusef(format string, args ...any) error {
	return &RefusedError{message: fmt.Sprintf(format, args...)}
}

// SettingsChange is what a request changes of a secret's settings. A nil field
// leaves the setting as it is; a pointer to an empty value clears it.
type SettingsChange struct {
	Destinations *[]string
	KMSKeyID     *string // for the one destination of the secret
	KMSKeyIDs    *map[string]string
	// KMSKeyAt and RemoteNameAt set what holds at single destinations, and leave
	// others.
	KMSKeyAt     map[string]string
	RemoteNameAt map[string]string
	// CurrentVersionAt names the version id with the current value at single
	// destinations.
	CurrentVersionAt map[string]string
	Tags             *map[string]string
	Description      *string
	RemoteName       *string
	Format           *payload.Format
	DeletionPolicy   *DeletionPolicy
	Paused           *bool
	DriftAction      *DriftAction
}

// IsZero tells whether nothing is changed.
func (c SettingsChange) IsZero() bool { return reflect.DeepEqual(c, SettingsChange{}) }

// PausesOnly tells whether nothing but the pause is changed.
func (c SettingsChange) PausesOnly() bool {
	return c.Paused != nil && reflect.DeepEqual(c, SettingsChange{Paused: c.Paused})
}

// The deletion policies.
const (
	DeleteScheduled = rule.DeleteScheduled
	DeleteForce     = rule.DeleteForce
	DeleteRetain    = rule.DeleteRetain
)

// DeletionPolicy says what deleting a secret does to a replica.
type DeletionPolicy = rule.DeletionPolicy

// ParseDeletionPolicy reads a policy; "" stays "".
func ParseDeletionPolicy(text string) (DeletionPolicy, error) {
	switch p := DeletionPolicy(text); p {
	case "", DeleteScheduled, DeleteForce, DeleteRetain:
		return p, nil
	default:
		return "", fmt.Errorf("deletion_policy %q is unknown, possible are schedule, force and retain", text)
	}
}

// apply returns the settings with the change. byRules are the destinations that
// rules send the secret to.
func (c SettingsChange) apply(s Settings, byRules []string) (Settings, error) {
	s = s.clone()
	if c.Destinations != nil {
		s.Destinations = slices.Compact(slices.Sorted(slices.Values(*c.Destinations)))
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.Destinations, byRules))))
	if c.Destinations != nil {
		gone := func(destination, _ string) bool { return !slices.Contains(all, destination) }
		maps.DeleteFunc(s.KMSKeyIDs, gone)
		maps.DeleteFunc(s.RemoteNames, gone)
		maps.DeleteFunc(s.CurrentVersionIDs, gone)
	}
	if c.KMSKeyID != nil && c.KMSKeyIDs != nil {
		return s, Refusef("both kms_key_id and kms_key_ids are given; give kms_key_id for one destination or kms_key_ids for several")
	}
	if c.KMSKeyID != nil {
		if len(all) != 1 {
			return s, Refusef("kms_key_id needs exactly one destination and the secret has %d; use kms_key_ids with destination=key pairs", len(all))
		}
		s.KMSKeyIDs = map[string]string{all[0]: *c.KMSKeyID}
	}
	if c.KMSKeyIDs != nil {
		s.KMSKeyIDs = maps.Clone(*c.KMSKeyIDs)
		for _, destination := range slices.Sorted(maps.Keys(s.KMSKeyIDs)) {
			if !slices.Contains(all, destination) {
				return s, Refusef("kms_key_ids names %q, which isn't a destination of the secret (%s)", destination, strings.Join(all, ", "))
			}
		}
	}
	s.KMSKeyIDs = withAt(s.KMSKeyIDs, c.KMSKeyAt)
	if c.RemoteName != nil {
		s.RemoteNames = nil
	}
	s.RemoteNames = withAt(s.RemoteNames, c.RemoteNameAt)
	s.CurrentVersionIDs = withAt(s.CurrentVersionIDs, c.CurrentVersionAt)
	maps.DeleteFunc(s.KMSKeyIDs, func(_, key string) bool { return key == "" })
	if c.Description != nil && owner.Imitates(*c.Description) {
		return s, Refusef("description: it holds an ownership mark, which is this engine's to write")
	}
	set(&s.Description, c.Description)
	set(&s.RemoteName, c.RemoteName)
	set(&s.Format, c.Format)
	set(&s.DeletionPolicy, c.DeletionPolicy)
	set(&s.Paused, c.Paused)
	set(&s.DriftAction, c.DriftAction)
	if c.Tags != nil {
		s.Tags = maps.Clone(*c.Tags)
	}
	return s, nil
}

// withAt is a setting by destination with changes for single ones.
func withAt(setting, changes map[string]string) map[string]string {
	if setting == nil && len(changes) > 0 {
		setting = map[string]string{}
	}
	maps.Copy(setting, changes)
	return setting
}

func set[T any](field, change *T) {
	if change != nil {
		*field = *change
	}
}

// level is what is set on the secret itself for a destination, as the most
// important one of the levels that [rule.Merge] knows.
func (s Settings) level(ref string) rule.Settings {
	return rule.Settings{
		KMSKeyID: ifSet(s.KMSKeyIDs[ref]), Tags: s.Tags, Description: ifSet(s.Description),
		Format: ifSet(s.Format), DeletionPolicy: ifSet(s.DeletionPolicy),
		DriftAction: ifSet(s.DriftAction),
	}
}

func ifSet[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// resolved is everything that decides how one replica should look, after
// precedence: what is set on the secret wins over rules, and these over the
// destination.
type resolved struct {
	destination string
	settings    rule.Settings // merged
	fields      remotename.Fields
	remoteName  string // "" for a replica of each key, before the key is known
	tags        map[string]string
	description string // with the mark
	format      payload.Format
	implied     bool // nobody chose the format, so data that doesn't fit it goes as json
	removal     Removal
}

// perKey tells whether each key of the secret has a replica of its own.
func (r resolved) perKey() bool { return valueOf(r.settings.Granularity) == payload.PerKey }

// resolve works out how the replicas of a version at a destination should look;
// newestVersion for the one that is about to be written. byRules are the settings
// of the rules that send the secret there, custom is its custom metadata.
func (e *Engine) resolve(s *Secret, d *Destination, byRules rule.Settings, version uint64, custom map[string]string) (resolved, error) {
	kind := e.kinds[d.Type]
	r := resolved{
		destination: d.Ref(),
		settings:    rule.Merge(s.Settings.level(d.Ref()), byRules, d.Defaults),
		fields: remotename.Fields{
			MountPath: e.place.Load().MountPath, MountAccessor: e.place.Load().MountAccessor,
			SecretPath: s.Name, DestinationType: d.Type, DestinationName: d.Name,
		},
	}
	if err := r.settings.CheckResolved(); err != nil {
		return r, Refusef("destination %s: %v", d.Ref(), err)
	}
	r.removal = Removal{Policy: firstSet(valueOf(r.settings.DeletionPolicy), DeleteScheduled), WindowDays: d.windowDays(kind)}
	r.format = valueOf(r.settings.Format)
	if r.format == "" {
		r.format, r.implied = s.implied(version), true
	}
	text, err := r.text("description", valueOf(r.settings.Description))
	if err != nil {
		return r, Refusef("destination %s: %v", d.Ref(), err)
	}
	if owner.Imitates(text) {
		return r, Refusef("destination %s: description: it holds an ownership mark, which is this engine's to write", d.Ref())
	}
	r.description = owner.For(e.mount.ID, s.Name).Append(text)
	if tags := r.settings.TagsOf(custom); len(tags) > 0 {
		r.tags = tags
	}
	for key, value := range r.tags {
		if r.tags[key], err = r.text("tag "+key, value); err != nil {
			return r, Refusef("destination %s: %v", d.Ref(), err)
		}
	}
	if !r.perKey() {
		r.remoteName, err = r.name(s, kind.Limits.Name, "")
	} else if s.Settings.RemoteName != "" || s.Settings.RemoteNames[d.Ref()] != "" {
		err = Refusef("destination %s: remote_name names one remote secret, and granularity secret-key makes one for each key; leave remote_name empty or use secret_name_template", d.Ref())
	}
	return r, err
}

// text fills in a text that is a template.
func (r resolved) text(what, text string) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	filled, err := remotename.Fill(text, r.fields)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return filled, nil
}

// name is the remote name of the secret, or of one of its keys.
func (r resolved) name(s *Secret, limit provider.NameRule, key string) (string, error) {
	compiled, err := r.compile(s, limit, key)
	return compiled.Name, err
}

// compile is as name, and tells how the name came about.
func (r resolved) compile(s *Secret, limit provider.NameRule, key string) (remotename.Result, error) {
	if exact := firstSet(s.Settings.RemoteNames[r.destination], s.Settings.RemoteName); exact != "" {
		return remotename.Result{Name: exact, Full: exact, Change: remotename.Unchanged}, nil
	}
	template := remotename.Default(r.perKey())
	if text := valueOf(r.settings.SecretNameTemplate); text != "" {
		var err error
		if template, err = remotename.Parse(text); err != nil {
			return remotename.Result{}, Refusef("%v", err)
		}
	}
	fields := r.fields
	fields.SecretKey = key
	named, err := template.Execute(fields, limit)
	if err != nil {
		return remotename.Result{}, Refusef("%v", err)
	}
	return named, nil
}

// encode returns the value that the replica should hold.
func (r resolved) encode(data map[string]any) (provider.Value, error) {
	if key := valueOf(r.settings.ValueKey); key != "" {
		return payload.EncodeKey(data, r.format, key)
	}
	if r.implied && !payload.Fits(data, r.format) {
		return payload.Encode(data, payload.JSON)
	}
	return payload.Encode(data, r.format)
}

// split returns the values of the replicas of single keys, by key.
func (r resolved) split(data map[string]any) (map[string]provider.Value, error) {
	return payload.Split(data, r.settings.IncludeKeys, r.settings.ExcludeKeys)
}

// valueField is the parameter by which a value of that form is given.
func valueField(f payload.Format) string {
	switch f {
	case payload.Raw:
		return "value"
	case payload.Binary:
		return "binary"
	default:
		return "data"
	}
}

// formatKey identifies how a value is encoded: with the same key, the same data
// gives the same bytes.
func (r resolved) formatKey() string {
	switch {
	case r.perKey():
		return string(payload.PerKey)
	case valueOf(r.settings.ValueKey) != "":
		return string(r.format) + " of " + *r.settings.ValueKey
	case r.implied:
		return "implied " + string(r.format)
	default:
		return string(r.format)
	}
}

// check refuses what could never succeed at the destination, but for the value.
func (r resolved) check(d *Destination, limits provider.Limits, remoteName string) error {
	if err := limits.Name.Check(remoteName); err != nil {
		return Refusef("destination %s: %v (remote name %q); set remote_name to a name that fits", d.Ref(), err, abbreviate(remoteName))
	}
	if err := limits.CheckDescription(r.description); err != nil {
		return Refusef("destination %s: description: %v", d.Ref(), err)
	}
	if err := limits.Tags.Check(r.tags); err != nil {
		return Refusef("destination %s: tags: %v", d.Ref(), err)
	}
	return nil
}

// checkValue refuses a value that could never be stored at the destination;
// field is how people gave it.
func checkValue(d *Destination, limits provider.Limits, value provider.Value, err error, field string) error {
	if err == nil {
		err = limits.CheckValue(value)
	}
	if err != nil {
		return Refusef("destination %s: %s: %v", d.Ref(), field, err)
	}
	return nil
}

func abbreviate(name string) string {
	const longest = 40
	if len(name) <= longest {
		return name
	}
	return strings.ToValidUTF8(name[:longest], "") + "..."
}

func firstSet[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
