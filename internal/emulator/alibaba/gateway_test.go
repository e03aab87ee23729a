// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	alierrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

const noMatch = "SignatureDoesNotMatch"

// edit changes a parameter of a signed call in its URL.
func edit(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		q.Set(name, value)
		r.URL.RawQuery = q.Encode()
	}
}

func drop(name string) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		q.Del(name)
		r.URL.RawQuery = q.Encode()
	}
}

func set(name, value string) func(*wire) { return func(w *wire) { w.query[name] = value } }

func TestACallIsAuthenticatedStrictly(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	temporary, expired := emulatortest.SessionKeys(t, server, noon)
	by := func(a emulator.Account, token string) func(*wire) {
		return func(w *wire) {
			w.account, w.query["AccessKeyId"] = a, a.AccessKeyID
			if token != "" {
				w.query["SecurityToken"] = token
			}
		}
	}
	inForm := func(w *wire) { delete(w.query, "SecretName"); w.form["SecretName"] = "s" }
	tests := []struct {
		name   string
		sign   func(*wire)         // changes the call before it is signed
		tamper func(*http.Request) // changes it afterwards
		want   string
	}{
		{"an untouched call passes", nil, nil, ""},
		{"a call by GET passes", func(w *wire) { w.method = http.MethodGet }, nil, ""},
		{"a call with a form passes", inForm, nil, ""},
		{"a call with everything in the form but the signature passes", func(w *wire) { w.form, w.query = w.query, nil }, nil, ""},
		{"a call without a SignatureType passes", func(w *wire) { delete(w.query, "SignatureType") }, nil, ""},
		{"a parameter that nobody knows is signed and ignored", set("Colour", "+ *~%&="), nil, ""},
		{"a call fifteen minutes old passes", set("Timestamp", stamp(noon.Add(-15*time.Minute))), nil, ""},
		{"a call of fifteen minutes ahead passes", set("Timestamp", stamp(noon.Add(15*time.Minute))), nil, ""},
		{"an older call is refused", set("Timestamp", stamp(noon.Add(-15*time.Minute-time.Second))), nil, "IllegalTimestamp"},
		{"a call from further ahead is refused", set("Timestamp", stamp(noon.Add(15*time.Minute+time.Second))), nil, "IllegalTimestamp"},
		{"a timestamp in another form is refused", set("Timestamp", noon.Format(time.RFC1123)), nil, "IllegalTimestamp"},
		{"a timestamp with an offset is refused", set("Timestamp", "2026-11-22T20:00:00+08:00"), nil, "IllegalTimestamp"},
		{"no timestamp is refused", nil, drop("Timestamp"), "IllegalTimestamp"},
		{"an unknown key id is refused", set("AccessKeyId", "nobody"), nil, "InvalidAccessKeyId.NotFound"},
		{"no key id is refused", nil, drop("AccessKeyId"), "MissingParameter"},
		{"a wrong key is refused", func(w *wire) { w.account.AccessKeySecret = "wrong" }, nil, noMatch},
		{"a signature for another method is refused", nil, func(r *http.Request) { r.Method = http.MethodGet }, noMatch},
		{"another signature is refused", nil, edit("Signature", "wVsq3zWwr4YhU5pVN+UCltIZ0xw="), noMatch},
		{"no signature is refused", nil, drop("Signature"), "IncompleteSignature"},
		{"another signature method is refused", set("SignatureMethod", "HMAC-SHA256"), nil, "IncompleteSignature"},
		{"no signature method is refused", nil, drop("SignatureMethod"), "IncompleteSignature"},
		{"another signature version is refused", set("SignatureVersion", "2.0"), nil, "IncompleteSignature"},
		{"no signature version is refused", nil, drop("SignatureVersion"), "IncompleteSignature"},
		{"a bearer token is refused", set("SignatureType", "BEARERTOKEN"), nil, "IncompleteSignature"},
		{"an empty parameter takes part in the signature", nil, drop("SignatureType"), noMatch},
		{"another action is refused", nil, edit("Action", "DeleteSecret"), noMatch},
		{"another version is refused", nil, edit("Version", "2016-01-21"), noMatch},
		{"another format is refused", nil, edit("Format", "XML"), noMatch},
		{"another region is refused", nil, edit("RegionId", "cn-beijing"), noMatch},
		{"another name is refused", nil, edit("SecretName", "t"), noMatch},
		{"another nonce is refused", nil, edit("SignatureNonce", "other"), noMatch},
		{"another time within the window is refused", nil, edit("Timestamp", stamp(noon.Add(time.Second))), noMatch},
		{"a further parameter is refused", nil, edit("FetchTags", "true"), noMatch},
		{"a form that changed is refused", inForm, func(r *http.Request) { r.Body = http.NoBody }, noMatch},
		{"a form of another content type isn't read", func(w *wire) { inForm(w); w.contentType = "text/plain" }, nil, noMatch},
		{"a token with a permanent key is refused", set("SecurityToken", "session"), nil, "InvalidSecurityToken.Malformed"},
		{"a temporary key passes with its token", by(temporary, "session"), nil, ""},
		{"a temporary key without its token isn't known", by(temporary, ""), nil, "InvalidAccessKeyId.NotFound"},
		{"a temporary key with another token is refused", by(temporary, "other"), nil, "InvalidSecurityToken.MismatchWithAccessKey"},
		{"a temporary key with a token that changed is refused", by(temporary, "session"), edit("SecurityToken", "other"), noMatch},
		{"a temporary key with an expired token isn't known", by(expired, "session"), nil, "InvalidAccessKeyId.NotFound"},
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
			wantAnswer(t, server, r, test.want)
		})
	}
}

// A call that was recorded from the SDK, with its signature computed by hand.
const (
	vectorToSign = "POST&%2F&AccessKeyId%3Dtestid%26Action%3DCreateSecret%26Format%3DJSON%26RegionId%3Dcn-hangzhou%26" +
		"SecretData%3Dp%2520w%252Bd%252A~%252F%253D%2526%25C3%25A9%26SecretName%3Dmy%252Fsecret%25401%26SecurityToken%3Dtok%26" +
		"SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D3adf00ffd0e8c0807b81d225b39d2549%26SignatureType%3D%26" +
		"SignatureVersion%3D1.0%26Timestamp%3D2026-11-22T06%253A39%253A18Z%26Version%3D2016-01-20%26VersionId%3Dv1"
	vectorSignature = "wVsq3zWwr4YhU5pVN+UCltIZ0xw="
)

func TestTheRecordedCallPasses(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 6, 39, 18, 0, time.UTC)
	server, err := alibaba.New(alibaba.Options{Options: emulator.Options{
		Clock:    func() time.Time { return at },
		Accounts: []emulator.Account{{AccessKeyID: "testid", AccessKeySecret: "testsecret", SecurityToken: "tok"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := url.QueryUnescape(strings.TrimPrefix(vectorToSign, "POST&%2F&"))
	if err != nil {
		t.Fatal(err)
	}
	// On the wire a space is a plus.
	target := "/?" + strings.ReplaceAll(pairs, "%20", "+") + "&Signature=" + url.QueryEscape(vectorSignature)
	wantAnswer(t, server, httptest.NewRequest(http.MethodPost, target, http.NoBody), "")
	if stored, _ := server.Inspect("cn-hangzhou", "my/secret@1"); stored.Versions[0].Text != "p w+d*~/=&é" {
		t.Errorf("stored %+v", stored)
	}
	if signature(vectorToSign, "testsecret") != vectorSignature {
		t.Error("the tests sign in another way")
	}
}

func TestAReplayedNonceIsRefused(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	w := newWire()
	wantAnswer(t, server, w.request(), "")
	wantAnswer(t, server, w.request(), "SignatureNonceUsed")
	w.query["SecretName"] = "other"
	wantAnswer(t, server, w.request(), "SignatureNonceUsed")
	tampered := w.request()
	edit("SecretName", "s")(tampered)
	wantAnswer(t, server, tampered, "SignatureNonceUsed") // told before the signature is looked at

	forged := newWire()
	forged.account.AccessKeySecret = "wrong"
	wantAnswer(t, server, forged.request(), noMatch)
	forged.account = emulator.ExampleAccount()
	wantAnswer(t, server, forged.request(), "") // a refused call doesn't use its nonce up

	other := emulator.Account{AccessKeyID: "other", AccessKeySecret: "other-secret"}
	if err := server.Account(other); err != nil {
		t.Fatal(err)
	}
	w.account, w.query["AccessKeyId"], w.query["SecretName"] = other, "other", "s"
	wantAnswer(t, server, w.request(), "") // nonces are apart by key

	without := newWire()
	delete(without.query, "SignatureNonce")
	for range 2 {
		wantAnswer(t, server, without.request(), "")
	}
}

func TestOfConcurrentCallsWithOneNonceOnePasses(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	for range 100 {
		w := newWire()
		calls := make([]func() string, 8)
		for i := range calls {
			r := w.request()
			calls[i] = func() string { return answerTo(t, server, r).code }
		}
		emulatortest.WantOneWinner(t, "SignatureNonceUsed", calls)
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
		{"an action that doesn't exist", set("Action", "Describe"), "InvalidAction.NotFound"},
		{"no action", set("Action", ""), "MissingParameter"},
		{"another version", set("Version", "2018-01-01"), "InvalidParameter"},
		{"no version", set("Version", ""), "MissingParameter"},
		{"a format that isn't emulated", set("Format", "XML"), "InvalidParameter"},
		{"a region without the service", set("RegionId", "xx"), "InvalidParameter"},
		{"another path", func(w *wire) { w.path = "/kms" }, "InvalidAction.NotFound"},
		{"another method", func(w *wire) { w.method = http.MethodPut }, "UnsupportedHTTPMethod"},
		{"a missing parameter", set("SecretName", ""), "MissingParameter"},
		{"a name with a colon", set("SecretName", "a:b"), "InvalidParameter"},
		{"a flag that is neither true nor false", set("FetchTags", "yes"), "InvalidParameter"},
		{"a missing parameter beside one that isn't valid", func(w *wire) {
			w.query["SecretName"], w.query["FetchTags"] = "", "yes"
		}, "MissingParameter"},
		{"a parameter in URL and form", func(w *wire) { w.form["SecretName"] = "s" }, "ParseRequestParameterException"},
		{"a parameter that isn't UTF-8", set("Colour", "\xff"), "ParseRequestParameterException"},
		{"a body above 10 MB", func(w *wire) { w.form["Colour"] = strings.Repeat("x", emulator.MaxBody) }, "ParseRequestParameterException"},
	}
	for _, test := range tests {
		t.Run(test.name+" is refused", func(t *testing.T) {
			w := newWire()
			test.change(&w)
			wantAnswer(t, server, w.request(), test.want)
		})
	}
	broken := newWire().request()
	broken.URL.RawQuery += "&a=%zz"
	wantAnswer(t, server, broken, "ParseRequestParameterException")
	anywhere := newWire()
	delete(anywhere.query, "RegionId")
	wantAnswer(t, server, anywhere.request(), "") // the first region
	anywhere.query["Action"], anywhere.query["ResourceType"] = "ListTagResources", "secret"
	anywhere.query["SignatureNonce"] = "again"
	wantAnswer(t, server, anywhere.request(), absent) // this one needs it
}

func TestAWrongSignatureIsAnsweredWithTheStringToSign(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	wrong := cloud{clientFor(t, c.endpoint, emulator.Account{AccessKeyID: "emulator-example-id", AccessKeySecret: "wrong"}, region), c.server, ""}
	err := wrong.put("s", "v1", "canary value")
	wantCode(t, err, noMatch)
	var failure *alierrors.ServerError
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	// The SDK compares it with its own, and recommends to look at the key when they are the same.
	if !strings.Contains(failure.Recommend(), "InvalidAccessKeySecret") || !strings.Contains(failure.Message(), "canary%2520value") {
		t.Errorf("answered %q, recommended %q", failure.Message(), failure.Recommend())
	}
}

func TestTemporaryCredentialsWorkWithTheSDKUntilTheyExpire(t *testing.T) {
	t.Parallel()
	for _, sibling := range []bool{false, true} {
		c := start(t, alibaba.Options{Switches: alibaba.Switches{TokenExpiredCode: sibling}})
		session := c.as(t, emulator.Account{
			AccessKeyID: "STS.x", AccessKeySecret: "x", SecurityToken: "token", TokenExpires: time.Now().Add(time.Hour),
		}, region)
		session.create(t, "s", "value")
		c.server.Accounts().Remove("STS.x")
		_, err := session.get("s", "", "")
		wantCode(t, err, "InvalidAccessKeyId.NotFound")
		session = c.as(t, emulator.Account{
			AccessKeyID: "STS.x", AccessKeySecret: "x", SecurityToken: "token", TokenExpires: time.Now().Add(-time.Hour),
		}, region)
		_, err = session.get("s", "", "")
		wantCode(t, err, map[bool]string{false: "InvalidAccessKeyId.NotFound", true: "InvalidSecurityToken.Expired"}[sibling])
	}
}

func TestADeniedActionIsForbiddenAndDoesNothing(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	reader := emulator.Account{AccessKeyID: "reader", AccessKeySecret: "x", Denied: []string{"PutSecretValue", "UntagResource"}}
	limited := c.as(t, reader, region)
	wantCode(t, limited.put("s", "v2", "value"), "Forbidden.NoPermission")
	wantCode(t, limited.put("absent", "v2", "value"), "Forbidden.NoPermission")
	wantCode(t, limited.put("absent", "", "value"), "MissingParameter")
	wantCode(t, limited.untag("s", `["k"]`), "Forbidden.NoPermission")
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" {
		t.Errorf("the denied call left %s", got)
	}
	_, err := limited.get("s", "", "")
	wantCode(t, err, "")
	limited = c.as(t, emulator.Account{AccessKeyID: "reader", AccessKeySecret: "x", Denied: []string{"*"}}, region)
	_, err = limited.get("s", "", "")
	wantCode(t, err, "Forbidden.NoPermission")
	var failure *alierrors.ServerError
	if errors.As(err, &failure) && failure.AccessDeniedDetail() != nil {
		t.Errorf("the denial has details: %v", failure.AccessDeniedDetail())
	}
	_, err = limited.regions()
	wantCode(t, err, "") // needs no grant
}

func FuzzNoCallMakesTheServerPanic(f *testing.F) {
	w := newWire()
	f.Add("DescribeSecret", w.request().URL.RawQuery, "", false)
	f.Add("CreateSecret", "SecretName=x&VersionId=v1&SecretData=v", `Tags=[{"TagKey":"k","TagValue":"v"}]`, true)
	f.Add("PutSecretValue", "SecretName=s&VersionId=v&SecretData=v", `VersionStages={"VersionStage":["a"]}`, true)
	f.Add("UpdateSecretVersionStage", "SecretName=s&VersionStage=a", "MoveToVersion=v", true)
	f.Add("ListSecrets", "PageNumber=2147483647&PageSize=100", `Filters=[{"Key":"SecretName","Values":null},{"Key":"TagKey"}]`, true)
	f.Add("ListSecretVersionIds", "SecretName=s&PageNumber=9223372036854775807", "IncludeDeprecated=true", true)
	f.Add("TagResources", "ResourceType=secret&ResourceId.1=s&Tag.1.Key=k", "Tag.1.Value=v&Tag.2.Value=w", true)
	f.Add("UntagResources", "ResourceType=secret&ResourceId.1=s", "All=true", true)
	f.Add("ListTagResources", "ResourceType=secret&NextToken=2147483647", "", true)
	f.Add("GetRandomPassword", "PasswordLength=8", "ExcludeCharacters=abc", true)
	f.Add("DeleteSecret", "SecretName=acs:kms:cn-hangzhou:100000000001:secret/s", "\xff\x00;%", true)
	server := atNoon(f)
	f.Fuzz(func(t *testing.T, action, query, form string, signed bool) {
		w := newWire()
		w.query["Action"] = action
		delete(w.query, "SecretName")
		for into, text := range map[*map[string]string]string{&w.query: query, &w.form: form} {
			values, _ := url.ParseQuery(text) // what can be read of it
			for name, list := range values {
				if _, twice := w.query[name]; !twice {
					(*into)[name] = list[0]
				}
			}
		}
		r := w.request()
		if !signed {
			r.URL.RawQuery = query
		}
		got := answerTo(t, server, r)
		if got.requestID == "" || got.code == "" && got.status != http.StatusOK || got.code != "" && got.told != got.status {
			t.Errorf("answered %+v", got)
		}
	})
}
