// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"net/http"
	"slices"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// account is what a managed credential is written with.
func account(more ...string) map[string]any {
	data := map[string]any{
		"destination": harness.Destination, "product": "Mysql", "instance_id": "cdb-n4j3y33j", "user_name_prefix": "app",
		"domains": "%", "privileges": "*.*:SELECT", "wait": harness.Patience.String(),
	}
	for i := 0; i+1 < len(more); i += 2 {
		data[more[i]] = more[i+1]
	}
	return data
}

// readsManaged, rotatesManaged and createsManaged are what the three roles are for.
func readsManaged(name string) []request {
	return []request{may(http.MethodGet, "managed/"+name+"/credentials", nil)}
}

func looksAtManaged(name string) []request {
	return []request{may(http.MethodGet, "managed/"+name, nil)}
}

func rotatesManaged(name string) []request {
	return []request{may(http.MethodPost, "managed/"+name+"/rotate", map[string]any{"wait": harness.Patience.String()})}
}

func watchesManaged(name string) []request {
	return []request{may(http.MethodGet, "managed/"+name+"/rotation", nil), may(http.MethodGet, "managed/"+name+"/history", nil)}
}

func createsManaged(name string) []request {
	return []request{
		may(http.MethodPost, "managed/"+name, account()),
		may(http.MethodPost, "managed/"+name, map[string]any{"description": "d"}),
		may(http.MethodPost, "managed/"+name+"/rotation", map[string]any{"enable_rotation": false}),
		may(http.MethodGet, "managed-products/"+harness.Destination, nil),
		may(http.MethodDelete, "managed/"+name, nil),
	}
}

// passesOnManaged makes a value a secret.
func passesOnManaged(name string) []request {
	return []request{may(http.MethodPost, "managed/"+name, map[string]any{"replicate_to": "team-a/copy"})}
}

// checkManagedPolicies tries the roles for managed credentials, and that the others
// have no part in them.
func checkManagedPolicies(t *testing.T, r harness.Replication) {
	t.Helper()
	const own, fresh, theirs = "team-a/orders", "team-a/new", "team-b/orders"
	for _, name := range []string{own, theirs, "team-a"} {
		r.Vault.Write("managed/"+name, account("remote_name", harness.Tencent.RemoteName(name)+"-account"))
	}
	team := map[string]any{"team": "team-a"}
	listed := []request{may(list, "managed/team-a", nil)}
	// Of another team, and of the credential that is named like the team.
	foreign := slices.Concat(readsManaged("team-a"), rotatesManaged("team-a"))
	for _, name := range []string{theirs, "team-b/new"} {
		foreign = slices.Concat(foreign, readsManaged(name), rotatesManaged(name), watchesManaged(name), looksAtManaged(name), createsManaged(name)[:3])
	}
	foreign = append(foreign, may(list, "managed", nil), may(list, "managed/team-b", nil))
	values := slices.Concat(readsManaged(own), passesOnManaged(own))
	for _, test := range []struct {
		role                string
		metadata            map[string]any
		allowed, notAllowed []request
	}{
		{"managed-reader", team, slices.Concat(readsManaged(own), looksAtManaged(own), listed), slices.Concat(rotatesManaged(own), createsManaged(own), passesOnManaged(own), foreign)},
		{"managed-rotator", team, slices.Concat(rotatesManaged(own), watchesManaged(own), looksAtManaged(own), listed), slices.Concat(values, createsManaged(own), foreign)},
		{"managed-creator", team, slices.Concat(createsManaged(fresh), watchesManaged(own), looksAtManaged(own), listed), slices.Concat(values, rotatesManaged(own), foreign)},
		{"auditor", nil, []request{may(list, "managed", nil), may(list, "managed/team-b", nil)}, slices.Concat(values, rotatesManaged(own), createsManaged(own))},
		{"platform-operator", nil, []request{may(list, "managed", nil)}, slices.Concat(values, rotatesManaged(own), createsManaged(own))},
		{"team-writer", team, nil, slices.Concat(values, rotatesManaged(own), createsManaged(own), looksAtManaged(own), foreign)},
		{"ci-pipeline", map[string]any{"team": "team-a", "app": "shop"}, nil, slices.Concat(values, rotatesManaged(own), createsManaged(own), foreign)},
	} {
		t.Run("managed credentials for "+test.role, func(t *testing.T) {
			checkRequests(t, member(t, r.Vault, "managed-"+test.role, shipped(t, test.role), test.metadata), slices.Concat(test.allowed, forbidden(test.notAllowed)))
		})
	}
}
