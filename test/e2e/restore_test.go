// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// contents are the versions with their values in each cloud, by secret.
func contents(r harness.Replication) map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, cloud := range r.Clouds {
		held := map[string]any{}
		for _, secret := range cloud.Secrets() {
			held[secret.Name] = secret.Versions
		}
		all[cloud.Service.Destination] = held
	}
	return all
}

func TestARestoredSnapshotOverwritesNothing(t *testing.T) {
	const writes = 50
	r := harness.Start(t, harness.Raft, harness.Services...)
	v := r.Vault
	name := func(i int) string { return fmt.Sprintf("restored-%02d", i) }
	value := func(i int, when string) string { return fmt.Sprintf("%s %d", when, i) }
	for i := range writes {
		v.Write("secrets/"+name(i), map[string]any{"value": value(i, "before"), "destinations": r.Destinations(), "wait": 0})
	}
	for i := range writes {
		r.AwaitState(name(i), "in_sync")
	}
	var snapshot bytes.Buffer
	if err := v.WithToken(v.Token()).Sys().RaftSnapshot(&snapshot); err != nil {
		t.Fatal(err)
	}
	for i := range writes {
		v.Write("secrets/"+name(i), map[string]any{"value": value(i, "lost"), "wait": 0})
	}
	for i := range writes {
		r.AwaitState(name(i), "in_sync")
		r.AwaitCurrent(name(i), value(i, "lost"))
	}
	before := contents(r)

	if err := v.WithToken(v.Token()).Sys().RaftSnapshotRestore(&snapshot, false); err != nil {
		t.Fatal(err)
	}
	v.AwaitAnswer("status")
	if got := v.Read("secrets/" + name(0)).Data["value"]; got != value(0, "before") {
		t.Fatalf("after the restore Vault has %v", got)
	}
	for i := range writes {
		v.Write("secrets/"+name(i), map[string]any{"value": value(i, "after"), "wait": 1})
	}
	harness.Eventually(t, "pause of the mount", func() error {
		if reason := v.Read("status").Data["pause_reason"]; reason == "" {
			return errNotYet
		}
		return nil
	})
	if after := contents(r); !reflect.DeepEqual(before, after) {
		t.Fatal("remote secrets were changed before anybody decided")
	}

	// A few by hand, the others together.
	v.Write("resume/"+name(1), map[string]any{"take": "remote", "destination": r.Clouds[0].Service.Destination})
	id, _ := v.Write("resume", map[string]any{"take": "vault"}).Data["job"].(string)
	harness.Eventually(t, "end of the job", func() error {
		job := v.Read("jobs/" + id).Data
		if job["state"] != "done" {
			return fmt.Errorf("it is %v with %v", job["state"], job["counts"])
		}
		return nil
	})
	for i := range writes {
		want := value(i, "after")
		if i == 1 {
			want = value(i, "lost")
		}
		r.AwaitState(name(i), "in_sync")
		r.AwaitCurrent(name(i), want)
	}
	if paused, _ := v.Read("status").Data["paused"].(bool); paused {
		t.Errorf("the mount is still paused")
	}
	secret, err := v.WithToken(v.Token()).KVv2("cloudsync").Get(context.Background(), name(1))
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(secret.Data); string(text) != fmt.Sprintf(`{"value":%q}`, value(1, "lost")) {
		t.Errorf("Vault has %s", text)
	}
}
