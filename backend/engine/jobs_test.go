// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// counting is a kind of job for tests: its subjects are numbers. It outlives a
// restart.
type counting struct {
	mu   sync.Mutex
	done map[string]int
	// before is asked before a subject; nil for nothing.
	before func(ctx context.Context, subject int) error
}

type countTo struct{ Subjects, Page int }

const jobCount = "count"

func (c *counting) open(parameters json.RawMessage) (jobStep, error) {
	var to countTo
	if err := json.Unmarshal(parameters, &to); err != nil || to.Page == 0 {
		return nil, Refusef("the page is missing")
	}
	return func(ctx context.Context, run *jobRun) (jobPage, error) {
		from, _ := strconv.Atoi(run.cursor)
		n := min(to.Page, to.Subjects-from)
		items, err := run.each(ctx, n, func(ctx context.Context, i int) (JobItem, error) { return c.count(ctx, from+i) })
		next := from + len(items)
		return jobPage{items: items, next: strconv.Itoa(next), total: to.Subjects, done: next == to.Subjects}, err
	}, nil
}

func (c *counting) count(ctx context.Context, subject int) (JobItem, error) {
	if c.before != nil {
		if err := c.before(ctx, subject); err != nil {
			return JobItem{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strconv.Itoa(subject)
	c.done[name]++
	result := "even"
	if subject%2 == 1 {
		result = "odd"
	}
	return JobItem{Subject: name, Result: result}, nil
}

// newCountingMount is an engine that knows the kind, and hasn't begun its work.
func newCountingMount(t *testing.T) (*testMount, *counting) {
	m := newTestMount(t)
	c := &counting{done: map[string]int{}}
	m.jobs.kinds[jobCount] = c.open
	return m, c
}

func (m *testMount) count(to countTo) string {
	m.t.Helper()
	id, err := m.StartJob(context.Background(), jobCount, to, JobAuthor{DisplayName: "tester"})
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

func (m *testMount) job(id string) *JobProgress {
	m.t.Helper()
	j, err := m.Job(context.Background(), id)
	if err != nil {
		m.t.Fatal(err)
	}
	return j
}

func (m *testMount) awaitJobState(id string, state JobState) *JobProgress {
	m.t.Helper()
	eventually(m.t, "the job is "+string(state), func() bool {
		j := m.job(id)
		return j != nil && j.State == state
	})
	return m.job(id)
}

// reported is the whole report, read in parts.
func (m *testMount) reported(id, result string, limit int) (subjects []string) {
	m.t.Helper()
	for at := 0; at >= 0; {
		part, err := m.JobReport(context.Background(), id, result, at, limit)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, item := range part.Items {
			subjects = append(subjects, item.Subject)
		}
		at = part.Next
	}
	return subjects
}

func (m *testMount) checkCounted(id string, n int) {
	m.t.Helper()
	subjects := m.reported(id, "", 7)
	if len(subjects) != n {
		m.t.Errorf("the report has %d subjects, not %d", len(subjects), n)
	}
	for i, subject := range subjects {
		if subject != strconv.Itoa(i) {
			m.t.Fatalf("entry %d of the report is of subject %s", i, subject)
		}
	}
	j := m.job(id)
	if j.Counts["even"] != (n+1)/2 || j.Counts["odd"] != n/2 || j.Items != n {
		m.t.Errorf("of %d subjects the job counted %v, %d in all", n, j.Counts, j.Items)
	}
}

func TestAJobReportsEachSubjectOnce(t *testing.T) {
	for _, to := range []countTo{{0, 10}, {1, 10}, {100, 100}, {250, 30}, {250, 250}, {301, 1}} {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			m, _ := newCountingMount(t)
			m.Start()
			id := m.count(to)
			j := m.awaitJobState(id, JobDone)
			m.checkCounted(id, to.Subjects)
			if j.Total != to.Subjects || j.Who.DisplayName != "tester" || j.Waiting != "" {
				t.Errorf("the job is %+v", j)
			}
			if odd := m.reported(id, "odd", 3); len(odd) != to.Subjects/2 {
				t.Errorf("%d results are odd", len(odd))
			}
		})
	}
}

func TestAJobGoesOnAfterACrashAtAnyWriteToStorage(t *testing.T) {
	for nth := 1; ; nth++ {
		m, c := newCountingMount(t)
		m.Start()
		writes, died := 0, make(chan struct{})
		m.disk.intervene(func(_ int, operation, key string) error {
			if operation == "get" || operation == "list" || !strings.HasPrefix(key, "job") {
				return nil
			}
			if writes++; writes == nth {
				close(died)
			}
			if writes >= nth {
				return errStorage
			}
			return nil
		}, nil)
		id, err := m.StartJob(t.Context(), jobCount, countTo{250, 40}, JobAuthor{})
		if nth == 1 {
			if err == nil {
				t.Error("a job that isn't stored was begun")
			}
			continue
		}
		over := make(chan struct{})
		if j := m.jobs.get(id); j != nil {
			over = j.over
		} else {
			close(over)
		}
		select {
		case <-died:
		case <-over:
			if nth < 14 {
				t.Fatalf("the job made only %d writes", nth-1)
			}
			m.checkCounted(id, 250)
			return
		}
		m.Stop()
		m.disk.intervene(nil, nil)
		m.open()
		m.jobs.kinds[jobCount] = c.open
		m.Start()
		m.awaitJobState(id, JobDone)
		m.checkCounted(id, 250)
	}
}

func TestACancelledJobBeginsNoOtherSubject(t *testing.T) {
	m, c := newCountingMount(t)
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.before = func(_ context.Context, subject int) error {
		if subject >= 20 {
			once.Do(func() { close(reached) })
			<-release
		}
		return nil
	}
	m.Start()
	id := m.count(countTo{100, 100})
	<-reached
	if found, err := m.CancelJob(t.Context(), id); !found || err != nil {
		t.Fatal(found, err)
	}
	if !m.job(id).Cancelling {
		t.Error("it doesn't say that it is being cancelled")
	}
	close(release)
	j := m.awaitJobState(id, JobCancelled)
	// One more may have been handed out beside those that were under way.
	if j.Items < 20 || j.Items > 20+jobWorkers+1 || len(c.done) != j.Items {
		t.Errorf("%d subjects are done, %d reported", len(c.done), j.Items)
	}
	m.checkCounted(id, j.Items)
	m.restart()
	if got := m.job(id).State; got != JobCancelled {
		t.Errorf("after a restart it is %s", got)
	}
}

func TestAJobThatWasCancelledBeforeACrashDoesNotGoOn(t *testing.T) {
	m, c := newCountingMount(t)
	id := m.count(countTo{10, 10}) // the engine hasn't begun
	if found, err := m.CancelJob(t.Context(), id); !found || err != nil {
		t.Fatal(found, err)
	}
	m.open()
	m.jobs.kinds[jobCount] = c.open
	m.Start()
	m.awaitJobState(id, JobCancelled)
	if len(c.done) > 0 {
		t.Errorf("it did %v", c.done)
	}
}

func TestAPausedMountPausesItsJobs(t *testing.T) {
	m, c := newCountingMount(t)
	pause := func(paused bool) {
		t.Helper()
		if err := m.ChangeConfig(t.Context(), func(c *Config) { c.Paused = paused }); err != nil {
			t.Fatal(err)
		}
	}
	paused := make(chan struct{})
	var once sync.Once
	c.before = func(_ context.Context, subject int) error {
		switch {
		case subject == 50:
			once.Do(func() {
				pause(true)
				close(paused)
			})
		case subject > 50:
			<-paused
		}
		return nil
	}
	m.Start()
	id := m.count(countTo{200, 100})
	eventually(t, "the job waits", func() bool { return m.job(id).Waiting == "pause" })
	if n := m.job(id).Items; n < 51 || n > 51+jobWorkers+1 {
		t.Errorf("%d subjects were done before the pause", n)
	}
	pause(false)
	m.awaitJobState(id, JobDone)
	m.checkCounted(id, 200)
}

func TestHowFailuresOfAJobEnd(t *testing.T) {
	tests := map[string]struct {
		failure error
		want    JobState
	}{
		"our storage stumbles":                     {errStorage, JobDone},
		"the cloud doesn't answer":                 {&provider.Error{Class: provider.ClassUnavailable, Message: "no answer"}, JobDone},
		"the credentials are refused":              {&provider.Error{Class: provider.ClassAuth, Message: "refused"}, JobFailed},
		"the destination was deleted":              {Refusef("destination x doesn't exist"), JobFailed},
		"the cloud's throttling, wrapped in words": {fmt.Errorf("list: %w", &provider.Error{Class: provider.ClassThrottled}), JobDone},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &counting{done: map[string]int{}}
				var once sync.Once
				c.before = func(_ context.Context, subject int) (err error) {
					if subject == 33 {
						once.Do(func() { err = test.failure })
					}
					return err
				}
				e := jobEngine(c)
				id, err := e.StartJob(t.Context(), jobCount, countTo{100, 40}, JobAuthor{})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour) // of the bubble's clock
				j, err := e.Job(t.Context(), id)
				if err != nil || j.State != test.want {
					t.Fatalf("the job is %+v, %v", j, err)
				}
				if test.want == JobFailed && (j.Items != 33 || !strings.Contains(j.Failure, test.failure.Error())) {
					t.Errorf("the job failed after %d subjects with %q", j.Items, j.Failure)
				}
				if test.want == JobDone && j.Items != 100 {
					t.Errorf("%d subjects are reported", j.Items)
				}
				e.cancel()
				e.work.Wait()
			})
		})
	}
}

// jobEngine is an engine that has begun nothing but jobs.
func jobEngine(c *counting) *Engine {
	e := &Engine{
		storage: &leasedStorage{Storage: &testStorage{}}, log: hclog.NewNullLogger(),
		jobs: jobs{turns: make(chan struct{}, jobsAtOnce), byID: map[string]*job{}, kinds: map[string]openJob{jobCount: c.open}},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

func TestOnlySomeJobsWorkAtOnceAndAllGetTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{done: map[string]int{}}
		release := make(chan struct{})
		c.before = func(context.Context, int) error { <-release; return nil }
		e := jobEngine(c)
		var ids []string
		for range jobsAtOnce + 2 {
			id, err := e.StartJob(t.Context(), jobCount, countTo{1, 1}, JobAuthor{})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		synctest.Wait()
		waiting := 0
		for _, id := range ids {
			if j, _ := e.Job(t.Context(), id); j.Waiting == "turn" {
				waiting++
			}
		}
		if waiting != 2 {
			t.Errorf("%d jobs wait for their turn", waiting)
		}
		close(release)
		synctest.Wait()
		for _, id := range ids {
			if j, _ := e.Job(t.Context(), id); j.State != JobDone {
				t.Errorf("job %s is %s", id, j.State)
			}
		}
		e.cancel()
		e.work.Wait()
	})
}

func TestFinishedJobsAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := jobEngine(&counting{done: map[string]int{}})
		run := func() string {
			id, err := e.StartJob(t.Context(), jobCount, countTo{101, 101}, JobAuthor{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(time.Second)
			return id
		}
		first := run()
		for range jobsKept {
			run()
		}
		if j, _ := e.Job(t.Context(), first); j != nil {
			t.Error("the oldest of too many is kept")
		}
		if all, _ := e.Jobs(t.Context()); len(all) != jobsKept {
			t.Errorf("%d jobs are kept", len(all))
		}
		time.Sleep(jobsKeptFor)
		last := run()
		if all, _ := e.Jobs(t.Context()); len(all) != 1 || all[0].ID != last {
			t.Errorf("after a week %d jobs are kept", len(all))
		}
		if pages, _ := jobReports.List(t.Context(), e.storage, ""); len(pages) != 1 {
			t.Errorf("reports of %v are left", pages)
		}
		if err := e.DeleteJob(t.Context(), last); err != nil {
			t.Error(err)
		}
		if pages, _ := jobReports.List(t.Context(), e.storage, ""); len(pages) != 0 {
			t.Errorf("reports of %v are left", pages)
		}
		e.cancel()
		e.work.Wait()
	})
}

func TestARunningJobIsNotDeleted(t *testing.T) {
	m, _ := newCountingMount(t)
	id := m.count(countTo{10, 10})
	var refusal *RefusedError
	if err := m.DeleteJob(t.Context(), id); !errors.As(err, &refusal) {
		t.Errorf("it was deleted: %v", err)
	}
	if _, err := m.StartJob(t.Context(), "dance", countTo{}, JobAuthor{}); !errors.As(err, &refusal) {
		t.Errorf("a job of an unknown kind: %v", err)
	}
	if _, err := m.StartJob(t.Context(), jobCount, countTo{}, JobAuthor{}); !errors.As(err, &refusal) {
		t.Errorf("a job with wrong parameters: %v", err)
	}
}
