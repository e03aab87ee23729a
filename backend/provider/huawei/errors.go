// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// verdict is what a code of the service means here.
type verdict struct {
	class provider.Class
	// advice follows the service's words where these, and the general action of
	// the class, don't tell what to do.
	advice string
}

// Codes that the methods themselves look at.
const (
	codePendingDelete = "CSMS.0103"
	codeScheduled     = "CSMS.0107"
	codeNotScheduled  = "CSMS.0108"
	codeProject       = "KMS.0321"
	codeNoProject     = "APIGW.0310"
)

const (
	adviceKey      = "correct access_key_id and access_key_secret; if they are right, this server's clock is more than 15 minutes off, or failed attempts have locked the key for five minutes"
	adviceToken    = "security_token is expired or belongs to another key; renew it"
	adviceProject  = "project_id isn't a usable project of the account in this region; correct it"
	adviceEndpoint = "the endpoint doesn't offer this API; correct endpoint, or leave it empty for the public one"
	adviceAddress  = "the account's access control doesn't allow this server's IP address"
	adviceKMS      = "choose a KMS key of the same project that is enabled, and that these credentials may use"
	adviceKeyUse   = "allow the call, and kms:cmk:createDataKey and kms:cmk:decryptDataKey on the secret's KMS key"
	adviceArrears  = "settle the account or lift the freeze in the Huawei Cloud console, then sync"
	advicePending  = "restore the secret first, or wait until it is deleted"
)

// verdicts gives each code its class. Keys: the codes of CSMS (api-dew,
// ErrorCode, as far as it could be read), those of KMS, on whose host it lives,
// and those of the API gateway, whose prefix is APIG in some installations.
// "KMS.04" stands for all codes that start so. What isn't listed is judged by
// its HTTP status.
var verdicts = map[string]verdict{
	"CSMS.0002":       {class: provider.ClassInvalid},
	"CSMS.0003":       {class: provider.ClassInvalid},
	"CSMS.0004":       {class: provider.ClassInvalid},
	"CSMS.0005":       {class: provider.ClassNotFound}, // with status 400 or 404
	codePendingDelete: {provider.ClassConflict, advicePending},
	"CSMS.0105":       {class: provider.ClassInvalid},
	"CSMS.0106":       {class: provider.ClassNotFound},
	codeScheduled:     {provider.ClassConflict, advicePending},
	codeNotScheduled:  {class: provider.ClassConflict},
	"CSMS.0109":       {class: provider.ClassConflict},
	"CSMS.0202":       {class: provider.ClassLimit},
	"CSMS.0203":       {class: provider.ClassLimit},
	"CSMS.0204":       {class: provider.ClassLimit},
	"CSMS.0301":       {provider.ClassAuth, adviceToken},
	"CSMS.0302":       {class: provider.ClassPermission}, // a guess, by its status and KMS's numbers
	"CSMS.0401":       {provider.ClassKMS, adviceKMS},

	"KMS.0201":  {class: provider.ClassInvalid},
	"KMS.0202":  {class: provider.ClassInvalid},
	"KMS.0203":  {class: provider.ClassInvalid},
	"KMS.0204":  {class: provider.ClassInvalid},
	"KMS.0205":  {provider.ClassKMS, adviceKMS},
	"KMS.0207":  {provider.ClassKMS, adviceKMS},
	"KMS.0209":  {provider.ClassKMS, adviceKMS},
	"KMS.0210":  {provider.ClassKMS, adviceKMS},
	"KMS.0301":  {provider.ClassAuth, adviceToken},
	"KMS.0302":  {provider.ClassAuth, adviceToken},
	"KMS.0303":  {provider.ClassAuth, adviceToken},
	"KMS.0306":  {provider.ClassPermission, adviceKeyUse},
	"KMS.0307":  {provider.ClassPermission, adviceKeyUse},
	"KMS.0314":  {provider.ClassPermission, "complete the account's real-name verification in the Huawei Cloud console"},
	"KMS.0320":  {provider.ClassPermission, adviceArrears},
	codeProject: {provider.ClassAuth, adviceProject},
	"KMS.0326":  {provider.ClassPermission, adviceKeyUse},
	"KMS.0328":  {provider.ClassPermission, adviceArrears},
	"KMS.04":    {class: provider.ClassInvalid}, // tags
	"KMS.0409":  {class: provider.ClassLimit},
	"KMS.0416":  {class: provider.ClassNotFound},

	// The endpoint answers, but it isn't CSMS.
	"APIGW.0101": {provider.ClassInvalid, adviceEndpoint},
	"APIGW.0103": {provider.ClassInvalid, adviceEndpoint},
	"APIGW.0104": {class: provider.ClassUnavailable}, // the gateway's own configuration
	"APIGW.0105": {class: provider.ClassUnavailable},
	"APIGW.0106": {class: provider.ClassUnavailable},
	"APIGW.0201": {class: provider.ClassInvalid}, // too large; with a status of the 500s unavailable
	"APIGW.0301": {provider.ClassAuth, adviceKey},
	"APIGW.0302": {class: provider.ClassPermission},
	"APIGW.0303": {class: provider.ClassAuth},
	"APIGW.0304": {class: provider.ClassPermission},
	"APIGW.0305": {class: provider.ClassAuth},
	"APIGW.0306": {class: provider.ClassPermission},
	"APIGW.0307": {provider.ClassAuth, adviceToken},
	"APIGW.0308": {class: provider.ClassThrottled},
	// Like a wrong key, this is for a person who knows the destination.
	codeNoProject: {provider.ClassAuth, adviceProject},
	"APIGW.0401":  {provider.ClassPermission, adviceAddress},
	"APIGW.0402":  {provider.ClassPermission, adviceAddress},
	"APIGW.0802":  {provider.ClassPermission, "the IAM user may not use this region; allow it, or correct region"},
}

// judge finds the verdict on an error of the API.
func judge(status int, code string) verdict {
	if rest, customers := strings.CutPrefix(code, "APIG."); customers {
		code = "APIGW." + rest
	}
	switch v, listed := verdicts[code]; {
	case status >= http.StatusInternalServerError:
		return verdict{class: provider.ClassUnavailable}
	case status == http.StatusTooManyRequests:
		return verdict{class: provider.ClassThrottled}
	case listed:
		return v
	case strings.HasPrefix(code, "KMS.04"):
		return verdicts["KMS.04"]
	}
	switch status {
	case http.StatusUnauthorized: // also Keystone's, which has no code
		return verdict{class: provider.ClassAuth}
	case http.StatusForbidden:
		return verdict{class: provider.ClassPermission}
	case http.StatusConflict:
		return verdict{class: provider.ClassConflict}
	case http.StatusNotFound:
		if strings.HasPrefix(code, "CSMS.") || strings.HasPrefix(code, "KMS.") {
			return verdict{class: provider.ClassNotFound}
		}
		// It isn't the service that says so. Taking it for absence would let a
		// wrong endpoint pass for a deletion.
		return verdict{provider.ClassUnavailable, adviceEndpoint}
	}
	return verdict{class: provider.ClassInternal}
}

// failedCall turns the errors of one call into provider errors.
type failedCall struct{ provider.Call }

// classify never keeps err as a cause: the SDK's errors quote answers.
func (f failedCall) classify(ctx context.Context, err error) error {
	var api *sdkerr.ServiceResponseError
	if errors.As(err, &api) {
		if api.StatusCode < http.StatusBadRequest {
			return f.unclear("the service's answer can't be understood")
		}
		return f.refused(api)
	}
	if ctx.Err() != nil {
		return f.Interrupted(ctx.Err(), true)
	}
	var ours *provider.Error
	if errors.As(err, &ours) {
		return ours
	}
	var answer *provider.AnswerError
	if errors.As(err, &answer) {
		return f.Unusable(answer)
	}
	var network *url.Error
	if errors.As(err, &network) {
		return f.Unreachable(network.Err)
	}
	return &provider.Error{
		Class:     provider.ClassInternal,
		Operation: f.Operation,
		Message:   "the call can't be made: " + f.Scrub(err.Error()),
	}
}

// refused is an error that the service itself gave. Where it had no code the
// SDK keeps the whole body as the message, which is left out.
func (f failedCall) refused(api *sdkerr.ServiceResponseError) error {
	message := fmt.Sprintf("HTTP status %d without an error code", api.StatusCode)
	if api.ErrorCode != "" {
		// The gateway's text on a wrong signature goes on with what was signed: a
		// security token, and the hash of a body with a value in it.
		text, _, _ := strings.Cut(api.ErrorMessage, ", canonicalRequest")
		text, _, _ = strings.Cut(text, "canonicalRequest")
		message = f.Scrub(strings.Join(strings.Fields(text), " "))
	}
	v := judge(api.StatusCode, api.ErrorCode)
	if v.advice != "" {
		message = strings.TrimPrefix(message+"; "+v.advice, "; ")
	}
	return &provider.Error{
		Class:      v.class,
		Operation:  f.Operation,
		Code:       f.Scrub(api.ErrorCode),
		RequestID:  f.Scrub(api.RequestId),
		Message:    message,
		Ambiguous:  f.Writes && api.StatusCode >= http.StatusInternalServerError,
		RetryAfter: periodIn(api.ErrorMessage, v.class),
	}
}

// ratePeriod is how the gateway's text on throttling names the period that its
// limit is for: "policy user over ratelimit,limit:20,time:1 second".
var ratePeriod = regexp.MustCompile(`limit:\d+, ?time:(\d+) ?(second|minute|hour|day)`)

// periodIn returns the period of the limit that a throttled call went over,
// after which there is room again; 0 where the text names none.
func periodIn(text string, class provider.Class) time.Duration {
	found := ratePeriod.FindStringSubmatch(text)
	if class != provider.ClassThrottled || found == nil {
		return 0
	}
	count, err := strconv.ParseUint(found[1], 10, 64)
	if err != nil {
		return 0
	}
	units := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	return provider.BoundedRetryAfter(count, units[found[2]])
}

// unclear is a success that doesn't say what it should.
func (f failedCall) unclear(message string) error {
	return &provider.Error{Class: provider.ClassUnavailable, Operation: f.Operation, Message: message, Ambiguous: f.Writes}
}

func codeOf(err error) string {
	var e *provider.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
