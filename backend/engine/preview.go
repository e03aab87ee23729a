// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// Preview is what a change of a rule would do. Its lists are cut, its counts
// aren't.
type Preview struct {
	Matched  int
	Affected int
	Changes  []PlannedChange
	Refused  []PlannedChange // with the reason in To
	// Next is the secret after which to go on when the lists were cut; "" when they
	// are complete.
	Next string
	// Page are the remote calls for the secrets in the lists; nil unless asked for.
	Page *PlanPage
}

// PreviewQuery says how much of a preview is listed.
type PreviewQuery struct {
	After string // secrets after this one
	Limit int    // most changes, and most refusals
	Calls bool   // plan the remote calls of the secrets listed
}

// PlannedChange is what would change for one secret at one destination.
type PlannedChange struct {
	Secret, Destination string
	What                string // "replica", "remote_name", or a setting
	From, To            string // "" for none
}

// PlanRule tells what replacing a rule by next would do, or deleting it with nil.
// It changes nothing, and makes no remote call unless the calls are asked for.
func (e *Engine) PlanRule(ctx context.Context, name string, next *rule.Rule, q PreviewQuery) (*Preview, error) {
	before, err := e.ruleSet(ctx)
	if err != nil {
		return nil, err
	}
	var old *rule.Rule
	var all []rule.Rule
	for _, r := range before.Rules() {
		if r.Name == name {
			old = r
			continue
		}
		all = append(all, *r)
	}
	switch {
	case next != nil:
		if err := e.checkRule(ctx, before, *next); err != nil {
			return nil, err
		}
		all = append(all, *next)
	case old == nil:
		return nil, Refusef("rule %s doesn't exist", name)
	}
	after, err := rule.NewSet(all)
	if err != nil {
		return nil, Refusef("%v", err)
	}
	affected, err := rule.Affected(old, next)
	if err != nil {
		return nil, Refusef("%v", err)
	}
	preview := &Preview{}
	names := newNameUse{}
	var mu sync.Mutex
	err = e.eachSecret(ctx, func(secret string) error {
		matched := slices.ContainsFunc(after.For(secret), func(m rule.Match) bool { return m.Rule.Name == name })
		var changes, refused []PlannedChange
		var err error
		touched := affected(secret)
		if touched {
			changes, refused, err = e.compare(ctx, secret, before, after)
		}
		mu.Lock()
		defer mu.Unlock()
		if matched {
			preview.Matched++
		}
		if len(changes)+len(refused) > 0 {
			preview.Affected++
		}
		names.note(changes)
		if secret > q.After {
			preview.Changes = append(preview.Changes, changes...)
			preview.Refused = append(preview.Refused, refused...)
			preview.trim(2*q.Limit, q.Limit)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	preview.Refused = append(preview.Refused, slices.DeleteFunc(names.collisions(), func(c PlannedChange) bool { return c.Secret <= q.After })...)
	preview.trim(0, q.Limit)
	if !q.Calls {
		return preview, nil
	}
	preview.Page = &PlanPage{}
	ctx = supposing(ctx, &supposition{rules: after})
	return preview, e.planNames(quota.WithLane(ctx, quota.Bulk), preview.Page, preview.secrets(), "")
}

// secrets are those in the lists, sorted.
func (p *Preview) secrets() []string {
	var names []string
	for _, c := range slices.Concat(p.Changes, p.Refused) {
		if c.Secret != "" {
			names = append(names, c.Secret)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// trim sorts the lists and cuts what is beyond the limit of one of them, from both
// and a secret as a whole, once one is longer than atLeast.
func (p *Preview) trim(atLeast, limit int) {
	if atLeast > 0 && len(p.Changes) <= atLeast && len(p.Refused) <= atLeast {
		return
	}
	p.Changes, p.Refused = sorted(p.Changes), sorted(p.Refused)
	for _, list := range [][]PlannedChange{p.Changes, p.Refused} {
		if last := lastWhole(list, limit); last != "" && (p.Next == "" || last < p.Next) {
			p.Next = last
		}
	}
	if p.Next == "" {
		return
	}
	beyond := func(c PlannedChange) bool { return c.Secret > p.Next }
	p.Changes, p.Refused = slices.DeleteFunc(p.Changes, beyond), slices.DeleteFunc(p.Refused, beyond)
}

// lastWhole is the last secret of which all entries are within the limit, at least
// the first; "" if all are.
func lastWhole(list []PlannedChange, limit int) string {
	if len(list) <= limit {
		return ""
	}
	for i := limit - 1; i >= 0; i-- {
		if list[i].Secret != list[limit].Secret {
			return list[i].Secret
		}
	}
	if list[0].Secret == list[len(list)-1].Secret {
		return ""
	}
	return list[0].Secret
}

// newNameUse are the secrets that a change gives each remote name to, by
// destination and name.
type newNameUse map[[2]string][]string

func (u newNameUse) note(changes []PlannedChange) {
	for _, c := range changes {
		if c.To != "" && (c.What == "replica" || c.What == "remote_name") {
			at := [2]string{slotRef(c.Destination), c.To}
			u[at] = append(u[at], c.Secret)
		}
	}
}

// collisions are the secrets that would come to a name together with another.
// Which of them gets it isn't known before.
func (u newNameUse) collisions() []PlannedChange {
	var refused []PlannedChange
	for at, secrets := range u {
		slices.Sort(secrets)
		for i, secret := range secrets[1:] {
			refused = append(refused, taken(secret, at[0], at[1], secrets[i]))
		}
	}
	return refused
}

func taken(secret, destination, remoteName, by string) PlannedChange {
	return PlannedChange{Secret: secret, Destination: destination, What: "refused", To: fmt.Sprintf(
		"secret %q has or would have the remote name %q too, and one of both would be blocked; use a template that tells them apart", by, remoteName)}
}

// sorted are the changes by name, each once.
func sorted(changes []PlannedChange) []PlannedChange {
	order := func(a, b PlannedChange) int {
		return cmp.Or(strings.Compare(a.Secret, b.Secret), strings.Compare(a.Destination, b.Destination), strings.Compare(a.What, b.What))
	}
	slices.SortFunc(changes, order)
	return slices.CompactFunc(changes, func(a, b PlannedChange) bool { return order(a, b) == 0 })
}

// compare tells what other rules would change for a secret.
func (e *Engine) compare(ctx context.Context, name string, before, after *rule.Set) (changes, refused []PlannedChange, err error) {
	is, err := e.looks(ctx, name, before)
	if err != nil {
		return nil, nil, err
	}
	willBe, err := e.looks(ctx, name, after)
	if err != nil {
		return nil, nil, err
	}
	for slot, next := range willBe {
		now, there := is[slot]
		if next["refused"] != "" {
			refused = append(refused, PlannedChange{Secret: name, Destination: slot, What: "refused", To: next["refused"]})
			continue
		}
		if !there {
			changes = append(changes, PlannedChange{Secret: name, Destination: slot, What: "replica", To: next["remote_name"]})
		} else {
			for what, to := range next {
				if from := now[what]; from != to {
					changes = append(changes, PlannedChange{Secret: name, Destination: slot, What: what, From: from, To: to})
				}
			}
		}
		if ref, to := slotRef(slot), next["remote_name"]; now["remote_name"] != to {
			holding, err := e.Lookup(ctx, ref, to)
			if err != nil {
				return nil, nil, err
			}
			if holding.Secret != "" && holding.Secret != name {
				refused = append(refused, taken(name, ref, to, holding.Secret))
			}
		}
	}
	for slot, now := range is {
		if _, stays := willBe[slot]; !stays && now["refused"] == "" {
			changes = append(changes, PlannedChange{Secret: name, Destination: slot, What: "replica", From: now["remote_name"]})
		}
	}
	return changes, refused, nil
}

// looks is how the replicas of a secret should look by some rules: what can be
// told of each, by slot.
func (e *Engine) looks(ctx context.Context, name string, set *rule.Set) (map[string]map[string]string, error) {
	s, err := e.load(ctx, name)
	if err != nil {
		return nil, err
	}
	meta, err := e.store.ReadMetadata(ctx, e.storage, name)
	if err != nil || meta == nil {
		return nil, err
	}
	all, err := targets(s, set)
	var refusal *RefusedError
	if errors.As(err, &refusal) {
		return map[string]map[string]string{"": {"refused": refusal.message}}, nil
	}
	live := meta.Newest(time.Now())
	in := settling{
		rules: set, number: live,
		data: func() (map[string]any, error) {
			version, err := e.store.ReadVersion(ctx, e.storage, name, live)
			if err != nil || version == nil || live == 0 {
				return nil, err
			}
			return version.Data, nil
		},
		custom: func() (map[string]string, error) { return meta.CustomMetadata, nil },
	}
	looks := map[string]map[string]string{}
	for _, t := range all {
		wishes := map[string]wish{}
		if err := e.wishAt(ctx, s, t, in, wishes, map[string]Removal{}); errors.As(err, &refusal) {
			looks[t.ref] = map[string]string{"refused": refusal.message}
			continue
		} else if err != nil {
			return nil, err
		}
		o, err := e.destinationFor(ctx, s, t)
		if err != nil || o == nil {
			continue
		}
		r, err := e.resolve(s, o.destination, t.settings, live, meta.CustomMetadata)
		if err != nil {
			continue
		}
		for slot, w := range wishes {
			looks[slot] = map[string]string{
				"remote_name": w.name, "kms_key_id": valueOf(r.settings.KMSKeyID), "tags": asJSON(r.tags),
				"description": valueOf(r.settings.Description), "format": r.formatKey(), "deletion_policy": string(r.removal.Policy),
			}
		}
	}
	return looks, nil
}

func asJSON(tags map[string]string) string {
	if len(tags) == 0 {
		return ""
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return ""
	}
	return string(text)
}
