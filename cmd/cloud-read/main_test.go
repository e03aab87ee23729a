// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cloud-read": main})
}

// The scripts find a cloud with one secret at $ENDPOINT, and its key in $ID and $KEY.
func TestWhatPeopleSee(t *testing.T) {
	cloud, endpoint := emulatortest.Tencent(t, tencent.Options{})
	err := cloud.Seed(emulator.Secret{
		Ref: emulator.Ref{Region: "ap-guangzhou", Name: "team-a_db"},
		Versions: []emulator.Version{
			{ID: "v1", Text: "the first"},
			{ID: "v2", Binary: []byte("bytes")},
			{ID: tencentCurrent, Text: `{"password":"current"}`},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	account := emulator.ExampleAccount()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ENDPOINT", endpoint)
			env.Setenv("ID", account.AccessKeyID)
			env.Setenv("KEY", account.AccessKeySecret)
			return nil
		},
	})
}
