// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

const (
	region  = "cn-north-4"
	project = emulated.ExampleProjectID
)

// possible is what Huawei may do as well where it doesn't document what happens.
// Left out are limits other than the kind's, refusing versions above the limit
// and dropping all without a stage, which have tests of their own.
var possible = emulated.Switches{
	ErrorShape: "nested", NotFoundIs400: true, NameNotFound: true, ExistsCode: "CSMS.0999", ExistsStatus: http.StatusConflict,
	DeniedCode: "KMS.0306", KMSKeyCodes: true, KMSTagCodes: true, Milliseconds: true, EndMarkerEmpty: true, ListsDescending: true,
	LatestIsNewest: true, RefuseOverwrite: true, RefuseManaged: true, DotInName: true, EmptyText: true,
	ManagedValue: "binary", UsersInOneVersion: true, SingleQuotes: true, PendingStays: true, RotatesTwice: true, NeedsAgency: true,
	PreviousStays: true, FreeBuiltins: true, DeleteWhilePending: true, TagsWhilePending: true, RestoreKeepsState: true, DeleteEnabledOnly: true,
}

// The provider has to get along with each possibility.
func TestConforms(t *testing.T) {
	for name, switches := range map[string]emulated.Switches{"as is likely": {}, "as is possible too": possible} {
		t.Run(name, func(t *testing.T) {
			providertest.Run(t, func(tb testing.TB) providertest.Fixture {
				tb.Helper()
				server, endpoint := emulatortest.Huawei(tb, emulated.Options{Switches: switches})
				f := fixture(tb, server, endpoint)
				f.WritesManaged = !switches.RefuseManaged
				return f
			})
		})
	}
}

// TestConformsLive runs the same suite against a real account. It makes, and
// deletes at once, about two hundred secrets named conformance-*.
func TestConformsLive(t *testing.T) {
	const prefix = "CLOUDSYNC_TEST_HUAWEI_"
	account := provider.Config{
		Region:          os.Getenv(prefix + "REGION"),
		AccessKeyID:     os.Getenv(prefix + "ACCESS_KEY_ID"),
		AccessKeySecret: sensitive.NewString(os.Getenv(prefix + "ACCESS_KEY_SECRET")),
		SecurityToken:   sensitive.NewString(os.Getenv(prefix + "SECURITY_TOKEN")),
		Settings: map[string]string{
			"project_id":            os.Getenv(prefix + "PROJECT_ID"),
			"enterprise_project_id": os.Getenv(prefix + "ENTERPRISE_PROJECT_ID"),
		},
	}
	if account.Region == "" || account.AccessKeyID == "" || account.AccessKeySecret.Reveal() == "" || account.Settings["project_id"] == "" {
		t.Skipf("set %[1]sREGION, %[1]sPROJECT_ID, %[1]sACCESS_KEY_ID and %[1]sACCESS_KEY_SECRET to run against a Huawei Cloud account", prefix)
	}
	transport, err := provider.NewTransport("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	account.Transport = transport
	live := providertest.Fixture{
		Kind: huawei.Kind, Config: account, KMSKeyID: os.Getenv(prefix + "KMS_KEY_ID"),
		LooksFirst: []string{providertest.OpChangeTags},
	}
	if instance := os.Getenv(prefix + "RDS_INSTANCE_ID"); instance != "" {
		live.Credentials = &providertest.CredentialFixture{SynchronousCreation: true, New: []provider.NewCredential{{
			Product: "RDS-FG", InstanceID: instance, Initial: sensitive.NewString(os.Getenv(prefix + "ACCOUNT")),
			Parameters: map[string]string{"rotation_func_urn": os.Getenv(prefix + "ROTATION_FUNC_URN")},
		}}}
		live.Tick = func() { time.Sleep(time.Second) } // the service's clock goes by itself
	}
	providertest.Run(t, func(testing.TB) providertest.Fixture { return live })
}

func fixture(tb testing.TB, server *emulated.Server, endpoint string) providertest.Fixture {
	tb.Helper()
	add := func(f emulator.Fault) emulator.Rule {
		f.Count = 1
		return emulatortest.AddFault(tb, server, f)
	}
	next := func(f emulator.Fault) func() { return func() { add(f) } }
	answer := func(code, message string) func() {
		return next(emulator.Fault{Kind: emulator.Error, Code: code, Message: message})
	}
	return providertest.Fixture{
		Kind: huawei.Kind, Config: config(tb, endpoint), Credentials: credentials(tb, server, endpoint),
		KMSKeyID: emulator.ExampleKMSKeyID, RefusedKeyID: "99999999-9999-9999-9999-999999999999",
		LooksFirst: []string{providertest.OpChangeTags},
		Strike: map[providertest.Fault]func(){
			providertest.FaultThrottled: answer("APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit,limit:20,time:1 second"),
			providertest.FaultForbidden: answer("CSMS.0302", "Policy doesn't allow it."),
			providertest.FaultExpired: answer("APIGW.0301",
				"Incorrect IAM authentication information: token expires, expires_at: 2026-01-02T03:04:05Z"),
			providertest.FaultService:    answer("KMS.0101", "Internal error."),
			providertest.FaultProxy:      next(emulator.Fault{Kind: emulator.HTTP}),
			providertest.FaultDropped:    next(emulator.Fault{Kind: emulator.Drop}),
			providertest.FaultLostAnswer: next(emulator.LostReply("")),
		},
		Hang: func() (<-chan struct{}, func()) {
			rule := add(emulator.Fault{Kind: emulator.Hang})
			return rule.Struck, func() { server.Faults().Clear(rule.ID) }
		},
		Echo: func(text string) { answer("CSMS.0002", text)() },
		SeedManaged: func(name string) {
			seed(tb, server, emulator.Secret{Type: "RDS-FG", Ref: emulator.Ref{Name: name}, Versions: []emulator.Version{{ID: "v1", Text: "{}"}}})
		},
		Tags: func(name string) map[string]string {
			stored, _ := server.Inspect(project, name)
			return stored.Tags
		},
		Arrived: func() []string { return emulatortest.Operations(server) },
		Rate:    func(operation string) (float64, bool) { return emulatortest.Rate(server, operation) },
		Enforce: func(factor float64) { emulatortest.Enforce(tb, server, factor) },
		Tick:    func() { server.Clock().SetOffset(server.Clock().Offset() + time.Second) },
		Expire:  func() { expire(server) },
	}
}

const functionURN = "urn:fss:cn-north-4:" + project + ":function:default:rotate:latest"

// credentials are those that the rules look at. The agencies are there.
func credentials(tb testing.TB, server *emulated.Server, endpoint string) *providertest.CredentialFixture {
	tb.Helper()
	d, err := huawei.Kind.Open(config(tb, endpoint))
	if err != nil {
		tb.Fatal(err)
	}
	alternating := provider.NewCredential{
		Product: "GaussDB-FG", InstanceID: "taurus-1", Parameters: map[string]string{"secret_sub_type": "MultiUser", "rotation_func_urn": functionURN},
		Initial: sensitive.NewString(`[{"username":"app","password":"first-0123456789"},{"username":"app2","password":"second-0123456789"}]`),
	}
	single := provider.NewCredential{
		Product: "RDS-FG", InstanceID: "rds-1", Parameters: map[string]string{"rotation_func_urn": functionURN},
		Initial: sensitive.NewString(`{"username":"app","password":"first-0123456789"}`),
	}
	for _, n := range []provider.NewCredential{alternating, single} {
		n.Parameters = map[string]string{"secret_sub_type": n.Parameters["secret_sub_type"], "create_agency": "true"}
		if n.Parameters["secret_sub_type"] == "" {
			delete(n.Parameters, "secret_sub_type")
		}
		if _, err := provider.IssuerOf(d).CreateCredential(tb.Context(), "with-agencies", n); err != nil {
			tb.Fatal(err)
		}
		if err := d.Delete(tb.Context(), "with-agencies", 0); err != nil {
			tb.Fatal(err)
		}
	}
	work := func(kind emulator.Kind, operation string) emulator.Rule {
		return emulatortest.AddFault(tb, server, emulator.Fault{
			Kind: kind, Operation: operation, Count: 1, Code: "FSS.0500", AfterEffect: kind == emulator.Drop,
		})
	}
	var held emulator.Rule
	return &providertest.CredentialFixture{
		New: []provider.NewCredential{single, alternating}, SynchronousCreation: true,
		Slow:         func() { held = work(emulator.Hang, emulated.RotationWork) },
		Finish:       func() { server.Faults().Clear(held.ID) },
		FailNext:     func() { work(emulator.Error, emulated.RotationWork) },
		LoseRotation: func() { work(emulator.Drop, "RotateSecret") },
		Elapse:       func(d time.Duration) { elapse(server, d) },
	}
}

// seed stores a secret behind the provider's back.
func seed(tb testing.TB, server *emulated.Server, s emulator.Secret) {
	tb.Helper()
	s.Region = project
	if err := server.Seed(s); err != nil {
		tb.Fatal(err)
	}
}

func expire(server *emulated.Server) { elapse(server, provider.Days(31)) }

// elapse lets happen what falls due within d.
func elapse(server *emulated.Server, d time.Duration) {
	server.Clock().Ahead(d, func() { server.List(emulator.ExampleAccountID, project) })
}

// config opens on loopback with connections of its own. Each call gets a new
// one, because Go repeats a GET by itself when a kept connection breaks.
func config(tb testing.TB, endpoint string) provider.Config {
	tb.Helper()
	at, err := provider.ParseEndpoint(endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	connections := &http.Transport{DisableKeepAlives: true}
	tb.Cleanup(connections.CloseIdleConnections)
	account := emulator.ExampleAccount()
	return provider.Config{
		Region: region, Endpoint: at, Transport: connections, UserAgent: "cloudsync-test/1",
		AccessKeyID: account.AccessKeyID, AccessKeySecret: sensitive.NewString(account.AccessKeySecret),
		Settings: map[string]string{"project_id": project},
	}
}
