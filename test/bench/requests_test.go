// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// engine is something that stores a write and answers reads.
type engine struct {
	label string // in the table
	slug  string // in the benchmark format
	mount string
	// create, if set, writes the first version another way than data/ does.
	create string
	body   map[string]any
	read   string // the path below which it is read; "" is data/
	cloud  *cloud // that gets replicas
}

const (
	plain      = "plain"
	background = "background"
	bySecrets  = "secrets"
)

var writing = []engine{
	{label: "Vault's built-in KV", slug: builtinKV, mount: builtinKV},
	{label: "the KV library as a plugin", slug: pluginKV, mount: pluginKV},
	{label: "cloudsync, no destination", slug: plain, mount: harness.Mount},
	{
		label: "cloudsync, wait=0, replicates", slug: background, mount: harness.Mount, create: "secrets",
		body: map[string]any{"destinations": tencentCloud.ref}, cloud: &tencentCloud,
	},
}

// Reads are of what the writes have made.
var reading = []engine{
	writing[0], writing[1],
	{label: "cloudsync, by data/", slug: background, mount: harness.Mount},
	{label: "cloudsync, by secrets/", slug: bySecrets, mount: harness.Mount, read: bySecrets},
}

const read = "read"

// series are all samples of one engine, operation and number of clients.
type series struct {
	took  []time.Duration
	rates []float64 // by round
	p50s  []float64 // in seconds, by round
}

// requests are the samples by key.
type requests map[string]*series

func key(slug, operation string, clients int) string {
	return fmt.Sprintf("Request/engine=%s/op=%s/clients=%d", slug, operation, clients)
}

// TestRequests measures writes, without waiting for replicas, and reads. Rounds
// go around all the engines, so that a slow moment of the machine hits each.
func TestRequests(t *testing.T) {
	r := start(t)
	mountKV(t, r.Vault)
	effort := measured()
	all := requests{}
	began := time.Now()
	for round := range effort.rounds {
		if round > 0 && time.Since(began) > effort.longest {
			progress(t, "requests: that takes too long here, the rest of the rounds is left out")
			break
		}
		progress(t, "requests: round %d of %d", round+1, effort.rounds)
		for _, b := range []batch{{round, 1, effort.alone}, {round, clients, effort.crowd}} {
			for _, e := range writing {
				for _, operation := range operations {
					all.measure(t, r, e, operation, b)
				}
			}
			for _, e := range reading {
				all.measure(t, r, e, read, b)
			}
		}
	}
	figures.section("Writes with wait=0 and reads by eight clients, compared with the KV library as a plugin (raft on the disk of this machine)")
	for _, operation := range []string{create, update, read} {
		all.showRates(operation)
	}
	figures.section("Latency of the same with one client, p50")
	for _, operation := range []string{create, update, read} {
		all.showLatencies(operation)
	}
}

// batch is so many requests by some clients.
type batch struct{ round, clients, n int }

// measure makes a batch of requests. What is left to replicate is waited for,
// but not measured.
func (all requests) measure(t *testing.T, r harness.Replication, e engine, operation string, b batch) {
	t.Helper()
	slug := e.slug
	if slug == bySecrets {
		slug = background
	}
	request := e.request(t, operation, fmt.Sprintf("bench/%s/%d/%d", slug, b.round, b.clients))
	took, elapsed := load(t, r.Vault, b.clients, b.n, request)
	if e.cloud != nil && operation != read {
		awaitSync(t, r.Vault, *e.cloud)
	}
	name := key(e.slug, operation, b.clients)
	if all[name] == nil {
		all[name] = &series{}
	}
	s := all[name]
	s.took = append(s.took, took...)
	s.rates, s.p50s = append(s.rates, float64(b.n)/elapsed.Seconds()), append(s.p50s, quantile(took, 0.5).Seconds())
	figures.line(name, b.n,
		nanoseconds(elapsed/time.Duration(b.n), "ns/op"), value{float64(b.n) / elapsed.Seconds(), "requests/s"},
		nanoseconds(quantile(took, 0.5), "p50-ns"), nanoseconds(quantile(took, 0.99), "p99-ns"))
}

func (e engine) request(t *testing.T, operation, folder string) func(*api.Client, int) error {
	t.Helper()
	return func(client *api.Client, i int) error {
		below := "data"
		switch {
		case operation == create && e.create != "":
			below = e.create
		case operation == read && e.read != "":
			below = e.read
		}
		path := fmt.Sprintf("%s/%s/%s/%d", e.mount, below, folder, i)
		if operation == read {
			answer, err := client.Logical().ReadWithContext(t.Context(), path)
			if err == nil && answer == nil {
				err = fmt.Errorf("read %s: nothing is there", path)
			}
			return err
		}
		body := map[string]any{"data": credentials(time.Now().UnixNano())}
		if operation == create {
			maps.Copy(body, e.body)
		}
		_, err := client.Logical().WriteWithContext(t.Context(), path, body)
		return err
	}
}

// compared are the engines for an operation.
func compared(operation string) []engine {
	if operation == read {
		return reading
	}
	return writing
}

// showRates compares how much the engines do for eight clients.
func (all requests) showRates(operation string) {
	aim := atLeast(0.8)
	if operation == read {
		aim = atLeast(0.95)
	}
	reference := all[key(pluginKV, operation, clients)].rates
	for _, e := range compared(operation) {
		rates := all[key(e.slug, operation, clients)].rates
		figure, got, want := operation+": "+e.label, per(median(rates), operation+"s"), per(median(reference), operation+"s")
		switch e.slug {
		case pluginKV:
			figures.note(figure, got)
		case builtinKV, plain:
			figures.relate(figure, got, want, medianRatio(rates, reference))
		default:
			figures.judge(figure, got, want, medianRatio(rates, reference), aim)
		}
	}
}

// showLatencies compares how long one client waits for an answer.
func (all requests) showLatencies(operation string) {
	reference := all[key(pluginKV, operation, 1)]
	for _, e := range compared(operation) {
		s := all[key(e.slug, operation, 1)]
		figure, got := operation+": "+e.label, short(quantile(s.took, 0.5))
		if e.slug == pluginKV {
			figures.note(figure, got)
			continue
		}
		figures.relate(figure, got, short(quantile(reference.took, 0.5)), medianRatio(s.p50s, reference.p50s))
	}
}

// medianRatio is the median of the ratios of rounds, in which both were measured
// close together: a slow moment of the machine spoils one round, not the figure.
func medianRatio(of, to []float64) float64 {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = of[i] / to[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
