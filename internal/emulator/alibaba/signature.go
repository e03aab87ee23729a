// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the algorithm of this signature
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// clockWindow is how far a call's time may be off. KMS documents it for its
// dedicated gateway only.
const clockWindow = 15 * time.Minute

// timestampForm is the form of Timestamp, in UTC.
const timestampForm = "2006-01-02T15:04:05Z"

// percentEncode leaves letters, digits and -_.~ as they are.
func percentEncode(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// stringToSign is a call in the form that is signed: all its parameters but
// Signature, those of the URL and those of the form, in order.
func stringToSign(method string, p parameters) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != "Signature" {
			pairs = append(pairs, percentEncode(name)+"="+percentEncode(p[name]))
		}
	}
	return method + "&%2F&" + percentEncode(strings.Join(pairs, "&"))
}

func sign(text, accessKeySecret string) string {
	mac := hmac.New(sha1.New, []byte(accessKeySecret+"&"))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// verify finds the account of a call and checks time, nonce, signature and
// token, in this order.
func (e *exchange) verify(r *emulator.Request) (emulator.Account, *emulator.Failure) {
	none, switches := emulator.Account{}, e.server.CurrentSwitches()
	if failure := e.signed(switches); failure != nil {
		return none, failure
	}
	id, nonce := e.params["AccessKeyId"], e.params["SignatureNonce"]
	account, ok := e.server.Accounts().Find(id)
	if !ok {
		return none, keyIDNotFound()
	}
	if failure := e.timely(r.Now, switches); failure != nil {
		return none, failure
	}
	if nonce != "" && e.server.nonces.used(id, nonce) {
		return none, nonceUsed()
	}
	text := stringToSign(r.HTTP.Method, e.params)
	if subtle.ConstantTimeCompare([]byte(sign(text, account.AccessKeySecret)), []byte(e.params["Signature"])) != 1 {
		return none, fail(codeSignature, "Specified signature is not matched with our calculation. server string to sign is:"+text)
	}
	if failure := e.tokenFits(r.Now, account, switches); failure != nil {
		return none, failure
	}
	if nonce != "" && !e.server.nonces.take(id, nonce) { // another call with it was faster
		return none, nonceUsed()
	}
	return account, nil
}

// signed tells whether the call has what a signature consists of.
func (e *exchange) signed(switches Switches) *emulator.Failure {
	p := e.params
	switch {
	case p["AccessKeyId"] == "":
		return missing("AccessKeyId")
	case switches.NonceRequired && p["SignatureNonce"] == "":
		return missing("SignatureNonce")
	case p["Signature"] == "", p["SignatureMethod"] != "HMAC-SHA1", p["SignatureVersion"] != "1.0", p["SignatureType"] != "":
		return fail(codeIncompleteSignature, "The request signature does not conform to Aliyun standards.")
	}
	return nil
}

func (e *exchange) timely(now time.Time, switches Switches) *emulator.Failure {
	at, err := time.Parse(timestampForm, e.params["Timestamp"])
	switch {
	case err != nil:
		return fail(codeIllegalTimestamp, "The input parameter \"Timestamp\" that is mandatory for processing this request is not supplied.")
	case !at.Before(now.Add(-clockWindow)) && !at.After(now.Add(clockWindow)):
		return nil
	case switches.TimestampExpiredCode:
		return fail(codeTimestampExpired, "Specified time stamp or date value is expired.")
	}
	return fail(codeIllegalTimestamp, "The timestamp of the request is too far from the time of the service.")
}

// tokenFits checks the security token, which temporary keys have and others don't.
func (e *exchange) tokenFits(now time.Time, account emulator.Account, switches Switches) *emulator.Failure {
	token := e.params["SecurityToken"]
	switch {
	case account.SecurityToken == "" && token == "":
		return nil
	case account.SecurityToken == "":
		return fail(codeTokenMalformed, "Specified SecurityToken is malformed.")
	case token == "":
		return keyIDNotFound() // without its token nobody knows a temporary key
	case subtle.ConstantTimeCompare([]byte(token), []byte(account.SecurityToken)) != 1:
		return fail(codeTokenMismatch, "Specified SecurityToken does not match the AccessKey.")
	case account.TokenExpires.IsZero() || now.Before(account.TokenExpires):
		return nil
	case switches.TokenExpiredCode:
		return fail(codeTokenExpired, "Specified SecurityToken is expired.")
	}
	return keyIDNotFound()
}

func keyIDNotFound() *emulator.Failure {
	return fail(codeKeyIDNotFound, "The Access Key ID provided does not exist in our records.")
}

func nonceUsed() *emulator.Failure {
	return fail(codeNonceUsed, "Specified signature nonce was used already.")
}
