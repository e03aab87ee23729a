// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"testing"

	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestAProductSecretIsDeleted(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	value := c.ready(t, "db")
	wantCode(t, c.deleteAfter("db", 0), failed)
	wantCode(t, c.disable("db"), "")
	wantCode(t, c.deleteAfter("db", 7), "")
	_, err := c.rotate("db")
	wantCode(t, err, "ResourceUnavailable.ResourcePendingDeleted")
	wantCode(t, c.schedule("db", true, 30, ""), "ResourceUnavailable.ResourcePendingDeleted")
	wantCode(t, c.restore("db"), "")
	wantCode(t, c.enable("db"), "")
	if now := c.account(t, "db", "SSM_Current"); now != value {
		t.Error("the restored value is another one")
	}
	wantCode(t, c.disable("db"), "")
	_, err = c.rotate("db")
	wantCode(t, err, "ResourceUnavailable.ResourceDisabled")
	wantCode(t, c.deleteAfter("db", 0), "")
	_, err = c.describe("db")
	wantCode(t, err, "ResourceNotFound")
}

// deleteRequest has a field that the API got after this version of the SDK.
type deleteRequest struct {
	*ssm.DeleteSecretRequest
	DeleteMode uint64
}

func TestTheAccountsCanBeDroppedWithTheSecret(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.ready(t, "db")
	wantCode(t, c.disable("db"), "")
	r := deleteRequest{ssm.NewDeleteSecretRequest(), 1}
	r.SecretName = p("db")
	var answer struct {
		*tchttp.BaseResponse
		Response struct{ FlowID int64 }
	}
	answer.BaseResponse = &tchttp.BaseResponse{}
	if err := c.Send(r, &answer); err != nil {
		t.Fatal(err)
	}
	if _, status, _ := c.follow(t, answer.Response.FlowID); status != 1 {
		t.Errorf("the flow is %d", status)
	}
	_, err := c.describe("db")
	wantCode(t, err, "ResourceNotFound")
}
