// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"maps"
	"sync"
	"time"
)

// keptCalls bounds the list of calls; the counters go on beyond it.
const keptCalls = 10000

// Call is one answered, failed or dropped call, without anything secret.
type Call struct {
	Time      time.Time     `json:"time"`
	Operation string        `json:"operation"` // "unknown" for one that the service doesn't have
	Region    string        `json:"region,omitempty"`
	Secret    string        `json:"secret,omitempty"`    // name of the secret, if the call names one
	Code      string        `json:"code,omitempty"`      // error code of the service, "" for success
	Fault     Kind          `json:"fault,omitempty"`     // the injected fault that ended the call, if one did
	Throttled bool          `json:"throttled,omitempty"` // the call was over a documented rate
	RequestID string        `json:"request_id"`
	Duration  time.Duration `json:"duration"` // nanoseconds

	ValueInURL bool `json:"value_in_url,omitempty"` // the URL held a secret's value
}

// Calls counts the calls to a service and remembers the latest ones. It is safe
// for concurrent use.
type Calls struct {
	mu     sync.Mutex
	recent []Call // the latest; a ring once it is full
	next   int    // position of the oldest in a full ring
	counts map[string]int
	total  int
	inURL  int // calls with ValueInURL

	throttled map[string]int // calls over a rate, by operation
}

func (s *Calls) add(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	if s.counts == nil {
		s.counts, s.throttled = make(map[string]int), make(map[string]int)
	}
	s.counts[c.Operation]++
	if c.Throttled {
		s.throttled[c.Operation]++
	}
	if c.ValueInURL {
		s.inURL++
	}
	if len(s.recent) < keptCalls {
		s.recent = append(s.recent, c)
		return
	}
	s.recent[s.next] = c
	s.next = (s.next + 1) % keptCalls
}

// Total is the number of calls since the last reset, refused ones included.
func (s *Calls) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Count is the number of calls of one operation since the last reset.
func (s *Calls) Count(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[operation]
}

// Counts is the number of calls by operation since the last reset.
func (s *Calls) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Throttled is the number of calls by operation since the last reset that were
// over a documented rate. Injected errors don't count.
func (s *Calls) Throttled() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.throttled)
}

// ValuesInURL is the number of calls since the last reset that carried a
// secret's value in their URL.
func (s *Calls) ValuesInURL() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inURL
}

// List returns the latest 10000 calls, oldest first.
func (s *Calls) List() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Call, 0, len(s.recent))
	list = append(list, s.recent[s.next:]...)
	return append(list, s.recent[:s.next]...)
}

// Reset forgets all calls.
func (s *Calls) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent, s.next, s.counts, s.throttled, s.total, s.inURL = nil, 0, nil, nil, 0, 0
}
