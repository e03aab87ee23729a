// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
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
	Destinations   *[]string
	KMSKeyID       *string // for the one destination of the secret
	KMSKeyIDs      *map[string]string
	Tags           *map[string]string
	Description    *string
	RemoteName     *string
	Format         *payload.Format
	DeletionPolicy *DeletionPolicy
}

// IsZero tells whether nothing is changed.
func (c SettingsChange) IsZero() bool { return c == SettingsChange{} }

// ParseDeletionPolicy reads a policy; "" stays "".
func ParseDeletionPolicy(text string) (DeletionPolicy, error) {
	switch p := DeletionPolicy(text); p {
	case "", DeleteScheduled, DeleteForce, DeleteRetain:
		return p, nil
	default:
		return "", fmt.Errorf("deletion_policy %q is unknown, possible are schedule, force and retain", text)
	}
}

// apply returns the settings with the change.
func (c SettingsChange) apply(s Settings) (Settings, error) {
	s = s.clone()
	if c.Destinations != nil {
		s.Destinations = slices.Compact(slices.Sorted(slices.Values(*c.Destinations)))
		maps.DeleteFunc(s.KMSKeyIDs, func(d, _ string) bool { return !slices.Contains(s.Destinations, d) })
	}
	if c.KMSKeyID != nil && c.KMSKeyIDs != nil {
		return s, Refusef("both kms_key_id and kms_key_ids are given; give kms_key_id for one destination or kms_key_ids for several")
	}
	if c.KMSKeyID != nil {
		if len(s.Destinations) != 1 {
			return s, Refusef("kms_key_id needs exactly one destination and the secret has %d; use kms_key_ids with destination=key pairs", len(s.Destinations))
		}
		s.KMSKeyIDs = map[string]string{s.Destinations[0]: *c.KMSKeyID}
	}
	if c.KMSKeyIDs != nil {
		s.KMSKeyIDs = maps.Clone(*c.KMSKeyIDs)
		for _, destination := range slices.Sorted(maps.Keys(s.KMSKeyIDs)) {
			if !slices.Contains(s.Destinations, destination) {
				return s, Refusef("kms_key_ids names %q, which isn't a destination of the secret (%s)", destination, strings.Join(s.Destinations, ", "))
			}
		}
	}
	maps.DeleteFunc(s.KMSKeyIDs, func(_, key string) bool { return key == "" })
	if c.Description != nil && owner.Imitates(*c.Description) {
		return s, Refusef("description: it holds an ownership mark, which is this engine's to write")
	}
	set(&s.Description, c.Description)
	set(&s.RemoteName, c.RemoteName)
	set(&s.Format, c.Format)
	set(&s.DeletionPolicy, c.DeletionPolicy)
	if c.Tags != nil {
		s.Tags = maps.Clone(*c.Tags)
	}
	return s, nil
}

func set[T any](field, change *T) {
	if change != nil {
		*field = *change
	}
}

// resolved is everything that decides how one replica should look, after
// precedence: what is set on the secret wins over the destination's default.
type resolved struct {
	remoteName  string
	kmsKeyID    string
	tags        map[string]string
	description string // with the mark
	format      payload.Format
	implied     bool // nobody chose the format, so data that doesn't fit it goes as json
	removal     Removal
}

// resolve works out how the replica of a version should look; newestVersion for
// the one that is about to be written.
func (e *Engine) resolve(s *Secret, d *Destination, version uint64) resolved {
	kind := e.kinds[d.Type]
	r := resolved{
		remoteName:  s.Settings.RemoteName,
		kmsKeyID:    firstSet(s.Settings.KMSKeyIDs[d.Ref()], d.KMSKeyID),
		description: owner.For(e.mount.ID, s.Name).Append(s.Settings.Description),
		format:      firstSet(s.Settings.Format, d.Format),
		removal:     Removal{Policy: firstSet(s.Settings.DeletionPolicy, d.DeletionPolicy, DeleteScheduled), WindowDays: d.windowDays(kind)},
	}
	if r.remoteName == "" {
		r.remoteName = remotename.Derive(s.Name, kind.Limits.Name)
	}
	if r.format == "" {
		r.format, r.implied = s.implied(version), true
	}
	if len(d.CustomTags)+len(s.Settings.Tags) > 0 {
		r.tags = map[string]string{}
		maps.Copy(r.tags, d.CustomTags)
		maps.Copy(r.tags, s.Settings.Tags)
	}
	return r
}

// encode returns the value that the replica should hold.
func (r resolved) encode(data map[string]any) (provider.Value, error) {
	if r.implied && !payload.Fits(data, r.format) {
		return payload.Encode(data, payload.JSON)
	}
	return payload.Encode(data, r.format)
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
	if r.implied {
		return "implied " + string(r.format)
	}
	return string(r.format)
}

// check refuses what could never succeed at the destination. A nil data means
// that there is no value to check; field is how people gave it.
func (r resolved) check(d *Destination, limits provider.Limits, data map[string]any, field string) error {
	if err := limits.Name.Check(r.remoteName); err != nil {
		return Refusef("destination %s: %v (remote name %q); set remote_name to a name that fits", d.Ref(), err, abbreviate(r.remoteName))
	}
	if err := limits.CheckDescription(r.description); err != nil {
		return Refusef("destination %s: description: %v", d.Ref(), err)
	}
	if err := limits.Tags.Check(r.tags); err != nil {
		return Refusef("destination %s: tags: %v", d.Ref(), err)
	}
	if data == nil {
		return nil
	}
	value, err := r.encode(data)
	if err != nil {
		return Refusef("destination %s: %s: %v", d.Ref(), field, err)
	}
	if err := limits.CheckValue(value); err != nil {
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
