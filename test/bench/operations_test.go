// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// pollInProcess is the pause between two looks at something in this process.
const pollInProcess = 5 * time.Millisecond

// cost is what an operation asks of storage and cloud.
type cost struct{ reads, writes, calls float64 }

// storage is the accesses together.
func (c cost) storage() float64 { return c.reads + c.writes }

func (c cost) String() string { return decimals(c.reads) + " reads, " + decimals(c.writes) + " writes" }

// cost runs work n times, for i from 0, and returns what one of them costs.
func (m *mount) cost(n int, work func(i int)) cost {
	reads, writes, calls := m.storage.reads.Load(), m.storage.writes.Load(), m.calls()
	for i := range n {
		work(i)
	}
	each := func(before, after int64) float64 { return float64(after-before) / float64(n) }
	return cost{each(reads, m.storage.reads.Load()), each(writes, m.storage.writes.Load()), each(calls, m.calls())}
}

func (m *mount) calls() int64 {
	if m.cloud == nil {
		return 0
	}
	return int64(m.cloud.Core().Calls.Total())
}

// TestOperations counts, in this process, what operations ask of storage and of
// the clouds. Each access to storage is a call from the plugin to Vault.
func TestOperations(t *testing.T) {
	n := measured().repeats
	remoteCalls(t)
	figures.section("Accesses to storage of one operation, each a call from the plugin to Vault, beside those of the KV library")
	kv, engine := openKV(t), openReplicating(t, tencentCloud)
	name := func(i int) string { return fmt.Sprintf("app/%d", i) }
	paused := func(paused bool) { engine.write(t, "config", map[string]any{"paused": paused}) }
	stored := kv.storage.stored(t)
	var written [2]cost
	for version, operation := range operations {
		plain := kv.cost(n, func(i int) { kv.write(t, "data/"+name(i), map[string]any{"data": credentials(int64(i))}) })
		paused(true)
		written[version] = engine.cost(n, func(i int) { engine.put(t, operation, name(i), int64(version*n+i)) })
		showStorage(operation+", until stored", written[version], plain)
		paused(false)
		for i := range n {
			engine.write(t, "sync/"+name(i), nil) // an update begins with what is in sync
		}
	}
	plain := float64(kv.storage.stored(t)-stored) / float64(n)
	reads := kv.cost(n, func(i int) { kv.read(t, "data/"+name(i)) })
	for _, path := range []string{"data/", "secrets/"} {
		showStorage("read by "+path, engine.cost(n, func(i int) { engine.read(t, path+name(i)) }), reads)
	}
	engine.reopen(t)
	showStorage("read by secrets/, the first since the start", engine.cost(n, func(i int) { engine.read(t, "secrets/"+name(i)) }), reads)
	converging := openReplicating(t, tencentCloud)
	empty := converging.storage.stored(t)
	for version, operation := range operations {
		all := converging.cost(n, func(i int) { converging.put(t, operation, name(i), int64(version*n+i)) })
		rest := cost{reads: all.reads - written[version].reads, writes: all.writes - written[version].writes}
		showStorage(operation+", convergence after that", rest, cost{})
	}
	each := float64(converging.storage.stored(t)-empty) / float64(n)
	figures.relate("bytes stored per secret of two versions, in sync", fmt.Sprintf("%.0f", each), fmt.Sprintf("%.0f of KV", plain), each/plain)
	figures.line("Stored/engine=cloudsync", n, value{each, "stored-bytes"})
	figures.line("Stored/engine=kv", n, value{plain, "stored-bytes"})
}

// put creates or updates a secret with a replica at Tencent. While the mount is
// paused it isn't waited for.
func (m *mount) put(tb testing.TB, operation, name string, serial int64) {
	tb.Helper()
	path, body := "data/"+name, map[string]any{"data": credentials(serial)}
	if operation == create {
		path, body["destinations"] = "secrets/"+name, tencentCloud.ref
	}
	if err := m.try(tb, path, body); err != nil {
		tb.Fatalf("write %s: %v", path, err)
	}
}

func (m *mount) read(tb testing.TB, path string) {
	tb.Helper()
	if resp, err := m.request(tb, logical.ReadOperation, path, nil); err != nil || resp == nil {
		tb.Fatalf("read %s: %v %v", path, resp, err)
	}
}

// showStorage shows accesses to storage beside those of the KV library.
func showStorage(what string, got, plain cost) {
	slug := strings.NewReplacer(" ", "-", ",", "", "/", "").Replace(what)
	figures.line("Storage/op="+slug, 1, value{got.reads, "storage-reads/op"}, value{got.writes, "storage-writes/op"})
	if plain.storage() == 0 {
		figures.note(what, got.String())
		return
	}
	figures.relate(what, got.String(), plain.String(), got.storage()/plain.storage())
}

// remoteCalls counts what each cloud is asked for one secret.
func remoteCalls(t *testing.T) {
	t.Helper()
	type counted struct {
		label        string
		made, needed []string
		got, want    float64
	}
	all := map[string]*counted{
		create: {label: "a new secret"}, update: {label: "a new version"},
		"equal": {label: "the same content again"}, "sync": {label: "a sync of what is in sync"},
	}
	var labels []string
	for _, c := range clouds {
		progress(t, "remote calls: %s", c.label)
		labels = append(labels, c.label)
		m := openReplicating(t, c)
		content := func(serial int64) map[string]any { return map[string]any{"data": credentials(serial)} }
		first := content(1)
		first["destinations"] = c.ref
		for _, step := range []struct {
			operation, path string
			body            map[string]any
		}{
			{create, "secrets/app", first},
			{update, "data/app", content(2)},
			{"equal", "data/app", content(2)},
			{"sync", "sync/app", nil},
		} {
			got, needed := m.cost(1, func(int) { m.write(t, step.path, step.body) }).calls, float64(len(c.calls[step.operation]))
			row := all[step.operation]
			row.made, row.needed = append(row.made, fmt.Sprintf("%.0f", got)), append(row.needed, fmt.Sprintf("%.0f", needed))
			row.got, row.want = row.got+got, row.want+needed
			figures.line(fmt.Sprintf("RemoteCalls/op=%s/cloud=%s", step.operation, c.slug), 1, value{got, "calls/op"})
		}
	}
	figures.section("Remote calls of one operation: " + strings.Join(labels, "; "))
	for _, operation := range []string{create, update, "equal", "sync"} {
		row := all[operation]
		ratio, bound := row.got, 0.0
		if row.want > 0 {
			ratio, bound = row.got/row.want, 1
		}
		figures.judge(row.label, strings.Join(row.made, "; "), strings.Join(row.needed, "; ")+" needed", ratio, atMost(bound))
	}
}
