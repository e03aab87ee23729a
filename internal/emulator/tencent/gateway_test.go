// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// noon is the time of the tests that sign by themselves.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// wire is a call before it is signed. The signing here is written apart from
// the server's, after the same description.
type wire struct {
	method, host, query, contentType, body string
	action, version, region, token         string
	signedHeaders, service, date           string
	account                                emulator.Account
	at                                     time.Time
	unsigned                               bool
}

func newWire() wire {
	return wire{
		method: http.MethodPost, host: "127.0.0.1:8080", contentType: "application/json", body: `{"SecretName":"s"}`,
		action: "DescribeSecret", version: "2019-09-23", region: region, signedHeaders: "content-type;host", service: "ssm",
		date: "2026-11-22", account: emulator.ExampleAccount(), at: noon,
	}
}

func digest(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

func mac(key, text string) string {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return string(m.Sum(nil))
}

// request builds and signs the call.
func (w wire) request() *http.Request {
	r := httptest.NewRequest(w.method, "/?"+w.query, strings.NewReader(w.body))
	r.Host = w.host
	set := func(name, value string) {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	set("Content-Type", w.contentType)
	set("X-TC-Action", w.action)
	set("X-TC-Version", w.version)
	set("X-TC-Region", w.region)
	set("X-TC-Token", w.token)
	set("X-TC-Timestamp", fmt.Sprint(w.at.Unix()))
	payload := w.body
	if w.unsigned {
		payload = "UNSIGNED-PAYLOAD"
		set("X-TC-Content-SHA256", payload)
	}
	headers := ""
	for _, name := range strings.Split(w.signedHeaders, ";") {
		value := strings.ToLower(r.Header.Get(name))
		if name == "host" {
			value = w.host
		}
		headers += name + ":" + value + "\n"
	}
	canonical := strings.Join([]string{w.method, "/", w.query, headers, w.signedHeaders, digest(payload)}, "\n")
	scope := w.date + "/" + w.service + "/tc3_request"
	toSign := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s\n%s", w.at.Unix(), scope, digest(canonical))
	key := mac(mac(mac("TC3"+w.account.AccessKeySecret, w.date), w.service), "tc3_request")
	set("Authorization", fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		w.account.AccessKeyID, scope, w.signedHeaders, mac(key, toSign)))
	return r
}

// outcome is what an answer says.
type outcome struct {
	status                   int
	code, message, requestID string
}

func answerTo(t testing.TB, server http.Handler, r *http.Request) outcome {
	t.Helper()
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, r)
	var body struct {
		Response struct {
			Error     struct{ Code, Message string }
			RequestId string //nolint:revive // the API's spelling
		}
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
		t.Fatalf("the answer %q isn't in the envelope: %v", recorder.Body, err)
	}
	return outcome{recorder.Code, body.Response.Error.Code, body.Response.Error.Message, body.Response.RequestId}
}

// atNoon is a server whose time stands still, with a secret "s".
func atNoon(t testing.TB) *tencent.Server {
	t.Helper()
	server, err := tencent.New(tencent.Options{Options: emulator.Options{Clock: func() time.Time { return noon }}})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Seed(emulator.Secret{Ref: emulator.Ref{Region: region, Name: "s"}}); err != nil {
		t.Fatal(err)
	}
	return server
}

const (
	signatureFailure     = "AuthFailure.SignatureFailure"
	signatureExpire      = "AuthFailure.SignatureExpire"
	invalidAuthorization = "AuthFailure.InvalidAuthorization"
	tokenFailure         = "AuthFailure.TokenFailure"
)

func TestACallIsAuthenticatedStrictly(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	temporary, expired := emulatortest.SessionKeys(t, server, noon)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	replace := func(old, by string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, by, 1))
		}
	}
	tests := []struct {
		name   string
		sign   func(*wire)         // changes the call before it is signed
		tamper func(*http.Request) // changes it afterwards
		want   string
	}{
		{"an untouched call passes", nil, nil, ""},
		{"more headers can be signed", func(w *wire) { w.signedHeaders = "content-type;host;x-tc-action;x-tc-region" }, nil, ""},
		{"an unsigned payload passes when declared", func(w *wire) { w.unsigned = true }, nil, ""},
		{"the content type is signed in lower case", func(w *wire) { w.contentType = "Application/JSON" }, nil, ""},
		{"a call five minutes old passes", func(w *wire) { w.at = noon.Add(-5 * time.Minute) }, nil, ""},
		{"a call of five minutes ahead passes", func(w *wire) { w.at = noon.Add(5 * time.Minute) }, nil, ""},
		{"an older call is expired", func(w *wire) { w.at = noon.Add(-5*time.Minute - time.Second) }, nil, signatureExpire},
		{"a call from further ahead is expired", func(w *wire) { w.at = noon.Add(5*time.Minute + time.Second) }, nil, signatureExpire},
		{"a scope of another day is refused", func(w *wire) { w.date = "2026-11-21" }, nil, signatureFailure},
		{"a scope of another service is refused", func(w *wire) { w.service = "kms" }, nil, signatureFailure},
		{"the host must be signed", func(w *wire) { w.signedHeaders = "content-type" }, nil, signatureFailure},
		{"the content type must be signed", func(w *wire) { w.signedHeaders = "host" }, nil, signatureFailure},
		{"signed headers must be sorted", func(w *wire) { w.signedHeaders = "host;content-type" }, nil, invalidAuthorization},
		{"a wrong key is refused", func(w *wire) { w.account.AccessKeySecret = "wrong" }, nil, signatureFailure},
		{"an unknown key id is refused", func(w *wire) { w.account.AccessKeyID = "nobody" }, nil, "AuthFailure.SecretIdNotFound"},
		{"another body is refused", nil, func(r *http.Request) { r.Body = http.NoBody }, signatureFailure},
		{"another host is refused", nil, func(r *http.Request) { r.Host = "127.0.0.1:8081" }, signatureFailure},
		{"another port is refused", nil, func(r *http.Request) { r.Host = "127.0.0.1" }, signatureFailure},
		{"another content type is refused", nil, header("Content-Type", "text/plain"), signatureFailure},
		{"another timestamp is refused", nil, header("X-TC-Timestamp", fmt.Sprint(noon.Unix()+1)), signatureFailure},
		{"a query that wasn't signed is refused", nil, func(r *http.Request) { r.URL.RawQuery = "a=b" }, signatureFailure},
		{
			"a signed header that changed is refused", func(w *wire) { w.signedHeaders = "content-type;host;x-tc-action" },
			header("X-TC-Action", "GetSecretValue"), signatureFailure,
		},
		{"declaring an unsigned payload afterwards is refused", nil, header("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD"), signatureFailure},
		{"a missing timestamp is a missing parameter", nil, func(r *http.Request) { r.Header.Del("X-TC-Timestamp") }, "MissingParameter"},
		{"a timestamp that isn't a number is refused", nil, header("X-TC-Timestamp", "noon"), "InvalidParameter"},
		{"a missing authorization is refused", nil, func(r *http.Request) { r.Header.Del("Authorization") }, invalidAuthorization},
		{"another algorithm is refused", nil, replace("TC3-HMAC-SHA256", "TC3-HMAC-SHA1"), invalidAuthorization},
		{"a scope with another end is refused", nil, replace("tc3_request", "tc4_request"), invalidAuthorization},
		{"a signature in upper case is refused", nil, func(r *http.Request) {
			head, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(signature)+"A")
		}, invalidAuthorization},
		{"a token with a permanent key is refused", func(w *wire) { w.token = "session" }, nil, tokenFailure},
		{"a temporary key passes with its token", func(w *wire) { w.account, w.token = temporary, "session" }, nil, ""},
		{"a temporary key without its token is refused", func(w *wire) { w.account = temporary }, nil, tokenFailure},
		{"a temporary key with another token is refused", func(w *wire) { w.account, w.token = temporary, "other" }, nil, tokenFailure},
		{"an expired token is refused", func(w *wire) { w.account, w.token = expired, "session" }, nil, tokenFailure},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWire()
			if test.sign != nil {
				test.sign(&w)
			}
			r := w.request()
			if test.tamper != nil {
				test.tamper(r)
			}
			got := answerTo(t, server, r)
			if got.code != test.want || got.status != http.StatusOK || got.requestID == "" {
				t.Errorf("answered %+v, want code %q", got, test.want)
			}
		})
	}
}

func TestTheGatewayChecksTheShapeOfACall(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	tests := []struct {
		name   string
		change func(*wire)
		want   string
	}{
		{"an action that doesn't exist", func(w *wire) { w.action = "Describe" }, "InvalidAction"},
		{"no action", func(w *wire) { w.action = "" }, "MissingParameter"},
		{"another version", func(w *wire) { w.version = "2018-01-01" }, "NoSuchVersion"},
		{"no version", func(w *wire) { w.version = "" }, "MissingParameter"},
		{"no region", func(w *wire) { w.region = "" }, "MissingParameter"},
		{"a region without the service", func(w *wire) { w.region = "xx" }, "UnsupportedRegion"},
		{"another method", func(w *wire) { w.method = http.MethodGet }, "UnsupportedProtocol"},
		{"a body that isn't JSON", func(w *wire) { w.body = "SecretName=s" }, "InvalidParameter"},
		{"a body that isn't an object", func(w *wire) { w.body = `["s"]` }, "InvalidParameter"},
		{"a body that is null", func(w *wire) { w.body = "null" }, "InvalidParameter"},
		{"two bodies", func(w *wire) { w.body = `{"SecretName":"s"}{}` }, "InvalidParameter"},
		{"no body", func(w *wire) { w.body = "" }, "MissingParameter"},
		{"a parameter that is absent", func(w *wire) { w.body = "{}" }, "MissingParameter"},
		{"a parameter that is null", func(w *wire) { w.body = `{"SecretName":null}` }, "MissingParameter"},
		{"a parameter that nobody knows", func(w *wire) { w.body = `{"SecretName":"s","Color":"red"}` }, "UnknownParameter"},
		{"a parameter in other case", func(w *wire) { w.body = `{"SecretName":"s","secretname":"s"}` }, "UnknownParameter"},
		{"a number for a string", func(w *wire) { w.body = `{"SecretName":1}` }, "InvalidParameter"},
		{"a string for a number", func(w *wire) { w.action, w.body = "ListSecrets", `{"Limit":"1"}` }, "InvalidParameter"},
		{"a negative number for an unsigned one", func(w *wire) { w.action, w.body = "ListSecrets", `{"Limit":-1}` }, "InvalidParameter"},
		{"a fraction for an integer", func(w *wire) { w.action, w.body = "ListSecrets", `{"Limit":1.5}` }, "InvalidParameter"},
		{"a string for a bool", func(w *wire) {
			w.action, w.body = "DeleteSecret", `{"SecretName":"s","CleanSSHKey":"true"}`
		}, "InvalidParameter"},
		{"an object for a list", func(w *wire) { w.action, w.body = "ListSecrets", `{"TagFilters":{}}` }, "InvalidParameter"},
		{"a list with a wrong member", func(w *wire) { w.action, w.body = "ListSecrets", `{"TagFilters":[1]}` }, "InvalidParameter"},
		{"a list with null", func(w *wire) {
			w.action, w.body = "ListSecrets", `{"TagFilters":[{"TagKey":"k","TagValue":[null]}]}`
		}, "InvalidParameter"},
		{"a member of a list that misses a parameter", func(w *wire) { w.action, w.body = "ListSecrets", `{"TagFilters":[{}]}` }, "MissingParameter"},
		{"a member of a list with an unknown parameter", func(w *wire) {
			w.action, w.body = "ListSecrets", `{"TagFilters":[{"TagKey":"k","x":1}]}`
		}, "UnknownParameter"},
		{"a parameter for a call without any", func(w *wire) { w.action = "GetRegions" }, "UnknownParameter"},
		{"a body above 10 MB", func(w *wire) { w.body = strings.Repeat(" ", emulator.MaxBody+1) }, "RequestSizeLimitExceeded"},
	}
	for _, test := range tests {
		t.Run(test.name+" is refused", func(t *testing.T) {
			w := newWire()
			test.change(&w)
			if got := answerTo(t, server, w.request()); got.code != test.want {
				t.Errorf("answered %+v, want code %q", got, test.want)
			}
		})
	}
}

func TestARegionCanBeMadeOptional(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	if err := server.Switch(tencent.Switches{RegionOptional: true}); err != nil {
		t.Fatal(err)
	}
	w := newWire()
	w.region = ""
	if got := answerTo(t, server, w.request()); got.code != "" {
		t.Errorf("answered %+v", got)
	}
}

func TestADeniedActionIsUnauthorizedAndDoesNothing(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	reader := emulator.Account{AccessKeyID: "reader", AccessKeySecret: "reader-secret", Denied: []string{"PutSecretValue"}}
	if err := c.server.Account(reader); err != nil {
		t.Fatal(err)
	}
	limited := cloud{clientFor(t, c.endpoint, reader, region), c.server, c.endpoint}
	err := limited.put("s", "v2", "value")
	wantCode(t, err, "UnauthorizedOperation")
	if !strings.Contains(err.Error(), "ssm:PutSecretValue") {
		t.Errorf("the message %q doesn't name the action", err)
	}
	if stored, _ := c.server.Inspect(region, "s"); len(stored.Versions) != 1 {
		t.Errorf("the denied call left %v", stored)
	}
	_, err = limited.get("s", "v1")
	wantCode(t, err, "")

	reader.Denied = []string{"*"}
	if err := c.server.Account(reader); err != nil {
		t.Fatal(err)
	}
	_, err = limited.get("s", "v1")
	wantCode(t, err, "UnauthorizedOperation")
	c.server.Accounts().Remove("reader")
	_, err = limited.get("s", "v1")
	wantCode(t, err, "AuthFailure.SecretIdNotFound")
}

func FuzzNoCallMakesTheServerPanic(f *testing.F) {
	w := newWire()
	f.Add("DescribeSecret", w.request().Header.Get("Authorization"), []byte(w.body), true)
	f.Add("CreateSecret", "", []byte(`{"SecretName":"x","SecretString":"v","Tags":[{"TagKey":"k","TagValue":"v"}]}`), true)
	f.Add("ListSecrets", "TC3-HMAC-SHA256 Credential=a/b", []byte(`{"Offset":18446744073709551615,"Limit":200,"TagFilters":[null]}`), true)
	f.Add("PutSecretValue", "", []byte(`{"SecretName":"s","VersionId":"v","SecretBinary":"AA=="}`), true)
	f.Add("DeleteSecret", "x", []byte("\xff\x00"), false)
	server := atNoon(f)
	f.Fuzz(func(t *testing.T, action, authorization string, body []byte, signed bool) {
		w := newWire()
		w.action, w.body = action, string(body)
		r := w.request()
		if !signed {
			r.Header.Set("Authorization", authorization)
		}
		if got := answerTo(t, server, r); got.requestID == "" {
			t.Errorf("answered %+v", got)
		}
	})
}
