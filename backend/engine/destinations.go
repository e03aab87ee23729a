// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// ListDestinations returns the names of the destinations of a type, or the
// types that have any, each with a slash, for "".
func (e *Engine) ListDestinations(ctx context.Context, kind string) ([]string, error) {
	if kind != "" {
		kind += "/"
	}
	return destinations.List(ctx, e.storage, kind)
}

// refs returns every destination.
func (e *Engine) refs(ctx context.Context) ([]string, error) {
	var refs []string
	kinds, err := e.ListDestinations(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		kind = strings.TrimSuffix(kind, "/")
		names, err := e.ListDestinations(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			refs = append(refs, kind+"/"+name)
		}
	}
	return refs, nil
}

// PutDestination creates or replaces a destination. A *RefusedError means that
// nothing was stored. Replicas that wait for the destination are tried again,
// and when settings changed that replicas depend on, all of them are looked
// through in the background.
func (e *Engine) PutDestination(ctx context.Context, d *Destination) error {
	e.destLock.Lock()
	defer e.destLock.Unlock()
	kind, found := e.kinds[d.Type]
	if !found {
		return Refusef("destination type %q is unknown", d.Type)
	}
	if err := d.check(kind); err != nil {
		return err
	}
	sweep, err := e.mayReplace(ctx, d)
	if err != nil {
		return err
	}
	o, err := e.open(d)
	if err != nil {
		return err
	}
	if err := destinations.Put(ctx, e.storage, d.Ref(), d.record(sweep)); err != nil {
		o.close()
		return err
	}
	l := e.addLane(o)
	if old := l.current.Swap(o); old != o {
		old.close()
	}
	for _, name := range e.activities.names(d.Ref()) {
		e.enqueueAt(ctx, d.Ref(), name)
	}
	if sweep {
		e.background(func(ctx context.Context) { e.sweepLogged(ctx, d.Ref()) })
	}
	return nil
}

// mayReplace tells whether the replicas of the destination have to be looked
// through after its change, and refuses a change that would lose them.
func (e *Engine) mayReplace(ctx context.Context, d *Destination) (sweep bool, err error) {
	old, err := e.Destination(ctx, d.Ref())
	if err != nil || old == nil {
		return false, err
	}
	if !old.changes(d) && !old.moves(d) && old.pointer(e.kinds[d.Type]) == d.pointer(e.kinds[d.Type]) {
		return false, nil
	}
	held, err := claims.List(ctx, e.storage, d.Ref()+"/")
	if err != nil || len(held) == 0 {
		return false, err
	}
	if old.moves(d) {
		return false, Refusef("destination %s has %d replicas in region %s; create another destination for region %s and give it to the secrets instead", d.Ref(), len(held), old.Region, d.Region)
	}
	return true, nil
}

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

func (e *Engine) sweepLogged(ctx context.Context, ref string) {
	if err := e.sweep(ctx, ref); err != nil && ctx.Err() == nil {
		e.log.Error("the replicas of a changed destination can't all be looked through; the rest follows at the next start", "destination", ref, "error", err)
	}
}

// sweep marks and queues every secret with a replica at the destination.
func (e *Engine) sweep(ctx context.Context, ref string) error {
	ids, err := claims.List(ctx, e.storage, ref+"/")
	if err != nil {
		return err
	}
	for _, id := range ids {
		claim, err := claims.Get(ctx, e.storage, ref+"/"+id)
		if err != nil {
			return err
		}
		if claim == nil {
			continue
		}
		if err := e.touch(ctx, claim.Secret, ref); err != nil {
			return err
		}
	}
	e.destLock.Lock()
	defer e.destLock.Unlock()
	stored, err := destinations.Get(ctx, e.storage, ref)
	if err != nil || stored == nil {
		return err
	}
	stored.Sweep = false
	return destinations.Put(ctx, e.storage, ref, stored)
}

// touch marks a secret and queues it at one destination.
func (e *Engine) touch(ctx context.Context, name, ref string) error {
	defer e.lock(name)()
	s, err := e.load(ctx, name)
	if err != nil || s.Replicas[ref] == nil {
		return err
	}
	if err := e.begin(ctx, s); err != nil {
		return err
	}
	e.enqueueAll(ctx, s)
	return nil
}

func (e *Engine) resumeSweeps(ctx context.Context) error {
	refs, err := e.refs(ctx)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		stored, err := destinations.Get(ctx, e.storage, ref)
		if err != nil {
			return err
		}
		if stored != nil && stored.Sweep {
			if err := e.sweep(ctx, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeleteDestination removes a destination. One with replicas is refused unless
// force is set, which forgets them and leaves them in the cloud.
func (e *Engine) DeleteDestination(ctx context.Context, ref string, force bool) error {
	e.destLock.Lock()
	defer e.destLock.Unlock()
	for {
		held, err := e.deleteUnheld(ctx, ref)
		switch {
		case err != nil:
			return err
		case len(held) == 0:
			return nil
		case !force:
			return Refusef("destination %s has %d replicas; take it away from their secrets first, or give force=true to forget them, which leaves them in the cloud", ref, len(held))
		}
		for _, id := range held {
			if err := e.forgetReplica(ctx, ref, id); err != nil {
				return err
			}
		}
	}
}

// deleteUnheld deletes the destination's record if no secret holds a remote name
// there, and returns the claims otherwise. The claim lock keeps a secret from
// claiming one in between.
func (e *Engine) deleteUnheld(ctx context.Context, ref string) (held []string, err error) {
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	ids, err := claims.List(ctx, e.storage, ref+"/")
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		id = ref + "/" + id
		claim, err := claims.Get(ctx, e.storage, id)
		if err != nil {
			return nil, err
		}
		holder := ""
		if claim != nil {
			if holder, err = e.holder(ctx, id, ref, claim.RemoteName); err != nil {
				return nil, err
			}
		}
		if holder != "" {
			held = append(held, id)
		} else if err := claims.Delete(ctx, e.storage, id); err != nil {
			return nil, err
		}
	}
	if len(held) > 0 {
		return held, nil
	}
	if err := destinations.Delete(ctx, e.storage, ref); err != nil {
		return nil, err
	}
	if l := e.lanes.remove(ref); l != nil {
		// Its workers may wait for a lock that is held here.
		go l.close()
	}
	return nil, nil
}

// forgetReplica drops the replica that a claim stands for, and the destination
// from its secret's settings.
func (e *Engine) forgetReplica(ctx context.Context, ref, claimID string) error {
	claim, err := claims.Get(ctx, e.storage, claimID)
	if err != nil || claim == nil {
		return err
	}
	defer e.lock(claim.Secret)()
	s, err := e.load(ctx, claim.Secret)
	if err != nil {
		return err
	}
	if s.Replicas[ref] == nil {
		return claims.Delete(ctx, e.storage, claimID)
	}
	s.Settings = s.Settings.clone()
	s.Settings.Destinations = slices.DeleteFunc(s.Settings.Destinations, func(d string) bool { return d == ref })
	delete(s.Settings.KMSKeyIDs, ref)
	if err := e.dropReplica(ctx, s, ref); err != nil {
		return err
	}
	return e.finish(ctx, s)
}

// CheckDestination makes harmless calls at the destination and reports on each.
func (e *Engine) CheckDestination(ctx context.Context, ref string) ([]provider.Finding, error) {
	l, err := e.lane(ctx, ref)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, Refusef("destination %s doesn't exist", ref)
	}
	return provider.Check(ctx, l.current.Load().remote)
}
