// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// clients is how many write or read at once where it is about rates.
const clients = 8

// start starts Vault and an emulator for each service, with their destinations.
// Writes don't wait for replicas.
func start(tb testing.TB, services ...harness.Service) harness.Replication {
	tb.Helper()
	r := harness.Start(tb, harness.Raft, services...)
	quieten(tb, r.Vault)
	for _, e := range r.Clouds {
		prepare(tb, e)
	}
	r.Vault.Write("config", map[string]any{"default_wait": "0"})
	return r
}

// prepare makes an emulator that was just started take its time for each call,
// enforce the documented rates, and take any number of secrets.
func prepare(tb testing.TB, e *harness.Emulator) {
	tb.Helper()
	const many = 1 << 20
	switches := map[string]any{
		tencent.ServiceName: tencent.Switches{SecretLimit: many},
		alibaba.ServiceName: alibaba.Switches{SecretLimit: many},
		huawei.ServiceName:  huawei.Switches{SecretLimit: many},
	}
	if err := e.Control.SetSwitches(tb.Context(), switches[e.Service.Type]); err != nil {
		tb.Fatalf("raise the limit of secrets of %s: %v", e.Service.Type, err)
	}
	if err := e.Control.SetLatency(tb.Context(), measured().latency); err != nil {
		tb.Fatalf("set the latency of %s: %v", e.Service.Type, err)
	}
	enforceRates(tb, e, 1)
}

// enforceRates makes an emulator refuse what is over so many times the
// documented rates; 0 lets all through.
func enforceRates(tb testing.TB, e *harness.Emulator, factor float64) {
	tb.Helper()
	if err := e.Control.EnforceRates(tb.Context(), factor); err != nil {
		tb.Fatalf("set the rates of %s: %v", e.Service.Type, err)
	}
}

// pause ends all remote changes of the mount, or lets them go on.
func pause(v *harness.Vault, paused bool) { v.Write("config", map[string]any{"paused": paused}) }

// configure writes the destination of a cloud, whose account may be a new one.
func configure(tb testing.TB, r harness.Replication, c cloud) {
	tb.Helper()
	e := emulatorOf(r, c)
	if c.account.AccessKeyID != "" {
		if err := e.Control.PutAccount(tb.Context(), c.account); err != nil {
			tb.Fatalf("add an account to %s: %v", c.service.Type, err)
		}
	}
	settings := e.Settings()
	maps.Copy(settings, c.settings)
	r.Vault.Write("destinations/"+c.ref, settings)
}

// emulatorOf is the emulator at which a cloud's destination is.
func emulatorOf(r harness.Replication, c cloud) *harness.Emulator {
	for _, e := range r.Clouds {
		if e.Service.Type == c.service.Type {
			return e
		}
	}
	return nil
}

// quieten undoes the trace logging of the end-to-end tests.
func quieten(tb testing.TB, v *harness.Vault) {
	tb.Helper()
	_, err := v.Client.Logical().WriteWithContext(tb.Context(), "sys/loggers", map[string]any{"level": "error"})
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

// put creates or updates n secrets below a folder at the destinations that to
// gives for each.
func put(tb testing.TB, v *harness.Vault, operation, folder string, n int, to func(i int) []string) {
	tb.Helper()
	load(tb, v, clients, n, func(client *api.Client, i int) error {
		path, body := fmt.Sprintf("%s/data/%s/%d", harness.Mount, folder, i), map[string]any{"data": credentials(time.Now().UnixNano())}
		if operation == create {
			path, body["destinations"] = fmt.Sprintf("%s/secrets/%s/%d", harness.Mount, folder, i), to(i)
		}
		_, err := client.Logical().WriteWithContext(tb.Context(), path, body)
		return err
	})
}

// spread sends the secrets to one of the clouds after the other.
func spread(over []cloud) func(int) []string {
	return func(i int) []string { return []string{over[i%len(over)].ref} }
}

// everywhere sends every secret to the same destinations.
func everywhere(to ...cloud) func(int) []string {
	refs := make([]string, len(to))
	for i, c := range to {
		refs[i] = c.ref
	}
	return func(int) []string { return refs }
}

// credentials is a typical value, another one for each serial number.
func credentials(serial int64) map[string]any {
	return map[string]any{"host": "db.example.com", "user": "app", "password": fmt.Sprintf("%032d", serial)}
}

// patience is how long the slowest figure may take.
const patience = 20 * time.Minute

// await looks until look returns nil.
func await(tb testing.TB, every time.Duration, what string, look func() error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("%s: not within %s: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

// awaitSync waits until every replica at the destinations is in sync, at all
// destinations of the mount if none is given. It looks rarely, since that costs
// what is measured; when the work ended is told by the clouds' call logs.
func awaitSync(tb testing.TB, v *harness.Vault, at ...cloud) {
	tb.Helper()
	every := 300 * time.Millisecond
	if !*full {
		every = 20 * time.Millisecond
	}
	await(tb, every, "all replicas in sync", func() error {
		status, err := v.Client.Logical().ReadWithContext(tb.Context(), harness.Mount+"/status")
		if err != nil {
			return err
		}
		counts, _ := status.Data["destinations"].(map[string]any)
		for ref, states := range counts {
			if err := settled(ref, states, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// settled returns an error if replicas aren't in sync at a destination that is
// looked for.
func settled(ref string, states any, at []cloud) error {
	wanted := len(at) == 0
	for _, c := range at {
		wanted = wanted || c.ref == ref
	}
	byState, _ := states.(map[string]any)
	for state, n := range byState {
		if count, _ := n.(json.Number); wanted && state != "in_sync" && count.String() != "0" {
			return fmt.Errorf("%s are %s at %s", count, state, ref)
		}
	}
	return nil
}
