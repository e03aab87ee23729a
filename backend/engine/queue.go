// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// queue holds the names of secrets that wait to be worked on at a destination,
// in lanes: people's writes leave it before retries, and those before bulk work.
// A name waits once, in the most urgent lane that was asked for, and is never
// given out twice at a time. It is safe for concurrent use.
type queue struct {
	workqueue.TypedDelayingInterface[string]

	mu      sync.Mutex
	asked   map[string]quota.Lane // by name, until it is given out
	waiting map[string]quota.Lane
	working map[string]quota.Lane
	lanes   [3][]string // a name that was moved up is left behind as ""
	depth   [3]int
	arrived chan struct{} // has an entry when people's work came
}

func newQueue() *queue {
	q := &queue{asked: map[string]quota.Lane{}, waiting: map[string]quota.Lane{}, working: map[string]quota.Lane{}, arrived: make(chan struct{}, 1)}
	q.TypedDelayingInterface = workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[string]{
		Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[string]{Queue: (*laned)(q)}),
	})
	return q
}

// add queues the name in a lane.
func (q *queue) add(name string, lane quota.Lane) {
	q.ask(name, lane)
	q.Add(name)
}

// addAfter queues the name in a lane when the time is over.
func (q *queue) addAfter(name string, lane quota.Lane, delay time.Duration) {
	q.mu.Lock()
	// The lane is taken when it is queued, unless somebody asks for it before.
	if _, asked := q.asked[name]; !asked {
		q.asked[name] = lane
	}
	q.mu.Unlock()
	q.AddAfter(name, delay)
}

func (q *queue) ask(name string, lane quota.Lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if before, asked := q.asked[name]; !asked || lane < before {
		q.asked[name] = lane
	}
}

// lane is the lane in which a name was given out that is being worked on.
func (q *queue) lane(name string) quota.Lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.working[name]
}

// done ends the work on a name.
func (q *queue) done(name string) {
	q.mu.Lock()
	delete(q.working, name)
	q.mu.Unlock()
	q.Done(name)
}

// urgent tells whether people's work waits.
func (q *queue) urgent() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.depth[quota.People] > 0
}

// depths are how many names wait by lane.
func (q *queue) depths() map[quota.Lane]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	depths := map[quota.Lane]int{}
	for _, lane := range quota.Lanes() {
		depths[lane] = q.depth[lane]
	}
	return depths
}

// laned is the order in which the work queue gives names out.
type laned queue

var _ workqueue.Queue[string] = (*laned)(nil)

// Touch moves a waiting name up if a more urgent lane was asked for.
func (q *laned) Touch(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lane, waits := q.waiting[name]
	asked, found := q.asked[name]
	if !waits || !found || asked >= lane {
		return
	}
	for i, other := range q.lanes[lane] {
		if other == name {
			q.lanes[lane][i] = ""
			break
		}
	}
	q.depth[lane]--
	q.push(name, asked)
}

// Push adds a name that doesn't wait yet.
func (q *laned) Push(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lane, found := q.asked[name]
	if !found {
		lane = quota.Retry // its time has come
	}
	q.push(name, lane)
}

func (q *laned) push(name string, lane quota.Lane) {
	q.waiting[name] = lane
	q.lanes[lane] = append(q.lanes[lane], name)
	q.depth[lane]++
	if lane == quota.People {
		select {
		case q.arrived <- struct{}{}:
		default:
		}
	}
}

// Len is how many names wait.
func (q *laned) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Pop gives out the name that is next. The work queue calls it only when one
// waits.
func (q *laned) Pop() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	for lane := range q.lanes {
		for len(q.lanes[lane]) > 0 {
			name := q.lanes[lane][0]
			q.lanes[lane][0] = ""
			q.lanes[lane] = q.lanes[lane][1:]
			if name == "" {
				continue
			}
			q.depth[lane]--
			q.working[name] = q.waiting[name]
			// What was asked for just now, and isn't queued yet, stays.
			if asked, found := q.asked[name]; found && asked >= q.waiting[name] {
				delete(q.asked, name)
			}
			delete(q.waiting, name)
			return name
		}
	}
	return ""
}
