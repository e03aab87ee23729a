// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// issued creates an example, at first with a schedule of seven days, and returns
// its name.
func issued(t *testing.T, d full, what string) string {
	t.Helper()
	n := exampleCredentials[what]
	n.Rotation = provider.Rotation{Enabled: true, Interval: provider.Days(7)}
	n.Description = "of " + what + " [mark]"
	name := "app/credential"
	if n.Product == "ECS" {
		name = "acs/ecs/" + name
	}
	task, err := issuing(t, d).CreateCredential(t.Context(), name, n)
	if err != nil {
		t.Fatal(err)
	}
	return task.Name
}

func password(t *testing.T, d full, name string) (username, password string) {
	t.Helper()
	v, err := issuing(t, d).ReadCredential(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return v.Fields["username"].Reveal(), v.Fields["password"].Reveal()
}

func TestACredentialIsDescribedAsItWasMade(t *testing.T) {
	for what, n := range exampleCredentials {
		t.Run(what, func(t *testing.T) {
			_, d := emulate(t, emulated.Switches{})
			name := issued(t, d, what)
			c, err := issuing(t, d).DescribeCredential(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if c.Name != name || c.State != provider.CredentialReady || c.Product != n.Product || c.InstanceID != n.InstanceID ||
				c.Rotation != (provider.Rotation{Enabled: true, Interval: provider.Days(7)}) || !c.LastRotation.IsZero() || c.RotationProblem != "" ||
				!strings.HasSuffix(c.Description, "[mark]") || c.NextRotation.Sub(c.CreatedTime) != provider.Days(7) {
				t.Errorf("described is %+v", c)
			}
			for field, want := range n.Parameters {
				if c.Parameters[field] != want {
					t.Errorf("%s is %q, want %q", field, c.Parameters[field], want)
				}
			}
			if n.Product == "Redis" && (c.Parameters["clone_account_name"] != "app_clone" || c.Parameters["region_id"] != region) {
				t.Errorf("what wasn't given is %v", c.Parameters)
			}
			v, err := issuing(t, d).ReadCredential(t.Context(), name)
			if err != nil || v.VersionID != "v1" || !slices.Equal(v.Labels, []string{"ACSCurrent"}) || v.CreatedTime.IsZero() {
				t.Errorf("read is %+v, %v", v, err)
			}
			if initial := n.Initial.Reveal(); initial != "" {
				for field, text := range v.Fields {
					if !strings.Contains(initial, fmt.Sprintf("%q:%q", field, text.Reveal())) {
						t.Errorf("%s isn't what was given", field)
					}
				}
			}
		})
	}
}

func TestFurtherMembersOfExtendedConfig(t *testing.T) {
	for name, c := range map[string]struct{ extended, want string }{
		"a member without a field is sent":          {`{"Future":"x"}`, "Future"},
		"what a field says can be said again":       {`{"DBInstanceId":"rm-1","SecretSubType":"SingleUser"}`, ""},
		"what a field says can't be said otherwise": {`{"DBInstanceId":"rm-2"}`, "another DBInstanceId"},
		"a list isn't an object":                    {`[]`, "JSON object"},
		"null isn't an object":                      {`null`, "JSON object"},
	} {
		n := exampleCredentials["one database account"]
		n.Parameters = map[string]string{"secret_sub_type": "SingleUser", "extended_config": c.extended}
		cloud := &stub{answers: map[string]string{"": doneManaged}}
		_, err := issuing(t, opened(t, cloud)).CreateCredential(t.Context(), "app/db", n)
		product, _ := alibaba.Kind.CredentialProduct("rds")
		checked := product.CheckNew(n)
		switch {
		case err != nil:
			if provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), c.want) || checked == nil || c.want == "" || len(cloud.asked) > 0 {
				t.Errorf("%s: %v, checked %v", name, err, checked)
			}
		case checked != nil || !strings.Contains(cloud.bodies[0], c.want):
			t.Errorf("%s: checked %v, sent %s", name, checked, cloud.bodies[0])
		}
	}
	t.Run("what the service tells beyond the fields is told", func(t *testing.T) {
		answer := `{"RequestId":"r","SecretName":"s","SecretType":"Rds","ExtendedConfig":"{\"Future\":\"x\",\"CustomData\":{},\"DBInstanceId\":\"rm-1\"}"}`
		c, err := issuing(t, opened(t, &stub{answers: map[string]string{"": answer}})).DescribeCredential(t.Context(), "s")
		if err != nil || c.InstanceID != "rm-1" || !maps.Equal(c.Parameters, map[string]string{"extended_config": `{"Future":"x"}`}) {
			t.Errorf("described is %+v, %v", c, err)
		}
	})
}

// Before anything is sent, what can't succeed is refused in words about the fields.
func TestACreationIsCheckedBefore(t *testing.T) {
	with := func(field, text string) func(*provider.NewCredential) {
		return func(n *provider.NewCredential) { n.Parameters[field] = text }
	}
	initially := func(text string) func(*provider.NewCredential) {
		return func(n *provider.NewCredential) { n.Initial = sensitive.NewString(text) }
	}
	for name, c := range map[string]struct {
		what   string
		change func(*provider.NewCredential)
		says   string // "" for no error
	}{
		"as it should be":              {"one database account", func(*provider.NewCredential) {}, ""},
		"the API's form":               {"one database account", initially(`{"Accounts":[{"AccountName":"app","AccountPassword":"` + examplePassword + `"}]}`), ""},
		"a list of one":                {"one database account", initially(`[{"username":"app","password":"` + examplePassword + `"}]`), ""},
		"two accounts for one user":    {"one database account", initially(exampleCredentials["two database accounts"].Initial.Reveal()), "username, password"},
		"three accounts":               {"two database accounts", initially(`[{"username":"a","password":"b"},{"username":"a","password":"b"},{"username":"a","password":"b"}]`), "up to 2"},
		"no account":                   {"one database account", initially(`[]`), "username, password"},
		"an account without password":  {"one database account", initially(`{"username":"app"}`), "username, password"},
		"an account with more":         {"one database account", initially(`{"username":"app","password":"x","host":"` + examplePassword + `"}`), "exactly"},
		"a password as the name":       {"one database account", initially(`{"app":"` + examplePassword + `"}`), "exactly"},
		"a form within another":        {"one database account", initially(`{"Accounts":[{"AccountName":"app","AccountPassword":"x"}],"more":"` + examplePassword + `"}`), "exactly"},
		"both names of a part":         {"one database account", initially(`{"username":"a","AccountName":"` + examplePassword + `","password":"x"}`), "exactly"},
		"a text":                       {"one database account", initially(`"` + examplePassword + `"`), "JSON object"},
		"no JSON":                      {"one database account", initially(examplePassword), "JSON object"},
		"what is too large":            {"one database account", initially(`{"username":"app","password":"` + strings.Repeat("x", 30720) + `"}`), "30720"},
		"the login of a server as key": {"a server's key", initially(exampleCredentials["a server's password"].Initial.Reveal()), "private_key"},
		"keys in the API's form":       {"a RAM user", initially(`{"AccessKeys":[{"AccessKeyId":"a","AccessKeySecret":"b"},{"AccessKeyId":"c","AccessKeySecret":"d"}]}`), ""},
		"custom data of a list":        {"one database account", with("custom_data", `["x"]`), "custom_data"},
		"custom data of eleven pairs":  {"one database account", with("custom_data", `{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","a":"","b":""}`), "10 pairs"},
		"a policy of text":             {"one database account", with("policy", `"x"`), "policy"},
		"an empty field":               {"a Redis account", with("clone_account_name", ""), ""},
		"another name of the clone":    {"a Redis account", with("clone_account_name", "other"), "_clone"},
		"a clone of any name":          {"a PolarDB account", with("clone_account_name", "other"), ""},
		"another sub-type":             {"a Redis account", with("secret_sub_type", "SingleUser"), "secret_sub_type"},
		"an unknown database type":     {"a PolarDB account", with("db_type", "Oracle"), "db_type"},
		"an instance for RAM":          {"a RAM user", func(n *provider.NewCredential) { n.InstanceID = "i-1" }, "instance_id"},
		"no instance for a database":   {"one database account", func(n *provider.NewCredential) { n.InstanceID = "" }, "instance_id"},
		"more than ExtendedConfig holds": {
			"one database account", with("custom_data", `{"x":"`+strings.Repeat("ä", 1024)+`"}`), "1024",
		},
		"a rotation every five hours": {"one database account", func(n *provider.NewCredential) {
			n.Rotation = provider.Rotation{Enabled: true, Interval: 5 * time.Hour}
		}, "6h"},
		"a rotation every 366 days": {"one database account", func(n *provider.NewCredential) {
			n.Rotation = provider.Rotation{Enabled: true, Interval: provider.Days(366)}
		}, "365 days"},
		"a rotation that begins sometime": {"one database account", func(n *provider.NewCredential) { n.Rotation.Begin = time.Now() }, "first rotation"},
	} {
		t.Run(name, func(t *testing.T) {
			n := exampleCredentials[c.what]
			n.Parameters = maps.Clone(n.Parameters)
			c.change(&n)
			product, _ := alibaba.Kind.CredentialProduct(n.Product)
			err := product.CheckNew(n)
			if (err == nil) != (c.says == "") || err != nil && (provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), examplePassword) {
				t.Error("the error quotes a password")
			}
			if err == nil {
				_, d := emulate(t, emulated.Switches{})
				name := product.NamePrefix + "new"
				if _, err := issuing(t, d).CreateCredential(t.Context(), name, n); err != nil {
					t.Errorf("the service refuses it: %v", err)
				}
			}
		})
	}
	t.Run("an unknown product", func(t *testing.T) {
		_, err := issuing(t, opened(t, &stub{})).CreateCredential(t.Context(), "app/db", provider.NewCredential{Product: "Oracle"})
		if provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), "Oracle") {
			t.Errorf("error %v", err)
		}
	})
}

func TestDoubleUsersAlternate(t *testing.T) {
	_, d := emulate(t, emulated.Switches{})
	name := issued(t, d, "two database accounts")
	var users []string
	for i := range 4 {
		user, _ := password(t, d, name)
		users = append(users, user)
		if _, err := issuing(t, d).RotateCredential(t.Context(), name, fmt.Sprint("token-", 9-i)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(users, []string{"app", "app2", "app", "app2"}) {
		t.Errorf("the users were %v", users)
	}
	versions, err := issuing(t, d).CredentialVersions(t.Context(), name)
	if err != nil || len(versions) != 5 || versions[0].ID != "token-6" || versions[1].ID != "token-7" ||
		!slices.Equal(versions[0].Labels, []string{"ACSCurrent"}) || !slices.Equal(versions[1].Labels, []string{"ACSPrevious"}) {
		t.Errorf("the versions are %+v, %v", versions, err) // all of one second
	}
}

func TestNoDeletionTouchesWhatIsNoCredential(t *testing.T) {
	server, d := emulate(t, emulated.Switches{})
	issuer := issuing(t, d)
	if _, err := issuer.DeleteCredential(t.Context(), "app/db", 0, false); provider.ClassOf(err) != provider.ClassConflict || !strings.Contains(err.Error(), "Generic") {
		t.Errorf("error %v", err)
	}
	name := issued(t, d, "one database account")
	if _, err := issuer.DeleteCredential(t.Context(), name, 0, true); provider.ClassOf(err) != provider.ClassInvalid {
		t.Errorf("with the accounts: %v", err)
	}
	if got := len(server.List("", region)); got != 2 {
		t.Errorf("%d secrets are there", got)
	}
	for _, err := range []error{
		func() error { _, err := issuer.ReadCredential(t.Context(), "app/db"); return err }(),
		func() error { _, err := issuer.RotateCredential(t.Context(), "app/db", "t"); return err }(),
		issuer.SetRotation(t.Context(), "app/db", provider.Rotation{Enabled: true, Interval: provider.Days(1)}),
	} {
		if provider.ClassOf(err) != provider.ClassConflict {
			t.Errorf("error %v", err)
		}
	}
}

func TestACredentialThatIsToBeDeletedIsLeftAlone(t *testing.T) {
	for _, switches := range []emulated.Switches{{}, {PendingDeletionCode: "Forbidden.ResourceNotFound"}} {
		_, d := emulate(t, switches)
		issuer, name := issuing(t, d), issued(t, d, "one database account")
		if _, err := issuer.DeleteCredential(t.Context(), name, provider.Days(7), false); err != nil {
			t.Fatal(err)
		}
		_, reading := issuer.ReadCredential(t.Context(), name)
		_, rotating := issuer.RotateCredential(t.Context(), name, "t")
		for _, err := range []error{reading, rotating, issuer.SetRotation(t.Context(), name, provider.Rotation{})} {
			if provider.ClassOf(err) != provider.ClassConflict || !strings.Contains(err.Error(), "restore") {
				t.Errorf("error %v", err)
			}
		}
		if c, err := issuer.DescribeCredential(t.Context(), name); err != nil || c.State != provider.CredentialPendingDeletion {
			t.Errorf("described is %+v, %v", c, err)
		}
		if err := d.Restore(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		password(t, d, name)
	}
}

// A lost answer is the one failure after which a RAM credential could be made
// twice.
func TestARAMCredentialIsFoundByItsMark(t *testing.T) {
	server, d := emulate(t, emulated.Switches{})
	issuer := issuing(t, d)
	find := func(want string) {
		t.Helper()
		if got, err := issuer.FindCredential(t.Context(), "[mark]"); err != nil || got != want {
			t.Errorf("found is %q, %v, want %q", got, err, want)
		}
	}
	find("")
	for i := range 101 { // more than a page, and one that is gone meanwhile
		seed(t, server, emulator.Secret{Type: "RAMCredentials", Ref: emulator.Ref{Name: fmt.Sprintf("acs/ram/user/%03d", i)}, Description: "[mark] of another kind"})
	}
	seed(t, server, emulator.Secret{Type: "Rds", Ref: emulator.Ref{Name: "other"}, Description: "a database [mark]"})
	find("")
	gone := emulatortest.AddFault(t, server, emulator.Fails("DescribeSecret", "Forbidden.ResourceNotFound"))
	find("")
	server.Faults().Clear(gone.ID)
	emulatortest.AddFault(t, server, emulator.LostReply("CreateSecret"))
	if _, err := issuer.CreateCredential(t.Context(), "app/key", func() provider.NewCredential {
		n := exampleCredentials["a RAM user"]
		n.Description = "a key [mark]"
		return n
	}()); !provider.IsAmbiguous(err) {
		t.Fatalf("error %v", err)
	}
	all := server.List("", region)
	i := slices.IndexFunc(all, func(s emulator.Secret) bool { return s.Description == "a key [mark]" })
	find(all[i].Name)
	emulatortest.AddFault(t, server, emulator.Fails("ListSecrets", "InvalidParameter")) // that doesn't know the filter
	find(all[i].Name)
	if _, err := issuer.DeleteCredential(t.Context(), all[i].Name, provider.Days(7), false); err != nil {
		t.Fatal(err)
	}
	find(all[i].Name) // whoever looks has to know
	seed(t, server, emulator.Secret{Type: "RAMCredentials", Ref: emulator.Ref{Name: "acs/ram/user/zz"}, Description: "again [mark]"})
	find("acs/ram/user/zz")
	for _, fault := range []emulator.Fault{emulator.Fails("ListSecrets", "Rejected.Throttling"), emulator.Fails("DescribeSecret", "Rejected.Throttling")} {
		emulatortest.AddFault(t, server, fault)
		if _, err := issuer.FindCredential(t.Context(), "[mark]"); provider.ClassOf(err) != provider.ClassThrottled {
			t.Errorf("error %v", err)
		}
	}
	for range 2 {
		emulatortest.AddFault(t, server, emulator.Fails("ListSecrets", "InvalidParameter"))
	}
	if _, err := issuer.FindCredential(t.Context(), "[mark]"); provider.ClassOf(err) != provider.ClassInvalid {
		t.Errorf("refused without the filter too: %v", err)
	}
}

// The service doesn't say which name of a unit it answers with.
func TestIntervalsAreReadInEveryUnit(t *testing.T) {
	for text, want := range map[string]time.Duration{"604800s": provider.Days(7), "7d": provider.Days(7), "6h": 6 * time.Hour, "90m": 90 * time.Minute, "": 0, "x": 0} {
		answer, _ := json.Marshal(map[string]string{"RequestId": "r", "SecretName": "s", "SecretType": "Rds", "AutomaticRotation": "Enabled", "RotationInterval": text})
		c, err := issuing(t, opened(t, &stub{answers: map[string]string{"": string(answer)}})).DescribeCredential(t.Context(), "s")
		if err != nil || c.Rotation.Interval != want {
			t.Errorf("%q is %v, %v", text, c.Rotation.Interval, err)
		}
	}
}

// Texts of 2021 have a next rotation after a failure too, for which nothing is
// scheduled any more.
func TestAStoppedScheduleHasNoNextRotation(t *testing.T) {
	answer := `{"RequestId":"r","SecretName":"s","SecretType":"Rds","AutomaticRotation":"Invalid","RotationInterval":"604800s",
		"NextRotationDate":"2026-01-02T00:00:00Z","LastRotationDate":"2026-01-01T00:00:00Z"}`
	c, err := issuing(t, opened(t, &stub{answers: map[string]string{"": answer}})).DescribeCredential(t.Context(), "s")
	if err != nil || c.Rotation.Enabled || !c.NextRotation.IsZero() || c.LastRotation.IsZero() || c.RotationProblem == "" {
		t.Errorf("described is %+v, %v", c, err)
	}
}

func TestTheFirstRotationCannotBeChosen(t *testing.T) {
	err := issuing(t, opened(t, &stub{})).SetRotation(context.Background(), "s", provider.Rotation{Enabled: true, Interval: provider.Days(1), Begin: time.Now()})
	if provider.ClassOf(err) != provider.ClassInvalid {
		t.Errorf("error %v", err)
	}
}
