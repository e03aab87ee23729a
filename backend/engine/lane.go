// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/util/workqueue"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

const (
	// workersPerLane is how many replicas of one destination converge at once.
	workersPerLane = 8

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

// opened is a destination with its provider. It is replaced as a whole when the
// settings change.
type opened struct {
	destination *Destination
	kind        provider.Kind
	remote      provider.Destination
	abilities   provider.Abilities
	limiter     *rate.Limiter // nil for no limit
	transport   *http.Transport

	// refused is set while the service doesn't accept the credentials. Trying
	// them for every secret that waits could lock the key.
	refused atomic.Pointer[refusal]
}

// refusal is why no call is made, and until when.
type refusal struct {
	err   error
	until time.Time
}

// refusalTime is how long refused credentials aren't tried again, unless the
// destination changes or a person syncs a secret.
const refusalTime = blockedRetry / 3

// lane is the work of one destination: its own queue and workers, so that a
// slow or dead destination delays no other. The queue holds names of secrets; a
// name waits once and is never worked on twice at a time.
type lane struct {
	ref     string
	current atomic.Pointer[opened]
	queue   workqueue.TypedDelayingInterface[string]
	backoff *backoff
	ctx     context.Context //nolint:containedctx // ends the calls of the lane's workers when the destination is deleted
	cancel  context.CancelFunc
	workers sync.WaitGroup
}

func newLane(ctx context.Context, o *opened) *lane {
	ctx, cancel := context.WithCancel(ctx)
	l := &lane{
		ref:     o.destination.Ref(),
		queue:   workqueue.NewTypedDelayingQueue[string](),
		backoff: &backoff{failures: map[string]int{}},
		ctx:     ctx, cancel: cancel,
	}
	l.current.Store(o)
	return l
}

// run starts the workers, each calling process for one name after the other.
func (l *lane) run(process func(l *lane, name string)) {
	for range workersPerLane {
		l.workers.Go(func() {
			for {
				name, shutdown := l.queue.Get()
				if shutdown {
					return
				}
				process(l, name)
				l.queue.Done(name)
			}
		})
	}
}

// add queues a name to be worked on at once.
func (l *lane) add(name string) {
	l.backoff.forget(name)
	l.queue.Add(name)
}

// close ends the lane's calls and waits for its workers.
func (l *lane) close() {
	l.cancel()
	l.queue.ShutDown()
	l.workers.Wait()
	l.current.Load().close()
}

func (o *opened) close() {
	if o.transport != nil {
		o.transport.CloseIdleConnections()
	}
}

// lanes are the open destinations by ref.
type lanes struct {
	mu    sync.Mutex
	byRef map[string]*lane
}

func (ls *lanes) get(ref string) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.byRef[ref]
}

// add keeps l unless another one was added first, and returns the one kept.
func (ls *lanes) add(l *lane) (kept *lane) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if first := ls.byRef[l.ref]; first != nil {
		return first
	}
	ls.byRef[l.ref] = l
	return l
}

func (ls *lanes) remove(ref string) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byRef[ref]
	delete(ls.byRef, ref)
	return l
}

func (ls *lanes) all() []*lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	all := make([]*lane, 0, len(ls.byRef))
	for _, l := range ls.byRef {
		all = append(all, l)
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
