// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

const (
	labelDestination = "destination"
	labelOperation   = "operation"
	labelOutcome     = "outcome"
	labelKind        = "kind"

	outcomeOK = "ok" // beside the error classes
)

// The limits of the histograms' buckets, in seconds and in versions.
var (
	callSeconds        = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	gateSeconds        = []float64{.001, .01, .05, .1, .5, 1, 5, 15, 60, 300}
	replicationSeconds = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400}
	lagVersions        = []float64{1, 2, 3, 5, 10, 20, 50}
)

// meters are the counters of one destination. They belong to its replicator and
// vanish with it. Labels have values of a fixed set only: operations are
// constants of the providers, outcomes error classes.
type meters struct {
	calls        *prometheus.CounterVec
	callSeconds  *prometheus.HistogramVec
	throttled    atomic.Int64
	gateSeconds  prometheus.Histogram
	convergences *prometheus.CounterVec
	// credentialRuns are those of managed credentials.
	credentialRuns *prometheus.CounterVec
	// verifications and drift are what comparisons with the remote led to.
	verifications *prometheus.CounterVec
	drift         *prometheus.CounterVec
	replication   prometheus.Histogram
	lag           prometheus.Histogram
}

func newMeters(ref string) *meters {
	at := prometheus.Labels{labelDestination: ref}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: at, Buckets: buckets}
	}
	return &meters{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloudsync_calls_total", ConstLabels: at,
			Help: "Remote calls by the cloud's operation and outcome: ok or the error class.",
		}, []string{labelOperation, labelOutcome}),
		callSeconds: prometheus.NewHistogramVec(histogram("cloudsync_call_duration_seconds",
			"How long remote calls took, by the cloud's operation, without the wait for their turn.", callSeconds), []string{labelOperation}),
		gateSeconds: prometheus.NewHistogram(histogram("cloudsync_call_wait_seconds",
			"How long remote calls waited for their turn, to keep within the rates.", gateSeconds)),
		convergences: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloudsync_convergences_total", ConstLabels: at,
			Help: "Times that a replica was worked on, by outcome: ok or the error class.",
		}, []string{labelOutcome}),
		credentialRuns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloudsync_managed_credential_runs_total", ConstLabels: at,
			Help: "Times that a managed credential was worked on, by outcome: ok or the error class.",
		}, []string{labelOutcome}),
		verifications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloudsync_verifications_total", ConstLabels: at,
			Help: "Times that a replica was compared with the cloud, by outcome: in_sync, drifted, repairing, skipped or the error class.",
		}, []string{labelOutcome}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cloudsync_drift_findings_total", ConstLabels: at,
			Help: "Times that a comparison found a replica changed by somebody else, by the kind of drift.",
		}, []string{labelKind}),
		replication: prometheus.NewHistogram(histogram("cloudsync_replication_duration_seconds",
			"How long replicas took from the first change that they were behind until they were in sync.", replicationSeconds)),
		lag: prometheus.NewHistogram(histogram("cloudsync_replication_lag_versions",
			"How many versions behind replicas were when a newer one reached them.", lagVersions)),
	}
}

// collect sends the present figures.
func (m *meters) collect(metrics chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{
		m.calls, m.callSeconds, m.gateSeconds, m.convergences, m.credentialRuns, m.verifications, m.drift, m.replication, m.lag,
	} {
		c.Collect(metrics)
	}
}

// meters are those of an opened destination; nil when it was deleted.
func (e *Engine) meters(o *opened) *meters {
	if r := e.replicators.get(o.destination.Ref()); r != nil {
		return r.meters
	}
	return nil
}

// called notes a remote call; the class is "" for success.
func (m *meters) called(operation string, class provider.Class, took time.Duration) {
	if m == nil {
		return
	}
	m.calls.WithLabelValues(operation, outcomeOf(class)).Inc()
	m.callSeconds.WithLabelValues(operation).Observe(took.Seconds())
	if class == provider.ClassThrottled {
		m.throttled.Add(1)
	}
}

// waited notes how long a remote call waited for its turn.
func (m *meters) waited(wait time.Duration) {
	if m != nil {
		m.gateSeconds.Observe(wait.Seconds())
	}
}

// converged notes the end of a convergence; err is a failure of our own storage.
func (m *meters) converged(out outcome, err error) {
	class := provider.Class("")
	switch {
	case err != nil:
		class = provider.ClassOf(err)
	case out.stale, out.err != nil && out.tried() == nil:
		return
	case out.err != nil:
		class = provider.ClassOf(out.err)
	}
	m.convergences.WithLabelValues(outcomeOf(class)).Inc()
}

// caughtUp notes that a replica is in sync which was behind since a change.
func (e *Engine) caughtUp(ref string, since time.Time, before, after *Replica) {
	r := e.replicators.get(ref)
	if r == nil {
		return
	}
	r.meters.replication.Observe(time.Since(since).Seconds())
	old, served := before.Observed.Current.Version, after.Observed.Current.Version
	if old.Incarnation != served.Incarnation {
		old.Number = 0 // of an earlier life of the name
	}
	if served.Number > old.Number {
		r.meters.lag.Observe(float64(served.Number - old.Number))
	}
}

// verified notes the end of a verification; err is a failure of our own storage.
func (m *meters) verified(v Verified, err error) {
	outcome := string(v.Result)
	switch {
	case err != nil:
		outcome = string(provider.ClassOf(err))
	case v.Failure != nil:
		outcome = string(v.Failure.Class)
	}
	m.verifications.WithLabelValues(outcome).Inc()
	for _, kind := range kindsOf(v.Findings) {
		m.drift.WithLabelValues(string(kind)).Inc()
	}
}

func outcomeOf(class provider.Class) string {
	if class == "" {
		return outcomeOK
	}
	return string(class)
}
