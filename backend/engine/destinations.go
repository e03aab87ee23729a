// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
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
// through in the background. Warnings name a KMS key of which isn't known whether
// it can be used.
func (e *Engine) PutDestination(ctx context.Context, d *Destination) (warnings []string, err error) {
	if warnings, err = e.checkDestinationKey(ctx, d); err != nil {
		return nil, err
	}
	return warnings, e.putDestination(ctx, d)
}

func (e *Engine) putDestination(ctx context.Context, d *Destination) error {
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
	record := d.record(sweep)
	record.By = causeOf(ctx)
	if err := destinations.Put(ctx, e.storage, d.Ref(), record); err != nil {
		o.close()
		e.background(func(ctx context.Context) { // it may be in storage or not
			e.persist(ctx, "read destination "+d.Ref(), func() error { return e.adoptDestination(ctx, d.Type, d.Name) })
		})
		return err
	}
	e.putInForce(o, sweep)
	return nil
}

// putInForce lets replicas go to a destination as it is stored. The caller holds
// destLock.
func (e *Engine) putInForce(o *opened, how sweep) {
	ref := o.destination.Ref()
	r := e.keep(o)
	if old := r.current.Swap(o); old != o {
		old.close()
	}
	for _, queued := range e.activities.at(ref) {
		name, _ := splitItem(queued, ref)
		e.activities.wake(name, func(at string) bool { return at == ref })
		r.add(queued, quota.Retry)
	}
	e.enqueueCredentials(ref, func(*credentialWork) bool { return true })
	if how != "" {
		change := e.sweeping.begin(sweepOfDestination(ref))
		e.background(func(ctx context.Context) { e.sweep(ctx, ref, how, change) })
	}
}

// adoptDestination puts a destination in force as it is stored.
func (e *Engine) adoptDestination(ctx context.Context, kind, name string) error {
	e.destLock.Lock()
	defer e.destLock.Unlock()
	stored, err := destinations.Get(ctx, e.storage, kind+"/"+name)
	if err != nil || stored == nil {
		return err
	}
	o, err := e.open(stored.destination(kind, name))
	if err != nil {
		return err
	}
	e.putInForce(o, stored.Sweep)
	return nil
}

// mayReplace tells how the replicas of the destination have to be looked through
// after its change, and refuses a change that would lose them.
func (e *Engine) mayReplace(ctx context.Context, d *Destination) (sweep, error) {
	stored, err := destinations.Get(ctx, e.storage, d.Ref())
	if err != nil || stored == nil {
		return "", err
	}
	old := stored.destination(d.Type, d.Name)
	needed := stored.Sweep.and(old.sweepFor(d))
	if needed == "" && old.Region == d.Region {
		return "", nil
	}
	holder, err := e.anyHolder(ctx, d.Ref())
	if err != nil {
		return "", err
	}
	if old.Region != d.Region {
		if held, err := e.heldCredential(ctx, d.Ref()); err != nil {
			return "", err
		} else if held != "" {
			return "", Refusef("destination %s has managed credentials in region %s, such as %q; create another destination for region %s", d.Ref(), old.Region, held, d.Region)
		}
	}
	if holder == "" {
		if slices.Equal(old.AllowedPaths, d.AllowedPaths) {
			return "", nil
		}
		return needed, nil // rules may send it more than before
	}
	if old.Region != d.Region {
		return "", Refusef("destination %s has replicas in region %s, such as that of secret %q; create another destination for region %s and give it to the secrets instead", d.Ref(), old.Region, holder, d.Region)
	}
	return needed, nil
}

// anyHolder returns a secret that has a replica at the destination, "" if none
// has.
func (e *Engine) anyHolder(ctx context.Context, ref string) (string, error) {
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	ids, err := claims.List(ctx, e.storage, ref+"/")
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		claim, err := claims.Get(ctx, e.storage, ref+"/"+id)
		if err != nil {
			return "", err
		}
		if claim == nil {
			continue
		}
		if holder, err := e.holder(ctx, ref+"/"+id, ref, claim.RemoteName); err != nil || holder != "" {
			return holder, err
		}
	}
	return "", nil
}

// DeleteDestination removes a destination. One with replicas is refused unless
// force is set, which forgets them and leaves them in the cloud.
func (e *Engine) DeleteDestination(ctx context.Context, ref string, force bool) (forgotten Forgotten, err error) {
	e.destLock.Lock()
	defer e.destLock.Unlock()
	if err := e.refuseNamedByRule(ctx, ref); err != nil {
		return forgotten, err
	}
	if held, err := e.heldCredential(ctx, ref); err != nil {
		return forgotten, err
	} else if held != "" && !force {
		return forgotten, Refusef("destination %s has managed credentials, such as %q; delete them first, or give force=true to forget them, which leaves them in the cloud", ref, held)
	}
	for {
		if force {
			if err := e.forgetReplicas(ctx, ref, &forgotten); err != nil {
				return forgotten, err
			}
			if err := e.forgetCredentials(ctx, ref, &forgotten); err != nil {
				return forgotten, err
			}
		}
		holder, err := e.deleteUnheld(ctx, ref)
		switch {
		case err != nil || holder == "":
			return forgotten, err
		case !force:
			return forgotten, Refusef("destination %s has replicas, such as that of secret %q; take it away from their secrets first, or give force=true to forget them, which leaves them in the cloud", ref, holder)
		}
	}
}

// deleteUnheld deletes the destination's record if no secret has a replica there,
// and returns one that has otherwise. Claiming checks under the same locks that
// the destination is there, so that no secret comes in between.
func (e *Engine) deleteUnheld(ctx context.Context, ref string) (holder string, err error) {
	if holder, err := e.anyHolder(ctx, ref); err != nil || holder != "" {
		return holder, err
	}
	e.openLock.Lock()
	defer e.openLock.Unlock()
	e.claimLock.Lock()
	defer e.claimLock.Unlock()
	ids, err := claims.List(ctx, e.storage, ref+"/")
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		// Nobody's, unless it was made just now.
		claim, err := claims.Get(ctx, e.storage, ref+"/"+id)
		if err != nil {
			return "", err
		}
		if claim != nil {
			if holder, err := e.holder(ctx, ref+"/"+id, ref, claim.RemoteName); err != nil || holder != "" {
				return holder, err
			}
		}
		if err := e.deleteClaim(ctx, ref, ref+"/"+id); err != nil {
			return "", err
		}
	}
	e.claimCounts.forget(ref)
	err = errors.Join(destinations.Delete(ctx, e.storage, ref), e.deleteBrake(ctx, ref), rounds.Delete(ctx, e.storage, ref))
	// If that failed it may be in storage or not, and is opened again if it is.
	if r := e.replicators.remove(ref); r != nil {
		r.stop()
		// Its workers may wait for a lock that is held here.
		e.await(r)
	}
	return "", err
}

// Forgotten is what went with a destination, and stays in the cloud.
type Forgotten struct {
	Replicas, Credentials int
	Secret, Credential    string // one of each, if there were any
}

func (e *Engine) forgetReplicas(ctx context.Context, ref string, forgotten *Forgotten) error {
	ids, err := claims.List(ctx, e.storage, ref+"/")
	if err != nil {
		return err
	}
	for _, id := range ids {
		name, err := e.forgetReplica(ctx, ref, ref+"/"+id)
		if err != nil {
			return err
		}
		if name != "" {
			forgotten.Replicas, forgotten.Secret = forgotten.Replicas+1, name
		}
	}
	return nil
}

// forgetReplica drops the replica that a claim stands for, and the destination
// from its secret's settings. It returns the secret's name, "" if there was none.
func (e *Engine) forgetReplica(ctx context.Context, ref, claimID string) (string, error) {
	claim, err := claims.Get(ctx, e.storage, claimID)
	if err != nil || claim == nil {
		return "", err
	}
	defer e.lock(claim.Secret)()
	s, err := e.load(ctx, claim.Secret)
	if err != nil {
		return "", err
	}
	slot := s.named(ref, claim.RemoteName)
	if slot == "" {
		e.finish(s)
		return "", e.releaseClaim(ctx, claim.Secret, ref, claim.RemoteName)
	}
	s.Settings = s.Settings.clone()
	s.Settings.Destinations = slices.DeleteFunc(s.Settings.Destinations, func(d string) bool { return d == ref })
	delete(s.Settings.KMSKeyIDs, ref)
	return s.Name, e.dropReplica(ctx, s, slot)
}

// CheckDestination makes harmless calls at the destination and reports on each.
func (e *Engine) CheckDestination(ctx context.Context, ref string) ([]provider.Finding, error) {
	r, err := e.replicator(ctx, ref)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, Refusef("destination %s doesn't exist", ref)
	}
	o := r.current.Load()
	o.refused.Store(nil) // a person asks: try again
	return provider.Check(ctx, o.remote)
}
