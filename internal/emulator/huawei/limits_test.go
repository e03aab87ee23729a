// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

func TestACreationIsChecked(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	tests := []struct {
		name string
		body model.CreateSecretRequestBody
		want string
	}{
		{"a name of 64 characters", model.CreateSecretRequestBody{Name: "-_" + strings.Repeat("n", 62), SecretString: p("x")}, ok},
		{"a name of 65 characters", model.CreateSecretRequestBody{Name: strings.Repeat("n", 65), SecretString: p("x")}, invalid},
		{"an empty name", model.CreateSecretRequestBody{SecretString: p("x")}, invalid},
		{"a name with a slash", model.CreateSecretRequestBody{Name: "a/b", SecretString: p("x")}, invalid},
		{"a name with a dot", model.CreateSecretRequestBody{Name: "a.b", SecretString: p("x")}, invalid},
		{"a name in letters of other alphabets", model.CreateSecretRequestBody{Name: "é", SecretString: p("x")}, invalid},
		{"a name that is a path of the API", model.CreateSecretRequestBody{Name: "restore", SecretString: p("x")}, ok},
		{"no value", model.CreateSecretRequestBody{Name: "a"}, invalid},
		{"an empty value", model.CreateSecretRequestBody{Name: "a", SecretString: p("")}, invalid},
		{"two values", model.CreateSecretRequestBody{Name: "a", SecretString: p("x"), SecretBinary: p("AA==")}, invalid},
		{"binary that isn't base64", model.CreateSecretRequestBody{Name: "a", SecretBinary: p("a-_b")}, invalid},
		{"binary without padding", model.CreateSecretRequestBody{Name: "a", SecretBinary: p("AA")}, invalid},
		{"binary on two lines", model.CreateSecretRequestBody{Name: "a", SecretBinary: p("AAAA\nBBBB")}, invalid},
		{"text of 32768 bytes", model.CreateSecretRequestBody{Name: "text", SecretString: p(strings.Repeat("x", 32768))}, ok},
		{"text of more bytes", model.CreateSecretRequestBody{Name: "a", SecretString: p(strings.Repeat("x", 32767) + "é")}, invalid},
		{"binary of 32768 characters", model.CreateSecretRequestBody{Name: "binary", SecretBinary: p(strings.Repeat("A", 32768))}, ok},
		{"binary of more characters", model.CreateSecretRequestBody{Name: "a", SecretBinary: p(strings.Repeat("A", 32772))}, invalid},
		{"a description of 2048 bytes", model.CreateSecretRequestBody{Name: "d", SecretString: p("x"), Description: p(strings.Repeat("é", 1024))}, ok},
		{"a longer description", model.CreateSecretRequestBody{Name: "a", SecretString: p("x"), Description: p(strings.Repeat("x", 2049))}, invalid},
		{"an unknown key", model.CreateSecretRequestBody{Name: "a", SecretString: p("x"), KmsKeyId: p("unknown")}, keyUnusable},
		{"an enterprise project of 37 characters", model.CreateSecretRequestBody{
			Name: "a", SecretString: p("x"), EnterpriseProjectId: p(strings.Repeat("1", 37)),
		}, invalid},
		{"two events", model.CreateSecretRequestBody{Name: "a", SecretString: p("x"), EventSubscriptions: &[]string{"a", "b"}}, invalid},
		{"a managed type", model.CreateSecretRequestBody{
			Name: "a", SecretString: p("x"), SecretType: p(model.GetCreateSecretRequestBodySecretTypeEnum().RDS_FG),
		}, invalid},
		{"rotation", model.CreateSecretRequestBody{Name: "a", SecretString: p("x"), AutoRotation: p(true), RotationPeriod: p("1d")}, invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.createWith(test.body)
			want(t, err, test.want)
			if _, there := c.server.Inspect(project, test.body.Name); there != (test.want == ok) {
				t.Errorf("the secret is there: %v", there)
			}
		})
	}
}

func TestOtherParametersAreChecked(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.inState(t, "s", "ENABLED")
	id := c.id("s")
	version := func(body model.CreateSecretVersionRequestBody) func() error {
		return func() error { _, err := c.putWith("s", body); return err }
	}
	days := func(n int32) func() error {
		return func() error { _, err := c.schedule("s", n); return err }
	}
	list := func(limit string) func() error {
		return func() error { _, err := c.ListSecrets(&model.ListSecretsRequest{Limit: &limit}); return err }
	}
	past := c.server.Clock().Now().Add(-time.Second).UnixMilli()
	tests := []struct {
		name string
		run  func() error
		want string
	}{
		{"a version without a value", version(model.CreateSecretVersionRequestBody{}), invalid},
		{"a version with two values", version(model.CreateSecretVersionRequestBody{SecretString: p("x"), SecretBinary: p("AA==")}), invalid},
		{"a version that is too large", version(model.CreateSecretVersionRequestBody{SecretString: p(strings.Repeat("x", 32769))}), invalid},
		{"a version of the past", version(model.CreateSecretVersionRequestBody{SecretString: p("x"), ExpireTime: &past}), invalid},
		{"a version with an illegal stage", func() error { return c.put("s", "x", "a b") }, invalid},
		{"a version with an empty stage", func() error { return c.put("s", "x", "") }, invalid},
		{"a version with one stage twice", func() error { return c.put("s", "x", "a", "a") }, invalid},
		{"a version with 13 stages", func() error { return c.put("s", "x", numbered("s", 13)...) }, stageQuota},
		{"an expiry in the past", func() error { return c.expire("s", "v1", past) }, invalid},
		{"an expiry that is negative", func() error { return c.expire("s", "v1", -1) }, invalid},
		{"an expiry with 14 digits", func() error { return c.expire("s", "v1", 10000000000000) }, invalid},
		{"a version id that isn't one", func() error { _, err := c.get("s", "_v1"); return err }, invalid},
		{"a name in the path that isn't one", func() error { _, err := c.show("a.b"); return err }, invalid},
		{"a stage in the path that isn't one", func() error { _, err := c.stage("s", "a.b"); return err }, invalid},
		{"a stage of 65 characters", func() error { return c.mark("s", strings.Repeat("n", 65), "v1") }, invalid},
		{"a stage of 64 characters", func() error { return c.mark("s", strings.Repeat("n", 64), "v1") }, ok},
		{"a stage for the latest version", func() error { return c.mark("s", "custom", "latest") }, invalid},
		{"a stage for no version", func() error { return c.mark("s", "custom", "") }, invalid},
		{"a window of 0 days", days(0), invalid},
		{"a window of 6 days", days(6), invalid},
		{"a window of 31 days", days(31), invalid},
		{"a longer description", func() error {
			return c.update("s", model.UpdateSecretRequestBody{Description: p(strings.Repeat("x", 2049))})
		}, invalid},
		{"an unknown key", func() error { return c.update("s", model.UpdateSecretRequestBody{KmsKeyId: p("unknown")}) }, keyUnusable},
		{"an empty key", func() error { return c.update("s", model.UpdateSecretRequestBody{KmsKeyId: p("")}) }, invalid},
		{"rotation", func() error { return c.update("s", model.UpdateSecretRequestBody{AutoRotation: p(true)}) }, invalid},
		{"two events", func() error {
			return c.update("s", model.UpdateSecretRequestBody{EventSubscriptions: &[]string{"a", "b"}})
		}, invalid},
		{"a page of none", list("0"), invalid},
		{"a page of 1001", list("1001"), invalid},
		{"a page of words", list("all"), invalid},
		{"a page of 1000", list("1000"), ok},
		{"versions after a secret", func() error {
			_, err := c.ListSecretVersions(&model.ListSecretVersionsRequest{SecretName: "s", Marker: p("s")})
			return err
		}, invalid},
		{"a page of no versions", func() error {
			_, err := c.ListSecretVersions(&model.ListSecretVersionsRequest{SecretName: "s", Limit: p(int32(0))})
			return err
		}, invalid},
		{"a secret id that isn't one", func() error { return c.tag("s", "k", "v") }, invalid},
		{"a tag without a key", func() error { return c.tag(id, "", "v") }, invalid},
		{"a tag key of 128 characters", func() error { return c.tag(id, strings.Repeat("é", 128), "v") }, ok},
		{"a tag key of 129 characters", func() error { return c.tag(id, strings.Repeat("é", 129), "v") }, invalid},
		{"a tag value of 255 characters", func() error { return c.tag(id, "k", strings.Repeat("é", 255)) }, ok},
		{"a tag value of 256 characters", func() error { return c.tag(id, "k", strings.Repeat("é", 256)) }, invalid},
		{"a tag key with a slash", func() error { return c.tag(id, "a/b", "v") }, invalid},
		{"a tag key that ends with a space", func() error { return c.tag(id, "a ", "v") }, invalid},
		{"a tag key of the system", func() error { return c.tag(id, "_sys_a", "v") }, invalid},
		{"a tag value with an ampersand", func() error { return c.tag(id, "k", "a&b") }, invalid},
		{"a batch with an unknown action", func() error { return c.batch(id, "update", "k=v") }, invalid},
		{"a batch without tags", func() error { return c.batch(id, "delete") }, invalid},
		{"a batch of 21 tags", func() error { return c.batch(id, "delete", numbered("k", 21)...) }, invalid},
		{"a batch with a key twice", func() error { return c.batch(id, "create", "k=1", "k=2") }, invalid},
		{"a batch with a bad tag creates nothing", func() error { return c.batch(id, "create", "new=1", "a/b=2") }, invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { want(t, test.run(), test.want) })
	}
	if stored, _ := c.server.Inspect(project, "s"); len(stored.Versions) != 2 || stored.State != "ENABLED" || stored.Tags["new"] != "" {
		t.Errorf("the refused calls left %+v", stored)
	}
}

// numbered returns n words that start with prefix.
func numbered(prefix string, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprint(prefix, i)
	}
	return words
}

func TestTheVersionAboveTheLimitTakesThePlaceOfTheOldestWithoutAStage(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "s", "1")
	want(t, c.mark("s", "keep", "v1"), ok)
	for i := range 19 {
		want(t, c.put("s", fmt.Sprint(i+2)), ok)
	}
	if stored, _ := c.server.Inspect(project, "s"); len(stored.Versions) != 20 {
		t.Fatalf("there are %d versions", len(stored.Versions))
	}
	want(t, c.put("s", "21"), ok)
	want(t, c.put("s", "22"), ok)
	for id, outcome := range map[string]string{"v1": ok, "v2": notFound, "v3": notFound, "v4": ok, "v22": ok} {
		_, err := c.get("s", id)
		if answered(err) != outcome {
			t.Errorf("reading %s ended with %v, want %q", id, err, outcome)
		}
	}
	if stored, _ := c.server.Inspect(project, "s"); len(stored.Versions) != 20 || stored.Versions[19].ID != "v22" {
		t.Errorf("there are %d versions", len(stored.Versions))
	}
}

func TestASecretHasTwelveStages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		switches huawei.Switches
		custom   int
	}{
		{huawei.Switches{}, 10},
		{huawei.Switches{FreeBuiltins: true}, 12},
		{huawei.Switches{StageLimit: 3}, 1},
	} {
		c := switched(t, test.switches)
		c.create(t, "s", "1")
		want(t, c.put("s", "2"), ok)
		names := numbered("stage", test.custom+1)
		for _, name := range names[:test.custom] {
			want(t, c.mark("s", name, "v1"), ok)
		}
		want(t, c.mark("s", names[test.custom], "v1"), stageLimit)
		want(t, c.put("s", "3", names[test.custom]), stageLimit)
		want(t, c.mark("s", names[0], "v2"), ok)
		want(t, c.put("s", "3", names[0]), ok)
		want(t, c.unmark("s", names[0]), ok)
		want(t, c.mark("s", names[test.custom], "v1"), ok)
	}
}

func TestASecretHasTwentyTags(t *testing.T) {
	t.Parallel()
	for quota, switches := range map[string]huawei.Switches{invalid: {}, "Bad Request KMS.0409": {KMSTagCodes: true}} {
		c := switched(t, switches)
		id := *c.create(t, "s", "1").Id
		want(t, c.batch(id, "create", numbered("k", 20)...), ok)
		want(t, c.tag(id, "more", "v"), quota)
		want(t, c.tag(id, "k0", "v"), ok)
		want(t, c.untag(id, "k0"), ok)
		want(t, c.tag(id, "more", "v"), ok)
	}
}

func TestTheNumberOfSecretsIsLimited(t *testing.T) {
	t.Parallel()
	c := switched(t, huawei.Switches{SecretLimit: 2})
	c.create(t, "a", "x")
	c.create(t, "b", "x")
	_, err := c.schedule("b", 7)
	want(t, err, ok)
	more := func() error {
		_, err := c.createWith(model.CreateSecretRequestBody{Name: "c", SecretString: p("x")})
		return err
	}
	want(t, more(), secretQuota)
	want(t, c.remove("a"), ok)
	want(t, more(), ok)
}

func TestEachVersionKeepsItsKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		switches          huawei.Switches
		disabled, unknown string
	}{
		{huawei.Switches{}, keyUnusable, keyUnusable},
		{huawei.Switches{KMSKeyCodes: true}, "Bad Request KMS.0209", "Not Found KMS.0207"},
	} {
		c := switched(t, test.switches)
		keys := c.server.KMSKeys()
		keys.Put(emulator.KMSKey{ID: "new-key", Region: project})
		keys.Put(emulator.KMSKey{ID: "foreign-key", Region: huawei.OtherExampleProjectID})
		_, err := c.createWith(model.CreateSecretRequestBody{Name: "s", SecretString: p("old"), KmsKeyId: p(emulator.ExampleKMSKeyID)})
		want(t, err, ok)
		for _, key := range []string{"unknown-key", "foreign-key"} {
			want(t, c.update("s", model.UpdateSecretRequestBody{KmsKeyId: &key}), test.unknown)
		}
		want(t, c.update("s", model.UpdateSecretRequestBody{KmsKeyId: p("new-key")}), ok)
		want(t, c.put("s", "new"), ok)

		versions, err := c.versions("s")
		want(t, err, ok)
		if *versions[0].KmsKeyId != emulator.ExampleKMSKeyID || *versions[1].KmsKeyId != "new-key" {
			t.Errorf("the versions are %s", versions)
		}
		keys.Put(emulator.KMSKey{ID: emulator.ExampleKMSKeyID, Disabled: true})
		_, err = c.get("s", "v1")
		want(t, err, test.disabled)
		_, err = c.get("s", "v2")
		want(t, err, ok)
		want(t, c.put("s", "newer"), ok)
		keys.Put(emulator.KMSKey{ID: "new-key", Region: project, Disabled: true})
		want(t, c.put("s", "newest"), test.disabled)
		if got := c.marks(t, "s"); got != "v1 v2:SYSPREVIOUS v3:SYSCURRENT" {
			t.Errorf("the refused version left %s", got)
		}
		want(t, c.update("s", model.UpdateSecretRequestBody{Description: p("words")}), ok)
	}
}

func TestADeniedOperationIsForbiddenAndDoesNothing(t *testing.T) {
	t.Parallel()
	for code, switches := range map[string]huawei.Switches{denied: {}, "Forbidden KMS.0306": {DeniedCode: "KMS.0306"}} {
		c := switched(t, switches)
		c.inState(t, "s", "ENABLED")
		for operation, run := range onS {
			reader := emulator.Account{AccessKeyID: "reader", AccessKeySecret: "reader-secret", Denied: []string{operation}}
			if err := c.server.Account(reader); err != nil {
				t.Fatal(err)
			}
			before, _ := c.server.Inspect(project, "s")
			limited := cloud{clientFor(t, c.endpoint, reader, project), c.server, c.endpoint}
			if operation == "ShowSecret" || !strings.Contains(operation, "Tag") {
				want(t, run(limited), code)
			} else if _, err := limited.show("s"); err != nil {
				t.Errorf("another operation ended with %v", err)
			} else if got := answered(run(limited)); got != code {
				t.Errorf("%s ended with %q", operation, got)
			}
			after, _ := c.server.Inspect(project, "s")
			if emulatortest.Describe([]emulator.Secret{before}) != emulatortest.Describe([]emulator.Secret{after}) {
				t.Errorf("the denied %s changed the secret to %+v", operation, after)
			}
		}
		all := emulator.Account{AccessKeyID: "reader", AccessKeySecret: "reader-secret", Denied: []string{"*"}}
		if err := c.server.Account(all); err != nil {
			t.Fatal(err)
		}
		nobody := cloud{clientFor(t, c.endpoint, all, project), c.server, c.endpoint}
		_, err := nobody.get("s", "v1")
		want(t, err, code)
		if !strings.Contains(err.Error(), "csms:secret:getVersion") {
			t.Errorf("the message %q doesn't name the action", err)
		}
	}
}

func TestABinaryValueIsMeasuredAsItIsSwitched(t *testing.T) {
	t.Parallel()
	raw := base64.StdEncoding.EncodeToString(make([]byte, 32768))
	for outcome, switches := range map[string]huawei.Switches{invalid: {}, ok: {RawBinarySize: true}} {
		c := switched(t, switches)
		_, err := c.createWith(model.CreateSecretRequestBody{Name: "s", SecretBinary: &raw})
		want(t, err, outcome)
	}
}
