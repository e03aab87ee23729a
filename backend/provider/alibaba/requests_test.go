// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// full is a destination with everything that this kind has of the contract.
type full struct {
	provider.Destination
	provider.Restorer
	provider.CurrentMover
	provider.Tagger
	provider.Checker
	provider.Lister
}

const (
	exampleSecret = "example-secret-0123456789"
	exampleToken  = "example-token-0123456789"
	exampleValue  = "p<ss & wörd-0123456789"
)

// exampleConfig has everything set, and calls that go to transport.
func exampleConfig(transport http.RoundTripper) provider.Config {
	return provider.Config{
		Region: region, AccessKeyID: "example-id", Transport: transport, UserAgent: "cloudsync-test/1",
		AccessKeySecret: sensitive.NewString(exampleSecret), SecurityToken: sensitive.NewString(exampleToken),
		Settings: map[string]string{"kms_instance_id": "kst-example"},
	}
}

func opened(t *testing.T, transport http.RoundTripper) full {
	t.Helper()
	return openedAs(t, exampleConfig(transport))
}

func openedAs(t *testing.T, c provider.Config) full {
	t.Helper()
	d, err := alibaba.Kind.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return full{
		d, able[provider.Restorer](t, d), able[provider.CurrentMover](t, d), able[provider.Tagger](t, d),
		able[provider.Checker](t, d), able[provider.Lister](t, d),
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

func TestAbilitiesAreThoseOfTheService(t *testing.T) {
	want := provider.Abilities{Restores: true, MovesCurrent: true, ChangesTags: true}
	if got := provider.AbilitiesOf(opened(t, &stub{}).Destination); got != want {
		t.Errorf("abilities %+v, want %+v", got, want)
	}
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// stub answers by action, and remembers what it was asked.
type stub struct {
	status  int               // 0 for 200
	header  http.Header       // of answers
	answers map[string]string // bodies by action; "" is for all others
	asked   []*http.Request
	bodies  []string
}

func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.asked, s.bodies = append(s.asked, r), append(s.bodies, string(body))
	answer, ok := s.answers[actionOf(string(body))]
	if !ok {
		answer = s.answers[""]
	}
	header := s.header.Clone()
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
	}
	status := s.status
	if status == 0 {
		status = http.StatusOK
		if strings.Contains(answer, `"Code"`) {
			status = http.StatusBadRequest
		}
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Header: header, Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

func actionOf(body string) string {
	form, _ := url.ParseQuery(body)
	return form.Get("Action")
}

// actions are the calls that were made, in order.
func (s *stub) actions() []string {
	var made []string
	for _, body := range s.bodies {
		made = append(made, actionOf(body))
	}
	return made
}

// done is an answer that every operation takes for success.
const done = `{"RequestId":"r","SecretName":"app-db","VersionId":"v2","SecretData":"x","SecretDataType":"text","SecretType":"Generic"}`

// calls are the methods of the contract, one remote call each.
var calls = []struct {
	name   string // of the golden file; the action up to a dot
	writes bool
	make   func(ctx context.Context, d full) error
}{
	{"CreateSecret", true, func(ctx context.Context, d full) error {
		_, err := d.Create(ctx, "app/db", provider.NewSecret{
			VersionID: "v1", Value: provider.Text(exampleValue), Description: "the \"app\" <db>",
			Tags: map[string]string{"team": "a", "env": "prod"}, KMSKeyID: "the-key",
		})
		return err
	}},
	{"PutSecretValue", true, func(ctx context.Context, d full) error {
		_, err := d.PutVersion(ctx, "app/db", "v2", provider.Binary([]byte(exampleValue)))
		return err
	}},
	{"GetSecretValue", false, func(ctx context.Context, d full) error { _, err := d.Read(ctx, "app/db", "v2"); return err }},
	{"DescribeSecret", false, func(ctx context.Context, d full) error { _, err := d.Describe(ctx, "app/db"); return err }},
	{"ListSecretVersionIds", false, func(ctx context.Context, d full) error { _, err := d.Versions(ctx, "app/db"); return err }},
	{"ListSecrets", false, func(ctx context.Context, d full) error { _, _, err := d.List(ctx, "2"); return err }},
	{"UpdateSecret", true, func(ctx context.Context, d full) error { return d.SetDescription(ctx, "app/db", "new") }},
	{"UpdateSecretVersionStage", true, func(ctx context.Context, d full) error { return d.MoveCurrent(ctx, "app/db", "v1") }},
	{"TagResources", true, func(ctx context.Context, d full) error {
		return d.ChangeTags(ctx, "app/db", map[string]string{"team": "b", "env": "test"}, nil)
	}},
	{"UntagResources", true, func(ctx context.Context, d full) error {
		return d.ChangeTags(ctx, "app/db", nil, []string{"team", "env"})
	}},
	{"DeleteSecret", true, func(ctx context.Context, d full) error {
		return d.Delete(ctx, "app/db", provider.Days(6)+time.Hour) // a part of a day is a day
	}},
	{"DeleteSecret.at-once", true, func(ctx context.Context, d full) error { return d.Delete(ctx, "app/db", 0) }},
	{"RestoreSecret", true, func(ctx context.Context, d full) error { return d.Restore(ctx, "app/db") }},
}

func TestRequestsAreSentAsRecorded(t *testing.T) {
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			cloud := &stub{answers: map[string]string{"": done}}
			if err := call.make(t.Context(), opened(t, cloud)); err != nil {
				t.Fatal(err)
			}
			if len(cloud.asked) != 1 {
				t.Fatalf("%d calls instead of one", len(cloud.asked))
			}
			golden(t, filepath.Join("testdata", call.name+".http"), recorded(t, cloud.asked[0], cloud.bodies[0]))
		})
	}
}

// recorded is a request as it goes over the wire, with a line for each
// parameter and without what time and chance change.
func recorded(t *testing.T, r *http.Request, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\nHost: %s\n", r.Method, r.URL, r.Host)
	var lines []string
	for name, values := range r.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	text := "&" + body
	for pattern, replacement := range map[string]string{
		`&Timestamp=\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\dZ`: "&Timestamp=TIME",
		`&SignatureNonce=[0-9a-f]{32}`:                   "&SignatureNonce=NONCE",
		`&Signature=[A-Za-z0-9%]{27,}%3D`:                "&Signature=SIGNATURE",
	} {
		if n := len(regexp.MustCompile(pattern).FindAllString(text, -1)); n != 1 {
			t.Errorf("%s: the request has it %d times", pattern, n)
		}
		text = regexp.MustCompile(pattern).ReplaceAllString(text, replacement)
	}
	fmt.Fprintf(&b, "%s\n\n%s\n", strings.Join(lines, "\n"), strings.ReplaceAll(text[1:], "&", "\n&"))
	return b.Bytes()
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
		t.Errorf("the request differs from %s (accept it by go test ./backend/provider/alibaba -update):\n%s\nwant:\n%s", file, got, want)
	}
}

func TestNothingSecretIsOutsideTheBody(t *testing.T) {
	cloud := &stub{answers: map[string]string{"": done}}
	d := opened(t, cloud)
	for _, call := range calls {
		if err := call.make(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, r := range cloud.asked {
		action := actionOf(cloud.bodies[i])
		if r.URL.RawQuery != "" || r.URL.Path != "/" || r.Method != http.MethodPost {
			t.Errorf("%s: %s %s holds parameters", action, r.Method, r.URL)
		}
		outside := fmt.Sprint(r.URL, r.Header)
		for _, secret := range []string{exampleValue, "rd-0123456789", exampleSecret, exampleToken, "example-id"} {
			if strings.Contains(outside, secret) {
				t.Errorf("%s: a secret is outside the body", action)
			}
		}
		if !strings.Contains(cloud.bodies[i], "SecurityToken="+exampleToken) || strings.Contains(cloud.bodies[i], exampleSecret) {
			t.Errorf("%s: the body lacks the token, or holds the key's secret", action)
		}
	}
}

func TestAnswersMayLackFields(t *testing.T) {
	needed := []string{"CreateSecret", "PutSecretValue", "GetSecretValue", "DescribeSecret"} // what nothing can be done without
	for name, answer := range map[string]string{
		"nothing but a request id": `{"RequestId":"r"}`,
		"nulls": `{"RequestId":"r","SecretName":null,"VersionId":null,"VersionIds":null,"SecretList":null,"SecretType":null,
			"CreateTime":null,"SecretData":null,"VersionStages":null,"PageNumber":null,"TotalCount":null}`,
		"nulls in lists": `{"RequestId":"r","VersionIds":{"VersionId":null},"SecretList":{"Secret":null}}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := opened(t, &stub{answers: map[string]string{"": answer}})
			for _, call := range calls {
				err := call.make(t.Context(), d)
				if !slices.Contains(needed, call.name) {
					if err != nil {
						t.Errorf("%s: %v", call.name, err)
					}
					continue
				}
				if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous != call.writes {
					t.Errorf("%s: class %s, ambiguous %t: %v", call.name, e.Class, e.Ambiguous, err)
				}
			}
		})
	}
}

func TestOpening(t *testing.T) {
	t.Run("it makes no call", func(t *testing.T) {
		cloud := &stub{}
		opened(t, cloud)
		if len(cloud.asked) != 0 {
			t.Errorf("calls: %v", cloud.asked)
		}
	})
	t.Run("printing a destination shows no credentials", func(t *testing.T) {
		d := opened(t, &stub{})
		text := fmt.Sprintf("%v %+v %#v %s", d.Destination, d.Destination, d.Destination, d.Destination)
		if strings.Contains(text, exampleSecret) || strings.Contains(text, exampleToken) {
			t.Error("it does")
		}
	})
	for what, c := range map[string]struct {
		change func(*provider.Config)
		names  string // in the refusal; "" for none
	}{
		"as it should be":            {func(*provider.Config) {}, ""},
		"without an instance":        {func(c *provider.Config) { c.Settings = nil }, ""},
		"without a token":            {func(c *provider.Config) { c.SecurityToken = sensitive.String{} }, ""},
		"without a transport":        {func(c *provider.Config) { c.Transport = nil }, "transport"},
		"another's instance":         {func(c *provider.Config) { c.Settings = map[string]string{"kms_instance_id": "kst-a&b=c"} }, "kms_instance_id"},
		"a key for instance":         {func(c *provider.Config) { c.Settings = map[string]string{"kms_instance_id": "key-abc"} }, "kms_instance_id"},
		"a government region":        {func(c *provider.Config) { c.Region = "cn-north-2-gov-1" }, ""},
		"a region of letters":        {func(c *provider.Config) { c.Region = "hangzhou" }, "region"},
		"a region with a dot":        {func(c *provider.Config) { c.Region = "cn-hangzhou.evil.example" }, "region"},
		"a region with a path":       {func(c *provider.Config) { c.Region = "cn-x/evil" }, "region"},
		"a region with a user":       {func(c *provider.Config) { c.Region = "cn-x@evil" }, "region"},
		"a region in capitals":       {func(c *provider.Config) { c.Region = "CN-HANGZHOU" }, "region"},
		"a region of lines":          {func(c *provider.Config) { c.Region = "cn-hangzhou\n" }, "region"},
		"a region of another script": {func(c *provider.Config) { c.Region = "cn-hängzhou" }, "region"},
	} {
		t.Run(what, func(t *testing.T) {
			config := exampleConfig(&stub{})
			c.change(&config)
			_, err := alibaba.Kind.Open(config)
			if c.names == "" && err != nil || c.names != "" && (err == nil || provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), c.names)) {
				t.Errorf("error %v, want one that names %q", err, c.names)
			}
		})
	}
}

func TestCallsGoToTheEndpoint(t *testing.T) {
	for given, want := range map[string]string{
		"":                                 "https://kms.cn-hangzhou.aliyuncs.com/",
		"kms-vpc.cn-hangzhou.aliyuncs.com": "https://kms-vpc.cn-hangzhou.aliyuncs.com/",
		"http://127.0.0.1:8080":            "http://127.0.0.1:8080/",
	} {
		cloud := &stub{answers: map[string]string{"": done}}
		config := exampleConfig(cloud)
		var err error
		if config.Endpoint, err = provider.ParseEndpoint(given); err != nil {
			t.Fatal(err)
		}
		if err := openedAs(t, config).Restore(t.Context(), "app/db"); err != nil {
			t.Fatal(err)
		}
		if got := cloud.asked[0].URL.String(); got != want {
			t.Errorf("endpoint %q: the call went to %s, want %s", given, got, want)
		}
	}
}
