// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	csms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/control"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

func TestTheProcessServesCSMSAndKeepsItsState(t *testing.T) {
	t.Parallel()
	args := []string{"-data-dir", t.TempDir(), "-control", "127.0.0.1:0"}
	first := startProcess(t, args...)
	a := emulator.ExampleAccount()
	credentials, err := basic.NewCredentialsBuilder().WithAk(a.AccessKeyID).WithSk(a.AccessKeySecret).WithProjectId(huawei.ExampleProjectID).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	client, err := csms.CsmsClientBuilder().WithEndpoint(first.Endpoints[huawei.ServiceName]).WithCredential(credentials).
		WithHttpConfig(config.DefaultHttpConfig().WithUserAgent("emulator-test/1.0")).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	value := "kept"
	body := &model.CreateSecretRequestBody{Name: "s", SecretString: &value}
	if _, err := csms.NewCsmsClient(client).CreateSecret(&model.CreateSecretRequest{Body: body}); err != nil {
		t.Fatal(err)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()

	second := startProcess(t, args...)
	api := control.NewClient(second.Control, huawei.ServiceName)
	secret, found, err := api.Find(t.Context(), emulator.Ref{Region: huawei.ExampleProjectID, Name: "s"})
	if err != nil || !found || secret.Versions[0].Text != value {
		t.Errorf("found %v, %v (%v)", found, secret, err)
	}
	if err := api.SetSwitches(t.Context(), huawei.Switches{NotFoundIs400: true}); err != nil {
		t.Error(err)
	}
}
