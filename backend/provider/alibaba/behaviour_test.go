// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// emulate starts an emulated KMS with the secret app/db, whose version v1 holds
// exampleValue, and opens a destination on it.
func emulate(t *testing.T, switches emulated.Switches) (*emulated.Server, full) {
	t.Helper()
	server, endpoint := emulatortest.Alibaba(t, emulated.Options{Switches: switches})
	seed(t, server, emulator.Secret{
		Ref: emulator.Ref{Name: "app/db"}, Description: "made before",
		Versions: []emulator.Version{{ID: "v1", Text: exampleValue}},
	})
	return server, openedAs(t, config(t, endpoint))
}

func stored(t *testing.T, server *emulated.Server, name string) emulator.Secret {
	t.Helper()
	s, ok := server.Inspect(region, name)
	if !ok {
		t.Fatalf("%s isn't there", name)
	}
	return s
}

func TestBinaryValues(t *testing.T) {
	server, d := emulate(t, emulated.Switches{})
	raw := "\x00\xff" + exampleValue
	if _, err := d.PutVersion(t.Context(), "app/db", "v2", provider.Binary([]byte(raw))); err != nil {
		t.Fatal(err)
	}
	if v, _ := stored(t, server, "app/db").Version("v2"); string(v.Binary) != base64.StdEncoding.EncodeToString([]byte(raw)) {
		t.Errorf("stored is %q, not base64 marked as binary", v.Binary)
	}
	for what, c := range map[string]struct{ data, want string }{
		"base64 of others":                   {"aGk=", "hi"},
		"what others marked without base64":  {"not base64!", "not base64!"},
		"an incomplete base64 text is bytes": {"aGk", "aGk"},
	} {
		seed(t, server, emulator.Secret{Ref: emulator.Ref{Name: "foreign"}, Versions: []emulator.Version{{ID: "a", Binary: []byte(c.data)}}})
		if got, err := d.Read(t.Context(), "foreign", "a"); err != nil || !got.IsBinary() || got.Reveal() != c.want {
			t.Errorf("%s: %q, %v", what, got.Reveal(), err)
		}
	}
}

func TestNewSecretsAreMadeInTheInstance(t *testing.T) {
	server, endpoint := emulatortest.Alibaba(t, emulated.Options{})
	server.KMSKeys().Put(emulator.KMSKey{ID: "key-of-instance", Instance: emulated.ExampleInstanceID})
	c := config(t, endpoint)
	c.Settings = map[string]string{"kms_instance_id": "kst-emulator0000example"}
	d := openedAs(t, config(t, endpoint))
	create := func(d full, name, key string) error {
		_, err := d.Create(t.Context(), name, provider.NewSecret{VersionID: "v1", Value: provider.Text(exampleValue), KMSKeyID: key})
		return err
	}
	if err := create(openedAs(t, c), "in", "key-of-instance"); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, server, "in"); got.Instance != "kst-emulator0000example" || got.KMSKeyID != "key-of-instance" {
		t.Errorf("stored is %+v", got)
	}
	if got, err := d.Describe(t.Context(), "in"); err != nil || got.KMSKeyID != "key-of-instance" {
		t.Errorf("described is %+v, %v", got, err)
	}
	if err := create(d, "out", ""); err != nil || stored(t, server, "out").Instance != "" {
		t.Errorf("without an instance: %v", err)
	}
	if err := create(d, "mixed", "key-of-instance"); provider.ClassOf(err) != provider.ClassInvalid {
		t.Errorf("a key of an instance for a secret outside: %v", err)
	}
	c.Settings = map[string]string{"kms_instance_id": "kst-nobody"}
	if err := create(openedAs(t, c), "nowhere", "key-of-instance"); provider.ClassOf(err) != provider.ClassKMS || !strings.Contains(err.Error(), "kms_instance_id") {
		t.Errorf("an unknown instance: %v", err)
	}
}

func TestCreation(t *testing.T) {
	t.Run("where no key is a default, a secret without one is class kms", func(t *testing.T) {
		_, d := emulate(t, emulated.Switches{KeyRequired: true})
		_, err := d.Create(t.Context(), "new", provider.NewSecret{VersionID: "v1", Value: provider.Text("x")})
		if e := failure(t, err); e.Class != provider.ClassKMS || e.Ambiguous {
			t.Errorf("error %v", err)
		}
	})
	t.Run("names of the cloud's own secrets are refused by the limits as by the service", func(t *testing.T) {
		const name = "acs/ecs/x"
		_, d := emulate(t, emulated.Switches{})
		_, err := d.Create(t.Context(), name, provider.NewSecret{VersionID: "v1", Value: provider.Text("x")})
		if provider.ClassOf(err) != provider.ClassInvalid || alibaba.Kind.Limits.Name.Check(name) == nil {
			t.Errorf("the service gives %v, the limits %v", err, alibaba.Kind.Limits.Name.Check(name))
		}
	})
	t.Run("where repeating a creation succeeds, nothing changes", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{IdempotentCreate: true})
		before := stored(t, server, "app/db")
		created, err := d.Create(t.Context(), "app/db", provider.NewSecret{VersionID: "v1", Value: provider.Text(exampleValue), Description: "another"})
		if err != nil || created.VersionID != "v1" {
			t.Errorf("%+v, %v", created, err)
		}
		if after := stored(t, server, "app/db"); after.Description != before.Description || len(after.Versions) != 1 {
			t.Errorf("it was %+v and is %+v", before, after)
		}
	})
	t.Run("tags are set", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		tags := map[string]string{"team": "a", "env": `p/\_-.+=:@`}
		if _, err := d.Create(t.Context(), "tagged", provider.NewSecret{VersionID: "v1", Value: provider.Text("x"), Tags: tags}); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, server, "tagged").Tags; !maps.Equal(got, tags) {
			t.Errorf("tags %v", got)
		}
	})
}

func TestDescriptions(t *testing.T) {
	t.Run("an empty one takes the old one away", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		if err := d.SetDescription(t.Context(), "app/db", ""); err != nil || stored(t, server, "app/db").Description != "" {
			t.Errorf("%v, %q", err, stored(t, server, "app/db").Description)
		}
	})
	t.Run("where it doesn't, that is an error", func(t *testing.T) {
		_, d := emulate(t, emulated.Switches{KeepsEmptyDescription: true})
		if err := d.SetDescription(t.Context(), "app/db", ""); provider.ClassOf(err) != provider.ClassInvalid || provider.IsAmbiguous(err) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("where nobody can look, the effect is in doubt", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("DescribeSecret", "Rejected.Throttling"))
		if err := d.SetDescription(t.Context(), "app/db", ""); provider.ClassOf(err) != provider.ClassThrottled || !provider.IsAmbiguous(err) {
			t.Errorf("error %v", err)
		}
	})
}

func TestDeletingAtOnce(t *testing.T) {
	t.Run("where it lags, the secret shows as pending meanwhile", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{DeletionLag: 60})
		for range 2 {
			if err := d.Delete(t.Context(), "app/db", 0); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Describe(t.Context(), "app/db"); err != nil || got.State != provider.StatePendingDeletion {
				t.Errorf("described is %+v, %v", got, err)
			}
		}
		server.Clock().SetOffset(time.Minute)
		if _, err := d.Describe(t.Context(), "app/db"); !provider.IsNotFound(err) {
			t.Errorf("error %v", err)
		}
	})
	for _, possible := range []bool{false, true} {
		t.Run(fmt.Sprintf("one that is scheduled is success, whether the service does it: %t", possible), func(t *testing.T) {
			server, d := emulate(t, emulated.Switches{ForceInWindow: possible})
			if err := schedule(d); err != nil {
				t.Fatal(err)
			}
			if err := d.Delete(t.Context(), "app/db", 0); err != nil {
				t.Error(err)
			}
			if _, there := server.Inspect(region, "app/db"); there == possible {
				t.Errorf("it is there: %t", there)
			}
		})
	}
}

func TestTags(t *testing.T) {
	server, d := emulate(t, emulated.Switches{})
	if err := d.ChangeTags(t.Context(), "app/db", nil, nil); err != nil || server.Calls().Total() != 0 {
		t.Errorf("changing nothing: %v after %d calls", err, server.Calls().Total())
	}
	set := map[string]string{"both": "1", "set": "2"}
	if err := d.ChangeTags(t.Context(), "app/db", set, []string{"both"}); err != nil || !maps.Equal(stored(t, server, "app/db").Tags, map[string]string{"set": "2"}) {
		t.Errorf("a key in both: %v, %v", stored(t, server, "app/db").Tags, err)
	}
	server.Calls().Reset()
	many := []string{"set"}
	for i := range 41 {
		many = append(many, fmt.Sprintf("never-there-%d", i))
	}
	if err := d.ChangeTags(t.Context(), "app/db", nil, many); err != nil || len(stored(t, server, "app/db").Tags) != 0 {
		t.Errorf("removing many: %v", err)
	}
	if n := server.Calls().Count("UntagResources"); n != 3 {
		t.Errorf("%d calls for 42 keys", n)
	}
	if err := d.ChangeTags(t.Context(), "app/db", map[string]string{"acs:x": "1"}, nil); provider.ClassOf(err) != provider.ClassInvalid {
		t.Errorf("a reserved key: %v", err)
	}
}

func TestAChangeOfTagsThatStopsHalfwayIsInDoubt(t *testing.T) {
	for name, test := range map[string]struct {
		refused string
		doubt   bool
	}{
		"before anything was done": {"UntagResources", false},
		"after a part was done":    {"TagResources", true},
	} {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails(test.refused, "Rejected.Throttling"))
		err := d.ChangeTags(t.Context(), "app/db", map[string]string{"comes": "1"}, []string{"goes"})
		if provider.ClassOf(err) != provider.ClassThrottled || provider.IsAmbiguous(err) != test.doubt {
			t.Errorf("%s: %v, in doubt %t", name, err, provider.IsAmbiguous(err))
		}
	}
}

func TestTemporaryCredentials(t *testing.T) {
	for name, switches := range map[string]emulated.Switches{"one code": {}, "another code": {TokenExpiredCode: true}} {
		t.Run(name, func(t *testing.T) {
			server, endpoint := emulatortest.Alibaba(t, emulated.Options{Switches: switches})
			account := emulator.Account{
				AccessKeyID: "STS.example", AccessKeySecret: "sts-secret-0123456789", SecurityToken: exampleToken,
				TokenExpires: server.Clock().Now().Add(time.Minute),
			}
			if err := server.Account(account); err != nil {
				t.Fatal(err)
			}
			c := config(t, endpoint)
			c.AccessKeyID, c.AccessKeySecret = account.AccessKeyID, sensitive.NewString(account.AccessKeySecret)
			c.SecurityToken = sensitive.NewString(exampleToken)
			d := openedAs(t, c)
			if _, err := d.Create(t.Context(), "new", provider.NewSecret{VersionID: "v1", Value: provider.Text("x")}); err != nil {
				t.Fatal(err)
			}
			server.Clock().SetOffset(2 * time.Minute)
			if _, err := d.Describe(t.Context(), "new"); provider.ClassOf(err) != provider.ClassAuth || !strings.Contains(err.Error(), "security_token") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestCallsShareAConnection(t *testing.T) {
	service, err := emulated.New(emulated.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(service)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	d := openedAs(t, config(t, server.URL))
	for range 20 {
		if _, err := d.Describe(t.Context(), "absent"); !provider.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("20 calls opened %d connections", n)
	}
}
