// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// estate is what differs between clouds in secrets that others made.
type estate struct{ managed, pending, label string }

var estates = map[string]estate{
	"Tencent": {managed: "1", pending: "PendingDelete"},
	"Alibaba": {managed: "Rds", pending: "PendingDeletion", label: "ACSCurrent"},
	"Huawei":  {managed: "RDS-FG", pending: "PENDING_DELETE", label: "SYSCURRENT"},
}

// seed makes a secret by other means than the plugin.
func (c emulated) seed(t testing.TB, name string, change func(s *emulator.Secret)) {
	t.Helper()
	s := emulator.Secret{Ref: c.ref, Description: "made by hand", Versions: []emulator.Version{{ID: "v1", Text: "value of " + name}}}
	s.Name, s.Account = name, emulator.ExampleAccount().AccountID
	if change != nil {
		change(&s)
	}
	emulatortest.Seed(t, c.service, s)
}

// inventory reads all pages.
func (m *mount) inventory(destination string, parameters map[string]any) (names []string, info map[string]map[string]any) {
	m.t.Helper()
	info = map[string]map[string]any{}
	for pages := 0; ; pages++ {
		resp := m.must(logical.ListOperation, "remote/"+destination, parameters)
		keys, _ := resp.Data["keys"].([]string)
		names = append(names, keys...)
		all, _ := resp.Data["key_info"].(map[string]any)
		for name, one := range all {
			info[name], _ = one.(map[string]any)
		}
		next, more := resp.Data["next"].(string)
		if !more {
			return names, info
		}
		if pages > 1000 {
			m.t.Fatal("the listing doesn't end")
		}
		parameters = map[string]any{"after": next, "limit": parameters["limit"], "owner": parameters["owner"], "versions": parameters["versions"]}
		for name, value := range parameters {
			if value == nil {
				delete(parameters, name)
			}
		}
	}
}

func TestTheInventorySaysWhatIsInTheCloudAndWhoseItIs(t *testing.T) {
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			want := map[string]string{}
			for i := range 105 {
				name := fmt.Sprintf("app-%03d", i)
				c.seed(t, name, nil)
				want[name] = "unmanaged"
			}
			m.write("secrets/mine", map[string]any{"value": "v", "destinations": c.destination, "description": "for the app"})
			c.seed(t, "theirs", func(s *emulator.Secret) { s.Description = owner.For("another-mount", "x/y").Append("kept") })
			c.seed(t, "lost", func(s *emulator.Secret) {
				s.Description = owner.For(fmt.Sprint(m.read("status").Data["mount_id"]), "gone/away").Append("")
			})
			c.seed(t, "rds", func(s *emulator.Secret) { s.Type = kinds.managed })
			due := time.Now().Add(100 * time.Hour).UTC().Truncate(time.Second)
			c.seed(t, "dying", func(s *emulator.Secret) { s.State, s.DeletionTime = kinds.pending, due })
			want["mine"], want["theirs"], want["lost"], want["rds"], want["dying"] = "ours", "another_mount", "ours", "cloud_managed", "unmanaged"

			for _, limit := range []int{60, 1000} {
				names, info := m.inventory(c.destination, map[string]any{"limit": limit})
				if len(names) != len(want) || len(info) != len(want) {
					t.Errorf("in pages of %d there are %d names of %d secrets, want %d", limit, len(names), len(info), len(want))
				}
				for name, owner := range want {
					if info[name]["owner"] != owner {
						t.Errorf("%s is %v, want %s", name, info[name], owner)
					}
				}
				for name, fields := range map[string]map[string]any{
					"app-007": {"description": "made by hand", "state": "enabled", "tombstone": false, "cloud_managed": false},
					"mine":    {"secret": "mine", "in_vault": true, "description": "for the app"},
					"lost":    {"secret": "gone/away", "in_vault": false, "description": ""},
					"theirs":  {"secret": "x/y", "mount_id": "another-mount", "description": "kept"},
					"rds":     {"cloud_managed": true},
					"dying":   {"tombstone": true, "deletion_time": encodeTime(due), "state": "pending_deletion"},
				} {
					for field, value := range fields {
						if info[name][field] != value {
							t.Errorf("%s of %s is %v, want %v", field, name, info[name][field], value)
						}
					}
				}
			}
			if names, _ := m.inventory(c.destination, map[string]any{"owner": "another_mount", "limit": 50}); !slices.Equal(names, []string{"theirs"}) {
				t.Errorf("of another mount are %v", names)
			}
			_, info := m.inventory(c.destination, map[string]any{"owner": "ours", "versions": true})
			if versions, _ := info["mine"]["versions"].([]any); len(versions) == 0 {
				t.Errorf("the versions of mine are %v", info["mine"])
			}
			m.refuseToList("remote/"+c.destination, map[string]any{"after": "!"})
			m.refuseToList("remote/"+c.destination, map[string]any{"owner": "me"})
			m.refuseToList("remote/memory/other", nil)
		})
	}
}

func (m *mount) refuseToList(path string, parameters map[string]any) {
	m.t.Helper()
	if resp, err := m.do(logical.ListOperation, path, parameters); err == nil || !resp.IsError() {
		m.t.Errorf("list %s with %v: %v, %v; want a refusal", path, parameters, resp, err)
	}
}
