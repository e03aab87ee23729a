// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// In the background the replicas of a destination are compared with the cloud one
// after the other, in the order of the ids of their claims, so many per hour. That
// is a round; after one the next begins. What is in memory of it doesn't grow with
// the number of replicas, and in storage there is a place where to go on after a
// restart.

const (
	// defaultVerificationsPerHour look at a thousand replicas within a day, for two
	// to four calls a minute.
	defaultVerificationsPerHour = 60
	mostVerificationsPerHour    = 36000

	// shortestRound is how long a round takes at least, so that few replicas aren't
	// looked at all the time.
	shortestRound = time.Hour
	// longestNap bounds how long a changed setting waits to be noticed.
	longestNap = time.Minute
	// noteEvery is how often the place in a round is stored.
	noteEvery = time.Hour
	// roundPage is how many replicas of a round are known at a time.
	roundPage = 256
	// mostPassedOver of them in a row are left out in one turn, so that none makes
	// a burst of storage reads.
	mostPassedOver = 16
)

// roundRecord is how far a round has come.
type roundRecord struct {
	After string `json:"after"` // id of the claim
}

// round is the verification of a destination's replicas under way.
type round struct {
	e       *Engine
	r       *replicator
	found   bool      // where it was before the start
	after   string    // id of the claim that was looked at last
	page    []string  // ids of the next ones
	began   time.Time // zero before the first page
	begins  time.Time // when the next round may
	noted   time.Time
	failing provider.Class // the last outcome, to tell it once
}

// VerificationBudget is how many replicas are compared with the cloud per hour.
func (d *Destination) VerificationBudget() int {
	if d.VerificationsPerHour == nil {
		return defaultVerificationsPerHour
	}
	return *d.VerificationsPerHour
}

// verifyRounds compares the replicas of a destination with the cloud, until it is
// deleted or the engine stops.
func (e *Engine) verifyRounds(r *replicator) {
	now := time.Now()
	turn := &round{e: e, r: r, noted: now}
	select {
	case <-e.takenUp:
	case <-r.ctx.Done():
		return
	}
	last := now.Add(rand.N(longestNap)) //nolint:gosec // not all destinations at once; that needs no secrecy
	for {
		nap, perHour := longestNap, r.current.Load().destination.VerificationBudget()
		due := last.Add(time.Hour / time.Duration(max(perHour, 1)))
		if perHour > 0 {
			nap = min(max(time.Until(due), 0), longestNap)
		}
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(nap):
		}
		if now := time.Now(); perHour > 0 && !now.Before(due) {
			last = now
			turn.next(r.ctx)
		}
	}
}

// next compares the next replica of the round that is to be compared.
func (t *round) next(ctx context.Context) {
	config, err := t.e.Config(ctx)
	if err != nil || config.Paused {
		return
	}
	o := t.r.current.Load()
	if o.destination.Disabled || o.destination.Paused {
		return
	}
	for range mostPassedOver {
		id, err := t.take(ctx)
		if err != nil || id == "" {
			t.report(err)
			return
		}
		found, err := t.verify(ctx, id)
		if err != nil || found.Failure != nil && found.Failure.Class.Recovers() {
			t.page = append(t.page, id) // it is tried again, after others
			t.report(err)
			return
		}
		t.after = id
		if found.Result != VerifiedSkipped {
			t.heard(found)
			break
		}
	}
	t.note(ctx)
}

// take takes the id of the next claim; "" when the round is over and the next one
// isn't to begin yet.
func (t *round) take(ctx context.Context) (string, error) {
	if !t.found {
		stored, err := rounds.Get(ctx, t.e.storage, t.r.ref)
		if err != nil {
			return "", err
		}
		if t.found = true; stored != nil {
			t.after = stored.After
		}
	}
	if now := time.Now(); len(t.page) == 0 && !now.Before(t.begins) {
		if err := t.turnPage(ctx, now); err != nil {
			return "", err
		}
	}
	if len(t.page) == 0 {
		return "", nil
	}
	id := t.page[0]
	t.page = t.page[1:]
	return id, nil
}

// turnPage finds the next claims; none when the round is over and the next one
// isn't to begin yet.
func (t *round) turnPage(ctx context.Context, now time.Time) error {
	ids, err := claims.List(ctx, t.e.storage, t.r.ref+"/")
	if err != nil {
		return err
	}
	slices.Sort(ids)
	at, _ := slices.BinarySearch(ids, t.after+"\x00")
	if t.after == "" {
		at = 0
	}
	if at == len(ids) {
		t.begins = now.Add(shortestRound)
		switch {
		case !t.began.IsZero():
			t.begins = t.began.Add(shortestRound)
		case len(ids) > 0:
			t.begins = now // the round had ended before the start
		}
		t.after, t.began = "", time.Time{}
		return nil
	}
	if t.began.IsZero() {
		t.began = now
	}
	t.page = slices.Clone(ids[at:min(at+roundPage, len(ids))])
	return nil
}

// verify compares the replica that a claim stands for.
func (t *round) verify(ctx context.Context, id string) (Verified, error) {
	passed := Verified{Result: VerifiedSkipped}
	claim, err := claims.Get(ctx, t.e.storage, t.r.ref+"/"+id)
	if err != nil || claim == nil {
		return passed, err
	}
	s, err := t.e.peek(ctx, claim.Secret)
	if err != nil || s == nil {
		return passed, err
	}
	slot := s.named(t.r.ref, claim.RemoteName)
	if slot == "" {
		return passed, nil // left over
	}
	req := VerifyRequest{Name: claim.Secret, Lane: quota.Bulk, background: true}
	found, err := t.e.verify(ctx, req, slot)
	if err != nil {
		return found, err
	}
	return found, t.e.repair(ctx, req, []Verified{found})
}

// note stores the place in the round, now and then.
func (t *round) note(ctx context.Context) {
	if time.Since(t.noted) < noteEvery {
		return
	}
	t.noted = time.Now()
	t.report(rounds.Put(ctx, t.e.storage, t.r.ref, &roundRecord{After: t.after}))
}

func (t *round) report(err error) {
	if err != nil && t.r.ctx.Err() == nil {
		t.e.log.Warn("the verification stumbled, it goes on later", "destination", t.r.ref, "error", err)
	}
}

// heard tells in the log what the cloud refuses, once.
func (t *round) heard(found Verified) {
	class := provider.Class("")
	if found.Failure != nil {
		class = found.Failure.Class
	}
	if class != "" && class != t.failing {
		t.e.log.Warn("replicas can't be compared with the cloud", "destination", t.r.ref, "class", class,
			"code", found.Failure.Code, "request_id", found.Failure.RequestID, "error", found.Failure.Message)
	}
	t.failing = class
}

// mostVerifiedTimes bounds for how many replicas of a destination the time of the
// last verification is remembered.
const mostVerifiedTimes = 1 << 16

// verifiedTimes are when replicas were last verified, in seconds since 1970 by a
// hash of the item of the queue. It is safe for concurrent use.
type verifiedTimes struct {
	seed maphash.Seed
	mu   sync.Mutex
	at   map[uint64]int64
}

func newVerifiedTimes() *verifiedTimes {
	return &verifiedTimes{seed: maphash.MakeSeed(), at: map[uint64]int64{}}
}

func (v *verifiedTimes) set(queued string, at time.Time) {
	key := maphash.String(v.seed, queued)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.at[key]; !known && len(v.at) >= mostVerifiedTimes {
		for other := range v.at {
			delete(v.at, other) // any
			break
		}
	}
	v.at[key] = at.Unix()
}

func (v *verifiedTimes) get(queued string) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	if seconds, known := v.at[maphash.String(v.seed, queued)]; known {
		return time.Unix(seconds, 0).UTC()
	}
	return time.Time{}
}

// verifiedNow remembers that a replica was compared with the cloud.
func (e *Engine) verifiedNow(name, slot string, at time.Time) {
	if r := e.replicators.get(slotRef(slot)); r != nil {
		r.verified.set(item(name, slot), at)
	}
}

// lastVerified is when a replica was last compared with the cloud, as far as that
// is known.
func (e *Engine) lastVerified(name, slot string, replica *Replica) time.Time {
	if r := e.replicators.get(slotRef(slot)); r != nil {
		if at := r.verified.get(item(name, slot)); at.After(replica.LastVerification) {
			return at
		}
	}
	return replica.LastVerification
}
