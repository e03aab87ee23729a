// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

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
	temporary, outdated := emulatortest.SessionKeys(t, server, noon)
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
		{"signed headers must be in lower case", func(w *wire) { w.signedHeaders = "User-Agent;x-project-id;x-sdk-date" }, nil, verifyFailed},
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
		for range 2 { // a success starts a new count
			for range 5 {
				passes(wrong)
			}
			if !passes(right) {
				t.Errorf("lock %v: five failures lock the key", lock)
			}
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
