// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// KeyQuery asks which replicas are under which KMS keys.
type KeyQuery struct {
	Destination string // "" for any
	KMSKeyID    string // asked for or in effect; "" for any
	After       string // secrets after this one, by name
	Limit       int    // look at so many secrets at most
}

// KeyReport is a page of replicas with their KMS keys, in the order of the
// secrets' names.
type KeyReport struct {
	Replicas []ReplicaKey
	// Next is what After must be for the next page; "" at the end. A page may have
	// no replicas before the end.
	Next string
}

// ReplicaKey is a replica with its KMS key.
type ReplicaKey struct {
	Secret      string
	Destination string
	Key         string // of the secret's data, for the replica of one key
	RemoteName  string
	Leaving     bool // the secret no longer wants it

	// Asked is the KMS key by the settings in force, "" for the cloud's own. One
	// that is leaving is asked for nothing.
	Asked string
	// Made is set when there is a remote secret. Then InEffect is its key, as the
	// cloud names it if that is known; "" for the cloud's own.
	Made     bool
	InEffect string
	// Differs is set when the key in effect isn't the one that is asked for.
	Differs bool
}

// ReportKeys returns a page of replicas with their KMS keys, from what is stored.
// It looks at the names in the KV v2 store, so a secret that was deleted isn't
// among them, although its replica may still be going.
func (e *Engine) ReportKeys(ctx context.Context, q KeyQuery) (*KeyReport, error) {
	if q.Destination != "" {
		if _, err := e.destinationAt(ctx, q.Destination); err != nil {
			return nil, err
		}
	}
	report := &KeyReport{}
	looked, last := 0, ""
	err := e.walk(ctx, q.After, func(name string) (more bool, err error) {
		if looked == q.Limit {
			report.Next = last
			return false, nil
		}
		looked, last = looked+1, name
		s, err := e.peek(ctx, name)
		if err != nil || s == nil {
			return err == nil, err
		}
		return true, e.reportKeysOf(ctx, s, q, report)
	})
	return report, err
}

// reportKeysOf adds the replicas of one secret.
func (e *Engine) reportKeysOf(ctx context.Context, s *Secret, q KeyQuery, to *KeyReport) error {
	for _, slot := range s.slots() {
		replica, ref := s.Replicas[slot], slotRef(slot)
		if replica.Refused != nil || q.Destination != "" && q.Destination != ref {
			continue
		}
		have := replica.Observed
		r := ReplicaKey{
			Secret: s.Name, Destination: ref, RemoteName: replica.RemoteName,
			Leaving: replica.Removal != nil, Made: have.Exists(), InEffect: keyInEffect(have),
		}
		r.Key, _ = slotKey(slot)
		if !r.Leaving {
			var err error
			if r.Asked, err = e.keyAskedFor(ctx, s, ref); err != nil {
				return err
			}
			r.Differs = r.Made && differs(r.Asked, have)
		}
		if q.KMSKeyID == "" || q.KMSKeyID == r.Asked || r.Made && (q.KMSKeyID == r.InEffect || q.KMSKeyID == have.KeyAsked) {
			to.Replicas = append(to.Replicas, r)
		}
	}
	return nil
}

// keyAskedFor is the KMS key by the settings in force, "" for the cloud's own.
// Where rules contradict each other it is what they don't decide.
func (e *Engine) keyAskedFor(ctx context.Context, s *Secret, ref string) (string, error) {
	site, err := e.replicator(ctx, ref)
	if err != nil || site == nil {
		return "", err
	}
	byRules, err := e.byRules(ctx, s, ref)
	var refusal *RefusedError
	switch {
	case errors.As(err, &refusal):
		byRules = rule.Settings{}
	case err != nil:
		return "", err
	}
	return valueOf(rule.Merge(s.Settings.level(ref), byRules, site.current.Load().destination.Defaults).KMSKeyID), nil
}

// keyInEffect is the key that a remote secret is under: as the service names it,
// or else as it was asked for.
func keyInEffect(have plan.Observed) string { return firstSet(have.KMSKeyID, have.KeyAsked) }

// differs tells whether a remote secret is under another key than the one that is
// asked for, which the service may name in another way.
func differs(asked string, have plan.Observed) bool {
	if asked == "" {
		return have.KeyAsked != ""
	}
	return asked != have.KeyAsked && asked != have.KMSKeyID
}
