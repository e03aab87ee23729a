// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"errors"
	"fmt"
	"testing"
)

// Destination is the destination that [Start] configures, as secrets name it.
const Destination = tencentSSM + "/gz"

// Replication is a Vault with the plugin mounted, and a cloud configured as its
// destination.
type Replication struct {
	Vault *Vault
	Cloud *Emulator
}

// Start starts both programs, mounts the plugin and configures [Destination].
func Start(tb testing.TB, storage Storage) Replication {
	tb.Helper()
	programs := Require(tb)
	r := Replication{Cloud: StartEmulator(tb, programs), Vault: StartVault(tb, programs, storage)}
	r.Vault.MountPlugin()
	r.Vault.Write("destinations/"+Destination, map[string]any{
		"region":            Region,
		"endpoint":          r.Cloud.Endpoint(),
		"access_key_id":     r.Cloud.Account.AccessKeyID,
		"access_key_secret": r.Cloud.Account.AccessKeySecret,
	})
	return r
}

// Write writes a secret with [Destination] as its destination.
func (r Replication) Write(secret string, data map[string]any) {
	r.Vault.tb.Helper()
	r.Vault.Write("secrets/"+secret, map[string]any{"data": data, "destinations": Destination})
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

// AwaitState waits until the status of a secret shows that state at [Destination].
func (r Replication) AwaitState(secret, want string) {
	r.Vault.tb.Helper()
	Eventually(r.Vault.tb, "status of "+secret, func() error {
		status, err := r.Vault.Client.Logical().ReadWithContext(r.Vault.tb.Context(), Mount+"/status/"+secret)
		switch {
		case err != nil:
			return err
		case status == nil:
			return errors.New("there is none")
		}
		replicas, _ := status.Data["destinations"].(map[string]any)
		replica, _ := replicas[Destination].(map[string]any)
		if got := replica["state"]; got != want {
			return fmt.Errorf("the state is %v instead of %s: %v", got, want, replica)
		}
		return nil
	})
}
