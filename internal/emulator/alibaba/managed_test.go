// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// managedExample is how one kind of managed secret is created.
type managedExample struct{ kind, name, config, data string }

// managedExamples are by type and sub-type.
var managedExamples = map[string]managedExample{
	"one database account": {
		"Rds", "s", `{"SecretSubType":"SingleUser","DBInstanceId":"rm-1"}`,
		`{"Accounts":[{"AccountName":"app","AccountPassword":"first"}]}`,
	},
	"two database accounts": {
		"Rds", "s", `{"SecretSubType":"DoubleUsers","DBInstanceId":"rm-1","CustomData":{"team":"a"}}`,
		`{"Accounts":[{"AccountName":"app","AccountPassword":"first"},{"AccountName":"app2","AccountPassword":"second"}]}`,
	},
	"a database account whose second is made": {
		"Rds", "s", `{"SecretSubType":"DoubleUsers","DBInstanceId":"rm-1"}`,
		`{"Accounts":[{"AccountName":"app","AccountPassword":"first"}]}`,
	},
	"a RAM user": {
		"RAMCredentials", "$Auto", `{"SecretSubType":"RamUserAccessKey","UserName":"deploy"}`,
		`{"AccessKeys":[{"AccessKeyId":"LTAI1","AccessKeySecret":"first"}]}`,
	},
	"a server's password": {
		"ECS", "acs/ecs/s", `{"SecretSubType":"Password","RegionId":"cn-hangzhou","InstanceId":"i-1"}`,
		`{"UserName":"root","Password":"first"}`,
	},
	"a server's key": {
		"ECS", "acs/ecs/s", `{"SecretSubType":"SSHKey","RegionId":"cn-hangzhou","InstanceId":"i-1"}`,
		`{"UserName":"root","PublicKey":"first","PrivateKey":"first"}`,
	},
	"a Redis account": {
		"Redis", "s", `{"SecretSubType":"DoubleUsers","RegionId":"cn-hangzhou","InstanceId":"r-1","AccountName":"app",` +
			`"CloneAccountName":"app_clone","AccountPrivilege":"RoleReadWrite"}`, "$Auto",
	},
	"a PolarDB account": {
		"PolarDB", "s", `{"SecretSubType":"DoubleUsers","RegionId":"cn-hangzhou","DBClusterId":"pc-1","DBType":"MySQL","AccountName":"app"}`, "$Auto",
	},
	"a PolarDB account with a named clone": {
		"PolarDB", "s", `{"SecretSubType":"DoubleUsers","RegionId":"cn-hangzhou","DBClusterId":"pc-1","DBType":"PostgreSQL","AccountName":"app",` +
			`"CloneAccountName":"other"}`, "$Auto",
	},
}

// createManaged creates an example; set changes the request before.
func (c cloud) createManaged(e managedExample, set func(*kms.CreateSecretRequest)) (*kms.CreateSecretResponse, error) {
	return c.createWith(e.name, e.data, func(r *kms.CreateSecretRequest) {
		r.SecretType, r.ExtendedConfig = e.kind, e.config
		if set != nil {
			set(r)
		}
	})
}

func scheduled(interval string) func(*kms.CreateSecretRequest) {
	return func(r *kms.CreateSecretRequest) { r.EnableAutomaticRotation, r.RotationInterval = "true", interval }
}

func (c cloud) rotate(name, versionID string) error {
	r := kms.CreateRotateSecretRequest()
	r.SecretName, r.VersionId = name, versionID
	_, err := c.RotateSecret(r)
	return err
}

func (c cloud) schedule(name, enabled, interval string) error {
	r := kms.CreateUpdateSecretRotationPolicyRequest()
	r.SecretName, r.RotationInterval = name, interval
	r.QueryParams["EnableAutomaticRotation"] = enabled
	_, err := c.UpdateSecretRotationPolicy(r)
	return err
}

// value is the login that a label marks; the current one for "".
func (c cloud) value(t *testing.T, name, label string) map[string]string {
	t.Helper()
	got, err := c.get(name, "", label)
	wantCode(t, err, "")
	var parts map[string]string
	if err := json.Unmarshal([]byte(got.SecretData), &parts); err != nil {
		t.Fatalf("%q: %v", got.SecretData, err)
	}
	return parts
}

func TestManagedSecretsAreCreatedByType(t *testing.T) {
	t.Parallel()
	for what, e := range managedExamples {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := start(t, alibaba.Options{})
			created, err := c.createManaged(e, scheduled("7d"))
			wantCode(t, err, "")
			if created.SecretType != e.kind || created.AutomaticRotation != "Enabled" || created.RotationInterval != "604800s" ||
				created.NextRotationDate == "" || !strings.Contains(created.ExtendedConfig, `"SecretSubType"`) || created.VersionId != "v1" {
				t.Errorf("created %+v", created)
			}
			if e.name == "$Auto" && !strings.HasPrefix(created.SecretName, "acs/ram/user/deploy") || e.name != "$Auto" && created.SecretName != e.name {
				t.Errorf("the name is %q", created.SecretName)
			}
			described, err := c.describe(created.SecretName)
			wantCode(t, err, "")
			if described.AutomaticRotation != "Enabled" || described.RotationInterval != "604800s" || described.LastRotationDate != "" ||
				described.ExtendedConfig != created.ExtendedConfig || described.NextRotationDate != created.NextRotationDate {
				t.Errorf("described %+v", described)
			}
			first := c.value(t, created.SecretName, "")
			wantCode(t, c.rotate(created.SecretName, "next"), "")
			second := c.value(t, created.SecretName, "")
			if fmt.Sprint(first) == fmt.Sprint(second) || len(first) != len(second) {
				t.Errorf("rotation made %v of %v", second, first)
			}
			if before := c.value(t, created.SecretName, "ACSPrevious"); fmt.Sprint(before) != fmt.Sprint(first) {
				t.Errorf("the previous value is %v, it was %v", before, first)
			}
			got, err := c.get(created.SecretName, "", "")
			wantCode(t, err, "")
			if got.VersionId != "next" || got.LastRotationDate == "" || got.AutomaticRotation != "Enabled" || got.ExtendedConfig != "" {
				t.Errorf("read %+v", got)
			}
		})
	}
}

func TestRotationTurnsToTheOtherAccount(t *testing.T) {
	t.Parallel()
	for what, want := range map[string][]string{
		"one database account":                    {"app", "app", "app", "app"},
		"two database accounts":                   {"app", "app2", "app", "app2"},
		"a database account whose second is made": {"app", "app_clone", "app", "app_clone"},
		"a Redis account":                         {"app", "app_clone", "app", "app_clone"},
		"a PolarDB account":                       {"app", "app_clone", "app", "app_clone"},
		"a PolarDB account with a named clone":    {"app", "other", "app", "other"},
	} {
		c := start(t, alibaba.Options{})
		_, err := c.createManaged(managedExamples[what], nil)
		wantCode(t, err, "")
		for i, account := range want {
			if got := c.value(t, "s", "")["AccountName"]; got != account {
				t.Errorf("%s: after %d rotations it is %s, want %s", what, i, got, account)
			}
			wantCode(t, c.rotate("s", fmt.Sprint("r", i)), "")
		}
	}
}

func TestACreationThatIsWrongIsRefused(t *testing.T) {
	t.Parallel()
	type request = kms.CreateSecretRequest
	config := func(text string) func(*request) { return func(r *request) { r.ExtendedConfig = text } }
	data := func(text string) func(*request) { return func(r *request) { r.FormParams["SecretData"] = text } }
	tests := []struct {
		name, example string
		set           func(*request)
		want          string
	}{
		{"no config", "one database account", config(""), absent},
		{"a config that isn't JSON", "one database account", config("x"), wrong},
		{"a config without the sub-type", "one database account", config(`{"DBInstanceId":"rm-1"}`), wrong},
		{"a sub-type of another type", "one database account", config(`{"SecretSubType":"SSHKey","DBInstanceId":"rm-1"}`), wrong},
		{"a config without the instance", "one database account", config(`{"SecretSubType":"SingleUser"}`), wrong},
		{"a config with an unknown member", "one database account", config(`{"SecretSubType":"SingleUser","DBInstanceId":"rm-1","X":"y"}`), wrong},
		{"a config above 1024 characters", "one database account", config(`{"SecretSubType":"SingleUser","DBInstanceId":"` + strings.Repeat("x", 1024) + `"}`), wrong},
		{"custom data that aren't an object", "one database account", config(`{"SecretSubType":"SingleUser","DBInstanceId":"rm-1","CustomData":"x"}`), wrong},
		{"custom data of eleven pairs", "one database account", config(`{"SecretSubType":"SingleUser","DBInstanceId":"rm-1","CustomData":{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","a":"","b":""}}`), wrong},
		{"a database type that there isn't", "a PolarDB account", config(`{"SecretSubType":"DoubleUsers","RegionId":"r","DBClusterId":"pc-1","DBType":"Oracle","AccountName":"app"}`), wrong},
		{"Redis without the name of the clone", "a Redis account", config(`{"SecretSubType":"DoubleUsers","RegionId":"r","InstanceId":"i","AccountName":"app","AccountPrivilege":"p"}`), wrong},
		{"a value of another shape", "one database account", data(`{"UserName":"root","Password":"first"}`), wrong},
		{"a value that isn't JSON", "a server's password", data("x"), wrong},
		{"no value", "one database account", func(r *request) { delete(r.FormParams, "SecretData") }, absent},
		{"two accounts for a single user", "one database account", data(managedExamples["two database accounts"].data), wrong},
		{"three pairs of keys", "a RAM user", data(`{"AccessKeys":[{"AccessKeyId":"1","AccessKeySecret":"1"},{"AccessKeyId":"2","AccessKeySecret":"2"},{"AccessKeyId":"3","AccessKeySecret":"3"}]}`), wrong},
		{"an account without a password", "one database account", data(`{"Accounts":[{"AccountName":"app"}]}`), wrong},
		{"a value where the service makes it", "a Redis account", data(`{"AccountName":"app","AccountPassword":"x"}`), wrong},
		{"binary data", "one database account", func(r *request) { r.SecretDataType = "binary" }, wrong},
		{"a name of the service's own", "one database account", func(r *request) { r.SecretName = "acs/x" }, wrong},
		{"a name for RAM", "a RAM user", func(r *request) { r.SecretName = "s" }, wrong},
		{"a name without the prefix", "a server's key", func(r *request) { r.SecretName = "s" }, wrong},
		{"a name that is the prefix", "a server's key", func(r *request) { r.SecretName = "acs/ecs/" }, wrong},
		{"a schedule without an interval", "one database account", func(r *request) { r.EnableAutomaticRotation = "true" }, absent},
		{"an interval without a unit", "one database account", scheduled("604800"), wrong},
		{"an interval of weeks", "one database account", scheduled("1w"), wrong},
		{"an interval below six hours", "one database account", scheduled("21599s"), wrong},
		{"an interval of six hours", "one database account", scheduled("360m"), ""},
		{"an interval of a year", "one database account", scheduled("8760h"), ""},
		{"an interval above a year", "one database account", scheduled("366d"), wrong},
		{"an interval that overflows", "one database account", scheduled("9223372036854775807d"), wrong},
		{"an interval without a schedule is ignored", "one database account", func(r *request) { r.RotationInterval = "1w" }, ""},
		{"a policy without an instance", "one database account", func(r *request) { r.Policy = "{}" }, wrong},
		{"a tag of the service's own", "one database account", func(r *request) { r.Tags = `[{"TagKey":"acs:k","TagValue":"v"}]` }, wrong},
		{"an unknown key", "one database account", func(r *request) { r.EncryptionKeyId = "key-nobody" }, "Forbidden.KeyNotFound"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, alibaba.Options{})
			_, err := c.createManaged(managedExamples[test.example], test.set)
			wantCode(t, err, test.want)
			if made := len(c.server.List("", region)); (made == 1) != (test.want == "") {
				t.Errorf("%d secrets are there", made)
			}
		})
	}
}

func TestManagedNamesAreTakenLikeOthers(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	e := managedExamples["one database account"]
	c.create(t, "s", "generic")
	_, err := c.createManaged(e, nil)
	wantCode(t, err, exists)
	wantCode(t, c.deleteAfter("s", "7"), "")
	_, err = c.createManaged(e, nil)
	wantCode(t, err, inWindow)
}

func TestTheFirstSecretOfATypeNeedsThePermissionForItsRole(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	limited := emulator.ExampleAccount()
	limited.AccessKeyID, limited.Denied = "limited", []string{"CreateServiceLinkedRole"}
	theirs := c.as(t, limited, region)
	_, err := theirs.createManaged(managedExamples["one database account"], nil)
	wantCode(t, err, "Forbidden.NoPermission")
	_, err = theirs.createManaged(managedExamples["a Redis account"], nil)
	wantCode(t, err, "") // no role is documented for it
	wantCode(t, c.deleteNow("s"), "")
	_, err = c.createManaged(managedExamples["one database account"], nil)
	wantCode(t, err, "")
	_, err = theirs.createManaged(managedExamples["one database account"], func(r *kms.CreateSecretRequest) { r.SecretName = "t" })
	wantCode(t, err, "")
}

func TestCustomDataCanBeChanged(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	_, err := c.createManaged(managedExamples["two database accounts"], nil)
	wantCode(t, err, "")
	for parameter, text := range map[string]string{"ExtendedConfig.CustomData": `{"team":"b"}`, "ExtendedConfig": `{"CustomData":{"team":"c"}}`} {
		wantCode(t, c.raw("UpdateSecret", map[string]string{"SecretName": "s", parameter: text}), "")
		described, err := c.describe("s")
		wantCode(t, err, "")
		var config struct{ CustomData, SecretSubType any }
		if err := json.Unmarshal([]byte(described.ExtendedConfig), &config); err != nil || !strings.Contains(text, fmt.Sprint(config.CustomData)[8:9]) || config.SecretSubType != "DoubleUsers" {
			t.Errorf("after %s the config is %s", text, described.ExtendedConfig)
		}
	}
	for _, bad := range []string{`[]`, `x`, `{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","a":"","b":""}`} {
		wantCode(t, c.raw("UpdateSecret", map[string]string{"SecretName": "s", "ExtendedConfig.CustomData": bad}), wrong)
	}
	wantCode(t, c.raw("UpdateSecret", map[string]string{"SecretName": "s", "ExtendedConfig": `{"DBInstanceId":"rm-2"}`}), wrong)
	wantCode(t, c.update("s", "words"), "") // leaves them alone
	if described, _ := c.describe("s"); !strings.Contains(described.ExtendedConfig, "team") {
		t.Errorf("the config is %s", described.ExtendedConfig)
	}
}

func TestManagedSecretsAreListedByType(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	for _, what := range []string{"one database account", "a RAM user"} {
		_, err := c.createManaged(managedExamples[what], nil)
		wantCode(t, err, "")
	}
	for filter, want := range map[string]string{"Rds": "s", "RDS": "s", "Generic": ""} { // both spellings are in the documentation
		if got, _, err := c.list(`[{"Key":"SecretType","Values":["`+filter+`"]}]`, "", ""); got != want || err != nil {
			t.Errorf("%s: listed %q, %v", filter, got, err)
		}
	}
}

func TestASeededManagedSecretRotatesToo(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Rds", "RAMCredentials", "ECS", "Redis", "PolarDB"} {
		c := start(t, alibaba.Options{})
		emulatortest.Seed(t, c.server, emulator.Secret{Ref: emulator.Ref{Region: region, Name: "s"}, Type: kind, Versions: []emulator.Version{{ID: "v1", Text: "x"}}})
		wantCode(t, c.rotate("s", "v2"), "")
		if got := c.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" {
			t.Errorf("%s: it is %s", kind, got)
		}
	}
}
