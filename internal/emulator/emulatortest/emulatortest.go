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
	server, err := tencent.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return server, serve(t, server)
}

// Huawei serves an emulated CSMS in the same way.
func Huawei(t testing.TB, options huawei.Options) (server *huawei.Server, endpoint string) {
	t.Helper()
	server, err := huawei.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return server, serve(t, server)
}

// Alibaba serves an emulated KMS on loopback until the test ends, and returns it
// with its endpoint, a URL without path. Calls that hang then go on.
func Alibaba(t testing.TB, options alibaba.Options) (server *alibaba.Server, endpoint string) {
	t.Helper()
	server, err := alibaba.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return server, serve(t, server)
}

func serve(t testing.TB, service emulator.Service) (endpoint string) {
	web := httptest.NewServer(service)
	t.Cleanup(func() {
		service.Core().Faults.ClearAll()
		web.CloseClientConnections()
		web.Close()
	})
	return web.URL
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
