// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// emulated is a destination in an emulated cloud, by the cloud's official SDK.
type emulated struct {
	service     emulator.Service
	destination string
	settings    map[string]any
	ref         emulator.Ref // of the secret "s"
	throttled   string       // the cloud's code
}

var emulatedClouds = map[string]func(t *testing.T) emulated{
	"Tencent": func(t *testing.T) emulated {
		server, endpoint := emulatortest.Tencent(t, tencent.Options{})
		return emulated{
			service: server, destination: "tencent-ssm/main", throttled: "RequestLimitExceeded",
			settings: map[string]any{"region": "ap-guangzhou", "endpoint": endpoint}, ref: emulator.Ref{Region: "ap-guangzhou", Name: "s"},
		}
	},
	"Alibaba": func(t *testing.T) emulated {
		server, endpoint := emulatortest.Alibaba(t, alibaba.Options{})
		return emulated{
			service: server, destination: "alicloud-kms/main", throttled: "Rejected.Throttling",
			settings: map[string]any{"region": "cn-hangzhou", "endpoint": endpoint}, ref: emulator.Ref{Region: "cn-hangzhou", Name: "s"},
		}
	},
	"Huawei": func(t *testing.T) emulated {
		server, endpoint := emulatortest.Huawei(t, huawei.Options{})
		return emulated{
			service: server, destination: "huawei-csms/main", throttled: "APIGW.0308",
			settings: map[string]any{"region": "cn-north-4", "endpoint": endpoint, "project_id": huawei.ExampleProjectID},
			ref:      emulator.Ref{Region: huawei.ExampleProjectID, Name: "s"},
		}
	},
}

// mountOn mounts the backend as it is shipped, with one destination in the cloud.
func mountOn(t *testing.T, cloud emulated) *mount {
	t.Helper()
	m := &mount{
		t: t, storage: &faultyStorage{Storage: &logical.InmemStorage{}}, kinds: kinds, logs: &syncBuffer{},
		system: &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
	}
	m.start()
	t.Cleanup(func() { m.b.Cleanup(context.Background()) })
	account := emulator.ExampleAccount()
	cloud.settings["access_key_id"], cloud.settings["access_key_secret"] = account.AccessKeyID, account.AccessKeySecret
	m.write("destinations/"+cloud.destination, cloud.settings)
	return m
}

// stored is the secret "s" as the cloud has it.
func (c emulated) stored(t *testing.T) emulator.Secret {
	t.Helper()
	ref := c.ref
	ref.Account = emulator.ExampleAccount().AccountID
	secret, found := c.service.Find(ref)
	if !found {
		t.Fatalf("the cloud has no secret %s", ref.Name)
	}
	return secret
}

// readers is what readers get who name no version.
func (c emulated) readers(t *testing.T) string {
	t.Helper()
	for _, v := range c.stored(t).Versions {
		if v.ID == "SSM_Current" || slices.Contains(v.Labels, "ACSCurrent") || slices.Contains(v.Labels, "SYSCURRENT") {
			return v.Text
		}
	}
	t.Fatal("the cloud's secret has no current version")
	return ""
}

// noneDoubled fails the test if two versions hold one value.
func (c emulated) noneDoubled(t *testing.T) {
	t.Helper()
	held := map[string]string{}
	for _, v := range c.stored(t).Versions {
		if v.ID == "SSM_Current" {
			continue
		}
		if other, twice := held[v.Text]; twice {
			t.Errorf("versions %s and %s hold the same value", other, v.ID)
		}
		held[v.Text] = v.ID
	}
}

// Through the official SDKs and the clouds' wire: each remote call of a secret's
// life goes wrong in turn, in every way, and the end is right.
func TestACallThatGoesWrongInAnyCloudComesOutRight(t *testing.T) {
	ways := map[string]func(c emulated) emulator.Fault{
		"fails with a fault of the service": func(emulated) emulator.Fault { return emulator.Fault{Kind: emulator.HTTP, Status: 503} },
		"is answered by a proxy":            func(emulated) emulator.Fault { return emulator.Fault{Kind: emulator.HTTP, Status: 502} },
		"is throttled":                      func(c emulated) emulator.Fault { return emulator.Fails("", c.throttled) },
		"gets no answer and has no effect":  func(emulated) emulator.Fault { return emulator.Fault{Kind: emulator.Drop} },
		"has its effect and no answer":      func(emulated) emulator.Fault { return emulator.LostReply("") },
		"has its effect and a 500": func(emulated) emulator.Fault {
			return emulator.Fault{Kind: emulator.HTTP, Status: 500, AfterEffect: true}
		},
		"answers late": func(emulated) emulator.Fault {
			return emulator.Fault{Kind: emulator.Delay, Duration: 20 * time.Millisecond}
		},
	}
	for name, open := range emulatedClouds {
		for way, fault := range ways {
			t.Run(fmt.Sprintf("a call that %s at %s", way, name), func(t *testing.T) {
				t.Parallel()
				for n := 0; lifeWithFault(t, open(t), fault, n); n++ {
				}
			})
		}
	}
}

// lifeWithFault leads a secret through its life while the n-th call goes wrong,
// and tells whether there was such a call.
func lifeWithFault(t *testing.T, cloud emulated, fault func(c emulated) emulator.Fault, n int) bool {
	t.Helper()
	m := mountOn(t, cloud)
	f := fault(cloud)
	f.Skip, f.Count = n, 1
	rule := emulatortest.AddFault(t, cloud.service, f)
	steps := []struct {
		do   func()
		want string
	}{
		{func() {
			m.write("secrets/s", map[string]any{"value": "one", "destinations": cloud.destination, "tags": map[string]any{"env": "prod"}, "wait": 0})
		}, "one"},
		{func() { m.write("secrets/s", map[string]any{"value": "two", "wait": 0}) }, "two"},
		{func() { m.remove("data/s") }, "one"},
		{func() { m.write("undelete/s", map[string]any{"versions": "2"}) }, "two"},
		{func() { m.write("secrets/s", map[string]any{"value": "three", "description": "d", "wait": 0}) }, "three"},
	}
	m.write("config", map[string]any{"default_wait": 0})
	for i, step := range steps {
		step.do()
		m.awaitSettled()
		if got := cloud.readers(t); got != step.want {
			t.Fatalf("after step %d with call %d: readers get %q, want %q\n%s", i+1, n+1, got, step.want, m.logs)
		}
	}
	cloud.noneDoubled(t)
	if secret := cloud.stored(t); secret.Tags["env"] != "prod" {
		t.Errorf("with call %d: tags %v", n+1, secret.Tags)
	}
	if t.Failed() {
		t.FailNow()
	}
	select {
	case <-rule.Struck:
		return true
	default:
		return false
	}
}

// A doubt that arises while a convergence is at work isn't cleared by its end.
func TestADestinationThatMovesDuringACallIsLookedAtAgain(t *testing.T) {
	for name, open := range emulatedClouds {
		t.Run(name, func(t *testing.T) {
			first, second := open(t), open(t)
			m := mountOn(t, first)
			m.write("secrets/s", map[string]any{"value": "one", "destinations": first.destination})
			m.write("config", map[string]any{"default_wait": 0})
			hang := emulatortest.AddFault(t, first.service, emulator.Fault{Kind: emulator.Hang, Count: 1})
			m.write("secrets/s", map[string]any{"value": "two"})
			<-hang.Struck
			m.write("destinations/"+first.destination, map[string]any{"endpoint": second.settings["endpoint"]})
			first.service.Core().Faults.ClearAll()
			until(t, "the end", func() bool { return m.pending() == 0 && !sweeping(m) })
			if got := second.readers(t); got != "two" {
				t.Errorf("readers at the new place get %q", got)
			}
		})
	}
}

// A failed look is no look: what was in doubt stays so.
func TestALookThatFailsHalfwayDoublesNothing(t *testing.T) {
	for name, open := range emulatedClouds {
		for n := range 6 {
			t.Run(fmt.Sprintf("%s, call %d after the lost answer", name, n+1), func(t *testing.T) {
				t.Parallel()
				cloud := open(t)
				m := mountOn(t, cloud)
				m.write("secrets/s", map[string]any{"value": "one", "destinations": cloud.destination})
				m.write("config", map[string]any{"default_wait": 0})
				emulatortest.AddFault(t, cloud.service, emulator.LostReply(""))
				emulatortest.AddFault(t, cloud.service, emulator.Fault{Kind: emulator.HTTP, Status: 503, Skip: n + 1, Count: 1})
				m.write("secrets/s", map[string]any{"value": "two"})
				m.awaitSettled()
				if got := cloud.readers(t); got != "two" {
					t.Errorf("readers get %q", got)
				}
				cloud.noneDoubled(t)
			})
		}
	}
}
