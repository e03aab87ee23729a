// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import (
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
)

func parsed(t *testing.T, text string) []glob {
	t.Helper()
	globs, err := parseGlobs(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return globs
}

func TestGlobsMatch(t *testing.T) {
	for glob, names := range map[string]struct{ yes, no []string }{
		"team-a/db":            {[]string{"team-a/db"}, []string{"team-a/dbx", "team-a", "x/team-a/db"}},
		"team-a/*":             {[]string{"team-a/db", "team-a/x"}, []string{"team-a", "team-a/db/x", "team-ab/db"}},
		"team-*/db":            {[]string{"team-a/db", "team-/db"}, []string{"team-a/x/db", "team/db"}},
		"team-a/**":            {[]string{"team-a", "team-a/db", "team-a/x/y/z"}, []string{"team-ab", "x/team-a"}},
		"**/db":                {[]string{"db", "a/db", "a/b/db"}, []string{"dbx", "a/dbx", "adb"}},
		"a/**/db":              {[]string{"a/db", "a/b/db", "a/b/c/db"}, []string{"db", "a/b", "adb"}},
		"**":                   {[]string{"a", "a/b/c"}, nil},
		"a**":                  {[]string{"a", "ab"}, []string{"a/b"}},
		"***":                  {[]string{"a", "ab"}, []string{"a/b"}},
		"**/**":                {[]string{"a", "a/b/c"}, nil},
		"a/**/**":              {[]string{"a", "a/b", "a/b/c"}, []string{"ab"}},
		"a/**/**/b":            {[]string{"a/b", "a/x/b", "a/x/y/b"}, []string{"ab"}},
		"db?":                  {[]string{"db1", "db密"}, []string{"db", "db12", "db/"}},
		"db[0-9]":              {[]string{"db1"}, []string{"dbx", "db"}},
		"db[!0-9]":             {[]string{"dbx"}, []string{"db1", "db"}},
		"[a-c-e]":              {[]string{"a", "b", "c", "-", "e"}, []string{"d"}},
		"{prod,stage}/**":      {[]string{"prod/a", "stage/a/b", "prod"}, []string{"dev/a"}},
		"{a,b/{c,d*}}/x":       {[]string{"a/x", "b/c/x", "b/dd/x"}, []string{"b/x", "b/e/x"}},
		"a{,-b}":               {[]string{"a", "a-b"}, []string{"a-c"}},
		`\{a\}\*`:              {[]string{"{a}*"}, []string{"a", "{a}x"}},
		`[\]\-\\]x`:            {[]string{"]x", "-x", `\x`}, []string{"ax"}},
		"[{]x{[,],b}":          {[]string{"{x,", "{xb"}, []string{"{x[", "xb"}},
		"секрет/*/密码":          {[]string{"секрет/a/密码"}, []string{"секрет/密码"}},
		"*":                    {[]string{"a"}, []string{"a/b"}},
		"*/*":                  {[]string{"a/b"}, []string{"a", "a/b/c"}},
		"**/team-a/**/db/*.pw": {[]string{"team-a/db/x.pw", "z/team-a/y/db/.pw"}, []string{"team-a/x.pw", "team-a/db/x/y.pw"}},
	} {
		globs := parsed(t, glob)
		for _, name := range names.yes {
			if !matchesAny(globs, name) {
				t.Errorf("%s doesn't match %s", glob, name)
			}
		}
		for _, name := range names.no {
			if matchesAny(globs, name) {
				t.Errorf("%s matches %s", glob, name)
			}
		}
	}
}

func TestGlobsThatCannotBeAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"":                         "it is empty",
		"a[":                       "isn't a valid glob",
		"a{b":                      "isn't a valid glob",
		"a}":                       "isn't a valid glob",
		`a\`:                       "isn't a valid glob",
		"[]":                       "isn't a valid glob",
		"a\xff":                    "isn't a valid glob",
		"/a":                       "empty segment",
		"a/":                       "empty segment",
		"a//b":                     "empty segment",
		"a/{,b/}":                  "empty segment",
		"{a,}":                     "empty segment",
		strings.Repeat("a", 513):   "it has 513 bytes, the limit is 512",
		strings.Repeat("{a,b}", 7): "more than 64 globs",
		strings.Repeat("{a,b", 60) + strings.Repeat("}", 60): "",
	} {
		_, err := parseGlobs(text)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

// Each line is more specific than the next one.
func TestSpecificity(t *testing.T) {
	order := []string{
		"team-a/db/password",
		"team-a/db/password/**",
		"team-a/db/passwor?",
		"team-a/db/*",
		"team-a/db/**",
		"team-a/d?",
		"team-a/*/password",
		"team-a/**/password",
		"team-a/?*",
		"team-a/*",
		"team-a/*/*",
		"team-a/**",
		"team-a*",
		"team-*/db",
		"team-*",
		"**/team-a/db",
		"*/db",
		"**/db",
		"[a-z]*",
		"*",
		"*/*/*",
		"**",
		"**/*",
	}
	for i, one := range order {
		for j, other := range order {
			c := parsed(t, one)[0].rank.compare(parsed(t, other)[0].rank)
			if (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("%s against %s: %d", one, other, c)
			}
		}
	}
	for _, pair := range [][2]string{{"a*/x", "*a/x"}, {"a/**", "b/**"}, {"a?", "a[0-9]"}, {"a**", "a*"}, {"a/**/**", "a/**"}, {"a/**/**/b", "a/**/b"}, {`\a*`, "a*"}} {
		same := parsed(t, pair[0])[0].rank.compare(parsed(t, pair[1])[0].rank) == 0
		if want := pair[0] != "a*/x"; same != want {
			t.Errorf("%s and %s are equally specific: %v", pair[0], pair[1], same)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b    string
		overlap bool
	}{
		{"a/*", "*/b", true},
		{"a/*", "b/*", false},
		{"a/*", "a/*/c", false},
		{"a/**", "**/c", true},
		{"a/**", "b/**", false},
		{"a/**", "a", true},
		{"a/**", "a*", true},
		{"a/**/x", "a/x", true},
		{"a/**/x", "ax", false},
		{"**", "**", true},
		{"*", "**/a/**", true},
		{"**/a/**", "**/b/**", true},
		{"a?", "a[0-9]", true},
		{"a[a-f]", "a[g-z]", false},
		{"a[!a-f]", "a[a-g]", true},
		{"a[!a-f]", "a[a-f]", false},
		{"a[!/]", "a/b", false},
		{"[!0-x]", "[!y-" + "\U0010FFFF" + "]", true},
		{"[密]*", "*[码]", true},
		{"*-a", "b-*", true},
		{"a*b*c", "a?b?d", false},
		{"*/*", "*", false},
		{"**/*/*", "*/*/**", true},
		{`\*`, "a", false},
		{"a*/**", "a", false},
		{"***", "a/b", false},
		{"*/b", "[/]b", false},
		{"[.-0]", "[!.x]", true},
		{"[!\x01-\uD7FF]", "*", true},
		{"a*/**", "a?", true},
		{"a*/**", "a/?", true},
		{`\*`, "*", true},
	} {
		g, h := &parsed(t, c.a)[0], &parsed(t, c.b)[0]
		name, found := overlap(g, h)
		if _, mirrored := overlap(h, g); found != c.overlap || mirrored != found {
			t.Errorf("%s and %s overlap: %v, mirrored %v", c.a, c.b, found, mirrored)
		}
		if found && (!g.matches(name) || !h.matches(name)) {
			t.Errorf("%s and %s don't both match %q", c.a, c.b, name)
		}
	}
}

var globSeeds = [][3]string{
	{"team-a/**", "**/db", "team-a/x/db"},
	{"{a,b}/*", "[a-b]/?", "a/x"},
	{"a**", "**/**", "ab"},
	{`\[x`, "[[]x", "[x"},
	{"a/**/**/b", "a/*/b", "a/b/b"},
	{"[!a-c-e]", "[^x]", "-"},
	{"a/{**,b}/**/c", "*/**", "a/c"},
	{"a[/]b", "a[!x]b", "a/b"},
	{"[c-a]", "c", "c"},
	{"[!a-E-[]", "a.*/**", "a."},
	{"**/*", "a.*/**", "a."},
	{"*a*a*a*b", "**/a*", "aaaa"},
	{"a*/**", "ab*", "abc/d"},
}

// What is found out about a glob holds for doublestar.
func FuzzGlob(f *testing.F) {
	for _, seed := range globSeeds {
		f.Add(seed[0], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		globs, err := parseGlobs(text)
		if err != nil || !secretName(name) {
			return
		}
		for i := range globs {
			g := &globs[i]
			if !doublestar.ValidatePattern(g.text) {
				t.Fatalf("%q gives %q, which isn't valid", text, g.text)
			}
			if reference := doublestar.MatchUnvalidated(g.text, name); g.matches(name) != reference {
				t.Errorf("%q matches %q: %v, but not by its prefix %q and suffix %q", g.text, name, reference, g.prefix, g.suffix)
			}
			if again := parsed(t, g.text); len(again) != 1 || again[0].rank != g.rank || again[0].text != g.text {
				t.Errorf("%q gives %q, which gives %+v", text, g.text, again)
			}
		}
		// Braces mean the same, and ** more than once is where doublestar differs.
		if reference := doublestar.MatchUnvalidated(text, name); reference != matchesAny(globs, name) && !strings.Contains(text, "*") {
			t.Errorf("%q matches %q: %v, its alternatives: %v", text, name, reference, !reference)
		}
	})
}

// A common name is found if there is one, and nothing else.
func FuzzOverlap(f *testing.F) {
	for _, seed := range globSeeds {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, a, b, name string) {
		if len(a)+len(b) > 100 {
			return
		}
		gs, err1 := parseGlobs(a)
		hs, err2 := parseGlobs(b)
		if err1 != nil || err2 != nil {
			return
		}
		g, h := &gs[0], &hs[0]
		common, found := overlap(g, h)
		if !found && secretName(name) && g.matches(name) && h.matches(name) {
			t.Fatalf("%q and %q both match %q, and overlap doesn't know", g.text, h.text, name)
		}
		if found && !secretName(common) {
			t.Fatalf("%q and %q have %q in common, which no secret is called", g.text, h.text, common)
		}
		if found && !(g.matches(common) && h.matches(common)) {
			t.Errorf("%q and %q don't both match %q", g.text, h.text, common)
		}
	})
}

// secretName tells whether a secret could be called so.
func secretName(name string) bool {
	return name == strings.ToValidUTF8(name, "") && !strings.ContainsRune(name, 0) && !slices.Contains(strings.Split(name, "/"), "")
}
