// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// A KMS key that is written and wasn't there before is checked where the cloud
// can tell. One that it calls unusable is refused before anything is stored; in
// every other case the write goes on, since a cloud that is down must not stand
// in its way. The checks come before any lock is taken.

// keyCheckTime bounds how long a write waits to hear about its KMS keys.
const keyCheckTime = 3 * time.Second

// namedKey is a KMS key that a write names for a destination.
type namedKey struct {
	o   *opened
	key string
}

// checkDestinationKey checks the default key of a destination that is written, by
// the settings that it is written with.
func (e *Engine) checkDestinationKey(ctx context.Context, next *Destination) (warnings []string, err error) {
	kind, found := e.kinds[next.Type]
	key := valueOf(next.Defaults.KMSKeyID)
	if !found || key == "" {
		return nil, nil
	}
	if err := next.check(kind); err != nil {
		return nil, err
	}
	before, err := e.Destination(ctx, next.Ref())
	if err != nil || before != nil && valueOf(before.Defaults.KMSKeyID) == key {
		return nil, err
	}
	o, err := e.open(next)
	if err != nil {
		return nil, err
	}
	defer o.close()
	return e.checkKeys(ctx, []namedKey{{o, key}})
}

// checkRuleKey checks the key of a rule that is written, at each destination for
// which it is new.
func (e *Engine) checkRuleKey(ctx context.Context, next rule.Rule) (warnings []string, err error) {
	key := valueOf(next.Settings.KMSKeyID)
	if key == "" {
		return nil, nil
	}
	if err := e.CheckRule(ctx, next); err != nil {
		return nil, err
	}
	before, err := e.Rule(ctx, next.Name)
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for _, ref := range next.Destinations {
		if before == nil || valueOf(before.Settings.KMSKeyID) != key || !slices.Contains(before.Destinations, ref) {
			keys[ref] = key
		}
	}
	return e.checkKeysAt(ctx, keys)
}

// checkSecretKeys checks the keys that a change gives a secret.
func (e *Engine) checkSecretKeys(ctx context.Context, c Change) (warnings []string, err error) {
	if c.Settings.KMSKeyID == nil && c.Settings.KMSKeyIDs == nil && c.Settings.KMSKeyAt == nil {
		return nil, nil
	}
	before, err := e.load(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	set, err := e.ruleSet(ctx)
	if err != nil {
		return nil, err
	}
	next, err := c.Settings.apply(before.Settings, sentTo(set, c.Name))
	if err != nil {
		return nil, err
	}
	keys := maps.Clone(next.KMSKeyIDs)
	maps.DeleteFunc(keys, func(ref, key string) bool { return before.Settings.KMSKeyIDs[ref] == key })
	return e.checkKeysAt(ctx, keys)
}

// checkKeysAt checks keys by destination. One that doesn't exist is for others to
// refuse.
func (e *Engine) checkKeysAt(ctx context.Context, keys map[string]string) (warnings []string, err error) {
	var named []namedKey
	for _, ref := range slices.Sorted(maps.Keys(keys)) {
		site, err := e.replicator(ctx, ref)
		if err != nil {
			return nil, err
		}
		if site != nil {
			named = append(named, namedKey{site.current.Load(), keys[ref]})
		}
	}
	return e.checkKeys(ctx, named)
}

// checkKeys asks the clouds that can tell about keys, at the same time. A
// *RefusedError says which can't be used; warnings name those of which that isn't
// known.
func (e *Engine) checkKeys(ctx context.Context, keys []namedKey) (warnings []string, err error) {
	keys = slices.DeleteFunc(keys, func(k namedKey) bool { return !able[provider.KeyChecker](k.o.remote) })
	if len(keys) == 0 {
		return nil, nil
	}
	config, err := e.Config(ctx)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, keyCheckTime)
	defer cancel()
	texts, refusals := make([]string, len(keys)), make([]error, len(keys))
	var checks sync.WaitGroup
	for i, k := range keys {
		if reason := e.uncheckable(k.o, config); reason != "" {
			texts[i] = k.unchecked(reason)
			continue
		}
		checks.Go(func() {
			_, err := provider.CheckKey(limited, k.o.remote, k.key)
			switch {
			case err == nil:
			case provider.ClassOf(err) == provider.ClassKMS:
				refusals[i] = Refusef("destination %s: the KMS key %s can't be used (class %s): %v", k.o.destination.Ref(), abbreviate(k.key), provider.ClassKMS, err)
			default:
				texts[i] = k.unchecked(err.Error())
			}
		})
	}
	checks.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, refusal := range refusals {
		if refusal != nil {
			return nil, refusal
		}
	}
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" }), nil
}

// unchecked warns that nothing is known of a key.
func (k namedKey) unchecked(reason string) string {
	return fmt.Sprintf("destination %s: the KMS key %s couldn't be checked: %s", k.o.destination.Ref(), abbreviate(k.key), reason)
}

// uncheckable tells why no call may be made to ask about a key, "" if one may.
func (e *Engine) uncheckable(o *opened, config Config) string {
	since, _ := o.breaker.away()
	switch {
	case config.Paused:
		return "the mount is paused"
	case o.destination.Paused:
		return "the destination is paused"
	case o.destination.Disabled:
		return "the destination is disabled"
	case !e.Started():
		return "this node doesn't replicate by now"
	case !since.IsZero():
		return "the destination doesn't answer"
	default:
		return ""
	}
}
