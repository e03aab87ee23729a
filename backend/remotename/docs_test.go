// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package remotename_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// example is a line such as "{{ .SecretPath }} => team-a/db".
var example = regexp.MustCompile(`(?m)^(.+?) +=> (.+)$`)

func TestTheDocumentedExamplesAreTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules-and-names.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := remotename.Fields{
		MountPath: "cloudsync", MountAccessor: "cloudsync_1a2b", SecretPath: "team-a/App/db",
		DestinationType: "tencent-ssm", DestinationName: "prod-gz",
	}
	clouds := map[string]provider.NameRule{"tencent": tencent, "alibaba": alibaba, "huawei": huawei}
	examples := example.FindAllStringSubmatch(string(page), -1)
	if len(examples) < 10 {
		t.Fatalf("only %d examples", len(examples))
	}
	for _, e := range examples {
		left, want := e[1], e[2]
		cloud, name, _ := strings.Cut(left, " ")
		if rule, found := clouds[cloud]; found {
			if got := remotename.Normalise(strings.TrimSpace(name), rule).Name; got != want {
				t.Errorf("%s gives %s", e[0], got)
			}
			continue
		}
		tmpl, err := remotename.Parse(left)
		if err != nil {
			t.Errorf("%s: %v", left, err)
			continue
		}
		if got, err := tmpl.Execute(fields, alibaba); err != nil || got.Full != want {
			t.Errorf("%s gives %s, %v", e[0], got.Full, err)
		}
	}
}

func TestTheDocumentedNamesAreAllThereAre(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules-and-names.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### Templates")
	section, _, _ = strings.Cut(section, "###")
	for pattern, want := range map[string][]string{"(?m)^\\| `\\.(\\w+)` ": remotename.FieldNames(), "(?m)^\\| `(\\w+)` ": remotename.FunctionNames()} {
		var listed []string
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(section, -1) {
			listed = append(listed, found[1])
		}
		slices.Sort(listed)
		if !slices.Equal(listed, want) {
			t.Errorf("the page lists %v, the code has %v", listed, want)
		}
	}
}
