// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package record_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/record"
)

type thing struct {
	Name  string            `json:"name"`
	Count int               `json:"count,omitempty"`
	Since time.Time         `json:"since,omitzero"`
	Tags  map[string]string `json:"tags,omitempty"`
}

var things = record.Kind[thing]{Prefix: "thing/", Version: 2}

func sample() *thing {
	return &thing{
		Name: "a <b> & \"c\" 团", Count: 3,
		Since: time.Date(2026, 7, 1, 12, 30, 0, 123456789, time.UTC),
		Tags:  map[string]string{"b": "2", "a": "1"},
	}
}

// stored puts bytes where a record of things is.
func stored(t *testing.T, value string) logical.Storage {
	t.Helper()
	s := &logical.InmemStorage{}
	if err := s.Put(t.Context(), &logical.StorageEntry{Key: "thing/x", Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsPutIsGot(t *testing.T) {
	ctx, s := t.Context(), &logical.InmemStorage{}
	for id, want := range map[string]*thing{"full": sample(), "a/b/c": {Name: "deep"}, "": {Name: "without an id"}, "zero": {}} {
		if err := things.Put(ctx, s, id, want); err != nil {
			t.Fatal(err)
		}
		if got, err := things.Get(ctx, s, id); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", id, got, err)
		}
	}
	if err := things.Put(ctx, s, "full", &thing{Name: "new"}); err != nil {
		t.Fatal(err)
	}
	if got, err := things.Get(ctx, s, "full"); err != nil || !reflect.DeepEqual(got, &thing{Name: "new"}) {
		t.Errorf("a second put leaves %+v, %v", got, err)
	}
}

// TestTheStoredForm compares with testdata/envelope.json, which upgrades read.
func TestTheStoredForm(t *testing.T) {
	ctx, s := t.Context(), &logical.InmemStorage{}
	if err := things.Put(ctx, s, "x", sample()); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/envelope.json")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSuffix(string(golden), "\n")
	if entry, err := s.Get(ctx, "thing/x"); err != nil || string(entry.Value) != want {
		t.Errorf("stored is %s\nwant %s, %v", entry.Value, want, err)
	}
	if got, err := things.Get(ctx, stored(t, want), "x"); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("it reads as %+v, %v", got, err)
	}
}

func TestAbsentIsNil(t *testing.T) {
	ctx, s := t.Context(), stored(t, `{"version":1,"record":{}}`)
	for _, id := range []string{"y", "x/y", ""} {
		if got, err := things.Get(ctx, s, id); got != nil || err != nil {
			t.Errorf("%q: %+v, %v", id, got, err)
		}
	}
}

func TestWhatCantBeReadIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ stored, want string }{
		"nothing":                  {``, "is unreadable"},
		"no JSON":                  {`{"version":`, "is unreadable"},
		"another shape":            {`[]`, "is unreadable"},
		"no record":                {`{"version":1}`, "is unreadable"},
		"a record of another type": {`{"version":1,"record":"text"}`, "is unreadable"},
		"no version":               {`{"record":{"name":"x"}}`, "schema version 0"},
		"version 0":                {`{"version":0,"record":{}}`, "schema version 0"},
		"a negative version":       {`{"version":-1,"record":{}}`, "schema version -1"},
		"a newer version":          {`{"version":3,"record":{"name":"x"}}`, "has schema version 3, this plugin reads up to 2: run the plugin version that wrote it"},
		"a newer and other shape":  {`{"version":9,"record":["x"]}`, "has schema version 9"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := things.Get(t.Context(), stored(t, c.stored), "x")
			if got != nil || err == nil || !strings.Contains(err.Error(), "thing/x") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v, want an error that names thing/x and says %q", got, err, c.want)
			}
		})
	}
}

func TestAnOlderVersionIsRead(t *testing.T) {
	got, err := things.Get(t.Context(), stored(t, `{"version":1,"record":{"name":"old","gone":true}}`), "x")
	if err != nil || !reflect.DeepEqual(got, &thing{Name: "old"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatCantBeEncodedIsntStored(t *testing.T) {
	kind := record.Kind[map[string]any]{Prefix: "map/", Version: 1}
	s := &logical.InmemStorage{}
	if err := kind.Put(t.Context(), s, "x", &map[string]any{"f": func() {}}); err == nil || !strings.Contains(err.Error(), "encode map/x") {
		t.Error(err)
	}
	if keys, err := logical.CollectKeys(t.Context(), s); err != nil || len(keys) != 0 {
		t.Errorf("stored are %v, %v", keys, err)
	}
}

func TestDelete(t *testing.T) {
	ctx, s := t.Context(), stored(t, `{"version":1,"record":{}}`)
	for range 2 { // an absent one is success
		if err := things.Delete(ctx, s, "x"); err != nil {
			t.Fatal(err)
		}
		if got, err := things.Get(ctx, s, "x"); got != nil || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestAnUnreadableRecordCanBeDeleted(t *testing.T) {
	s := stored(t, "garbage")
	if err := things.Delete(t.Context(), s, "x"); err != nil {
		t.Error(err)
	}
	if got, err := things.Get(t.Context(), s, "x"); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestList(t *testing.T) {
	ctx, s := t.Context(), &logical.InmemStorage{}
	others := record.Kind[thing]{Prefix: "things/", Version: 1}
	for _, id := range []string{"b", "a/x", "a/y/z", "a"} {
		if err := things.Put(ctx, s, id, &thing{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := others.Put(ctx, s, "other", &thing{}); err != nil {
		t.Fatal(err)
	}
	for under, want := range map[string][]string{
		"":     {"a", "a/", "b"},
		"a/":   {"x", "y/"},
		"a/y/": {"z"},
		"c/":   nil,
	} {
		if got, err := things.List(ctx, s, under); err != nil || !slices.Equal(got, want) {
			t.Errorf("under %q: %q, %v", under, got, err)
		}
	}
}

func TestSealWrap(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		kind := things
		kind.Sealed = sealed
		s := &noting{Storage: &logical.InmemStorage{}}
		if err := kind.Put(t.Context(), s, "x", sample()); err != nil {
			t.Fatal(err)
		}
		if s.last.SealWrap != sealed {
			t.Errorf("sealed %v: the entry is wrapped %v", sealed, s.last.SealWrap)
		}
		if want := map[bool]string{true: "thing/"}[sealed]; kind.SealWrapPath() != want {
			t.Errorf("sealed %v: the path is %q", sealed, kind.SealWrapPath())
		}
		if got, err := kind.Get(t.Context(), s, "x"); err != nil || !reflect.DeepEqual(got, sample()) {
			t.Errorf("sealed %v: %+v, %v", sealed, got, err)
		}
	}
}

// noting keeps the entry that was put last as it came.
type noting struct {
	logical.Storage
	last *logical.StorageEntry
}

func (n *noting) Put(ctx context.Context, entry *logical.StorageEntry) error {
	n.last = entry
	return n.Storage.Put(ctx, entry)
}

func TestAStorageErrorKeepsItsCause(t *testing.T) {
	ctx := t.Context()
	for what, call := range map[string]struct {
		fail func(*logical.InmemStorage)
		do   func(logical.Storage) error
	}{
		"read thing/x from storage": {
			func(s *logical.InmemStorage) { s.Underlying().FailGet(true) },
			func(s logical.Storage) error { _, err := things.Get(ctx, s, "x"); return err },
		},
		"write thing/x to storage": {
			func(s *logical.InmemStorage) { s.Underlying().FailPut(true) },
			func(s logical.Storage) error { return things.Put(ctx, s, "x", sample()) },
		},
		"delete thing/x from storage": {
			func(s *logical.InmemStorage) { s.Underlying().FailDelete(true) },
			func(s logical.Storage) error { return things.Delete(ctx, s, "x") },
		},
		"list thing/a in storage": {
			func(s *logical.InmemStorage) { s.Underlying().FailList(true) },
			func(s logical.Storage) error { _, err := things.List(ctx, s, "a"); return err },
		},
	} {
		s := &logical.InmemStorage{}
		call.fail(s)
		if err := call.do(s); err == nil || !strings.HasPrefix(err.Error(), what+": ") {
			t.Errorf("%s: %v", what, err)
		}
		err := call.do(ended{s})
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errEnded) {
			t.Errorf("%s: the cause is lost in %v", what, err)
		}
	}
}

var errEnded = errors.New("the storage is gone")

// ended is a storage whose every call ends with a context.
type ended struct{ logical.Storage }

func (ended) failure() error { return errors.Join(errEnded, context.Canceled) }

func (e ended) Get(context.Context, string) (*logical.StorageEntry, error) { return nil, e.failure() }
func (e ended) Put(context.Context, *logical.StorageEntry) error           { return e.failure() }
func (e ended) Delete(context.Context, string) error                       { return e.failure() }
func (e ended) List(context.Context, string) ([]string, error)             { return nil, e.failure() }
