// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

func TestAServerOnTheSameFilesHasTheSameState(t *testing.T) {
	t.Parallel()
	options := huawei.Options{Options: emulator.Options{DataDir: filepath.Join(t.TempDir(), "csms")}}
	c := start(t, options)
	names := []string{"s", "S", strings.Repeat("n", 64), "managed", "deleting", "deleted"}
	for _, name := range names {
		c.create(t, name, "value of "+name)
	}
	for i := range 21 {
		want(t, c.put("s", fmt.Sprint(i)), ok)
	}
	want(t, c.update("s", model.UpdateSecretRequestBody{Description: p("words"), KmsKeyId: p(emulator.ExampleKMSKeyID)}), ok)
	want(t, c.mark("s", "custom", "v22"), ok)
	want(t, c.expire("s", "v22", 9999999999000), ok)
	want(t, c.tag(c.id("s"), "k", "v"), ok)
	_, err := c.schedule("deleting", 7)
	want(t, err, ok)
	want(t, c.remove("deleted"), ok)
	seed(t, c.server, emulator.Secret{
		Ref: ref("managed"), Type: "RDS-FG", State: "FROZEN", Versions: []emulator.Version{{ID: "v7", Binary: []byte{0, 255}}},
	})
	elsewhere := emulator.Ref{Region: huawei.OtherExampleProjectID, Name: "s"}
	seed(t, c.server, emulator.Secret{Ref: elsewhere, Description: "elsewhere"})

	again, endpoint := emulatortest.Huawei(t, options)
	fresh := cloud{clientFor(t, endpoint, emulator.ExampleAccount(), project), again, endpoint}
	emulatortest.WantRestarted(t, c.server.List("", project), again.List("", project), len(names)-1)
	if other, found := again.Find(elsewhere); !found || other.Description != "elsewhere" {
		t.Errorf("the other project has %+v", other)
	}
	for _, name := range names[:5] {
		old, err := c.show(name)
		want(t, err, ok)
		shown, err := fresh.show(name)
		want(t, err, ok)
		if old.String() != shown.String() {
			t.Errorf("the new server shows %s, the old one %s", shown, old)
		}
	}
	made, err := fresh.putWith("s", model.CreateSecretVersionRequestBody{SecretString: p("next")})
	want(t, err, ok)
	if *made.Id != "v23" || *made.KmsKeyId != emulator.ExampleKMSKeyID {
		t.Errorf("the next version is %s", made)
	}
}

func TestAChangeThatCannotBeStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "csms")
	c := start(t, huawei.Options{Options: emulator.Options{DataDir: dir}})
	c.create(t, "s", "value")
	_, err := c.createWith(single("managed"))
	want(t, err, ok)
	id := c.id("s")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	const internal = "Internal Server Error KMS.0101"
	want(t, c.put("s", "second"), internal)
	want(t, c.tag(id, "k", "v"), internal)
	want(t, c.expire("s", "v1", 9999999999000), internal)
	_, err = c.schedule("s", 7)
	want(t, err, internal)
	_, err = c.rotate("managed")
	want(t, err, internal)
	agencies := model.CreateAgencyRequestBody{SecretType: model.GetCreateAgencyRequestBodySecretTypeEnum().RDS_FG}
	_, err = c.CreateAgency(&model.CreateAgencyRequest{Body: &agencies})
	want(t, err, internal)
	granted, err := c.ShowAgency(&model.ShowAgencyRequest{SecretType: model.GetShowAgencyRequestSecretTypeEnum().RDS_FG})
	if err != nil || *granted.AgencyGranted != "false" || c.marks(t, "managed") != "v1:SYSCURRENT" || c.tasks(t, "managed") != "" {
		t.Errorf("the refused rotation shows: %s, %s, agencies %v, %v", c.marks(t, "managed"), c.tasks(t, "managed"), granted, err)
	}
	_, err = c.createWith(model.CreateSecretRequestBody{Name: "new", SecretString: p("x")})
	want(t, err, internal)
	if got, err := c.get("s", "v1"); err != nil || got.VersionMetadata.ExpireTime != nil {
		t.Errorf("the refused expiry shows: %v, %v", got, err)
	}
	stored := c.server.List("", project)
	if len(stored) != 2 || len(stored[1].Versions) != 1 || len(stored[1].Tags) != 0 || stored[1].State != "ENABLED" {
		t.Errorf("the refused changes show: %v", stored)
	}
}

func TestASeedThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	server := atNoon(t, huawei.Switches{})
	tests := map[string]emulator.Secret{
		"an unknown state":                   {Ref: ref("seed"), State: "Lost"},
		"a deletion without a time":          {Ref: ref("seed"), State: "PENDING_DELETE"},
		"a deletion time without a deletion": {Ref: ref("seed"), DeletionTime: noon},
		"an unknown project":                 {Ref: emulator.Ref{Region: "cn-north-4", Name: "seed"}},
		"an illegal name":                    {Ref: ref("a/b")},
		"a version without a number":         {Ref: ref("seed"), Versions: []emulator.Version{{ID: "first"}}},
		"a version number with a zero":       {Ref: ref("seed"), Versions: []emulator.Version{{ID: "v01"}}},
		"versions in the wrong order":        {Ref: ref("seed"), Versions: []emulator.Version{{ID: "v2"}, {ID: "v1"}}},
	}
	emulatortest.WantSeedsRefused(t, server, tests)
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]huawei.Options{
		"a project in upper case":  {Projects: []string{strings.ToUpper(project)}},
		"a region for a project":   {Projects: []string{"cn-north-4"}},
		"an unknown shape":         {Switches: huawei.Switches{ErrorShape: "round"}},
		"a success for a refusal":  {Switches: huawei.Switches{ExistsStatus: 200}},
		"an odd shape of a value":  {Switches: huawei.Switches{ManagedValue: "round"}},
		"a negative limit":         {Switches: huawei.Switches{VersionLimit: -1}},
		"an account without a key": {Options: emulator.Options{Accounts: []emulator.Account{{AccessKeyID: "x"}}}},
	} {
		if _, err := huawei.New(options); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	server := atNoon(t, huawei.Switches{})
	for _, bad := range []string{`{"volume":11}`, `{"error_shape":"round"}`, `{"value_limit":1}{}`} {
		if err := server.SetSwitches([]byte(bad)); err == nil {
			t.Errorf("the switches %s were taken", bad)
		}
	}
	if err := server.SetSwitches([]byte(`{"value_limit":65536,"dot_in_name":true}`)); err != nil {
		t.Error(err)
	}
	if got := string(server.Switches()); got != `{"dot_in_name":true,"value_limit":65536}` {
		t.Errorf("the switches are %s", got)
	}
}
