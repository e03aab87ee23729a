// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// read is the value that applications in the cloud get.
func read(t *testing.T, cloud *harness.Emulator, secret string) string {
	t.Helper()
	value, err := cloud.Read(cloud.Service.RemoteName(secret))
	if err != nil {
		t.Errorf("read %s in the cloud: %v", secret, err)
	}
	return value
}

func TestOneWriteIsReadableInEveryCloudByItsOwnSDK(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("config", map[string]any{"default_wait": harness.Patience.String()})
	file := filepath.Join(t.TempDir(), "db.json")
	if err := os.WriteFile(file, []byte(`{"user":"app","password":"first"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, write := range []struct{ command, want string }{
		{
			"write cloudsync/secrets/" + secretName + " data=@" + file + " tags=env=prod destinations=" + strings.Join(r.Destinations(), ","),
			`{"password":"first","user":"app"}`,
		},
		{"kv put -mount=cloudsync " + secretName + " user=app password=second", `{"password":"second","user":"app"}`},
	} {
		r.Vault.CLI(strings.Fields(write.command)...)
		for _, cloud := range r.Clouds {
			if got := read(t, cloud, secretName); got != write.want {
				t.Errorf("%s gives applications %q after vault %s", cloud.Service.Type, got, write.command)
			}
			if secret, _ := cloud.Secret(cloud.Service.RemoteName(secretName)); secret.Tags["env"] != "prod" {
				t.Errorf("%s has the tags %v", cloud.Service.Type, secret.Tags)
			}
		}
	}
	checkMatrix(t, r, map[string]served{
		"tencent-ssm/gz":  {2, 0, "SSM_Current", nil, "in_sync"},
		"alicloud-kms/hz": {2, 0, "v2", []any{"ACSCurrent"}, "in_sync"},
		"huawei-csms/bj":  {2, 0, "v2", []any{"SYSCURRENT"}, "in_sync"},
	})
}

// served is what the status says about one destination: the version in Vault
// that readers there get, how many they are behind, and as what they get it.
type served struct {
	version, lag  int
	remoteVersion string
	labels        []any
	state         string
}

func checkMatrix(t *testing.T, r harness.Replication, want map[string]served) {
	t.Helper()
	got := map[string]served{}
	replicas, _ := r.Vault.Read("status/" + secretName).Data["destinations"].(map[string]any)
	for destination, shown := range replicas {
		replica, _ := shown.(map[string]any)
		s := served{version: number(t, replica["version"]), lag: number(t, replica["lag"])}
		s.remoteVersion, _ = replica["remote_version"].(string)
		s.labels, _ = replica["labels"].([]any)
		s.state, _ = replica["state"].(string)
		if len(s.labels) == 0 {
			s.labels = nil
		}
		got[destination] = s
	}
	for _, destination := range slices.Sorted(maps.Keys(want)) {
		if !reflect.DeepEqual(got[destination], want[destination]) {
			t.Errorf("the status of %s is %+v, want %+v", destination, got[destination], want[destination])
		}
	}
	if len(got) != len(want) {
		t.Errorf("the status shows %d destinations, want %d", len(got), len(want))
	}
}

func number(t *testing.T, shown any) int {
	t.Helper()
	n, ok := shown.(json.Number)
	if !ok {
		t.Fatalf("%v (%T) isn't a number", shown, shown)
	}
	i, err := n.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return int(i)
}

// What is wrong with one cloud is that cloud's alone: the others get what is
// written meanwhile, and it gets it as soon as it can, without another write.
func TestAFailureAtOneCloudIsNobodyElses(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Write(secretName, map[string]any{"password": "0"})
	written := 0
	for _, trouble := range []struct {
		name, state string
		begin, end  func(cloud *harness.Emulator)
	}{
		{
			"its access key is wrong", "blocked",
			func(cloud *harness.Emulator) {
				r.Vault.Write("destinations/"+cloud.Service.Destination, map[string]any{"access_key_secret": "wrong"})
			},
			func(cloud *harness.Emulator) {
				r.Vault.Write("destinations/"+cloud.Service.Destination, map[string]any{"access_key_secret": cloud.Account.AccessKeySecret})
			},
		},
		{"it is down", "retrying", (*harness.Emulator).Kill, (*harness.Emulator).Start},
	} {
		for _, failing := range r.Clouds {
			t.Run(failing.Service.Type+", "+trouble.name, func(t *testing.T) {
				trouble.begin(failing)
				written++
				want := fmt.Sprintf(`{"password":"%d"}`, written)
				answer := r.Vault.Write("secrets/"+secretName, map[string]any{
					"data": map[string]any{"password": fmt.Sprint(written)}, "wait": "1s",
				})
				if warnings := strings.Join(answer.Warnings, "\n"); !strings.Contains(warnings, failing.Service.Destination) {
					t.Errorf("the warnings of the write are %q", warnings)
				}
				for _, cloud := range r.Clouds {
					if cloud != failing {
						r.AwaitStateAt(cloud.Service.Destination, secretName, "in_sync")
						if got := read(t, cloud, secretName); got != want {
							t.Errorf("%s has %q", cloud.Service.Type, got)
						}
					}
				}
				shown := r.AwaitStateAt(failing.Service.Destination, secretName, trouble.state)
				if behind := number(t, shown["lag"]); behind != 1 || number(t, shown["version"]) != written {
					t.Errorf("the status shows version %v, %d behind", shown["version"], behind)
				}

				trouble.end(failing)
				r.AwaitCurrent(secretName, want)
				r.AwaitState(secretName, "in_sync")
			})
		}
	}
	if newest := number(t, r.Vault.Read("status/" + secretName).Data["version"]); newest != written+1 {
		t.Errorf("vault is at version %d after %d writes", newest, written+1)
	}
}
