// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import (
	"slices"
	"unicode/utf8"
)

// automaton reads a name character by character; it starts in state 0 and
// accepts in the last one.
type automaton [][]edge

// edge leads to another state by one character of the set, or by none at all.
type edge struct {
	to   int
	free bool
	set  runeSet
}

func (g *glob) automaton() automaton {
	a := slices.Repeat(automaton{nil}, len(g.tokens)+1)
	for from, t := range g.tokens {
		to := from + 1
		switch {
		case t.kind == literal || t.kind == single:
			a[from] = append(a[from], edge{to: to, set: t.set})
		case t.kind == star && to < len(g.tokens) && g.tokens[to].kind == deepEnd:
			// To doublestar a*/** matches ab and a/b, but not a.
			some, within := len(a), len(a)+1
			a = append(a, []edge{{to: some, set: notSlash}, {to: to, free: true}}, []edge{{to: within, set: anyRune}, {to: to + 1, free: true}})
			a[from] = append(a[from], edge{to: some, set: notSlash}, edge{to: within, set: slash})
		case t.kind == star || t.kind == deepAll:
			a[from] = append(a[from], edge{to: to, free: true}, edge{to: from, set: t.set})
		case t.kind == deep:
			// A state of its own within the segments, so that they end in a slash.
			within := len(a)
			a = append(a, []edge{{to: within, set: anyRune}, {to: to, set: slash}})
			a[from] = append(a[from], edge{to: to, free: true}, edge{to: within, set: anyRune})
		default: // deepEnd
			within := len(a)
			a = append(a, []edge{{to: within, set: anyRune}, {to: to, free: true}})
			a[from] = append(a[from], edge{to: to, free: true}, edge{to: within, set: slash})
		}
	}
	return a
}

// meeting is a pair of states that two automata reach with the same text.
type meeting struct {
	a, b    int
	fresh   bool // at the start of a segment
	before  int  // the meeting before
	reached rune // by that character, 0 by none
}

// search goes through the pairs of states that a common text can reach.
type search struct {
	a, b     automaton
	meetings []meeting
	seen     []bool // by pair and fresh
}

// overlap returns a short name that both globs match, and whether there is one.
// Names with an empty segment don't count, since no secret has one.
func overlap(g, h *glob) (string, bool) {
	s := search{a: g.automaton(), b: h.automaton()}
	s.seen = make([]bool, 2*len(s.a)*len(s.b))
	s.visit(meeting{fresh: true})
	for i := 0; ; i++ {
		if i == len(s.meetings) {
			return "", false
		}
		if m := s.meetings[i]; m.a == len(g.tokens) && m.b == len(h.tokens) && !m.fresh {
			return spell(s.meetings, i), true
		}
		s.leave(i)
	}
}

func (s *search) visit(m meeting) {
	id := 2 * (m.a*len(s.b) + m.b)
	if m.fresh {
		id++
	}
	if !s.seen[id] {
		s.seen[id] = true
		s.meetings = append(s.meetings, m)
	}
}

// leave visits all that one step leads to.
func (s *search) leave(i int) {
	m := s.meetings[i]
	for _, e := range s.a[m.a] {
		if e.free {
			s.visit(meeting{e.to, m.b, m.fresh, i, 0})
		}
	}
	for _, e := range s.b[m.b] {
		if e.free {
			s.visit(meeting{m.a, e.to, m.fresh, i, 0})
		}
	}
	for _, e := range s.a[m.a] {
		for _, f := range s.b[m.b] {
			if e.free || f.free {
				continue
			}
			if c, ok := commonRune(e.set, f.set); ok {
				s.visit(meeting{e.to, f.to, false, i, c})
			}
			if !m.fresh && e.set.contains('/') && f.set.contains('/') {
				s.visit(meeting{e.to, f.to, true, i, '/'})
			}
		}
	}
}

// spell returns the text that leads to a meeting.
func spell(meetings []meeting, i int) string {
	var text []rune
	for ; i > 0; i = meetings[i].before {
		if c := meetings[i].reached; c != 0 {
			text = append(text, c)
		}
	}
	slices.Reverse(text)
	return string(text)
}

// commonRune returns a character that both sets have, and isn't a slash. If
// there is any, the smallest one is 1, where a range of either begins, or just
// after one, the slash or the surrogates end; x and a are for names that read
// well.
func commonRune(a, b runeSet) (rune, bool) {
	both := func(c rune) bool {
		return c > 0 && c != '/' && utf8.ValidRune(c) && a.contains(c) && b.contains(c)
	}
	for _, c := range []rune{'x', 'a', '0', 1, 0xE000} {
		if both(c) {
			return c, true
		}
	}
	for _, set := range []runeSet{a, b} {
		for _, r := range set.ranges {
			if both(r.low) {
				return r.low, true
			}
			if both(r.high + 1) {
				return r.high + 1, true
			}
		}
	}
	return 0, false
}
