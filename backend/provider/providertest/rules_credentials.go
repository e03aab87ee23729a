// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var credentialRules = []rule{
	{"the kind's products of managed credentials are described completely", describesProducts},
	{"the products that the service supports include those of the kind", eachCredential(listsProducts)},
	{"a new credential is what was asked for and can be read", eachCredential(issues)},
	{"a credential that is being made is found, and can't be read yet", eachCredential(issuesSlowly)},
	{"a failed creation says so, holds no value and can be deleted", eachCredential(failsToIssue)},
	{"a name that is taken is class exists, whoever has it", eachCredential(refusesTakenCredential)},
	{"a credential whose creation wasn't answered is found again", eachCredential(losesIssue)},
	{"an absent credential is class not_found, and its deletion success", eachCredential(missesCredential)},
	{"a secret that isn't managed is no credential", eachCredential(refusesPlainSecret)},
	{"a rotation gives another value, which the versions show", eachCredential(rotates)},
	{"while a rotation goes on a value can be read", eachCredential(rotatesSlowly)},
	{"a failed rotation says so and leaves the value", eachCredential(failsToRotate)},
	{"after a rotation that wasn't answered the versions tell whether it took place", eachCredential(losesRotation)},
	{"the schedule can be set, read, changed and switched off", eachCredential(schedulesRotation)},
	{"a rotation by schedule takes place when it is due", eachCredential(rotatesBySchedule)},
	{"description and tags can be changed, and the value stays", eachCredential(redescribesCredential)},
	{"a deleted credential is pending or gone, and deleting it twice is success", eachCredential(deletesCredential)},
	{"each call about credentials passes the gate once", eachCredential(gatesCredential)},
	{"faults of calls about credentials have their class, and no effect before it", eachCredential(faultsOfCredential)},
	{"a cancelled context stops calls about credentials", eachCredential(cancelsCredential)},
	{"no error quotes the initial credentials, even if the service does", eachCredential(quotesNoInitial)},
}

func describesProducts(s *suite) {
	seen := map[string]bool{}
	for _, p := range s.Kind.Credentials {
		for _, name := range append([]string{p.Name}, p.Names...) {
			if folded := strings.ToLower(name); name == "" || seen[folded] {
				s.Errorf("product %q: the name is empty or not the only one", name)
			} else {
				seen[folded] = true
			}
		}
		if p.Title == "" || p.Deletion == "" {
			s.Errorf("product %s has no title, or doesn't say what its deletion leaves", p.Name)
		}
		if p.ShortestRotation > p.LongestRotation || (p.ShortestRotation == 0) != (p.LongestRotation == 0) {
			s.Errorf("product %s rotates every %v to %v", p.Name, p.ShortestRotation, p.LongestRotation)
		}
		if p.Window.MaxDays < p.Window.MinDays || p.Window.MaxDays == 0 && !p.Window.Immediate {
			s.Errorf("product %s can't be deleted within %+v", p.Name, p.Window)
		}
		fields := map[string]bool{}
		for _, f := range p.Fields {
			types := []provider.FieldType{provider.FieldString, provider.FieldInt, provider.FieldBool, provider.FieldList, provider.FieldJSON}
			if f.Name == "" || fields[f.Name] || f.Description == "" || !slices.Contains(types, f.Type) {
				s.Errorf("product %s: field %+v", p.Name, f)
			}
			fields[f.Name] = true
		}
	}
}

func listsProducts(s *suite, n provider.NewCredential) {
	names, err := s.issuer().Products(s.ctx)
	s.noError(err, "list the products")
	if p := s.product(n); !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, p.Name) }) {
		s.Errorf("the service supports %v, without %s", names, p.Name)
	}
}

func issues(s *suite, n provider.NewCredential) {
	name := s.issued(n)
	c := s.credentialState(name, provider.CredentialReady)
	switch {
	case !strings.HasPrefix(c.Description, "made by the suite [conformance "):
		s.Errorf("the description, by which the caller knows its own, is %q", c.Description)
	case c.Type == "":
		s.Errorf("the service's word for the type isn't told")
	case c.InstanceID != "" && c.InstanceID != n.InstanceID:
		s.Errorf("it belongs to instance %q, want %q", c.InstanceID, n.InstanceID)
	case c.CreatedTime.IsZero():
		s.Errorf("the time of creation isn't told")
	}
	s.credentialValue(name)
	if secret := s.described(name); !secret.CloudManaged {
		s.Errorf("as a secret it isn't told to be managed by the cloud: %+v", secret)
	}
}

func issuesSlowly(s *suite, n provider.NewCredential) {
	s.can(s.Credentials.Slow != nil && !s.Credentials.SynchronousCreation, "creating slowly")
	s.Credentials.Slow()
	name := s.credentialName(n)
	task, err := s.issuer().CreateCredential(s.ctx, name, s.withMark(n, name))
	s.noError(err, "create a %s", n.Product)
	if _, ended := s.look(task); ended {
		s.Errorf("the creation of a slow %s has ended already", n.Product)
	}
	s.credentialState(task.Name, provider.CredentialCreating)
	_, err = s.issuer().ReadCredential(s.ctx, task.Name)
	s.fails(err, provider.ClassConflict, "read a %s that is being made", n.Product)
	s.Credentials.Finish()
	if status := s.followed(task); status.State != provider.TaskSucceeded {
		s.Errorf("the creation ended with %+v", status)
	}
	s.credentialState(task.Name, provider.CredentialReady)
	s.credentialValue(task.Name)
}

func failsToIssue(s *suite, n provider.NewCredential) {
	s.can(s.Credentials.FailNext != nil && !s.Credentials.SynchronousCreation, "failing to create")
	s.Credentials.FailNext()
	name := s.credentialName(n)
	task, err := s.issuer().CreateCredential(s.ctx, name, s.withMark(n, name))
	s.noError(err, "create a %s", n.Product)
	status := s.followed(task)
	if status.State != provider.TaskFailed || status.Message == "" && status.Code == "" {
		s.Errorf("a creation that fails ended with %+v", status)
	}
	s.credentialState(task.Name, provider.CredentialFailed)
	_, err = s.issuer().ReadCredential(s.ctx, task.Name)
	s.fails(err, provider.ClassConflict, "read what was never made")
	_, err = s.issuer().DeleteCredential(s.ctx, task.Name, s.shortestWindow(n), false)
	s.noError(err, "delete what was never made")
}

func refusesTakenCredential(s *suite, n provider.NewCredential) {
	if s.product(n).AssignsName {
		return
	}
	name := s.issued(n)
	_, err := s.issuer().CreateCredential(s.ctx, name, s.withMark(n, name))
	s.fails(err, provider.ClassExists, "create a %s twice", n.Product)
	if s.product(n).NamePrefix != "" {
		return // no plain secret has such a name
	}
	plain, _ := s.made(s.text("1"))
	_, err = s.issuer().CreateCredential(s.ctx, plain, s.withMark(n, plain))
	s.fails(err, provider.ClassExists, "create a %s with the name of a secret", n.Product)
	_, err = s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v1"), Value: s.text("1")})
	s.fails(err, provider.ClassExists, "create a secret with the name of a %s", n.Product)
}

func losesIssue(s *suite, n provider.NewCredential) {
	name := s.credentialName(n)
	s.strike(FaultLostAnswer)
	_, err := s.issuer().CreateCredential(s.ctx, name, s.withMark(n, name))
	if e := s.failure(err, provider.ClassUnavailable, "create a %s without an answer", n.Product); !e.Ambiguous {
		s.Errorf("create a %s without an answer isn't ambiguous", n.Product)
	}
	found, err := s.issuer().FindCredential(s.ctx, s.mark(name))
	s.noError(err, "find it by its mark")
	if s.product(n).AssignsName {
		if found == "" {
			s.Fatalf("a %s whose creation wasn't answered isn't found by its mark", n.Product)
		}
		s.discard(s.product(n), found)
		name = found
	}
	s.followed(provider.CredentialTask{Name: name})
	s.credentialState(name, provider.CredentialReady)
	none, err := s.issuer().FindCredential(s.ctx, s.mark("nobody"))
	s.noError(err, "find nobody's")
	if none != "" {
		s.Errorf("nobody's mark finds %q", none)
	}
}

func missesCredential(s *suite, n provider.NewCredential) {
	name, issuer := s.credentialName(n), s.issuer()
	_, err := issuer.DescribeCredential(s.ctx, name)
	s.fails(err, provider.ClassNotFound, "describe an absent credential")
	_, err = issuer.ReadCredential(s.ctx, name)
	s.fails(err, provider.ClassNotFound, "read an absent credential")
	_, err = issuer.CredentialVersions(s.ctx, name)
	s.fails(err, provider.ClassNotFound, "list the versions of an absent credential")
	if s.product(n).Rotates {
		_, err = issuer.RotateCredential(s.ctx, name, "token-1")
		s.fails(err, provider.ClassNotFound, "rotate an absent credential")
	}
	_, err = issuer.DeleteCredential(s.ctx, name, s.shortestWindow(n), false)
	s.noError(err, "delete an absent credential")
}

func refusesPlainSecret(s *suite, n provider.NewCredential) {
	name, id := s.made(s.text("1"))
	_, err := s.issuer().DescribeCredential(s.ctx, name)
	s.fails(err, provider.ClassConflict, "describe a secret as a credential")
	if s.product(n).Rotates {
		if _, err = s.issuer().RotateCredential(s.ctx, name, "token-1"); err == nil {
			s.Errorf("a secret that isn't managed is rotated")
		}
	}
	s.holds(name, id, s.text("1"))
}

func (s *suite) shortestWindow(n provider.NewCredential) time.Duration {
	w := s.product(n).Window
	if w.Immediate {
		return 0
	}
	return provider.Days(w.MinDays)
}

func deletesCredential(s *suite, n provider.NewCredential) {
	p := s.product(n)
	if p.Window.MaxDays > 0 {
		name := s.issued(n)
		for range 2 {
			_, err := s.issuer().DeleteCredential(s.ctx, name, provider.Days(p.Window.MaxDays), false)
			s.noError(err, "delete a %s later", n.Product)
		}
		if c := s.credentialState(name, provider.CredentialPendingDeletion); c.DeletionTime.IsZero() {
			s.Errorf("the time of the deletion isn't told")
		}
		_, err := s.issuer().ReadCredential(s.ctx, name)
		if !s.ReadsPending || err != nil {
			s.fails(err, provider.ClassConflict, "read a deleted %s", n.Product)
		}
	}
	if p.Window.Immediate {
		name := s.issued(n)
		for range 2 {
			task, err := s.issuer().DeleteCredential(s.ctx, name, 0, p.DeletesAccounts)
			s.noError(err, "delete a %s at once", n.Product)
			if task.ID != "" {
				s.followed(task)
			}
		}
		_, err := s.issuer().DescribeCredential(s.ctx, name)
		s.fails(err, provider.ClassNotFound, "describe a deleted %s", n.Product)
	}
}

func cancelsCredential(s *suite, n provider.NewCredential) {
	name := s.issued(n)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	for _, op := range s.credentialOperations(s.Destination, n) {
		on := name
		if op.name == OpCreateCredential {
			on = s.credentialName(n)
		}
		s.interrupted(ctx, op.call(ctx, on), op.name)
	}
}

func quotesNoInitial(s *suite, n provider.NewCredential) {
	s.can(s.Echo != nil, "choosing the service's words")
	initial := n.Initial.Reveal()
	if len(initial) < 20 {
		return
	}
	for _, text := range []string{initial, initial[5:20]} {
		s.Echo("refused: " + text)
		name := s.credentialName(n)
		_, err := s.issuer().CreateCredential(s.ctx, name, s.withMark(n, name))
		if err == nil {
			s.Fatalf("an answer with an error is taken for success")
		}
		if strings.Contains(err.Error(), text) {
			s.Errorf("the error quotes the initial credentials of a %s", n.Product)
		}
	}
}
