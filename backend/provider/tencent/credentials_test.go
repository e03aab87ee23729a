// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func kindProduct(t *testing.T, name string) provider.CredentialProduct {
	t.Helper()
	product, ok := tencent.Kind.CredentialProduct(name)
	if !ok {
		t.Fatalf("no product %s", name)
	}
	return product
}

// scheduled is a database account that Tencent rotates.
func scheduled() provider.NewCredential {
	c := newAccount()
	c.Rotation = provider.Rotation{Enabled: true, Interval: provider.Days(30)}
	return c
}

// issue makes a credential and waits until it is there.
func issue(t *testing.T, d full, name string, c provider.NewCredential) {
	t.Helper()
	task, err := d.CreateCredential(t.Context(), name, c)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, d, task, provider.TaskSucceeded)
}

func ended(t *testing.T, d full, task provider.CredentialTask, want provider.TaskState) provider.TaskStatus {
	t.Helper()
	for range 20 {
		if task.ID == "" {
			return provider.TaskStatus{}
		}
		status, err := d.CredentialTask(t.Context(), task.Name, task.ID)
		if err != nil {
			t.Fatal(err)
		}
		if status.State != provider.TaskRunning {
			if status.State != want {
				t.Fatalf("the task ended with %+v, want %s", status, want)
			}
			return status
		}
	}
	t.Fatal("the task doesn't end")
	return provider.TaskStatus{}
}

func read(t *testing.T, d full, name string) (user, password string) {
	t.Helper()
	v, err := d.ReadCredential(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return v.Fields["username"].Reveal(), v.Fields["password"].Reveal()
}

func TestAnAccountIsDescribedAsItIs(t *testing.T) {
	_, d := emulate(t, emulated.Switches{})
	c := newAccount()
	c.Product, c.Description, c.KMSKeyID = "TDSQL-mysql", "for orders [mark]", emulator.ExampleKMSKeyID
	c.Rotation = provider.Rotation{Enabled: true, Interval: provider.Days(35), Begin: time.Now().Add(provider.Days(2)).Truncate(time.Second)}
	issue(t, d, "orders-db", c)
	got, err := d.DescribeCredential(t.Context(), "orders-db")
	if err != nil {
		t.Fatal(err)
	}
	got.CreatedTime = time.Time{}
	want := provider.Credential{
		Name: "orders-db", State: provider.CredentialReady, Type: "product", Product: "Tdsql-mysql", InstanceID: "cdb-n4j3y33j",
		Description: "for orders [mark]", KMSKeyID: emulator.ExampleKMSKeyID,
		Rotation: provider.Rotation{Enabled: true, Interval: provider.Days(35)}, NextRotation: c.Rotation.Begin.UTC(),
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("described as\n%+v, want\n%+v", got, want)
	}
	task, err := d.RotateCredential(t.Context(), "orders-db", "token")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Second)
	ended(t, d, task, provider.TaskSucceeded)
	if got, err = d.DescribeCredential(t.Context(), "orders-db"); err != nil || got.LastRotation.Before(before.Truncate(time.Second)) || got.LastRotation.After(time.Now()) {
		t.Errorf("the last rotation was at %v, want now (%v)", got.LastRotation, err)
	}
}

func TestAnswersThatAreLostLeaveOneOfEach(t *testing.T) {
	t.Run("a creation is found by its name", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.LostReply("CreateProductSecret"))
		_, err := d.CreateCredential(t.Context(), "orders-db", scheduled())
		if !provider.IsAmbiguous(err) || provider.ClassOf(err) != provider.ClassUnavailable {
			t.Fatalf("error %v", err)
		}
		_, err = d.CreateCredential(t.Context(), "orders-db", scheduled())
		if provider.ClassOf(err) != provider.ClassExists {
			t.Fatalf("again: %v", err)
		}
		for range 20 {
			if c, err := d.DescribeCredential(t.Context(), "orders-db"); err != nil {
				t.Fatal(err)
			} else if c.State == provider.CredentialReady {
				break
			}
		}
		if user, _ := read(t, d, "orders-db"); !strings.HasPrefix(user, "app_SSM_") {
			t.Errorf("the user is %q", user)
		}
		if all := server.List("", region); len(all) != 2 { // and app-db
			t.Errorf("%d secrets are there", len(all))
		}
	})
	t.Run("a rotation is seen in the history, and a second is refused while it goes on", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{FlowLooks: 5})
		issue(t, d, "orders-db", scheduled())
		emulatortest.AddFault(t, server, emulator.LostReply("RotateProductSecret"))
		if _, err := d.RotateCredential(t.Context(), "orders-db", "token"); !provider.IsAmbiguous(err) {
			t.Fatalf("error %v", err)
		}
		_, err := d.RotateCredential(t.Context(), "orders-db", "token")
		if provider.ClassOf(err) != provider.ClassConflict || !strings.Contains(err.Error(), "under way") {
			t.Errorf("again: %v", err)
		}
		var versions []provider.CredentialVersion
		for range 20 {
			if _, err := d.DescribeCredential(t.Context(), "orders-db"); err != nil {
				t.Fatal(err)
			}
			if versions, err = d.CredentialVersions(t.Context(), "orders-db"); err != nil {
				t.Fatal(err)
			}
		}
		if len(versions) != 2 || versions[0].ID != "SSM_Current" || !strings.HasPrefix(versions[1].ID, "SSM_Rotate_") {
			t.Errorf("the versions are %+v", versions)
		}
	})
	t.Run("a schedule is as it was set", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		issue(t, d, "orders-db", newAccount())
		emulatortest.AddFault(t, server, emulator.LostReply("UpdateRotationStatus"))
		want := provider.Rotation{Enabled: true, Interval: provider.Days(60)}
		if err := d.SetRotation(t.Context(), "orders-db", want); !provider.IsAmbiguous(err) {
			t.Fatalf("error %v", err)
		}
		if c, err := d.DescribeCredential(t.Context(), "orders-db"); err != nil || c.Rotation != want {
			t.Errorf("the schedule is %+v (%v)", c.Rotation, err)
		}
	})
	for _, lost := range []string{"DisableSecret", "DeleteSecret"} {
		t.Run("a deletion goes on after a lost "+lost, func(t *testing.T) {
			server, d := emulate(t, emulated.Switches{})
			issue(t, d, "orders-db", scheduled())
			emulatortest.AddFault(t, server, emulator.LostReply(lost))
			if _, err := d.DeleteCredential(t.Context(), "orders-db", provider.Days(7), false); !provider.IsAmbiguous(err) {
				t.Fatalf("error %v", err)
			}
			if _, err := d.DeleteCredential(t.Context(), "orders-db", provider.Days(7), false); err != nil {
				t.Fatal(err)
			}
			if c, err := d.DescribeCredential(t.Context(), "orders-db"); err != nil || c.State != provider.CredentialPendingDeletion {
				t.Errorf("the credential is %s (%v)", c.State, err)
			}
		})
	}
	t.Run("a deletion that was refused halfway is in doubt", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		issue(t, d, "orders-db", scheduled())
		emulatortest.AddFault(t, server, emulator.Fails("DeleteSecret", "UnauthorizedOperation"))
		_, err := d.DeleteCredential(t.Context(), "orders-db", 0, false)
		if !provider.IsAmbiguous(err) || provider.ClassOf(err) != provider.ClassPermission {
			t.Errorf("error %v", err)
		}
	})
}

func TestAStateForbidsWhatMakesNoSense(t *testing.T) {
	for name, c := range map[string]struct {
		switches emulated.Switches
		prepare  func(t *testing.T, server *emulated.Server, d full)
		act      func(t *testing.T, d full) error
		class    provider.Class
		says     string
	}{
		"a rotation with the schedule off": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) { issue(t, d, "db", newAccount()) },
			act:     func(t *testing.T, d full) error { _, err := d.RotateCredential(t.Context(), "db", "token"); return err },
			class:   provider.ClassConflict, says: "switch rotation by schedule on",
		},
		"a rotation while disabled": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) { disabled(t, d) },
			act:     func(t *testing.T, d full) error { _, err := d.RotateCredential(t.Context(), "db", "token"); return err },
			class:   provider.ClassConflict, says: "disabled",
		},
		"a rotation while disabled, by the code of other calls": {
			prepare: func(t *testing.T, server *emulated.Server, d full) {
				disabled(t, d)
				emulatortest.AddFault(t, server, emulator.Fails("RotateProductSecret", "FailedOperation"))
			},
			act:   func(t *testing.T, d full) error { _, err := d.RotateCredential(t.Context(), "db", "token"); return err },
			class: provider.ClassConflict, says: "in state disabled",
		},
		"a schedule while disabled": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) { disabled(t, d) },
			act:     func(t *testing.T, d full) error { return d.SetRotation(t.Context(), "db", scheduled().Rotation) },
			class:   provider.ClassConflict, says: "disabled",
		},
		"reading while disabled": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) { disabled(t, d) },
			act:     func(t *testing.T, d full) error { _, err := d.ReadCredential(t.Context(), "db"); return err },
			class:   provider.ClassConflict, says: "in state disabled",
		},
		"a rotation of a plain secret": {
			act: func(t *testing.T, d full) error {
				_, err := d.RotateCredential(t.Context(), "app-db", "token")
				return err
			},
			class: provider.ClassConflict, says: "of type custom",
		},
		"a deletion of a plain secret": {
			act: func(t *testing.T, d full) error {
				_, err := d.DeleteCredential(t.Context(), "app-db", 0, false)
				return err
			},
			class: provider.ClassConflict, says: "isn't a managed credential",
		},
		"a rotation of a key pair": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) { issue(t, d, "db", keyPair()) },
			act:     func(t *testing.T, d full) error { _, err := d.RotateCredential(t.Context(), "db", "token"); return err },
			class:   provider.ClassConflict, says: "SSH key pair",
		},
		"a window for a key pair": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) { issue(t, d, "db", keyPair()) },
			act: func(t *testing.T, d full) error {
				_, err := d.DeleteCredential(t.Context(), "db", provider.Days(7), false)
				return err
			},
			class: provider.ClassInvalid, says: "at once",
		},
		"reading a disabled key pair": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) {
				issue(t, d, "db", keyPair())
				if err := d.Disable(t.Context(), "db"); err != nil {
					t.Fatal(err)
				}
			},
			act:   func(t *testing.T, d full) error { _, err := d.ReadCredential(t.Context(), "db"); return err },
			class: provider.ClassConflict, says: "in state disabled",
		},
		"a deletion while it is being made": {
			prepare: func(t *testing.T, _ *emulated.Server, d full) {
				if _, err := d.CreateCredential(t.Context(), "db", scheduled()); err != nil {
					t.Fatal(err)
				}
			},
			act: func(t *testing.T, d full) error {
				_, err := d.DeleteCredential(t.Context(), "db", 0, false)
				return err
			},
			class: provider.ClassConflict, says: "still being created",
		},
		"a failed creation that Tencent keeps": {
			switches: emulated.Switches{KeepsFailed: true},
			prepare: func(t *testing.T, server *emulated.Server, d full) {
				emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Operation: "Creation", Code: "Broken", Message: "no\nsuch instance"})
				task, err := d.CreateCredential(t.Context(), "db", scheduled())
				if err != nil {
					t.Fatal(err)
				}
				if status := ended(t, d, task, provider.TaskFailed); status.Message != "no such instance" {
					t.Errorf("it failed by %q", status.Message)
				}
			},
			act: func(t *testing.T, d full) error {
				_, err := d.DeleteCredential(t.Context(), "db", 0, false)
				return err
			},
			class: provider.ClassConflict, says: "Tencent's console",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, d := emulate(t, c.switches)
			if c.prepare != nil {
				c.prepare(t, server, d)
			}
			err := c.act(t, d)
			if provider.ClassOf(err) != c.class || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("class %s: %v, want %s and %q", provider.ClassOf(err), err, c.class, c.says)
			}
		})
	}
}

func disabled(t *testing.T, d full) {
	t.Helper()
	issue(t, d, "db", scheduled())
	if err := d.Disable(t.Context(), "db"); err != nil {
		t.Fatal(err)
	}
}

func keyPair() provider.NewCredential {
	return provider.NewCredential{Product: "ssh-key", Parameters: map[string]string{"project_id": "0"}}
}

func TestTagsOfACredentialMayBeLeftToTheTagService(t *testing.T) {
	for name, c := range map[string]struct {
		switches emulated.Switches
		class    provider.Class
	}{
		"a tag that doesn't exist":       {emulated.Switches{TagsMissing: true}, provider.ClassInvalid},
		"a rule of the Tag service":      {emulated.Switches{TagCode: 2}, provider.ClassInvalid},
		"a trouble of the Tag service":   {emulated.Switches{TagCode: 1}, provider.ClassUnavailable},
		"tags that are there, and saved": {emulated.Switches{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []provider.NewCredential{scheduled(), keyPair()} {
				_, d := emulate(t, c.switches)
				n.Tags = map[string]string{"team": "a"}
				task, err := d.CreateCredential(t.Context(), "db", n)
				if err != nil || task.RequestID == "" {
					t.Fatalf("request id %q: %v", task.RequestID, err)
				}
				if (task.TagsError == nil) != (c.class == "") || task.TagsError != nil && provider.ClassOf(task.TagsError) != c.class {
					t.Errorf("%s: the tags end with %v", n.Product, task.TagsError)
				}
				if n.Product != "ssh-key" {
					ended(t, d, task, provider.TaskSucceeded)
				}
				if err := d.ChangeTags(t.Context(), "db", n.Tags, nil); err != nil {
					t.Errorf("%s: later: %v", n.Product, err)
				}
			}
		})
	}
}
