// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// noon is the time of the tests that sign by themselves.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// wire is a call before it is signed. The signing here is written apart from
// the server's, after the same description.
type wire struct {
	method, path, query, body string // path and query as they are on the wire
	canonicalPath             string // what is signed for path
	canonicalQuery            string // and for query
	userAgent, token          string
	projectHeader, hash       string
	signedHeaders             string
	account                   emulator.Account
	at                        time.Time
}

func newWire() wire {
	return wire{
		method: http.MethodGet, path: "/v1/" + project + "/secrets/s", userAgent: "huaweicloud-usdk-go/3.0; test/1.0",
		projectHeader: project, signedHeaders: "user-agent;x-project-id;x-sdk-date", account: emulator.ExampleAccount(), at: noon,
	}
}

func digest(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

// request builds and signs the call.
func (w wire) request() *http.Request {
	r := httptest.NewRequest(w.method, w.path, strings.NewReader(w.body))
	r.URL.RawQuery = w.query
	r.Host = "kms.emulator.test"
	date := w.at.UTC().Format("20060102T150405Z")
	for name, value := range map[string]string{
		"User-Agent": w.userAgent, "X-Project-Id": w.projectHeader, "X-Security-Token": w.token,
		"X-Sdk-Date": date, "Content-Type": "application/json", "X-Sdk-Content-Sha256": w.hash,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	headers := ""
	for _, name := range strings.Split(w.signedHeaders, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		headers += name + ":" + strings.TrimSpace(value) + "\n"
	}
	hash, path, query := digest(w.body), w.path, w.query
	if w.hash != "" {
		hash = w.hash
	}
	if w.canonicalPath != "" {
		path = w.canonicalPath
	}
	if w.canonicalQuery != "" {
		query = w.canonicalQuery
	}
	canonical := strings.Join([]string{w.method, strings.TrimSuffix(path, "/") + "/", query, headers, w.signedHeaders, hash}, "\n")
	m := hmac.New(sha256.New, []byte(w.account.AccessKeySecret))
	m.Write([]byte("SDK-HMAC-SHA256\n" + date + "\n" + digest(canonical)))
	r.Header.Set("Authorization", fmt.Sprintf("SDK-HMAC-SHA256 Access=%s, SignedHeaders=%s, Signature=%x",
		w.account.AccessKeyID, w.signedHeaders, m.Sum(nil)))
	return r
}

// outcome is what an answer says.
type outcome struct {
	status                   int
	code, message, requestID string
	nested                   bool
	body                     string
}

type flatError struct {
	ErrorCode string `json:"error_code"`
	ErrorMsg  string `json:"error_msg"`
	RequestID string `json:"request_id"`
}

func answerTo(t testing.TB, server http.Handler, r *http.Request) outcome {
	t.Helper()
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, r)
	got := outcome{status: recorder.Code, requestID: recorder.Header().Get("X-Request-Id"), body: recorder.Body.String()}
	if got.status < 400 {
		return got
	}
	var body struct {
		flatError
		Error *flatError `json:"error"`
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
		t.Fatalf("the answer %q isn't an error body: %v", got.body, err)
	}
	if body.Error != nil {
		body.flatError, got.nested = *body.Error, true
	}
	got.code, got.message = body.ErrorCode, body.ErrorMsg
	if gateway := strings.HasPrefix(got.code, "APIGW."); gateway != (body.RequestID != "") || gateway && body.RequestID != got.requestID {
		t.Errorf("the body %s of request %s has a wrong request id", got.body, got.requestID)
	}
	return got
}

// atNoon is a server whose time stands still, with a secret "s".
func atNoon(t testing.TB, switches huawei.Switches) *huawei.Server {
	t.Helper()
	server, err := huawei.New(huawei.Options{Options: emulator.Options{Clock: func() time.Time { return noon }}, Switches: switches})
	if err != nil {
		t.Fatal(err)
	}
	seed(t, server, emulator.Secret{Ref: ref("s"), Versions: []emulator.Version{{ID: "v1", Text: "value"}}})
	return server
}

func ref(name string) emulator.Ref { return emulator.Ref{Region: project, Name: name} }

func seed(t testing.TB, server *huawei.Server, secret emulator.Secret) {
	t.Helper()
	if err := server.Seed(secret); err != nil {
		t.Fatal(err)
	}
}

// authentication cases: what changes before signing, and what afterwards.
type authentication struct {
	name   string
	sign   func(*wire)
	tamper func(*http.Request)
	want   string // "" for a call that passes, else part of the message
}

const (
	verifyFailed = "verify aksk signature fail"
	expired      = "signature expired"
	badToken     = "security token"
)

func TestACallIsAuthenticatedStrictly(t *testing.T) {
	t.Parallel()
	server := atNoon(t, huawei.Switches{})
	temporary := emulator.Account{
		AccessKeyID: "temporary", AccessKeySecret: "temporary-secret", SecurityToken: "session", TokenExpires: noon.Add(time.Minute),
	}
	outdated := emulator.Account{
		AccessKeyID: "outdated", AccessKeySecret: "outdated-secret", SecurityToken: "session", TokenExpires: noon,
	}
	for _, a := range []emulator.Account{temporary, outdated} {
		if err := server.Account(a); err != nil {
			t.Fatal(err)
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	drop := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	replace := func(old, by string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, by, 1))
		}
	}
	withToken := func(a emulator.Account, token string) func(*wire) {
		return func(w *wire) {
			w.account, w.token = a, token
			w.signedHeaders = "user-agent;x-project-id;x-sdk-date;x-security-token"
		}
	}
	list := func(w *wire) { w.path = "/v1/" + project + "/secrets" }
	emptyHash := digest("")
	tests := []authentication{
		{"an untouched call passes", nil, nil, ""},
		{"the date alone may be signed", func(w *wire) { w.projectHeader, w.signedHeaders = "", "x-sdk-date" }, nil, ""},
		{"the host can be signed", func(w *wire) { w.signedHeaders = "host;x-project-id;x-sdk-date" }, nil, ""},
		{"the content type can be signed", func(w *wire) { w.signedHeaders = "content-type;x-project-id;x-sdk-date" }, nil, ""},
		{"surrounding space in a header isn't signed", nil, header("User-Agent", "  huaweicloud-usdk-go/3.0; test/1.0 "), ""},
		{"the hash of the body can be declared", func(w *wire) { w.hash = emptyHash }, nil, ""},
		{"an unsigned payload passes when declared", func(w *wire) { w.hash = "UNSIGNED-PAYLOAD" }, nil, ""},
		{"query parameters are sorted and encoded", func(w *wire) {
			list(w)
			w.query, w.canonicalQuery = "marker=b+c&limit=5&marker=a%7e", "limit=5&marker=a~&marker=b%20c"
		}, nil, ""},
		{"a query parameter without a value has an empty one", func(w *wire) {
			list(w)
			w.query, w.canonicalQuery = "marker", "marker="
		}, nil, ""},
		{"the path is signed in one encoding, however it is sent", func(w *wire) {
			w.path, w.canonicalPath = "/v1/"+project+"/secrets/%73", "/v1/"+project+"/secrets/s"
		}, nil, ""},
		{"a call 15 minutes old passes", func(w *wire) { w.at = noon.Add(-15 * time.Minute) }, nil, ""},
		{"a call of 15 minutes ahead passes", func(w *wire) { w.at = noon.Add(15 * time.Minute) }, nil, ""},
		{"an older call is expired", func(w *wire) { w.at = noon.Add(-15*time.Minute - time.Second) }, nil, expired},
		{"a call from further ahead is expired", func(w *wire) { w.at = noon.Add(15*time.Minute + time.Second) }, nil, expired},
		{"the date must be signed", func(w *wire) { w.signedHeaders = "user-agent;x-project-id" }, nil, verifyFailed},
		{"a project id must be signed", func(w *wire) { w.signedHeaders = "user-agent;x-sdk-date" }, nil, verifyFailed},
		{"a project id that comes later is refused", func(w *wire) {
			w.projectHeader, w.signedHeaders = "", "user-agent;x-sdk-date"
		}, header("X-Project-Id", project), verifyFailed},
		{"signed headers must be sorted", func(w *wire) { w.signedHeaders = "x-sdk-date;x-project-id" }, nil, verifyFailed},
		{"signed headers must be in lower case", nil, replace("x-sdk-date", "X-Sdk-Date"), verifyFailed},
		{"a wrong key is refused", func(w *wire) { w.account.AccessKeySecret = "wrong" }, nil, verifyFailed},
		{"an unknown key id is refused", func(w *wire) { w.account.AccessKeyID = "nobody" }, nil, "ak:nobody,err:ak not exist"},
		{"another method is refused", nil, func(r *http.Request) { r.Method = http.MethodDelete }, verifyFailed},
		{"another path is refused", nil, func(r *http.Request) { r.URL.Path += "x" }, verifyFailed},
		{"another project is refused", nil, func(r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, project, huawei.OtherExampleProjectID, 1)
		}, verifyFailed},
		{"a slash that was encoded when signing is refused", func(w *wire) {
			w.path, w.canonicalPath = "/v1/"+project+"/secrets/a/b", "/v1/"+project+"/secrets/a%2Fb"
		}, nil, verifyFailed},
		{"a query that wasn't signed is refused", nil, func(r *http.Request) { r.URL.RawQuery = "limit=5" }, verifyFailed},
		{"another query is refused", func(w *wire) {
			list(w)
			w.query = "limit=5"
		}, func(r *http.Request) { r.URL.RawQuery = "limit=6" }, verifyFailed},
		{"a query that can't be read is refused", nil, func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, verifyFailed},
		{"a body that wasn't signed is refused", nil, body("{}"), verifyFailed},
		{"a body other than the declared is refused", func(w *wire) { w.hash = emptyHash }, body("{}"), verifyFailed},
		{"a declared hash that isn't the body's is refused", func(w *wire) { w.hash = digest("other") }, nil, verifyFailed},
		{"declaring an unsigned payload afterwards is refused", nil, header("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"), verifyFailed},
		{"another date is refused", nil, header("X-Sdk-Date", "20261122T120001Z"), verifyFailed},
		{"a date in another form is refused", nil, header("X-Sdk-Date", "2026-11-22T12:00:00Z"), "X-Sdk-Date"},
		{"a missing date is refused", nil, drop("X-Sdk-Date"), "X-Sdk-Date"},
		{"another user agent is refused", nil, header("User-Agent", "proxy/1.0"), verifyFailed},
		{"a signed header that is missing is refused", nil, drop("X-Project-Id"), verifyFailed},
		{"another host is refused when it was signed", func(w *wire) {
			w.signedHeaders = "host;x-project-id;x-sdk-date"
		}, func(r *http.Request) { r.Host = "elsewhere.test" }, verifyFailed},
		{"a call without authorization is refused", nil, drop("Authorization"), "x-auth-token not found"},
		{"a token of IAM is refused", nil, func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Set("X-Auth-Token", "token")
		}, "decrypt token fail"},
		{"another algorithm is refused", nil, replace("SDK-HMAC-SHA256", "SDK-HMAC-SM3"), verifyFailed},
		{"a list of headers with a hole is refused", nil, replace("x-sdk-date", ";x-sdk-date"), verifyFailed},
		{"a longer signature is refused", nil, func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"0") }, verifyFailed},
		{"a token with a permanent key is refused", withToken(emulator.ExampleAccount(), "session"), nil, badToken},
		{"a temporary key passes with its token", withToken(temporary, "session"), nil, ""},
		{"a temporary key without its token is refused", func(w *wire) { w.account = temporary }, nil, badToken},
		{"a temporary key with another token is refused", withToken(temporary, "other"), nil, badToken},
		{"a token that was changed is refused", withToken(temporary, "session"), header("X-Security-Token", "other"), verifyFailed},
		{"a token that isn't signed is refused", func(w *wire) { w.account, w.token = temporary, "session" }, nil, verifyFailed},
		{"an expired token is refused", withToken(outdated, "session"), nil, badToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, server) })
	}
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) { *r = *withBody(r, text) }
}

func withBody(r *http.Request, text string) *http.Request {
	changed := httptest.NewRequest(r.Method, r.URL.String(), strings.NewReader(text))
	changed.Header, changed.Host = r.Header, r.Host
	return changed
}

func (a authentication) run(t *testing.T, server *huawei.Server) {
	w := newWire()
	if a.sign != nil {
		a.sign(&w)
	}
	r := w.request()
	if a.tamper != nil {
		a.tamper(r)
	}
	got := answerTo(t, server, r)
	if len(got.requestID) != 32 {
		t.Errorf("the request id is %q", got.requestID)
	}
	if a.want == "" && got.status == http.StatusOK {
		return
	}
	if a.want == "" || got.status != http.StatusUnauthorized || got.code != "APIGW.0301" || !strings.Contains(got.message, a.want) {
		t.Errorf("answered %+v, want %q", got, a.want)
	}
}

// TestTheKnownSignaturesAreAccepted has signatures that the SDK made for a key
// and a time, written down.
func TestTheKnownSignaturesAreAccepted(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server, err := huawei.New(huawei.Options{Options: emulator.Options{
		Clock:    func() time.Time { return at },
		Accounts: []emulator.Account{{AccessKeyID: "AK_EXAMPLE", AccessKeySecret: "SK_EXAMPLE"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		method, url, body, signature string
		want                         int
	}{
		{
			http.MethodPost, "/secrets", `{"name":"demo","secret_string":"s3cr<et>"}` + "\n",
			"60e37adf641fa79f355124c11c7c74ab99133f18cc1263a66a1a5ce8bc3130bc", http.StatusOK,
		},
		{http.MethodGet, "/secrets?limit=50&marker=a%20b%2Bc", "", "db5bf8b57b85569d6592e325e76bc47bd6f355efc0defc629fdcd01e85ec4b70", http.StatusOK},
		{http.MethodDelete, "/csms/id/tags/%C3%A9%20x:1", "", "3c9522e6bb51e46bf4cb0fe105222651ca07b77f1d649081d3f8d12fc92cb597", http.StatusBadRequest},
	}
	for _, test := range tests {
		r := httptest.NewRequest(test.method, "/v1/"+project+test.url, strings.NewReader(test.body))
		r.Header = http.Header{
			"User-Agent": {"huaweicloud-usdk-go/3.0; demo/1.0"}, "X-Project-Id": {project}, "X-Sdk-Date": {"20260102T030405Z"},
			"Authorization": {"SDK-HMAC-SHA256 Access=AK_EXAMPLE, SignedHeaders=user-agent;x-project-id;x-sdk-date, Signature=" + test.signature},
		}
		if got := answerTo(t, server, r); got.status != test.want {
			t.Errorf("%s %s was answered with %+v", test.method, test.url, got)
		}
	}
}

func TestARefusedSignatureIsToldWhatWasExpected(t *testing.T) {
	t.Parallel()
	w := newWire()
	w.account.AccessKeySecret = "wrong"
	got := answerTo(t, atNoon(t, huawei.Switches{}), w.request())
	expected := "verify aksk signature fail, canonicalRequest:GET|/v1/" + project + "/secrets/s/||user-agent:" + w.userAgent +
		"|x-project-id:" + project + "|x-sdk-date:20261122T120000Z||user-agent;x-project-id;x-sdk-date|" + digest("")
	if !strings.HasSuffix(got.message, expected) {
		t.Errorf("the message is %q, want %q", got.message, expected)
	}
}

func TestOnlyTheDocumentedPathsExist(t *testing.T) {
	t.Parallel()
	server := atNoon(t, huawei.Switches{})
	root := "/v1/" + project
	tests := []struct {
		name, method, path string
		want               string
	}{
		{"a secret", http.MethodGet, root + "/secrets/s", ""},
		{"a secret with a slash at the end", http.MethodGet, root + "/secrets/s/", "404 APIGW.0101"},
		{"a list with a slash at the end", http.MethodGet, root + "/secrets/", "404 APIGW.0101"},
		{"an empty name", http.MethodGet, root + "/secrets//versions", "404 APIGW.0101"},
		{"a name with a slash", http.MethodGet, root + "/secrets/a/b", "404 APIGW.0101"},
		{"a method that isn't offered", http.MethodPatch, root + "/secrets/s", "404 APIGW.0101"},
		{"a version without an id", http.MethodPut, root + "/secrets/s/versions", "404 APIGW.0101"},
		{"another version of the API", http.MethodGet, "/v2/" + project + "/secrets", "404 APIGW.0101"},
		{"the root", http.MethodGet, "/", "404 APIGW.0101"},
		{"a path without a project", http.MethodGet, "/v1/secrets", "404 APIGW.0101"},
		{"an operation that isn't emulated", http.MethodPost, root + "/secrets/s/rotate", "404 APIGW.0101"},
		{"the project's tags", http.MethodGet, root + "/csms/tags", "404 APIGW.0101"},
		{"an unknown project", http.MethodGet, "/v1/" + strings.Repeat("0", 32) + "/secrets", "403 APIGW.0310"},
		{"an unfilled project", http.MethodGet, "/v1/%7Bproject_id%7D/secrets", "403 APIGW.0310"},
		{"another project than the header's", http.MethodGet, "/v1/" + huawei.OtherExampleProjectID + "/secrets", "403 KMS.0321"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWire()
			w.method, w.path = test.method, test.path
			got := answerTo(t, server, w.request())
			if answer := strings.TrimPrefix(fmt.Sprintf("%d %s", got.status, got.code), "200 "); answer != test.want {
				t.Errorf("answered %+v, want %q", got, test.want)
			}
		})
	}
}

func TestTheShapeOfABodyIsChecked(t *testing.T) {
	t.Parallel()
	server := atNoon(t, huawei.Switches{})
	tests := []struct{ name, body, want string }{
		{"a whole body", `{"name":"new","secret_string":"x"}`, ""},
		{"no body", "", "CSMS.0004"},
		{"a body that isn't JSON", "name=new", "CSMS.0004"},
		{"a body that isn't an object", `["new"]`, "CSMS.0004"},
		{"a body that is null", "null", "CSMS.0004"},
		{"two bodies", `{"name":"n","secret_string":"x"}{}`, "CSMS.0004"},
		{"a number for a string", `{"name":1,"secret_string":"x"}`, "CSMS.0004"},
		{"a string for a list", `{"name":"n","secret_string":"x","event_subscriptions":"e"}`, "CSMS.0004"},
		{"a member that nobody knows", `{"name":"n","secret_string":"x","color":"red"}`, "CSMS.0004"},
		{"a member in other case", `{"Name":"n","secret_string":"x"}`, "CSMS.0004"},
		{"a name that is absent", `{"secret_string":"x"}`, "CSMS.0002"},
		{"a name that is null", `{"name":null,"secret_string":"x"}`, "CSMS.0002"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWire()
			w.method, w.path, w.body = http.MethodPost, "/v1/"+project+"/secrets", test.body
			got := answerTo(t, server, w.request())
			if got.code != test.want || test.want != "" && got.status != http.StatusBadRequest {
				t.Errorf("answered %+v, want code %q", got, test.want)
			}
		})
	}
	w := newWire()
	w.method, w.path, w.body = http.MethodPost, "/v1/"+project+"/secrets", strings.Repeat(" ", emulator.MaxBody+1)
	if got := answerTo(t, server, w.request()); got.status != http.StatusRequestEntityTooLarge || got.code != "APIGW.0201" {
		t.Errorf("a body above the limit was answered with %+v", got)
	}
}

func TestAnErrorHasTheShapeOfItsOperation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		shape       string
		secret, tag bool // nested
	}{
		{"", false, true},
		{"flat", false, false},
		{"nested", true, true},
	}
	for _, test := range tests {
		server := atNoon(t, huawei.Switches{ErrorShape: test.shape})
		for path, nested := range map[string]bool{
			"/secrets/absent": test.secret, "/csms/00000000-0000-0000-0000-000000000000/tags": test.tag, "/nowhere": false,
		} {
			w := newWire()
			w.path = "/v1/" + project + path
			if got := answerTo(t, server, w.request()); got.status != http.StatusNotFound || got.nested != nested {
				t.Errorf("shape %q: %s was answered with %s", test.shape, path, got.body)
			}
		}
	}
}

func TestFailedSignaturesLockAKeyIfItIsSwitchedOn(t *testing.T) {
	t.Parallel()
	for _, lock := range []bool{false, true} {
		server := atNoon(t, huawei.Switches{LockKeys: lock})
		right, wrong := newWire(), newWire()
		wrong.account.AccessKeySecret = "wrong"
		other := newWire()
		other.account = emulator.Account{AccessKeyID: "other", AccessKeySecret: "other-secret"}
		if err := server.Account(other.account); err != nil {
			t.Fatal(err)
		}
		passes := func(w wire) bool { return answerTo(t, server, w.request()).status == http.StatusOK }
		for range 5 {
			passes(wrong)
		}
		if !passes(right) { // which also starts a new count
			t.Errorf("lock %v: five failures lock the key", lock)
		}
		for range 6 {
			passes(wrong)
		}
		if got := answerTo(t, server, right.request()); (got.status == http.StatusOK) == lock || lock && !strings.Contains(got.message, "AK access failed") {
			t.Errorf("lock %v: after six failures the answer is %+v", lock, got)
		}
		if !passes(other) {
			t.Errorf("lock %v: another key doesn't work", lock)
		}
		server.Clock().SetOffset(5 * time.Minute)
		if !passes(right) {
			t.Errorf("lock %v: the key doesn't work after five minutes", lock)
		}
	}
}

func FuzzNoCallMakesTheServerPanic(f *testing.F) {
	root := "/v1/" + project
	f.Add("GET", root+"/secrets/s/versions/latest", "", []byte(nil), true)
	f.Add("GET", root+"/secrets", "limit=9999999999&marker=%00", []byte(nil), true)
	f.Add("GET", root+"/secrets/s/versions", "marker=latest&limit=1", []byte(nil), true)
	f.Add("POST", root+"/secrets", "", []byte(`{"name":"x","secret_string":"v","event_subscriptions":["e"]}`), true)
	f.Add("POST", root+"/secrets/s/versions", "", []byte(`{"secret_binary":"AA==","version_stages":["a"],"expire_time":9999999999999}`), true)
	f.Add("PUT", root+"/secrets/s/versions/v1", "", []byte(`{"expire_time":-1}`), true)
	f.Add("PUT", root+"/secrets/s/stages/custom", "", []byte(`{"version_id":"v99999999999999999999"}`), true)
	f.Add("POST", root+"/csms/00000000-0000-0000-0000-000000000000/tags/action", "", []byte(`{"action":"create","tags":[null]}`), true)
	f.Add("DELETE", root+"/csms/x/tags/%2f", ";", []byte("\xff\x00"), false)
	server := atNoon(f, huawei.Switches{VersionLimit: 3})
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte, signed bool) {
		parsed, err := url.Parse(path)
		if err != nil || parsed.Host != "" || parsed.Path == "" {
			return
		}
		w := newWire()
		if _, err := http.NewRequest(method, "http://x/", http.NoBody); err != nil || method == "" {
			return
		}
		w.method, w.body = method, string(body)
		w.canonicalPath = strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(parsed.Path), "%2F", "/"), "+", "%20")
		w.canonicalQuery = canonicalOf(query)
		r := w.request()
		r.URL.Path, r.URL.RawQuery = parsed.Path, query
		if !signed {
			r.Header.Set("Authorization", query)
		}
		got := answerTo(t, server, r)
		if len(got.requestID) != 32 || got.status >= 500 {
			t.Errorf("answered %+v", got)
		}
		if values, err := url.ParseQuery(query); signed && err == nil && got.code == "APIGW.0301" {
			t.Errorf("a signed call with query %v was answered with %+v", values, got)
		}
	})
}

// canonicalOf is a query in the form that is signed.
func canonicalOf(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return query
	}
	for _, list := range values {
		slices.Sort(list)
	}
	return strings.ReplaceAll(values.Encode(), "+", "%20")
}
