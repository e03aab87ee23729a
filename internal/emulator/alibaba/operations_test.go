// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// stateCalls are the calls whose outcome depends on the state of the secret
// named "s", which has the versions v1 and v2 and the label Mine on v1.
var stateCalls = map[string]func(cloud) error{
	"GetSecretValue":           func(c cloud) error { _, err := c.get("s", "", ""); return err },
	"PutSecretValue":           func(c cloud) error { return c.put("s", "v3", "x") },
	"UpdateSecretVersionStage": func(c cloud) error { return c.stage("s", "Mine", "v2", "") },
	"UpdateSecret":             func(c cloud) error { return c.update("s", "x") },
	"DeleteSecret":             func(c cloud) error { return c.deleteAfter("s", "7") },
	"RestoreSecret":            func(c cloud) error { return c.restore("s") },
	"DescribeSecret":           func(c cloud) error { _, err := c.describe("s"); return err },
	"ListSecretVersionIds":     func(c cloud) error { _, err := c.versions("s"); return err },
	"TagResource":              func(c cloud) error { return c.tag("s", `[{"TagKey":"k","TagValue":"v"}]`) },
	"UntagResource":            func(c cloud) error { return c.untag("s", `["k"]`) },
	"TagResources": func(c cloud) error {
		r := kms.CreateTagResourcesRequest()
		r.ResourceType, r.ResourceId, r.Tag = "secret", &[]string{"s"}, &[]kms.TagResourcesTag{{Key: "k", Value: "v"}}
		_, err := c.TagResources(r)
		return err
	},
	"UntagResources": func(c cloud) error {
		r := kms.CreateUntagResourcesRequest()
		r.ResourceType, r.ResourceId, r.TagKey = "secret", &[]string{"s"}, &[]string{"k"}
		_, err := c.UntagResources(r)
		return err
	},
}

const (
	inWindow = "Rejected.ResourceInDeleteWindow"
	inUse    = "Rejected.ResourceInUse"
	noSecret = "Forbidden.ResourceNotFound"
	exists   = "Rejected.ResourceExist"
	wrong    = "InvalidParameter"
	absent   = "MissingParameter"
	tooMany  = "Rejected.LimitExceeded"
)

func TestAStateAllowsAndForbidsCalls(t *testing.T) {
	t.Parallel()
	managed := map[string]string{"PutSecretValue": wrong, "UpdateSecretVersionStage": wrong, "RestoreSecret": inUse}
	tests := []struct {
		name    string
		seed    emulator.Secret
		refused map[string]string // code by operation; the others succeed
	}{
		{"an active generic secret isn't restored", emulator.Secret{}, map[string]string{"RestoreSecret": inUse}},
		{
			"a generic secret that is to be deleted can only be looked at and restored",
			emulator.Secret{State: "PendingDeletion", DeletionTime: time.Now().Add(time.Hour)},
			map[string]string{
				"GetSecretValue": inWindow, "PutSecretValue": inWindow, "UpdateSecretVersionStage": inWindow, "UpdateSecret": inWindow,
				"DeleteSecret": inWindow, "TagResource": inWindow, "UntagResource": inWindow, "TagResources": inWindow, "UntagResources": inWindow,
			},
		},
		{"an Rds secret refuses values and labels", emulator.Secret{Type: "Rds"}, managed},
		{"a RAM secret refuses values and labels", emulator.Secret{Type: "RAMCredentials"}, managed},
		{"an ECS secret refuses values and labels", emulator.Secret{Type: "ECS"}, managed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, alibaba.Options{})
			for operation, call := range stateCalls {
				seed := test.seed
				seed.Ref = emulator.Ref{Region: region, Name: "s"}
				seed.Versions = []emulator.Version{{ID: "v1", Text: "old", Labels: []string{"Mine"}}, {ID: "v2", Text: "new", Labels: []string{"ACSCurrent"}}}
				if err := c.server.Seed(seed); err != nil {
					t.Fatal(err)
				}
				before := c.stored(t, "s")
				got, want := code(call(c)), test.refused[operation]
				if got != want {
					t.Errorf("%s ended with %q, want %q", operation, got, want)
				}
				if after := c.stored(t, "s"); want != "" && fmt.Sprint(before) != fmt.Sprint(after) {
					t.Errorf("the refused %s changed the secret from %v to %v", operation, before, after)
				}
			}
		})
	}
}

func TestACallForAnAbsentSecretIsNotFound(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	for operation, call := range stateCalls {
		if got := code(call(c)); got != noSecret {
			t.Errorf("%s ended with %q", operation, got)
		}
	}
}

func TestANameOrAnARNNamesASecret(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "app/db", "value")
	c.create(t, "key/app/db", "value")
	for arn, want := range map[string]string{
		"acs:kms:cn-hangzhou:100000000001:secret/app/db": "",
		"acs:kms:cn-hangzhou:100000000001:secret/app":    noSecret,
		"acs:kms:cn-hangzhou:100000000001:key/app/db":    noSecret,
		"acs:kms:cn-beijing:100000000001:secret/app/db":  noSecret,
		"acs:kms:cn-hangzhou:200000000002:secret/app/db": "Forbidden.NoPermission",
		"acs:kms:app/db":                  noSecret,
		"app/db\n":                        wrong,
		strings.Repeat("n", 193):          wrong,
		"acs:ram::100000000001:secret/db": wrong,
	} {
		if _, err := c.describe(arn); code(err) != want {
			t.Errorf("%q ended with %v, want %q", arn, err, want)
		}
	}
	calls := c.server.Calls().List()
	if !slices.ContainsFunc(calls[1:], func(call emulator.Call) bool { return call.Secret == "app/db" }) {
		t.Errorf("no ARN is logged as its name: %+v", calls)
	}
}

func TestASecretGoesThroughItsLife(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	r := kms.CreateDeleteSecretRequest()
	r.SecretName = "s"
	deleted, err := c.DeleteSecret(r)
	wantCode(t, err, "")
	stored := c.stored(t, "s")
	if left := time.Until(stored.DeletionTime); left < 29*24*time.Hour || left > 30*24*time.Hour || stored.State != "PendingDeletion" {
		t.Errorf("deleted in %s, state %s", left, stored.State)
	}
	described, err := c.describe("s")
	wantCode(t, err, "")
	planned := stored.DeletionTime.UTC().Format(time.RFC3339)
	if described.PlannedDeleteTime != planned || deleted.PlannedDeleteTime != planned {
		t.Errorf("to be deleted at %s, told %s and %s", planned, deleted.PlannedDeleteTime, described.PlannedDeleteTime)
	}
	_, err = c.createWith("s", "value", func(*kms.CreateSecretRequest) {})
	wantCode(t, err, inWindow)
	wantCode(t, c.deleteNow("s"), inWindow)
	wantCode(t, c.restore("s"), "")
	c.server.Clock().SetOffset(31 * 24 * time.Hour)
	if _, there := c.server.Inspect(region, "s"); !there {
		t.Error("the deletion falls due in spite of the restoration")
	}
	c.server.Clock().SetOffset(0)
	got, err := c.get("s", "", "")
	wantCode(t, err, "")
	if got.SecretData != "value" || c.stored(t, "s").State != "Active" {
		t.Errorf("restored with %q", got.SecretData)
	}
	wantCode(t, c.deleteNow("s"), "")
	wantCode(t, c.restore("s"), noSecret)
	wantCode(t, c.deleteNow("s"), noSecret)
	c.create(t, "s", "made anew")
}

func TestADeletionHasAWindow(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	c := start(t, alibaba.Options{})
	for days, want := range map[string]string{"6": wrong, "31": wrong, "x": wrong, "-7": wrong, "7": "", "30": ""} {
		name := "window/" + days
		c.create(t, name, "value")
		wantCode(t, c.deleteAfter(name, days), want)
	}
	c.server.Clock().SetOffset(7*day - time.Minute)
	if _, there := c.server.Inspect(region, "window/7"); !there {
		t.Error("the secret is gone before its time")
	}
	c.server.Clock().SetOffset(7*day + time.Minute)
	if _, there := c.server.Inspect(region, "window/7"); there {
		t.Error("the secret is there after its time")
	}
	if left := c.server.List("", region); len(left) != 5 {
		t.Errorf("%d secrets are left", len(left))
	}
	c.server.Clock().SetOffset(0)
	c.create(t, "window/7", "the name is free")

	both := kms.CreateDeleteSecretRequest()
	both.SecretName, both.ForceDeleteWithoutRecovery, both.RecoveryWindowInDays = "window/7", "true", "30"
	_, err := c.DeleteSecret(both) // as Terraform does
	wantCode(t, err, "")
	if _, there := c.server.Inspect(region, "window/7"); there {
		t.Error("the secret is there after its deletion by force")
	}
}

func TestATakenNameIsRefusedWhateverItHolds(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	for _, value := range []string{"value", "other"} {
		_, err := c.createWith("s", value, func(*kms.CreateSecretRequest) {})
		wantCode(t, err, exists)
	}
	c.create(t, "S", "names differ by case")
	if got := c.stored(t, "s").Versions[0].Text; got != "value" {
		t.Errorf("the value is %q", got)
	}
}

func TestUpdateSecretChangesTheDescriptionAlone(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.update("s", "words"), "")
	nothing := kms.CreateUpdateSecretRequest()
	nothing.SecretName = "s"
	_, err := c.UpdateSecret(nothing)
	wantCode(t, err, "")
	if got := c.stored(t, "s"); got.Description != "words" || got.Versions[0].Text != "value" {
		t.Errorf("stored %+v", got)
	}
	wantCode(t, c.update("s", ""), "")
	if got := c.stored(t, "s").Description; got != "" {
		t.Errorf("the description is %q", got)
	}
	custom := kms.CreateUpdateSecretRequest()
	custom.SecretName, custom.ExtendedConfigCustomData = "s", "{}"
	_, err = c.UpdateSecret(custom) // not for generic secrets
	wantCode(t, err, wrong)
}

func TestAChangeMovesTheUpdateTimeAlone(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	before, err := c.describe("s")
	wantCode(t, err, "")
	c.server.Clock().SetOffset(10 * time.Minute)
	wantCode(t, c.put("s", "v2", "value"), "")
	after, err := c.describe("s")
	wantCode(t, err, "")
	if after.CreateTime != before.CreateTime || after.UpdateTime <= before.UpdateTime || !strings.HasSuffix(after.UpdateTime, "Z") {
		t.Errorf("created %s and %s, updated %s and %s", before.CreateTime, after.CreateTime, before.UpdateTime, after.UpdateTime)
	}
}

func TestAManagedSecretIsReadByItsBuiltInLabels(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	if err := c.server.Seed(emulator.Secret{
		Ref: emulator.Ref{Region: region, Name: "acs/ecs/i"}, Type: "ECS",
		Versions: []emulator.Version{{ID: "v1", Text: "old"}, {ID: "v2", Text: "new"}},
	}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ id, label, want, code string }{
		"the current version comes by default": {"", "", "new", ""},
		"a version id is ignored":              {"v1", "", "new", ""},
		"the previous version has a label":     {"", "ACSPrevious", "old", ""},
		"other labels are refused":             {"", "Mine", "", wrong},
	} {
		got, err := c.get("acs/ecs/i", test.id, test.label)
		if code(err) != test.code || err == nil && got.SecretData != test.want {
			t.Errorf("%s: read %q, %v", name, got.SecretData, err)
		}
	}
	r := kms.CreateGetSecretValueRequest()
	r.SecretName, r.FetchExtendedConfig = "acs/ecs/i", "true"
	got, err := c.GetSecretValue(r)
	wantCode(t, err, "")
	if got.SecretType != "ECS" || got.AutomaticRotation != "Disabled" || got.ExtendedConfig != "{}" {
		t.Errorf("read %+v", got)
	}
}

func TestSecretsAreApartByRegionAndAccount(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	_, err := c.as(t, emulator.ExampleAccount(), "cn-beijing").describe("s")
	wantCode(t, err, noSecret)

	theirs := c.as(t, emulator.Account{AccessKeyID: "other", AccessKeySecret: "x", AccountID: "200000000002"}, region)
	_, err = theirs.describe("s")
	wantCode(t, err, noSecret)
	theirs.create(t, "s", "theirs")
	described, err := theirs.describe("s")
	wantCode(t, err, "")
	if described.Arn != "acs:kms:cn-hangzhou:200000000002:secret/s" {
		t.Errorf("the ARN is %s", described.Arn)
	}
	if mine := c.stored(t, "s"); mine.Versions[0].Text != "value" {
		t.Errorf("the first account's secret is now %v", mine)
	}
	if found := c.server.List("200000000002", region); len(found) != 1 || found[0].Versions[0].Text != "theirs" {
		t.Errorf("the second account has %v", found)
	}
}

func TestOfConcurrentWritersOfOneVersionExactlyOneWins(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	puts := make([]func() string, 16)
	for i := range puts {
		client := cloud{clientFor(t, c.endpoint, emulator.ExampleAccount(), region), c.server, c.endpoint}
		puts[i] = func() string { return code(client.put("s", "v2", fmt.Sprint("writer ", i))) }
	}
	emulatortest.WantOneWinner(t, exists, puts)
}

func TestEveryOperationIsCountedAndLoggedWithoutValues(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "canary-value")
	for _, operation := range slices.Sorted(maps.Keys(stateCalls)) {
		_ = stateCalls[operation](c)
	}
	emulatortest.WantCountedOnce(t, c.server, region, maps.Keys(stateCalls))
	wantCode(t, c.raw("EncryptEverything", nil), "InvalidAction.NotFound")
	if c.server.Calls().Count("unknown") != 1 {
		t.Error("an unknown operation isn't counted as one")
	}
}
