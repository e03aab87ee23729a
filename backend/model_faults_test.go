// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// looking marks the accesses of the test itself, which meet no fault.
type looking struct{}

// look reads as a person would, without any fault; nil if there is nothing.
func (w *world) look(path string, data map[string]any) map[string]any {
	found, err := w.tryLook(path, data)
	if err != nil {
		w.t.Fatalf("read %s: %v", path, err)
	}
	return found
}

func (w *world) tryLook(path string, data map[string]any) (map[string]any, error) {
	ctx := context.WithValue(context.Background(), looking{}, true)
	req := &logical.Request{Operation: logical.ReadOperation, Path: path, Data: data, Storage: w.node.storage}
	resp, err := w.node.b.HandleRequest(ctx, req)
	if err != nil || resp == nil {
		return nil, err
	}
	return resp.Data, nil
}

// nodeStorage is the storage as one node reaches it.
type nodeStorage struct {
	n *node
	logical.Storage
}

// access carries out one access with the fate that it has.
func access[T any](ctx context.Context, s *nodeStorage, writes bool, effect func() (T, error)) (answer T, err error) {
	n := s.n
	switch {
	case ctx.Value(looking{}) != nil:
		return effect()
	case n.dead.Load():
		return answer, errDied
	case writes && n.deposed.Load():
		return answer, errDeposed
	}
	way := n.w.storageFate(n, writes)
	switch way {
	case stumbles:
		return answer, errStumbled
	case diesBefore:
		n.die()
		return answer, errDied
	default:
	}
	done, err := effect()
	switch way {
	case getsLost:
		return answer, errStumbled
	case diesAfter:
		n.die()
		return answer, errDied
	default:
	}
	return done, err
}

func (s *nodeStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	return access(ctx, s, false, func() (*logical.StorageEntry, error) { return s.Storage.Get(ctx, key) })
}

func (s *nodeStorage) List(ctx context.Context, prefix string) ([]string, error) {
	return access(ctx, s, false, func() ([]string, error) { return s.Storage.List(ctx, prefix) })
}

func (s *nodeStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	_, err := access(ctx, s, true, func() (struct{}, error) { return struct{}{}, s.Storage.Put(ctx, entry) })
	return err
}

func (s *nodeStorage) Delete(ctx context.Context, key string) error {
	_, err := access(ctx, s, true, func() (struct{}, error) { return struct{}{}, s.Storage.Delete(ctx, key) })
	return err
}

// storageFate counts an access of the leading node and tells its fate.
func (w *world) storageFate(n *node, writes bool) fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n.deposed.Load() {
		return ""
	}
	w.storageCalls++
	for i := range w.storageFaults {
		f := &w.storageFaults[i]
		if f.writes && !writes {
			continue
		}
		if f.nth--; f.nth == 0 {
			w.struck++
			w.lossy = w.lossy || f.fate == getsLost
			return f.fate
		}
	}
	return ""
}

// fateOf counts a call at a place and tells its fate, and how long it takes to
// get there.
func (w *world) fateOf(p *place) (remoteFault, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var latency time.Duration
	if w.latency > 0 {
		latency = time.Duration(w.random.Int64N(int64(w.latency)))
	}
	for i := range w.remoteFaults {
		f := &w.remoteFaults[i]
		if f.ref != "" && f.ref != p.ref {
			continue
		}
		if f.nth--; f.nth == 0 {
			w.struck++
			return *f, latency
		}
	}
	return remoteFault{}, latency
}

// failureOf is why no call of the node gets through to the place, nil if one does.
func (w *world) failureOf(n *node, p *place) error {
	if n.dead.Load() {
		return providertest.LostAnswer()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.outage != nil {
		failure := *p.outage
		return &failure
	}
	if n.deposed.Load() && !w.split {
		return providertest.LostAnswer()
	}
	return nil
}
