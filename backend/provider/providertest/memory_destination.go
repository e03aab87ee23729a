// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// destination is the part of the contract that every model has.
type destination struct {
	region    *Region
	keyID     string
	keySecret sensitive.String
	gate      provider.Gate // nil for none
}

// do is one call: it passes the gate, arrives, has its effect under the region's
// lock, and is answered.
func (d *destination) do(ctx context.Context, c Call, effect func(r *Region) error) error {
	call := provider.Call{Operation: c.Op, Writes: IsWrite(c.Op)}
	return call.Send(ctx, d.gate, func(ctx context.Context, heard *provider.Heard) error {
		if err := d.region.faults.arrive(ctx, c); err != nil {
			return err
		}
		if err := d.apply(c, effect); err != nil {
			return err
		}
		if err := d.region.faults.answer(c); err != nil {
			return err
		}
		heard.RequestID = requestID
		return nil
	})
}

// requestID is the service's id of every call.
const requestID = "memory"

func (d *destination) apply(c Call, effect func(r *Region) error) error {
	r := d.region
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keyID != "" && (r.keyID != d.keyID || !r.keySecret.Equal(d.keySecret)) {
		return refuse(c, provider.ClassAuth, "the access key isn't known or its secret is wrong")
	}
	r.expireLocked()
	return effect(r)
}

// change applies edit to a secret.
func (d *destination) change(ctx context.Context, c Call, edit func(r *Region, s *Stored) error) error {
	return d.do(ctx, c, func(r *Region) error {
		s, ok := r.secrets[c.Name]
		if !ok {
			return refuse(c, provider.ClassNotFound, "there is no such secret")
		}
		return edit(r, s)
	})
}

func refuse(c Call, class provider.Class, format string, args ...any) error {
	return &provider.Error{
		Class:     class,
		Operation: c.Op,
		Code:      "Memory." + string(class),
		RequestID: requestID,
		Message:   fmt.Sprintf(format, args...),
	}
}

func (d *destination) Describe(ctx context.Context, name string) (provider.Secret, error) {
	var found provider.Secret
	err := d.change(ctx, Call{Op: OpDescribe, Name: name}, func(_ *Region, s *Stored) error {
		found = s.Secret
		return nil
	})
	return found, err
}

func (d *destination) DescribeTagged(ctx context.Context, name string) (provider.Secret, map[string]string, error) {
	var found provider.Secret
	var tags map[string]string
	err := d.change(ctx, Call{Op: OpDescribe, Name: name}, func(_ *Region, s *Stored) error {
		found, tags = s.Secret, maps.Clone(s.Tags)
		return nil
	})
	return found, tags, err
}

func (d *destination) Versions(ctx context.Context, name string) ([]provider.Version, error) {
	var found []provider.Version
	err := d.change(ctx, Call{Op: OpVersions, Name: name}, func(_ *Region, s *Stored) error {
		for _, v := range s.clone().Versions {
			found = append(found, v.Version)
		}
		return nil
	})
	return found, err
}

func (d *destination) Read(ctx context.Context, name, versionID string) (provider.Value, error) {
	c := Call{Op: OpRead, Name: name, VersionID: versionID}
	var found provider.Value
	err := d.change(ctx, c, func(_ *Region, s *Stored) error {
		if s.State != provider.StateEnabled {
			return refuse(c, provider.ClassConflict, "the secret is %s and can't be read", s.State)
		}
		v, ok := s.Version(versionID)
		if !ok {
			return refuse(c, provider.ClassNotFound, "there is no version %s", versionID)
		}
		found = v.Value
		return nil
	})
	return found, err
}

func (d *destination) Create(ctx context.Context, name string, n provider.NewSecret) (provider.Created, error) {
	c := Call{Op: OpCreate, Name: name, VersionID: n.VersionID}
	var created provider.Created
	err := d.do(ctx, c, func(r *Region) error {
		if err := r.checkNew(c, n); err != nil {
			return err
		}
		s := &Stored{
			Secret: provider.Secret{
				Name: name, State: provider.StateEnabled, Description: n.Description,
				KMSKeyID: n.KMSKeyID, Type: "custom", CreatedTime: r.now(),
			},
			Tags: maps.Clone(n.Tags),
		}
		if r.tagsError != nil && len(n.Tags) > 0 {
			s.Tags, created.TagsError = nil, r.tagsError
		}
		created.VersionID = r.addVersion(s, n.VersionID, n.Value)
		r.secrets[name] = s
		return nil
	})
	return created, err
}

func (r *Region) checkNew(c Call, n provider.NewSecret) error {
	if _, taken := r.secrets[c.Name]; taken {
		return refuse(c, provider.ClassExists, "the name is taken")
	}
	if r.refusedKeys[n.KMSKeyID] {
		return refuse(c, provider.ClassKMS, "the key can't be used")
	}
	for _, err := range []error{
		r.limits.Name.Check(c.Name), r.limits.CheckValue(n.Value),
		r.limits.CheckDescription(n.Description), r.limits.Tags.Check(n.Tags),
	} {
		if err != nil {
			return refuse(c, provider.ClassInvalid, "%v", err)
		}
	}
	return nil
}

// addVersion appends a version, moves the labels, and drops what is too much.
func (r *Region) addVersion(s *Stored, id string, v provider.Value) string {
	if r.model.AssignsIDs {
		r.lastID++
		id = strconv.Itoa(r.lastID)
	}
	added := StoredVersion{Version: provider.Version{ID: id, CreatedTime: r.now()}, Value: v}
	s.Versions = append(s.Versions, added)
	if r.model.Labels {
		s.label(len(s.Versions) - 1)
	}
	if r.limits.EvictsVersions && len(s.Versions) > r.limits.Versions {
		oldest := slices.IndexFunc(s.Versions, func(v StoredVersion) bool { return len(v.Labels) == 0 })
		s.Versions = slices.Delete(s.Versions, max(oldest, 0), max(oldest, 0)+1)
	}
	return id
}

// label makes the version at i the current one, and the one that was it the
// previous one.
func (s *Stored) label(i int) {
	if slices.Contains(s.Versions[i].Labels, LabelCurrent) {
		return
	}
	for j := range s.Versions {
		switch {
		case j == i:
			s.Versions[j].Labels = []string{LabelCurrent}
		case slices.Contains(s.Versions[j].Labels, LabelCurrent):
			s.Versions[j].Labels = []string{LabelPrevious}
		default:
			s.Versions[j].Labels = nil
		}
	}
}

func (d *destination) PutVersion(ctx context.Context, name, versionID string, v provider.Value) (string, error) {
	c := Call{Op: OpPutVersion, Name: name, VersionID: versionID}
	var id string
	err := d.change(ctx, c, func(r *Region, s *Stored) error {
		if err := r.checkWritable(c, s, v); err != nil {
			return err
		}
		if old, taken := s.Version(versionID); taken && !r.model.AssignsIDs {
			id = versionID
			if !old.Value.Equal(v) {
				return refuse(c, provider.ClassConflict, "version %s is there with another value", versionID)
			}
			return nil
		}
		if len(s.Versions) >= r.limits.Versions && !r.limits.EvictsVersions {
			return refuse(c, provider.ClassLimit, "the secret has %d versions, the limit is %d", len(s.Versions), r.limits.Versions)
		}
		id = r.addVersion(s, versionID, v)
		return nil
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

func (r *Region) checkWritable(c Call, s *Stored, v provider.Value) error {
	switch err := r.limits.CheckValue(v); {
	case err != nil:
		return refuse(c, provider.ClassInvalid, "%v", err)
	case s.CloudManaged:
		return refuse(c, provider.ClassOwnership, "the service itself manages the secret, type %s", s.Type)
	case s.State != provider.StateEnabled && s.State != provider.StateDisabled:
		return refuse(c, provider.ClassConflict, "the secret is %s and can't be written", s.State)
	}
	return nil
}

func (d *destination) SetDescription(ctx context.Context, name, description string) error {
	c := Call{Op: OpSetDescription, Name: name}
	return d.change(ctx, c, func(r *Region, s *Stored) error {
		if err := r.limits.CheckDescription(description); err != nil {
			return refuse(c, provider.ClassInvalid, "%v", err)
		}
		if s.State == provider.StatePendingDeletion {
			return refuse(c, provider.ClassConflict, "the deletion of the secret is scheduled; restore it first")
		}
		s.Description = description
		return nil
	})
}

func (d *destination) Delete(ctx context.Context, name string, window time.Duration) error {
	c := Call{Op: OpDelete, Name: name}
	return d.do(ctx, c, func(r *Region) error {
		if err := r.limits.Window.Check(int(window / provider.Days(1))); err != nil {
			return refuse(c, provider.ClassInvalid, "%v", err)
		}
		s, ok := r.secrets[name]
		switch {
		case !ok || s.State == provider.StatePendingDeletion:
			return nil
		case r.model.Abilities.Switches && s.State != provider.StateDisabled:
			return refuse(c, provider.ClassConflict, "the secret is %s; disable it before it is deleted", s.State)
		case window == 0:
			delete(r.secrets, name)
		default:
			s.State, s.DeletionTime = provider.StatePendingDeletion, r.now().Add(window)
		}
		return nil
	})
}

func (d *destination) Check(ctx context.Context) ([]provider.Finding, error) {
	err := d.do(ctx, Call{Op: OpCheck}, func(*Region) error { return nil })
	if ctx.Err() != nil {
		return nil, err
	}
	finding := provider.Finding{Check: "credentials", OK: err == nil, Message: "the service accepts the credentials"}
	if err != nil {
		finding.Message = err.Error()
		finding.Action = provider.ClassOf(err).Action()
		errors.As(err, &finding.Err)
	}
	return []provider.Finding{finding}, nil
}

func (d *destination) CheckKey(ctx context.Context, kmsKeyID string) error {
	c := Call{Op: OpCheckKey}
	return d.do(ctx, c, func(r *Region) error {
		if r.refusedKeys[kmsKeyID] {
			return refuse(c, provider.ClassKMS, "the key can't be used")
		}
		return nil
	})
}

// pageSize is small, so that tests meet a second page.
const pageSize = 10

func (d *destination) List(ctx context.Context, pageToken string) ([]provider.Secret, string, error) {
	var page []provider.Secret
	var next string
	err := d.do(ctx, Call{Op: OpList}, func(r *Region) error {
		for _, name := range slices.Sorted(maps.Keys(r.secrets)) {
			if name <= pageToken {
				continue
			}
			if len(page) == pageSize {
				next = page[pageSize-1].Name
				break
			}
			page = append(page, r.secrets[name].Secret)
		}
		return nil
	})
	return page, next, err
}
