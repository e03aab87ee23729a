// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// Applications read an older value again by the means of each cloud, with its own
// SDK, and no version is made that isn't needed for that.
func TestARollbackReachesReadersByEachCloudsOwnMeans(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("config", map[string]any{"default_wait": harness.Patience.String()})
	r.Vault.Write("secrets/"+secretName, map[string]any{"value": "one", "destinations": strings.Join(r.Destinations(), ",")})
	r.Vault.Write("secrets/"+secretName, map[string]any{"value": "two"})
	for _, step := range []struct {
		what string
		do   func()
		want string
		held map[string]string // version ids by destination
	}{
		{
			"a rollback", func() { r.Vault.Write("rollback/"+secretName, map[string]any{"version": 1}) }, "one",
			map[string]string{"tencent-ssm/gz": "SSM_Current v1 v2 v3", "alicloud-kms/hz": "v1 v2", "huawei-csms/bj": "v1 v2 v3"},
		},
		{
			"the rollback taken back by a soft deletion", func() { r.Vault.CLI("kv", "delete", "-mount=cloudsync", secretName) }, "two",
			map[string]string{"tencent-ssm/gz": "SSM_Current v1 v2 v3", "alicloud-kms/hz": "v1 v2", "huawei-csms/bj": "v1 v2 v3"},
		},
		{
			"its undelete", func() { r.Vault.Write("undelete/"+secretName, map[string]any{"versions": "3"}) }, "one",
			map[string]string{"tencent-ssm/gz": "SSM_Current v1 v2 v3", "alicloud-kms/hz": "v1 v2", "huawei-csms/bj": "v1 v2 v3"},
		},
		{
			"a rollback by KV", func() { r.Vault.CLI("kv", "rollback", "-mount=cloudsync", "-version=2", secretName) }, "two",
			map[string]string{"tencent-ssm/gz": "SSM_Current v1 v2 v3 v4", "alicloud-kms/hz": "v1 v2", "huawei-csms/bj": "v1 v2 v3 v4"},
		},
		{
			"a new value after that", func() { r.Vault.Write("secrets/"+secretName, map[string]any{"value": "three"}) }, "three",
			map[string]string{"tencent-ssm/gz": "SSM_Current v1 v2 v3 v4 v5", "alicloud-kms/hz": "v1 v2 v5", "huawei-csms/bj": "v1 v2 v3 v4 v5"},
		},
	} {
		step.do()
		destinations, _ := r.Vault.Read("status/" + secretName).Data["destinations"].(map[string]any)
		for i, cloud := range r.Clouds {
			destination := r.Destinations()[i]
			if got := read(t, cloud, secretName); got != step.want {
				t.Errorf("after %s %s gives applications %q, want %q", step.what, destination, got, step.want)
			}
			secret, _ := cloud.Secret(cloud.Service.RemoteName(secretName))
			var ids []string
			for _, v := range secret.Versions {
				ids = append(ids, v.ID)
			}
			slices.Sort(ids)
			if got := strings.Join(ids, " "); got != step.held[destination] {
				t.Errorf("after %s %s holds %s, want %s", step.what, destination, got, step.held[destination])
			}
			// The status shows what can still be read there, and what readers get.
			replica, _ := destinations[destination].(map[string]any)
			shown, _ := replica["versions"].(map[string]any)
			if got := slices.Sorted(maps.Keys(shown)); !slices.Equal(got, ids) {
				t.Errorf("after %s the status of %s shows %v, there are %v", step.what, destination, got, ids)
			}
			current := ""
			for id, version := range shown {
				if v, _ := version.(map[string]any); v["current"] != nil {
					current += id
				}
			}
			if current == "" || current != replica["remote_version"] {
				t.Errorf("after %s the status of %s shows %q as current, readers get %v", step.what, destination, current, replica["remote_version"])
			}
		}
	}
}
