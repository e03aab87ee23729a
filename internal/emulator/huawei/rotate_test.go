// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

func TestARotationChangesThePassword(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		switches huawei.Switches
		body     model.CreateSecretRequestBody
		before   string // versions with stages
		after    string
		current  string // account after one rotation
		previous string // login that the rotation didn't touch
	}{
		{"of one account", huawei.Switches{}, single("s"), "v1:SYSCURRENT", "v1:SYSPREVIOUS v2:SYSCURRENT", "app", "app:first"},
		{
			"of the account that wasn't current",
			huawei.Switches{},
			double("s"),
			"v1:SYSCURRENT v2:SYSPREVIOUS", "v1:SYSPREVIOUS v2 v3:SYSCURRENT", "app_clone", "app:first",
		},
		{
			"of the second of two accounts in a version",
			huawei.Switches{UsersInOneVersion: true},
			double("s"),
			"v1:SYSCURRENT", "v1:SYSPREVIOUS v2:SYSCURRENT", "app_clone", "app:first app_clone:second",
		},
		{"into a binary value", huawei.Switches{ManagedValue: "binary"}, single("s"), "v1:SYSCURRENT", "v1:SYSPREVIOUS v2:SYSCURRENT", "app", "app:first"},
		{"into a flat value", huawei.Switches{ManagedValue: "flat"}, single("s"), "v1:SYSCURRENT", "v1:SYSPREVIOUS v2:SYSCURRENT", "app", "app:first"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := managing(t, test.switches, test.body)
			if got := c.marks(t, "s"); got != test.before {
				t.Errorf("before it there is %s, want %s", got, test.before)
			}
			id, err := c.rotate("s")
			want(t, err, ok)
			answer, err := c.ListSecretTask(&model.ListSecretTaskRequest{TaskId: &id})
			want(t, err, ok)
			if tasks := *answer.Tasks; len(tasks) != 1 || *tasks[0].TaskStatus != "SUCCESS" || *tasks[0].SecretName != "s" ||
				*tasks[0].RotationFuncUrn != functionURN || !strings.HasSuffix(*tasks[0].OperateType, "_USER") {
				t.Errorf("the task is %v", tasks)
			}
			if got := c.marks(t, "s"); got != test.after {
				t.Errorf("after it there is %s, want %s", got, test.after)
			}
			now := c.login(t, "latest")
			if !strings.HasPrefix(now, test.current+":") || strings.HasPrefix(now, test.current+":first") || strings.HasPrefix(now, test.current+":second") {
				t.Errorf("the login is %s, want a new one of %s", now, test.current)
			}
			stage, err := c.stage("s", "SYSPREVIOUS")
			want(t, err, ok)
			if got := c.login(t, stage); got != test.previous {
				t.Errorf("the previous login is %s, want %s", got, test.previous)
			}
			shown, err := c.show("s")
			want(t, err, ok)
			if *shown.RotationTime%1000 != 0 || *shown.RotationTime == 0 || shown.NextRotationTime != nil {
				t.Errorf("shown %s", shown)
			}
			c.rotates(t, "s")
			if again := c.login(t, "latest"); again == now || strings.HasPrefix(again, "app:") != strings.Contains(test.previous, "app:") {
				t.Errorf("after the next it is %s, before %s", again, now)
			}
		})
	}
}

func TestARotationCanBeSlowAndFail(t *testing.T) {
	t.Parallel()
	work := func(kind emulator.Kind) emulator.Fault {
		return emulator.Fault{Kind: kind, Operation: huawei.RotationWork, Secret: "s", Duration: time.Hour, Code: "FSS.0500", Message: "no way", Count: 1}
	}
	const before, during = "v1:SYSCURRENT", "v1:SYSCURRENT v2:SYSPENDING"
	t.Run("a slow one ends when its time has come", func(t *testing.T) {
		t.Parallel()
		c := managing(t, huawei.Switches{LatestIsNewest: true}, single("s"))
		emulatortest.AddFault(t, c.server, work(emulator.Delay))
		c.rotates(t, "s")
		_, err := c.rotate("s")
		want(t, err, rotating)
		if got := c.marks(t, "s") + " " + c.tasks(t, "s"); got != during+" RUNNING" {
			t.Errorf("during it there is %s", got)
		}
		c.later(2 * time.Hour)
		if got := c.marks(t, "s") + " " + c.tasks(t, "s"); got != "v1:SYSPREVIOUS v2:SYSCURRENT SUCCESS" {
			t.Errorf("after it there is %s", got)
		}
	})
	t.Run("one that hangs ends when it is let go", func(t *testing.T) {
		t.Parallel()
		c := managing(t, huawei.Switches{}, single("s"))
		rule := emulatortest.AddFault(t, c.server, work(emulator.Hang))
		c.rotates(t, "s")
		c.later(time.Hour)
		if got := c.marks(t, "s"); got != during {
			t.Errorf("during it there is %s", got)
		}
		c.server.Faults().Clear(rule.ID)
		if got := c.marks(t, "s"); got != "v1:SYSPREVIOUS v2:SYSCURRENT" {
			t.Errorf("after it there is %s", got)
		}
	})
	for _, test := range []struct {
		switches huawei.Switches
		after    string
	}{{huawei.Switches{}, before}, {huawei.Switches{PendingStays: true}, during}} {
		t.Run("one that fails says why and leaves "+test.after, func(t *testing.T) {
			t.Parallel()
			c := managing(t, test.switches, single("s"))
			emulatortest.AddFault(t, c.server, work(emulator.Error))
			id, err := c.rotate("s")
			want(t, err, ok)
			answer, err := c.ListSecretTask(&model.ListSecretTaskRequest{TaskId: &id})
			want(t, err, ok)
			if one := (*answer.Tasks)[0]; *one.TaskStatus != "FAILED" || *one.TaskErrorCode != "FSS.0500" || *one.TaskErrorMsg != "no way" {
				t.Errorf("the task is %v", one)
			}
			if got := c.marks(t, "s") + " " + c.login(t, "latest"); got != test.after+" app:first" {
				t.Errorf("after it there is %s", got)
			}
			c.rotates(t, "s")
			if got := c.login(t, "latest"); got == "app:first" {
				t.Error("the next rotation fails too")
			}
		})
	}
	t.Run("one begun twice makes two versions", func(t *testing.T) {
		t.Parallel()
		c := managing(t, huawei.Switches{RotatesTwice: true}, single("s"))
		emulatortest.AddFault(t, c.server, work(emulator.Delay))
		c.rotates(t, "s")
		c.rotates(t, "s")
		if got := c.marks(t, "s"); got != "v1 v2:SYSPREVIOUS v3:SYSCURRENT" {
			t.Errorf("after both there is %s", got)
		}
	})
}

func TestARotationThatCannotBeIsRefusedOrFails(t *testing.T) {
	t.Parallel()
	c := managing(t, huawei.Switches{}, single("s"))
	c.create(t, "common", "x")
	_, err := c.rotate("common")
	want(t, err, badRequest)
	_, err = c.rotate("absent")
	want(t, err, notFound)
	handless := single("handless")
	handless.RotationFuncUrn = nil
	_, err = c.createWith(handless)
	want(t, err, ok)
	_, err = c.rotate("handless")
	want(t, err, invalid)
	want(t, c.update("handless", model.UpdateSecretRequestBody{RotationFuncUrn: p(functionURN)}), ok)
	c.rotates(t, "handless")
	if got := c.tasks(t, "handless"); got != "SUCCESS" {
		t.Errorf("with a function the rotation ends with %s", got)
	}
	gauss := single("gauss")
	gauss.SecretType = p(model.GetCreateSecretRequestBodySecretTypeEnum().GAUSS_DB_FG)
	_, err = c.createWith(gauss)
	want(t, err, ok)
	c.rotates(t, "gauss")
	if got := c.tasks(t, "gauss"); !strings.HasPrefix(got, "FAILED:") {
		t.Errorf("without the agencies the rotation ends with %s", got)
	}
	_, err = c.schedule("s", 7)
	want(t, err, ok)
	_, err = c.rotate("s")
	want(t, err, pending)
	_, err = switched(t, huawei.Switches{NeedsAgency: true}).createWith(single("s"))
	want(t, err, denied)
}

func TestARotationByScheduleComesWithTheClock(t *testing.T) {
	t.Parallel()
	c := managing(t, huawei.Switches{}, everyPeriod(single("s"), "24h"))
	created := c.server.Clock().Now()
	next := func() time.Duration {
		shown, err := c.show("s")
		want(t, err, ok)
		if shown.NextRotationTime == nil {
			return 0
		}
		return time.UnixMilli(*shown.NextRotationTime).Sub(created).Round(time.Hour)
	}
	steps := []struct {
		name  string
		do    func()
		next  time.Duration
		tasks int
	}{
		{"nothing comes early", func() { c.later(23 * time.Hour) }, 24 * time.Hour, 0},
		{"one comes after a day", func() { c.later(25 * time.Hour) }, 48 * time.Hour, 1},
		{"those that were missed come too", func() { c.later(73 * time.Hour) }, 96 * time.Hour, 3},
		{"one by request counts as one", func() { c.rotates(t, "s") }, 24 * time.Hour, 4},
		{"another period counts from now", func() {
			want(t, c.update("s", model.UpdateSecretRequestBody{RotationPeriod: p("2d")}), ok)
		}, 48 * time.Hour, 4},
		{"a secret to be deleted isn't rotated", func() {
			_, err := c.schedule("s", 30)
			want(t, err, ok)
			c.later(72 * time.Hour)
			want(t, c.restore("s"), ok)
		}, 48 * time.Hour, 4},
		{"switched off, none is to come", func() {
			want(t, c.update("s", model.UpdateSecretRequestBody{AutoRotation: p(false)}), ok)
			c.later(240 * time.Hour)
		}, 0, 4},
		{"switched on again, it has the period of before", func() {
			want(t, c.update("s", model.UpdateSecretRequestBody{AutoRotation: p(true)}), ok)
		}, 48 * time.Hour, 4},
	}
	for _, step := range steps {
		step.do()
		tasks := len(strings.Fields(c.tasks(t, "s")))
		if got := next(); got != step.next || tasks != step.tasks {
			t.Errorf("%s: the next is due after %s, want %s, and there were %d, want %d", step.name, got, step.next, tasks, step.tasks)
		}
	}
	want(t, c.update("s", model.UpdateSecretRequestBody{RotationPeriod: p("5h")}), invalid)
	want(t, c.update("s", model.UpdateSecretRequestBody{RotationFuncUrn: p("x")}), invalid)
	want(t, c.update("s", model.UpdateSecretRequestBody{RotationFuncUrn: p("")}), invalid)
	if shown, _ := c.show("s"); *shown.RotationPeriod != "2d" || !*shown.AutoRotation || *shown.RotationFuncUrn != functionURN {
		t.Errorf("refused updates changed it to %s", shown)
	}
	c.later(9000 * time.Hour)
	if stored, _ := c.server.Inspect(project, "s"); len(stored.Versions) != 20 {
		t.Errorf("after many rotations there are %d versions", len(stored.Versions))
	}
}
