// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// full are settings with a value in every field.
func full(t *testing.T, variant string) rule.Settings {
	t.Helper()
	s := rule.Settings{
		KMSKeyID: new(variant), Tags: map[string]string{"team": variant}, Description: new(variant), Format: new(payload.Format(variant)), ValueKey: new(variant),
		Granularity: new(payload.Granularity(variant)), IncludeKeys: []string{variant}, ExcludeKeys: []string{variant}, SecretNameTemplate: new(variant),
		DeletionPolicy: new(rule.DeletionPolicy(variant)), DriftAction: new(rule.DriftAction(variant)), CustomMetadataTags: []string{variant},
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[rule.Settings]()) {
		if reflect.ValueOf(s).FieldByIndex(field.Index).IsNil() {
			t.Fatalf("the tests don't know %s", field.Name)
		}
	}
	return s
}

// only are the settings with one field of s.
func only(s rule.Settings, i int) rule.Settings {
	var one rule.Settings
	reflect.ValueOf(&one).Elem().Field(i).Set(reflect.ValueOf(s).Field(i))
	return one
}

func TestEveryFieldIsMergedAndCompared(t *testing.T) {
	a, b := full(t, "a"), full(t, "b")
	for i := range reflect.TypeFor[rule.Settings]().NumField() {
		field := reflect.TypeFor[rule.Settings]().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		oneA, oneB := only(a, i), only(b, i)
		if got := rule.Merge(oneA, b); !reflect.DeepEqual(only(got, i), oneA) {
			t.Errorf("%s of a less important level wins", name)
		}
		if got := rule.Merge(rule.Settings{}, oneB); !reflect.DeepEqual(got, oneB) {
			t.Errorf("%s isn't inherited: %+v", name, got)
		}
		if got := rule.Conflict(oneA, oneB); got != name {
			t.Errorf("the conflict about %s is called %q", name, got)
		}
		if rule.Conflict(oneA, oneA) != "" || rule.Conflict(oneA, rule.Settings{}) != "" || rule.Conflict(rule.Settings{}, oneB) != "" {
			t.Errorf("%s conflicts with itself, or with nothing", name)
		}
		if oneA.IsZero() {
			t.Errorf("%s is nothing", name)
		}
		text, err := json.Marshal(oneA)
		var back rule.Settings
		if err != nil || json.Unmarshal(text, &back) != nil || !reflect.DeepEqual(back, oneA) || !strings.HasPrefix(string(text), `{"`+name+`":`) {
			t.Errorf("%s is stored as %s, %v", name, text, err)
		}
	}
}

func TestAnEmptyValueIsAValue(t *testing.T) {
	destination := rule.Settings{KMSKeyID: new("key"), Description: new("text"), CustomMetadataTags: []string{"team"}}
	text := `{"kms_key_id":"","custom_metadata_tags":[]}`
	var secret rule.Settings
	if err := json.Unmarshal([]byte(text), &secret); err != nil {
		t.Fatal(err)
	}
	if stored, err := json.Marshal(secret); err != nil || string(stored) != text {
		t.Errorf("stored as %s, %v", stored, err)
	}
	merged := rule.Merge(secret, destination)
	if *merged.KMSKeyID != "" || len(merged.CustomMetadataTags) != 0 || *merged.Description != "text" {
		t.Errorf("%+v", merged)
	}
}

func TestTagsAreMergedKeyByKey(t *testing.T) {
	secret := rule.Settings{Tags: map[string]string{"owner": "me"}}
	general := rule.Settings{Tags: map[string]string{"owner": "platform", "env": "prod"}}
	merged := rule.Merge(secret, general, rule.Settings{Tags: map[string]string{"env": "dev", "cost": "42"}})
	if want := map[string]string{"owner": "me", "env": "prod", "cost": "42"}; !maps.Equal(merged.Tags, want) {
		t.Errorf("got %v, want %v", merged.Tags, want)
	}
	merged.Tags["owner"] = "changed"
	if secret.Tags["owner"] != "me" || general.Tags["owner"] != "platform" || len(secret.Tags) != 1 {
		t.Error("the merged tags are shared with a level")
	}
	if rule.Conflict(secret, rule.Settings{Tags: map[string]string{"env": "x"}}) != "" {
		t.Error("different keys are in conflict")
	}
}

func TestMergedSettingsAreNotShared(t *testing.T) {
	level := full(t, "a")
	merged := rule.Merge(level)
	*merged.KMSKeyID, *merged.Format, merged.IncludeKeys[0] = "b", "b", "b"
	if !reflect.DeepEqual(level, full(t, "a")) {
		t.Errorf("the level became %+v", level)
	}
}

func TestListsAreSets(t *testing.T) {
	a, b := rule.Settings{IncludeKeys: []string{"x", "y"}}, rule.Settings{IncludeKeys: []string{"y", "x", "y"}}
	if rule.Conflict(a, b) != "" {
		t.Error("the order of a list is a conflict")
	}
	if rule.Conflict(a, rule.Settings{IncludeKeys: []string{}}) != "include_keys" {
		t.Error("an empty list is the same as another one")
	}
}

func TestCustomMetadataBecomesTagsWhereAllowed(t *testing.T) {
	s := rule.Settings{Tags: map[string]string{"env": "prod"}, CustomMetadataTags: []string{"env", "team", "absent"}}
	got := s.TagsOf(map[string]string{"env": "dev", "team": "a", "private": "x"})
	if want := map[string]string{"env": "prod", "team": "a"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(s.Tags) != 1 {
		t.Errorf("the settings became %v", s.Tags)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	perKey, perSecret := new(payload.PerKey), new(payload.PerSecret)
	for name, c := range map[string]struct {
		settings rule.Settings
		alone    string // what Check says, "" for nothing
		resolved string // what CheckResolved says
	}{
		"nothing":                        {rule.Settings{}, "", ""},
		"a format":                       {rule.Settings{Format: new(payload.Format("yaml"))}, `format "yaml" is unknown, possible are ["json" "raw" "binary"]`, "yaml"},
		"an empty format":                {rule.Settings{Format: new(payload.Format(""))}, `format "" is unknown`, "unknown"},
		"a granularity":                  {rule.Settings{Granularity: new(payload.Granularity("key"))}, `granularity "key" is unknown`, "unknown"},
		"a deletion policy":              {rule.Settings{DeletionPolicy: new(rule.DeletionPolicy("keep"))}, `deletion_policy "keep" is unknown`, "unknown"},
		"a drift action":                 {rule.Settings{DriftAction: new(rule.DriftAction("x"))}, `drift_action "x" is unknown, possible are ["report" "repair" "ignore"]`, "unknown"},
		"a glob of keys":                 {rule.Settings{IncludeKeys: []string{"a["}}, `include_keys: "a[" isn't a valid glob`, "valid glob"},
		"an empty glob of keys":          {rule.Settings{ExcludeKeys: []string{""}}, `exclude_keys: "" isn't a valid glob`, "valid glob"},
		"an empty value_key":             {rule.Settings{ValueKey: new("")}, "value_key is empty", "value_key is empty"},
		"a template":                     {rule.Settings{SecretNameTemplate: new("{{ .Name }}")}, "field .Name is unknown", "field .Name is unknown"},
		"value_key and json":             {rule.Settings{ValueKey: new("password"), Format: new(payload.JSON)}, "format json sends all keys", "format json sends all keys"},
		"value_key and raw":              {rule.Settings{ValueKey: new("password"), Format: new(payload.Raw)}, "", ""},
		"value_key without a format":     {rule.Settings{ValueKey: new("password")}, "", "format json sends all keys"},
		"value_key of each key":          {rule.Settings{ValueKey: new("password"), Granularity: perKey}, "granularity secret-key sends each key", "value_key"},
		"keys of the whole secret":       {rule.Settings{ExcludeKeys: []string{"x"}, Granularity: perSecret}, "with secret-path the whole secret is sent", "whole secret is sent"},
		"keys without a granularity":     {rule.Settings{ExcludeKeys: []string{"x"}}, "", "whole secret is sent"},
		"keys of each key":               {rule.Settings{IncludeKeys: []string{"x*"}, Granularity: perKey}, "", ""},
		"one name for all keys":          {rule.Settings{SecretNameTemplate: new("{{.SecretPath}}"), Granularity: perKey}, "must use .SecretKey", "must use .SecretKey"},
		"a key's name for all":           {rule.Settings{SecretNameTemplate: new("{{.SecretKey}}"), Granularity: perSecret}, "granularity secret-key only", "secret-key only"},
		"a key's name and no choice":     {rule.Settings{SecretNameTemplate: new("{{.SecretKey}}")}, "", "secret-key only"},
		"a key's name for each key":      {rule.Settings{SecretNameTemplate: new("{{.SecretPath}}.{{.SecretKey}}"), Granularity: perKey}, "", ""},
		"everything that goes together":  {rule.Settings{KMSKeyID: new(""), Description: new(""), DriftAction: new(rule.DriftRepair), DeletionPolicy: new(rule.DeleteRetain)}, "", ""},
		"a name's template on its own":   {rule.Settings{SecretNameTemplate: new("x-{{.SecretPath}}")}, "", ""},
		"binary of another key of a map": {rule.Settings{ValueKey: new("p12"), Format: new(payload.Binary), Granularity: perSecret}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, check := range []struct {
				what string
				err  error
				says string
			}{{"alone", c.settings.Check(), c.alone}, {"resolved", c.settings.CheckResolved(), c.resolved}} {
				if (check.err == nil) != (check.says == "") || check.err != nil && !strings.Contains(check.err.Error(), check.says) {
					t.Errorf("%s: %v, want %q", check.what, check.err, check.says)
				}
			}
		})
	}
}
