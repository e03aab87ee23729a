// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// watch is a gate that says stop to every call, or remembers the last one.
type watch struct {
	stop      error
	requestID string
	err       error
	left      int
}

func (w *watch) Enter(context.Context, string) error { return w.stop }

func (w *watch) Leave(_ context.Context, _, requestID string, _ time.Duration, err error) {
	w.requestID, w.err = requestID, err
	w.left++
}

func TestSend(t *testing.T) {
	t.Parallel()
	call := Call{Operation: "PutSecretValue", Writes: true, Secrets: []sensitive.String{sensitive.NewString("canary-secret")}}
	answers := func(requestID string, after time.Duration, err error) func(context.Context, *Heard) error {
		return func(_ context.Context, h *Heard) error {
			*h = Heard{RequestID: requestID, RetryAfter: after}
			return err
		}
	}

	t.Run("without a gate a call is made and its error returned", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("broken")
		if err := call.Send(t.Context(), nil, answers("", 0, broken)); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the gate hears of a success with the request id", func(t *testing.T) {
		t.Parallel()
		gate := &watch{}
		if err := call.Send(t.Context(), gate, answers("r-1", time.Second, nil)); err != nil || gate.requestID != "r-1" || gate.err != nil || gate.left != 1 {
			t.Errorf("error %v, the gate has %+v", err, gate)
		}
	})
	t.Run("a refusal gets the longer of two hints when to come back", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct{ told, heard, want time.Duration }{
			{0, time.Second, time.Second}, {time.Minute, time.Second, time.Minute}, {time.Minute, 0, time.Minute},
		} {
			gate := &watch{}
			refusal := &Error{Class: ClassThrottled, RequestID: "r-2", RetryAfter: test.told}
			err := call.Send(t.Context(), gate, answers("r-3", test.heard, refusal))
			var e *Error
			if !errors.As(err, &e) || e.RetryAfter != test.want || gate.requestID != "r-2" {
				t.Errorf("%+v: error %+v, the gate has %+v", test, e, gate)
			}
		}
	})
	t.Run("what a service gives as its request id tells the gate no secret", func(t *testing.T) {
		t.Parallel()
		gate := &watch{}
		if err := call.Send(t.Context(), gate, answers("id-canary-secret", 0, nil)); err != nil || gate.requestID == "id-canary-secret" {
			t.Errorf("error %v, the gate has %+v", err, gate)
		}
	})
	t.Run("a call that the gate stops is never ambiguous, and keeps the gate's class and cause", func(t *testing.T) {
		t.Parallel()
		for stop, want := range map[error]Class{
			context.Canceled: ClassUnavailable,
			&Error{Class: ClassAuth, Message: "paused"}: ClassAuth,
		} {
			err := call.Send(t.Context(), &watch{stop: stop}, answers("", 0, nil))
			if !errors.Is(err, stop) || IsAmbiguous(err) || ClassOf(err) != want {
				t.Errorf("class %s, ambiguous %t: %v", ClassOf(err), IsAmbiguous(err), err)
			}
		}
	})
	t.Run("a gate that says no has the last word", func(t *testing.T) {
		t.Parallel()
		gate := &watch{stop: errors.New("no")}
		err := call.Send(t.Context(), gate, func(context.Context, *Heard) error {
			t.Error("the call was made")
			return nil
		})
		if !errors.Is(err, gate.stop) || gate.left != 0 {
			t.Errorf("error %v, left %d times", err, gate.left)
		}
	})
}

func TestRetryAfterReadsBothFormsAndIsBounded(t *testing.T) {
	t.Parallel()
	const noon = "Sun, 22 Nov 2026 12:00:00 GMT"
	for name, test := range map[string]struct {
		after, date string
		want        time.Duration
	}{
		"absent":                           {"", noon, 0},
		"seconds":                          {"7", "", 7 * time.Second},
		"no time at all":                   {"0", "", 0},
		"more than five minutes":           {"301", "", MaxRetryAfter},
		"seconds that overflow":            {"9223372036854775807", "", MaxRetryAfter},
		"negative seconds":                 {"-1", "", 0},
		"neither number nor date":          {"soon", noon, 0},
		"a date, by the answer's clock":    {"Sun, 22 Nov 2026 12:00:30 GMT", noon, 30 * time.Second},
		"a date that is past":              {"Sun, 22 Nov 2026 11:59:59 GMT", noon, 0},
		"a date without one to compare":    {"Sun, 22 Nov 2099 12:00:00 GMT", "", MaxRetryAfter},
		"a date further than five minutes": {"Sun, 22 Nov 2026 13:00:00 GMT", noon, MaxRetryAfter},
	} {
		header := http.Header{}
		header.Set("Retry-After", test.after)
		header.Set("Date", test.date)
		if got := RetryAfter(header); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
