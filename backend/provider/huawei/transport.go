// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// maxAnswer bounds what is read of one answer. The largest legal one, a page of
// pageSize descriptions with every character escaped, stays below.
const maxAnswer = 1 << 20

// exchange is the last stage before the shared transport, for one call. It
// brings the context, which the SDK has no way to pass. It keeps back requests
// whose path isn't the operation's, because the SDK puts names into it as they
// are. And it lets only whole API answers through: the SDK takes a redirect or
// an empty body for success, reads without bound, chooses the decoder by the
// answer's content type, and panics at a body that is null.
type exchange struct {
	ctx    context.Context //nolint:containedctx // the exchange is one call
	next   http.RoundTripper
	path   string          // of the operation, * for a parameter
	silent bool            // success has no body
	heard  *provider.Heard // set when the answer is there
}

// RoundTrip implements http.RoundTripper.
func (x exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := x.checkPath(r.URL.Path); err != nil {
		return nil, err
	}
	answer, err := x.next.RoundTrip(r.WithContext(x.ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()

	*x.heard = provider.Heard{RequestID: answer.Header.Get("X-Request-Id"), RetryAfter: provider.RetryAfter(answer.Header)}
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: "a redirect, which isn't followed"}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: "the answer broke off", Cause: err}
	case len(body) > maxAnswer:
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: fmt.Sprintf("the answer has more than %d bytes", maxAnswer)}
	case len(body) == 0 && x.silent && answer.StatusCode < 300:
	case !isObject(body):
		return nil, &provider.AnswerError{Status: answer.StatusCode, Fault: "the answer isn't one of the API"}
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	answer.Header.Set("Content-Type", "application/json")
	return answer, nil
}

// parameterForm is what may stand in a path. A dot is legal in names of some
// ages of the API.
var parameterForm = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// checkPath makes sure that the path is the operation's, with harmless
// parameters.
func (x exchange) checkPath(path string) error {
	got := strings.Split(path, "/")
	want := strings.Split(x.path, "/")
	legal := len(got) == len(want)
	for i := 0; legal && i < len(want); i++ {
		if want[i] == "*" {
			legal = parameterForm.MatchString(got[i]) && strings.Trim(got[i], ".") != ""
		} else {
			legal = got[i] == want[i]
		}
	}
	if !legal {
		return invalid("a name or id isn't one of the service: letters, digits, '_', '-' and '.', at most 64 of them")
	}
	return nil
}

func isObject(body []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(body, &object) == nil && object != nil
}

var _ http.RoundTripper = exchange{}
