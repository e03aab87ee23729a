// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulatortest

import (
	"io"
	"net/http"
	"net/http/httptest"
)

// Transport returns a transport that takes calls to service without a network,
// whatever their host is, so that they can be made inside a synctest bubble. A
// dropped connection is io.ErrUnexpectedEOF; a call whose context ends returns
// at once.
func Transport(service http.Handler) http.RoundTripper { return transport{service} }

type transport struct{ service http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	inner := r.Clone(r.Context())
	if inner.Host == "" {
		inner.Host = r.URL.Host
	}
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	answers := make(chan *http.Response, 1) // nil for a dropped connection
	go func() {
		defer func() { _ = inner.Body.Close() }()
		answers <- t.answer(inner) //nolint:bodyclose // RoundTrip hands it to its caller
	}()
	select {
	case answer := <-answers:
		if answer == nil {
			return nil, io.ErrUnexpectedEOF
		}
		answer.Request = r
		return answer, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (t transport) answer(r *http.Request) (answer *http.Response) {
	defer func() {
		if failure := recover(); failure != nil {
			if failure != http.ErrAbortHandler { //nolint:errorlint // the value that net/http documents
				panic(failure)
			}
			answer = nil
		}
	}()
	recorder := httptest.NewRecorder()
	t.service.ServeHTTP(recorder, r)
	return recorder.Result()
}
