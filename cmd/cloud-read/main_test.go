// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cloud-read": main})
}

// The scripts find each cloud with one secret, at $TENCENT, $ALIBABA and $HUAWEI, a
// key for all of them in $ID and $KEY, and Huawei's project in $PROJECT. What a
// program would keep in a home directory would be in $HOME.
func TestWhatPeopleSee(t *testing.T) {
	account := emulator.ExampleAccount()
	variables := map[string]string{"ID": account.AccessKeyID, "KEY": account.AccessKeySecret, "PROJECT": huawei.ExampleProjectID}
	ssm, endpoint := emulatortest.Tencent(t, tencent.Options{})
	variables["TENCENT"] = endpoint
	seed(t, ssm, emulator.Ref{Region: "ap-guangzhou", Name: "team-a_db"}, []emulator.Version{
		{ID: "v1", Text: "the first"},
		{ID: "v2", Binary: []byte("bytes")},
		{ID: tencentCurrent, Text: `{"password":"current"}`},
	})
	kms, endpoint := emulatortest.Alibaba(t, alibaba.Options{})
	variables["ALIBABA"] = endpoint
	seed(t, kms, emulator.Ref{Region: "cn-hangzhou", Name: "team-a/db"}, []emulator.Version{
		{ID: "v1", Text: "the first", Labels: []string{"ACSPrevious"}},
		{ID: "v3", Text: `{"password":"current"}`, Labels: []string{"ACSCurrent"}},
	})
	seed(t, kms, emulator.Ref{Region: "cn-hangzhou", Name: "team-a/key"}, []emulator.Version{
		{ID: "v1", Binary: []byte("Ynl0ZXM="), Labels: []string{"ACSCurrent"}},
	})
	csms, endpoint := emulatortest.Huawei(t, huawei.Options{})
	variables["HUAWEI"] = endpoint
	seed(t, csms, emulator.Ref{Region: huawei.ExampleProjectID, Name: "team-a_db"}, []emulator.Version{
		{ID: "v1", Text: "the first"},
		{ID: "v2", Binary: []byte("bytes"), Labels: []string{"SYSPREVIOUS"}},
		{ID: "v3", Text: `{"password":"current"}`, Labels: []string{"SYSCURRENT"}},
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for name, value := range variables {
				env.Setenv(name, value)
			}
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			return os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700)
		},
	})
}

func seed(t *testing.T, cloud emulator.Service, ref emulator.Ref, versions []emulator.Version) {
	t.Helper()
	if err := cloud.Seed(emulator.Secret{Ref: ref, Versions: versions}); err != nil {
		t.Fatal(err)
	}
}
