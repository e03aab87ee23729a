// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var operations = map[string]string{
	provider.MethodCreate: "CreateSecret", provider.MethodPutVersion: "PutSecretValue", provider.MethodOverwrite: "UpdateSecret",
	provider.MethodDeleteVersion: "DeleteSecretVersion", provider.MethodSetDescription: "UpdateDescription",
	provider.MethodEnable: "EnableSecret", provider.MethodDisable: "DisableSecret",
	provider.MethodRestore: "RestoreSecret", provider.MethodDelete: "DeleteSecret",
}

// operationsOf are the names of the calls of a change. Tags have a call of their
// own service for each few that go or come.
func operationsOf(c provider.Change) []string {
	if c.Method == provider.MethodChangeTags {
		const call = "ModifyResourceTags"
		return slices.Concat(provider.Repeated(call, c.RemoveTags, maxTagsPerCall), provider.Repeated(call, c.SetTags, maxTagsPerCall))
	}
	return provider.Named(operations, c)
}
