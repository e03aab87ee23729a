// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

const (
	// opensAfter failures in a row the destination counts as away.
	opensAfter = 3
	// longestProbe is the longest time between two probes of a destination that
	// is away. A probe is one call, so it may come much more often than the
	// retries of a single secret.
	longestProbe = 10 * time.Second
)

// breaker notices that a destination is away. While it is open, one replica
// after the other tries and all others rest, without a call or a growing
// back-off of their own; the first answer lets them all go on. It is safe for
// concurrent use, and its zero value is closed.
type breaker struct {
	mu      sync.Mutex
	failed  int // in a row
	last    string
	open    bool
	probe   string // the name that tries, "" for none
	probes  int
	until   time.Time // of the next probe
	failure *Failure
	since   time.Time // when it opened
}

// away tells since when the destination counts as away, and why; zero and nil if
// it doesn't.
func (b *breaker) away() (since time.Time, failure *Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return time.Time{}, nil
	}
	return b.since, b.failure
}

// admits tells whether the replica of that name may be worked on; if not, until when it rests
// and why.
func (b *breaker) admits(name string) (ok bool, until time.Time, failure *Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true, time.Time{}, nil
	}
	if now := time.Now(); b.probe != "" || now.Before(b.until) {
		if until = b.until; until.Before(now) {
			until = now.Add(firstRetry)
		}
		return false, until, b.failure
	}
	b.probe = name
	return true, time.Time{}, nil
}

// answered notes that the service answered, whatever it said, and tells whether
// that closed the breaker.
func (b *breaker) answered() (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	closed = b.open
	b.failed, b.last, b.open, b.probe, b.probes, b.failure = 0, "", false, "", 0, nil
	return closed
}

// gaveUp notes that the work on a replica ended with an error that says that the
// service is away, or without a call, with nil. Answers about one replica alone,
// while others aren't tried, say nothing of the destination.
func (b *breaker) gaveUp(name string, err error, describe func(error) *Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open && name != b.probe {
		return // it was under way when the breaker opened, and says nothing new
	}
	b.probe = ""
	if err == nil || provider.ClassOf(err) != provider.ClassUnavailable {
		return
	}
	var remote *provider.Error
	silent := errors.As(err, &remote) && remote.Code == ""
	if silent || name != b.last {
		b.failed++
	}
	b.last = name
	if b.failed < opensAfter && !b.open {
		return
	}
	if !b.open {
		b.since = time.Now().UTC()
	}
	b.open, b.failure = true, describe(err)
	delay := longestProbe
	if b.probes < 4 {
		delay = min(firstRetry<<b.probes, longestProbe)
	}
	b.probes++
	b.until = time.Now().Add(delay/2 + rand.N(delay/2)) //nolint:gosec // spreading load needs no secrecy
}
