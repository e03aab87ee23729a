// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Rate is how many calls of a group of operations a service takes per second.
type Rate struct {
	PerSecond int `json:"per_second"`
	// Operations share the rate; nil for all that no other rate of the service
	// names.
	Operations []string `json:"operations,omitempty"`
}

// Throttling is what a service documents about its rates. The zero value
// documents none.
type Throttling struct {
	Rates []Rate
	// PerKey counts the calls of an access key, wherever they go. Otherwise those
	// of an account in a region are counted.
	PerKey bool
	// Refusal is the answer to a call over a limit of so many per second.
	Refusal func(limit int) *Failure
}

// rateWindow is what a limit is counted over. No shorter window would let fewer
// calls through in the long run, and none that slides lets through more than
// the limit in any second.
const rateWindow = time.Second

// maxRateFactor bounds the memory of a window.
const maxRateFactor = 1000

// Rates enforce what a service documents, by a sliding window: in any second at
// most as many calls are let through as the limit says. The real services don't
// say how they count; none can be stricter without staying below its own limit.
// Calls that are refused don't count. It is safe for concurrent use.
type Rates struct {
	documented Throttling

	mu      sync.Mutex
	factor  float64 // of the documented rates; 0 enforces none
	windows map[rateKey]*window
}

// rateKey is what calls are counted for.
type rateKey struct {
	rate           int // position in the documented rates
	caller, region string
}

// window has the times of the latest calls that were let through, as many as
// the limit; a ring once it is full.
type window struct {
	times []time.Time
	next  int // the oldest in a full ring
}

// NewRates returns rates that aren't enforced yet.
func NewRates(documented Throttling) *Rates { return &Rates{documented: documented} }

// Enforce lets calls through at so many times the documented rates, at least one
// per second and operation; 0 lets all through. Calls before it are forgotten.
func (s *Rates) Enforce(factor float64) error {
	if !(factor >= 0 && factor <= maxRateFactor) { // neither for NaN
		return fmt.Errorf("the factor of the rates is %g: it must be 0, for none, up to %d", factor, maxRateFactor)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.factor, s.windows = factor, map[rateKey]*window{}
	return nil
}

// Factor is what Enforce has set.
func (s *Rates) Factor() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.factor
}

// Documented are the rates of the service at factor 1.
func (s *Rates) Documented() []Rate { return slices.Clone(s.documented.Rates) }

// Documents returns the documented rate of an operation; false if it has none.
func (s *Rates) Documents(operation string) (Rate, bool) {
	i := s.find(operation)
	if i < 0 {
		return Rate{}, false
	}
	return s.documented.Rates[i], true
}

// find returns the position of an operation's rate, -1 if it has none.
func (s *Rates) find(operation string) int {
	if operation == "" {
		return -1
	}
	i := slices.IndexFunc(s.documented.Rates, func(r Rate) bool { return slices.Contains(r.Operations, operation) })
	if i >= 0 {
		return i
	}
	return slices.IndexFunc(s.documented.Rates, func(r Rate) bool { return r.Operations == nil })
}

// admit counts an authenticated call that came in at a time of the system's
// clock, which tests can't move, or refuses it.
func (s *Rates) admit(r *Request, at time.Time) *Failure {
	i := s.find(r.Operation)
	if i < 0 {
		return nil
	}
	key := rateKey{rate: i, caller: r.Account.AccountID, region: r.Region}
	if s.documented.PerKey {
		key.caller, key.region = r.Account.AccessKeyID, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.factor == 0 {
		return nil
	}
	limit := max(1, int(float64(s.documented.Rates[i].PerSecond)*s.factor))
	w, ok := s.windows[key]
	if !ok {
		w = new(window)
		s.windows[key] = w
	}
	if !w.admit(at, limit) {
		return s.documented.Refusal(limit)
	}
	return nil
}

func (w *window) admit(at time.Time, limit int) bool {
	if len(w.times) < limit {
		w.times = append(w.times, at)
		return true
	}
	if at.Sub(w.times[w.next]) < rateWindow {
		return false
	}
	w.times[w.next] = at
	w.next = (w.next + 1) % limit
	return true
}
