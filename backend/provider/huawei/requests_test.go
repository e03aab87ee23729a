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
}

const (
	exampleSecret = "example-secret-0123456789"
	exampleToken  = "example-token-0123456789"
	exampleValue  = "p<ss & wörd-0123456789"
	exampleID     = "bb6a3d22-dc93-47ac-b5bd-88df7ad35f1e"
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
	"ShowSecret":              {body: `{"secret":{"id":"` + exampleID + `","name":"app-db","state":"ENABLED"}}`},
	"CreateSecret":            {body: `{"secret":{"id":"` + exampleID + `","name":"app-db","state":"ENABLED"}}`},
	"CreateSecretVersion":     {body: `{"version_metadata":{"id":"v2"}}`},
	"ListSecretVersions":      {body: `{"version_metadatas":[{"id":"v1"}],"page_info":{"next_marker":""}}`},
	"ShowSecretVersion":       {body: `{"version":{"secret_string":"value"}}`},
	"ListSecrets":             {body: `{"secrets":[],"page_info":{}}`},
	"ListSecretTags":          {body: `{"tags":[{"key":"env","value":"prod"},{"key":"team","value":"a"},{"key":"old"}],"sys_tags":null}`},
	"UpdateSecret":            {body: `{"secret":{}}`},
	"UpdateSecretStage":       {body: `{"stage":{}}`},
	"DeleteSecretForSchedule": {body: `{"secret":{}}`},
	"RestoreSecret":           {body: `{"secret":{}}`},
	"DeleteSecret":            {},
	"BatchCreateOrDeleteTags": {status: http.StatusNoContent},
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
	{"Restore", true, false, func(ctx context.Context, d full) error { return d.Restore(ctx, "app-db") }},
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
