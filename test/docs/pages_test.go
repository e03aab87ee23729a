// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package docs keeps the documentation true: it compares it with the code, and
// runs its examples against a real Vault.
package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// root is the repository.
const root = "../.."

// page is a Markdown file, taken apart as far as the tests need it.
type page struct {
	path   string // from the root
	lines  []line // outside of code blocks
	blocks []block
}

// line is a line of text.
type line struct {
	number  int
	text    string
	heading int // its level, 0 for other lines
}

// block is a fenced code block.
type block struct {
	page    string
	number  int      // of its first line
	section string   // the second-level heading above it
	words   []string // after the fence: the language and what the tests are told
	lines   []string
}

func (b block) where() string { return fmt.Sprintf("%s:%d", b.page, b.number) }

// is tells whether the block is in that language.
func (b block) is(language string) bool { return len(b.words) > 0 && b.words[0] == language }

// told tells whether one of the words is there.
func (b block) told(word string) bool { return slices.Contains(b.words, word) }

// file is the name given by a word file=NAME, "" without one.
func (b block) file() string {
	for _, word := range b.words {
		if name, found := strings.CutPrefix(word, "file="); found {
			return name
		}
	}
	return ""
}

// pages reads every page of the documentation.
func pages(t *testing.T) []page {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("find the pages: %v, %v", paths, err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		paths = append(paths, filepath.Join(root, name))
	}
	read := make([]page, 0, len(paths))
	for _, path := range paths {
		name, _ := filepath.Rel(root, path)
		read = append(read, readPage(t, name))
	}
	return read
}

func readPage(t *testing.T, path string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: filepath.ToSlash(path)}
	section, open := "", false
	for i, content := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(content, "```")
		switch {
		case isFence && open:
			open = false
		case isFence:
			open = true
			p.blocks = append(p.blocks, block{page: p.path, number: i + 2, section: section, words: strings.Fields(fence)})
		case open:
			last := &p.blocks[len(p.blocks)-1]
			last.lines = append(last.lines, content)
		default:
			l := line{number: i + 1, text: content, heading: headingLevel(content)}
			if l.heading == 2 {
				section = content
			}
			p.lines = append(p.lines, l)
		}
	}
	if open {
		t.Fatalf("%s: a code block isn't closed", path)
	}
	return p
}

func headingLevel(text string) int {
	level := len(text) - len(strings.TrimLeft(text, "#"))
	if level == 0 || !strings.HasPrefix(text[level:], " ") {
		return 0
	}
	return level
}

// anchors are the ids that GitHub gives to the headings.
func (p page) anchors() map[string]bool {
	ids := map[string]bool{}
	for _, l := range p.lines {
		if l.heading > 0 {
			ids[anchor(strings.TrimLeft(l.text, "# "))] = true
		}
	}
	return ids
}

func anchor(heading string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.IsLetter(c), unicode.IsDigit(c), c == '-', c == '_':
			return unicode.ToLower(c)
		case c == ' ':
			return '-'
		default:
			return -1
		}
	}, heading)
}

var code = regexp.MustCompile("`([^`]+)`")

// cells takes a row of a table apart; nil for other lines.
func cells(text string) []string {
	inner, isRow := strings.CutPrefix(strings.TrimSpace(text), "|")
	if !isRow {
		return nil
	}
	parts := strings.Split(strings.TrimSuffix(inner, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
