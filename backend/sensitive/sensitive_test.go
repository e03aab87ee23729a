// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package sensitive_test

import (
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

const canary = "canary-4f1d7c22"

// holders are ways in which a String ends up in something that is printed.
func holders() map[string]any {
	s := sensitive.NewString(canary)
	type exported struct{ S sensitive.String }
	type unexported struct{ s sensitive.String }
	type pointer struct{ s *sensitive.String }
	return map[string]any{
		"itself":               s,
		"a pointer to it":      &s,
		"a field":              exported{s},
		"a hidden field":       unexported{s},
		"a hidden pointer":     pointer{&s},
		"a pointer's field":    &unexported{s},
		"a nested field":       struct{ inner any }{unexported{s}},
		"a slice":              []sensitive.String{s},
		"a map's value":        map[string]sensitive.String{"k": s},
		"a map's key":          map[sensitive.String]int{s: 1},
		"an error's text":      fmt.Errorf("failed with %v", s),
		"a hidden field's map": struct{ m map[string]sensitive.String }{map[string]sensitive.String{"k": s}},
	}
}

func TestNoVerbPrintsIt(t *testing.T) {
	for name, holder := range holders() {
		for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "X", "d", "t", "T", "U", "c", "e", "b", "o", "p", "20s", "-20v", ".3s", "# x", "w"} {
			text := fmt.Sprintf("%"+verb, holder)
			if shows(text) {
				t.Errorf("%%%s shows it in %s: %s", verb, name, text)
			}
		}
		if text := fmt.Sprint(holder) + fmt.Sprintln(holder); shows(text) {
			t.Errorf("printing shows it in %s: %s", name, text)
		}
	}
}

func TestNoLoggerPrintsIt(t *testing.T) {
	for name, holder := range holders() {
		var b strings.Builder
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "holder", holder)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "holder", holder)
		if shows(b.String()) {
			t.Errorf("a log shows it in %s: %s", name, b.String())
		}
	}
}

// shows finds the canary as text, in hex or as bytes in decimal.
func shows(text string) bool {
	lower := strings.ToLower(text)
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("% x", canary), strings.Trim(fmt.Sprint([]byte(canary)), "[]")} {
		if strings.Contains(lower, form) {
			return true
		}
	}
	return false
}

func TestEncodersRefuse(t *testing.T) {
	s := sensitive.NewString(canary)
	type record struct {
		Name string
		S    sensitive.String
	}
	for name, encode := range map[string]func() ([]byte, error){
		"json":             func() ([]byte, error) { return json.Marshal(s) },
		"json in a struct": func() ([]byte, error) { return json.Marshal(record{"n", s}) },
		"json in a map":    func() ([]byte, error) { return json.Marshal(map[string]any{"s": s}) },
		"json as a key":    func() ([]byte, error) { return json.Marshal(map[sensitive.String]int{s: 1}) },
		"json, unset":      func() ([]byte, error) { return json.Marshal(record{Name: "n"}) },
		"xml":              func() ([]byte, error) { return xml.Marshal(record{"n", s}) },
		"gob":              func() ([]byte, error) { return nil, gob.NewEncoder(io.Discard).Encode(record{"n", s}) },
	} {
		if encoded, err := encode(); err == nil || shows(string(encoded)) || shows(err.Error()) {
			t.Errorf("%s: %q, error %v", name, encoded, err)
		}
	}
}

func TestString(t *testing.T) {
	unset, empty, full := sensitive.String{}, sensitive.NewString(""), sensitive.NewString("x")
	if unset.IsSet() || !empty.IsSet() || !full.IsSet() {
		t.Error("IsSet doesn't tell unset from empty")
	}
	if unset.Reveal() != "" || empty.Reveal() != "" || full.Reveal() != "x" {
		t.Error("Reveal doesn't return the text")
	}
	if unset.String() != full.String() {
		t.Error("a placeholder tells whether there is a text")
	}
	for _, c := range []struct {
		a, b sensitive.String
		want bool
	}{
		{unset, unset, true},
		{unset, empty, false},
		{empty, empty, true},
		{full, sensitive.NewString("x"), true},
		{full, sensitive.NewString("y"), false},
		{full, sensitive.NewString("xx"), false},
	} {
		if c.a.Equal(c.b) != c.want || c.b.Equal(c.a) != c.want {
			t.Errorf("%q and %q: equal is %t", c.a.Reveal(), c.b.Reveal(), c.a.Equal(c.b))
		}
	}
}

func TestScrub(t *testing.T) {
	secret := sensitive.NewString("correct horse battery staple")
	short := sensitive.NewString("abc")
	for name, c := range map[string]struct {
		message string
		secrets []sensitive.String
		kept    bool
	}{
		"an innocent message":                      {"the key is disabled", []sensitive.String{secret, short}, true},
		"the whole secret":                         {"got correct horse battery staple.", []sensitive.String{secret}, false},
		"a part of eight bytes":                    {"got:horse ba", []sensitive.String{secret}, false},
		"a part of seven bytes":                    {"got:horse b", []sensitive.String{secret}, true},
		"the end of the secret at the very end":    {"... y staple", []sensitive.String{secret}, false},
		"the second of two secrets":                {"got correct horse", []sensitive.String{short, secret}, false},
		"a short secret":                           {"got abc", []sensitive.String{short}, false},
		"a secret too short to recognise":          {"an ab in a cab", []sensitive.String{sensitive.NewString("ab")}, true},
		"an empty and an unset secret":             {"anything", []sensitive.String{{}, sensitive.NewString("")}, true},
		"no secrets":                               {"anything", nil, true},
		"a secret behind what is kept of it":       {strings.Repeat("x", 2000) + "correct horse", []sensitive.String{secret}, true},
		"a secret over the border of what is kept": {strings.Repeat("x", 1014) + "correct horse", []sensitive.String{secret}, false},
	} {
		got := sensitive.Scrub(c.message, c.secrets...)
		if strings.Contains(got, "correct h") {
			t.Errorf("%s: the secret is left in %q", name, got)
		}
		if kept := strings.HasPrefix(c.message, strings.TrimSuffix(got, "...")); kept != c.kept {
			t.Errorf("%s: kept is %t: %q", name, kept, got)
		}
		if len(got) > 1100 {
			t.Errorf("%s: %d bytes are left", name, len(got))
		}
	}
}

func FuzzScrubKeepsNoSecret(f *testing.F) {
	f.Add("before ", "the-secret", " after")
	f.Add(strings.Repeat("é", 511), "secretsecret", "")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		if len(secret) < 8 {
			t.Skip("too short to recognise a part")
		}
		withheld := sensitive.Scrub("a-whole-secret", sensitive.NewString("a-whole-secret"))
		got := sensitive.Scrub(before+secret+after, sensitive.NewString(secret))
		if got != withheld && strings.Contains(got, secret) {
			t.Errorf("the secret is left in %q", got)
		}
	})
}

var errWrapped = errors.New("cause")

func TestErrorsThatHoldOneCanBeWrapped(t *testing.T) {
	err := fmt.Errorf("store %v: %w", sensitive.NewString(canary), errWrapped)
	if !errors.Is(err, errWrapped) || shows(err.Error()) {
		t.Errorf("error %v", err)
	}
}
