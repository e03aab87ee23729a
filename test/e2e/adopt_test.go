// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// estateSize is how many secrets each cloud has. The benchmarks do the same with a
// thousand.
const estateSize = 24

// An estate is listed, taken over at the rates that the clouds allow while the
// plugin is killed in the middle, and its history goes on.
func TestAnEstateIsAdoptedAtTheCloudsRatesAndAcrossAKill(t *testing.T) {
	r := harness.Start(t, harness.Raft, harness.Services...)
	for _, cloud := range r.Clouds {
		if err := cloud.Control.EnforceRates(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	e := r.SeedEstate(estateSize)
	for _, cloud := range r.Clouds {
		answer, err := r.Vault.Client.Logical().ListWithContext(t.Context(), harness.Mount+"/remote/"+cloud.Service.Destination)
		if err != nil {
			t.Fatal(err)
		}
		if names, _ := answer.Data["keys"].([]any); len(names) != estateSize {
			t.Errorf("%s lists %d secrets", cloud.Service.Type, len(names))
		}
	}
	dry := e.Import(map[string]any{"dry_run": true}, nil)
	e.AwaitJobs(dry, time.Minute, harness.Ended)
	e.WantUntouched(false)
	for _, cloud := range r.Clouds {
		if throttled := cloud.Calls().Throttled; len(throttled) > 0 {
			t.Errorf("%s throttled %v", cloud.Service.Type, throttled)
		}
	}

	jobs := e.Import(map[string]any{"versions": 2}, dry)
	e.AwaitJobs(jobs, time.Minute, func(job map[string]any) bool { return harness.Items(job) > 0 })
	r.Vault.KillPlugin()
	for _, id := range jobs {
		r.Vault.AwaitAnswer("jobs/" + id)
	}
	e.AwaitJobs(jobs, time.Minute, harness.Ended)
	for destination, id := range jobs {
		if counts, _ := r.Vault.Read("jobs/" + id).Data["counts"].(map[string]any); len(counts) != 1 || counts["adopted"] == nil {
			t.Errorf("at %s: %v", destination, counts)
		}
	}
	e.WantUntouched(true)
	e.WriteAll(time.Minute)
	e.WantContinued()
}
