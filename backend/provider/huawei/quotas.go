// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"

// quotas is what the host of KMS takes from one user, all calls together
// (api-dew, dew_02_0053). A figure for CSMS alone isn't published.
var quotas = []provider.Quota{{Group: "all", PerSecond: 20}}

func quotasOf(provider.Config) []provider.Quota { return quotas }

// accountOf is the user, who is known by the access key. Several projects of a
// region share the user's quota.
func accountOf(c provider.Config) string { return c.AccessKeyID }
