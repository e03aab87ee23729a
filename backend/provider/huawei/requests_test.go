// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain gives all tests an empty home directory, and fails them if it isn't
// empty in the end: left to itself, the SDK keeps an id there. It does so once
// per process, so one test alone wouldn't notice.
func TestMain(m *testing.M) {
	flag.Parse()
	home, err := os.MkdirTemp("", "")
	if err == nil {
		err = os.Setenv("HOME", home)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		fmt.Println("FAIL: the home directory isn't empty:", left, err)
		code = 1
	}
	_ = os.RemoveAll(home)
	os.Exit(code)
}

// full is a destination with everything that this kind has.
type full struct {
	provider.Destination
	provider.CurrentMover
	provider.Tagger
	provider.KeyChanger
	provider.Restorer
	provider.Checker
	provider.Lister
	provider.CredentialIssuer
}

const (
	exampleSecret = "example-secret-0123456789"
	exampleToken  = "example-token-0123456789"
	exampleValue  = "p<ss & wörd-0123456789"
	exampleID     = "bb6a3d22-dc93-47ac-b5bd-88df7ad35f1e"
	exampleTask   = "0a6c8b0e-5a3f-4a53-9a1c-1f6f4f1d2b33"
)

func exampleConfig(transport http.RoundTripper) provider.Config {
	return provider.Config{
		Region: region, AccessKeyID: "example-id", Transport: transport, UserAgent: "cloudsync-test/1",
		AccessKeySecret: sensitive.NewString(exampleSecret), SecurityToken: sensitive.NewString(exampleToken),
		Settings: map[string]string{"project_id": project, "enterprise_project_id": "ep-1"},
	}
}

// opened returns a destination whose calls go to transport.
func opened(t *testing.T, transport http.RoundTripper) full {
	t.Helper()
	return openedWith(t, exampleConfig(transport))
}

func openedWith(t *testing.T, c provider.Config) full {
	t.Helper()
	d, err := huawei.Kind.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return full{
		d, able[provider.CurrentMover](t, d), able[provider.Tagger](t, d), able[provider.KeyChanger](t, d),
		able[provider.Restorer](t, d), able[provider.Checker](t, d), able[provider.Lister](t, d),
		able[provider.CredentialIssuer](t, d),
	}
}

func able[A any](t *testing.T, d provider.Destination) A {
	t.Helper()
	a, ok := d.(A)
	if !ok {
		t.Fatalf("%T lacks an ability", d)
	}
	return a
}

// reply is an answer; no status is 200.
type reply struct {
	status int
	body   string
	header http.Header
}

// stub answers by operation as if all were well, and remembers what it was
// asked.
type stub struct {
	answers map[string]reply // instead of the good ones; "" is for all others
	asked   []*http.Request
	bodies  []string
}

// good are the answers where all is well.
var good = map[string]reply{
	"ShowSecret":              {body: `{"secret":{"id":"` + exampleID + `","name":"app-db","state":"ENABLED","secret_type":"RDS-FG"}}`},
	"CreateSecret":            {body: `{"secret":{"id":"` + exampleID + `","name":"app-db","state":"ENABLED"}}`},
	"CreateSecretVersion":     {body: `{"version_metadata":{"id":"v2"}}`},
	"ListSecretVersions":      {body: `{"version_metadatas":[{"id":"v1"}],"page_info":{"next_marker":""}}`},
	"ShowSecretVersion":       {body: `{"version":{"secret_string":"value","version_metadata":{"id":"v2","version_stages":["SYSCURRENT"]}}}`},
	"ListSecrets":             {body: `{"secrets":[],"page_info":{}}`},
	"ListSecretTags":          {body: `{"tags":[{"key":"env","value":"prod"},{"key":"team","value":"a"},{"key":"old"}],"sys_tags":null}`},
	"UpdateSecret":            {body: `{"secret":{}}`},
	"UpdateSecretStage":       {body: `{"stage":{}}`},
	"DeleteSecretForSchedule": {body: `{"secret":{}}`},
	"RestoreSecret":           {body: `{"secret":{}}`},
	"DeleteSecret":            {},
	"BatchCreateOrDeleteTags": {status: http.StatusNoContent},
	"ShowSecretStage":         {body: `{"stage":{"name":"SYSCURRENT","version_id":"v2"}}`},
	"ListSecretTask":          {body: `{"total":1,"tasks":[{"task_id":"` + exampleTask + `","task_status":"SUCCESS","task_time":1795000000000}],"next_marker":""}`},
	"RotateSecret":            {body: `{"rotation_task_id":"` + exampleTask + `"}`},
	"ShowAgency":              {body: `{"agency_granted":"false"}`},
	"CreateAgency":            {body: `{"agencies":[{"agency_name":"a","agency_id":"1"},{"agency_name":"b","agency_id":"2","error_msg":null}]}`},
}

// operations are by method and path behind the project.
var operations = map[string]*regexp.Regexp{
	"ShowSecret":              regexp.MustCompile(`^GET secrets/[^/]+$`),
	"CreateSecret":            regexp.MustCompile(`^POST secrets$`),
	"CreateSecretVersion":     regexp.MustCompile(`^POST secrets/[^/]+/versions$`),
	"ListSecretVersions":      regexp.MustCompile(`^GET secrets/[^/]+/versions$`),
	"ShowSecretVersion":       regexp.MustCompile(`^GET secrets/[^/]+/versions/[^/]+$`),
	"ListSecrets":             regexp.MustCompile(`^GET secrets$`),
	"ListSecretTags":          regexp.MustCompile(`^GET csms/[^/]+/tags$`),
	"UpdateSecret":            regexp.MustCompile(`^PUT secrets/[^/]+$`),
	"UpdateSecretStage":       regexp.MustCompile(`^PUT secrets/[^/]+/stages/[^/]+$`),
	"DeleteSecretForSchedule": regexp.MustCompile(`^POST secrets/[^/]+/scheduled-deleted-tasks/create$`),
	"RestoreSecret":           regexp.MustCompile(`^POST secrets/[^/]+/scheduled-deleted-tasks/cancel$`),
	"DeleteSecret":            regexp.MustCompile(`^DELETE secrets/[^/]+$`),
	"BatchCreateOrDeleteTags": regexp.MustCompile(`^POST csms/[^/]+/tags/action$`),
	"ShowSecretStage":         regexp.MustCompile(`^GET secrets/[^/]+/stages/[^/]+$`),
	"ListSecretTask":          regexp.MustCompile(`^GET csms/tasks$`),
	"RotateSecret":            regexp.MustCompile(`^POST secrets/[^/]+/rotate$`),
	"ShowAgency":              regexp.MustCompile(`^GET /v1/csms/agencies$`),
	"CreateAgency":            regexp.MustCompile(`^POST /v1/csms/agencies$`),
}

func operationOf(r *http.Request) string {
	for name, form := range operations {
		if form.MatchString(r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/"+project+"/")) {
			return name
		}
	}
	return "unknown " + r.Method + " " + r.URL.Path
}

// made are the operations asked for.
func (s *stub) made() []string {
	var names []string
	for _, r := range s.asked {
		names = append(names, operationOf(r))
	}
	return names
}

func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	s.asked, s.bodies = append(s.asked, r), append(s.bodies, string(body))
	answer, ok := s.answers[operationOf(r)]
	if !ok {
		answer, ok = s.answers[""]
	}
	if !ok {
		answer, ok = good[operationOf(r)]
	}
	if !ok {
		return nil, fmt.Errorf("%s isn't a call that the API has", operationOf(r))
	}
	header := answer.header.Clone()
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
	}
	header.Set("X-Request-Id", "the-request-id")
	if answer.status == 0 {
		answer.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: answer.status, Status: fmt.Sprintf("%d %s", answer.status, http.StatusText(answer.status)),
		Header: header, Body: io.NopCloser(strings.NewReader(answer.body)), Request: r,
	}, nil
}

// calls are the methods of the contract.
var calls = []struct {
	name   string
	writes bool // by its first remote call
	silent bool // whose success has no body
	make   func(ctx context.Context, d full) error
}{
	{"Describe", false, false, func(ctx context.Context, d full) error { _, err := d.Describe(ctx, "app-db"); return err }},
	{"Versions", false, false, func(ctx context.Context, d full) error { _, err := d.Versions(ctx, "app-db"); return err }},
	{"Read", false, false, func(ctx context.Context, d full) error { _, err := d.Read(ctx, "app-db", "v2"); return err }},
	{"List", false, false, func(ctx context.Context, d full) error { _, _, err := d.List(ctx, "app db+"); return err }},
	{"Create", true, false, func(ctx context.Context, d full) error {
		created, err := d.Create(ctx, "app-db", provider.NewSecret{
			VersionID: "ignored", Value: provider.Text(exampleValue), Description: "the \"app\" <db>",
			Tags: map[string]string{"team": "a", "env": ""}, KMSKeyID: "the-key",
		})
		if err == nil && created.VersionID != "v1" {
			err = fmt.Errorf("the version is %q", created.VersionID)
		}
		if err == nil {
			err = created.TagsError
		}
		return err
	}},
	{"PutVersion", true, false, func(ctx context.Context, d full) error {
		id, err := d.PutVersion(ctx, "app-db", "ignored", provider.Binary([]byte(exampleValue)))
		if err == nil && id != "v2" {
			err = fmt.Errorf("the version is %q", id)
		}
		return err
	}},
	{"SetDescription", true, false, func(ctx context.Context, d full) error { return d.SetDescription(ctx, "app-db", "") }},
	{"ChangeKey", true, false, func(ctx context.Context, d full) error { return d.ChangeKey(ctx, "app-db", "the-key") }},
	{"MoveCurrent", true, false, func(ctx context.Context, d full) error { return d.MoveCurrent(ctx, "app-db", "v1") }},
	{"ChangeTags", false, false, func(ctx context.Context, d full) error {
		return d.ChangeTags(ctx, "app-db", map[string]string{"team": "b", "env": "prod", "new": ""}, []string{"old", "absent"})
	}},
	{"DeleteLater", true, false, func(ctx context.Context, d full) error {
		return d.Delete(ctx, "app-db", provider.Days(6)+time.Hour) // a part of a day is a day
	}},
	{"DeleteAtOnce", true, true, func(ctx context.Context, d full) error { return d.Delete(ctx, "app-db", 0) }},
	{"CreateCredential", true, false, func(ctx context.Context, d full) error {
		return issued(d.CreateCredential(ctx, "orders-db", scheduledCredential()))
	}},
	{"CreateCredentialOfTwo", false, false, func(ctx context.Context, d full) error {
		n := scheduledCredential()
		n.Product, n.InstanceID, n.Tags, n.KMSKeyID, n.Rotation = "GaussDB-FG", "taurus-1", nil, "", provider.Rotation{Interval: time.Hour}
		n.Parameters = map[string]string{
			"secret_sub_type": "MultiUser", "create_agency": "true", "initial_field": "secret_binary", "event_subscriptions": `["ops"]`,
		}
		n.Initial = sensitive.NewString(`{"users":[{"name":"app","password":"` + exampleValue + `"},{"name":"app2","password":"second-0123456789"}]}`)
		return issued(d.CreateCredential(ctx, "orders-db", n))
	}},
	{"DescribeCredential", false, false, func(ctx context.Context, d full) error { _, err := d.DescribeCredential(ctx, "orders-db"); return err }},
	{"CredentialTask", false, false, func(ctx context.Context, d full) error {
		status, err := d.CredentialTask(ctx, "orders-db", exampleTask)
		if err == nil && status.State != provider.TaskSucceeded {
			err = fmt.Errorf("the task is %v", status)
		}
		return err
	}},
	{"ReadCredential", false, false, func(ctx context.Context, d full) error { _, err := d.ReadCredential(ctx, "orders-db"); return err }},
	{"CredentialVersions", false, false, func(ctx context.Context, d full) error { _, err := d.CredentialVersions(ctx, "orders-db"); return err }},
	{"RotateCredential", false, false, func(ctx context.Context, d full) error {
		task, err := d.RotateCredential(ctx, "orders-db", "token-1")
		if err == nil && (task.ID != exampleTask || task.RequestID != "the-request-id") {
			err = fmt.Errorf("the task is %+v", task)
		}
		return err
	}},
	{"SetRotation", true, false, func(ctx context.Context, d full) error {
		return d.SetRotation(ctx, "orders-db", provider.Rotation{Enabled: true, Interval: 36 * time.Hour})
	}},
	{"SetRotationOff", true, false, func(ctx context.Context, d full) error { return d.SetRotation(ctx, "orders-db", provider.Rotation{}) }},
	{"DeleteCredential", true, false, func(ctx context.Context, d full) error {
		_, err := d.DeleteCredential(ctx, "orders-db", provider.Days(7), false)
		return err
	}},
	{"Restore", true, false, func(ctx context.Context, d full) error { return d.Restore(ctx, "app-db") }},
}

// scheduledCredential is the example of the documentation.
func scheduledCredential() provider.NewCredential {
	return provider.NewCredential{
		Product: "RDS-FG", InstanceID: "rds-0123456789", KMSKeyID: "the-key", Description: "the \"orders\" <db>", Tags: map[string]string{"team": "a"},
		Parameters: map[string]string{"rotation_func_urn": functionURN},
		Initial:    sensitive.NewString(`{"username":"app","password":"` + exampleValue + `"}`),
		Rotation:   provider.Rotation{Enabled: true, Interval: provider.Days(35)},
	}
}

func issued(task provider.CredentialTask, err error) error {
	switch {
	case err != nil:
		return err
	case task.TagsError != nil:
		return task.TagsError
	case task.Name != "orders-db" || task.ID != "" || task.RequestID != "the-request-id":
		return fmt.Errorf("the task is %+v", task)
	}
	return nil
}

// In a bubble time stands still, so that signatures are always the same.
func TestRequestsAreSentAsRecorded(t *testing.T) {
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := &stub{}
				if err := call.make(t.Context(), opened(t, cloud)); err != nil {
					t.Fatal(err)
				}
				var sent bytes.Buffer
				for i, r := range cloud.asked {
					record(&sent, r, cloud.bodies[i])
				}
				golden(t, filepath.Join("testdata", call.name+".http"), sent.Bytes())
			})
		})
	}
}

// record writes a request as it goes over the wire.
func record(w io.Writer, r *http.Request, body string) {
	_, _ = fmt.Fprintf(w, "%s %s HTTP/1.1\nHost: %s\n", r.Method, r.URL, r.Host)
	var lines []string
	for name, values := range r.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	_, _ = fmt.Fprintf(w, "%s\n\n%s\n", strings.Join(lines, "\n"), body)
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the requests differ from %s (accept them by go test ./backend/provider/huawei -update):\n%s\nwant:\n%s", file, got, want)
	}
}

func TestAValueIsInNoURLAndNoHeader(t *testing.T) {
	for _, call := range calls {
		cloud := &stub{}
		if err := call.make(t.Context(), opened(t, cloud)); err != nil {
			t.Fatal(err)
		}
		for _, r := range cloud.asked {
			outside := fmt.Sprint(r.URL, r.Header)
			for _, secret := range []string{exampleValue, "rd-0123456789", exampleSecret} {
				if strings.Contains(outside, secret) {
					t.Errorf("%s: a secret is outside the body", call.name)
				}
			}
		}
	}
}
