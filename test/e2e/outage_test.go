// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// Ten writes while all clouds are down: four new secrets, and one that exists is
// written six times.
func TestWhatIsWrittenDuringAnOutageArrivesAfterIt(t *testing.T) {
	for _, test := range []struct {
		name      string
		meanwhile func(harness.Replication)
	}{
		{"the clouds come back", func(harness.Replication) {}},
		{"and vault was killed meanwhile", func(r harness.Replication) { r.Vault.Crash(); r.Vault.Start() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := harness.Start(t, harness.Raft, harness.Services...)
			r.Write("team-a/often", map[string]any{"n": "before"})
			for _, cloud := range r.Clouds {
				cloud.Kill()
			}
			want := map[string]string{}
			for i := range 10 {
				name := "team-a/often"
				if i%5 < 2 {
					name = fmt.Sprintf("team-a/new%d", i)
				}
				want[name] = fmt.Sprintf(`{"n":"%d"}`, i)
				r.Vault.Write("secrets/"+name, map[string]any{
					"data": map[string]any{"n": fmt.Sprint(i)}, "destinations": r.Destinations(), "wait": "0",
				})
			}
			test.meanwhile(r)
			for _, cloud := range r.Clouds {
				cloud.Start()
			}
			for name, value := range want {
				r.AwaitState(name, "in_sync")
				r.AwaitCurrent(name, value)
				for _, cloud := range r.Clouds {
					secret, _ := cloud.Secret(cloud.Service.RemoteName(name))
					checkVersions(t, cloud, secret)
				}
			}
			if overview := r.Vault.Read("status").Data; number(t, overview["outstanding"]) != 0 {
				t.Errorf("outstanding is still %v", overview)
			}
		})
	}
}

// checkVersions makes sure that no value was sent twice: each is in the history
// once, beside the version of Tencent Cloud that always is the current one.
func checkVersions(t *testing.T, cloud *harness.Emulator, secret emulator.Secret) {
	t.Helper()
	var values []string
	for _, version := range secret.Versions {
		if version.ID != current {
			values = append(values, version.Text)
		}
	}
	unique := slices.Compact(slices.Sorted(slices.Values(values)))
	if len(values) == 0 || len(unique) != len(values) {
		t.Errorf("%s has of %s the versions %v", cloud.Service.Type, secret.Name, values)
	}
}
