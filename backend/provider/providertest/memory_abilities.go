// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// The optional interfaces are types of their own, so that a destination has
// exactly the abilities of its model.
type (
	overwriter     struct{ d *destination }
	versionDeleter struct{ d *destination }
	switcher       struct{ d *destination }
	restorer       struct{ d *destination }
	currentMover   struct{ d *destination }
	tagger         struct{ d *destination }
	keyChanger     struct{ d *destination }
)

// The sets of abilities that a Memory can play.
type (
	withRestore struct {
		*destination
		restorer
	}
	withVersionDeletion struct {
		withRestore
		versionDeleter
	}
	withSwitch struct {
		withRestore
		switcher
	}
	withOverwriting struct {
		withSwitch
		versionDeleter
		overwriter
		tagger
	}
	withLabels struct {
		withRestore
		currentMover
		tagger
	}
	withLabelsAndKeys struct {
		withLabels
		keyChanger
	}
)

// withAbilities gives d exactly the abilities a. Go can't compose types at run
// time, hence a list; add to it what a test needs.
func withAbilities(d *destination, a provider.Abilities) provider.Destination {
	restoring := withRestore{d, restorer{d}}
	switching := withSwitch{restoring, switcher{d}}
	labelling := withLabels{restoring, currentMover{d}, tagger{d}}
	for _, candidate := range []provider.Destination{
		d,
		restoring,
		withVersionDeletion{restoring, versionDeleter{d}},
		switching,
		withOverwriting{switching, versionDeleter{d}, overwriter{d}, tagger{d}},
		labelling,
		withLabelsAndKeys{labelling, keyChanger{d}},
	} {
		if provider.AbilitiesOf(candidate) == a {
			return candidate
		}
	}
	panic(fmt.Sprintf("no in-memory destination has exactly %+v", a))
}

func (o overwriter) Overwrite(ctx context.Context, name, versionID string, v provider.Value) error {
	c := Call{Op: OpOverwrite, Name: name, VersionID: versionID}
	return o.d.change(ctx, c, func(r *Region, s *Stored) error {
		if err := r.checkWritable(c, s, v); err != nil {
			return err
		}
		i := s.index(versionID)
		if i < 0 {
			return refuse(c, provider.ClassNotFound, "there is no version %s", versionID)
		}
		s.Versions[i].Value = v
		return nil
	})
}

func (o versionDeleter) DeleteVersion(ctx context.Context, name, versionID string) error {
	c := Call{Op: OpDeleteVersion, Name: name, VersionID: versionID}
	return o.d.change(ctx, c, func(_ *Region, s *Stored) error {
		if i := s.index(versionID); i >= 0 {
			s.Versions = append(s.Versions[:i:i], s.Versions[i+1:]...)
		}
		return nil
	})
}

func (o switcher) Enable(ctx context.Context, name string) error {
	return o.turn(ctx, Call{Op: OpEnable, Name: name}, provider.StateEnabled)
}

func (o switcher) Disable(ctx context.Context, name string) error {
	return o.turn(ctx, Call{Op: OpDisable, Name: name}, provider.StateDisabled)
}

func (o switcher) turn(ctx context.Context, c Call, to provider.State) error {
	return o.d.change(ctx, c, func(_ *Region, s *Stored) error {
		if s.State != provider.StateEnabled && s.State != provider.StateDisabled {
			return refuse(c, provider.ClassConflict, "the secret is %s", s.State)
		}
		s.State = to
		return nil
	})
}

func (o restorer) Restore(ctx context.Context, name string) error {
	return o.d.change(ctx, Call{Op: OpRestore, Name: name}, func(r *Region, s *Stored) error {
		if s.State != provider.StatePendingDeletion {
			return nil
		}
		s.State, s.DeletionTime = provider.StateEnabled, time.Time{}
		if r.model.Abilities.Switches {
			s.State = provider.StateDisabled
		}
		return nil
	})
}

func (o currentMover) MoveCurrent(ctx context.Context, name, versionID string) error {
	c := Call{Op: OpMoveCurrent, Name: name, VersionID: versionID}
	return o.d.change(ctx, c, func(_ *Region, s *Stored) error {
		i := s.index(versionID)
		switch {
		case s.State != provider.StateEnabled:
			return refuse(c, provider.ClassConflict, "the secret is %s", s.State)
		case i < 0:
			return refuse(c, provider.ClassNotFound, "there is no version %s", versionID)
		}
		s.label(i)
		return nil
	})
}

func (o tagger) ChangeTags(ctx context.Context, name string, set map[string]string, remove []string) error {
	c := Call{Op: OpChangeTags, Name: name}
	return o.d.change(ctx, c, func(r *Region, s *Stored) error {
		next := maps.Clone(s.Tags)
		if next == nil {
			next = map[string]string{}
		}
		maps.Copy(next, set)
		for _, key := range remove {
			delete(next, key)
		}
		if err := r.limits.Tags.Check(next); err != nil {
			return refuse(c, provider.ClassInvalid, "%v", err)
		}
		s.Tags = next
		return nil
	})
}

func (o keyChanger) ChangeKey(ctx context.Context, name, kmsKeyID string) error {
	c := Call{Op: OpChangeKey, Name: name}
	return o.d.change(ctx, c, func(r *Region, s *Stored) error {
		if r.refusedKeys[kmsKeyID] {
			return refuse(c, provider.ClassKMS, "the key can't be used")
		}
		s.KMSKeyID = kmsKeyID
		return nil
	})
}
