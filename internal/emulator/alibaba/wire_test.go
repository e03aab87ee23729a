// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of this signature
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
)

// noon is the time of the tests that sign by themselves.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var lastNonce atomic.Int64

// wire is a call before it is signed. The signing here is written apart from
// the server's, after the same description.
type wire struct {
	method, path, contentType string
	query, form               map[string]string
	account                   emulator.Account
}

func newWire() wire {
	return wire{
		method: http.MethodPost, path: "/", contentType: "application/x-www-form-urlencoded", account: emulator.ExampleAccount(),
		query: map[string]string{
			"Action": "DescribeSecret", "Version": "2016-01-20", "Format": "JSON", "RegionId": region,
			"AccessKeyId": emulator.ExampleAccount().AccessKeyID, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
			"SignatureNonce": fmt.Sprint("nonce ", lastNonce.Add(1)), "SignatureType": "", "Timestamp": stamp(noon), "SecretName": "s",
		},
		form: make(map[string]string),
	}
}

func stamp(at time.Time) string { return at.Format("2006-01-02T15:04:05Z") }

// encode escapes every byte but letters, digits and -_.~, in upper case.
func encode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func (w wire) stringToSign() string {
	var pairs []string
	for _, source := range []map[string]string{w.query, w.form} {
		for name, value := range source {
			pairs = append(pairs, encode(name)+"="+encode(value))
		}
	}
	slices.Sort(pairs) // names here are plain, and none is the start of another but Tag.1.Key and the like
	return w.method + "&%2F&" + encode(strings.Join(pairs, "&"))
}

func signature(text, accessKeySecret string) string {
	mac := hmac.New(sha1.New, []byte(accessKeySecret+"&"))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// request builds and signs the call.
func (w wire) request() *http.Request {
	values := func(of map[string]string) url.Values {
		v := make(url.Values)
		for name, value := range of {
			v.Set(name, value)
		}
		return v
	}
	query := values(w.query)
	query.Set("Signature", signature(w.stringToSign(), w.account.AccessKeySecret))
	r := httptest.NewRequest(w.method, w.path+"?"+query.Encode(), strings.NewReader(values(w.form).Encode()))
	r.Header.Set("Content-Type", w.contentType)
	return r
}

// outcome is what an answer says.
type outcome struct {
	status, told             int // in HTTP, and in the body
	code, message, requestID string
	body                     string
}

func answerTo(t testing.TB, server http.Handler, r *http.Request) outcome {
	t.Helper()
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, r)
	var body struct {
		HttpStatus               int    //nolint:revive // the API's spelling
		Code, Message, RequestId string //nolint:revive // the API's spelling
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
		t.Fatalf("the answer %q isn't in JSON: %v", recorder.Body, err)
	}
	return outcome{recorder.Code, body.HttpStatus, body.Code, body.Message, body.RequestId, recorder.Body.String()}
}

// wantAnswer checks code and status of an answer, "" for success.
func wantAnswer(t *testing.T, server http.Handler, r *http.Request, want string) {
	t.Helper()
	status, told := http.StatusOK, 0
	if want != "" {
		status = codeStatuses[want]
		told = status
	}
	if got := answerTo(t, server, r); got.code != want || got.status != status || got.told != told || got.requestID == "" {
		t.Errorf("answered %+v, want code %q and status %d", got, want, status)
	}
}

// atNoon is a server whose time stands still, with a secret "s".
func atNoon(t testing.TB) *alibaba.Server {
	t.Helper()
	server, err := alibaba.New(alibaba.Options{Options: emulator.Options{Clock: func() time.Time { return noon }}})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Seed(emulator.Secret{Ref: emulator.Ref{Region: region, Name: "s"}}); err != nil {
		t.Fatal(err)
	}
	return server
}
