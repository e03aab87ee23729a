// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

const region = "ap-guangzhou"

// cloud is an emulated SSM and the official SDK's client of it.
type cloud struct {
	*ssm.Client
	server   *tencent.Server
	endpoint string
}

func start(t *testing.T, options tencent.Options) cloud {
	t.Helper()
	server, endpoint := emulatortest.Tencent(t, options)
	return cloud{clientFor(t, endpoint, emulator.ExampleAccount(), region), server, endpoint}
}

// clientFor makes a client with connections of its own.
func clientFor(t *testing.T, endpoint string, a emulator.Account, region string) *ssm.Client {
	t.Helper()
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme = "http"
	p.HttpProfile.Endpoint = strings.TrimPrefix(endpoint, "http://")
	client, err := ssm.NewClient(common.NewTokenCredential(a.AccessKeyID, a.AccessKeySecret, a.SecurityToken), region, p)
	if err != nil {
		t.Fatal(err)
	}
	connections := &http.Transport{}
	t.Cleanup(connections.CloseIdleConnections)
	client.WithHttpTransport(connections)
	return client
}

// code is the error code of an SDK call, "" for success.
func code(err error) string {
	var failure *tcerrors.TencentCloudSDKError
	if errors.As(err, &failure) {
		return failure.Code
	}
	if err != nil {
		return "not an API error: " + err.Error()
	}
	return ""
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Fatalf("the call ended with %q (%v), want %q", got, err, want)
	}
}

func p[T any](v T) *T { return &v }

// create makes a text secret with the version v1.
func (c cloud) create(t *testing.T, name, value string) {
	t.Helper()
	r := ssm.NewCreateSecretRequest()
	r.SecretName, r.VersionId, r.SecretString = &name, p("v1"), &value
	if _, err := c.CreateSecret(r); err != nil {
		t.Fatal(err)
	}
}

func (c cloud) put(name, versionID, value string) error {
	r := ssm.NewPutSecretValueRequest()
	r.SecretName, r.VersionId, r.SecretString = &name, &versionID, &value
	_, err := c.PutSecretValue(r)
	return err
}

func (c cloud) update(name, versionID, value string) error {
	r := ssm.NewUpdateSecretRequest()
	r.SecretName, r.VersionId, r.SecretString = &name, &versionID, &value
	_, err := c.UpdateSecret(r)
	return err
}

func (c cloud) get(name, versionID string) (*ssm.GetSecretValueResponseParams, error) {
	r := ssm.NewGetSecretValueRequest()
	r.SecretName, r.VersionId = &name, &versionID
	answer, err := c.GetSecretValue(r)
	if err != nil {
		return nil, err
	}
	return answer.Response, nil
}

func (c cloud) describe(name string) (*ssm.DescribeSecretResponseParams, error) {
	r := ssm.NewDescribeSecretRequest()
	r.SecretName = &name
	answer, err := c.DescribeSecret(r)
	if err != nil {
		return nil, err
	}
	return answer.Response, nil
}

func (c cloud) updateDescription(name, text string) error {
	r := ssm.NewUpdateDescriptionRequest()
	r.SecretName, r.Description = &name, &text
	_, err := c.UpdateDescription(r)
	return err
}

func (c cloud) enable(name string) error {
	r := ssm.NewEnableSecretRequest()
	r.SecretName = &name
	_, err := c.EnableSecret(r)
	return err
}

func (c cloud) disable(name string) error {
	r := ssm.NewDisableSecretRequest()
	r.SecretName = &name
	_, err := c.DisableSecret(r)
	return err
}

func (c cloud) restore(name string) error {
	r := ssm.NewRestoreSecretRequest()
	r.SecretName = &name
	_, err := c.RestoreSecret(r)
	return err
}

func (c cloud) deleteAfter(name string, days uint64) error {
	r := ssm.NewDeleteSecretRequest()
	r.SecretName, r.RecoveryWindowInDays = &name, &days
	_, err := c.DeleteSecret(r)
	return err
}

func (c cloud) deleteVersion(name, versionID string) error {
	r := ssm.NewDeleteSecretVersionRequest()
	r.SecretName, r.VersionId = &name, &versionID
	_, err := c.DeleteSecretVersion(r)
	return err
}

func (c cloud) versions(name string) ([]string, error) {
	r := ssm.NewListSecretVersionIdsRequest()
	r.SecretName = &name
	answer, err := c.ListSecretVersionIds(r)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, v := range answer.Response.Versions {
		ids = append(ids, *v.VersionId)
	}
	return ids, nil
}

func TestASecretCanBeWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "app-db", "first <&> value")
	wantCode(t, c.put("app-db", "v2.0", "second"), "")

	got, err := c.get("app-db", "v1")
	wantCode(t, err, "")
	if *got.SecretString != "first <&> value" || *got.SecretBinary != "" || *got.VersionId != "v1" {
		t.Errorf("read text %q, binary %q, version %q", *got.SecretString, *got.SecretBinary, *got.VersionId)
	}
	stored, ok := c.server.Inspect(region, "app-db")
	if !ok || len(stored.Versions) != 2 || stored.Versions[1].Text != "second" || stored.State != "Enabled" {
		t.Errorf("stored is %+v", stored)
	}
	if n := c.server.Calls().Count("PutSecretValue"); n != 1 {
		t.Errorf("%d calls of PutSecretValue were counted", n)
	}
}
