// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
)

// kinds are all types of destinations. A new cloud is one line here.
var kinds = []provider.Kind{
	tencent.Kind,
	alibaba.Kind,
	huawei.Kind,
}
