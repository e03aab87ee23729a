// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// A drifted replica is one that somebody else changed in the cloud after it was
// in sync. Its record says what was found, and its secret stays marked, so that it
// is known after a restart. It is left as it is until something is to be changed
// there anyway, or a repair is asked for; then it is looked at first.

// DriftAction says what happens when a replica was changed by somebody else.
type DriftAction = rule.DriftAction

// The drift actions.
const (
	DriftReport = rule.DriftReport
	DriftRepair = rule.DriftRepair
	DriftIgnore = rule.DriftIgnore
)

// ParseDriftAction reads an action; "" stays "".
func ParseDriftAction(text string) (DriftAction, error) {
	switch a := DriftAction(text); a {
	case "", DriftReport, DriftRepair, DriftIgnore:
		return a, nil
	default:
		return "", Refusef("drift_action %q is unknown, possible are report, repair and ignore", text)
	}
}

// Drift is what somebody else changed of a replica. A value of it never changes.
type Drift struct {
	Findings []plan.Finding `json:"findings"`
	Since    time.Time      `json:"since"` // when it was first found
	// Digests are the keyed hashes of versions that hold other values, by id.
	Digests map[string]string `json:"digests,omitempty"`
	// Repair is set when the replica is to be made again what it should be.
	Repair bool `json:"repair,omitempty"`
}

// repairable tells whether convergence can undo all of it.
func (d *Drift) repairable() bool {
	return !slices.ContainsFunc(d.Findings, func(f plan.Finding) bool { return f.Unrepairable != "" })
}

// same tells whether both say the same about the remote.
func (d *Drift) same(other *Drift) bool {
	return d != nil && other != nil && reflect.DeepEqual(d.Findings, other.Findings) && maps.Equal(d.Digests, other.Digests)
}

// repair asks for the drifted replicas to be made again what they should be, and
// tells whether there are any.
func (s *Secret) repair() (asked bool) {
	for _, replica := range s.Replicas {
		if d := replica.Drift; d != nil && !d.Repair {
			next := *d
			next.Repair = true
			replica.Drift, asked = &next, true
		}
	}
	return asked
}

// leaveDrifted tells whether a drifted replica is left as it is: nothing is to be
// changed there, and nobody asks for a repair. Otherwise the convergence begins
// with a look.
func (e *Engine) leaveDrifted(c *convergence, replica *Replica, out *outcome) bool {
	d := replica.Drift
	if d == nil || replica.Removal != nil {
		return false
	}
	if repair := d.Repair || c.driftAction == DriftRepair && d.repairable(); !repair {
		before := replica.Observed
		before.Known = true
		if idle(plan.Make(c.want, before, c.o.abilities, c.o.kind.Limits)) {
			out.left, out.presence = true, c.want.Presence
			if c.driftAction != DriftIgnore {
				out.drift = d
			}
			return true
		}
	}
	c.have, c.drift = c.have.Drifted(d.Findings, d.Digests), d
	return false
}

// lookAtDrift begins the convergence of what drifted.
func (c *convergence) lookAtDrift(ctx context.Context) error {
	if c.drift == nil {
		return nil
	}
	return c.look(ctx)
}

// idle tells whether there is nothing to do.
func idle(p plan.Plan) bool { return p.Refusal == nil && !p.Look && len(p.Steps) == 0 }

// describe reads the remote's metadata, with its tags where others changed them.
// Without the permission for tags they count as what they were.
func (c *convergence) describe(ctx context.Context) (provider.Secret, map[string]string, error) {
	if c.drift != nil && plan.Finds(c.drift.Findings, plan.DriftTags) {
		found, tags, err := provider.DescribeTagged(ctx, c.o.remote, c.name)
		if provider.ClassOf(err) != provider.ClassPermission {
			return found, tags, err
		}
	}
	found, err := c.o.remote.Describe(ctx, c.name)
	return found, nil, err
}

// saveDrifted notes that a drifted replica was left as it is, or that nobody cares
// for drift any more. The caller holds the secret's lock.
func (e *Engine) saveDrifted(ctx context.Context, s *Secret, slot string, generation, doubt uint64, out outcome) error {
	replica := s.Replicas[slot]
	if out.drift == nil {
		return e.forgive(ctx, s, slot, out.presence)
	}
	if replica.Drift == nil {
		return nil // it was made undone meanwhile, and queued again by that
	}
	e.activities.expect(s.Name, slot, out.due)
	// Whatever was called before it drifted is over.
	e.activities.cleared(s.Name, slot, doubt)
	e.activities.report(s.Name, slot, func(p *progress) {
		p.state, p.settled, p.failure, p.attempts, p.nextRetry = StateDrifted, generation, nil, 0, time.Time{}
	})
	return nil
}

// forgive ends the drift of a replica: it is again as it was, or nobody cares. The
// caller holds the secret's lock.
func (e *Engine) forgive(ctx context.Context, s *Secret, slot string, presence plan.Presence) error {
	next := *s.Replicas[slot]
	if next.Drift == nil {
		return nil
	}
	next.Drift, next.State, next.Failure = nil, StateInSync, nil
	if presence == plan.Withdrawn {
		next.State = StateWithdrawn
	}
	next.LastVerification = e.lastVerified(s.Name, slot, &next)
	s.Replicas[slot] = &next
	if err := e.storeSecret(ctx, s); err != nil {
		return err
	}
	e.activities.settle(s.Name, slot, next.State)
	e.tell(eventOf(EventDrifted, s.Name, slot, next.State, operationVerify))
	e.finish(s)
	return nil
}

// noteDrift stores what was found and marks the secret, in this order: what is
// marked without a note of drift is converged after a crash. The caller holds the
// secret's lock.
func (e *Engine) noteDrift(ctx context.Context, s *Secret, slot string, d *Drift) error {
	replica := s.Replicas[slot]
	if replica.Drift != nil {
		d.Since = replica.Drift.Since
	}
	if !d.same(replica.Drift) {
		next := *replica
		next.Drift, next.State, next.Failure = d, StateDrifted, nil
		next.LastVerification = e.lastVerified(s.Name, slot, &next)
		s.Replicas[slot] = &next
		if err := e.storeSecret(ctx, s); err != nil {
			return err
		}
	}
	if !d.same(replica.Drift) {
		event := eventOf(EventDrifted, s.Name, slot, StateDrifted, operationVerify)
		event.Version = replica.Observed.Current.Version.Number
		event.Drift = kindsOf(d.Findings)
		e.tell(event)
	}
	e.takeUpEarly(ctx, s)
	now := time.Now().UTC()
	if err := e.journal.mark(ctx, s.Name, now); err != nil {
		return err
	}
	e.activities.drift(s, slot, now)
	return nil
}

// kindsOf are the kinds of findings, each once.
func kindsOf(findings []plan.Finding) []plan.DriftKind {
	var kinds []plan.DriftKind
	for _, f := range findings {
		if !slices.Contains(kinds, f.Kind) {
			kinds = append(kinds, f.Kind)
		}
	}
	return kinds
}

// drift makes it known that a replica has drifted, without any work for it. The
// other replicas of a secret without outstanding work are as its record says.
func (as *activities) drift(s *Secret, slot string, now time.Time) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[s.Name]
	if a == nil {
		a = as.openLocked(s.Name)
		as.last++
		a.generation, a.paused = as.last, s.Settings.Paused
		for _, other := range s.slots() {
			p := a.progressLocked(other, now)
			p.state, p.settled = s.Replicas[other].State, a.generation
			p.served = s.Replicas[other].Observed.Current.Version.Number
		}
	}
	p := a.progressLocked(slot, now)
	p.state, p.settled, p.failure = StateDrifted, a.generation, nil
	a.wakeLocked()
}

// settle notes that a replica has come to rest in a state as of the present
// generation.
func (as *activities) settle(name, slot string, state State) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil || a.progress[slot] == nil {
		return
	}
	p := a.progress[slot]
	p.state, p.settled, p.failure, p.attempts, p.nextRetry = state, a.generation, nil, 0, time.Time{}
	a.wakeLocked()
}

// quiet tells whether nothing is under way or to be done for a replica. Otherwise
// state is how it is shown.
func (as *activities) quiet(name, slot string) (quiet bool, state State) {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return true, ""
	}
	p := a.progress[slot]
	switch {
	case p == nil:
		return true, ""
	case p.running:
		return false, StatePending
	default:
		return p.done(a.generation) || p.state == StateDrifted && p.settled == a.generation, p.shown(a.generation)
	}
}
