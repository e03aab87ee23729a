// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

const region = "ap-guangzhou"

// Where Tencent doesn't document what happens, the provider has to get along
// with each possibility.
func TestConforms(t *testing.T) {
	for name, switches := range map[string]emulated.Switches{
		// Unscheduled, because the suite rotates credentials that have no schedule.
		"as is likely": {RotatesUnscheduled: true},
		"as is possible too": {
			StrictSwitching: true, OmitUnusedValue: true, NullVersions: true,
			VersionsOldestFirst: true, UpdateMovesTime: true, SecretNotExistCode: true, KMSUnauthorized: true,
			StrictTagRemoval: true, TagsMissing: true, NoAccountInfo: true, FlowLooks: 1, RotatesUnscheduled: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(tb testing.TB) providertest.Fixture {
				tb.Helper()
				server, endpoint := emulatortest.Tencent(tb, emulated.Options{Switches: switches})
				return fixture(tb, server, endpoint)
			})
		})
	}
}

// TestConformsLive runs the same suite against a real account. It makes, and
// deletes at once, about two hundred secrets named conformance-*.
func TestConformsLive(t *testing.T) {
	const prefix = "CLOUDSYNC_TEST_TENCENT_"
	account := provider.Config{
		Region:          os.Getenv(prefix + "REGION"),
		AccessKeyID:     os.Getenv(prefix + "ACCESS_KEY_ID"),
		AccessKeySecret: sensitive.NewString(os.Getenv(prefix + "ACCESS_KEY_SECRET")),
		SecurityToken:   sensitive.NewString(os.Getenv(prefix + "SECURITY_TOKEN")),
	}
	if account.Region == "" || account.AccessKeyID == "" || account.AccessKeySecret.Reveal() == "" {
		t.Skipf("set %[1]sREGION, %[1]sACCESS_KEY_ID and %[1]sACCESS_KEY_SECRET to run against a Tencent Cloud account", prefix)
	}
	transport, err := provider.NewTransport("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	account.Transport = transport
	live := providertest.Fixture{Kind: tencent.Kind, Config: account, KMSKeyID: os.Getenv(prefix + "KMS_KEY_ID")}
	if instance := os.Getenv(prefix + "MYSQL_INSTANCE_ID"); instance != "" {
		accounts := newAccount()
		accounts.InstanceID = instance
		live.Credentials = &providertest.CredentialFixture{New: []provider.NewCredential{accounts}}
		live.Tick = func() { time.Sleep(time.Second) } // the service's clock goes by itself
	}
	providertest.Run(t, func(testing.TB) providertest.Fixture { return live })
}

func fixture(tb testing.TB, server *emulated.Server, endpoint string) providertest.Fixture {
	tb.Helper()
	add := func(f emulator.Fault) emulator.Rule {
		f.Count = 1
		return emulatortest.AddFault(tb, server, f)
	}
	next := func(f emulator.Fault) func() { return func() { add(f) } }
	answer := func(code string) func() { return next(emulator.Fault{Kind: emulator.Error, Code: code}) }
	return providertest.Fixture{
		Kind: tencent.Kind, Config: config(tb, endpoint),
		KMSKeyID: emulator.ExampleKMSKeyID, RefusedKeyID: "no-such-key",
		Strike: map[providertest.Fault]func(){
			providertest.FaultThrottled:  answer("RequestLimitExceeded.UinLimitExceeded"),
			providertest.FaultForbidden:  answer("UnauthorizedOperation"),
			providertest.FaultExpired:    answer("AuthFailure.TokenFailure"),
			providertest.FaultService:    answer("InternalError"),
			providertest.FaultProxy:      next(emulator.Fault{Kind: emulator.HTTP}),
			providertest.FaultDropped:    next(emulator.Fault{Kind: emulator.Drop}),
			providertest.FaultLostAnswer: next(emulator.LostReply("")),
		},
		Hang: func() (<-chan struct{}, func()) {
			rule := add(emulator.Fault{Kind: emulator.Hang})
			return rule.Struck, func() { server.Faults().Clear(rule.ID) }
		},
		Echo: func(text string) {
			add(emulator.Fault{Kind: emulator.Error, Code: "InvalidParameterValue", Message: text})
		},
		SeedManaged: func(name string) {
			seed(tb, server, emulator.Secret{Type: "1", Ref: emulator.Ref{Name: name}, Versions: []emulator.Version{{ID: "SSM_Current", Text: "{}"}}})
		},
		Tags: func(name string) map[string]string {
			stored, _ := server.Inspect(region, name)
			return stored.Tags
		},
		TagsLater:  server.CurrentSwitches().TagsMissing,
		LooksFirst: []string{providertest.OpChangeTags}, // who created the secret
		Arrived:    func() []string { return emulatortest.Operations(server) },
		Rate:       func(operation string) (float64, bool) { return emulatortest.Rate(server, operation) },
		Enforce:    func(factor float64) { emulatortest.Enforce(tb, server, factor) },
		Tick:       func() { server.Clock().SetOffset(server.Clock().Offset() + time.Second) },
		Expire:     func() { expire(server) },
		Credentials: &providertest.CredentialFixture{
			New:    []provider.NewCredential{newAccount()},
			Slow:   func() { hold(tb, server, emulator.Fault{Kind: emulator.Hang}) },
			Finish: func() { server.Faults().ClearAll() },
			FailNext: func() {
				hold(tb, server, emulator.Fault{Kind: emulator.Error, Code: "Broken", Message: "no such instance", Count: 1})
			},
			Elapse: func(d time.Duration) { elapse(server, d) },
		},
	}
}

// hold strikes the work of creations and rotations.
func hold(tb testing.TB, server *emulated.Server, f emulator.Fault) {
	tb.Helper()
	for _, f.Operation = range []string{"Creation", "Rotation"} {
		emulatortest.AddFault(tb, server, f)
	}
}

// newAccount is a database account without a schedule.
func newAccount() provider.NewCredential {
	return provider.NewCredential{Product: "Mysql", InstanceID: "cdb-n4j3y33j", Parameters: map[string]string{
		"user_name_prefix": "app", "domains": `["%"]`, "privileges": "*.*:SELECT,SHOW_DATABASES",
	}}
}

// A key pair is made at once and never rotated, so it has a fixture of its own.
func TestConformsWithKeyPairs(t *testing.T) {
	providertest.Run(t, func(tb testing.TB) providertest.Fixture {
		tb.Helper()
		server, endpoint := emulatortest.Tencent(tb, emulated.Options{})
		f := fixture(tb, server, endpoint)
		f.Credentials.New = []provider.NewCredential{{Product: "ssh-key", Parameters: map[string]string{"project_id": "0"}}}
		f.Credentials.SynchronousCreation = true
		return f
	})
}

// seed stores a secret behind the provider's back.
func seed(tb testing.TB, server *emulated.Server, s emulator.Secret) {
	tb.Helper()
	s.Region = region
	if err := server.Seed(s); err != nil {
		tb.Fatal(err)
	}
}

// expire takes the clock ahead only for a look, because signatures must be
// younger than five minutes.
func expire(server *emulated.Server) { elapse(server, provider.Days(31)) }

func elapse(server *emulated.Server, d time.Duration) {
	now := server.Clock().Offset()
	server.Clock().SetOffset(now + d)
	server.List(emulator.ExampleAccountID, region)
	server.Clock().SetOffset(now)
}

// config opens on loopback with connections of its own.
func config(tb testing.TB, endpoint string) provider.Config {
	tb.Helper()
	at, err := provider.ParseEndpoint(endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	connections := &http.Transport{}
	tb.Cleanup(connections.CloseIdleConnections)
	account := emulator.ExampleAccount()
	return provider.Config{
		Region: region, Endpoint: at, Transport: connections, UserAgent: "cloudsync-test/1",
		AccessKeyID: account.AccessKeyID, AccessKeySecret: sensitive.NewString(account.AccessKeySecret),
	}
}
