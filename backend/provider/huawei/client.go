// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"context"
	"encoding/base64"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	csms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// operation is one call of the API.
type operation[Request, Answer any] struct {
	name   string
	path   string // behind the project, * for a parameter
	method func(*csms.CsmsClient, *Request) (*Answer, error)
	writes bool
	silent bool // success has no body
	wide   bool // it belongs to no project, and the path is behind csms
}

// The operations in use.
var (
	showSecret         = reading("ShowSecret", "secrets/*", (*csms.CsmsClient).ShowSecret)
	showSecretVersion  = reading("ShowSecretVersion", "secrets/*/versions/*", (*csms.CsmsClient).ShowSecretVersion)
	listSecretVersions = reading("ListSecretVersions", "secrets/*/versions", (*csms.CsmsClient).ListSecretVersions)
	listSecretTags     = reading("ListSecretTags", "csms/*/tags", (*csms.CsmsClient).ListSecretTags)
	listSecrets        = reading("ListSecrets", "secrets", (*csms.CsmsClient).ListSecrets)

	createSecret        = writing("CreateSecret", "secrets", (*csms.CsmsClient).CreateSecret)
	createSecretVersion = writing("CreateSecretVersion", "secrets/*/versions", (*csms.CsmsClient).CreateSecretVersion)
	updateSecret        = writing("UpdateSecret", "secrets/*", (*csms.CsmsClient).UpdateSecret)
	updateSecretStage   = writing("UpdateSecretStage", "secrets/*/stages/*", (*csms.CsmsClient).UpdateSecretStage)
	batchTags           = writing("BatchCreateOrDeleteTags", "csms/*/tags/action", (*csms.CsmsClient).BatchCreateOrDeleteTags).silently()
	deleteSecret        = writing("DeleteSecret", "secrets/*", (*csms.CsmsClient).DeleteSecret).silently()
	restoreSecret       = writing("RestoreSecret", "secrets/*/scheduled-deleted-tasks/cancel", (*csms.CsmsClient).RestoreSecret)
	scheduleDeletion    = writing("DeleteSecretForSchedule", "secrets/*/scheduled-deleted-tasks/create", (*csms.CsmsClient).DeleteSecretForSchedule)

	showSecretStage = reading("ShowSecretStage", "secrets/*/stages/*", (*csms.CsmsClient).ShowSecretStage)
	listSecretTask  = reading("ListSecretTask", "csms/tasks", (*csms.CsmsClient).ListSecretTask)
	showAgency      = reading("ShowAgency", "agencies", (*csms.CsmsClient).ShowAgency).widely()
	createAgency    = writing("CreateAgency", "agencies", (*csms.CsmsClient).CreateAgency).widely()
	rotateSecret    = writing("RotateSecret", "secrets/*/rotate", (*csms.CsmsClient).RotateSecret)
)

func reading[Request, Answer any](name, path string, method func(*csms.CsmsClient, *Request) (*Answer, error)) operation[Request, Answer] {
	return operation[Request, Answer]{name: name, path: path, method: method}
}

func writing[Request, Answer any](name, path string, method func(*csms.CsmsClient, *Request) (*Answer, error)) operation[Request, Answer] {
	return operation[Request, Answer]{name: name, path: path, method: method, writes: true}
}

func (o operation[Request, Answer]) silently() operation[Request, Answer] {
	o.silent = true
	return o
}

func (o operation[Request, Answer]) widely() operation[Request, Answer] {
	o.wide = true
	return o
}

// call makes one remote call. Its error is classified and free of the
// destination's credentials and of the values sent, if there are any.
func (o operation[Request, Answer]) call(ctx context.Context, d *destination, request *Request, sent ...provider.Value) (*Answer, error) {
	answer, _, err := o.heard(ctx, d, request, sent...)
	return answer, err
}

// heard is call for who tells the service's id of it.
func (o operation[Request, Answer]) heard(
	ctx context.Context, d *destination, request *Request, sent ...provider.Value,
) (answer *Answer, requestID string, err error) {
	failure := o.failed(d, sent...)
	path := "/v1/*/" + o.path
	if o.wide {
		path = "/v1/csms/" + o.path
	}
	err = failure.Send(ctx, d.gate, func(ctx context.Context, heard *provider.Heard) error {
		client, err := d.client(exchange{ctx: ctx, next: d.transport, path: path, silent: o.silent, heard: heard})
		if err != nil {
			return failure.classify(ctx, err)
		}
		if answer, err = o.method(client, request); err != nil {
			return failure.classify(ctx, err)
		}
		requestID = failure.Scrub(heard.RequestID)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return answer, requestID, nil
}

// lacking is the error of an answer that is no answer to the question.
func (o operation[Request, Answer]) lacking(d *destination, what string) error {
	return o.failed(d).unclear("the service's answer has no " + what)
}

func (o operation[Request, Answer]) failed(d *destination, sent ...provider.Value) failedCall {
	return failedCall{provider.Call{Operation: o.name, Writes: o.writes, Secrets: d.secrets(sent)}}
}

// client makes a client for one call: the SDK's methods take no context, so the
// transport brings it. That costs about a microsecond; connections are kept by
// the transport below. With the project and the endpoint given, the SDK neither
// asks IAM nor reads environment or files. The context alone bounds the time.
func (d *destination) client(transport exchange) (*csms.CsmsClient, error) {
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(d.keyID).WithSk(d.keySecret.Reveal()).WithSecurityToken(d.token.Reveal()).
		WithProjectId(d.project).SafeBuild()
	if err != nil {
		return nil, err
	}
	settings := config.DefaultHttpConfig().WithUserAgent(d.userAgent).WithHttpRoundTripper(transport).WithTimeout(0)
	client, err := csms.CsmsClientBuilder().
		WithEndpoint(d.endpoint).WithCredential(credentials).WithHttpConfig(settings).SafeBuild()
	if err != nil {
		return nil, err
	}
	return csms.NewCsmsClient(client), nil
}

// secrets is what no error text may quote.
func (d *destination) secrets(sent []provider.Value) []sensitive.String {
	secrets := []sensitive.String{d.keySecret, d.token}
	for _, v := range sent {
		secrets = append(secrets, v.Sensitive())
		if v.IsBinary() {
			secrets = append(secrets, sensitive.NewString(encode(v)))
		}
	}
	return secrets
}

// encode returns the text of a request field for v.
func encode(v provider.Value) string {
	if v.IsBinary() {
		return base64.StdEncoding.EncodeToString([]byte(v.Reveal()))
	}
	return v.Reveal()
}

// fields returns secret_string and secret_binary of a request; one is nil.
func fields(v provider.Value) (text, binary *string) {
	encoded := encode(v)
	if v.IsBinary() {
		return nil, &encoded
	}
	return &encoded, nil
}

// at returns what p points to, or the zero value: the service leaves out or
// nulls what doesn't apply.
func at[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
