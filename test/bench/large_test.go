// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// stage is what was measured with so many secrets in the mount.
type stage struct {
	secrets      int
	delays       map[string][]time.Duration // by operation, beside the remote calls
	calls        map[string][]time.Duration
	restart      time.Duration
	memory, peak int64
	stored       int64 // size of a snapshot of Vault
}

// TestLarge measures what may depend on how many secrets there are: it fills a
// mount in stages, each secret with a replica.
func TestLarge(t *testing.T) {
	r := start(t, harness.Tencent)
	over := bulk(measured().accounts)
	for _, c := range over {
		configure(t, r, c)
	}
	var stages []stage
	filled := 0
	for _, size := range measured().sizes {
		progress(t, "large mount: filling it up to %d secrets", size)
		began := time.Now()
		to := spread(over)
		put(t, r.Vault, create, fmt.Sprintf("large/%d", size), size-filled, to)
		awaitSync(t, r.Vault, over...)
		figures.line(fmt.Sprintf("Fill/secrets=%d", size), size-filled, nanoseconds(time.Since(began)/time.Duration(size-filled), "ns/op"))
		filled = size
		stages = append(stages, measureStage(t, r, size))
	}
	showStages(stages)
	showBacklog(t, r, fmt.Sprintf("large/%d", filled))
}

func measureStage(t *testing.T, r harness.Replication, size int) stage {
	t.Helper()
	s := stage{secrets: size, delays: map[string][]time.Duration{}, calls: map[string][]time.Duration{}}
	s.memory, s.peak = resident(t, r.Vault)
	for _, operation := range operations {
		for i := range measured().probes {
			delay, calls := probe(t, r, operation, fmt.Sprintf("probe/%d/%d", size, i))
			s.delays[operation], s.calls[operation] = append(s.delays[operation], delay), append(s.calls[operation], calls)
		}
	}
	progress(t, "large mount: restart with %d secrets", size)
	awaitSync(t, r.Vault)
	r.Vault.Crash()
	began := time.Now()
	r.Vault.Start()
	s.restart = awaitServing(t, r.Vault, fmt.Sprintf("large/%d", size)).Sub(began)
	var snapshot counter
	if err := r.Vault.Client.Sys().RaftSnapshotWithContext(t.Context(), &snapshot); err != nil {
		t.Fatalf("take a snapshot of vault: %v", err)
	}
	s.stored = int64(snapshot)
	return s
}

// counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// probe makes or changes one secret, and returns how long after the write was
// sent the last remote call was answered: the calls' own time, and the rest.
func probe(t *testing.T, r harness.Replication, operation, name string) (delay, calls time.Duration) {
	t.Helper()
	e := r.Cloud
	e.ResetCalls()
	path, body := "data/"+name, map[string]any{"data": credentials(time.Now().UnixNano())}
	if operation == create {
		path, body["destinations"] = "secrets/"+name, tencentCloud.ref
	}
	sent := time.Now()
	r.Vault.Write(path, body)
	await(t, 10*time.Millisecond, "replica of "+name, func() error {
		if got := e.Calls().Total; got < len(tencentCloud.calls[operation]) {
			return fmt.Errorf("%d calls were made", got)
		}
		return nil
	})
	for _, call := range e.Calls().Calls {
		calls += call.Duration
	}
	return lastCall(e).Sub(sent) - calls, calls
}

func showStages(stages []stage) {
	first := stages[0]
	last := stages[len(stages)-1]
	figures.section("From a write to the end of its last remote call, one secret at a time (Tencent, two calls)")
	for _, operation := range operations {
		for _, s := range stages {
			calls, delay := quantile(s.calls[operation], 0.5), quantile(s.delays[operation], 0.5)
			limit := calls + 10*time.Millisecond
			figures.judge(fmt.Sprintf("%s, %d secrets in the mount", operation, s.secrets), short(calls+delay), short(calls)+" of calls + 10 ms",
				(calls+delay).Seconds()/limit.Seconds(), atMost(1))
			figures.line(fmt.Sprintf("ToRemote/op=%s/secrets=%d", operation, s.secrets), len(s.delays[operation]),
				nanoseconds(delay, "p50-beside-calls-ns"), nanoseconds(quantile(s.delays[operation], 0.99), "p99-beside-calls-ns"), nanoseconds(calls, "calls-ns"))
		}
	}
	figures.section(fmt.Sprintf("A mount with %d secrets, compared with one of %d", last.secrets, first.secrets))
	for _, s := range stages {
		figures.line(fmt.Sprintf("Restart/secrets=%d", s.secrets), 1, nanoseconds(s.restart, "ns/op"))
		figures.line(fmt.Sprintf("Memory/secrets=%d", s.secrets), 1, bytes(s.memory, "RSS-bytes"), bytes(s.peak, "peak-RSS-bytes"))
		figures.line(fmt.Sprintf("Snapshot/secrets=%d", s.secrets), 1, bytes(s.stored, "snapshot-bytes"))
	}
	figures.relate("restart of Vault until a secret can be read", short(last.restart), short(first.restart), last.restart.Seconds()/first.restart.Seconds())
	figures.relate("resident memory of the plugin", megabytes(last.memory), megabytes(first.memory), float64(last.memory)/float64(first.memory))
	figures.relate("its peak, while the mount was filled", megabytes(last.peak), megabytes(first.peak), float64(last.peak)/float64(first.peak))
	figures.note("growth of a snapshot of Vault per secret", fmt.Sprintf("%d bytes", (last.stored-first.stored)/int64(last.secrets-first.secrets)))
}

// showBacklog measures a restart of the large mount with replicas of a folder
// pending.
func showBacklog(t *testing.T, r harness.Replication, folder string) {
	t.Helper()
	n, e := measured().backlog, r.Cloud
	progress(t, "large mount: restart with %d replicas pending", n)
	hang := e.Break(emulator.Fault{Kind: emulator.Hang})
	put(t, r.Vault, update, folder, n, nil)
	r.Vault.Crash()
	e.ResetCalls()
	if err := e.Control.ClearFault(t.Context(), hang.ID); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.Vault.Start()
	serving := awaitServing(t, r.Vault, folder)
	awaitTakenUp(t, e, n)
	awaitSync(t, r.Vault)
	end := lastCall(e)
	figures.note(fmt.Sprintf("restart with %d replicas pending, until a secret can be read", n), short(serving.Sub(began)))
	figures.note("from there until they are in sync, in accounts that allow more than that",
		fmt.Sprintf("%s, %s", short(end.Sub(serving)), per(float64(n)/end.Sub(serving).Seconds(), "secrets")))
	figures.line("Recovery/after=restart-large", n, nanoseconds(end.Sub(serving), "ns/op"))
}

// resident reads the resident memory of the plugin, and its peak, from /proc.
func resident(t *testing.T, v *harness.Vault) (now, peak int64) {
	t.Helper()
	pids := v.PluginPIDs()
	if len(pids) != 1 {
		t.Fatalf("the plugin runs in %d processes", len(pids))
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
	now, noNow := kilobytes(string(status), "VmRSS:")
	peak, noPeak := kilobytes(string(status), "VmHWM:")
	if err := errors.Join(err, noNow, noPeak); err != nil {
		t.Fatalf("read the plugin's memory: %v", err)
	}
	return now, peak
}

func kilobytes(status, field string) (int64, error) {
	_, rest, _ := strings.Cut(status, field)
	var n int64
	_, err := fmt.Sscanf(rest, "%d kB", &n)
	return n << 10, err
}
