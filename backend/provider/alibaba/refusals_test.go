// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"context"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// Which codes these refusals have isn't documented.
func TestVagueRefusalsAreLookedInto(t *testing.T) {
	put := func(value string) func(full) error {
		return func(d full) error {
			_, err := d.PutVersion(t.Context(), "app/db", "v1", provider.Text(value))
			return err
		}
	}
	read := func(id string) func(full) error {
		return func(d full) error { _, err := d.Read(t.Context(), "app/db", id); return err }
	}
	move := func(id string) func(full) error {
		return func(d full) error { return d.MoveCurrent(t.Context(), "app/db", id) }
	}
	for name, c := range map[string]struct {
		operation string
		before    func(full) error // brings the secret to a state; nil leaves it
		call      func(full) error
		want      provider.Class // "" for success
	}{
		"putting what is there is success":    {"PutSecretValue", nil, put(exampleValue), ""},
		"putting another value is a conflict": {"PutSecretValue", nil, put("another"), provider.ClassConflict},
		"putting a version that isn't there is what the code says": {"PutSecretValue", nil, func(d full) error {
			_, err := d.PutVersion(t.Context(), "app/db", "v2", provider.Text("x"))
			return err
		}, "as coded"},
		"putting into an absent secret is not found": {"PutSecretValue", nil, func(d full) error {
			_, err := d.PutVersion(t.Context(), "absent", "v1", provider.Text("x"))
			return err
		}, provider.ClassNotFound},
		"putting into a secret pending deletion is a conflict":                {"PutSecretValue", schedule, put(exampleValue), provider.ClassConflict},
		"reading an absent version is not found":                              {"GetSecretValue", nil, read("v9"), provider.ClassNotFound},
		"reading a version that is there is what the code says":               {"GetSecretValue", nil, read("v1"), "as coded"},
		"reading a secret pending deletion is a conflict":                     {"GetSecretValue", schedule, read("v1"), provider.ClassConflict},
		"making current what is current is success":                           {"UpdateSecretVersionStage", nil, move("v1"), ""},
		"making an absent version current is not found":                       {"UpdateSecretVersionStage", nil, move("v9"), provider.ClassNotFound},
		"making a version of a secret pending deletion current is a conflict": {"UpdateSecretVersionStage", schedule, move("v1"), provider.ClassConflict},
	} {
		for code, class := range map[string]provider.Class{
			"InvalidParameter": provider.ClassInvalid, "UnsupportedOperation": provider.ClassInvalid,
			"Rejected.ResourceExist": provider.ClassConflict, "Rejected.ResourceInUse": provider.ClassConflict,
			"Rejected.DuplicateVersionId": provider.ClassConflict, "Forbidden.ResourceNotFound": provider.ClassNotFound,
		} {
			t.Run(name+", "+code, func(t *testing.T) {
				server, d := emulate(t, emulated.Switches{ReadableInWindow: true})
				if c.before != nil {
					if err := c.before(d); err != nil {
						t.Fatal(err)
					}
				}
				emulatortest.AddFault(t, server, emulator.Fails(c.operation, code))
				want := c.want
				if want == "as coded" {
					want = class
				}
				err := c.call(d)
				if want == "" && err != nil || want != "" && provider.ClassOf(err) != want || provider.IsAmbiguous(err) && err != nil {
					t.Errorf("error %v, want class %q", err, want)
				}
			})
		}
	}
}

func schedule(d full) error { return d.Delete(context.Background(), "app/db", provider.Days(30)) }

func TestLookingIntoARefusalMayFail(t *testing.T) {
	for _, looking := range []string{"DescribeSecret", "ListSecretVersionIds"} {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("GetSecretValue", "InvalidParameter"))
		emulatortest.AddFault(t, server, emulator.Fails(looking, "Rejected.Throttling"))
		if _, err := d.Read(t.Context(), "app/db", "v1"); provider.ClassOf(err) != provider.ClassThrottled {
			t.Errorf("%s throttled: %v", looking, err)
		}
	}
	for _, looking := range []string{"DescribeSecret", "GetSecretValue"} {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("PutSecretValue", "Rejected.ResourceExist"))
		emulatortest.AddFault(t, server, emulator.Fails(looking, "Rejected.Throttling"))
		if _, err := d.PutVersion(t.Context(), "app/db", "v1", provider.Text(exampleValue)); provider.ClassOf(err) != provider.ClassThrottled {
			t.Errorf("%s throttled: %v", looking, err)
		}
	}
}

func TestAManagedSecretGivesItsCurrentVersionOnly(t *testing.T) {
	server, d := emulate(t, emulated.Switches{})
	seed(t, server, emulator.Secret{Type: "Rds", Ref: emulator.Ref{Name: "rds"}, Versions: []emulator.Version{{ID: "a", Text: "{}"}, {ID: "b", Text: "{}"}}})
	if _, err := d.Read(t.Context(), "rds", "b"); err != nil {
		t.Error(err)
	}
	_, err := d.Read(t.Context(), "rds", "a")
	if provider.ClassOf(err) != provider.ClassConflict {
		t.Errorf("error %v", err)
	}
	if err := d.MoveCurrent(t.Context(), "rds", "a"); provider.ClassOf(err) != provider.ClassOwnership {
		t.Errorf("error %v", err)
	}
}
