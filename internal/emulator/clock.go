// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"sync/atomic"
	"time"
)

// Clock is the time of an emulated service: its base shifted by an offset. It
// is safe for concurrent use.
type Clock struct {
	base   func() time.Time
	offset atomic.Int64
}

// NewClock returns a clock on base, nil for the system's time.
func NewClock(base func() time.Time) *Clock {
	if base == nil {
		base = time.Now
	}
	return &Clock{base: base}
}

// Now is the service's time.
func (c *Clock) Now() time.Time { return c.base().Add(c.Offset()) }

// Offset is how far the service is ahead of its base.
func (c *Clock) Offset() time.Duration { return time.Duration(c.offset.Load()) }

// SetOffset moves the service's time, forwards or back. Deletions that have
// fallen due by then have happened.
func (c *Clock) SetOffset(d time.Duration) { c.offset.Store(int64(d)) }
