// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var gateRules = []rule{
	{"each remote call passes the gate once and tells it how it ended", passesGate},
	{"a call that the gate doesn't let pass isn't made, and its error comes back", stopsAtGate},
	{"the gate hears the class of an error and the request id", tellsGate},
	{"the kind's quotas are the documented rates of the calls that it makes", knowsQuotas},
	{"a call over the documented rate is class throttled, and the others go on", isThrottled},
	{"a call whose time is up at the gate isn't made", waitsAtGate},
}

// passage is what a gate has seen of one call.
type passage struct {
	operation, requestID string
	left                 bool
	took                 time.Duration
	err                  error
}

// recorder is a gate that remembers, and stops one call.
type recorder struct {
	stop error // for the call after pass others; nil for none
	pass int

	mu       sync.Mutex
	passages []passage
}

func (r *recorder) Enter(_ context.Context, operation string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil && len(r.passages) >= r.pass {
		return r.stop
	}
	r.passages = append(r.passages, passage{operation: operation})
	return nil
}

func (r *recorder) Leave(_ context.Context, operation, requestID string, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.passages {
		if p.operation == operation && !p.left {
			r.passages[i] = passage{operation, requestID, true, took, err}
			return
		}
	}
	r.passages = append(r.passages, passage{operation: operation + " left without entering"})
}

func (r *recorder) operations() []string {
	var operations []string
	for _, p := range r.passages {
		operations = append(operations, p.operation)
	}
	return operations
}

// through opens the destination with a gate.
func (s *suite) through(gate provider.Gate) provider.Destination {
	s.Helper()
	return s.as(func(c *provider.Config) { c.Gate = gate })
}

// gated are all operations, those that look at no secret included.
func (s *suite) gated(d provider.Destination, versionID string) []operation {
	s.Helper()
	ops := s.operations(d, versionID)
	if o, ok := d.(provider.Lister); ok {
		ops = append(ops, operation{OpList, false, func(ctx context.Context, _ string) error { _, _, err := o.List(ctx, ""); return err }})
	}
	if o, ok := d.(provider.KeyChecker); ok && s.KMSKeyID != "" {
		ops = append(ops, operation{OpCheckKey, false, func(ctx context.Context, _ string) error { return o.CheckKey(ctx, s.KMSKeyID) }})
	}
	if o, ok := d.(provider.Tagger); ok {
		ops = append(ops, operation{OpChangeTags, true, func(ctx context.Context, n string) error {
			return o.ChangeTags(ctx, n, map[string]string{"comes": "1"}, []string{"goes"})
		}})
	}
	return ops
}

// visit makes the i-th operation through the gate on a secret of its own, and
// returns its error and what has reached the service by it.
func (s *suite) visit(gate provider.Gate, i int) (op operation, arrived []string, err error) {
	s.Helper()
	name, id := s.made(s.text("1"))
	if o, ok := s.Destination.(provider.Tagger); ok {
		s.noError(o.ChangeTags(s.ctx, name, map[string]string{"goes": "1"}, nil), "give a tag")
	}
	op = s.gated(s.through(gate), id)[i]
	if op.name == OpCreate {
		name = s.name()
	}
	before := len(s.Arrived())
	err = op.call(s.ctx, name)
	return op, s.Arrived()[before:], err
}

func passesGate(s *suite) {
	s.can(s.Arrived != nil, "telling what has arrived")
	for i := range s.gated(s.Destination, "") {
		gate := &recorder{}
		op, arrived, _ := s.visit(gate, i)
		if got := gate.operations(); len(got) == 0 || !slices.Equal(got, arrived) {
			s.Errorf("%s: the gate has let pass %v, the service has got %v", op.name, got, arrived)
		}
		for _, p := range gate.passages {
			if !p.left || p.requestID == "" || p.took < 0 {
				s.Errorf("%s: the gate has heard of a call's end: %+v", op.name, p)
			}
		}
	}
	if o, ok := s.Destination.(provider.Checker); ok {
		_, err := o.Check(s.ctx)
		s.noError(err, "check")
		gate, before := &recorder{}, len(s.Arrived())
		_, err = provider.Check(s.ctx, s.through(gate))
		s.noError(err, "check through a gate")
		if got, arrived := gate.operations(), s.Arrived()[before:]; !slices.Equal(got, arrived) {
			s.Errorf("check: the gate has let pass %v, the service has got %v", got, arrived)
		}
	}
}

func stopsAtGate(s *suite) {
	s.can(s.Arrived != nil, "telling what has arrived")
	held := errors.New("held at the gate")
	for i := range s.gated(s.Destination, "") {
		open := &recorder{}
		op, _, _ := s.visit(open, i)
		for pass := range open.passages {
			gate := &recorder{stop: held, pass: pass}
			_, arrived, err := s.visit(gate, i)
			if !errors.Is(err, held) || pass == 0 && provider.IsAmbiguous(err) {
				s.Errorf("%s, stopped after %d calls, ends with %v, ambiguous %t", op.name, pass, err, provider.IsAmbiguous(err))
			}
			if len(arrived) != pass || len(gate.passages) != pass {
				s.Errorf("%s, stopped after %d calls: the service has got %v", op.name, pass, arrived)
			}
		}
	}
}

func tellsGate(s *suite) {
	name, _ := s.made(s.text("1"))
	gate := &recorder{}
	d := s.through(gate)
	_, err := d.Describe(s.ctx, name+"-absent")
	e := s.failure(err, provider.ClassNotFound, "describe an absent secret")
	last := gate.passages[len(gate.passages)-1]
	if !provider.IsNotFound(last.err) || last.requestID != e.RequestID || last.requestID == "" {
		s.Errorf("the gate has heard %+v of %v", last, err)
	}
	s.strike(FaultThrottled)
	_, err = d.Describe(s.ctx, name)
	s.fails(err, provider.ClassThrottled, "describe")
	if last := gate.passages[len(gate.passages)-1]; provider.ClassOf(last.err) != provider.ClassThrottled {
		s.Errorf("the gate has heard %+v", last)
	}
}

func knowsQuotas(s *suite) {
	s.can(s.Rate != nil, "telling its rates")
	quotas := s.Kind.Quotas(s.Config)
	made := map[string]bool{}
	for i := range s.gated(s.Destination, "") {
		gate := &recorder{}
		_, _, _ = s.visit(gate, i)
		for _, operation := range gate.operations() {
			made[operation] = true
		}
	}
	for operation := range made {
		want, documented := s.Rate(operation)
		if got, ok := provider.QuotaFor(quotas, operation); ok != documented || got.PerSecond != want {
			s.Errorf("%s has the quota %+v (%t), documented are %v per second (%t)", operation, got, ok, want, documented)
		}
	}
	groups := map[string]bool{}
	for _, q := range quotas {
		if q.Group == "" || groups[q.Group] {
			s.Errorf("the group %q has no name, or that of another", q.Group)
		}
		groups[q.Group] = true
	}
	if s.Kind.Account(s.Config) == "" || s.Kind.Account(s.Config) == s.Config.AccessKeySecret.Reveal() {
		s.Error("the account that the quotas are counted for isn't told")
	}
}

func isThrottled(s *suite) {
	s.can(s.Enforce != nil, "enforcing rates")
	name, _ := s.made(s.text("1"))
	s.Enforce(0.01)
	var err error
	for range 100 { // the first of a second is let through
		if _, err = s.Describe(s.ctx, name); err != nil {
			break
		}
	}
	s.fails(err, provider.ClassThrottled, "describe over and over")
	s.Enforce(0)
	s.described(name)
}

// lateGate lets a call in only when its time is up.
type lateGate struct {
	cancel context.CancelFunc
	recorder
}

func (g *lateGate) Enter(ctx context.Context, operation string) error {
	g.cancel()
	return g.recorder.Enter(ctx, operation)
}

func waitsAtGate(s *suite) {
	s.can(s.Arrived != nil, "telling what has arrived")
	name, id := s.made(s.text("1"))
	before := len(s.Arrived())
	for i := range s.gated(s.Destination, id) {
		ctx, cancel := context.WithCancel(s.ctx)
		gate := &lateGate{cancel: cancel}
		op := s.gated(s.through(gate), id)[i]
		err := op.call(ctx, name)
		s.interrupted(ctx, err, op.name)
		if provider.IsAmbiguous(err) {
			s.Errorf("%s: ambiguous, although nothing was sent", op.name)
		}
		if len(gate.passages) != 1 || !gate.passages[0].left {
			s.Errorf("%s: the gate has seen %+v", op.name, gate.passages)
		}
	}
	if arrived := s.Arrived()[before:]; len(arrived) != 0 {
		s.Errorf("the service has got %v", arrived)
	}
}
