// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"encoding/base64"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// client makes a client for one call, of which heard learns. That costs about a microsecond and leaves
// nothing mutable to share; connections are kept by the transport below. What
// the profile doesn't set must stay so: POST and TC3 keep values out of URLs,
// and the SDK's own retries and its move to another region stay off.
func (d *destination) client(heard *provider.Heard) (*ssm.Client, error) {
	p := profile.NewClientProfile()
	p.Language = "en-US" // of messages; the default is Chinese
	if !d.endpoint.IsZero() {
		p.HttpProfile.Scheme = d.endpoint.Scheme
		p.HttpProfile.Endpoint = d.endpoint.Host
	}
	credential := common.NewTokenCredential(d.keyID, d.keySecret.Reveal(), d.token.Reveal())
	c, err := ssm.NewClient(credential, d.region, p)
	if err != nil {
		return nil, err
	}
	c.WithHttpTransport(transport{next: d.transport, userAgent: d.userAgent, heard: heard})
	return c, nil
}

// call makes one remote call by an SDK method. Its error is classified and free
// of the destination's credentials and of the value sent, if there is one.
func call[Request tchttp.Request, Answer any](
	ctx context.Context,
	d *destination,
	method func(*ssm.Client, context.Context, Request) (Answer, error),
	request Request,
	sent ...provider.Value,
) (Answer, error) {
	var none, answer Answer
	failure := failed(request.GetAction(), d.secrets(sent)...)
	err := failure.Send(ctx, d.gate, func(ctx context.Context, heard *provider.Heard) error {
		c, err := d.client(heard)
		if err != nil {
			return failure.classify(ctx, err)
		}
		if answer, err = method(c, ctx, request); err != nil {
			return failure.classify(ctx, err)
		}
		return nil
	})
	if err != nil {
		return none, err
	}
	return answer, nil
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

// fields returns SecretString and SecretBinary of a request; one is nil.
func fields(v provider.Value) (text, binary *string) {
	encoded := encode(v)
	if v.IsBinary() {
		return nil, &encoded
	}
	return &encoded, nil
}

// at returns what p points to, or the zero value: the service leaves out or
// nulls what doesn't apply to a secret.
func at[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
