// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

func TestWhichNodesReplicate(t *testing.T) {
	const (
		primary   = consts.ReplicationPerformancePrimary
		secondary = consts.ReplicationPerformanceSecondary
		standby   = consts.ReplicationPerformanceStandby
		recovery  = consts.ReplicationDRSecondary
	)
	tests := []struct {
		state       consts.ReplicationState
		local, want bool
	}{
		{consts.ReplicationUnknown, false, true},
		{consts.ReplicationUnknown, true, true},
		{consts.ReplicationPerformanceDisabled | consts.ReplicationDRDisabled, false, true},
		{primary, false, true},
		{primary, true, true},
		{primary | consts.ReplicationDRPrimary, false, true},
		{consts.ReplicationPerformanceBootstrapping, false, true},
		{consts.ReplicationDRBootstrapping, false, true},
		{secondary, false, false},
		{secondary, true, true},
		{secondary | consts.ReplicationDRPrimary, false, false},
		{secondary | consts.ReplicationDRPrimary, true, true},
		{standby, false, false},
		{standby, true, false},
		{primary | standby, false, false},
		{secondary | standby, true, false},
		{recovery, false, false},
		{recovery, true, false},
		{primary | recovery, false, false},
		{secondary | recovery, true, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v, local mount: %t", test.state.StateStrings(), test.local), func(t *testing.T) {
			storage := &logical.InmemStorage{}
			b, err := newBackend(t.Context(), &logical.BackendConfig{
				StorageView: storage, Logger: hclog.NewNullLogger(), BackendUUID: "test",
				System: &logical.StaticSystemView{ReplicationStateVal: test.state, LocalMountVal: test.local},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Cleanup(t.Context()) })
			if err := b.Initialize(t.Context(), &logical.InitializationRequest{Storage: storage}); err != nil {
				t.Fatal(err)
			}
			if got := b.replicates(); got != test.want {
				t.Errorf("it replicates: %t", got)
			}
			if started := b.engine != nil && b.engine.Started(); started != test.want {
				t.Errorf("its work has begun: %t", started)
			}
		})
	}
}

func TestANodeThatDoesNotReplicateServesTheStatus(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	m.write("secrets/x", map[string]any{"value": "v", "destinations": "memory/main"})
	m.awaitSettled()
	m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
	m.restart()
	if status := m.read("status").Data; yes(status, "replicating") || status["replicas"] != 1 {
		t.Errorf("the status is %v", status)
	}
	if got := m.metric("replicating"); got != 0 {
		t.Errorf("by the metrics it replicates: %v", got)
	}
	// What another node changes is heard of as changed keys.
	keys, err := m.storage.List(t.Context(), "claim/memory/main/")
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	key := "claim/memory/main/" + keys[0]
	if err := m.storage.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	m.b.InvalidateKey(t.Context(), key)
	if got := m.read("status").Data["replicas"]; got != 0 {
		t.Errorf("after the other node removed it there are %v replicas", got)
	}
}

func TestQuestionsAboutWorkGoToTheNodeThatDoesIt(t *testing.T) {
	m, _ := newMount(t, providertest.Overwriting())
	for _, asked := range []struct {
		path      string
		operation logical.Operation
	}{
		{"status", logical.ReadOperation},
		{"status/", logical.ListOperation},
		{"status/team-a/db", logical.ReadOperation},
		{"metrics", logical.ReadOperation},
		{"jobs/", logical.ListOperation},
		{"jobs/import-1", logical.ReadOperation},
		{"remote/memory/main", logical.ListOperation},
	} {
		served := m.b.Route(asked.path).Operations[asked.operation]
		if served == nil || !served.Properties().ForwardPerformanceStandby {
			t.Errorf("%s %s isn't forwarded by a standby", asked.operation, asked.path)
		}
	}
}
