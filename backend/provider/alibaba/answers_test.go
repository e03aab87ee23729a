// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// What comes instead of an answer of the API, and may quote what was sent.
func TestOtherAnswers(t *testing.T) {
	quoting := `{"SecretName":"app-db","SecretData":"` + exampleValue + `","token":"` + exampleToken + `"`
	for name, c := range map[string]struct {
		stub
		class     provider.Class
		ambiguous bool // for writers
		says      string
	}{
		"a page of a broken proxy":           {stub{status: 502, answers: map[string]string{"": "<html>" + quoting}}, provider.ClassUnavailable, true, "502"},
		"an empty failure":                   {stub{status: 503}, provider.ClassUnavailable, true, "503"},
		"an empty success":                   {stub{}, provider.ClassUnavailable, true, "200"},
		"a success of another status":        {stub{status: 204}, provider.ClassUnavailable, true, "204"},
		"an answer cut short":                {stub{answers: map[string]string{"": quoting}}, provider.ClassUnavailable, true, "200"},
		"JSON of something else":             {stub{answers: map[string]string{"": `{"message":"` + exampleValue + `"}`}}, provider.ClassUnavailable, true, "200"},
		"a success without a request id":     {stub{answers: map[string]string{"": quoting + `}`}}, provider.ClassUnavailable, true, "200"},
		"a list":                             {stub{answers: map[string]string{"": `[]`}}, provider.ClassUnavailable, true, "200"},
		"null":                               {stub{answers: map[string]string{"": `null`}}, provider.ClassUnavailable, true, "200"},
		"lists that are texts":               {stub{answers: map[string]string{"": quoting + `,"VersionIds":"` + exampleValue + `","SecretList":"x","VersionStages":"x","SecretName":{},"RequestId":"r"}`}}, provider.ClassUnavailable, true, ""},
		"a code that is a number":            {stub{status: 400, answers: map[string]string{"": `{"Code":400,"Message":"` + exampleValue + `","RequestId":"r"}`}}, provider.ClassUnavailable, false, "400"},
		"a message that is an object":        {stub{status: 500, answers: map[string]string{"": `{"Code":"X","Message":{"a":"` + exampleValue + `"}}`}}, provider.ClassUnavailable, true, "500"},
		"a request id that is a number":      {stub{status: 500, answers: map[string]string{"": `{"Code":"X","Message":"","RequestId":7}`}}, provider.ClassUnavailable, true, "500"},
		"a status of failure without a code": {stub{status: 500, answers: map[string]string{"": quoting + `,"RequestId":"r"}`}}, provider.ClassUnavailable, true, "500"},
		"more than a megabyte":               {stub{answers: map[string]string{"": quoting + strings.Repeat(" ", 1<<20) + "}"}}, provider.ClassUnavailable, true, "more than"},
		"a redirect":                         {stub{status: 307, header: http.Header{"Location": {"https://other.invalid/"}}}, provider.ClassUnavailable, false, "redirect"},
		"a proxy that wants a password":      {stub{status: 407, answers: map[string]string{"": "<html>"}}, provider.ClassUnavailable, false, "407"},
		"a gateway that throttles":           {stub{status: 429, answers: map[string]string{"": "slow down"}}, provider.ClassThrottled, false, "429"},
		"details that are text":              {stub{status: 429, answers: map[string]string{"": `{"Code":"Rejected.Throttling","AccessDeniedDetail":"x","HostId":7,"Message":"slow down","RequestId":"r"}`}}, provider.ClassThrottled, false, "slow down"},
		"a code with a status of success":    {stub{status: 200, answers: map[string]string{"": apiError("Rejected.Throttling", "slow down")}}, provider.ClassThrottled, false, "slow down"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range calls {
				if name == "lists that are texts" && !strings.HasPrefix(call.name, "List") {
					continue // the others have no lists, and take what they don't know
				}
				cloud := c.stub
				err := call.make(t.Context(), opened(t, &cloud))
				e := failure(t, err)
				if e.Class != c.class || e.Ambiguous != (c.ambiguous && call.writes) || !strings.Contains(e.Message, c.says) {
					t.Errorf("%s: class %s, ambiguous %t: %v", call.name, e.Class, e.Ambiguous, err)
				}
				for _, secret := range []string{exampleValue, exampleToken, exampleSecret} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%s: the error quotes a secret", call.name)
					}
				}
				if len(cloud.asked) != 1 {
					t.Errorf("%s: %d calls instead of one", call.name, len(cloud.asked))
				}
			}
		})
	}
}

// oddValue has nothing in common with its encoded forms.
const oddValue = "ä&ö=ü/ß?é#è+ê%ô<â>û"

// The service's text for a wrong signature repeats every parameter, each encoded
// twice, in which form nobody would recognise a value.
func TestAStringToSignIsNeverRepeated(t *testing.T) {
	text := "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&" +
		url.QueryEscape("SecretData="+url.QueryEscape(oddValue))
	for _, code := range []string{"SignatureDoesNotMatch", "IncompleteSignature", "NeverHeardOf", "InvalidParameter"} {
		for _, call := range calls {
			err := call.make(t.Context(), opened(t, &stub{answers: map[string]string{"": apiError(code, text)}}))
			if err == nil {
				t.Fatalf("%s: success", call.name)
			}
			for _, part := range []string{"string to sign", "SecretData", "%25"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("%s for %s: the error repeats it: %v", code, call.name, err)
				}
			}
		}
	}
}

// An error that happens on the way knows the URL, and a transport may know more.
func TestErrorsOnTheWayTellNoSecrets(t *testing.T) {
	for _, call := range calls {
		d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			return nil, errors.New("no route for " + r.URL.String() + "?" + string(body))
		}))
		err := call.make(t.Context(), d)
		if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous != call.writes {
			t.Errorf("%s: class %s, ambiguous %t", call.name, e.Class, e.Ambiguous)
		}
		for _, secret := range []string{exampleValue, url.QueryEscape(exampleValue), exampleToken, exampleSecret} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error quotes a secret", call.name)
			}
		}
	}
}

func TestCodesAndRequestIDsAreScrubbed(t *testing.T) {
	body := strings.ReplaceAll(apiError("Odd."+exampleSecret, "x"), "the-request-id", exampleToken)
	_, err := opened(t, &stub{answers: map[string]string{"": body}}).Describe(t.Context(), "app/db")
	if text := err.Error(); strings.Contains(text, exampleSecret) || strings.Contains(text, exampleToken) {
		t.Error("the error quotes a credential")
	}
}

func TestAValueIsScrubbedAsItWasSent(t *testing.T) {
	slashes := strings.Repeat("\xff", 24)
	for form, v := range map[string]provider.Value{
		oddValue:                  provider.Text(oddValue),
		url.QueryEscape(oddValue): provider.Text(oddValue),
		strings.Repeat("/", 32):   provider.Binary([]byte(slashes)),
		strings.Repeat("%2F", 32): provider.Binary([]byte(slashes)),
	} {
		d := opened(t, &stub{answers: map[string]string{"": apiError("Rejected.LimitExceeded", "can't store "+form)}})
		_, putErr := d.PutVersion(t.Context(), "app/db", "v2", v)
		_, createErr := d.Create(t.Context(), "app/db", provider.NewSecret{VersionID: "v2", Value: v})
		for _, err := range []error{putErr, createErr} {
			if err == nil || strings.Contains(err.Error(), form) {
				t.Errorf("the value is quoted: %v", err)
			}
		}
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
			d := openedAs(t, provider.Config{
				Region: region, Endpoint: endpoint, Transport: transport,
				AccessKeyID: "example-id", AccessKeySecret: sensitive.NewString(exampleSecret),
			})
			err = d.SetDescription(t.Context(), "app/db", "x")
			if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous || !strings.Contains(e.Message, c.says) || strings.Contains(e.Message, "Post") {
				t.Errorf("ambiguous %t: %v", e.Ambiguous, err)
			}
			findings, err := d.Check(t.Context())
			if err != nil || len(findings) != 1 || findings[0].OK || findings[0].Check != "endpoint" {
				t.Errorf("check: %+v, %v", findings, err)
			}
		})
	}
}

// An answer that has come counts, also when the context ends right then.
func TestAnAnswerCountsThoughTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cloud := &stub{answers: map[string]string{"": apiError("Forbidden.ResourceNotFound", "absent")}}
	d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		defer cancel()
		return cloud.RoundTrip(r)
	}))
	if _, err := d.Describe(ctx, "app/db"); !provider.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
}

// endless is a body that never comes, until its request's context ends.
type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

func (endless) Close() error { return nil }

func TestABodyThatNeverComesEndsWithTheContext(t *testing.T) {
	for _, call := range calls {
		ctx, cancel := context.WithCancel(t.Context())
		d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			cancel()
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: endless{r.Context()}, Request: r}, nil
		}))
		err := call.make(ctx, d)
		if !errors.Is(err, context.Canceled) || provider.IsAmbiguous(err) != call.writes {
			t.Errorf("%s: ambiguous %t: %v", call.name, provider.IsAmbiguous(err), err)
		}
	}
}

// flood is a body without an end. Whoever reads far too much of it gets an error.
type flood struct {
	left   int
	closed bool
}

func (f *flood) Read(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("read too far")
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func (f *flood) Close() error {
	f.closed = true
	return nil
}

func TestAnAnswerIsReadToABound(t *testing.T) {
	body := &flood{left: 4 << 20}
	d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
	}))
	if _, err := d.Describe(t.Context(), "app/db"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error %v", err)
	}
	if !body.closed {
		t.Error("the body stays open")
	}
}
