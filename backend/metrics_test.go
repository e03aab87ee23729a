// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// scrape reads the metrics as Prometheus does.
func (m *mount) scrape() (families map[string]*dto.MetricFamily, text []byte) {
	m.t.Helper()
	resp := m.read("metrics")
	text, _ = resp.Data[logical.HTTPRawBody].([]byte)
	contentType, _ := resp.Data[logical.HTTPContentType].(string)
	if resp.Data[logical.HTTPStatusCode] != http.StatusOK || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		m.t.Fatalf("the answer is %v as %q", resp.Data[logical.HTTPStatusCode], contentType)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		m.t.Fatalf("parse the metrics: %v\n%s", err, text)
	}
	return families, text
}

// metric is the value of a metric with those labels, given in pairs; of a
// histogram the number of observations. It is -1 if there is none.
func (m *mount) metric(name string, labels ...string) float64 {
	m.t.Helper()
	families, _ := m.scrape()
	family := families["cloudsync_"+name]
	for _, metric := range family.GetMetric() {
		found := map[string]string{}
		for _, label := range metric.GetLabel() {
			found[label.GetName()] = label.GetValue()
		}
		matches := true
		for pair := range slices.Chunk(labels, 2) {
			matches = matches && found[pair[0]] == pair[1]
		}
		if !matches {
			continue
		}
		switch family.GetType() {
		case dto.MetricType_COUNTER:
			return metric.GetCounter().GetValue()
		case dto.MetricType_HISTOGRAM:
			return float64(metric.GetHistogram().GetSampleCount())
		default:
			return metric.GetGauge().GetValue()
		}
	}
	return -1
}

func TestMetricsTellWhatHappened(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	const at, main = "destination", "memory/main"
	m.write("secrets/team-a/one", map[string]any{"value": "v", "destinations": main})
	m.write("secrets/team-a/one", map[string]any{"value": "w"})
	region.Before(providertest.Always(providertest.OpCreate, providertest.Failure(provider.ClassPermission)))
	m.write("secrets/two", map[string]any{"value": "v", "destinations": main})
	m.await("two", "blocked")
	// The refusal stays: a worker that began before the write had ended comes back.
	refused := providertest.Always(providertest.OpCreate, providertest.Failure(provider.ClassPermission))
	throttled := providertest.Once(providertest.OpOverwrite, providertest.Failure(provider.ClassThrottled))
	region.Before(func(op, name string) error { return errors.Join(refused(op, name), throttled(op, name)) })
	m.write("secrets/team-a/one", map[string]any{"value": "x", "wait": 30})
	m.await("team-a/one", "in_sync")
	refusals := m.metric("calls_total", "operation", providertest.OpCreate, "outcome", "permission")
	if refusals != 1 && refusals != 2 {
		t.Errorf("%v creations were refused, want one, or two for the worker that comes back", refusals)
	}

	for _, want := range []struct {
		name   string
		value  float64
		labels []string
	}{
		{"replicas", 1, []string{"state", "in_sync"}},
		{"replicas", 1, []string{"state", "blocked"}},
		{"replicas", 0, []string{"state", "retrying"}},
		{"calls_total", 1, []string{"operation", providertest.OpCreate, "outcome", "ok"}},
		{"calls_total", 1, []string{"operation", providertest.OpOverwrite, "outcome", "throttled"}},
		{"call_duration_seconds", 1 + refusals, []string{"operation", providertest.OpCreate}},
		{"throttled_calls_total", 1, nil},
		{"replication_duration_seconds", 3, nil},
		{"replication_lag_versions", 3, nil},
		{"convergences_total", refusals, []string{"outcome", "permission"}},
		{"destination_up", 1, nil},
		{"destination_credentials_refused", 0, nil},
		{"destination_disabled", 0, nil},
		{"queue_depth", 0, []string{"lane", "people"}},
	} {
		if got := m.metric(want.name, append(want.labels, at, main)...); got != want.value {
			t.Errorf("%s of %v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	for name, least := range map[string]float64{
		"call_wait_seconds": 7, "oldest_pending_age_seconds": 0, "allowed_calls_per_second": 1,
		"marks_stored_total": 1, "mark_writes_total": 1, "record_cache_hits_total": 1, "record_cache_misses_total": 1,
		"replicating": 1, "build_info": 1, "paused": 0, "events_dropped_total": 0,
	} {
		if got := m.metric(name); got < least {
			t.Errorf("%s is %v, want %v or more", name, got, least)
		}
	}
	_, text := m.scrape()
	for _, secret := range []string{"team-a", "one", "two", "id"} {
		for line := range strings.Lines(string(text)) {
			if _, labels, found := strings.Cut(line, "{"); found && strings.Contains(labels, `"`+secret) {
				t.Errorf("a label names %s: %s", secret, line)
			}
		}
	}
}

func TestMetricsKeepToTheConventions(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "v", "destinations": "memory/main"})
	_, text := m.scrape()
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestMetricsOfADeletedDestinationVanish(t *testing.T) {
	m, region := newMount(t, providertest.Overwriting())
	hold := region.Hold(providertest.OpCreate, "x")
	m.write("secrets/x", map[string]any{"value": "v", "destinations": "memory/main", "wait": 0})
	<-hold.Reached()
	if _, err := m.do(logical.DeleteOperation, "destinations/memory/main", map[string]any{"force": true}); err != nil {
		t.Fatal(err)
	}
	hold.Release() // a call that ends late
	if _, text := m.scrape(); bytes.Contains(text, []byte("memory/main")) {
		t.Errorf("it is left in\n%s", text)
	}
}

func TestTwoMountsHaveMetricsOfTheirOwn(t *testing.T) {
	one, _ := newMount(t, providertest.Overwriting())
	two, _ := newMount(t, providertest.Overwriting())
	one.write("secrets/x", map[string]any{"value": "v", "destinations": "memory/main"})
	if got := two.metric("calls_total"); got != -1 {
		t.Errorf("a mount without calls counts %v", got)
	}
}
