// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Error codes of the gateway. They come in the flat shape with a request id.
const (
	codeNoSuchAPI     = "APIGW.0101"
	codeTooLarge      = "APIGW.0201"
	codeAuthorization = "APIGW.0301"
	codeThrottled     = "APIGW.0308"
	codeNoProject     = "APIGW.0310"

	gatewayPrefix = "APIGW."
)

// Error codes of CSMS, and of KMS on whose host it lives.
const (
	codeInvalidParameter = "CSMS.0002"
	codeRequest          = "CSMS.0003" // that it is the answer to rotating a common secret is a guess
	codeBodyFormat       = "CSMS.0004"
	codeNotFound         = "CSMS.0005"
	codePendingDelete    = "CSMS.0103"
	codeInternalStage    = "CSMS.0105"
	codeNameNotFound     = "CSMS.0106"
	codeScheduled        = "CSMS.0107"
	codeNotScheduled     = "CSMS.0108"
	codeNotEnabled       = "CSMS.0109"
	codeRotating         = "CSMS.0110" // guess
	codeExists           = "CSMS.0201" // guess
	codeSecretQuota      = "CSMS.0202"
	codeStageLimit       = "CSMS.0203"
	codeStageQuota       = "CSMS.0204"
	codeVersionLimit     = "CSMS.0205" // guess
	codeDenied           = "CSMS.0302" // the code is listed with 403; that it means this is a guess
	codeKey              = "CSMS.0401"

	codeKMSInternal    = "KMS.0101"
	codeKMSKeyNotFound = "KMS.0207"
	codeKMSKeyDisabled = "KMS.0209"
	codeWrongProject   = "KMS.0321"
	codeKMSTagQuota    = "KMS.0409"
	codeKMSTagNotFound = "KMS.0416"
)

// codeTexts are the messages that the table of codes gives, spelling included.
var codeTexts = map[string]string{
	codeNoSuchAPI:     "The API does not exist or has not been published in the environment.",
	codeNoProject:     "The project is unavailable.",
	codeBodyFormat:    "The requested body format is wrong.",
	codeNotFound:      "The resource does not exist.",
	codePendingDelete: "The secret is in the scheduled deletion state.",
	codeInternalStage: "Can not delete the system internal stage.",
	codeNameNotFound:  "The secret name not found int the db.",
	codeScheduled:     "The secret is in schedule delete state.",
	codeNotScheduled:  "The secret is not in schedule delete state.",
	codeNotEnabled:    "The secret state is not enabled.",
	codeSecretQuota:   "The number of secret has reached the upper limit.",
	codeStageLimit:    "The number of stage has reached the upper limit.",
	codeStageQuota:    "The number of stage is greater than the quota limit.",
	codeKey:           "Can not get the protected secret value using the provided KMS key.",

	codeKMSKeyNotFound: "The key does not exist.",
	codeKMSKeyDisabled: "The key is disabled.",
	codeWrongProject:   "The project in the URL is not that of the caller.",
	codeKMSTagQuota:    "The number of tags has reached the upper limit.",
	codeKMSTagNotFound: "The tag does not exist.",
}

// codeStatuses are the HTTP statuses of codes that don't come with 400. Codes
// that only faults use are among them.
var codeStatuses = map[string]int{
	codeNoSuchAPI:     http.StatusNotFound,
	"APIGW.0103":      http.StatusNotFound,
	codeTooLarge:      http.StatusBadGateway, // "backend unavailable", its only use by a fault that names no status
	codeAuthorization: http.StatusUnauthorized,
	"APIGW.0302":      http.StatusForbidden,
	"APIGW.0303":      http.StatusUnauthorized,
	"APIGW.0304":      http.StatusForbidden,
	"APIGW.0305":      http.StatusUnauthorized,
	"APIGW.0306":      http.StatusForbidden,
	"APIGW.0307":      http.StatusUnauthorized,
	codeThrottled:     http.StatusTooManyRequests,
	codeNoProject:     http.StatusForbidden,
	"APIGW.0401":      http.StatusForbidden,
	"APIGW.0402":      http.StatusForbidden,
	"APIGW.0601":      http.StatusInternalServerError,
	"APIGW.0610":      http.StatusBadGateway,
	"APIGW.0613":      http.StatusServiceUnavailable,
	"APIGW.0802":      http.StatusForbidden,

	codeNotFound:   http.StatusNotFound,
	codeNotEnabled: http.StatusForbidden,
	codeDenied:     http.StatusForbidden,

	codeKMSInternal:    http.StatusInternalServerError,
	"KMS.0102":         http.StatusInternalServerError,
	codeKMSKeyNotFound: http.StatusNotFound,
	"KMS.0301":         http.StatusForbidden,
	"KMS.0302":         http.StatusForbidden,
	"KMS.0303":         http.StatusForbidden,
	"KMS.0306":         http.StatusForbidden,
	"KMS.0307":         http.StatusForbidden,
	"KMS.0314":         http.StatusForbidden,
	codeWrongProject:   http.StatusForbidden,
	"KMS.0326":         http.StatusForbidden,
	"KMS.0328":         http.StatusForbidden,
	codeKMSTagNotFound: http.StatusNotFound,
}

// statusOf is the HTTP status of a failure.
func statusOf(f *emulator.Failure) int {
	return cmp.Or(f.Status, codeStatuses[f.Code], http.StatusBadRequest)
}

// fail makes an error answer with the text and status of a listed code.
func fail(code string) *emulator.Failure { return failWith(0, code, codeTexts[code]) }

func failWith(status int, code, message string) *emulator.Failure {
	return &emulator.Failure{Status: status, Code: code, Message: message}
}

// invalid is the answer to a bad parameter. The real text names the parameter
// at most; ours tells the rule, and never quotes a value.
func invalid(rule string) *emulator.Failure {
	return failWith(0, codeInvalidParameter, "The value of parameter is invalid: "+rule)
}

// The shapes of error bodies.
const (
	shapeFlat   = "flat"
	shapeNested = "nested"
)

// errorBody is the body of a failure. Which operations use which shape is
// documented by operation.
func (s Switches) errorBody(operation, requestID string, f *emulator.Failure) any {
	flat := object{"error_code": f.Code, "error_msg": f.Message}
	if strings.HasPrefix(f.Code, gatewayPrefix) {
		flat["request_id"] = requestID
		return flat
	}
	shape := s.ErrorShape
	if shape == "" && (strings.Contains(operation, "Tag") || operation == rotateOperation) {
		shape = shapeNested
	}
	if shape == shapeNested {
		return object{"error": flat}
	}
	return flat
}
