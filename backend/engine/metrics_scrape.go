// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/version"
)

// What is worked out when it is asked for.
var (
	descReplicas    = describe("replicas", "Replicas by state; in_sync includes withdrawn ones.", labelDestination, "state")
	descCredentials = describe("managed_credentials", "Managed credentials by state.", labelDestination, "state")
	descQueue       = describe("queue_depth", "Replicas that wait for a worker, by lane.", labelDestination, "lane")
	descPendingAge  = describe("oldest_pending_age_seconds", "Age of the oldest change that isn't replicated; 0 if there is none.", labelDestination)
	descUp          = describe("destination_up", "0 while the destination doesn't answer.", labelDestination)
	descRefused     = describe("destination_credentials_refused", "1 while the destination doesn't accept its credentials.", labelDestination)
	descDisabled    = describe("destination_disabled", "1 while the destination is switched off.", labelDestination)
	descPausedAt    = describe("destination_paused", "1 while the destination is paused.", labelDestination)
	descDeletions   = describe("deletions_last_hour", "Secrets that were taken from their readers in the last hour: deletions and withdrawals.", labelDestination)
	descMaxDeletion = describe("max_deletions_per_hour", "How many are allowed before they are held; -1 for any number.", labelDestination)
	descThrottled   = describe("throttled_calls_total", "Remote calls that the cloud refused for their rate.", labelDestination)
	descRate        = describe("allowed_calls_per_second", "Present limit of the calls of a group, shared by the destinations of an account.", labelDestination, "group")
	descPaused      = describe("paused", "1 while remote changes of the mount are paused.")
	descReplicating = describe("replicating", "1 if this node is the one that calls the clouds.")
	descBuild       = describe("build_info", "Version of the running plugin.", "version", "commit")
	descMarks       = describe("marks_stored_total", "Marks of pending secrets that were stored.")
	descMarkWrites  = describe("mark_writes_total", "Writes to storage for marks; many marks share one.")
	descHits        = describe("record_cache_hits_total", "Records of secrets that were found in memory.")
	descMisses      = describe("record_cache_misses_total", "Records of secrets that were read from storage.")
	descLostEvents  = describe("events_dropped_total", "Events that couldn't be published.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("cloudsync_"+name, help, labels, nil)
}

// Metrics returns the figures of the mount as Prometheus text, with its content
// type. No secret is named. A destination that was deleted has none.
func (e *Engine) Metrics(ctx context.Context) (text []byte, contentType string, err error) {
	overview, err := e.Overview(ctx)
	if err != nil {
		return nil, "", err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(scrape{e, overview}); err != nil {
		return nil, "", fmt.Errorf("collect metrics: %w", err)
	}
	families, err := registry.Gather()
	if err != nil {
		return nil, "", fmt.Errorf("collect metrics: %w", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	var buffer bytes.Buffer
	encoder := expfmt.NewEncoder(&buffer, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return nil, "", fmt.Errorf("encode metrics: %w", err)
		}
	}
	return buffer.Bytes(), string(format), nil
}

// scrape collects the figures of a mount once.
type scrape struct {
	e        *Engine
	overview *Overview
}

var _ prometheus.Collector = scrape{}

// Describe tells nothing ahead: which destinations there are changes.
func (scrape) Describe(chan<- *prometheus.Desc) {}

// Collect sends all figures.
func (s scrape) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...)
	}
	gauge(descBuild, 1, version.Version, version.Commit)
	gauge(descPaused, truth(s.overview.Paused))
	gauge(descReplicating, truth(s.e.Started()))
	counter(descMarks, float64(s.e.journal.marked.Load()))
	counter(descMarkWrites, float64(s.e.journal.writes.Load()))
	hits, misses := s.e.records.counts()
	counter(descHits, float64(hits))
	counter(descMisses, float64(misses))
	counter(descLostEvents, float64(s.e.events.dropped.Load()))
	for ref, d := range s.overview.Destinations {
		for _, state := range States() {
			gauge(descReplicas, float64(d.Replicas[state]), ref, string(state))
		}
		for _, state := range CredentialStates() {
			gauge(descCredentials, float64(d.Credentials[state]), ref, string(state))
		}
		for _, lane := range quota.Lanes() {
			gauge(descQueue, float64(d.Queue[lane]), ref, lane.String())
		}
		age := time.Duration(0)
		if !d.PendingSince.IsZero() {
			age = time.Since(d.PendingSince)
		}
		gauge(descPendingAge, age.Seconds(), ref)
		gauge(descUp, truth(d.AwaySince.IsZero()), ref)
		gauge(descRefused, truth(d.Refused != nil), ref)
		gauge(descDisabled, truth(d.Disabled), ref)
		gauge(descPausedAt, truth(d.Paused), ref)
		gauge(descDeletions, float64(d.Deletions), ref)
		gauge(descMaxDeletion, float64(d.MaxDeletionsPerHour), ref)
		counter(descThrottled, float64(d.Throttled), ref)
		if r := s.e.replicators.get(ref); r != nil {
			for group, rate := range r.current.Load().pacer.Rates() {
				gauge(descRate, rate, ref, group)
			}
			r.meters.collect(metrics)
		}
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
