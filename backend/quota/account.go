// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package quota keeps remote calls within the rates that services allow.
//
// Each group of calls that shares a documented rate has a token bucket for each
// account and region, whatever number of destinations use the account. Where
// calls have to wait, people's go before retries, and those before bulk work.
// When the service throttles all the same, since others call it too, the bucket
// slows down at once and recovers carefully.
package quota

import (
	"context"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Accounts are the buckets of all accounts in use. It is safe for concurrent
// use, and its zero value is ready.
type Accounts struct {
	mu    sync.Mutex
	byKey map[string]*account
}

type account struct {
	users   int
	mu      sync.Mutex
	buckets map[string]*bucket // by group
}

// Pacer lets the calls of one destination pass at the rates of its account and
// at its own. It is safe for concurrent use.
type Pacer struct {
	accounts *Accounts
	key      string
	account  *account
	quotas   []provider.Quota
	own      *bucket // nil without a limit of the destination's own
	close    sync.Once
}

// Open returns a pacer for a destination of the account that key names, whose
// service has the quotas. perSecond is the destination's own limit, 0 for none.
// It must be closed.
func (a *Accounts) Open(key string, quotas []provider.Quota, perSecond float64) *Pacer {
	a.mu.Lock()
	defer a.mu.Unlock()
	shared := a.byKey[key]
	if shared == nil {
		shared = &account{buckets: map[string]*bucket{}}
		if a.byKey == nil {
			a.byKey = map[string]*account{}
		}
		a.byKey[key] = shared
	}
	shared.users++
	p := &Pacer{accounts: a, key: key, account: shared, quotas: quotas}
	if perSecond > 0 {
		p.own = newBucket(perSecond, 1)
	}
	return p
}

// Close gives the pacer up. Calls under way may still use it.
func (p *Pacer) Close() {
	p.close.Do(func() {
		p.accounts.mu.Lock()
		defer p.accounts.mu.Unlock()
		if p.account.users--; p.account.users == 0 {
			delete(p.accounts.byKey, p.key)
		}
	})
}

// Enter waits until a call of the operation may be made, in the lane of ctx. It
// fails only when ctx is done.
func (p *Pacer) Enter(ctx context.Context, operation string) error {
	lane := laneOf(ctx)
	if p.own != nil {
		if err := p.own.enter(ctx, lane); err != nil {
			return err
		}
	}
	if b := p.bucket(operation); b != nil {
		return b.enter(ctx, lane)
	}
	return nil
}

// Throttled hears that the service refused a call of the operation for the rate
// of calls, and its hint when to come back, 0 for none.
func (p *Pacer) Throttled(operation string, hint time.Duration) {
	b := p.bucket(operation)
	if b == nil {
		b = p.own
	}
	if b != nil {
		b.throttle(hint)
	}
}

// unlimited is the rate of a group that has no documented one, so that there is
// something to slow down.
const unlimited = 1000

// bucket returns the bucket of an operation's group.
func (p *Pacer) bucket(operation string) *bucket {
	q, found := provider.QuotaFor(p.quotas, operation)
	if !found {
		q = provider.Quota{Group: "other", PerSecond: unlimited}
	}
	p.account.mu.Lock()
	defer p.account.mu.Unlock()
	b := p.account.buckets[q.Group]
	if b == nil {
		b = newBucket(q.PerSecond, share)
		p.account.buckets[q.Group] = b
	}
	return b
}

// Slowed returns the present rate of each group that recovers from throttling, in
// calls per second.
func (p *Pacer) Slowed() map[string]float64 {
	p.account.mu.Lock()
	defer p.account.mu.Unlock()
	rates := map[string]float64{}
	for group, b := range p.account.buckets {
		if rate := b.allowed(); rate < float64(b.full) {
			rates[group] = rate
		}
	}
	return rates
}

// Rates returns the present rate of each group that was used, in calls per
// second. Below the documented rate a group recovers from throttling.
func (p *Pacer) Rates() map[string]float64 {
	p.account.mu.Lock()
	defer p.account.mu.Unlock()
	rates := make(map[string]float64, len(p.account.buckets))
	for group, b := range p.account.buckets {
		rates[group] = b.allowed()
	}
	return rates
}
