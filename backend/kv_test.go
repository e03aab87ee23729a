// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestKVPathsTakeEveryNameThatKVDoes(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for _, test := range []struct{ situation, name string }{
		{"a segment that secrets/ reserves", "a/versions/b"},
		{"a name that is that segment", "versions"},
		{"a name longer than secrets/ takes", strings.Repeat("n", 600)},
		{"a name that begins with a slash", "/a"},
	} {
		t.Run(test.situation, func(t *testing.T) {
			m.write("data/"+test.name, map[string]any{"data": map[string]any{"k": "v"}})
			data, _ := m.read("data/" + test.name).Data["data"].(map[string]any)
			if data["k"] != "v" {
				t.Errorf("%q holds %v", test.name, data)
			}
			m.refuse("secrets/"+test.name, map[string]any{"destinations": "memory/main"})
			m.remove("metadata/" + test.name)
		})
	}
}

// The library sits behind a framework of its own, so that each warning of the
// framework could come twice.
func TestAParameterThatKVDoesNotKnowIsWarnedOfOnce(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	written := m.write("data/a", map[string]any{"data": map[string]any{"k": "v"}, "more": 1, "path": "b"})
	want := []string{
		"Endpoint ignored these unrecognized parameters: [more]",
		"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]",
	}
	if !slices.Equal(written.Warnings, want) {
		t.Errorf("the warnings are %q, want %q", written.Warnings, want)
	}
}

func TestAPathThatLeadsNowhereIsAnsweredAsByKV(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for _, test := range []struct {
		operation logical.Operation
		path      string
		want      string
	}{
		{logical.ReadOperation, "team-a/db", "use 'vault kv get'"},
		{logical.UpdateOperation, "team-a/db", "use 'vault kv put'"},
		{logical.ListOperation, "team-a/", "use 'vault kv list'"},
		{logical.DeleteOperation, "data", "the root of a K/V v2 mount"},
	} {
		answer, err := m.do(test.operation, test.path, nil)
		if err != nil {
			t.Errorf("%s %s: %v", test.operation, test.path, err)
			continue
		}
		if body, _ := answer.Data[logical.HTTPRawBody].(string); !strings.Contains(body, test.want) || answer.Data[logical.HTTPStatusCode] != 404 {
			t.Errorf("%s %s is answered %v, want 404 with %q", test.operation, test.path, answer.Data, test.want)
		}
	}
}
