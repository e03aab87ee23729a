// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// issuing is a destination as an issuer of credentials.
func issuing(t *testing.T, d full) provider.CredentialIssuer {
	t.Helper()
	return able[provider.CredentialIssuer](t, d.Destination)
}

// doneManaged is an answer that every call about a credential takes for success.
const doneManaged = `{"RequestId":"r","SecretName":"app-db","VersionId":"v2","SecretType":"Rds",
	"SecretData":"{\"AccountName\":\"app\",\"AccountPassword\":\"x\"}","AutomaticRotation":"Disabled"}`

// completed is an example with everything that a creation can have.
func completed(what string) provider.NewCredential {
	n := exampleCredentials[what]
	n.Parameters = maps.Clone(n.Parameters)
	n.Parameters["custom_data"] = `{"owner":"team \"a\""}`
	n.Parameters["policy"] = `{"Version":"1","Statement":[]}`
	n.Description, n.Tags, n.KMSKeyID = "the \"app\" <db>", map[string]string{"team": "a", "env": "prod"}, "the-key"
	n.Rotation = provider.Rotation{Enabled: true, Interval: provider.Days(7)}
	return n
}

// credentialCall is a method of the contract that makes one remote call.
type credentialCall struct {
	name   string // of the golden file; the action up to a dot
	writes bool
	make   func(ctx context.Context, d provider.CredentialIssuer) error
}

func creating(what, name string) credentialCall {
	return credentialCall{"CreateSecret." + strings.NewReplacer(" ", "-", "'", "").Replace(what), true, func(ctx context.Context, d provider.CredentialIssuer) error {
		_, err := d.CreateCredential(ctx, name, completed(what))
		return err
	}}
}

var credentialCalls = []credentialCall{
	creating("one database account", "app/db"),
	creating("two database accounts", "app/db"),
	creating("a RAM user", "app/key"),
	creating("a server's password", "acs/ecs/app"),
	creating("a server's key", "acs/ecs/app"),
	creating("a Redis account", "app/redis"),
	creating("a PolarDB account", "app/polardb"),
	{"DescribeSecret.managed", false, func(ctx context.Context, d provider.CredentialIssuer) error {
		_, err := d.DescribeCredential(ctx, "app/db")
		return err
	}},
	{"GetSecretValue.managed", false, func(ctx context.Context, d provider.CredentialIssuer) error {
		_, err := d.ReadCredential(ctx, "app/db")
		return err
	}},
	{"RotateSecret", true, func(ctx context.Context, d provider.CredentialIssuer) error {
		_, err := d.RotateCredential(ctx, "app/db", "token-1")
		return err
	}},
	{"UpdateSecretRotationPolicy.on", true, func(ctx context.Context, d provider.CredentialIssuer) error {
		return d.SetRotation(ctx, "app/db", provider.Rotation{Enabled: true, Interval: 6*time.Hour + time.Second})
	}},
	{"UpdateSecretRotationPolicy.off", true, func(ctx context.Context, d provider.CredentialIssuer) error {
		return d.SetRotation(ctx, "app/db", provider.Rotation{Interval: provider.Days(7)})
	}},
	{"ListSecretVersionIds.managed", false, func(ctx context.Context, d provider.CredentialIssuer) error {
		_, err := d.CredentialVersions(ctx, "app/db")
		return err
	}},
	{"ListSecrets.managed", false, func(ctx context.Context, d provider.CredentialIssuer) error {
		_, err := d.FindCredential(ctx, "[mark]")
		return err
	}},
}

// looked answers the look that comes before a rotation, and leaves the rest to another.
func looked(call credentialCall, cloud http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if call.name != "RotateSecret" || r.Header.Get("X-Acs-Action") != "DescribeSecret" {
			return cloud.RoundTrip(r)
		}
		return (&stub{answers: map[string]string{"": doneManaged}}).RoundTrip(r)
	})
}

func TestRequestsAboutCredentialsAreSentAsRecorded(t *testing.T) {
	for _, call := range credentialCalls {
		t.Run(call.name, func(t *testing.T) {
			cloud := &stub{answers: map[string]string{"": doneManaged}}
			if err := call.make(t.Context(), issuing(t, opened(t, looked(call, cloud)))); err != nil {
				t.Fatal(err)
			}
			if len(cloud.asked) != 1 {
				t.Fatalf("%d calls instead of one", len(cloud.asked))
			}
			golden(t, filepath.Join("testdata", call.name+".http"), recorded(t, cloud.asked[0], cloud.bodies[0]))
			if outside := fmt.Sprint(cloud.asked[0].URL, cloud.asked[0].Header); strings.Contains(outside, examplePassword) || cloud.asked[0].URL.RawQuery != "" {
				t.Error("a secret is outside the body")
			}
		})
	}
}

// What comes instead of an answer may quote what was sent.
func TestOtherAnswersToCallsAboutCredentials(t *testing.T) {
	quoting := `{"SecretName":"app-db","SecretData":"` + examplePassword + `"`
	for name, c := range map[string]struct {
		stub
		class     provider.Class
		ambiguous bool // for writers
	}{
		"a page of a broken proxy":      {stub{status: 502, answers: map[string]string{"": "<html>" + quoting}}, provider.ClassUnavailable, true},
		"an empty success":              {stub{}, provider.ClassUnavailable, true},
		"an answer cut short":           {stub{answers: map[string]string{"": quoting}}, provider.ClassUnavailable, true},
		"a success without request id":  {stub{answers: map[string]string{"": quoting + `}`}}, provider.ClassUnavailable, true},
		"a fault of the service":        {stub{status: 500, answers: map[string]string{"": apiError("InternalFailure", "lost "+examplePassword)}}, provider.ClassUnavailable, true},
		"a gateway that throttles":      {stub{status: 429, answers: map[string]string{"": "slow down"}}, provider.ClassThrottled, false},
		"a redirect":                    {stub{status: 307, header: http.Header{"Location": {"https://other.invalid/"}}}, provider.ClassUnavailable, false},
		"a refusal that quotes a value": {stub{answers: map[string]string{"": apiError("Rejected.Disabled", "no "+examplePassword[:10])}}, provider.ClassKMS, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range credentialCalls {
				cloud := c.stub
				err := call.make(t.Context(), issuing(t, opened(t, looked(call, &cloud))))
				e := failure(t, err)
				if e.Class != c.class || e.Ambiguous != (c.ambiguous && call.writes) || len(cloud.asked) != 1 {
					t.Errorf("%s: %d calls, class %s, ambiguous %t: %v", call.name, len(cloud.asked), e.Class, e.Ambiguous, err)
				}
				// Only a creation has a password to know.
				if strings.HasPrefix(call.name, "CreateSecret") && !strings.Contains(call.name, "Redis") && !strings.Contains(call.name, "PolarDB") &&
					strings.Contains(err.Error(), examplePassword[:10]) {
					t.Errorf("%s: the error quotes a password: %v", call.name, err)
				}
			}
		})
	}
}

// An error has to say what it is about, so the names of accounts and parts pass.
func TestNamesInErrorsAreNotTakenForQuotations(t *testing.T) {
	const words = "the AccountName orders-production has no AccountPassword like that of username"
	for _, initial := range []string{
		`{"username":"orders-production","password":"` + examplePassword + `"}`,
		`{"Accounts":[{"AccountName":"orders-production","AccountPassword":"` + examplePassword + `"}]}`,
	} {
		n := exampleCredentials["one database account"]
		n.Initial = sensitive.NewString(initial)
		for message, passes := range map[string]bool{words: true, "of " + initial[len(initial)-12:]: false, examplePassword[:12]: false} {
			d := issuing(t, opened(t, &stub{answers: map[string]string{"": apiError("InvalidParameter", message)}}))
			_, err := d.CreateCredential(t.Context(), "app/db", n)
			if e := failure(t, err); strings.Contains(e.Message, message) != passes {
				t.Errorf("%q passes: %t, want %t: %v", message, !passes, passes, err)
			}
		}
	}
}

// A password may be shorter than what counts as a quotation, so it is looked for
// by itself too.
func TestAShortPasswordIsScrubbed(t *testing.T) {
	n := exampleCredentials["one database account"]
	n.Initial = sensitive.NewString(`{"username":"app","password":"s3cret"}`)
	d := issuing(t, opened(t, &stub{answers: map[string]string{"": apiError("InvalidParameter", "the password s3cret is too short")}}))
	if _, err := d.CreateCredential(t.Context(), "app/db", n); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
}

func TestErrorsOnTheWayTellNoInitialCredentials(t *testing.T) {
	for _, call := range credentialCalls {
		d := issuing(t, opened(t, looked(call, roundTripper(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			return nil, errors.New("no route for " + r.URL.String() + "?" + string(body))
		}))))
		err := call.make(t.Context(), d)
		if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous != call.writes || strings.Contains(err.Error(), examplePassword) {
			t.Errorf("%s: class %s, ambiguous %t: %v", call.name, e.Class, e.Ambiguous, err)
		}
	}
}

func TestAnswersAboutCredentialsMayLackFields(t *testing.T) {
	needed := []string{"CreateSecret", "GetSecretValue", "DescribeSecret"} // what nothing can be done without
	for name, answer := range map[string]string{
		"nothing but a request id": `{"RequestId":"r"}`,
		"nulls": `{"RequestId":"r","SecretName":null,"VersionId":null,"VersionIds":null,"SecretList":null,"SecretType":null,
			"CreateTime":null,"SecretData":null,"VersionStages":null,"AutomaticRotation":null,"ExtendedConfig":null}`,
	} {
		for _, call := range credentialCalls {
			err := call.make(t.Context(), issuing(t, opened(t, looked(call, &stub{answers: map[string]string{"": answer}}))))
			action, _, _ := strings.Cut(call.name, ".")
			if !slices.Contains(needed, action) {
				if err != nil {
					t.Errorf("%s, %s: %v", name, call.name, err)
				}
				continue
			}
			if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous != call.writes {
				t.Errorf("%s, %s: class %s, ambiguous %t: %v", name, call.name, e.Class, e.Ambiguous, err)
			}
		}
	}
}

// The two forms of each kind of login, and what isn't one.
func TestValuesAreReadByType(t *testing.T) {
	for _, c := range []struct{ kind, data, want string }{
		{"Rds", `{"AccountName":"app","AccountPassword":"x"}`, "password username"},
		{"Redis", `{"AccountName":"app","AccountPassword":"x"}`, "password username"},
		{"PolarDB", `{"AccountName":"app","AccountPassword":"x","More":7}`, "password username"},
		{"RAMCredentials", `{"AccessKeyId":"i","AccessKeySecret":"s","GenerateTimestamp":"2023-03-25T10:42:40Z"}`, "access_key_id access_key_secret"},
		{"ECS", `{"UserName":"root","Password":"x"}`, "password username"},
		{"ECS", `{"UserName":"root","PublicKey":"p","PrivateKey":"q"}`, "private_key public_key username"},
		{"Rds", `{"AccountName":"app"}`, ""},
		{"Rds", `not JSON`, ""},
		{"Rds", `[]`, ""},
		{"Future", `{"AccountName":"app","AccountPassword":"x"}`, "password username"},
	} {
		answer := fmt.Sprintf(`{"RequestId":"r","SecretName":"s","VersionId":"v2","SecretType":%q,"SecretData":%q,
			"VersionStages":{"VersionStage":["ACSCurrent"]},"CreateTime":"2020-01-01T00:00:00Z"}`, c.kind, c.data)
		v, err := issuing(t, opened(t, &stub{answers: map[string]string{"": answer}})).ReadCredential(t.Context(), "s")
		if c.want == "" {
			if e := failure(t, err); e.Class != provider.ClassInternal || strings.Contains(err.Error(), "app") {
				t.Errorf("%s %s: %v", c.kind, c.data, err)
			}
			continue
		}
		if got := strings.Join(slices.Sorted(maps.Keys(v.Fields)), " "); err != nil || got != c.want || v.VersionID != "v2" || !slices.Equal(v.Labels, []string{"ACSCurrent"}) {
			t.Errorf("%s: it has %q, %+v, %v", c.kind, got, v, err)
		}
		want := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		if c.kind == "RAMCredentials" {
			want = time.Date(2023, 3, 25, 10, 42, 40, 0, time.UTC)
		}
		if !v.CreatedTime.Equal(want) {
			t.Errorf("%s: it was made %v", c.kind, v.CreatedTime)
		}
	}
}
