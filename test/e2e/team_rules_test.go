// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

const mark = "[vault-cloudsync"

// putKV writes a secret as teams do, and returns the error that they see.
func putKV(r harness.Replication, name string, pairs ...string) error {
	_, err := r.Vault.TryCLI("", append([]string{"kv", "put", "-mount=" + harness.Mount, name}, pairs...)...)
	return err
}

// awaitRemote waits until every cloud has a secret of that name with that value,
// marked or not.
func awaitRemote(t *testing.T, r harness.Replication, name, want string, marked bool) {
	t.Helper()
	for _, cloud := range r.Clouds {
		harness.Eventually(t, name+" at "+cloud.Service.Type, func() error {
			secret, there := cloud.Secret(name)
			switch {
			case !there:
				return errors.New("it isn't there")
			case cloud.Current(name) != want:
				return fmt.Errorf("readers get %q instead of %q", cloud.Current(name), want)
			case strings.Contains(secret.Description, mark) != marked:
				return fmt.Errorf("its description is %q", secret.Description)
			}
			return nil
		})
	}
}

// awaitApplied waits until the last change of a rule is applied to all secrets.
func awaitApplied(t *testing.T, r harness.Replication, rule string) {
	t.Helper()
	harness.Eventually(t, "the end of the change of rule "+rule, func() error {
		if sweep := r.Vault.Read("rules/" + rule).Data["sweep"]; sweep != nil {
			return fmt.Errorf("it has come to %v", sweep)
		}
		return nil
	})
}

// replicaOf is what the status shows of a secret at a destination.
func replicaOf(r harness.Replication, secret, destination string) map[string]any {
	replicas, _ := r.Vault.Read("status/" + secret).Data["destinations"].(map[string]any)
	replica, _ := replicas[destination].(map[string]any)
	return replica
}

func TestARuleSendsWhatTeamsPutByKVToEveryCloud(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("rules/team-a", map[string]any{
		"match": "team-a/**", "exclude": "team-a/private/**", "destinations": r.Destinations(),
		"secret_name_template": `{{ .MountPath }}-{{ .SecretPath | replace "/" "-" }}`,
		"tags":                 map[string]any{"team": "a", "app": "{{ .SecretBaseName }}"}, "custom_metadata_tags": "cost",
	})
	r.Vault.CLI("kv", "metadata", "put", "-mount="+harness.Mount, "-custom-metadata=cost=7", "team-a/db")
	for _, name := range []string{"team-a/db", "team-a/private/db", "team-b/db"} {
		if err := putKV(r, name, "password=1"); err != nil {
			t.Fatal(err)
		}
	}
	awaitRemote(t, r, "cloudsync-team-a-db", `{"password":"1"}`, true)
	for _, cloud := range r.Clouds {
		secret, _ := cloud.Secret("cloudsync-team-a-db")
		if want := map[string]string{"team": "a", "app": "db", "cost": "7"}; !maps.Equal(secret.Tags, want) {
			t.Errorf("%s has the tags %v, want %v", cloud.Service.Type, secret.Tags, want)
		}
		if got := names(cloud); !slices.Equal(got, []string{"cloudsync-team-a-db"}) {
			t.Errorf("%s has %v", cloud.Service.Type, got)
		}
	}
}

func names(cloud *harness.Emulator) []string {
	var all []string
	for _, secret := range cloud.Secrets() {
		all = append(all, secret.Name)
	}
	return slices.Sorted(slices.Values(all))
}

func TestASecondSecretOfARemoteNameIsRefusedNamingTheFirst(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("rules/all", map[string]any{
		"match": "**", "destinations": r.Destinations(), "secret_name_template": "{{ .SecretBaseName }}",
	})
	if err := putKV(r, "team-a/db", "password=a"); err != nil {
		t.Fatal(err)
	}
	err := putKV(r, "team-b/db", "password=b")
	if err == nil || !strings.Contains(err.Error(), "team-a/db") || !strings.Contains(err.Error(), `"db"`) {
		t.Errorf("the second one is answered with %v", err)
	}
	if answer, err := r.Vault.Client.Logical().ReadWithContext(t.Context(), harness.Mount+"/data/team-b/db"); err != nil || answer != nil {
		t.Errorf("the refused secret is stored: %v, %v", answer, err)
	}
	awaitRemote(t, r, "db", `{"password":"a"}`, true)
}

// Huawei has the shortest names, of 64 bytes.
func TestALongNameIsCutSoThatTwoStayTwo(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("rules/all", map[string]any{"match": "**", "destinations": r.Destinations()})
	long := "platform/production/eu-central/billing-service/postgres/main-password"
	for number, name := range []string{long, long + "-2"} {
		if err := putKV(r, name, fmt.Sprintf("n=%d", number)); err != nil {
			t.Fatal(err)
		}
		r.AwaitState(name, "in_sync")
		for _, cloud := range r.Clouds {
			remote, _ := replicaOf(r, name, cloud.Service.Destination)["remote_name"].(string)
			if want := cloud.Service.RemoteName(name); cloud.Service.Type != harness.Huawei.Type && remote != want {
				t.Errorf("%s calls it %q, want %q", cloud.Service.Type, remote, want)
			}
			if cloud.Service.Type == harness.Huawei.Type && len(remote) != 64 {
				t.Errorf("%s calls it %q of %d bytes", cloud.Service.Type, remote, len(remote))
			}
			if got := cloud.Current(remote); got != fmt.Sprintf(`{"n":"%d"}`, number) {
				t.Errorf("%s has %s under %q", cloud.Service.Type, got, remote)
			}
		}
	}
	// The page on names shows this one.
	if got := replicaOf(r, long, harness.Huawei.Destination)["remote_name"]; got != "platform_production_eu-central_billing-service_-027031c1c06a543e" {
		t.Errorf("huawei calls it %v", got)
	}
}

func TestAnotherTemplateRenamesWhatIsThere(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("rules/all", map[string]any{"match": "**", "destinations": r.Destinations(), "secret_name_template": "old-{{ .SecretBaseName }}"})
	for _, value := range []string{"n=1", "n=2"} {
		if err := putKV(r, "team-a/db", value); err != nil {
			t.Fatal(err)
		}
	}
	awaitRemote(t, r, "old-db", `{"n":"2"}`, true)

	// While the new one can't be made the former one stays ours.
	fault := emulator.Fault{Kind: emulator.HTTP, Secret: "new-db"}
	for _, cloud := range r.Clouds {
		cloud.Break(fault)
	}
	r.Vault.Write("rules/all", map[string]any{"secret_name_template": "new-{{ .SecretBaseName }}"})
	for _, cloud := range r.Clouds {
		r.AwaitStateAt(cloud.Service.Destination, "team-a/db", "retrying")
		former, _ := replicaOf(r, "team-a/db", cloud.Service.Destination)["former"].(map[string]any)
		if former["old-db"] == nil {
			t.Errorf("%s: the status doesn't show the former name: %v", cloud.Service.Type, former)
		}
	}
	awaitRemote(t, r, "old-db", `{"n":"2"}`, true)
	for _, cloud := range r.Clouds {
		cloud.Repair()
	}
	awaitRemote(t, r, "new-db", `{"n":"2"}`, true)
	awaitRemote(t, r, "old-db", `{"n":"2"}`, false)
	if err := putKV(r, "team-a/db", "n=3"); err != nil {
		t.Fatal(err)
	}
	awaitRemote(t, r, "new-db", `{"n":"3"}`, true)
	awaitRemote(t, r, "old-db", `{"n":"2"}`, false)
	r.AwaitState("team-a/db", "in_sync")
	for _, cloud := range r.Clouds {
		if former := replicaOf(r, "team-a/db", cloud.Service.Destination)["former"]; former != nil {
			t.Errorf("%s: the status still shows the former name: %v", cloud.Service.Type, former)
		}
	}
}

func TestEachKeyCanBeASecretOfItsOwnInEveryCloud(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("rules/all", map[string]any{
		"match": "**", "destinations": r.Destinations(), "granularity": "secret-key", "exclude_keys": "private*", "deletion_policy": "force",
		"secret_name_template": "{{ .SecretBaseName }}-{{ .SecretKey }}",
	})
	if err := putKV(r, "team-a/db", "user=app", "password=1", "private_note=x"); err != nil {
		t.Fatal(err)
	}
	awaitRemote(t, r, "db-user", "app", true)
	awaitRemote(t, r, "db-password", "1", true)
	r.AwaitState("team-a/db", "in_sync")
	for _, cloud := range r.Clouds {
		if got := names(cloud); !slices.Equal(got, []string{"db-password", "db-user"}) {
			t.Errorf("%s has %v", cloud.Service.Type, got)
		}
		cloud.ResetCalls()
	}
	if err := putKV(r, "team-a/db", "user=app", "password=2"); err != nil {
		t.Fatal(err)
	}
	awaitRemote(t, r, "db-password", "2", true)
	r.AwaitState("team-a/db", "in_sync")
	for _, cloud := range r.Clouds {
		if calls := cloud.CallsTo("db-user"); len(calls) > 0 {
			t.Errorf("%s was called for the key that didn't change: %v", cloud.Service.Type, calls)
		}
	}
	if err := putKV(r, "team-a/db", "password=2"); err != nil {
		t.Fatal(err)
	}
	for _, cloud := range r.Clouds {
		harness.Eventually(t, "the end of the key that is gone", func() error {
			if got := names(cloud); !slices.Equal(got, []string{"db-password"}) {
				return fmt.Errorf("%s has %v", cloud.Service.Type, got)
			}
			return nil
		})
	}
}

// The mount's path in a template is the one at the first write.
func TestAMovedMountRenamesNothing(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("rules/all", map[string]any{
		"match": "**", "destinations": r.Destinations(), "secret_name_template": `{{ .MountPath }}-{{ .SecretBaseName }}`,
	})
	if err := putKV(r, "team-a/db", "n=1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Vault.Client.Sys().RemountWithContext(t.Context(), harness.Mount, "moved"); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"team-a/db": "n=2", "team-a/new": "n=3"} {
		harness.Eventually(t, "a write to the moved mount", func() error {
			_, err := r.Vault.TryCLI("", "kv", "put", "-mount=moved", name, value)
			return err
		})
	}
	awaitRemote(t, r, "cloudsync-db", `{"n":"2"}`, true)
	awaitRemote(t, r, "cloudsync-new", `{"n":"3"}`, true)
	for _, cloud := range r.Clouds {
		if got := names(cloud); !slices.Equal(got, []string{"cloudsync-db", "cloudsync-new"}) {
			t.Errorf("%s has %v", cloud.Service.Type, got)
		}
	}
}

// Two secrets that are there already can't be refused when a rule gives them one
// name.
func TestASecretThatCannotFollowARuleIsBlockedAndKeepsWhatItHas(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("rules/all", map[string]any{"match": "**", "destinations": r.Destinations(), "secret_name_template": `{{ .SecretPath | replace "/" "-" }}`})
	for _, name := range []string{"a/db", "b/db"} {
		if err := putKV(r, name, "of="+name); err != nil {
			t.Fatal(err)
		}
	}
	awaitRemote(t, r, "b-db", `{"of":"b/db"}`, true)
	planned := r.Vault.Write("rules/all/plan", map[string]any{"secret_name_template": "{{ .SecretBaseName }}"})
	if changes, _ := planned.Data["changes"].([]any); len(changes) != 6 || number(t, planned.Data["affected"]) != 2 {
		t.Errorf("the plan is %v", planned.Data)
	}
	if refused, _ := planned.Data["refused"].([]any); len(refused) != 3 || !strings.Contains(asJSON(t, refused[0]), "a/db") {
		t.Errorf("the plan foresees %v", refused)
	}
	r.Vault.Write("rules/all", map[string]any{"secret_name_template": "{{ .SecretBaseName }}"})
	awaitApplied(t, r, "all")
	for _, cloud := range r.Clouds {
		blocked, first := "", ""
		harness.Eventually(t, "one of both to have the name", func() error {
			for name, other := range map[string]string{"a/db": "b/db", "b/db": "a/db"} {
				if replicaOf(r, name, cloud.Service.Destination)["state"] == "blocked" && replicaOf(r, other, cloud.Service.Destination)["state"] == "in_sync" {
					blocked, first = name, other
					return nil
				}
			}
			return errors.New("none of both is blocked")
		})
		failure, _ := replicaOf(r, blocked, cloud.Service.Destination)["error"].(map[string]any)
		if message, _ := failure["message"].(string); !strings.Contains(message, first) {
			t.Errorf("the error of %s at %s is %v", blocked, cloud.Service.Type, failure)
		}
		if got := cloud.Current("db"); got != `{"of":"`+first+`"}` {
			t.Errorf("%s has %s", cloud.Service.Type, got)
		}
		kept := strings.ReplaceAll(blocked, "/", "-")
		if secret, _ := cloud.Secret(kept); !strings.Contains(secret.Description, mark) || cloud.Current(kept) != `{"of":"`+blocked+`"}` {
			t.Errorf("%s: what %s had is %s with %q", cloud.Service.Type, blocked, cloud.Current(kept), secret.Description)
		}
		if err := putKV(r, blocked, "of=new"); err == nil || !strings.Contains(err.Error(), first) {
			t.Errorf("a write of the blocked one is answered with %v", err)
		}
	}
	// Back to names that everybody can have.
	r.Vault.Write("rules/all", map[string]any{"secret_name_template": `{{ .SecretPath | replace "/" "-" }}`})
	awaitApplied(t, r, "all")
	for _, name := range []string{"a/db", "b/db"} {
		r.AwaitState(name, "in_sync")
		awaitRemote(t, r, strings.ReplaceAll(name, "/", "-"), `{"of":"`+name+`"}`, true)
	}
}
