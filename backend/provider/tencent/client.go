// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"
	tag "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/tag/v20180813"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// serviceSSM is what SSM is called in host names.
const serviceSSM = "ssm"

// profile is what the client of one call of a service is made with. What it
// doesn't set must stay so: POST and TC3 keep values out of URLs, and the SDK's
// own retries and its move to another region stay off.
func (d *destination) profile(service string) *profile.ClientProfile {
	p := profile.NewClientProfile()
	p.Language = "en-US" // of messages; the default is Chinese
	if at := d.endpointOf(service); !at.IsZero() {
		p.HttpProfile.Scheme = at.Scheme
		p.HttpProfile.Endpoint = at.Host
	}
	return p
}

// endpointOf is where a service of the cloud is. An endpoint by one of the
// cloud's names, which begin with the service's, stands for all of these names;
// any other one serves every service itself.
func (d *destination) endpointOf(service string) provider.Endpoint {
	at := d.endpoint
	if rest, ok := strings.CutPrefix(at.Host, serviceSSM+"."); ok {
		at.Host = service + "." + rest
	}
	return at
}

// call makes one remote call to SSM by an SDK method. Its error is classified
// and free of the destination's credentials and of the value sent, if there is
// one.
func call[Request tchttp.Request, Answer any](
	ctx context.Context,
	d *destination,
	method func(*ssm.Client, context.Context, Request) (Answer, error),
	request Request,
	sent ...provider.Value,
) (Answer, error) {
	return send(ctx, d, ssm.NewClient, method, request, sent...)
}

// callTags makes one remote call to the Tag service in the same way.
func callTags[Request tchttp.Request, Answer any](
	ctx context.Context, d *destination, method func(*tag.Client, context.Context, Request) (Answer, error), request Request,
) (Answer, error) {
	return send(ctx, d, tag.NewClient, method, request)
}

// sdkClient is what the clients of the SDK have in common.
type sdkClient interface {
	WithHttpTransport(next http.RoundTripper) *common.Client
}

// send makes one remote call with a client of its own. That costs about a
// microsecond and leaves nothing mutable to share; connections are kept by the
// transport below.
func send[Client sdkClient, Request tchttp.Request, Answer any](
	ctx context.Context,
	d *destination,
	open func(common.CredentialIface, string, *profile.ClientProfile) (Client, error),
	method func(Client, context.Context, Request) (Answer, error),
	request Request,
	sent ...provider.Value,
) (Answer, error) {
	var none, answer Answer
	failure := failed(request.GetAction(), d.secrets(sent)...)
	err := failure.Send(ctx, d.gate, func(ctx context.Context, heard *provider.Heard) error {
		credential := common.NewTokenCredential(d.keyID, d.keySecret.Reveal(), d.token.Reveal())
		c, err := open(credential, d.region, d.profile(request.GetService()))
		if err != nil {
			return failure.classify(ctx, err)
		}
		c.WithHttpTransport(transport{next: d.transport, userAgent: d.userAgent, heard: heard})
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
