// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// refused checks that err is nil for want "", else of class Invalid with want
// in its text.
func refused(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v, want success", what, err)
	case want != "" && (err == nil || provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want class invalid that says %q", what, err, want)
	}
}

func TestNames(t *testing.T) {
	strict := provider.NameRule{MaxBytes: 8, Punctuation: "_-", FirstAlphanumeric: true}
	loose := provider.NameRule{MaxBytes: 8, Punctuation: "_-/."}
	for _, c := range []struct {
		rule       provider.NameRule
		name, want string
	}{
		{strict, "a", ""},
		{strict, "Z9_-", ""},
		{strict, "12345678", ""},
		{strict, "", "empty"},
		{strict, "123456789", "9 bytes, the limit is 8"},
		{strict, "-a", "start with a letter or digit"},
		{loose, "-a", ""},
		{loose, "a/b.c", ""},
		{strict, "a/b", `contains '/'`},
		{strict, "a b", `contains ' '`},
		{strict, "a\x00", `contains '\x00'`},
		{strict, "añ", `contains 'ñ'`},
		{loose, "ñ", `start`},
		{strict, "a\xff", "contains"},
	} {
		refused(t, "name "+c.name, c.rule.Check(c.name), c.want)
	}
}

func TestValues(t *testing.T) {
	limits := provider.Limits{ValueBytes: 4}
	emptying := provider.Limits{ValueBytes: 4, EmptyValue: true}
	encoding := provider.Limits{ValueBytes: 4, BinaryBytes: 3}
	for what, c := range map[string]struct {
		limits provider.Limits
		value  provider.Value
		want   string
	}{
		"text of the limit":            {limits, provider.Text("1234"), ""},
		"text above the limit":         {limits, provider.Text("12345"), "5 bytes, the limit is 4"},
		"characters count by bytes":    {limits, provider.Text("éé€"), "7 bytes"},
		"binary counts before base64":  {limits, provider.Binary([]byte{1, 2, 3, 4}), ""},
		"binary above the limit":       {limits, provider.Binary(make([]byte, 5)), "5 bytes"},
		"binary of a limit of its own": {encoding, provider.Binary(make([]byte, 3)), ""},
		"binary above its own limit":   {encoding, provider.Binary(make([]byte, 4)), "4 bytes, the limit is 3"},
		"text beside such a limit":     {encoding, provider.Text("1234"), ""},
		"an empty value":               {limits, provider.Text(""), "empty"},
		"an empty value where allowed": {emptying, provider.Text(""), ""},
		"text that isn't UTF-8":        {limits, provider.Text("\xff"), "UTF-8"},
		"the same bytes as binary":     {limits, provider.Binary([]byte("\xff")), ""},
	} {
		refused(t, what, c.limits.CheckValue(c.value), c.want)
	}
	secret := "canary-value-" + strings.Repeat("x", 20)
	if err := limits.CheckValue(provider.Text(secret)); strings.Contains(err.Error(), "canary") {
		t.Error("the refusal quotes the value")
	}
}

func TestDescriptions(t *testing.T) {
	limits := provider.Limits{DescriptionBytes: 3}
	refused(t, "at the limit", limits.CheckDescription("abc"), "")
	refused(t, "above the limit", limits.CheckDescription("aé€"), "6 bytes with the ownership mark, the limit is 3")
}

func TestTags(t *testing.T) {
	rule := provider.TagRule{Max: 2, KeyChars: 4, ValueChars: 5, Punctuation: "+-=._:/@", ReservedPrefixes: []string{"qcs:"}}
	emptying := rule
	emptying.EmptyValue = true
	wider := rule
	wider.ValuePunctuation = "#"
	for what, c := range map[string]struct {
		rule provider.TagRule
		tags map[string]string
		want string
	}{
		"none":                            {rule, nil, ""},
		"two":                             {rule, map[string]string{"a": "b", "c d": "e:f"}, ""},
		"one too many":                    {rule, map[string]string{"a": "b", "c": "d", "e": "f"}, "3 tags, the limit is 2"},
		"letters of any script":           {rule, map[string]string{"ключ": "знач."}, ""},
		"an empty key":                    {rule, map[string]string{"": "b"}, "empty key"},
		"a long key":                      {rule, map[string]string{"ключи": "b"}, "key has 5 characters, the limit is 4"},
		"a long value":                    {rule, map[string]string{"a": "значен"}, "value has 6 characters, the limit is 5"},
		"an empty value":                  {rule, map[string]string{"a": ""}, `tag "a": the value is empty`},
		"an empty value where allowed":    {emptying, map[string]string{"a": ""}, ""},
		"a reserved key":                  {rule, map[string]string{"qcs:": "b"}, "reserved"},
		"a space at an end":               {rule, map[string]string{"a ": "b"}, "space"},
		"a forbidden character":           {rule, map[string]string{"a": "b*"}, `contains '*'`},
		"a mark of values in a value":     {wider, map[string]string{"a": "b#"}, ""},
		"a mark of values in a key":       {wider, map[string]string{"a#": "b"}, `contains '#'`},
		"a line break within":             {rule, map[string]string{"a": "b\nc"}, "contains"},
		"the first fault in order of key": {rule, map[string]string{"b": "*", "a": ""}, `tag "a"`},
	} {
		refused(t, what, c.rule.Check(c.tags), c.want)
	}
}

func TestWindows(t *testing.T) {
	scheduled := provider.WindowRule{MinDays: 7, MaxDays: 30}
	immediate := provider.WindowRule{MinDays: 7, MaxDays: 30, Immediate: true}
	for _, c := range []struct {
		rule provider.WindowRule
		days int
		want string
	}{
		{scheduled, 7, ""},
		{scheduled, 30, ""},
		{scheduled, 6, "6 days, possible are 7 to 30"},
		{scheduled, 31, "31 days"},
		{scheduled, 0, "0 days"},
		{immediate, 0, ""},
		{immediate, 1, "1 days"},
		{immediate, -1, "-1 days"},
	} {
		refused(t, "window", c.rule.Check(c.days), c.want)
	}
}
