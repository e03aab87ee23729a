// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"time"
)

// Reason is why a replica was worked on.
type Reason string

// The reasons.
const (
	ReasonWrite       Reason = "write"        // a new version
	ReasonSettings    Reason = "settings"     // other settings of the secret
	ReasonVersions    Reason = "versions"     // versions deleted, undeleted or destroyed, or the metadata changed
	ReasonRemoval     Reason = "removal"      // the secret was deleted
	ReasonSync        Reason = "sync"         // a person asked for it
	ReasonRule        Reason = "rule"         // a rule was changed
	ReasonDestination Reason = "destination"  // a destination was changed
	ReasonDrift       Reason = "drift_repair" // somebody else had changed the remote
	ReasonDecision    Reason = "decision"     // whose value wins was decided
	ReasonExpiry      Reason = "expiry"       // the version ceased to be live by itself
	ReasonStartup     Reason = "startup"      // it was pending at the start; why isn't known
)

// Cause is why a replica was worked on and who asked for it, as Vault gives it. It
// goes with the context of a request, and is stored with the pending mark, so that
// it is known after a crash.
type Cause struct {
	Reason      Reason `json:"why,omitempty"`
	RequestID   string `json:"request,omitempty"` // of Vault
	EntityID    string `json:"entity,omitempty"`
	DisplayName string `json:"who,omitempty"`
	// Resumed is set when Vault was started in between. Of several changes that were
	// outstanding the cause may then be another one's.
	Resumed bool `json:"resumed,omitempty"`
}

type causeKey struct{}

// WithCause returns a context whose changes have that cause.
func WithCause(ctx context.Context, c Cause) context.Context {
	return context.WithValue(ctx, causeKey{}, c)
}

// because returns a context with another reason, and who asked for it.
func because(ctx context.Context, reason Reason) context.Context {
	c := causeOf(ctx)
	c.Reason = reason
	return WithCause(ctx, c)
}

// causeOf is the cause that goes with the context, zero for none.
func causeOf(ctx context.Context) Cause {
	c, _ := ctx.Value(causeKey{}).(Cause)
	return c
}

func (c Cause) isZero() bool { return c == Cause{} }

// reason is why the replicas of the secret follow the change.
func (c Change) reason() Reason {
	switch {
	case c.Removes:
		return ReasonRemoval
	case c.Request == nil:
		return ReasonSettings
	case c.Data != nil || c.Patch != nil:
		return ReasonWrite
	default:
		return ReasonVersions
	}
}

// attribute notes why the outstanding work of a secret is done, unless nothing is
// known of that.
func (as *activities) attribute(name string, c Cause) {
	if c.isZero() {
		return
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byName[name]; a != nil {
		a.cause = c
	}
}

// cause is why the outstanding work of a replica is done.
func (as *activities) cause(name, slot string) Cause {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.byName[name]
	if a == nil {
		return Cause{}
	}
	if p := a.progress[slot]; p != nil && p.done(a.generation) && !p.due.IsZero() && !time.Now().Before(p.due) {
		return Cause{Reason: ReasonExpiry}
	}
	return a.cause
}
