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
		{"an operation that isn't emulated", http.MethodPost, root + "/secrets/s/backup", "404 APIGW.0101"},
		{"an account's agencies", http.MethodGet, "/v1/csms/agencies", "400 CSMS.0002"},
		{"a project's agencies", http.MethodGet, root + "/agencies", "404 APIGW.0101"},
		{"an account's secrets", http.MethodGet, "/v1/csms/secrets", "404 APIGW.0101"},
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

func FuzzNoCallMakesTheServerPanic(f *testing.F) {
	root := "/v1/" + project
	f.Add("GET", root+"/secrets/s/versions/latest", "", []byte(nil), true)
	f.Add("GET", root+"/secrets", "limit=9999999999&marker=%00", []byte(nil), true)
	f.Add("GET", root+"/secrets/s/versions", "marker=latest&limit=1", []byte(nil), true)
	f.Add("POST", root+"/secrets", "", []byte(`{"name":"x","secret_string":"v","event_subscriptions":["e"]}`), true)
	f.Add("POST", root+"/secrets/s/versions", "", []byte(`{"secret_binary":"AA==","version_stages":["a"],"expire_time":9999999999999}`), true)
	f.Add("POST", root+"/secrets", "", []byte(`{"name":"m","secret_string":"{\"name\":\"a\",\"password\":\"b\"}","secret_type":"RDS-FG","rotation_config":"{}"}`), true)
	f.Add("POST", root+"/secrets/s/rotate", "", []byte(nil), true)
	f.Add("GET", root+"/csms/tasks", "limit=1&marker=x&secret_name=s", []byte(nil), true)
	f.Add("GET", "/v1/csms/agencies", "secret_type=RDS-FG", []byte(nil), true)
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
		if _, err := http.NewRequestWithContext(t.Context(), method, "http://x/", http.NoBody); err != nil || method == "" {
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
