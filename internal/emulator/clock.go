// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock is the time of an emulated service: its base shifted by an offset. It
// is safe for concurrent use.
type Clock struct {
	base   func() time.Time
	offset atomic.Int64
	calls  sync.RWMutex // calls hold it for reading while they are carried out
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

// Ahead runs look with the clock ahead by d, which may not set it. No call is
// carried out meanwhile: it would be refused for the age of its signature, and see
// times to come.
func (c *Clock) Ahead(d time.Duration, look func()) {
	c.calls.Lock()
	defer c.calls.Unlock()
	offset := c.Offset()
	c.SetOffset(offset + d)
	defer c.SetOffset(offset)
	look()
}
