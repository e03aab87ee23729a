// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/record"
)

// A job is long work that somebody asked for. It goes through its subjects a page
// at a time and notes what came of each. What is stored after each page is all
// that is needed to go on, on whatever node:
//
//	job/<id>                 the job, with how far it has come
//	jobreport/<id>/<page>    the results, in order, so many to a page
//
// The results are stored before the cursor. So a crash between the two repeats
// the page, whose results then take the place of those that were stored; a kind
// of job has to be such that repeating a page is harmless.
var (
	jobRecords = record.Kind[Job]{Prefix: "job/", Version: 1}
	jobReports = record.Kind[jobReport]{Prefix: "jobreport/", Version: 1}
)

const (
	// jobsAtOnce is how many jobs work at a time; others wait for their turn.
	jobsAtOnce = 3
	// jobsKept and jobsKeptFor are how many finished jobs are kept, and for how long.
	jobsKept    = 50
	jobsKeptFor = 7 * 24 * time.Hour
	// mostJobParameters bounds what a job is begun with, in bytes.
	mostJobParameters = 64 << 10
)

// JobState is where a job is in its life.
type JobState string

// The states of a job.
const (
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobCancelled JobState = "cancelled"
	JobFailed    JobState = "failed" // can't go on; Failure says why
)

// Job is a job as it is stored.
type Job struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`
	Parameters json.RawMessage `json:"parameters,omitempty"` // the kind's own, without values of secrets
	Who        JobAuthor       `json:"who,omitzero"`
	State      JobState        `json:"state"`
	// Cancelling is set when somebody asked for its end.
	Cancelling bool      `json:"cancelling,omitempty"`
	Started    time.Time `json:"started"`
	Updated    time.Time `json:"updated"`
	Failure    string    `json:"failure,omitempty"`

	// Cursor is where to go on, in the kind's own words.
	Cursor string `json:"cursor,omitempty"`
	// Items is how many results are in the report, Counts how many there are of each kind.
	Items  int            `json:"items,omitempty"`
	Counts map[string]int `json:"counts,omitempty"`
	Total  int            `json:"total,omitempty"` // of subjects; 0 while it isn't known
}

// JobAuthor is who asked for a job.
type JobAuthor struct {
	RequestID   string `json:"request_id,omitempty"`
	EntityID    string `json:"entity_id,omitempty"`
	DisplayName string `json:"display_name,omitempty"`
}

// JobItem is what came of one subject. It never holds a value of a secret.
type JobItem struct {
	Subject string         `json:"subject"`
	Result  string         `json:"result"` // a word of the kind
	Message string         `json:"message,omitempty"`
	Details map[string]any `json:"details,omitempty"` // small
}

// JobProgress is a job and what is known of it beyond what is stored.
type JobProgress struct {
	Job
	// Waiting says for what a running job waits; "" if it works.
	Waiting string
}

// jobs are those that aren't over. It is safe for concurrent use.
type jobs struct {
	turns chan struct{} // one for each that works
	kinds map[string]openJob

	mu   sync.Mutex
	byID map[string]*job
}

func (js *jobs) get(id string) *job {
	js.mu.Lock()
	defer js.mu.Unlock()
	return js.byID[id]
}

// add notes a job, unless it is known.
func (js *jobs) add(id string, j *job) bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	if js.byID[id] != nil {
		return false
	}
	js.byID[id] = j
	return true
}

func (js *jobs) remove(id string) {
	js.mu.Lock()
	defer js.mu.Unlock()
	delete(js.byID, id)
}

// StartJob stores a job and begins it. The parameters are the kind's.
func (e *Engine) StartJob(ctx context.Context, kind string, parameters any, who JobAuthor) (id string, err error) {
	encoded, err := json.Marshal(parameters)
	if err != nil {
		return "", fmt.Errorf("encode the parameters of a job: %w", err)
	}
	if len(encoded) > mostJobParameters {
		return "", Refusef("what the job is asked for takes %d bytes; at most %d are possible, since it is stored with each step: give fewer globs, such as team-a/** instead of each name, or several jobs",
			len(encoded), mostJobParameters)
	}
	if _, err := e.openJob(kind, encoded); err != nil {
		return "", err
	}
	now := time.Now().UTC()
	id = newJobID(kind, now)
	stored := &Job{
		ID: id, Kind: kind, Parameters: encoded, Who: who, State: JobRunning, Started: now, Updated: now,
	}
	if err := jobRecords.Put(ctx, e.storage, id, stored); err != nil {
		return "", err
	}
	if j := newJob(stored); e.jobs.add(id, j) {
		e.background(func(ctx context.Context) { e.runJob(ctx, j) })
	}
	return id, nil
}

// newJobID is such that the ids of a kind sort by time.
func newJobID(kind string, now time.Time) string {
	suffix := make([]byte, 4)
	for i := range suffix {
		suffix[i] = byte(rand.UintN(256)) //nolint:gosec // an id needn't be hard to guess
	}
	return kind + "-" + now.Format("20060102-150405") + "-" + hex.EncodeToString(suffix)
}

// Job returns a job, nil if there is none.
func (e *Engine) Job(ctx context.Context, id string) (*JobProgress, error) {
	if j := e.jobs.get(id); j != nil {
		return j.progress(), nil
	}
	stored, err := jobRecords.Get(ctx, e.storage, id)
	if err != nil || stored == nil {
		return nil, err
	}
	return &JobProgress{Job: *stored}, nil
}

// Jobs returns all jobs, the latest first.
func (e *Engine) Jobs(ctx context.Context) ([]*JobProgress, error) {
	ids, err := jobRecords.List(ctx, e.storage, "")
	if err != nil {
		return nil, err
	}
	all := make([]*JobProgress, 0, len(ids))
	for _, id := range ids {
		j, err := e.Job(ctx, id)
		if err != nil {
			return nil, err
		}
		if j != nil {
			all = append(all, j)
		}
	}
	slices.SortFunc(all, func(a, b *JobProgress) int {
		if byTime := b.Started.Compare(a.Started); byTime != 0 {
			return byTime
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, nil
}

// CancelJob ends a job before its next subject. One that is over stays as it is;
// found is false if there is none.
func (e *Engine) CancelJob(ctx context.Context, id string) (found bool, err error) {
	j := e.jobs.get(id)
	if j == nil {
		stored, err := jobRecords.Get(ctx, e.storage, id)
		if err != nil || stored == nil {
			return false, err
		}
		if stored.State == JobRunning {
			return true, fmt.Errorf("job %s isn't taken up yet after the start; try again in a moment", id)
		}
		return true, nil
	}
	if err := j.store(ctx, e.storage, func(next *Job) { next.Cancelling = true }); err != nil {
		return true, err
	}
	j.cancel()
	return true, nil
}

// DeleteJob removes a job that is over, with its report. A *RefusedError says that
// it isn't.
func (e *Engine) DeleteJob(ctx context.Context, id string) error {
	stored, err := e.Job(ctx, id)
	if err != nil || stored == nil {
		return err
	}
	if stored.State == JobRunning {
		return Refusef("job %s is running; cancel it first at jobs/%s/cancel", id, id)
	}
	return e.dropJob(ctx, id)
}

// dropJob removes a job. The report goes first, so that nothing is left of one
// that nobody knows.
func (e *Engine) dropJob(ctx context.Context, id string) error {
	pages, err := jobReports.List(ctx, e.storage, id+"/")
	if err != nil {
		return err
	}
	for _, page := range pages {
		if err := jobReports.Delete(ctx, e.storage, id+"/"+page); err != nil {
			return err
		}
	}
	return jobRecords.Delete(ctx, e.storage, id)
}

// pruneJobs removes finished jobs that are old or too many.
func (e *Engine) pruneJobs(ctx context.Context) error {
	all, err := e.Jobs(ctx)
	if err != nil {
		return err
	}
	kept := 0
	for _, j := range all {
		if j.State == JobRunning {
			continue
		}
		if kept++; kept <= jobsKept && time.Since(j.Updated) < jobsKeptFor {
			continue
		}
		if err := e.dropJob(ctx, j.ID); err != nil {
			return err
		}
	}
	return nil
}

// clone is deep as far as anybody changes it.
func (j Job) clone() Job {
	j.Counts = maps.Clone(j.Counts)
	return j
}
