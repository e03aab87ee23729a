// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// constants returns the values of the string constants of a type.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			for _, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok {
					text, _ := strconv.Unquote(literal.Value)
					values = append(values, text)
				}
			}
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s has no constants of type %s", file, typeName)
	}
	return values
}

// table returns the rows below a heading, by the first cell without backquotes.
func table(p page, heading string) map[string][]string {
	rows := map[string][]string{}
	below := false
	for _, l := range p.lines {
		if l.heading > 0 {
			below = strings.TrimLeft(l.text, "# ") == heading
			continue
		}
		if row := cells(l.text); below && row != nil && strings.HasPrefix(row[0], "`") {
			rows[strings.Trim(row[0], "`")] = row[1:]
		}
	}
	return rows
}

func TestEveryErrorClassIsExplainedAsTheCodeDoes(t *testing.T) {
	rows := table(readPage(t, "docs/how-it-works.md"), "Error classes")
	remedies := table(readPage(t, "docs/operations.md"), "Troubleshooting")
	classes := constants(t, "backend/provider/errors.go", "Class")
	for _, name := range classes {
		class := provider.Class(name)
		row, found := rows[name]
		if !found {
			t.Errorf("class %s isn't explained", name)
			continue
		}
		again := "no"
		switch {
		case class.Recovers():
			again = "yes"
		case class.Lingers():
			again = "every half hour"
		}
		if row[1] != again || row[2] != class.Action() {
			t.Errorf("class %s is explained as %q; the code says %s, %s", name, row[1:], again, class.Action())
		}
		if remedies[name] == nil {
			t.Errorf("class %s isn't in the troubleshooting", name)
		}
	}
	for name := range rows {
		if !slices.Contains(classes, name) {
			t.Errorf("class %s is explained but doesn't exist", name)
		}
	}
}

func TestEveryStateIsExplained(t *testing.T) {
	rows := table(readPage(t, "docs/how-it-works.md"), "States")
	states := constants(t, "backend/engine/records.go", "State")
	for _, name := range states {
		if rows[name] == nil {
			t.Errorf("state %s isn't explained", name)
		}
	}
	for name := range rows {
		if !slices.Contains(states, name) {
			t.Errorf("state %s is explained but doesn't exist", name)
		}
	}
}

// The policies allow the calls that the providers make and no others.
func TestTheCloudPoliciesAllowExactlyTheCallsMade(t *testing.T) {
	for _, c := range clouds {
		var made []string
		for _, operation := range c.operations(t) {
			made = append(made, c.actions(operation)...)
		}
		made = append(made, c.keyActions...)
		slices.Sort(made)
		made = slices.Compact(made)
		if allowed := allowed(t, c.page); !slices.Equal(made, allowed) {
			t.Errorf("%s allows\n%v, the provider needs\n%v", c.page, allowed, made)
		}
	}
}

// operations are the calls of the cloud's API that its provider has in its code.
func (c cloud) operations(t *testing.T) []string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(root, "backend", "provider", c.provider, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var operations []string
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range c.call.FindAllStringSubmatch(string(text), -1) {
			operations = append(operations, found[1])
		}
	}
	if len(operations) == 0 {
		t.Fatalf("no call is found in the provider for %s", c.kind)
	}
	return operations
}

// allowed are the actions of the policies in a page.
func allowed(t *testing.T, name string) []string {
	t.Helper()
	var actions []string
	for _, b := range readPage(t, name).blocks {
		var policy struct {
			Statement []struct{ Action []string }
		}
		if !b.is("json") || !b.told("policy") {
			continue
		}
		if err := json.Unmarshal([]byte(strings.Join(b.lines, "\n")), &policy); err != nil {
			t.Errorf("%s: %v", b.where(), err)
		}
		for _, statement := range policy.Statement {
			actions = append(actions, statement.Action...)
		}
	}
	slices.Sort(actions)
	return actions
}
