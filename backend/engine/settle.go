// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// target is a destination that a secret goes to.
type target struct {
	ref      string
	own      bool          // the secret names it itself
	settings rule.Settings // of the rules that name it
	rules    []string      // the most specific one first
	conflict error         // *RefusedError, if rules contradict each other
}

// targets are the destinations of a secret, sorted: those that it names itself
// and those of the rules. A *RefusedError tells of a rule that doesn't allow a
// destination.
func targets(s *Secret, rules *rule.Set) ([]target, error) {
	byRules, _ := rules.Resolve(s.Name) // a conflict is in its target
	all := make([]target, 0, len(byRules)+len(s.Settings.Destinations))
	for _, t := range byRules {
		next := target{ref: t.Destination, settings: t.Settings, rules: t.Rules}
		if t.Conflict != nil {
			next.conflict = Refusef("%v", t.Conflict)
		}
		all = append(all, next)
	}
	for _, ref := range s.Settings.Destinations {
		if i := slices.IndexFunc(all, func(t target) bool { return t.ref == ref }); i >= 0 {
			all[i].own = true
			continue
		}
		for _, m := range rules.For(s.Name) {
			if !m.Rule.Allows(ref) {
				return nil, Refusef("rule %s doesn't allow destination %s for secret %q: its allowed_destinations are %s",
					m.Rule.Name, ref, s.Name, strings.Join(m.Rule.AllowedDestinations, ", "))
			}
		}
		all = append(all, target{ref: ref, own: true})
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.ref, b.ref) })
	return all, nil
}

// byRules are the settings of the rules that send the secret to a destination.
func (e *Engine) byRules(ctx context.Context, s *Secret, ref string) (rule.Settings, error) {
	set, err := e.ruleSet(ctx)
	if err != nil {
		return rule.Settings{}, err
	}
	all, err := targets(s, set)
	if err != nil {
		return rule.Settings{}, err
	}
	for _, t := range all {
		if t.ref == ref {
			return t.settings, t.conflict
		}
	}
	return rule.Settings{}, nil
}

// settling is how a secret's replicas are worked out.
type settling struct {
	rules *rule.Set
	// data is the value that will be live, nil without one; number its version.
	data   func() (map[string]any, error)
	number uint64
	custom func() (map[string]string, error) // custom metadata
	// checked has values checked. Without it they are left to the convergence,
	// and what can't be is noted instead of refused: nobody waits for an answer.
	checked bool
	// deleteAt are destinations that the secret doesn't name any more and whose
	// replicas are to be deleted.
	deleteAt []string
}

// wish is a replica that should be.
type wish struct {
	name    string // of the remote secret
	refused *Failure
}

// settle works out which replicas the secret should have and under which names,
// and notes that in its record. A *RefusedError says what can never be.
func (e *Engine) settle(ctx context.Context, s *Secret, in settling) error {
	all, err := targets(s, in.rules)
	if err != nil {
		if in.checked {
			return err
		}
		return nil // each convergence reports it
	}
	wishes := map[string]wish{}
	removals := map[string]Removal{} // of keys that are gone, by destination
	for _, t := range all {
		if err := e.wishAt(ctx, s, t, in, wishes, removals); err != nil {
			var refusal *RefusedError
			if in.checked || !errors.As(err, &refusal) {
				return err
			}
			e.keepOrRefuse(s, t.ref, refusal, wishes)
		}
	}
	asked := map[string]*Removal{}
	for _, slot := range s.slots() {
		_, wanted := wishes[slot]
		if ref := slotRef(slot); !wanted && s.Replicas[slot].Removal == nil && asked[ref] == nil {
			if asked[ref], err = e.askedRemoval(ctx, s, ref, in); err != nil {
				return err
			}
		}
	}
	return e.fulfil(s, wishes, removals, asked)
}

// keepOrRefuse leaves the replicas at a destination as they are, or notes that
// there can't be one.
func (e *Engine) keepOrRefuse(s *Secret, ref string, refusal *RefusedError, wishes map[string]wish) {
	for _, slot := range s.at(ref) {
		if r := s.Replicas[slot]; !slotIsFormer(slot) && r.Removal == nil && r.Refused == nil {
			wishes[slot] = wish{name: r.RemoteName}
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(wishes)), func(slot string) bool { return slotRef(slot) == ref }) {
		wishes[ref] = wish{refused: refused(provider.ClassInvalid, refusal)}
	}
}

func refused(class provider.Class, refusal *RefusedError) *Failure {
	return &Failure{Class: class, Message: refusal.message, Time: time.Now().UTC()}
}

// wishAt adds the replicas that the secret should have at one destination.
func (e *Engine) wishAt(ctx context.Context, s *Secret, t target, in settling, wishes map[string]wish, removals map[string]Removal) error {
	o, err := e.destinationFor(ctx, s, t)
	if err != nil || o == nil {
		return err
	}
	if t.conflict != nil {
		return t.conflict
	}
	d, limits := o.destination, o.kind.Limits
	r, err := e.resolve(s, d, t.settings, in.number, nil)
	if err == nil && len(r.settings.CustomMetadataTags) > 0 {
		var custom map[string]string
		if custom, err = in.custom(); err == nil {
			r, err = e.resolve(s, d, t.settings, in.number, custom)
		}
	}
	if err != nil {
		return err
	}
	if r.perKey() {
		removals[t.ref] = r.removal
		return e.wishPerKey(s, t.ref, r, o, in, wishes)
	}
	if err := r.check(d, limits, r.remoteName); err != nil {
		return err
	}
	if in.checked {
		data, err := in.data()
		if err != nil {
			return err
		}
		if data != nil {
			value, err := r.encode(data)
			if err := checkValue(d, limits, value, err, valueField(s.implied(newestVersion))); err != nil {
				return err
			}
		}
	}
	wishes[t.ref] = wish{name: r.remoteName}
	return nil
}

// wishPerKey adds a replica for each key of the value. Without a value those
// that there are stay.
func (e *Engine) wishPerKey(s *Secret, ref string, r resolved, o *opened, in settling, wishes map[string]wish) error {
	data, err := in.data()
	if err != nil {
		return err
	}
	if data == nil {
		for _, slot := range s.at(ref) {
			if _, keyed := slotKey(slot); keyed && s.Replicas[slot].Removal == nil {
				wishes[slot] = wish{name: s.Replicas[slot].RemoteName}
			}
		}
		return nil
	}
	values, err := r.split(data)
	if err != nil {
		return Refusef("destination %s: %v", ref, err)
	}
	taken := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		name, err := r.name(s, o.kind.Limits.Name, key)
		if err != nil {
			return err
		}
		if err := r.check(o.destination, o.kind.Limits, name); err != nil {
			return err
		}
		if err := checkValue(o.destination, o.kind.Limits, values[key], nil, "key "+key); err != nil {
			return err
		}
		if other, twice := taken[name]; twice {
			return Refusef("destination %s: the keys %q and %q have the same remote name %q; rename one, or exclude it with exclude_keys", ref, other, key, name)
		}
		taken[name] = key
		wishes[keySlot(ref, key)] = wish{name: name}
	}
	return nil
}

// destinationFor opens a destination of the secret; nil if it doesn't take the
// secret and only rules ask for it.
func (e *Engine) destinationFor(ctx context.Context, s *Secret, t target) (*opened, error) {
	o, err := e.openedAt(ctx, t.ref)
	if err != nil {
		return nil, err
	}
	if o == nil {
		if kind, _, _ := strings.Cut(t.ref, "/"); e.kinds[kind].Type == "" {
			return nil, Refusef("destination %s: the type %s is unknown; known are %s", t.ref, kind, strings.Join(slices.Sorted(maps.Keys(e.kinds)), ", "))
		}
		return nil, Refusef("destination %s doesn't exist; create it at destinations/%s or choose another", t.ref, t.ref)
	}
	switch {
	case o.destination.Allows(s.Name):
		return o, nil
	case t.own:
		return nil, Refusef("destination %s doesn't take secret %q: its allowed_paths are %s", t.ref, s.Name, strings.Join(o.destination.AllowedPaths, ", "))
	default:
		return nil, nil
	}
}

// resettle works out anew which replicas a secret should have, after something
// changed that isn't its own, and tells whether that changed its record. What
// can't be is noted. The caller holds the secret's lock.
func (e *Engine) resettle(ctx context.Context, name string) (s *Secret, altered bool, err error) {
	before, err := e.load(ctx, name)
	if err != nil || before.Deleting {
		return before, false, err
	}
	values := e.readOnce()
	meta, err := e.store.ReadMetadata(ctx, values, name)
	if err != nil || meta == nil {
		return before, false, err
	}
	next, err := e.resettled(ctx, values, before, meta)
	if err != nil {
		return before, false, err
	}
	if next.equal(before) {
		return before, false, nil
	}
	e.takeUpEarly(ctx, before)
	made, err := e.claimPossible(ctx, before, next)
	if err != nil {
		return before, false, err
	}
	defer e.settleClaims(made)
	if next.equal(before) { // what was taken still is
		return before, false, nil
	}
	if err := e.begin(ctx, next); err != nil {
		return before, false, err
	}
	if err := e.storeSecret(ctx, next); err != nil {
		e.workOn(before, next) // it may be in storage or not
		return before, false, err
	}
	e.activities.renew(name)
	return next, true, e.releaseRenamed(ctx, before, next)
}

// resettled is the secret's record with the replicas that it should have by now.
// It stores nothing and claims no name.
func (e *Engine) resettled(ctx context.Context, values *readOnce, before *Secret, meta *kvstore.Metadata) (*Secret, error) {
	set, err := e.ruleSet(ctx)
	if err != nil {
		return nil, err
	}
	live := meta.Newest(time.Now())
	next := before.clone()
	return next, e.settle(ctx, next, settling{
		rules: set, number: live,
		data: func() (map[string]any, error) {
			if live == 0 {
				return nil, nil
			}
			version, err := e.store.ReadVersion(ctx, values, before.Name, live)
			if err != nil || version == nil {
				return nil, err
			}
			return version.Data, nil
		},
		custom: func() (map[string]string, error) { return meta.CustomMetadata, nil },
	})
}

// Allowed tells by whom a destination that rules name doesn't get the secret;
// nil if all of them do.
func (e *Engine) notAllowed(ctx context.Context, s *Secret) []string {
	set, err := e.ruleSet(ctx)
	if err != nil {
		return nil
	}
	all, err := targets(s, set)
	if err != nil {
		return nil
	}
	var notes []string
	for _, t := range all {
		if site, err := e.replicator(ctx, t.ref); err == nil && site != nil && !t.own && !site.current.Load().destination.Allows(s.Name) {
			notes = append(notes, fmt.Sprintf("rule %s names destination %s, whose allowed_paths don't allow this secret: it isn't sent there", t.rules[0], t.ref))
		}
	}
	return notes
}

// checkGlobs refuses globs that match nothing.
func checkGlobs(parameter string, globs []string) error {
	for _, glob := range globs {
		if !doublestar.ValidatePattern(glob) {
			return Refusef("%s: %q isn't a valid glob; * stands for a part of one segment, ** for any number of segments", parameter, glob)
		}
	}
	return nil
}

// matchesAnyGlob tells whether a destination is among those that globs allow.
func matchesAnyGlob(globs []string, text string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := doublestar.Match(glob, text)
		return err == nil && ok
	})
}
