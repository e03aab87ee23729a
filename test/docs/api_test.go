// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend"
)

// described is what docs/api.md says.
type described struct {
	parameters map[string]map[string]bool // by path, over all its operations
	answers    map[string]map[string]bool // by operation and path
	objects    map[string]map[string]bool // fields by heading
}

var operationHeading = regexp.MustCompile("^### `([A-Z]+) ([^`]+)`$")

func readAPI(t *testing.T) described {
	t.Helper()
	api := described{parameters: map[string]map[string]bool{}, answers: map[string]map[string]bool{}, objects: map[string]map[string]bool{}}
	heading := ""
	var fields map[string]bool
	for _, l := range readPage(t, "docs/api.md").lines {
		row := cells(l.text)
		switch {
		case l.heading > 0:
			heading, fields = strings.TrimLeft(l.text, "# "), nil
			if op := operationHeading.FindStringSubmatch(l.text); op != nil {
				heading = op[1] + " " + op[2]
				api.answers[heading] = map[string]bool{}
				api.at(op[2])
			}
		case row == nil:
			fields = nil
		case row[0] == "parameter":
			_, path, _ := strings.Cut(heading, " ")
			fields = api.at(path)
		case row[0] == "answer":
			fields = api.answers[heading]
		case row[0] == "field":
			api.objects[heading] = map[string]bool{}
			fields = api.objects[heading]
		case fields != nil && strings.HasPrefix(row[0], "`"):
			fields[strings.Trim(row[0], "`")] = true
		}
	}
	return api
}

func (d described) at(path string) map[string]bool {
	if d.parameters[path] == nil {
		d.parameters[path] = map[string]bool{}
	}
	return d.parameters[path]
}

var (
	methods = map[logical.Operation]string{
		logical.ReadOperation: "GET", logical.ListOperation: "LIST", logical.DeleteOperation: "DELETE",
		logical.CreateOperation: "POST", logical.UpdateOperation: "POST", logical.PatchOperation: "PATCH",
	}
	capture     = regexp.MustCompile(`\(\?P<(\w+)>`)
	destination = regexp.MustCompile(`^destinations/[a-z][a-z-]+`)
)

// readable turns a pattern into the path as people write it, and returns the
// names of its parts.
func readable(pattern string) (path string, parts []string) {
	pattern = strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(pattern, "[^/]$", ""), "^"), "$")
	for {
		at := capture.FindStringSubmatchIndex(pattern)
		if at == nil {
			break
		}
		depth, end := 0, at[0]
		for i, c := range pattern[at[0]:] {
			switch c {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 {
				end = at[0] + i + 1
				break
			}
		}
		name := pattern[at[2]:at[3]]
		parts = append(parts, name)
		pattern = pattern[:at[0]] + ":" + name + pattern[end:]
	}
	pattern = destination.ReplaceAllString(pattern, "destinations/:type")
	return strings.TrimSuffix(strings.TrimSuffix(pattern, "?"), "/"), parts
}

// paths are what the plugin serves.
func paths(t *testing.T) []*framework.Path {
	t.Helper()
	b, err := backend.Factory(t.Context(), &logical.BackendConfig{
		StorageView: &logical.InmemStorage{}, System: &logical.StaticSystemView{}, Logger: hclog.NewNullLogger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	embedded, ok := reflect.ValueOf(b).Elem().FieldByName("Backend").Interface().(*framework.Backend)
	if !ok {
		t.Fatal("the backend no longer embeds the framework's")
	}
	return embedded.Paths
}

func TestTheAPIReferenceIsComplete(t *testing.T) {
	want, got := readAPI(t), served(t)
	for _, path := range slices.Sorted(maps.Keys(got.parameters)) {
		compare(t, path+": parameter", want.parameters[path], got.parameters[path])
	}
	for _, operation := range slices.Sorted(maps.Keys(got.answers)) {
		if want.answers[operation] == nil {
			t.Errorf("%s isn't described", operation)
			continue
		}
		compare(t, operation+": answer", want.answers[operation], got.answers[operation])
	}
	for operation := range want.answers {
		if got.answers[operation] == nil {
			t.Errorf("%s is described but doesn't exist", operation)
		}
	}
}

// served is what the plugin's own schema says, for all types of destinations
// together.
func served(t *testing.T) described {
	t.Helper()
	api := described{parameters: map[string]map[string]bool{}, answers: map[string]map[string]bool{}}
	for _, path := range paths(t) {
		name, parts := readable(path.Pattern)
		parameters := api.at(name)
		for field := range path.Fields {
			if !slices.Contains(parts, field) {
				parameters[field] = true
			}
		}
		for operation, handler := range path.Operations {
			if handler.Properties().Unpublished { // it only tells that nothing is there
				continue
			}
			key := methods[operation] + " " + name
			if api.answers[key] == nil {
				api.answers[key] = map[string]bool{}
			}
			for _, responses := range handler.Properties().Responses {
				for _, response := range responses {
					for field := range response.Fields {
						api.answers[key][field] = true
					}
				}
			}
		}
	}
	return api
}

func compare(t *testing.T, what string, described, actual map[string]bool) {
	t.Helper()
	for _, field := range slices.Sorted(maps.Keys(actual)) {
		if !described[field] {
			t.Errorf("%s: %s isn't described", what, field)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(described)) {
		if !actual[field] {
			t.Errorf("%s: %s is described but doesn't exist", what, field)
		}
	}
}

func TestReadablePaths(t *testing.T) {
	for pattern, want := range map[string]string{
		`status/?`:         "status",
		`status/(?P<n>.*)`: "status/:n",
		`secrets/(?P<name>.+)/versions/(?P<id>\d+)`:                  "secrets/:name/versions/:id",
		`destinations/tencent-ssm/(?P<name>\w(([\w-.]+)?\w)?)/check`: "destinations/:type/:name/check",
		`^data/(?P<path>.*?[^/]$)$`:                                  "data/:path",
	} {
		if got, _ := readable(pattern); got != want {
			t.Errorf("%s reads %s, want %s", pattern, got, want)
		}
	}
}
