// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// TestEstate takes over an estate that was made by other means in every cloud, at
// the rates that they allow, with the plugin killed in the middle, and then writes
// to each of its secrets.
func TestEstate(t *testing.T) {
	e := measured()
	r := start(t, harness.Services...)
	estate := r.SeedEstate(e.estate)
	progress(t, "an estate: %d secrets in each of three clouds are looked at", e.estate)
	began := time.Now()
	dry := estate.Import(map[string]any{"dry_run": true}, nil)
	estate.AwaitJobs(dry, patience, harness.Ended)
	looked := time.Since(began)
	estate.WantUntouched(false)

	for _, cloud := range r.Clouds {
		cloud.ResetCalls()
	}
	progress(t, "an estate: they are adopted, with a kill in the middle")
	began = time.Now()
	jobs := estate.Import(map[string]any{}, dry)
	estate.AwaitJobs(jobs, patience, func(job map[string]any) bool { return harness.Items(job) >= e.estate/4 })
	r.Vault.KillPlugin()
	for _, id := range jobs {
		r.Vault.AwaitAnswer("jobs/" + id)
	}
	estate.AwaitJobs(jobs, patience, harness.Ended)
	took := time.Since(began)
	estate.WantUntouched(true)
	calls, throttledCalls := map[string]int{}, 0
	for _, cloud := range r.Clouds {
		calls[cloud.Service.Type] = cloud.Calls().Total
		throttledCalls += throttled(cloud)
	}

	progress(t, "an estate: a new version of each")
	began = time.Now()
	estate.WriteAll(patience)
	wrote := time.Since(began)
	estate.WantContinued()

	// All calls of Huawei share one rate, so it is the slowest. It takes two to list
	// versions.
	const rate, needed = 20, 5
	ideal := time.Duration(needed*e.estate) * time.Second / rate
	figures.section(fmt.Sprintf("An estate of %d secrets in each of three clouds is adopted, all at once, with a kill -9 of the plugin in the middle", e.estate))
	figures.note("dry run", short(looked))
	figures.judge("import, until the last cloud is done", short(took), short(ideal)+" of calls at the slowest, Huawei", took.Seconds()/ideal.Seconds(), atMost(1.1))
	figures.note("calls for each secret: Tencent; Alibaba; Huawei", fmt.Sprintf("%.2f; %.2f; %.2f",
		each(calls, harness.Tencent, e), each(calls, harness.Alibaba, e), each(calls, harness.Huawei, e)))
	figures.note("throttling answers, after the kill too", fmt.Sprint(throttledCalls))
	figures.note("versions made in the clouds", "0")
	figures.note("a new version of each, until in sync", short(wrote))
	figures.line("Estate/import", 3*e.estate, nanoseconds(took/time.Duration(3*e.estate), "ns/op"))
}

func each(calls map[string]int, service harness.Service, e effort) float64 {
	return float64(calls[service.Type]) / float64(e.estate)
}
