// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// drained empties the queue and returns the names in the order in which they came.
func drained(q *queue) []string {
	var names []string
	for q.Len() > 0 {
		name, _ := q.Get()
		q.done(name)
		names = append(names, name)
	}
	return names
}

func TestTheOrderOfTheQueue(t *testing.T) {
	type step func(q *queue)
	add := func(name string, lane quota.Lane) step { return func(q *queue) { q.add(name, lane) } }
	take := func(want string, lane quota.Lane) step {
		return func(q *queue) {
			if name, _ := q.Get(); name != want || q.lane(name) != lane {
				t.Errorf("%s was taken from lane %s, want %s from %s", name, q.lane(name), want, lane)
			}
		}
	}
	done := func(name string) step { return func(q *queue) { q.done(name) } }
	tests := map[string]struct {
		steps []step
		want  []string
	}{
		"people's work goes first, then retries, then bulk": {
			[]step{add("b", quota.Bulk), add("r", quota.Retry), add("p", quota.People)}, []string{"p", "r", "b"},
		},
		"within a lane who came first": {
			[]step{add("1", quota.Bulk), add("2", quota.Bulk), add("3", quota.Bulk)}, []string{"1", "2", "3"},
		},
		"a name waits once": {
			[]step{add("a", quota.People), add("a", quota.People)}, []string{"a"},
		},
		"a waiting name moves up": {
			[]step{add("1", quota.Bulk), add("2", quota.Bulk), add("3", quota.Bulk), add("2", quota.People)}, []string{"2", "1", "3"},
		},
		"and never down": {
			[]step{add("1", quota.People), add("2", quota.Retry), add("1", quota.Bulk)}, []string{"1", "2"},
		},
		"a name that is asked for while it is worked on comes again when that is done": {
			[]step{add("a", quota.Bulk), take("a", quota.Bulk), add("a", quota.People), add("b", quota.Bulk), done("a")}, []string{"a", "b"},
		},
		"in the lane that was asked for then": {
			[]step{add("a", quota.People), take("a", quota.People), add("a", quota.Bulk), add("b", quota.Retry), done("a")}, []string{"b", "a"},
		},
		"a name that moved up and comes again has its own place": {
			[]step{add("1", quota.Bulk), add("2", quota.Bulk), add("1", quota.People), take("1", quota.People), done("1"), add("1", quota.Bulk)}, []string{"2", "1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			defer q.ShutDown()
			for _, step := range test.steps {
				step(q)
			}
			if got := drained(q); !slices.Equal(got, test.want) {
				t.Errorf("they came as %v, want %v", got, test.want)
			}
			if len(q.asked)+len(q.waiting)+len(q.working) > 0 {
				t.Errorf("left are %v, %v, %v", q.asked, q.waiting, q.working)
			}
		})
	}
}

// Whatever is asked for, no name is lost, given out twice at a time or kept.
func TestNoNameIsLostInTheQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue()
		defer q.ShutDown()
		owed := map[string]bool{} // asked for since it was given out
		working := map[string]bool{}
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := name.Draw(t, "name")
				q.add(n, rapid.SampledFrom(quota.Lanes()).Draw(t, "lane"))
				owed[n] = true
			},
			"take": func(t *rapid.T) {
				if q.Len() == 0 {
					t.Skip("nothing waits")
				}
				n, _ := q.Get()
				if working[n] || !owed[n] {
					t.Fatalf("%s is given out: %v, %v", n, working, owed)
				}
				working[n] = true
				delete(owed, n)
			},
			"done": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if !working[n] {
					t.Skip("it isn't worked on")
				}
				delete(working, n)
				q.done(n)
			},
			"": func(t *rapid.T) {
				sum := 0
				for _, depth := range q.depths() {
					sum += depth
				}
				if sum != q.Len() {
					t.Fatalf("%d wait, by lane %v", q.Len(), q.depths())
				}
			},
		})
		for n := range working {
			q.done(n)
		}
		got := drained(q)
		slices.Sort(got)
		for _, n := range got {
			delete(owed, n)
		}
		if len(owed) > 0 || len(slices.Compact(got)) != len(got) || len(q.asked)+len(q.waiting)+len(q.working) > 0 {
			t.Fatalf("came %v, lost %v, left %v %v %v", got, owed, q.asked, q.waiting, q.working)
		}
	})
}

func TestANameComesAfterItsTimeUnlessItIsAskedForBefore(t *testing.T) {
	q := newQueue()
	defer q.ShutDown()
	q.addAfter("a", quota.Bulk, time.Millisecond)
	if name, _ := q.Get(); name != "a" || q.lane(name) != quota.Bulk {
		t.Errorf("%s came in lane %s", name, q.lane(name))
	}
	q.done("a")
	q.addAfter("a", quota.Bulk, time.Hour)
	q.add("a", quota.People)
	if name, _ := q.Get(); name != "a" || q.lane(name) != quota.People {
		t.Errorf("%s came in lane %s", name, q.lane(name))
	}
	q.done("a")
	if len(q.asked) > 0 {
		t.Errorf("left are %v", q.asked)
	}
}

// Bulk work that waits for its turn with the service holds all workers that it
// can get.
func TestPeoplesWorkFindsAWorkerWhateverElseIsUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &replicator{queue: newQueue(), backoff: &backoff{failures: map[string]int{}}, ctx: ctx, cancel: cancel}
	turn := make(chan struct{})
	var bulk, most, urgent atomic.Int64
	var mu sync.Mutex
	var seen []string
	r.run(func(_ *replicator, name string) {
		mu.Lock()
		seen = append(seen, name)
		mu.Unlock()
		if name == "urgent" {
			urgent.Add(1)
			return
		}
		most.Store(max(most.Load(), bulk.Add(1)))
		<-turn
		bulk.Add(-1)
	})
	const names = 3 * workersPerDestination
	for i := range names {
		r.add(fmt.Sprint(i), quota.Bulk)
	}
	eventually(t, "bulk work is under way", func() bool { return bulk.Load() >= workersPerDestination-keptForPeople })
	for n := range 3 {
		r.add("urgent", quota.People)
		eventually(t, "people's work is done", func() bool { return urgent.Load() == int64(n+1) })
	}
	close(turn)
	eventually(t, "all work is done", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == names+3
	})
	r.stop()
	r.workers.Wait()
	if most.Load() > workersPerDestination-keptForPeople {
		t.Errorf("%d workers did bulk work", most.Load())
	}
}
