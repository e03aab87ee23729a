// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Call is what the errors of one remote call need to know about it. Its methods
// make those errors that are the same for every cloud: the ones without an
// answer of the API.
type Call struct {
	Operation string             // the service's name of the call
	Writes    bool               // it changes something, so its failure may be ambiguous
	Secrets   []sensitive.String // to keep out of texts
}

// Heard is what a call learns from its answer besides the content.
type Heard struct {
	RequestID  string
	RetryAfter time.Duration // see [RetryAfter]
}

// CallTimeout bounds one remote call from when the gate lets it pass. The APIs
// answer within a second or fail; what takes longer is better begun anew.
const CallTimeout = 30 * time.Second

// Send takes the call through the gate, which may be nil, and makes it by send:
// once, or not at all if the context is done or the gate says no. The context of
// send ends after [CallTimeout]. The error of send is the classified one of this
// call; it gets the service's hint when to come back.
func (c Call) Send(ctx context.Context, gate Gate, send func(context.Context, *Heard) error) error {
	if ctx.Err() != nil {
		return c.Interrupted(ctx.Err(), false)
	}
	if gate == nil {
		gate = openGate{}
	}
	if err := gate.Enter(ctx, c.Operation); err != nil {
		return c.stopped(err)
	}
	var heard Heard
	begin := time.Now()
	var err error
	if ctx.Err() != nil { // the wait at the gate has used up the time
		err = c.Interrupted(ctx.Err(), false)
	} else {
		limited, cancel := context.WithTimeout(ctx, CallTimeout)
		err = send(limited, &heard)
		cancel()
	}
	took := time.Since(begin)
	var refused *Error
	if errors.As(err, &refused) {
		if heard.RetryAfter > refused.RetryAfter {
			refused.RetryAfter = heard.RetryAfter
		}
		heard.RequestID = cmp.Or(refused.RequestID, heard.RequestID)
	}
	gate.Leave(ctx, c.Operation, c.Scrub(heard.RequestID), took, err)
	return err
}

// stopped is the gate's refusal, as it is if it has a class. Nothing was sent.
func (c Call) stopped(refusal error) error {
	var e *Error
	if errors.As(refusal, &e) {
		return refusal
	}
	e = &Error{Class: ClassUnavailable, Operation: c.Operation, Message: "the call wasn't made: " + refusal.Error()}
	return e.Because(refusal)
}

// openGate lets every call pass.
type openGate struct{}

func (openGate) Enter(context.Context, string) error                         { return nil }
func (openGate) Leave(context.Context, string, string, time.Duration, error) {}

// Scrub returns text without the secrets of the call.
func (c Call) Scrub(text string) string { return sensitive.Scrub(text, c.Secrets...) }

// Interrupted is the end of the call's context, whose error is cause. It is
// never ambiguous before the call was sent.
func (c Call) Interrupted(cause error, sent bool) error {
	e := &Error{
		Class:     ClassUnavailable,
		Operation: c.Operation,
		Message:   "no answer: " + cause.Error(),
		Ambiguous: sent && c.Writes,
	}
	return e.Because(cause)
}

// Unusable is an HTTP answer that isn't one of the API. One with a status of
// the 300s or 400s comes from a gateway or proxy that didn't pass the call on.
func (c Call) Unusable(answer *AnswerError) error {
	e := &Error{
		Class:     ClassUnavailable,
		Operation: c.Operation,
		Message:   answer.Error(),
		Ambiguous: c.Writes && (answer.Status < 300 || answer.Status >= 500),
	}
	if answer.Status == http.StatusTooManyRequests {
		e.Class = ClassThrottled
	}
	return e
}

// Unreachable is a failure to reach the endpoint or to hear from it. Before a
// connection stands nothing has been sent.
func (c Call) Unreachable(cause error) error {
	e := &Error{
		Class:     ClassUnavailable,
		Operation: c.Operation,
		Message:   "no answer from the endpoint: " + c.Scrub(cause.Error()),
		Ambiguous: c.Writes,
	}
	var untrusted *tls.CertificateVerificationError
	var connection *net.OpError
	switch {
	case errors.As(cause, &untrusted):
		e.Message = "the endpoint's certificate isn't trusted: " + c.Scrub(untrusted.Err.Error()) +
			"; set ca_cert if the endpoint has a CA of its own"
		e.Ambiguous = false
	case errors.As(cause, &connection) && connection.Op == "dial":
		e.Ambiguous = false
	}
	return e
}

// AnswerError is an HTTP answer that isn't one of the API; see [Call.Unusable].
type AnswerError struct {
	Status int
	Fault  string // in our words; the body may hold a value
	Cause  error  // of a broken body; may be nil
}

// Error names the status and the fault.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("HTTP status %d: %s", e.Status, e.Fault)
}

// Unwrap returns the cause, if there is one.
func (e *AnswerError) Unwrap() error { return e.Cause }
