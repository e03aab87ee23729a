// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"fmt"
	"testing"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestAScheduleRotatesByTheClock(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	c := start(t, tencent.Options{})
	first := c.ready(t, "db")
	rotated := func(after time.Duration) (now account, times int) {
		c.ahead(after)
		return c.account(t, "db", "SSM_Current"), len(c.history(t, "db"))
	}
	if now, times := rotated(day - time.Hour); now != first || times != 0 {
		t.Errorf("%d rotations before the first is due", times)
	}
	if now, times := rotated(day + time.Hour); now == first || times != 1 {
		t.Errorf("%d rotations after the first was due", times)
	}
	if _, times := rotated(62 * day); times != 3 {
		t.Errorf("%d rotations after three were due", times)
	}
	if due := c.listed(t, 1)[0].RotationBeginTime; *c.detail(t, "db").LatestRotateTime != later(t, *due, 60*day) {
		t.Errorf("the latest rotation was at %s, and due 60 days after %s", *c.detail(t, "db").LatestRotateTime, *due)
	}

	emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Error, Operation: "Rotation", Code: "Broken", Message: "no database", Count: 1})
	before := c.account(t, "db", "SSM_Current")
	if now, times := rotated(92 * day); now != before || times != 3 {
		t.Errorf("%d rotations though the fourth failed", times)
	}
	if _, times := rotated(122 * day); times != 4 {
		t.Errorf("%d rotations after one failed and one didn't", times)
	}
	wantCode(t, c.schedule("db", false, 0, ""), "")
	if _, times := rotated(1000 * day); times != 4 {
		t.Errorf("%d rotations with the schedule off", times)
	}
}

func TestAScheduleIsReadAndChanged(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.ready(t, "db")
	begin := time.Now().Add(-45 * 24 * time.Hour).Truncate(time.Second)
	wantCode(t, c.schedule("db", true, 35, chinaTime(begin)), "")
	want := chinaTime(begin.Add(70 * 24 * time.Hour)) // begin and so many periods
	if detail := c.detail(t, "db"); !*detail.EnableRotation || *detail.Frequency != 35 || *detail.NextRotateBeginTime != want {
		t.Errorf("every %d days, next %s, want %s", *detail.Frequency, *detail.NextRotateBeginTime, want)
	}
	row := c.listed(t, 1)[0]
	if *row.RotationStatus != 1 || *row.RotationBeginTime != chinaTime(begin) || fmt.Sprint(*row.NextRotationTime) != fmt.Sprint(begin.Add(70*24*time.Hour).Unix()) {
		t.Errorf("listed as %d, %s, %d", *row.RotationStatus, *row.RotationBeginTime, *row.NextRotationTime)
	}
	wantCode(t, c.schedule("db", true, 29, ""), "InvalidParameterValue")
	wantCode(t, c.schedule("db", true, 366, ""), "InvalidParameterValue")
	wantCode(t, c.schedule("db", true, 30, "tomorrow"), "InvalidParameterValue")

	wantCode(t, c.schedule("db", false, 0, ""), "")
	if detail := c.detail(t, "db"); *detail.EnableRotation || detail.NextRotateBeginTime != nil {
		t.Error("the schedule is still on")
	}
	_, err := c.rotate("db")
	wantCode(t, err, "FailedOperation.RotationForbidden")
	if err := c.server.Switch(tencent.Switches{RotatesUnscheduled: true}); err != nil {
		t.Fatal(err)
	}
	_, err = c.rotate("db")
	wantCode(t, err, "")
	wantCode(t, c.schedule("db", true, 0, ""), "") // as often as before, from now on
	if detail := c.detail(t, "db"); *detail.Frequency != 35 {
		t.Errorf("switched on every %d days", *detail.Frequency)
	}
	wantCode(t, c.disable("db"), "")
	if described, err := c.describe("db"); err != nil || *described.RotationStatus {
		t.Errorf("a disabled secret is rotated on (%v)", err)
	}
}

// later is a time as text, and so much after it.
func later(t *testing.T, text string, d time.Duration) string {
	t.Helper()
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.Add(d).Format(time.DateTime)
}

func (c cloud) listed(t *testing.T, secretType uint64) []*ssm.SecretMetadata {
	t.Helper()
	r := ssm.NewListSecretsRequest()
	r.SecretType = &secretType
	answer, err := c.ListSecrets(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Response.SecretMetadatas
}
