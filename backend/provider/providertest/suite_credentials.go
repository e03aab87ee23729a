// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// CredentialFixture is what the rules for managed credentials need of a service.
type CredentialFixture struct {
	// New are creations that the service accepts, one for each product worth
	// looking at. Descriptions, tags and schedules are added by the rules. Instances
	// that are named have to be there.
	New []provider.NewCredential
	// Slow makes creations and rotations that are accepted from now on go on until
	// Finish, which ends those under way. Synchronous is set where the service
	// doesn't know any creation that takes time.
	Slow, Finish        func()
	SynchronousCreation bool
	// FailNext makes the next creation, or rotation where creations are synchronous,
	// fail after it was accepted.
	FailNext func()
	// LoseRotation makes the answer to the next request of a rotation get lost, where
	// the provider looks before it asks for one; nil where FaultLostAnswer does.
	LoseRotation func()
	// Elapse moves the service's clock on, so that rotations by schedule fall due.
	Elapse func(d time.Duration)
}

// eachCredential runs a rule for each product of the fixture.
func eachCredential(check func(s *suite, n provider.NewCredential)) func(s *suite) {
	return func(s *suite) {
		s.can(s.Credentials != nil, "managed credentials")
		for _, n := range s.Credentials.New {
			check(s, n)
		}
	}
}

func (s *suite) issuer() provider.CredentialIssuer {
	s.Helper()
	issuer := provider.IssuerOf(s.Destination)
	if issuer == nil {
		s.Fatalf("the kind names managed credentials, and its destinations are no issuers")
	}
	return issuer
}

func (s *suite) product(n provider.NewCredential) provider.CredentialProduct {
	s.Helper()
	p, found := s.Kind.CredentialProduct(n.Product)
	if !found {
		s.Fatalf("the kind has no product %s", n.Product)
	}
	return p
}

// mark ends the description of a credential.
func (s *suite) mark(name string) string { return "[conformance " + name + "]" }

// credentialName is a new name for a credential, which is deleted when the case
// ends.
func (s *suite) credentialName(n provider.NewCredential) string {
	s.Helper()
	p := s.product(n)
	name := p.NamePrefix + s.name()
	s.discard(p, name)
	return name
}

func (s *suite) discard(p provider.CredentialProduct, name string) {
	s.Cleanup(func() {
		window := provider.Days(p.Window.MinDays)
		if p.Window.Immediate {
			window = 0
		}
		_, _ = s.issuer().DeleteCredential(context.Background(), name, window, false)
	})
}

// described is n with what the rules look at.
func (s *suite) withMark(n provider.NewCredential, name string) provider.NewCredential {
	n.Parameters = maps.Clone(n.Parameters)
	n.Description = "made by the suite " + s.mark(name)
	n.KMSKeyID = s.KMSKeyID
	return n
}

// issued creates a credential, follows it to its end and returns its name.
func (s *suite) issued(n provider.NewCredential) string {
	s.Helper()
	name := s.credentialName(n)
	n = s.withMark(n, name)
	s.noError(s.product(n).CheckNew(n), "check the fixture's %s", n.Product)
	task, err := s.issuer().CreateCredential(s.ctx, name, n)
	s.noError(err, "create a %s", n.Product)
	if task.TagsError != nil {
		s.Errorf("create a %s without tags reports a tags error: %v", n.Product, task.TagsError)
	}
	if task.Name == "" || !s.product(n).AssignsName && task.Name != name {
		s.Fatalf("the new %s has the name %q, want %q", n.Product, task.Name, name)
	}
	if task.Name != name {
		s.discard(s.product(n), task.Name)
	}
	if status := s.followed(task); status.State != provider.TaskSucceeded {
		s.Fatalf("the creation of a %s ended with %+v", n.Product, status)
	}
	return task.Name
}

// mostLooks bounds how often a task is looked at until it has to have ended.
const mostLooks = 200

// followed waits for the end of a task.
func (s *suite) followed(task provider.CredentialTask) provider.TaskStatus {
	s.Helper()
	for range mostLooks {
		status, ended := s.look(task)
		if ended {
			return status
		}
		s.tick()
	}
	s.Fatalf("the task %q of %s doesn't end", task.ID, task.Name)
	return provider.TaskStatus{}
}

// look tells where a task is: by itself, or by the credential's state.
func (s *suite) look(task provider.CredentialTask) (provider.TaskStatus, bool) {
	s.Helper()
	if task.ID != "" {
		status, err := s.issuer().CredentialTask(s.ctx, task.Name, task.ID)
		s.noError(err, "look at task %s", task.ID)
		return status, status.State != provider.TaskRunning
	}
	c := s.credential(task.Name)
	switch {
	case c.State == provider.CredentialCreating || c.State == provider.CredentialRotating:
		return provider.TaskStatus{State: provider.TaskRunning}, false
	case c.State == provider.CredentialFailed || c.RotationProblem != "":
		return provider.TaskStatus{State: provider.TaskFailed, Message: c.RotationProblem}, true
	default:
		return provider.TaskStatus{State: provider.TaskSucceeded}, true
	}
}

func (s *suite) credential(name string) provider.Credential {
	s.Helper()
	c, err := s.issuer().DescribeCredential(s.ctx, name)
	s.noError(err, "describe the credential %s", name)
	if c.Name != name {
		s.Errorf("describe %s: it has the name %q", name, c.Name)
	}
	return c
}

func (s *suite) credentialState(name string, want provider.CredentialState) provider.Credential {
	s.Helper()
	c := s.credential(name)
	if c.State != want {
		s.Errorf("credential %s is %s, want %s", name, c.State, want)
	}
	return c
}

// credentialValue reads what works now.
func (s *suite) credentialValue(name string) provider.CredentialValue {
	s.Helper()
	v, err := s.issuer().ReadCredential(s.ctx, name)
	s.noError(err, "read the credential %s", name)
	if len(v.Fields) == 0 {
		s.Errorf("the credential %s has no fields", name)
	}
	for field, text := range v.Fields {
		if text.Reveal() == "" {
			s.Errorf("the credential %s has an empty %s", name, field)
		}
	}
	return v
}

func (s *suite) credentialVersions(name string) []provider.CredentialVersion {
	s.Helper()
	versions, err := s.issuer().CredentialVersions(s.ctx, name)
	s.noError(err, "the versions of %s", name)
	return versions
}

// sameValue tells whether two values have equal fields.
func sameValue(a, b provider.CredentialValue) bool {
	return maps.EqualFunc(a.Fields, b.Fields, func(x, y sensitive.String) bool { return x.Equal(y) })
}

// sameVersions tells whether nothing was rotated between two lists.
func sameVersions(a, b []provider.CredentialVersion) bool {
	return slices.EqualFunc(a, b, func(x, y provider.CredentialVersion) bool {
		return x.ID == y.ID && slices.Equal(slices.Sorted(slices.Values(x.Labels)), slices.Sorted(slices.Values(y.Labels)))
	})
}

// rotated asks for a rotation and follows it to its end.
func (s *suite) rotated(name, token string) provider.TaskStatus {
	s.Helper()
	task, err := s.issuer().RotateCredential(s.ctx, name, token)
	s.noError(err, "rotate %s", name)
	return s.followed(task)
}
