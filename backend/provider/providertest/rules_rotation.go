// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

func rotates(s *suite, n provider.NewCredential) {
	if !s.product(n).Rotates {
		return
	}
	name := s.issued(n)
	value, versions := s.credentialValue(name), s.credentialVersions(name)
	for _, token := range []string{"token-1", "token-2"} {
		if status := s.rotated(name, token); status.State != provider.TaskSucceeded {
			s.Fatalf("the rotation of a %s ended with %+v", n.Product, status)
		}
		s.credentialState(name, provider.CredentialReady)
		next, now := s.credentialValue(name), s.credentialVersions(name)
		if sameValue(value, next) {
			s.Errorf("the %s has its old value after a rotation", n.Product)
		}
		if sameVersions(versions, now) {
			s.Errorf("the versions of a %s don't show a rotation: %+v", n.Product, now)
		}
		value, versions = next, now
		s.tick()
	}
	if !s.product(n).RotatesOnce {
		return
	}
	s.rotated(name, "token-2")
	if !sameValue(value, s.credentialValue(name)) {
		s.Errorf("the same token has rotated a %s twice", n.Product)
	}
}

func rotatesSlowly(s *suite, n provider.NewCredential) {
	s.can(s.Credentials.Slow != nil, "rotating slowly")
	if !s.product(n).Rotates {
		return
	}
	name := s.issued(n)
	before := s.credentialValue(name)
	s.Credentials.Slow()
	task, err := s.issuer().RotateCredential(s.ctx, name, "token-1")
	s.noError(err, "rotate a %s", n.Product)
	if _, ended := s.look(task); ended {
		s.Errorf("the slow rotation of a %s has ended already", n.Product)
	}
	s.credentialValue(name)
	s.Credentials.Finish()
	if status := s.followed(task); status.State != provider.TaskSucceeded {
		s.Errorf("the rotation of a %s ended with %+v", n.Product, status)
	}
	if sameValue(before, s.credentialValue(name)) {
		s.Errorf("the %s has its old value after a rotation", n.Product)
	}
}

func failsToRotate(s *suite, n provider.NewCredential) {
	s.can(s.Credentials.FailNext != nil, "failing to rotate")
	if !s.product(n).Rotates {
		return
	}
	name := s.issued(n)
	before := s.credentialValue(name)
	s.Credentials.FailNext()
	if status := s.rotated(name, "token-1"); status.State != provider.TaskFailed {
		s.Errorf("the rotation of a %s that fails ended with %+v", n.Product, status)
	}
	if !sameValue(before, s.credentialValue(name)) {
		s.Errorf("the %s has another value after a rotation that failed", n.Product)
	}
}

func losesRotation(s *suite, n provider.NewCredential) {
	if !s.product(n).Rotates {
		return
	}
	name := s.issued(n)
	before, versions := s.credentialValue(name), s.credentialVersions(name)
	rotate := func() error { _, err := s.issuer().RotateCredential(s.ctx, name, "token-1"); return err }
	if s.Credentials.LoseRotation != nil {
		s.Credentials.LoseRotation()
	} else {
		s.strike(FaultLostAnswer)
	}
	if e := s.failure(rotate(), provider.ClassUnavailable, "rotate a %s without an answer", n.Product); !e.Ambiguous {
		s.Errorf("a rotation without an answer isn't ambiguous")
	}
	for range mostLooks {
		if s.credential(name).State == provider.CredentialReady && !sameVersions(versions, s.credentialVersions(name)) {
			break
		}
		s.tick()
	}
	after := s.credentialValue(name)
	if sameVersions(versions, s.credentialVersions(name)) || sameValue(before, after) {
		s.Fatalf("a %s isn't rotated although only the answer was lost", n.Product)
	}
	if s.product(n).RotatesOnce {
		s.noError(rotate(), "rotate again with the token")
		if !sameValue(after, s.credentialValue(name)) {
			s.Errorf("the same token has rotated a %s twice", n.Product)
		}
	}
}

// schedules are two that the product can have.
func schedules(p provider.CredentialProduct) (first, second time.Duration) {
	unit := max(p.RotationUnit, time.Hour)
	return p.ShortestRotation + unit, p.ShortestRotation + 2*unit
}

func schedulesRotation(s *suite, n provider.NewCredential) {
	p := s.product(n)
	if p.ShortestRotation == 0 {
		return
	}
	name := s.issued(n)
	value := s.credentialValue(name)
	if s.credential(name).Rotation.Enabled {
		s.Errorf("a %s made without a schedule has one", n.Product)
	}
	first, second := schedules(p)
	for _, interval := range []time.Duration{first, second, second} {
		s.noError(s.issuer().SetRotation(s.ctx, name, provider.Rotation{Enabled: true, Interval: interval}), "set a schedule of %v", interval)
		if c := s.credential(name); !c.Rotation.Enabled || c.Rotation.Interval != interval {
			s.Errorf("the schedule of a %s is %+v, want every %v", n.Product, c.Rotation, interval)
		}
	}
	for range 2 {
		s.noError(s.issuer().SetRotation(s.ctx, name, provider.Rotation{}), "switch the schedule off")
		if c := s.credential(name); c.Rotation.Enabled || !c.NextRotation.IsZero() {
			s.Errorf("the schedule of a %s is off, and reads as %+v, next %v", n.Product, c.Rotation, c.NextRotation)
		}
	}
	if !sameValue(value, s.credentialValue(name)) {
		s.Errorf("setting a schedule changes the value of a %s", n.Product)
	}
}

func rotatesBySchedule(s *suite, n provider.NewCredential) {
	s.can(s.Credentials.Elapse != nil, "moving the clock")
	p := s.product(n)
	if p.ShortestRotation == 0 {
		return
	}
	interval, _ := schedules(p)
	n.Rotation = provider.Rotation{Enabled: true, Interval: interval}
	if p.SetsBegin {
		n.Rotation.Begin = s.credentialTime(n).Add(interval).Truncate(time.Second)
	}
	name := s.issued(n)
	c := s.credential(name)
	if !c.Rotation.Enabled || c.Rotation.Interval != interval {
		s.Errorf("the schedule of a %s is %+v, want every %v", n.Product, c.Rotation, interval)
	}
	if p.SetsBegin && !c.NextRotation.IsZero() && !c.NextRotation.Equal(n.Rotation.Begin) {
		s.Errorf("the first rotation of a %s is at %v, want %v", n.Product, c.NextRotation, n.Rotation.Begin)
	}
	value, versions := s.credentialValue(name), s.credentialVersions(name)
	s.Credentials.Elapse(interval + time.Hour)
	if sameVersions(versions, s.credentialVersions(name)) || sameValue(value, s.credentialValue(name)) {
		s.Errorf("a %s isn't rotated although its time has come", n.Product)
	}
}

// credentialTime is the service's time, seen by a credential made just now.
func (s *suite) credentialTime(n provider.NewCredential) time.Time {
	s.Helper()
	n.Rotation = provider.Rotation{}
	return s.credential(s.issued(n)).CreatedTime
}

func redescribesCredential(s *suite, n provider.NewCredential) {
	name := s.issued(n)
	value := s.credentialValue(name)
	s.noError(s.SetDescription(s.ctx, name, "other "+s.mark(name)), "change the description")
	if c := s.credential(name); c.Description != "other "+s.mark(name) {
		s.Errorf("the description of a %s is %q", n.Product, c.Description)
	}
	if tagger, ok := s.Destination.(provider.Tagger); ok {
		s.noError(tagger.ChangeTags(s.ctx, name, map[string]string{"team": "a"}, nil), "give a tag")
		if s.Tags != nil && s.Tags(name)["team"] != "a" {
			s.Errorf("the tags of a %s are %v", n.Product, s.Tags(name))
		}
		s.noError(tagger.ChangeTags(s.ctx, name, nil, []string{"team"}), "take the tag away")
	}
	if !sameValue(value, s.credentialValue(name)) {
		s.Errorf("a description changes the value of a %s", n.Product)
	}
}

// credentialOperations are all calls about a credential of that kind.
func (s *suite) credentialOperations(d provider.Destination, n provider.NewCredential) []operation {
	s.Helper()
	issuer, p := provider.IssuerOf(d), s.product(n)
	ops := []operation{
		{OpProducts, false, func(ctx context.Context, _ string) error { _, err := issuer.Products(ctx); return err }},
		{OpCreateCredential, true, func(ctx context.Context, name string) error {
			_, err := issuer.CreateCredential(ctx, name, s.withMark(n, name))
			return err
		}},
		{OpDescribeCredential, false, func(ctx context.Context, name string) error {
			_, err := issuer.DescribeCredential(ctx, name)
			return err
		}},
		{OpReadCredential, false, func(ctx context.Context, name string) error { _, err := issuer.ReadCredential(ctx, name); return err }},
		{OpCredentialVersions, false, func(ctx context.Context, name string) error {
			_, err := issuer.CredentialVersions(ctx, name)
			return err
		}},
	}
	if p.ShortestRotation > 0 {
		interval, _ := schedules(p)
		ops = append(ops, operation{OpSetRotation, true, func(ctx context.Context, name string) error {
			return issuer.SetRotation(ctx, name, provider.Rotation{Enabled: true, Interval: interval})
		}})
	}
	if p.Rotates {
		ops = append(ops, operation{OpRotateCredential, true, func(ctx context.Context, name string) error {
			_, err := issuer.RotateCredential(ctx, name, "token-9")
			return err
		}})
	}
	return append(ops, operation{OpDeleteCredential, true, func(ctx context.Context, name string) error {
		_, err := issuer.DeleteCredential(ctx, name, s.shortestWindow(n), false)
		return err
	}})
}

func gatesCredential(s *suite, n provider.NewCredential) {
	s.can(s.Arrived != nil, "telling what has arrived")
	for i := range s.credentialOperations(s.Destination, n) {
		gate := &recorder{}
		op := s.credentialOperations(s.through(gate), n)[i]
		name := s.issued(n)
		if op.name == OpCreateCredential {
			name = s.credentialName(n)
		}
		before := len(s.Arrived())
		_ = op.call(s.ctx, name)
		arrived := s.Arrived()[before:]
		if got := gate.operations(); !slices.Equal(got, arrived) {
			s.Errorf("%s: the gate has let pass %v, the service has got %v", op.name, got, arrived)
		}
		for _, operation := range arrived {
			if s.Rate == nil {
				break
			}
			rate, documented := s.Rate(operation)
			quota, found := provider.QuotaFor(s.Kind.Quotas(s.Config), operation)
			if documented && (!found || quota.PerSecond > rate) {
				s.Errorf("%s is documented at %v per second, the kind says %v", operation, rate, quota.PerSecond)
			}
		}
	}
}

func faultsOfCredential(s *suite, n provider.NewCredential) {
	name := s.issued(n)
	value, versions := s.credentialValue(name), s.credentialVersions(name)
	for fault, class := range map[Fault]provider.Class{
		FaultThrottled: provider.ClassThrottled, FaultForbidden: provider.ClassPermission, FaultService: provider.ClassUnavailable,
	} {
		if s.Strike[fault] == nil {
			continue
		}
		for _, op := range s.credentialOperations(s.Destination, n) {
			if op.name == OpProducts && s.Arrived != nil && len(s.arrivals(op, name)) == 0 {
				continue // it is known without a call
			}
			on := name
			if op.name == OpCreateCredential {
				on = s.credentialName(n)
			}
			s.strike(fault)
			s.fails(op.call(s.ctx, on), class, "%s with a %s", op.name, fault)
		}
	}
	if !sameVersions(versions, s.credentialVersions(name)) || !sameValue(value, s.credentialValue(name)) {
		s.Errorf("calls that failed have changed a %s", n.Product)
	}
}

// arrivals are the calls that an operation makes.
func (s *suite) arrivals(op operation, name string) []string {
	before := len(s.Arrived())
	_ = op.call(s.ctx, name)
	return s.Arrived()[before:]
}
