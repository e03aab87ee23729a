// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Set is all rules, made to be asked for one name at a time. It doesn't change,
// and may be used by several goroutines at once.
type Set struct {
	rules []*compiled // by name
	// byPrefix has the globs by what the names that match start with, and
	// lengths has the lengths of these prefixes, shortest first. So a lookup
	// tries few globs, however many there are.
	byPrefix map[string][]candidate
	lengths  []int
}

// candidate is a glob that can match names with its prefix.
type candidate struct {
	*glob
	rule *compiled
}

// Match is a rule that matches a name.
type Match struct {
	Rule *Rule  // not to be changed
	Glob string // the most specific one that matches
	rank specificity
	rule *compiled
}

// EquallySpecific tells whether neither of two matches of one name is more
// specific.
func (m Match) EquallySpecific(other Match) bool { return m.rank == other.rank }

// Target is a destination that a secret goes to by rules.
type Target struct {
	Destination string
	Settings    Settings // merged
	Rules       []string // that named the destination, the most specific one first
	// Conflict is set if it isn't decided which settings hold.
	Conflict *ConflictError
}

// ConflictError says that it isn't decided which of two rules counts.
type ConflictError struct {
	Rules       [2]string
	Setting     string
	Destination string
	Secret      string // that both match
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("rules %s and %s are equally specific for a secret such as %q and give different values for %s at destination %s; "+
		"give both the same value, make one match more specific, or exclude such secrets from one",
		e.Rules[0], e.Rules[1], e.Secret, e.Setting, e.Destination)
}

// NewSet compiles rules. Each has to be valid and to have a name of its own;
// conflicts are left to [Set.Check] and [Set.Resolve].
func NewSet(rules []Rule) (*Set, error) {
	s := &Set{byPrefix: map[string][]candidate{}}
	for _, r := range rules {
		c, err := compile(r)
		if err != nil {
			return nil, err
		}
		s.rules = append(s.rules, c)
		for i := range c.match {
			g := &c.match[i]
			s.byPrefix[g.prefix] = append(s.byPrefix[g.prefix], candidate{g, c})
			s.lengths = append(s.lengths, len(g.prefix))
		}
	}
	slices.SortFunc(s.rules, func(a, b *compiled) int { return strings.Compare(a.Name, b.Name) })
	for i := range s.rules {
		if i > 0 && s.rules[i].Name == s.rules[i-1].Name {
			return nil, fmt.Errorf("two rules have the name %s", s.rules[i].Name)
		}
	}
	slices.Sort(s.lengths)
	s.lengths = slices.Compact(s.lengths)
	return s, nil
}

// Rules returns all rules, by name. They must not be changed.
func (s *Set) Rules() []*Rule {
	all := make([]*Rule, len(s.rules))
	for i, c := range s.rules {
		all[i] = &c.Rule
	}
	return all
}

// For returns the rules that match a name, the most specific one first, and
// equally specific ones by name.
func (s *Set) For(name string) []Match {
	var matches []Match
	for _, length := range s.lengths {
		if length > len(name) {
			break
		}
		for _, c := range s.byPrefix[name[:length]] {
			if !c.matches(name) {
				continue
			}
			found := Match{Rule: &c.rule.Rule, Glob: c.text, rank: c.rank, rule: c.rule}
			switch i := slices.IndexFunc(matches, func(m Match) bool { return m.rule == c.rule }); {
			case i < 0:
				matches = append(matches, found)
			case c.rank.compare(matches[i].rank) < 0:
				matches[i] = found
			}
		}
	}
	matches = slices.DeleteFunc(matches, func(m Match) bool { return matchesAny(m.rule.exclude, name) })
	slices.SortFunc(matches, func(a, b Match) int {
		return cmp.Or(a.rank.compare(b.rank), strings.Compare(a.Rule.Name, b.Rule.Name))
	})
	return matches
}

// Resolve returns where a secret goes by the rules, by destination. If equally
// specific rules contradict each other, the error is the first conflict, and the
// destinations about which they do have theirs; the others are decided all the
// same. A more specific rule hides no conflict: who removes that one shall not
// be surprised.
func (s *Set) Resolve(name string) ([]Target, error) {
	matches := s.For(name)
	var targets []Target
	for _, m := range matches {
		for _, destination := range m.Rule.Destinations {
			i, found := find(targets, destination)
			if !found {
				targets = slices.Insert(targets, i, Target{Destination: destination})
			}
			t := &targets[i]
			t.Settings = Merge(t.Settings, m.Rule.Settings)
			t.Rules = append(t.Rules, m.Rule.Name)
		}
	}
	var first error
	for i, a := range matches {
		for _, b := range matches[i+1:] {
			if !a.EquallySpecific(b) {
				break
			}
			for _, conflict := range conflicts(a.rule, b.rule, name) {
				first = cmp.Or(first, error(conflict))
				at, _ := find(targets, conflict.Destination)
				targets[at].Conflict = cmp.Or(targets[at].Conflict, conflict)
			}
		}
	}
	return targets, first
}

// find returns where the target of a destination is, or should be.
func find(targets []Target, destination string) (int, bool) {
	return slices.BinarySearchFunc(targets, destination, func(t Target, d string) int { return strings.Compare(t.Destination, d) })
}

// conflicts returns the conflicts of two rules that are equally specific for a
// secret, one for each destination that both name.
func conflicts(a, b *compiled, secret string) []*ConflictError {
	setting := Conflict(a.Settings, b.Settings)
	if setting == "" {
		return nil
	}
	var all []*ConflictError
	for _, destination := range a.Destinations {
		if slices.Contains(b.Destinations, destination) {
			all = append(all, &ConflictError{Rules: [2]string{a.Name, b.Name}, Setting: setting, Destination: destination, Secret: secret})
		}
	}
	return all
}

// Check tells whether r can be added to the set, or take the place of the rule
// of that name: whether it is valid, and whether there can be a secret for which
// it is in conflict with another rule. With globs that overlap in one place and
// are excluded there it may miss a conflict elsewhere, which [Set.Resolve] then
// finds; it never reports one that can't happen.
func (s *Set) Check(r Rule) error {
	c, err := compile(r)
	if err != nil {
		return err
	}
	for _, other := range s.rules {
		if other.Name == r.Name || len(conflicts(c, other, "")) == 0 {
			continue
		}
		if secret, found := meet(c, other); found {
			return conflicts(c, other, secret)[0]
		}
	}
	return nil
}

// meet returns a name for which both rules are equally specific.
func meet(a, b *compiled) (string, bool) {
	for i := range a.match {
		for j := range b.match {
			g, h := &a.match[i], &b.match[j]
			if g.rank != h.rank {
				continue
			}
			name, found := overlap(g, h)
			if !found {
				continue
			}
			// The overlap knows nothing of excludes and of other globs.
			rankA, matchA := a.at(name)
			rankB, matchB := b.at(name)
			if matchA && matchB && rankA == rankB {
				return name, true
			}
		}
	}
	return "", false
}
