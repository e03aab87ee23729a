// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// VerifyRequest asks for the replicas of a secret to be compared with what is in
// the cloud.
type VerifyRequest struct {
	Name        string
	Destination string // "" for all
	// Repair has what drifted made again what it should be, where that is possible.
	Repair bool
	// Values tells whether values are read and compared; nil for what the
	// destination says.
	Values *bool

	// Lane is what the calls wait for.
	Lane quota.Lane
	// background leaves out what is to be ignored, and what was just brought in sync.
	background bool
}

// VerifyResult is how a verification ended.
type VerifyResult string

// The results.
const (
	VerifiedInSync    VerifyResult = "in_sync"
	VerifiedDrifted   VerifyResult = "drifted"
	VerifiedRepairing VerifyResult = "repairing" // drifted, and is being repaired
	VerifiedRepaired  VerifyResult = "repaired"
	VerifiedSkipped   VerifyResult = "skipped" // nothing was compared
	VerifiedFailed    VerifyResult = "failed"  // the cloud didn't let us look
)

// Verified is what the verification of one replica found.
type Verified struct {
	Destination string
	Key         string // of the secret's data, for the replica of one key
	RemoteName  string
	Result      VerifyResult
	Findings    []plan.Finding
	// Reason is why it was skipped, or isn't repaired although that was asked for.
	Reason  string
	Failure *Failure // with failed
	// NotCompared is what couldn't be compared, and why.
	NotCompared []string
	Calls       int // remote calls

	slot string
}

type readingKey struct{}

// reading returns a context for calls that only read. They need no proof that this
// is still the active node, which takes a write to storage: what they find is
// stored by that node alone.
func reading(ctx context.Context) context.Context { return context.WithValue(ctx, readingKey{}, true) }

func readsOnly(ctx context.Context) bool { return ctx.Value(readingKey{}) != nil }

// mostLooks is how often a verification looks again because the replica changed
// meanwhile.
const mostLooks = 3

// verifiers at once look at the replicas of one secret.
const verifiers = 4

// Verify compares the replicas of a secret with what is in the cloud, and notes
// what it found. A *RefusedError says that there is nothing to compare. With Repair,
// the generation is what to wait for.
func (e *Engine) Verify(ctx context.Context, req VerifyRequest) (found []Verified, generation uint64, err error) {
	s, err := e.load(ctx, req.Name)
	if err != nil {
		return nil, 0, err
	}
	slots := s.slots()
	if req.Destination != "" {
		slots = s.at(req.Destination)
	}
	switch {
	case len(s.Replicas) == 0:
		return nil, 0, Refusef("secret %q has no replicas; give it destinations at secrets/%s, or by a rule", req.Name, req.Name)
	case len(slots) == 0:
		return nil, 0, Refusef("secret %q has no replica at destination %s", req.Name, req.Destination)
	}
	found = make([]Verified, len(slots))
	failed := make([]error, len(slots)+1)
	turns := make(chan struct{}, verifiers)
	var looking sync.WaitGroup
	for i, slot := range slots {
		turns <- struct{}{}
		looking.Go(func() {
			defer func() { <-turns }()
			found[i], failed[i] = e.verify(ctx, req, slot)
		})
	}
	looking.Wait()
	failed[len(slots)] = e.repair(ctx, req, found)
	return found, e.activities.generation(req.Name), errors.Join(failed...)
}

// repair has the replicas converged whose verification says so, all at once: work
// that begins for one of them keeps the others from being compared.
func (e *Engine) repair(ctx context.Context, req VerifyRequest, found []Verified) error {
	if !slices.ContainsFunc(found, func(v Verified) bool { return v.Result == VerifiedRepairing }) {
		return nil
	}
	defer e.lock(req.Name)()
	s, err := e.load(ctx, req.Name)
	if err != nil {
		return err
	}
	asked := false
	for _, v := range found {
		if replica := s.Replicas[v.slot]; v.Result == VerifiedRepairing && replica != nil && replica.Drift != nil {
			next := *replica.Drift
			next.Repair = true
			replica.Drift, asked = &next, true
		}
	}
	if !asked {
		return nil // something else made it undone meanwhile
	}
	if err := e.storeSecret(ctx, s); err != nil {
		return err
	}
	if err := e.begin(ctx, s); err != nil {
		return err
	}
	e.enqueueAll(s, req.Lane)
	return nil
}

// AwaitRepairs completes what a verification found after its repairs had time to
// end.
func (e *Engine) AwaitRepairs(ctx context.Context, name string, found []Verified, generation uint64, limit time.Duration) error {
	if !slices.ContainsFunc(found, func(v Verified) bool { return v.Result == VerifiedRepairing }) {
		return nil
	}
	e.Wait(ctx, name, generation, limit)
	s, err := e.load(ctx, name)
	if err != nil {
		return err
	}
	progress, _ := e.activities.snapshot(name)
	for i := range found {
		v := &found[i]
		replica := s.Replicas[v.slot]
		if v.Result != VerifiedRepairing || replica == nil {
			continue
		}
		state, failure := replica.State, replica.Failure
		if p, outstanding := progress[v.slot]; outstanding {
			state, failure = p.state, p.failure
		}
		switch {
		case state == StateInSync || state == StateWithdrawn:
			v.Result = VerifiedRepaired
		case failure != nil:
			v.Reason, v.Failure = "the repair failed: "+failure.Message, failure
		default:
			v.Reason = "the repair goes on in the background"
		}
	}
	return nil
}

// verification is one comparison of a replica with its remote.
type verification struct {
	e    *Engine
	o    *opened
	req  VerifyRequest
	slot string
	c    *convergence // for what should be, and to call

	secret  *Secret
	replica *Replica
	notes   []string
	failed  error // why the cloud didn't let us look
}

// verify compares one replica. Its error is a failure of our own storage.
func (e *Engine) verify(ctx context.Context, req VerifyRequest, slot string) (Verified, error) {
	result := Verified{Destination: slotRef(slot), slot: slot, Result: VerifiedSkipped}
	result.Key, _ = slotKey(slot)
	r, err := e.replicator(ctx, slotRef(slot))
	if err != nil || r == nil {
		result.Reason = "the destination doesn't exist"
		return result, err
	}
	o := r.current.Load()
	if o.destination.Disabled {
		result.Reason = "the destination is disabled"
		return result, nil
	}
	queued := item(req.Name, slot) + "\x00verify"
	if ok, _, failure := o.breaker.admits(queued); !ok {
		result.Result, result.Failure, result.Reason = VerifiedFailed, failure, failure.Message
		return result, nil
	}
	ctx, calls := traced(reading(quota.WithLane(ctx, req.Lane)))
	for range mostLooks {
		v := &verification{e: e, o: o, req: req, slot: slot}
		again, err := v.once(ctx, &result)
		o.breaker.gaveUp(queued, v.failed, e.failure)
		if result.Calls = calls.made(); err != nil || !again {
			r.meters.verified(result, err)
			return result, err
		}
	}
	result.Result, result.Reason = VerifiedSkipped, "it was changed while it was looked at; verify it again"
	r.meters.verified(result, nil)
	return result, nil
}

// once compares the replica. It tells whether the replica changed meanwhile, so
// that what was seen says nothing.
func (v *verification) once(ctx context.Context, result *Verified) (again bool, err error) {
	reason, err := v.prepare(ctx)
	if v.replica != nil {
		result.RemoteName = v.replica.RemoteName
	}
	if result.Reason = reason; err != nil || reason != "" {
		return false, err
	}
	look, err := v.look(ctx)
	result.NotCompared = v.notes
	if v.failed = err; err != nil {
		result.Result, result.Failure = VerifiedFailed, v.e.failure(err)
		result.Reason = result.Failure.Message
		return false, nil
	}
	return v.conclude(ctx, look, result)
}

// prepare works out what the replica should be. It returns why it can't be
// compared, "" if it can.
func (v *verification) prepare(ctx context.Context) (reason string, err error) {
	name := v.req.Name
	if reason, err = v.take(ctx); err != nil || reason != "" {
		return reason, err
	}
	values := v.e.readOnce()
	meta, err := v.e.store.ReadMetadata(ctx, values, name)
	if err != nil {
		return "", err
	}
	v.c = &convergence{e: v.e, o: v.o, values: values, name: v.replica.RemoteName, slot: v.slot, have: v.replica.Observed}
	var refusal *RefusedError
	switch err := v.e.desire(ctx, v.c, v.secret, v.replica, meta); {
	case errors.As(err, &refusal):
		return refusal.message, nil
	case errors.Is(err, errKeyGone), errors.Is(err, errChanging):
		return "it is just being changed", nil
	case err != nil:
		return "", err
	case !v.replica.Observed.Exists():
		return "there is nothing in the cloud that it should have", nil
	case !idle(plan.Make(v.c.want, v.replica.Observed, v.o.abilities, v.o.kind.Limits)):
		return "it isn't in sync with Vault yet", nil
	case v.req.background && v.c.driftAction == DriftIgnore:
		return "its drift_action is ignore", nil
	case v.req.background && time.Since(v.replica.LastSync) < shortestRound:
		return "it was brought in sync just now", nil
	}
	return "", nil
}

// take takes the replica as it is now, if nothing is under way for it.
func (v *verification) take(ctx context.Context) (reason string, err error) {
	defer v.e.lock(v.req.Name)()
	s, err := v.e.peek(ctx, v.req.Name)
	if err != nil {
		return "", err
	}
	if s == nil || s.Replicas[v.slot] == nil {
		return "it doesn't exist any more", nil
	}
	v.e.takeUpEarly(ctx, s)
	replica := s.Replicas[v.slot]
	quiet, state := v.e.activities.quiet(s.Name, v.slot)
	v.secret, v.replica = s, replica
	switch {
	case replica.Removal != nil:
		return "it is being given up", nil
	case replica.Refused != nil:
		return "it can't be made: " + replica.Refused.Message, nil
	case !quiet:
		return fmt.Sprintf("it is %s", state), nil
	case replica.State != StateInSync && replica.State != StateWithdrawn && replica.State != StateDrifted:
		return fmt.Sprintf("it is %s", replica.State), nil
	}
	return "", nil
}

// look reads the remote: its metadata, its tags if we gave it any, its versions if
// it is ours, and values if that is asked for.
func (v *verification) look(ctx context.Context) (plan.Look, error) {
	have, service := v.replica.Observed, plan.Service{AssignsIDs: v.o.kind.AssignsVersionIDs(), CurrentLabel: v.o.kind.CurrentLabel}
	found, tags, err := v.describe(ctx)
	look := plan.Look{Seen: plan.Absent(), Time: time.Now(), Tags: tags}
	if provider.IsNotFound(err) {
		return look, nil
	}
	if err != nil {
		return look, err
	}
	if look.Seen = plan.Seen(found, nil, have, service); look.Seen.Owner() != v.c.want.Owner || look.Seen.CloudManaged {
		return look, nil
	}
	var versions []provider.Version
	err = v.c.call(ctx, func(ctx context.Context) (err error) {
		versions, err = v.o.remote.Versions(ctx, v.c.name)
		return err
	})
	if err != nil {
		return look, err
	}
	look.Seen = plan.Seen(found, versions, have, service)
	if values := v.req.Values; values != nil && *values || values == nil && v.o.destination.VerifyValues {
		look.Digests, err = v.read(ctx, look.Seen)
	}
	return look, err
}

func (v *verification) describe(ctx context.Context) (found provider.Secret, tags map[string]string, err error) {
	if len(v.replica.Observed.Tags) > 0 {
		err = v.c.call(ctx, func(ctx context.Context) (err error) {
			found, tags, err = provider.DescribeTagged(ctx, v.o.remote, v.c.name)
			return err
		})
		switch {
		case tags != nil || err != nil && provider.ClassOf(err) != provider.ClassPermission:
			return found, tags, err
		case err == nil:
			v.notes = append(v.notes, "tags: this service doesn't tell them")
			return found, nil, nil
		}
		v.notes = append(v.notes, "tags: "+err.Error())
	}
	err = v.c.call(ctx, func(ctx context.Context) (err error) {
		found, err = v.o.remote.Describe(ctx, v.c.name)
		return err
	})
	return found, nil, err
}

// read hashes the value that readers should get, and where versions can be
// overwritten the one that the history has of it.
func (v *verification) read(ctx context.Context, seen plan.Observed) (map[string]string, error) {
	if seen.State != provider.StateEnabled {
		v.notes = append(v.notes, "values: the remote can't be read in its present state")
		return nil, nil
	}
	digests := map[string]string{}
	for _, id := range v.replica.Observed.Holding(v.c.want.Version, v.o.abilities.Overwrites) {
		var value provider.Value
		err := v.c.call(ctx, func(ctx context.Context) (err error) {
			value, err = v.o.remote.Read(ctx, v.c.name, id)
			return err
		})
		switch class := provider.ClassOf(err); {
		case err == nil:
			digests[id] = payload.Digest(v.e.mount.digestKey(), value)
		case class == provider.ClassNotFound: // the list of versions tells
		case class == provider.ClassPermission || class == provider.ClassConflict || class == provider.ClassKMS:
			v.notes = append(v.notes, "values: "+err.Error())
			return nil, nil
		default:
			return nil, err
		}
	}
	return digests, nil
}

// conclude notes what was found, unless the replica changed meanwhile.
func (v *verification) conclude(ctx context.Context, look plan.Look, result *Verified) (again bool, err error) {
	e, name := v.e, v.req.Name
	defer e.lock(name)()
	s, err := e.load(ctx, name)
	if err != nil {
		return false, err
	}
	quiet, _ := e.activities.quiet(name, v.slot)
	if !quiet || !reflect.DeepEqual(s.Replicas[v.slot], v.replica) {
		return true, nil
	}
	e.verifiedNow(name, v.slot, look.Time)
	found := v.compare(look)
	if result.Findings = found.Findings; len(found.Findings) == 0 {
		result.Result = VerifiedInSync
		return false, e.forgive(ctx, s, v.slot, v.c.want.Presence)
	}
	result.Result = VerifiedDrifted
	switch repair := v.req.Repair || v.c.driftAction == DriftRepair; {
	case v.c.driftAction == DriftIgnore && !v.req.Repair:
		result.Reason = "its drift_action is ignore, so nothing is noted"
		return false, nil
	case repair && found.repairable():
		result.Result = VerifiedRepairing // by who asked, with the others of the secret
	case repair:
		result.Reason = "it isn't repaired, since not all of it can be"
	}
	if err := e.noteDrift(ctx, s, v.slot, found); err != nil {
		return false, err
	}
	if plan.Finds(found.Findings, plan.DriftAhead) {
		e.standBack(ctx, name)
	}
	return false, nil
}

// compare tells what drifted. What couldn't be compared this time, and had drifted
// before, still counts.
func (v *verification) compare(look plan.Look) *Drift {
	want, have := v.c.want, v.replica.Observed
	found := &Drift{
		Findings: plan.Drift(want, have, look, v.o.abilities, v.o.kind.Limits), Since: look.Time.UTC(),
		Digests: plan.Differing(want, have, look.Digests),
	}
	before := v.replica.Drift
	if before == nil || look.Seen.Owner() != want.Owner || look.Seen.CloudManaged {
		return found
	}
	for _, f := range before.Findings {
		switch {
		case f.Kind == plan.DriftValue && look.Digests == nil:
			found.Findings, found.Digests = append(found.Findings, f), before.Digests
		case f.Kind == plan.DriftTags && look.Tags == nil:
			found.Findings = append(found.Findings, f)
		}
	}
	return found
}
