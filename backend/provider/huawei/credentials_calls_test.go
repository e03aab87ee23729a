// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// tableOfCalls is what the page says of managed credentials, by what is done.
func tableOfCalls(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/huawei-csms.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| of a managed credential | calls |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	operation := regexp.MustCompile("`([A-Z][A-Za-z]+)`")
	told := map[string][]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 4 && operation.MatchString(cells[2]) {
			what := strings.TrimSpace(cells[1])
			for _, found := range operation.FindAllStringSubmatch(cells[2], -1) {
				told[what] = append(told[what], found[1])
			}
		}
	}
	return told
}

func TestCredentialsCostTheCallsThatThePageSays(t *testing.T) {
	type act func(ctx context.Context, d full) error
	creating := func(n provider.NewCredential) act {
		return func(ctx context.Context, d full) error {
			task, err := d.CreateCredential(ctx, "new", n)
			if err == nil {
				err = task.TagsError
			}
			return err
		}
	}
	tagged := newCredential()
	tagged.Tags = map[string]string{"team": "a"}
	told := tableOfCalls(t)
	done := map[string]struct {
		switches emulated.Switches
		prepare  func(t *testing.T, server *emulated.Server, d full)
		do       act
		fails    bool
	}{
		"creation":           {do: creating(newCredential())},
		"creation with tags": {do: creating(tagged)},
		"creation with `create_agency`, the first time": {do: creating(newCredential("create_agency=true"))},
		"creation with `create_agency` later": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) {
				t.Helper()
				create(t, d, "db", newCredential("create_agency=true"))
			},
			do: creating(newCredential("create_agency=true")),
		},
		"creation that is refused without a clear code": {
			prepare: func(t *testing.T, server *emulated.Server, _ full) {
				t.Helper()
				emulatortest.AddFault(t, server, emulator.Fails("CreateSecret", "CSMS.0002"))
			},
			do: creating(newCredential()), fails: true,
		},
		"state":       {do: func(ctx context.Context, d full) error { _, err := d.DescribeCredential(ctx, "orders-db"); return err }},
		"credentials": {do: func(ctx context.Context, d full) error { _, err := d.ReadCredential(ctx, "orders-db"); return err }},
		"credentials, where `latest` isn't the version with `SYSCURRENT`": {
			switches: emulated.Switches{LatestIsNewest: true},
			prepare: func(t *testing.T, server *emulated.Server, d full) {
				t.Helper()
				create(t, d, "with-agencies", newCredential("create_agency=true"))
				emulatortest.AddFault(t, server, work(emulator.Hang))
				rotate(t, d)
			},
			do: func(ctx context.Context, d full) error { _, err := d.ReadCredential(ctx, "orders-db"); return err },
		},
		"rotation": {do: func(ctx context.Context, d full) error {
			_, err := d.RotateCredential(ctx, "orders-db", "")
			return err
		}},
		"looking how it goes": {
			do: func(ctx context.Context, d full) error {
				_, err := d.CredentialTask(ctx, "orders-db", exampleTask)
				if provider.IsNotFound(err) {
					return nil
				}
				return err
			},
		},
		"schedule": {do: func(ctx context.Context, d full) error {
			return d.SetRotation(ctx, "orders-db", provider.Rotation{Enabled: true, Interval: provider.Days(1)})
		}},
		"history": {do: func(ctx context.Context, d full) error { _, err := d.CredentialVersions(ctx, "orders-db"); return err }},
		"deletion": {do: func(ctx context.Context, d full) error {
			_, err := d.DeleteCredential(ctx, "orders-db", provider.Days(7), false)
			return err
		}},
		"deletion at once": {do: func(ctx context.Context, d full) error {
			_, err := d.DeleteCredential(ctx, "orders-db", 0, false)
			return err
		}},
	}
	for what, c := range done {
		t.Run(what, func(t *testing.T) {
			server, d := issuing(t, c.switches)
			create(t, d, "orders-db", newCredential())
			if c.prepare != nil {
				c.prepare(t, server, d)
			}
			before := len(emulatortest.Operations(server))
			if err := c.do(t.Context(), d); (err != nil) != c.fails {
				t.Fatal(err)
			}
			if made := emulatortest.Operations(server)[before:]; !slices.Equal(made, told[what]) {
				t.Errorf("made %v, the page says %v", made, told[what])
			}
		})
	}
	for what := range maps.Keys(told) {
		if _, known := done[what]; !known {
			t.Errorf("the page speaks of %q, which nothing does", what)
		}
	}
}
