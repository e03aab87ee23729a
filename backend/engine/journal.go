// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// pageMarks is how many marks a page takes. A page is written as a whole, so
	// it is kept to a few kilobytes.
	pageMarks = 64
	// removalDelay is how long the removal of marks waits for more to remove. A
	// mark that outlives its work by so little costs a look at the remote after a
	// crash, and nothing otherwise.
	removalDelay = 100 * time.Millisecond
	// storageTimeout bounds a write of a page, which serves more than the request
	// that began it.
	storageTimeout = 30 * time.Second
)

// journal keeps the pending marks: the names of the secrets whose replicas may
// be out of sync, and since when. Marks are stored in pages, and what is to be
// written meanwhile goes with the next write, so that many writers at a time
// share one write to storage and one writer pays one. It is safe for concurrent
// use.
type journal struct {
	storage logical.Storage

	writing sync.Mutex // held by who writes pages
	reading sync.Mutex // held by who reads pages of an earlier life
	listed  bool       // under reading
	unread  []string   // pages; under reading

	mu     sync.Mutex
	loaded bool
	pages  map[string]*page
	byName map[string]*page // where the mark of a name is
	open   *page            // that takes new marks
	dirty  map[*page]bool   // differ from what is in storage
	batch  *batch           // of marks that wait for the next write

	marked atomic.Int64 // marks that were stored
	writes atomic.Int64 // writes and removals of pages
}

type page struct {
	id     string
	marks  map[string]time.Time
	causes map[string]Cause
	taken  int // marks that it has ever taken
	stored bool
}

// batch are the marks that are stored with one write.
type batch struct {
	names []string
	done  chan struct{}
	err   error
}

func newJournal(storage logical.Storage) *journal {
	return &journal{storage: storage, pages: map[string]*page{}, byName: map[string]*page{}, dirty: map[*page]bool{}}
}

// load reads the marks of an earlier life that it hasn't read yet. Until it has
// succeeded once, a name may have a mark that isn't known.
func (j *journal) load(ctx context.Context) error {
	j.reading.Lock()
	defer j.reading.Unlock()
	if j.isLoaded() {
		return nil
	}
	if !j.listed {
		ids, err := pendings.List(ctx, j.storage, "")
		if err != nil {
			return err
		}
		// A page that was made meanwhile isn't of an earlier life.
		j.mu.Lock()
		j.unread = slices.DeleteFunc(ids, func(id string) bool { return j.pages[id] != nil })
		j.mu.Unlock()
		j.listed = true
	}
	unread, err := retained(ctx, j.unread, func(id string) error {
		stored, err := pendings.Get(ctx, j.storage, id)
		if err == nil && stored != nil {
			j.adopt(&page{id: id, marks: stored.Marks, causes: stored.Causes, taken: pageMarks, stored: true})
		}
		return err
	})
	j.unread = unread
	if err == nil {
		j.mu.Lock()
		j.loaded = true
		j.mu.Unlock()
	}
	return err
}

// adopt takes a page of an earlier life over.
func (j *journal) adopt(p *page) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pages[p.id] = p
	if p.marks == nil {
		p.marks = map[string]time.Time{}
	}
	if p.causes == nil {
		p.causes = map[string]Cause{}
	}
	for name := range p.marks {
		if j.byName[name] != nil {
			delete(p.marks, name) // one is enough
			delete(p.causes, name)
			j.dirty[p] = true
			continue
		}
		j.byName[name] = p
	}
	if len(p.marks) == 0 {
		j.dirty[p] = true
	}
}

func (j *journal) isLoaded() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.loaded
}

// marks are the names with a mark, and since when.
func (j *journal) marks() map[string]time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	marks := make(map[string]time.Time, len(j.byName))
	for name, p := range j.byName {
		marks[name] = p.marks[name]
	}
	return marks
}

// since returns since when the name is marked; false if it isn't.
func (j *journal) since(name string) (time.Time, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.byName[name]
	if p == nil {
		return time.Time{}, false
	}
	return p.marks[name], true
}

// mark makes sure that the name's mark is in storage when it returns nil. Two
// calls for one name must not run at a time, nor one and unmark.
func (j *journal) mark(ctx context.Context, name string, since time.Time) error {
	j.mu.Lock()
	if p := j.byName[name]; p != nil {
		p.attribute(name, causeOf(ctx)) // which goes with the page's next write, if there is one
		j.mu.Unlock()
		return nil
	}
	if err := j.put(name, since, causeOf(ctx)); err != nil {
		j.mu.Unlock()
		return err
	}
	if j.batch == nil {
		j.batch = &batch{done: make(chan struct{})}
	}
	mine := j.batch
	mine.names = append(mine.names, name)
	j.mu.Unlock()

	// Whoever gets the turn first writes for all who came until then.
	j.writing.Lock()
	select {
	case <-mine.done:
	default:
		j.store(ctx, mine)
	}
	j.writing.Unlock()
	<-mine.done
	if _, marked := j.since(name); !marked {
		return mine.err
	}
	return nil
}

// put adds a mark to the open page. The caller holds the lock.
func (j *journal) put(name string, since time.Time, cause Cause) error {
	if j.open == nil || j.open.taken >= pageMarks {
		id, err := uuid.GenerateUUID()
		if err != nil {
			return err
		}
		if full := j.open; full != nil && len(full.marks) == 0 && !j.dirty[full] {
			delete(j.pages, full.id)
		}
		j.open = &page{id: id, marks: map[string]time.Time{}, causes: map[string]Cause{}}
		j.pages[id] = j.open
	}
	j.open.marks[name] = since
	j.open.attribute(name, cause)
	j.open.taken++
	j.byName[name] = j.open
	j.dirty[j.open] = true
	return nil
}

// unmark notes that the name's mark is no longer needed; clean removes it.
func (j *journal) unmark(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p := j.byName[name]; p != nil {
		delete(p.marks, name)
		delete(p.causes, name)
		delete(j.byName, name)
		j.dirty[p] = true
	}
}

// attribute notes why a name is marked. The caller holds the journal's lock.
func (p *page) attribute(name string, c Cause) {
	if !c.isZero() {
		p.causes[name] = c
	}
}

// cause is why the name is marked, zero if it isn't or nobody knows.
func (j *journal) cause(name string) Cause {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.byName[name]
	if p == nil {
		return Cause{}
	}
	return p.causes[name]
}

// clean removes from storage what unmark left there. What can't be removed now
// is tried again by the next call.
func (j *journal) clean(ctx context.Context) error {
	var last error
	for _, p := range j.unclean() {
		// Writers of marks take their turn between two pages.
		j.writing.Lock()
		err := j.write(ctx, p)
		j.writing.Unlock()
		if err != nil {
			last = err
		}
	}
	return last
}

// unclean are the pages that clean would write.
func (j *journal) unclean() []*page {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Collect(maps.Keys(j.dirty))
}

// store writes the pages of a batch and ends it. The caller holds writing.
func (j *journal) store(ctx context.Context, b *batch) {
	j.mu.Lock()
	j.batch = nil
	byPage := map[*page][]string{}
	for _, name := range b.names {
		byPage[j.byName[name]] = append(byPage[j.byName[name]], name)
	}
	j.mu.Unlock()
	// A request that ends must not fail those that wait with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
	defer cancel()
	for p, names := range byPage {
		if err := j.write(ctx, p); err != nil {
			b.err = err
			for _, name := range names {
				j.unmark(name) // it may be in storage or not
			}
		}
	}
	if b.err == nil {
		j.marked.Add(int64(len(b.names)))
	}
	close(b.done)
}

// write stores a page as it should be; an empty one is removed. The caller holds
// writing.
func (j *journal) write(ctx context.Context, p *page) error {
	j.mu.Lock()
	marks, causes := maps.Clone(p.marks), maps.Clone(p.causes)
	delete(j.dirty, p)
	j.mu.Unlock()
	var err error
	switch {
	case len(marks) > 0:
		j.writes.Add(1)
		p.stored = true // whatever comes of it
		err = pendings.Put(ctx, j.storage, p.id, &pendingRecord{Marks: marks, Causes: causes})
	case p.stored:
		j.writes.Add(1)
		if err = pendings.Delete(ctx, j.storage, p.id); err == nil {
			p.stored = false
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err != nil:
		j.dirty[p] = true
	case len(p.marks) == 0 && p != j.open:
		delete(j.pages, p.id)
	}
	return err
}
