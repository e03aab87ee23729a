// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var operations = map[string]string{
	provider.MethodCreate: "CreateSecret", provider.MethodPutVersion: "PutSecretValue",
	provider.MethodMoveCurrent: "UpdateSecretVersionStage", provider.MethodSetDescription: "UpdateSecret",
	provider.MethodRestore: "RestoreSecret", provider.MethodDelete: "DeleteSecret",
}

// operationsOf are the names of the calls of a change. Tags have a call for each
// few that go or come.
func operationsOf(c provider.Change) []string {
	if c.Method == provider.MethodChangeTags {
		return slices.Concat(
			provider.Repeated("UntagResources", c.RemoveTags, maxTagsPerCall),
			provider.Repeated("TagResources", c.SetTags, maxTagsPerCall))
	}
	return provider.Named(operations, c)
}
