// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

const (
	tencent = "tencent-ssm/prod"
	alibaba = "alicloud-kms/prod"
)

// key makes a rule whose settings are a KMS key, "" for none.
func key(name, match, destination, kmsKeyID string) rule.Rule {
	r := rule.Rule{Name: name, Match: strings.Fields(match), Destinations: []string{destination}}
	if kmsKeyID != "" {
		r.Settings.KMSKeyID = &kmsKeyID
	}
	return r
}

func newSet(t testing.TB, rules ...rule.Rule) *rule.Set {
	t.Helper()
	s, err := rule.NewSet(rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func names(matches []rule.Match) string {
	var b []string
	for _, m := range matches {
		b = append(b, m.Rule.Name+"="+m.Glob)
	}
	return strings.Join(b, " ")
}

func TestTheMostSpecificRuleComesFirst(t *testing.T) {
	excluding := key("most", "team-a/**", tencent, "")
	excluding.Exclude = []string{"team-a/private/**", "**/*.tmp"}
	s := newSet(
		t,
		key("all", "**", tencent, ""), excluding, key("two", "team-a/* **/db", tencent, ""),
		key("exact", "team-a/db", tencent, ""), key("other", "team-b/** {x,y}/**", tencent, ""), key("again", "**", alibaba, ""),
	)
	for secret, want := range map[string]string{
		"team-a/db":        "exact=team-a/db two=team-a/* most=team-a/** again=** all=**",
		"team-a/x":         "two=team-a/* most=team-a/** again=** all=**",
		"team-a/x/db":      "most=team-a/** two=**/db again=** all=**",
		"team-a/x.tmp":     "two=team-a/* again=** all=**",
		"team-a/private":   "two=team-a/* again=** all=**",
		"team-b":           "other=team-b/** again=** all=**",
		"y/db":             "other=y/** two=**/db again=** all=**",
		"z":                "again=** all=**",
		"team-a/private/x": "again=** all=**",
	} {
		if got := names(s.For(secret)); got != want {
			t.Errorf("%s: got %s, want %s", secret, got, want)
		}
	}
	if got := newSet(t).For("x"); len(got) != 0 {
		t.Errorf("no rules match: %v", got)
	}
}

func TestEveryMatchingRuleContributes(t *testing.T) {
	general := key("general", "**", tencent, "k-general")
	general.Settings.Description = new("by the platform")
	general.Settings.Tags = map[string]string{"env": "prod", "owner": "platform"}
	team := key("team", "team-a/**", alibaba, "")
	team.Destinations = append(team.Destinations, tencent, alibaba)
	team.Settings.KMSKeyID = new("k-team")
	team.Settings.Tags = map[string]string{"owner": "team-a"}
	s := newSet(t, general, team)
	got, err := s.Resolve("team-a/db")
	want := []rule.Target{
		{Destination: alibaba, Settings: team.Settings, Rules: []string{"team"}},
		{Destination: tencent, Rules: []string{"team", "general"}, Settings: rule.Settings{
			KMSKeyID: new("k-team"), Description: new("by the platform"), Tags: map[string]string{"env": "prod", "owner": "team-a"},
		}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if got, err := s.Resolve("x"); err != nil || len(got) != 1 || *got[0].Settings.KMSKeyID != "k-general" {
		t.Errorf("got %+v, %v", got, err)
	}
	// The answer is the caller's.
	got[1].Settings.Tags["env"] = "changed"
	if again, _ := s.Resolve("x"); again[0].Settings.Tags["env"] != "prod" {
		t.Error("a caller can change the rules")
	}
}

func TestConflicts(t *testing.T) {
	excluded := key("a", "team-a/*", tencent, "k1")
	excluded.Exclude = []string{"**/db"}
	nothing := key("a", "team-a/db", tencent, "k1")
	nothing.Exclude = []string{"**/db"}
	for name, c := range map[string]struct {
		a, b   rule.Rule
		secret string // for which the lookup fails, "" if there is none
		saving bool   // whether that is found when b is saved
	}{
		"the same match and different keys":   {key("a", "team-a/*", tencent, "k1"), key("b", "team-a/*", tencent, "k2"), "team-a/db", true},
		"equally specific matches":            {key("a", "team-[a-c]/*", tencent, "k1"), key("b", "team-?/*", tencent, "k2"), "team-a/db", true},
		"two exact names":                     {key("a", "x team-a/db", tencent, "k1"), key("b", "team-a/db y", tencent, "k2"), "team-a/db", true},
		"alternatives":                        {key("a", "{team-a,team-b}/**", tencent, "k1"), key("b", "{team-b,team-c}/**", tencent, "k2"), "team-b/x", true},
		"matches that have no name in common": {key("a", "team-a/*", tencent, "k1"), key("b", "team-b/*", tencent, "k2"), "", false},
		"one is more specific":                {key("a", "team-a/*", tencent, "k1"), key("b", "team-a/**", tencent, "k2"), "", false},
		"other destinations":                  {key("a", "team-a/*", tencent, "k1"), key("b", "team-a/*", alibaba, "k2"), "", false},
		"the same key":                        {key("a", "team-a/*", tencent, "k1"), key("b", "team-a/*", tencent, "k1"), "", false},
		"one has no key":                      {key("a", "team-a/*", tencent, "k1"), key("b", "team-a/*", tencent, ""), "", false},
		"excluded in the only place":          {excluded, key("b", "team-a/db", tencent, "k2"), "", false},
		"a rule that excludes all it matches": {nothing, key("b", "team-a/db", tencent, "k2"), "", false},
		"excluded in some places":             {excluded, key("b", "team-a/*", tencent, "k2"), "team-a/x", true},
		"another glob is more specific there": {key("a", "team-?/* team-a/*", tencent, "k1"), key("b", "team-[a]/*", tencent, "k2"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			both := newSet(t, c.a, c.b)
			for _, order := range [][2]rule.Rule{{c.a, c.b}, {c.b, c.a}} {
				err := newSet(t, order[0]).Check(order[1])
				if (err != nil) != c.saving {
					t.Errorf("saving %s: %v", order[1].Name, err)
				}
				if err != nil {
					wantConflict(t, err, both)
				}
			}
			for _, secret := range []string{"team-a/db", "team-a/x", "team-b/x", "x"} {
				_, err := both.Resolve(secret)
				if secret == c.secret {
					wantConflict(t, err, both)
				} else if c.secret == "" && err != nil {
					t.Errorf("%s: %v", secret, err)
				}
			}
		})
	}
}

// wantConflict demands an error that names everything, about a secret for which
// the lookup fails.
func wantConflict(t *testing.T, err error, s *rule.Set) {
	t.Helper()
	var conflict *rule.ConflictError
	if !errors.As(err, &conflict) {
		t.Errorf("%v isn't a conflict", err)
		return
	}
	for _, part := range []string{"rules a and b are", "kms_key_id", tencent, conflict.Secret} {
		if !strings.Contains(strings.ReplaceAll(err.Error(), "b and a", "a and b"), part) {
			t.Errorf("%v doesn't name %s", err, part)
		}
	}
	if strings.Contains(err.Error(), "k1") {
		t.Errorf("%v quotes a value", err)
	}
	if _, err := s.Resolve(conflict.Secret); !errors.As(err, &conflict) {
		t.Errorf("%s, the example, has no conflict: %v", conflict.Secret, err)
	}
}

func TestAMoreSpecificRuleDoesNotHideAConflict(t *testing.T) {
	s := newSet(t, key("exact", "team-a/db", tencent, "k0"), key("a", "team-a/*", tencent, "k1"), key("b", "team-a/*", tencent, "k2"))
	_, err := s.Resolve("team-a/db")
	wantConflict(t, err, s)
}

func TestAConflictLeavesOtherDestinationsDecided(t *testing.T) {
	a, b := key("a", "team-a/*", tencent, "k1"), key("b", "team-a/*", tencent, "k2")
	a.Destinations = append(a.Destinations, alibaba)
	b.Destinations = append(b.Destinations, "huawei-csms/prod", "tencent-ssm/second")
	c := key("c", "team-a/*", "tencent-ssm/second", "k3")
	s := newSet(t, a, b, c)
	targets, err := s.Resolve("team-a/db")
	wantConflict(t, err, s)
	conflicts := map[string]string{}
	for _, target := range targets {
		conflicts[target.Destination] = ""
		if target.Conflict != nil {
			conflicts[target.Destination] = strings.Join(target.Conflict.Rules[:], " ")
			if target.Conflict.Destination != target.Destination {
				t.Errorf("%s has the conflict of %s", target.Destination, target.Conflict.Destination)
			}
		}
	}
	want := map[string]string{alibaba: "", "huawei-csms/prod": "", tencent: "a b", "tencent-ssm/second": "b c"}
	if !maps.Equal(conflicts, want) {
		t.Errorf("got %v, want %v", conflicts, want)
	}
}

func TestARuleDoesNotConflictWithItself(t *testing.T) {
	s := newSet(t, key("a", "team-a/* team-[a]/*", tencent, "k1"))
	if err := s.Check(key("a", "team-a/*", tencent, "k2")); err != nil {
		t.Error(err)
	}
}

func TestRulesThatCannotBeAreRefused(t *testing.T) {
	ok := func() rule.Rule { return key("r", "a/**", tencent, "k") }
	for name, c := range map[string]struct {
		change func(*rule.Rule)
		says   string
	}{
		"nothing wrong":           {func(*rule.Rule) {}, ""},
		"no name":                 {func(r *rule.Rule) { r.Name = "" }, "has no name"},
		"no match":                {func(r *rule.Rule) { r.Match = nil }, "rule r: match is empty"},
		"a match that isn't one":  {func(r *rule.Rule) { r.Match = []string{"a", "b["} }, `rule r: match "b[": it isn't a valid glob`},
		"an exclude that isn't":   {func(r *rule.Rule) { r.Exclude = []string{"/a"} }, `rule r: exclude "/a": it has an empty segment`},
		"no destination":          {func(r *rule.Rule) { r.Destinations = nil }, "rule r: destinations is empty"},
		"a destination's name":    {func(r *rule.Rule) { r.Destinations = []string{"prod"} }, `rule r: destination "prod" isn't of the form type/name`},
		"a destination too long":  {func(r *rule.Rule) { r.Destinations = []string{"a/b/c"} }, `destination "a/b/c"`},
		"a setting that isn't":    {func(r *rule.Rule) { r.Settings.SecretNameTemplate = new("") }, "rule r: secret_name_template: it is empty"},
		"settings that can't be.": {func(r *rule.Rule) { r.Settings.ValueKey = new("") }, "rule r: value_key"},
	} {
		t.Run(name, func(t *testing.T) {
			r := ok()
			c.change(&r)
			_, setErr := rule.NewSet([]rule.Rule{r})
			for _, err := range []error{r.Check(), setErr, newSet(t).Check(r)} {
				if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %q", err, c.says)
				}
			}
		})
	}
	if _, err := rule.NewSet([]rule.Rule{ok(), ok()}); err == nil || !strings.Contains(err.Error(), "two rules have the name r") {
		t.Errorf("two rules of one name: %v", err)
	}
}

func TestAffected(t *testing.T) {
	team := key("r", "team-a/** **/db", tencent, "k1")
	with := func(change func(*rule.Rule)) *rule.Rule {
		r := team
		change(&r)
		return &r
	}
	for name, c := range map[string]struct {
		before, after *rule.Rule
		yes, no       []string
	}{
		"a new rule":            {nil, &team, []string{"team-a/x", "db"}, []string{"x"}},
		"a deleted rule":        {&team, nil, []string{"team-a/x", "db"}, []string{"x"}},
		"the same rule":         {&team, with(func(*rule.Rule) {}), nil, []string{"team-a/x", "x"}},
		"another setting":       {&team, with(func(r *rule.Rule) { r.Settings.KMSKeyID = new("k2") }), []string{"team-a/x", "db"}, []string{"x"}},
		"an equal setting":      {&team, with(func(r *rule.Rule) { r.Settings.KMSKeyID = new("k1") }), nil, []string{"team-a/x"}},
		"another destination":   {&team, with(func(r *rule.Rule) { r.Destinations = []string{tencent, alibaba} }), []string{"team-a/x"}, []string{"x"}},
		"destinations in order": {&team, with(func(r *rule.Rule) { r.Destinations = []string{tencent, tencent} }), nil, []string{"team-a/x"}},
		"fewer matches":         {&team, with(func(r *rule.Rule) { r.Match = []string{"team-a/**"} }), []string{"x/db"}, []string{"team-a/x", "team-a/db", "x"}},
		"more matches":          {&team, with(func(r *rule.Rule) { r.Match = append([]string{"x"}, r.Match...) }), []string{"x"}, []string{"team-a/x", "db"}},
		"a more specific match": {&team, with(func(r *rule.Rule) { r.Match = append([]string{"team-a/x"}, r.Match...) }), []string{"team-a/x"}, []string{"team-a/y", "db"}},
		"an exclude":            {&team, with(func(r *rule.Rule) { r.Exclude = []string{"team-a/x/**"} }), []string{"team-a/x/y"}, []string{"team-a/y", "x"}},
		"no rule at all":        {nil, nil, nil, []string{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			affected, err := rule.Affected(c.before, c.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range c.yes {
				if !affected(secret) {
					t.Errorf("%s isn't affected", secret)
				}
			}
			for _, secret := range c.no {
				if affected(secret) {
					t.Errorf("%s is affected", secret)
				}
			}
		})
	}
	for _, pair := range [][2]*rule.Rule{{{Name: "r"}, &team}, {&team, {Name: "r"}}} {
		if _, err := rule.Affected(pair[0], pair[1]); err == nil {
			t.Error("an invalid rule is accepted")
		}
	}
}

// whatIsFor is For without an index.
func whatIsFor(rules []rule.Rule, secret string) []string {
	var found []string
	for _, r := range rules {
		matches := func(glob string) bool { return doublestar.MatchUnvalidated(glob, secret) }
		if slices.ContainsFunc(r.Match, matches) && !slices.ContainsFunc(r.Exclude, matches) {
			found = append(found, r.Name)
		}
	}
	slices.Sort(found)
	return found
}

// many are 200 rules of the kinds that people write, and 20,000 secrets.
func many() ([]rule.Rule, []string) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same rules each time
	var rules []rule.Rule
	for i := range 200 {
		r := key(fmt.Sprintf("rule-%03d", i), "", []string{tencent, alibaba}[i%2], fmt.Sprint("k", i%2))
		team := fmt.Sprintf("team-%02d", i/4)
		r.Match = [][]string{{team + "/**"}, {team + "/{db,cache}/*"}, {"**/" + team + "/db"}, {team + "*/app-?/**", "shared/" + team}}[i%4]
		if i%8 == 0 {
			r.Exclude = []string{"**/private/**"}
		}
		rules = append(rules, r)
	}
	var secrets []string
	for range 20000 {
		secrets = append(secrets, fmt.Sprintf("team-%02d/%s/%s", random.IntN(60), []string{"db", "cache", "app-1", "private", "x/team-03"}[random.IntN(5)],
			[]string{"db", "password", "a/b/c/d"}[random.IntN(3)]))
	}
	return rules, secrets
}

func TestTheIndexFindsWhatASearchFinds(t *testing.T) {
	rules, secrets := many()
	s := newSet(t, rules...)
	for _, secret := range secrets[:2000] {
		var found []string
		for _, m := range s.For(secret) {
			found = append(found, m.Rule.Name)
		}
		slices.Sort(found)
		if want := whatIsFor(rules, secret); !slices.Equal(found, want) {
			t.Fatalf("%s: got %v, want %v", secret, found, want)
		}
	}
}

// Whatever Check lets pass and Resolve then refuses is rare, and whatever Check
// refuses Resolve refuses.
func FuzzConflicts(f *testing.F) {
	f.Add("team-a/*", "**/db", "team-*/db", "a/*", "team-a/db")
	f.Add("{a,b}/**", "b/c", "[ab]/**", "**/c", "b/c")
	f.Fuzz(func(t *testing.T, matchA, excludeA, matchB, excludeB, secret string) {
		if len(matchA)+len(matchB) > 100 {
			return
		}
		a, b := key("a", "", tencent, "k1"), key("b", "", tencent, "k2")
		a.Match, a.Exclude, b.Match, b.Exclude = []string{matchA}, []string{excludeA}, []string{matchB}, []string{excludeB}
		s, err := rule.NewSet([]rule.Rule{a})
		if err != nil || b.Check() != nil {
			return
		}
		both := newSet(t, b, a)
		var conflict *rule.ConflictError
		if errors.As(s.Check(b), &conflict) {
			if _, err := both.Resolve(conflict.Secret); err == nil {
				t.Errorf("%q is no conflict", conflict.Secret)
			}
		}
		matches := both.For(secret)
		_, err = both.Resolve(secret)
		if ambiguous := len(matches) == 2 && matches[0].EquallySpecific(matches[1]); ambiguous != (err != nil) {
			t.Errorf("%q matches %v: %v", secret, names(matches), err)
		}
		affected, err := rule.Affected(&a, nil)
		if matched := slices.ContainsFunc(matches, func(m rule.Match) bool { return m.Rule.Name == "a" }); err != nil || affected(secret) != matched {
			t.Errorf("%q matches a: %v; a change affects it: %v, %v", secret, matched, !matched, err)
		}
	})
}
