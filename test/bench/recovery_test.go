// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// TestRecovery measures how long it takes until everything is in sync that was
// written while nothing could be replicated. After an outage most of that may be
// waiting: each secret tries again when its own turn comes. After a pause all of
// them go on at once, which shows the pace of the work itself.
func TestRecovery(t *testing.T) {
	n := measured().secrets
	shown := figures.table(fmt.Sprintf("Time until %d secrets are in sync", n), "after", "lasting", "time", "secrets/s")
	for _, test := range []struct {
		label, slug string
		begin, end  func(r harness.Replication)
	}{
		{"an outage of the cloud", "outage", func(r harness.Replication) { r.Cloud.Kill() }, func(r harness.Replication) { r.Cloud.Start() }},
		{
			"a pause of the mount", "pause",
			func(r harness.Replication) { r.Vault.Write("config", map[string]any{"paused": true}) },
			func(r harness.Replication) { r.Vault.Write("config", map[string]any{"paused": false}) },
		},
	} {
		progress(t, "recovery: %d secrets are written during %s", n, test.label)
		r := start(t)
		r.Vault.Write("config", map[string]any{"default_wait": "0"})
		began := time.Now()
		test.begin(r)
		put(t, r.Vault, n, 1)
		test.end(r)
		over := time.Now()
		awaitSync(t, r.Vault)
		took := time.Since(over)
		shown.row(test.label, over.Sub(began), took, float64(n)/took.Seconds())
		figures.line("Recovery/after="+test.slug, 1, nanoseconds(took, "ns/op"), value{float64(n) / took.Seconds(), "secrets/s"})
	}
}
