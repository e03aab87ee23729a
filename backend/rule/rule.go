// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package rule decides which secrets go to which destinations, and with which
// settings.
//
// All rules that match the name of a secret contribute their destinations. When
// several speak of one destination, the most specific one is the most important
// one. The specificity of a rule for a name is that of the most specific of its
// globs that match the name. Of two globs the more specific one is, by the first
// of these that differs,
//
//  1. the one without wildcards
//  2. the one with more characters before its first wildcard
//  3. the one with more characters that stand for themselves, slashes aside
//  4. the one with fewer **
//  5. the one with fewer *
//  6. the one with more ? and [classes], each of which is one character
//
// Two rules that are equally specific for a secret and give different values to
// one setting of one destination are in conflict; nobody guesses.
package rule

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule sends the secrets whose names match to destinations.
type Rule struct {
	Name         string   `json:"-"` // the key that it is stored under
	Match        []string `json:"match"`
	Exclude      []string `json:"exclude,omitempty"`
	Destinations []string `json:"destinations"` // such as tencent-ssm/prod
	Settings     Settings `json:"settings,omitzero"`
	// AllowedDestinations are globs on the destinations that secrets may name
	// themselves; without any, each may.
	AllowedDestinations []string `json:"allowed_destinations,omitempty"`
}

// Allows tells whether a secret that the rule matches may name the destination
// itself.
func (r *Rule) Allows(destination string) bool {
	return len(r.AllowedDestinations) == 0 || slices.Contains(r.Destinations, destination) ||
		slices.ContainsFunc(r.AllowedDestinations, func(glob string) bool {
			ok, err := doublestar.Match(glob, destination)
			return err == nil && ok
		})
}

// Check tells whether the rule is valid by itself.
func (r Rule) Check() error {
	_, err := compile(r)
	return err
}

// compiled is a rule that can be matched.
type compiled struct {
	Rule
	match   []glob // the most specific one first
	exclude []glob
}

func compile(r Rule) (*compiled, error) {
	if r.Name == "" {
		return nil, errors.New("the rule has no name")
	}
	c := &compiled{Rule: r}
	for _, part := range []struct {
		name  string
		texts []string
		globs *[]glob
	}{{"match", r.Match, &c.match}, {"exclude", r.Exclude, &c.exclude}} {
		for _, text := range part.texts {
			globs, err := parseGlobs(text)
			if err != nil {
				return nil, fmt.Errorf("rule %s: %s %q: %w", r.Name, part.name, text, err)
			}
			*part.globs = append(*part.globs, globs...)
		}
	}
	slices.SortStableFunc(c.match, func(g, h glob) int { return g.rank.compare(h.rank) })
	if len(c.match) == 0 {
		return nil, fmt.Errorf("rule %s: match is empty; give a glob such as team-a/**, or ** for all secrets", r.Name)
	}
	if len(r.Destinations) == 0 && len(r.AllowedDestinations) == 0 {
		return nil, fmt.Errorf("rule %s: destinations is empty; name at least one, such as tencent-ssm/prod", r.Name)
	}
	for _, glob := range r.AllowedDestinations {
		if glob == "" || !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("rule %s: allowed_destinations %q isn't a valid glob, such as tencent-ssm/*", r.Name, glob)
		}
	}
	for _, destination := range r.Destinations {
		if kind, name, _ := strings.Cut(destination, "/"); kind == "" || name == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("rule %s: destination %q isn't of the form type/name, such as tencent-ssm/prod", r.Name, destination)
		}
	}
	c.Destinations = asSet(r.Destinations)
	if err := r.Settings.Check(); err != nil {
		return nil, fmt.Errorf("rule %s: %w", r.Name, err)
	}
	return c, nil
}

// at returns how specific the rule is for a name, and whether it matches.
func (c *compiled) at(name string) (specificity, bool) {
	for i := range c.match {
		if c.match[i].matches(name) {
			return c.match[i].rank, !matchesAny(c.exclude, name)
		}
	}
	return specificity{}, false
}

// Affected returns a function that tells for which names a change of a rule can
// change anything. A nil before is a new rule, a nil after a deleted one. Both
// have to be valid.
func Affected(before, after *Rule) (func(name string) bool, error) {
	matches := func(r *Rule) (func(string) (specificity, bool), error) {
		if r == nil {
			return func(string) (specificity, bool) { return specificity{}, false }, nil
		}
		c, err := compile(*r)
		if err != nil {
			return nil, err
		}
		return c.at, nil
	}
	matchedBefore, err := matches(before)
	if err != nil {
		return nil, err
	}
	matchesAfter, err := matches(after)
	if err != nil {
		return nil, err
	}
	same := before != nil && after != nil &&
		slices.Equal(asSet(before.Destinations), asSet(after.Destinations)) && reflect.DeepEqual(before.Settings, after.Settings) &&
		slices.Equal(asSet(before.AllowedDestinations), asSet(after.AllowedDestinations))
	return func(name string) bool {
		was, did := matchedBefore(name)
		is, does := matchesAfter(name)
		return did != does || does && (!same || was != is)
	}, nil
}
