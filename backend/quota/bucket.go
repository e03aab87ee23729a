// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package quota

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// share of a documented rate is used. The rest allows for calls that arrive
	// closer together than they were sent.
	share = 0.96

	// After a throttled call a bucket rests, and then goes on with slower times
	// the rate, from which it recovers by the recovery share of the full rate
	// with each interval in which no call is throttled.
	rest             = 300 * time.Millisecond
	slower           = 0.75
	slowest          = 0.05 // of the full rate
	recovery         = 0.1  // of the full rate
	recoveryInterval = time.Second

	// mostInWindow bounds how many calls a bucket remembers. Faster ones are held
	// to their rate in a shorter window.
	mostInWindow = 1000

	// longestRest bounds what a service may ask for.
	longestRest = 5 * time.Minute
	// longestNap bounds how long nobody looks whether anybody still waits.
	longestNap = time.Second
)

// bucket lets calls pass at a rate, the most urgent lane that waits first, and
// within a lane who came first. However late its timers fire, no window of time
// sees more calls than it may, and what a late timer held up is made up for.
type bucket struct {
	mu        sync.Mutex
	full      rate.Limit
	limiter   *rate.Limiter // spreads the calls within a window, and slows down
	window    time.Duration
	admitted  []time.Time // the last calls, as many as a window may see; a ring
	oldest    int         // in admitted
	waiting   [laneCount][]*waiter
	handing   bool      // a goroutine lets waiters pass
	until     time.Time // no call before
	throttled time.Time // last
	recovered time.Time // last step
}

type waiter struct{ admitted chan struct{} }

// newBucket makes a bucket for a share of some calls per second.
func newBucket(perSecond, share float64) *bucket {
	calls := int(min(max(perSecond, 1), mostInWindow))
	return &bucket{
		full:     rate.Limit(perSecond),
		limiter:  rate.NewLimiter(rate.Limit(perSecond), max(1, calls/10)),
		window:   time.Duration(float64(calls) / (perSecond * share) * float64(time.Second)),
		admitted: make([]time.Time, calls),
	}
}

// admit notes that a call passes now, if it may; otherwise it returns how long to
// wait. The caller holds the lock.
func (b *bucket) admit(now time.Time) (delay time.Duration, ok bool) {
	for _, free := range []time.Time{b.until, b.admitted[b.oldest].Add(b.window)} {
		if free.After(now) {
			return free.Sub(now), false
		}
	}
	token := b.limiter.ReserveN(now, 1)
	if delay := token.DelayFrom(now); delay > 0 {
		token.CancelAt(now)
		return delay, false
	}
	b.admitted[b.oldest] = now
	b.oldest = (b.oldest + 1) % len(b.admitted)
	return 0, true
}

// enter lets a call of the lane pass, waiting for its turn as long as ctx allows.
func (b *bucket) enter(ctx context.Context, lane Lane) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	b.recover()
	if !b.handing {
		if _, ok := b.admit(time.Now()); ok {
			b.mu.Unlock()
			return nil
		}
	}
	w := &waiter{admitted: make(chan struct{})}
	b.waiting[lane] = append(b.waiting[lane], w)
	if !b.handing {
		b.handing = true
		go b.handOut()
	}
	b.mu.Unlock()
	select {
	case <-w.admitted:
		return nil
	case <-ctx.Done():
		b.leave(lane, w)
		return ctx.Err()
	}
}

// leave takes a waiter away that no longer waits.
func (b *bucket) leave(lane Lane, w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting[lane] = slices.DeleteFunc(b.waiting[lane], func(other *waiter) bool { return other == w })
}

// handOut lets waiters pass until none is left.
func (b *bucket) handOut() {
	for {
		delay, more := b.next()
		if !more {
			return
		}
		time.Sleep(min(delay, longestNap))
	}
}

// next lets waiters pass as long as calls may, and returns how long to wait for
// the next one. It is false in more when nobody waits.
func (b *bucket) next() (delay time.Duration, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recover()
	now := time.Now()
	for {
		lane := slices.IndexFunc(b.waiting[:], func(ws []*waiter) bool { return len(ws) > 0 })
		if lane < 0 {
			b.handing = false
			return 0, false
		}
		if delay, ok := b.admit(now); !ok {
			return delay, true
		}
		close(b.waiting[lane][0].admitted)
		b.waiting[lane] = b.waiting[lane][1:]
	}
}

// throttle slows the bucket down after the service refused a call for the rate
// of calls, with its hint when to come back.
func (b *bucket) throttle(hint time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	until := now.Add(min(max(hint, rest), longestRest))
	if until.After(b.until) {
		b.until = until
	}
	// The answers to calls that were sent together count once.
	if now.Sub(b.throttled) >= rest {
		b.limiter.SetLimitAt(now, max(b.limiter.Limit()*slower, b.full*slowest))
	}
	b.throttled, b.recovered = now, b.until
}

// recover speeds the bucket up again, step by step. The caller holds the lock.
func (b *bucket) recover() {
	if b.throttled.IsZero() {
		return
	}
	now := time.Now()
	steps := int(now.Sub(b.recovered) / recoveryInterval)
	if steps <= 0 {
		return
	}
	b.recovered = b.recovered.Add(time.Duration(steps) * recoveryInterval)
	b.limiter.SetLimitAt(now, min(b.limiter.Limit()+b.full*rate.Limit(recovery*float64(steps)), b.full))
	if b.limiter.Limit() == b.full {
		b.throttled = time.Time{}
	}
}

// allowed is the present rate in calls per second.
func (b *bucket) allowed() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recover()
	return float64(b.limiter.Limit())
}
