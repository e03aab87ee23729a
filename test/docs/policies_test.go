// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var policyPath = regexp.MustCompile(`(?m)^path "cloudsync/([a-z-]+)`)

// What a policy of bootstrap/ allows is there, and the pages and the Terraform
// module know each of them.
func TestEveryShippedPolicyIsKnownAndNamesPathsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, path := range paths(t) {
		name, _ := readable(path.Pattern)
		first, _, _ := strings.Cut(name, "/")
		known[first] = true
	}
	rows := table(readPage(t, "docs/operations.md"), "Policies in Vault")
	variables, err := os.ReadFile(filepath.Join(root, "bootstrap", "terraform", "variables.tf"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "bootstrap", "policies", "*.hcl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("find the policies: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".hcl")
		if rows[name] == nil {
			t.Errorf("docs/operations.md doesn't explain %s", name)
		}
		if !strings.Contains(string(variables), `"`+name+`"`) {
			t.Errorf("the Terraform module doesn't install %s", name)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range policyPath.FindAllStringSubmatch(string(text), -1) {
			if !known[found[1]] {
				t.Errorf("%s allows %s, which doesn't exist", name, found[0])
			}
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("docs/operations.md explains %s, which isn't there", name)
	}
}
