// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

func apiError(code, message string) string {
	encoded, err := json.Marshal(map[string]any{"HttpStatus": 400, "Code": code, "Message": message, "RequestId": "the-request-id"})
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

func failure(t *testing.T, err error) *provider.Error {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T, not a *provider.Error", err, err)
	}
	return e
}

func TestEveryCodeHasAClass(t *testing.T) {
	// The codes of the KMS pages, those that Alibaba's services have in common,
	// and some that nobody has listed.
	for code, want := range map[string]provider.Class{
		"InvalidAccessKeyId.NotFound":                provider.ClassAuth,
		"InvalidAccessKeyId.Inactive":                provider.ClassAuth,
		"Forbidden.AccessKey":                        provider.ClassAuth,
		"IncompleteSignature":                        provider.ClassAuth,
		"SignatureDoesNotMatch":                      provider.ClassAuth,
		"InvalidSecurityToken.Expired":               provider.ClassAuth,
		"InvalidSecurityToken.Malformed":             provider.ClassAuth,
		"InvalidSecurityToken.MismatchWithAccessKey": provider.ClassAuth,
		"MissingSecurityToken":                       provider.ClassAuth,
		"IllegalTimestamp":                           provider.ClassAuth,
		"InvalidTimeStamp.Expired":                   provider.ClassAuth,
		"SignatureNonceUsed":                         provider.ClassUnavailable,
		"Forbidden.NoPermission":                     provider.ClassPermission,
		"Forbidden.RAM":                              provider.ClassPermission,
		"Forbidden.KmsServiceNotEnabled":             provider.ClassPermission,
		"Forbidden.InDebt":                           provider.ClassPermission,
		"Forbidden.InDebtOverdue":                    provider.ClassPermission,
		"Forbidden.ProhibitedByRiskControl":          provider.ClassPermission,
		"Forbidden.UbsmsInvalidUserid":               provider.ClassPermission,
		"Forbidden.UbsmsInvalidBid":                  provider.ClassPermission,
		"Forbidden.DKMSInstanceNotFound":             provider.ClassKMS,
		"Forbidden.DKMSInstanceStateInvalid":         provider.ClassKMS,
		"Forbidden.KeyNotFound":                      provider.ClassKMS,
		"Forbidden.AliasNotFound":                    provider.ClassKMS,
		"Forbidden.KeyVersionNotFound":               provider.ClassKMS,
		"Forbidden.ResourceNotFound":                 provider.ClassKMS, // when creating; else not_found
		"Rejected.Disabled":                          provider.ClassKMS,
		"Rejected.PendingDeletion":                   provider.ClassKMS,
		"Rejetced.PendingDeletion":                   provider.ClassKMS,
		"Rejected.PendingImport":                     provider.ClassKMS,
		"Rejected.StateModifiedFailed":               provider.ClassKMS,
		"Rejected.ResourceExist":                     provider.ClassExists,
		"Rejected.ResourceInDeleteWindow":            provider.ClassExists,
		"Rejected.DuplicateSecretName":               provider.ClassExists,
		"Rejected.ResourceInUse":                     provider.ClassConflict,
		"Rejected.DuplicateVersionId":                provider.ClassConflict,
		"Rejected.LimitExceeded":                     provider.ClassLimit,
		"Rejected.Throttling":                        provider.ClassThrottled,
		"Throttling":                                 provider.ClassThrottled,
		"Throttling.User":                            provider.ClassThrottled,
		"InternalFailure":                            provider.ClassUnavailable,
		"ServiceUnavailableTemporary":                provider.ClassUnavailable,
		"SerivceUnavailableTemporary":                provider.ClassUnavailable,
		"MissingParameter":                           provider.ClassInvalid,
		"InvalidParameter":                           provider.ClassInvalid,
		"InvalidParameter.NeverHeardOf":              provider.ClassInvalid,
		"ParseRequestParameterException":             provider.ClassInvalid,
		"UnsupportedOperation":                       provider.ClassInvalid,
		"UnsupportedHTTPMethod":                      provider.ClassInvalid,
		"InvalidAction.NotFound":                     provider.ClassInvalid,
		"InvalidVersion":                             provider.ClassInvalid,
		"InvalidRegionId":                            provider.ClassInvalid,
		"NeverHeardOf":                               provider.ClassInternal,
		"Forbidden.NeverHeardOf":                     provider.ClassInternal,
		"Rejected.NeverHeardOf":                      provider.ClassInternal,
	} {
		d := opened(t, &stub{answers: map[string]string{"": apiError(code, "the words\nof the cloud")}})
		_, err := d.Create(t.Context(), "app/db", provider.NewSecret{VersionID: "v1", Value: provider.Text(exampleValue)})
		e := failure(t, err)
		if e.Class != want {
			t.Errorf("%s has class %s, want %s", code, e.Class, want)
		}
		echoes := code == "SignatureDoesNotMatch" || code == "IncompleteSignature"
		if e.Code != code || e.RequestID != "the-request-id" || e.Operation != "CreateSecret" || strings.Contains(e.Message, "the words of the cloud") == echoes {
			t.Errorf("%s: the error lacks something: %v", code, err)
		}
		if e.Ambiguous != (want == provider.ClassUnavailable) {
			t.Errorf("%s: ambiguous is %t", code, e.Ambiguous)
		}
	}
}

func TestWhatACodeMeansDependsOnTheCall(t *testing.T) {
	for _, c := range []struct {
		code string
		call string
		want provider.Class // "" for success
	}{
		{"Rejected.ResourceExist", "CreateSecret", provider.ClassExists},
		{"Rejected.ResourceExist", "UpdateSecret", provider.ClassConflict},
		{"Rejected.ResourceInDeleteWindow", "CreateSecret", provider.ClassExists},
		{"Rejected.ResourceInDeleteWindow", "PutSecretValue", provider.ClassConflict},
		{"Rejected.ResourceInDeleteWindow", "GetSecretValue", provider.ClassConflict},
		{"Rejected.ResourceInDeleteWindow", "UpdateSecret", provider.ClassConflict},
		{"Rejected.ResourceInDeleteWindow", "UpdateSecretVersionStage", provider.ClassConflict},
		{"Rejected.ResourceInDeleteWindow", "TagResources", provider.ClassConflict},
		{"Rejected.ResourceInDeleteWindow", "DeleteSecret", ""},
		{"Rejected.ResourceInDeleteWindow", "DeleteSecret.at-once", ""},
		{"Rejected.ResourceInUse", "RestoreSecret", ""},
		{"Rejected.ResourceInUse", "DeleteSecret", provider.ClassConflict},
		{"Forbidden.ResourceNotFound", "DeleteSecret", ""},
		{"Forbidden.ResourceNotFound", "RestoreSecret", provider.ClassNotFound},
		{"Forbidden.ResourceNotFound", "DescribeSecret", provider.ClassNotFound},
		{"InvalidResourceId.NotFound", "TagResources", provider.ClassNotFound},
		{"InvalidAccessKeyId.NotFound", "DeleteSecret", provider.ClassAuth}, // is HTTP 404 as well
		{"InvalidAccessKeyId.NotFound", "DescribeSecret", provider.ClassAuth},
	} {
		for _, call := range calls {
			if call.name != c.call {
				continue
			}
			cloud := &stub{status: http.StatusNotFound, answers: map[string]string{"": apiError(c.code, "words")}}
			err := call.make(t.Context(), opened(t, cloud))
			if c.want == "" && err != nil || c.want != "" && provider.ClassOf(err) != c.want {
				t.Errorf("%s for %s: %v, want class %q", c.code, c.call, err, c.want)
			}
			if n := len(cloud.asked); n != 1 {
				t.Errorf("%s for %s: %d calls instead of one", c.code, c.call, n)
			}
		}
	}
}

func TestUnlistedCodesGoByTheirStatus(t *testing.T) {
	for status, want := range map[int]provider.Class{
		400: provider.ClassInternal, 403: provider.ClassInternal, 404: provider.ClassInternal, 409: provider.ClassInternal,
		429: provider.ClassThrottled, 500: provider.ClassUnavailable, 503: provider.ClassUnavailable, 200: provider.ClassInternal,
	} {
		d := opened(t, &stub{status: status, answers: map[string]string{"": apiError("NeverHeardOf", "words")}})
		e := failure(t, d.SetDescription(t.Context(), "app/db", "new"))
		if e.Class != want || e.Ambiguous != (status >= 500) {
			t.Errorf("status %d has class %s, ambiguous %t", status, e.Class, e.Ambiguous)
		}
	}
}

func TestMessagesSayWhatToDo(t *testing.T) {
	for code, want := range map[string]string{
		"IllegalTimestamp":               "clock",
		"InvalidAccessKeyId.NotFound":    "access_key_id",
		"SignatureDoesNotMatch":          "access_key_secret",
		"InvalidSecurityToken.Expired":   "security_token",
		"Forbidden.KmsServiceNotEnabled": "activate",
		"Forbidden.InDebt":               "overdue",
		"Forbidden.KeyNotFound":          "KMS key",
		"Forbidden.DKMSInstanceNotFound": "kms_instance_id",
		"Forbidden.NoPermission":         "kms:UpdateSecret",
		"UnsupportedOperation":           "kms-vpc",
		"InvalidAction.NotFound":         "endpoint",
	} {
		d := opened(t, &stub{answers: map[string]string{"": apiError(code, "")}})
		err := d.SetDescription(t.Context(), "app/db", "new")
		if e := failure(t, err); !strings.Contains(e.Message, want) || strings.HasPrefix(e.Message, ";") {
			t.Errorf("%s: %q doesn't speak of %q", code, e.Message, want)
		}
	}
}

func TestADeniedKeyIsClassKMS(t *testing.T) {
	for message, want := range map[string]provider.Class{
		"This operation is forbidden by permission system.":                                                               provider.ClassPermission,
		"This operation for key-hzz0123456789 is forbidden by permission system":                                          provider.ClassKMS,
		"This operation for 11111111-2222-3333-4444-555555555555 is forbidden by permission system":                       provider.ClassKMS,
		"This operation for alias/app is forbidden by permission system":                                                  provider.ClassKMS,
		"This operation for acs:kms:cn-hangzhou:1234567890123456:key/key-hzz0123456789 is forbidden by permission system": provider.ClassKMS,
		"This operation for secret/key-store is forbidden by permission system":                                           provider.ClassPermission,
	} {
		d := opened(t, &stub{answers: map[string]string{"": apiError("Forbidden.NoPermission", message)}})
		_, err := d.Read(t.Context(), "app/db", "v2")
		if e := failure(t, err); e.Class != want || !strings.Contains(e.Message, "allow kms:") {
			t.Errorf("%s: class %s, want %s: %v", message, e.Class, want, err)
		}
	}
}
