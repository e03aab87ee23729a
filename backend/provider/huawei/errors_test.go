// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// apiError is an error in the flat shape.
func apiError(status int, code, message string) reply {
	encoded, err := json.Marshal(map[string]string{"error_code": code, "error_msg": message})
	if err != nil {
		panic(err)
	}
	return reply{status: status, body: string(encoded)}
}

// nested is the same error in the other shape.
func nested(r reply) reply { return reply{status: r.status, body: `{"error":` + r.body + `}`} }

// keystone is an error as the identity service writes it, whose code is a number.
func keystone(status int) reply {
	encoded, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": status, "title": http.StatusText(status), "message": "the words of " + exampleValue,
	}})
	if err != nil {
		panic(err)
	}
	return reply{status: status, body: string(encoded)}
}

// always answers everything so.
func always(r reply) *stub { return &stub{answers: map[string]reply{"": r}} }

func failure(t *testing.T, err error) *provider.Error {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T, not a *provider.Error", err, err)
	}
	return e
}

func TestEveryCodeHasAClass(t *testing.T) {
	for _, c := range []struct {
		status int
		codes  string // with a space between
		want   provider.Class
	}{
		{400, "CSMS.0002 CSMS.0003 CSMS.0004 CSMS.0105", provider.ClassInvalid},
		{400, "CSMS.0005 CSMS.0106", provider.ClassNotFound},
		{404, "CSMS.0005 CSMS.0106 CSMS.0999 KMS.0999 KMS.0416", provider.ClassNotFound},
		{400, "CSMS.0103 CSMS.0107 CSMS.0108", provider.ClassConflict},
		{403, "CSMS.0109", provider.ClassConflict},
		{400, "CSMS.0202 CSMS.0203 CSMS.0204 KMS.0409", provider.ClassLimit},
		{400, "CSMS.0301", provider.ClassAuth},
		{403, "CSMS.0302 CSMS.0999 KMS.0306 KMS.0307 KMS.0326 KMS.0314 KMS.0328", provider.ClassPermission},
		{400, "KMS.0320", provider.ClassPermission},
		{400, "CSMS.0401 KMS.0205 KMS.0209 KMS.0210", provider.ClassKMS},
		{404, "KMS.0207", provider.ClassKMS},
		{400, "KMS.0201 KMS.0202 KMS.0203 KMS.0204 KMS.0401 KMS.0417", provider.ClassInvalid},
		{403, "KMS.0301 KMS.0302 KMS.0303 KMS.0321", provider.ClassAuth},
		{500, "KMS.0101 KMS.0102 CSMS.0002 CSMS.0999", provider.ClassUnavailable},
		{404, "APIGW.0101 APIGW.0103 APIG.0101", provider.ClassInvalid},
		{400, "APIGW.0104 APIGW.0105 APIGW.0106", provider.ClassUnavailable},
		{400, "APIGW.0201", provider.ClassInvalid},
		{413, "APIGW.0201", provider.ClassInvalid},
		{502, "APIGW.0201 APIGW.0610", provider.ClassUnavailable},
		{504, "APIGW.0201", provider.ClassUnavailable},
		{401, "APIGW.0301 APIG.0301 APIGW.0303 APIGW.0305 APIGW.0307 Odd.0001", provider.ClassAuth},
		{403, "APIGW.0302 APIGW.0304 APIGW.0306 APIGW.0401 APIGW.0402 APIGW.0802", provider.ClassPermission},
		{403, "APIGW.0310", provider.ClassAuth},
		{429, "APIGW.0308 APIG.0308 CSMS.0002 Odd.0001", provider.ClassThrottled},
		{403, "APIGW.0308 APIG.0308", provider.ClassThrottled},
		{503, "APIGW.0613", provider.ClassUnavailable},
		{500, "APIGW.0601", provider.ClassUnavailable},
		{409, "CSMS.0999", provider.ClassConflict},
		{404, "APIGW.0999 Odd.0001", provider.ClassUnavailable}, // it isn't the service that says so
		{400, "CSMS.0999 Odd.0001", provider.ClassInternal},
	} {
		for code := range strings.FieldsSeq(c.codes) {
			flat := apiError(c.status, code, "the words\nof the cloud")
			for _, answer := range []reply{flat, nested(flat)} {
				e := failure(t, opened(t, always(answer)).SetDescription(t.Context(), "app-db", "x"))
				if e.Class != c.want || e.Ambiguous != (c.status >= 500) {
					t.Errorf("%d %s has class %s, ambiguous %t, want %s", c.status, code, e.Class, e.Ambiguous, c.want)
				}
				if e.Code != code || e.RequestID != "the-request-id" || e.Operation != "UpdateSecret" ||
					!strings.Contains(e.Message, "the words of the cloud") {
					t.Errorf("%s: the error lacks something: %v", code, e)
				}
			}
		}
	}
}

func TestMessagesSayWhatToDo(t *testing.T) {
	for code, want := range map[string]string{
		"APIGW.0301": "clock",
		"CSMS.0301":  "security_token",
		"KMS.0321":   "project_id",
		"APIGW.0310": "project_id",
		"APIGW.0101": "endpoint",
		"APIGW.0802": "region",
		"APIGW.0401": "IP address",
		"KMS.0306":   "kms:cmk:createDataKey",
		"CSMS.0401":  "KMS key",
		"KMS.0328":   "settle",
		"CSMS.0103":  "restore",
	} {
		_, err := opened(t, always(apiError(400, code, "words"))).Describe(t.Context(), "app-db")
		if e := failure(t, err); !strings.Contains(e.Message, want) || !strings.HasPrefix(e.Message, "words; ") {
			t.Errorf("%s: %q doesn't speak of %q", code, e.Message, want)
		}
	}
}

// What comes instead of an answer of the API, and may quote what was sent.
func TestOtherAnswers(t *testing.T) {
	quoting := `{"secret":{"name":"` + exampleValue + `","token":"` + exampleToken + `"`
	encoded := base64.StdEncoding.EncodeToString([]byte(exampleValue))
	wrongTypes := `{"secret":"V","version":"V","version_metadata":"V","secrets":"V","version_metadatas":"V","stage":"V","tags":"V",` +
		`"tasks":"V","agency_granted":{"V":"V"}}`
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	for name, c := range map[string]struct {
		reply
		class     provider.Class
		ambiguous bool // for writers
		says      string
		silent    bool // it is success for calls whose success has no body
	}{
		"a page of a broken proxy":        {reply{status: 502, body: "<html>" + quoting}, provider.ClassUnavailable, true, "502", false},
		"an empty failure":                {reply{status: 503}, provider.ClassUnavailable, true, "503", false},
		"a success without a body":        {reply{}, provider.ClassUnavailable, true, "200", true},
		"an answer cut short":             {reply{body: quoting}, provider.ClassUnavailable, true, "200", false},
		"an answer that is null":          {reply{body: "null"}, provider.ClassUnavailable, true, "200", false},
		"an answer that is a list":        {reply{body: "[]"}, provider.ClassUnavailable, true, "200", false},
		"fields of other types":           {reply{body: strings.ReplaceAll(wrongTypes, "V", exampleValue)}, provider.ClassUnavailable, true, "understood", true},
		"the same with the value encoded": {reply{body: strings.ReplaceAll(wrongTypes, "V", encoded)}, provider.ClassUnavailable, true, "understood", true},
		"a failure cut short":             {reply{status: 500, body: quoting}, provider.ClassUnavailable, true, "500", false},
		"a failure of something else":     {reply{status: 500, body: quoting + "}}"}, provider.ClassUnavailable, true, "500", false},
		"a failure that is null":          {reply{status: 400, body: "null"}, provider.ClassUnavailable, false, "400", false},
		"more than a megabyte": {
			reply{body: quoting + strings.Repeat(" ", 1<<20) + "}}"}, provider.ClassUnavailable, true, "more than", false,
		},
		"XML":                          {reply{header: header("Content-Type", "application/xml"), body: "<a/>"}, provider.ClassUnavailable, true, "200", false},
		"a failure in BSON":            {reply{status: 400, header: header("Content-Type", "application/bson"), body: "x"}, provider.ClassUnavailable, false, "400", false},
		"a redirect":                   {reply{status: 302, header: header("Location", "https://other.invalid/")}, provider.ClassUnavailable, false, "redirect", false},
		"a redirect with an answer":    {reply{status: 307, body: good["ShowSecret"].body}, provider.ClassUnavailable, false, "redirect", false},
		"a proxy that wants a sign-in": {reply{status: 407, body: "<html>"}, provider.ClassUnavailable, false, "407", false},
		"a page that isn't found":      {reply{status: 404, body: "<html>"}, provider.ClassUnavailable, false, "404", false},
		"a proxy that forbids":         {reply{status: 403, body: "<html>"}, provider.ClassUnavailable, false, "403", false},
		"a gateway that throttles":     {reply{status: 429, body: "slow down"}, provider.ClassThrottled, false, "429", false},
		"Keystone's 401":               {keystone(401), provider.ClassAuth, false, "401", false},
		"Keystone's 403":               {keystone(403), provider.ClassPermission, false, "403", false},
		"Keystone's 404":               {keystone(404), provider.ClassUnavailable, false, "endpoint", false},
		"Keystone's 503":               {keystone(503), provider.ClassUnavailable, true, "503", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range calls {
				if c.silent && call.silent {
					continue
				}
				cloud := always(c.reply)
				err := call.make(t.Context(), opened(t, cloud))
				e := failure(t, err)
				if e.Class != c.class || e.Ambiguous != (c.ambiguous && call.writes) || !strings.Contains(e.Message, c.says) {
					t.Errorf("%s: class %s, ambiguous %t: %v", call.name, e.Class, e.Ambiguous, err)
				}
				for _, secret := range []string{exampleValue, encoded, exampleToken, exampleSecret} {
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

// An object that has nothing of what was asked for is no answer, unless nothing
// was asked for.
func TestAnswersThatLackFields(t *testing.T) {
	telling := []string{
		"Describe", "Versions", "Read", "List", "Create", "PutVersion", "ChangeTags", "CreateCredential", "CreateCredentialOfTwo",
		"DescribeCredential", "CredentialTask", "ReadCredential", "CredentialVersions", "RotateCredential",
	}
	for name, body := range map[string]string{
		"nothing":        `{}`,
		"nulls":          `{"secret":null,"version":null,"version_metadata":null,"secrets":null,"version_metadatas":null,"page_info":null,"stage":null,"tags":null}`,
		"empty objects":  `{"version":{},"version_metadata":{},"stage":{}}`,
		"another answer": `{"message":"welcome"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range calls {
				err := call.make(t.Context(), opened(t, always(reply{body: body})))
				if !slices.Contains(telling, call.name) {
					if err != nil {
						t.Errorf("%s: %v", call.name, err)
					}
					continue
				}
				if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous != call.writes || !strings.Contains(e.Message, "has no") {
					t.Errorf("%s: ambiguous %t: %v", call.name, e.Ambiguous, err)
				}
			}
		})
	}
	t.Run("objects of which all fields are null", func(t *testing.T) {
		d := opened(t, always(reply{body: `{"secret":{"id":null,"state":null,"secret_type":null,"create_time":null},"secrets":[{}],
			"version_metadatas":[{"version_stages":null},{"id":"v1","version_stages":["",null]}],"page_info":{"next_marker":null},"tags":[{"key":"a"}]}`}))
		s, err := d.Describe(t.Context(), "app-db")
		if err != nil || s.Name != "app-db" || s.State != provider.StateOther || s.CloudManaged || s.Type == "" || !s.CreatedTime.IsZero() {
			t.Errorf("described is %+v, %v", s, err)
		}
		versions, err := d.Versions(t.Context(), "app-db")
		if err != nil || len(versions) != 1 || len(versions[0].Labels) != 0 {
			t.Errorf("versions %+v, %v", versions, err)
		}
		if page, next, err := d.List(t.Context(), ""); err != nil || len(page) != 1 || next != "" {
			t.Errorf("page %+v, %q, %v", page, next, err)
		}
	})
	t.Run("a secret without the id that tags need", func(t *testing.T) {
		without := reply{body: `{"secret":{"name":"app-db"}}`}
		d := opened(t, &stub{answers: map[string]reply{"ShowSecret": without, "CreateSecret": without}})
		tags := map[string]string{"a": "b"}
		if e := failure(t, d.ChangeTags(t.Context(), "app-db", tags, nil)); e.Class != provider.ClassUnavailable {
			t.Errorf("change tags: %v", e)
		}
		created, err := d.Create(t.Context(), "app-db", provider.NewSecret{Value: provider.Text("x"), Tags: tags})
		if err != nil || failure(t, created.TagsError).Class != provider.ClassUnavailable {
			t.Errorf("create: %v, %v", err, created.TagsError)
		}
	})
}

func TestTheContentTypeOfAnAnswerDoesNotMatter(t *testing.T) {
	for _, kind := range []string{"application/xml", "application/bson", "text/html", "application/octet-stream", ""} {
		header := http.Header{"Content-Type": {kind}}
		d := opened(t, always(reply{header: header, body: good["ShowSecret"].body}))
		if s, err := d.Describe(t.Context(), "app-db"); err != nil || s.State != provider.StateEnabled {
			t.Errorf("%s: %+v, %v", kind, s, err)
		}
		refusal := apiError(400, "CSMS.0005", "absent")
		refusal.header = header
		if _, err := opened(t, always(refusal)).Describe(t.Context(), "app-db"); !provider.IsNotFound(err) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestTheTextOnAWrongSignatureIsCut(t *testing.T) {
	const signed = "POST|/v1/x/secrets|||x-sdk-date:20260102T030405Z|bf6802b19bc559eb70f2cb673cdbb03a"
	answer := apiError(401, "APIGW.0301", "Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:"+signed)
	_, err := opened(t, always(answer)).Describe(t.Context(), "app-db")
	e := failure(t, err)
	if !strings.Contains(e.Message, "signature fail; ") || strings.Contains(e.Message, "POST") || strings.Contains(e.Message, "bf6802b1") {
		t.Errorf("message: %s", e.Message)
	}
}

func TestAThrottledCallWaitsForThePeriodThatTheTextNames(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"The throttling threshold has been reached: policy user over ratelimit,limit:20,time:1 second":                    time.Second,
		"The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute":                    time.Minute,
		"The throttling threshold has been reached: policy user over ratelimit,limit:60,time:2 hours":                     provider.MaxRetryAfter,
		"The throttling threshold has been reached: policy user over ratelimit,limit:60,time:99999999999999999999 second": 0,
		"The throttling threshold has been reached":                                                                       0,
	} {
		_, err := opened(t, always(apiError(http.StatusTooManyRequests, "APIGW.0308", text))).Describe(t.Context(), "app-db")
		if e := failure(t, err); e.RetryAfter != want || e.Class != provider.ClassThrottled {
			t.Errorf("%q: class %s, retry after %v, want %v", text, e.Class, e.RetryAfter, want)
		}
	}
	refused := always(apiError(http.StatusBadRequest, "CSMS.0002", "limit:20,time:1 second"))
	if _, err := opened(t, refused).Describe(t.Context(), "app-db"); failure(t, err).RetryAfter != 0 {
		t.Error("a refusal for another reason is given a time")
	}
}

func TestCodesAndRequestIDsAreScrubbed(t *testing.T) {
	answer := apiError(400, "Odd."+exampleSecret, "x")
	_, err := opened(t, always(answer)).Describe(t.Context(), "app-db")
	if strings.Contains(err.Error(), exampleSecret) {
		t.Error("the error quotes a credential")
	}
}

func TestABinaryValueIsScrubbedAsItWasSent(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(exampleValue))
	d := opened(t, &stub{answers: map[string]reply{"CreateSecretVersion": apiError(400, "CSMS.0002", "can't store "+encoded)}})
	_, err := d.PutVersion(t.Context(), "app-db", "", provider.Binary([]byte(exampleValue)))
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
			transport, err := provider.NewTransport(c.ca)
			if err != nil {
				t.Fatal(err)
			}
			defer transport.CloseIdleConnections()
			settings := exampleConfig(transport)
			if settings.Endpoint, err = provider.ParseEndpoint(c.endpoint); err != nil {
				t.Fatal(err)
			}
			d := openedWith(t, settings)
			err = d.SetDescription(t.Context(), "app-db", "x")
			if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous || !strings.Contains(e.Message, c.says) {
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
	cloud := always(apiError(404, "CSMS.0005", "absent"))
	d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		defer cancel()
		return cloud.RoundTrip(r)
	}))
	if _, err := d.Describe(ctx, "app-db"); !provider.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
}

func TestAContextEndsAnAnswerThatIsUnderWay(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"secret":`)
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	connections := &http.Transport{}
	defer connections.CloseIdleConnections()
	settings := exampleConfig(roundTripper(func(r *http.Request) (*http.Response, error) {
		defer cancel() // the header has come
		return connections.RoundTrip(r)
	}))
	var err error
	if settings.Endpoint, err = provider.ParseEndpoint(server.URL); err != nil {
		t.Fatal(err)
	}
	err = openedWith(t, settings).SetDescription(ctx, "app-db", "x")
	if e := failure(t, err); !errors.Is(err, context.Canceled) || !e.Ambiguous {
		t.Errorf("ambiguous %t: %v", e.Ambiguous, err)
	}
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
