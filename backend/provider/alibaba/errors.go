// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// verdict is what a code of the service means here.
type verdict struct {
	class provider.Class
	// advice follows the service's words where these, and the general action of
	// the class, don't tell what to do.
	advice string
	// echoes is set for codes whose text repeats the call's parameters, values
	// included; the advice then stands alone.
	echoes bool
}

// Codes that the methods themselves look at.
const (
	codeInDeleteWindow = "Rejected.ResourceInDeleteWindow"
	codeInUse          = "Rejected.ResourceInUse"
	codeNoPermission   = "Forbidden.NoPermission"
	codeNonceUsed      = "SignatureNonceUsed"
)

const (
	adviceKeyID     = "access_key_id is unknown, or security_token has expired; correct them"
	adviceSignature = "the signature doesn't fit: access_key_secret doesn't belong to access_key_id; correct it"
	adviceToken     = "security_token is expired or belongs to another key; renew it"
	adviceClock     = "the clock of this server is more than about 15 minutes off; set it by NTP"
	adviceActivate  = "activate Key Management Service in the Alibaba Cloud console, then sync"
	adviceDebt      = "settle the account's overdue payment, then sync"
	adviceAccount   = "Alibaba Cloud has restricted the account; clear that up with its support, then sync"
	adviceKMS       = "choose a symmetric KMS key of the same region and KMS instance that is enabled, and that these credentials may use"
	adviceKeyGrant  = "allow kms:GenerateDataKey and kms:Decrypt on the KMS key for these credentials"
	adviceNoKey     = "check the KMS key and kms_instance_id: one of them, or the account's default, doesn't exist in this region"
	adviceInstance  = "correct kms_instance_id, or wait until the KMS instance is enabled"
	adviceEndpoint  = "the endpoint doesn't offer this API; correct endpoint, or leave it empty for the public one"
	adviceOperation = "if endpoint is that of a KMS instance, leave it empty or use kms-vpc: an instance's gateway takes no changes"
	adviceRegion    = "correct region"
	adviceRestore   = "the deletion of the secret is scheduled; restore it first"
)

// verdicts gives each code its class. Keys: the error codes of the KMS pages and
// those that Alibaba's services have in common; after an operation and a space,
// what a code means for that operation alone. A sub-code that isn't listed means
// what its family does, so Throttling.User is throttling; a code of no listed
// family is ClassInternal, or ClassUnavailable with an HTTP status of the 500s.
var verdicts = map[string]verdict{
	// HTTP 404, but not about a secret.
	"InvalidAccessKeyId":    {class: provider.ClassAuth, advice: adviceKeyID},
	"Forbidden.AccessKey":   {class: provider.ClassAuth, advice: "the access key is disabled; enable it or give another"},
	"SignatureDoesNotMatch": {class: provider.ClassAuth, advice: adviceSignature, echoes: true},
	"IncompleteSignature":   {class: provider.ClassAuth, advice: adviceSignature, echoes: true},
	"InvalidSecurityToken":  {class: provider.ClassAuth, advice: adviceToken},
	"MissingSecurityToken":  {class: provider.ClassAuth, advice: adviceToken},
	"IllegalTimestamp":      {class: provider.ClassAuth, advice: adviceClock},
	"InvalidTimeStamp":      {class: provider.ClassAuth, advice: adviceClock},
	// The call came twice, by whatever lies between; once it was taken.
	codeNonceUsed: {class: provider.ClassUnavailable},

	codeNoPermission:                    {class: provider.ClassPermission},
	"Forbidden.RAM":                     {class: provider.ClassPermission},
	"NoPermission":                      {class: provider.ClassPermission},
	"Forbidden.KmsServiceNotEnabled":    {class: provider.ClassPermission, advice: adviceActivate},
	"Forbidden.InDebt":                  {class: provider.ClassPermission, advice: adviceDebt},
	"Forbidden.InDebtOverdue":           {class: provider.ClassPermission, advice: adviceDebt},
	"Forbidden.ProhibitedByRiskControl": {class: provider.ClassPermission, advice: adviceAccount},
	"Forbidden.UbsmsInvalidUserid":      {class: provider.ClassPermission, advice: adviceAccount},
	"Forbidden.UbsmsInvalidBid":         {class: provider.ClassPermission, advice: adviceAccount},

	"Rejected.Throttling": {class: provider.ClassThrottled},
	"Throttling":          {class: provider.ClassThrottled},

	"InternalFailure":             {class: provider.ClassUnavailable},
	"InternalError":               {class: provider.ClassUnavailable},
	"ServiceUnavailable":          {class: provider.ClassUnavailable},
	"ServiceUnavailableTemporary": {class: provider.ClassUnavailable},
	"SerivceUnavailableTemporary": {class: provider.ClassUnavailable}, // misspelt in the documentation of 2019

	"Forbidden.ResourceNotFound":                {class: provider.ClassNotFound},
	"GetKmsInstance Forbidden.ResourceNotFound": {class: provider.ClassKMS, advice: adviceInstance},
	"CreateSecret Forbidden.ResourceNotFound":   {class: provider.ClassKMS, advice: adviceNoKey},
	"InvalidResourceId.NotFound":                {class: provider.ClassNotFound}, // of the tag calls that all services have
	"EntityNotExist.Secret":                     {class: provider.ClassNotFound}, // this and the two Duplicate ones are in one vendor guide only

	"Rejected.ResourceExist":                    {class: provider.ClassConflict},
	"Rejected.DuplicateSecretName":              {class: provider.ClassConflict},
	"Rejected.DuplicateVersionId":               {class: provider.ClassConflict},
	codeInDeleteWindow:                          {class: provider.ClassConflict, advice: adviceRestore},
	codeInUse:                                   {class: provider.ClassConflict},
	"CreateSecret Rejected.ResourceExist":       {class: provider.ClassExists},
	"CreateSecret Rejected.DuplicateSecretName": {class: provider.ClassExists},
	"CreateSecret " + codeInDeleteWindow:        {class: provider.ClassExists},

	"Forbidden.KeyNotFound":              {class: provider.ClassKMS, advice: adviceKMS},
	"Forbidden.AliasNotFound":            {class: provider.ClassKMS, advice: adviceKMS},
	"Forbidden.KeyVersionNotFound":       {class: provider.ClassKMS, advice: adviceKMS},
	"Rejected.Disabled":                  {class: provider.ClassKMS, advice: adviceKMS},
	"Rejected.PendingDeletion":           {class: provider.ClassKMS, advice: adviceKMS},
	"Rejetced.PendingDeletion":           {class: provider.ClassKMS, advice: adviceKMS}, // misspelt in the documentation
	"Rejected.PendingImport":             {class: provider.ClassKMS, advice: adviceKMS},
	"Rejected.StateModifiedFailed":       {class: provider.ClassKMS, advice: adviceKMS},
	"Forbidden.DKMSInstanceNotFound":     {class: provider.ClassKMS, advice: adviceInstance},
	"Forbidden.DKMSInstanceStateInvalid": {class: provider.ClassKMS, advice: adviceInstance},

	"Rejected.LimitExceeded": {class: provider.ClassLimit},

	"InvalidParameter":               {class: provider.ClassInvalid},
	"MissingParameter":               {class: provider.ClassInvalid},
	"ParseRequestParameterException": {class: provider.ClassInvalid},
	"UnsupportedOperation":           {class: provider.ClassInvalid, advice: adviceOperation},
	"Rejected.UnsupportedOperation":  {class: provider.ClassInvalid, advice: adviceOperation},
	"InvalidRegionId":                {class: provider.ClassInvalid, advice: adviceRegion},
	// The endpoint answers, but it isn't KMS.
	"UnsupportedHTTPMethod": {class: provider.ClassInvalid, advice: adviceEndpoint},
	"InvalidAction":         {class: provider.ClassInvalid, advice: adviceEndpoint},
	"InvalidVersion":        {class: provider.ClassInvalid, advice: adviceEndpoint},
}

// judge finds the verdict on a code.
func judge(operation, code string) (verdict, bool) {
	if v, ok := verdicts[operation+" "+code]; ok {
		return v, true
	}
	for family := code; family != ""; {
		if v, ok := verdicts[family]; ok {
			return v, true
		}
		family = family[:max(0, strings.LastIndexByte(family, '.'))]
	}
	return verdict{class: provider.ClassInternal}, false
}

// keyDenied is how a text names the KMS key that a permission is missing for;
// with a secret it speaks of "this operation" alone.
var keyDenied = regexp.MustCompile(`operation for (acs:kms:\S*:)?(key[-/]|alias/|[0-9a-f]{8}-[0-9a-f]{4}-)\S* is forbidden`)

// readingOperations change nothing, so their failures are never ambiguous.
var readingOperations = []string{"DescribeKey", "DescribeSecret", "GetKmsInstance", "GetSecretValue", "ListSecretVersionIds", "ListSecrets"}

// failedCall turns the errors of one call into provider errors.
type failedCall struct{ provider.Call }

func failed(operation string, secrets ...sensitive.String) failedCall {
	return failedCall{provider.Call{
		Operation: operation,
		Writes:    !slices.Contains(readingOperations, operation),
		Secrets:   secrets,
	}}
}

// classify never keeps err as a cause: the SDK's errors quote answers.
func (f failedCall) classify(ctx context.Context, err error) error {
	var refused *refusal
	if errors.As(err, &refused) {
		return f.refused(refused)
	}
	if ctx.Err() != nil {
		return f.Interrupted(ctx.Err(), true)
	}
	var answer *provider.AnswerError
	if errors.As(err, &answer) {
		return f.Unusable(answer)
	}
	var network *url.Error
	if errors.As(err, &network) {
		return f.Unreachable(network.Err)
	}
	return f.incomprehensible()
}

// incomprehensible is an answer of the API that lacks what it must have.
func (f failedCall) incomprehensible() error {
	return &provider.Error{
		Class:     provider.ClassUnavailable,
		Operation: f.Operation,
		Message:   "the service's answer can't be understood",
		Ambiguous: f.Writes,
	}
}

// refused is an error that the service itself gave.
func (f failedCall) refused(r *refusal) error {
	v, listed := judge(f.Operation, r.code)
	message := strings.Join(strings.Fields(r.message), " ")
	switch {
	case r.code == codeNoPermission && keyDenied.MatchString(message):
		v = verdict{class: provider.ClassKMS, advice: adviceKeyGrant}
	case v.class == provider.ClassPermission && v.advice == "":
		v.advice = "allow kms:" + f.Operation + " for these credentials in the RAM policy"
	case !listed && r.status >= http.StatusInternalServerError:
		v.class = provider.ClassUnavailable
	case !listed && r.status == http.StatusTooManyRequests:
		v.class = provider.ClassThrottled
	}
	if v.echoes || strings.Contains(strings.ToLower(message), "string to sign") {
		message = ""
	}
	message = f.Scrub(message)
	if v.advice != "" {
		message = strings.TrimPrefix(message+"; "+v.advice, "; ")
	}
	return &provider.Error{
		Class:     v.class,
		Operation: f.Operation,
		Code:      f.Scrub(r.code),
		RequestID: f.Scrub(r.requestID),
		Message:   message,
		// A fault of the service may come after the effect.
		Ambiguous: f.Writes && v.class == provider.ClassUnavailable,
	}
}
