// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// issuing is an emulated CSMS without agencies, and a destination on it.
func issuing(t *testing.T, switches emulated.Switches) (*emulated.Server, full) {
	t.Helper()
	server, endpoint := emulatortest.Huawei(t, emulated.Options{Switches: switches})
	return server, openedWith(t, config(t, endpoint))
}

// newCredential is one for an account, with further parameters.
func newCredential(parameters ...string) provider.NewCredential {
	n := provider.NewCredential{
		Product: "RDS-FG", InstanceID: "rds-1", Description: "words",
		Parameters: map[string]string{"rotation_func_urn": functionURN},
		Initial:    sensitive.NewString(`{"username":"app","password":"` + exampleValue + `"}`),
	}
	for _, p := range parameters {
		name, text, _ := strings.Cut(p, "=")
		n.Parameters[name] = text
	}
	return n
}

func create(t *testing.T, d full, name string, n provider.NewCredential) {
	t.Helper()
	if _, err := d.CreateCredential(t.Context(), name, n); err != nil {
		t.Fatal(err)
	}
}

func login(t *testing.T, d full, name string) string {
	t.Helper()
	v, err := d.ReadCredential(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return v.Fields["username"].Reveal() + ":" + v.Fields["password"].Reveal()
}

func product(t *testing.T, n provider.NewCredential) provider.CredentialProduct {
	t.Helper()
	p, found := huawei.Kind.CredentialProduct(n.Product)
	if !found {
		t.Fatalf("there is no product %s", n.Product)
	}
	return p
}

func TestWhatCanNeverBeMadeIsRefusedBefore(t *testing.T) {
	with := func(change func(*provider.NewCredential), parameters ...string) provider.NewCredential {
		n := newCredential(parameters...)
		change(&n)
		return n
	}
	initial := func(text string, parameters ...string) provider.NewCredential {
		return with(func(n *provider.NewCredential) { n.Initial = sensitive.NewString(text) }, parameters...)
	}
	const two = `[{"username":"app","password":"x-0123456789"},{"name":"app2","password":"y-0123456789"}]`
	for name, c := range map[string]struct {
		n    provider.NewCredential
		says string // "" if it is all right
	}{
		"one account":                {newCredential(), ""},
		"one in the service's shape": {initial(`{"users":[{"name":"a","password":"b"}]}`), ""},
		"two accounts":               {initial(two, "secret_sub_type=MultiUser"), ""},
		"another shape as it is":     {initial(`{"login":"a"}`, "initial_format=as_is"), ""},
		"a config of its own":        {newCredential(`rotation_config={"InstanceId":"rds-1","SecretSubType":"SingleUser","Extra":1}`), ""},
		"an event":                   {newCredential(`event_subscriptions=["ops"]`), ""},
		"a schedule": {with(func(n *provider.NewCredential) {
			n.Rotation = provider.Rotation{Enabled: true, Interval: 6 * time.Hour}
		}), ""},
		"no function and no schedule": {with(func(n *provider.NewCredential) { delete(n.Parameters, "rotation_func_urn") }), ""},
		"no instance":                 {with(func(n *provider.NewCredential) { n.InstanceID = "" }), "instance_id"},
		"no initial credentials":      {with(func(n *provider.NewCredential) { n.Initial = sensitive.String{} }), "initial_credentials"},
		"an unknown sub-type":         {newCredential("secret_sub_type=Both"), "SingleUser, MultiUser"},
		"a function that isn't a URN": {newCredential("rotation_func_urn=rotate"), "urn:fss:"},
		"a schedule without a function": {with(func(n *provider.NewCredential) {
			n.Rotation = provider.Rotation{Enabled: true, Interval: provider.Days(1)}
		}, "rotation_func_urn="), "rotation_func_urn"},
		"a schedule of five hours": {with(func(n *provider.NewCredential) {
			n.Rotation = provider.Rotation{Enabled: true, Interval: 5 * time.Hour}
		}), "6h"},
		"a schedule of parts of a second": {with(func(n *provider.NewCredential) {
			n.Rotation = provider.Rotation{Enabled: true, Interval: 7*time.Hour + 1}
		}), "multiple"},
		"a config that isn't JSON":            {newCredential(`rotation_config={'InstanceId':'rds-1'}`), "JSON"},
		"a config that is too long":           {newCredential(`rotation_config={"InstanceId":"rds-1","SecretSubType":"SingleUser","x":"` + strings.Repeat("x", 1000) + `"}`), "1024"},
		"a config for another instance":       {newCredential(`rotation_config={"InstanceId":"rds-2","SecretSubType":"SingleUser"}`), `"rds-2"`},
		"a config without a sub-type":         {newCredential(`rotation_config={"InstanceId":"rds-1"}`), "SecretSubType"},
		"a config that contradicts":           {newCredential(`rotation_config={"InstanceId":"rds-1","SecretSubType":"SingleUser"}`, "secret_sub_type=MultiUser"), "secret_sub_type"},
		"an instance id that is too long":     {with(func(n *provider.NewCredential) { n.InstanceID = strings.Repeat("x", 1000) }), "instance_id"},
		"two events":                          {newCredential(`event_subscriptions=["a","b"]`), "one event"},
		"an event with a space":               {newCredential(`event_subscriptions=["a b"]`), "letters"},
		"an account without a password":       {initial(`{"username":"app"}`), "password"},
		"text for initial credentials":        {initial(`secret-0123456789`), "password"},
		"no account at all":                   {initial(`[]`), "0 accounts"},
		"two accounts for one":                {initial(two), "2 accounts"},
		"one account for two":                 {newCredential("secret_sub_type=MultiUser"), "1 accounts"},
		"one account twice":                   {initial(`[{"name":"a","password":"x"},{"name":"a","password":"y"}]`, "secret_sub_type=MultiUser"), "twice"},
		"text for another shape":              {initial(`secret-0123456789`, "initial_format=as_is"), "JSON object"},
		"a value that is too large":           {initial(`{"users":[{"name":"a","password":"` + strings.Repeat("x", 33000) + `"}]}`), "32768"},
		"a binary value that is too large":    {initial(`{"users":[{"name":"a","password":"`+strings.Repeat("x", 25000)+`"}]}`, "initial_field=secret_binary"), "24576"},
		"a place that the service hasn't":     {newCredential("initial_field=secret_map"), "secret_string"},
		"a parameter of another cloud":        {newCredential("user_name_prefix=app"), "rotation_func_urn"},
		"a switch that is neither on nor off": {newCredential("create_agency=maybe"), "create_agency"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.n.Parameters["rotation_func_urn"] == "" {
				delete(c.n.Parameters, "rotation_func_urn")
			}
			err := product(t, c.n).CheckNew(c.n)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that speaks of %q", err, c.says)
			}
			if err != nil && (strings.Contains(err.Error(), "0123456789") || strings.Contains(err.Error(), "xxxx")) {
				t.Errorf("the error quotes the initial credentials: %v", err)
			}
			if c.says == "" {
				_, d := issuing(t, emulated.Switches{})
				if c.n.Parameters["initial_format"] != "as_is" { // the emulator's function reads one shape only
					create(t, d, "orders-db", c.n)
				}
			}
		})
	}
}

// What the service documents of refusals, and what a person reads.
func TestEachRefusalOfACreationSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status  int
		code    string
		class   provider.Class
		remedy  string
		granted string // what ShowAgency says
	}{
		{400, "CSMS.0002", provider.ClassInvalid, "instance_id", "true"},
		{400, "CSMS.0002", provider.ClassInvalid, "create_agency=true", "false"},
		{400, "CSMS.0003", provider.ClassInvalid, "region", "true"},
		{400, "CSMS.0004", provider.ClassInvalid, "rotation_config", "true"},
		{400, "CSMS.0202", provider.ClassLimit, "quota raised", "true"},
		{400, "CSMS.0301", provider.ClassAuth, "security_token", "true"},
		{403, "CSMS.0302", provider.ClassPermission, "csms:secret:create", "true"},
		{403, "CSMS.0302", provider.ClassPermission, "create_agency=true", "false"},
		{400, "CSMS.0401", provider.ClassKMS, "KMS key", "true"},
		{400, "KMS.0205", provider.ClassKMS, "KMS key", "true"},
		{404, "KMS.0207", provider.ClassKMS, "KMS key", "true"},
		{400, "KMS.0209", provider.ClassKMS, "KMS key", "true"},
		{400, "KMS.0210", provider.ClassKMS, "KMS key", "true"},
		{403, "KMS.0306", provider.ClassPermission, "kms:cmk:createDataKey", "true"},
		{403, "KMS.0314", provider.ClassPermission, "real-name", "true"},
		{400, "KMS.0320", provider.ClassPermission, "settle the account", "true"},
		{403, "APIGW.0310", provider.ClassAuth, "project_id", "true"},
		{401, "APIGW.0301", provider.ClassAuth, "access_key_secret", "true"},
		{429, "APIGW.0308", provider.ClassThrottled, "", "true"},
		{400, "CSMS.0999", provider.ClassInternal, "create_agency=true", "false"},
	} {
		t.Run(c.code+", agencies "+c.granted, func(t *testing.T) {
			answer := apiError(c.status, c.code, "the words of the cloud")
			for _, refused := range []reply{answer, nested(answer)} {
				cloud := &stub{answers: map[string]reply{
					"CreateSecret": refused, "ShowSecret": apiError(404, "CSMS.0005", "absent"),
					"ShowAgency": {body: `{"agency_granted":"` + c.granted + `"}`},
				}}
				_, err := opened(t, cloud).CreateCredential(t.Context(), "orders-db", newCredential())
				e := failure(t, err)
				if e.Class != c.class || e.Code != c.code || e.RequestID != "the-request-id" || e.Operation != "CreateSecret" || e.Ambiguous ||
					!strings.HasPrefix(e.Message, "the words of the cloud") || !strings.Contains(e.Message, c.remedy) {
					t.Errorf("class %s, code %q, request id %q: %v", e.Class, e.Code, e.RequestID, err)
				}
			}
		})
	}
	t.Run("a look that fails changes nothing", func(t *testing.T) {
		cloud := &stub{answers: map[string]reply{
			"CreateSecret": apiError(400, "CSMS.0002", "words"), "ShowSecret": apiError(404, "CSMS.0005", "absent"),
			"ShowAgency": apiError(403, "CSMS.0302", "no"),
		}}
		_, err := opened(t, cloud).CreateCredential(t.Context(), "orders-db", newCredential())
		if e := failure(t, err); e.Class != provider.ClassInvalid || !strings.Contains(e.Message, "instance_id") {
			t.Errorf("error %v", err)
		}
	})
}

func TestARefusalQuotesNoPasswordHoweverShort(t *testing.T) {
	for _, n := range []provider.NewCredential{newCredential(), newCredential("initial_format=as_is"), newCredential("initial_field=secret_binary")} {
		n.Initial = sensitive.NewString(`{"username":"app","password":"pw-1"}`)
		cloud := &stub{answers: map[string]reply{"CreateSecret": apiError(400, "CSMS.0202", "refused with pw-1")}}
		_, err := opened(t, cloud).CreateCredential(t.Context(), "orders-db", n)
		if e := failure(t, err); e.Class != provider.ClassLimit || strings.Contains(e.Message, "pw-1") {
			t.Errorf("error %v", err)
		}
	}
}

func TestEachRefusalOfARotationSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		class  provider.Class
		remedy string
	}{
		{400, "CSMS.0002", provider.ClassInvalid, "rotation_func_urn"},
		{400, "CSMS.0003", provider.ClassInvalid, "only credentials that the service manages"},
		{404, "CSMS.0005", provider.ClassNotFound, ""},
		{400, "CSMS.0106", provider.ClassNotFound, ""},
		{400, "CSMS.0103", provider.ClassConflict, "restore"},
		{400, "CSMS.0107", provider.ClassConflict, "restore"},
		{403, "CSMS.0109", provider.ClassConflict, "frozen"},
		{403, "CSMS.0302", provider.ClassPermission, "rds:password:update"},
		{400, "CSMS.0401", provider.ClassKMS, "KMS key"},
	} {
		t.Run(c.code, func(t *testing.T) {
			answer := apiError(c.status, c.code, "the words of the cloud")
			for _, refused := range []reply{answer, nested(answer)} {
				_, err := opened(t, &stub{answers: map[string]reply{"RotateSecret": refused}}).RotateCredential(t.Context(), "orders-db", "token-1")
				e := failure(t, err)
				if e.Class != c.class || e.Code != c.code || e.RequestID != "the-request-id" || !strings.Contains(e.Message, c.remedy) {
					t.Errorf("class %s, code %q, request id %q: %v", e.Class, e.Code, e.RequestID, err)
				}
			}
		})
	}
	err := opened(t, &stub{answers: map[string]reply{"UpdateSecret": apiError(400, "CSMS.0002", "words")}}).
		SetRotation(t.Context(), "orders-db", provider.Rotation{Enabled: true, Interval: provider.Days(1)})
	if e := failure(t, err); e.Class != provider.ClassInvalid || !strings.Contains(e.Message, "rotation_func_urn") {
		t.Errorf("a schedule that is refused: %v", err)
	}
	_, err = opened(t, &stub{answers: map[string]reply{"RotateSecret": {body: `{}`}}}).RotateCredential(t.Context(), "orders-db", "token-1")
	if e := failure(t, err); !e.Ambiguous || e.Class != provider.ClassUnavailable {
		t.Errorf("a rotation without a task: %v", err)
	}
	task, err := opened(t, &stub{answers: map[string]reply{"RotateSecret": {body: `{"version_id":"v2","secret_name":"orders-db"}`}}}).
		RotateCredential(t.Context(), "orders-db", "token-1")
	if err != nil || task.ID != "" || task.Name != "orders-db" {
		t.Errorf("a rotation of the legacy type: %+v, %v", task, err)
	}
}

func TestAgenciesAreMadeWhenAskedFor(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		server, d := issuing(t, emulated.Switches{NeedsAgency: true})
		for i, want := range []int{1, 1} {
			create(t, d, fmt.Sprintf("db-%d", i), newCredential("create_agency=true"))
			if made := server.Calls().Count("CreateAgency"); made != want {
				t.Errorf("%d calls made agencies", made)
			}
		}
		create(t, d, "another", newCredential())
		if n := server.Calls().Count("ShowAgency"); n != 2 {
			t.Errorf("without being asked for, agencies were looked for: %d calls", n)
		}
	})
	t.Run("and missed when they are missing", func(t *testing.T) {
		_, d := issuing(t, emulated.Switches{NeedsAgency: true})
		_, err := d.CreateCredential(t.Context(), "db", newCredential())
		if e := failure(t, err); e.Class != provider.ClassPermission || !strings.Contains(e.Message, "create_agency=true") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("and said to be refused, though that stands in a success", func(t *testing.T) {
		server, d := issuing(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Operation: emulated.AgencyWork, Code: "IAM.0001", Message: "not you", Count: 1})
		_, err := d.CreateCredential(t.Context(), "db", newCredential("create_agency=true"))
		e := failure(t, err)
		if e.Class != provider.ClassPermission || e.Operation != "CreateAgency" || e.RequestID == "" || !strings.Contains(e.Message, "not you") || !strings.Contains(e.Message, "console") {
			t.Errorf("error %v", err)
		}
		if _, there := server.Inspect(project, "db"); there {
			t.Error("the credential was made all the same")
		}
		create(t, d, "db", newCredential("create_agency=true"))
	})
	t.Run("unless they can't be asked about", func(t *testing.T) {
		server, d := issuing(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("CreateAgency", "CSMS.0302"))
		_, err := d.CreateCredential(t.Context(), "db", newCredential("create_agency=true"))
		if e := failure(t, err); e.Class != provider.ClassPermission || !strings.Contains(e.Message, "leave create_agency out") {
			t.Errorf("error %v", err)
		}
	})
}

func TestACreationWhoseAnswerIsLostIsFoundAgain(t *testing.T) {
	server, d := issuing(t, emulated.Switches{})
	n := newCredential()
	emulatortest.AddFault(t, server, emulator.LostReply("CreateSecret"))
	_, err := d.CreateCredential(t.Context(), "orders-db", n)
	if e := failure(t, err); !e.Ambiguous {
		t.Errorf("error %v", err)
	}
	_, err = d.CreateCredential(t.Context(), "orders-db", n)
	if provider.ClassOf(err) != provider.ClassExists {
		t.Errorf("error %v", err)
	}
	found, err := d.DescribeCredential(t.Context(), "orders-db")
	if err != nil || found.State != provider.CredentialReady || found.Description != "words" || found.InstanceID != "rds-1" {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestTagsThatAreRefusedLeaveTheCredential(t *testing.T) {
	server, d := issuing(t, emulated.Switches{})
	emulatortest.AddFault(t, server, emulator.Fails("BatchCreateOrDeleteTags", "CSMS.0302"))
	n := newCredential()
	n.Tags = map[string]string{"team": "a"}
	task, err := d.CreateCredential(t.Context(), "orders-db", n)
	if err != nil || provider.ClassOf(task.TagsError) != provider.ClassPermission {
		t.Errorf("task %+v, error %v", task, err)
	}
	if got := login(t, d, "orders-db"); got != "app:"+exampleValue {
		t.Error("the credential can't be read")
	}
}

// The shapes that a managed value may have; none is documented for today's types.
func TestAValueIsTakenApart(t *testing.T) {
	binary := func(text string) string {
		return `"secret_binary":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"`
	}
	text := func(text string) string {
		encoded, _ := json.Marshal(text)
		return `"secret_string":` + string(encoded)
	}
	for _, c := range []struct{ name, value, want string }{
		{"one user", text(`{"users":[{"name":"app","password":"p"}]}`), "password=p username=app"},
		{"one user, in bytes", binary(`{"users":[{"name":"app","password":"p"}]}`), "password=p username=app"},
		{
			"two users", text(`{"users":[{"name":"app","password":"p"},{"name":"app2","password":"q"}]}`),
			"password=p password_2=q username=app username_2=app2",
		},
		{"an account alone", text(`{"username":"app","password":"p"}`), "password=p username=app"},
		{"an account with other names", text(`{"user":"app","pwd":"p","host":"h","port":3306}`), "host=h password=p port=3306 username=app"},
		{"an account with two names", text(`{"username":"app","name":"App","password":"p"}`), "name=App password=p username=app"},
		{"users and more", text(`{"users":[{"name":"app","password":"p","host":"h"}],"engine":{"name":"mysql"},"none":null}`), `engine={"name":"mysql"} host=h none= password=p username=app`},
		{"users that are none", text(`{"users":[]}`), "users=[]"},
		{"users that are something else", text(`{"users":"app"}`), "users=app"},
		{"text", text("p"), "value=p"},
		{"a list", text(`["p"]`), `value=["p"]`},
		{"text in bytes", binary("p"), "value=p"},
		{"bytes", binary("\xff\x00"), "value_base64=/wA="},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := &stub{answers: map[string]reply{"ShowSecretVersion": {
				body: `{"version":{` + c.value + `,"version_metadata":{"id":"v7","create_time":1795000000000,"version_stages":["a","SYSCURRENT"]}}}`,
			}}}
			got, err := opened(t, cloud).ReadCredential(t.Context(), "orders-db")
			if err != nil {
				t.Fatal(err)
			}
			var shown []string
			for _, name := range slices.Sorted(maps.Keys(got.Fields)) {
				shown = append(shown, name+"="+got.Fields[name].Reveal())
			}
			if strings.Join(shown, " ") != c.want || got.VersionID != "v7" || len(got.Labels) != 2 || got.CreatedTime.Unix() != 1795000000 {
				t.Errorf("read %v as %v, want %s", got, shown, c.want)
			}
		})
	}
}
