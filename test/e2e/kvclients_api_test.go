// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// libraryCall is a call of a method of Vault's Go client for KV v2.
type libraryCall struct {
	method string
	call   func(ctx context.Context, kv *api.KVv2) (any, error)
}

func put(data map[string]any, options ...api.KVOption) libraryCall {
	return libraryCall{"Put", func(ctx context.Context, kv *api.KVv2) (any, error) { return kv.Put(ctx, secretName, data, options...) }}
}

func patch(data map[string]any, options ...api.KVOption) libraryCall {
	return libraryCall{"Patch", func(ctx context.Context, kv *api.KVv2) (any, error) {
		return kv.Patch(ctx, secretName, data, options...)
	}}
}

// of makes a call of a method that has one argument beside the name.
func of[T any](method string, do func(kv *api.KVv2, ctx context.Context, name string, argument T) error, argument T) libraryCall {
	return libraryCall{method, func(ctx context.Context, kv *api.KVv2) (any, error) { return nil, do(kv, ctx, secretName, argument) }}
}

// get makes a call of a method that reads and has the name alone.
func get[T any](method string, do func(kv *api.KVv2, ctx context.Context, name string) (T, error)) libraryCall {
	return libraryCall{method, func(ctx context.Context, kv *api.KVv2) (any, error) { return do(kv, ctx, secretName) }}
}

func version(number int) libraryCall {
	return libraryCall{"GetVersion", func(ctx context.Context, kv *api.KVv2) (any, error) { return kv.GetVersion(ctx, secretName, number) }}
}

func rollback(number int) libraryCall {
	return libraryCall{"Rollback", func(ctx context.Context, kv *api.KVv2) (any, error) { return kv.Rollback(ctx, secretName, number) }}
}

func remove(method string, do func(kv *api.KVv2, ctx context.Context, name string) error) libraryCall {
	return libraryCall{method, func(ctx context.Context, kv *api.KVv2) (any, error) { return nil, do(kv, ctx, secretName) }}
}

var (
	getCurrent  = get("Get", (*api.KVv2).Get)
	getVersions = get("GetVersionsAsList", (*api.KVv2).GetVersionsAsList)
	getMetadata = get("GetMetadata", (*api.KVv2).GetMetadata)
	yes, later  = true, 48 * time.Hour
)

// libraryCalls are a life of a secret, with mistakes.
var libraryCalls = []libraryCall{
	getCurrent, getMetadata, getVersions,
	put(map[string]any{"user": "app", "password": "1"}),
	put(map[string]any{"password": "2"}, api.WithCheckAndSet(0)),
	put(map[string]any{"password": "2", "port": 5432, "nested": map[string]any{"a": []any{1, nil, "x"}}}, api.WithCheckAndSet(1)),
	getCurrent, version(1), version(9),
	patch(map[string]any{"password": "3"}),
	patch(map[string]any{"password": "4"}, api.WithMergeMethod(api.KVMergeMethodPatch), api.WithCheckAndSet(3)),
	patch(map[string]any{"port": nil}, api.WithMergeMethod(api.KVMergeMethodPatch)),
	patch(map[string]any{"password": "5"}, api.WithMergeMethod(api.KVMergeMethodReadWrite)),
	patch(map[string]any{"password": "6"}, api.WithMergeMethod(api.KVMergeMethodPatch), api.WithCheckAndSet(1)),
	put(map[string]any{"password": "6"}, api.WithOption("other", "option")),
	getCurrent, rollback(1), rollback(99), getCurrent, getVersions,
	remove("Delete", (*api.KVv2).Delete), getCurrent, version(1),
	patch(map[string]any{"password": "7"}),
	of("Undelete", (*api.KVv2).Undelete, []int{8}), getCurrent,
	of("DeleteVersions", (*api.KVv2).DeleteVersions, []int{1, 2}), of("Destroy", (*api.KVv2).Destroy, []int{3, 4}), version(1), version(3), rollback(3),
	of("PutMetadata", (*api.KVv2).PutMetadata, api.KVMetadataPutInput{MaxVersions: 4, CustomMetadata: map[string]any{"owner": "me"}, DeleteVersionAfter: later}),
	of("PatchMetadata", (*api.KVv2).PatchMetadata, api.KVMetadataPatchInput{CASRequired: &yes, CustomMetadata: map[string]any{"more": "yes"}}),
	of("PatchMetadata", (*api.KVv2).PatchMetadata, api.KVMetadataPatchInput{CustomMetadata: map[string]any{"": "no key"}}),
	put(map[string]any{"password": "8"}), put(map[string]any{"password": "8"}, api.WithCheckAndSet(8)),
	getCurrent, getMetadata, getVersions,
	remove("DeleteMetadata", (*api.KVv2).DeleteMetadata), getCurrent, getMetadata,
	put(map[string]any{"password": "anew"}), getCurrent,
}

func TestTheGoClientWorksAsOnVaultsOwnEngine(t *testing.T) {
	for _, test := range []struct {
		name      string
		replicate bool
	}{{"a secret in Vault alone", false}, {"a replicated secret", true}} {
		t.Run(test.name, func(t *testing.T) {
			r := harness.Start(t, harness.Dev)
			r.Vault.Write("config", map[string]any{"default_wait": harness.Patience.String()})
			r.Vault.MountKV()
			for i, step := range libraryCalls {
				want := step.on(t, r.Vault.Client, harness.KVMount)
				if got := step.on(t, r.Vault.Client, harness.Mount); got != want {
					t.Errorf("call %d, %s, gives\n%s\nwhere Vault's own engine gives\n%s", i+1, step.method, got, want)
				}
				if test.replicate && step.method == "Put" {
					r.Vault.Write("secrets/"+secretName, map[string]any{"destinations": r.Destinations()})
				}
			}
			if test.replicate {
				r.AwaitCurrent(secretName, `{"password":"anew"}`)
			}
		})
	}
}

var (
	urls       = regexp.MustCompile(`http://[0-9.:]+`)
	goMoment   = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]* [+]\d{4} UTC`)
	notInACall = []string{"client_id"} // see clientID
)

// on makes the call on a mount, and returns what it gives and all that the client
// knows of the answer.
func (c libraryCall) on(t *testing.T, client *api.Client, mount string) string {
	t.Helper()
	result, err := c.call(t.Context(), client.KVv2(mount))
	failure := "no error"
	if err != nil {
		failure = goMoment.ReplaceAllString(urls.ReplaceAllString(strings.ReplaceAll(err.Error(), mount+"/", "MOUNT/"), "URL"), "TIME")
	}
	encoded, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	for _, name := range notInACall {
		dropped(plain, name)
	}
	return fmt.Sprintf("%v\n%s", neutral("", plain, mount), failure)
}

func TestEveryMethodOfTheGoClientIsTried(t *testing.T) {
	kind := reflect.TypeFor[*api.KVv2]()
	for i := range kind.NumMethod() {
		if name := kind.Method(i).Name; !slices.ContainsFunc(libraryCalls, func(c libraryCall) bool { return c.method == name }) {
			t.Errorf("KVv2.%s isn't tried", name)
		}
	}
}
