// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// bubble runs a test on a fake clock, against an emulated KMS without a network.
func bubble(t *testing.T, switches emulated.Switches, test func(t *testing.T, server *emulated.Server, d full)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server, err := emulated.New(emulated.Options{Switches: switches})
		if err != nil {
			t.Fatal(err)
		}
		c := config(t, "http://127.0.0.1:1")
		c.Transport = emulatortest.Transport(server)
		test(t, server, openedAs(t, c))
	})
}

func TestARotationIsFollowedToItsEnd(t *testing.T) {
	look := func(t *testing.T, d full, name string, task provider.CredentialTask, want provider.TaskState) provider.TaskStatus {
		t.Helper()
		status, err := issuing(t, d).CredentialTask(t.Context(), name, task.ID)
		if err != nil || status.State != want || (want == provider.TaskFailed) != (status.Message != "") {
			t.Errorf("it is %+v, %v, want %s", status, err, want)
		}
		return status
	}
	begin := func(t *testing.T, d full, name, token string) provider.CredentialTask {
		t.Helper()
		task, err := issuing(t, d).RotateCredential(t.Context(), name, token)
		if err != nil || task.ID == "" || task.Name != name || task.RequestID == "" {
			t.Fatalf("rotate: %+v, %v", task, err)
		}
		return task
	}
	for name, c := range map[string]struct {
		switches emulated.Switches
		test     func(t *testing.T, server *emulated.Server, d full, name string)
	}{
		"one that takes its time is running until it is done": {emulated.Switches{RotationSeconds: 90}, func(t *testing.T, _ *emulated.Server, d full, name string) {
			_, before := password(t, d, name)
			task := begin(t, d, name, "token-1")
			look(t, d, name, task, provider.TaskRunning)
			time.Sleep(time.Minute)
			look(t, d, name, begin(t, d, name, "token-1"), provider.TaskRunning) // asked again, as after a lost answer
			if _, now := password(t, d, name); now != before {
				t.Error("the value that works changed before the end")
			}
			time.Sleep(time.Minute)
			look(t, d, name, task, provider.TaskSucceeded)
			look(t, d, name, begin(t, d, name, "token-1"), provider.TaskSucceeded)
			if versions, err := issuing(t, d).CredentialVersions(t.Context(), name); len(versions) != 2 || err != nil {
				t.Errorf("the versions are %+v, %v", versions, err)
			}
		}},
		"one that fails says so": {emulated.Switches{RotationSeconds: 90}, func(t *testing.T, server *emulated.Server, d full, name string) {
			emulatortest.AddFault(t, server, emulator.Fails("Rotation", "X"))
			task := begin(t, d, name, "token-1")
			look(t, d, name, task, provider.TaskRunning)
			time.Sleep(2 * time.Minute)
			if status := look(t, d, name, task, provider.TaskFailed); !strings.Contains(status.Message, "CloudMonitor") {
				t.Errorf("the reason is %q", status.Message)
			}
			described, err := issuing(t, d).DescribeCredential(t.Context(), name)
			if err != nil || described.State != provider.CredentialReady || described.RotationProblem == "" || described.Rotation.Enabled || !described.NextRotation.IsZero() {
				t.Errorf("described is %+v, %v", described, err)
			}
		}},
		"the failure of an earlier one isn't its own": {emulated.Switches{RotationSeconds: 90}, func(t *testing.T, server *emulated.Server, d full, name string) {
			for i := range 2 { // the second time one has failed before
				emulatortest.AddFault(t, server, emulator.Fails("Rotation", "X"))
				task := begin(t, d, name, fmt.Sprint("token-", i))
				look(t, d, name, task, provider.TaskRunning)
				time.Sleep(2 * time.Minute)
				look(t, d, name, task, provider.TaskFailed)
			}
			task := begin(t, d, name, "token-2")
			look(t, d, name, task, provider.TaskRunning)
			time.Sleep(2 * time.Minute)
			look(t, d, name, task, provider.TaskSucceeded)
		}},
		"one that is never heard of again has failed": {emulated.Switches{QuietFailures: true}, func(t *testing.T, server *emulated.Server, d full, name string) {
			if err := issuing(t, d).SetRotation(t.Context(), name, provider.Rotation{}); err != nil {
				t.Fatal(err)
			}
			emulatortest.AddFault(t, server, emulator.Fails("Rotation", "X"))
			task := begin(t, d, name, "token-1")
			look(t, d, name, task, provider.TaskRunning)
			time.Sleep(14 * time.Minute)
			look(t, d, name, task, provider.TaskRunning)
			time.Sleep(time.Minute)
			look(t, d, name, task, provider.TaskFailed)
		}},
		"one that joined another ends with it": {emulated.Switches{RotationSeconds: 90}, func(t *testing.T, _ *emulated.Server, d full, name string) {
			begin(t, d, name, "token-1")
			time.Sleep(time.Second)
			task := begin(t, d, name, "token-2")
			look(t, d, name, task, provider.TaskRunning)
			time.Sleep(2 * time.Minute)
			look(t, d, name, task, provider.TaskSucceeded)
		}},
		"one is done although others came after it": {emulated.Switches{}, func(t *testing.T, _ *emulated.Server, d full, name string) {
			task := begin(t, d, name, "token-1")
			for i := range 3 {
				time.Sleep(time.Second)
				begin(t, d, name, fmt.Sprint("later-", i))
			}
			look(t, d, name, task, provider.TaskSucceeded)
		}},
		"one while another is under way can be refused": {emulated.Switches{RotationSeconds: 90, RotatingCode: "Rejected.ResourceInUse"}, func(t *testing.T, _ *emulated.Server, d full, name string) {
			begin(t, d, name, "token-1")
			if _, err := issuing(t, d).RotateCredential(t.Context(), name, "token-2"); provider.ClassOf(err) != provider.ClassConflict || provider.IsAmbiguous(err) {
				t.Errorf("error %v", err)
			}
		}},
		"one above the limit of an hour is throttled": {emulated.Switches{RotationLimit: 1}, func(t *testing.T, _ *emulated.Server, d full, name string) {
			begin(t, d, name, "token-1")
			if _, err := issuing(t, d).RotateCredential(t.Context(), name, "token-2"); provider.ClassOf(err) != provider.ClassThrottled {
				t.Errorf("error %v", err)
			}
			time.Sleep(time.Hour)
			look(t, d, name, begin(t, d, name, "token-2"), provider.TaskSucceeded)
		}},
		"one of which only the answer was lost is done once": {emulated.Switches{}, func(t *testing.T, server *emulated.Server, d full, name string) {
			emulatortest.AddFault(t, server, emulator.LostReply("RotateSecret"))
			if _, err := issuing(t, d).RotateCredential(t.Context(), name, "token-1"); !provider.IsAmbiguous(err) {
				t.Fatalf("error %v", err)
			}
			_, after := password(t, d, name)
			look(t, d, name, begin(t, d, name, "token-1"), provider.TaskSucceeded)
			if _, again := password(t, d, name); again != after {
				t.Error("it was rotated twice")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.switches, func(t *testing.T, server *emulated.Server, d full) {
				t.Helper()
				c.test(t, server, d, issued(t, d, "one database account"))
			})
		})
	}
	t.Run("a version that shows before its rotation has ended doesn't count", func(t *testing.T) {
		versions := `{"RequestId":"r","TotalCount":2,"VersionIds":{"VersionId":[
			{"VersionId":"v1","CreateTime":"2026-01-01T00:00:00Z","VersionStages":{"VersionStage":["ACSCurrent"]}},
			{"VersionId":"token-1","CreateTime":"2026-01-02T00:00:00Z","VersionStages":{"VersionStage":[]}}]}}`
		answers := map[string]string{"": doneManaged, "ListSecretVersionIds": versions}
		task := provider.CredentialTask{ID: fmt.Sprintf("token-1@%d@0001-01-01T00:00:00Z@false", time.Now().Unix())}
		look(t, opened(t, &stub{answers: answers}), "s", task, provider.TaskRunning)
		answers["ListSecretVersionIds"] = strings.ReplaceAll(versions, "2026-01-02", "2025-01-02") // made, and pushed out of its label
		look(t, opened(t, &stub{answers: answers}), "s", task, provider.TaskSucceeded)
	})
	t.Run("a task that isn't one of ours isn't known", func(t *testing.T) {
		for _, id := range []string{"", "token-1", "token-1@7", "token-1@soon@@false", "@7@@false"} {
			if _, err := issuing(t, opened(t, &stub{})).CredentialTask(t.Context(), "s", id); !provider.IsNotFound(err) {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}
