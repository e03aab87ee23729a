// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// world is a Vault and some clouds, in which anything may go wrong: nodes that
// follow each other on one storage, and places that outlive them. It runs in a
// bubble of testing/synctest, so that hours pass at once.
type world struct {
	t       *testing.T
	stored  logical.Storage
	places  []*place
	names   []string // of all secrets that there may be
	node    *node    // the one that leads
	system  *logical.StaticSystemView
	logs    *syncBuffer
	latency time.Duration // of a remote call, at most

	late     sync.WaitGroup // calls that outlive their callers
	requests sync.WaitGroup

	mu            sync.Mutex
	random        *rand.Rand
	remoteFaults  []remoteFault
	storageFaults []storageFault
	storageCalls  int
	remoteCalls   int
	struck        int // faults that came about
	deaths        int
	starts        int            // of nodes
	split         bool           // a deposed node goes on calling the clouds for a while
	lossy         bool           // storage took something in and said that it failed
	repeats       map[string]int // by secret: how often a content may have been written again
	// outlived are the remote secrets that a call changed after its caller gave up.
	outlived map[*place]map[string]bool
}

// modelRules are the names of all rules that there may be.
var modelRules = []string{"all", "plain", "team"}

// storageFault is what becomes of the nth storage access from now on.
type storageFault struct {
	nth    int
	fate   fate
	writes bool // only writes count
}

// The fates of storage accesses beside the deaths.
const (
	stumbles fate = "fails once"
	getsLost fate = "takes effect and fails"
)

var (
	errStumbled = errors.New("the storage stumbles")
	errDeposed  = errors.New("another node leads")
)

// node is one process with the plugin.
type node struct {
	*mount
	w       *world
	dead    atomic.Bool // nothing that it does reaches anybody
	deposed atomic.Bool // it can't write to storage any more
	started bool
}

// newWorld makes a mount with one destination at each cloud given.
func newWorld(t *testing.T, models ...providertest.Model) *world {
	t.Helper()
	w := &world{
		t: t, stored: &logical.InmemStorage{}, logs: &syncBuffer{}, random: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // chance, not secrecy
		system:   &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
		outlived: map[*place]map[string]bool{}, repeats: map[string]int{},
	}
	for i, model := range models {
		if i > 0 {
			model.Type = fmt.Sprintf("memory%d", i+1)
		}
		cloud := providertest.NewMemory(model)
		for _, name := range []string{"main", "two"} {
			p := &place{kind: cloud.Kind(), region: cloud.Region(name), model: model, seen: newSightings()}
			p.ref = p.kind.Type + "/" + name
			w.places = append(w.places, p)
		}
	}
	w.begin()
	synctest.Wait() // the KV library notes in the background that it is set up
	for _, p := range w.places {
		if strings.HasSuffix(p.ref, "/main") {
			w.node.write("destinations/"+p.ref, w.destination(p))
		}
	}
	w.node.write("config", map[string]any{"default_wait": 0})
	t.Cleanup(func() {
		w.node.b.Cleanup(context.Background())
		w.requests.Wait()
		w.late.Wait()
		time.Sleep(time.Hour) // what has stopped needn't have ended
	})
	return w
}

func (w *world) destination(p *place) map[string]any {
	_, region, _ := strings.Cut(p.ref, "/")
	return map[string]any{
		"region": region, "access_key_id": "id", "access_key_secret": testKeySecret,
		// A call of a node that was deposed may come after the end, and is then found
		// to be drift. What the model looks for has to come right without that.
		"verifications_per_hour": 0,
	}
}

// place returns the place of a destination.
func (w *world) place(ref string) *place {
	for _, p := range w.places {
		if p.ref == ref {
			return p
		}
	}
	return nil
}

// begin starts a node that leads from then on. One that can't start tries again
// once a minute, as Vault makes it.
func (w *world) begin() {
	n := &node{w: w}
	w.starts++
	n.mount = &mount{t: w.t, storage: &faultyStorage{Storage: &nodeStorage{n, w.stored}}, logs: w.logs, system: w.system}
	kinds := map[string]bool{}
	for _, p := range w.places {
		if !kinds[p.kind.Type] {
			kinds[p.kind.Type] = true
			n.kinds = append(n.kinds, w.kindFor(n, p.kind))
		}
	}
	w.node = n
	b, err := newBackend(context.Background(), &logical.BackendConfig{
		StorageView: n.storage, System: w.system, BackendUUID: "test",
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: w.logs}),
	}, n.kinds)
	if err != nil {
		w.t.Fatalf("make the backend: %v", err)
	}
	n.b = b
	n.started = b.Initialize(context.Background(), &logical.InitializationRequest{Storage: n.storage}) == nil
}

func (w *world) kindFor(n *node, kind provider.Kind) provider.Kind {
	open := kind.Open
	kind.Open = func(c provider.Config) (provider.Destination, error) {
		gate := c.Gate
		c.Gate = nil // calls pass it before they meet their fate
		d, err := open(c)
		if err != nil {
			return nil, err
		}
		return connect(n, w.place(kind.Type+"/"+c.Region), gate, d), nil
	}
	return kind
}

// restart ends the leading node in an orderly way and begins another. Requests that
// are under way get nowhere, as Vault's storage is out of their reach by then.
func (w *world) restart() {
	w.node.b.Cleanup(context.Background())
	w.node.dead.Store(true)
	w.begin()
}

// die ends all that the node does, from one moment to the next.
func (n *node) die() {
	if !n.dead.Swap(true) {
		n.w.mu.Lock()
		defer n.w.mu.Unlock()
		n.w.deaths++
	}
}

// depose lets another node take over while this one still runs, for a while.
func (w *world) depose(while time.Duration) {
	old := w.node
	old.deposed.Store(true)
	w.begin()
	w.requests.Go(func() {
		time.Sleep(while)
		old.b.Cleanup(context.Background())
	})
}

// revive begins a new node if the leading one is dead.
func (w *world) revive() {
	for w.node.dead.Load() {
		w.restart()
	}
	if !w.node.started {
		req := &logical.Request{Operation: logical.RollbackOperation, Storage: w.node.storage}
		_, err := w.node.b.HandleRequest(context.Background(), req)
		w.node.started = err == nil
	}
}

// calm ends all faults, outages, pauses and disabling: from here on everything
// must come right by itself.
func (w *world) calm() (wrong []string) {
	w.mu.Lock()
	w.remoteFaults, w.storageFaults, w.latency = nil, nil, 0
	for _, p := range w.places {
		p.outage = nil
	}
	w.mu.Unlock()
	w.requests.Wait()
	w.revive()
	requests := []step{update("config", map[string]any{"paused": false})}
	for _, p := range w.places {
		d := w.look("destinations/"+p.ref, nil)
		if disabled, _ := d["disabled"].(bool); disabled {
			requests = append(requests, update("destinations/"+p.ref, map[string]any{"disabled": false}))
		}
	}
	for _, p := range w.places {
		if w.look("destinations/"+p.ref, nil) != nil {
			requests = append(requests, update("destinations/"+p.ref, map[string]any{"paused": false, "max_deletions_per_hour": -1}))
		}
	}
	for _, name := range w.names {
		if w.isPaused(name) {
			requests = append(requests, update("secrets/"+name, map[string]any{"paused": false}))
		}
	}
	wrong = w.request(requests)
	// What is under way may still come to be held.
	time.Sleep(time.Hour)
	w.revive()
	requests = nil
	for _, p := range w.places {
		if w.look("destinations/"+p.ref, nil) != nil {
			requests = append(requests, update("release-held/"+p.ref, nil))
		}
	}
	return append(wrong, w.request(requests)...)
}

// isPaused tells whether a secret is paused itself.
func (w *world) isPaused(name string) bool {
	settings, _ := w.look("status/"+name, nil)["settings"].(map[string]any)
	is, _ := settings["paused"].(bool)
	return is
}

// request makes requests that must succeed, since nothing is in the way.
func (w *world) request(requests []step) (wrong []string) {
	for _, s := range requests {
		if d := w.node.request(s.operation, s.path, s.data); !d.answered {
			wrong = append(wrong, fmt.Sprintf("%s fails when nothing is in the way: %v %v", s.path, d.resp, d.err))
		}
	}
	return wrong
}

// patience is how long replicas may take to come right: the longest rests
// between tries are three quarters of an hour.
const patience = 6 * time.Hour

// settle waits until nothing is outstanding that isn't expected to stay, and
// tells what is.
func (w *world) settle(patience time.Duration) (outstanding []string) {
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; ; wait = min(2*wait, 5*time.Minute) {
		synctest.Wait()
		w.revive()
		if outstanding = w.marks(); len(outstanding) == 0 || wait > time.Minute {
			outstanding = w.outstanding()
		}
		if len(outstanding) == 0 || time.Now().After(deadline) {
			return outstanding
		}
		time.Sleep(wait)
	}
}

// settleAfterAll waits until everything has come right by itself. After calls that
// took effect when nobody waited for them, and after storage that failed to say what
// it did, somebody has to ask again.
func (w *world) settleAfterAll() (wrong []string) {
	wrong = w.settle(patience)
	w.late.Wait()
	w.mu.Lock()
	outlived, lossy := len(w.outlived) > 0, w.lossy
	w.mu.Unlock()
	if lossy {
		for _, name := range w.names {
			w.node.request(logical.UpdateOperation, "sync/"+name, nil)
		}
	}
	if outlived {
		for _, p := range w.places {
			if w.look("destinations/"+p.ref, nil) != nil {
				w.node.request(logical.UpdateOperation, "destinations/"+p.ref, map[string]any{"endpoint": "https://another.example"})
			}
		}
	}
	if lossy || outlived {
		wrong = w.settle(patience)
	}
	return wrong
}

// outstanding are the marks and sweeps in storage, and the replicas that aren't
// what they should be, but for those that are blocked as they should be.
func (w *world) outstanding() (left []string) {
	blocked := false
	for _, name := range w.names {
		replicas, _ := w.look("status/"+name, nil)["destinations"].(map[string]any)
		for ref, raw := range replicas {
			replica, _ := raw.(map[string]any)
			remote, _ := replica["remote_name"].(string)
			switch {
			case replica["state"] == "in_sync" || replica["state"] == "withdrawn":
			case w.place(ref).mayBeBlocked(remote, replica):
				blocked = true
			default:
				left = append(left, fmt.Sprintf("%s at %s: %v", name, ref, replica))
			}
		}
	}
	for _, mark := range w.marks() {
		if !blocked || !strings.HasPrefix(mark, "pending/") {
			left = append(left, "left in storage: "+mark)
		}
	}
	return left
}

// marks are what storage holds of work that isn't done.
func (w *world) marks() (marks []string) {
	for _, prefix := range []string{"pending/", "destination/", "rule/"} {
		keys, err := logical.CollectKeysWithPrefix(context.Background(), w.stored, prefix)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, key := range keys {
			entry, _ := w.stored.Get(context.Background(), key)
			if entry != nil && (prefix == "pending/" || strings.Contains(string(entry.Value), `"sweep"`)) {
				marks = append(marks, key)
			}
		}
	}
	return marks
}

// done is what a request came to.
type done struct {
	resp     *logical.Response
	err      error
	answered bool // with success, by a node that lived to say so
	refused  bool
}

// request sends a request to the node.
func (n *node) request(operation logical.Operation, path string, data map[string]any) done {
	resp, err := n.do(operation, path, data)
	d := done{resp: resp, err: err}
	if n.dead.Load() {
		return d
	}
	code := 0
	if resp != nil {
		code, _ = resp.Data[logical.HTTPStatusCode].(int)
	}
	d.answered = err == nil && !resp.IsError() && code < http.StatusBadRequest
	d.refused = errors.Is(err, logical.ErrInvalidRequest) || code >= http.StatusBadRequest && code < http.StatusInternalServerError
	return d
}
