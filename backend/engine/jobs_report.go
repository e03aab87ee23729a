// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// jobPageItems is how many results a page of a report has. A page has to fit an
	// entry of storage.
	jobPageItems = 100
	// longestJobMessage cuts what a cloud says at length, and mostJobDetails what is
	// told of a subject with many parts, in bytes of JSON.
	longestJobMessage = 2000
	mostJobDetails    = 2000
	// jobPagesScanned bounds how much one reading of a report looks through.
	jobPagesScanned = 50
)

type jobReport struct {
	Items []JobItem `json:"items"`
}

func jobPageID(id string, page int) string { return fmt.Sprintf("%s/%06d", id, page) }

// appendReport stores results behind the first have ones. What is stored beyond
// these is of a page that was broken off, and is written over.
func appendReport(ctx context.Context, storage logical.Storage, id string, have int, items []JobItem) error {
	for len(items) > 0 {
		page, kept := have/jobPageItems, have%jobPageItems
		report := &jobReport{}
		if kept > 0 {
			stored, err := jobReports.Get(ctx, storage, jobPageID(id, page))
			if err != nil {
				return err
			}
			if stored == nil || len(stored.Items) < kept {
				return fmt.Errorf("page %d of the report of job %s has less than %d results", page, id, kept)
			}
			report.Items = stored.Items[:kept]
		}
		n := min(jobPageItems-kept, len(items))
		for _, item := range items[:n] {
			report.Items = append(report.Items, item.cut())
		}
		if err := jobReports.Put(ctx, storage, jobPageID(id, page), report); err != nil {
			return err
		}
		items, have = items[n:], have+n
	}
	return nil
}

// cut is the item as it is kept: what it tells at length is cut.
func (i JobItem) cut() JobItem {
	if len(i.Message) > longestJobMessage {
		i.Message = strings.ToValidUTF8(i.Message[:longestJobMessage], "") + "..."
	}
	room, kept := mostJobDetails, map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(i.Details)) {
		detail, err := json.Marshal(map[string]any{key: i.Details[key]})
		if room -= len(detail); err != nil || room < 0 {
			kept["left_out"] = len(i.Details) - len(kept)
			break
		}
		kept[key] = i.Details[key]
	}
	if len(kept) < len(i.Details) {
		i.Details = kept
	}
	return i
}

// JobItems are a part of a job's report.
type JobItems struct {
	Items []JobItem
	// Next is where to go on, -1 at the end. A part may have no items before that.
	Next int
}

// JobReport returns results of a job from the number after on, those of one kind
// if result isn't empty; nil if there is no such job.
func (e *Engine) JobReport(ctx context.Context, id, result string, after, limit int) (*JobItems, error) {
	j, err := e.Job(ctx, id)
	if err != nil || j == nil {
		return nil, err
	}
	part := &JobItems{Next: -1}
	at := max(after, 0)
	for range jobPagesScanned {
		if at >= j.Items {
			return part, nil
		}
		page := at / jobPageItems
		stored, err := jobReports.Get(ctx, e.storage, jobPageID(id, page))
		if err != nil {
			return nil, err
		}
		if stored == nil {
			return part, nil // it is being deleted
		}
		for ; at < min(j.Items, page*jobPageItems+len(stored.Items)); at++ {
			if len(part.Items) == limit {
				part.Next = at
				return part, nil
			}
			if item := stored.Items[at%jobPageItems]; result == "" || item.Result == result {
				part.Items = append(part.Items, item)
			}
		}
		if at < min(j.Items, (page+1)*jobPageItems) {
			return part, nil
		}
	}
	if at < j.Items {
		part.Next = at
	}
	return part, nil
}

// eachJobItem calls visit for every result of a job, in order.
func (e *Engine) eachJobItem(ctx context.Context, id string, visit func(JobItem)) error {
	for at := 0; at >= 0; {
		part, err := e.JobReport(ctx, id, "", at, jobPageItems)
		if err != nil {
			return err
		}
		if part == nil {
			return Refusef("job %s doesn't exist any more", id)
		}
		for _, item := range part.Items {
			visit(item)
		}
		at = part.Next
	}
	return nil
}

// AwaitJob waits until a job is over, at most so long.
func (e *Engine) AwaitJob(ctx context.Context, id string, limit time.Duration) {
	until := time.Now().Add(limit)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-answerTime).Before(until) {
		until = deadline.Add(-answerTime)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if j := e.jobs.get(id); j != nil {
		select {
		case <-j.over:
		case <-ctx.Done():
		}
	}
}
