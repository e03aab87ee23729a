// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// make test-kill sets them.
var (
	killRounds = flag.Int("kill-rounds", 3, "how often each program is killed")
	killSeed   = flag.Uint64("kill-seed", 0, "decides about the moments; 0 for others each time")
)

const (
	// A program is killed after a few writes and then at any moment within the
	// time that a write takes on its way through Vault to all clouds.
	killAfterWrites = 10
	killWithin      = 200 * time.Millisecond

	killProgress = 10 // rounds between two lines of progress
)

// The plugin, Vault, and the clouds in turn are killed while clients write.
func TestNothingIsLostWhateverIsKilled(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64() //nolint:gosec // it is printed anyway
	}
	t.Logf("%d rounds with -kill-seed=%d", *killRounds, seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it has to be repeatable
	began := time.Now()
	r := harness.Start(t, harness.Raft, harness.Services...)
	load := harness.StartLoad(t, r.Clouds, r.Vault)
	for round := range *killRounds {
		killInTurn(r, load, random)
		if (round+1)%killProgress == 0 {
			t.Logf("%d rounds in %s: %s", round+1, time.Since(began).Round(time.Second), load.Progress())
		}
	}
	tally := load.Check(r.Vault)
	t.Logf("%d rounds took %s", *killRounds, time.Since(began).Round(time.Second))
	tally.Report(t)
}

// killInTurn kills each program once and brings it back.
func killInTurn(r harness.Replication, load *harness.Load, random *rand.Rand) {
	anyMoment := func() {
		load.AwaitWrites(1 + random.IntN(killAfterWrites))
		<-time.After(time.Duration(random.Int64N(int64(killWithin)))) // waits for nothing: any moment will do
	}
	anyMoment()
	r.Vault.KillPlugin() // Vault starts it again with the next request

	anyMoment()
	cloud := r.Clouds[random.IntN(len(r.Clouds))]
	cloud.Kill()
	anyMoment()
	cloud.Start()

	anyMoment()
	end := r.Vault.Crash
	if random.IntN(2) == 0 {
		end = r.Vault.Kill // the plugin is left behind
	}
	end()
	r.Vault.Start()
}
