// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"context"
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// What DescribeKey says of a key that secrets can be encrypted with.
const (
	keyEnabled     = "Enabled"
	keyUsage       = "ENCRYPT/DECRYPT"
	symmetricSpecs = "Aliyun_" // begins Aliyun_AES_256 and Aliyun_SM4
)

// CheckKey implements provider.KeyChecker by DescribeKey.
func (d *destination) CheckKey(ctx context.Context, kmsKeyID string) error {
	request := kms.CreateDescribeKeyRequest()
	request.KeyId = kmsKeyID
	answer, err := call(ctx, d, request, kms.CreateDescribeKeyResponse())
	switch {
	case codeOf(err) == codeNoPermission:
		// A text that names the key would else be taken for the key's own refusal.
		return withMessage(err, provider.ClassPermission, "whether the KMS key is usable isn't known; allow kms:DescribeKey on it for these credentials in the RAM policy")
	case provider.IsNotFound(err):
		return withMessage(err, provider.ClassKMS, "there is no such KMS key; "+adviceKMS)
	case err != nil:
		return err
	case answer.KeyMetadata.KeyId == "":
		return failed(request.GetActionName()).incomprehensible()
	}
	if fault := d.keyFault(answer.KeyMetadata); fault != "" {
		return &provider.Error{
			Class: provider.ClassKMS, Operation: request.GetActionName(), RequestID: answer.RequestId, Message: fault + "; " + adviceKMS,
		}
	}
	return nil
}

// keyFault says why no secret can be put under a key, "" if nothing is known
// against it. Which instance an account's default is isn't known here.
func (d *destination) keyFault(key kms.KeyMetadata) string {
	switch {
	case key.KeyState != keyEnabled:
		return "the KMS key is in state " + key.KeyState
	case key.KeyUsage != keyUsage:
		return "the KMS key is for " + key.KeyUsage
	case !strings.HasPrefix(key.KeySpec, symmetricSpecs):
		return "the KMS key isn't symmetric, its spec is " + key.KeySpec
	case d.instance != "" && key.DKMSInstanceId != d.instance:
		return "the KMS key isn't in the KMS instance " + d.instance
	}
	return ""
}
