// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import "context"

// Abilities is what a destination can do beyond the contract; the planner
// decides by it.
type Abilities struct {
	Overwrites      bool // Overwriter: the current value lives under one fixed id
	DeletesVersions bool // VersionDeleter
	Switches        bool // Switcher
	Restores        bool // Restorer
	MovesCurrent    bool // CurrentMover
	ChangesTags     bool // Tagger
	ChangesKey      bool // KeyChanger
}

// AbilitiesOf finds out by the interfaces that d has.
func AbilitiesOf(d Destination) Abilities {
	_, overwrites := d.(Overwriter)
	_, deletesVersions := d.(VersionDeleter)
	_, switches := d.(Switcher)
	_, restores := d.(Restorer)
	_, movesCurrent := d.(CurrentMover)
	_, changesTags := d.(Tagger)
	_, changesKey := d.(KeyChanger)
	return Abilities{
		Overwrites: overwrites, DeletesVersions: deletesVersions, Switches: switches, Restores: restores,
		MovesCurrent: movesCurrent, ChangesTags: changesTags, ChangesKey: changesKey,
	}
}

// The functions below use an ability. Where it is missing they refuse with
// class Internal: the planner should have known.

// Overwrite replaces the value of a version in place; see [Overwriter].
func Overwrite(ctx context.Context, d Destination, name, versionID string, v Value) error {
	if able, ok := d.(Overwriter); ok {
		return able.Overwrite(ctx, name, versionID, v)
	}
	return unable("overwrite a version")
}

// DeleteVersion removes one version; see [VersionDeleter].
func DeleteVersion(ctx context.Context, d Destination, name, versionID string) error {
	if able, ok := d.(VersionDeleter); ok {
		return able.DeleteVersion(ctx, name, versionID)
	}
	return unable("delete a single version")
}

// Enable lets the secret be read; see [Switcher].
func Enable(ctx context.Context, d Destination, name string) error {
	if able, ok := d.(Switcher); ok {
		return able.Enable(ctx, name)
	}
	return unable("enable a secret")
}

// Disable stops reading; see [Switcher].
func Disable(ctx context.Context, d Destination, name string) error {
	if able, ok := d.(Switcher); ok {
		return able.Disable(ctx, name)
	}
	return unable("disable a secret")
}

// Restore cancels a scheduled deletion; see [Restorer].
func Restore(ctx context.Context, d Destination, name string) error {
	if able, ok := d.(Restorer); ok {
		return able.Restore(ctx, name)
	}
	return unable("restore a secret")
}

// MoveCurrent makes readers get another version; see [CurrentMover].
func MoveCurrent(ctx context.Context, d Destination, name, versionID string) error {
	if able, ok := d.(CurrentMover); ok {
		return able.MoveCurrent(ctx, name, versionID)
	}
	return unable("make an older version the current one")
}

// ChangeTags sets and removes tags; see [Tagger].
func ChangeTags(ctx context.Context, d Destination, name string, set map[string]string, remove []string) error {
	if able, ok := d.(Tagger); ok {
		return able.ChangeTags(ctx, name, set, remove)
	}
	return unable("change tags")
}

// DescribeTagged returns a secret's metadata with its tags; see [TagReader].
// Without the ability nothing is known of the tags, which are nil then.
func DescribeTagged(ctx context.Context, d Destination, name string) (Secret, map[string]string, error) {
	able, ok := d.(TagReader)
	if !ok {
		s, err := d.Describe(ctx, name)
		return s, nil, err
	}
	s, tags, err := able.DescribeTagged(ctx, name)
	if tags == nil && err == nil {
		tags = map[string]string{}
	}
	return s, tags, err
}

// ChangeKey changes the KMS key; see [KeyChanger].
func ChangeKey(ctx context.Context, d Destination, name, kmsKeyID string) error {
	if able, ok := d.(KeyChanger); ok {
		return able.ChangeKey(ctx, name, kmsKeyID)
	}
	return unable("change the KMS key of a secret")
}

// CheckKey finds out about a KMS key; see [KeyChecker]. Without the ability
// nothing is known of the key, and checked is false.
func CheckKey(ctx context.Context, d Destination, kmsKeyID string) (checked bool, err error) {
	if able, ok := d.(KeyChecker); ok {
		return true, able.CheckKey(ctx, kmsKeyID)
	}
	return false, nil
}

// Check reports on the destination; see [Checker]. Without the ability there
// is nothing to report.
func Check(ctx context.Context, d Destination) ([]Finding, error) {
	if able, ok := d.(Checker); ok {
		return able.Check(ctx)
	}
	return nil, nil
}

func unable(what string) error {
	return &Error{Class: ClassInternal, Message: "this service can't " + what}
}
