// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

const (
	functionURN = "urn:fss:cn-north-4:" + project + ":function:default:rotate:latest"
	oneUser     = `{"users":[{"name":"app","password":"first"}]}`
	twoUsers    = `{"users":[{"name":"app","password":"first"},{"name":"app_clone","password":"second"}]}`

	badRequest = "Bad Request CSMS.0003"
	rotating   = "Bad Request CSMS.0110"
)

func configOf(subType string) *string {
	return p(`{"InstanceId":"rds-1","SecretSubType":"` + subType + `"}`)
}

// single is a managed secret for one account, that is rotated by request.
func single(name string) model.CreateSecretRequestBody {
	return model.CreateSecretRequestBody{
		Name: name, SecretString: p(oneUser), SecretType: p(model.GetCreateSecretRequestBodySecretTypeEnum().RDS_FG),
		RotationConfig: configOf("SingleUser"), RotationFuncUrn: p(functionURN),
	}
}

// double is one for two accounts.
func double(name string) model.CreateSecretRequestBody {
	body := single(name)
	body.SecretString, body.RotationConfig = p(twoUsers), configOf("MultiUser")
	return body
}

func everyPeriod(body model.CreateSecretRequestBody, every string) model.CreateSecretRequestBody {
	body.AutoRotation, body.RotationPeriod = p(true), &every
	return body
}

// managing is a cloud with the agencies and the managed secret s.
func managing(t *testing.T, switches huawei.Switches, body model.CreateSecretRequestBody) cloud {
	t.Helper()
	c := switched(t, switches)
	_, err := c.CreateAgency(&model.CreateAgencyRequest{Body: &model.CreateAgencyRequestBody{
		SecretType: model.GetCreateAgencyRequestBodySecretTypeEnum().RDS_FG,
	}})
	want(t, err, ok)
	_, err = c.createWith(body)
	want(t, err, ok)
	return c
}

func (c cloud) rotate(name string) (task string, err error) {
	answer, err := c.RotateSecret(&model.RotateSecretRequest{SecretName: name})
	if err != nil {
		return "", err
	}
	if answer.RotationTaskId == nil {
		return *answer.SecretName + " " + *answer.VersionId, nil
	}
	return *answer.RotationTaskId, nil
}

// tasks are the rotations of a secret in a line, as in "SUCCESS FAILED:code".
func (c cloud) tasks(t *testing.T, name string) string {
	t.Helper()
	answer, err := c.ListSecretTask(&model.ListSecretTaskRequest{SecretName: &name})
	want(t, err, ok)
	var shown []string
	for _, one := range *answer.Tasks {
		state := *one.TaskStatus
		if one.TaskErrorCode != nil {
			state += ":" + *one.TaskErrorCode
		}
		shown = append(shown, state)
	}
	return strings.Join(shown, " ")
}

// login is what a version of the secret s holds, as in "app:first".
func (c cloud) login(t *testing.T, version string) string {
	t.Helper()
	got, err := c.get("s", version)
	want(t, err, ok)
	var text string
	if got.SecretString != nil {
		text = *got.SecretString
	} else {
		decoded, err := base64.StdEncoding.DecodeString(*got.SecretBinary)
		want(t, err, ok)
		text = string(decoded)
	}
	var value struct {
		Users          []struct{ Name, Password string }
		Name, Password string
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	var logins []string
	for _, u := range value.Users {
		logins = append(logins, u.Name+":"+u.Password)
	}
	if value.Users == nil {
		logins = append(logins, value.Name+":"+value.Password)
	}
	return strings.Join(logins, " ")
}

// later lets the time pass by for what nobody has to call.
func (c cloud) later(d time.Duration) {
	c.server.Clock().Ahead(d, func() { c.server.List("", project) })
}

func (c cloud) rotates(t *testing.T, name string) {
	t.Helper()
	_, err := c.rotate(name)
	want(t, err, ok)
}

func TestAManagedCreationIsChecked(t *testing.T) {
	t.Parallel()
	c := switched(t, huawei.Switches{})
	with := func(change func(*model.CreateSecretRequestBody)) model.CreateSecretRequestBody {
		body := single("a")
		change(&body)
		return body
	}
	type body = model.CreateSecretRequestBody
	tests := []struct {
		name string
		body model.CreateSecretRequestBody
		want string
	}{
		{"one account", single("one"), ok},
		{"two accounts", double("two"), ok},
		{"an account alone", with(func(b *body) { b.Name, b.SecretString = "flat", p(`{"name":"app","password":"x"}`) }), ok},
		{"a schedule", everyPeriod(single("scheduled"), "21600s"), ok},
		{"the longest schedule", everyPeriod(single("long"), "365d"), ok},
		{"no function", with(func(b *body) { b.Name, b.RotationFuncUrn = "handless", nil }), ok},
		{"GaussDB", with(func(b *body) {
			b.Name, b.SecretType = "gauss", p(model.GetCreateSecretRequestBodySecretTypeEnum().GAUSS_DB_FG)
		}), ok},
		{"the legacy type", with(func(b *body) { want(t, b.SecretType.UnmarshalJSON([]byte(`"RDS"`)), ok) }), invalid},
		{"no config", with(func(b *body) { b.RotationConfig = nil }), invalid},
		{"a config that isn't JSON", with(func(b *body) { b.RotationConfig = p("{'InstanceId':'x'}") }), invalid},
		{"a config without an instance", with(func(b *body) { b.RotationConfig = p(`{"SecretSubType":"SingleUser"}`) }), invalid},
		{"an unknown sub-type", with(func(b *body) { b.RotationConfig = configOf("NoUser") }), invalid},
		{"a config that is too long", with(func(b *body) {
			b.RotationConfig = p(*configOf("SingleUser") + strings.Repeat(" ", 1000))
		}), invalid},
		{"a function that isn't a URN", with(func(b *body) { b.RotationFuncUrn = p("rotate") }), invalid},
		{"a schedule without a period", with(func(b *body) { b.AutoRotation = p(true) }), invalid},
		{"a schedule without a function", with(func(b *body) {
			b.AutoRotation, b.RotationPeriod, b.RotationFuncUrn = p(true), p("1d"), nil
		}), invalid},
		{"a period below 6 hours", everyPeriod(single("a"), "359m"), invalid},
		{"a period above a year", everyPeriod(single("a"), "8761h"), invalid},
		{"a period that overflows", everyPeriod(single("a"), "999999999d"), invalid},
		{"a period without a unit", everyPeriod(single("a"), "30"), invalid},
		{"a period in weeks", everyPeriod(single("a"), "1w"), invalid},
		{"a value that is no account", with(func(b *body) { b.SecretString = p("x") }), invalid},
		{"an account without a password", with(func(b *body) { b.SecretString = p(`{"users":[{"name":"app"}]}`) }), invalid},
		{"two accounts for one", with(func(b *body) { b.SecretString = p(twoUsers) }), invalid},
		{"one account for two", with(func(b *body) { b.RotationConfig = configOf("MultiUser") }), invalid},
		{"no value", with(func(b *body) { b.SecretString = nil }), invalid},
		{"rotation of a common secret", body{Name: "a", SecretString: p("x"), RotationConfig: configOf("SingleUser")}, invalid},
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

func TestTasksAreListedInPages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		switches huawei.Switches
		want     string
	}{
		{huawei.Switches{}, "2 of 3 then 1 of 3 then 0 of 3"},
		{huawei.Switches{EndMarkerEmpty: true, ListsDescending: true}, "2 of 3 then 1 of 3"},
	} {
		c := managing(t, test.switches, single("s"))
		_, err := c.createWith(single("other"))
		want(t, err, ok)
		for range 3 {
			c.rotates(t, "s")
			c.rotates(t, "other")
		}
		var pages, ids []string
		for marker := (*string)(nil); ; {
			answer, err := c.ListSecretTask(&model.ListSecretTaskRequest{SecretName: p("s"), Limit: p(int32(2)), Marker: marker})
			want(t, err, ok)
			pages = append(pages, fmt.Sprintf("%d of %d", len(*answer.Tasks), *answer.Total))
			for _, one := range *answer.Tasks {
				ids = append(ids, *one.TaskId)
			}
			if marker = answer.NextMarker; *marker == "" {
				break
			}
		}
		slices.Sort(ids)
		if got := strings.Join(pages, " then "); got != test.want || len(slices.Compact(ids)) != 3 {
			t.Errorf("the pages are %s with the ids %v, want %s", got, ids, test.want)
		}
		failed := model.GetListSecretTaskRequestStatusEnum().FAILED
		answer, err := c.ListSecretTask(&model.ListSecretTaskRequest{Status: &failed})
		want(t, err, ok)
		if len(*answer.Tasks) > 0 {
			t.Errorf("failed are %v", *answer.Tasks)
		}
		for _, bad := range []model.ListSecretTaskRequest{
			{TaskId: &ids[0], SecretName: p("s")}, {TaskId: p("x")}, {Limit: p(int32(1001))},
		} {
			_, err := c.ListSecretTask(&bad)
			want(t, err, invalid)
		}
	}
}

func TestAgenciesAndTemplates(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	kind := model.GetCreateAgencyRequestBodySecretTypeEnum()
	create := func() string {
		answer, err := c.CreateAgency(&model.CreateAgencyRequest{Body: &model.CreateAgencyRequestBody{SecretType: kind.RDS_FG}})
		want(t, err, ok)
		made := ""
		for _, a := range *answer.Agencies {
			if a.AgencyId != nil {
				made += fmt.Sprint(len(*a.AgencyId), " ")
			} else {
				made += *a.ErrorMsg + " "
			}
		}
		return made
	}
	granted := func(kind model.ShowAgencyRequestSecretType) string {
		answer, err := c.ShowAgency(&model.ShowAgencyRequest{SecretType: kind})
		want(t, err, ok)
		return *answer.AgencyGranted
	}
	kinds := model.GetShowAgencyRequestSecretTypeEnum()
	emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Error, Operation: huawei.AgencyWork, Code: "IAM.0001", Message: "no", Count: 1})
	for _, want := range []string{"no 32  false", "32 32  true"} {
		if got := create() + " " + granted(kinds.RDS_FG); got != want {
			t.Errorf("agencies are %s, want %s", got, want)
		}
	}
	if granted(kinds.GAUSS_DB_FG) != "false" {
		t.Error("another type has agencies too")
	}
	types, subs := model.GetShowSecretFunctionTemplatesRequestSecretTypeEnum(), model.GetShowSecretFunctionTemplatesRequestSecretSubTypeEnum()
	engine := model.GetShowSecretFunctionTemplatesRequestEngineEnum().MYSQL
	for _, test := range []struct {
		request model.ShowSecretFunctionTemplatesRequest
		want    string
	}{
		{model.ShowSecretFunctionTemplatesRequest{SecretType: types.RDS_FG, SecretSubType: subs.SINGLE_USER, Engine: &engine}, ok},
		{model.ShowSecretFunctionTemplatesRequest{SecretType: types.GAUSS_DB_FG, SecretSubType: subs.MULTI_USER}, ok},
		{model.ShowSecretFunctionTemplatesRequest{SecretType: types.RDS_FG, SecretSubType: subs.SINGLE_USER}, invalid},
		{model.ShowSecretFunctionTemplatesRequest{SecretType: types.GAUSS_DB_FG, SecretSubType: subs.MULTI_USER, Engine: &engine}, invalid},
	} {
		answer, err := c.ShowSecretFunctionTemplates(&test.request)
		want(t, err, test.want)
		if test.want == ok && !strings.Contains(*answer.FunctionTemplates, "def handler") {
			t.Errorf("the template is %s", *answer.FunctionTemplates)
		}
	}
}

func TestARestartedServerGoesOnRotating(t *testing.T) {
	t.Parallel()
	options := huawei.Options{Options: emulator.Options{DataDir: filepath.Join(t.TempDir(), "csms")}}
	c := start(t, options)
	_, err := c.CreateAgency(&model.CreateAgencyRequest{Body: &model.CreateAgencyRequestBody{
		SecretType: model.GetCreateAgencyRequestBodySecretTypeEnum().RDS_FG,
	}})
	want(t, err, ok)
	_, err = c.createWith(everyPeriod(double("s"), "7d"))
	want(t, err, ok)
	emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Delay, Operation: huawei.RotationWork, Duration: time.Hour, Count: 1})
	c.rotates(t, "s")
	old, err := c.show("s")
	want(t, err, ok)

	again, endpoint := emulatortest.Huawei(t, options)
	fresh := cloud{clientFor(t, endpoint, emulator.ExampleAccount(), project), again, endpoint}
	shown, err := fresh.show("s")
	want(t, err, ok)
	if old.String() != shown.String() || fresh.tasks(t, "s") != "RUNNING" {
		t.Errorf("the new server shows %s, %s, the old one %s", shown, fresh.tasks(t, "s"), old)
	}
	fresh.later(8 * 24 * time.Hour)
	if got := fresh.tasks(t, "s"); strings.Count(got, "SUCCESS") != 2 || strings.Contains(got, "RUNNING") {
		t.Errorf("after a week the tasks are %s", got)
	}
}

func TestALegacySecretIsRotatedAtOnce(t *testing.T) {
	t.Parallel()
	c := switched(t, huawei.Switches{SingleQuotes: true})
	seed(t, c.server, emulator.Secret{Ref: ref("s"), Type: "RDS", Instance: "rds-1", Versions: []emulator.Version{{ID: "v1", Binary: []byte(oneUser)}}})
	shown, err := c.show("s")
	want(t, err, ok)
	if *shown.RotationConfig != "{'RDSInstanceId':'rds-1','SecretSubType':'SingleUser'}" || *shown.AutoRotation {
		t.Errorf("shown %s", shown)
	}
	answer, err := c.rotate("s")
	want(t, err, ok)
	if stored, _ := c.server.Inspect(project, "s"); answer != "s v2" || stored.Instance != "rds-1" || c.login(t, "v2") == c.login(t, "v1") {
		t.Errorf("the answer is %s, stored is %v", answer, stored)
	}
	seed(t, c.server, emulator.Secret{Ref: ref("odd"), Type: "RDS", Versions: []emulator.Version{{ID: "v1", Text: "x"}}})
	if _, err := c.rotate("odd"); answered(err) == ok {
		t.Error("a value that can't be read was rotated")
	}
}
