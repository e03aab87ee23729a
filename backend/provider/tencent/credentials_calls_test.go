// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// The table in the page says which calls everything costs.
func TestCredentialsCostTheCallsThatThePageSays(t *testing.T) {
	page, err := os.ReadFile("../../../docs/tencent-ssm.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "### What their calls cost\n")
	table, _, _ = strings.Cut(table, "\n\nA creation whose answer")
	operation := regexp.MustCompile("`([A-Z][A-Za-z]+)`")
	told := map[string][]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 4 && operation.MatchString(cells[2]) {
			for _, found := range operation.FindAllStringSubmatch(cells[2], -1) {
				what := strings.TrimSpace(cells[1])
				told[what] = append(told[what], found[1])
			}
		}
	}
	follow := func(t *testing.T, d full, task provider.CredentialTask, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		ended(t, d, task, provider.TaskSucceeded)
	}
	for what, act := range map[string]func(t *testing.T, d full) error{
		"create a database account": func(t *testing.T, d full) error {
			task, err := d.CreateCredential(t.Context(), "new", scheduled())
			follow(t, d, task, err)
			return nil
		},
		"create a key pair": func(t *testing.T, d full) error {
			_, err := d.CreateCredential(t.Context(), "new", keyPair())
			return err
		},
		"read a database account": func(t *testing.T, d full) error { _, err := d.ReadCredential(t.Context(), "db"); return err },
		"read a key pair":         func(t *testing.T, d full) error { _, err := d.ReadCredential(t.Context(), "key"); return err },
		"its state":               func(t *testing.T, d full) error { _, err := d.DescribeCredential(t.Context(), "db"); return err },
		"rotate": func(t *testing.T, d full) error {
			task, err := d.RotateCredential(t.Context(), "db", "token")
			follow(t, d, task, err)
			return nil
		},
		"set the schedule": func(t *testing.T, d full) error { return d.SetRotation(t.Context(), "db", scheduled().Rotation) },
		"its history":      func(t *testing.T, d full) error { _, err := d.CredentialVersions(t.Context(), "db"); return err },
		"delete": func(t *testing.T, d full) error {
			_, err := d.DeleteCredential(t.Context(), "db", 0, false)
			return err
		},
		"delete with its accounts": func(t *testing.T, d full) error {
			task, err := d.DeleteCredential(t.Context(), "db", 0, true)
			follow(t, d, task, err)
			return nil
		},
		"what the region supports": func(t *testing.T, d full) error { _, err := d.Products(t.Context()); return err },
	} {
		t.Run(what, func(t *testing.T) {
			server, d := emulate(t, emulated.Switches{})
			issue(t, d, "db", scheduled())
			issue(t, d, "key", keyPair())
			before := len(emulatortest.Operations(server))
			if err := act(t, d); err != nil {
				t.Fatal(err)
			}
			made := slices.Compact(emulatortest.Operations(server)[before:]) // a task is looked at several times
			if !slices.Equal(made, told[what]) {
				t.Errorf("made %v, the page says %v", made, told[what])
			}
			delete(told, what)
		})
	}
	for what := range told {
		t.Errorf("the page speaks of %q, which nothing does", what)
	}
}
