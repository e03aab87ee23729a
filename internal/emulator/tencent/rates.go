// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// throttling has the documented rates, each of one operation. By what they are
// counted isn't documented.
var throttling = emulator.Throttling{
	Rates: slices.Concat(
		each(300, "GetSecretValue"),
		each(100, "CreateSecret", "PutSecretValue"),
		each(50, "UpdateSecret", "DeleteSecret", "DeleteSecretVersion", "EnableSecret", "DisableSecret", "RestoreSecret", "GetServiceStatus"),
		each(40, "DescribeSecret", "ListSecretVersionIds"),
		each(30, "ListSecrets"),
		each(20, "UpdateDescription", "GetRegions"), // one of two tables has 100 for GetRegions
		each(20, "CreateProductSecret", "CreateSSHKeyPairSecret", "GetSSHKeyPairValue", "RotateProductSecret", "UpdateRotationStatus",
			"DescribeAsyncRequestInfo", "DescribeRotationDetail", "DescribeRotationHistory", "DescribeSupportedProducts"),
		each(20, "ModifyResourceTags", "DescribeResourceTagsByResourceIds"), // of the second no rate is known
	),
	Refusal: func(int) *emulator.Failure {
		return fail(codeThrottled, "The request rate is over the limit of the API.")
	},
}

func each(perSecond int, operations ...string) []emulator.Rate {
	rates := make([]emulator.Rate, 0, len(operations))
	for _, operation := range operations {
		rates = append(rates, emulator.Rate{PerSecond: perSecond, Operations: []string{operation}})
	}
	return rates
}
