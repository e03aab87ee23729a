// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// background runs work until it ends or the engine stops. Before the start it
// does nothing: what has to survive is in storage.
func (e *Engine) background(work func(ctx context.Context)) {
	e.life.Lock()
	defer e.life.Unlock()
	if e.ctx == nil || e.ctx.Err() != nil {
		return
	}
	ctx := e.ctx
	e.work.Go(func() { work(ctx) })
}

// sweep settles, marks and queues every secret with a replica at the destination,
// and those that rules send there, until it has done so. What fails delays nothing
// else, and is tried again.
func (e *Engine) sweep(ctx context.Context, ref string, how sweep, change int) {
	what := sweepOfDestination(ref)
	if stored, err := destinations.Get(ctx, e.storage, ref); err == nil && stored != nil {
		ctx = WithCause(ctx, stored.By)
	}
	ctx = because(ctx, ReasonDestination)
	var ids []string
	e.persist(ctx, "list the replicas of destination "+ref, func() (err error) {
		ids, err = claims.List(ctx, e.storage, ref+"/")
		return err
	})
	e.persist(ctx, "look through the replicas of destination "+ref, func() error {
		var err error
		ids, err = retained(ctx, ids, func(id string) error {
			e.sweeping.examined(what, change)
			return e.sweepClaim(ctx, ref, ref+"/"+id, how)
		})
		return err
	})
	e.persist(ctx, "look through the secrets that rules send to destination "+ref, func() error {
		return e.sweepSent(ctx, ref, how)
	})
	e.persist(ctx, "note that the replicas of destination "+ref+" are looked through", func() error {
		return e.endSweep(ctx, ref, change)
	})
}

// sweepSent looks through the secrets that rules send to the destination and that
// have no replica there: it may take them now.
func (e *Engine) sweepSent(ctx context.Context, ref string, how sweep) error {
	set, err := e.ruleSet(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(set.Rules(), func(r *rule.Rule) bool { return slices.Contains(r.Destinations, ref) }) {
		return nil
	}
	e.sweepSecrets(ctx, "look through the secrets that rules send to destination "+ref, func(name string) error {
		if !slices.Contains(sentTo(set, name), ref) {
			return nil
		}
		s, err := e.load(ctx, name)
		if err != nil || s.goesTo(ref) {
			return err
		}
		return e.touch(ctx, name, ref, how)
	})
	return nil
}

// retained does work for each id, for some at a time, and returns those for which
// it failed, with one of the errors.
func retained(ctx context.Context, ids []string, work func(id string) error) (failed []string, err error) {
	next := make(chan string)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range min(sweepers, len(ids)) {
		workers.Go(func() {
			for id := range next {
				failure := ctx.Err()
				if failure == nil {
					failure = work(id)
				}
				if failure != nil {
					mu.Lock()
					failed, err = append(failed, id), failure
					mu.Unlock()
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	workers.Wait()
	if len(failed) > 1 {
		err = fmt.Errorf("%d of %d failed, one with: %w", len(failed), len(ids), err)
	}
	return failed, err
}

func (e *Engine) sweepClaim(ctx context.Context, ref, id string, how sweep) error {
	claim, err := claims.Get(ctx, e.storage, id)
	if err != nil || claim == nil {
		return err
	}
	return e.touch(ctx, claim.Secret, ref, how)
}

// endSweep removes the destination's note that a sweep is necessary, unless
// another one became so.
func (e *Engine) endSweep(ctx context.Context, ref string, change int) error {
	e.destLock.Lock()
	defer e.destLock.Unlock()
	stored, err := destinations.Get(ctx, e.storage, ref)
	if err != nil || stored == nil || !e.sweeping.current(sweepOfDestination(ref), change) {
		return err
	}
	stored.Sweep = ""
	if err := destinations.Put(ctx, e.storage, ref, stored); err != nil {
		return err
	}
	e.sweeping.end(sweepOfDestination(ref), change)
	return nil
}

// touch marks a secret and queues it at one destination.
func (e *Engine) touch(ctx context.Context, name, ref string, how sweep) error {
	defer e.lock(name)()
	s, altered, err := e.resettle(ctx, name)
	if err != nil || !altered && len(s.at(ref)) == 0 {
		return err
	}
	if err := e.begin(ctx, s); err != nil {
		return err
	}
	if how == sweepRemote {
		for _, slot := range s.at(ref) {
			e.activities.doubt(name, slot)
		}
	}
	e.enqueueAll(s, quota.Bulk)
	return nil
}

func (e *Engine) resumeSweeps(ctx context.Context) {
	var refs []string
	e.persist(ctx, "list destinations", func() (err error) {
		refs, err = e.refs(ctx)
		return err
	})
	for _, ref := range refs {
		e.background(func(ctx context.Context) {
			var stored *destinationRecord
			e.persist(ctx, "read destination "+ref, func() (err error) {
				stored, err = destinations.Get(ctx, e.storage, ref)
				return err
			})
			if stored == nil {
				return
			}
			if _, err := e.replicator(ctx, ref); err != nil { // its replicas are verified from here on
				e.log.Warn("a destination can't be opened; its replicas aren't verified", "destination", ref, "error", err)
			}
			if stored.Sweep != "" {
				e.sweep(ctx, ref, stored.Sweep, e.sweeping.begin(sweepOfDestination(ref)))
			}
		})
	}
}
