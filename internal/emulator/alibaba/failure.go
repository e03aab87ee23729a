// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"fmt"
	"net/http"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Error codes.
const (
	codeMissingParameter    = "MissingParameter"
	codeInvalidParameter    = "InvalidParameter"
	codeUnparsable          = "ParseRequestParameterException"
	codeIncompleteSignature = "IncompleteSignature"
	codeSignature           = "SignatureDoesNotMatch"
	codeIllegalTimestamp    = "IllegalTimestamp"
	codeTimestampExpired    = "InvalidTimeStamp.Expired"
	codeNonceUsed           = "SignatureNonceUsed"
	codeKeyIDNotFound       = "InvalidAccessKeyId.NotFound"
	codeTokenExpired        = "InvalidSecurityToken.Expired"
	codeTokenMalformed      = "InvalidSecurityToken.Malformed"
	codeTokenMismatch       = "InvalidSecurityToken.MismatchWithAccessKey"
	codeUnknownAction       = "InvalidAction.NotFound"
	codeUnsupportedMethod   = "UnsupportedHTTPMethod"

	codeNoPermission     = "Forbidden.NoPermission"
	codeNotEnabled       = "Forbidden.KmsServiceNotEnabled"
	codeInDebt           = "Forbidden.InDebt"
	codeSuspended        = "Forbidden.InDebtOverdue"
	codeInstanceNotFound = "Forbidden.DKMSInstanceNotFound"
	codeKeyNotFound      = "Forbidden.KeyNotFound"
	codeAliasNotFound    = "Forbidden.AliasNotFound"
	codeNotFound         = "Forbidden.ResourceNotFound"
	codeKeyDisabled      = "Rejected.Disabled"
	codeKeyPendingDelete = "Rejected.PendingDeletion"
	codeExists           = "Rejected.ResourceExist"
	codeInDeleteWindow   = "Rejected.ResourceInDeleteWindow"
	codeInUse            = "Rejected.ResourceInUse"
	codeLimitExceeded    = "Rejected.LimitExceeded"
	codeUnsupported      = "UnsupportedOperation"
	codeInternal         = "InternalFailure"
	codeThrottled        = "Rejected.Throttling"

	codeDryRunFine    = "DryRunOperationError"
	codeDryRunInvalid = "ValidationError"
	codeDryRunDenied  = "AccessDeniedError"
)

// statuses are the HTTP statuses of error codes, those that only faults answer
// with included. Codes that aren't here have 400.
var statuses = map[string]int{
	codeKeyIDNotFound: http.StatusNotFound,
	codeUnknownAction: http.StatusNotFound,
	codeNotFound:      http.StatusNotFound,
	codeKeyNotFound:   http.StatusNotFound,
	codeAliasNotFound: http.StatusNotFound,

	codeUnsupportedMethod:                http.StatusForbidden,
	codeNoPermission:                     http.StatusForbidden,
	codeNotEnabled:                       http.StatusForbidden,
	codeInDebt:                           http.StatusForbidden,
	codeSuspended:                        http.StatusForbidden,
	codeInstanceNotFound:                 http.StatusForbidden,
	"Forbidden.AccessKey":                http.StatusForbidden,
	"Forbidden.ProhibitedByRiskControl":  http.StatusForbidden,
	"Forbidden.DKMSInstanceStateInvalid": http.StatusForbidden,

	codeExists:           http.StatusConflict,
	codeInDeleteWindow:   http.StatusConflict,
	codeInUse:            http.StatusConflict,
	codeKeyDisabled:      http.StatusConflict,
	codeKeyPendingDelete: http.StatusConflict,

	codeThrottled:                 http.StatusTooManyRequests,
	codeInternal:                  http.StatusInternalServerError,
	"ServiceUnavailableTemporary": http.StatusServiceUnavailable,
}

// fail makes an error answer. None of our texts quotes a value, except that of
// SignatureDoesNotMatch.
func fail(code, message string) *emulator.Failure {
	return &emulator.Failure{Code: code, Message: message}
}

func missing(parameter string) *emulator.Failure {
	return fail(codeMissingParameter, fmt.Sprintf("The parameter %q is needed but not provided.", parameter))
}

func invalid(parameter string) *emulator.Failure {
	return fail(codeInvalidParameter, fmt.Sprintf("some of the specified parameters %q is not valid", parameter))
}

func notFound() *emulator.Failure { return fail(codeNotFound, "Resource not found") }

func noPermission() *emulator.Failure {
	return fail(codeNoPermission, "This operation is forbidden by permission system.")
}
