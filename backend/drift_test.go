// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// stranger is what somebody else does at a cloud, with another key of the account.
type stranger struct {
	t     *testing.T
	cloud emulated
	provider.Destination
}

// somebodyElse opens the cloud by its official SDK.
func somebodyElse(t *testing.T, cloud emulated) stranger {
	t.Helper()
	account := emulator.ExampleAccount()
	account.AccessKeyID, account.AccessKeySecret = "another-key", "another-secret"
	if err := cloud.service.Core().Accounts.Put(account); err != nil {
		t.Fatal(err)
	}
	kind := kindOf(t, cloud)
	set := func(name string) string {
		text, _ := cloud.settings[name].(string)
		return text
	}
	endpoint, err := provider.ParseEndpoint(set("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	config := provider.Config{
		Region: set("region"), Endpoint: endpoint, Transport: &http.Transport{},
		AccessKeyID: account.AccessKeyID, AccessKeySecret: sensitive.NewString(account.AccessKeySecret), Settings: map[string]string{},
	}
	for _, setting := range kind.Settings {
		config.Settings[setting.Name] = set(setting.Name)
	}
	d, err := kind.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return stranger{t, cloud, d}
}

func kindOf(t *testing.T, cloud emulated) provider.Kind {
	t.Helper()
	name, _, _ := strings.Cut(cloud.destination, "/")
	i := slices.IndexFunc(kinds, func(k provider.Kind) bool { return k.Type == name })
	if i < 0 {
		t.Fatalf("there is no kind %s", name)
	}
	return kinds[i]
}

// did fails the test if a call of somebody else's failed.
func (o stranger) did(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatalf("what somebody else does fails: %v", err)
	}
}

// edit changes the secret behind the API, in ways for which the cloud has no call.
func (o stranger) edit(change func(s *emulator.Secret)) {
	o.t.Helper()
	s := o.cloud.stored(o.t)
	s.Tags = maps.Clone(s.Tags)
	s.Versions = slices.Clone(s.Versions)
	change(&s)
	emulatortest.Seed(o.t, o.cloud.service, s)
}

// delete deletes the secret, at once for window 0.
func (o stranger) delete(window time.Duration) {
	o.t.Helper()
	ctx := context.Background()
	if switcher, can := o.Destination.(provider.Switcher); can {
		o.did(switcher.Disable(ctx, "s"))
	}
	o.did(o.Delete(ctx, "s", window))
}

// markOf is the mark at the end of a description.
func markOf(description string) string {
	_, mark, _ := strings.Cut(description, "[")
	return "[" + mark
}

const (
	atTencent = "Tencent"
	atAlibaba = "Alibaba"
	atHuawei  = "Huawei"
)

var (
	everywhere = []string{atTencent, atAlibaba, atHuawei}
	byLabel    = []string{atAlibaba, atHuawei}
)

// driftCase is something that somebody else does to the secret "s", whose
// second version "two" is current.
type driftCase struct {
	name  string
	at    []string
	does  func(o stranger)
	kinds []string // that are found, sorted; none if it is no drift
	// stays is set where a repair leaves it alone.
	stays bool
	// values is set where only the value tells.
	values bool
	// before is done in Vault first.
	before func(m *mount)
}

var driftCases = []driftCase{
	{
		name: "overwrites the value that readers get", at: []string{atTencent}, values: true, kinds: []string{"value_changed"},
		does: func(o stranger) {
			o.did(provider.Overwrite(context.Background(), o.Destination, "s", "SSM_Current", provider.Text("theirs")))
		},
	},
	{
		name: "overwrites the version of the history", at: []string{atTencent}, values: true, kinds: []string{"value_changed"},
		does: func(o stranger) {
			o.did(provider.Overwrite(context.Background(), o.Destination, "s", "v2", provider.Text("theirs")))
		},
	},
	{
		name: "makes the secret anew with our mark and other values", at: byLabel, values: true, kinds: []string{"value_changed"},
		does: func(o stranger) {
			o.edit(func(s *emulator.Secret) {
				for i := range s.Versions {
					s.Versions[i].Text = "theirs"
				}
			})
		},
	},
	{
		name: "adds a version that readers must name", at: []string{atTencent}, kinds: []string{"version_added"},
		does: func(o stranger) {
			_, err := o.PutVersion(context.Background(), "s", "theirs", provider.Text("theirs"))
			o.did(err)
		},
	},
	{
		name: "adds a version, which readers then get", at: byLabel, kinds: []string{"label_moved", "version_added"},
		does: func(o stranger) {
			_, err := o.PutVersion(context.Background(), "s", "theirs", provider.Text("theirs"))
			o.did(err)
		},
	},
	{
		name: "lets readers have an older version", at: byLabel, kinds: []string{"label_moved"},
		does: func(o stranger) { o.did(provider.MoveCurrent(context.Background(), o.Destination, "s", "v1")) },
	},
	{
		name: "removes the version that readers get", at: []string{atTencent}, kinds: []string{"version_removed"},
		does: func(o stranger) {
			o.did(provider.DeleteVersion(context.Background(), o.Destination, "s", "SSM_Current"))
		},
	},
	{
		name: "removes an older version", at: []string{atTencent}, kinds: []string{"version_removed"},
		does: func(o stranger) { o.did(provider.DeleteVersion(context.Background(), o.Destination, "s", "v1")) },
	},
	{
		name: "isn't anybody: the cloud dropped an older version", at: byLabel,
		does: func(o stranger) { o.edit(func(s *emulator.Secret) { s.Versions = s.Versions[1:] }) },
	},
	{
		name: "changes one of our tags and removes another", at: everywhere, kinds: []string{"tags_changed"},
		does: func(o stranger) {
			o.did(provider.ChangeTags(context.Background(), o.Destination, "s", map[string]string{"env": "theirs"}, []string{"team"}))
		},
	},
	{
		name: "adds a tag of their own", at: everywhere,
		does: func(o stranger) {
			o.did(provider.ChangeTags(context.Background(), o.Destination, "s", map[string]string{"theirs": "1"}, nil))
		},
	},
	{
		name: "changes the text of the description", at: everywhere, kinds: []string{"description_changed"},
		does: func(o stranger) {
			was := o.cloud.stored(o.t).Description
			o.did(o.SetDescription(context.Background(), "s", "theirs "+markOf(was)))
		},
	},
	{
		name: "removes the mark", at: everywhere, kinds: []string{"mark_removed"}, stays: true,
		does: func(o stranger) { o.did(o.SetDescription(context.Background(), "s", "theirs")) },
	},
	{
		name: "puts the mark of another mount", at: everywhere, kinds: []string{"mark_changed"}, stays: true,
		does: func(o stranger) {
			o.did(o.SetDescription(context.Background(), "s", "d [vault-cloudsync mount=other secret=s]"))
		},
	},
	{
		name: "changes the key", at: []string{atHuawei}, kinds: []string{"key_changed"},
		before: func(m *mount) { m.write("secrets/s", map[string]any{"kms_key_id": emulatedKey}) },
		does: func(o stranger) {
			o.edit(func(s *emulator.Secret) { s.KMSKeyID = "33333333-4444-5555-6666-777777777777" })
		},
	},
	{
		name: "changes the cloud's default key", at: []string{atHuawei}, kinds: []string{"key_changed"}, stays: true,
		does: func(o stranger) { o.did(provider.ChangeKey(context.Background(), o.Destination, "s", emulatedKey)) },
	},
	{
		name: "disables it", at: []string{atTencent}, kinds: []string{"disabled"},
		does: func(o stranger) { o.did(provider.Disable(context.Background(), o.Destination, "s")) },
	},
	{
		name: "has the cloud disable it", at: []string{atHuawei}, kinds: []string{"disabled"}, stays: true,
		does: func(o stranger) { o.edit(func(s *emulator.Secret) { s.State = "DISABLED" }) },
	},
	{
		name: "has the cloud freeze it", at: []string{atHuawei}, kinds: []string{"state_changed"}, stays: true,
		does: func(o stranger) { o.edit(func(s *emulator.Secret) { s.State = "FROZEN" }) },
	},
	{
		name: "schedules its deletion", at: everywhere, kinds: []string{"deletion_scheduled"},
		does: func(o stranger) { o.delete(provider.Days(7)) },
	},
	{
		name: "deletes it", at: everywhere, kinds: []string{"deleted"},
		does: func(o stranger) { o.delete(0) },
	},
	{
		name: "makes another one of a managed type", at: everywhere, kinds: []string{"type_changed"}, stays: true,
		does: func(o stranger) {
			o.edit(func(s *emulator.Secret) {
				s.Type = map[string]string{"tencent-ssm/main": "1", "alicloud-kms/main": "Rds", "huawei-csms/main": "RDS-FG"}[o.cloud.destination]
			})
		},
	},
	{
		name: "has a newer Vault write to it", at: []string{atTencent, atAlibaba}, stays: true,
		kinds: []string{"ahead"},
		does: func(o stranger) {
			o.edit(func(s *emulator.Secret) {
				s.Versions = append(s.Versions, emulator.Version{ID: "v7", Text: "newer"})
			})
		},
	},
	{
		name: "lets readers have it though it is withdrawn", at: []string{atTencent}, kinds: []string{"readable"},
		before: func(m *mount) { m.write("delete/s", map[string]any{"versions": "1,2"}) },
		does:   func(o stranger) { o.did(provider.Enable(context.Background(), o.Destination, "s")) },
	},
	{
		name: "restores it though it is withdrawn", at: byLabel, kinds: []string{"readable"},
		before: func(m *mount) { m.write("delete/s", map[string]any{"versions": "1,2"}) },
		does:   func(o stranger) { o.did(provider.Restore(context.Background(), o.Destination, "s")) },
	},
	{
		name: "changes much at once", at: []string{atTencent}, kinds: []string{"description_changed", "disabled", "tags_changed", "version_removed"},
		does: func(o stranger) {
			ctx := context.Background()
			was := o.cloud.stored(o.t).Description
			o.did(o.SetDescription(ctx, "s", markOf(was)))
			o.did(provider.ChangeTags(ctx, o.Destination, "s", nil, []string{"env"}))
			o.did(provider.DeleteVersion(ctx, o.Destination, "s", "v2"))
			o.did(provider.Disable(ctx, o.Destination, "s"))
		},
	},
}

// emulatedKey is a key that secrets can be put under.
const emulatedKey = emulator.ExampleKMSKeyID

// eachDrift runs a test for each thing that somebody else may do at a cloud.
func eachDrift(t *testing.T, test func(t *testing.T, c driftCase, cloud emulated, m *mount)) {
	t.Helper()
	for _, c := range driftCases {
		for _, where := range c.at {
			t.Run(where+": somebody else "+c.name, func(t *testing.T) {
				t.Parallel()
				cloud := emulatedClouds[where](t)
				m := mountOn(t, cloud)
				m.write("secrets/s", map[string]any{
					"value": "one", "destinations": cloud.destination, "description": "d", "tags": map[string]any{"env": "prod", "team": "a"},
				})
				m.write("secrets/s", map[string]any{"value": "two"})
				if c.before != nil {
					c.before(m)
				}
				m.awaitSettled()
				if got := m.verify("s", map[string]any{"values": true}); got.Data["result"] != "in_sync" {
					t.Fatalf("before anything was changed it is %v", got.Data)
				}
				c.does(somebodyElse(t, cloud))
				test(t, c, cloud, m)
			})
		}
	}
}

// verify compares a secret with the cloud.
func (m *mount) verify(name string, parameters map[string]any) *logical.Response {
	m.t.Helper()
	return m.write("verify/"+name, parameters)
}

// foundKinds are the kinds of drift in the answer of a verification, sorted.
func foundKinds(resp *logical.Response) []string {
	var kinds []string
	replicas, _ := resp.Data["replicas"].([]any)
	for _, replica := range replicas {
		kinds = append(kinds, kindsIn(dig(replica, "findings"))...)
	}
	slices.Sort(kinds)
	return kinds
}

// remembered are the kinds of drift in the status, sorted.
func remembered(replica map[string]any) []string { return kindsIn(dig(replica, "drift", "findings")) }

// kindsIn are the kinds of findings, sorted.
func kindsIn(findings any) []string {
	list, _ := findings.([]any)
	var kinds []string
	for _, f := range list {
		kind, _ := dig(f, "kind").(string)
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

func TestDriftIsReportedAsWhatItIsAndLeftAlone(t *testing.T) {
	eachDrift(t, func(t *testing.T, c driftCase, cloud emulated, m *mount) {
		left := cloud.service.List(emulator.ExampleAccountID, cloud.ref.Region)
		got := m.verify("s", map[string]any{"values": c.values})
		if kinds := foundKinds(got); !slices.Equal(kinds, c.kinds) {
			t.Fatalf("found %v, want %v\n%v", kinds, c.kinds, got.Data["text"])
		}
		want := "in_sync"
		switch {
		case len(c.kinds) > 0:
			want = "drifted"
		case c.before != nil:
			want = "withdrawn"
		}
		check := func(when string) {
			t.Helper()
			replica := m.replicaAt("s", cloud.destination)
			if replica["state"] != want || !slices.Equal(remembered(replica), c.kinds) {
				t.Errorf("%s the status is %v, drift %v; want %s, %v", when, replica["state"], replica["drift"], want, c.kinds)
			}
			states, _ := m.read("status").Data["states"].(map[string]int)
			if states[want] != 1 {
				t.Errorf("%s the mount counts %v", when, states)
			}
			if listed := m.must(logical.ListOperation, "status/", map[string]any{"state": "drifted"}).Data["keys"]; want == "drifted" != (fmt.Sprint(listed) == "[s]") {
				t.Errorf("%s drifted are %v", when, listed)
			}
			if now := cloud.service.List(emulator.ExampleAccountID, cloud.ref.Region); emulatortest.Describe(now) != emulatortest.Describe(left) {
				t.Errorf("%s the cloud has\n%s\nand had\n%s", when, emulatortest.Describe(now), emulatortest.Describe(left))
			}
		}
		check("after the verification")
		if replica := m.replicaAt("s", cloud.destination); replica["last_verification"] == "" {
			t.Error("the status doesn't say when it was verified")
		}
		m.restart()
		until(t, "the end of the start", func() bool { return !busy(m) })
		check("after a restart")
	})
}

// busy tells whether anything waits to be done.
func busy(m *mount) bool {
	status := m.read("status").Data
	states, _ := status["states"].(map[string]int)
	taking, _ := status["taking_up"].(bool)
	return states["pending"] > 0 || status["queue_depth"] != 0 || taking
}

func TestDriftIsRepairedWhereThatIsAskedFor(t *testing.T) {
	eachDrift(t, func(t *testing.T, c driftCase, cloud emulated, m *mount) {
		if len(c.kinds) == 0 {
			return
		}
		before := emulatortest.Describe(cloud.service.List(emulator.ExampleAccountID, cloud.ref.Region))
		got := m.verify("s", map[string]any{"values": c.values, "repair": true, "wait": 30})
		want := "repaired"
		if c.stays {
			want = "drifted"
		}
		if got.Data["result"] != want || !slices.Equal(foundKinds(got), c.kinds) {
			t.Fatalf("%v, want %s of %v\n%v", got.Data, want, c.kinds, m.replicaAt("s", cloud.destination))
		}
		if c.stays {
			if now := emulatortest.Describe(cloud.service.List(emulator.ExampleAccountID, cloud.ref.Region)); now != before {
				t.Errorf("the cloud has\n%s\nand had\n%s", now, before)
			}
			return
		}
		if again := m.verify("s", map[string]any{"values": true}); again.Data["result"] != "in_sync" {
			t.Errorf("after the repair it is %v", again.Data)
		}
		checkAsMade(t, cloud, c.before != nil && slices.Equal(c.kinds, []string{"readable"}))
		if m.pending() > 0 {
			m.awaitSettled()
		}
	})
}

// checkAsMade wants the secret "s" to be what Vault made it.
func checkAsMade(t *testing.T, cloud emulated, withdrawn bool) {
	t.Helper()
	stored := cloud.stored(t)
	live := slices.Contains([]string{"", "Enabled", "Active", "ENABLED"}, stored.State)
	if live == withdrawn {
		t.Errorf("its state is %s", stored.State)
	}
	if withdrawn {
		return
	}
	if got := cloud.readers(t); got != "two" {
		t.Errorf("readers get %q", got)
	}
	if stored.Tags["env"] != "prod" || stored.Tags["team"] != "a" || !strings.HasPrefix(stored.Description, "d [vault-cloudsync ") {
		t.Errorf("it has the tags %v and the description %q", stored.Tags, stored.Description)
	}
	for _, v := range stored.Versions {
		if v.ID == "v2" && v.Text != "two" && cloud.destination == "tencent-ssm/main" {
			t.Errorf("version v2 of the history holds %q", v.Text)
		}
	}
}

func TestAWriteConvergesWhatDriftedAndTakesNothingThatIsNotOurs(t *testing.T) {
	eachDrift(t, func(t *testing.T, c driftCase, cloud emulated, m *mount) {
		if c.before != nil && slices.Contains(c.kinds, "readable") || slices.Contains(c.kinds, "value_changed") && cloud.destination != "tencent-ssm/main" {
			return
		}
		m.verify("s", map[string]any{"values": c.values})
		m.write("secrets/s", map[string]any{"value": "three", "wait": 30})
		replica := m.replicaAt("s", cloud.destination)
		refused := slices.ContainsFunc(c.kinds, func(kind string) bool {
			return slices.Contains([]string{"mark_removed", "mark_changed", "type_changed", "ahead", "state_changed"}, kind)
		}) || c.stays && slices.Contains(c.kinds, "disabled")
		if refused {
			if replica["state"] != "blocked" {
				t.Errorf("after the write it is %v", replica)
			}
			for _, v := range cloud.stored(t).Versions {
				if v.Text == "three" {
					t.Errorf("the write reached what isn't ours, as version %s", v.ID)
				}
			}
			return
		}
		if got := cloud.readers(t); got != "three" || replica["state"] != "in_sync" || replica["drift"] != nil {
			t.Errorf("readers get %q, and it is %v", got, replica)
		}
	})
}
