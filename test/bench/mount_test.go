// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// start starts both programs with a destination configured.
func start(tb testing.TB) harness.Replication {
	tb.Helper()
	r := harness.Start(tb, harness.Raft)
	quieten(tb, r.Vault)
	// The service allows 1000 secrets, which several rounds of writes pass.
	if err := r.Cloud.Control.SetSwitches(tb.Context(), tencent.Switches{SecretLimit: 1 << 20}); err != nil {
		tb.Fatalf("raise the cloud's limit of secrets: %v", err)
	}
	return r
}

// quieten undoes the trace logging of the end-to-end tests.
func quieten(tb testing.TB, v *harness.Vault) {
	tb.Helper()
	_, err := v.Client.Logical().WriteWithContext(tb.Context(), "sys/loggers", map[string]any{"level": "warn"})
	if err != nil {
		tb.Fatalf("set the log level of vault: %v", err)
	}
}

// load lets clients make n requests in all, each with a client of its own, as
// fast as they are answered. It returns how long each took, and all together.
func load(tb testing.TB, v *harness.Vault, clients, n int, request func(client *api.Client, i int) error) ([]time.Duration, time.Duration) {
	tb.Helper()
	var workers sync.WaitGroup
	took, failures := make([]time.Duration, n), make([]error, clients)
	connected := make([]*api.Client, clients)
	for c := range clients {
		connected[c] = v.WithToken(v.Token())
	}
	began := time.Now()
	for c, client := range connected {
		workers.Go(func() {
			for i := c; i < n; i += clients {
				sent := time.Now()
				if err := request(client, i); err != nil {
					failures[c] = err
					return
				}
				took[i] = time.Since(sent)
			}
		})
	}
	workers.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(failures...); err != nil {
		tb.Fatal(err)
	}
	return took, elapsed
}

// credentials is a typical value, another one for each serial number.
func credentials(serial int) map[string]any {
	return map[string]any{"host": "db.example.com", "user": "app", "password": fmt.Sprintf("%032d", serial)}
}

// awaitSync waits until every replica of the mount is in sync.
func awaitSync(tb testing.TB, v *harness.Vault) {
	tb.Helper()
	harness.Eventually(tb, "all replicas in sync", func() error {
		status, err := v.Client.Logical().ReadWithContext(tb.Context(), harness.Mount+"/status")
		if err != nil {
			return err
		}
		if left, _ := status.Data["outstanding"].(json.Number); left.String() != "0" {
			return fmt.Errorf("%s aren't", left)
		}
		return nil
	})
}
