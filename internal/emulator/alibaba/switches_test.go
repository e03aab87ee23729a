// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	alierrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

const otherCode = "UnsupportedOperation"

// switchTest sets switches and checks a cloud with the secret "s", version v1.
type switchTest struct {
	name     string
	switches alibaba.Switches
	check    func(*testing.T, cloud)
}

// switchTests are the tests of switches for values and life; every switch must
// be set in one of the lists.
var switchTests = []switchTest{
	{"a version conflict has another code", alibaba.Switches{VersionConflictCode: otherCode}, func(t *testing.T, c cloud) {
		wantCode(t, c.put("s", "v1", "other"), otherCode)
	}},
	{"an absent version has another code", alibaba.Switches{VersionNotFoundCode: otherCode}, func(t *testing.T, c cloud) {
		_, err := c.get("s", "v9", "")
		wantCode(t, err, otherCode)
		_, err = c.get("absent", "v9", "")
		wantCode(t, err, noSecret)
	}},
	{"a pending deletion has another code for values", alibaba.Switches{PendingDeletionCode: noSecret}, func(t *testing.T, c cloud) {
		wantCode(t, c.deleteAfter("s", "7"), "")
		wantCode(t, c.put("s", "v2", "value"), noSecret)
		_, err := c.get("s", "", "")
		wantCode(t, err, noSecret)
		wantCode(t, c.update("s", "words"), inWindow) // this one is documented
	}},
	{"a managed secret refuses with another code", alibaba.Switches{WrongTypeCode: otherCode}, func(t *testing.T, c cloud) {
		seed := emulator.Secret{Ref: emulator.Ref{Region: region, Name: "m"}, Type: "Redis", Versions: []emulator.Version{{ID: "v1"}}}
		if err := c.server.Seed(seed); err != nil {
			t.Fatal(err)
		}
		wantCode(t, c.put("m", "v2", "value"), otherCode)
	}},
	{"an unusable key has another code", alibaba.Switches{UnusableKeyCode: otherCode}, func(t *testing.T, c cloud) {
		_, err := c.createWith("k", "value", func(r *kms.CreateSecretRequest) { r.EncryptionKeyId = emulator.ExampleKMSKeyID })
		wantCode(t, err, "")
		c.server.KMSKeys().Put(emulator.KMSKey{ID: emulator.ExampleKMSKeyID, Disabled: true})
		_, err = c.get("k", "", "")
		wantCode(t, err, otherCode)
	}},
	{"creating again succeeds if nothing differs", alibaba.Switches{IdempotentCreate: true}, func(t *testing.T, c cloud) {
		again := func(value string) error {
			_, err := c.createWith("s", value, func(r *kms.CreateSecretRequest) { r.Description = "ignored" })
			return err
		}
		wantCode(t, again("value"), "")
		wantCode(t, again("other"), exists)
		if got := c.stored(t, "s"); got.Description != "" || got.Versions[0].Text != "value" {
			t.Errorf("stored %+v", got)
		}
	}},
	{"a value can be empty", alibaba.Switches{EmptyValues: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.put("s", "v2", ""), "")
		wantCode(t, c.raw("PutSecretValue", map[string]string{"SecretName": "s", "VersionId": "v3"}), absent)
	}},
	{"a key must be named", alibaba.Switches{KeyRequired: true}, func(t *testing.T, c cloud) {
		_, err := c.createWith("k", "value", func(*kms.CreateSecretRequest) {})
		wantCode(t, err, "Forbidden.KeyNotFound")
	}},
	{"the default key is shown", alibaba.Switches{ShowDefaultKey: true}, func(t *testing.T, c cloud) {
		described, err := c.describe("s")
		wantCode(t, err, "")
		if described.EncryptionKeyId == "" {
			t.Error("it isn't")
		}
	}},
	{"the data type is compared", alibaba.Switches{CompareDataType: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.put("s", "v1", "value"), "")
		wantCode(t, c.putBinary("s", "v1", "value"), exists)
	}},
	{"the data type isn't compared", alibaba.Switches{}, func(t *testing.T, c cloud) {
		wantCode(t, c.putBinary("s", "v1", "value"), "")
	}},
	{"a repeat moves labels", alibaba.Switches{RepeatMovesLabels: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.put("s", "v2", "second"), "")
		wantCode(t, c.put("s", "v1", "value", "ACSCurrent", "Mine"), "")
		if got := c.layout(t, "s"); got != "v1:ACSCurrent+Mine v2:ACSPrevious" {
			t.Errorf("the repeat made it %s", got)
		}
	}},
	{"the id of an evicted version is taken", alibaba.Switches{EvictedIDsTaken: true}, func(t *testing.T, c cloud) {
		for i := 2; i <= 11; i++ {
			wantCode(t, c.put("s", fmt.Sprint("v", i), "value"), "")
		}
		wantCode(t, c.put("s", "v1", "value"), exists)
	}},
	{"version and label must fit together", alibaba.Switches{BothMustMatch: true}, func(t *testing.T, c cloud) {
		_, err := c.get("s", "v1", "ACSCurrent")
		wantCode(t, err, "")
		wantCode(t, c.put("s", "v2", "second"), "")
		_, err = c.get("s", "v1", "ACSCurrent")
		wantCode(t, err, noSecret)
	}},
	{"a rotation takes its time", alibaba.Switches{RotationSeconds: 60, RotatingCode: inUse}, func(t *testing.T, c cloud) {
		_, err := c.createManaged(managedExamples["a RAM user"], nil)
		wantCode(t, err, "")
		name := c.server.List("", region)[0].Name
		wantCode(t, c.rotate(name, "v2"), "")
		wantCode(t, c.rotate(name, "v2"), "")
		wantCode(t, c.rotate(name, "v3"), inUse)
	}},
	{"a failure shows in a schedule only", alibaba.Switches{QuietFailures: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.deleteNow("s"), "")
		_, err := c.createManaged(managedExamples["one database account"], nil)
		wantCode(t, err, "")
		emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Drop, Operation: "Rotation"})
		wantCode(t, c.rotate("s", "v2"), "")
		if got := c.rotation(t); got != "Disabled" {
			t.Errorf("it shows as %s", got)
		}
		wantCode(t, c.schedule("s", "true", "7d"), "")
		wantCode(t, c.rotate("s", "v2"), "")
		if got := c.rotation(t); got != "Invalid" {
			t.Errorf("it shows as %s", got)
		}
	}},
	{"a RAM user has one secret", alibaba.Switches{RAMNameOfUser: true}, func(t *testing.T, c cloud) {
		created, err := c.createManaged(managedExamples["a RAM user"], nil)
		wantCode(t, err, "")
		if created.SecretName != "acs/ram/user/deploy" {
			t.Errorf("its name is %s", created.SecretName)
		}
		_, err = c.createManaged(managedExamples["a RAM user"], nil)
		wantCode(t, err, exists)
	}},
	{"rotations have another limit", alibaba.Switches{RotationLimit: 1}, func(t *testing.T, c cloud) {
		_, err := c.createManaged(managedExamples["a RAM user"], nil)
		wantCode(t, err, "")
		name := c.server.List("", region)[0].Name
		wantCode(t, c.rotate(name, "v2"), "")
		wantCode(t, c.rotate(name, "v3"), "Rejected.Throttling")
	}},
	{"the time is that of the version", alibaba.Switches{VersionCreateTime: true}, func(t *testing.T, c cloud) {
		c.server.Clock().SetOffset(time.Minute)
		wantCode(t, c.put("s", "v2", "second"), "")
		second, err := c.get("s", "v2", "")
		wantCode(t, err, "")
		first, err := c.get("s", "v1", "")
		wantCode(t, err, "")
		if first.CreateTime == second.CreateTime {
			t.Errorf("both were made at %s", first.CreateTime)
		}
	}},
	{"a secret that is to be deleted can be read", alibaba.Switches{ReadableInWindow: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.deleteAfter("s", "7"), "")
		_, err := c.get("s", "", "")
		wantCode(t, err, "")
		wantCode(t, c.put("s", "v2", "value"), inWindow)
	}},
	{"a secret that is to be deleted can be deleted at once", alibaba.Switches{ForceInWindow: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.deleteAfter("s", "7"), "")
		wantCode(t, c.deleteAfter("s", "7"), inWindow)
		wantCode(t, c.deleteNow("s"), "")
		c.create(t, "s", "the name is free")
	}},
	{"force and a window exclude each other", alibaba.Switches{StrictForce: true}, func(t *testing.T, c cloud) {
		both := kms.CreateDeleteSecretRequest()
		both.SecretName, both.ForceDeleteWithoutRecovery, both.RecoveryWindowInDays = "s", "true", "30"
		_, err := c.DeleteSecret(both)
		wantCode(t, err, wrong)
		wantCode(t, c.deleteNow("s"), "")
	}},
	{"a deleted secret holds its name for a while", alibaba.Switches{DeletionLag: 3600}, func(t *testing.T, c cloud) {
		wantCode(t, c.deleteNow("s"), "")
		_, err := c.createWith("s", "value", func(*kms.CreateSecretRequest) {})
		wantCode(t, err, inWindow)
		c.server.Clock().SetOffset(2 * time.Hour)
		if _, there := c.server.Inspect(region, "s"); there {
			t.Error("the secret is there after the lag")
		}
	}},
	{"an empty description changes nothing", alibaba.Switches{KeepsEmptyDescription: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.update("s", "words"), "")
		wantCode(t, c.update("s", ""), "")
		if got := c.stored(t, "s").Description; got != "words" {
			t.Errorf("the description is %q", got)
		}
	}},
}

// callSwitchTests are the tests of switches for calls, lists, tags and limits.
var callSwitchTests = []switchTest{
	{"an expired token has another code", alibaba.Switches{TokenExpiredCode: true}, func(t *testing.T, c cloud) {
		a := emulator.Account{AccessKeyID: "STS.x", AccessKeySecret: "x", SecurityToken: "t", TokenExpires: time.Now().Add(-time.Hour)}
		_, err := c.as(t, a, region).get("s", "", "")
		wantCode(t, err, "InvalidSecurityToken.Expired")
	}},
	{"a call from another time has another code", alibaba.Switches{TimestampExpiredCode: true}, func(t *testing.T, c cloud) {
		c.server.Clock().SetOffset(time.Hour)
		_, err := c.get("s", "", "")
		wantCode(t, err, "InvalidTimeStamp.Expired")
	}},
	{"a denial has details", alibaba.Switches{AccessDeniedDetail: true}, func(t *testing.T, c cloud) {
		_, err := c.as(t, emulator.Account{AccessKeyID: "a", AccessKeySecret: "x", Denied: []string{"*"}}, region).get("s", "", "")
		var failure *alierrors.ServerError
		if !errors.As(err, &failure) || failure.AccessDeniedDetail()["AuthAction"] != "kms:GetSecretValue" {
			t.Errorf("the denial is %v", err)
		}
	}},
	{"a nonce must be given", alibaba.Switches{NonceRequired: true}, func(t *testing.T, c cloud) {
		w := newWire()
		w.query["Timestamp"] = stamp(time.Now().UTC())
		delete(w.query, "SignatureNonce")
		wantAnswer(t, c.server, w.request(), absent)
	}},
	{"a region must be given", alibaba.Switches{RegionRequired: true}, func(t *testing.T, c cloud) {
		w := newWire()
		w.query["Timestamp"] = stamp(time.Now().UTC())
		delete(w.query, "RegionId")
		wantAnswer(t, c.server, w.request(), absent)
	}},
	{"the service isn't activated", alibaba.Switches{AccountStatus: "NotEnabled"}, refusing("Forbidden.KmsServiceNotEnabled")},
	{"the account is in debt", alibaba.Switches{AccountStatus: "InDebt"}, refusing("Forbidden.InDebt")},
	{"the account is suspended", alibaba.Switches{AccountStatus: "Suspended"}, refusing("Forbidden.InDebtOverdue")},
	{"the newest come first", alibaba.Switches{NewestFirst: true}, func(t *testing.T, c cloud) {
		c.seedFour(t)
		wantCode(t, c.deleteNow("s"), "")
		if got, _, err := c.list("", "", ""); got != "database app-a app-b web-a" {
			t.Errorf("listed %q, %v", got, err)
		}
		c.create(t, "s", "value")
		wantCode(t, c.put("s", "v2", "value"), "")
		answer, err := c.versions("s")
		wantCode(t, err, "")
		if answer.VersionIds.VersionId[0].VersionId != "v2" {
			t.Errorf("versions are %+v", answer.VersionIds)
		}
	}},
	{"filters match parts", alibaba.Switches{FilterContains: true}, func(t *testing.T, c cloud) {
		c.seedFour(t)
		if got, _, err := c.list(`[{"Key":"SecretName","Values":["p-a"]},{"Key":"TagKey","Values":["tea"]}]`, "", ""); got != "" {
			t.Errorf("listed %q, %v", got, err)
		}
		if got, _, err := c.list(`[{"Key":"SecretName","Values":["p-"]}]`, "", ""); got != "app-a app-b" {
			t.Errorf("listed %q, %v", got, err)
		}
	}},
	{"one filter is enough", alibaba.Switches{FiltersOr: true}, func(t *testing.T, c cloud) {
		c.seedFour(t)
		if got, _, err := c.list(`[{"Key":"SecretName","Values":["app-a"]},{"Key":"TagValue","Values":["x"]}]`, "", ""); got != "app-a app-b" {
			t.Errorf("listed %q, %v", got, err)
		}
		if _, answer, err := c.list("", "", ""); answer.TotalCount != 5 {
			t.Errorf("without filters listed %d, %v", answer.TotalCount, err)
		}
	}},
	{"tags can be anything", alibaba.Switches{LooseTags: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.tag("s", `[{"TagKey":"é","TagValue":""}]`), "")
		wantCode(t, c.tag("s", `[{"TagKey":"k","TagValue":"a b"}]`), wrong)
	}},
	{"a tag isn't replaced", alibaba.Switches{TagsNotReplaced: true}, func(t *testing.T, c cloud) {
		wantCode(t, c.tag("s", `[{"TagKey":"k","TagValue":"a"}]`), "")
		wantCode(t, c.tag("s", `[{"TagKey":"k","TagValue":"a"}]`), "")
		wantCode(t, c.tag("s", `[{"TagKey":"k","TagValue":"b"}]`), wrong)
	}},
	{"ten tags are the limit, with another code", alibaba.Switches{TagLimit: 10, TagLimitCode: wrong}, func(t *testing.T, c cloud) {
		wantCode(t, c.tag("s", tagsText(10)), "")
		wantCode(t, c.tag("s", `[{"TagKey":"more","TagValue":"v"}]`), wrong)
	}},
	{"too many labels have another code", alibaba.Switches{LabelLimitCode: wrong}, func(t *testing.T, c cloud) {
		for i := range 7 {
			wantCode(t, c.stage("s", fmt.Sprint("label", i), "v1", ""), "")
		}
		wantCode(t, c.stage("s", "more", "v1", ""), wrong)
	}},
	{"names have 64 characters", alibaba.Switches{NameLimit: 64}, func(t *testing.T, c cloud) {
		c.create(t, strings.Repeat("n", 64), "value")
		_, err := c.createWith(strings.Repeat("n", 65), "value", func(*kms.CreateSecretRequest) {})
		wantCode(t, err, wrong)
	}},
	{"the number of secrets is limited per region", alibaba.Switches{SecretLimit: 2}, func(t *testing.T, c cloud) {
		c.create(t, "second", "value")
		wantCode(t, c.deleteAfter("second", "7"), "") // counts until it is gone
		_, err := c.createWith("third", "value", func(*kms.CreateSecretRequest) {})
		wantCode(t, err, tooMany)
		c.as(t, emulator.ExampleAccount(), "cn-beijing").create(t, "third", "value")
	}},
	{"a page of versions is shorter", alibaba.Switches{VersionPage: 1}, func(t *testing.T, c cloud) {
		wantCode(t, c.put("s", "v2", "value"), "")
		answer, err := c.versions("s")
		wantCode(t, err, "")
		if len(answer.VersionIds.VersionId) != 1 || answer.PageSize != 1 {
			t.Errorf("listed %+v", answer)
		}
	}},
}

func refusing(want string) func(*testing.T, cloud) {
	return func(t *testing.T, c cloud) {
		_, err := c.get("s", "", "")
		wantCode(t, err, want)
		status, err := c.DescribeAccountKmsStatus(kms.CreateDescribeAccountKmsStatusRequest())
		wantCode(t, err, "")
		if status.AccountStatus == "Enabled" {
			t.Error("the account says that it is enabled")
		}
		_, err = c.regions()
		wantCode(t, err, "")
	}
}

func (c cloud) putBinary(name, versionID, value string) error {
	r := kms.CreatePutSecretValueRequest()
	r.SecretName, r.VersionId, r.SecretDataType, r.FormParams["SecretData"] = name, versionID, "binary", value
	_, err := c.PutSecretValue(r)
	return err
}

func TestSwitchesChooseWhatIsNotDocumented(t *testing.T) {
	t.Parallel()
	for _, test := range append(switchTests, callSwitchTests...) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, alibaba.Options{})
			c.create(t, "s", "value")
			if err := c.server.Switch(test.switches); err != nil {
				t.Fatal(err)
			}
			test.check(t, c)
		})
	}
}

func TestEverySwitchIsTested(t *testing.T) {
	t.Parallel()
	tested := make(map[string]bool)
	for _, test := range append(switchTests, callSwitchTests...) {
		v := reflect.ValueOf(test.switches)
		for i := range v.NumField() {
			tested[v.Type().Field(i).Name] = tested[v.Type().Field(i).Name] || !v.Field(i).IsZero()
		}
	}
	for name, done := range tested {
		if !done {
			t.Errorf("no test sets %s", name)
		}
	}
}

func TestSwitchesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	for name, bad := range map[string]string{
		"an unknown switch":    `{"volume":11}`,
		"an unknown code":      `{"version_conflict_code":"Nobody.KnowsIt"}`,
		"an unknown status":    `{"account_status":"Rich"}`,
		"a negative limit":     `{"tag_limit":-1}`,
		"a negative lag":       `{"deletion_lag":-1}`,
		"what isn't an object": `[]`,
	} {
		if err := server.SetSwitches(json.RawMessage(bad)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := server.SetSwitches(json.RawMessage(`{"tag_limit":10,"wrong_type_code":"UnsupportedOperation"}`)); err != nil {
		t.Error(err)
	}
	if got := string(server.Switches()); got != `{"wrong_type_code":"UnsupportedOperation","tag_limit":10}` {
		t.Errorf("the switches are %s", got)
	}
	if _, err := alibaba.New(alibaba.Options{Switches: alibaba.Switches{AccountStatus: "Rich"}}); err == nil {
		t.Error("a server was made with them")
	}
}
