// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// leaving is a rule as it was before a change that isn't yet applied to all
// secrets.
type leaving struct {
	set     *rule.Set // of this rule alone
	rule    rule.Rule
	deletes bool // what the change takes away is deleted, not left
}

// leavings are the former rules of a record, the last one first.
func leavings(stored *ruleRecord) ([]leaving, error) {
	if stored.Sweep == nil {
		return nil, nil
	}
	var all []leaving
	for i, before := range slices.Backward(stored.Sweep.Before) {
		set, err := rule.NewSet([]rule.Rule{before})
		if err != nil {
			return nil, err
		}
		all = append(all, leaving{set: set, rule: before, deletes: i < len(stored.Sweep.Deletes) && stored.Sweep.Deletes[i]})
	}
	return all, nil
}

// deletes is Deletes with one for each of Before.
func (s *ruleSweep) deletes() []bool {
	all := make([]bool, len(s.Before))
	copy(all, s.Deletes)
	return all
}

// sent tells whether the rule sent the secret to the destination.
func (l leaving) sent(secret, ref string) bool {
	return slices.Contains(l.rule.Destinations, ref) && len(l.set.For(secret)) > 0
}

// askedRemoval is what becomes of a replica that isn't wanted any more, where
// somebody has asked for its deletion: with the change of the secret, or of the rule
// that sent it there. nil leaves the remote secret where it is, as does any rule
// among several whose change didn't ask for that.
func (e *Engine) askedRemoval(ctx context.Context, s *Secret, ref string, in settling) (*Removal, error) {
	if slices.Contains(in.deleteAt, ref) {
		return e.removalOf(ctx, s, ref)
	}
	var last *leaving
	for _, former := range e.leavings() {
		for i := range former {
			if !former[i].sent(s.Name, ref) {
				continue
			}
			if !former[i].deletes {
				return nil, nil
			}
			last = &former[i]
			break // what was before that is superseded
		}
	}
	if last == nil {
		return nil, nil
	}
	site, err := e.replicator(ctx, ref)
	if err != nil || site == nil {
		return nil, err
	}
	// By the policy of the rule that sent it there.
	r, err := e.resolve(s, site.current.Load().destination, last.rule.Settings, newestVersion, nil)
	var refusal *RefusedError
	if err != nil && !errors.As(err, &refusal) {
		return nil, err
	}
	if r.removal.Policy == "" {
		return e.removalOf(ctx, s, ref)
	}
	return &r.removal, nil
}

// leavings are the former rules whose changes aren't applied to all secrets yet, by
// rule.
func (e *Engine) leavings() map[string][]leaving {
	if all := e.formerRules.Load(); all != nil {
		return *all
	}
	return nil
}
