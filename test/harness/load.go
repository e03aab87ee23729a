// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// loadClients write at the same time, each loadPace after its last answer.
	loadClients = 4
	loadPace    = 20 * time.Millisecond

	// Of every few writes one goes to a hot secret, which gets many versions, and
	// the others to calm ones, which get so few that every cloud keeps them all:
	// there the history that the clouds show at the end is the whole one.
	hotEvery   = 4
	hotWrites  = 60
	calmWrites = 6
	// keptVersions is more than any secret gets, tries without an answer included.
	keptVersions = 200
)

// Load is clients that write to Vault without an end, as programs do: each goes
// on with the next node when one fails, and tries again until it has an answer.
// Every try has a value of its own, so that a version of Vault is known by its
// value wherever it turns up.
type Load struct {
	tb      testing.TB
	clients []*api.Client // one for each node
	clouds  []*Emulator

	end    context.CancelFunc // the watchers', after the writers'
	stop   chan struct{}
	writes sync.WaitGroup
	looks  sync.WaitGroup

	mu        sync.Mutex // over what follows
	mount     string
	turn      int // numbers the writes
	tries     int
	failures  map[string]int // tries without success, by their error in short
	refusals  []string       // tries that were answered with "bad request"
	answered  []answered
	secrets   map[string]bool // written to; true when its destinations are surely stored
	sightings map[*Emulator][]sighting
}

// answered is a write that was answered with success.
type answered struct {
	secret, value string
	version       int
}

// sighting is what a reader in the cloud found, where that was something new.
type sighting struct{ secret, text string }

// StartLoad starts to write to all clouds through these nodes, and to read in
// the clouds.
func StartLoad(tb testing.TB, clouds []*Emulator, nodes ...*Vault) *Load {
	tb.Helper()
	ctx, end := context.WithCancel(context.WithoutCancel(tb.Context()))
	l := &Load{
		tb: tb, clouds: clouds, end: end, stop: make(chan struct{}), mount: Mount,
		failures: map[string]int{}, secrets: map[string]bool{}, sightings: map[*Emulator][]sighting{},
	}
	for _, node := range nodes {
		l.clients = append(l.clients, node.WithToken(node.token))
	}
	nodes[0].Write("config", map[string]any{"max_versions": keptVersions, "default_wait": "1s"}) // writes through the KV API wait
	for writer := range loadClients {
		l.writes.Go(func() { l.write(ctx, writer) })
	}
	for _, cloud := range clouds {
		l.looks.Go(func() { l.watch(ctx, cloud) })
	}
	tb.Cleanup(l.Stop) // after a failure
	return l
}

// Stop ends the clients once each has the answer that it waits for.
func (l *Load) Stop() {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.writes.Wait()
	l.end()
	l.looks.Wait()
}

// Move lets the clients write to a mount at another path from now on.
func (l *Load) Move(mount string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mount = mount
}

// AwaitWrites waits until so many more writes were answered with success.
func (l *Load) AwaitWrites(more int) {
	l.tb.Helper()
	want := l.count() + more
	Eventually(l.tb, "writes under load", func() error {
		if have := l.count(); have < want {
			l.mu.Lock()
			defer l.mu.Unlock()
			return fmt.Errorf("%d of %d were answered with success; failures: %v", have, want, l.failures)
		}
		return nil
	})
}

// Progress is a line about how far the load has come.
func (l *Load) Progress() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d writes answered of %d tried", len(l.answered), l.tries)
}

func (l *Load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}

// write is one client.
func (l *Load) write(ctx context.Context, writer int) {
	tick := time.NewTicker(loadPace)
	defer tick.Stop()
	node, secret := writer, ""
	for try := 0; ; try++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		if secret == "" {
			secret = l.next()
		}
		if l.try(ctx, l.clients[node%len(l.clients)], secret, fmt.Sprintf("w%d-%d", writer, try)) {
			secret = ""
		} else {
			node++
		}
	}
}

// next chooses the secret of the next write.
func (l *Load) next() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn++
	if l.turn%hotEvery == 0 {
		return fmt.Sprintf("load/hot%d", l.turn/hotEvery/hotWrites)
	}
	return fmt.Sprintf("load/calm%d", l.turn*(hotEvery-1)/hotEvery/calmWrites)
}

// try makes one write, through the KV API where the secret has its destinations
// already, and tells whether it was answered with success.
func (l *Load) try(ctx context.Context, client *api.Client, secret, value string) bool {
	l.mu.Lock()
	l.tries++
	path, data := l.mount+"/secrets/"+secret, map[string]any{"data": map[string]any{"n": value}, "wait": "0"}
	if l.secrets[secret] {
		path, data = l.mount+"/data/"+secret, map[string]any{"data": map[string]any{"n": value}}
	} else {
		l.secrets[secret] = false
		data["destinations"] = Replication{Clouds: l.clouds}.Destinations()
	}
	l.mu.Unlock()

	answer, err := client.Logical().WriteWithContext(ctx, path, data)
	version := int64(0)
	if err == nil && answer != nil {
		number, _ := answer.Data["version"].(json.Number)
		version, err = number.Int64()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || version == 0 {
		l.failures[inShort(err)]++
		var refused *api.ResponseError
		if errors.As(err, &refused) && refused.StatusCode == http.StatusBadRequest {
			l.refusals = append(l.refusals, fmt.Sprintf("%s: %v", secret, err))
		}
		return false
	}
	l.secrets[secret] = true
	l.answered = append(l.answered, answered{secret: secret, value: value, version: int(version)})
	return true
}

// inShort is an error without what differs each time.
func inShort(err error) string {
	var answer *api.ResponseError
	switch {
	case err == nil:
		return "success without a version"
	case errors.As(err, &answer) && len(answer.Errors) > 0:
		return fmt.Sprintf("%d %.60s", answer.StatusCode, strings.Join(strings.Fields(answer.Errors[0]), " "))
	case errors.As(err, &answer):
		return fmt.Sprint(answer.StatusCode)
	default:
		return "no answer"
	}
}

// watch reads the hot secret in a cloud again and again, as applications do.
func (l *Load) watch(ctx context.Context, cloud *Emulator) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.mu.Lock()
		name := fmt.Sprintf("load/hot%d", l.turn/hotEvery/hotWrites)
		l.mu.Unlock()
		secret, found, err := cloud.Control.Find(ctx, cloud.Service.ref(cloud.Service.RemoteName(name)))
		if err != nil || !found {
			continue // it is down, or hasn't got it yet
		}
		text := cloud.Service.currentText(secret)
		l.mu.Lock()
		seen := l.sightings[cloud]
		if text != "" && (len(seen) == 0 || seen[len(seen)-1] != sighting{name, text}) {
			l.sightings[cloud] = append(seen, sighting{name, text})
		}
		l.mu.Unlock()
	}
}
