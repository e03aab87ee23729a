// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Kind is what a fault does to a call.
type Kind string

// The kinds of faults.
const (
	Error Kind = "error" // answer with the error Code, after authentication
	HTTP  Kind = "http"  // answer with Status and an HTML Body, as a proxy would
	Drop  Kind = "drop"  // close the connection without an answer
	Delay Kind = "delay" // wait for Duration, then go on; with Count 0 and no Secret it is the operation's latency
	Hang  Kind = "hang"  // wait until the caller gives up, or go on when the fault is cleared
	Skew  Kind = "skew"  // the service's clock is ahead by Duration for this call
)

// Fault is something that goes wrong with matching calls.
type Fault struct {
	Kind Kind `json:"kind"`

	Operation string `json:"operation,omitempty"` // "" for every operation
	Secret    string `json:"secret,omitempty"`    // name of the secret, "" for every one
	Skip      int    `json:"skip,omitempty"`      // that many matching calls pass first
	Count     int    `json:"count,omitempty"`     // how many calls are hit, 0 for all until cleared

	// AfterEffect lets the call do its work before the fault strikes: with Drop
	// it is a lost reply.
	AfterEffect bool `json:"after_effect,omitempty"`

	Code     string        `json:"code,omitempty"`    // Error
	Message  string        `json:"message,omitempty"` // Error
	Status   int           `json:"status,omitempty"`  // HTTP: default 502; Error: default what the service uses
	Body     string        `json:"body,omitempty"`    // HTTP: default a proxy's page
	Empty    bool          `json:"empty,omitempty"`   // HTTP: no body at all
	Duration time.Duration `json:"-"`                 // Delay, Skew; in JSON "duration" as in "250ms"
}

// LostReply is a fault that does the work of one call and drops its answer.
func LostReply(operation string) Fault {
	return Fault{Kind: Drop, AfterEffect: true, Operation: operation, Count: 1}
}

// Fails is a fault that answers the next call with an error code.
func Fails(operation, code string) Fault {
	return Fault{Kind: Error, Code: code, Operation: operation, Count: 1}
}

type plainFault Fault // without the JSON methods

type faultJSON struct {
	plainFault
	Duration string `json:"duration,omitempty"`
}

// MarshalJSON writes the duration as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	out := faultJSON{plainFault: plainFault(f)}
	if f.Duration != 0 {
		out.Duration = f.Duration.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var in faultJSON
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields() // a misspelt member would strike more calls than meant
	if err := decoder.Decode(&in); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	if in.Duration != "" {
		d, err := time.ParseDuration(in.Duration)
		if err != nil {
			return fmt.Errorf("duration of the fault: %w", err)
		}
		in.plainFault.Duration = d
	}
	*f = Fault(in.plainFault)
	return nil
}

func (f Fault) check() error {
	switch {
	case !slices.Contains([]Kind{Error, HTTP, Drop, Delay, Hang, Skew}, f.Kind):
		return fmt.Errorf("fault of kind %q: the kinds are error, http, drop, delay, hang and skew", f.Kind)
	case f.Kind == Error && f.Code == "":
		return errors.New("fault of kind error: code must be given")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("fault with status %d: the status must lie between 200 and 599", f.Status)
	case f.Skip < 0 || f.Count < 0 || f.Kind == Delay && f.Duration < 0:
		return fmt.Errorf("fault of kind %s: skip, count and the duration of a delay can't be negative", f.Kind)
	case f.Kind == Skew && f.AfterEffect:
		return errors.New("fault of kind skew: it can't come after the effect")
	}
	return nil
}

// Rule is a fault in force.
type Rule struct {
	ID    int   `json:"id"`
	Fault Fault `json:"fault"`
	Hits  int   `json:"hits"` // calls it has struck so far

	// Struck is closed when the fault strikes for the first time, so that a
	// test can wait for a call to hang.
	Struck <-chan struct{} `json:"-"`
}

// rule is a fault with its progress; Faults.mu guards it.
type rule struct {
	Fault
	id, seen, hits int
	struck         chan struct{} // closed at the first hit
	cleared        chan struct{} // closed when the rule is taken away
}

// Faults are the faults of a service, in the order they were added. It is safe
// for concurrent use.
type Faults struct {
	mu    sync.Mutex
	last  int
	rules []*rule
}

// Add puts a fault in force.
func (s *Faults) Add(f Fault) (Rule, error) {
	if err := f.check(); err != nil {
		return Rule{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	r := &rule{Fault: f, id: s.last, struck: make(chan struct{}), cleared: make(chan struct{})}
	s.rules = append(s.rules, r)
	return r.snapshot(), nil
}

func (r *rule) snapshot() Rule {
	return Rule{ID: r.id, Fault: r.Fault, Hits: r.hits, Struck: r.struck}
}

// List returns the faults in force. One that has struck its Count stays listed
// until it is cleared.
func (s *Faults) List() []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	rules := make([]Rule, len(s.rules))
	for i, r := range s.rules {
		rules[i] = r.snapshot()
	}
	return rules
}

// Find returns a fault in force.
func (s *Faults) Find(id int) (Rule, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rules {
		if r.id == id {
			return r.snapshot(), true
		}
	}
	return Rule{}, false
}

// Clear takes one fault away and tells whether it was there. Calls that hang
// by it go on.
func (s *Faults) Clear(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.rules {
		if r.id == id {
			close(r.cleared)
			s.rules = slices.Delete(s.rules, i, i+1)
			return true
		}
	}
	return false
}

// ClearAll takes every fault away.
func (s *Faults) ClearAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rules {
		close(r.cleared)
	}
	s.rules = nil
}

// strike returns what goes wrong with a call: every delay, hang and skew that
// matches, and the first of the faults that end a call. Faults behind that one
// are kept for later calls.
func (s *Faults) strike(t Target) []*rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.strikeLocked(func(r *rule) bool { return r.matches(t) })
}

// StrikeWork is for work that a service does by itself, such as a rotation: it
// returns what goes wrong with it, as for a call. Only faults that name the
// operation count, so that one for every call never goes to what nobody called.
// What they mean for the work is the service's affair: a delay may be time on
// its clock, and a hang lasts for as long as Find knows the rule.
func (s *Faults) StrikeWork(t Target) []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	struck := s.strikeLocked(func(r *rule) bool { return r.Operation != "" && r.matches(t) })
	rules := make([]Rule, len(struck))
	for i, r := range struck {
		rules[i] = r.snapshot()
	}
	return rules
}

func (s *Faults) strikeLocked(matches func(*rule) bool) []*rule {
	var struck []*rule
	ended := false
	for _, r := range s.rules {
		if !matches(r) || ended && r.ends() {
			continue
		}
		r.seen++
		if r.seen <= r.Skip || r.Count > 0 && r.hits >= r.Count {
			continue
		}
		if r.hits++; r.hits == 1 {
			close(r.struck)
		}
		ended = ended || r.ends()
		struck = append(struck, r)
	}
	return struck
}

func (r *rule) matches(t Target) bool {
	return (r.Operation == "" || r.Operation == t.Operation) && (r.Secret == "" || r.Secret == t.Secret)
}

func (r *rule) ends() bool { return r.Kind == Error || r.Kind == HTTP || r.Kind == Drop }
