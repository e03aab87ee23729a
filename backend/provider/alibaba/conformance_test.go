// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"maps"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

const region = "cn-hangzhou"

// possible are the other positions of the switches for what Alibaba doesn't
// document, as far as the contract allows them. IdempotentCreate, DeletionLag
// and KeepsEmptyDescription have tests of their own.
var possible = emulated.Switches{
	VersionConflictCode: "InvalidParameter", VersionNotFoundCode: "InvalidParameter",
	PendingDeletionCode: "Forbidden.ResourceNotFound", WrongTypeCode: "UnsupportedOperation",
	UnusableKeyCode: "Rejected.Disabled", TokenExpiredCode: true, TimestampExpiredCode: true, AccessDeniedDetail: true,
	NonceRequired: true, RegionRequired: true, ShowDefaultKey: true, CompareDataType: true, RepeatMovesLabels: true,
	BothMustMatch: true, VersionCreateTime: true, ForceInWindow: true, StrictForce: true,
	NewestFirst: true, LooseTags: true, TagLimit: 10, VersionPage: 10,
	RotatingCode: "Rejected.ResourceInUse", FilterContains: true,
}

// Where Alibaba doesn't document what happens, the provider has to get along
// with each possibility.
func TestConforms(t *testing.T) {
	readable := possible
	readable.ReadableInWindow = true
	for name, c := range map[string]struct {
		switches emulated.Switches
		expired  string // the code of expired credentials
	}{
		"as is likely":                 {emulated.Switches{}, "InvalidAccessKeyId.NotFound"},
		"as is possible too":           {possible, "InvalidSecurityToken.Expired"},
		"pending secrets are readable": {readable, "InvalidSecurityToken.Expired"},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(tb testing.TB) providertest.Fixture {
				tb.Helper()
				server, endpoint := emulatortest.Alibaba(tb, emulated.Options{Switches: c.switches})
				f := fixture(tb, server, endpoint, c.expired)
				f.ReadsPending = c.switches.ReadableInWindow
				return f
			})
		})
	}
}

// TestConformsLive runs the same suite against a real account. It makes, and
// deletes at once, about two hundred secrets named conformance-*.
func TestConformsLive(t *testing.T) {
	const prefix = "CLOUDSYNC_TEST_ALICLOUD_"
	account := provider.Config{
		Region:          os.Getenv(prefix + "REGION"),
		AccessKeyID:     os.Getenv(prefix + "ACCESS_KEY_ID"),
		AccessKeySecret: sensitive.NewString(os.Getenv(prefix + "ACCESS_KEY_SECRET")),
		SecurityToken:   sensitive.NewString(os.Getenv(prefix + "SECURITY_TOKEN")),
		Settings:        map[string]string{"kms_instance_id": os.Getenv(prefix + "KMS_INSTANCE_ID")},
	}
	if account.Region == "" || account.AccessKeyID == "" || account.AccessKeySecret.Reveal() == "" {
		t.Skipf("set %[1]sREGION, %[1]sACCESS_KEY_ID and %[1]sACCESS_KEY_SECRET to run against an Alibaba Cloud account", prefix)
	}
	transport, err := provider.NewTransport("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	account.Transport = transport
	providertest.Run(t, func(testing.TB) providertest.Fixture {
		return providertest.Fixture{
			Kind: alibaba.Kind, Config: account, KMSKeyID: os.Getenv(prefix + "KMS_KEY_ID"),
			ReadsPending: true,
		}
	})
}

func fixture(tb testing.TB, server *emulated.Server, endpoint, expired string) providertest.Fixture {
	tb.Helper()
	add := func(f emulator.Fault) emulator.Rule {
		f.Count = 1
		return emulatortest.AddFault(tb, server, f)
	}
	next := func(f emulator.Fault) func() { return func() { add(f) } }
	answer := func(code string) func() { return next(emulator.Fault{Kind: emulator.Error, Code: code}) }
	return providertest.Fixture{
		Kind: alibaba.Kind, Config: config(tb, endpoint),
		KMSKeyID: emulator.ExampleKMSKeyID, RefusedKeyID: "no-such-key",
		Strike: map[providertest.Fault]func(){
			providertest.FaultThrottled:  answer("Rejected.Throttling"),
			providertest.FaultForbidden:  answer("Forbidden.NoPermission"),
			providertest.FaultExpired:    answer(expired),
			providertest.FaultService:    answer("InternalFailure"),
			providertest.FaultProxy:      next(emulator.Fault{Kind: emulator.HTTP}),
			providertest.FaultDropped:    next(emulator.Fault{Kind: emulator.Drop}),
			providertest.FaultLostAnswer: next(emulator.LostReply("")),
		},
		Hang: func() (<-chan struct{}, func()) {
			rule := add(emulator.Fault{Kind: emulator.Hang})
			return rule.Struck, func() { server.Faults().Clear(rule.ID) }
		},
		Echo: func(text string) {
			add(emulator.Fault{Kind: emulator.Error, Code: "Rejected.LimitExceeded", Message: text})
		},
		SeedManaged: func(name string) {
			seed(tb, server, emulator.Secret{Type: "Rds", Ref: emulator.Ref{Name: name}, Versions: []emulator.Version{{ID: "v1", Text: "{}"}}})
		},
		Tags: func(name string) map[string]string {
			stored, _ := server.Inspect(region, name)
			return maps.Clone(stored.Tags)
		},
		Arrived: func() []string { return emulatortest.Operations(server) },
		Rate:    func(operation string) (float64, bool) { return emulatortest.Rate(server, operation) },
		Enforce: func(factor float64) { emulatortest.Enforce(tb, server, factor) },
		Tick:    func() { server.Clock().SetOffset(server.Clock().Offset() + time.Second) },
		Expire:  func() { expire(server) },

		Credentials: credentialFixture(tb, server),
	}
}

// seed stores a secret behind the provider's back.
func seed(tb testing.TB, server *emulated.Server, s emulator.Secret) {
	tb.Helper()
	s.Region = region
	if err := server.Seed(s); err != nil {
		tb.Fatal(err)
	}
}

func expire(server *emulated.Server) { pass(server, provider.Days(31)) }

// pass takes the clock ahead only for a look, because signatures must be younger
// than a quarter of an hour.
func pass(server *emulated.Server, d time.Duration) {
	server.Clock().SetOffset(d)
	server.List(emulator.ExampleAccountID, region)
	server.Clock().SetOffset(0)
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
