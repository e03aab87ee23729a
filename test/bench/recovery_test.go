// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// grace is what convergence may take beside the work at the full rate.
const grace = 5 * time.Second

// work is how long n updates take at the rate that the cloud allows.
func (c cloud) work(n int) time.Duration {
	return time.Duration(float64(n) / c.allowed(update) * float64(time.Second))
}

// convergence is judged by how long it took, compared with the grace and the
// work.
func judgeConvergence(figure, slug string, took, work time.Duration) {
	limit := grace + work
	figures.judge(figure, short(took), fmt.Sprintf("%s + %s of calls", short(grace), short(work)), took.Seconds()/limit.Seconds(), atMost(1))
	figures.line("Recovery/after="+slug, 1, nanoseconds(took, "ns/op"), nanoseconds(work, "work-ns"))
}

// TestKill measures how long it takes from the first answer of the mount after a
// kill -9 until everything is in sync that was pending.
func TestKill(t *testing.T) {
	n := measured().pending
	r := start(t, harness.Tencent)
	figures.section(fmt.Sprintf("kill -9 with %d replicas pending, until they are in sync", n))
	for _, test := range []struct {
		label, slug string
		kill        func(v *harness.Vault)
	}{
		{"the plugin", "kill-plugin", (*harness.Vault).KillPlugin},
		{"Vault", "kill-vault", func(v *harness.Vault) {
			v.Kill()
			v.Start()
		}},
	} {
		progress(t, "kill -9 of %s", test.label)
		put(t, r.Vault, create, test.slug, n, everywhere(tencentCloud))
		awaitSync(t, r.Vault)
		// A cloud that answers nothing keeps all of them pending.
		hang := r.Cloud.Break(emulator.Fault{Kind: emulator.Hang})
		put(t, r.Vault, update, test.slug, n, nil)
		r.Cloud.ResetCalls()
		began := time.Now()
		test.kill(r.Vault)
		if err := r.Cloud.Control.ClearFault(t.Context(), hang.ID); err != nil {
			t.Fatal(err)
		}
		serving := awaitServing(t, r.Vault, test.slug)
		awaitTakenUp(t, r.Cloud, n)
		awaitSync(t, r.Vault)
		end := lastCall(r.Cloud)
		figures.note("kill -9 of "+test.label+", until it serves", short(serving.Sub(began)))
		judgeConvergence("kill -9 of "+test.label+", from serving to in sync", test.slug, end.Sub(serving), tencentCloud.work(n))
	}
}

// awaitServing waits until a secret of a folder can be read, and returns when.
func awaitServing(t *testing.T, v *harness.Vault, folder string) time.Time {
	t.Helper()
	await(t, 5*time.Millisecond, "first answer", func() error {
		_, err := v.Client.Logical().ReadWithContext(t.Context(), harness.Mount+"/data/"+folder+"/0")
		return err
	})
	return time.Now()
}

// awaitTakenUp waits until each of n replicas that were pending at a start has
// cost a call. Before the marks are read, the status doesn't know of them.
func awaitTakenUp(t *testing.T, e *harness.Emulator, n int) {
	t.Helper()
	await(t, 50*time.Millisecond, "take-up of what was pending", func() error {
		if total := e.Calls().Total; total < n {
			return fmt.Errorf("there were %d calls for %d replicas", total, n)
		}
		return nil
	})
}

// TestOutage measures how long it takes until everything is in sync that was
// written while clouds were away: one that refused connections, and one that
// took calls and answered nothing.
func TestOutage(t *testing.T) {
	effort := measured()
	figures.section(fmt.Sprintf("Clouds that were away for %s, with %d updates missed by each, from their return until in sync", effort.away, effort.missed))
	r := start(t, harness.Tencent, harness.Huawei)
	put(t, r.Vault, create, "outage", effort.missed, everywhere(tencentCloud, huaweiCloud))
	awaitSync(t, r.Vault)

	refusing, silent := emulatorOf(r, tencentCloud), emulatorOf(r, huaweiCloud)
	refusing.Kill()
	hang := silent.Break(emulator.Fault{Kind: emulator.Hang})
	progress(t, "outage: %d secrets are updated, then the clouds stay away for %s", effort.missed, effort.away)
	put(t, r.Vault, update, "outage", effort.missed, nil)
	select { // the outage itself is what is measured
	case <-time.After(effort.away):
	case <-t.Context().Done():
	}
	refusing.Start()
	prepare(t, refusing)
	if err := silent.Control.ClearFault(t.Context(), hang.ID); err != nil {
		t.Fatal(err)
	}
	returned := time.Now()
	awaitSync(t, r.Vault)
	for _, c := range []struct {
		cloud
		how string
	}{{tencentCloud, "refused connections"}, {huaweiCloud, "answered nothing"}} {
		end := lastCall(emulatorOf(r, c.cloud))
		judgeConvergence(c.label+", which "+c.how, "outage-"+c.slug, end.Sub(returned), c.work(effort.missed))
	}
}
