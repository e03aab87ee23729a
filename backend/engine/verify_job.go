// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// jobVerify is the kind of jobs that verify many secrets.
const jobVerify = "verify"

// VerifyMany asks for many secrets to be verified.
type VerifyMany struct {
	Match       []string `json:"match"`                 // globs on names
	Destination string   `json:"destination,omitempty"` // "" for all
	Repair      bool     `json:"repair,omitempty"`
	Values      *bool    `json:"values,omitempty"` // nil for what the destinations say
}

// check refuses what makes no sense.
func (m VerifyMany) check() error {
	if len(m.Match) == 0 {
		return Refusef("match is empty; give globs on names of secrets, such as team-a/**, or ** for all")
	}
	for _, glob := range m.Match {
		if !doublestar.ValidatePattern(glob) {
			return Refusef("match: %q isn't a valid glob; * stands for a part of one segment, ** for any number of segments", glob)
		}
	}
	return nil
}

// StartVerify begins a job that verifies the secrets which match. A *RefusedError
// says what makes no sense.
func (e *Engine) StartVerify(ctx context.Context, m VerifyMany, who JobAuthor) (id string, err error) {
	if m.Destination != "" {
		refs, err := e.refs(ctx)
		if err != nil {
			return "", err
		}
		if !slices.Contains(refs, m.Destination) {
			return "", Refusef("destination %s doesn't exist; choose one of %s", m.Destination, strings.Join(refs, ", "))
		}
	}
	return e.StartJob(ctx, jobVerify, m, who)
}

// openVerifyJob makes the step of such a job. Verifying again is harmless.
func (e *Engine) openVerifyJob(parameters json.RawMessage) (jobStep, error) {
	var m VerifyMany
	if err := json.Unmarshal(parameters, &m); err != nil {
		return nil, Refusef("the parameters of the job can't be read: %v", err)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, run *jobRun) (jobPage, error) { return e.verifyPage(ctx, run, m) }, nil
}

// verifyPageSize is how many secrets a step verifies.
const verifyPageSize = 64

// verifyPage verifies the next secrets. The cursor is the name of the last one.
func (e *Engine) verifyPage(ctx context.Context, run *jobRun, m VerifyMany) (jobPage, error) {
	page, names := jobPage{}, []string(nil)
	if run.cursor == "" {
		total, err := e.countMatching(ctx, m)
		if err != nil {
			return page, err
		}
		page.total = total
	}
	err := e.walk(ctx, run.cursor, func(name string) (more bool, err error) {
		goes, err := m.wants(ctx, e, name)
		if goes {
			names = append(names, name)
		}
		return len(names) < verifyPageSize, err
	})
	if err != nil {
		return page, err
	}
	page.items, err = run.each(ctx, len(names), func(ctx context.Context, i int) (JobItem, error) {
		return e.verifyItem(ctx, m, names[i])
	})
	if n := len(page.items); n > 0 {
		page.next = names[n-1]
	}
	page.done = err == nil && len(page.items) == len(names) && len(names) < verifyPageSize
	return page, err
}

// wants tells whether the secret is to be verified: it matches, and has replicas
// there.
func (m VerifyMany) wants(ctx context.Context, e *Engine, name string) (bool, error) {
	if !matchesAnyGlob(m.Match, name) {
		return false, nil
	}
	s, err := e.peek(ctx, name)
	if err != nil || s == nil {
		return false, err
	}
	if m.Destination != "" {
		return len(s.at(m.Destination)) > 0, nil
	}
	return len(s.Replicas) > 0, nil
}

// countMatching counts by names alone.
func (e *Engine) countMatching(ctx context.Context, m VerifyMany) (n int, err error) {
	err = e.walk(ctx, "", func(name string) (more bool, err error) {
		if matchesAnyGlob(m.Match, name) {
			n++
		}
		return true, nil
	})
	return n, err
}

func (e *Engine) verifyItem(ctx context.Context, m VerifyMany, name string) (JobItem, error) {
	item := JobItem{Subject: name, Result: string(VerifiedSkipped)}
	found, _, err := e.Verify(ctx, VerifyRequest{Name: name, Destination: m.Destination, Repair: m.Repair, Values: m.Values, Lane: quota.Bulk})
	var refusal *RefusedError
	switch {
	case errors.As(err, &refusal):
		item.Message = refusal.message // it was deleted just now
		return item, nil
	case err != nil:
		return item, err
	}
	item.Result = string(WorstOf(found))
	item.Message, item.Details = Describe(found), map[string]any{}
	for _, v := range found {
		item.Details[v.Subject()] = v.brief()
	}
	return item, nil
}

// brief is what a report tells of one replica.
func (v Verified) brief() map[string]any {
	brief := map[string]any{"result": string(v.Result), "calls": v.Calls}
	if len(v.Findings) > 0 {
		brief["drift"] = kindsOf(v.Findings)
	}
	if v.Failure != nil {
		brief["class"] = string(v.Failure.Class)
	}
	return brief
}

// Subject names the replica among those of its secret.
func (v Verified) Subject() string {
	if v.Key != "" {
		return v.Destination + ", key " + v.Key
	}
	return v.Destination
}

// worst orders results by how much attention they need.
var worst = []VerifyResult{VerifiedFailed, VerifiedDrifted, VerifiedRepairing, VerifiedRepaired, VerifiedInSync, VerifiedSkipped}

// WorstOf is the result that needs most attention.
func WorstOf(found []Verified) VerifyResult {
	for _, result := range worst {
		if slices.ContainsFunc(found, func(v Verified) bool { return v.Result == result }) {
			return result
		}
	}
	return VerifiedSkipped
}

// Describe says in a line for each replica what its verification found.
func Describe(found []Verified) string {
	lines := make([]string, 0, len(found))
	for _, v := range found {
		line := v.Subject() + ": " + strings.ReplaceAll(string(v.Result), "_", " ")
		for _, f := range v.Findings {
			line += fmt.Sprintf("; %s: %s, expected %s", strings.ReplaceAll(string(f.Kind), "_", " "), f.Remote, f.Expected)
			if f.Unrepairable != "" {
				line += " (" + f.Unrepairable + ")"
			}
		}
		if v.Reason != "" {
			line += "; " + v.Reason
		}
		for _, note := range v.NotCompared {
			line += "; not compared: " + note
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
