// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// planned is a mount with one destination whose calls can be told.
type planned struct {
	*mount
	destination string
	// executed are the calls since forget that changed something, by the service's
	// names.
	executed func() []string
	forget   func()
	calls    func() int // of any kind, since forget
}

func plannedMounts() map[string]func(t *testing.T) planned {
	mounts := map[string]func(t *testing.T) planned{}
	for name, open := range emulatedClouds {
		mounts[name] = func(t *testing.T) planned {
			cloud := open(t)
			log := cloud.service.Core().Calls
			return planned{
				mount: mountOn(t, cloud), destination: cloud.destination,
				executed: func() []string { return changing(log.List()) }, forget: log.Reset, calls: log.Total,
			}
		}
	}
	for name, model := range map[string]providertest.Model{
		"memory, overwriting": providertest.Overwriting(), "memory, labels": providertest.LabelMoving(), "memory, assigned ids": providertest.IDAssigning(),
	} {
		mounts[name] = func(t *testing.T) planned {
			m, region := newMount(t, model)
			var mu sync.Mutex
			var done []string
			region.After(func(op, _ string) error {
				mu.Lock()
				defer mu.Unlock()
				if providertest.IsWrite(op) {
					done = append(done, op)
				}
				return nil
			})
			return planned{
				mount: m, destination: "memory/main",
				executed: func() []string {
					mu.Lock()
					defer mu.Unlock()
					return slices.Clone(done)
				},
				forget: func() {
					mu.Lock()
					defer mu.Unlock()
					done = nil
					region.ResetCalls()
				},
				calls: func() int { return region.Count("") },
			}
		}
	}
	return mounts
}

// changing are the names of the calls that changed something.
func changing(calls []emulator.Call) []string {
	var names []string
	for _, c := range calls {
		reads := slices.ContainsFunc([]string{"Describe", "Get", "List", "Show"}, func(prefix string) bool { return strings.HasPrefix(c.Operation, prefix) })
		if c.Code == "" && c.Fault == "" && !reads {
			names = append(names, c.Operation)
		}
	}
	return names
}

// plan asks for a plan, which must leave storage and cloud alone, and returns its
// calls by the service's names.
func (p planned) plan(params map[string]any) (calls []string, resp *logical.Response) {
	p.t.Helper()
	p.forget()
	before, status := p.state(), p.replicaAt("s", p.destination)
	resp = p.write("plan/s", params)
	if after := p.state(); fmt.Sprint(after) != fmt.Sprint(before) {
		for key := range after {
			if after[key] != before[key] {
				p.t.Errorf("the plan changed %s in the storage from %s to %s", key, before[key], after[key])
			}
		}
	}
	if after := p.replicaAt("s", p.destination); fmt.Sprint(after) != fmt.Sprint(status) {
		p.t.Errorf("the plan changed the status from %v to %v", status, after)
	}
	if executed := p.executed(); len(executed) > 0 {
		p.t.Errorf("the plan made the calls %v", executed)
	}
	if looks := resp.Data["looks"]; looks != p.calls() {
		p.t.Errorf("the plan tells of %v calls that read, the cloud saw %d", looks, p.calls())
	}
	return plannedCalls(resp), resp
}

func plannedCalls(resp *logical.Response) []string {
	var calls []string
	for _, r := range objects(resp.Data["replicas"]) {
		calls = append(calls, plannedOperations(r)...)
	}
	return calls
}

// plannedOperations are the calls planned for a replica, by the service's names.
func plannedOperations(replica map[string]any) []string {
	var names []string
	for _, c := range objects(replica["calls"]) {
		operations, _ := c["operations"].([]string)
		names = append(names, operations...)
	}
	return names
}

// objects are the objects of a list in an answer.
func objects(list any) []map[string]any {
	elements, _ := list.([]any)
	var all []map[string]any
	for _, element := range elements {
		object, _ := element.(map[string]any)
		all = append(all, object)
	}
	return all
}

// state is what is stored, but for the lease, which every remote call may renew,
// and marks, of which those of finished work go a moment later.
func (p planned) state() map[string]string {
	stored := p.storage.dump(p.t)
	maps.DeleteFunc(stored, func(key, _ string) bool { return key == "lease" || strings.HasPrefix(key, "pending/") })
	return stored
}

// settled waits until nothing is under way any more, and nothing paused.
func (p planned) settled() { p.t.Helper(); p.rests("deleting", "releasing", "paused") }

// rests waits until nothing is under way any more, nor in one of the states.
func (p planned) rests(others ...string) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp := p.read("status")
		states, _ := resp.Data["states"].(map[string]int)
		busy := 0
		for _, state := range append([]string{"pending", "retrying"}, others...) {
			busy += states[state]
		}
		if states["paused"] == 0 { // otherwise they wait for what is paused
			busy += states["deleting"] + states["releasing"]
		}
		sweeps, _ := resp.Data["sweeps"].(map[string]any)
		if busy == 0 && len(sweeps) == 0 && !isTakingUp(resp) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%v\n%s", resp.Data, p.logs)
		}
		yield()
	}
}

// situation is a secret "s" and what happens to it while the mount is paused.
type situation struct {
	name    string
	begin   map[string]any // parameters of its first write, destinations aside
	meant   func(p planned)
	happens func(p planned)
	// write is planned before it is made as well, instead of happens.
	write map[string]any
	only  string // the name of the one cloud that it concerns; "" for all
}

func situations() []situation {
	second := func(p planned) { p.write("secrets/s", map[string]any{"value": "two"}) }
	return []situation{
		{name: "nothing happens", happens: func(p planned) { p.write("sync/s", nil) }},
		{name: "a new version", write: map[string]any{"value": "two"}},
		{name: "the same value again", write: map[string]any{"value": "one"}},
		{name: "other tags", begin: map[string]any{"tags": "a=1,b=2"}, write: map[string]any{"tags": "b=3,c=4"}},
		{name: "another description", write: map[string]any{"description": "of the database"}},
		{name: "a new version, tags and a description", write: map[string]any{"value": "two", "tags": "a=1", "description": "new"}},
		{name: "another KMS key", write: map[string]any{"kms_key_id": "another-key"}, only: "memory, assigned ids"},
		{name: "another name", meant: second, write: map[string]any{"remote_name": "other"}},
		{name: "the destination is taken away", write: map[string]any{"destinations": ""}},
		{name: "a soft deletion with a version before", meant: second, happens: func(p planned) { p.remove("data/s") }},
		{name: "a soft deletion of the only version", happens: func(p planned) { p.remove("data/s") }},
		{name: "an undelete after all was deleted", meant: func(p planned) { p.remove("data/s") }, happens: func(p planned) { p.write("undelete/s", map[string]any{"versions": "1"}) }},
		{name: "a destroyed version", meant: second, happens: func(p planned) { p.write("destroy/s", map[string]any{"versions": "1"}) }},
		{name: "a rollback", meant: second, happens: func(p planned) { p.write("rollback/s", map[string]any{"version": 1}) }},
		{name: "a deletion with a window", happens: func(p planned) { p.remove("secrets/s") }},
		{name: "a deletion at once", begin: map[string]any{"deletion_policy": "force"}, happens: func(p planned) { p.remove("secrets/s") }},
		{name: "a deletion that retains", begin: map[string]any{"deletion_policy": "retain"}, happens: func(p planned) { p.remove("secrets/s") }},
		{
			name:  "written again within the recovery window",
			meant: func(p planned) { p.remove("secrets/s"); p.settled() },
			write: map[string]any{"value": "again", "destinations": "DESTINATION"},
		},
		{
			name:    "a restart before the calls",
			happens: func(p planned) { second(p); p.restart(); p.settledMarks() },
		},
		{
			name:    "another rule",
			happens: func(p planned) { p.write("rules/r", map[string]any{"match": "s", "tags": "by=rule"}) },
			begin:   map[string]any{"destinations": ""}, meant: func(p planned) {
				p.write("rules/r", map[string]any{"match": "s", "destinations": p.destination})
				p.settled()
			},
		},
	}
}

func isTakingUp(overview *logical.Response) bool {
	taking, _ := overview.Data["taking_up"].(bool)
	return taking
}

// settledMarks waits until what was pending before a restart is taken up.
func (p planned) settledMarks() {
	p.t.Helper()
	until(p.t, "taking up", func() bool { return !isTakingUp(p.read("status")) })
}

func (s situation) open(t *testing.T, open func(t *testing.T) planned) planned {
	t.Helper()
	p := open(t)
	params := map[string]any{"value": "one", "destinations": p.destination}
	for name, value := range s.begin {
		params[name] = value
	}
	p.write("secrets/s", params)
	if s.meant != nil {
		s.meant(p)
	}
	p.settled()
	return p
}

func (s situation) params(p planned) map[string]any {
	params := map[string]any{}
	for name, value := range s.write {
		if value == "DESTINATION" {
			value = p.destination
		}
		params[name] = value
	}
	return params
}

// What a plan says is what a convergence then does, whatever the situation.
func TestExecutedCallsEqualPlannedOnes(t *testing.T) {
	for cloud, open := range plannedMounts() {
		for _, s := range situations() {
			if s.only != "" && s.only != cloud {
				continue
			}
			t.Run(cloud+": "+s.name, func(t *testing.T) {
				t.Parallel()
				p := s.open(t, open)
				p.write("config", map[string]any{"paused": true})
				if s.write != nil {
					p.write("secrets/s", s.params(p))
				} else {
					s.happens(p)
				}
				p.rests()
				want, resp := p.plan(nil)
				p.forget()
				p.write("config", map[string]any{"paused": false})
				p.settled()
				if got := p.executed(); !slices.Equal(got, want) {
					t.Errorf("planned  %v\nexecuted %v\n%s", want, got, resp.Data["text"])
				}
				if p.replicaAt("s", p.destination) == nil {
					return // nothing is left of it
				}
				if again, resp := p.plan(nil); len(again) > 0 {
					t.Errorf("then %v is planned\n%v", again, resp.Data["text"])
				}
			})
			if s.write == nil {
				continue
			}
			t.Run(cloud+": "+s.name+", planned before it is written", func(t *testing.T) {
				t.Parallel()
				p := s.open(t, open)
				want, resp := p.plan(s.params(p))
				p.forget()
				p.write("secrets/s", s.params(p))
				p.settled()
				if got := p.executed(); !slices.Equal(got, want) {
					t.Errorf("planned  %v\nexecuted %v\n%s", want, got, resp.Data["text"])
				}
			})
		}
	}
}
