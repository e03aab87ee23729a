// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package remotename_test

import (
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	alibabacloud "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	huaweicloud "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/huawei"
	tencentcloud "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// The rules of the clouds, and two that none has.
var (
	tencent = tencentcloud.Kind.Limits.Name
	huawei  = huaweicloud.Kind.Limits.Name
	alibaba = alibabacloud.Kind.Limits.Name
	dashes  = provider.NameRule{MaxBytes: 64, Punctuation: "-", FirstAlphanumeric: true, ReservedPrefixes: []string{"sys-"}}
	tiny    = provider.NameRule{MaxBytes: 8, Punctuation: "-", FirstAlphanumeric: true}
	small   = provider.NameRule{MaxBytes: 17, Punctuation: "-", FirstAlphanumeric: true}

	rules = []provider.NameRule{tencent, huawei, alibaba, dashes, tiny, small}
)

func TestNormalise(t *testing.T) {
	const hash = "6313010b9fc3dbe3" // printf "$full" | sha256sum | cut -c 1-16
	long := strings.Repeat("team-a/", 20) + "db"
	for name, c := range map[string]struct {
		rule   provider.NameRule
		full   string
		want   string
		change remotename.Change
	}{
		"a legal name stays":                         {tencent, "db_main-1", "db_main-1", remotename.Unchanged},
		"a path has underscores":                     {tencent, "team-a/db/main", "team-a_db_main", remotename.Normalised},
		"a path stays where it is legal":             {alibaba, "team-a/db.main", "team-a/db.main", remotename.Unchanged},
		"a path has dashes without underscores":      {dashes, "team_a/db", "team-a-db", remotename.Normalised},
		"other characters are dashes":                {tencent, "a b.c@d:e", "a-b-c-d-e", remotename.Normalised},
		"a character of many bytes is one dash":      {tencent, "db-密码🔑", "db----", remotename.Normalised},
		"so is a byte that is no character":          {tencent, "a\xffb\xc3", "a-b-", remotename.Normalised},
		"upper case stays":                           {huawei, "Team/DB", "Team_DB", remotename.Normalised},
		"a first character that is refused gets s":   {tencent, "-db", "s-db", remotename.Normalised},
		"it doesn't where the rule allows it first":  {huawei, "-db", "-db", remotename.Unchanged},
		"a reserved prefix gets s_":                  {alibaba, "acs/ecs/db", "s_acs/ecs/db", remotename.Normalised},
		"it doesn't where the cloud reserves none":   {huawei, "acs/ecs/db", "acs_ecs_db", remotename.Normalised},
		"a prefix that is reserved once it is legal": {dashes, "sys/db", "s-sys-db", remotename.Normalised},
		"nothing is s":                               {tencent, "", "s", remotename.Normalised},
		"a long name is cut at Huawei":               {huawei, long, "team-a_team-a_team-a_team-a_team-a_team-a_team--" + hash, remotename.Shortened},
		"and at Tencent":                             {tencent, long, strings.Repeat("team-a_", 15) + "team-a-" + hash, remotename.Shortened},
		"but not where it fits":                      {alibaba, long, long, remotename.Unchanged},
		"a name of just the limit stays":             {huawei, strings.Repeat("x", 64), strings.Repeat("x", 64), remotename.Unchanged},
		"so does one that is legal at the limit":     {huawei, "a/" + strings.Repeat("x", 62), "a_" + strings.Repeat("x", 62), remotename.Normalised},
		"a limit that leaves no room for a start":    {small, strings.Repeat("team-a/", 20) + "db", hash, remotename.Shortened},
		"a limit that leaves room for a hash alone":  {tiny, "team-a/db", "fb696b48", remotename.Shortened},
		"a name that is too long by its first s":     {tencent, "-" + strings.Repeat("x", 127), "s-" + strings.Repeat("x", 109) + "-75490e843d50af1f", remotename.Shortened},
	} {
		t.Run(name, func(t *testing.T) {
			got := remotename.Normalise(c.full, c.rule)
			if want := (remotename.Result{Name: c.want, Full: c.full, Change: c.change}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestDerive(t *testing.T) {
	for name, c := range map[string]struct {
		rule         provider.NameRule
		secret, want string
	}{
		"a legal name stays":                       {tencent, "db_main-1", "db_main-1"},
		"a path has underscores":                   {tencent, "team-a/db/main", "team-a_db_main"},
		"a first character that is refused gets s": {tencent, "-db", "s-db"},
		"so does one that is replaced":             {tencent, "密", "s-"},
		"so does a path's first slash":             {tencent, "/db", "s_db"},
		"an over-long name isn't cut":              {tencent, strings.Repeat("a/", 100), strings.Repeat("a_", 100)},
		"a reserved prefix stays":                  {alibaba, "acs/x", "acs/x"},
		"nothing stays nothing":                    {tencent, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := remotename.Derive(c.secret, c.rule); got != c.want {
				t.Errorf("%q gives %q, want %q", c.secret, got, c.want)
			}
		})
	}
}

func FuzzNormalise(f *testing.F) {
	for _, name := range []string{"team-a/db", "", "-", "密码/x", "a\xff", strings.Repeat("x", 200), "acs/x", "sys/x", "/", strings.Repeat("密/", 100)} {
		f.Add(name, name+"y")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		for _, rule := range rules {
			a, b := remotename.Normalise(one, rule), remotename.Normalise(other, rule)
			if err := rule.Check(a.Name); err != nil {
				t.Errorf("%q gives %q: %v", one, a.Name, err)
			}
			if a != remotename.Normalise(one, rule) {
				t.Errorf("%q gives %q, then another name", one, a.Name)
			}
			if legal := rule.Check(one) == nil; legal != (a.Name == one) || legal != (a.Change == remotename.Unchanged) || a.Full != one {
				t.Errorf("%q, legal %v, gives %+v", one, legal, a)
			}
			if again := remotename.Normalise(a.Name, rule); again.Name != a.Name {
				t.Errorf("%q gives %q, which gives %q", one, a.Name, again.Name)
			}
			if a.Change == remotename.Shortened && b.Change == remotename.Shortened && one != other && a.Name == b.Name {
				t.Errorf("%q and %q are both cut to %q", one, other, a.Name)
			}
			if derived := remotename.Derive(one, rule); rule.Check(derived) == nil && derived != a.Name {
				t.Errorf("%q gives %q and gave %q", one, a.Name, derived)
			}
		}
	})
}

func BenchmarkNormalise(b *testing.B) {
	for name, full := range map[string]string{"legal": "team-a_db", "path": "team-a/service/db", "long": strings.Repeat("team-a/", 20)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				remotename.Normalise(full, huawei)
			}
		})
	}
}
