// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"context"
	"errors"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Which code the service gives when a secret's type or state forbids something,
// when a version is absent or taken, isn't documented. Refusals of the likely
// classes are therefore looked into by describing the secret.

// vague tells whether the state of the secret may be behind a refusal by the
// service.
func vague(err error) bool {
	return codeOf(err) != "" && slices.Contains(vagueClasses, provider.ClassOf(err))
}

var vagueClasses = []provider.Class{provider.ClassConflict, provider.ClassInvalid, provider.ClassNotFound}

// explain finds out what is behind a vague refusal: class NotFound if the secret
// is absent, Conflict if its deletion is scheduled, Ownership if the service
// manages its value, and nil if it is none of these.
func (d *destination) explain(ctx context.Context, name string, refused error) error {
	if codeOf(refused) == codeInDeleteWindow {
		return refused
	}
	s, err := d.Describe(ctx, name)
	switch {
	case err != nil:
		return err
	case s.State == provider.StatePendingDeletion:
		return withMessage(refused, provider.ClassConflict, adviceRestore)
	case s.CloudManaged:
		return withMessage(refused, provider.ClassOwnership, "the cloud itself manages this secret's value, type "+s.Type)
	}
	return nil
}

// version looks for a version that a call was refused for. Its error is class
// NotFound if there is none.
func (d *destination) version(ctx context.Context, name, versionID string, refused error) (provider.Version, error) {
	versions, err := d.Versions(ctx, name)
	if err != nil {
		return provider.Version{}, err
	}
	i := slices.IndexFunc(versions, func(v provider.Version) bool { return v.ID == versionID })
	if i < 0 {
		return provider.Version{}, withMessage(refused, provider.ClassNotFound, "there is no version "+versionID)
	}
	return versions[i], nil
}

func codeOf(err error) string {
	var e *provider.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// withMessage returns err in another class and with other words.
func withMessage(err error, class provider.Class, message string) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return err
	}
	changed := *e
	changed.Class, changed.Message = class, message
	return &changed
}
