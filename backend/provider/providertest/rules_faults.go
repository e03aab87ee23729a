// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var faultRules = []rule{
	{"throttling is class throttled and has no effect", failsWith(FaultThrottled, provider.ClassThrottled, false)},
	{"a missing permission is class permission and has no effect", failsWith(FaultForbidden, provider.ClassPermission, false)},
	{"expired credentials are class auth and have no effect", failsWith(FaultExpired, provider.ClassAuth, false)},
	{"a fault of the service is class unavailable, and ambiguous for writers", failsWith(FaultService, provider.ClassUnavailable, true)},
	{"the answer of a broken proxy is class unavailable, and ambiguous for writers", failsWith(FaultProxy, provider.ClassUnavailable, true)},
	{"a dropped call is class unavailable, and ambiguous for writers", failsWith(FaultDropped, provider.ClassUnavailable, true)},
	{"the service's hint when to come back is kept", keepsHint},
	{"a write whose answer was lost can be repeated", repeatsLost},
	{"a cancelled context stops a call before it is made", cancelledBefore},
	{"a cancelled context ends a call that waits", cancelledDuring},
	{"a hundred goroutines can work at once", concurrent},
	{"no error quotes value or credentials, even if the service does", quotesNothing},
}

// failsWith checks one fault on every operation.
func failsWith(f Fault, class provider.Class, ambiguous bool) func(s *suite) {
	return func(s *suite) {
		name, id := s.made(s.text("1"))
		before := s.described(name)
		for _, op := range s.operations(s.Destination, id) {
			on := name
			if op.name == OpCreate {
				on = s.name()
			}
			s.strike(f)
			e := s.failure(op.call(s.ctx, on), class, "%s", op.name)
			if want := ambiguous && s.writesFirst(op); e.Ambiguous != want {
				s.Errorf("%s: ambiguous is %t, want %t", op.name, e.Ambiguous, want)
			}
			if op.name == OpCreate {
				s.isAbsent(on)
			}
		}
		if after := s.described(name); after != before {
			s.Errorf("it was %+v and is %+v", before, after)
		}
		s.holds(name, id, s.text("1"))
		if ids := s.versionIDs(name); len(ids) != 1 {
			s.Errorf("it has the versions %v, want one", ids)
		}
	}
}

// hinting is a transport whose answers say when to come back.
type hinting struct{ next http.RoundTripper }

func (h hinting) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := h.next.RoundTrip(r)
	if err == nil {
		answer.Header.Set("Retry-After", "7")
	}
	return answer, err
}

func keepsHint(s *suite) {
	s.can(s.Config.Transport != nil, "having headers")
	name, _ := s.made(s.text("1"))
	d := s.as(func(c *provider.Config) { c.Transport = hinting{c.Transport} })
	for fault, class := range map[Fault]provider.Class{FaultThrottled: provider.ClassThrottled, FaultProxy: provider.ClassUnavailable} {
		s.strike(fault)
		_, err := d.Describe(s.ctx, name)
		if e := s.failure(err, class, "describe with a %s", fault); e.RetryAfter != 7*time.Second {
			s.Errorf("%s: retry after %v, want 7s", fault, e.RetryAfter)
		}
	}
}

// writesFirst tells whether the first call of op may have an effect.
func (s *suite) writesFirst(op operation) bool {
	return op.writes && !slices.Contains(s.LooksFirst, op.name)
}

// lose calls op, which works while its answer is lost.
func (s *suite) lose(what string, op func() error) {
	s.Helper()
	s.strike(FaultLostAnswer)
	if e := s.failure(op(), provider.ClassUnavailable, "%s with its answer lost", what); !e.Ambiguous && !slices.Contains(s.LooksFirst, what) {
		s.Errorf("%s with its answer lost isn't ambiguous", what)
	}
}

func repeatsLost(s *suite) {
	name := s.name()
	create := func() error {
		_, err := s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v1"), Value: s.text("1"), Description: "ours"})
		return err
	}
	s.lose(OpCreate, create)
	s.fails(create(), provider.ClassExists, "create again")
	if got := s.hasState(name, provider.StateEnabled); got.Description != "ours" {
		s.Errorf("the description, by which the caller knows its own, is %q", got.Description)
	}
	s.holds(name, s.versionIDs(name)[0], s.text("1"))

	if !s.assignsIDs() {
		put := func() error { _, err := s.PutVersion(s.ctx, name, "v2", s.text("2")); return err }
		s.lose(OpPutVersion, put)
		s.noError(put(), "put again")
		if ids := s.versionIDs(name); len(ids) != 2 {
			s.Errorf("it has the versions %v, want two", ids)
		}
		s.holds(name, "v2", s.text("2"))
	}
	s.repeatLostChanges(name)
}

// repeatLostChanges takes a secret through its life, each step lost and then
// repeated.
func (s *suite) repeatLostChanges(name string) {
	s.Helper()
	twice := func(what string, op func() error) {
		s.Helper()
		s.lose(what, op)
		s.noError(op(), "%s again", what)
	}
	twice(OpSetDescription, func() error { return s.SetDescription(s.ctx, name, "changed") })
	if o, ok := s.Destination.(provider.Overwriter); ok {
		twice(OpOverwrite, func() error { return o.Overwrite(s.ctx, name, "v1", s.text("over")) })
		s.holds(name, "v1", s.text("over"))
	}
	if o, ok := s.Destination.(provider.VersionDeleter); ok {
		id := s.versionIDs(name)[0]
		twice(OpDeleteVersion, func() error { return o.DeleteVersion(s.ctx, name, id) })
	}
	s.repeatLostAbilities(name, twice)
	switcher, canSwitch := s.Destination.(provider.Switcher)
	if canSwitch {
		twice(OpDisable, func() error { return switcher.Disable(s.ctx, name) })
	}
	twice(OpDelete, func() error { return s.Delete(s.ctx, name, s.window()) })
	s.hasState(name, provider.StatePendingDeletion)
	if o, ok := s.Destination.(provider.Restorer); ok {
		twice(OpRestore, func() error { return o.Restore(s.ctx, name) })
		if canSwitch {
			twice(OpEnable, func() error { return switcher.Enable(s.ctx, name) })
		}
		s.hasState(name, provider.StateEnabled)
	}
	if s.Kind.Limits.Window.Immediate {
		name, _ = s.made(s.text("1"))
		s.disable(name)
		twice("Delete at once", func() error { return s.Delete(s.ctx, name, 0) })
		s.isAbsent(name)
	}
}

func cancelledBefore(s *suite) {
	name, id := s.made(s.text("1"))
	before := s.described(name)
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancel := context.WithDeadline(s.ctx, time.Unix(1, 0))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, late} {
		for _, op := range s.operations(s.Destination, id) {
			on := name
			if op.name == OpCreate {
				on = s.name()
			}
			s.interrupted(ctx, op.call(ctx, on), op.name)
		}
	}
	if after := s.described(name); after != before {
		s.Errorf("it was %+v and is %+v", before, after)
	}
}

func (s *suite) interrupted(ctx context.Context, err error, what string) {
	s.Helper()
	if !errors.Is(err, ctx.Err()) {
		s.Errorf("%s: errors.Is doesn't find %v in %v", what, ctx.Err(), err)
	}
	if err != nil {
		s.tellsNothing(err, what)
	}
}

func cancelledDuring(s *suite) {
	s.can(s.Hang != nil, "making a call wait")
	name, id := s.made(s.text("1"))
	for _, op := range s.operations(s.Destination, id) {
		on := name
		if op.name == OpCreate {
			on = s.name()
		}
		reached, release := s.Hang()
		ctx, cancel := context.WithCancel(s.ctx)
		ended := make(chan error, 1)
		go func() { ended <- op.call(ctx, on) }()
		<-reached
		cancel()
		err := <-ended // without a release: it is the context that ends the call
		release()
		s.interrupted(ctx, err, op.name)
		if provider.IsAmbiguous(err) != s.writesFirst(op) {
			s.Errorf("%s: ambiguous is %t", op.name, provider.IsAmbiguous(err))
		}
	}
}

func concurrent(s *suite) {
	shared, sharedID := s.made(s.text("shared"))
	workers := 100
	if s.Strike == nil {
		workers = 10 // a live account throttles
	}
	names := make([]string, workers)
	for i := range names {
		names[i] = s.name()
	}
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			if err := s.work(name, shared, sharedID); err != nil {
				s.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if ids := s.versionIDs(shared); !s.assignsIDs() && len(ids) != 2 {
		s.Errorf("all put one version of the shared secret, it has %v", ids)
	}
}

// work is what one goroutine does, on a secret of its own and a shared one.
func (s *suite) work(own, shared, sharedID string) error {
	created, err := s.Create(s.ctx, own, provider.NewSecret{VersionID: s.id("v1"), Value: s.text(own)})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if _, err := s.PutVersion(s.ctx, own, s.id("v2"), s.text("2")); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if !s.assignsIDs() {
		if _, err := s.PutVersion(s.ctx, shared, "v2", s.text("2")); err != nil {
			return fmt.Errorf("put into the shared secret: %w", err)
		}
	}
	if _, err := s.Read(s.ctx, shared, sharedID); err != nil {
		return fmt.Errorf("read the shared secret: %w", err)
	}
	got, err := s.Read(s.ctx, own, created.VersionID)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !got.Equal(s.text(own)) {
		return errors.New("it read the value of another")
	}
	return nil
}

func quotesNothing(s *suite) {
	s.can(s.Echo != nil, "choosing the service's words")
	name, id := s.made(s.text("1"))
	for _, op := range s.operations(s.Destination, id) {
		for what, text := range s.quotations(op) {
			s.Echo("refused: " + text)
			err := op.call(s.ctx, name)
			if err == nil {
				s.Fatalf("%s: an answer with an error is taken for success", op.name)
			}
			s.tellsNothing(err, op.name+" with an answer that quotes "+what)
			if strings.Contains(err.Error(), text) {
				s.Errorf("%s: the error quotes %s", op.name, what)
			}
		}
	}
}

// quotations are what the service knows from a call and mustn't be repeated.
func (s *suite) quotations(op operation) map[string]string {
	texts := map[string]string{"the access key's secret": s.Config.AccessKeySecret.Reveal()}
	if token := s.Config.SecurityToken.Reveal(); token != "" {
		texts["the security token"] = token
	}
	label, sends := map[string]string{OpCreate: "created", OpPutVersion: "put", OpOverwrite: "overwritten"}[op.name]
	if sends {
		value := s.text(label).Reveal()
		texts["the value"] = value
		texts["a part of the value"] = value[3:30]
	}
	return texts
}
