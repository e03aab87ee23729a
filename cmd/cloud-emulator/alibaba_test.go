// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/control"
)

func TestTheEmulatedKMSTakesTheSDKsCallsAndKeepsItsState(t *testing.T) {
	t.Parallel()
	args := []string{"-data-dir", t.TempDir(), "-control", "127.0.0.1:0"}
	first := startProcess(t, args...)
	account := emulator.ExampleAccount()
	client, err := kms.NewClientWithAccessKey("cn-hangzhou", account.AccessKeyID, account.AccessKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	client.Domain = strings.TrimPrefix(first.Endpoints[alibaba.ServiceName], "http://")
	r := kms.CreateCreateSecretRequest() // as the SDK sends it by itself, in the URL
	r.SecretName, r.VersionId, r.SecretData = "app/db", "v1", "canary-value"
	if _, err := client.CreateSecret(r); err != nil {
		t.Fatal(err)
	}
	calls, err := control.NewClient(first.Control, alibaba.ServiceName).Calls(t.Context())
	if err != nil || calls.ValuesInURL != 1 || !calls.Calls[0].ValueInURL {
		t.Errorf("the control API tells %+v, %v", calls, err)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	if log := first.log.String(); !strings.Contains(log, "app/db") || strings.Contains(log, "canary") {
		t.Errorf("the log lacks the call or shows the value: %s", log)
	}

	second := startProcess(t, args...)
	ref := emulator.Ref{Region: "cn-hangzhou", Name: "app/db"}
	secret, found, err := control.NewClient(second.Control, alibaba.ServiceName).Find(t.Context(), ref)
	if err != nil || !found || secret.Versions[0].Text != "canary-value" || secret.Versions[0].Labels[0] != "ACSCurrent" {
		t.Errorf("after a restart the secret is %+v, found %v, %v", secret, found, err)
	}
}
