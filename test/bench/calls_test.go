// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// TestRemoteCalls counts what the cloud is asked for each operation on one
// secret.
func TestRemoteCalls(t *testing.T) {
	const secret = "calls"
	shown := figures.table("Remote calls", "operation", "history", "calls", "which")
	for _, history := range []bool{true, false} {
		progress(t, "remote calls, with version_history=%t", history)
		r := start(t)
		if !history {
			r.Vault.Write("destinations/"+harness.Destination, map[string]any{"version_history": false})
		}
		update := func() { r.Vault.Write("data/"+secret, map[string]any{"data": credentials(2)}) }
		for _, operation := range []struct {
			name, slug string
			do         func()
		}{
			{"create", "create", func() { r.Write(secret, credentials(1)) }},
			{"update", "update", update},
			{"update to an equal value", "equal", update},
			{"sync of what is in sync", "sync", func() { r.Vault.Write("sync/"+secret, nil) }},
			{"delete", "delete", func() {
				if _, err := r.Vault.Client.Logical().DeleteWithContext(t.Context(), harness.Mount+"/secrets/"+secret); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			r.Cloud.ResetCalls()
			operation.do()
			awaitSync(t, r.Vault)
			calls, err := r.Cloud.Control.Calls(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var which []string
			for _, name := range slices.Sorted(maps.Keys(calls.Counts)) {
				which = append(which, fmt.Sprintf("%d %s", calls.Counts[name], name))
			}
			shown.row(operation.name, history, calls.Total, strings.Join(which, ", "))
			figures.line(fmt.Sprintf("RemoteCalls/op=%s/history=%t", operation.slug, history), 1, value{float64(calls.Total), "calls/op"})
		}
	}
}
