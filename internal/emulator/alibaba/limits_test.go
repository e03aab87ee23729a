// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
)

// tagsText is the parameter Tags with n tags.
func tagsText(n int) string {
	pairs := make([]string, n)
	for i := range n {
		pairs[i] = fmt.Sprintf(`{"TagKey":"k%d","TagValue":"v"}`, i)
	}
	return "[" + strings.Join(pairs, ",") + "]"
}

func TestCreateSecretEnforcesTheLimits(t *testing.T) {
	t.Parallel()
	type request = kms.CreateSecretRequest
	value := func(v string) func(*request) { return func(r *request) { r.FormParams["SecretData"] = v } }
	name := func(n string) func(*request) { return func(r *request) { r.SecretName = n } }
	tags := func(text string) func(*request) { return func(r *request) { r.Tags = text } }
	one := func(key, value string) func(*request) {
		return tags(fmt.Sprintf(`[{"TagKey":%q,"TagValue":%q}]`, key, value))
	}
	tests := []struct {
		name string
		set  func(*request)
		want string
	}{
		{"a name of 192 characters is accepted", name(strings.Repeat("n", 192)), ""},
		{"a name of 193 characters is refused", name(strings.Repeat("n", 193)), wrong},
		{"a name with every character that is allowed is accepted", name("aZ09_/+=.-@"), ""},
		{"a name with a colon is refused", name("a:b"), wrong},
		{"a name with a space is refused", name("a b"), wrong},
		{"a name with a letter that isn't ASCII is refused", name("é"), wrong},
		{"a name that ends with a line break is refused", name("a\n"), wrong},
		{"a name of the service's own is refused", name("acs/ecs/x"), wrong},
		{"a name that only looks like the service's own is accepted", name("acs"), ""},
		{"no name is refused", name(""), absent},
		{"a version id of 64 characters is accepted", func(r *request) { r.VersionId = strings.Repeat("é", 64) }, ""},
		{"a version id of 65 characters is refused", func(r *request) { r.VersionId = strings.Repeat("1", 65) }, wrong},
		{"no version id is refused", func(r *request) { r.VersionId = "" }, absent},
		{"a value of 30720 bytes is accepted", value(strings.Repeat("x", 30720)), ""},
		{"a value of 30721 bytes is refused", value(strings.Repeat("x", 30721)), wrong},
		{"a value is measured in bytes", value(strings.Repeat("é", 15361)), wrong},
		{"an empty value is refused", value(""), wrong},
		{"no value is refused", func(r *request) { delete(r.FormParams, "SecretData") }, absent},
		{"binary data are accepted", func(r *request) { r.SecretDataType = "binary" }, ""},
		{"data of another type are refused", func(r *request) { r.SecretDataType = "json" }, wrong},
		{"the type Generic is accepted", func(r *request) { r.SecretType = "Generic" }, ""},
		{"a managed type needs a config", func(r *request) { r.SecretType = "Rds" }, absent},
		{"an unknown type is refused", func(r *request) { r.SecretType = "generic" }, wrong},
		{"rotation is refused", func(r *request) { r.EnableAutomaticRotation, r.RotationInterval = "true", "7d" }, wrong},
		{"an interval without rotation is ignored", func(r *request) { r.EnableAutomaticRotation, r.RotationInterval = "false", "7d" }, ""},
		{"a policy without an instance is refused", func(r *request) { r.Policy = `{}` }, wrong},
		{"20 tags are accepted", tags(tagsText(20)), ""},
		{"21 tags are refused", tags(tagsText(21)), tooMany},
		{"tags that aren't JSON are refused", tags("k=v"), wrong},
		{"a tag key given twice is refused", tags(`[{"TagKey":"k","TagValue":"a"},{"TagKey":"k","TagValue":"b"}]`), wrong},
		{"a tag with every character that is allowed is accepted", one("aZ09/_-.+=:@", `aZ09/\_-.+=:@`), ""},
		{"a tag key of 128 characters is accepted", one(strings.Repeat("k", 128), strings.Repeat("v", 128)), ""},
		{"a tag key of 129 characters is refused", one(strings.Repeat("k", 129), "v"), wrong},
		{"a tag value of 129 characters is refused", one("k", strings.Repeat("v", 129)), wrong},
		{"a tag without a key is refused", one("", "v"), wrong},
		{"a tag without a value is refused", one("k", ""), wrong},
		{"a tag value with a space is refused", one("k", "a b"), wrong},
		{"a tag value that isn't ASCII is refused", one("k", "é"), wrong},
		{"a tag key that starts with aliyun is refused", one("aliyun.k", "v"), wrong},
		{"a tag key that starts with acs: is refused", one("acs:k", "v"), wrong},
		{"a known instance is accepted", func(r *request) { r.DKMSInstanceId = alibaba.ExampleInstanceID }, ""},
		{"an unknown instance is refused", func(r *request) { r.DKMSInstanceId = "kst-nobody" }, "Forbidden.DKMSInstanceNotFound"},
		{"a policy in an instance is accepted", func(r *request) { r.DKMSInstanceId, r.Policy = alibaba.ExampleInstanceID, "{}" }, ""},
		{"a known key is accepted", func(r *request) { r.EncryptionKeyId = emulator.ExampleKMSKeyID }, ""},
		{"an unknown key is refused", func(r *request) { r.EncryptionKeyId = "key-nobody" }, "Forbidden.KeyNotFound"},
		{"an unknown alias is refused", func(r *request) { r.EncryptionKeyId = "alias/nobody" }, "Forbidden.AliasNotFound"},
	}
	c := start(t, alibaba.Options{})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := kms.CreateCreateSecretRequest()
			r.SecretName, r.VersionId, r.FormParams["SecretData"] = fmt.Sprintf("case-%d", i), "v1", "value"
			test.set(r)
			_, err := c.CreateSecret(r)
			wantCode(t, err, test.want)
			if _, there := c.server.Inspect(region, r.SecretName); there != (test.want == "") {
				t.Errorf("after code %q the secret is there: %v", test.want, there)
			}
		})
	}
}

func TestWritesEnforceTheLimits(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.put("s", "v2", strings.Repeat("x", 30721)), wrong)
	wantCode(t, c.put("s", "v2", ""), wrong)
	wantCode(t, c.put("s", "", "value"), absent)
	wantCode(t, c.put("s", strings.Repeat("1", 65), "value"), wrong)
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" {
		t.Errorf("refused calls left %s", got)
	}
	wantCode(t, c.put("s", "v2", strings.Repeat("x", 30720)), "")
}

func TestAKeyStopsValuesButNotMetadata(t *testing.T) {
	t.Parallel()
	const mine = "key-mine"
	c := start(t, alibaba.Options{Options: emulator.Options{KMSKeys: []emulator.KMSKey{{ID: mine, Region: region}}}})
	withKey := func(r *kms.CreateSecretRequest) { r.EncryptionKeyId = mine }
	_, err := c.createWith("s", "value", withKey)
	wantCode(t, err, "")
	_, err = c.as(t, emulator.ExampleAccount(), "cn-beijing").createWith("s", "value", withKey)
	wantCode(t, err, "Forbidden.KeyNotFound") // another region
	for want, key := range map[string]emulator.KMSKey{
		"Rejected.Disabled":        {ID: mine, Disabled: true},
		"Rejected.PendingDeletion": {ID: mine, PendingDeletion: true},
		"":                         {ID: mine},
	} {
		c.server.KMSKeys().Put(key)
		_, err = c.get("s", "", "")
		wantCode(t, err, want)
		wantCode(t, c.put("s", "v1", "value"), want)
		_, err = c.createWith("t"+want, "value", withKey)
		wantCode(t, err, want)
		described, err := c.describe("s")
		wantCode(t, err, "")
		if described.EncryptionKeyId != mine {
			t.Errorf("the key is %s", described.EncryptionKeyId)
		}
		wantCode(t, c.update("s", "words"), "")
	}
	if stored := c.stored(t, "s"); stored.KMSKeyID != mine {
		t.Errorf("stored %+v", stored)
	}
}

func TestKeyAndSecretAreInOneInstance(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{
		Options:   emulator.Options{KMSKeys: []emulator.KMSKey{{ID: "inside", Instance: "kst-a"}, {ID: "outside"}}},
		Instances: []string{"kst-a", "kst-b"},
	})
	for i, test := range []struct{ key, instance, want string }{
		{"inside", "kst-a", ""},
		{"inside", "kst-b", wrong},
		{"inside", "", wrong},
		{"outside", "kst-a", wrong},
		{"outside", "", ""},
		{"", "kst-b", ""},
	} {
		name := fmt.Sprint("s", i)
		created, err := c.createWith(name, "value", func(r *kms.CreateSecretRequest) {
			r.EncryptionKeyId, r.DKMSInstanceId = test.key, test.instance
		})
		if code(err) != test.want {
			t.Errorf("key %q in instance %q ended with %v", test.key, test.instance, err)
		}
		if err != nil {
			continue
		}
		described, err := c.describe(name)
		wantCode(t, err, "")
		if created.DKMSInstanceId != test.instance || described.DKMSInstanceId != test.instance || c.stored(t, name).Instance != test.instance {
			t.Errorf("created in %q, described in %q", created.DKMSInstanceId, described.DKMSInstanceId)
		}
	}
}

func TestValuesNeedPermissionsForTheKey(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	_, err := c.createWith("s", "value", func(r *kms.CreateSecretRequest) { r.EncryptionKeyId = emulator.ExampleKMSKeyID })
	wantCode(t, err, "")
	keyless := c.as(t, emulator.Account{AccessKeyID: "a", AccessKeySecret: "x", Denied: []string{"Decrypt", "GenerateDataKey"}}, region)
	_, err = keyless.get("s", "", "")
	wantCode(t, err, "Forbidden.NoPermission")
	if !strings.Contains(err.Error(), emulator.ExampleKMSKeyID) {
		t.Errorf("the message doesn't name the key: %v", err)
	}
	wantCode(t, keyless.put("s", "v2", "value"), "Forbidden.NoPermission")
	keyless.create(t, "t", "the default key needs none")

	session := c.as(t, emulator.Account{
		AccessKeyID: "b", AccessKeySecret: "x", SecurityToken: "t", Denied: []string{"Decrypt", "GenerateDataKey"},
	}, region)
	_, err = session.get("s", "", "")
	wantCode(t, err, "") // temporary keys need none to read
	wantCode(t, session.put("s", "v2", "value"), "Forbidden.NoPermission")
}

func TestADryRunAlwaysFailsAndSaysWhy(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	denied := c.as(t, emulator.Account{AccessKeyID: "a", AccessKeySecret: "x", Denied: []string{"GetSecretValue"}}, region)
	for _, test := range []struct {
		by         cloud
		name, want string
	}{{c, "s", "DryRunOperationError"}, {c, "absent", "ValidationError"}, {denied, "s", "AccessDeniedError"}} {
		r := kms.CreateGetSecretValueRequest()
		r.SecretName, r.DryRun = test.name, "true"
		_, err := test.by.GetSecretValue(r)
		wantCode(t, err, test.want)
	}
}
