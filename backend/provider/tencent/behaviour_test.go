// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// emulate starts an emulated SSM with the secret app-db, whose version v1 holds
// exampleValue, and opens a destination on it.
func emulate(t *testing.T, switches emulated.Switches) (*emulated.Server, full) {
	t.Helper()
	server, endpoint := emulatortest.Tencent(t, emulated.Options{Switches: switches})
	seed(t, server, emulator.Secret{
		Ref:      emulator.Ref{Name: "app-db"},
		Versions: []emulator.Version{{ID: "v1", Text: exampleValue}},
	})
	d, err := tencent.Kind.Open(config(t, endpoint))
	if err != nil {
		t.Fatal(err)
	}
	return server, withAbilities(t, d)
}

func TestTakenVersionOfADisabledSecretIsAConflict(t *testing.T) {
	_, d := emulate(t, emulated.Switches{})
	if err := d.Disable(t.Context(), "app-db"); err != nil {
		t.Fatal(err)
	}
	_, err := d.PutVersion(t.Context(), "app-db", "v1", provider.Text(exampleValue))
	if e := failure(t, err); e.Class != provider.ClassConflict || !strings.Contains(e.Message, "enable") {
		t.Errorf("error %v", err)
	}
}

func TestCallsShareAConnection(t *testing.T) {
	service, err := emulated.New(emulated.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(service)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	d, err := tencent.Kind.Open(config(t, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := d.Describe(t.Context(), "absent"); !provider.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("20 calls opened %d connections", n)
	}
}

// Times are whole seconds, and neither order of the service is documented.
func TestVersionsOfOneSecondAreInOrderOfTheirNumbers(t *testing.T) {
	row := func(id string, second int) string { return fmt.Sprintf(`{"VersionId":%q,"CreateTime":%d}`, id, second) }
	ascending := []string{row("SSM_Current", 100), row("v8", 101), row("v9", 101), row("v10", 101), row("v1", 102)}
	descending := slices.Clone(ascending)
	slices.Reverse(descending)
	for _, rows := range [][]string{ascending, descending} {
		answer := `{"Response":{"Versions":[` + strings.Join(rows, ",") + `]}}`
		versions, err := opened(t, &stub{answers: map[string]string{"": answer}}).Versions(t.Context(), "app-db")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, v := range versions {
			ids = append(ids, v.ID)
		}
		if !slices.Equal(ids, []string{"SSM_Current", "v8", "v9", "v10", "v1"}) {
			t.Errorf("order %v", ids)
		}
	}
}

// FailedOperation says little; the secret's state says the rest.
func TestFailedOperation(t *testing.T) {
	for name, c := range map[string]struct {
		operation string
		state     func(d full) error // brings the secret there; nil leaves it enabled
		call      func(d full) error
		want      provider.Class // "" for success
	}{
		"deleting a disabled secret is tried again": {
			"DeleteSecret", disable(t), func(d full) error { return d.Delete(t.Context(), "app-db", 0) }, provider.ClassUnavailable,
		},
		"deleting an enabled secret is a conflict": {
			"DeleteSecret", nil, func(d full) error { return d.Delete(t.Context(), "app-db", 0) }, provider.ClassConflict,
		},
		"writing an enabled secret is tried again": {
			"UpdateSecret", nil,
			func(d full) error { return d.Overwrite(t.Context(), "app-db", "v1", provider.Text("x")) }, provider.ClassUnavailable,
		},
		"enabling an enabled secret is success": {
			"EnableSecret", nil, func(d full) error { return d.Enable(t.Context(), "app-db") }, "",
		},
		"enabling a disabled secret is tried again": {
			"EnableSecret", disable(t), func(d full) error { return d.Enable(t.Context(), "app-db") }, provider.ClassUnavailable,
		},
		"disabling a disabled secret is success": {
			"DisableSecret", disable(t), func(d full) error { return d.Disable(t.Context(), "app-db") }, "",
		},
		"restoring an enabled secret is success": {
			"RestoreSecret", nil, func(d full) error { return d.Restore(t.Context(), "app-db") }, "",
		},
		"restoring an absent secret is not found": {
			"RestoreSecret", nil, func(d full) error { return d.Restore(t.Context(), "absent") }, provider.ClassNotFound,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, d := emulate(t, emulated.Switches{})
			if c.state != nil {
				if err := c.state(d); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := server.Inspect(region, "app-db")
			emulatortest.AddFault(t, server, emulator.Fails(c.operation, "FailedOperation"))
			err := c.call(d)
			if c.want == "" && err != nil || c.want != "" && provider.ClassOf(err) != c.want {
				t.Errorf("error %v, want class %q", err, c.want)
			}
			if after, _ := server.Inspect(region, "app-db"); after.State != before.State {
				t.Errorf("the state was %s and is %s", before.State, after.State)
			}
		})
	}
}

func disable(t *testing.T) func(d full) error {
	t.Helper()
	return func(d full) error { return d.Disable(t.Context(), "app-db") }
}

func TestListing(t *testing.T) {
	const page = 50
	inventory := func(t *testing.T, d full) []string {
		t.Helper()
		var names []string
		for token, calls := "", 0; calls < 100; calls++ {
			rows, next, err := d.List(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range rows {
				names = append(names, s.Name+" "+s.Type)
			}
			if next == "" {
				return names
			}
			token = next
		}
		t.Fatal("it doesn't end")
		return nil
	}

	t.Run("every type is listed, over page borders", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		want := []string{"app-db custom"}
		for i, kind := range []string{"custom", "product", "SSH key pair", "cloud API key pair", "Redis"} {
			for n := range page + i { // among them exactly a page
				name := fmt.Sprintf("s%d-%d", i, n)
				seed(t, server, emulator.Secret{Ref: emulator.Ref{Name: name}, Type: fmt.Sprint(i)})
				want = append(want, name+" "+kind)
			}
		}
		got := inventory(t, d)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%d listed, want %d: %v", len(got), len(want), got)
		}
	})
	t.Run("a type that the installation doesn't know has no secrets", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fault{
			Kind: emulator.Error, Operation: "ListSecrets", Skip: 1, Code: "InvalidParameterValue",
		})
		if got := inventory(t, d); !slices.Equal(got, []string{"app-db custom"}) {
			t.Errorf("listed are %v", got)
		}
	})
	t.Run("an error on the way is an error", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Operation: "ListSecrets", Code: "InvalidParameterValue"})
		if _, _, err := d.List(t.Context(), ""); provider.ClassOf(err) != provider.ClassInvalid {
			t.Errorf("error %v", err)
		}
	})
	for _, token := range []string{"x", "5:0", "-1:0", "1", "1:", "1:x"} {
		t.Run("a token that no listing returned is refused: "+token, func(t *testing.T) {
			_, _, err := opened(t, &stub{}).List(t.Context(), token)
			if provider.ClassOf(err) != provider.ClassInvalid {
				t.Errorf("error %v", err)
			}
		})
	}
}
