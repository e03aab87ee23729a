// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package emulatortest starts emulated clouds for tests.
package emulatortest

import (
	"net/http/httptest"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// Tencent serves an emulated SSM on loopback until the test ends, and returns
// it with its endpoint, a URL without path. Calls that hang then go on.
func Tencent(t testing.TB, options tencent.Options) (server *tencent.Server, endpoint string) {
	t.Helper()
	return serve(t, tencent.New, options)
}

// Huawei serves an emulated CSMS in the same way.
func Huawei(t testing.TB, options huawei.Options) (server *huawei.Server, endpoint string) {
	t.Helper()
	return serve(t, huawei.New, options)
}

// Alibaba serves an emulated KMS in the same way.
func Alibaba(t testing.TB, options alibaba.Options) (server *alibaba.Server, endpoint string) {
	t.Helper()
	return serve(t, alibaba.New, options)
}

func serve[S emulator.Service, O any](t testing.TB, open func(O) (S, error), options O) (server S, endpoint string) {
	t.Helper()
	server, err := open(options)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		server.Core().Faults.ClearAll()
		web.CloseClientConnections()
		web.Close()
	})
	return server, web.URL
}

// AddFault puts a fault in force, and fails the test if it is malformed.
func AddFault(t testing.TB, service emulator.Service, fault emulator.Fault) emulator.Rule {
	t.Helper()
	rule, err := service.Core().Faults.Add(fault)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}
