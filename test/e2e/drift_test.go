// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// tamper changes a secret in the cloud as somebody else would.
func tamper(t *testing.T, cloud *harness.Emulator, change func(s *emulator.Secret)) {
	t.Helper()
	s, found := cloud.Secret(cloud.Service.RemoteName(secretName))
	if !found {
		t.Fatalf("%s has no secret to change", cloud.Service.Type)
	}
	change(&s)
	if err := cloud.Control.Seed(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// drifted are the kinds of drift that the status shows at a destination.
func drifted(t *testing.T, r harness.Replication, destination string) []string {
	t.Helper()
	shown, _ := r.AwaitStateAt(destination, secretName, "drifted")["drift"].(map[string]any)
	findings, _ := shown["findings"].([]any)
	var kinds []string
	for _, f := range findings {
		finding, _ := f.(map[string]any)
		kinds = append(kinds, fmt.Sprint(finding["kind"]))
	}
	slices.Sort(kinds)
	return kinds
}

// Somebody changes a replica in each cloud by hand. An operator asks what drifted,
// sees it as what it is, and has all of it repaired by a job.
func TestWhatSomebodyChangesInAnyCloudIsFoundAndRepairedOnRequest(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Vault.Write("secrets/"+secretName, map[string]any{
		"data": map[string]any{"password": "canary-ours"}, "destinations": r.Destinations(), "tags": "env=prod", "wait": harness.Patience.String(),
	})
	const want = `{"password":"canary-ours"}`
	r.AwaitCurrent(secretName, want)
	if got := r.Vault.CLI("write", "-field=result", "cloudsync/verify/"+secretName, "values=true"); strings.TrimSpace(got) != "in_sync" {
		t.Fatalf("before anybody changed anything it is %s", got)
	}
	changes := map[string]struct {
		change func(s *emulator.Secret)
		kinds  []string
	}{
		"tencent-ssm": {func(s *emulator.Secret) {
			s.State = "Disabled"
			delete(s.Tags, "env")
		}, []string{"disabled", "tags_changed"}},
		"alicloud-kms": {func(s *emulator.Secret) {
			for i := range s.Versions {
				s.Versions[i].Labels = nil
			}
			s.Versions = append(s.Versions, emulator.Version{ID: "by-hand", Text: "canary-theirs", Labels: []string{"ACSCurrent"}})
		}, []string{"label_moved", "version_added"}},
		"huawei-csms": {func(s *emulator.Secret) { s.Description = "by hand " + s.Description }, []string{"description_changed"}},
	}
	for _, cloud := range r.Clouds {
		tamper(t, cloud, changes[cloud.Service.Type].change)
	}
	answer := r.Vault.Write("verify/"+secretName, map[string]any{"values": true})
	if answer.Data["result"] != "drifted" {
		t.Errorf("it is %v", answer.Data)
	}
	if text, _ := json.Marshal(answer.Data); strings.Contains(string(text), "canary") {
		t.Errorf("the answer shows a value: %s", text)
	}
	for _, cloud := range r.Clouds {
		if got := drifted(t, r, cloud.Service.Destination); !slices.Equal(got, changes[cloud.Service.Type].kinds) {
			t.Errorf("%s: the status has %v, want %v", cloud.Service.Type, got, changes[cloud.Service.Type].kinds)
		}
	}
	if got := r.Vault.CLI("list", "cloudsync/status"); !strings.Contains(got, secretName) {
		t.Errorf("the list of what needs attention is %s", got)
	}
	job := r.Vault.Write("verify", map[string]any{"match": "**", "repair": true, "wait": harness.Patience.String()})
	if counts := fmt.Sprint(job.Data["counts"]); job.Data["state"] != "done" || counts != "map[repairing:1]" {
		t.Errorf("the job is %v", job.Data)
	}
	for _, cloud := range r.Clouds {
		r.AwaitStateAt(cloud.Service.Destination, secretName, "in_sync")
		if got := read(t, cloud, secretName); got != want {
			t.Errorf("%s gives applications %q", cloud.Service.Type, got)
		}
	}
	if got := r.Vault.Write("verify/"+secretName, map[string]any{"values": true}).Data["result"]; got != "in_sync" {
		t.Errorf("after the repair it is %v", got)
	}
}
