// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"testing"
)

func TestARecordThatChangesWhileItIsReadIsNotKept(t *testing.T) {
	for name, change := range map[string]func(c *recordCache){
		"another node changes it": func(c *recordCache) { c.drop("id") },
		"it is stored":            func(c *recordCache) { c.put("id", &Secret{Name: "new"}) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newRecordCache()
			_, ticket := c.get("id")
			change(c)
			c.keep("id", &Secret{Name: "old"}, ticket)
			if s, _ := c.get("id"); s != nil && s.Name == "old" {
				t.Error("what was read before is kept")
			}
		})
	}
}

func TestWhatIsTakenFromTheCacheCanBeChanged(t *testing.T) {
	c := newRecordCache()
	mine := &Secret{Name: "s", Replicas: map[string]*Replica{"a": {RemoteName: "n"}}, Released: map[string]*Replica{"b": {}}, Settings: Settings{Destinations: []string{"a"}}}
	c.put("id", mine)
	for range 2 {
		for _, s := range []*Secret{mine, first(c.get("id"))} {
			s.Name, s.Settings.Destinations[0] = "x", "x"
			s.Replicas["a"].RemoteName = "x"
			delete(s.Released, "b")
		}
		if s := first(c.get("id")); s.Name != "s" || s.Replicas["a"].RemoteName != "n" || len(s.Released) != 1 || s.Settings.Destinations[0] != "a" {
			t.Errorf("the cache holds %+v", s)
		}
	}
}

func first(s *Secret, _ uint64) *Secret { return s }

func TestTheCacheIsBounded(t *testing.T) {
	c := newRecordCache()
	for i := range 2 * cachedRecords {
		c.put(fmt.Sprint(i), &Secret{})
	}
	if c.lru.Len() != cachedRecords {
		t.Errorf("it holds %d records", c.lru.Len())
	}
}

// Somebody reads a record without the lock while it is removed.
func TestARecordThatIsRemovedWhileItIsReadIsGone(t *testing.T) {
	m := newTestMount(t)
	ctx := context.Background()
	old := &Secret{Name: "s", Settings: Settings{Description: "old"}}
	if err := m.storeSecret(ctx, old); err != nil {
		t.Fatal(err)
	}
	for operation, next := range map[string]*Secret{
		"delete": {Name: "s"},
		"put":    {Name: "s", Settings: Settings{Description: "new"}},
	} {
		read, removed, kept := make(chan struct{}), make(chan struct{}), make(chan struct{})
		m.disk.intervene(func(_ int, access, _ string) error {
			if access == operation {
				go func() {
					_, _ = m.load(ctx, "s")
					close(kept)
				}()
				<-read
			}
			return nil
		}, func(access, _ string) {
			if access == "get" {
				close(read)
				<-removed
			}
		})
		if err := m.storeSecret(ctx, next); err != nil {
			t.Fatal(err)
		}
		close(removed)
		<-kept
		m.disk.intervene(nil, nil)
		if got := m.secret("s"); got.Settings.Description != next.Settings.Description {
			t.Errorf("%s: the record that is gone is still there: %+v", operation, got)
		}
		if err := m.storeSecret(ctx, old); err != nil {
			t.Fatal(err)
		}
	}
}
