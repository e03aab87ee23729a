// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// statusCalls are the calls whose outcome depends on the status of the secret
// named "s", which has the version v1.
var statusCalls = map[string]func(cloud) error{
	"GetSecretValue":      func(c cloud) error { _, err := c.get("s", "v1"); return err },
	"PutSecretValue":      func(c cloud) error { return c.put("s", "v2", "x") },
	"UpdateSecret":        func(c cloud) error { return c.update("s", "v1", "x") },
	"UpdateDescription":   func(c cloud) error { return c.updateDescription("s", "x") },
	"DeleteSecretVersion": func(c cloud) error { return c.deleteVersion("s", "v1") },
	"EnableSecret":        func(c cloud) error { return c.enable("s") },
	"DisableSecret":       func(c cloud) error { return c.disable("s") },
	"DeleteSecret":        func(c cloud) error { return c.deleteAfter("s", 0) },
	"RestoreSecret":       func(c cloud) error { return c.restore("s") },
	"DescribeSecret":      func(c cloud) error { _, err := c.describe("s"); return err },
	"ListSecretVersionIds": func(c cloud) error {
		_, err := c.versions("s")
		return err
	},
}

const (
	failed        = "FailedOperation"
	uninitialized = "ResourceUnavailable.ResourceUninitialized"
	autoRotated   = "OperationDenied.AutoRotatedResource"
)

func TestAStatusAllowsAndForbidsCalls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		seed    emulator.Secret
		refused map[string]string // code by operation; the others succeed
	}{
		{
			"an enabled custom secret can be used, and neither deleted nor restored",
			emulator.Secret{State: "Enabled"},
			map[string]string{"DeleteSecret": failed, "RestoreSecret": failed},
		},
		{
			"a disabled custom secret can be written but not read",
			emulator.Secret{State: "Disabled"},
			map[string]string{"GetSecretValue": "ResourceUnavailable.ResourceDisabled", "RestoreSecret": failed},
		},
		{
			"a custom secret that is going to be deleted can only lose versions and be restored",
			emulator.Secret{State: "PendingDelete", DeletionTime: time.Now().Add(time.Hour)},
			map[string]string{
				"GetSecretValue": "ResourceUnavailable.ResourcePendingDeleted", "PutSecretValue": failed, "UpdateSecret": failed,
				"UpdateDescription": failed, "EnableSecret": failed, "DisableSecret": failed, "DeleteSecret": failed,
			},
		},
		{
			"a product secret refuses manual writes",
			emulator.Secret{Type: "1"},
			map[string]string{
				"PutSecretValue": autoRotated, "UpdateSecret": autoRotated, "DeleteSecretVersion": failed,
				"DeleteSecret": failed, "RestoreSecret": failed,
			},
		},
		{
			"a product secret that is being created can only be looked at",
			emulator.Secret{Type: "1", State: "Creating"},
			map[string]string{
				"GetSecretValue": uninitialized, "PutSecretValue": autoRotated, "UpdateSecret": autoRotated, "UpdateDescription": failed,
				"DeleteSecretVersion": uninitialized, "EnableSecret": uninitialized, "DisableSecret": uninitialized,
				"DeleteSecret": uninitialized, "RestoreSecret": failed,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tencent.Options{})
			for operation, call := range statusCalls {
				seed := test.seed
				seed.Ref = emulator.Ref{Region: region, Name: "s"}
				seed.Versions = []emulator.Version{{ID: "v1", Text: "value"}}
				if err := c.server.Seed(seed); err != nil {
					t.Fatal(err)
				}
				before, _ := c.server.Inspect(region, "s")
				got, want := code(call(c)), test.refused[operation]
				if got != want {
					t.Errorf("%s ended with %q, want %q", operation, got, want)
				}
				after, _ := c.server.Inspect(region, "s")
				if want != "" && fmt.Sprint(before) != fmt.Sprint(after) {
					t.Errorf("the refused %s changed the secret from %v to %v", operation, before, after)
				}
			}
		})
	}
}

func TestACallForAnAbsentSecretIsNotFound(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	for operation, call := range statusCalls {
		if got := code(call(c)); got != "ResourceNotFound" {
			t.Errorf("%s ended with %q", operation, got)
		}
	}
}

func TestASecretGoesThroughItsLife(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.disable("s"), "")
	wantCode(t, c.disable("s"), "") // idempotent
	wantCode(t, c.put("s", "v2", "while disabled"), "")
	wantCode(t, c.deleteAfter("s", 30), "")

	described, err := c.describe("s")
	wantCode(t, err, "")
	stored, _ := c.server.Inspect(region, "s")
	if *described.Status != "PendingDelete" || fmt.Sprint(*described.DeleteTime) != fmt.Sprint(stored.DeletionTime.Unix()) {
		t.Errorf("status %s, delete time %d, stored %s", *described.Status, *described.DeleteTime, stored.DeletionTime)
	}
	wantCode(t, c.restore("s"), "")
	described, err = c.describe("s")
	wantCode(t, err, "")
	if *described.Status != "Disabled" || *described.DeleteTime != 0 {
		t.Errorf("restored: status %s, delete time %d", *described.Status, *described.DeleteTime)
	}
	c.server.Clock().SetOffset(31 * 24 * time.Hour)
	if _, ok := c.server.Inspect(region, "s"); !ok {
		t.Error("the deletion falls due in spite of the restoration")
	}
	c.server.Clock().SetOffset(0)
	wantCode(t, c.enable("s"), "")
	got, err := c.get("s", "v2")
	wantCode(t, err, "")
	if *got.SecretString != "while disabled" {
		t.Errorf("read %q", *got.SecretString)
	}
	wantCode(t, c.disable("s"), "")
	wantCode(t, c.deleteAfter("s", 0), "")
	if _, ok := c.server.Inspect(region, "s"); ok {
		t.Error("the secret is there after its deletion at once")
	}
	c.create(t, "s", "made anew")
}

func TestAScheduledDeletionFallsDueByTheClock(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.disable("s"), "")
	wantCode(t, c.deleteAfter("s", 7), "")

	week := 7 * 24 * time.Hour
	c.server.Clock().SetOffset(week - time.Minute)
	if _, ok := c.server.Inspect(region, "s"); !ok {
		t.Error("the secret is gone before its time")
	}
	c.server.Clock().SetOffset(week + time.Minute)
	if _, ok := c.server.Inspect(region, "s"); ok {
		t.Error("the secret is there after its time")
	}
	c.server.Clock().SetOffset(0)
	c.create(t, "s", "the name is free")
}

func TestATakenNameAndATakenVersionAreInUse(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	again := ssm.NewCreateSecretRequest()
	again.SecretName, again.SecretString = p("s"), p("value")
	_, err := c.CreateSecret(again)
	wantCode(t, err, "ResourceInUse.SecretExists")
	wantCode(t, c.put("s", "v1", "value"), "ResourceInUse.VersionIdExists")
	wantCode(t, c.update("s", "v9", "value"), "ResourceNotFound")
	wantCode(t, c.deleteVersion("s", "v9"), "ResourceNotFound")
	_, err = c.get("s", "v9")
	wantCode(t, err, "ResourceNotFound")

	wantCode(t, c.disable("s"), "")
	wantCode(t, c.deleteAfter("s", 1), "")
	_, err = c.CreateSecret(again)
	wantCode(t, err, "ResourceInUse.SecretExists")
}

func TestVersionsAreNamedReplacedAndRemoved(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	unnamed := ssm.NewCreateSecretRequest()
	unnamed.SecretName, unnamed.SecretBinary = p("s"), p("AAEC")
	created, err := c.CreateSecret(unnamed)
	wantCode(t, err, "")
	if *created.Response.VersionId != "SSM_Current" || *created.Response.TagCode != 0 {
		t.Errorf("created version %s, tag code %d", *created.Response.VersionId, *created.Response.TagCode)
	}
	got, err := c.get("s", "SSM_Current")
	wantCode(t, err, "")
	if *got.SecretBinary != "AAEC" || *got.SecretString != "" {
		t.Errorf("read binary %q, text %q", *got.SecretBinary, *got.SecretString)
	}
	wantCode(t, c.update("s", "SSM_Current", "text now"), "")
	got, err = c.get("s", "SSM_Current")
	wantCode(t, err, "")
	if *got.SecretBinary != "" || *got.SecretString != "text now" {
		t.Errorf("read binary %q, text %q after the update", *got.SecretBinary, *got.SecretString)
	}
	wantCode(t, c.put("s", "v2", "second"), "")
	ids, err := c.versions("s")
	wantCode(t, err, "")
	if !slices.Equal(ids, []string{"v2", "SSM_Current"}) {
		t.Errorf("versions are %v, want the newest first", ids)
	}
	wantCode(t, c.deleteVersion("s", "SSM_Current"), "")
	wantCode(t, c.deleteVersion("s", "v2"), "")
	ids, err = c.versions("s")
	wantCode(t, err, "")
	if len(ids) != 0 {
		t.Errorf("versions are %v after deleting them all", ids)
	}
	wantCode(t, c.put("s", "v2", "the id is free"), "")
}

func TestSecretsAreApartByRegionAndAccount(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	elsewhere := cloud{clientFor(t, c.endpoint, emulator.ExampleAccount(), "ap-beijing"), c.server, c.endpoint}
	_, err := elsewhere.describe("s")
	wantCode(t, err, "ResourceNotFound")

	other := emulator.Account{AccessKeyID: "other", AccessKeySecret: "other-secret", AccountID: "200000000002"}
	if err := c.server.Account(other); err != nil {
		t.Fatal(err)
	}
	theirs := cloud{clientFor(t, c.endpoint, other, region), c.server, c.endpoint}
	_, err = theirs.describe("s")
	wantCode(t, err, "ResourceNotFound")
	theirs.create(t, "s", "theirs")
	described, err := theirs.describe("s")
	wantCode(t, err, "")
	if *described.CreateUin != 200000000002 {
		t.Errorf("created by %d", *described.CreateUin)
	}
	if mine, _ := c.server.Inspect(region, "s"); mine.Versions[0].Text != "value" {
		t.Errorf("the first account's secret is now %v", mine)
	}
	if found := c.server.List("200000000002", region); len(found) != 1 || found[0].Versions[0].Text != "theirs" {
		t.Errorf("the second account has %v", found)
	}
}

func TestListSecretsFiltersSortsAndPages(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	begin := time.Now().Add(-time.Hour)
	for i, name := range []string{"app-a", "app-b", "web-a", "prod"} {
		seed := emulator.Secret{Ref: emulator.Ref{Region: region, Name: name}, Created: begin.Add(time.Duration(i) * time.Minute)}
		switch name {
		case "app-b":
			seed.State, seed.Tags = "Disabled", map[string]string{"team": "b", "env": "x"}
		case "web-a":
			seed.Tags = map[string]string{"team": "a"}
		case "prod":
			seed.Type = "1"
		}
		if err := c.server.Seed(seed); err != nil {
			t.Fatal(err)
		}
	}
	filter := func(key string, values ...string) *ssm.TagFilter {
		f := &ssm.TagFilter{TagKey: &key}
		for _, v := range values {
			f.TagValue = append(f.TagValue, p(v))
		}
		return f
	}
	tests := []struct {
		name  string
		ask   func(*ssm.ListSecretsRequest)
		want  string
		total uint64
	}{
		{"without filters the custom ones come newest first", func(*ssm.ListSecretsRequest) {}, "web-a app-b app-a", 3},
		{"the order can be reversed", func(r *ssm.ListSecretsRequest) { r.OrderType = p(uint64(1)) }, "app-a app-b web-a", 3},
		{"a part of the name is enough", func(r *ssm.ListSecretsRequest) { r.SearchSecretName = p("p-") }, "app-b app-a", 2},
		{"a state filters", func(r *ssm.ListSecretsRequest) { r.State = p(uint64(2)) }, "app-b", 1},
		{"a type filters", func(r *ssm.ListSecretsRequest) { r.SecretType = p(uint64(1)) }, "prod", 1},
		{"a tag matches any of the values", func(r *ssm.ListSecretsRequest) { r.TagFilters = []*ssm.TagFilter{filter("team", "a", "b")} }, "web-a app-b", 2},
		{"every tag must match", func(r *ssm.ListSecretsRequest) {
			r.TagFilters = []*ssm.TagFilter{filter("team", "a", "b"), filter("env")}
		}, "app-b", 1},
		{"a page is a window on all", func(r *ssm.ListSecretsRequest) { r.Offset, r.Limit = p(uint64(1)), p(uint64(1)) }, "app-b", 3},
		{"beyond the end there is nothing", func(r *ssm.ListSecretsRequest) { r.Offset = p(^uint64(0)) }, "", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := ssm.NewListSecretsRequest()
			test.ask(request)
			answer, err := c.ListSecrets(request)
			wantCode(t, err, "")
			names := []string{}
			for _, row := range answer.Response.SecretMetadatas {
				names = append(names, *row.SecretName)
			}
			if got := strings.Join(names, " "); got != test.want || *answer.Response.TotalCount != test.total {
				t.Errorf("listed %q of %d, want %q of %d", got, *answer.Response.TotalCount, test.want, test.total)
			}
		})
	}
	request := ssm.NewListSecretsRequest()
	request.Limit = p(uint64(201))
	_, err := c.ListSecrets(request)
	wantCode(t, err, "InvalidParameterValue")
}

func TestServiceStatusAndRegionsAnswer(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{Regions: []string{region, "ap-beijing"}})
	status, err := c.GetServiceStatus(ssm.NewGetServiceStatusRequest())
	wantCode(t, err, "")
	if !*status.Response.ServiceEnabled || *status.Response.InvalidType != 1 {
		t.Errorf("status is %s", status.ToJsonString())
	}
	regions, err := c.GetRegions(ssm.NewGetRegionsRequest())
	wantCode(t, err, "")
	if len(regions.Response.Regions) != 2 {
		t.Errorf("regions are %s", regions.ToJsonString())
	}
	nowhere := cloud{clientFor(t, c.endpoint, emulator.ExampleAccount(), "ap-nowhere"), c.server, c.endpoint}
	_, err = nowhere.describe("s")
	wantCode(t, err, "UnsupportedRegion")
}

func TestOfConcurrentWritersOfOneVersionExactlyOneWins(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	puts := make([]func() string, 16)
	for i := range puts {
		client := cloud{clientFor(t, c.endpoint, emulator.ExampleAccount(), region), c.server, c.endpoint}
		puts[i] = func() string { return code(client.put("s", "v2", fmt.Sprint("writer ", i))) }
	}
	emulatortest.WantOneWinner(t, "ResourceInUse.VersionIdExists", puts)
}

func TestEveryOperationIsCountedAndLoggedWithoutValues(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "canary-value")
	for _, operation := range slices.Sorted(maps.Keys(statusCalls)) {
		_ = statusCalls[operation](c)
	}
	if n := len(c.server.Calls().List()); n != c.server.Calls().Total() || n != len(statusCalls)+1 {
		t.Errorf("%d calls are listed of %d", n, c.server.Calls().Total())
	}
	emulatortest.WantCountedOnce(t, c.server, region, maps.Keys(statusCalls))
}
