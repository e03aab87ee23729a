// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// row describes a metric as the table does: its type and its labels.
func row(kind string, labels []string) string {
	for i, label := range labels {
		labels[i] = "`" + label + "`"
	}
	return kind + " " + strings.Join(labels, ", ")
}

func TestEveryMetricIsDescribed(t *testing.T) {
	m := newMount(t, clouds[0])
	m.put("a", "one")
	m.tamper("a", func(s *emulator.Secret) { s.State = "Disabled" })
	m.verify(false)
	m.write("managed/b", map[string]any{
		"destination": m.ref, "product": "Mysql", "instance_id": "cdb-1", "user_name_prefix": "app", "domains": "%",
		"privileges": "*.*:SELECT", "wait": longWait,
	})
	text, _ := m.read("metrics")[logical.HTTPRawBody].([]byte)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	described := table(readPage(t, "docs/operations.md"), "Metrics")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		family := families[name]
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		said := described[name]
		if said == nil {
			t.Errorf("%s isn't described", name)
			continue
		}
		told := strings.Split(strings.ReplaceAll(said[1], "`", ""), ", ")
		if said[1] == "" {
			told = nil
		}
		slices.Sort(labels)
		slices.Sort(told)
		got := row(strings.ToLower(family.GetType().String()), labels)
		if want := row(said[0], told); got != want {
			t.Errorf("%s is described as %s; it is %s", name, want, got)
		}
	}
	for name := range described {
		if families[name] == nil {
			t.Errorf("%s is described but doesn't exist", name)
		}
	}
}

func TestEveryEventIsDescribed(t *testing.T) {
	described := table(readPage(t, "docs/operations.md"), "Events")
	kinds := constants(t, "backend/engine/events.go", "EventKind")
	for _, kind := range kinds {
		if described[kind] == nil {
			t.Errorf("%s isn't described", kind)
		}
	}
	for name := range described {
		if strings.HasPrefix(name, "cloudsync/") && !slices.Contains(kinds, name) {
			t.Errorf("%s is described but doesn't exist", name)
		}
	}
}
