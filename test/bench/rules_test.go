// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// TestRuleChange changes a rule that covers many secrets at the cloud whose calls
// all share one rate, and writes meanwhile as a person would: that may wait for
// the call that has the turn, and for no other.
func TestRuleChange(t *testing.T) {
	e := measured()
	at := huaweiCloud
	allowed := at.allowed(update)
	n := e.replicasAt(allowed)
	r := start(t, at.service)
	configure(t, r, at)
	r.Vault.Write("rules/covered", map[string]any{"match": "covered/**", "destinations": at.ref, "description": "before"})
	progress(t, "a changed rule: %d secrets are made, %.0f a second", n, allowed)
	put(t, r.Vault, update, "covered", n, nil)
	put(t, r.Vault, create, "people", 1, everywhere(at))
	awaitSync(t, r.Vault, at)

	alone := writeAsPerson(t, r, e.probes)
	progress(t, "a changed rule: its description changes at %d secrets", n)
	began := time.Now()
	r.Vault.Write("rules/covered", map[string]any{"description": "after"})
	meanwhile := writeAsPerson(t, r, e.probes)
	awaitSync(t, r.Vault, at)
	took := lastCall(emulatorOf(r, at)).Sub(began)

	figures.section(fmt.Sprintf("A changed rule that covers %d secrets at %s, where all calls share one rate", n, at.label))
	calls := float64(n + e.probes)
	rate := calls / took.Seconds()
	figures.judge("calls of the change and of the writes meanwhile", per(rate, "calls"), per(allowed, "calls"), rate/allowed, atLeast(0.95))
	turn := time.Duration(float64(time.Second) / allowed)
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"the slowest", 1}} {
		is, was := quantile(meanwhile, q.of), quantile(alone, q.of)
		figures.judge("a write meanwhile until it is in sync, "+q.name, short(is), fmt.Sprintf("%s alone + a turn of %s", short(was), short(turn)),
			is.Seconds()/(was+turn).Seconds(), atMost(1))
	}
	figures.note("throttling answers", fmt.Sprint(throttled(emulatorOf(r, at))))
	figures.line("RuleChange/write", len(meanwhile), nanoseconds(quantile(meanwhile, 0.5), "ns/op"), value{rate, "calls/s"})
}

// writeAsPerson writes new versions of one secret, each until it is in sync.
func writeAsPerson(t *testing.T, r harness.Replication, n int) []time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		sent := time.Now()
		answer := r.Vault.Write("secrets/people/0", map[string]any{"data": credentials(sent.UnixNano()), "wait": "60"})
		took[i] = time.Since(sent)
		if state := answer.Data["state"]; state != "in_sync" {
			t.Fatalf("a write meanwhile is %v", state)
		}
	}
	return took
}
