// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

var errDied = errors.New("the storage is gone")

// clouds are the kinds of services that there are.
var clouds = map[string]func() providertest.Model{
	"a cloud with a pointer":   providertest.Overwriting,
	"a cloud with labels":      providertest.LabelMoving,
	"a cloud that assigns ids": providertest.IDAssigning,
}

// thorough tells whether tests take the time to try everything everywhere.
func thorough() bool { return os.Getenv("MODEL_DURATION") != "" }

// interruption is where an operation is disturbed, and how.
type interruption struct {
	storage fate
	remote  fate
	delay   time.Duration
	// meanwhile happens while the call that is disturbed is under way.
	meanwhile func(w *world)
}

// Each storage access of an operation, its background work included, fails in
// each of the ways a storage has, or is the last one before the machine dies:
// after the restart everything must agree.
func TestAFaultAtAnyStorageAccessLosesNothing(t *testing.T) {
	ways := map[string]interruption{}
	for _, way := range []fate{diesBefore, diesAfter, stumbles, getsLost} {
		ways["an access "+string(way)] = interruption{storage: way}
	}
	interruptAll(t, ways)
}

// interruptAll interrupts every operation in each of the ways, everywhere. An
// ordinary test takes another cloud and another operation from way to way.
func interruptAll(t *testing.T, ways map[string]interruption) {
	t.Helper()
	names := slices.Sorted(maps.Keys(clouds))
	for i, way := range slices.Sorted(maps.Keys(ways)) {
		for j, name := range slices.Sorted(maps.Keys(faultyOperations)) {
			for k, cloud := range names {
				if (i+j)%len(names) != k && !thorough() {
					continue
				}
				t.Run(name+" at "+cloud+", when "+way, func(t *testing.T) {
					t.Parallel()
					for n := 1; interrupted(t, clouds[cloud](), n, ways[way], faultyOperations[name]); n++ {
					}
				})
			}
		}
	}
}

// Each remote call of an operation goes wrong in turn, in each of the ways that
// networks and nodes have, and once: what is tried again must come out right and
// double nothing.
func TestAFaultAtAnyRemoteCallComesOutRight(t *testing.T) {
	restart := func(w *world) { w.restart() }
	takeover := func(w *world) { w.depose(time.Minute) }
	change := func(w *world) {
		w.node.request(logical.UpdateOperation, "secrets/s", map[string]any{"value": three})
	}
	ways := map[string]interruption{
		"a call fails before it takes effect":                                             {remote: failsBefore},
		"a call is throttled":                                                             {remote: isThrottled},
		"a call gets no answer and has no effect":                                         {remote: isLostBefore},
		"a call takes effect and its answer is lost":                                      {remote: isLostAfter},
		"a call hangs":                                                                    {remote: hangsBefore},
		"a call takes effect and hangs":                                                   {remote: hangsAfter},
		"a call hangs until a restart":                                                    {remote: hangsBefore, meanwhile: restart},
		"a call takes effect and hangs until a restart":                                   {remote: hangsAfter, meanwhile: restart},
		"a call is answered after a restart":                                              {remote: answersLate, delay: 10 * time.Second, meanwhile: restart},
		"a call is answered after another node took over":                                 {remote: answersLate, delay: 10 * time.Second, meanwhile: takeover},
		"a call takes effect after a newer change":                                        {remote: isLate, delay: 10 * time.Second, meanwhile: change},
		"a call is answered after a newer change":                                         {remote: answersLate, delay: 10 * time.Second, meanwhile: change},
		"a call takes effect and hangs while a newer change is made":                      {remote: hangsAfter, meanwhile: change},
		"a call is the last before a death":                                               {remote: diesAfter},
		"a call is the last before a death, and doesn't get there":                        {remote: diesBefore},
		"a call takes effect, hangs, and is given up after a newer change and a takeover": {remote: hangsAfter, meanwhile: func(w *world) { change(w); takeover(w) }},
	}
	interruptAll(t, ways)
}

// interrupted carries out the operation with a fault at the nth storage access or
// remote call, and tells whether there was one.
func interrupted(t *testing.T, model providertest.Model, n int, how interruption, operation faultyOperation) (struck bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, model)
		w.names = []string{"s", "new"}
		doBefore(update("secrets/s", map[string]any{"value": one, "destinations": "memory/main"}))(w)
		if operation.before != nil {
			operation.before(w)
		}
		w.mu.Lock()
		if how.storage != "" {
			w.storageFaults = []storageFault{{nth: n, fate: how.storage}}
		} else {
			w.remoteFaults = []remoteFault{{nth: n, fate: how.remote, delay: how.delay}}
		}
		w.mu.Unlock()
		answered := w.carryOut(operation.do)
		if how.meanwhile != nil {
			synctest.Wait()
			how.meanwhile(w)
		}
		w.settle(time.Hour)
		w.mu.Lock()
		struck = w.struck > 0
		w.mu.Unlock()
		if how.storage == getsLost && !answered {
			w.repeats["s"]++
			w.carryOut(operation.do) // as people do whose request failed
		}
		wrong := append(w.calm(), w.settleAfterAll()...)
		wrong = append(wrong, w.disagreements()...)
		if answered && how.meanwhile == nil {
			wrong = append(wrong, w.lost(operation)...)
		}
		wrong = append(wrong, w.claimable()...)
		for _, text := range wrong {
			t.Error(text)
		}
		if t.Failed() {
			t.Fatalf("with fault %d of %+v\n%v\n%s", n, how, w.places[0].region.Calls(), w.logs)
		}
	})
	return struck && !t.Failed()
}

// carryOut makes the requests until one fails, and tells whether all were answered
// with success.
func (w *world) carryOut(steps []step) bool {
	for _, s := range steps {
		if s.operation == "" {
			p := w.place("memory/" + s.path)
			s = update("destinations/"+p.ref, w.destination(p))
		}
		if !w.node.request(s.operation, s.path, s.data).answered {
			return false
		}
	}
	return true
}

// lost tells what of an operation that was answered with success isn't in Vault.
func (w *world) lost(operation faultyOperation) (wrong []string) {
	if operation.s != nil {
		if got := w.truth("s").value; got != *operation.s {
			wrong = append(wrong, "the operation was answered with success, but Vault has s at "+got)
		}
	}
	if operation.new != "" {
		if got := w.truth("new").value; got != operation.new {
			wrong = append(wrong, "the operation was answered with success, but Vault has new at "+got)
		}
	}
	return wrong
}
