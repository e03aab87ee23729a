// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"slices"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Operations, as hooks and counts of a [Region] name them: the methods of the
// contract.
const (
	OpDescribe       = "Describe"
	OpVersions       = "Versions"
	OpRead           = "Read"
	OpCreate         = "Create"
	OpPutVersion     = "PutVersion"
	OpSetDescription = "SetDescription"
	OpDelete         = "Delete"
	OpOverwrite      = "Overwrite"
	OpDeleteVersion  = "DeleteVersion"
	OpEnable         = "Enable"
	OpDisable        = "Disable"
	OpRestore        = "Restore"
	OpMoveCurrent    = "MoveCurrent"
	OpChangeTags     = "ChangeTags"
	OpChangeKey      = "ChangeKey"
	OpList           = "List"
	OpCheck          = "Check"
	OpCheckKey       = "CheckKey"

	OpProducts           = "Products"
	OpCreateCredential   = "CreateCredential"
	OpFindCredential     = "FindCredential"
	OpDescribeCredential = "DescribeCredential"
	OpCredentialTask     = "CredentialTask"
	OpReadCredential     = "ReadCredential"
	OpRotateCredential   = "RotateCredential"
	OpSetRotation        = "SetRotation"
	OpCredentialVersions = "CredentialVersions"
	OpDeleteCredential   = "DeleteCredential"
)

var readingOps = []string{
	OpDescribe, OpVersions, OpRead, OpList, OpCheck, OpCheckKey,
	OpProducts, OpFindCredential, OpDescribeCredential, OpCredentialTask, OpReadCredential, OpCredentialVersions,
}

// IsWrite tells whether the operation changes something.
func IsWrite(op string) bool { return !slices.Contains(readingOps, op) }

// Call is one call that arrived, whatever came of it.
type Call struct {
	Op        string
	Name      string // "" for List, Check and CheckKey
	VersionID string // where the call names one
}

// Hook is asked about a call. An error makes the call fail with it. It runs
// without any lock held, and concurrently when calls do.
type Hook func(op, name string) error

// faults is what a region does beside working.
type faults struct {
	mu     sync.Mutex
	before Hook
	after  Hook
	holds  []*Hold
	calls  []Call
}

// Before installs a hook that runs before the effect: with an error from it
// nothing happens. It replaces the last one; nil removes it.
func (r *Region) Before(hook Hook) {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	r.faults.before = hook
}

// After installs a hook that runs after the effect: with an error from it the
// effect stays and the answer is lost. It replaces the last one; nil removes it.
// A call that failed by itself doesn't get there.
func (r *Region) After(hook Hook) {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	r.faults.after = hook
}

// Always returns a hook that fails every call of op, or of any operation when
// op is "".
func Always(op string, err error) Hook {
	return func(called, _ string) error {
		if op != "" && op != called {
			return nil
		}
		return err
	}
}

// Once returns a hook that fails the first call of op, or of any operation
// when op is "".
func Once(op string, err error) Hook {
	var mu sync.Mutex
	done := false
	return func(called, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if done || op != "" && op != called {
			return nil
		}
		done = true
		return err
	}
}

// Failure returns an error of that class as a service would give it before any
// effect.
func Failure(class provider.Class) *provider.Error {
	return &provider.Error{Class: class, Code: "Injected." + string(class), RequestID: "test", Message: "injected by the test"}
}

// LostAnswer returns the error of a call whose answer didn't arrive.
func LostAnswer() *provider.Error {
	return &provider.Error{Class: provider.ClassUnavailable, Message: "the answer was lost", Ambiguous: true}
}

// Hold blocks calls that match it, before their effect, until it is released or
// their context is done.
type Hold struct {
	op, name string
	once     sync.Once
	reached  chan struct{}
	release  chan struct{}
	released sync.Once
}

// Reached is closed when the first call has arrived.
func (h *Hold) Reached() <-chan struct{} { return h.reached }

// Release lets all calls go on. Repeating it does nothing.
func (h *Hold) Release() { h.released.Do(func() { close(h.release) }) }

// Hold blocks calls of op on name; "" matches any of either. The caller
// releases it.
func (r *Region) Hold(op, name string) *Hold {
	h := &Hold{op: op, name: name, reached: make(chan struct{}), release: make(chan struct{})}
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	r.faults.holds = append(r.faults.holds, h)
	return h
}

// Calls returns every call since the start or the last ResetCalls, in order of
// arrival.
func (r *Region) Calls() []Call {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	return slices.Clone(r.faults.calls)
}

// Count returns how many calls of op arrived, of all operations when op is "".
func (r *Region) Count(op string) int {
	n := 0
	for _, c := range r.Calls() {
		if op == "" || c.Op == op {
			n++
		}
	}
	return n
}

// ResetCalls forgets the calls.
func (r *Region) ResetCalls() {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	r.faults.calls = nil
}

// arrive records the call, waits for holds on it and runs the hook.
func (f *faults) arrive(ctx context.Context, c Call) error {
	f.mu.Lock()
	f.calls = append(f.calls, c)
	before := f.before
	holds := slices.Clone(f.holds)
	f.mu.Unlock()

	for _, h := range holds {
		if h.op != "" && h.op != c.Op || h.name != "" && h.name != c.Name {
			continue
		}
		h.once.Do(func() { close(h.reached) })
		select {
		case <-h.release:
		case <-ctx.Done():
			return interrupted(ctx, c.Op, IsWrite(c.Op))
		}
	}
	if before == nil {
		return nil
	}
	return before(c.Op, c.Name)
}

// answer runs the hook that may lose the answer.
func (f *faults) answer(c Call) error {
	f.mu.Lock()
	after := f.after
	f.mu.Unlock()
	if after == nil {
		return nil
	}
	return after(c.Op, c.Name)
}

func interrupted(ctx context.Context, op string, ambiguous bool) error {
	e := &provider.Error{Class: provider.ClassUnavailable, Operation: op, Message: "interrupted: " + ctx.Err().Error(), Ambiguous: ambiguous}
	return e.Because(ctx.Err())
}
