// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// shipped is a policy of those that come with the engine.
func shipped(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "bootstrap", "policies", name+".hcl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// member lets somebody with that metadata of his identity log in, and returns the
// client. He has one policy alone.
func member(t *testing.T, v *harness.Vault, name, policy string, metadata map[string]any) *api.Client {
	t.Helper()
	ctx, logical := t.Context(), v.Client.Logical()
	write := func(path string, data map[string]any) *api.Secret {
		answer, err := logical.WriteWithContext(ctx, path, data)
		if err != nil {
			t.Fatalf("write %s: %v", path, err)
		}
		return answer
	}
	mounts, err := v.Client.Sys().ListAuthWithContext(ctx)
	if err == nil && mounts["userpass/"] == nil {
		if err = v.Client.Sys().EnableAuthWithOptionsWithContext(ctx, "userpass", &api.EnableAuthOptions{Type: "userpass"}); err == nil {
			mounts, err = v.Client.Sys().ListAuthWithContext(ctx)
		}
	}
	if err == nil {
		err = v.Client.Sys().PutPolicyWithContext(ctx, name, policy)
	}
	if err != nil {
		t.Fatal(err)
	}
	write("auth/userpass/users/"+name, map[string]any{"password": "p", "token_policies": name, "token_no_default_policy": true})
	entity := write("identity/entity", map[string]any{"name": name, "metadata": metadata})
	write("identity/entity-alias", map[string]any{
		"name": name, "canonical_id": entity.Data["id"], "mount_accessor": mounts["userpass/"].Accessor,
	})
	return v.WithToken(write("auth/userpass/login/"+name, map[string]any{"password": "p"}).Auth.ClientToken)
}

func may(method, path string, body map[string]any) request {
	return request{method, path, body, true}
}

func mayNot(method, path string, body map[string]any) request {
	return request{method, path, body, false}
}

const list = "LIST"

// Each shipped policy on its own, with what it is for and what it has to keep out.
func TestTheShippedPoliciesAllowWhatTheySayAndNothingElse(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Vault.Write("config", map[string]any{"max_versions": 100}) // so that version 1 stays
	r.Vault.Write("destinations/tencent-ssm/other", r.Cloud.Settings())
	r.Vault.Write("rules/team-a", map[string]any{"match": "team-a/**", "destinations": harness.Destination})
	for _, name := range []string{"team-a/db", "team-a/shop/db", "team-b/db", "team-ab/db"} {
		r.Vault.Write("data/"+name, map[string]any{"data": map[string]any{"password": "1"}})
	}
	team := map[string]any{"team": "team-a"}
	for _, test := range []struct {
		name, policy string
		metadata     map[string]any
		requests     []request
	}{
		{"platform-operator", shipped(t, "platform-operator"), nil, platformOperator(r)},
		{"destination-admin", shipped(t, "destination-admin"), nil, destinationAdmin(r)},
		{"team-writer", shipped(t, "team-writer"), team, slices.Concat(teamWriter(), teamLimits())},
		{
			"team-writer-by-name", strings.ReplaceAll(shipped(t, "team-writer"), "{{identity.entity.metadata.team}}", "team-a"), nil,
			slices.Concat(teamWriter(), teamLimits()),
		},
		{"team-writer-without-team", shipped(t, "team-writer"), nil, forbidden(slices.Concat(teamWriter(), teamLimits()))},
		{"team-reader", shipped(t, "team-reader"), team, slices.Concat(teamReader(), forbidden(writes("team-a/db")), teamLimits())},
		{"auditor", shipped(t, "auditor"), nil, auditor()},
		{"ci-pipeline", shipped(t, "ci-pipeline"), map[string]any{"team": "team-a", "app": "shop"}, slices.Concat(pipeline(), teamLimits())},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkRequests(t, member(t, r.Vault, test.name, test.policy, test.metadata), test.requests)
		})
	}
	checkManagedPolicies(t, r)
	r.AwaitStateAt(harness.Destination, "team-a/db", "in_sync")
	if settings, _ := r.Vault.Read("secrets/team-a/shop/db").Data["settings"].(map[string]any); len(settings) > 0 {
		t.Errorf("after what was forbidden the secret has the settings %v", settings)
	}
}

// forbidden are the same requests, of which none is let through.
func forbidden(requests []request) []request {
	all := slices.Clone(requests)
	for i := range all {
		all[i].allowed = false
	}
	return all
}

func value() map[string]any { return map[string]any{"data": map[string]any{"password": "2"}} }

// writes are what gives a secret a new version.
func writes(name string) []request {
	return []request{
		may(http.MethodPost, "data/"+name, value()),
		may(http.MethodPatch, "data/"+name, value()),
		may(http.MethodPost, "secrets/"+name, value()),
		may(http.MethodPost, "secrets/"+name, map[string]any{"value": "2", "wait": 1}),
		may(http.MethodPost, "secrets/"+name, map[string]any{"binary": "Mg=="}),
		may(http.MethodPost, "secrets/"+name, value()),
		may(http.MethodPatch, "secrets/"+name, value()),
	}
}

// reads are what shows a secret with its value.
func reads(name string) []request {
	return []request{
		may(http.MethodGet, "data/"+name, nil),
		may(http.MethodGet, "subkeys/"+name, nil),
		may(http.MethodGet, "secrets/"+name, nil),
		may(http.MethodGet, "secrets/"+name+"/versions/1", nil),
	}
}

// settings are all ways to choose where and how a secret is replicated.
func settings(name string) []request {
	var all []request
	for setting, to := range map[string]any{
		"destinations": "tencent-ssm/other", "kms_key_id": "k", "kms_key_ids": harness.Destination + "=k", "tags": "a=b",
		"description": "d", "remote_name": "n", "format": "raw", "deletion_policy": "force",
	} {
		with := value()
		with[setting] = to
		all = append(all, may(http.MethodPost, "secrets/"+name, with), may(http.MethodPost, "secrets/"+name, map[string]any{setting: to}))
	}
	return append(all,
		may(http.MethodPost, "rekey/"+name, map[string]any{"kms_key_id": "k"}),
		may(http.MethodPost, "metadata/"+name, map[string]any{"custom_metadata": map[string]any{"a": "b"}}),
	)
}

// deletions are all ways to take a value or a version away.
func deletions(name string) []request {
	return []request{
		may(http.MethodDelete, "data/"+name, nil),
		may(http.MethodPost, "delete/"+name, map[string]any{"versions": "1"}),
		may(http.MethodPost, "undelete/"+name, map[string]any{"versions": "1"}),
		may(http.MethodPost, "destroy/"+name, map[string]any{"versions": "1"}),
		may(http.MethodDelete, "metadata/"+name, nil),
		may(http.MethodDelete, "secrets/"+name, nil),
		may(http.MethodDelete, "secrets/"+name+"/versions/1", nil),
	}
}

// ofThePlatform is what changes more than one secret.
func ofThePlatform() []request {
	return []request{
		may(http.MethodPost, "rules/made", map[string]any{"match": "made/**", "destinations": harness.Destination}),
		may(http.MethodPost, "rules/made/plan", map[string]any{"tags": "a=b"}),
		may(http.MethodDelete, "rules/made", nil),
		may(http.MethodPost, "config", map[string]any{"default_wait": 5}),
		may(http.MethodPost, "import/"+harness.Destination, map[string]any{"match": "nothing-*"}),
	}
}

func ofTheAdmin(settings map[string]any) []request {
	return []request{
		may(http.MethodPost, "destinations/tencent-ssm/made", settings),
		may(http.MethodPost, "destinations/tencent-ssm/made", map[string]any{"disabled": true}),
		may(http.MethodDelete, "destinations/tencent-ssm/made", nil),
	}
}

// watched is what shows no value, of all secrets.
func watched() []request {
	return []request{
		may(http.MethodGet, "status", nil),
		may(http.MethodGet, "status/team-b/db", nil),
		may(http.MethodGet, "rules/team-a", nil),
		may(list, "rules", nil),
		may(http.MethodGet, "destinations/"+harness.Destination, nil),
		may(list, "destinations", nil),
		may(list, "destinations/tencent-ssm", nil),
		may(http.MethodGet, "config", nil),
		may(http.MethodGet, "metrics", nil),
		may(http.MethodGet, "keys", nil),
		may(list, "jobs", nil),
		may(list, "remote/"+harness.Destination, nil),
		may(http.MethodGet, "info", nil),
		may(http.MethodGet, "lookup/"+harness.Destination, map[string]any{"remote_name": "team-a_db"}),
		may(http.MethodPost, "plan", map[string]any{"match": "team-a/db"}),
	}
}

// planned only reads, and tells whether a value that is given is the right one.
func planned(name string) []request {
	return []request{
		may(http.MethodPost, "plan/"+name, map[string]any{"value": "1"}),
		may(http.MethodPost, "plan/"+name, map[string]any{"data": map[string]any{"a": "b"}}),
	}
}

// teamLimits are what no team may, by whatever policy.
func teamLimits() []request {
	return forbidden(slices.Concat(
		settings("team-a/shop/db"), settings("team-a/new"), deletions("team-a/shop/db"),
		writes("team-b/db"), reads("team-b/db"), writes("team-ab/db"), reads("team-ab/db"), settings("team-b/db"), deletions("team-b/db"),
		watched(), ofThePlatform(), ofTheAdmin(map[string]any{"region": "r"}),
		[]request{
			may(http.MethodPost, "destinations/"+harness.Destination+"/check", nil),
			may(http.MethodPost, "sync/team-b/db", nil),
			may(http.MethodPost, "rollback/team-b/db", map[string]any{"version": 1}),
			may(list, "secrets", nil), may(list, "metadata", nil), may(list, "metadata/team-b", nil), may(list, "status", nil),
		},
	))
}

func teamReader() []request {
	return append(reads("team-a/db"),
		may(http.MethodGet, "status/team-a/db", nil),
		may(http.MethodGet, "trail/team-a/db", nil),
		may(http.MethodGet, "metadata/team-a/db", nil),
		may(list, "metadata/team-a", nil),
		may(list, "secrets/team-a", nil),
		may(list, "secrets/team-a/db/versions", nil),
	)
}

func teamWriter() []request {
	return slices.Concat(writes("team-a/db"), writes("team-a/made"), teamReader(), []request{
		may(http.MethodPost, "rollback/team-a/db", map[string]any{"version": 1}),
		may(http.MethodPost, "sync/team-a/db", nil),
		mayNot(http.MethodPost, "plan/team-a/db", map[string]any{"tags": "a=b"}),
	}, planned("team-a/db"))
}

func pipeline() []request {
	return slices.Concat(writes("team-a/shop/db"), writes("team-a/shop/made"), []request{
		may(http.MethodGet, "status/team-a/shop/db", nil),
		may(http.MethodGet, "metadata/team-a/shop/db", nil),
	}, forbidden(slices.Concat(
		reads("team-a/shop/db"), writes("team-a/db"), reads("team-a/db"),
		[]request{may(list, "metadata/team-a/shop", nil), may(http.MethodPost, "sync/team-a/shop/db", nil)},
	)))
}

func auditor() []request {
	return slices.Concat([]request{
		may(http.MethodGet, "metadata/team-b/db", nil),
		may(list, "metadata/team-a", nil),
		may(http.MethodPost, "plan/team-a/db", map[string]any{"tags": "a=b"}),
		may(http.MethodPost, "rules/team-a/plan", map[string]any{"tags": "a=b", "calls": true}),
	}, statusOfAll(), forbidden(slices.Concat(
		reads("team-a/db"), writes("team-a/db"), settings("team-a/db"), deletions("team-a/db"), planned("team-a/db"),
		slices.DeleteFunc(ofThePlatform(), func(r request) bool { return r.path == "rules/made/plan" }),
		ofTheAdmin(map[string]any{"region": "r"}),
		[]request{
			may(http.MethodPost, "sync/team-a/db", nil), may(http.MethodPost, "destinations/"+harness.Destination+"/check", nil),
			may(http.MethodPost, "destinations/"+harness.Destination+"/plan", map[string]any{"custom_tags": "a=b"}),
		},
	)))
}

// statusOfAll is what is watched, without a secret that has no replica.
func statusOfAll() []request {
	return append(slices.DeleteFunc(watched(), func(r request) bool { return r.path == "status/team-b/db" }),
		may(http.MethodGet, "status/team-a/db", nil), may(http.MethodGet, "trail/team-a/db", nil))
}

func platformOperator(r harness.Replication) []request {
	allowed := slices.Concat(statusOfAll(), ofThePlatform(), []request{
		may(http.MethodPost, "destinations/"+harness.Destination+"/check", nil),
		may(http.MethodPost, "sync/team-a/db", nil),
		may(http.MethodPost, "secrets/team-a/db", map[string]any{"tags": "a=b", "deletion_policy": "retain"}),
		may(http.MethodPost, "secrets/team-a/db", map[string]any{"destinations": "tencent-ssm/gz"}),
		may(http.MethodPost, "rekey/team-a/db", map[string]any{"kms_key_id": emulator.ExampleKMSKeyID, "remote_name": "team-a_db-2"}),
	})
	return append(allowed, forbidden(slices.Concat(
		writes("team-a/db"), reads("team-a/db"), deletions("team-a/db"), planned("team-a/db"), ofTheAdmin(r.Cloud.Settings()),
		[]request{
			may(http.MethodPost, "destinations/"+harness.Destination+"/plan", map[string]any{"custom_tags": "a=b"}),
			may(http.MethodPost, "secrets/team-a/never", map[string]any{"tags": "a=b"}),
			may(http.MethodPost, "secrets/team-a/db", map[string]any{"tags": "a=b", "value": "2"}),
		},
	))...)
}

func destinationAdmin(r harness.Replication) []request {
	allowed := slices.Concat(ofTheAdmin(r.Cloud.Settings()), []request{
		may(list, "destinations", nil),
		may(list, "destinations/tencent-ssm", nil),
		may(http.MethodGet, "destinations/"+harness.Destination, nil),
		may(http.MethodPost, "destinations/"+harness.Destination+"/check", nil),
		may(http.MethodGet, "status", nil),
		may(http.MethodPost, "sync/team-a/db", nil),
	})
	return append(allowed, forbidden(slices.Concat(
		writes("team-a/db"), reads("team-a/db"), settings("team-a/db"), deletions("team-a/db"), ofThePlatform(),
		[]request{may(http.MethodGet, "status/team-a/db", nil), may(http.MethodGet, "rules/team-a", nil)},
	))...)
}

// A setting is granted as the comments of the policy say.
func TestASettingCanBeGrantedWithTheValuesThatAreAllowed(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	for _, name := range []string{"second", "other"} {
		r.Vault.Write("destinations/tencent-ssm/"+name, r.Cloud.Settings())
	}
	r.Vault.Write("rules/team-a", map[string]any{"match": "team-a/**", "allowed_destinations": []string{harness.Destination, "tencent-ssm/second"}})
	granting := func(setting, values string) string {
		return strings.Replace(shipped(t, "team-writer"), "allowed_parameters = {\n", "allowed_parameters = {\n    \""+setting+"\" = "+values+"\n", 1)
	}
	with := func(setting string, to any) map[string]any {
		body := value()
		body[setting] = to
		return body
	}
	team := map[string]any{"team": "team-a"}
	ann := member(t, r.Vault, "ann", granting("destinations", `["tencent-ssm/gz", "tencent-ssm/second"]`), team)
	checkRequests(t, ann, []request{
		may(http.MethodPost, "secrets/team-a/db", with("destinations", "tencent-ssm/gz")),
		mayNot(http.MethodPost, "secrets/team-a/db", with("destinations", "tencent-ssm/other")),
		mayNot(http.MethodPost, "secrets/team-a/db", with("destinations", []any{"tencent-ssm/gz", "tencent-ssm/other"})),
		mayNot(http.MethodPost, "secrets/team-a/db", with("destinations", "tencent-ssm/gz,tencent-ssm/other")),
		mayNot(http.MethodPost, "secrets/team-a/db", with("kms_key_id", "k")),
	})
	bob := member(t, r.Vault, "bob", granting("destinations", "[]"), team)
	err := send(t, bob, may(http.MethodPost, "secrets/team-a/db", with("destinations", "tencent-ssm/gz,tencent-ssm/other")))
	if err == nil || !strings.Contains(err.Error(), "rule team-a doesn't allow destination tencent-ssm/other") {
		t.Errorf("the rule lets somebody choose another destination: %v", err)
	}
	r.AwaitStateAt(harness.Destination, "team-a/db", "in_sync")
}
