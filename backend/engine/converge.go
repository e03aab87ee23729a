// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// maxPlans bounds how often one convergence plans anew. Looking, acting, and
// looking again after a surprise takes five.
const maxPlans = 7

// convergence makes one remote secret what it should be: plan, carry out, plan
// again until nothing is left to do.
type convergence struct {
	e    *Engine
	o    *opened
	name string // of the remote secret
	slot string
	// leave is the brake's to take the secret from its readers, and held since when
	// it has none.
	leave *admission
	held  *Held
	// values is where the KV store reads during the convergence.
	values *readOnce

	want  plan.Desired
	value provider.Value // of want, once it is loaded
	// load reads the value; otherForms are the digests of the same data in every
	// format, by which an older form of it is recognised.
	load       func(ctx context.Context) error
	otherForms []string
	format     string // identifies how the value is encoded
	due        time.Time
	adopted    bool // the remote was made by others

	have plan.Observed
	// remembered is what an earlier engine left of the remote, until it was compared
	// with what is there; nil when that was done. See guard.go.
	remembered *plan.Observed
	doubtful   bool               // something was attempted whose outcome isn't known
	newest     plan.VersionNumber // that Vault ever gave
	secret     string
	// drift is what somebody else changed; until the remote was looked at again it
	// stays.
	drift *Drift
	// driftAction is what the settings say of drift.
	driftAction DriftAction
	// createdUnder is the key that the service named when the secret was made.
	createdUnder string
	// tagsFailure is why the remote was made without its tags.
	tagsFailure *Failure

	// done are the calls that changed something, or may have.
	done []TrailCall

	// dry, if set, notes the steps that would be carried out, and none is.
	dry *rehearsal
}

// converge returns nil when the remote is as wanted. What was done until an
// error is in c.have.
func (c *convergence) converge(ctx context.Context) error {
	if err := c.lookAtDrift(ctx); err != nil {
		return err
	}
	for range maxPlans {
		if err := c.recall(ctx); err != nil {
			return err
		}
		p := c.decide()
		switch {
		case p.Refusal != nil:
			return c.refused(p)
		case c.remembered != nil && len(p.Steps) > 0 && c.have.Exists():
			if err := c.lookFirst(ctx); err != nil {
				return err
			}
		case p.Look:
			if err := c.look(ctx); err != nil {
				return err
			}
		case len(p.Steps) == 0:
			if c.have.Serves(c.want) {
				c.have.Current.Version = c.want.Version
			}
			return nil
		default:
			if err := c.carryOut(ctx, p.Steps); err != nil && !c.surprised(err) {
				return err
			}
		}
	}
	return &provider.Error{Class: provider.ClassInternal, Message: "the remote secret doesn't become what was asked for, although every call succeeds"}
}

// recall compares what was just looked at with what an earlier engine remembered.
func (c *convergence) recall(ctx context.Context) error {
	if c.remembered == nil || !c.have.Looked {
		return nil
	}
	return c.recognise(ctx)
}

// refused is why a plan may not touch the remote.
func (c *convergence) refused(p plan.Plan) error {
	if p.Ahead {
		return c.ahead(p.Refusal.Message, false)
	}
	return p.Refusal
}

// decide is what to do next.
func (c *convergence) decide() plan.Plan {
	p := plan.Make(c.want, c.have, c.o.abilities, c.o.kind.Limits)
	if p.Look && c.dry != nil && c.dry.looked {
		c.have = c.dry.goOn(c.have)
		return plan.Make(c.want, c.have, c.o.abilities, c.o.kind.Limits)
	}
	return p
}

// lookFirst looks at what is about to be changed. If that can't be, nothing has
// become doubtful by it.
func (c *convergence) lookFirst(ctx context.Context) error {
	before := c.have
	err := c.look(ctx)
	if err != nil {
		c.have = before
	}
	return err
}

// surprised tells whether err shows that the remote isn't what it was thought
// to be, which one look can clear up.
func (c *convergence) surprised(err error) bool {
	switch provider.ClassOf(err) {
	case provider.ClassExists, provider.ClassNotFound, provider.ClassConflict, provider.ClassLimit:
		if c.have.Looked {
			return false
		}
		c.have.Known = false
		return true
	default:
		return false
	}
}

// look reads the remote's metadata; the list of versions only if it is ours to
// work with.
func (c *convergence) look(ctx context.Context) error {
	if c.dry != nil {
		c.dry.looked = true
	}
	var found provider.Secret
	var versions []provider.Version
	var tags map[string]string
	err := c.call(ctx, func(ctx context.Context) (err error) {
		found, tags, err = c.describe(ctx)
		return err
	})
	if provider.IsNotFound(err) {
		c.have, c.drift = plan.Absent(), nil
		return nil
	}
	if err != nil {
		return err
	}
	service := plan.Service{AssignsIDs: c.o.kind.AssignsVersionIDs(), CurrentLabel: c.o.kind.CurrentLabel}
	seen := plan.Seen(found, nil, c.have, service)
	if seen.Unmarked = c.have.LeftUnmarked(c.want, seen.Description); (seen.Unmarked || seen.Owner() == c.want.Owner) && !seen.CloudManaged {
		err = c.call(ctx, func(ctx context.Context) (err error) {
			versions, err = c.o.remote.Versions(ctx, c.name)
			return err
		})
		if err != nil {
			return err
		}
		unmarked := seen.Unmarked
		seen = plan.Seen(found, versions, c.have, service)
		seen.Unmarked = unmarked && c.have.HoldsAll(seen.Versions)
	}
	if tags != nil {
		seen = seen.TagsLeft(tags)
	}
	before := c.have
	c.have = seen
	if err := c.recogniseAdopted(ctx, before); err != nil {
		c.have.Known = false
		return err
	}
	c.drift = nil
	if err := c.identify(ctx, service); err != nil {
		c.have.Known = false // the doubt stays
		return err
	}
	return nil
}

// recogniseAdopted compares the pointer of an adopted remote, whose value is under
// no other id yet, with what it held: neither its id nor the list of versions
// tells. If that changed before the mark was on, nothing is written.
func (c *convergence) recogniseAdopted(ctx context.Context, before plan.Observed) error {
	pointer := c.want.PointerID
	if _, there := c.have.Find(pointer); !there || !c.adopted || before.Current.ID != pointer || !before.CurrentAlone() ||
		!c.have.Unmarked && c.have.Owner() != c.want.Owner {
		return nil
	}
	var value provider.Value
	err := c.call(ctx, func(ctx context.Context) (err error) {
		value, err = c.o.remote.Read(ctx, c.name, pointer)
		return err
	})
	switch {
	case err != nil && !before.Unmarked && !provider.ClassOf(err).Recovers():
		return nil // reading isn't needed for others, so it may not be allowed
	case err != nil:
		return err
	case payload.Digest(c.e.mount.digestKey(), value) == before.Current.Digest:
		c.have.Current = before.Current
	case c.have.Unmarked:
		c.have.Unmarked = false // it is left to those who made it
	case before.Unmarked:
		return &provider.Error{
			Class:   provider.ClassConflict,
			Message: "the remote's current value was changed by others while it was adopted; import it again, or write the secret",
		}
	}
	return nil
}

// mostReads bounds how many versions are read to find the one whose putting was
// broken off. It is among the newest.
const mostReads = 3

// identify finds out which versions hold the wanted value where neither id nor
// memory tells: after a put whose outcome isn't known. A version of another form
// of the same data is ours too. What any other holds is noted where ids tell
// nothing: Vault may come to want it again. It is the only time that a value is
// read back.
func (c *convergence) identify(ctx context.Context, service plan.Service) error {
	if c.want.Presence != plan.Live || !c.value.IsSet() || c.have.State != provider.StateEnabled {
		return nil
	}
	reads := 0
	for _, v := range slices.Backward(c.have.Versions) {
		candidate := v.Version.Same(c.want.Version) || service.AssignsIDs && v.Version.Number == 0
		if v.Digest != "" || !candidate || reads == mostReads {
			continue
		}
		reads++
		var value provider.Value
		err := c.call(ctx, func(ctx context.Context) (err error) {
			value, err = c.o.remote.Read(ctx, c.name, v.ID)
			return err
		})
		switch {
		case provider.IsNotFound(err), err != nil && !service.AssignsIDs && provider.ClassOf(err) == provider.ClassPermission:
			continue
		case err != nil:
			return err
		}
		if digest := payload.Digest(c.e.mount.digestKey(), value); digest == c.want.Digest || slices.Contains(c.otherForms, digest) {
			c.have = c.have.Identified(v.ID, c.want.Version, digest)
			return nil
		} else if service.AssignsIDs {
			c.have = c.have.Identified(v.ID, v.Version, digest)
		}
	}
	return nil
}

// carryOut performs the steps until one fails, or leaves something to look at.
func (c *convergence) carryOut(ctx context.Context, steps []plan.Step) error {
	for _, step := range steps {
		if takes(step) && c.dry == nil {
			if err := c.take(ctx); err != nil {
				return err
			}
		}
		atOnce := step.Action == plan.Delete && step.After == 0 && c.have.State == provider.StatePendingDeletion
		id, err := c.performOrNote(ctx, step)
		if atOnce && c.dry == nil && (err == nil || refusesAtOnce(err)) {
			// Whether services delete at once what they are about to delete isn't known of all.
			c.want.RestoreFirst, c.have.Known, c.have.Looked = true, false, false
			return nil
		}
		if err != nil {
			return c.failed(step, err)
		}
		c.have = plan.Done(c.want, c.have, step, id).Trimmed(c.o.kind.Limits)
		if atOnce {
			c.have = plan.Absent() // in a dry run
		}
		if again := c.settle(step); again {
			return nil
		}
	}
	return nil
}

// failed notes that a step failed, and returns why.
func (c *convergence) failed(step plan.Step, err error) error {
	_, there := c.have.Find(step.VersionID)
	if there && c.have.Looked && step.Action == plan.PutVersion && provider.ClassOf(err) == provider.ClassConflict {
		return c.ahead(err.Error(), false) // another value has the id, which is never given twice
	}
	if provider.IsAmbiguous(err) {
		c.have = plan.Doubtful(c.want, c.have, step, c.o.abilities)
	}
	return err
}

// settle notes what a step brought with it, and tells whether it has to be looked at.
func (c *convergence) settle(step plan.Step) (again bool) {
	switch {
	case step.Action == plan.Delete && step.After > 0:
		c.have.DeletionTime = time.Now().UTC().Truncate(time.Second).Add(step.After)
	case step.Action == plan.Restore && c.o.kind.AssignsVersionIDs() && c.have.HasUnknown():
		c.have.Known = false // they can be read now
		return true
	case step.Action == plan.Create:
		c.remembered, c.have.KMSKeyID = nil, c.createdUnder // there was nothing
		if c.tagsFailure != nil {
			c.have.Tags = nil
		}
	case step.Action == plan.ChangeTags:
		c.tagsFailure = nil
	}
	return false
}

// refusesAtOnce tells whether the service won't delete at once what it is about to
// delete.
func refusesAtOnce(err error) bool {
	class := provider.ClassOf(err)
	return class == provider.ClassConflict || class == provider.ClassInvalid
}

// performOrNote performs the step, or notes it in a dry run.
func (c *convergence) performOrNote(ctx context.Context, step plan.Step) (id string, err error) {
	if c.dry != nil {
		c.dry.steps = append(c.dry.steps, step)
		return "", nil
	}
	trace := &stepTrace{}
	id, err = c.perform(context.WithValue(ctx, stepKey{}, trace), step)
	c.record(step, id, trace, err)
	return id, err
}

func (c *convergence) perform(ctx context.Context, step plan.Step) (id string, err error) {
	if step.SendsValue() && !c.value.IsSet() {
		known := c.want.Digest
		if err := c.load(ctx); err != nil {
			return "", err
		}
		if c.want.Digest != known {
			return "", errChanging
		}
	}
	err = c.call(ctx, func(ctx context.Context) error {
		switch step.Action {
		case plan.Create:
			id, err = c.create(ctx, step)
		case plan.PutVersion:
			id, err = c.o.remote.PutVersion(ctx, c.name, step.VersionID, c.value)
		case plan.Overwrite:
			id, err = step.VersionID, provider.Overwrite(ctx, c.o.remote, c.name, step.VersionID, c.value)
		case plan.DeleteVersion:
			err = provider.DeleteVersion(ctx, c.o.remote, c.name, step.VersionID)
		case plan.SetDescription:
			err = c.o.remote.SetDescription(ctx, c.name, step.Description)
		case plan.Enable:
			err = provider.Enable(ctx, c.o.remote, c.name)
		case plan.Disable:
			err = provider.Disable(ctx, c.o.remote, c.name)
		case plan.Restore:
			err = provider.Restore(ctx, c.o.remote, c.name)
		case plan.MoveCurrent:
			err = provider.MoveCurrent(ctx, c.o.remote, c.name, step.VersionID)
		case plan.ChangeTags:
			err = provider.ChangeTags(ctx, c.o.remote, c.name, step.SetTags, step.RemoveTags)
		case plan.ChangeKey:
			err = provider.ChangeKey(ctx, c.o.remote, c.name, step.KMSKeyID)
		case plan.Delete:
			err = c.o.remote.Delete(ctx, c.name, step.After)
		default:
			err = &provider.Error{Class: provider.ClassInternal, Message: fmt.Sprintf("no call for the step %q", step.Action)}
		}
		return err
	})
	return id, err
}

func (c *convergence) create(ctx context.Context, step plan.Step) (string, error) {
	created, err := c.o.remote.Create(ctx, c.name, provider.NewSecret{
		VersionID: step.VersionID, Value: c.value, Description: step.Description,
		Tags: c.want.Tags, KMSKeyID: c.want.KMSKeyID,
	})
	if err != nil {
		return "", err
	}
	c.tagsFailure, c.createdUnder = nil, created.KMSKeyID
	if created.TagsError != nil {
		c.tagsFailure = c.e.failure(created.TagsError)
	}
	return created.VersionID, nil
}

// mostThrottled is how often one call is made again that was throttled, before
// the replica rests. The quota slows down meanwhile.
const mostThrottled = 4

// call makes one remote call, within a time limit from when its turn comes.
func (c *convergence) call(ctx context.Context, remote func(context.Context) error) error {
	return callRemote(ctx, remote)
}
