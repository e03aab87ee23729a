// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/control"
)

// Emulator is an emulated cloud in a process of its own, with the state in
// files. Faults, the call log and changes of accounts are gone after a kill.
type Emulator struct {
	Service Service
	Control *control.Client
	Account emulator.Account // whose access key works

	tb       testing.TB
	programs Programs
	endpoint string
	process  *process
}

// StartEmulator starts an emulated Tencent Cloud and waits until it is ready.
func StartEmulator(tb testing.TB, programs Programs) *Emulator {
	tb.Helper()
	return StartCloud(tb, programs, Tencent)
}

// StartCloud starts an emulated cloud and waits until it is ready.
func StartCloud(tb testing.TB, programs Programs, service Service) *Emulator {
	tb.Helper()
	dir, address, controlAddress := directory(tb, service.Type), freeAddress(tb), freeAddress(tb)
	e := &Emulator{
		Service:  service,
		Control:  control.NewClient("http://"+controlAddress, service.Type),
		Account:  emulator.ExampleAccount(),
		tb:       tb,
		programs: programs,
		endpoint: "http://" + address,
	}
	e.process = &process{tb: tb, name: service.Type, path: programs.Emulator, dir: dir, args: []string{
		"-" + service.Type, address, "-control", controlAddress, "-data-dir", filepath.Join(dir, "data"),
	}}
	e.Start()
	return e
}

// Endpoint is the URL of the service.
func (e *Emulator) Endpoint() string { return e.endpoint }

// Kill ends the emulator with SIGKILL: the cloud is down.
func (e *Emulator) Kill() { e.process.kill() }

// Start starts the emulator, after Kill with everything it had acknowledged.
func (e *Emulator) Start() {
	e.tb.Helper()
	e.process.start()
	e.process.ready(func() error {
		line, err := os.ReadFile(e.process.outPath())
		if err != nil {
			return err
		}
		var told struct{ Endpoints map[string]string }
		if err := json.Unmarshal(line, &told); err != nil {
			return fmt.Errorf("it hasn't said that it is ready: %w", err)
		}
		if told.Endpoints[e.Service.Type] != e.endpoint {
			return fmt.Errorf("it serves %v instead of %s", told.Endpoints, e.endpoint)
		}
		return nil
	})
}

// Secret returns a secret as the cloud stores it, and whether there is one.
func (e *Emulator) Secret(name string) (emulator.Secret, bool) {
	e.tb.Helper()
	secret, ok, err := e.Control.Find(e.tb.Context(), e.Service.ref(name))
	if err != nil {
		e.tb.Fatalf("look at %s in the cloud: %v", name, err)
	}
	return secret, ok
}

// Secrets returns all secrets as the cloud stores them, ordered by name.
func (e *Emulator) Secrets() []emulator.Secret {
	e.tb.Helper()
	secrets, err := e.Control.List(e.tb.Context(), "", e.Service.scope)
	if err != nil {
		e.tb.Fatalf("list the secrets of the cloud: %v", err)
	}
	return secrets
}

// Text returns the text that the cloud has under a version id, "" if there is none.
func (e *Emulator) Text(name, versionID string) string {
	e.tb.Helper()
	secret, _ := e.Secret(name)
	version, _ := secret.Version(versionID)
	return version.Text
}

// Current returns the text that readers get who name no version, "" if there is
// none.
func (e *Emulator) Current(name string) string {
	e.tb.Helper()
	secret, _ := e.Secret(name)
	return e.Service.currentText(secret)
}

// Settings are what its destination is written with: the account's access key,
// the endpoint, and what else the service needs.
func (e *Emulator) Settings() map[string]any { return e.Service.destination(e.endpoint, e.Account) }

// Break puts a fault in force.
func (e *Emulator) Break(fault emulator.Fault) emulator.Rule {
	e.tb.Helper()
	rule, err := e.Control.AddFault(e.tb.Context(), fault)
	if err != nil {
		e.tb.Fatalf("break the cloud: %v", err)
	}
	return rule
}

// Repair takes every fault away.
func (e *Emulator) Repair() {
	e.tb.Helper()
	if err := e.Control.ClearFaults(e.tb.Context()); err != nil {
		e.tb.Fatalf("repair the cloud: %v", err)
	}
}

// AwaitFault waits until a fault has struck.
func (e *Emulator) AwaitFault(fault emulator.Rule) {
	e.tb.Helper()
	ctx, cancel := context.WithTimeout(e.tb.Context(), Patience)
	defer cancel()
	if err := e.Control.AwaitFault(ctx, fault.ID); err != nil {
		e.tb.Fatalf("wait for the fault %s of %s: %v", fault.Fault.Kind, fault.Fault.Operation, err)
	}
}

// Calls counts the calls since the start or the last ResetCalls.
func (e *Emulator) Calls() control.Calls {
	e.tb.Helper()
	calls, err := e.Control.Calls(e.tb.Context())
	if err != nil {
		e.tb.Fatalf("look at the calls to the cloud: %v", err)
	}
	return calls
}

// CallsTo lists the operations on one secret since the start or the last
// ResetCalls, oldest first.
func (e *Emulator) CallsTo(name string) []string {
	e.tb.Helper()
	var operations []string
	for _, call := range e.Calls().Calls {
		if call.Secret == name {
			operations = append(operations, call.Operation)
		}
	}
	return operations
}

// LogPath is the file with the emulator's log.
func (e *Emulator) LogPath() string { return e.process.logPath() }

// ResetCalls forgets the calls.
func (e *Emulator) ResetCalls() {
	e.tb.Helper()
	if err := e.Control.ResetCalls(e.tb.Context()); err != nil {
		e.tb.Fatalf("forget the calls to the cloud: %v", err)
	}
}
