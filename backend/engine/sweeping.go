// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"sync"
	"time"
)

// sweeping is how far the changes of rules and destinations have come that other
// secrets follow, by their paths. It is safe for concurrent use.
type sweeping struct {
	mu     sync.Mutex
	last   int
	byPath map[string]*sweepProgress
}

func sweepOfRule(name string) string       { return "rules/" + name }
func sweepOfDestination(ref string) string { return "destinations/" + ref }

type sweepProgress struct {
	change             int // each has another number
	since              time.Time
	examined, affected int
}

// begin notes a change and returns its number.
func (s *sweeping) begin(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byPath == nil {
		s.byPath = map[string]*sweepProgress{}
	}
	s.last++
	s.byPath[path] = &sweepProgress{change: s.last, since: time.Now().UTC()}
	return s.last
}

// current tells whether no newer change has begun.
func (s *sweeping) current(path string, change int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.byPath[path]
	return p != nil && p.change == change
}

func (s *sweeping) update(path string, change int, do func(p *sweepProgress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.byPath[path]; p != nil && p.change == change {
		do(p)
	}
}

func (s *sweeping) restart(path string, change int) {
	s.update(path, change, func(p *sweepProgress) { p.examined, p.affected = 0, 0 })
}

func (s *sweeping) examined(path string, change int) {
	s.update(path, change, func(p *sweepProgress) { p.examined++ })
}

func (s *sweeping) affected(path string, change int) {
	s.update(path, change, func(p *sweepProgress) { p.affected++ })
}

// end forgets a change that is applied.
func (s *sweeping) end(path string, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.byPath[path]; p != nil && p.change == change {
		delete(s.byPath, path)
	}
}

// status is how far a change has come.
func (s *sweeping) status(path string, since time.Time) *SweepStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := &SweepStatus{Since: since}
	if p := s.byPath[path]; p != nil {
		status.Examined, status.Affected = p.examined, p.affected
	}
	return status
}

// all are the changes under way, by path.
func (s *sweeping) all() map[string]SweepStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]SweepStatus, len(s.byPath))
	for path, p := range s.byPath {
		all[path] = SweepStatus{Since: p.since, Examined: p.examined, Affected: p.affected}
	}
	return all
}
