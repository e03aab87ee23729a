// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// request is one call by somebody with a policy, and whether it is let through.
type request struct {
	method, path string
	body         map[string]any
	allowed      bool
}

// Policies are what separates the teams; each case is a policy on its own, and
// the requests of a token that has it, one after the other.
func TestAPolicyAllowsWhatItSaysAndNothingElse(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	value := map[string]any{"data": map[string]any{"password": "1"}}
	with := func(setting string, value any) map[string]any {
		return map[string]any{"data": map[string]any{"password": "1"}, setting: value}
	}
	for _, test := range []struct {
		name, policy string
		requests     []request
	}{
		{
			"a team writes its own values by KV", `path "cloudsync/data/team-a/*" { capabilities = ["create", "update"] }`,
			[]request{
				{http.MethodPost, "data/team-a/db", value, true},
				{http.MethodPost, "data/team-a/db", value, true},
				{http.MethodGet, "data/team-a/db", nil, false},
				{http.MethodPatch, "data/team-a/db", value, false},
				{http.MethodDelete, "data/team-a/db", nil, false},
				{http.MethodPost, "data/team-b/db", value, false},
				{http.MethodPost, "secrets/team-a/db", value, false},
				{http.MethodPost, "secrets/team-a/db", map[string]any{"destinations": ""}, false},
				{http.MethodGet, "secrets/team-a/db", nil, false},
				{http.MethodDelete, "secrets/team-a/db", nil, false},
				{http.MethodPost, "rollback/team-a/db", map[string]any{"version": 1}, false},
				{http.MethodPost, "sync/team-a/db", nil, false},
				{http.MethodPost, "metadata/team-a/db", map[string]any{"max_versions": 1}, false},
				{http.MethodPost, "delete/team-a/db", map[string]any{"versions": "1"}, false},
				{http.MethodPost, "destroy/team-a/db", map[string]any{"versions": "1"}, false},
				{http.MethodGet, "status/team-a/db", nil, false},
				{http.MethodGet, "status", nil, false},
				{http.MethodGet, "config", nil, false},
				{http.MethodPost, "config", map[string]any{"paused": true}, false},
				{http.MethodGet, "destinations/" + harness.Destination, nil, false},
				{http.MethodPost, "destinations/" + harness.Destination, map[string]any{"disabled": true}, false},
				{http.MethodPost, "destinations/" + harness.Destination + "/check", nil, false},
				{"LIST", "destinations", nil, false},
				{"LIST", "secrets", nil, false},
			},
		},
		{
			"create without update on secrets", `path "cloudsync/secrets/*" { capabilities = ["create"] }`,
			[]request{
				{http.MethodPost, "secrets/once", value, true},
				{http.MethodPost, "secrets/once", value, false},
				{http.MethodPost, "secrets/once", map[string]any{"tags": "a=b"}, false},
				{http.MethodPatch, "secrets/once", value, false},
			},
		},
		{
			"create without update by KV", `path "cloudsync/data/*" { capabilities = ["create"] }`,
			[]request{
				{http.MethodPost, "data/by-kv", value, true},
				{http.MethodPost, "data/by-kv", value, false},
			},
		},
		{
			"update without create", `path "cloudsync/secrets/*" { capabilities = ["update"] }`,
			[]request{
				{http.MethodPost, "secrets/once", value, true}, // the case before made it
				{http.MethodPost, "secrets/never", value, false},
			},
		},
		{
			"create without update on destinations", `path "cloudsync/destinations/*" { capabilities = ["create"] }`,
			[]request{
				{http.MethodPost, "destinations/tencent-ssm/made", r.Cloud.Settings(), true},
				{http.MethodPost, "destinations/tencent-ssm/made", map[string]any{"disabled": true}, false},
				{http.MethodGet, "destinations/tencent-ssm/made", nil, false},
			},
		},
		{
			"only some settings", `path "cloudsync/secrets/team-c/*" {
				capabilities = ["create", "update"]
				allowed_parameters = { "data" = [], "destinations" = ["` + harness.Destination + `"], "wait" = [] }
			}`,
			[]request{
				{http.MethodPost, "secrets/team-c/db", with("destinations", harness.Destination), true},
				{http.MethodPost, "secrets/team-c/db", with("destinations", "tencent-ssm/made"), false},
				{http.MethodPost, "secrets/team-c/db", with("remote_name", "other"), false},
				{http.MethodPost, "secrets/team-c/db", with("deletion_policy", "force"), false},
			},
		},
		{
			"an operator sees the state and no value", `path "cloudsync/status/*" { capabilities = ["read"] }
				path "cloudsync/status" { capabilities = ["read"] }
				path "cloudsync/sync/*" { capabilities = ["update"] }`,
			[]request{
				{http.MethodGet, "status", nil, true},
				{http.MethodGet, "status/team-c/db", nil, true},
				{http.MethodPost, "sync/team-c/db", nil, true},
				{http.MethodGet, "secrets/team-c/db", nil, false},
				{http.MethodGet, "data/team-c/db", nil, false},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := r.Vault.WithToken(tokenWith(t, r.Vault, test.policy))
			checkRequests(t, client, test.requests)
		})
	}
	if version := r.Vault.Read("metadata/once").Data["current_version"]; number(t, version) != 2 {
		t.Errorf("the secret that was made once and updated once is at version %v", version)
	}
}

// checkRequests makes the requests, one after the other, and compares who is let
// through.
func checkRequests(t *testing.T, client *api.Client, requests []request) {
	t.Helper()
	for i, request := range requests {
		err := send(t, client, request)
		var answer *api.ResponseError
		switch forbidden := errors.As(err, &answer) && answer.StatusCode == http.StatusForbidden; {
		case request.allowed && err != nil:
			t.Errorf("request %d, %s %s, fails: %v", i+1, request.method, request.path, err)
		case !request.allowed && !forbidden:
			t.Errorf("request %d, %s %s %v, isn't forbidden: %v", i+1, request.method, request.path, request.body, err)
		}
	}
}

// tokenWith makes a token that has one policy alone.
func tokenWith(t *testing.T, v *harness.Vault, policy string) string {
	t.Helper()
	if err := v.Client.Sys().PutPolicyWithContext(t.Context(), "tested", policy); err != nil {
		t.Fatal(err)
	}
	made, err := v.Client.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
		Policies: []string{"tested"}, NoDefaultPolicy: true, NoParent: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.Auth.ClientToken
}

func send(t *testing.T, client *api.Client, r request) error {
	t.Helper()
	path, ctx := harness.Mount+"/"+r.path, t.Context()
	var err error
	switch r.method {
	case http.MethodGet:
		var answer *api.Response
		query := map[string][]string{}
		for name, text := range r.body {
			query[name] = []string{fmt.Sprint(text)}
		}
		if answer, err = client.Logical().ReadRawWithDataWithContext(ctx, path, query); answer != nil {
			_ = answer.Body.Close()
		}
	case http.MethodPatch:
		_, err = client.Logical().JSONMergePatch(ctx, path, r.body)
	case http.MethodDelete:
		_, err = client.Logical().DeleteWithContext(ctx, path)
	case "LIST":
		_, err = client.Logical().ListWithContext(ctx, path)
	default:
		_, err = client.Logical().WriteWithContext(ctx, path, r.body)
	}
	return err
}

// The command that teams use needs nothing beside the one line.
func TestKVPutNeedsOneLineOfPolicy(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Write(secretName, map[string]any{"password": "1"})
	token := tokenWith(t, r.Vault, `path "cloudsync/data/team-a/*" { capabilities = ["create", "update"] }`)
	if _, err := r.Vault.As(token).TryCLI("", "kv", "put", "-mount=cloudsync", secretName, "password=3"); err != nil {
		t.Error(err)
	}
	if _, err := r.Vault.As(token).TryCLI("", "kv", "put", "-mount=cloudsync", "team-b/db", "password=3"); err == nil {
		t.Error("another team's secret can be written")
	}
	r.AwaitCurrent(secretName, `{"password":"3"}`)
}
