// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

const (
	// DefaultMaxDeletionsPerHour is what a destination allows that says nothing.
	DefaultMaxDeletionsPerHour = 50
	// UnlimitedDeletions as the limit of a destination holds none.
	UnlimitedDeletions = -1

	// brakeRetry is when a deletion asks again while others that came before it
	// may turn out to need no call.
	brakeRetry = time.Second
)

// The brake bounds how many secrets an hour are taken from their readers at one
// destination: by deletions, scheduled or not, and by withdrawals. What goes beyond
// is held, until a person lets it go or the secret is wanted again: it isn't tried
// when the hour is over, and no call is made for it.
//
// A held replica notes how often the destination's held ones were let go before.
// So letting all of them go is one write, whatever their number, and what is held
// later stays held, whatever the clocks of nodes say.

// brakeRecord is what survives a restart of a destination's brake.
type brakeRecord struct {
	// Taken counts what was taken from readers, by the minute in which it was.
	Taken map[int64]int `json:"taken,omitempty"`
	// Releases is how often what was held was let go.
	Releases int `json:"releases,omitempty"`
}

// within counts what was taken in the hour up to now. What was taken in a minute
// counts until an hour after its end.
func (r brakeRecord) within(now time.Time) int {
	n := 0
	for minute, taken := range r.Taken {
		if minute >= minuteOf(now)-60 {
			n += taken
		}
	}
	return n
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// Held is since when a deletion or withdrawal is held.
type Held struct {
	Since time.Time `json:"since"`
	// Releases is how often others had been let go by then.
	Releases int `json:"releases"`
}

// HeldError says that something isn't taken from its readers for now.
type HeldError struct{ Held Held }

func (e *HeldError) Error() string {
	return "held for review since " + e.Held.Since.Format(time.RFC3339)
}

// errBrakeBusy says that it isn't known yet whether the limit is reached.
var errBrakeBusy = errors.New("the last deletions of the hour are under way")

// brake is that of one destination. It is safe for concurrent use.
type brake struct {
	e   *Engine
	ref string

	mu       sync.Mutex
	record   *brakeRecord // nil before it was read
	reserved int          // by what may turn out to take nothing
}

// brakeAt is the brake of a destination.
func (e *Engine) brakeAt(ref string) *brake {
	found, _ := e.brakes.LoadOrStore(ref, &brake{e: e, ref: ref})
	b, _ := found.(*brake)
	return b
}

func (b *brake) readLocked(ctx context.Context) error {
	if b.record != nil {
		return nil
	}
	stored, err := brakes.Get(ctx, b.e.storage, b.ref)
	if err != nil {
		return err
	}
	if stored == nil {
		stored = &brakeRecord{}
	}
	b.record = stored
	return nil
}

func (b *brake) writeLocked(ctx context.Context, next brakeRecord) error {
	if err := brakes.Put(ctx, b.e.storage, b.ref, &next); err != nil {
		b.record = nil // it may be in storage or not
		return err
	}
	b.record = &next
	return nil
}

// admission is the leave to take one secret from its readers. It is used before
// the call, and ended afterwards, whether it was used or not.
type admission struct {
	brake *brake // nil for one that needn't be counted
	used  bool
}

// admit asks for the leave to take one secret from its readers at a destination
// that allows limit of them an hour. held is since when it is held, nil if it isn't.
// A *HeldError says that it is from now on, or still.
func (e *Engine) admit(ctx context.Context, ref string, limit int, held *Held) (*admission, error) {
	b := e.brakeAt(ref)
	b.mu.Lock()
	defer b.mu.Unlock()
	if limit == UnlimitedDeletions && held == nil {
		return &admission{}, nil
	}
	if err := b.readLocked(ctx); err != nil {
		return nil, err
	}
	switch now := time.Now().UTC(); {
	case held != nil && held.Releases < b.record.Releases:
		return &admission{}, nil
	case held != nil:
		return nil, &HeldError{Held: *held}
	case b.record.within(now) >= limit:
		return nil, &HeldError{Held: Held{Since: now, Releases: b.record.Releases}}
	case b.record.within(now)+b.reserved >= limit:
		return nil, errBrakeBusy
	}
	b.reserved++
	return &admission{brake: b}, nil
}

// use counts the secret, so that it counts also if nobody learns how the call
// ends.
func (a *admission) use(ctx context.Context) error {
	if a.brake == nil || a.used {
		return nil
	}
	b := a.brake
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.readLocked(ctx); err != nil {
		return err
	}
	now := minuteOf(time.Now())
	next := *b.record
	next.Taken = maps.Clone(next.Taken)
	maps.DeleteFunc(next.Taken, func(minute int64, _ int) bool { return minute < now-60 })
	if next.Taken == nil {
		next.Taken = map[int64]int{}
	}
	next.Taken[now]++
	if err := b.writeLocked(ctx, next); err != nil {
		return fmt.Errorf("count a deletion at destination %s: %w", b.ref, err)
	}
	a.used = true
	b.reserved--
	return nil
}

// end gives back what wasn't used.
func (a *admission) end() {
	if a == nil || a.brake == nil || a.used {
		return
	}
	a.brake.mu.Lock()
	defer a.brake.mu.Unlock()
	a.brake.reserved--
	a.used = true
}

// released tells whether what is held was let go meanwhile.
func (b *brake) released(held Held) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.record != nil && held.Releases < b.record.Releases
}

// taken counts what was taken from readers in the last hour.
func (b *brake) taken(ctx context.Context) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.readLocked(ctx); err != nil {
		return 0, err
	}
	return b.record.within(time.Now()), nil
}

// forget drops what is known of the brake of a destination that another node
// changed.
func (e *Engine) forgetBrake(ref string) {
	if found, known := e.brakes.Load(ref); known {
		if b, ok := found.(*brake); ok {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.record = nil
		}
	}
}

// deleteBrake deletes the brake of a destination that is no more.
func (e *Engine) deleteBrake(ctx context.Context, ref string) error {
	b := e.brakeAt(ref)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.record = nil
	return brakes.Delete(ctx, e.storage, ref)
}

// ReleaseHeld lets go on what is held at a destination by now, and returns how
// much that is. What is held later stays held.
func (e *Engine) ReleaseHeld(ctx context.Context, ref string) (released int, err error) {
	r, err := e.replicator(ctx, ref)
	if err != nil {
		return 0, err
	}
	if r == nil {
		return 0, Refusef("destination %s doesn't exist", ref)
	}
	e.awaitTakenUp(ctx)
	e.awaitCredentials(ctx)
	if len(e.activities.held(ref))+len(e.credentials.at(ref, (*credentialWork).held)) == 0 {
		return 0, nil
	}
	if err := e.brakeAt(ref).release(ctx); err != nil {
		return 0, err
	}
	items := e.activities.held(ref)
	for _, queued := range items {
		name, slot := splitItem(queued, ref)
		e.activities.report(name, slot, func(p *progress) { p.state, p.settled, p.heldSince = StatePending, 0, time.Time{} })
		r.add(queued, quota.Bulk)
	}
	managed := e.credentials.at(ref, (*credentialWork).held)
	for _, queued := range managed {
		e.credentials.report(strings.TrimPrefix(queued, credentialItems), func(w *credentialWork) { w.state = StateDeleting })
		r.add(queued, quota.Bulk)
	}
	return len(items) + len(managed), nil
}

func (b *brake) release(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.readLocked(ctx); err != nil {
		return err
	}
	next := *b.record
	next.Releases++
	return b.writeLocked(ctx, next)
}

// held returns what is held at the destination, as items of its queue.
func (as *activities) held(ref string) []string {
	return as.items(ref, func(p *progress) bool { return p.state == StateHeld })
}
