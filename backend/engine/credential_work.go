// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"golang.org/x/sync/singleflight"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// credentials is what this process knows of the managed credentials beside their
// records: a little of each, which is read at the start. It is safe for concurrent
// use.
type credentials struct {
	// locks are by name. They aren't those of secrets, since a credential is passed
	// on to one.
	locks   []*locksutil.LockEntry
	reads   singleflight.Group
	loaded  atomic.Bool
	loading chan struct{} // closed when all are known

	mu     sync.Mutex
	byName map[string]*credentialWork
	last   uint64 // generation given last
	values map[string]cachedValue
	epochs map[string]uint64 // by name, grows when values read before are out of date
}

// credentialWork is the work on one credential.
type credentialWork struct {
	destination string
	remote      string // its name there, "" if it isn't known
	state       State
	passes      bool // is passed on to a secret
	// generation grows with each request that changes the credential, settled is
	// the one as of which the work came to an end.
	generation, settled uint64
	running             bool
	// untried is set while it is sure that no creation was sent.
	untried bool
	// admitted is set when the deletion has counted among those of the hour.
	admitted bool
	// initial are the credentials that a creation hands on.
	initial sensitive.String
	// looks counts how often in a row the cloud was found still at work.
	looks     int
	failure   *Failure
	attempts  int
	nextRetry time.Time
	nextPass  time.Time // when the value is looked at again
	told      string    // the failure that was told last
	changed   chan struct{}
}

func newCredentials() *credentials {
	return &credentials{
		locks: locksutil.CreateLocks(), loading: make(chan struct{}),
		byName: map[string]*credentialWork{}, values: map[string]cachedValue{}, epochs: map[string]uint64{},
	}
}

func (cs *credentials) lock(name string) (unlock func()) {
	entry := locksutil.LockForKey(cs.locks, name)
	entry.Lock()
	return entry.Unlock
}

// credentialItems begin the names of credentials in the queue of a destination.
const credentialItems = "\x00managed\x00"

// begin notes a change of the credential and returns its generation.
func (cs *credentials) begin(c *ManagedCredential, change func(w *credentialWork)) uint64 {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	w := cs.openLocked(c)
	cs.last++
	w.generation, w.looks = cs.last, 0
	w.nextPass = time.Time{}
	if change != nil {
		change(w)
	}
	cs.tellLocked(w)
	return w.generation
}

// learn notes a credential that was read at the start, unless it is known.
func (cs *credentials) learn(c *ManagedCredential) (learned bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.byName[c.Name] != nil {
		return false
	}
	w := cs.openLocked(c)
	cs.last++
	w.generation = cs.last
	if c.settled() {
		w.settled = w.generation
	}
	if f := c.Progress.Failure; f != nil {
		w.told = telling(c.Progress.State, f)
	}
	return true
}

func (cs *credentials) openLocked(c *ManagedCredential) *credentialWork {
	w := cs.byName[c.Name]
	if w == nil {
		w = &credentialWork{state: firstSet(c.Progress.State, StatePending), changed: make(chan struct{})}
		cs.byName[c.Name] = w
	}
	w.destination, w.passes = c.Destination, c.ReplicateTo != ""
	w.remote = firstSet(c.Progress.RemoteName, c.RemoteName)
	return w
}

// holding is the credential that has a remote name at a destination, as far as is
// known; "" if none has.
func (cs *credentials) holding(ref, remoteName string) string {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for name, w := range cs.byName {
		if w.destination == ref && w.remote == remoteName {
			return name
		}
	}
	return ""
}

func (cs *credentials) tellLocked(w *credentialWork) {
	close(w.changed)
	w.changed = make(chan struct{})
}

// report changes what is known of the work.
func (cs *credentials) report(name string, change func(w *credentialWork)) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if w := cs.byName[name]; w != nil {
		change(w)
		cs.tellLocked(w)
	}
}

// start begins the work on a credential; false if there is none.
func (cs *credentials) start(name string) (w credentialWork, ok bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	known := cs.byName[name]
	if known == nil {
		return w, false
	}
	known.running = true
	return *known, true
}

// snapshot is what is known of a credential; false if nothing is.
func (cs *credentials) snapshot(name string) (w credentialWork, known bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if found := cs.byName[name]; found != nil {
		return *found, true
	}
	return w, false
}

// end forgets a credential that is gone, if it wasn't begun anew.
func (cs *credentials) end(name string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if w := cs.byName[name]; w != nil {
		cs.tellLocked(w)
	}
	delete(cs.byName, name)
	delete(cs.values, name)
	delete(cs.epochs, name)
}

// at returns the credentials of a destination that match, as items of its queue.
func (cs *credentials) at(ref string, matches func(w *credentialWork) bool) []string {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var items []string
	for name, w := range cs.byName {
		if (ref == "" || w.destination == ref) && matches(w) {
			items = append(items, credentialItems+name)
		}
	}
	slices.Sort(items)
	return items
}

// counts are how many credentials there are by destination and state.
func (cs *credentials) counts() map[string]map[State]int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	counts := map[string]map[State]int{}
	for _, w := range cs.byName {
		if counts[w.destination] == nil {
			counts[w.destination] = map[State]int{}
		}
		counts[w.destination][w.state]++
	}
	return counts
}

// held tells whether the deletion waits for a person.
func (w *credentialWork) held() bool { return w.state == StateHeld }

// unsettled tells whether there is work on a credential.
func (w *credentialWork) unsettled() bool { return w.settled != w.generation || w.passes }

// waits tells whether there is work, possibly for the end of a pause.
func (w *credentialWork) waits() bool { return w.unsettled() || w.state == StatePaused }

// rests tells whether the work waits for the destination to answer again.
func (w *credentialWork) rests() bool {
	return !w.running && w.state == StateRetrying && w.failure != nil &&
		(w.failure.Class == provider.ClassUnavailable || w.failure.Class == provider.ClassThrottled)
}

// awaitCredentials waits a while until all credentials are known after a start.
func (e *Engine) awaitCredentials(ctx context.Context) {
	if !e.Started() || e.credentials.loaded.Load() {
		return
	}
	select {
	case <-e.credentials.loading:
	case <-time.After(longestTakeUp):
	case <-ctx.Done():
	}
}

// resumeCredentials takes up the managed credentials at the start. There are few of
// them, and those that are settled cost no call.
func (e *Engine) resumeCredentials(ctx context.Context) {
	var unread []string
	listed := false
	e.persist(ctx, "take up managed credentials", func() (err error) {
		if !listed {
			if unread, err = managed.List(ctx, e.storage, ""); err != nil {
				return err
			}
			listed = true
		}
		unread, err = retained(ctx, unread, func(id string) error { return e.takeUpCredential(ctx, id) })
		return err
	})
	if ctx.Err() == nil {
		e.credentials.loaded.Store(true)
		close(e.credentials.loading)
	}
}

func (e *Engine) takeUpCredential(ctx context.Context, id string) error {
	c, err := managed.Get(ctx, e.storage, id)
	if err != nil || c == nil {
		return err
	}
	if e.credentials.learn(c) && (!c.settled() || c.ReplicateTo != "") {
		lane := quota.Retry
		if c.settled() {
			lane = quota.Bulk
		}
		e.enqueueCredential(c.Destination, c.Name, lane)
	}
	return nil
}

// enqueueCredential queues a credential at its destination.
func (e *Engine) enqueueCredential(ref, name string, lane quota.Lane) {
	e.enqueueItem(ref, credentialItems+name, lane)
}

// enqueueCredentials queues what waits at a destination, at all for "".
func (e *Engine) enqueueCredentials(ref string, matches func(w *credentialWork) bool) {
	for _, item := range e.credentials.at(ref, matches) {
		name := strings.TrimPrefix(item, credentialItems)
		if w, known := e.credentials.snapshot(name); known {
			e.enqueueItem(w.destination, item, quota.Retry)
		}
	}
}

// WaitCredential blocks until the work on a credential has come to an end as of
// generation, or ctx is done or the time is over.
func (e *Engine) WaitCredential(ctx context.Context, name string, generation uint64, limit time.Duration) {
	if generation == 0 || limit <= 0 {
		return
	}
	until := time.Now().Add(limit)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-answerTime).Before(until) {
		until = deadline.Add(-answerTime)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		w, known := e.credentials.snapshot(name)
		if !known || w.settled >= generation {
			return
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			return
		}
	}
}
