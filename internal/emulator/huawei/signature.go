// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// algorithm names the signature that Huawei's SDKs make by default.
const algorithm = "SDK-HMAC-SHA256"

const (
	dateHeader    = "X-Sdk-Date"
	dateFormat    = "20060102T150405Z"
	hashHeader    = "X-Sdk-Content-Sha256"
	projectHeader = "X-Project-Id"
	tokenHeader   = "X-Security-Token"

	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// clockWindow is how far a call's time may be off.
const clockWindow = 15 * time.Minute

var authorizationForm = regexp.MustCompile(
	`^SDK-HMAC-SHA256 Access=([^,\s]+), SignedHeaders=([^,;\s]+(?:;[^,;\s]+)*), Signature=([0-9a-f]{64})$`)

// authorization is the content of the header of that name.
type authorization struct {
	accessKeyID   string
	signedHeaders []string // lower case
	signature     string
}

func parseAuthorization(header string) (authorization, bool) {
	m := authorizationForm.FindStringSubmatch(header)
	if m == nil {
		return authorization{}, false
	}
	a := authorization{accessKeyID: m[1], signedHeaders: strings.Split(m[2], ";"), signature: m[3]}
	return a, slices.IsSorted(a.signedHeaders) && m[2] == strings.ToLower(m[2])
}

// refuse is the gateway's answer to credentials that don't fit. The texts are
// those that were seen, except for tokens of temporary keys.
func refuse(format string, args ...any) *emulator.Failure {
	return failWith(0, codeAuthorization, "Incorrect IAM authentication information: "+fmt.Sprintf(format, args...))
}

// verify finds the account of a call and checks time, signature and token.
func (s *Server) verify(r *emulator.Request) (emulator.Account, *emulator.Failure) {
	none := emulator.Account{}
	header := r.HTTP.Header
	if header.Get("Authorization") == "" {
		if header.Get("X-Auth-Token") != "" {
			return none, refuse("decrypt token fail") // this emulator issues no tokens
		}
		return none, refuse("x-auth-token not found")
	}
	auth, ok := parseAuthorization(header.Get("Authorization"))
	if !ok {
		return none, refuse("verify aksk signature fail, the Authorization header is malformed")
	}
	account, ok := s.Accounts().Find(auth.accessKeyID)
	if !ok {
		return none, refuse("Get secretKey failed,ak:%.200s,err:ak not exist", auth.accessKeyID)
	}
	lockable := s.CurrentSwitches().LockKeys
	if lockable && s.locks.locked(account.AccessKeyID, r.Now) {
		return none, refuse("AK access failed to reach the limit,forbidden.")
	}
	failure := auth.check(r, account)
	if lockable {
		s.locks.note(account.AccessKeyID, failure == nil, r.Now)
	}
	if failure != nil {
		return none, failure
	}
	return account, nil
}

func (a authorization) check(r *emulator.Request, account emulator.Account) *emulator.Failure {
	date := r.HTTP.Header.Get(dateHeader)
	signedAt, err := time.Parse(dateFormat, date)
	if err != nil {
		return refuse("calc aksk signature fail:the header X-Sdk-Date is missing or malformed")
	}
	if signedAt.Before(r.Now.Add(-clockWindow)) || signedAt.After(r.Now.Add(clockWindow)) {
		return refuse("calc aksk signature fail:signature expired, signature time:%s,server time:%s", date, r.Now.UTC().Format(dateFormat))
	}
	for _, name := range []string{dateHeader, projectHeader, tokenHeader} {
		if len(r.HTTP.Header.Values(name)) > 0 && !slices.Contains(a.signedHeaders, strings.ToLower(name)) {
			return refuse("verify aksk signature fail, the header %s is not signed", name)
		}
	}
	canonical, err := a.canonical(r)
	if err != nil {
		return refuse("verify aksk signature fail, %v", err)
	}
	toSign := strings.Join([]string{algorithm, date, hexDigest(canonical)}, "\n")
	mac := hmac.New(sha256.New, []byte(account.AccessKeySecret))
	mac.Write([]byte(toSign))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(a.signature)) != 1 {
		return refuse("verify aksk signature fail, canonicalRequest:%s", strings.ReplaceAll(canonical, "\n", "|"))
	}
	if !tokenValid(r, account) {
		return refuse("the security token is wrong or has expired")
	}
	return nil
}

// canonical is the request in the form that is signed.
func (a authorization) canonical(r *emulator.Request) (string, error) {
	query, err := canonicalQuery(r.HTTP.URL.RawQuery)
	if err != nil {
		return "", err
	}
	hash := hexDigest(string(r.Body))
	if declared := r.HTTP.Header.Get(hashHeader); declared != "" {
		if declared != unsignedPayload && declared != hash {
			return "", fmt.Errorf("the body isn't that of %s", hashHeader)
		}
		hash = declared
	}
	return strings.Join([]string{
		r.HTTP.Method, canonicalPath(r.HTTP.URL.Path), query, a.canonicalHeaders(r.HTTP), strings.Join(a.signedHeaders, ";"), hash,
	}, "\n"), nil
}

// canonicalPath encodes the decoded path, since callers needn't encode on the
// wire what is encoded here.
func canonicalPath(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = escape(segment)
	}
	return strings.TrimSuffix(strings.Join(segments, "/"), "/") + "/"
}

func canonicalQuery(raw string) (string, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "", errors.New("the query can't be read")
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(query)) {
		slices.Sort(query[key])
		for _, value := range query[key] {
			pairs = append(pairs, escape(key)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&"), nil
}

// canonicalHeaders has a line for each value; one without any has none.
func (a authorization) canonicalHeaders(r *http.Request) string {
	var lines strings.Builder
	for _, name := range a.signedHeaders {
		values := slices.Clone(r.Header.Values(name))
		if name == "host" {
			values = []string{r.Host}
		}
		slices.Sort(values)
		for _, value := range values {
			lines.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
		}
	}
	return lines.String()
}

// escape keeps RFC 3986's unreserved characters and encodes all other bytes.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func tokenValid(r *emulator.Request, account emulator.Account) bool {
	token := r.HTTP.Header.Get(tokenHeader)
	expired := !account.TokenExpires.IsZero() && !r.Now.Before(account.TokenExpires)
	return subtle.ConstantTimeCompare([]byte(token), []byte(account.SecurityToken)) == 1 && !expired
}

func hexDigest(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

// Access keys are locked for lockTime after more than maxFailures failed
// signatures in a row.
const (
	maxFailures = 5
	lockTime    = 5 * time.Minute
)

// locks are the failed signatures per access key.
type locks struct {
	mu   sync.Mutex
	keys map[string]streak // by access key id
}

type streak struct {
	failures int
	last     time.Time
}

func (l *locks) locked(accessKeyID string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.keys[accessKeyID]
	if s.failures <= maxFailures {
		return false
	}
	if now.Sub(s.last) < lockTime {
		return true
	}
	delete(l.keys, accessKeyID)
	return false
}

func (l *locks) note(accessKeyID string, success bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if success {
		delete(l.keys, accessKeyID)
		return
	}
	if l.keys == nil {
		l.keys = make(map[string]streak)
	}
	l.keys[accessKeyID] = streak{l.keys[accessKeyID].failures + 1, now}
}
