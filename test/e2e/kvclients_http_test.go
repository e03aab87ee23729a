// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// documented are the examples of the KV v2 API's documentation, in its order as
// far as they build on each other, with the answer's data that it promises.
var documented = []struct {
	request wireRequest
	status  int
	data    string // JSON; "" for no body
}{
	{wireRequest{method: http.MethodPost, path: "config", body: `{"max_versions":5,"cas_required":false,"delete_version_after":"3h25m19s"}`}, http.StatusNoContent, ""},
	{
		wireRequest{method: http.MethodGet, path: "config"},
		http.StatusOK,
		`{"cas_required":false,"default_wait":5,"delete_version_after":"3h25m19s","max_versions":5,"paused":false}`,
	},
	{
		wireRequest{method: http.MethodPost, path: "data/my-secret", body: `{"options":{"cas":0},"data":{"foo":"bar","zip":"zap"}}`},
		http.StatusOK,
		`{"created_time":"PAST","custom_metadata":null,"deletion_time":"in 3h0m0s","destroyed":false,"version":1}`,
	},
	{
		wireRequest{method: http.MethodGet, path: "data/my-secret?version=1"}, http.StatusOK, `{"data":{"foo":"bar","zip":"zap"},
			"metadata":{"created_time":"PAST","custom_metadata":null,"deletion_time":"in 3h0m0s","destroyed":false,"version":1}}`,
	},
	{
		wireRequest{method: http.MethodPatch, path: "data/my-secret", body: `{"options":{"cas":1},"data":{"baz":{"quux":{"corge":"qux"}},"zip":null}}`},
		http.StatusOK,
		`{"created_time":"PAST","custom_metadata":null,"deletion_time":"in 3h0m0s","destroyed":false,"version":2}`,
	},
	{
		wireRequest{method: http.MethodGet, path: "subkeys/my-secret?depth=2"}, http.StatusOK, `{"subkeys":{"baz":{"quux":null},"foo":null},
			"metadata":{"created_time":"PAST","custom_metadata":null,"deletion_time":"in 3h0m0s","destroyed":false,"version":2}}`,
	},
	{wireRequest{method: http.MethodPost, path: "metadata/my-secret", body: `{"max_versions":5,"custom_metadata":{"foo":"abc","bar":"123"}}`}, http.StatusNoContent, ""},
	{wireRequest{method: http.MethodPatch, path: "metadata/my-secret", body: `{"custom_metadata":{"foo":null,"baz":"5c07d823"}}`}, http.StatusNoContent, ""},
	{wireRequest{method: http.MethodDelete, path: "data/my-secret"}, http.StatusNoContent, ""},
	{
		wireRequest{method: http.MethodGet, path: "data/my-secret"}, http.StatusNotFound, `{"data":null,
			"metadata":{"created_time":"PAST","custom_metadata":{"bar":"123","baz":"5c07d823"},"deletion_time":"PAST","destroyed":false,"version":2}}`,
	},
	{wireRequest{method: http.MethodPost, path: "undelete/my-secret", body: `{"versions":[1,2]}`}, http.StatusNoContent, ""},
	{wireRequest{method: http.MethodPost, path: "delete/my-secret", body: `{"versions":[1]}`}, http.StatusNoContent, ""},
	{wireRequest{method: http.MethodPut, path: "destroy/my-secret", body: `{"versions":[1]}`}, http.StatusNoContent, ""},
	{wireRequest{method: methodList, path: "metadata/"}, http.StatusOK, `{"keys":["my-secret"]}`},
	{wireRequest{method: http.MethodGet, path: "metadata/?list=true"}, http.StatusOK, `{"keys":["my-secret"]}`},
	{wireRequest{method: http.MethodDelete, path: "metadata/my-secret"}, http.StatusNoContent, ""},
	{wireRequest{method: http.MethodGet, path: "metadata/my-secret"}, http.StatusNotFound, ""},
}

// Whoever writes a client from the documentation alone gets what it promises.
func TestTheExamplesOfTheKVDocumentationHold(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	w := newWire(t, r.Vault, harness.Mount)
	for _, example := range documented {
		answer, err := w.send(harness.Mount, example.request)
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if example.data != "" {
			if err := json.Unmarshal([]byte(example.data), &want); err != nil {
				t.Fatal(err)
			}
		}
		promised, _ := json.Marshal(want)
		got, _ := json.Marshal(answer.body["data"])
		if answer.status != example.status || !bytes.Equal(got, promised) {
			t.Errorf("%s\nis answered %d %s\nwant %d %s", example.request, answer.status, got, example.status, promised)
		}
	}
}

// engines are the mounts that a client is tried on, ours last.
var engines = []string{harness.KVMount, harness.Mount}

// A program that copies or backs up a whole mount finds the same in both.
func TestAWalkThroughAllSecretsFindsTheSame(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Vault.MountKV()
	for _, mount := range engines {
		kv := r.Vault.Client.KVv2(mount)
		for i, name := range []string{"db", "db/replica", "team-a/db", "team-a/db/read only", "team-b/café/密", "team-b/gone", "versions/1"} {
			for range i + 1 {
				if _, err := kv.Put(t.Context(), name, map[string]any{"name": name}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := kv.Delete(t.Context(), "team-b/gone"); err != nil {
			t.Fatal(err)
		}
	}
	r.Vault.Write("secrets/db", map[string]any{"destinations": r.Destinations()})
	found := map[string]string{}
	for _, mount := range engines {
		all := map[string]any{}
		walk(t, r.Vault.Client, mount, "", all)
		dropped(all, "client_id")
		encoded, err := json.MarshalIndent(all, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if found[mount] = string(encoded); len(all) != 7 {
			t.Errorf("%d secrets are found at %s, want 7: %q", len(all), mount, slices.Sorted(maps.Keys(all)))
		}
	}
	if found[harness.Mount] != found[harness.KVMount] {
		t.Errorf("the walk finds\n%s\nwhere in Vault's own engine it finds\n%s", found[harness.Mount], found[harness.KVMount])
	}
}

// walk collects metadata and value of all secrets below a folder.
func walk(t *testing.T, client *api.Client, mount, folder string, all map[string]any) {
	t.Helper()
	logical, ctx := client.Logical(), t.Context()
	listed, err := logical.ListWithContext(ctx, mount+"/metadata/"+folder)
	if err != nil || listed == nil {
		t.Fatalf("list %s/metadata/%s: %v, %v", mount, folder, listed, err)
	}
	keys, _ := listed.Data["keys"].([]any)
	for _, key := range keys {
		name := folder + fmt.Sprint(key)
		if strings.HasSuffix(name, "/") {
			walk(t, client, mount, name, all)
			continue
		}
		metadata, err := logical.ReadWithContext(ctx, mount+"/metadata/"+name)
		if err != nil || metadata == nil {
			t.Fatalf("read %s/metadata/%s: %v, %v", mount, name, metadata, err)
		}
		value, err := logical.ReadWithContext(ctx, mount+"/data/"+name)
		if err != nil || value == nil {
			t.Fatalf("read %s/data/%s: %v, %v", mount, name, value, err)
		}
		all[name] = neutral("", map[string]any{"metadata": metadata.Data, "data": value.Data}, mount)
	}
}

// What a watcher of a secret goes by: whether the mount is KV v2, and when to read
// again, which it takes from the lease.
func TestAWatcherIsToldTheSame(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Vault.MountKV()
	told := map[string][]string{}
	for _, mount := range engines {
		watch := func() {
			preflight, err := r.Vault.Client.Logical().ReadWithContext(t.Context(), "sys/internal/ui/mounts/"+mount+"/"+secretName)
			if err != nil {
				t.Fatal(err)
			}
			read, err := r.Vault.Client.Logical().ReadWithDataWithContext(t.Context(), mount+"/data/"+secretName, map[string][]string{"version": {"0"}})
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(preflight.Data["options"], " at ", strings.ReplaceAll(fmt.Sprint(preflight.Data["path"]), mount, "MOUNT"))
			if read == nil {
				told[mount] = append(told[mount], text+": nothing")
				return
			}
			told[mount] = append(told[mount], fmt.Sprint(text, ": ", neutral("", read.Data, mount),
				" lease ", read.LeaseID, " ", read.LeaseDuration, " ", read.Renewable, " ", read.Auth, " ", read.WrapInfo, " ", read.Warnings))
		}
		kv, ctx := r.Vault.Client.KVv2(mount), t.Context()
		for _, change := range []func() error{
			func() error { return nil },
			func() error {
				_, err := kv.Put(ctx, secretName, map[string]any{"password": "1", "ttl": "10s"})
				return err
			},
			func() error {
				if mount != harness.Mount {
					return nil
				}
				_, err := r.Vault.Client.Logical().WriteWithContext(ctx, mount+"/secrets/"+secretName, map[string]any{"destinations": r.Destinations()})
				return err
			},
			func() error { _, err := kv.Patch(ctx, secretName, map[string]any{"password": "2"}); return err },
			func() error { return kv.Delete(ctx, secretName) },
			func() error { return kv.Undelete(ctx, secretName, []int{2}) },
			func() error { return kv.DeleteMetadata(ctx, secretName) },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			watch()
		}
	}
	if !slices.Equal(told[harness.Mount], told[harness.KVMount]) {
		t.Errorf("a watcher is told\n%s\nwhere Vault's own engine tells\n%s", strings.Join(told[harness.Mount], "\n"), strings.Join(told[harness.KVMount], "\n"))
	}
}
