// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package remotename_test

import (
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

var (
	tencent = provider.NameRule{MaxBytes: 128, Punctuation: "_-", FirstAlphanumeric: true}
	paths   = provider.NameRule{MaxBytes: 64, Punctuation: "_/+=.@-"}
	dashes  = provider.NameRule{MaxBytes: 64, Punctuation: "-", FirstAlphanumeric: true}
)

func TestDerive(t *testing.T) {
	for name, c := range map[string]struct {
		rule         provider.NameRule
		secret, want string
	}{
		"a legal name stays":                        {tencent, "db_main-1", "db_main-1"},
		"a path has underscores":                    {tencent, "team-a/db/main", "team-a_db_main"},
		"a path stays where it is legal":            {paths, "team-a/db.main", "team-a/db.main"},
		"a path has dashes without underscores":     {dashes, "team_a/db", "team-a-db"},
		"other characters are dashes":               {tencent, "a b.c@d:e", "a-b-c-d-e"},
		"a character of many bytes is one dash":     {tencent, "db-密码🔑", "db----"},
		"so is a byte that is no character":         {tencent, "a\xffb\xc3", "a-b-"},
		"the replacement character is one dash":     {tencent, "a\ufffdb", "a-b"},
		"upper case stays":                          {tencent, "Team/DB", "Team_DB"},
		"a first character that is refused gets s":  {tencent, "-db", "s-db"},
		"so does one that is replaced":              {tencent, "密", "s-"},
		"so does a path's first slash":              {tencent, "/db", "s_db"},
		"it doesn't where the rule allows it first": {paths, "-db", "-db"},
		"an over-long name isn't cut":               {tencent, strings.Repeat("a/", 100), strings.Repeat("a_", 100)},
		"nothing stays nothing":                     {tencent, "", ""},
		"a slash at the end":                        {tencent, "a/", "a_"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := remotename.Derive(c.secret, c.rule); got != c.want {
				t.Errorf("%q gives %q, want %q", c.secret, got, c.want)
			}
		})
	}
}

func FuzzDerive(f *testing.F) {
	for _, secret := range []string{"team-a/db", "", "-", "密码/x", "a\xff", strings.Repeat("x", 200)} {
		f.Add(secret)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		for _, rule := range []provider.NameRule{tencent, paths, dashes} {
			name := remotename.Derive(secret, rule)
			if (name == "") != (secret == "") {
				t.Fatalf("%q gives %q", secret, name)
			}
			if name == "" {
				continue
			}
			loose := rule
			loose.MaxBytes = len(name)
			if err := loose.Check(name); err != nil {
				t.Errorf("%q gives %q: %v", secret, name, err)
			}
			if len(name) > len(secret)+1 {
				t.Errorf("%q gives the longer %q", secret, name)
			}
			if rule.Check(secret) == nil && name != secret {
				t.Errorf("%q is legal and gives %q", secret, name)
			}
			if again := remotename.Derive(name, rule); again != name || remotename.Derive(secret, rule) != name {
				t.Errorf("%q gives %q, which gives %q", secret, name, again)
			}
		}
	})
}
