// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

func TestMemoryConforms(t *testing.T) {
	deleting := providertest.Model{Labels: true, EvictsVersions: true, Abilities: provider.Abilities{Restores: true, DeletesVersions: true}}
	for name, model := range map[string]providertest.Model{
		"overwriting":                     providertest.Overwriting(),
		"label moving":                    providertest.LabelMoving(),
		"assigning ids":                   providertest.IDAssigning(),
		"label moving, deleting versions": deleting,
		"without abilities":               {},
	} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(testing.TB) providertest.Fixture { return memoryFixture(model) })
		})
	}
}

func memoryFixture(model providertest.Model) providertest.Fixture {
	memory := providertest.NewMemory(model)
	region := memory.Region("r1")
	const keyID, keySecret = "the-key-id", "the-key-secret-0123456789"
	region.Accept(keyID, keySecret)
	region.RefuseKey("refused-key")
	now := time.Now()
	region.SetClock(func() time.Time { return now })
	next := func(err error) func() {
		return func() { region.Before(providertest.Once("", err)) }
	}
	return providertest.Fixture{
		Kind:         memory.Kind(),
		Config:       provider.Config{Region: "r1", AccessKeyID: keyID, AccessKeySecret: sensitive.NewString(keySecret)},
		KMSKeyID:     "some-key",
		RefusedKeyID: "refused-key",
		Strike: map[providertest.Fault]func(){
			providertest.FaultThrottled:  next(providertest.Failure(provider.ClassThrottled)),
			providertest.FaultForbidden:  next(providertest.Failure(provider.ClassPermission)),
			providertest.FaultExpired:    next(providertest.Failure(provider.ClassAuth)),
			providertest.FaultLostAnswer: func() { region.After(providertest.Once("", providertest.LostAnswer())) },
		},
		Hang: func() (<-chan struct{}, func()) {
			hold := region.Hold("", "")
			return hold.Reached(), hold.Release
		},
		SeedManaged: func(name string) {
			region.Seed(providertest.Stored{Secret: provider.Secret{Name: name, CloudManaged: true, Type: "product"}})
		},
		Tags: func(name string) map[string]string {
			stored, _ := region.Secret(name)
			return stored.Tags
		},
		Arrived: func() []string {
			var operations []string
			for _, c := range region.Calls() {
				operations = append(operations, c.Op)
			}
			return operations
		},
		Credentials: &providertest.CredentialFixture{
			New: []provider.NewCredential{
				{Product: providertest.ProductDatabase, InstanceID: "db-1", Parameters: map[string]string{"user_name_prefix": "app", "privileges": "*:read"}},
				{Product: providertest.ProductImported, InstanceID: "db-1", Initial: sensitive.NewString(`{"username":"app","password":"canary-initial"}`)},
				{Product: providertest.ProductKey},
			},
			Slow:     func() { region.SlowTasks(time.Hour) },
			Finish:   region.FinishTasks,
			FailNext: func() { region.FailTask("there is no such instance") },
			Elapse:   func(d time.Duration) { now = now.Add(d) },
		},
		Tick:   func() { now = now.Add(time.Second) },
		Expire: func() { now = now.Add(provider.Days(31)) },
	}
}

func TestMemory(t *testing.T) {
	open := func(t *testing.T, m *providertest.Memory) provider.Destination {
		t.Helper()
		d, err := m.Kind().Open(provider.Config{Region: "r1", AccessKeyID: "id", AccessKeySecret: sensitive.NewString("secret")})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}

	t.Run("secrets outlive the destination that made them", func(t *testing.T) {
		m := providertest.NewMemory(providertest.Overwriting())
		if _, err := open(t, m).Create(t.Context(), "a", provider.NewSecret{VersionID: "v1", Value: provider.Text("x"), Tags: map[string]string{"k": "v"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, m).Describe(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		stored, _ := m.Region("r1").Secret("a")
		if v, ok := stored.Version("v1"); !ok || v.Value.Reveal() != "x" || stored.Tags["k"] != "v" {
			t.Errorf("stored is %+v", stored)
		}
		if names := m.Region("r2").Names(); len(names) != 0 {
			t.Errorf("another region has %v", names)
		}
	})

	t.Run("a hook before the effect prevents it, one after keeps it", func(t *testing.T) {
		m := providertest.NewMemory(providertest.LabelMoving())
		region, broken := m.Region("r1"), errors.New("broken")
		region.Before(providertest.Once(providertest.OpCreate, broken))
		region.After(providertest.Once(providertest.OpCreate, broken))
		for _, want := range []int{0, 1} {
			if _, err := open(t, m).Create(t.Context(), "a", provider.NewSecret{VersionID: "v1", Value: provider.Text("x")}); !errors.Is(err, broken) {
				t.Errorf("error %v", err)
			}
			if n := len(region.Names()); n != want {
				t.Errorf("%d secrets, want %d", n, want)
			}
		}
		if region.Count(providertest.OpCreate) != 2 || region.Count("") != 2 {
			t.Errorf("calls %v", region.Calls())
		}
	})

	t.Run("a hold stops only what it matches, until released", func(t *testing.T) {
		m := providertest.NewMemory(providertest.LabelMoving())
		region, d := m.Region("r1"), open(t, m)
		hold := region.Hold(providertest.OpDescribe, "a")
		done := make(chan error)
		go func() { _, err := d.Describe(t.Context(), "a"); done <- err }()
		<-hold.Reached()
		if _, err := d.Describe(t.Context(), "b"); !provider.IsNotFound(err) {
			t.Errorf("describe b: %v", err)
		}
		hold.Release()
		if err := <-done; !provider.IsNotFound(err) {
			t.Errorf("describe a: %v", err)
		}
	})
}
