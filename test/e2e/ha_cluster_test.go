// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// cluster is a Vault of three nodes that replicates to all clouds, each on a way
// that tells which node calls.
type cluster struct {
	*harness.Cluster
	clouds   []*harness.Emulator
	egresses []*harness.Egress
}

func startCluster(t *testing.T) cluster {
	t.Helper()
	programs := harness.Require(t)
	c := cluster{}
	for _, service := range harness.Services {
		c.clouds = append(c.clouds, harness.StartCloud(t, programs, service))
	}
	c.Cluster = harness.StartCluster(t, programs)
	leader := c.Leader()
	leader.MountPlugin()
	for _, cloud := range c.clouds {
		egress := harness.StartEgress(t, cloud, c.Nodes...)
		c.egresses = append(c.egresses, egress)
		leader.Write("destinations/"+cloud.Service.Destination, egress.Settings())
	}
	return c
}

// calls counts the calls to all clouds so far.
func (c cluster) calls() int {
	count := 0
	for _, egress := range c.egresses {
		count += len(egress.Calls())
	}
	return count
}

// awaitCalls waits until the clouds are called: replication goes on.
func (c cluster) awaitCalls(t *testing.T) {
	t.Helper()
	before := c.calls()
	harness.Eventually(t, "replication goes on", func() error {
		if now := c.calls(); now < before+10 {
			return errNotYet
		}
		return nil
	})
}

// Clients write through all nodes while the one that leads goes away, again and
// again and in each way in which one can.
func TestAnotherNodeGoesOnWhenTheLeaderGoes(t *testing.T) {
	c := startCluster(t)
	load := harness.StartLoad(t, c.clouds, c.Nodes...)
	leaders := []string{c.Leader().Name()}
	for _, test := range []struct {
		name       string
		end, begin func(*harness.Vault)
	}{
		{"its machine crashes", (*harness.Vault).Crash, (*harness.Vault).Start},
		{"it is killed, and its plugin left behind", (*harness.Vault).Kill, (*harness.Vault).Start},
		{"it steps down", (*harness.Vault).StepDown, func(*harness.Vault) {}},
		{"it is sealed", (*harness.Vault).Seal, (*harness.Vault).Unseal},
	} {
		load.AwaitWrites(25)
		c.awaitCalls(t)
		old := c.Leader()
		test.end(old)
		gone := time.Now()
		leader := c.LeaderOtherThan(old)
		t.Logf("%s: %s leads after %s", test.name, leader.Name(), time.Since(gone).Round(time.Millisecond))
		leaders = append(leaders, leader.Name())
		load.AwaitWrites(10)
		c.awaitCalls(t)
		test.begin(old)
	}
	load.Check(c.Leader()).Report(t)

	terms, err := harness.Terms(c.egresses...)
	if err != nil {
		t.Errorf("two nodes called the clouds at a time: %v", err)
	}
	if !slices.Equal(terms, leaders) {
		t.Errorf("the nodes led in the order %v, and called the clouds in the order %v", leaders, terms)
	}
}

// What a program asks a standby is answered as if the active node had been
// asked, changes and questions about the work included.
func TestAStandbyAnswersAsTheLeaderDoes(t *testing.T) {
	c := startCluster(t)
	leader, standby := c.Leader(), c.Standbys()[0]
	destinations := harness.Replication{Clouds: c.clouds}.Destinations()
	standby.Write("secrets/"+secretName, map[string]any{
		"data": map[string]any{"password": "1"}, "destinations": destinations, "wait": harness.Patience.String(),
	})
	for _, cloud := range c.clouds {
		if got := cloud.Current(cloud.Service.RemoteName(secretName)); got != `{"password":"1"}` {
			t.Errorf("%s has %q after a write through a standby", cloud.Service.Type, got)
		}
	}
	for _, path := range []string{
		"secrets/" + secretName, "data/" + secretName, "metadata/" + secretName, "status/" + secretName, "status",
		"destinations/" + harness.Destination, "config",
	} {
		want, got := leader.Read(path).Data, standby.Read(path).Data
		delete(want, "oldest_pending_age")
		delete(got, "oldest_pending_age")
		if !maps.EqualFunc(want, got, func(a, b any) bool { return equalJSON(t, a, b) }) {
			t.Errorf("%s: the standby answers\n%v\nthe leader\n%v", path, got, want)
		}
	}
	if pids := standby.PluginPIDs(); len(pids) > 0 {
		t.Errorf("the plugin runs on a standby, as %v", pids)
	}
	terms, err := harness.Terms(c.egresses...)
	if err != nil || !slices.Equal(terms, []string{leader.Name()}) {
		t.Errorf("the clouds were called by %v, %v", terms, err)
	}
}
