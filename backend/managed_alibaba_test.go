// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	alicloud "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// alibabaCredentials are what managed credentials of each product are written with.
var alibabaCredentials = map[string]map[string]any{
	"Rds": {
		"instance_id": "rm-1", "secret_sub_type": "DoubleUsers",
		"initial_credentials": `[{"username":"a","password":"canary-first-password"},{"username":"b","password":"canary-second-password"}]`,
	},
	"RAMCredentials": {"user_name": "deploy", "initial_credentials": `{"access_key_id":"LTAI1","access_key_secret":"canary-first-secret"}`},
	"ECS": {
		"instance_id": "i-1", "secret_sub_type": "Password", "initial_credentials": `{"username":"root","password":"canary-first-password"}`,
	},
	"Redis":   {"instance_id": "r-1", "account_name": "app", "account_privilege": "RoleReadWrite"},
	"PolarDB": {"instance_id": "pc-1", "account_name": "app", "db_type": "PostgreSQL"},
}

// onAlibaba runs a test with a mount and an emulated KMS in a bubble.
func onAlibaba(t *testing.T, switches alibaba.Switches, test func(t *testing.T, m *mount, server *alibaba.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server, err := alibaba.New(alibaba.Options{Switches: switches})
		if err != nil {
			t.Fatal(err)
		}
		kind := alicloud.Kind
		kind.Open = func(c provider.Config) (provider.Destination, error) {
			c.Transport = emulatortest.Transport(server)
			return alicloud.Kind.Open(c)
		}
		m := &mount{
			t: t, storage: &faultyStorage{Storage: &logical.InmemStorage{}}, kinds: []provider.Kind{kind}, logs: &syncBuffer{},
			system: &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
		}
		m.start()
		defer time.Sleep(time.Hour)
		defer func() { m.b.Cleanup(context.Background()) }()
		account := emulator.ExampleAccount()
		m.write("destinations/alicloud-kms/main", map[string]any{
			"region": "cn-hangzhou", "endpoint": "http://127.0.0.1:1", "access_key_id": account.AccessKeyID, "access_key_secret": account.AccessKeySecret,
		})
		m.write("config", map[string]any{"default_wait": "1h"})
		test(t, m, server)
	})
}

func writeAlibaba(m *mount, product string) map[string]any {
	data := map[string]any{"destination": "alicloud-kms/main", "product": product, "wait": "1h"}
	maps.Copy(data, alibabaCredentials[product])
	return m.write("managed/db", data).Data
}

// With the wire of the cloud: each call of a credential's life goes wrong in turn,
// and in the end there is one credential, rotated once.
func TestACallThatGoesWrongMakesNoSecondCredentialAtAlibaba(t *testing.T) {
	ways := map[string]emulator.Fault{
		"has its effect and no answer":     emulator.LostReply(""),
		"has its effect and a 500":         {Kind: emulator.HTTP, Status: 500, AfterEffect: true},
		"gets no answer and has no effect": {Kind: emulator.Drop},
		"is throttled":                     emulator.Fails("", "Rejected.Throttling"),
	}
	slow := alibaba.Switches{RotationSeconds: 20, RAMNameOfUser: true, RotatingCode: "Rejected.ResourceInUse", NewestFirst: true}
	for product := range alibabaCredentials {
		for way, fault := range ways {
			lost := fault.Kind == emulator.Drop && fault.AfterEffect
			for switches, wanted := range map[alibaba.Switches]bool{{}: lost, slow: product == "Rds" || product == "RAMCredentials"} {
				if !wanted {
					continue
				}
				t.Run(fmt.Sprintf("a call about %s that %s, rotations of %d s", product, way, switches.RotationSeconds), func(t *testing.T) {
					for n, struck := 0, true; struck; n++ {
						onAlibaba(t, switches, func(t *testing.T, m *mount, server *alibaba.Server) {
							t.Helper()
							struck = alibabaLife(t, m, server, product, fault, n)
						})
					}
				})
			}
		}
	}
}

// alibabaLife leads a credential through its life while the n-th call goes wrong,
// and tells whether there was such a call.
func alibabaLife(t *testing.T, m *mount, server *alibaba.Server, product string, fault emulator.Fault, n int) bool {
	t.Helper()
	fault.Skip, fault.Count = n, 1
	rule := emulatortest.AddFault(t, server, fault)
	if got := writeAlibaba(m, product); got["state"] != "ready" {
		t.Fatalf("call %d: the creation ends with %v\n%s", n+1, got, m.logs)
	}
	if got := m.write("managed/db/rotate", map[string]any{"wait": "1h"}).Data; got["state"] != "ready" {
		t.Fatalf("call %d: the rotation ends with %v\n%s", n+1, got, m.logs)
	}
	stored := server.List("", "cn-hangzhou")
	if len(stored) != 1 || len(stored[0].Versions) != 2 {
		t.Fatalf("call %d: the cloud has %+v\n%s", n+1, stored, m.logs)
	}
	m.write("managed/db/rotation", map[string]any{"enable_rotation": true, "rotation_frequency": "12h", "wait": "1h"})
	m.must(logical.DeleteOperation, "managed/db", map[string]any{"deletion_policy": "force", "wait": "1h"})
	if left := server.List("", "cn-hangzhou"); len(left) > 0 {
		t.Fatalf("call %d: after the deletion the cloud has %+v\n%s", n+1, left, m.logs)
	}
	for key, value := range m.storage.dump(t) {
		if strings.Contains(value, "canary") {
			t.Errorf("storage has an initial password under %s", key)
		}
	}
	if strings.Contains(m.logs.String(), "canary") {
		t.Error("the log has an initial password")
	}
	select {
	case <-rule.Struck:
		return true
	default:
		return false
	}
}

// What comes while the cloud still refuses what was there before isn't lost with it.
func TestInitialCredentialsGivenDuringACreationAreUsedByTheNext(t *testing.T) {
	onAlibaba(t, alibaba.Switches{}, func(t *testing.T, m *mount, server *alibaba.Server) {
		hang := emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Hang, Operation: "CreateSecret", Count: 1})
		emulatortest.AddFault(t, server, emulator.Fails("CreateSecret", "InvalidParameter"))
		write := func(password string) {
			m.write("managed/db", map[string]any{
				"destination": "alicloud-kms/main", "product": "Rds", "instance_id": "rm-1", "secret_sub_type": "SingleUser",
				"initial_credentials": `{"username":"app","password":"` + password + `"}`, "wait": 0,
			})
		}
		write("wrong-password")
		<-hang.Struck
		write("right-password")
		server.Faults().Clear(hang.ID)
		time.Sleep(time.Minute)
		if got := m.read("managed/db").Data; got["state"] != "ready" {
			t.Fatalf("it is %v\n%s", got, m.logs)
		}
		if got := m.credential("db"); got["password"] != "right-password" {
			t.Errorf("the password is that of the first write")
		}
	})
}

// A credential is written again while the work from before a restart is taken up,
// which knows nothing of what is given with it.
func TestInitialCredentialsGivenRightAfterAStartAreUsed(t *testing.T) {
	onAlibaba(t, alibaba.Switches{}, func(t *testing.T, m *mount, server *alibaba.Server) {
		for i := range 10 {
			drop := emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Drop, Operation: "CreateSecret"})
			data := map[string]any{"destination": "alicloud-kms/main", "product": "Rds", "wait": 0}
			maps.Copy(data, alibabaCredentials["Rds"])
			m.write("managed/db", data)
			<-drop.Struck
			m.b.Cleanup(t.Context())
			server.Faults().Clear(drop.ID)
			m.storage.fail(func(operation, key string) error {
				for range 1000 { // in the middle of the write others get their turn
					if operation == "put" && strings.HasPrefix(key, "managed/") {
						runtime.Gosched()
					}
				}
				return nil
			})
			m.start()
			if got := writeAlibaba(m, "Rds"); got["state"] != "ready" {
				t.Fatalf("write %d: it is %v", i+1, got)
			}
			m.storage.fail(nil)
			m.must(logical.DeleteOperation, "managed/db", map[string]any{"deletion_policy": "force", "wait": "1h"})
		}
	})
}

// The schedule of the cloud goes on with nobody asking, and its failures show.
func TestTheCloudsOwnRotationsShowAtAlibaba(t *testing.T) {
	onAlibaba(t, alibaba.Switches{}, func(t *testing.T, m *mount, server *alibaba.Server) {
		writeAlibaba(m, "Rds")
		m.write("managed/db/rotation", map[string]any{"enable_rotation": true, "rotation_frequency": "12h", "wait": "1h"})
		var users []string
		for range 3 {
			read := m.credential("db")
			users = append(users, textOfAny(read["username"]))
			time.Sleep(12 * time.Hour)
		}
		m.credential("db") // by now the third has taken place
		if !slices.Equal(users, []string{"a", "b", "a"}) {
			t.Errorf("the users were %v", users)
		}
		emulatortest.AddFault(t, server, emulator.Fails("Rotation", "X"))
		got := m.write("managed/db/rotate", map[string]any{"wait": "1h"}).Data
		if got["state"] != "rotation_failed" || !strings.Contains(fmt.Sprint(got), "CloudMonitor") {
			t.Errorf("a rotation that fails ends with %v", got)
		}
		if got := m.write("managed/db/rotate", map[string]any{"wait": "1h"}).Data; got["state"] != "ready" {
			t.Errorf("the next one ends with %v", got)
		}
	})
}
