// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package engine keeps the replicas of secrets what they should be.
//
// Vault holds the truth: the value in the KV v2 store, the settings in the
// secret's record. A change is made under the secret's lock in this order:
//
//	check everything, remote names and values included
//	store the pending mark
//	store the secret's record, if its settings or destinations change
//	store the value
//
// and then the secret is put in the queue of each of its destinations. From
// there on nothing remembers what the change was. Convergence reads what should
// be, what was last seen or made at the destination, lets [plan] decide, carries
// the steps out and stores what it did. The mark is removed when all replicas
// are in sync and no newer change came meanwhile, so a crash at any point leaves
// a mark, and a mark is all that is needed to go on.
//
// No lock is held during a remote call.
package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"path"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// Options are what an engine needs.
type Options struct {
	Storage   logical.Storage // the mount's, usable from background work
	Store     *kvstore.Store
	Kinds     []provider.Kind
	Logger    hclog.Logger
	UserAgent string
	// Announce publishes an event; nil publishes none. It is called for one after
	// the other.
	Announce func(ctx context.Context, event Event) error
}

// Engine is one mount's replication. It is safe for concurrent use.
type Engine struct {
	storage   *leasedStorage
	store     *kvstore.Store
	kinds     map[string]provider.Kind
	log       hclog.Logger
	userAgent string
	mount     mountRecord
	term      term
	guard     guard

	locks       []*locksutil.LockEntry // by secret name
	claimLock   sync.RWMutex           // held for writing by who looks at all claims of a destination
	claimLocks  []*locksutil.LockEntry // by claim id, over checking and storing a claim
	claiming    sync.Map               // claim id to secret, for claims whose secret isn't stored yet
	claimCounts claimCounts
	brakes      sync.Map   // ref to *brake
	destLock    sync.Mutex // over changing a destination
	openLock    sync.Mutex // over opening a lane and deleting a destination's record
	ruleLock    sync.Mutex // over changing a rule; taken after destLock
	rules       atomic.Pointer[rule.Set]
	formerRules atomic.Pointer[map[string][]leaving] // stored before rules
	sweeping    sweeping
	place       atomic.Pointer[placeRecord] // never nil
	configLock  sync.Mutex                  // over changing the mount's settings
	config      atomic.Pointer[Config]      // nil when not loaded
	accounts    quota.Accounts
	replicators replicators
	activities  activities
	records     *recordCache
	credentials *credentials
	journal     *journal
	events      *events
	jobs        jobs
	tidying     chan struct{} // has an entry when the journal is to be cleaned
	resumed     atomic.Bool   // every mark of an earlier life was taken up
	takenUp     chan struct{} // closed then

	life    sync.Mutex // over what follows
	stopped bool
	ctx     context.Context //nolint:containedctx // the life of background work, from Start to Stop
	cancel  context.CancelFunc
	work    sync.WaitGroup
}

// Open loads the engine's state and, the first time, makes the mount's
// identity. On a node that can't write to storage it serves reads; there the
// identity must exist already.
func Open(ctx context.Context, o Options) (*Engine, error) {
	storage := &leasedStorage{Storage: o.Storage}
	e := &Engine{
		term: newTerm(), storage: storage, store: o.Store, log: o.Logger, userAgent: o.UserAgent,
		kinds:       map[string]provider.Kind{},
		takenUp:     make(chan struct{}),
		claimLocks:  locksutil.CreateLocks(),
		locks:       locksutil.CreateLocks(),
		replicators: replicators{byRef: map[string]*replicator{}},
		journal:     newJournal(storage),
		records:     newRecordCache(),
		credentials: newCredentials(),
		events:      newEvents(o.Announce),
		jobs:        jobs{turns: make(chan struct{}, jobsAtOnce), byID: map[string]*job{}},
		claimCounts: claimCounts{byRef: map[string]int{}},
		tidying:     make(chan struct{}, 1),
		activities:  activities{byName: map[string]*activity{}},
	}
	for _, kind := range o.Kinds {
		e.kinds[kind.Type] = kind
	}
	e.jobs.kinds = e.jobKinds()
	if err := e.identify(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Engine) identify(ctx context.Context) error {
	stored, err := mounts.Get(ctx, e.storage, "")
	if err != nil {
		return err
	}
	if stored == nil {
		stored = &mountRecord{Key: make([]byte, 32)}
		if stored.ID, err = uuid.GenerateUUID(); err != nil {
			return fmt.Errorf("make the mount's id: %w", err)
		}
		_, _ = rand.Read(stored.Key) // never fails
		if err := mounts.Put(ctx, e.storage, "", stored); err != nil {
			return err
		}
	}
	e.mount = *stored
	place, err := places.Get(ctx, e.storage, "")
	if err != nil {
		return err
	}
	if place == nil {
		place = &placeRecord{}
	}
	e.place.Store(place)
	return nil
}

// Settle notes where the mount is, the first time that it is written to.
func (e *Engine) Settle(ctx context.Context, mountPath, mountAccessor string) error {
	if mountPath == "" || e.place.Load().MountPath != "" {
		return nil
	}
	e.configLock.Lock()
	defer e.configLock.Unlock()
	if e.place.Load().MountPath != "" {
		return nil
	}
	place := &placeRecord{MountPath: mountPath, MountAccessor: mountAccessor}
	if err := places.Put(ctx, e.storage, "", place); err != nil {
		return err
	}
	e.place.Store(place)
	return nil
}

// MountID is the id that marks this mount's remote secrets.
func (e *Engine) MountID() string { return e.mount.ID }

// Kinds are the types of destinations, by type.
func (e *Engine) Kinds() map[string]provider.Kind { return e.kinds }

// Start begins to work off what is pending. It returns at once.
func (e *Engine) Start() {
	e.life.Lock()
	defer e.life.Unlock()
	if e.ctx != nil || e.stopped {
		return
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	for _, r := range e.replicators.all() {
		e.run(r)
	}
	ctx := e.ctx
	e.work.Go(func() { e.tidy(ctx) })
	e.work.Go(func() { e.announce(ctx) })
	e.work.Go(func() { e.resume(ctx) })
	e.work.Go(func() { e.resumeSweeps(ctx) })
	e.work.Go(func() { e.resumeRules(ctx) })
	e.work.Go(func() { e.resumeJobs(ctx) })
	e.work.Go(func() { e.resumeCredentials(ctx) })
}

// Started tells whether background work runs.
func (e *Engine) Started() bool {
	e.life.Lock()
	defer e.life.Unlock()
	return e.ctx != nil
}

// Stop ends all background work and waits for it. Calls under way are
// cancelled; their secrets stay marked.
func (e *Engine) Stop() {
	e.life.Lock()
	e.stopped = true
	if e.cancel != nil {
		e.cancel()
	}
	e.life.Unlock()
	for _, r := range e.replicators.all() {
		r.stop()
	}
	e.work.Wait()
	for _, r := range e.replicators.all() {
		r.close()
	}
	if e.ctx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastTidy)
	defer cancel()
	if err := e.journal.clean(ctx); err != nil {
		e.log.Debug("marks of finished work stay in storage; they are looked at again at the next start", "error", err)
	}
}

// lastTidy bounds how long the end waits for storage.
const lastTidy = 5 * time.Second

// tidyJournal has marks removed that are no longer needed, soon.
func (e *Engine) tidyJournal() {
	select {
	case e.tidying <- struct{}{}:
	default:
	}
}

// tidy removes marks that are no longer needed, many at a time.
func (e *Engine) tidy(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.tidying:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(removalDelay):
		}
		e.persist(ctx, "remove marks of finished work", func() error { return e.journal.clean(ctx) })
	}
}

// lock locks a secret by name until the returned function is called.
func (e *Engine) lock(name string) (unlock func()) {
	entry := locksutil.LockForKey(e.locks, name)
	entry.Lock()
	return entry.Unlock
}

// Config returns the mount's settings.
func (e *Engine) Config(ctx context.Context) (Config, error) {
	if c := e.config.Load(); c != nil {
		return *c, nil
	}
	stored, err := configs.Get(ctx, e.storage, "")
	if err != nil {
		return Config{}, err
	}
	if stored == nil {
		stored = &Config{}
	}
	e.config.CompareAndSwap(nil, stored) // unless it was changed meanwhile
	return *stored, nil
}

// ChangeConfig changes the mount's settings. Beginning a pause stops the work, and
// ending it takes it up.
func (e *Engine) ChangeConfig(ctx context.Context, change func(c *Config)) error {
	e.configLock.Lock()
	defer e.configLock.Unlock()
	before, err := e.Config(ctx)
	if err != nil {
		return err
	}
	next := before
	change(&next)
	if !next.Paused {
		next.PauseReason = ""
	}
	if reflect.DeepEqual(next, before) {
		return nil
	}
	if err := configs.Put(ctx, e.storage, "", &next); err != nil {
		e.config.Store(nil) // it may be in storage or not
		return err
	}
	e.config.Store(&next)
	if before.Paused && !next.Paused {
		e.guard.reset()
	}
	if before.Paused != next.Paused {
		e.requeueAll()
		e.enqueueCredentials("", (*credentialWork).waits)
	}
	return nil
}

// Invalidate drops what is cached of a storage key that another node changed.
func (e *Engine) Invalidate(key string) {
	if key == configs.Prefix {
		e.config.Store(nil)
	}
	if strings.HasPrefix(key, rules.Prefix) {
		e.rules.Store(nil)
	}
	if id, found := strings.CutPrefix(key, secrets.Prefix); found {
		e.records.drop(id)
	}
	if id, found := strings.CutPrefix(key, claims.Prefix); found {
		e.claimCounts.forget(path.Dir(id))
	}
	if ref, found := strings.CutPrefix(key, brakes.Prefix); found {
		e.forgetBrake(ref)
	}
	if ref, found := strings.CutPrefix(key, destinations.Prefix); found {
		if r := e.replicators.remove(ref); r != nil {
			// Other nodes' changes reach nodes that don't replicate, so there
			// are no workers to wait for.
			r.close()
		}
	}
}

// replicator returns the replicator of a destination, opening it if need be; nil
// if there is no such destination.
func (e *Engine) replicator(ctx context.Context, ref string) (*replicator, error) {
	if r := e.replicators.get(ref); r != nil {
		return r, nil
	}
	kind, name, err := splitRef(ref)
	if err != nil {
		return nil, err
	}
	e.openLock.Lock()
	defer e.openLock.Unlock()
	stored, err := destinations.Get(ctx, e.storage, ref)
	if err != nil || stored == nil {
		return nil, err
	}
	o, err := e.open(stored.destination(kind, name))
	if err != nil {
		return nil, err
	}
	kept := e.keep(o)
	if kept.current.Load() != o {
		o.close()
	}
	return kept, nil
}

// keep returns the replicator of an opened destination, making it if need be.
// The one that there is already keeps its own.
func (e *Engine) keep(o *opened) *replicator {
	e.life.Lock()
	defer e.life.Unlock()
	ctx := e.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	added := newReplicator(ctx, o)
	kept := e.replicators.add(added)
	switch {
	case kept != added:
		added.stop()
	case e.stopped:
		added.stop()
	case e.ctx != nil:
		e.run(added)
	}
	return kept
}

// run starts the work of a destination.
func (e *Engine) run(r *replicator) {
	r.run(e.workOnItem)
	r.workers.Go(func() { e.verifyRounds(r) })
}

// await lets Stop wait for the workers of a replicator that was stopped.
func (e *Engine) await(r *replicator) {
	e.life.Lock()
	defer e.life.Unlock()
	if e.stopped {
		go r.close() // Stop doesn't wait any more; nothing is called any more either
		return
	}
	e.work.Go(r.close)
}
