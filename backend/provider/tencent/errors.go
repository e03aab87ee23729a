// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
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
	codeFailedOperation = "FailedOperation"
	codeVersionIDExists = "ResourceInUse.VersionIdExists"
	codeNotPurchased    = "ResourceUnavailable.NotPurchased"
	codeTagsNotExisted  = "InvalidParameterValue.TagsNotExisted"
	codeTagParameter    = "InvalidParameter.Tag" // of the Tag service
)

const (
	adviceActivate = "activate Secrets Manager in the Tencent Cloud console, or settle the overdue account, then sync"
	adviceRole     = "grant Secrets Manager its service role SSM_QCSRole in the Tencent Cloud console"
	adviceTag      = "create tag key and value in Tencent's Tag service first, or leave the tag out"
	advicePolicy   = "a tag policy of the organization forbids this tag; choose a key and value that it allows"
	adviceClock    = "the clock of this server is more than five minutes off; set it by NTP"
	adviceEndpoint = "the endpoint doesn't offer this API; correct endpoint, or leave it empty for the public one"
	adviceSchedule = "switch rotation by schedule on; Tencent rotates on request only while it is on"
	adviceKMS      = "choose a KMS key of the same region that is enabled, and that these credentials may use"
)

// verdicts gives each code its class. Keys: the error codes of SSM and of the Tag
// service (SDK packages ssm and tag, errors.go) and the common ones of the API gateway. A sub-code that isn't
// listed means what its family does, so RequestLimitExceeded.UinLimitExceeded
// is throttling; a code of no listed family is ClassInternal.
var verdicts = map[string]verdict{
	"AuthFailure":                       {class: provider.ClassAuth},
	"AuthFailure.SecretIdNotFound":      {provider.ClassAuth, "access_key_id is unknown or disabled; correct it"},
	"AuthFailure.InvalidSecretId":       {provider.ClassAuth, "access_key_id isn't a cloud API key; correct it"},
	"AuthFailure.SignatureFailure":      {provider.ClassAuth, "access_key_secret doesn't belong to access_key_id; correct it"},
	"AuthFailure.SignatureExpire":       {provider.ClassAuth, adviceClock},
	"AuthFailure.TokenFailure":          {provider.ClassAuth, "security_token is expired or belongs to another key; renew it"},
	"AuthFailure.UnauthorizedOperation": {class: provider.ClassPermission},

	"UnauthorizedOperation":                {class: provider.ClassPermission},
	"UnauthorizedOperation.AccessKmsError": {provider.ClassKMS, adviceKMS},
	"IpInBlacklist":                        {class: provider.ClassPermission},
	"IpNotInWhitelist":                     {class: provider.ClassPermission},
	"OperationDenied":                      {class: provider.ClassPermission},
	"OperationDenied.RoleNotExist":         {provider.ClassPermission, adviceRole},
	// The account as a whole may not use the service until a person acts.
	codeNotPurchased: {provider.ClassPermission, adviceActivate},

	"OperationDenied.AutoRotatedResource": {provider.ClassOwnership, "the cloud itself manages this secret's value"},

	"FailedOperation.AccessKmsError": {provider.ClassKMS, adviceKMS},

	"RequestLimitExceeded": {class: provider.ClassThrottled},

	"InternalError":      {class: provider.ClassUnavailable},
	"ServiceUnavailable": {class: provider.ClassUnavailable},
	// The service's word for what it couldn't do: a state that forbids it, which
	// the methods find out by describing the secret, or a passing trouble such as
	// a deletion right after a disabling. What isn't the former is tried again.
	codeFailedOperation:                          {class: provider.ClassUnavailable},
	"FailedOperation.RotationForbidden":          {provider.ClassConflict, adviceSchedule},
	"ResourceUnavailable":                        {class: provider.ClassUnavailable},
	"ResourceUnavailable.ResourceDisabled":       {class: provider.ClassConflict},
	"ResourceUnavailable.ResourcePendingDeleted": {class: provider.ClassConflict},
	"ResourceUnavailable.ResourceUninitialized":  {class: provider.ClassConflict},
	"ResourceInUse":                              {class: provider.ClassConflict},
	codeVersionIDExists:                          {class: provider.ClassConflict},
	"ResourceInUse.SecretExists":                 {class: provider.ClassExists},
	"ResourceNotFound":                           {class: provider.ClassNotFound},
	// The Tag service's, which say nothing about the secret.
	"ResourceNotFound.AttachedTagKeyNotFound": {class: provider.ClassConflict},
	"ResourceNotFound.TagNonExist":            {provider.ClassInvalid, adviceTag},
	"ResourceNotFound.RecordNotFound":         {class: provider.ClassConflict},
	"FailedOperation.PolicyEnforcedInvalid":   {provider.ClassInvalid, advicePolicy},

	"LimitExceeded":                      {class: provider.ClassLimit},
	"OperationDenied.AccessKeyOverLimit": {class: provider.ClassLimit},
	"ResourceInsufficient":               {class: provider.ClassLimit},
	"ResourcesSoldOut":                   {class: provider.ClassLimit},

	"InvalidParameter":         {class: provider.ClassInvalid},
	"InvalidParameterValue":    {class: provider.ClassInvalid},
	codeTagsNotExisted:         {provider.ClassInvalid, adviceTag},
	"InvalidRequest":           {class: provider.ClassInvalid},
	"MissingParameter":         {class: provider.ClassInvalid},
	"UnknownParameter":         {class: provider.ClassInvalid},
	"RequestSizeLimitExceeded": {class: provider.ClassInvalid},
	"UnsupportedOperation":     {class: provider.ClassInvalid},
	"UnsupportedRegion":        {provider.ClassInvalid, "Secrets Manager isn't offered in this region; correct region"},
	// The endpoint answers, but it isn't SSM.
	"InvalidAction":       {provider.ClassInvalid, adviceEndpoint},
	"NoSuchVersion":       {provider.ClassInvalid, adviceEndpoint},
	"NoSuchProduct":       {provider.ClassInvalid, adviceEndpoint},
	"ActionOffline":       {provider.ClassInvalid, adviceEndpoint},
	"UnsupportedProtocol": {provider.ClassInvalid, adviceEndpoint},
}

// judge finds the verdict on a code.
func judge(code string) verdict {
	for family := code; family != ""; {
		if v, ok := verdicts[family]; ok {
			return v
		}
		i := strings.LastIndexByte(family, '.')
		if i < 0 {
			break
		}
		family = family[:i]
	}
	return verdict{class: provider.ClassInternal}
}

// readingOperations change nothing, so their failures are never ambiguous.
var readingOperations = []string{
	"DescribeAsyncRequestInfo", "DescribeRotationDetail", "DescribeRotationHistory", "DescribeSupportedProducts", "GetSSHKeyPairValue",
	"DescribeSecret", "GetSecretValue", "GetServiceStatus", "ListSecretVersionIds", "ListSecrets", "DescribeResourceTagsByResourceIds",
}

// uncertainCodes may come after the effect.
var uncertainCodes = []string{"InternalError", "ServiceUnavailable"}

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
	var api *tcerrors.TencentCloudSDKError
	if errors.As(err, &api) && !strings.HasPrefix(api.Code, "ClientError.") {
		return f.refused(api)
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
	return &provider.Error{
		Class:     provider.ClassUnavailable,
		Operation: f.Operation,
		Message:   "the service's answer can't be understood",
		Ambiguous: f.Writes,
	}
}

// refused is an error that the service itself gave.
func (f failedCall) refused(api *tcerrors.TencentCloudSDKError) error {
	v := judgeOf(f.Operation, api.Code)
	// Some messages have several lines.
	message := f.Scrub(strings.Join(strings.Fields(api.Message), " "))
	if v.advice != "" {
		message = strings.TrimPrefix(strings.TrimSuffix(message, ".")+"; "+v.advice, "; ")
	}
	return &provider.Error{
		Class:     v.class,
		Operation: f.Operation,
		Code:      f.Scrub(api.Code),
		RequestID: f.Scrub(api.RequestId),
		Message:   message,
		Ambiguous: f.Writes && slices.Contains(uncertainCodes, api.Code),
	}
}
