// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// emulate starts an emulated CSMS with the secret app-db, whose version v1 holds
// exampleValue, and opens a destination on it.
func emulate(t *testing.T, switches emulated.Switches) (*emulated.Server, full) {
	t.Helper()
	server, endpoint := emulatortest.Huawei(t, emulated.Options{Switches: switches})
	seed(t, server, emulator.Secret{
		Ref:      emulator.Ref{Name: "app-db"},
		Versions: []emulator.Version{{ID: "v1", Text: exampleValue}},
	})
	return server, openedWith(t, config(t, endpoint))
}

// What the service does with the version above its limit isn't documented.
func TestTheVersionAboveTheLimit(t *testing.T) {
	versions, ids := numbered(20)
	full := emulator.Secret{Ref: emulator.Ref{Name: "full"}, Versions: versions}

	t.Run("takes the place of the oldest", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		seed(t, server, full)
		if id, err := d.PutVersion(t.Context(), "full", "", provider.Text("x")); err != nil || id != "v21" {
			t.Errorf("id %q, error %v", id, err)
		}
		if stored, _ := server.Inspect(project, "full"); len(stored.Versions) != 20 || stored.Versions[0].ID != "v2" {
			t.Errorf("%d versions from %s on", len(stored.Versions), stored.Versions[0].ID)
		}
	})
	for _, code := range []string{"", "CSMS.0002", "CSMS.0999"} {
		t.Run("or is refused as a limit, with the code "+code, func(t *testing.T) {
			server, d := emulate(t, emulated.Switches{RejectVersions: true, VersionLimitCode: code})
			seed(t, server, full)
			_, err := d.PutVersion(t.Context(), "full", "", provider.Text("x"))
			if e := failure(t, err); e.Class != provider.ClassLimit || e.Ambiguous || !strings.Contains(e.Message, "20 versions") || !strings.Contains(e.Message, "delete the secret") {
				t.Errorf("class %s: %v", e.Class, err)
			}
			if stored, _ := server.Inspect(project, "full"); len(stored.Versions) != len(ids) {
				t.Errorf("%d versions", len(stored.Versions))
			}
		})
	}
	for _, status := range []int{400, 403, 409} {
		t.Run(fmt.Sprintf("or is refused with the status %d", status), func(t *testing.T) {
			cloud := &stub{answers: map[string]reply{
				"CreateSecretVersion": apiError(status, "CSMS.0999", "x"),
				"ListSecretVersions":  {body: `{"version_metadatas":[{"id":"` + strings.Join(ids, `"},{"id":"`) + `"}]}`},
				"ShowSecret":          {body: `{"secret":{"state":"ENABLED","secret_type":"COMMON"}}`},
			}}
			if _, err := opened(t, cloud).PutVersion(t.Context(), "full", "", provider.Text("x")); provider.ClassOf(err) != provider.ClassLimit {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("isn't thought of when the refusal is clear", func(t *testing.T) {
		for _, answer := range []reply{apiError(400, "CSMS.0103", "x"), apiError(403, "CSMS.0109", "x"), apiError(403, "CSMS.0302", "x"), keystone(403)} {
			cloud := &stub{answers: map[string]reply{"CreateSecretVersion": answer}}
			if _, err := opened(t, cloud).PutVersion(t.Context(), "app-db", "", provider.Text("x")); err == nil || len(cloud.asked) != 1 {
				t.Errorf("calls %v, error %v", cloud.made(), err)
			}
		}
	})
	t.Run("below it a refusal stays what it is", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("CreateSecretVersion", "CSMS.0002"))
		_, err := d.PutVersion(t.Context(), "app-db", "", provider.Text("x"))
		if e := failure(t, err); e.Class != provider.ClassInvalid || e.Operation != "CreateSecretVersion" {
			t.Errorf("class %s: %v", e.Class, err)
		}
	})
	t.Run("no old version may be left", func(t *testing.T) {
		_, d := emulate(t, emulated.Switches{DropUnstaged: true})
		for range 2 {
			if _, err := d.PutVersion(t.Context(), "app-db", "", provider.Text("x")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Read(t.Context(), "app-db", "v1"); !provider.IsNotFound(err) {
			t.Errorf("error %v", err)
		}
		if err := d.MoveCurrent(t.Context(), "app-db", "v1"); !provider.IsNotFound(err) {
			t.Errorf("error %v", err)
		}
	})
}

func TestANameThatIsTaken(t *testing.T) {
	made := provider.NewSecret{Value: provider.Text("x")}
	for _, c := range []struct {
		code   string
		status int
	}{{"", 0}, {"CSMS.0002", 400}, {"CSMS.0103", 400}, {"CSMS.0999", 409}, {"CSMS.0999", 403}} {
		t.Run(fmt.Sprintf("is found out behind the code %s, status %d", c.code, c.status), func(t *testing.T) {
			_, d := emulate(t, emulated.Switches{ExistsCode: c.code, ExistsStatus: c.status})
			_, err := d.Create(t.Context(), "app-db", made)
			if e := failure(t, err); e.Class != provider.ClassExists || e.Ambiguous || e.Operation != "CreateSecret" {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("isn't blamed for another refusal", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("CreateSecret", "CSMS.0002"))
		if _, err := d.Create(t.Context(), "free", made); provider.ClassOf(err) != provider.ClassInvalid {
			t.Errorf("error %v", err)
		}
	})
	t.Run("isn't looked for when the answer was clear, or may have come after the effect", func(t *testing.T) {
		for _, answer := range []reply{apiError(400, "CSMS.0202", "x"), apiError(403, "CSMS.0302", "x"), apiError(500, "CSMS.0002", "x"), {body: "<html>"}} {
			cloud := &stub{answers: map[string]reply{"CreateSecret": answer}}
			if _, err := opened(t, cloud).Create(t.Context(), "app-db", made); err == nil || len(cloud.asked) != 1 {
				t.Errorf("calls %v, error %v", cloud.made(), err)
			}
		}
	})
	t.Run("can't be told when looking fails", func(t *testing.T) {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("ShowSecret", "APIGW.0308"))
		if _, err := d.Create(t.Context(), "app-db", made); provider.ClassOf(err) != provider.ClassThrottled {
			t.Errorf("error %v", err)
		}
	})
}

func TestDeletionThatIsScheduledAlready(t *testing.T) {
	for _, code := range []string{"CSMS.0103", "CSMS.0107"} {
		d := opened(t, always(apiError(400, code, "x")))
		for _, window := range []time.Duration{0, provider.Days(7)} {
			if err := d.Delete(t.Context(), "app-db", window); err != nil {
				t.Errorf("%s: %v", code, err)
			}
		}
		if err := d.Restore(t.Context(), "app-db"); provider.ClassOf(err) != provider.ClassConflict {
			t.Errorf("restore: %v", err)
		}
	}
}

func TestNamesThatWouldChangeThePathAreNotSent(t *testing.T) {
	for _, bad := range []string{
		"", ".", "..", "a/b", "a/versions/v1", "a/", "/a", "a//b", "../x", "a?b", "a#b", "a%2fb", "a b", "ä", "a\n", strings.Repeat("x", 65),
	} {
		cloud := &stub{}
		d := opened(t, cloud)
		errs := map[string]error{
			"SetDescription": d.SetDescription(t.Context(), bad, "x"), "ChangeKey": d.ChangeKey(t.Context(), bad, "k"),
			"MoveCurrent": d.MoveCurrent(t.Context(), bad, "v1"), "Restore": d.Restore(t.Context(), bad),
			"ChangeTags": d.ChangeTags(t.Context(), bad, map[string]string{"a": "b"}, nil),
			"Delete":     d.Delete(t.Context(), bad, provider.Days(7)), "Delete at once": d.Delete(t.Context(), bad, 0),
		}
		_, errs["Describe"] = d.Describe(t.Context(), bad)
		_, errs["Versions"] = d.Versions(t.Context(), bad)
		_, errs["Read"] = d.Read(t.Context(), bad, "v1")
		_, errs["Read of a version"] = d.Read(t.Context(), "app-db", bad)
		_, errs["PutVersion"] = d.PutVersion(t.Context(), bad, "", provider.Text("x"))
		for call, err := range errs {
			if e := failure(t, err); e.Class != provider.ClassInvalid || e.Ambiguous {
				t.Errorf("%s with %q: %v", call, bad, err)
			}
		}
		if len(cloud.asked) > 0 {
			t.Errorf("with %q these calls went out: %v", bad, cloud.made())
		}
	}
	cloud := &stub{answers: map[string]reply{"ShowSecret": {body: `{"secret":{"id":"../../x"}}`}}}
	err := opened(t, cloud).ChangeTags(t.Context(), "app-db", map[string]string{"a": "b"}, nil)
	if provider.ClassOf(err) != provider.ClassInvalid || len(cloud.asked) != 1 {
		t.Errorf("an id that isn't one: calls %v, error %v", cloud.made(), err)
	}
}

func TestCallsShareAConnection(t *testing.T) {
	service, err := emulated.New(emulated.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	server := httptest.NewUnstartedServer(service)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	settings := config(t, server.URL)
	connections := &http.Transport{}
	defer connections.CloseIdleConnections()
	settings.Transport = connections
	d := openedWith(t, settings)
	for range 20 {
		if _, err := d.Describe(t.Context(), "absent"); !provider.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("20 calls opened %d connections", n)
	}
}

func TestLimits(t *testing.T) {
	for what, c := range map[string]struct {
		err  error
		want bool
	}{
		"a dot in a name":                {huawei.Kind.Limits.Name.Check("a.b"), false},
		"a name that starts with a dash": {huawei.Kind.Limits.Name.Check("-a"), true},
		"65 characters":                  {huawei.Kind.Limits.Name.Check(strings.Repeat("x", 65)), false},
		"binary that fits in base64":     {huawei.Kind.Limits.CheckValue(provider.Binary(make([]byte, 24576))), true},
		"binary that doesn't":            {huawei.Kind.Limits.CheckValue(provider.Binary(make([]byte, 24577))), false},
		"a slash in a tag's value":       {huawei.Kind.Limits.Tags.Check(map[string]string{"a": "b/c"}), true},
		"a slash in a tag's key":         {huawei.Kind.Limits.Tags.Check(map[string]string{"a/b": "c"}), false},
		"a tag without a value":          {huawei.Kind.Limits.Tags.Check(map[string]string{"a": ""}), true},
		"a system tag":                   {huawei.Kind.Limits.Tags.Check(map[string]string{"_sys_a": "b"}), false},
	} {
		if (c.err == nil) != c.want {
			t.Errorf("%s: %v", what, c.err)
		}
	}
}
