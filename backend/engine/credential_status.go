// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// CredentialStatus is a managed credential as people are told of it.
type CredentialStatus struct {
	ManagedCredential
	Remote    string // its name at the cloud, "" if it isn't known yet
	State     State
	Failure   *Failure
	Attempts  int
	NextRetry time.Time
	NextLook  time.Time // at the value, where it is passed on
	Paused    []PauseLevel
	Deletion  string // what deleting it leaves at the cloud
}

// CredentialStatus tells where a credential stands, without a remote call; nil if
// there is none.
func (e *Engine) CredentialStatus(ctx context.Context, name string) (*CredentialStatus, error) {
	c, err := e.loadCredential(ctx, name)
	if err != nil || c == nil {
		return nil, err
	}
	if _, err := e.Config(ctx); err != nil { // known from here on
		return nil, err
	}
	status := &CredentialStatus{
		ManagedCredential: *c, State: firstSet(c.Progress.State, StatePending),
		Failure: c.Progress.Failure, Paused: e.pausedAt(c.Destination, false),
	}
	status.Remote = firstSet(c.Progress.RemoteName, c.RemoteName)
	if kind, found := e.kinds[refType(c.Destination)]; found {
		if product, known := kind.CredentialProduct(c.Product); known {
			status.Deletion = product.Deletion
		}
	}
	if w, known := e.credentials.snapshot(name); known {
		status.State = w.state
		if w.failure != nil {
			status.Failure = w.failure
		}
		status.Attempts, status.NextRetry, status.NextLook = w.attempts, w.nextRetry, w.nextPass
	}
	return status, nil
}

func refType(ref string) string {
	kind, _, _ := splitRef(ref)
	return kind
}

// ListCredentials returns the names of all managed credentials with their
// destinations, products and states, sorted by name.
func (e *Engine) ListCredentials(ctx context.Context) ([]CredentialStatus, error) {
	var all []CredentialStatus
	err := e.eachCredential(ctx, func(c *ManagedCredential) error {
		status := CredentialStatus{ManagedCredential: *c, State: firstSet(c.Progress.State, StatePending)}
		if w, known := e.credentials.snapshot(c.Name); known {
			status.State = w.state
		}
		all = append(all, status)
		return nil
	})
	slices.SortFunc(all, func(a, b CredentialStatus) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		default:
			return 0
		}
	})
	return all, err
}

// CredentialExists tells whether there is a credential of that name.
func (e *Engine) CredentialExists(ctx context.Context, name string) (bool, error) {
	c, err := e.loadCredential(ctx, name)
	return c != nil, err
}

// heldCredential is a managed credential of the destination, "" if it has none.
func (e *Engine) heldCredential(ctx context.Context, ref string) (string, error) {
	held := ""
	err := e.eachCredential(ctx, func(c *ManagedCredential) error {
		if c.Destination == ref && (held == "" || c.Name < held) {
			held = c.Name
		}
		return nil
	})
	return held, err
}

// forgetCredentials drops the records of a destination's credentials, which stay at
// the cloud.
func (e *Engine) forgetCredentials(ctx context.Context, ref string, forgotten *Forgotten) error {
	return e.eachCredential(ctx, func(c *ManagedCredential) error {
		if c.Destination != ref {
			return nil
		}
		defer e.credentials.lock(c.Name)()
		if err := managed.Delete(ctx, e.storage, e.mount.id(c.Name)); err != nil {
			return err
		}
		e.credentials.end(c.Name)
		forgotten.Credentials, forgotten.Credential = forgotten.Credentials+1, c.Name
		return nil
	})
}

// tellCredential publishes what a run has led to, if that is new.
func (e *Engine) tellCredential(c *ManagedCredential, before CredentialProgress) {
	p := c.Progress
	event := Event{Credential: c.Name, Destination: c.Destination, State: p.State}
	if p.Made && !before.Made {
		event.Kind, event.Operation = EventCredentialCreated, operationCreate
		e.tell(event)
	}
	asked := p.Rotated != before.Rotated
	seen := !asked && p.Passed != nil && before.Passed != nil && p.Passed.Digest != before.Passed.Digest
	if asked && p.NotRotated == nil || seen {
		event.Kind, event.Operation = EventCredentialRotated, operationRotate
		e.tell(event)
	}
	if p.NotRotated != nil && before.NotRotated == nil {
		event.Kind, event.Operation, event.Class = EventCredentialFailed, operationRotate, p.NotRotated.Class
		e.tell(event)
	}
	if p.Held != nil && before.Held == nil {
		event.Kind, event.Operation, event.Class = EventHeld, operationRemove, ""
		e.tell(event)
	}
	if p.Failure != nil && p.State == StateBlocked {
		e.tellCredentialFailure(c.Name, p.State, p.Failure)
		return
	}
	if p.Failure == nil {
		e.credentials.report(c.Name, func(w *credentialWork) { w.told = "" })
	}
}

// tellCredentialFailure tells that the work on a credential fails, unless that was
// the last thing told of it.
func (e *Engine) tellCredentialFailure(name string, state State, failure *Failure) {
	var before, destination string
	text := telling(state, failure)
	e.credentials.report(name, func(w *credentialWork) { before, w.told, destination = w.told, text, w.destination })
	if before == text || destination == "" {
		return
	}
	e.tell(Event{Kind: EventCredentialFailed, Credential: name, Destination: destination, State: state, Class: failure.Class, Operation: operationConverge})
}

// credentialRun counts the end of a run.
func (m *meters) credentialRun(err error) {
	class := provider.Class("")
	if err != nil {
		class = provider.ClassOf(err)
	}
	m.credentialRuns.WithLabelValues(outcomeOf(class)).Inc()
}
