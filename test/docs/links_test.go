// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	makeTarget = regexp.MustCompile("`make ([a-z][a-z0-9-]*)")
)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	anchors := map[string]map[string]bool{}
	for _, p := range all {
		anchors[p.path] = p.anchors()
	}
	for _, p := range all {
		for _, l := range p.lines {
			for _, found := range link.FindAllStringSubmatch(l.text, -1) {
				if strings.HasPrefix(found[1], "https://") {
					continue // tests talk to loopback only
				}
				file, id, _ := strings.Cut(found[1], "#")
				target := p.path
				if file != "" {
					target = path.Join(path.Dir(p.path), file)
				}
				if _, err := os.Stat(filepath.Join(root, target)); err != nil {
					t.Errorf("%s:%d: %s isn't there", p.path, l.number, found[1])
				} else if id != "" && !anchors[target][id] {
					t.Errorf("%s:%d: %s has no heading #%s", p.path, l.number, target, id)
				}
			}
		}
	}
}

func TestEveryMakeTargetExists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		for _, l := range p.lines {
			for _, found := range makeTarget.FindAllStringSubmatch(l.text, -1) {
				if !strings.Contains(string(makefile), "\n"+found[1]+":") {
					t.Errorf("%s:%d: there is no make %s", p.path, l.number, found[1])
				}
			}
		}
	}
}

func TestEveryPageIsLinkedFromTheReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		if p.path != "README.md" && !strings.Contains(string(readme), "]("+p.path) {
			t.Errorf("README.md doesn't link %s", p.path)
		}
	}
}
