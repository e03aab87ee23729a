// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
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

// sweepSecrets does work for the name of every secret, until it has done so. What
// fails delays nothing else, and is tried again. errReplaced ends it.
func (e *Engine) sweepSecrets(ctx context.Context, what string, work func(name string) error) {
	e.awaitChanges()
	var mu sync.Mutex
	var failed []string
	e.persist(ctx, what, func() error {
		failed = nil
		return e.eachSecret(ctx, func(name string) error {
			err := work(name)
			if err == nil || errors.Is(err, errReplaced) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, name)
			return nil
		})
	})
	e.persist(ctx, what, func() (err error) {
		failed, err = retained(ctx, failed, func(name string) error {
			if err := work(name); !errors.Is(err, errReplaced) {
				return err
			}
			return nil
		})
		return err
	})
}

// awaitChanges waits until no change of a secret is under way any more that began
// before: a new secret's isn't found yet, and goes by what was in force then.
func (e *Engine) awaitChanges() {
	for _, entry := range e.locks {
		entry.Lock()
		entry.Unlock() //nolint:staticcheck,gocritic // whoever held it is done
	}
}

// errReplaced says that a newer change of the rule is at work.
var errReplaced = errors.New("the rule was changed again")

// sweepers at once look through secrets for one rule.
const sweepers = 8

// eachSecret calls work for the name of every secret, for some at a time. It
// returns the first error after the others have ended.
func (e *Engine) eachSecret(ctx context.Context, work func(name string) error) error {
	names := make(chan string)
	var failed error
	var once sync.Once
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	for range sweepers {
		workers.Go(func() {
			for name := range names {
				if err := work(name); err != nil {
					once.Do(func() { failed = err; cancel() })
				}
			}
		})
	}
	err := e.walk(stop, "", func(name string) (more bool, err error) {
		select {
		case names <- name:
			return true, nil
		case <-stop.Done():
			return false, stop.Err()
		}
	})
	close(names)
	workers.Wait()
	switch {
	case errors.Is(failed, errReplaced):
		return nil
	case failed != nil:
		return failed
	default:
		return err
	}
}
