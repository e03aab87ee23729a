// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// usualRuns are how many runs an ordinary test makes.
const usualRuns = 400

// tally counts what all runs together did.
type tally struct {
	runs, actions, answered, failed, faults, deaths, starts, remoteCalls, storageCalls atomic.Int64
}

func (c *tally) String() string {
	return fmt.Sprintf("%d runs, %d actions, %d requests answered with success and %d not, %d faults, %d deaths, %d further starts, %d remote calls, %d storage accesses",
		c.runs.Load(), c.actions.Load(), c.answered.Load(), c.failed.Load(), c.faults.Load(), c.deaths.Load(), c.starts.Load(), c.remoteCalls.Load(), c.storageCalls.Load())
}

// Whatever people, networks and machines do: when it is calm again, every replica
// comes to be what Vault says, by itself.
//
// MODEL_DURATION=10m runs longer, with other seeds each time; MODEL_SEED=n repeats
// one run and prints what happened in it.
func TestAnythingMayHappenAndReplicasComeRight(t *testing.T) {
	if text := os.Getenv("MODEL_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		check(t, seed, &tally{})
		return
	}
	var counts tally
	var next atomic.Uint64
	last, end := uint64(usualRuns), time.Time{}
	if text := os.Getenv("MODEL_DURATION"); text != "" {
		duration, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		next.Store(rand.Uint64() >> 16) //nolint:gosec // chance, not secrecy
		last, end = next.Load()+1<<40, time.Now().Add(duration)
	}
	t.Cleanup(func() { t.Log(&counts) })
	for worker := range 2 * runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprintf("worker %d", worker+1), func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1); !t.Failed() && seed <= last && (end.IsZero() || time.Now().Before(end)); seed = next.Add(1) {
				check(t, seed, &counts)
			}
		})
	}
}

// check makes the run of a seed. If it comes out wrong, it finds the actions that
// it takes.
func check(t *testing.T, seed uint64, counts *tally) {
	t.Helper()
	r := newRun(seed)
	r.counts = counts
	wrong := r.play(t, r.actions)
	if len(wrong) == 0 {
		return
	}
	r.counts = &tally{}
	shortest, wrong, logs := r.shorten(t, wrong)
	var b strings.Builder
	for _, a := range shortest {
		fmt.Fprintf(&b, "\t%s\n", a)
	}
	t.Errorf("seed %d; again: MODEL_SEED=%d go test -race ./backend -run %s\n%s\nafter\n%s%s",
		seed, seed, "TestAnythingMayHappenAndReplicasComeRight", strings.Join(wrong, "\n"), &b, logs)
}

// run is one sequence of actions, and what came of it.
type run struct {
	seed    uint64
	models  []providertest.Model
	refs    []string
	latency time.Duration
	split   bool // a deposed node goes on for a while
	actions []action
	counts  *tally

	w      *world
	clock  atomic.Int64 // grows with every beginning and end of a request
	events []*event     // in the order of their beginning
}

// event is a request that was made.
type event struct {
	action
	begun      time.Time
	start, end int64 // by the run's clock; end is maxClock until it is answered
	done       done
	version    uint64 // that a write made
}

func newRun(seed uint64) *run {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), names: []string{"s0", "s1", "s2", "team/s3"}} //nolint:gosec // chance, not secrecy
	r := &run{seed: seed}
	models := []providertest.Model{providertest.Overwriting(), providertest.LabelMoving(), providertest.IDAssigning()}
	g.Shuffle(len(models), func(i, j int) { models[i], models[j] = models[j], models[i] })
	r.models = models[:pick(g, 1, 2, 2, 3)]
	for i := range r.models {
		r.refs = append(r.refs, fmt.Sprintf("memory%s/main", []string{"", "2", "3"}[i]))
	}
	r.latency = pick(g, 0, 5*time.Millisecond, time.Second)
	g.refs, g.faulty = r.refs, pick(g, 0, 0.1, 0.3, 0.6)
	g.lossy, g.outlive = g.chance(0.1), g.chance(0.2)
	r.split = g.outlive
	r.actions = g.actions(8 + g.IntN(32))
	return r
}

// play carries out actions in a new world and tells what is wrong in the end.
func (r *run) play(t *testing.T, actions []action) (wrong []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, r.models...)
		w.names, w.latency = []string{"s0", "s1", "s2", "team/s3"}, r.latency
		w.split = r.split
		w.random = rand.New(rand.NewPCG(r.seed, 1)) //nolint:gosec // chance, not secrecy
		r.w, r.events = w, nil
		seedForeign(w)
		for _, a := range actions {
			r.carryOut(a)
		}
		wrong = append(w.calm(), w.settleAfterAll()...)
		wrong = append(wrong, w.disagreements()...)
		wrong = append(wrong, r.missing()...)
		wrong = append(wrong, r.setBack()...)
		wrong = append(wrong, w.claimable()...)
		r.count(len(actions))
	})
	return wrong
}

func (r *run) count(actions int) {
	w, c := r.w, r.counts
	w.mu.Lock()
	defer w.mu.Unlock()
	c.runs.Add(1)
	c.actions.Add(int64(actions))
	c.faults.Add(int64(w.struck))
	c.deaths.Add(int64(w.deaths))
	c.starts.Add(int64(w.starts - 1))
	c.remoteCalls.Add(int64(w.remoteCalls))
	c.storageCalls.Add(int64(w.storageCalls))
	for _, e := range r.events {
		if e.done.answered {
			c.answered.Add(1)
		} else {
			c.failed.Add(1)
		}
	}
}

// seedForeign puts secrets of others into the clouds, one under a name that the
// run uses.
func seedForeign(w *world) {
	for i, p := range w.places {
		for _, s := range []providertest.Stored{
			{Secret: provider.Secret{Name: "theirs", Description: "somebody's"}, Versions: []providertest.StoredVersion{{Version: provider.Version{ID: "v1"}, Value: provider.Text("theirs")}}},
			{Secret: provider.Secret{Name: "rds", CloudManaged: true, Type: "rds"}},
			{Secret: provider.Secret{Name: "s2", Description: "x [vault-cloudsync mount=another secret=s2]"}},
		} {
			if s.Name == "s2" && i != 0 {
				continue
			}
			p.region.Seed(s)
			p.seen.foreign[s.Name], _ = p.region.Secret(s.Name)
		}
	}
}

// carryOut does one action.
func (r *run) carryOut(a action) {
	w := r.w
	w.mu.Lock()
	w.remoteFaults = append(w.remoteFaults, a.faults...)
	w.storageFaults = append(w.storageFaults, a.accesses...)
	w.mu.Unlock()
	switch a.kind {
	case restarts:
		w.restart()
	case dies:
		w.node.die()
	case takesOver:
		w.depose(time.Minute)
	case breaks, mends:
		w.mu.Lock()
		w.place(a.ref).outage = nil
		if a.kind == breaks {
			w.place(a.ref).outage = providertest.Failure(a.class)
		}
		w.mu.Unlock()
	case waits:
	default:
		r.request(a)
	}
	w.revive()
	switch {
	case a.pause < 0:
		synctest.Wait()
	case a.pause > 0:
		time.Sleep(a.pause)
	}
	w.revive()
}

const maxClock = 1 << 62

// request makes the request of an action.
func (r *run) request(a action) {
	e := &event{action: a, begun: time.Now(), start: r.clock.Add(1), end: maxClock}
	r.events = append(r.events, e)
	r.expect(a)
	n := r.w.node
	carry := func() {
		e.done = n.request(a.step.operation, a.step.path, a.step.data)
		if e.done.answered && e.done.resp != nil {
			e.version, _ = e.done.resp.Data["version"].(uint64)
		}
		e.end = r.clock.Add(1)
	}
	if a.async {
		r.w.requests.Go(carry)
		return
	}
	carry()
}

// expect notes what a request may bring about beside what it is for.
func (r *run) expect(a action) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if a.kind == brings || a.kind == forgets {
		for _, name := range r.w.names {
			if a.kind == forgets || name == a.name {
				r.w.repeats[name]++
			}
		}
	}
	destinations, given := a.step.data["destinations"].(string)
	_, renamed := a.step.data["remote_name"]
	for _, p := range r.w.places {
		for _, remote := range []string{a.name, remotename.Derive(a.name, p.kind.Limits.Name), "alias-1", "alias-2"} {
			switch {
			case given && !slices.Contains(strings.Split(destinations, ","), p.ref), a.step.data["deletion_policy"] == "retain", renamed:
				p.seen.left[remote], p.seen.given[remote] = true, true
			case a.kind == forgets && a.ref == p.ref:
				p.seen.forgotten = true
			}
		}
	}
}

// overtaken tells whether another request of one of the kinds about the same secret
// may have come into effect after e.
func (r *run) overtaken(e *event, by func(other *event) bool) bool {
	return slices.ContainsFunc(r.events, func(other *event) bool {
		return other != e && other.name == e.name && !other.done.refused && other.end > e.start && by(other)
	})
}

// missing are changes that were answered with success and aren't in Vault.
func (r *run) missing() (wrong []string) {
	for _, e := range r.events {
		if e.done.refused && e.value != "" && r.everSeen(e.value) {
			wrong = append(wrong, fmt.Sprintf("%s was refused, but its value was in a cloud", e.action))
		}
		if !e.done.answered {
			continue
		}
		v := r.w.truth(e.name)
		switch {
		case e.value != "" && e.version > 0:
			if _, got := r.w.version(e.name, e.version); got != e.value && v.newest < e.version+10 && !v.expiring(r.events) && !r.overtaken(e, e.mayTakeAway) {
				wrong = append(wrong, fmt.Sprintf("%s was answered with success as version %d, but Vault has %q there", e.action, e.version, got))
			}
		case e.kind == removes:
			if len(v.versions) > 0 && !r.w.lossy && !r.overtaken(e, func(o *event) bool { return o.kind == writes || o.kind == brings }) {
				wrong = append(wrong, fmt.Sprintf("%s was answered with success, but Vault has its versions %v", e.action, v.versions))
			}
		case e.kind == destroys || e.kind == deletesOne:
			if v.versions[uint64(e.versions[0])] && !r.overtaken(e, e.mayBringBack) { //nolint:gosec // numbers are small
				wrong = append(wrong, fmt.Sprintf("%s was answered with success, but Vault has version %d", e.action, e.versions[0]))
			}
		}
		for _, setting := range []string{"description", "destinations"} {
			wrong = append(wrong, r.missingSetting(e, v, setting)...)
		}
	}
	return wrong
}

func (r *run) missingSetting(e *event, v truth, setting string) (wrong []string) {
	want, given := e.step.data[setting].(string)
	if !given || e.kind != writes && e.kind != changes {
		return nil
	}
	got := fmt.Sprint(firstOf(v.settings[setting], ""))
	if setting == "destinations" {
		got = strings.Join(v.named, ",")
	}
	changed := func(o *event) bool {
		_, too := o.step.data[setting]
		return o.kind == removes || too
	}
	forgotten := setting == "destinations" && slices.ContainsFunc(r.events, func(o *event) bool { return o.kind == forgets && o.end > e.start })
	if got != want && !forgotten && !r.w.lossy && !r.overtaken(e, changed) {
		wrong = append(wrong, fmt.Sprintf("%s was answered with success, but the %s in Vault is %q", e.action, setting, got))
	}
	return wrong
}

// mayBringBack tells whether another request may make a version be there after e
// took it away.
func (*event) mayBringBack(other *event) bool {
	switch other.kind {
	case removes, undeletes, writes, brings:
		return true
	default:
		return false
	}
}

// expiring tells whether versions of the secret may go by themselves.
func (v truth) expiring(events []*event) bool {
	return slices.ContainsFunc(events, func(e *event) bool { return e.kind == expires && e.name == v.name })
}

// mayTakeAway tells whether another request may take away the version that e wrote.
func (e *event) mayTakeAway(other *event) bool {
	switch other.kind {
	case deletes, removes:
		return true
	case deletesOne, destroys:
		return uint64(other.versions[0]) == e.version //nolint:gosec // numbers are small
	default:
		return false
	}
}

func (r *run) everSeen(value string) bool {
	for _, p := range r.w.places {
		for _, seen := range p.seen.values {
			if seen == value {
				return true
			}
		}
		for _, served := range p.seen.served {
			if slices.ContainsFunc(served, func(s serving) bool { return s.value == value }) {
				return true
			}
		}
	}
	return false
}

// setBack are readers who got an older version after a newer one, without anybody
// having asked for it.
func (r *run) setBack() (wrong []string) {
	versions := r.versionsOfValues()
	for _, p := range r.w.places {
		for remote, served := range p.seen.served {
			if r.w.outlived[p][remote] {
				continue
			}
			for i := 1; i < len(served); i++ {
				newer, older := versions[served[i-1].value], versions[served[i].value]
				if newer.number > older.number && older.number > 0 && newer.name == older.name && !r.askedBack(newer, served[i].since) {
					wrong = append(wrong, fmt.Sprintf("%s: readers of %s got version %d (%s) after version %d (%s)", p.ref, remote, older.number, served[i].value, newer.number, served[i-1].value))
				}
			}
		}
	}
	return wrong
}

// origin is where a value comes from.
type origin struct {
	name   string
	number uint64
	begun  time.Time
}

func (r *run) versionsOfValues() map[string]origin {
	versions := map[string]origin{}
	for _, e := range r.events {
		if e.value != "" {
			versions[e.value] = origin{e.name, e.version, e.begun}
		}
	}
	for _, name := range r.w.names {
		for number, live := range r.w.truth(name).versions {
			if !live {
				continue
			}
			_, value := r.w.version(name, number)
			if o := versions[value]; o.number == 0 {
				versions[value] = origin{name, number, o.begun}
			}
		}
	}
	return versions
}

// askedBack tells whether anybody asked for something older since the newer value
// was written, until readers got it.
func (r *run) askedBack(newer origin, until time.Time) bool {
	return slices.ContainsFunc(r.events, func(e *event) bool {
		switch e.kind {
		case deletes, deletesOne, destroys, removes, brings, undeletes, expires:
			return e.name == newer.name && !e.begun.Before(newer.begun) && !e.begun.After(until) || e.kind == expires && e.name == newer.name
		default:
			return false
		}
	})
}

// shorten leaves out actions as long as the run still comes out wrong.
func (r *run) shorten(t *testing.T, wrong []string) (shortest []action, why []string, logs string) {
	shortest, why, logs = r.actions, wrong, r.w.logs.String()
	for size := len(shortest) / 2; size > 0; size /= 2 {
		for at := 0; at < len(shortest); {
			fewer := slices.Delete(slices.Clone(shortest), at, min(at+size, len(shortest)))
			found := false
			for range 4 {
				if wrong := r.play(t, fewer); len(wrong) > 0 {
					shortest, why, logs, found = fewer, wrong, r.w.logs.String(), true
					break
				}
			}
			if !found {
				at += size
			}
		}
	}
	return shortest, why, logs
}
