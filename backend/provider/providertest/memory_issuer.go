// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var _ provider.CredentialIssuer = (*destination)(nil)

func (d *destination) Products(ctx context.Context) ([]string, error) {
	var names []string
	err := d.do(ctx, Call{Op: OpProducts}, func(r *Region) error {
		for _, p := range r.model.products() {
			names = append(append(names, p.Name), p.Names...)
		}
		return nil
	})
	return names, err
}

func (d *destination) CreateCredential(ctx context.Context, name string, n provider.NewCredential) (provider.CredentialTask, error) {
	c := Call{Op: OpCreateCredential, Name: name}
	var task provider.CredentialTask
	err := d.do(ctx, c, func(r *Region) error {
		product, found := provider.Kind{Credentials: r.model.products()}.CredentialProduct(n.Product)
		if !found {
			return refuse(c, provider.ClassInvalid, "product %s isn't supported", n.Product)
		}
		name := name
		if product.AssignsName {
			r.lastID++
			name = product.NamePrefix + strings.Repeat("x", r.lastID)
		}
		if err := r.checkNewCredential(c, name, n); err != nil {
			return err
		}
		s := &Stored{
			Secret: provider.Secret{
				Name: name, State: provider.StateEnabled, Description: n.Description, KMSKeyID: n.KMSKeyID,
				CloudManaged: true, Type: "managed", CreatedTime: r.now(),
			},
			Tags: maps.Clone(n.Tags),
			Credential: &StoredCredential{Initial: n.Initial.Reveal(), Credential: provider.Credential{
				Name: name, State: provider.CredentialCreating, Type: "managed", Product: n.Product, InstanceID: n.InstanceID,
				Parameters: maps.Clone(n.Parameters), Rotation: n.Rotation,
			}},
		}
		if r.tagsError != nil && len(n.Tags) > 0 {
			s.Tags, task.TagsError = nil, r.tagsError
		}
		s.Credential.schedule(n.Rotation, r.now())
		r.secrets[name] = s
		task.Name, task.RequestID = name, requestID
		task.ID = r.begin(credentialTask{name: name, kind: OpCreateCredential, token: "first"})
		return nil
	})
	return task, err
}

func (r *Region) checkNewCredential(c Call, name string, n provider.NewCredential) error {
	if _, taken := r.secrets[name]; taken {
		return refuse(c, provider.ClassExists, "the name is taken")
	}
	if r.refusedKeys[n.KMSKeyID] {
		return refuse(c, provider.ClassKMS, "the key can't be used")
	}
	for _, err := range []error{r.limits.Name.Check(name), r.limits.CheckDescription(n.Description), r.limits.Tags.Check(n.Tags)} {
		if err != nil {
			return refuse(c, provider.ClassInvalid, "%v", err)
		}
	}
	return nil
}

// schedule sets when the next rotation falls due.
func (c *StoredCredential) schedule(r provider.Rotation, now time.Time) {
	c.Rotation, c.NextRotation, c.RotationProblem = r, time.Time{}, ""
	switch {
	case !r.Enabled:
	case r.Begin.After(now):
		c.NextRotation = r.Begin
	default:
		c.NextRotation = now.Add(r.Interval)
	}
}

func (d *destination) FindCredential(ctx context.Context, mark string) (string, error) {
	found := ""
	err := d.do(ctx, Call{Op: OpFindCredential}, func(r *Region) error {
		for name, s := range r.secrets {
			if s.Credential != nil && strings.HasSuffix(s.Description, mark) {
				found = name
			}
		}
		return nil
	})
	return found, err
}

// credential applies edit to a managed credential.
func (d *destination) credential(ctx context.Context, c Call, edit func(r *Region, s *Stored) error) error {
	return d.change(ctx, c, func(r *Region, s *Stored) error {
		if s.Credential == nil {
			return refuse(c, provider.ClassConflict, "the secret isn't a managed credential, it is %s", s.Type)
		}
		return edit(r, s)
	})
}

// state is where the credential is in its life.
func (s *Stored) credentialState() provider.CredentialState {
	switch s.State {
	case provider.StateDisabled:
		return provider.CredentialDisabled
	case provider.StatePendingDeletion:
		return provider.CredentialPendingDeletion
	default:
		return s.Credential.State
	}
}

func (d *destination) DescribeCredential(ctx context.Context, name string) (provider.Credential, error) {
	var found provider.Credential
	err := d.credential(ctx, Call{Op: OpDescribeCredential, Name: name}, func(_ *Region, s *Stored) error {
		found = s.Credential.clone().Credential
		found.State, found.Description, found.KMSKeyID = s.credentialState(), s.Description, s.KMSKeyID
		found.CreatedTime, found.DeletionTime = s.CreatedTime, s.DeletionTime
		return nil
	})
	return found, err
}

func (d *destination) CredentialTask(ctx context.Context, name, taskID string) (provider.TaskStatus, error) {
	c := Call{Op: OpCredentialTask, Name: name}
	var status provider.TaskStatus
	err := d.do(ctx, c, func(r *Region) error {
		t, found := r.tasks[taskID]
		if !found {
			return refuse(c, provider.ClassNotFound, "there is no task %s", taskID)
		}
		status = t.status
		return nil
	})
	return status, err
}

func (d *destination) ReadCredential(ctx context.Context, name string) (provider.CredentialValue, error) {
	c := Call{Op: OpReadCredential, Name: name}
	var value provider.CredentialValue
	err := d.credential(ctx, c, func(_ *Region, s *Stored) error {
		state := s.credentialState()
		if state != provider.CredentialReady && state != provider.CredentialRotating {
			return refuse(c, provider.ClassConflict, "the credential is %s and can't be read", state)
		}
		v := s.Credential.Values[0]
		value = provider.CredentialValue{VersionID: v.ID, Labels: slices.Clone(v.Labels), Fields: v.fields(), CreatedTime: v.CreatedTime}
		return nil
	})
	return value, err
}

func (d *destination) RotateCredential(ctx context.Context, name, token string) (provider.CredentialTask, error) {
	c := Call{Op: OpRotateCredential, Name: name}
	task := provider.CredentialTask{Name: name, RequestID: requestID}
	err := d.credential(ctx, c, func(r *Region, s *Stored) error {
		known := slices.ContainsFunc(s.Credential.Values, func(v StoredCredentialValue) bool { return v.ID == token })
		for _, t := range r.tasks {
			known = known || t.name == name && t.token == token && t.status.State == provider.TaskRunning
		}
		if known && r.model.tokens() {
			return nil
		}
		if state := s.credentialState(); state != provider.CredentialReady {
			return refuse(c, provider.ClassConflict, "the credential is %s", state)
		}
		s.Credential.State = provider.CredentialRotating
		task.ID = r.begin(credentialTask{name: name, kind: OpRotateCredential, token: token})
		return nil
	})
	return task, err
}

func (d *destination) SetRotation(ctx context.Context, name string, rotation provider.Rotation) error {
	c := Call{Op: OpSetRotation, Name: name}
	return d.credential(ctx, c, func(r *Region, s *Stored) error {
		if state := s.credentialState(); state != provider.CredentialReady && state != provider.CredentialRotating {
			return refuse(c, provider.ClassConflict, "the credential is %s", state)
		}
		s.Credential.schedule(rotation, r.now())
		return nil
	})
}

func (d *destination) CredentialVersions(ctx context.Context, name string) ([]provider.CredentialVersion, error) {
	var versions []provider.CredentialVersion
	err := d.credential(ctx, Call{Op: OpCredentialVersions, Name: name}, func(_ *Region, s *Stored) error {
		for _, v := range s.Credential.Values {
			v.Labels = slices.Clone(v.Labels)
			versions = append(versions, v.CredentialVersion)
		}
		return nil
	})
	return versions, err
}

func (d *destination) DeleteCredential(ctx context.Context, name string, window time.Duration, accounts bool) (provider.CredentialTask, error) {
	c := Call{Op: OpDeleteCredential, Name: name}
	task := provider.CredentialTask{Name: name, RequestID: requestID}
	err := d.do(ctx, c, func(r *Region) error {
		s, there := r.secrets[name]
		if !there || s.State == provider.StatePendingDeletion {
			return nil
		}
		if s.Credential == nil {
			return refuse(c, provider.ClassConflict, "the secret isn't a managed credential")
		}
		if state := s.credentialState(); state == provider.CredentialCreating || state == provider.CredentialRotating {
			return refuse(c, provider.ClassConflict, "the credential is %s", state)
		}
		if err := r.limits.Window.Check(int(window / provider.Days(1))); err != nil {
			return refuse(c, provider.ClassInvalid, "%v", err)
		}
		if accounts {
			for _, v := range s.Credential.Values {
				delete(r.accounts, v.Username)
			}
			task.ID = r.begin(credentialTask{name: name, kind: OpDeleteCredential})
		}
		if window == 0 {
			delete(r.secrets, name)
			return nil
		}
		s.State, s.DeletionTime = provider.StatePendingDeletion, r.now().Add(window)
		return nil
	})
	return task, err
}
