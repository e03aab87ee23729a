// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// A leader freezes between two calls for a version, and wakes up when another
// one has replicated a newer version.
func TestALeaderThatWakesUpSetsNothingBack(t *testing.T) {
	c := startCluster(t)
	old := c.Leader()
	cloud := c.clouds[0] // Tencent Cloud, where a version takes two calls
	write := func(v *harness.Vault, password, wait string) {
		v.Write("secrets/"+secretName, map[string]any{
			"data": map[string]any{"password": password}, "destinations": harness.Destination, "wait": wait,
		})
	}
	write(old, "1", harness.Patience.String())
	slow := cloud.Break(emulator.Fault{Kind: emulator.Hang, Operation: "PutSecretValue"})
	write(old, "2", "0")
	cloud.AwaitFault(slow)
	frozen := old.Freeze()
	cloud.Repair() // the first call is answered; the second one isn't made yet

	leader := c.LeaderOtherThan(old)
	write(leader, "3", harness.Patience.String())
	if got := cloud.Current(remoteName); got != `{"password":"3"}` {
		t.Fatalf("the new leader has replicated %q", got)
	}
	harness.Thaw(frozen)
	c.Standbys() // the old leader has noticed
	if got := cloud.Current(remoteName); got != `{"password":"3"}` {
		t.Errorf("the old leader has set the replica back to %q; the status shows %v", got, leader.Read("status/" + secretName).Data["destinations"])
	}
}
