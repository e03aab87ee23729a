// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-uuid"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// RotateCredential asks for a rotation and returns the generation to wait for.
// One that is under way already is joined.
func (e *Engine) RotateCredential(ctx context.Context, name string) (generation uint64, err error) {
	return e.changeCredential(ctx, name, func(c *ManagedCredential, o *opened) error {
		product, err := o.product(c.Product)
		if err != nil {
			return err
		}
		switch {
		case c.Removal != nil:
			return Refusef("managed credential %q is being deleted", name)
		case !product.Rotates:
			return Refusef("%s can't be rotated on request", product.Title)
		case !c.Progress.Made:
			return Refusef("managed credential %q isn't made yet (%s); see managed/%s", name, c.Progress.State, name)
		case c.rotates():
			return nil
		}
		token, err := uuid.GenerateUUID()
		c.Rotate = &RotationOrder{Token: token, Time: time.Now().UTC()}
		return err
	})
}

// DeleteCredential asks for the end of a credential. Without an opinion on window
// or policy the service's default and the cloud's recovery window apply.
func (e *Engine) DeleteCredential(ctx context.Context, name string, policy DeletionPolicy, windowDays *int, accounts bool) (generation uint64, err error) {
	return e.changeCredential(ctx, name, func(c *ManagedCredential, o *opened) error {
		product, err := o.product(c.Product)
		if err != nil {
			return err
		}
		removal := &CredentialRemoval{Policy: firstSet(policy, DeleteScheduled), Accounts: accounts}
		switch {
		case accounts && !product.DeletesAccounts:
			return Refusef("delete_accounts isn't possible for %s. %s", product.Title, product.Deletion)
		case accounts && removal.Policy == DeleteRetain:
			return Refusef("delete_accounts contradicts deletion_policy retain, which leaves everything at the cloud")
		case windowDays != nil && removal.Policy != DeleteScheduled:
			return Refusef("recovery_window_days has a meaning with deletion_policy schedule only")
		case removal.Policy == DeleteForce && !product.Window.Immediate:
			return Refusef("%s can't be deleted at once; use deletion_policy=schedule, with %d to %d days", product.Title, product.Window.MinDays, product.Window.MaxDays)
		case removal.Policy == DeleteScheduled && product.Window.MaxDays == 0:
			return Refusef("the cloud deletes %s at once, without a recovery window; say so with deletion_policy=force, or keep it with retain", product.Title)
		}
		if removal.Policy == DeleteScheduled {
			days := firstSet(o.destination.RecoveryWindowDays, product.Window.DefaultDays, product.Window.MinDays)
			if windowDays == nil {
				days = min(max(days, product.Window.MinDays), product.Window.MaxDays)
			} else {
				days = *windowDays
			}
			if err := product.Window.Check(days); err != nil || days == 0 {
				return Refusef("recovery_window_days: %d isn't possible for %s, possible are %d to %d", days, product.Title, max(product.Window.MinDays, 1), product.Window.MaxDays)
			}
			removal.WindowDays = days
		}
		return e.replaceRemoval(c, removal)
	})
}

// replaceRemoval sets how a credential goes. One that is going already, and can't,
// may go in another way.
func (e *Engine) replaceRemoval(c *ManagedCredential, removal *CredentialRemoval) error {
	if c.Removal != nil && *c.Removal != *removal {
		if w, _ := e.credentials.snapshot(c.Name); w.running || c.Progress.Dropping {
			return Refusef("managed credential %q is just being deleted; look at managed/%s and try again in a moment", c.Name, c.Name)
		}
	}
	c.Removal, c.Progress.State, c.Progress.Failure = removal, StateDeleting, nil
	return nil
}

// changeCredential changes a credential that is there and has it worked on. A
// *RefusedError means that nothing was stored.
func (e *Engine) changeCredential(ctx context.Context, name string, change func(c *ManagedCredential, o *opened) error) (generation uint64, err error) {
	defer e.credentials.lock(name)()
	c, err := e.loadCredential(ctx, name)
	if err != nil {
		return 0, err
	}
	if c == nil {
		return 0, errNoCredential(name)
	}
	o, err := e.destinationAt(ctx, c.Destination)
	if err != nil {
		return 0, err
	}
	before := c.clone()
	if err := change(c, o); err != nil {
		return 0, err
	}
	e.credentials.outdate(name)
	if err := e.storeCredential(ctx, c); err != nil {
		e.relearnCredential(before, c)
		return 0, err
	}
	o.refused.Store(nil) // a person asks: try again
	generation = e.credentials.begin(c, func(w *credentialWork) {
		if c.Removal != nil {
			w.state = StateDeleting
		} else if c.rotates() {
			w.state = StateRotating
		}
	})
	e.enqueueCredential(c.Destination, name, quota.People)
	return generation, nil
}

// NoCredentialError says that there is no managed credential of that name.
type NoCredentialError struct{ *RefusedError }

// Unwrap lets it count as a refusal.
func (e NoCredentialError) Unwrap() error { return e.RefusedError }

func errNoCredential(name string) error {
	return NoCredentialError{&RefusedError{"managed credential \"" + abbreviate(name) + "\" doesn't exist; write it at managed/ first"}}
}

// versionsSeen identifies a list of versions of a credential: it changes with each
// rotation.
func versionsSeen(versions []provider.CredentialVersion) string {
	var b strings.Builder
	for _, v := range versions {
		labels := slices.Sorted(slices.Values(v.Labels))
		b.WriteString(v.ID + "(" + strings.Join(labels, ",") + ") ")
	}
	return strings.TrimSpace(b.String())
}
