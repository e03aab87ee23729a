// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"pgregory.net/rapid"
)

// storedMarks are the names that a process finds marked when it starts.
func storedMarks(t testing.TB, storage logical.Storage) []string {
	t.Helper()
	j := newJournal(storage)
	if err := j.load(context.Background()); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(j.marks()))
}

func secretNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("s%04d", i))
	}
	return names
}

func markAll(t testing.TB, j *journal, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := j.mark(context.Background(), name, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMarkIsThereAfterARestartUntilItIsCleanedAway(t *testing.T) {
	storage := &testStorage{}
	j := newJournal(storage)
	names := secretNames(3 * pageMarks)
	markAll(t, j, names...)
	if got := storedMarks(t, storage); !slices.Equal(got, names) {
		t.Fatalf("stored are %v", got)
	}
	for _, name := range names[1:] {
		j.unmark(name)
	}
	if err := j.clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := storedMarks(t, storage); !slices.Equal(got, names[:1]) {
		t.Errorf("stored are %v", got)
	}
	j.unmark(names[0])
	if err := j.clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := storage.InmemStorage.List(t.Context(), "pending/"); len(left) > 0 {
		t.Errorf("pages without marks are left: %v", left)
	}
}

// holdFirst holds the first access to storage up until all names are in the journal.
func holdFirst(t *testing.T, storage *testStorage, j *journal, names int, fault func(nth int) error) {
	deadline := time.Now().Add(30 * time.Second)
	storage.intervene(func(nth int, _, _ string) error {
		for nth == 1 && len(j.marks()) < names {
			if time.Now().After(deadline) {
				t.Error("the marks don't come")
				break
			}
			time.Sleep(time.Millisecond)
		}
		return fault(nth)
	}, nil)
}

func TestManyMarksAtATimeShareWrites(t *testing.T) {
	storage := &testStorage{}
	j := newJournal(storage)
	names := secretNames(pageMarks)
	holdFirst(t, storage, j, len(names), func(int) error { return nil })
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() { markAll(t, j, name) })
	}
	all.Wait()
	storage.intervene(nil, nil)
	if storage.puts > 2 {
		t.Errorf("%d marks took %d writes", len(names), storage.puts)
	}
	if got := storedMarks(t, storage); !slices.Equal(got, names) {
		t.Errorf("stored are %v", got)
	}
}

func TestAWriteThatFailsFailsThoseWhoseMarkIsInItAndNobodyElse(t *testing.T) {
	for bad := 1; bad <= 3; bad++ {
		storage := &testStorage{}
		j := newJournal(storage)
		names := secretNames(pageMarks + 5) // those behind the first are on two pages
		holdFirst(t, storage, j, len(names), func(nth int) error {
			if nth == bad {
				return errStorage
			}
			return nil
		})
		var mu sync.Mutex
		var marked []string
		var all sync.WaitGroup
		for _, name := range names {
			all.Go(func() {
				if err := j.mark(context.Background(), name, time.Now()); err == nil {
					mu.Lock()
					defer mu.Unlock()
					marked = append(marked, name)
				}
			})
		}
		all.Wait()
		storage.intervene(nil, nil)
		slices.Sort(marked)
		if len(marked) == 0 || len(marked) == len(names) {
			t.Fatalf("%d of %d are marked, although write %d failed", len(marked), len(names), bad)
		}
		if err := j.clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := storedMarks(t, storage); !slices.Equal(got, marked) {
			t.Errorf("stored are %v, marked %v", got, marked)
		}
		markAll(t, j, names...)
		if got := storedMarks(t, storage); !slices.Equal(got, names) {
			t.Errorf("after another try stored are %v", got)
		}
	}
}

func TestARequestThatEndsDoesNotFailTheMarksOfOthers(t *testing.T) {
	storage := &testStorage{}
	j := newJournal(storage)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.mark(ended, "a", time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := storedMarks(t, storage); !slices.Equal(got, []string{"a"}) {
		t.Errorf("stored are %v", got)
	}
}

// endingContext ends when a test says so, as that of a request whose client goes.
func endingContext(t *testing.T, storage *testStorage, after int) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	storage.intervene(func(nth int, _, _ string) error {
		if nth > after {
			cancel()
		}
		return ctx.Err()
	}, nil)
	return ctx
}

func TestWhatARequestThatEndsHasNotReadIsReadLater(t *testing.T) {
	names := secretNames(4 * pageMarks)
	for after := range 6 {
		t.Run(fmt.Sprintf("after %d accesses", after), func(t *testing.T) {
			storage := &testStorage{}
			markAll(t, newJournal(storage), names...)
			j := newJournal(storage)
			err := j.load(endingContext(t, storage, after))
			storage.intervene(nil, nil)
			if err == nil && after < 5 {
				t.Error("marks that weren't read don't count as missing")
			}
			if err := j.load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(maps.Keys(j.marks())); !slices.Equal(got, names) {
				t.Errorf("%d of %d marks were read", len(got), len(names))
			}
		})
	}
}

func TestAJournalDoesNotGrowWithWhatIsDone(t *testing.T) {
	j := newJournal(&testStorage{})
	for _, name := range secretNames(10 * pageMarks) {
		markAll(t, j, name)
		j.unmark(name)
		if err := j.clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(j.pages) > 1 || len(j.byName)+len(j.dirty) > 0 {
		t.Errorf("it holds %d pages, %d names and %d dirty pages", len(j.pages), len(j.byName), len(j.dirty))
	}
}

// Whatever storage does, a name counts as marked when that was promised, and
// nothing else stays in storage when all is over.
func TestMarksSurviveAnySequenceOfFailures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		storage := &testStorage{}
		j := newJournal(storage)
		if err := j.load(ctx); err != nil {
			t.Fatal(err)
		}
		promised := map[string]bool{}
		name := rapid.SampledFrom(secretNames(2*pageMarks + 5))
		failing := func(t *rapid.T) {
			bad := rapid.IntRange(0, 3).Draw(t, "the access that fails")
			lost := rapid.Bool().Draw(t, "it takes effect")
			storage.intervene(func(nth int, operation, key string) error {
				if nth != bad {
					return nil
				}
				if lost && operation == "delete" {
					_ = storage.InmemStorage.Delete(ctx, key)
				}
				return errStorage
			}, nil)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				storage.intervene(nil, nil)
				stored := map[string]bool{}
				again := newJournal(storage)
				if err := again.load(ctx); err != nil {
					t.Fatal(err)
				}
				for name := range again.marks() {
					stored[name] = true
				}
				for name := range promised {
					if _, known := j.since(name); !known || !stored[name] {
						t.Fatalf("the mark of %s is lost", name)
					}
				}
			},
			"mark": func(t *rapid.T) {
				for _, n := range rapid.SliceOfN(name, 1, pageMarks).Draw(t, "names") {
					failing(t)
					err := j.mark(ctx, n, time.Now())
					if err != nil && promised[n] {
						t.Fatalf("marking the marked %s fails", n)
					}
					if err == nil {
						promised[n] = true
					}
				}
			},
			"unmark": func(t *rapid.T) {
				n := name.Draw(t, "name")
				j.unmark(n)
				delete(promised, n)
			},
			"clean": func(t *rapid.T) {
				failing(t)
				_ = j.clean(ctx)
			},
			"restart": func(*rapid.T) {
				j = newJournal(storage)
				for j.load(ctx) != nil {
				}
				for n := range j.marks() {
					promised[n] = true
				}
			},
		})
		storage.intervene(nil, nil)
		for n := range promised {
			j.unmark(n)
		}
		if err := j.clean(ctx); err != nil {
			t.Fatal(err)
		}
		if left, err := storage.InmemStorage.List(ctx, "pending/"); err != nil || len(left) > 0 {
			t.Fatalf("left in storage: %v %v", left, err)
		}
	})
}

func TestAPageThatCannotBeReadDelaysNoOther(t *testing.T) {
	storage := &testStorage{}
	names := secretNames(3 * pageMarks)
	markAll(t, newJournal(storage), names...)
	j := newJournal(storage)
	storage.intervene(func(nth int, _, _ string) error {
		if nth == 2 {
			return errStorage
		}
		return nil
	}, nil)
	if err := j.load(t.Context()); !errors.Is(err, errStorage) {
		t.Errorf("the failure isn't told: %v", err)
	}
	if got := len(j.marks()); got != 2*pageMarks {
		t.Errorf("%d marks were read", got)
	}
	if err := j.load(t.Context()); err != nil || len(j.marks()) != len(names) {
		t.Errorf("later %d marks were read: %v", len(j.marks()), err)
	}
}
