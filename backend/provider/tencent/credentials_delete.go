// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"strconv"
	"time"

	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// deleteRequest and deleteAnswer have what the API got in 2026-07, after this SDK
// version.
type deleteRequest struct {
	*ssm.DeleteSecretRequest
	DeleteMode uint64
}

type deleteAnswer struct {
	*tchttp.BaseResponse
	Response struct {
		FlowID    *int64
		RequestID *string `json:"RequestId"`
	}
}

// dropAccounts is the DeleteMode that removes the database accounts too.
const dropAccounts = 1

//nolint:revive // the parameters of an SDK method, for call
func deleteAll(c *ssm.Client, ctx context.Context, request deleteRequest) (*deleteAnswer, error) {
	request.SetContext(ctx)
	answer := &deleteAnswer{BaseResponse: &tchttp.BaseResponse{}}
	return answer, c.Send(request, answer)
}

// deleteWithAccounts deletes a disabled credential and has its database accounts
// dropped, which is a flow.
func (d *destination) deleteWithAccounts(ctx context.Context, name string, window time.Duration) (provider.CredentialTask, error) {
	days := uint64(window / provider.Days(1)) //nolint:gosec // at most 30
	request := deleteRequest{ssm.NewDeleteSecretRequest(), dropAccounts}
	request.SecretName, request.RecoveryWindowInDays = &name, &days
	answer, err := call(ctx, d, deleteAll, request)
	if err != nil {
		err = d.settle(ctx, name, err, deleting)
		if provider.IsNotFound(err) {
			err = nil
		}
		return provider.CredentialTask{Name: name}, err
	}
	task := provider.CredentialTask{Name: name, RequestID: at(answer.Response.RequestID)}
	if flow := at(answer.Response.FlowID); flow != 0 {
		task.ID = strconv.FormatInt(flow, 10)
	}
	return task, nil
}
