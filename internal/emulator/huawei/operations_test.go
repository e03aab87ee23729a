// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// inState makes a secret with two versions and brings it into a state.
func (c cloud) inState(t *testing.T, name, state string) {
	t.Helper()
	secret := emulator.Secret{
		Ref: ref(name), State: state, Tags: map[string]string{"k": "v"},
		Versions: []emulator.Version{
			{ID: "v1", Text: "first", Labels: []string{"SYSPREVIOUS", "custom"}}, {ID: "v2", Text: "second", Labels: []string{"SYSCURRENT"}},
		},
	}
	if state == "PENDING_DELETE" {
		secret.DeletionTime = c.server.Clock().Now().Add(7 * 24 * time.Hour)
	}
	seed(t, c.server, secret)
}

// onS are the operations on the secret "s".
var onS = map[string]func(cloud) error{
	"ShowSecret":              func(c cloud) error { _, err := c.show("s"); return err },
	"UpdateSecret":            func(c cloud) error { return c.update("s", model.UpdateSecretRequestBody{Description: p("words")}) },
	"DeleteSecret":            func(c cloud) error { return c.remove("s") },
	"DeleteSecretForSchedule": func(c cloud) error { _, err := c.schedule("s", 7); return err },
	"RestoreSecret":           func(c cloud) error { return c.restore("s") },
	"CreateSecretVersion":     func(c cloud) error { return c.put("s", "third") },
	"ListSecretVersions":      func(c cloud) error { _, err := c.versions("s"); return err },
	"ShowSecretVersion":       func(c cloud) error { _, err := c.get("s", "v1"); return err },
	"UpdateVersion":           func(c cloud) error { return c.expire("s", "v1", 0) },
	"UpdateSecretStage":       func(c cloud) error { return c.mark("s", "custom", "v2") },
	"ShowSecretStage":         func(c cloud) error { _, err := c.stage("s", "SYSCURRENT"); return err },
	"DeleteSecretStage":       func(c cloud) error { return c.unmark("s", "custom") },
	"ListSecretTags":          func(c cloud) error { _, err := c.tags(c.id("s")); return err },
	"CreateSecretTag":         func(c cloud) error { return c.tag(c.id("s"), "k2", "v") },
	"DeleteSecretTag":         func(c cloud) error { return c.untag(c.id("s"), "k") },
	"BatchCreateOrDeleteTags": func(c cloud) error { return c.batch(c.id("s"), "delete", "k=v") },
}

// id is a secret's id, or that of none.
func (c cloud) id(name string) string {
	shown, err := c.show(name)
	if err != nil {
		return "00000000-0000-0000-0000-000000000000"
	}
	return *shown.Id
}

func TestAStateAllowsAndRefusesOperations(t *testing.T) {
	t.Parallel()
	refusals := map[string]map[string]string{
		"ENABLED":  {"RestoreSecret": notScheduled},
		"DISABLED": {"RestoreSecret": notScheduled, "CreateSecretVersion": notEnabled, "ShowSecretVersion": notEnabled, "UpdateVersion": notEnabled},
		"FROZEN":   {"RestoreSecret": notScheduled, "CreateSecretVersion": notEnabled, "ShowSecretVersion": notEnabled, "UpdateVersion": notEnabled},
		"PENDING_DELETE": {
			"UpdateSecret": pending, "DeleteSecret": pending, "DeleteSecretForSchedule": scheduled, "CreateSecretVersion": pending,
			"ShowSecretVersion": pending, "UpdateVersion": pending, "UpdateSecretStage": pending, "DeleteSecretStage": pending,
			"CreateSecretTag": pending, "DeleteSecretTag": pending, "BatchCreateOrDeleteTags": pending,
		},
	}
	for state, refused := range refusals {
		for operation, run := range onS {
			t.Run(operation+" of a secret that is "+state, func(t *testing.T) {
				t.Parallel()
				c := start(t, huawei.Options{})
				c.inState(t, "s", state)
				before, _ := c.server.Inspect(project, "s")
				want(t, run(c), refused[operation])
				after, _ := c.server.Inspect(project, "s")
				if refused[operation] != ok && emulatortest.Describe([]emulator.Secret{before}) != emulatortest.Describe([]emulator.Secret{after}) {
					t.Errorf("the refused call changed the secret to %+v", after)
				}
			})
		}
	}
}

func TestAnAbsentSecretIsNotFound(t *testing.T) {
	t.Parallel()
	for operation, run := range onS {
		tagged := strings.Contains(operation, "Tag")
		for _, test := range []struct {
			switches huawei.Switches
			want     string
		}{
			{huawei.Switches{}, notFound},
			{huawei.Switches{NotFoundIs400: true}, "Bad Request CSMS.0005"},
			{huawei.Switches{NameNotFound: true}, map[bool]string{false: "Not Found CSMS.0106", true: notFound}[tagged]},
			{
				huawei.Switches{NotFoundIs400: true, NameNotFound: true},
				map[bool]string{false: "Bad Request CSMS.0106", true: "Bad Request CSMS.0005"}[tagged],
			},
		} {
			t.Run(operation+" ends with "+test.want, func(t *testing.T) {
				t.Parallel()
				want(t, run(switched(t, test.switches)), test.want)
			})
		}
	}
}

func TestAPartThatIsAbsentIsNotFound(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.inState(t, "s", "ENABLED")
	for name, run := range map[string]func() error{
		"a version that is read":      func() error { _, err := c.get("s", "v3"); return err },
		"a version that never was":    func() error { _, err := c.get("s", "v01"); return err },
		"a version named by a stage":  func() error { _, err := c.get("s", "SYSCURRENT"); return err },
		"a version that is to expire": func() error { return c.expire("s", "v3", 0) },
		"a version to be marked":      func() error { return c.mark("s", "custom", "v3") },
		"a stage that is read":        func() error { _, err := c.stage("s", "absent"); return err },
		"a stage that is deleted":     func() error { return c.unmark("s", "absent") },
		"a tag that is deleted":       func() error { return c.untag(c.id("s"), "absent") },
	} {
		t.Run(name, func(t *testing.T) { want(t, run(), notFound) })
	}
}

func TestASecretIsCreatedAsItIsAskedFor(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	made, err := c.createWith(model.CreateSecretRequestBody{
		Name: "s", SecretBinary: p("AP8="), Description: p("words"), KmsKeyId: p(emulator.ExampleKMSKeyID),
		EnterpriseProjectId: p("12345678-aaaa"), EventSubscriptions: &[]string{"event"},
		SecretType: p(model.GetCreateSecretRequestBodySecretTypeEnum().COMMON), AutoRotation: p(false),
	})
	want(t, err, ok)
	shown, err := c.show("s")
	want(t, err, ok)
	if made.String() != shown.String() {
		t.Errorf("created %s, shown %s", made, shown)
	}
	if *shown.KmsKeyId != emulator.ExampleKMSKeyID || *shown.Description != "words" || *shown.EnterpriseProjectId != "12345678-aaaa" ||
		(*shown.EventSubscriptions)[0] != "event" || *shown.AutoRotation {
		t.Errorf("shown %s", shown)
	}
	got, err := c.get("s", "latest")
	want(t, err, ok)
	if *got.SecretBinary != "AP8=" || got.SecretString != nil || *got.VersionMetadata.Id != "v1" || got.VersionMetadata.ExpireTime != nil {
		t.Errorf("read %s", got)
	}
	stored, _ := c.server.Inspect(project, "s")
	if !slices.Equal(stored.Versions[0].Binary, []byte{0, 255}) {
		t.Errorf("stored %v", stored.Versions[0].Binary)
	}
	plain := c.create(t, "plain", "value")
	if *plain.EnterpriseProjectId != "0" || len(*plain.KmsKeyId) != 36 || *plain.Description != "" {
		t.Errorf("a secret with defaults is %s", plain)
	}
}

func TestANameIsTakenUntilTheSecretIsGone(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	again := func() error {
		_, err := c.createWith(model.CreateSecretRequestBody{Name: "s", SecretString: p("other")})
		return err
	}
	first := c.create(t, "s", "value")
	want(t, again(), exists)
	_, err := c.schedule("s", 7)
	want(t, err, ok)
	want(t, again(), exists)
	want(t, c.restore("s"), ok)
	want(t, c.remove("s"), ok)
	want(t, again(), ok)
	if c.id("s") == *first.Id {
		t.Error("the new secret has the id of the old one")
	}
	if got := c.marks(t, "s"); got != "v1:SYSCURRENT" {
		t.Errorf("the new secret has %s", got)
	}
}

func TestAnUpdateChangesWhatItNames(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	_, err := c.createWith(model.CreateSecretRequestBody{
		Name: "s", SecretString: p("x"), Description: p("words"), EventSubscriptions: &[]string{"event"},
	})
	want(t, err, ok)
	c.server.Clock().SetOffset(10 * time.Minute) // which calls may be off
	want(t, c.update("s", model.UpdateSecretRequestBody{KmsKeyId: p(emulator.ExampleKMSKeyID)}), ok)
	shown, err := c.show("s")
	want(t, err, ok)
	if *shown.Description != "words" || len(*shown.EventSubscriptions) != 1 || *shown.KmsKeyId != emulator.ExampleKMSKeyID ||
		*shown.UpdateTime-*shown.CreateTime < 599*1000 {
		t.Errorf("after a new key: %s", shown)
	}
	want(t, c.update("s", model.UpdateSecretRequestBody{Description: p(""), EventSubscriptions: &[]string{}}), ok)
	shown, err = c.show("s")
	want(t, err, ok)
	if *shown.Description != "" || len(*shown.EventSubscriptions) != 0 {
		t.Errorf("after clearing: %s", shown)
	}
}

func TestADeletionIsScheduledCancelledAndDue(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "s", "value")
	deleting, err := c.schedule("s", 7)
	want(t, err, ok)
	due := c.server.Clock().Now().Add(7 * 24 * time.Hour)
	if *deleting.State != "PENDING_DELETE" || due.UnixMilli()-*deleting.ScheduledDeleteTime > 60_000 || *deleting.ScheduledDeleteTime%1000 != 0 {
		t.Errorf("scheduled for %d: %s", due.UnixMilli(), deleting)
	}
	want(t, c.restore("s"), ok)
	shown, err := c.show("s")
	want(t, err, ok)
	if *shown.State != "ENABLED" || shown.ScheduledDeleteTime != nil {
		t.Errorf("restored as %s", shown)
	}
	_, err = c.schedule("s", 30)
	want(t, err, ok)
	clock := c.server.Clock()
	clock.SetOffset(30*24*time.Hour - time.Hour)
	if _, there := c.server.Inspect(project, "s"); !there {
		t.Error("the secret is gone before its time")
	}
	clock.SetOffset(30*24*time.Hour + time.Hour)
	if _, there := c.server.Inspect(project, "s"); there {
		t.Error("the secret outlives its time")
	}
}

func TestStagesFollowTheVersions(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "s", "1")
	steps := []struct {
		name string
		run  func() error
		want string
	}{
		{"a new version is current", func() error { return c.put("s", "2") }, "v1:SYSPREVIOUS v2:SYSCURRENT"},
		{"the one before the previous has no stage", func() error { return c.put("s", "3") }, "v1 v2:SYSPREVIOUS v3:SYSCURRENT"},
		{
			"named stages replace the default", func() error { return c.put("s", "4", "blue", "green") },
			"v1 v2:SYSPREVIOUS v3:SYSCURRENT v4:blue+green",
		},
		{"an empty list of stages is none", func() error { return c.put("s", "5", []string{}...) }, "v1 v2 v3:SYSPREVIOUS v4:blue+green v5:SYSCURRENT"},
		{
			"a named current moves the previous", func() error { return c.put("s", "6", "SYSCURRENT", "blue") },
			"v1 v2 v3 v4:green v5:SYSPREVIOUS v6:SYSCURRENT+blue",
		},
		{
			"a named previous goes where it is said", func() error { return c.put("s", "7", "SYSCURRENT", "SYSPREVIOUS") },
			"v1 v2 v3 v4:green v5 v6:blue v7:SYSCURRENT+SYSPREVIOUS",
		},
		{"a stage moves", func() error { return c.mark("s", "blue", "v1") }, "v1:blue v2 v3 v4:green v5 v6 v7:SYSCURRENT+SYSPREVIOUS"},
		{"a stage is made by moving it", func() error { return c.mark("s", "red", "v2") }, "v1:blue v2:red v3 v4:green v5 v6 v7:SYSCURRENT+SYSPREVIOUS"},
		{"moving current rolls back", func() error { return c.mark("s", "SYSCURRENT", "v6") }, "v1:blue v2:red v3 v4:green v5 v6:SYSCURRENT v7:SYSPREVIOUS"},
		{"moving current onto itself changes nothing", func() error {
			return c.mark("s", "SYSCURRENT", "v6")
		}, "v1:blue v2:red v3 v4:green v5 v6:SYSCURRENT v7:SYSPREVIOUS"},
		{"a stage is deleted", func() error { return c.unmark("s", "red") }, "v1:blue v2 v3 v4:green v5 v6:SYSCURRENT v7:SYSPREVIOUS"},
	}
	for _, step := range steps {
		want(t, step.run(), ok)
		if got := c.marks(t, "s"); got != step.want {
			t.Fatalf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	for _, builtin := range []string{"SYSCURRENT", "SYSPREVIOUS"} {
		want(t, c.unmark("s", builtin), internalStage)
	}
	got, err := c.get("s", "latest")
	want(t, err, ok)
	at, err := c.stage("s", "SYSCURRENT")
	want(t, err, ok)
	if *got.SecretString != "6" || at != "v6" {
		t.Errorf("latest is %s, current is %s", got, at)
	}
}

func TestAnExpiryIsShownAndEndsNothing(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "s", "value")
	at := c.server.Clock().Now().Add(time.Minute).UnixMilli()
	made, err := c.putWith("s", model.CreateSecretVersionRequestBody{SecretString: p("second"), ExpireTime: &at})
	want(t, err, ok)
	if *made.ExpireTime != at/1000*1000 || *made.Id != "v2" || *made.SecretName != "s" {
		t.Errorf("made %s with expiry %d", made, at)
	}
	want(t, c.expire("s", "latest", at+5000), ok)
	c.server.Clock().SetOffset(10 * time.Minute)
	got, err := c.get("s", "v2")
	want(t, err, ok)
	if *got.VersionMetadata.ExpireTime != (at+5000)/1000*1000 {
		t.Errorf("the expiry is %d", *got.VersionMetadata.ExpireTime)
	}
	want(t, c.expire("s", "v2", 0), ok)
	if got, err = c.get("s", "v2"); err != nil || got.VersionMetadata.ExpireTime != nil {
		t.Errorf("after clearing the expiry: %s, %v", got, err)
	}
}

func TestTagsBelongToTheID(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "other", "value")
	id := *c.create(t, "s", "value").Id
	steps := []struct {
		run  func() error
		want string
	}{
		{func() error { return c.tag(id, "b", "1") }, "b=1"},
		{func() error { return c.tag(id, "a b:é", "x/y") }, "a b:é=x/y,b=1"},
		{func() error { return c.tag(id, "b", "2") }, "a b:é=x/y,b=2"},
		{func() error { return c.batch(id, "create", "c=", "b=3") }, "a b:é=x/y,b=3,c="},
		{func() error { return c.batch(id, "delete", "c=", "absent=") }, "a b:é=x/y,b=3"},
		{func() error { return c.untag(id, "a b:é") }, "b=3"},
	}
	for i, step := range steps {
		want(t, step.run(), ok)
		if got, err := c.tags(id); err != nil || got != step.want {
			t.Fatalf("after step %d the tags are %q (%v), want %q", i+1, got, err, step.want)
		}
	}
	if got, err := c.tags(c.id("other")); err != nil || got != "" {
		t.Errorf("the other secret has %q (%v)", got, err)
	}
	if calls := c.server.Calls().List(); calls[len(calls)-1].Operation != "ListSecretTags" || calls[len(calls)-1].Secret != "other" {
		t.Errorf("logged is %+v", calls[len(calls)-1])
	}
}

func TestSecretsBelongToAnAccountAndAProject(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	id := *c.create(t, "s", "mine").Id
	stranger := emulator.Account{AccessKeyID: "stranger", AccessKeySecret: "stranger-secret", AccountID: "200000000002"}
	sibling := emulator.Account{AccessKeyID: "sibling", AccessKeySecret: "sibling-secret"}
	for _, a := range []emulator.Account{stranger, sibling} {
		if err := c.server.Account(a); err != nil {
			t.Fatal(err)
		}
	}
	for name, other := range map[string]cloud{
		"another account": {clientFor(t, c.endpoint, stranger, project), c.server, c.endpoint},
		"another project": {clientFor(t, c.endpoint, emulator.ExampleAccount(), huawei.OtherExampleProjectID), c.server, c.endpoint},
	} {
		if _, err := other.get("s", "v1"); answered(err) != notFound {
			t.Errorf("%s read %v", name, err)
		}
		if _, err := other.tags(id); answered(err) != notFound {
			t.Errorf("%s read the tags: %v", name, err)
		}
		other.create(t, "s", "theirs")
	}
	same := cloud{clientFor(t, c.endpoint, sibling, project), c.server, c.endpoint}
	if got, err := same.get("s", "v1"); err != nil || *got.SecretString != "mine" {
		t.Errorf("another key of the account read %v, %v", got, err)
	}
}
