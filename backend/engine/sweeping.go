// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"sync"
	"time"
)

// sweeping is how far the changes of rules have come, by rule. It is safe for
// concurrent use.
type sweeping struct {
	mu     sync.Mutex
	last   int
	byRule map[string]*sweepProgress
}

type sweepProgress struct {
	change             int // each has another number
	examined, affected int
}

// begin notes a change of a rule and returns its number.
func (s *sweeping) begin(rule string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byRule == nil {
		s.byRule = map[string]*sweepProgress{}
	}
	s.last++
	s.byRule[rule] = &sweepProgress{change: s.last}
	return s.last
}

// current tells whether no newer change has begun.
func (s *sweeping) current(rule string, change int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byRule[rule]
	return p != nil && p.change == change
}

func (s *sweeping) update(rule string, change int, do func(p *sweepProgress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.byRule[rule]; p != nil && p.change == change {
		do(p)
	}
}

func (s *sweeping) restart(rule string, change int) {
	s.update(rule, change, func(p *sweepProgress) { p.examined, p.affected = 0, 0 })
}

func (s *sweeping) examined(rule string, change int) {
	s.update(rule, change, func(p *sweepProgress) { p.examined++ })
}

func (s *sweeping) affected(rule string, change int) {
	s.update(rule, change, func(p *sweepProgress) { p.affected++ })
}

// end forgets a change that is applied.
func (s *sweeping) end(rule string, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.byRule[rule]; p != nil && p.change == change {
		delete(s.byRule, rule)
	}
}

// status is how far the change of a rule has come.
func (s *sweeping) status(rule string, since time.Time) *SweepStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := &SweepStatus{Since: since}
	if p := s.byRule[rule]; p != nil {
		status.Examined, status.Affected = p.examined, p.affected
	}
	return status
}
