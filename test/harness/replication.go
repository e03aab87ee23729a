// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"errors"
	"fmt"
	"testing"
)

// Replication is a Vault with the plugin mounted, and clouds configured as its
// destinations.
type Replication struct {
	Vault  *Vault
	Clouds []*Emulator
	Cloud  *Emulator // the first
}

// Start starts a Vault and an emulated cloud for each of the services, mounts the
// plugin and configures the destinations. Without services it is Tencent Cloud.
func Start(tb testing.TB, storage Storage, services ...Service) Replication {
	tb.Helper()
	if len(services) == 0 {
		services = []Service{Tencent}
	}
	programs := Require(tb)
	var r Replication
	for _, service := range services {
		r.Clouds = append(r.Clouds, StartCloud(tb, programs, service))
	}
	r.Cloud = r.Clouds[0]
	r.Vault = StartVault(tb, programs, storage)
	r.Vault.MountPlugin()
	for _, cloud := range r.Clouds {
		r.Vault.Write("destinations/"+cloud.Service.Destination, cloud.Settings())
	}
	return r
}

// Destinations are those of all clouds, as secrets name them.
func (r Replication) Destinations() []string {
	destinations := make([]string, len(r.Clouds))
	for i, cloud := range r.Clouds {
		destinations[i] = cloud.Service.Destination
	}
	return destinations
}

// Write writes a secret with all clouds as its destinations, and waits until it
// is there.
func (r Replication) Write(secret string, data map[string]any) {
	r.Vault.tb.Helper()
	r.Vault.Write("secrets/"+secret, map[string]any{"data": data, "destinations": r.Destinations()})
	r.AwaitState(secret, "in_sync")
}

// AwaitText waits until the cloud has that text under a version id.
func (r Replication) AwaitText(name, versionID, want string) {
	r.Cloud.tb.Helper()
	Eventually(r.Cloud.tb, "replica "+name+" at "+versionID, func() error {
		if got := r.Cloud.Text(name, versionID); got != want {
			return fmt.Errorf("it is %q instead of %q", got, want)
		}
		return nil
	})
}

// AwaitCurrent waits until readers in every cloud who name no version get that
// text as the secret's value.
func (r Replication) AwaitCurrent(secret, want string) {
	r.Vault.tb.Helper()
	for _, cloud := range r.Clouds {
		Eventually(cloud.tb, secret+" at "+cloud.Service.Destination, func() error {
			if got := cloud.Current(cloud.Service.RemoteName(secret)); got != want {
				return fmt.Errorf("it is %q instead of %q", got, want)
			}
			return nil
		})
	}
}

// AwaitState waits until the status of a secret shows that state at every cloud.
func (r Replication) AwaitState(secret, want string) {
	r.Vault.tb.Helper()
	for _, destination := range r.Destinations() {
		r.AwaitStateAt(destination, secret, want)
	}
}

// AwaitStateAt waits until the status of a secret shows that state at a
// destination, and returns what it shows there.
func (r Replication) AwaitStateAt(destination, secret, want string) map[string]any {
	r.Vault.tb.Helper()
	var replica map[string]any
	Eventually(r.Vault.tb, "status of "+secret+" at "+destination, func() error {
		status, err := r.Vault.Client.Logical().ReadWithContext(r.Vault.tb.Context(), Mount+"/status/"+secret)
		switch {
		case err != nil:
			return err
		case status == nil:
			return errors.New("there is none")
		}
		replicas, _ := status.Data["destinations"].(map[string]any)
		replica, _ = replicas[destination].(map[string]any)
		if got := replica["state"]; got != want {
			return fmt.Errorf("the state is %v instead of %s: %v", got, want, replica)
		}
		return nil
	})
	return replica
}
