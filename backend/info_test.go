// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// readOf reads a path of a mount with the real clouds, none of which is called.
func readOf(t *testing.T, path string) map[string]any {
	t.Helper()
	storage := &logical.InmemStorage{}
	b, err := newBackend(t.Context(), &logical.BackendConfig{
		StorageView: storage, System: &logical.StaticSystemView{}, Logger: hclog.NewNullLogger(), BackendUUID: "test",
	}, kinds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Cleanup(t.Context()) })
	resp, err := b.HandleRequest(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: path, Storage: storage})
	if err != nil || resp.IsError() {
		t.Fatalf("read %s: %v %v", path, resp.Error(), err)
	}
	return resp.Data
}

// dig follows keys into nested maps.
func dig(from any, keys ...string) any {
	for _, key := range keys {
		inner, _ := from.(map[string]any)
		from = inner[key]
	}
	return from
}

func TestInfoTellsWhatEachCloudCanDo(t *testing.T) {
	info := readOf(t, "info")
	for cloud, want := range map[string]struct {
		abilities        []string
		value, name, tag int
		quotas           map[string]float64 // some of them
	}{
		"tencent-ssm": {
			[]string{"change_tags", "check", "delete_version", "disable", "list", "overwrite_version", "read_tags", "restore"},
			32768, 128, 0,
			map[string]float64{"create_secret": 100},
		},
		"alicloud-kms": {
			[]string{"change_tags", "check", "check_key", "list", "move_current", "read_tags", "restore"},
			30720, 192, 10,
			map[string]float64{"create_delete": 10, "key": 50},
		},
		"huawei-csms": {
			[]string{"change_key", "change_tags", "check", "list", "move_current", "read_tags", "restore"},
			32768, 64, 20,
			map[string]float64{"all": 20},
		},
	} {
		told := dig(info, "destination_types", cloud)
		abilities, _ := dig(told, "abilities").(map[string]any)
		if got := slices.Sorted(maps.Keys(abilities)); !slices.Equal(got, want.abilities) {
			t.Errorf("%s can %v, want %v", cloud, got, want.abilities)
		}
		if value, name := dig(told, "limits", "value_bytes"), dig(told, "limits", "remote_name", "bytes"); value != want.value || name != want.name {
			t.Errorf("%s takes values of %v and names of %v bytes", cloud, value, name)
		}
		if most := dig(told, "limits", "tags", "most"); want.tag > 0 && most != want.tag {
			t.Errorf("%s takes %v tags", cloud, most)
		}
		quotas, _ := dig(told, "quotas").([]any)
		for group, rate := range want.quotas {
			if !slices.ContainsFunc(quotas, func(q any) bool { return dig(q, "group") == group && dig(q, "calls_per_second") == rate }) {
				t.Errorf("%s has the quotas %v, want %v for %s", cloud, quotas, rate, group)
			}
		}
	}
	if required, _ := dig(info, "destination_types", "huawei-csms", "settings", "project_id", "required").(bool); !required {
		t.Error("project_id of Huawei isn't required")
	}
}

func TestInfoIsWhatTheEngineGoesBy(t *testing.T) {
	info := readOf(t, "info")
	if wait, config := dig(info, "defaults", "default_wait"), readOf(t, "config")["default_wait"]; wait != config {
		t.Errorf("the default wait is told as %v, and a new mount has %v", wait, config)
	}
	for class, want := range map[string]string{"throttled": "yes", "kms": "now and then", "ownership": "no"} {
		if again := dig(info, "error_classes", class, "tried_again"); again != want {
			t.Errorf("class %s is tried again: %v", class, again)
		}
		if action := dig(info, "error_classes", class, "action"); action != provider.Class(class).Action() {
			t.Errorf("class %s asks to %v", class, action)
		}
	}
	states, _ := info["states"].([]string)
	if len(states) != len(engine.States()) || states[0] != "blocked" || states[len(states)-1] != "in_sync" {
		t.Errorf("the states are %v", states)
	}
}

func TestInfoTellsWhatRulesAccept(t *testing.T) {
	info := readOf(t, "info")
	fields, _ := info["template_fields"].([]string)
	functions, _ := info["template_functions"].(map[string]any)
	m, _ := newMount(t, providertest.LabelMoving())
	for _, field := range fields {
		if field != "SecretKey" {
			m.write("rules/of-"+strings.ToLower(field), map[string]any{"match": "x", "destinations": "memory/main", "secret_name_template": "{{ ." + field + " }}"})
			m.remove("rules/of-" + strings.ToLower(field))
		}
	}
	if len(functions) == 0 {
		t.Error("no functions are told")
	}
	for name, usage := range functions {
		m.write("rules/"+name, map[string]any{"match": "x", "destinations": "memory/main", "secret_name_template": usage})
		m.remove("rules/" + name)
	}
	for list, setting := range map[string]string{"formats": "format", "granularities": "granularity"} {
		values, _ := info[list].([]string)
		if len(values) < 2 {
			t.Errorf("the %s are %v", list, values)
		}
		for _, value := range values {
			m.write("rules/"+setting, map[string]any{"match": "x", "destinations": "memory/main", setting: value})
		}
	}
}

// Whoever adds an optional interface to the contract tells of it here too.
func TestInfoKnowsEveryOptionalInterfaceOfTheContract(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("provider", "provider.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var optional int
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, ok := node.(*ast.TypeSpec); ok {
			if _, is := spec.Type.(*ast.InterfaceType); is && !slices.Contains([]string{"Destination", "Reader", "Writer"}, spec.Name.Name) {
				optional++
			}
		}
		return true
	})
	everything := struct {
		provider.Destination
		provider.Overwriter
		provider.VersionDeleter
		provider.Switcher
		provider.Restorer
		provider.CurrentMover
		provider.Tagger
		provider.TagReader
		provider.KeyChanger
		provider.KeyChecker
		provider.Checker
		provider.Lister
	}{}
	if known := len(engine.AbilitiesOf(provider.Kind{Prototype: everything})); known != optional {
		t.Errorf("%d abilities are told of %d in the contract", known, optional)
	}
}

func TestInfoReportsTheModulesThatTheProvidersCallWith(t *testing.T) {
	sources, err := filepath.Glob(filepath.Join("provider", "*", "*.go"))
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	seen := 0
	for _, source := range sources {
		parsed, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if host, _, _ := strings.Cut(path, "/"); !strings.Contains(host, ".") || strings.Contains(path, "cloudsync") {
				continue
			}
			if seen++; !reported(path) {
				t.Errorf("%s imports %s, which isn't reported", source, path)
			}
		}
	}
	if seen == 0 {
		t.Error("no provider imports anything")
	}
	// The build of a test has no list of modules; the end-to-end test looks at a
	// real one.
	got := librariesOf(&debug.BuildInfo{Deps: []*debug.Module{
		{Path: "github.com/hashicorp/vault/sdk", Version: "v0.25.1", Replace: &debug.Module{Path: "elsewhere", Version: "v0.25.2"}},
		{Path: "github.com/hashicorp/vault/sdkother", Version: "v1.0.0"},
		{Path: "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm", Version: "v1.0.732"},
		{Path: "golang.org/x/time", Version: "v0.16.0"},
	}})
	want := map[string]any{
		"github.com/hashicorp/vault/sdk":                               "v0.25.2",
		"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm": "v1.0.732",
	}
	if !maps.Equal(got, want) {
		t.Errorf("the libraries are %v, want %v", got, want)
	}
}
