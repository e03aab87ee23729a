// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// The SDK's requests, answers and signature are used without its client. That
// one sends every parameter, values included, in the URL, over plain http unless
// told otherwise; it knows no context; and it may not be shared by goroutines.

// call makes one remote call, fills answer and returns it. Its error is
// classified and free of the destination's credentials and of the value sent, if
// there is one.
func call[Answer responses.AcsResponse](
	ctx context.Context, d *destination, request requests.AcsRequest, answer Answer, sent ...provider.Value,
) (Answer, error) {
	_, err := d.exchange(ctx, request, answer, sent...)
	return answer, err
}

// exchange is call for who needs the headers of the answer, nil without one.
func (d *destination) exchange(
	ctx context.Context, request requests.AcsRequest, answer responses.AcsResponse, sent ...provider.Value,
) (http.Header, error) {
	var header http.Header
	failure := failed(request.GetActionName(), d.secrets(sent)...)
	err := failure.Send(ctx, d.gate, func(ctx context.Context, heard *provider.Heard) error {
		got, err := d.post(ctx, request)
		if err != nil {
			return failure.classify(ctx, err)
		}
		defer func() { _ = got.Body.Close() }()
		header = got.Header
		heard.RetryAfter = provider.RetryAfter(header)
		if heard.RequestID, err = decodeAnswer(got, request, answer); err != nil {
			return failure.classify(ctx, err)
		}
		return nil
	})
	return header, err
}

// post sends a request. The caller closes the answer's body.
func (d *destination) post(ctx context.Context, request requests.AcsRequest) (*http.Response, error) {
	form, err := d.sign(request)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.endpoint.String()+"/", strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	for name, value := range request.GetHeaders() {
		r.Header.Set(name, value)
	}
	if d.userAgent != "" {
		r.Header.Set("User-Agent", d.userAgent)
	}
	return d.web.Do(r)
}

// decodeAnswer fills answer and returns the request id.
func decodeAnswer(got *http.Response, request requests.AcsRequest, answer responses.AcsResponse) (requestID string, err error) {
	body, requestID, err := readAnswer(got)
	if err != nil {
		return "", err
	}
	whole := *got
	whole.Body = io.NopCloser(bytes.NewReader(body))
	return requestID, responses.Unmarshal(answer, &whole, request.GetAcceptFormat())
}

// sign returns the form of a signed request. Whether a parameter is in the URL
// or in the form makes no difference to the signature; Alibaba's own client for
// Node.js (pop-core) sends all of them in the form too.
func (d *destination) sign(request requests.AcsRequest) (string, error) {
	if err := requests.InitParams(request); err != nil {
		return "", err
	}
	if err := auth.Sign(request, nil, d.region, d.credentials()); err != nil {
		return "", err
	}
	form := url.Values{}
	for _, parameters := range []map[string]string{request.GetQueryParams(), request.GetFormParams()} {
		for name, value := range parameters {
			form.Set(name, value)
		}
	}
	return form.Encode(), nil
}

// credentials never returns nil, for which the SDK would look for credentials in
// the environment.
func (d *destination) credentials() credentials.CredentialsProvider {
	if d.token.Reveal() == "" {
		return credentials.NewStaticAKCredentialsProvider(d.keyID, d.keySecret.Reveal())
	}
	return credentials.NewStaticSTSCredentialsProvider(d.keyID, d.keySecret.Reveal(), d.token.Reveal())
}

// maxAnswer bounds what is read of one answer. The largest legal one, a value
// with every character escaped, stays below.
const maxAnswer = 1 << 20

// refusal is an error answer of the API.
type refusal struct {
	status    int
	code      string
	message   string
	requestID string
}

func (*refusal) Error() string { return "the service refused the call" }

// readAnswer returns the body of a success and its request id, and a *refusal or a
// *provider.AnswerError otherwise. The SDK would read without bound, take an
// empty body for a success, and panic when a member of an error isn't text.
func readAnswer(answer *http.Response) (body []byte, requestID string, err error) {
	status := answer.StatusCode
	if status >= 300 && status < 400 {
		return nil, "", &provider.AnswerError{Status: status, Fault: "a redirect, which isn't followed"}
	}
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, "", &provider.AnswerError{Status: status, Fault: "the answer broke off", Cause: err}
	case len(body) > maxAnswer:
		return nil, "", &provider.AnswerError{Status: status, Fault: fmt.Sprintf("the answer has more than %d bytes", maxAnswer)}
	}
	// What all answers have: a success the request id, a failure the code.
	var envelope struct {
		Code      string
		Message   string
		RequestID string `json:"RequestId"`
	}
	err = json.Unmarshal(body, &envelope)
	switch {
	case err == nil && envelope.Code != "":
		return nil, "", &refusal{status, envelope.Code, envelope.Message, envelope.RequestID}
	case err != nil || status >= 300 || envelope.RequestID == "":
		return nil, "", &provider.AnswerError{Status: status, Fault: "the answer isn't one of the API"}
	}
	return body, envelope.RequestID, nil
}

// secrets is what no error text may quote: credentials, and the value as it is
// and as it was sent.
func (d *destination) secrets(sent []provider.Value) []sensitive.String {
	secrets := make([]sensitive.String, 0, 2+3*len(sent))
	secrets = append(secrets, d.keySecret, d.token)
	for _, v := range sent {
		text := encode(v)
		secrets = append(secrets, v.Sensitive(), sensitive.NewString(text), sensitive.NewString(url.QueryEscape(text)))
	}
	return secrets
}

// The values of SecretDataType.
const (
	textType   = "text"
	binaryType = "binary"
)

func dataType(v provider.Value) string {
	if v.IsBinary() {
		return binaryType
	}
	return textType
}

// encode returns SecretData for v.
func encode(v provider.Value) string {
	if v.IsBinary() {
		return base64.StdEncoding.EncodeToString([]byte(v.Reveal()))
	}
	return v.Reveal()
}

// decode is the value that SecretData stands for. What others marked as binary
// without base64 is bytes as it is.
func decode(data, kind string) provider.Value {
	if kind != binaryType {
		return provider.Text(data)
	}
	if decoded, err := base64.StdEncoding.DecodeString(data); err == nil {
		return provider.Binary(decoded)
	}
	return provider.Binary([]byte(data))
}
