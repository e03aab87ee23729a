// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

const testRef = "memory/main"

// testMount is an engine on a storage that a test can make fail, with a cloud in
// memory.
type testMount struct {
	*Engine
	t       testing.TB
	disk    *testStorage
	kv      *kvstore.Store
	cloud   *providertest.Region
	options Options
}

// newTestMount opens an engine with a destination. Its work hasn't begun.
func newTestMount(t testing.TB) *testMount {
	t.Helper()
	disk := &testStorage{}
	memory := providertest.NewMemory(providertest.Overwriting())
	kv, err := kvstore.Open(t.Context(), &logical.BackendConfig{
		StorageView: disk, Logger: hclog.NewNullLogger(),
		System: &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &testMount{t: t, disk: disk, kv: kv, cloud: memory.Region("r"), options: Options{
		Storage: disk, Store: kv, Kinds: []provider.Kind{memory.Kind()}, Logger: hclog.NewNullLogger(),
	}}
	m.open()
	t.Cleanup(func() {
		m.Stop()
		kv.Close(context.Background())
	})
	_, err = m.PutDestination(t.Context(), m.destination())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *testMount) destination() *Destination {
	return &Destination{
		Type: "memory", Name: "main", Region: "r", AuthMethod: AuthAccessKey,
		AccessKeyID: "id", AccessKeySecret: sensitive.NewString("key"),
	}
}

func (m *testMount) open() {
	m.t.Helper()
	e, err := Open(context.Background(), m.options)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Engine = e
}

// restart opens another engine on the same storage and starts its work.
func (m *testMount) restart() {
	m.t.Helper()
	m.Stop()
	m.open()
	m.Start()
}

// write writes a value, and names destinations unless none are given.
func (m *testMount) write(name, value string, destinations ...string) error {
	data := map[string]any{"value": value}
	origin := &logical.Request{Storage: m.disk, Operation: logical.CreateOperation}
	c := Change{Name: name, Data: data, Request: kvstore.WriteRequest(origin, name, data, nil)}
	if len(destinations) > 0 {
		c.Settings.Destinations = &destinations
	}
	_, err := m.Apply(context.Background(), c)
	return err
}

func (m *testMount) mustWrite(name, value string, destinations ...string) {
	m.t.Helper()
	if err := m.write(name, value, destinations...); err != nil {
		m.t.Fatal(err)
	}
}

func (m *testMount) secret(name string) *Secret {
	m.t.Helper()
	s, err := m.load(context.Background(), name)
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// eventually waits until the condition holds, for a long time at most.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it doesn't come about that %s", what)
		}
	}
}

func ruleFor(name, match string) rule.Rule {
	return rule.Rule{Name: name, Match: []string{match}, Destinations: []string{testRef}}
}
