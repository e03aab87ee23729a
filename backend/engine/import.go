// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// Import asks for secrets of a cloud to be brought into Vault. It is what an
// import's job is begun with.
type Import struct {
	Destination string   `json:"destination"`
	Match       []string `json:"match"` // globs on remote names
	Exclude     []string `json:"exclude,omitempty"`
	// PathTemplate makes the name of a secret from the remote name; Prefix goes
	// before it.
	PathTemplate string `json:"path_template,omitempty"`
	Prefix       string `json:"prefix,omitempty"`
	// Adopt also takes over the remote secret, without making a version there.
	Adopt      bool       `json:"adopt"`
	DryRun     bool       `json:"dry_run"`
	OnConflict OnConflict `json:"on_conflict"`
	Versions   int        `json:"versions"` // how many of each, the current one among them
	// Destinations are further ones that the secrets name themselves.
	Destinations []string `json:"destinations,omitempty"`
	// Guard is a dry run: what is no longer as it was then is left alone.
	Guard string `json:"guard,omitempty"`
}

// OnConflict says what to do with a secret that Vault has with another value.
type OnConflict string

// The ways.
const (
	ConflictSkip    OnConflict = "skip"    // leave both
	ConflictFail    OnConflict = "fail"    // end the import
	ConflictReplace OnConflict = "replace" // the cloud's value becomes a new version in Vault
	ConflictKeep    OnConflict = "keep"    // Vault's value stays, and with Adopt is sent to the cloud
)

// What came of a remote secret. A dry run has the first two instead of the next
// ones.
const (
	importWould    = "import"
	adoptWould     = "adopt"
	importDone     = "imported"
	adoptDone      = "adopted"
	importPending  = "unfinished" // it is in Vault, and the mark follows by itself or is blocked
	importSame     = "unchanged"  // nothing was to be done
	importSkipped  = "skipped"    // it is never taken, or not in its state
	importConflict = "conflict"   // Vault has another value
	importChanged  = "changed"    // not as the dry run saw it
	importRefused  = "refused"    // it can't be a secret, or no replica, as it is
	importFailed   = "failed"     // the cloud refused a call
)

const jobImport = "import"

// mostImportVersions bounds the versions of one secret.
const mostImportVersions = 100

// check refuses what makes no sense.
func (im *Import) check() error {
	if len(im.Match) == 0 {
		return Refusef("match is empty; give globs on remote names, * for all")
	}
	for _, glob := range slices.Concat(im.Match, im.Exclude) {
		if !doublestar.ValidatePattern(glob) {
			return Refusef("%q isn't a valid glob; * stands for a part of one segment, ** for any number of segments", abbreviate(glob))
		}
	}
	if im.Versions < 1 || im.Versions > mostImportVersions {
		return Refusef("versions is %d; it has to be from 1 to %d", im.Versions, mostImportVersions)
	}
	switch im.OnConflict {
	case ConflictSkip, ConflictFail, ConflictReplace, ConflictKeep:
	default:
		return Refusef("on_conflict %q is unknown, possible are skip, fail, replace and keep", im.OnConflict)
	}
	if im.DryRun && im.Guard != "" {
		return Refusef("guard is for the import after a dry run, not for a dry run")
	}
	if im.PathTemplate != "" {
		if _, err := remotename.ParsePath(im.PathTemplate); err != nil {
			return Refusef("%v", err)
		}
	}
	return nil
}

// StartImport begins an import in the background. A *RefusedError says why not.
func (e *Engine) StartImport(ctx context.Context, im Import, who JobAuthor) (id string, err error) {
	if err := im.check(); err != nil {
		return "", err
	}
	if !e.Started() {
		return "", Refusef("this node doesn't replicate, so it makes no calls; ask the active node of the primary cluster")
	}
	for _, ref := range im.Destinations {
		if _, err := e.destinationAt(ctx, ref); err != nil {
			return "", err
		}
	}
	if _, _, err := e.listerAt(ctx, im.Destination); err != nil {
		return "", err
	}
	if im.Guard != "" {
		if _, err := e.guards(ctx, im); err != nil {
			return "", err
		}
	}
	return e.StartJob(ctx, jobImport, im, who)
}

// openImport makes the step of an import.
func (e *Engine) openImport(parameters json.RawMessage) (jobStep, error) {
	w := &importWork{e: e}
	if err := json.Unmarshal(parameters, &w.Import); err != nil {
		return nil, Refusef("the parameters of the import can't be read: %v", err)
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	return w.step, nil
}

// importWork is an import at work. What it keeps is found out anew after a
// restart.
type importWork struct {
	Import
	e      *Engine
	listed bool
	list   []candidate       // what matches, by remote name
	guard  map[string]string // fingerprints of the dry run by remote name; nil without one
	tries  int               // failures in a row
}

// candidate is a remote secret that matches.
type candidate struct {
	remoteName string
	secret     string // the name in Vault
	illegal    string // why it can't have that; "" if it can
}

// importPage is how many remote secrets a step works on. What a kill interrupts is
// repeated, so it is small.
const importPage = 16

func (w *importWork) step(ctx context.Context, run *jobRun) (jobPage, error) {
	if !w.listed {
		if err := w.takeStock(ctx, run); err != nil || !w.listed {
			return jobPage{}, err
		}
	}
	from, _ := slices.BinarySearchFunc(w.list, run.cursor, func(c candidate, cursor string) int {
		if c.remoteName <= cursor && cursor != "" {
			return -1
		}
		return 1
	})
	n := min(importPage, len(w.list)-from)
	items, err := run.each(ctx, n, func(ctx context.Context, i int) (JobItem, error) {
		return w.one(ctx, run, w.list[from+i])
	})
	if w.tries++; err == nil || len(items) > 0 {
		w.tries = 0
	}
	page := jobPage{items: items, total: len(w.list)}
	if len(items) > 0 {
		page.next = w.list[from+len(items)-1].remoteName
	}
	page.done = err == nil && from+len(items) == len(w.list)
	if err == nil && w.OnConflict == ConflictFail {
		for _, item := range items {
			if item.Result == importConflict {
				return page, Refusef("%s: %s; the import ends, since on_conflict is fail", item.Subject, item.Message)
			}
		}
	}
	return page, err
}

// takeStock lists what matches. Nothing is changed before the list is whole, since
// a change may shift the pages of a service.
func (w *importWork) takeStock(ctx context.Context, run *jobRun) error {
	_, lister, err := w.e.listerAt(ctx, w.Destination)
	if err != nil {
		return err
	}
	if w.Guard != "" {
		if w.guard, err = w.e.guards(ctx, w.Import); err != nil {
			return err
		}
	}
	var list []candidate
	for token := ""; ; {
		if !run.proceeds(ctx) {
			return nil
		}
		var page []provider.Secret
		err := callRemote(ctx, func(ctx context.Context) (err error) {
			page, token, err = lister.List(ctx, token)
			return err
		})
		if err != nil {
			return fmt.Errorf("list the secrets of destination %s: %w", w.Destination, err)
		}
		for _, row := range page {
			if matchesAnyGlob(w.Match, row.Name) && !matchesAnyGlob(w.Exclude, row.Name) {
				list = append(list, w.candidate(row.Name))
			}
		}
		if token == "" {
			break
		}
	}
	slices.SortFunc(list, func(a, b candidate) int { return strings.Compare(a.remoteName, b.remoteName) })
	w.list = slices.CompactFunc(list, func(a, b candidate) bool { return a.remoteName == b.remoteName })
	w.noteClashes()
	w.listed = true
	return nil
}

// candidate works out the name in Vault.
func (w *importWork) candidate(remoteName string) candidate {
	c := candidate{remoteName: remoteName, secret: remoteName}
	if w.PathTemplate != "" {
		kind, name, _ := strings.Cut(w.Destination, "/")
		path, err := remotename.ParsePath(w.PathTemplate)
		if err == nil {
			c.secret, err = path.Execute(remotename.Fields{RemoteName: remoteName, DestinationType: kind, DestinationName: name})
		}
		if err != nil {
			c.illegal = err.Error()
			return c
		}
	}
	segments := slices.DeleteFunc(strings.Split(w.Prefix+c.secret, "/"), func(segment string) bool { return segment == "" })
	c.secret = strings.Join(segments, "/")
	if err := CheckName(c.secret); err != nil {
		c.illegal = err.Error()
	} else if strings.Contains(c.secret, "..") {
		c.illegal = "the secret's name has two dots in a row, which Vault doesn't allow in paths"
	}
	return c
}

// noteClashes marks those that come to one name in Vault.
func (w *importWork) noteClashes() {
	first := map[string]int{}
	for i, c := range w.list {
		if c.illegal != "" {
			continue
		}
		other, twice := first[c.secret]
		if !twice {
			first[c.secret] = i
			continue
		}
		w.list[i].illegal = fmt.Sprintf("%s gives the same secret %q", w.list[other].remoteName, c.secret)
		w.list[other].illegal = fmt.Sprintf("%s gives the same secret %q", c.remoteName, c.secret)
		first[c.secret] = other
	}
}

// guards are the fingerprints of a dry run, by remote name.
func (e *Engine) guards(ctx context.Context, im Import) (map[string]string, error) {
	j, err := e.Job(ctx, im.Guard)
	if err != nil {
		return nil, err
	}
	var before Import
	switch {
	case j == nil:
		return nil, Refusef("guard: there is no job %s; make a new dry run", im.Guard)
	case j.Kind != jobImport, json.Unmarshal(j.Parameters, &before) != nil, !before.DryRun:
		return nil, Refusef("guard: job %s isn't the dry run of an import", im.Guard)
	case before.Destination != im.Destination:
		return nil, Refusef("guard: job %s was at destination %s", im.Guard, before.Destination)
	case j.State == JobRunning:
		return nil, Refusef("guard: job %s is still running", im.Guard)
	}
	seen := map[string]string{}
	err = e.eachJobItem(ctx, im.Guard, func(item JobItem) {
		if fingerprint, ok := item.Details["fingerprint"].(string); ok {
			seen[item.Subject] = fingerprint
		}
	})
	return seen, err
}
