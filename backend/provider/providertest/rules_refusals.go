// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

var refusalRules = []rule{
	{"an absent secret is class not_found for whoever needs it", missesSecret},
	{"an absent version is class not_found for a reader", missesVersion},
	{"a cloud-managed secret is reported as such, and writing its value is class ownership", guardsManaged},
	{"a KMS key that the service refuses is class kms, and nothing is made", refusesKey},
	{"wrong credentials are class auth", refusesCredentials},
	{"opening without region or credentials is class invalid and names the setting", refusesOpening},
}

// operation is one call of the contract.
type operation struct {
	name   string
	writes bool
	call   func(ctx context.Context, secret string) error
}

// operations are all that the destination d can do. Those that name a version
// mean versionID, and values are new.
func (s *suite) operations(d provider.Destination, versionID string) []operation {
	ops := []operation{
		{OpDescribe, false, func(ctx context.Context, n string) error { _, err := d.Describe(ctx, n); return err }},
		{OpVersions, false, func(ctx context.Context, n string) error { _, err := d.Versions(ctx, n); return err }},
		{OpRead, false, func(ctx context.Context, n string) error { _, err := d.Read(ctx, n, versionID); return err }},
		{OpCreate, true, func(ctx context.Context, n string) error {
			_, err := d.Create(ctx, n, provider.NewSecret{VersionID: s.id("v1"), Value: s.text("created"), Description: "created"})
			return err
		}},
		{OpPutVersion, true, func(ctx context.Context, n string) error {
			_, err := d.PutVersion(ctx, n, s.id("v2"), s.text("put"))
			return err
		}},
		{OpSetDescription, true, func(ctx context.Context, n string) error { return d.SetDescription(ctx, n, "changed") }},
		{OpDelete, true, func(ctx context.Context, n string) error { return d.Delete(ctx, n, s.window()) }},
	}
	if o, ok := d.(provider.Overwriter); ok {
		ops = append(ops, operation{OpOverwrite, true, func(ctx context.Context, n string) error {
			return o.Overwrite(ctx, n, versionID, s.text("overwritten"))
		}})
	}
	if o, ok := d.(provider.VersionDeleter); ok {
		ops = append(ops, operation{OpDeleteVersion, true, func(ctx context.Context, n string) error {
			return o.DeleteVersion(ctx, n, versionID)
		}})
	}
	if o, ok := d.(provider.Switcher); ok {
		ops = append(ops, operation{OpDisable, true, o.Disable}, operation{OpEnable, true, o.Enable})
	}
	if o, ok := d.(provider.Restorer); ok {
		ops = append(ops, operation{OpRestore, true, o.Restore})
	}
	return append(ops, s.abilityOperations(d, versionID)...)
}

func missesSecret(s *suite) {
	for _, op := range s.operations(s.Destination, "v1") {
		name := s.name()
		switch err := op.call(s.ctx, name); op.name {
		case OpCreate:
			continue
		case OpDelete:
			s.noError(err, "delete an absent secret")
		case OpDeleteVersion:
			// Absence of the version is success, and a service may not tell which of
			// the two is absent.
			if err != nil {
				s.fails(err, provider.ClassNotFound, "delete a version of an absent secret")
			}
		default:
			s.fails(err, provider.ClassNotFound, "%s of an absent secret", op.name)
		}
		s.isAbsent(name)
	}
}

func missesVersion(s *suite) {
	name, _ := s.made(s.text("1"))
	_, err := s.Read(s.ctx, name, "v9")
	s.fails(err, provider.ClassNotFound, "read an absent version")
}

func guardsManaged(s *suite) {
	s.can(s.SeedManaged != nil, "seeding a managed secret")
	name := s.name()
	s.SeedManaged(name)
	before := s.described(name)
	if !before.CloudManaged || before.Type == "" {
		s.Errorf("it is described as %+v", before)
	}
	if _, err := s.PutVersion(s.ctx, name, s.id("v2"), s.text("2")); err != nil || !s.WritesManaged {
		s.fails(err, provider.ClassOwnership, "put a version of a managed secret")
	}
	if overwriter, ok := s.Destination.(provider.Overwriter); ok {
		for _, id := range s.versionIDs(name) {
			s.fails(overwriter.Overwrite(s.ctx, name, id, s.text("2")), provider.ClassOwnership, "overwrite a managed secret")
		}
	}
}

func refusesKey(s *suite) {
	s.can(s.RefusedKeyID != "", "a key that is refused")
	name := s.name()
	_, err := s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v1"), Value: s.text("1"), KMSKeyID: s.RefusedKeyID})
	s.fails(err, provider.ClassKMS, "create with a refused key")
	s.isAbsent(name)
}

func refusesCredentials(s *suite) {
	for what, change := range map[string]func(c *provider.Config){
		"a wrong secret": wrongSecret,
		"an unknown key": func(c *provider.Config) { c.AccessKeyID += "x" },
	} {
		d := s.as(change)
		name := s.name()
		for _, op := range s.operations(d, "v1") {
			err := op.call(s.ctx, name)
			if e := s.failure(err, provider.ClassAuth, "%s with %s", op.name, what); e.Ambiguous {
				s.Errorf("%s with %s counts as ambiguous", op.name, what)
			}
		}
		s.isAbsent(name)
	}
}

func refusesOpening(s *suite) {
	for setting, change := range map[string]func(c *provider.Config){
		"region":            func(c *provider.Config) { c.Region = "" },
		"access_key_id":     func(c *provider.Config) { c.AccessKeyID = "" },
		"access_key_secret": func(c *provider.Config) { c.AccessKeySecret = sensitive.String{} },
	} {
		c := s.Config
		change(&c)
		_, err := s.Kind.Open(c)
		if e := s.failure(err, provider.ClassInvalid, "open without %s", setting); !strings.Contains(e.Message, setting) {
			s.Errorf("open without %s: the message doesn't name it: %s", setting, e.Message)
		}
	}
}
