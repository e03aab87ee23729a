// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// algorithm names signature v3, as Tencent's page "Signature v3" defines it.
const algorithm = "TC3-HMAC-SHA256"

// clockWindow is how far a call's time may be off.
const clockWindow = 5 * time.Minute

const unsignedPayload = "UNSIGNED-PAYLOAD"

var authorizationForm = regexp.MustCompile(
	`^TC3-HMAC-SHA256 Credential=([^/, ]+)/(\d{4}-\d{2}-\d{2})/([a-z0-9]+)/tc3_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$`)

// authorization is the content of the header of that name.
type authorization struct {
	accessKeyID, date, service string
	signedHeaders              []string
	signature                  string
}

func parseAuthorization(header string) (authorization, bool) {
	m := authorizationForm.FindStringSubmatch(header)
	if m == nil {
		return authorization{}, false
	}
	a := authorization{accessKeyID: m[1], date: m[2], service: m[3], signedHeaders: strings.Split(m[4], ";"), signature: m[5]}
	return a, slices.IsSorted(a.signedHeaders) && !slices.Contains(a.signedHeaders, "")
}

// verify finds the account of a call and checks time, signature and token.
func verify(r *emulator.Request, accounts *emulator.Accounts) (emulator.Account, *emulator.Failure) {
	none := emulator.Account{}
	auth, ok := parseAuthorization(r.HTTP.Header.Get("Authorization"))
	if !ok {
		return none, fail(codeInvalidAuthorization, "The Authorization header is malformed.")
	}
	account, ok := accounts.Find(auth.accessKeyID)
	if !ok {
		return none, fail(codeSecretIDNotFound, "The SecretId is not found, please ensure that your SecretId is correct.")
	}
	timestamp := r.HTTP.Header.Get("X-TC-Timestamp")
	if timestamp == "" {
		return none, missing("Timestamp")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return none, fail(codeInvalidParameter, "The value type of parameter `Timestamp` is not valid, input type should be `int`")
	}
	signedAt := time.Unix(seconds, 0).UTC()
	if signedAt.Before(r.Now.Add(-clockWindow)) || signedAt.After(r.Now.Add(clockWindow)) {
		return none, fail(codeSignatureExpire, "The signature is expired: check the clock of the caller.")
	}
	if !auth.signs(r, account, timestamp, signedAt) {
		return none, fail(codeSignatureFailure, "The provided credentials could not be validated. Please check your signature is correct.")
	}
	if !tokenValid(r, account) {
		return none, fail(codeTokenFailure, "The token is wrong or has expired.")
	}
	return account, nil
}

// signs tells whether the signature is the one that the account's key makes
// for this call.
func (a authorization) signs(r *emulator.Request, account emulator.Account, timestamp string, signedAt time.Time) bool {
	if a.date != signedAt.Format(time.DateOnly) || a.service != productOf(r.HTTP).name {
		return false
	}
	if !slices.Contains(a.signedHeaders, "host") || !slices.Contains(a.signedHeaders, "content-type") {
		return false
	}
	scope := a.date + "/" + a.service + "/tc3_request"
	toSign := strings.Join([]string{algorithm, timestamp, scope, hexDigest(a.canonical(r))}, "\n")
	key := keyed([]byte("TC3"+account.AccessKeySecret), a.date)
	key = keyed(keyed(key, a.service), "tc3_request")
	expected := hex.EncodeToString(keyed(key, toSign))
	return subtle.ConstantTimeCompare([]byte(expected), []byte(a.signature)) == 1
}

// canonical is the request in the form that is signed.
func (a authorization) canonical(r *emulator.Request) string {
	var headers strings.Builder
	for _, name := range a.signedHeaders {
		value := strings.Join(r.HTTP.Header.Values(name), ",")
		if name == "host" {
			value = r.HTTP.Host // with the port, if the caller used one
		}
		headers.WriteString(name + ":" + strings.ToLower(strings.TrimSpace(value)) + "\n")
	}
	payload := string(r.Body)
	if r.HTTP.Header.Get("X-TC-Content-SHA256") == unsignedPayload {
		payload = unsignedPayload
	}
	return strings.Join([]string{
		http.MethodPost, "/", r.HTTP.URL.RawQuery, headers.String(), strings.Join(a.signedHeaders, ";"), hexDigest(payload),
	}, "\n")
}

func tokenValid(r *emulator.Request, account emulator.Account) bool {
	token := r.HTTP.Header.Get("X-TC-Token")
	expired := !account.TokenExpires.IsZero() && !r.Now.Before(account.TokenExpires)
	return subtle.ConstantTimeCompare([]byte(token), []byte(account.SecurityToken)) == 1 && !expired
}

func hexDigest(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
