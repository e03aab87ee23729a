// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// DeletionPolicy says what deleting a secret does to its replicas.
type DeletionPolicy string

// The deletion policies.
const (
	DeleteScheduled DeletionPolicy = "schedule" // after the cloud's recovery window
	DeleteForce     DeletionPolicy = "force"    // at once
	DeleteRetain    DeletionPolicy = "retain"   // leave it there, without the mark
)

// DriftAction says what happens when a replica was changed by somebody else.
type DriftAction string

// The drift actions.
const (
	DriftReport DriftAction = "report" // the status says so
	DriftRepair DriftAction = "repair" // it is made again what it should be
	DriftIgnore DriftAction = "ignore" // nobody looks, unless asked to
)

// Settings say how replicas should look. Each field is optional: nil leaves it
// to a less important level, and an empty value is a value.
type Settings struct {
	KMSKeyID           *string              `json:"kms_key_id,omitzero"`
	Tags               map[string]string    `json:"tags,omitzero"`
	Description        *string              `json:"description,omitzero"`
	Format             *payload.Format      `json:"format,omitzero"`
	ValueKey           *string              `json:"value_key,omitzero"`
	Granularity        *payload.Granularity `json:"granularity,omitzero"`
	IncludeKeys        []string             `json:"include_keys,omitzero"` // globs
	ExcludeKeys        []string             `json:"exclude_keys,omitzero"` // globs
	SecretNameTemplate *string              `json:"secret_name_template,omitzero"`
	DeletionPolicy     *DeletionPolicy      `json:"deletion_policy,omitzero"`
	DriftAction        *DriftAction         `json:"drift_action,omitzero"`
	// CustomMetadataTags are the keys of a secret's custom metadata that become
	// tags of its replicas.
	CustomMetadataTags []string `json:"custom_metadata_tags,omitzero"`
}

// setting is one field of [Settings]: how it is taken over from a less
// important level, and how two rules contradict each other in it.
type setting struct {
	name     string
	inherit  func(into, from *Settings)
	conflict func(a, b *Settings) bool
}

// settings are all fields; the merge and the search for conflicts know no other
// list of them.
var settings = []setting{
	scalar("kms_key_id", func(s *Settings) **string { return &s.KMSKeyID }),
	{"tags", inheritTags, conflictingTags},
	scalar("description", func(s *Settings) **string { return &s.Description }),
	scalar("format", func(s *Settings) **payload.Format { return &s.Format }),
	scalar("value_key", func(s *Settings) **string { return &s.ValueKey }),
	scalar("granularity", func(s *Settings) **payload.Granularity { return &s.Granularity }),
	listed("include_keys", func(s *Settings) *[]string { return &s.IncludeKeys }),
	listed("exclude_keys", func(s *Settings) *[]string { return &s.ExcludeKeys }),
	scalar("secret_name_template", func(s *Settings) **string { return &s.SecretNameTemplate }),
	scalar("deletion_policy", func(s *Settings) **DeletionPolicy { return &s.DeletionPolicy }),
	scalar("drift_action", func(s *Settings) **DriftAction { return &s.DriftAction }),
	listed("custom_metadata_tags", func(s *Settings) *[]string { return &s.CustomMetadataTags }),
}

func scalar[T comparable](name string, field func(*Settings) **T) setting {
	return setting{
		name: name,
		inherit: func(into, from *Settings) {
			if to, value := field(into), *field(from); *to == nil && value != nil {
				*to = new(*value)
			}
		},
		conflict: func(a, b *Settings) bool {
			one, other := *field(a), *field(b)
			return one != nil && other != nil && *one != *other
		},
	}
}

// listed is a setting that is a set: order and repetition don't matter.
func listed(name string, field func(*Settings) *[]string) setting {
	return setting{
		name: name,
		inherit: func(into, from *Settings) {
			if to, value := field(into), *field(from); *to == nil {
				*to = slices.Clone(value)
			}
		},
		conflict: func(a, b *Settings) bool {
			one, other := *field(a), *field(b)
			return one != nil && other != nil && !slices.Equal(asSet(one), asSet(other))
		},
	}
}

func asSet(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

func inheritTags(into, from *Settings) {
	if from.Tags == nil {
		return
	}
	merged := maps.Clone(from.Tags)
	maps.Copy(merged, into.Tags)
	into.Tags = merged
}

func conflictingTags(a, b *Settings) bool {
	for key, value := range a.Tags {
		if other, both := b.Tags[key]; both && other != value {
			return true
		}
	}
	return false
}

// Merge returns the settings that hold when several levels speak of one
// replica, the most important one first: the secret, its rules from the most
// specific one, the destination. For each field the first level that gives it
// wins; tags are merged key by key. Nothing is shared with the levels.
func Merge(levels ...Settings) Settings {
	var merged Settings
	for i := range levels {
		for _, s := range settings {
			s.inherit(&merged, &levels[i])
		}
	}
	return merged
}

// Conflict returns the name of the first setting for which both have a value,
// and not the same one; "" if there is none.
func Conflict(a, b Settings) string {
	for _, s := range settings {
		if s.conflict(&a, &b) {
			return s.name
		}
	}
	return ""
}

// IsZero tells whether nothing is set.
func (s Settings) IsZero() bool { return reflect.DeepEqual(s, Settings{}) }

// TagsOf returns the tags of a replica: those that are set, and the custom
// metadata of the secret that may become tags. A tag that is set wins.
func (s Settings) TagsOf(customMetadata map[string]string) map[string]string {
	tags := map[string]string{}
	for _, key := range s.CustomMetadataTags {
		if value, found := customMetadata[key]; found {
			tags[key] = value
		}
	}
	maps.Copy(tags, s.Tags)
	return tags
}

// Check tells whether each setting is valid, and none contradicts another one
// that is given beside it. What a cloud allows is not looked at.
func (s Settings) Check() error {
	if err := errors.Join(
		oneOf("format", s.Format, payload.JSON, payload.Raw, payload.Binary),
		oneOf("granularity", s.Granularity, payload.PerSecret, payload.PerKey),
		oneOf("deletion_policy", s.DeletionPolicy, DeleteScheduled, DeleteForce, DeleteRetain),
		oneOf("drift_action", s.DriftAction, DriftReport, DriftRepair, DriftIgnore),
		keyGlobs("include_keys", s.IncludeKeys),
		keyGlobs("exclude_keys", s.ExcludeKeys),
	); err != nil {
		return err
	}
	if err := s.checkTexts(); err != nil {
		return err
	}
	if s.ValueKey != nil && *s.ValueKey == "" {
		return errors.New("value_key is empty; name the key of the data that is sent")
	}
	var template *remotename.Template
	if s.SecretNameTemplate != nil {
		var err error
		if template, err = remotename.Parse(*s.SecretNameTemplate); err != nil {
			return err
		}
	}
	return s.checkTogether(template)
}

// CheckResolved tells whether merged settings can be carried out: what no level
// gives has its default, so nothing is left open that may contradict.
func (s Settings) CheckResolved() error {
	return Merge(s, Settings{Format: new(payload.JSON), Granularity: new(payload.PerSecret)}).Check()
}

// checkTexts tells whether the templates of description and tags can work.
func (s Settings) checkTexts() error {
	if s.Description != nil && strings.Contains(*s.Description, "{{") {
		if err := remotename.CheckText(*s.Description); err != nil {
			return fmt.Errorf("description: %w", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		if strings.Contains(s.Tags[key], "{{") {
			if err := remotename.CheckText(s.Tags[key]); err != nil {
				return fmt.Errorf("tags: %s: %w", key, err)
			}
		}
	}
	return nil
}

func (s Settings) checkTogether(template *remotename.Template) error {
	if s.ValueKey != nil && s.Format != nil && *s.Format == payload.JSON {
		return errors.New("value_key: format json sends all keys; use format raw or binary")
	}
	if s.Granularity == nil {
		return nil
	}
	eachKey := *s.Granularity == payload.PerKey
	if eachKey && s.ValueKey != nil {
		return errors.New("value_key: granularity secret-key sends each key by itself; use include_keys")
	}
	// Without this, keys that one level excludes would go out with the whole
	// secret because another level chose the granularity.
	if !eachKey && len(s.IncludeKeys)+len(s.ExcludeKeys) > 0 {
		return errors.New("include_keys and exclude_keys choose among the replicas of granularity secret-key; with secret-path the whole secret is sent")
	}
	if template != nil {
		return template.CheckKeys(eachKey)
	}
	return nil
}

func oneOf[T ~string](name string, value *T, possible ...T) error {
	if value == nil || slices.Contains(possible, *value) {
		return nil
	}
	return fmt.Errorf("%s %q is unknown, possible are %q", name, string(*value), possible)
}

func keyGlobs(name string, globs []string) error {
	for _, g := range globs {
		if g == "" || !doublestar.ValidatePattern(g) {
			return fmt.Errorf("%s: %q isn't a valid glob; * stands for any characters", name, g)
		}
	}
	return nil
}
