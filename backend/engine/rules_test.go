// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// follows tells whether a secret has its replica by a rule.
func (m *testMount) follows(name string) bool {
	s, err := m.load(context.Background(), name)
	return err == nil && s.goesTo(testRef)
}

func TestASecretThatCannotFollowARuleDelaysNoOther(t *testing.T) {
	m := newTestMount(t)
	m.Start()
	for i := range 100 {
		m.mustWrite(fmt.Sprintf("s%02d", i), "v")
	}
	record := &logical.StorageEntry{Key: secrets.Prefix + m.mount.id("s00"), Value: []byte("unreadable")}
	if err := m.disk.Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	m.records.drop(m.mount.id("s00"))
	if _, err := m.PutRule(t.Context(), ruleFor("r", "s*"), false); err != nil {
		t.Fatal(err)
	}
	for i := range 99 {
		eventually(t, "all others follow the rule", func() bool { return m.follows(fmt.Sprintf("s%02d", i+1)) })
	}
	if err := m.disk.Delete(t.Context(), record.Key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it follows when it can", func() bool { return m.follows("s00") })
	eventually(t, "the change is over", func() bool { return len(m.sweeping.all()) == 0 })
}

func TestASecretThatIsMadeWhileARuleChangesFollowsIt(t *testing.T) {
	m := newTestMount(t)
	m.Start()
	changed, walked := make(chan struct{}), make(chan struct{})
	var held, looked atomic.Bool
	m.disk.intervene(func(_ int, operation, key string) error {
		switch {
		case operation == "put" && strings.HasPrefix(key, "kv/") && held.CompareAndSwap(false, true):
			<-changed
			// Others may look for secrets now, and don't find this one.
			for range 100 {
				select {
				case <-walked:
				case <-time.After(time.Millisecond):
				}
			}
		case operation == "list" && strings.HasPrefix(key, "kv/") && looked.CompareAndSwap(false, true):
			defer close(walked)
		}
		return nil
	}, nil)
	written := make(chan error)
	go func() { written <- m.write("s", "v") }()
	eventually(t, "the write is under way", held.Load)
	if _, err := m.PutRule(t.Context(), ruleFor("r", "s*"), false); err != nil {
		t.Fatal(err)
	}
	close(changed)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change is over", func() bool { return len(m.sweeping.all()) == 0 })
	if !m.follows("s") {
		t.Error("the secret doesn't follow the rule")
	}
}

func TestARuleThatIsStoredAlthoughThatFailedIsFollowed(t *testing.T) {
	m := newTestMount(t)
	m.Start()
	m.mustWrite("s", "v")
	if _, err := m.PutRule(t.Context(), ruleFor("other", "other"), false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what begins with the start is over", func() bool { return len(m.sweeping.all()) == 0 })
	m.disk.intervene(func(_ int, operation, key string) error {
		if operation != "put" || !strings.HasPrefix(key, rules.Prefix) {
			return nil
		}
		stored, err := rules.Get(context.Background(), m.disk, "r")
		if err != nil || stored != nil {
			return err
		}
		m.disk.intervene(nil, nil)
		if err := rules.Put(context.Background(), m.disk, "r", &ruleRecord{Rule: ruleFor("r", "s*"), Sweep: &ruleSweep{}}); err != nil {
			return err
		}
		return errStorage
	}, nil)
	if _, err := m.PutRule(t.Context(), ruleFor("r", "s*"), false); err == nil {
		t.Fatal("the failure isn't told")
	}
	eventually(t, "the secret follows", func() bool { return m.follows("s") })
}

func TestAfterARestartOnlyChangesUnderWayAreShown(t *testing.T) {
	m := newTestMount(t)
	m.Start()
	if _, err := m.PutRule(t.Context(), ruleFor("r", "s*"), false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change is over", func() bool { return len(m.sweeping.all()) == 0 })
	m.restart()
	eventually(t, "no change is under way", func() bool { return m.resumed.Load() && len(m.sweeping.all()) == 0 })
}
