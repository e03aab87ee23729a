// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

func apiError(code, message string) string {
	encoded, err := json.Marshal(map[string]any{"Response": map[string]any{
		"Error": map[string]string{"Code": code, "Message": message}, "RequestId": "the-request-id",
	}})
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

func failure(t *testing.T, err error) *provider.Error {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T, not a *provider.Error", err, err)
	}
	return e
}

func TestEveryCodeHasAClass(t *testing.T) {
	// The codes of the SDK's errors.go, those of the gateway, and some that
	// nobody has listed.
	for code, want := range map[string]provider.Class{
		"AuthFailure":                                       provider.ClassAuth,
		"AuthFailure.InvalidAuthorization":                  provider.ClassAuth,
		"AuthFailure.InvalidSecretId":                       provider.ClassAuth,
		"AuthFailure.MFAFailure":                            provider.ClassAuth,
		"AuthFailure.SecretIdNotFound":                      provider.ClassAuth,
		"AuthFailure.SignatureExpire":                       provider.ClassAuth,
		"AuthFailure.SignatureFailure":                      provider.ClassAuth,
		"AuthFailure.TokenFailure":                          provider.ClassAuth,
		"AuthFailure.UnauthorizedOperation":                 provider.ClassPermission,
		"DryRunOperation":                                   provider.ClassInternal,
		"FailedOperation":                                   provider.ClassUnavailable,
		"FailedOperation.AccessKmsError":                    provider.ClassKMS,
		"FailedOperation.RotationForbidden":                 provider.ClassConflict,
		"InternalError":                                     provider.ClassUnavailable,
		"InvalidAction":                                     provider.ClassInvalid,
		"InvalidParameter":                                  provider.ClassInvalid,
		"InvalidParameterValue":                             provider.ClassInvalid,
		"InvalidParameterValue.TagKeysDuplicated":           provider.ClassInvalid,
		"InvalidParameterValue.TagsNotExisted":              provider.ClassInvalid,
		"LimitExceeded":                                     provider.ClassLimit,
		"MissingParameter":                                  provider.ClassInvalid,
		"NoSuchVersion":                                     provider.ClassInvalid,
		"OperationDenied":                                   provider.ClassPermission,
		"OperationDenied.AccessKeyOverLimit":                provider.ClassLimit,
		"OperationDenied.AutoRotatedResource":               provider.ClassOwnership,
		"OperationDenied.RoleNotExist":                      provider.ClassPermission,
		"OperationDenied.UinNotMatch":                       provider.ClassPermission,
		"RequestLimitExceeded":                              provider.ClassThrottled,
		"RequestLimitExceeded.GlobalRegionUinLimitExceeded": provider.ClassThrottled,
		"RequestLimitExceeded.IPLimitExceeded":              provider.ClassThrottled,
		"RequestLimitExceeded.UinLimitExceeded":             provider.ClassThrottled,
		"RequestSizeLimitExceeded":                          provider.ClassInvalid,
		"ResourceInUse":                                     provider.ClassConflict,
		"ResourceInUse.SecretExists":                        provider.ClassExists,
		"ResourceInsufficient":                              provider.ClassLimit,
		"ResourceNotFound":                                  provider.ClassNotFound,
		"ResourceNotFound.SecretNotExist":                   provider.ClassNotFound,
		"ResourceUnavailable":                               provider.ClassUnavailable,
		"ResourceUnavailable.NotPurchased":                  provider.ClassPermission,
		"ResourceUnavailable.ResourceDisabled":              provider.ClassConflict,
		"ResourceUnavailable.ResourcePendingDeleted":        provider.ClassConflict,
		"ResourceUnavailable.ResourceUninitialized":         provider.ClassConflict,
		"ResourcesSoldOut":                                  provider.ClassLimit,
		"ServiceUnavailable":                                provider.ClassUnavailable,
		"UnauthorizedOperation":                             provider.ClassPermission,
		"UnauthorizedOperation.AccessKmsError":              provider.ClassKMS,
		"UnknownParameter":                                  provider.ClassInvalid,
		"UnsupportedOperation":                              provider.ClassInvalid,
		"UnsupportedRegion":                                 provider.ClassInvalid,
		"NeverHeardOf":                                      provider.ClassInternal,
		"NeverHeardOf.This":                                 provider.ClassInternal,
		"InvalidParameterValue.NeverHeardOf":                provider.ClassInvalid,
	} {
		d := opened(t, &stub{answers: map[string]string{"": apiError(code, "the words\nof the cloud")}})
		_, err := d.Create(t.Context(), "app-db", provider.NewSecret{VersionID: "v1", Value: provider.Text(exampleValue)})
		e := failure(t, err)
		if e.Class != want {
			t.Errorf("%s has class %s, want %s", code, e.Class, want)
		}
		if e.Code != code || e.RequestID != "the-request-id" || e.Operation != "CreateSecret" || !strings.Contains(e.Message, "the words of the cloud") {
			t.Errorf("%s: the error lacks something: %v", code, err)
		}
		if uncertain := code == "InternalError" || code == "ServiceUnavailable"; e.Ambiguous != uncertain {
			t.Errorf("%s: ambiguous is %t", code, e.Ambiguous)
		}
	}
}

func TestMessagesSayWhatToDo(t *testing.T) {
	for code, want := range map[string]string{
		"AuthFailure.SignatureExpire":          "clock",
		"AuthFailure.SecretIdNotFound":         "access_key_id",
		"AuthFailure.SignatureFailure":         "access_key_secret",
		"AuthFailure.TokenFailure":             "security_token",
		"ResourceUnavailable.NotPurchased":     "activate",
		"OperationDenied.RoleNotExist":         "SSM_QCSRole",
		"InvalidParameterValue.TagsNotExisted": "Tag service",
		"FailedOperation.AccessKmsError":       "KMS key",
		"UnsupportedRegion":                    "region",
		"InvalidAction":                        "endpoint",
	} {
		d := opened(t, &stub{answers: map[string]string{"": apiError(code, "")}})
		_, err := d.Describe(t.Context(), "app-db")
		if e := failure(t, err); !strings.Contains(e.Message, want) || strings.HasPrefix(e.Message, ";") {
			t.Errorf("%s: %q doesn't speak of %q", code, e.Message, want)
		}
	}
}

// What comes instead of an answer of the API, and may quote what was sent.
func TestOtherAnswers(t *testing.T) {
	quoting := `{"Response":{"SecretString":"` + exampleValue + `","token":"` + exampleToken + `"`
	for name, c := range map[string]struct {
		stub
		class     provider.Class
		ambiguous bool // for writers
		says      string
	}{
		"a page of a broken proxy":           {stub{status: 502, answers: map[string]string{"": "<html>" + quoting}}, provider.ClassUnavailable, true, "502"},
		"an empty answer":                    {stub{status: 503}, provider.ClassUnavailable, true, "503"},
		"a success without a body":           {stub{}, provider.ClassUnavailable, true, "200"},
		"an answer cut short":                {stub{answers: map[string]string{"": quoting}}, provider.ClassUnavailable, true, "200"},
		"JSON of something else":             {stub{answers: map[string]string{"": `{"message":"` + exampleValue + `"}`}}, provider.ClassUnavailable, true, "200"},
		"a response that is null":            {stub{answers: map[string]string{"": `{"Response":null}`}}, provider.ClassUnavailable, true, "200"},
		"a response that is text":            {stub{answers: map[string]string{"": `{"Response":"` + exampleValue + `"}`}}, provider.ClassUnavailable, true, ""},
		"a status of failure without a code": {stub{status: 500, answers: map[string]string{"": quoting + "}}"}}, provider.ClassUnavailable, true, ""},
		"more than a megabyte":               {stub{answers: map[string]string{"": quoting + strings.Repeat(" ", 1<<20) + "}}"}}, provider.ClassUnavailable, true, "more than"},
		"an event stream":                    {stub{header: http.Header{"Content-Type": {"text/event-stream"}}, answers: map[string]string{"": "data: x"}}, provider.ClassUnavailable, true, "200"},
		"a redirect":                         {stub{status: 307, header: http.Header{"Location": {"https://other.invalid/"}}}, provider.ClassUnavailable, false, "redirect"},
		"a proxy that wants a password":      {stub{status: 407, answers: map[string]string{"": "<html>"}}, provider.ClassUnavailable, false, "407"},
		"a gateway that throttles":           {stub{status: 429, answers: map[string]string{"": "slow down"}}, provider.ClassThrottled, false, "429"},
		"a failure status with a code":       {stub{status: 500, answers: map[string]string{"": apiError("RequestLimitExceeded", "slow down")}}, provider.ClassThrottled, false, "slow down"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range calls {
				cloud := c.stub
				err := call.make(t.Context(), opened(t, &cloud))
				e := failure(t, err)
				if e.Class != c.class || e.Ambiguous != (c.ambiguous && call.writes) || !strings.Contains(e.Message, c.says) {
					t.Errorf("%s: class %s, ambiguous %t: %v", call.action, e.Class, e.Ambiguous, err)
				}
				for _, secret := range []string{exampleValue, exampleToken, exampleSecret} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%s: the error quotes a secret", call.action)
					}
				}
				if len(cloud.asked) != 1 {
					t.Errorf("%s: %d calls instead of one", call.action, len(cloud.asked))
				}
			}
		})
	}
}

func TestCodesAndRequestIDsAreScrubbed(t *testing.T) {
	body := strings.ReplaceAll(apiError("Odd."+exampleSecret, "x"), "the-request-id", exampleToken)
	_, err := opened(t, &stub{answers: map[string]string{"": body}}).Describe(t.Context(), "app-db")
	if text := err.Error(); strings.Contains(text, exampleSecret) || strings.Contains(text, exampleToken) {
		t.Error("the error quotes a credential")
	}
}

func TestABinaryValueIsScrubbedAsItWasSent(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(exampleValue))
	d := opened(t, &stub{answers: map[string]string{"": apiError("InvalidParameterValue", "can't store "+encoded)}})
	_, err := d.PutVersion(t.Context(), "app-db", "v2", provider.Binary([]byte(exampleValue)))
	if err == nil || strings.Contains(err.Error(), encoded) {
		t.Errorf("the value in base64 is quoted: %v", err)
	}
}

func TestUnreachableEndpoints(t *testing.T) {
	trusting := httptest.NewUnstartedServer(http.NotFoundHandler())
	trusting.Config.ErrorLog = log.New(io.Discard, "", 0)
	trusting.StartTLS()
	defer trusting.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusting.Certificate().Raw}))

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := listener.Addr().String()
	_ = listener.Close()

	for name, c := range map[string]struct{ endpoint, ca, says string }{
		"nobody listens":                {endpoint: "http://" + refusing, says: "refused"},
		"the certificate isn't trusted": {endpoint: trusting.URL, says: "ca_cert"},
		"the certificate is trusted":    {endpoint: trusting.URL, ca: ca, says: "404"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, err := provider.ParseEndpoint(c.endpoint)
			if err != nil {
				t.Fatal(err)
			}
			transport, err := provider.NewTransport(c.ca)
			if err != nil {
				t.Fatal(err)
			}
			defer transport.CloseIdleConnections()
			d, err := tencent.Kind.Open(provider.Config{
				Region: region, Endpoint: endpoint, Transport: transport,
				AccessKeyID: "example-id", AccessKeySecret: sensitive.NewString(exampleSecret),
			})
			if err != nil {
				t.Fatal(err)
			}
			err = d.SetDescription(t.Context(), "app-db", "x")
			if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous || !strings.Contains(e.Message, c.says) {
				t.Errorf("ambiguous %t: %v", e.Ambiguous, err)
			}
			findings, err := provider.Check(t.Context(), d)
			if err != nil || len(findings) != 1 || findings[0].OK || findings[0].Check != "endpoint" {
				t.Errorf("check: %+v, %v", findings, err)
			}
		})
	}
}

// An answer that has come counts, also when the context ends right then.
func TestAnAnswerCountsThoughTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cloud := &stub{answers: map[string]string{"": apiError("ResourceNotFound", "absent")}}
	d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		defer cancel()
		return cloud.RoundTrip(r)
	}))
	if _, err := d.Describe(ctx, "app-db"); !provider.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
