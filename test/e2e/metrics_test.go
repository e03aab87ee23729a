// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// ask reads below the mount as Prometheus does: with a bearer token.
func ask(t *testing.T, v *harness.Vault, token, path string) (status int, contentType, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.URL()+"/v1/"+harness.Mount+"/"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(text)
}

func TestPrometheusReadsTheMetricsWithATokenOfItsOwn(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Write("team-a/db", map[string]any{"k": "canary-value"})
	token := tokenFor(t, r.Vault, "prometheus", `path "`+harness.Mount+`/metrics" { capabilities = ["read"] }`)
	status, contentType, body := ask(t, r.Vault, token, "metrics")
	if status != http.StatusOK || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Fatalf("the answer is %d as %q: %s", status, contentType, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("parse the metrics: %v", err)
	}
	made := map[string]float64{}
	for _, metric := range families["cloudsync_calls_total"].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		made[labels["destination"]+" "+labels["operation"]+" "+labels["outcome"]] = metric.GetCounter().GetValue()
	}
	for _, call := range []string{"tencent-ssm/gz CreateSecret ok", "alicloud-kms/hz CreateSecret ok", "huawei-csms/bj CreateSecret ok"} {
		if made[call] != 1 {
			t.Errorf("%s is counted %v times in %v", call, made[call], made)
		}
	}
	if strings.Contains(body, "team-a") || strings.Contains(body, "canary") {
		t.Errorf("the metrics name a secret:\n%s", body)
	}
	if status, _, body := ask(t, r.Vault, token, "status"); status != http.StatusForbidden {
		t.Errorf("the token may read the status: %d %s", status, body)
	}
}

// Events go to Vault's bus without an error; whoever may subscribe gets them.
func TestEventsReachTheBusOfVault(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	r.Write("team-a/db", map[string]any{"k": "v"})
	_, _, body := ask(t, r.Vault, r.Vault.Token(), "metrics")
	if !strings.Contains(body, "cloudsync_events_dropped_total 0") {
		t.Errorf("events were lost:\n%s", body)
	}
	log, err := os.ReadFile(r.Vault.LogPath())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "events can't be published") {
		t.Error("the log says that events can't be published")
	}
}

func TestWhoIsOnCallListsWhatNeedsAttention(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	v := r.Vault
	for i := range 3 {
		r.Write(fmt.Sprintf("team-a/s%d", i), map[string]any{"k": "v"})
	}
	token := tokenFor(t, v, "on-call", `path "`+harness.Mount+`/status/*" { capabilities = ["read", "list"] }`)
	if status, _, body := ask(t, v, token, "status/?list=true"); status != http.StatusNotFound {
		t.Errorf("nothing needs attention, but the answer is %d %s", status, body)
	}
	v.Write("destinations/"+harness.Destination, map[string]any{"disabled": true})
	for i := range 3 {
		v.Write(fmt.Sprintf("secrets/team-a/s%d", i), map[string]any{"data": map[string]any{"k": "w"}})
	}
	for path, want := range map[string]string{
		"status?list=true&state=disabled&limit=2": `"keys":["team-a/s0","team-a/s1"],"next":"team-a/s1"`,
		"status?list=true&after=team-a/s1":        `"keys":["team-a/s2"]`,
	} {
		if _, _, body := ask(t, v, token, path); !strings.Contains(body, want) {
			t.Errorf("%s answers %s, want %s", path, body, want)
		}
	}
	listed := v.As(token).CLI("list", harness.Mount+"/status")
	if !strings.Contains(listed, "team-a/s0") {
		t.Errorf("the command line shows %s", listed)
	}
	v.Write("destinations/"+harness.Destination, map[string]any{"disabled": false})
	shown := v.As(token).CLI("read", "-field=state", harness.Mount+"/status/team-a/s2", "wait=60s")
	if strings.TrimSpace(shown) != "in_sync" {
		t.Errorf("after waiting, the state is %s", shown)
	}
}
