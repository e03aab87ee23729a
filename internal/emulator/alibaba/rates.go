// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"

// throttling has the documented rates of the shared gateway, by group. Calls
// whose group isn't documented are in the stricter of those they may be in.
var throttling = emulator.Throttling{
	Rates: []emulator.Rate{
		{PerSecond: 10, Operations: []string{"CreateSecret", "DeleteSecret", "RestoreSecret"}},
		{PerSecond: 450, Operations: []string{"GetSecretValue"}},
		{PerSecond: 40, Operations: []string{
			"ListSecrets", "DescribeSecret", "PutSecretValue", "UpdateSecret", "ListSecretVersionIds", "UpdateSecretVersionStage",
			"UpdateSecretRotationPolicy", "GetRandomPassword",
		}},
		{PerSecond: 50, Operations: []string{"DescribeKey", "ListTagResources", "DescribeRegions"}},
		{PerSecond: 30, Operations: []string{"TagResource", "UntagResource", "TagResources", "UntagResources"}},
		{PerSecond: 300, Operations: []string{"ListResourceTags"}},
		{PerSecond: 50, Operations: []string{"GetKmsInstance"}},
		{PerSecond: 1, Operations: []string{"DescribeAccountKmsStatus"}},
	},
	Refusal: func(int) *emulator.Failure { return fail(codeThrottled, "QPS Limit Exceeded") },
}
