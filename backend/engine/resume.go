// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// resume takes up what the marks in storage say is pending. What can't be taken
// up delays nothing else, and is tried again.
func (e *Engine) resume(ctx context.Context) {
	taken := map[string]bool{}
	e.persist(ctx, "take up pending secrets", func() error {
		unread := e.journal.load(ctx)
		e.tidyJournal() // marks that were made again meanwhile are in two pages
		names := slices.DeleteFunc(slices.Sorted(maps.Keys(e.journal.marks())), func(name string) bool {
			// One that came to an end may have an older mark, which was read just now.
			return taken[name] && e.activities.generation(name) > 0
		})
		if len(names) > 0 {
			e.log.Info("taking up pending replication", "secrets", len(names))
		}
		failed, err := retained(ctx, names, func(name string) error { return e.takeUp(ctx, name) })
		for _, name := range names {
			taken[name] = !slices.Contains(failed, name)
		}
		return errors.Join(unread, err)
	})
	if ctx.Err() == nil {
		e.resumed.Store(true)
		close(e.takenUp)
	}
}

// takeUp queues a secret that was pending at the start at all its destinations.
func (e *Engine) takeUp(ctx context.Context, name string) error {
	defer e.lock(name)()
	if _, marked := e.journal.since(name); !marked {
		return nil
	}
	s, err := e.load(ctx, name)
	if err != nil {
		return err
	}
	e.takeUpLocked(ctx, s)
	if s.keyed() || len(s.Replicas) == 0 {
		// A change may have been broken off before its replicas were settled.
		if s, _, err = e.resettle(ctx, name); err != nil {
			return err
		}
	}
	e.enqueueAll(s, quota.Retry)
	e.finish(s)
	return nil
}

// takeUpLocked begins the activity of a secret that is marked in storage, unless
// it has begun already. If that can't be told, it is: what was attempted before
// isn't known. The caller holds the secret's lock.
func (e *Engine) takeUpLocked(ctx context.Context, s *Secret) {
	if e.activities.generation(s.Name) > 0 {
		return
	}
	unread := e.journal.load(ctx)
	since, marked := e.journal.since(s.Name)
	if unread != nil && !marked {
		e.log.Warn("it isn't known whether a secret was pending before the start, it is looked at", "secret", s.Name, "error", unread)
		since, marked = time.Now().UTC(), true
	}
	if marked {
		e.activities.resume(s.Name, since, s.slots())
		cause := e.journal.cause(s.Name)
		cause.Reason, cause.Resumed = firstSet(cause.Reason, ReasonStartup), true
		e.activities.attribute(s.Name, cause)
	}
}
