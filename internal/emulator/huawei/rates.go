// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"fmt"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// throttling has the documented rate of KMS's host, for all calls of a user
// together.
var throttling = emulator.Throttling{
	Rates:  []emulator.Rate{{PerSecond: 20}},
	PerKey: true,
	Refusal: func(limit int) *emulator.Failure {
		return &emulator.Failure{Code: codeThrottled, Message: fmt.Sprintf(
			"The throttling threshold has been reached: policy user over ratelimit,limit:%d,time:1 second", limit)}
	},
}
