// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// maxAnswer bounds what is read of one answer. The largest legal one, a page of
// pageSize descriptions with every character escaped, stays below.
const maxAnswer = 1 << 20

// transport is the last stage before the shared transport, for one call. It lets only whole
// API answers through to the SDK, because the SDK loses the HTTP status of
// anything else, quotes its body in the error, reads without bound, and follows
// redirects with the secret in the body.
type transport struct {
	next      http.RoundTripper
	userAgent string
	heard     *provider.Heard // set when the answer is there
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.userAgent != "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", t.userAgent)
	}
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()

	t.heard.RetryAfter = provider.RetryAfter(answer.Header)
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: "a redirect, which isn't followed"}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: "the answer broke off", Cause: err}
	case len(body) > maxAnswer:
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: fmt.Sprintf("the answer has more than %d bytes", maxAnswer)}
	}
	requestID, ok := readEnvelope(body)
	if !ok {
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: "the answer isn't one of the API"}
	}
	t.heard.RequestID = requestID
	answer.Body = io.NopCloser(bytes.NewReader(body))
	// The SDK would read an event stream from a body that claims to be one.
	answer.Header.Set("Content-Type", "application/json")
	return answer, nil
}

// readEnvelope returns the request id in the envelope that all answers have,
// errors included; false if body isn't one.
func readEnvelope(body []byte) (requestID string, ok bool) {
	var envelope struct{ Response *json.RawMessage }
	if json.Unmarshal(body, &envelope) != nil || envelope.Response == nil {
		return "", false
	}
	var response struct{ RequestId string }           //nolint:revive // the service's name
	_ = json.Unmarshal(*envelope.Response, &response) // what it is without stays for the SDK to judge
	return response.RequestId, true
}
