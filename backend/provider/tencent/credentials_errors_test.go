// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"os"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// The codes that the API reference lists for CreateProductSecret, all of them.
func TestARefusedCreationSaysWhatToDo(t *testing.T) {
	type want struct {
		class  provider.Class
		remedy string // words of the message, or of the class's action
	}
	page, err := os.ReadFile("../../../docs/tencent-ssm.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]want{
		"FailedOperation":                            {provider.ClassUnavailable, "look at the instance"},
		"FailedOperation.AccessKmsError":             {provider.ClassKMS, "choose a KMS key"},
		"InternalError":                              {provider.ClassUnavailable, "nothing if the service is down"},
		"InvalidParameter":                           {provider.ClassInvalid, "compare product, instance_id"},
		"InvalidParameterValue":                      {provider.ClassInvalid, "compare product, instance_id"},
		"InvalidParameterValue.TagKeysDuplicated":    {provider.ClassInvalid, "each tag once"},
		"InvalidParameterValue.TagsNotExisted":       {provider.ClassInvalid, "Tag service"},
		"LimitExceeded":                              {provider.ClassLimit, "raise the quota"},
		"MissingParameter":                           {provider.ClassInvalid, "compare product, instance_id"},
		"OperationDenied":                            {provider.ClassPermission, "SSM_QCSRole"},
		"OperationDenied.AutoRotatedResource":        {provider.ClassOwnership, "another remote_name"},
		"RequestLimitExceeded":                       {provider.ClassThrottled, "tried again more slowly"},
		"ResourceInUse":                              {provider.ClassConflict, "busy"},
		"ResourceInUse.SecretExists":                 {provider.ClassExists, "another remote_name"},
		"ResourceInUse.VersionIdExists":              {provider.ClassExists, "another remote_name"},
		"ResourceInsufficient":                       {provider.ClassLimit, "raise the quota"},
		"ResourceNotFound":                           {provider.ClassInvalid, "destination's region"},
		"ResourceUnavailable":                        {provider.ClassConflict, "running"},
		"ResourceUnavailable.NotPurchased":           {provider.ClassPermission, "activate Secrets Manager"},
		"ResourceUnavailable.ResourceDisabled":       {provider.ClassConflict, "running"},
		"ResourceUnavailable.ResourcePendingDeleted": {provider.ClassConflict, "another instance_id"},
		"ResourceUnavailable.ResourceUninitialized":  {provider.ClassConflict, "console"},
		"ResourcesSoldOut":                           {provider.ClassLimit, "another region"},
		"UnauthorizedOperation":                      {provider.ClassPermission, "ssm:CreateProductSecret"},
		"UnauthorizedOperation.AccessKmsError":       {provider.ClassKMS, "choose a KMS key"},
		"UnknownParameter":                           {provider.ClassInvalid, "leave account_remark"},
		"UnsupportedOperation":                       {provider.ClassInvalid, "managed-products"},
	} {
		t.Run(code, func(t *testing.T) {
			d := opened(t, &stub{answers: map[string]string{"": apiError(code, "The words of the cloud.")}})
			_, err := d.CreateCredential(t.Context(), "orders-db", fullAccount())
			e := failure(t, err)
			if e.Class != want.class || e.Code != code || e.RequestID != "the-request-id" || e.Operation != "CreateProductSecret" {
				t.Errorf("class %s, want %s: %v", e.Class, want.class, err)
			}
			told := e.Message
			if want.class == provider.ClassThrottled || code == "InternalError" {
				told += e.Class.Action() // there is nothing to do
			}
			if !strings.Contains(told, "The words of the cloud") || !strings.Contains(told, want.remedy) {
				t.Errorf("%q doesn't say %q", told, want.remedy)
			}
			short := code[strings.LastIndexByte(code, '.')+1:]
			if !strings.Contains(string(page), "`"+code+"`") && !strings.Contains(string(page), "`."+short+"`") {
				t.Error("the page doesn't have the code")
			}
		})
	}
}

func TestARefusedKeyPairSaysWhatToDo(t *testing.T) {
	for code, remedy := range map[string]string{
		"InvalidParameterValue":      "project_id",
		"InvalidParameter":           "ssh_key_name",
		"LimitExceeded":              "key pairs",
		"ResourceInUse.SecretExists": "another remote_name",
		"UnauthorizedOperation":      "ssm:CreateSSHKeyPairSecret",
		"UnknownParameter":           "kms_hsm_cluster_id",
		"OperationDenied":            "",
	} {
		d := opened(t, &stub{answers: map[string]string{"": apiError(code, "words")}})
		_, err := d.CreateCredential(t.Context(), "login", provider.NewCredential{Product: "ssh-key", Parameters: map[string]string{"project_id": "0"}})
		if e := failure(t, err); e.Code != code || !strings.Contains(e.Message, remedy) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// What the codes mean for a secret is as ever.
func TestTheRemediesOfACreationAreForIt(t *testing.T) {
	d := opened(t, &stub{answers: map[string]string{"": apiError("ResourceNotFound", "words")}})
	if _, err := d.DescribeCredential(t.Context(), "orders-db"); !provider.IsNotFound(err) || strings.Contains(err.Error(), "instance") {
		t.Errorf("error %v", err)
	}
}
