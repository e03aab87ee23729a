// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import (
	"strings"
	"unicode/utf8"
)

// tokenKind says what a part of a glob stands for.
type tokenKind byte

const (
	literal tokenKind = iota // one character, itself
	single                   // one character of a set: ? or [class]
	star                     // any part of a segment
	deep                     // "**/", any number of whole segments
	deepEnd                  // "/**" at the end, or nothing
	deepAll                  // "**" alone
)

type token struct {
	kind tokenKind
	set  runeSet // of literal and single
}

// runeSet is what a single character can be.
type runeSet struct {
	ranges  []runeRange
	negated bool
}

type runeRange struct{ low, high rune }

var (
	anyRune  = runeSet{negated: true}
	notSlash = runeSet{negated: true, ranges: []runeRange{{'/', '/'}}}
	slash    = runeSet{ranges: []runeRange{{'/', '/'}}}
)

func (s runeSet) contains(c rune) bool {
	for _, r := range s.ranges {
		if r.low <= c && c <= r.high {
			return !s.negated
		}
	}
	return s.negated
}

// scanner takes a valid glob without braces apart.
type scanner struct {
	rest    string
	atStart bool // of a segment
	text    strings.Builder
	tokens  []token
}

func compileGlob(text string) glob {
	s := scanner{rest: text, atStart: true}
	for s.rest != "" {
		switch s.rest[0] {
		case '*':
			s.stars()
		case '?':
			s.add(token{single, notSlash}, 1)
		case '[':
			s.add(token{single, class(s.rest)}, elementBytes(s.rest))
		case '\\':
			_, size := utf8.DecodeRuneInString(s.rest[1:])
			s.literal(1, size)
		default:
			_, size := utf8.DecodeRuneInString(s.rest)
			s.literal(0, size)
		}
	}
	g := glob{text: s.text.String(), tokens: s.tokens}
	g.measure()
	return g
}

// add takes the next bytes of the glob as that token.
func (s *scanner) add(t token, size int) {
	s.tokens = append(s.tokens, t)
	s.text.WriteString(s.rest[:size])
	s.rest = s.rest[size:]
	s.atStart = t.kind == literal && t.set.contains('/')
}

func (s *scanner) literal(escape, size int) {
	c, _ := utf8.DecodeRuneInString(s.rest[escape:])
	s.add(token{literal, runeSet{ranges: []runeRange{{c, c}}}}, escape+size)
}

// stars takes a run of stars: two that are a whole segment are **, all others
// are one *.
func (s *scanner) stars() {
	run := len(s.rest) - len(strings.TrimLeft(s.rest, "*"))
	after := s.rest[run:]
	if run != 2 || !s.atStart || after != "" && after[0] != '/' {
		s.rest = s.rest[run-1:]
		s.add(token{star, notSlash}, 1)
		return
	}
	switch last := len(s.tokens) - 1; {
	case after != "" && last >= 0 && s.tokens[last].kind == deep:
		s.rest = after[1:] // **/** is **, which doublestar doesn't know at the end of a name
	case after != "":
		s.add(token{deep, anyRune}, 3)
		s.atStart = true
	case last < 0:
		s.add(token{deepAll, anyRune}, 2)
	case s.tokens[last].kind == deep:
		// The one before becomes the end: x/**/** is x/**.
		s.rest = ""
		s.dropDeep()
	default:
		s.tokens[last] = token{deepEnd, anyRune}
		s.text.WriteString("**")
		s.rest = ""
	}
}

// dropDeep turns a "**/" at the end into "**".
func (s *scanner) dropDeep() {
	text := strings.TrimSuffix(s.text.String(), "/")
	s.text.Reset()
	s.text.WriteString(text)
	last := len(s.tokens) - 1
	if last == 0 {
		s.tokens[0].kind = deepAll
		return
	}
	s.tokens = s.tokens[:last]
	s.tokens[last-1] = token{deepEnd, anyRune}
}

// class reads the [class] that text starts with, as doublestar does.
func class(text string) runeSet {
	inner := text[1 : elementBytes(text)-1]
	var set runeSet
	if inner[0] == '!' || inner[0] == '^' {
		set.negated, inner = true, inner[1:]
	}
	next := func() rune {
		inner = strings.TrimPrefix(inner, `\`)
		c, size := utf8.DecodeRuneInString(inner)
		inner = inner[size:]
		return c
	}
	for inner != "" {
		low := next()
		set.ranges = append(set.ranges, runeRange{low, low})
		if len(inner) > 1 && inner[0] == '-' {
			inner = inner[1:]
			set.ranges = append(set.ranges, runeRange{low, next()})
		}
	}
	return set
}

// measure notes what the tokens say of every name that matches.
func (g *glob) measure() {
	var prefix, suffix strings.Builder
	literalSoFar := true
	for _, t := range g.tokens {
		switch t.kind {
		case literal:
			c := t.set.ranges[0].low
			suffix.WriteRune(c)
			if c != '/' {
				g.rank.literals++
			}
			if literalSoFar {
				g.rank.prefix++
				prefix.WriteRune(c)
			}
			continue
		case single:
			g.rank.singles++
		case star:
			g.rank.stars++
		case deep, deepAll:
			g.rank.deep++
		case deepEnd:
			g.rank.deep++
			if literalSoFar {
				g.rank.prefix++ // its slash
			}
		}
		literalSoFar = false
		suffix.Reset()
	}
	g.prefix, g.suffix = prefix.String(), suffix.String()
	g.exact, g.rank.exact = literalSoFar, literalSoFar
}
