// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// deleting is a secret to which a row of the table happens.
type deleting struct {
	*testing.T
	r            harness.Replication
	name         string
	destinations []string
}

// row is a row of the table: what is done, and what that leads to.
type row struct {
	operation string
	here      string
	at        [3]string // Tencent, Alibaba, Huawei
	do        func(x *deleting)
}

func everywhere(outcome string) [3]string { return [3]string{outcome, outcome, outcome} }

var deletionRows = []row{
	{"`DELETE secrets/:name`, policy `schedule`", tombstoned, everywhere(scheduled), func(x *deleting) { x.one(); x.remove("secrets/" + x.name) }},
	{"`DELETE secrets/:name`, policy `force`", noSecret, everywhere(gone), func(x *deleting) { x.one(); x.policy("force"); x.remove("secrets/" + x.name) }},
	{"`DELETE secrets/:name`, policy `retain`", noSecret, everywhere(unmarked), func(x *deleting) { x.one(); x.policy("retain"); x.remove("secrets/" + x.name) }},
	{"`DELETE metadata/:path`", tombstoned, everywhere(scheduled), func(x *deleting) { x.one(); x.remove("metadata/" + x.name) }},
	{"`DELETE data/:path`, an older version is live", inSync, everywhere(before), func(x *deleting) { x.two(); x.remove("data/" + x.name) }},
	{"`DELETE data/:path`, no other is live", withdrawn, [3]string{disabled, scheduled, scheduled}, func(x *deleting) { x.one(); x.remove("data/" + x.name) }},
	{"`POST delete/:path`, an older version", inSync, everywhere(asItIs), func(x *deleting) { x.two(); x.versions("delete", 1) }},
	{"`POST undelete/:path` of a withdrawn one", inSync, everywhere(restored), func(x *deleting) { x.withdraw(); x.versions("undelete", 1) }},
	{"`POST destroy/:path`, an older version is live", inSync, [3]string{beforeRemoved, beforeHeld, beforeHeld}, func(x *deleting) { x.two(); x.versions("destroy", 2) }},
	{"`POST destroy/:path`, no other is live", withdrawn, [3]string{disabledRemoved, scheduled, scheduled}, func(x *deleting) { x.one(); x.versions("destroy", 1) }},
	{"`DELETE secrets/:name/versions/:id`, an older version", inSync, [3]string{removed, held, held}, func(x *deleting) { x.two(); x.remove("secrets/" + x.name + "/versions/1") }},
	{"`delete_version_after` is over, no other is live", withdrawn, [3]string{disabled, scheduled, scheduled}, func(x *deleting) {
		x.r.Vault.Write("metadata/"+x.name, map[string]any{"delete_version_after": "3s"})
		x.one()
	}},
	{"`max_versions` drops an older version", inSync, everywhere(held), func(x *deleting) {
		x.r.Vault.Write("metadata/"+x.name, map[string]any{"max_versions": 1})
		x.two()
	}},
	{"withdrawn, then `DELETE secrets/:name`, policy `schedule`", tombstoned, everywhere(scheduled), func(x *deleting) { x.withdraw(); x.remove("secrets/" + x.name) }},
	{"withdrawn, then `DELETE secrets/:name`, policy `force`", noSecret, everywhere(gone), func(x *deleting) { x.withdraw(); x.policy("force"); x.remove("secrets/" + x.name) }},
	{
		"withdrawn, then `DELETE secrets/:name`, policy `retain`", noSecret,
		[3]string{unmarkedDisabled, unmarkedRestored, unmarkedRestored},
		func(x *deleting) { x.withdraw(); x.policy("retain"); x.remove("secrets/" + x.name) },
	},
	{"destination taken off a secret", noReplica, everywhere(unmarked), func(x *deleting) { x.one(); x.set(map[string]any{"destinations": ""}) }},
	{"destination taken off a secret, `delete=true`", noReplicaTomb, everywhere(scheduled), func(x *deleting) {
		x.one()
		x.set(map[string]any{"destinations": "", "delete": true})
	}},
	{"destination taken off a withdrawn secret", noReplica, [3]string{unmarkedDisabled, unmarkedRestored, unmarkedRestored}, func(x *deleting) {
		x.withdraw()
		x.set(map[string]any{"destinations": ""})
	}},
	{"rule changed, which no longer matches", noReplica, everywhere(unmarked), func(x *deleting) { x.ruled(); x.rule(map[string]any{"match": "nothing"}) }},
	{"rule changed, which no longer matches, `delete=true`", noReplicaTomb, everywhere(scheduled), func(x *deleting) {
		x.ruled()
		x.rule(map[string]any{"match": "nothing", "delete": true})
	}},
	{"`DELETE rules/:name`", noReplica, everywhere(unmarked), func(x *deleting) { x.ruled(); x.remove("rules/" + x.name) }},
	{"`DELETE rules/:name`, `delete=true`", noReplicaTomb, everywhere(scheduled), func(x *deleting) { x.ruled(); x.removeWith("rules/"+x.name, "delete") }},
	{"`DELETE destinations/:type/:name`", refused, everywhere(stillMarked), func(x *deleting) {
		x.elsewhere()
		for _, destination := range x.destinations {
			_, err := x.r.Vault.Client.Logical().DeleteWithContext(x.Context(), harness.Mount+"/destinations/"+destination)
			if err == nil || !strings.Contains(err.Error(), "has replicas") {
				x.Errorf("it is answered with %v", err)
			}
		}
	}},
	{"`DELETE destinations/:type/:name`, `force=true`", noReplica, everywhere(stillMarked), func(x *deleting) {
		x.elsewhere()
		for _, destination := range x.destinations {
			x.removeWith("destinations/"+destination, "force")
		}
	}},
	{"deleted, then written again within the recovery window", inSync, everywhere(updated), func(x *deleting) {
		x.one()
		x.remove("secrets/" + x.name)
		x.write("2")
	}},
	{"written while somebody else's secret of the name is being deleted", blocked, everywhere(stillTheirs), func(x *deleting) {
		for i, cloud := range x.r.Clouds {
			scope := []string{cloud.Service.Region, cloud.Service.Region, ""}[i]
			if other := cloud.Secrets(); len(other) > 0 {
				scope = other[0].Region
			}
			theirs := emulator.Secret{
				Ref: emulator.Ref{Region: scope, Name: cloud.Service.RemoteName(x.name)}, Description: "theirs",
				State: []string{"PendingDelete", "PendingDeletion", "PENDING_DELETE"}[i], DeletionTime: time.Now().Add(10 * 24 * time.Hour),
				Versions: []emulator.Version{{ID: "v1", Text: "theirs"}},
			}
			if err := cloud.Control.Seed(x.Context(), theirs); err != nil {
				x.Fatal(err)
			}
		}
		x.r.Vault.Write("secrets/"+x.name, map[string]any{"data": map[string]any{"n": "1"}, "destinations": x.r.Destinations()})
		x.r.AwaitState(x.name, "blocked")
		for _, destination := range x.destinations {
			failure, _ := replicaOf(x.r, x.name, destination)["error"].(map[string]any)
			if text, _ := failure["message"].(string); !strings.Contains(text, "is being deleted holds the name until "+time.Now().UTC().Format("2006-")) {
				x.Errorf("%s: it is explained with %v", destination, failure)
			}
		}
	}},
}

func (x *deleting) write(n string) {
	x.Helper()
	x.r.Vault.Write("secrets/"+x.name, map[string]any{"data": map[string]any{"n": n}, "destinations": x.destinations})
	for _, destination := range x.destinations {
		x.r.AwaitStateAt(destination, x.name, "in_sync")
	}
}

func (x *deleting) one() { x.Helper(); x.write("1") }
func (x *deleting) two() { x.Helper(); x.write("1"); x.write("2") }

func (x *deleting) withdraw() {
	x.Helper()
	x.one()
	x.remove("data/" + x.name)
	x.r.AwaitState(x.name, "withdrawn")
}

func (x *deleting) set(settings map[string]any) {
	x.Helper()
	x.r.Vault.Write("secrets/"+x.name, settings)
}

func (x *deleting) policy(policy string) {
	x.Helper()
	x.set(map[string]any{"deletion_policy": policy})
}

func (x *deleting) versions(operation string, number int) {
	x.Helper()
	x.r.Vault.Write(operation+"/"+x.name, map[string]any{"versions": []int{number}})
}

func (x *deleting) rule(settings map[string]any) {
	x.Helper()
	x.r.Vault.Write("rules/"+x.name, settings)
}

// ruled has a rule send the secret everywhere.
func (x *deleting) ruled() {
	x.Helper()
	x.rule(map[string]any{"match": x.name, "destinations": x.destinations})
	x.r.Vault.Write("data/"+x.name, map[string]any{"data": map[string]any{"n": "1"}})
	x.r.AwaitState(x.name, "in_sync")
}

// elsewhere sends the secret to destinations of its own, at the same clouds.
func (x *deleting) elsewhere() {
	x.Helper()
	for i, cloud := range x.r.Clouds {
		x.destinations[i] = cloud.Service.Type + "/" + x.name
		x.r.Vault.Write("destinations/"+x.destinations[i], cloud.Settings())
	}
	x.one()
}

func (x *deleting) remove(path string) {
	x.Helper()
	if _, err := x.r.Vault.Client.Logical().DeleteWithContext(x.Context(), harness.Mount+"/"+path); err != nil {
		x.Fatal(err)
	}
}

func (x *deleting) removeWith(path, parameter string) {
	x.Helper()
	if _, err := x.r.Vault.Client.Logical().DeleteWithDataWithContext(x.Context(), harness.Mount+"/"+path, map[string][]string{parameter: {"true"}}); err != nil {
		x.Fatal(err)
	}
}
