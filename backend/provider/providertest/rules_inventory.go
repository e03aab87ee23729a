// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var inventoryRules = []rule{
	{"a listing has every secret once, in every state", lists},
	{"a check with good credentials finds nothing wrong", checksGood},
	{"a check with a wrong secret says so, what to do, and goes no further", checksWrongSecret},
}

func lists(s *suite) {
	lister := ability[provider.Lister](s)
	want := map[string]provider.State{}
	for range 11 {
		name, _ := s.made(s.text("1"))
		want[name] = provider.StateEnabled
	}
	pending, _ := s.made(s.text("1"))
	s.schedule(pending)
	want[pending] = provider.StatePendingDeletion
	managed := ""
	if s.SeedManaged != nil {
		managed = s.name()
		s.SeedManaged(managed)
		want[managed] = provider.StateEnabled
	}

	got := map[string]int{}
	for token, pages := "", 0; ; pages++ {
		if pages == 1000 {
			s.Fatal("the listing doesn't end")
		}
		page, next, err := lister.List(s.ctx, token)
		s.noError(err, "list from %q", token)
		for _, secret := range page {
			if !strings.HasPrefix(secret.Name, s.prefix) {
				continue
			}
			got[secret.Name]++
			if secret.State != want[secret.Name] || secret.CloudManaged != (secret.Name == managed) {
				s.Errorf("listed is %+v", secret)
			}
			if described, err := s.Describe(s.ctx, secret.Name); !secret.Brief && (err != nil || described.Description != secret.Description) {
				s.Errorf("listed is %+v, described %+v, %v", secret, described, err)
			}
		}
		if next == "" {
			break
		}
		token = next
	}
	for name := range want {
		if got[name] != 1 {
			s.Errorf("%s is listed %d times", name, got[name])
		}
	}
}

func checksGood(s *suite) {
	findings, err := ability[provider.Checker](s).Check(s.ctx)
	s.noError(err, "check")
	if len(findings) == 0 {
		s.Error("there are no findings")
	}
	for _, f := range findings {
		if !f.OK || f.Err != nil || f.Check == "" || f.Message == "" {
			s.Errorf("finding: %+v", f)
		}
	}
}

func checksWrongSecret(s *suite) {
	ability[provider.Checker](s)
	checker, ok := s.as(wrongSecret).(provider.Checker)
	if !ok {
		s.Fatal("with other credentials it is no Checker")
	}
	findings, err := checker.Check(s.ctx)
	s.noError(err, "check")
	if len(findings) == 0 {
		s.Fatal("there are no findings")
	}
	last := findings[len(findings)-1]
	if last.OK || last.Message == "" || last.Action == "" || last.Err == nil || last.Err.Class != provider.ClassAuth {
		s.Errorf("the last finding doesn't say that the credentials are wrong: %+v", last)
	}
	for _, f := range findings[:len(findings)-1] {
		if !f.OK {
			s.Errorf("beside the credentials it finds fault with: %+v", f)
		}
	}
}
