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

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// Preview is what a change of a rule would do. Its lists are cut, its counts
// aren't.
type Preview struct {
	Matched  int
	Affected int
	Changes  []PlannedChange
	Refused  []PlannedChange // with the reason in To
}

// PlannedChange is what would change for one secret at one destination.
type PlannedChange struct {
	Secret, Destination string
	What                string // "replica", "remote_name", or a setting
	From, To            string // "" for none
}

// PlanRule tells what replacing a rule by next would do, or deleting it with nil.
// It changes nothing and makes no remote call.
func (e *Engine) PlanRule(ctx context.Context, name string, next *rule.Rule, limit int) (*Preview, error) {
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
		preview.Changes = append(preview.Changes, changes...)
		preview.Refused = append(preview.Refused, refused...)
		if len(preview.Changes) > 2*limit {
			preview.Changes = cut(preview.Changes, limit)
		}
		if len(preview.Refused) > 2*limit {
			preview.Refused = cut(preview.Refused, limit)
		}
		return err
	})
	preview.Refused = append(preview.Refused, names.collisions()...)
	preview.Changes, preview.Refused = cut(preview.Changes, limit), cut(preview.Refused, limit)
	return preview, err
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

// cut keeps the first ones by name, each once.
func cut(changes []PlannedChange, limit int) []PlannedChange {
	order := func(a, b PlannedChange) int {
		return cmp.Or(strings.Compare(a.Secret, b.Secret), strings.Compare(a.Destination, b.Destination), strings.Compare(a.What, b.What))
	}
	slices.SortFunc(changes, order)
	changes = slices.CompactFunc(changes, func(a, b PlannedChange) bool { return order(a, b) == 0 })
	return slices.Clip(changes[:min(limit, len(changes))])
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
