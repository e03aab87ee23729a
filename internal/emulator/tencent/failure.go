// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"

// Error codes of the API gateway.
const (
	codeSignatureFailure     = "AuthFailure.SignatureFailure"
	codeSignatureExpire      = "AuthFailure.SignatureExpire"
	codeSecretIDNotFound     = "AuthFailure.SecretIdNotFound"
	codeInvalidAuthorization = "AuthFailure.InvalidAuthorization"
	codeTokenFailure         = "AuthFailure.TokenFailure"
	codeUnauthorized         = "UnauthorizedOperation"
	codeMissingParameter     = "MissingParameter"
	codeInvalidParameter     = "InvalidParameter"
	codeUnknownParameter     = "UnknownParameter"
	codeInvalidValue         = "InvalidParameterValue"
	codeInvalidAction        = "InvalidAction"
	codeNoSuchVersion        = "NoSuchVersion"
	codeUnsupportedRegion    = "UnsupportedRegion"
	codeUnsupportedProtocol  = "UnsupportedProtocol"
	codeTooLarge             = "RequestSizeLimitExceeded"
	codeInternal             = "InternalError"
	codeThrottled            = "RequestLimitExceeded"
)

// Error codes of SSM.
const (
	codeFailedOperation     = "FailedOperation"
	codeKMS                 = "FailedOperation.AccessKmsError"
	codeKMSUnauthorized     = "UnauthorizedOperation.AccessKmsError"
	codeTagsDuplicated      = "InvalidParameterValue.TagKeysDuplicated"
	codeTagsNotExisted      = "InvalidParameterValue.TagsNotExisted"
	codeLimitExceeded       = "LimitExceeded"
	codeRotationForbidden   = "FailedOperation.RotationForbidden"
	codeResourceUnavailable = "ResourceUnavailable"
	codeAutoRotated         = "OperationDenied.AutoRotatedResource"
	codeRoleNotExist        = "OperationDenied.RoleNotExist"
	codeSecretExists        = "ResourceInUse.SecretExists"
	codeVersionIDExists     = "ResourceInUse.VersionIdExists"
	codeNotFound            = "ResourceNotFound"
	codeSecretNotExist      = "ResourceNotFound.SecretNotExist"
	codeNotPurchased        = "ResourceUnavailable.NotPurchased"
	codeResourceDisabled    = "ResourceUnavailable.ResourceDisabled"
	codePendingDeleted      = "ResourceUnavailable.ResourcePendingDeleted"
	codeUninitialized       = "ResourceUnavailable.ResourceUninitialized"
)

// Error codes of the Tag service.
const (
	codeTagParameter       = "InvalidParameter.Tag"
	codeReservedTagKey     = "InvalidParameter.ReservedTagKey"
	codeDeleteTags         = "InvalidParameterValue.DeleteTagsParamError"
	codeOffset             = "InvalidParameterValue.OffsetInvalid"
	codeTagRegion          = "InvalidParameterValue.RegionInvalid"
	codeResource           = "InvalidParameterValue.ResourceDescriptionError"
	codeResourceID         = "InvalidParameterValue.ResourceIdInvalid"
	codeResourcePrefix     = "InvalidParameterValue.ResourcePrefixInvalid"
	codeServiceType        = "InvalidParameterValue.ServiceTypeInvalid"
	codeTagKeyCharacter    = "InvalidParameterValue.TagKeyCharacterIllegal"
	codeTagKeyDuplicate    = "InvalidParameterValue.TagKeyDuplicate"
	codeTagKeyEmpty        = "InvalidParameterValue.TagKeyEmpty"
	codeTagKeyLength       = "InvalidParameterValue.TagKeyLengthExceeded"
	codeTagValueCharacter  = "InvalidParameterValue.TagValueCharacterIllegal"
	codeTagValueEmpty      = "InvalidParameterValue.TagValueEmpty"
	codeTagValueLength     = "InvalidParameterValue.TagValueLengthExceeded"
	codeAttachedTags       = "LimitExceeded.ResourceAttachedTags"
	codeTagsPerRequest     = "LimitExceeded.TagNumPerRequest"
	codeResourcePerRequest = "LimitExceeded.ResourceNumPerRequest"
)

// fail makes an error answer. The real texts are known for few codes only, and
// none of ours quotes a value.
func fail(code, message string) *emulator.Failure {
	return &emulator.Failure{Code: code, Message: message}
}
