// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// database starts a cloud with the database account "s", version v1.
func database(t *testing.T, options alibaba.Options) cloud {
	t.Helper()
	c := start(t, options)
	_, err := c.createManaged(managedExamples["one database account"], scheduled("7d"))
	wantCode(t, err, "")
	return c
}

// pass lets time go by at the service and brings it back, since calls must be
// younger than a quarter of an hour.
func (c cloud) pass(d time.Duration) {
	c.server.Clock().SetOffset(d)
	c.server.List("", region)
	c.server.Clock().SetOffset(0)
}

// rotation is what DescribeSecret tells of a schedule.
func (c cloud) rotation(t *testing.T) string {
	t.Helper()
	described, err := c.describe("s")
	wantCode(t, err, "")
	return described.AutomaticRotation
}

func TestASlowRotationKeepsTheOldValueUntilItEnds(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(*testing.T, cloud){
		"by the switch": func(t *testing.T, c cloud) {
			t.Helper()
			if err := c.server.Switch(alibaba.Switches{RotationSeconds: 60}); err != nil {
				t.Fatal(err)
			}
		},
		"by a fault": func(t *testing.T, c cloud) {
			t.Helper()
			emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Delay, Operation: "Rotation", Duration: time.Minute, Count: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := database(t, alibaba.Options{})
			slow(t, c)
			for range 2 { // the same rotation, asked for twice
				wantCode(t, c.rotate("s", "v2"), "")
			}
			wantCode(t, c.rotate("s", "v3"), "") // has no effect
			if got := c.layout(t, "s"); got != "v1:ACSCurrent" || c.value(t, "s", "")["AccountPassword"] != "first" {
				t.Errorf("while it lasts it is %s", got)
			}
			c.server.Clock().SetOffset(time.Minute)
			if got := c.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" || c.value(t, "s", "")["AccountPassword"] == "first" {
				t.Errorf("afterwards it is %s", got)
			}
			wantCode(t, c.rotate("s", "v2"), "") // done already
			if got := c.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" {
				t.Errorf("asked for again it is %s", got)
			}
		})
	}
}

func TestARotationCanBeHeld(t *testing.T) {
	t.Parallel()
	c := database(t, alibaba.Options{})
	rule := emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Hang, Operation: "Rotation", Secret: "s", Count: 1})
	wantCode(t, c.rotate("s", "v2"), "")
	<-rule.Struck
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" {
		t.Errorf("while it is held it is %s", got)
	}
	c.server.Faults().Clear(rule.ID)
	if got := c.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" {
		t.Errorf("let go it is %s", got)
	}
}

func TestAFailedRotationStopsTheSchedule(t *testing.T) {
	t.Parallel()
	c := database(t, alibaba.Options{})
	emulatortest.AddFault(t, c.server, emulator.Fails("Rotation", "Rds.InstanceNotFound"))
	wantCode(t, c.rotate("s", "v2"), "") // it was taken
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" || c.rotation(t) != "Invalid" {
		t.Errorf("it is %s, %s", got, c.rotation(t))
	}
	c.pass(8 * 24 * time.Hour)
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" {
		t.Errorf("a week later it is %s", got)
	}
	wantCode(t, c.rotate("s", "v3"), "")
	if got := c.layout(t, "s"); got != "v1:ACSPrevious v3:ACSCurrent" || c.rotation(t) != "Enabled" {
		t.Errorf("after a success it is %s, %s", got, c.rotation(t))
	}
}

func TestTheScheduleRotates(t *testing.T) {
	t.Parallel()
	c := database(t, alibaba.Options{})
	c.pass(7*24*time.Hour - time.Minute)
	if got := c.stored(t, "s"); len(got.Versions) != 1 {
		t.Errorf("before it is due there are %d versions", len(got.Versions))
	}
	c.pass(15 * 24 * time.Hour)
	if got := c.stored(t, "s"); len(got.Versions) != 3 || got.Versions[2].Labels[0] != "ACSCurrent" {
		t.Errorf("after two weeks it is %+v", got)
	}
	wantCode(t, c.schedule("s", "false", ""), "")
	c.pass(50 * 24 * time.Hour)
	if got := c.stored(t, "s"); len(got.Versions) != 3 || c.rotation(t) != "Disabled" {
		t.Errorf("without a schedule there are %d versions, %s", len(got.Versions), c.rotation(t))
	}
	wantCode(t, c.schedule("s", "true", "6h"), "")
	c.pass(50 * 24 * time.Hour)
	if got := c.stored(t, "s"); len(got.Versions) != 10 { // the oldest had to go
		t.Errorf("after many rotations there are %d versions", len(got.Versions))
	}
	for _, bad := range []struct{ enabled, interval, want string }{{"true", "5h", wrong}, {"true", "", absent}, {"", "7d", absent}, {"yes", "7d", wrong}} {
		wantCode(t, c.schedule("s", bad.enabled, bad.interval), bad.want)
	}
}

func TestAScheduledRotationThatFailsIsTheLast(t *testing.T) {
	t.Parallel()
	c := database(t, alibaba.Options{})
	emulatortest.AddFault(t, c.server, emulator.Fails("Rotation", "X"))
	c.pass(30 * 24 * time.Hour)
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" || c.rotation(t) != "Invalid" {
		t.Errorf("it is %s, %s", got, c.rotation(t))
	}
	wantCode(t, c.schedule("s", "true", "7d"), "") // mends it
	if c.rotation(t) != "Enabled" {
		t.Errorf("it is %s", c.rotation(t))
	}
}

func TestASecretThatIsToBeDeletedDoesNotRotate(t *testing.T) {
	t.Parallel()
	c := database(t, alibaba.Options{})
	wantCode(t, c.deleteAfter("s", "30"), "")
	wantCode(t, c.rotate("s", "v2"), inWindow)
	wantCode(t, c.schedule("s", "false", ""), inWindow)
	c.pass(8 * 24 * time.Hour)
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" {
		t.Errorf("it is %s", got)
	}
}

func TestGenericSecretsDoNotRotate(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.rotate("s", "v2"), wrong)
	wantCode(t, c.schedule("s", "true", "7d"), wrong)
	wantCode(t, c.rotate("absent", "v2"), noSecret)
	wantCode(t, c.schedule("absent", "true", "7d"), noSecret)
	wantCode(t, c.rotate("s", ""), absent)
}

func TestAnAccountAsksForFiftyRotationsInAnHour(t *testing.T) {
	t.Parallel()
	c := database(t, alibaba.Options{})
	for i := range 50 {
		wantCode(t, c.rotate("s", fmt.Sprint("r", i)), "")
	}
	wantCode(t, c.rotate("s", "r49"), "") // isn't one more
	wantCode(t, c.rotate("s", "one-more"), "Rejected.Throttling")
	c.server.Clock().SetOffset(-time.Minute) // the window is told by the service's clock
	wantCode(t, c.rotate("s", "one-more"), "Rejected.Throttling")
}

func TestAServerOnTheSameFilesGoesOnRotating(t *testing.T) {
	t.Parallel()
	options := alibaba.Options{Options: emulator.Options{DataDir: filepath.Join(t.TempDir(), "kms")}, Switches: alibaba.Switches{RotationSeconds: 60}}
	c := start(t, options)
	_, err := c.createManaged(managedExamples["two database accounts"], scheduled("7d"))
	wantCode(t, err, "")
	wantCode(t, c.rotate("s", "v2"), "")

	again := start(t, options)
	if got := again.layout(t, "s"); got != "v1:ACSCurrent" {
		t.Errorf("started again it is %s", got)
	}
	again.server.Clock().SetOffset(time.Minute)
	if got := again.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" || again.value(t, "s", "")["AccountName"] != "app2" {
		t.Errorf("the rotation made it %s with %s", got, again.value(t, "s", "")["AccountName"])
	}
	again.pass(8 * 24 * time.Hour)
	if got := again.stored(t, "s"); len(got.Versions) != 3 {
		t.Errorf("a week later there are %d versions", len(got.Versions))
	}
}
