// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// ruleSet returns the rules in force, from memory if they are known.
func (e *Engine) ruleSet(ctx context.Context) (*rule.Set, error) {
	if s := suppositionOf(ctx); s != nil && s.rules != nil {
		return s.rules, nil
	}
	if set := e.rules.Load(); set != nil {
		return set, nil
	}
	e.ruleLock.Lock()
	defer e.ruleLock.Unlock()
	return e.loadRules(ctx)
}

// loadRules reads the rules. The caller holds ruleLock.
func (e *Engine) loadRules(ctx context.Context) (*rule.Set, error) {
	if set := e.rules.Load(); set != nil {
		return set, nil
	}
	names, err := rules.List(ctx, e.storage, "")
	if err != nil {
		return nil, err
	}
	var all []rule.Rule
	former := map[string][]leaving{}
	for _, name := range names {
		stored, err := e.storedRule(ctx, name)
		if err != nil {
			return nil, err
		}
		if stored == nil {
			continue
		}
		if former[name], err = leavings(stored); err != nil {
			return nil, fmt.Errorf("read what rule %s was: %w", name, err)
		}
		if !stored.Deleted {
			all = append(all, stored.Rule)
		}
	}
	set, err := rule.NewSet(all)
	if err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	e.formerRules.Store(&former)
	e.rules.Store(set)
	return set, nil
}

func (e *Engine) storedRule(ctx context.Context, name string) (*ruleRecord, error) {
	stored, err := rules.Get(ctx, e.storage, name)
	if stored != nil {
		stored.Name = name
		if stored.Sweep != nil {
			for i := range stored.Sweep.Before {
				stored.Sweep.Before[i].Name = name
			}
		}
	}
	return stored, err
}

// RuleStatus is a rule and how far its last change has come.
type RuleStatus struct {
	rule.Rule
	Sweep *SweepStatus // nil when it is applied to all secrets
}

// SweepStatus is how far a change of a rule or destination has come.
type SweepStatus struct {
	Since    time.Time
	Examined int // names of secrets looked at
	Affected int // secrets that it touches, so far
}

// Rule returns a rule, nil if there is none.
func (e *Engine) Rule(ctx context.Context, name string) (*RuleStatus, error) {
	stored, err := e.storedRule(ctx, name)
	if err != nil || stored == nil || stored.Deleted {
		return nil, err
	}
	status := &RuleStatus{Rule: stored.Rule}
	if stored.Sweep != nil {
		status.Sweep = e.sweeping.status(sweepOfRule(name), stored.Sweep.Since)
	}
	return status, nil
}

// ListRules returns the names of the rules.
func (e *Engine) ListRules(ctx context.Context) ([]string, error) {
	names, err := rules.List(ctx, e.storage, "")
	if err != nil {
		return nil, err
	}
	var listed []string
	for _, name := range names {
		stored, err := rules.Get(ctx, e.storage, name)
		if err != nil {
			return nil, err
		}
		if stored != nil && !stored.Deleted {
			listed = append(listed, name)
		}
	}
	return listed, nil
}

// CheckRule tells whether the rule could be put. A *RefusedError says why not.
func (e *Engine) CheckRule(ctx context.Context, r rule.Rule) error {
	set, err := e.ruleSet(ctx)
	if err != nil {
		return err
	}
	return e.checkRule(ctx, set, r)
}

func (e *Engine) checkRule(ctx context.Context, set *rule.Set, r rule.Rule) error {
	if err := set.Check(r); err != nil {
		return Refusef("%v", err)
	}
	for _, ref := range r.Destinations {
		site, err := e.replicator(ctx, ref)
		if err != nil {
			return err
		}
		if site == nil {
			return Refusef("rule %s: destination %s doesn't exist; create it at destinations/%s first", r.Name, ref, ref)
		}
		o := site.current.Load()
		merged := rule.Merge(r.Settings, o.destination.Defaults)
		if err := merged.CheckResolved(); err != nil {
			return Refusef("rule %s with destination %s: %v", r.Name, ref, err)
		}
		if err := o.kind.Limits.Tags.Check(merged.Tags); err != nil && !hasTemplate(merged.Tags) {
			return Refusef("rule %s with destination %s: tags: %v", r.Name, ref, err)
		}
	}
	return nil
}

// PutRule creates or replaces a rule. A *RefusedError means that nothing was
// stored. The secrets that the change touches follow in the background. Warnings
// are as in [Engine.PutDestination]. What the change takes away stays at the clouds,
// without the mark, or is deleted by its deletion policy.
func (e *Engine) PutRule(ctx context.Context, r rule.Rule, deletes bool) (warnings []string, err error) {
	if warnings, err = e.checkRuleKey(ctx, r); err != nil {
		return nil, err
	}
	return warnings, e.changeRule(ctx, r.Name, deletes, func(set *rule.Set, _ *ruleRecord) (*ruleRecord, error) {
		if err := e.checkRule(ctx, set, r); err != nil {
			return nil, err
		}
		return &ruleRecord{Rule: r}, nil
	})
}

// DeleteRule deletes a rule. Replicas that only it asked for are given up: the
// remote secrets stay, without the mark, or are deleted by their deletion policy.
func (e *Engine) DeleteRule(ctx context.Context, name string, deletes bool) error {
	return e.changeRule(ctx, name, deletes, func(_ *rule.Set, stored *ruleRecord) (*ruleRecord, error) {
		if stored == nil || stored.Deleted {
			return nil, nil
		}
		return &ruleRecord{Rule: stored.Rule, Deleted: true}, nil
	})
}

// changeRule stores what change makes of a rule, and has the secrets looked
// through that it touches. A destination that a rule names can't be deleted
// meanwhile.
func (e *Engine) changeRule(ctx context.Context, name string, deletes bool, change func(set *rule.Set, stored *ruleRecord) (*ruleRecord, error)) error {
	e.destLock.Lock()
	defer e.destLock.Unlock()
	e.ruleLock.Lock()
	defer e.ruleLock.Unlock()
	set, err := e.loadRules(ctx)
	if err != nil {
		return err
	}
	stored, err := e.storedRule(ctx, name)
	if err != nil {
		return err
	}
	next, err := change(set, stored)
	if err != nil || next == nil {
		return err
	}
	next.Sweep = &ruleSweep{Since: time.Now().UTC(), By: causeOf(ctx)}
	if stored != nil {
		if stored.Sweep != nil {
			next.Sweep.Before, next.Sweep.Deletes = stored.Sweep.Before, stored.Sweep.deletes()
		}
		if !stored.Deleted {
			next.Sweep.Before, next.Sweep.Deletes = append(next.Sweep.Before, stored.Rule), append(next.Sweep.Deletes, deletes)
		}
	}
	err = rules.Put(ctx, e.storage, name, next)
	// Also after a failure it may be in storage.
	e.rules.Store(nil)
	number := e.sweeping.begin(sweepOfRule(name))
	e.background(func(ctx context.Context) { e.sweepRule(ctx, name, number) })
	return err
}

// refuseNamedByRule refuses to delete a destination that a rule names.
func (e *Engine) refuseNamedByRule(ctx context.Context, ref string) error {
	set, err := e.ruleSet(ctx)
	if err != nil {
		return err
	}
	for _, r := range set.Rules() {
		if slices.Contains(r.Destinations, ref) {
			return Refusef("destination %s is named by rule %s; take it out of the rule first", ref, r.Name)
		}
	}
	return nil
}

// sweepRule makes every secret follow that a change of a rule touches, until it
// has done so. Another change of the rule takes its place.
func (e *Engine) sweepRule(ctx context.Context, name string, change int) {
	var stored *ruleRecord
	e.persist(ctx, "read rule "+name, func() (err error) {
		stored, err = e.storedRule(ctx, name)
		return err
	})
	if stored == nil || stored.Sweep == nil {
		e.sweeping.end(sweepOfRule(name), change)
		return
	}
	ctx = because(WithCause(ctx, stored.Sweep.By), ReasonRule)
	affected, err := affects(stored)
	if err != nil {
		e.log.Error("a rule can't be applied to the secrets that are there", "rule", name, "error", err)
		return
	}
	e.sweeping.restart(sweepOfRule(name), change)
	e.sweepSecrets(ctx, "apply rule "+name, func(secret string) error {
		if !e.sweeping.current(sweepOfRule(name), change) {
			return errReplaced
		}
		e.sweeping.examined(sweepOfRule(name), change)
		if !affected(secret) {
			return nil
		}
		e.sweeping.affected(sweepOfRule(name), change)
		return e.followRule(ctx, secret)
	})
	e.persist(ctx, "note that rule "+name+" is applied", func() error { return e.endRuleSweep(ctx, name, change) })
}

// affects returns a function that tells which secrets a change touches.
func affects(stored *ruleRecord) (func(string) bool, error) {
	var after *rule.Rule
	if !stored.Deleted {
		after = &stored.Rule
	}
	before := stored.Sweep.Before
	if len(before) == 0 {
		return rule.Affected(nil, after)
	}
	var all []func(string) bool
	for i := range before {
		one, err := rule.Affected(&before[i], after)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return func(name string) bool {
		return slices.ContainsFunc(all, func(one func(string) bool) bool { return one(name) })
	}, nil
}

// followRule settles a secret by the rules in force and has its replicas looked
// through.
func (e *Engine) followRule(ctx context.Context, name string) error {
	defer e.lock(name)()
	s, _, err := e.resettle(ctx, name)
	if err != nil || len(s.Replicas) == 0 {
		return err
	}
	if err := e.begin(ctx, s); err != nil {
		return err
	}
	e.enqueueAll(s, quota.Bulk)
	return nil
}

// endRuleSweep notes that a rule is applied, unless it changed again.
func (e *Engine) endRuleSweep(ctx context.Context, name string, change int) error {
	e.ruleLock.Lock()
	defer e.ruleLock.Unlock()
	if !e.sweeping.current(sweepOfRule(name), change) {
		return nil
	}
	stored, err := e.storedRule(ctx, name)
	if err != nil || stored == nil {
		return err
	}
	if stored.Deleted {
		err = rules.Delete(ctx, e.storage, name)
	} else {
		stored.Sweep = nil
		err = rules.Put(ctx, e.storage, name, stored)
	}
	e.rules.Store(nil) // with what the rule was before
	if err == nil {
		e.sweeping.end(sweepOfRule(name), change)
	}
	return err
}

// resumeRules goes on with the changes of rules that an earlier life began.
func (e *Engine) resumeRules(ctx context.Context) {
	var names []string
	e.persist(ctx, "list rules", func() (err error) {
		names, err = rules.List(ctx, e.storage, "")
		return err
	})
	for _, name := range names {
		change := e.sweeping.begin(sweepOfRule(name))
		e.background(func(ctx context.Context) { e.sweepRule(ctx, name, change) })
	}
}
