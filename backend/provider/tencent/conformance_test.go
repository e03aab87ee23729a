// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"net/http"
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
		"as is likely": {},
		"as is possible too": {
			StrictSwitching: true, OmitUnusedValue: true, NullVersions: true,
			VersionsOldestFirst: true, UpdateMovesTime: true, SecretNotExistCode: true, KMSUnauthorized: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(t testing.TB) providertest.Fixture {
				server, endpoint := emulatortest.Tencent(t, emulated.Options{Switches: switches})
				return fixture(t, server, endpoint)
			})
		})
	}
}

func fixture(t testing.TB, server *emulated.Server, endpoint string) providertest.Fixture {
	next := func(f emulator.Fault) func(testing.TB) {
		f.Count = 1
		return func(t testing.TB) { emulatortest.AddFault(t, server, f) }
	}
	answer := func(code string) func(testing.TB) { return next(emulator.Fault{Kind: emulator.Error, Code: code}) }
	return providertest.Fixture{
		Kind: tencent.Kind, Config: config(t, endpoint),
		KMSKeyID: emulator.ExampleKMSKeyID, RefusedKeyID: "no-such-key",
		Strike: map[providertest.Fault]func(testing.TB){
			providertest.FaultThrottled:  answer("RequestLimitExceeded.UinLimitExceeded"),
			providertest.FaultForbidden:  answer("UnauthorizedOperation"),
			providertest.FaultExpired:    answer("AuthFailure.TokenFailure"),
			providertest.FaultService:    answer("InternalError"),
			providertest.FaultProxy:      next(emulator.Fault{Kind: emulator.HTTP}),
			providertest.FaultDropped:    next(emulator.Fault{Kind: emulator.Drop}),
			providertest.FaultLostAnswer: next(emulator.LostReply("")),
		},
		Hang: func(t testing.TB) (<-chan struct{}, func()) {
			rule := emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Hang, Count: 1})
			return rule.Struck, func() { server.Faults().Clear(rule.ID) }
		},
		Echo: func(t testing.TB, text string) {
			emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Code: "InvalidParameterValue", Message: text, Count: 1})
		},
		SeedManaged: func(t testing.TB, name string) {
			err := server.Seed(emulator.Secret{
				Ref: emulator.Ref{Region: region, Name: name}, Type: "1",
				Versions: []emulator.Version{{ID: "SSM_Current", Text: "{}"}},
			})
			if err != nil {
				t.Fatal(err)
			}
		},
		Tick:   func() { server.Clock().SetOffset(server.Clock().Offset() + time.Second) },
		Expire: func(testing.TB) { expire(server) },
	}
}

// expire takes the clock ahead only for a look, because signatures must be
// younger than five minutes.
func expire(server *emulated.Server) {
	server.Clock().SetOffset(provider.Days(31))
	server.List(emulator.ExampleAccountID, region)
	server.Clock().SetOffset(0)
}

// config opens on loopback with connections of its own.
func config(t testing.TB, endpoint string) provider.Config {
	t.Helper()
	at, err := provider.ParseEndpoint(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	connections := &http.Transport{}
	t.Cleanup(connections.CloseIdleConnections)
	account := emulator.ExampleAccount()
	return provider.Config{
		Region: region, Endpoint: at, Transport: connections, UserAgent: "cloudsync-test/1",
		AccessKeyID: account.AccessKeyID, AccessKeySecret: sensitive.NewString(account.AccessKeySecret),
	}
}
