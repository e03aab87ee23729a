// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// jobKinds are the kinds of jobs, by name.
func (e *Engine) jobKinds() map[string]openJob {
	return map[string]openJob{
		jobResume: e.openResume,
		jobImport: e.openImport,
		jobVerify: e.openVerifyJob,
	}
}

// openJob makes the step of a job from its parameters. A *RefusedError says what
// is wrong with these. It is called again when the job goes on after a restart.
type openJob func(parameters json.RawMessage) (jobStep, error)

// jobStep works on the next subjects of a job, from run.cursor on. What it did
// counts also when it returns an error: a *RefusedError, or a failure that doesn't
// end by itself, ends the job, and after any other it goes on from the new cursor
// after a while. It begins no subject when run.proceeds says no, see
// [jobRun.each].
type jobStep func(ctx context.Context, run *jobRun) (jobPage, error)

// jobPage is what a step did.
type jobPage struct {
	items []JobItem
	next  string // the new cursor; "" for the old one
	done  bool   // nothing is left to do
	total int    // of subjects, if it became known
}

// jobRun is a job as its step sees it.
type jobRun struct {
	id     string
	cursor string
	job    *job
	e      *Engine
}

// proceeds tells whether the next subject may be begun: not when somebody asked
// for the end of the job, or paused the mount.
func (r *jobRun) proceeds(ctx context.Context) bool {
	return ctx.Err() == nil && !r.job.cancelled() && !r.e.jobsPaused(ctx, r.job.progress().Kind)
}

// jobWorkers is on how many subjects a job works at once.
const jobWorkers = 8

// each works on n subjects in order, on some at once, as long as the job proceeds.
// It returns the results of the first ones, up to one that failed or wasn't begun.
// Subjects after one that failed may be done, so that they are repeated.
func (r *jobRun) each(ctx context.Context, n int, work func(ctx context.Context, i int) (JobItem, error)) ([]JobItem, error) {
	items, failed, begun := make([]JobItem, n), make([]error, n), make([]bool, n)
	next := make(chan int)
	var broken sync.Once
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for range min(jobWorkers, n) {
		workers.Go(func() {
			for i := range next {
				if items[i], failed[i] = work(ctx, i); failed[i] != nil {
					broken.Do(func() { close(stop) })
				}
			}
		})
	}
feed:
	for i := range n {
		if !r.proceeds(ctx) {
			break
		}
		select {
		case <-stop:
			break feed
		case next <- i:
			begun[i] = true
		}
	}
	close(next)
	workers.Wait()
	for i := range n {
		if !begun[i] || failed[i] != nil {
			return items[:i], failed[i]
		}
	}
	return items, nil
}

// job is one that isn't over.
type job struct {
	cancelOnce sync.Once
	cancelling chan struct{}
	over       chan struct{} // closed when nothing is done any more

	storing sync.Mutex // over changing what is stored; taken before mu
	mu      sync.Mutex
	stored  Job
	waiting string
}

func newJob(stored *Job) *job {
	j := &job{stored: *stored, cancelling: make(chan struct{}), over: make(chan struct{}), waiting: "turn"}
	if stored.Cancelling {
		j.cancel()
	}
	return j
}

func (j *job) cancel() { j.cancelOnce.Do(func() { close(j.cancelling) }) }

func (j *job) cancelled() bool {
	select {
	case <-j.cancelling:
		return true
	default:
		return false
	}
}

func (j *job) progress() *JobProgress {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := &JobProgress{Job: j.stored.clone()}
	if p.State == JobRunning {
		p.Waiting = j.waiting
	}
	return p
}

func (j *job) waits(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting = what
}

// store changes the stored job.
func (j *job) store(ctx context.Context, storage logical.Storage, change func(next *Job)) error {
	j.storing.Lock()
	defer j.storing.Unlock()
	next := j.progress().Job
	change(&next)
	if err := jobRecords.Put(ctx, storage, next.ID, &next); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stored = next
	return nil
}

// openJob makes the step of a job.
func (e *Engine) openJob(kind string, parameters json.RawMessage) (jobStep, error) {
	open, kinds := e.jobs.kinds[kind], e.jobs.kinds
	if open == nil {
		return nil, Refusef("this version of the plugin has no jobs of the kind %q, only %s", kind, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	return open(parameters)
}

// jobsPaused tells whether jobs of the kind have to rest.
func (e *Engine) jobsPaused(ctx context.Context, kind string) bool {
	if kind == jobResume {
		return false // it is what ends the pause
	}
	config, err := e.Config(ctx)
	return err != nil || config.Paused
}

// pausePoll is how often a job looks whether a pause is over.
const pausePoll = time.Second

// runJob works on a job until it is over or ctx is done.
func (e *Engine) runJob(ctx context.Context, j *job) {
	defer close(j.over)
	select {
	case e.jobs.turns <- struct{}{}:
		defer func() { <-e.jobs.turns }()
	case <-j.cancelling:
	case <-ctx.Done():
		return
	}
	id := j.progress().ID
	state, failure := e.workOnJob(quota.WithLane(ctx, quota.Bulk), j)
	if ctx.Err() != nil {
		return
	}
	e.persist(ctx, "note the end of job "+id, func() error {
		return j.store(ctx, e.storage, func(next *Job) {
			next.State, next.Failure, next.Updated = state, failure, time.Now().UTC()
		})
	})
	e.jobs.remove(id)
	e.log.Info("a job ended", "job", id, "state", state, "items", j.progress().Items, "failure", failure)
	if err := e.pruneJobs(ctx); err != nil && ctx.Err() == nil {
		e.log.Warn("old jobs can't be removed yet; the end of the next job removes them", "error", err)
	}
}

// workOnJob takes steps until the job is over, and returns how it ended. It
// returns nothing of use when ctx is done.
func (e *Engine) workOnJob(ctx context.Context, j *job) (JobState, string) {
	stored := j.progress().Job
	ctx = WithCause(ctx, Cause{RequestID: stored.Who.RequestID, EntityID: stored.Who.EntityID, DisplayName: stored.Who.DisplayName})
	step, err := e.openJob(stored.Kind, stored.Parameters)
	if err != nil {
		return JobFailed, err.Error()
	}
	failures := 0
	for ctx.Err() == nil {
		switch {
		case j.cancelled():
			return JobCancelled, ""
		case e.jobsPaused(ctx, stored.Kind):
			j.rest(ctx, "pause", pausePoll)
			continue
		}
		j.waits("")
		page, failed := step(ctx, &jobRun{id: stored.ID, cursor: j.progress().Cursor, job: j, e: e})
		e.noteJob(ctx, j, page)
		switch {
		case failed == nil && page.done:
			return JobDone, ""
		case failed == nil:
			failures = 0
		case ctx.Err() != nil:
		case !passes(failed):
			return JobFailed, failed.Error()
		default:
			if len(page.items) > 0 {
				failures = 0
			}
			e.log.Warn("a job can't go on, it is tried again", "job", stored.ID, "error", failed)
			j.rest(ctx, failed.Error(), max(min(firstRetry<<min(failures, 6), time.Minute), retryAfter(failed)))
			failures++
		}
	}
	return "", ""
}

// passes tells whether a failure may end by itself.
func passes(err error) bool {
	var refusal *RefusedError
	if errors.As(err, &refusal) {
		return false
	}
	var remote *provider.Error
	return !errors.As(err, &remote) || remote.Class.Recovers()
}

// rest waits a while, unless the job is cancelled.
func (j *job) rest(ctx context.Context, what string, d time.Duration) {
	j.waits(what)
	select {
	case <-ctx.Done():
	case <-j.cancelling:
	case <-time.After(d):
	}
}

// noteJob stores what a step did: the results, and then how far it came. At the
// end of the engine's work it tries once.
func (e *Engine) noteJob(ctx context.Context, j *job, page jobPage) {
	before, noted := j.progress().Job, false
	if page.next == "" && !page.done {
		page.next = before.Cursor
	}
	if len(page.items) == 0 && page.next == before.Cursor && page.total == 0 {
		return
	}
	note := func(ctx context.Context) error {
		if err := appendReport(ctx, e.storage, before.ID, before.Items, page.items); err != nil {
			return err
		}
		return j.store(ctx, e.storage, func(next *Job) {
			next.Cursor, next.Updated = page.next, time.Now().UTC()
			next.Items = before.Items + len(page.items)
			if page.total > 0 {
				next.Total = page.total
			}
			if next.Counts == nil {
				next.Counts = map[string]int{}
			}
			for _, item := range page.items {
				next.Counts[item.Result]++
			}
		})
	}
	e.persist(ctx, "store the progress of job "+before.ID, func() error {
		err := note(ctx)
		noted = err == nil
		return err
	})
	if !noted {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTidy)
		defer cancel()
		if err := note(last); err != nil {
			e.log.Debug("the last page of a job isn't noted; it is repeated after the next start", "job", before.ID, "error", err)
		}
	}
}

// resumeJobs goes on with the jobs that an earlier life began.
func (e *Engine) resumeJobs(ctx context.Context) {
	var all []*JobProgress
	e.persist(ctx, "list jobs", func() (err error) {
		all, err = e.Jobs(ctx)
		return err
	})
	for _, stored := range slices.Backward(all) {
		if stored.State != JobRunning {
			continue
		}
		if j := newJob(&stored.Job); e.jobs.add(stored.ID, j) {
			e.log.Info("going on with a job", "job", stored.ID, "items", stored.Items)
			e.background(func(ctx context.Context) { e.runJob(ctx, j) })
		}
	}
}
