// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var operations = map[string]string{
	provider.MethodPutVersion: "CreateSecretVersion", provider.MethodMoveCurrent: "UpdateSecretStage",
	provider.MethodSetDescription: "UpdateSecret", provider.MethodChangeKey: "UpdateSecret", provider.MethodRestore: "RestoreSecret",
}

// operationsOf are the names of the calls of a change. Tags have a call of their
// own, also at a creation: one for those that go and one for those that come.
func operationsOf(c provider.Change) []string {
	const tags = "BatchCreateOrDeleteTags"
	switch {
	case c.Method == provider.MethodCreate && c.SetTags > 0:
		return []string{"CreateSecret", tags}
	case c.Method == provider.MethodCreate:
		return []string{"CreateSecret"}
	case c.Method == provider.MethodDelete && c.Window > 0:
		return []string{"DeleteSecretForSchedule"}
	case c.Method == provider.MethodDelete:
		return []string{"DeleteSecret"}
	case c.Method == provider.MethodChangeTags && c.SetTags > 0 && c.RemoveTags > 0:
		return []string{tags, tags}
	case c.Method == provider.MethodChangeTags:
		return []string{tags}
	default:
		return provider.Named(operations, c)
	}
}
