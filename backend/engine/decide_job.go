// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// jobResume is the kind of job that decides about many secrets.
const jobResume = "resume"

// The results of its items.
const (
	resultTaken     = "taken"     // was ahead of Vault; decided
	resultConfirmed = "confirmed" // is as Vault knows it
	resultFailed    = "failed"
)

// DecideMany is a decision about all secrets that match, which ends the pause of
// the mount when it is about every secret.
type DecideMany struct {
	Take        Take     `json:"take"`
	Match       []string `json:"match,omitempty"` // globs on names; none for all
	Destination string   `json:"destination,omitempty"`
}

// StartDeciding begins the job that compares the secrets' remotes with what Vault
// knows of them, and decides about those that are ahead. It returns its id.
func (e *Engine) StartDeciding(ctx context.Context, d DecideMany, who JobAuthor) (string, error) {
	return e.StartJob(ctx, jobResume, d, who)
}

func (e *Engine) openResume(parameters json.RawMessage) (jobStep, error) {
	var d DecideMany
	if err := json.Unmarshal(parameters, &d); err != nil {
		return nil, fmt.Errorf("read the parameters of a job: %w", err)
	}
	if _, err := ParseTake(string(d.Take)); err != nil {
		return nil, err
	}
	if err := checkGlobs("match", d.Match); err != nil {
		return nil, err
	}
	return func(ctx context.Context, run *jobRun) (jobPage, error) {
		return e.decidePage(quota.WithLane(ctx, quota.Bulk), run, d)
	}, nil
}

// decidePageSize is how many secrets a step decides about.
const decidePageSize = 50

// decidePage decides about the next secrets by name; first come those that are no
// longer in the KV store and still have work to do.
func (e *Engine) decidePage(ctx context.Context, run *jobRun, d DecideMany) (jobPage, error) {
	var names []string
	wanted := func(name string) bool { return len(d.Match) == 0 || matchesAnyGlob(d.Match, name) }
	if run.cursor == "" {
		pending, err := e.undecided(ctx)
		if err != nil {
			return jobPage{}, err
		}
		for _, name := range pending {
			meta, err := e.ReadMetadata(ctx, name)
			if err != nil {
				return jobPage{}, err
			}
			if meta == nil && wanted(name) {
				names = append(names, name)
			}
		}
	}
	pending := len(names)
	after := strings.TrimPrefix(run.cursor, "/")
	err := e.walk(ctx, after, func(name string) (bool, error) {
		if wanted(name) {
			names = append(names, name)
		}
		return len(names) < pending+decidePageSize, nil
	})
	if err != nil {
		return jobPage{}, err
	}
	items, err := run.each(ctx, len(names), func(ctx context.Context, i int) (JobItem, error) {
		return e.decideItem(ctx, run, d, names[i])
	})
	page := jobPage{items: items}
	switch {
	case len(items) < len(names) && len(items) > pending:
		page.next = "/" + names[len(items)-1]
	case len(items) < len(names):
	case len(names) < pending+decidePageSize:
		page.done = err == nil
	default:
		page.next = "/" + names[len(names)-1]
	}
	if page.done && len(d.Match) == 0 && d.Destination == "" {
		_, err = e.Resume(ctx)
		page.done = err == nil
	}
	return page, err
}

func (e *Engine) decideItem(ctx context.Context, run *jobRun, d DecideMany, name string) (JobItem, error) {
	who := run.job.progress().Who
	item := JobItem{Subject: name}
	decided, err := e.Decide(ctx, Decision{
		Name: name, Destination: d.Destination, Take: d.Take,
		Request: &logical.Request{Storage: e.storage, ID: who.RequestID, EntityID: who.EntityID, DisplayName: who.DisplayName},
	})
	switch {
	case err != nil && passes(err):
		return item, err
	case err != nil:
		item.Result, item.Message = resultFailed, err.Error()
	case len(decided.Ahead) > 0:
		item.Result, item.Details = resultTaken, map[string]any{"destinations": decided.Ahead}
		if decided.Version > 0 {
			item.Details["version"] = decided.Version
		}
	default:
		item.Result = resultConfirmed
	}
	return item, nil
}
