// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// errNotYet says that what is waited for hasn't happened yet.
var errNotYet = errors.New("not yet")

func equalJSON(t *testing.T, a, b any) bool {
	t.Helper()
	first, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(first, second)
}

// single is a Vault of one node that replicates to all clouds, on ways that note
// each call.
type single struct {
	vault    *harness.Vault
	clouds   []*harness.Emulator
	egresses []*harness.Egress
}

func startSingle(t *testing.T) single {
	t.Helper()
	r := harness.Start(t, harness.Raft, harness.Services...)
	s := single{vault: r.Vault, clouds: r.Clouds}
	for _, cloud := range r.Clouds {
		egress := harness.StartEgress(t, cloud, r.Vault)
		s.egresses = append(s.egresses, egress)
		r.Vault.Write("destinations/"+cloud.Service.Destination, egress.Settings())
	}
	return s
}

// slow makes each call take a while, so that some are under way at any moment.
func (s single) slow() {
	for _, cloud := range s.clouds {
		cloud.Break(emulator.Fault{Kind: emulator.Delay, Duration: 100 * time.Millisecond})
	}
}

// awaitIdle waits for the calls that are on the wire, which nobody can take back.
func (s single) awaitIdle() {
	for _, egress := range s.egresses {
		egress.AwaitIdle()
	}
}

// calls are all calls that have ended, and how many of them began after a moment.
func (s single) calls(moment time.Time) (all, after int) {
	for _, egress := range s.egresses {
		for _, call := range egress.Calls() {
			all++
			if call.Begin.After(moment) {
				after++
			}
		}
	}
	return all, after
}

// awaitCalls waits until the clouds are called.
func (s single) awaitCalls(t *testing.T) {
	t.Helper()
	now := time.Now()
	harness.Eventually(t, "replication goes on", func() error {
		if _, after := s.calls(now); after < 10 {
			return errNotYet
		}
		return nil
	})
}

// A seal is answered when all work has stopped: nothing calls a cloud any more,
// though there is work left, until the Vault is unsealed.
func TestASealStopsReplicationAndAnUnsealGoesOn(t *testing.T) {
	s := startSingle(t)
	load := harness.StartLoad(t, s.clouds, s.vault)
	s.slow()
	for range 2 {
		load.AwaitWrites(30)
		s.awaitCalls(t)
		plugins := s.vault.PluginPIDs()
		s.vault.Seal()
		sealed := time.Now()
		s.vault.AwaitPluginEnd(plugins)
		ended := time.Now()
		s.awaitIdle()
		if _, after := s.calls(sealed); after > 0 {
			t.Errorf("%d calls began after the seal was answered", after)
		}
		s.vault.Unseal()
		s.awaitCalls(t)
		t.Logf("the plugin ended %s after the answer of the seal", ended.Sub(sealed).Round(time.Millisecond))
	}
	load.Check(s.vault).Report(t)
}
