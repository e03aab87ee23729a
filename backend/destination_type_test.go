// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestADestinationOfAnUnknownTypeIsRefusedWithTheTypesThereAre(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for _, operation := range []logical.Operation{logical.UpdateOperation, logical.ReadOperation, logical.DeleteOperation, logical.ListOperation} {
		resp, err := m.do(operation, "destinations/memroy/main", nil)
		want := `destination type "memroy" is unknown, possible are memory`
		if err == nil || !resp.IsError() || !strings.Contains(resp.Error().Error(), want) {
			t.Errorf("%s is answered with %v, %v", operation, resp, err)
		}
	}
}
