// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

const (
	// workersPerDestination is how many replicas of one destination converge at
	// once. The rate of calls is bounded elsewhere; this many keep a service busy
	// that takes a quarter of a second for a call and allows a hundred a second.
	workersPerDestination = 32
	// keptForPeople of them do only what somebody waits for: where calls are slow or
	// few, all others wait with bulk work for their turn.
	keptForPeople = 4

	// The time before a failed replica is tried again grows from the first to
	// the longest; the actual one is chosen at random below it, so that many
	// replicas that failed together don't come back together.
	firstRetry   = time.Second
	longestRetry = 5 * time.Minute

	// blockedRetry is about how long a replica rests that needs a person, where
	// it may turn out that it didn't: a permission takes effect late, a quota is
	// raised, a clock is set.
	blockedRetry = 30 * time.Minute
)

// replicator does the work of one destination. It has its own queue and workers,
// so that a slow or dead destination delays no other.
type replicator struct {
	ref     string
	current atomic.Pointer[opened]
	queue   *queue
	backoff *backoff
	meters  *meters
	// verified is when replicas were last compared with the cloud.
	verified *verifiedTimes
	ctx      context.Context //nolint:containedctx // ends the calls of the workers when the destination is deleted
	cancel   context.CancelFunc
	workers  sync.WaitGroup
}

func newReplicator(ctx context.Context, o *opened) *replicator {
	ctx, cancel := context.WithCancel(ctx)
	r := &replicator{
		ref: o.destination.Ref(), queue: newQueue(), backoff: &backoff{failures: map[string]int{}},
		meters: newMeters(o.destination.Ref()), verified: newVerifiedTimes(), ctx: ctx, cancel: cancel,
	}
	r.current.Store(o)
	return r
}

// run starts the work: process is called for one name after the other, for some
// at a time.
func (r *replicator) run(process func(r *replicator, name string)) {
	ended := make(chan struct{}, workersPerDestination)
	r.workers.Go(func() {
		for working := 0; ; working++ {
			for working == workersPerDestination || working >= workersPerDestination-keptForPeople && !r.queue.urgent() {
				select {
				case <-ended:
					working--
				case <-r.queue.arrived:
				}
			}
			name, shutdown := r.queue.Get()
			if shutdown {
				return
			}
			r.workers.Go(func() {
				process(r, name)
				r.queue.done(name)
				ended <- struct{}{}
			})
		}
	})
}

// add queues a name to be worked on at once.
func (r *replicator) add(name string, lane quota.Lane) {
	r.backoff.forget(name)
	r.queue.add(name, lane)
}

// stop ends the calls and lets the workers end.
func (r *replicator) stop() {
	r.cancel()
	r.queue.ShutDown()
}

// close ends the calls and waits for the workers.
func (r *replicator) close() {
	r.stop()
	r.workers.Wait()
	r.current.Load().close()
}

// replicators are those of the open destinations, by ref.
type replicators struct {
	mu    sync.Mutex
	byRef map[string]*replicator
}

func (rs *replicators) get(ref string) *replicator {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.byRef[ref]
}

// add keeps r unless there is one already, and returns the one that is kept.
func (rs *replicators) add(r *replicator) *replicator {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if kept := rs.byRef[r.ref]; kept != nil {
		return kept
	}
	rs.byRef[r.ref] = r
	return r
}

func (rs *replicators) remove(ref string) *replicator {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byRef[ref]
	delete(rs.byRef, ref)
	return r
}

func (rs *replicators) all() []*replicator {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	all := make([]*replicator, 0, len(rs.byRef))
	for _, r := range rs.byRef {
		all = append(all, r)
	}
	return all
}

// backoff counts failures in a row by name.
type backoff struct {
	mu       sync.Mutex
	failures map[string]int
}

// next returns how long to wait before the next try and how many failed so far.
func (b *backoff) next(name string) (delay time.Duration, attempts int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures[name]++
	attempts = b.failures[name]
	ceiling := longestRetry
	if shift := attempts - 1; shift < 9 {
		ceiling = min(firstRetry<<shift, longestRetry)
	}
	// Full jitter, but never at once.
	return ceiling/10 + rand.N(ceiling-ceiling/10), attempts //nolint:gosec // spreading load needs no secrecy
}

func (b *backoff) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.failures, name)
}
