// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// TestASwitchChangesOneAnswer runs each call without the switch and with it.
// Switches of error shapes, lists, limits and keys are tested with these.
func TestASwitchChangesOneAnswer(t *testing.T) {
	t.Parallel()
	create := func(body model.CreateSecretRequestBody) func(*testing.T, cloud) error {
		return func(_ *testing.T, c cloud) error { _, err := c.createWith(body); return err }
	}
	inState := func(state string, run func(cloud) error) func(*testing.T, cloud) error {
		return func(t *testing.T, c cloud) error {
			c.inState(t, "s", state)
			return run(c)
		}
	}
	managed := func(run func(cloud) error) func(*testing.T, cloud) error {
		return func(t *testing.T, c cloud) error {
			seed(t, c.server, emulator.Secret{Ref: ref("s"), Type: "RDS-FG", Versions: []emulator.Version{{ID: "v1", Text: "x"}}})
			return run(c)
		}
	}
	taken := func(t *testing.T, c cloud) error {
		c.create(t, "s", "x")
		return create(model.CreateSecretRequestBody{Name: "s", SecretString: p("x")})(t, c)
	}
	accents := strings.Repeat("é", 32768)
	tests := []struct {
		name          string
		switches      huawei.Switches
		run           func(*testing.T, cloud) error
		without, with string
	}{
		{"the code for a name in use", huawei.Switches{ExistsCode: "CSMS.0002"}, taken, exists, invalid},
		{"the status for a name in use", huawei.Switches{ExistsStatus: 409}, taken, exists, "Conflict CSMS.0201"},
		{
			"a dot in names",
			huawei.Switches{DotInName: true},
			create(model.CreateSecretRequestBody{Name: "a.b", SecretString: p("x")}), invalid, ok,
		},
		{
			"a limit of 64 KB",
			huawei.Switches{ValueLimit: 65536},
			create(model.CreateSecretRequestBody{Name: "s", SecretString: &accents}), invalid, ok,
		},
		{
			"a limit in characters",
			huawei.Switches{CountCharacters: true},
			create(model.CreateSecretRequestBody{Name: "s", SecretString: &accents}), invalid, ok,
		},
		{
			"an empty text",
			huawei.Switches{EmptyText: true},
			create(model.CreateSecretRequestBody{Name: "s", SecretString: p("")}), invalid, ok,
		},
		{
			"an empty text beside a binary value",
			huawei.Switches{EmptyText: true},
			create(model.CreateSecretRequestBody{Name: "s", SecretString: p(""), SecretBinary: p("AA==")}), ok, invalid,
		},
		{
			"an expiry in the past",
			huawei.Switches{PastExpiry: true},
			inState("ENABLED", func(c cloud) error { return c.expire("s", "v1", 1000) }), invalid, ok,
		},
		{
			"a key that is not checked",
			huawei.Switches{UncheckedKey: true},
			inState("ENABLED", func(c cloud) error { return c.update("s", model.UpdateSecretRequestBody{KmsKeyId: p("test")}) }), keyUnusable, ok,
		},
		{
			"a key that is too short all the same",
			huawei.Switches{UncheckedKey: true},
			inState("ENABLED", func(c cloud) error { return c.update("s", model.UpdateSecretRequestBody{KmsKeyId: p("t")}) }), invalid, invalid,
		},
		{
			"deleting an absent stage",
			huawei.Switches{DeleteAbsentStage: true},
			inState("ENABLED", func(c cloud) error { return c.unmark("s", "absent") }), notFound, ok,
		},
		{
			"overwriting a tag",
			huawei.Switches{RefuseOverwrite: true},
			inState("ENABLED", func(c cloud) error { return c.tag(c.id("s"), "k", "other") }), ok, invalid,
		},
		{
			"deleting an absent tag",
			huawei.Switches{KMSTagCodes: true},
			inState("ENABLED", func(c cloud) error { return c.untag(c.id("s"), "absent") }), notFound, "Not Found KMS.0416",
		},
		{"a version of a managed secret", huawei.Switches{RefuseManaged: true}, managed(func(c cloud) error { return c.put("s", "x") }), ok, invalid},
		{"a stage of a managed secret", huawei.Switches{RefuseManaged: true}, managed(func(c cloud) error { return c.mark("s", "a", "v1") }), ok, invalid},
		{"reading a managed secret", huawei.Switches{RefuseManaged: true}, managed(func(c cloud) error { _, err := c.get("s", "v1"); return err }), ok, ok},
		{"the version above the limit", huawei.Switches{RejectVersions: true, VersionLimit: 2}, inState("ENABLED", onS["CreateSecretVersion"]), ok, versionLimit},
		{
			"the code for a version above the limit",
			huawei.Switches{RejectVersions: true, VersionLimit: 2, VersionLimitCode: "CSMS.0002"},
			inState("ENABLED", onS["CreateSecretVersion"]), ok, invalid,
		},
		{
			"a version above the limit when all have stages",
			huawei.Switches{VersionLimit: 2},
			inState("ENABLED", onS["CreateSecretVersion"]), ok, versionLimit,
		},
		{"deleting what is to be deleted", huawei.Switches{DeleteWhilePending: true}, inState("PENDING_DELETE", onS["DeleteSecret"]), pending, ok},
		{"deleting what is disabled", huawei.Switches{DeleteEnabledOnly: true}, inState("DISABLED", onS["DeleteSecret"]), ok, notEnabled},
		{"scheduling what is frozen", huawei.Switches{DeleteEnabledOnly: true}, inState("FROZEN", onS["DeleteSecretForSchedule"]), ok, notEnabled},
		{"a stage of what is to be deleted", huawei.Switches{StagesWhilePending: true}, inState("PENDING_DELETE", onS["UpdateSecretStage"]), pending, ok},
		{"no stage of what is to be deleted", huawei.Switches{StagesWhilePending: true}, inState("PENDING_DELETE", onS["DeleteSecretStage"]), pending, ok},
		{"a tag of what is to be deleted", huawei.Switches{TagsWhilePending: true}, inState("PENDING_DELETE", onS["CreateSecretTag"]), pending, ok},
		{"no tag of what is to be deleted", huawei.Switches{TagsWhilePending: true}, inState("PENDING_DELETE", onS["DeleteSecretTag"]), pending, ok},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want(t, test.run(t, start(t, huawei.Options{})), test.without)
			want(t, test.run(t, switched(t, test.switches)), test.with)
		})
	}
}

func TestLatestIsTheCurrentVersionOrTheNewest(t *testing.T) {
	t.Parallel()
	for value, switches := range map[string]huawei.Switches{"first": {}, "second": {LatestIsNewest: true}} {
		c := switched(t, switches)
		c.inState(t, "s", "ENABLED")
		want(t, c.mark("s", "SYSCURRENT", "v1"), ok)
		got, err := c.get("s", "latest")
		want(t, err, ok)
		if *got.SecretString != value {
			t.Errorf("latest is %s, want the %s", *got.SecretString, value)
		}
	}
}

func TestSysPreviousFollowsAnExplicitMoveOrStays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		switches        huawei.Switches
		written, marked string
	}{
		{huawei.Switches{}, "v1:custom v2:SYSPREVIOUS v3:SYSCURRENT", "v1:SYSCURRENT+custom v2 v3:SYSPREVIOUS"},
		{huawei.Switches{PreviousStays: true}, "v1:SYSPREVIOUS+custom v2 v3:SYSCURRENT", "v1:SYSCURRENT+SYSPREVIOUS+custom v2 v3"},
	} {
		c := switched(t, test.switches)
		c.inState(t, "s", "ENABLED")
		want(t, c.put("s", "third", "SYSCURRENT"), ok)
		if got := c.marks(t, "s"); got != test.written {
			t.Errorf("after a write: %s, want %s", got, test.written)
		}
		want(t, c.mark("s", "SYSCURRENT", "v1"), ok)
		if got := c.marks(t, "s"); got != test.marked {
			t.Errorf("after a move: %s, want %s", got, test.marked)
		}
	}
}

func TestAVersionWithoutAStageCanVanishAtOnce(t *testing.T) {
	t.Parallel()
	c := switched(t, huawei.Switches{DropUnstaged: true})
	c.create(t, "s", "1")
	steps := []struct {
		run  func() error
		want string
	}{
		{func() error { return c.put("s", "2") }, "v1:SYSPREVIOUS v2:SYSCURRENT"},
		{func() error { return c.put("s", "3") }, "v2:SYSPREVIOUS v3:SYSCURRENT"},
		{func() error { return c.put("s", "4", "custom") }, "v2:SYSPREVIOUS v3:SYSCURRENT v4:custom"},
		{func() error { return c.mark("s", "SYSPREVIOUS", "v4") }, "v3:SYSCURRENT v4:SYSPREVIOUS+custom"},
		{func() error { return c.put("s", "5", "custom") }, "v3:SYSCURRENT v4:SYSPREVIOUS v5:custom"},
		{func() error { return c.unmark("s", "custom") }, "v3:SYSCURRENT v4:SYSPREVIOUS"},
		{func() error { return c.put("s", "6") }, "v3:SYSPREVIOUS v6:SYSCURRENT"},
	}
	for i, step := range steps {
		want(t, step.run(), ok)
		if got := c.marks(t, "s"); got != step.want {
			t.Fatalf("after step %d: %s, want %s", i+1, got, step.want)
		}
	}
}

func TestARestoredSecretIsEnabledOrAsItWas(t *testing.T) {
	t.Parallel()
	for state, switches := range map[string]huawei.Switches{"ENABLED": {}, "DISABLED": {RestoreKeepsState: true}} {
		c := switched(t, switches)
		c.inState(t, "s", "DISABLED")
		_, err := c.schedule("s", 7)
		want(t, err, ok)
		want(t, c.restore("s"), ok)
		shown, err := c.show("s")
		want(t, err, ok)
		if *shown.State != state {
			t.Errorf("the restored secret is %s, want %s", *shown.State, state)
		}
	}
}

func TestTimesCanHaveMilliseconds(t *testing.T) {
	t.Parallel()
	created := noon.Add(1234 * time.Millisecond)
	for shown, switches := range map[int64]huawei.Switches{
		noon.UnixMilli() + 1000: {}, noon.UnixMilli() + 1234: {Milliseconds: true},
	} {
		c := switched(t, switches)
		seed(t, c.server, emulator.Secret{Ref: ref("s"), Created: created, Versions: []emulator.Version{{ID: "v1", Created: created}}})
		got, err := c.show("s")
		want(t, err, ok)
		versions, err := c.versions("s")
		want(t, err, ok)
		if *got.CreateTime != shown || *versions[0].CreateTime != shown {
			t.Errorf("the times are %d and %d, want %d", *got.CreateTime, *versions[0].CreateTime, shown)
		}
	}
}

func TestASeedWithoutLabelsLooksWrittenInOrder(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	for count, marks := range map[int]string{0: "", 1: "v1:SYSCURRENT", 3: "v1 v2:SYSPREVIOUS v3:SYSCURRENT"} {
		name := fmt.Sprint("s", count)
		secret := emulator.Secret{Ref: ref(name), Type: "GaussDB-FG"}
		for i := range count {
			secret.Versions = append(secret.Versions, emulator.Version{ID: fmt.Sprint("v", i+1), Text: "x"})
		}
		seed(t, c.server, secret)
		if got := c.marks(t, name); got != marks {
			t.Errorf("the seed has %q, want %q", got, marks)
		}
		shown, err := c.show(name)
		want(t, err, ok)
		if shown.SecretType.Value() != "GaussDB-FG" {
			t.Errorf("the type is %s", shown.SecretType.Value())
		}
	}
	_, err := c.get("s0", "latest")
	want(t, err, notFound)
}
