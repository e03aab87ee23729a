// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// Bounds of a glob.
const (
	maxGlobBytes    = 512 // as long as the name of a secret
	maxAlternatives = 64
)

// glob is a pattern without braces. Which names it matches is up to doublestar,
// as for the allowed_paths of a destination; the tokens say the same in a form
// that can be compared with another glob.
type glob struct {
	text   string // for doublestar
	prefix string // what each name that matches starts with
	suffix string // and ends with
	exact  bool   // prefix is the one name that matches
	tokens []token
	rank   specificity
}

// specificity orders the globs that match one name.
type specificity struct {
	exact    bool
	prefix   int // characters before the first wildcard
	literals int // characters that stand for themselves, slashes aside
	deep     int // **
	stars    int // *
	singles  int // ? and [classes]
}

// compare is negative when s is the more specific one.
func (s specificity) compare(other specificity) int {
	if s.exact != other.exact {
		if s.exact {
			return -1
		}
		return 1
	}
	return cmp.Or(
		-cmp.Compare(s.prefix, other.prefix),
		-cmp.Compare(s.literals, other.literals),
		cmp.Compare(s.deep, other.deep),
		cmp.Compare(s.stars, other.stars),
		-cmp.Compare(s.singles, other.singles),
	)
}

// parseGlobs returns the globs that text stands for: one for each combination of
// alternatives in braces.
func parseGlobs(text string) ([]glob, error) {
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case len(text) > maxGlobBytes:
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", len(text), maxGlobBytes)
	case !utf8.ValidString(text) || !doublestar.ValidatePattern(text):
		return nil, errors.New("it isn't a valid glob; * stands for a part of one segment, ** for any number of segments")
	}
	alternatives, err := expand(nil, text)
	if err != nil {
		return nil, err
	}
	globs := make([]glob, 0, len(alternatives))
	for _, alternative := range alternatives {
		if strings.HasPrefix(alternative, "/") || strings.HasSuffix(alternative, "/") || strings.Contains(alternative, "//") || alternative == "" {
			return nil, errors.New("it has an empty segment, which no secret has; leave out the slash too much")
		}
		globs = append(globs, compileGlob(alternative))
	}
	return globs, nil
}

// expand appends text without braces, one for each combination of alternatives.
func expand(to []string, text string) ([]string, error) {
	open := 0
	for open < len(text) && text[open] != '{' {
		open += elementBytes(text[open:])
	}
	if open >= len(text) {
		if len(to) == maxAlternatives {
			return nil, fmt.Errorf("its braces stand for more than %d globs", maxAlternatives)
		}
		return append(to, text), nil
	}
	var alternatives []string
	depth, start, i := 0, open+1, open
	for ; i < len(text); i += elementBytes(text[i:]) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth == 1 {
				alternatives = append(alternatives, text[start:i])
				start = i + 1
			}
		}
		if depth == 0 {
			break
		}
	}
	alternatives = append(alternatives, text[start:i])
	for _, alternative := range alternatives {
		var err error
		if to, err = expand(to, text[:open]+alternative+text[i+1:]); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// elementBytes is the length of what text starts with: an escaped character, a
// class, or one byte.
func elementBytes(text string) int {
	switch text[0] {
	case '\\':
		return 2
	case '[':
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case ']':
				return i + 1
			}
		}
	}
	return 1
}

// matches tells whether the glob matches name. Most names are told by their
// start or end.
func (g *glob) matches(name string) bool {
	if g.exact {
		return name == g.prefix
	}
	return strings.HasPrefix(name, g.prefix) && strings.HasSuffix(name, g.suffix) && doublestar.MatchUnvalidated(g.text, name)
}

// matchesAny tells whether one of the globs matches name.
func matchesAny(globs []glob, name string) bool {
	for i := range globs {
		if globs[i].matches(name) {
			return true
		}
	}
	return false
}
