// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

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
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// full is a destination with everything that the contract has.
type full struct {
	provider.Destination
	provider.Overwriter
	provider.VersionDeleter
	provider.Switcher
	provider.Restorer
	provider.Tagger
	provider.Checker
	provider.Lister
	provider.CredentialIssuer
}

const (
	exampleSecret = "example-secret-0123456789"
	exampleToken  = "example-token-0123456789"
	exampleValue  = "p<ss & wörd-0123456789"
)

// opened returns a destination whose calls go to transport.
func opened(t *testing.T, transport http.RoundTripper) full {
	t.Helper()
	d, err := tencent.Kind.Open(provider.Config{
		Region: region, AccessKeyID: "example-id", Transport: transport, UserAgent: "cloudsync-test/1",
		AccessKeySecret: sensitive.NewString(exampleSecret), SecurityToken: sensitive.NewString(exampleToken),
	})
	if err != nil {
		t.Fatal(err)
	}
	return withAbilities(t, d)
}

func withAbilities(t *testing.T, d provider.Destination) full {
	t.Helper()
	return full{
		d, able[provider.Overwriter](t, d), able[provider.VersionDeleter](t, d), able[provider.Switcher](t, d),
		able[provider.Restorer](t, d), able[provider.Tagger](t, d), able[provider.Checker](t, d), able[provider.Lister](t, d),
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
	answer, ok := s.answers[r.Header.Get("X-TC-Action")]
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
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Header: header, Body: io.NopCloser(strings.NewReader(answer)), Request: r,
	}, nil
}

// remoteCall is a use of a method that makes one remote call.
type remoteCall struct {
	action string
	writes bool
	make   func(ctx context.Context, d full) error
}

// calls are the methods of the contract, one remote call each.
var calls = append([]remoteCall{
	{"CreateSecret", true, func(ctx context.Context, d full) error {
		_, err := d.Create(ctx, "app-db", provider.NewSecret{
			VersionID: "v1", Value: provider.Text(exampleValue), Description: "the \"app\" <db>",
			Tags: map[string]string{"team": "a", "env": "prod"}, KMSKeyID: "the-key",
		})
		return err
	}},
	{"PutSecretValue", true, func(ctx context.Context, d full) error {
		_, err := d.PutVersion(ctx, "app-db", "v2", provider.Binary([]byte(exampleValue)))
		return err
	}},
	{"UpdateSecret", true, func(ctx context.Context, d full) error {
		return d.Overwrite(ctx, "app-db", "SSM_Current", provider.Text(exampleValue))
	}},
	{"GetSecretValue", false, func(ctx context.Context, d full) error { _, err := d.Read(ctx, "app-db", "v2"); return err }},
	{"DescribeSecret", false, func(ctx context.Context, d full) error { _, err := d.Describe(ctx, "app-db"); return err }},
	{"ListSecretVersionIds", false, func(ctx context.Context, d full) error { _, err := d.Versions(ctx, "app-db"); return err }},
	{"ListSecrets", false, func(ctx context.Context, d full) error { _, _, err := d.List(ctx, "1:50"); return err }},
	{"UpdateDescription", true, func(ctx context.Context, d full) error { return d.SetDescription(ctx, "app-db", "") }},
	{"DeleteSecretVersion", true, func(ctx context.Context, d full) error { return d.DeleteVersion(ctx, "app-db", "v1") }},
	{"EnableSecret", true, func(ctx context.Context, d full) error { return d.Enable(ctx, "app-db") }},
	{"DisableSecret", true, func(ctx context.Context, d full) error { return d.Disable(ctx, "app-db") }},
	{"DeleteSecret", true, func(ctx context.Context, d full) error {
		return d.Delete(ctx, "app-db", provider.Days(6)+time.Hour) // a part of a day is a day
	}},
	{"RestoreSecret", true, func(ctx context.Context, d full) error { return d.Restore(ctx, "app-db") }},
}, credentialCalls...)

func TestRequestsAreSentAsRecorded(t *testing.T) {
	for _, call := range calls {
		t.Run(call.action, func(t *testing.T) {
			cloud := &stub{answers: map[string]string{"": `{"Response":{"RequestId":"r"}}`}}
			if err := call.make(t.Context(), opened(t, cloud)); err != nil {
				t.Fatal(err)
			}
			if len(cloud.asked) != 1 {
				t.Fatalf("%d calls instead of one", len(cloud.asked))
			}
			golden(t, filepath.Join("testdata", call.action+".http"), recorded(t, cloud.asked[0], cloud.bodies[0]))
		})
	}
}

// recorded is a request as it goes over the wire, without what time changes.
func recorded(t *testing.T, r *http.Request, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\nHost: %s\n", r.Method, r.URL, r.Host)
	var lines []string
	for name, values := range r.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	text := strings.Join(lines, "\n")
	for pattern, replacement := range map[string]string{
		`(X-Tc-Timestamp: )\d+`:          "${1}TIME",
		`/\d{4}-\d\d-\d\d/`:              "/DATE/",
		`Signature=[0-9a-f]{64}`:         "Signature=SIGNATURE",
		`(Requestclient: SDK_GO_)[^\n]+`: "${1}VERSION",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, replacement)
	}
	fmt.Fprintf(&b, "%s\n\n%s\n", text, body)
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
		t.Errorf("the request differs from %s (accept it by go test ./backend/provider/tencent -update):\n%s\nwant:\n%s", file, got, want)
	}
}

func TestAValueIsInNoURLAndNoHeader(t *testing.T) {
	for _, call := range calls {
		cloud := &stub{answers: map[string]string{"": `{"Response":{"RequestId":"r"}}`}}
		if err := call.make(t.Context(), opened(t, cloud)); err != nil {
			t.Fatal(err)
		}
		outside := fmt.Sprint(cloud.asked[0].URL, cloud.asked[0].Header)
		for _, secret := range []string{exampleValue, "rd-0123456789", exampleSecret} {
			if strings.Contains(outside, secret) {
				t.Errorf("%s: a secret is outside the body", call.action)
			}
		}
	}
}

func TestAnswersMayLackFields(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing but a request id": `{"Response":{"RequestId":"r"}}`,
		"nulls": `{"Response":{"SecretName":null,"Versions":null,"SecretMetadatas":null,"SecretType":null,"Status":null,
			"SecretString":null,"SecretBinary":null,"TagCode":null,"RequestId":null}}`,
		"nulls in lists": `{"Response":{"Versions":[null,{}],"SecretMetadatas":[null,{}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := opened(t, &stub{answers: map[string]string{"": answer}})
			for _, call := range calls {
				if err := call.make(t.Context(), d); err != nil {
					t.Errorf("%s: %v", call.action, err)
				}
			}
			if _, err := d.Check(t.Context()); err != nil {
				t.Error(err)
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
	t.Run("a configuration without a transport is refused", func(t *testing.T) {
		_, err := tencent.Kind.Open(provider.Config{Region: region, AccessKeyID: "id", AccessKeySecret: sensitive.NewString("secret")})
		if provider.ClassOf(err) != provider.ClassInvalid {
			t.Errorf("error %v", err)
		}
	})
	t.Run("printing a destination shows no credentials", func(t *testing.T) {
		d := opened(t, &stub{})
		text := fmt.Sprintf("%v %+v %#v %s", d.Destination, d.Destination, d.Destination, d.Destination)
		if strings.Contains(text, exampleSecret) || strings.Contains(text, exampleToken) {
			t.Error("it does")
		}
	})
}
