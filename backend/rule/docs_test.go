// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheDocumentedOrderOfGlobsIsTrue(t *testing.T) {
	_, section, _ := strings.Cut(page(t), "from the most specific:\n\n```text\n")
	list, _, _ := strings.Cut(section, "\n```")
	globs := strings.Split(list, "\n")
	if len(globs) < 5 {
		t.Fatalf("only %d globs", len(globs))
	}
	for i, text := range globs {
		g := parsed(t, text)[0]
		if !g.matches("team-a/app/db") {
			t.Errorf("%s doesn't match", text)
		}
		if i > 0 && parsed(t, globs[i-1])[0].rank.compare(g.rank) >= 0 {
			t.Errorf("%s isn't less specific than %s", text, globs[i-1])
		}
	}
}

func TestTheDocumentedSettingsAreAllThereAre(t *testing.T) {
	_, section, _ := strings.Cut(page(t), "\n## Settings\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed, all []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.+?`) \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, strings.Split(strings.ReplaceAll(row[1], "`", ""), ", ")...)
	}
	for _, s := range settings {
		all = append(all, s.name)
	}
	if !slices.Equal(asSet(listed), asSet(all)) {
		t.Errorf("the page lists %v, the code has %v", listed, all)
	}
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/rules-and-names.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
