// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// opened is a destination with its provider. It is replaced as a whole when the
// settings change.
type opened struct {
	destination *Destination
	kind        provider.Kind
	remote      provider.Destination
	abilities   provider.Abilities
	transport   *http.Transport
	pacer       *quota.Pacer
	breaker     breaker

	// refused is set while the service doesn't accept the credentials. Trying
	// them for every secret that waits could lock the key.
	refused atomic.Pointer[refusal]
	// Until the service has accepted the credentials once, one call is made at a
	// time: too many with wrong ones at once could lock the key.
	accepted atomic.Bool
	trying   chan struct{} // has an entry while such a call is under way

	// back is called when the service answers after it was away.
	back func()
}

// refusal is why no call is made, and until when.
type refusal struct {
	err   error
	until time.Time
}

// refusalTime is how long refused credentials aren't tried again, unless the
// destination changes or a person asks.
const refusalTime = blockedRetry / 3

func (e *Engine) open(d *Destination) (*opened, error) {
	kind, found := e.kinds[d.Type]
	if !found {
		return nil, fmt.Errorf("destination %s has a type that this plugin doesn't know", d.Ref())
	}
	o := &opened{destination: d, kind: kind, trying: make(chan struct{}, 1), back: func() { e.goOn(d.Ref()) }}
	config, transport, err := configure(d, e.userAgent)
	if err == nil {
		config.Gate = gate{o, e}
		o.remote, err = kind.Open(config)
	}
	if err != nil {
		return nil, fmt.Errorf("open destination %s: %w", d.Ref(), err)
	}
	o.transport, o.abilities = transport, provider.AbilitiesOf(o.remote)
	var quotas []provider.Quota
	if kind.Quotas != nil {
		quotas = kind.Quotas(config)
	}
	account := d.Ref()
	if kind.Account != nil {
		account = strings.Join([]string{d.Type, config.Endpoint.String(), d.Region, kind.Account(config)}, "\x00")
	}
	o.pacer = e.accounts.Open(account, quotas, d.MaxRequestsPerSecond)
	return o, nil
}

// configure returns what the provider's destination is opened with, but for the
// gate. The transport is the destination's own.
func configure(d *Destination, userAgent string) (provider.Config, *http.Transport, error) {
	endpoint, err := provider.ParseEndpoint(d.Endpoint)
	if err != nil {
		return provider.Config{}, nil, fmt.Errorf("endpoint: %w", err)
	}
	transport, err := provider.NewTransport(d.CACert)
	if err != nil {
		return provider.Config{}, nil, fmt.Errorf("ca_cert: %w", err)
	}
	return provider.Config{
		Region: d.Region, Endpoint: endpoint,
		AccessKeyID: d.AccessKeyID, AccessKeySecret: d.AccessKeySecret, SecurityToken: d.SecurityToken,
		Settings: d.Settings, Transport: transport, UserAgent: userAgent,
	}, transport, nil
}

func (o *opened) close() {
	o.pacer.Close()
	o.transport.CloseIdleConnections()
}

// goOn lets the replicas try again at once that rested while the destination was
// away.
func (e *Engine) goOn(ref string) {
	r := e.replicators.get(ref)
	if r == nil {
		return
	}
	e.log.Info("the destination answers again", "destination", ref)
	for _, queued := range e.activities.resting(ref) {
		r.add(queued, quota.Retry)
	}
	e.enqueueCredentials(ref, (*credentialWork).rests)
}

// gate stands before each call of an opened destination.
type gate struct {
	o *opened
	e *Engine
}

var _ provider.Gate = gate{}

// Enter waits for the call's turn. It refuses while the credentials are refused.
func (g gate) Enter(ctx context.Context, operation string) error {
	begin := time.Now()
	if err := g.enter(ctx, operation); err != nil {
		return err
	}
	g.e.meters(g.o).waited(time.Since(begin))
	return nil
}

func (g gate) enter(ctx context.Context, operation string) error {
	if err := paused(ctx); err != nil {
		return err
	}
	if !g.o.accepted.Load() {
		select {
		case g.o.trying <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if g.o.accepted.Load() {
			g.tried()
		}
	}
	if r := g.o.refused.Load(); r != nil && time.Now().Before(r.until) {
		g.tried()
		return r.err
	}
	if err := g.o.pacer.Enter(ctx, operation); err != nil {
		g.tried()
		return fmt.Errorf("wait for the turn of %s: %w", operation, err)
	}
	err := paused(ctx) // it may have begun during the wait
	if err == nil && !readsOnly(ctx) {
		err = g.e.storage.renew(ctx)
	}
	if err != nil {
		g.tried()
		return err
	}
	return nil
}

// tried lets the next call try the credentials.
func (g gate) tried() {
	select {
	case <-g.o.trying:
	default:
	}
}

// Leave draws conclusions from how the call ended.
func (g gate) Leave(ctx context.Context, operation, requestID string, took time.Duration, err error) {
	if trace, found := ctx.Value(traceKey{}).(*trace); found {
		trace.add(requestID)
	}
	if step, found := ctx.Value(stepKey{}).(*stepTrace); found {
		step.add(operation, requestID)
	}
	class := provider.Class("")
	if err != nil {
		class = provider.ClassOf(err)
	}
	g.e.meters(g.o).called(operation, class, took)
	switch class {
	case provider.ClassUnavailable:
	case provider.ClassAuth:
		g.o.accepted.Store(false)
		g.o.refused.Store(&refusal{err: err, until: time.Now().Add(refusalTime)})
	case provider.ClassThrottled:
		g.o.pacer.Throttled(operation, retryAfter(err))
	default:
		g.o.accepted.Store(true)
	}
	g.tried()
	if class != provider.ClassUnavailable && g.o.breaker.answered() {
		g.o.back()
	}
}

// mostTraced bounds how many request ids are kept of one convergence.
const mostTraced = 8

// trace collects the request ids of the calls of one convergence.
type trace struct {
	mu    sync.Mutex
	ids   []string
	calls int // also those without an id
}

type traceKey struct{}

// traced returns a context whose calls leave their request ids in the trace.
func traced(ctx context.Context) (context.Context, *trace) {
	t := &trace{}
	return context.WithValue(ctx, traceKey{}, t), t
}

// made is how many calls were made.
func (t *trace) made() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls
}

func (t *trace) add(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	if id == "" {
		return
	}
	if t.ids = append(t.ids, id); len(t.ids) > mostTraced {
		t.ids = t.ids[1:]
	}
}
