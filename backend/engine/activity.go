// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// activity is the work that one secret has outstanding. It exists exactly as
// long as the secret's pending mark, and is rebuilt from the marks at start.
type activity struct {
	// generation grows with every change of the secret. A convergence that
	// began in an older one doesn't count as the end of the work.
	generation uint64
	progress   map[string]*progress // by slot
	changed    chan struct{}        // closed when progress changes, then replaced
	cause      Cause                // of the last change
	paused     bool                 // the secret is
}

// progress is how far one replica of a secret has come.
type progress struct {
	// settled is the generation for which convergence came to an end: with the
	// replica in sync, or in need of a person.
	settled   uint64
	state     State
	failure   *Failure
	attempts  int
	nextRetry time.Time
	// doubt isn't 0 when the remote must be looked at before it is worked on: a
	// call was made whose outcome isn't known, or may have been before a restart,
	// or the destination has moved. Each doubt has another number, so that a
	// convergence clears only the one that it began with.
	doubt   uint64
	running bool // a convergence is at work
	// due is when the version that it serves stops being live by itself; zero if
	// never. The secret's mark stays until then.
	due time.Time
	// unclaimed is set while the replica can't be, and has no claim to its name.
	unclaimed bool

	since      time.Time // of the oldest change that it hasn't caught up with
	leaving    State     // how a replica is shown that isn't wanted any more
	told       string    // the failure that was told last, see [Engine.tellFailure]
	served     uint64    // the version that readers get
	requestIDs []string  // of the last work that made calls
	heldSince  time.Time // zero while it isn't held
	admitted   bool      // it has leave to be taken from its readers
}

// done tells whether the replica is as it should be as of the generation.
func (p *progress) done(generation uint64) bool {
	return p.settled == generation && (p.state == StateInSync || p.state == StateWithdrawn)
}

// shown is the state as people are told it, as of the generation.
func (p *progress) shown(generation uint64) State {
	state := p.state
	if p.settled != generation && !slices.Contains([]State{StateRetrying, StateDisabled, StatePaused, StateHeld}, state) {
		state = StatePending
	}
	if state == StatePending {
		state = firstSet(p.leaving, state)
	}
	return state
}

// activities are the secrets with outstanding work, by name. Memory grows with
// what is pending, not with what exists.
type activities struct {
	mu     sync.Mutex
	byName map[string]*activity
	last   uint64 // generation given last
}

// begin notes a change of the secret and tells whether nothing was outstanding
// before. The caller holds the secret's lock.
func (as *activities) begin(name string, now time.Time, destinations []string) (began bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	began = as.byName[name] == nil
	a := as.openLocked(name)
	for _, destination := range destinations {
		if p := a.progressLocked(destination, now); p.done(a.generation) {
			p.since = now
		}
	}
	as.last++
	a.generation = as.last
	maps.DeleteFunc(a.progress, func(slot string, _ *progress) bool { return !slices.Contains(destinations, slot) })
	return began
}

func (as *activities) openLocked(name string) *activity {
	a := as.byName[name]
	if a == nil {
		a = &activity{progress: map[string]*progress{}, changed: make(chan struct{})}
		as.byName[name] = a
	}
	return a
}

// resume takes up a secret whose mark was found in storage. Nothing is known of
// what was attempted before.
func (as *activities) resume(name string, since time.Time, destinations []string) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.openLocked(name)
	as.last++
	a.generation = as.last
	for _, destination := range destinations {
		as.doubtLocked(a, destination, since)
	}
}

func (as *activities) doubtLocked(a *activity, destination string, since time.Time) {
	as.last++
	a.progressLocked(destination, since).doubt = as.last
}

// note takes from the secret's record what is shown of the work on its replicas.
func (as *activities) note(s *Secret) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[s.Name]
	if a == nil {
		return
	}
	a.paused = s.Settings.Paused
	for destination, replica := range s.Replicas {
		p := a.progress[destination]
		if p == nil {
			continue
		}
		if p.unclaimed = replica.Refused != nil; replica.Held != nil && p.state == StatePending {
			p.state, p.heldSince = StateHeld, replica.Held.Since
		}
		p.leaving, p.served = replica.Removal.shown(), replica.Observed.Current.Version.Number
		if p.told == "" && replica.Failure != nil {
			p.told = telling(replica.State, replica.Failure)
		}
	}
}

// renew begins another generation after a change was stored, so that no
// convergence that began before counts as its end, and returns it. It is 0 when
// nothing is outstanding. The caller holds the secret's lock.
func (as *activities) renew(name string) uint64 {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return 0
	}
	as.last++
	a.generation = as.last
	return a.generation
}

// doubt asks for the remote of a replica to be looked at before it is worked on.
func (as *activities) doubt(name, destination string) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil {
		as.doubtLocked(a, destination, time.Now().UTC())
	}
}

// busy tells whether a call may be under way for the replica, or may have been
// made whose outcome isn't known.
func (as *activities) busy(name, destination string) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil || a.progress[destination] == nil {
		return false
	}
	p := a.progress[destination]
	return p.running || p.doubt > 0
}

// working tells whether a convergence of the replica is under way.
func (as *activities) working(name, slot string) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	return a != nil && a.progress[slot] != nil && a.progress[slot].running
}

// end forgets the secret's activity and wakes who waits for it.
func (as *activities) end(name string) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil {
		delete(as.byName, name)
		close(a.changed)
	}
}

func (a *activity) progressLocked(destination string, now time.Time) *progress {
	p := a.progress[destination]
	if p == nil {
		p = &progress{state: StatePending, since: now}
		a.progress[destination] = p
	}
	return p
}

// start returns the generation that a convergence beginning now will have dealt
// with, and the doubt that it has to clear up, 0 for none. It is false in ok when
// the secret has no outstanding work.
func (as *activities) start(name, destination string) (generation, doubt uint64, ok bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return 0, 0, false
	}
	p := a.progress[destination]
	if p == nil {
		return 0, 0, false
	}
	p.running = true
	return a.generation, p.doubt, true
}

// cleared ends the doubt that a convergence began with.
func (as *activities) cleared(name, destination string, doubt uint64) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil && a.progress[destination] != nil && a.progress[destination].doubt == doubt {
		a.progress[destination].doubt = 0
	}
}

// report changes a replica's progress, if it has any.
func (as *activities) report(name, destination string, change func(p *progress)) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil || a.progress[destination] == nil {
		return
	}
	change(a.progress[destination])
	a.wakeLocked()
}

func (a *activity) wakeLocked() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// forget drops the progress of a replica that no longer exists.
func (as *activities) forget(name, destination string) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil {
		delete(a.progress, destination)
		a.wakeLocked()
	}
}

// generation returns the secret's current generation, 0 if nothing is
// outstanding.
func (as *activities) generation(name string) uint64 {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil {
		return a.generation
	}
	return 0
}

// converged tells whether every destination given is in sync as of the secret's
// current generation. Without outstanding work nothing can have come to an end:
// a mark that may be in storage isn't this process's yet.
func (as *activities) converged(name string, destinations []string) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return false
	}
	for _, destination := range destinations {
		p := a.progress[destination]
		if p == nil || !p.done(a.generation) || !p.due.IsZero() {
			return false
		}
	}
	return true
}

// expect notes when the version that a replica serves stops being live by itself.
func (as *activities) expect(name, slot string, due time.Time) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil && a.progress[slot] != nil {
		a.progress[slot].due = due
	}
}

// settled tells whether there is nothing more to wait for since generation:
// each replica is in sync or can't go on by itself. Otherwise it returns a
// channel that is closed at the next change.
func (as *activities) settled(name string, generation uint64) (bool, <-chan struct{}) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return true, nil
	}
	for _, p := range a.progress {
		if p.settled < generation {
			return false, a.changed
		}
	}
	return true, nil
}

// snapshot returns copies of the progress of a secret's replicas, with the state
// as it is shown, and since when work is outstanding; nil and zero if none is.
func (as *activities) snapshot(name string) (map[string]progress, time.Time) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return nil, time.Time{}
	}
	copies := make(map[string]progress, len(a.progress))
	var since time.Time
	for destination, p := range a.progress {
		c := *p
		c.state = p.shown(a.generation)
		copies[destination] = c
		if !p.done(a.generation) && c.state != StateDrifted { // which isn't behind
			since = older(since, p.since)
		}
	}
	return copies, since
}

// older is the earlier of two times; the zero time is none.
func older(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// names returns the secrets that have outstanding work.
func (as *activities) names() []string {
	as.mu.Lock()
	defer as.mu.Unlock()
	return slices.Collect(maps.Keys(as.byName))
}

// at returns what has outstanding work at the destination, as items of its queue.
func (as *activities) at(destination string) []string {
	return as.items(destination, func(*progress) bool { return true })
}

// resting returns what waits for the destination to answer again, as items of
// its queue.
func (as *activities) resting(destination string) []string {
	return as.items(destination, func(p *progress) bool {
		if p.running || p.state != StateRetrying || p.failure == nil {
			return false
		}
		class := p.failure.Class
		return class == provider.ClassUnavailable || class == provider.ClassThrottled
	})
}

func (as *activities) items(destination string, matches func(*progress) bool) []string {
	as.mu.Lock()
	defer as.mu.Unlock()
	var items []string
	for name, a := range as.byName {
		for slot, p := range a.progress {
			if slotRef(slot) == destination && matches(p) {
				items = append(items, item(name, slot))
			}
		}
	}
	return items
}
