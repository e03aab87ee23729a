// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/vault/api"
)

// clusterSize is the least number of nodes that goes on without one of them.
const clusterSize = 3

// Cluster is a Vault of several nodes on integrated storage, all of them
// unsealed and allowed to vote, with the plugin installed on each.
type Cluster struct {
	Nodes []*Vault

	tb testing.TB
}

// StartCluster starts a cluster with the plugin in its catalog.
func StartCluster(tb testing.TB, programs Programs) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	for i := range clusterSize {
		node := launch(tb, programs, Raft, fmt.Sprintf("node-%d", i+1))
		c.Nodes = append(c.Nodes, node)
	}
	first := c.Nodes[0]
	first.initialise()
	first.Client.SetToken(first.token)
	first.Unseal() // becomes active by itself: nobody else is there yet
	// By hand, since the client's method also sends what only Enterprise has.
	_, err := first.Client.Logical().WriteWithContext(tb.Context(), "sys/storage/raft/autopilot/configuration", map[string]any{
		"server_stabilization_time": "100ms", // how long a new node waits for its vote
	})
	if err != nil {
		tb.Fatalf("let new nodes vote quickly: %v", err)
	}
	for _, node := range c.Nodes[1:] {
		joined, err := node.Client.Sys().RaftJoinWithContext(tb.Context(), &api.RaftJoinRequest{LeaderAPIAddr: first.URL()})
		if err != nil || !joined.Joined {
			tb.Fatalf("%s joins the cluster: %v, %+v\n%s", node.node, err, joined, node.process.lastLines())
		}
		node.token, node.unseal, node.clustered = first.token, first.unseal, true
		node.Client.SetToken(node.token)
		node.Unseal()
	}
	first.clustered = true
	c.awaitVoters()
	c.Leader().RegisterPlugin(PluginName, "")
	return c
}

// awaitVoters waits until every node may become active.
func (c *Cluster) awaitVoters() {
	c.tb.Helper()
	Eventually(c.tb, "all nodes vote", func() error {
		answer, err := c.Nodes[0].Client.Logical().ReadWithContext(c.tb.Context(), "sys/storage/raft/configuration")
		if err != nil {
			return err
		}
		config, _ := answer.Data["config"].(map[string]any)
		servers, _ := config["servers"].([]any)
		voters := 0
		for _, server := range servers {
			s, _ := server.(map[string]any)
			if votes, _ := s["voter"].(bool); votes {
				voters++
			}
		}
		if voters != len(c.Nodes) {
			return fmt.Errorf("%d of %d do: %v", voters, len(c.Nodes), servers)
		}
		return nil
	})
}

// errNoLeader says that nobody is active yet.
var errNoLeader = errors.New("no node is active")

// Leader waits until a node is active, and returns it.
func (c *Cluster) Leader() *Vault { return c.LeaderOtherThan(nil) }

// LeaderOtherThan waits until another node than old is active, and returns it.
func (c *Cluster) LeaderOtherThan(old *Vault) *Vault {
	c.tb.Helper()
	var leader *Vault
	Eventually(c.tb, "leader of the cluster", func() error {
		for _, node := range c.Nodes {
			if node == old {
				continue
			}
			health, err := node.Client.Sys().HealthWithContext(c.tb.Context())
			if err == nil && health.Initialized && !health.Sealed && !health.Standby {
				leader = node
				return nil
			}
		}
		return errNoLeader
	})
	return leader
}

// Standbys waits until all nodes but the active one are standbys that know where
// to forward a request, and returns them.
func (c *Cluster) Standbys() []*Vault {
	c.tb.Helper()
	var standbys []*Vault
	Eventually(c.tb, "standbys of the cluster", func() error {
		standbys = nil
		for _, node := range c.Nodes {
			health, err := node.Client.Sys().HealthWithContext(c.tb.Context())
			if err != nil {
				return err
			}
			if !health.Standby || health.Sealed {
				continue
			}
			if _, err := node.Client.Auth().Token().LookupSelfWithContext(c.tb.Context()); err != nil {
				return fmt.Errorf("%s: %w", node.node, err)
			}
			standbys = append(standbys, node)
		}
		if len(standbys) != len(c.Nodes)-1 {
			return fmt.Errorf("%d nodes are standbys", len(standbys))
		}
		return nil
	})
	return standbys
}

// Name is the node's name in its cluster.
func (v *Vault) Name() string { return v.node }

// StepDown makes an active node give the lead away.
func (v *Vault) StepDown() {
	v.tb.Helper()
	if err := v.Client.Sys().StepDownWithContext(v.tb.Context()); err != nil {
		v.tb.Fatalf("%s steps down: %v", v.node, err)
	}
}
