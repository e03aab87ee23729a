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

// target is a cloud that is to get n replicas.
type target struct {
	cloud
	n    int
	dead bool // it doesn't answer and isn't waited for
}

// pace is how a cloud got its replicas.
type pace struct {
	target
	operation string
	elapsed   time.Duration // from the end of the pause, or the first write, to the answer of the last call
	throttled int
}

func (p pace) rate() float64  { return float64(p.n) / p.elapsed.Seconds() }
func (p pace) share() float64 { return p.rate() / p.allowed(p.operation) }

// TestThroughput measures how many secrets a second reach the clouds, as a share
// of what the documented rates allow. They are written while the mount is
// paused, so that not the writes but the replication is measured.
func TestThroughput(t *testing.T) {
	r := start(t, harness.Services...)
	figures.section(fmt.Sprintf("Replication of what is pending at the end of a pause, %s a call, as a share of the documented rate", short(measured().latency)))
	refused := 0
	for _, c := range clouds {
		configure(t, r, c)
		for _, operation := range operations {
			// An update needs a secret that was made.
			n := min(measured().replicasAt(c.allowed(create)), measured().replicasAt(c.allowed(operation)))
			p := replicate(t, r, run{operation: operation, folder: "alone/" + c.slug}, []target{{cloud: c, n: n}})[0]
			refused += p.throttled
			figures.judge(fmt.Sprintf("%s, %d %ss", c.label, p.n, operation), per(p.rate(), "secrets"),
				per(c.allowed(operation), "secrets"), p.share(), atLeast(0.95))
			p.line("alone")
		}
	}
	for _, operation := range operations {
		n := min(measured().replicasAt(tencentCloud.allowed(create)), measured().replicasAt(tencentCloud.allowed(operation)))
		p := replicate(t, r, run{operation: operation, folder: "live", live: true}, []target{{cloud: tencentCloud, n: n}})[0]
		refused += p.throttled
		figures.relate(fmt.Sprintf("%s, %d %ss, while eight clients write them", p.label, p.n, operation), per(p.rate(), "secrets"),
			per(p.allowed(operation), "secrets"), p.share())
		p.line("live")
	}
	three := together(t, r, "three", "")
	for _, operation := range operations {
		slowest := three[operation][0]
		for _, p := range three[operation] {
			refused += p.throttled
			p.line("three")
			if p.share() < slowest.share() {
				slowest = p
			}
		}
		figures.judge(fmt.Sprintf("to all three at once, %ss: the slowest, %s", operation, slowest.label), per(slowest.rate(), "secrets"),
			per(slowest.allowed(operation), "secrets"), slowest.share(), atLeast(0.95))
	}
	two := together(t, r, "dead", huaweiCloud.slug)
	how := map[string]string{create: "answers nothing", update: "refuses connections"}
	for _, operation := range operations {
		for i, p := range two[operation] {
			refused += p.throttled
			if p.dead {
				continue
			}
			p.line("dead")
			before := three[operation][i]
			figures.judge(fmt.Sprintf("%s that %s: %s, %ss", huaweiCloud.label, how[operation], p.label, operation),
				per(p.rate(), "secrets"), per(before.rate(), "secrets"), p.rate()/before.rate(), atLeast(0.95))
		}
	}
	figures.judge("throttling answers in all of these", fmt.Sprint(refused), "", float64(refused), atMost(0))
}

// together gives the three clouds what each may get in the same time. One of
// them can be dead: it lets creations hang, and refuses connections after that.
func together(t *testing.T, r harness.Replication, folder, dead string) map[string][]pace {
	t.Helper()
	paces := map[string][]pace{}
	for _, operation := range operations {
		var targets []target
		for _, c := range []cloud{tencentCloud, alibabaCloud, huaweiCloud} {
			n := min(measured().replicasAt(c.allowed(create)), measured().replicasAt(c.allowed(update)))
			targets = append(targets, target{cloud: c, n: n, dead: c.slug == dead})
			switch {
			case c.slug != dead:
			case operation == create:
				emulatorOf(r, c).Break(emulator.Fault{Kind: emulator.Hang})
			default:
				emulatorOf(r, c).Kill()
			}
		}
		paces[operation] = replicate(t, r, run{operation: operation, folder: folder}, targets)
	}
	return paces
}

// run is one way in which secrets are replicated.
type run struct {
	operation, folder string
	live              bool // replication goes on while they are written
}

// replicate writes secrets for the targets, spread evenly, and waits until those
// that aren't dead have them.
func replicate(t *testing.T, r harness.Replication, how run, targets []target) []pace {
	t.Helper()
	n, living := 0, []cloud{}
	for _, target := range targets {
		n = max(n, target.n)
		if !target.dead {
			living = append(living, target.cloud)
			emulatorOf(r, target.cloud).ResetCalls()
		}
	}
	progress(t, "replication: %d secrets, %s, %s", n, how.operation, how.folder)
	began := time.Now()
	pause(r.Vault, !how.live)
	put(t, r.Vault, how.operation, how.folder, n, func(i int) []string {
		var refs []string
		for _, target := range targets {
			if target.takes(i, n) {
				refs = append(refs, target.ref)
			}
		}
		return refs
	})
	if !how.live {
		began = time.Now()
		pause(r.Vault, false)
	}
	awaitSync(t, r.Vault, living...)
	var paces []pace
	for _, target := range targets {
		p := pace{target: target, operation: how.operation}
		if !target.dead {
			e := emulatorOf(r, target.cloud)
			p.elapsed, p.throttled = lastCall(e).Sub(began), throttled(e)
		}
		paces = append(paces, p)
	}
	return paces
}

// takes tells whether the target gets secret i of all.
func (t target) takes(i, all int) bool { return (i+1)*t.n/all > i*t.n/all }

// lastCall is when the last call that did something was answered, since the
// calls were reset. Both programs have the clock of this machine.
func lastCall(e *harness.Emulator) (end time.Time) {
	for _, call := range e.Calls().Calls {
		if answered := call.Time.Add(call.Duration); call.Code == "" && call.Fault == "" && answered.After(end) {
			end = answered
		}
	}
	return end
}

// throttled is how many calls were over a rate since the calls were reset.
func throttled(e *harness.Emulator) (sum int) {
	for _, n := range e.Calls().Throttled {
		sum += n
	}
	return sum
}

func (p pace) line(situation string) {
	figures.line(fmt.Sprintf("Replicate/situation=%s/cloud=%s/op=%s", situation, p.slug, p.operation), p.n,
		nanoseconds(p.elapsed/time.Duration(p.n), "ns/op"), value{p.rate(), "secrets/s"}, value{p.share(), "of-the-allowed-rate"},
		value{float64(p.throttled), "throttled"})
}
