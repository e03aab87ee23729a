// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
)

// begin is an instant that is another day in UTC+8.
var begin = time.Date(2026, 3, 1, 20, 30, 0, 0, time.UTC)

// fullAccount has every parameter of a database account.
func fullAccount() provider.NewCredential {
	return provider.NewCredential{
		Product: "tdsql_c_mysql", InstanceID: "cynosdbmysql-0123", Description: `the "orders" <db> [mark]`,
		Tags: map[string]string{"team": "a", "env": "prod"},
		Parameters: map[string]string{
			"user_name_prefix": "app", "domains": `["%","192.168.0.%"]`, "account_remark": "for orders",
			"kms_hsm_cluster_id": "cls-hsm-0123", "encrypt_type": "0",
			"privileges": "*.*:select,SHOW DATABASES orders.*:SELECT orders.items:SELECT,create_view orders.items.price:UPDATE",
		},
		Rotation: provider.Rotation{Enabled: true, Interval: provider.Days(35), Begin: begin},
	}
}

// credentialCalls are those of managed credentials, one remote call each.
var credentialCalls = []remoteCall{
	{"CreateProductSecret", true, func(ctx context.Context, d full) error {
		_, err := d.CreateCredential(ctx, "orders-db", fullAccount())
		return err
	}},
	{"CreateSSHKeyPairSecret", true, func(ctx context.Context, d full) error {
		_, err := d.CreateCredential(ctx, "login", provider.NewCredential{
			Product: "ssh-key", Description: "the key", Tags: map[string]string{"team": "a"}, KMSKeyID: "the-key",
			Parameters: map[string]string{"project_id": "0", "ssh_key_name": "login", "encrypt_type": "0"},
		})
		return err
	}},
	{"DescribeAsyncRequestInfo", false, func(ctx context.Context, d full) error {
		_, err := d.CredentialTask(ctx, "orders-db", "10023")
		return err
	}},
	{"DescribeRotationHistory", false, func(ctx context.Context, d full) error {
		_, err := d.CredentialVersions(ctx, "orders-db")
		return err
	}},
	{"DescribeSupportedProducts", false, func(ctx context.Context, d full) error { _, err := d.Products(ctx); return err }},
	{"RotateProductSecret", true, func(ctx context.Context, d full) error {
		_, err := d.RotateCredential(ctx, "orders-db", "token")
		return err
	}},
	{"UpdateRotationStatus", true, func(ctx context.Context, d full) error {
		return d.SetRotation(ctx, "orders-db", provider.Rotation{Enabled: true, Interval: provider.Days(90), Begin: begin})
	}},
}

// sent is the body of the call that making a credential comes to.
func sent(t *testing.T, c provider.NewCredential) map[string]any {
	t.Helper()
	cloud := &stub{answers: map[string]string{"": `{"Response":{"RequestId":"r"}}`}}
	product, ok := tencent.Kind.CredentialProduct(c.Product)
	if !ok {
		t.Fatalf("no product %s", c.Product)
	}
	if err := product.CheckNew(c); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, cloud).CreateCredential(t.Context(), "orders-db", c); err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(cloud.bodies[0]), &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// What goes out has exactly the fields of the API that were asked for.
func TestACreationSendsTheFieldsThatWereGivenAndNoOthers(t *testing.T) {
	parameters := map[string]string{
		"user_name_prefix": "app", "domains": `["%"]`, "privileges": `{"orders.*": ["SELECT"]}`,
	}
	t.Run("a command with a schedule", func(t *testing.T) {
		before := time.Now()
		body := sent(t, provider.NewCredential{
			Product: "Mysql", InstanceID: "cdb-n4j3y33j", Parameters: parameters, Description: "[mark]",
			Rotation: provider.Rotation{Enabled: true, Interval: provider.Days(35)},
		})
		first, err := time.ParseInLocation(time.DateTime, fmt.Sprint(body["RotationBeginTime"]), time.FixedZone("", 8*3600))
		if err != nil || first.Before(before.Add(provider.Days(35)).Truncate(time.Second)) || first.After(time.Now().Add(provider.Days(35))) {
			t.Errorf("the first rotation is at %v (%v)", first, err)
		}
		body["RotationBeginTime"] = "TIME"
		encoded, err := json.MarshalIndent(body, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("testdata", "orders-db.json"), append(encoded, '\n'))
	})
	t.Run("another database", func(t *testing.T) {
		body := sent(t, provider.NewCredential{Product: "other-database", InstanceID: "postgres-0123", Parameters: map[string]string{
			"user_name_prefix": "app", "domains": `["%"]`, "product_name": "Postgres", "account_type": "L3",
			"privileges": `[{"PrivilegeName":"SchemaPrivileges","Database":"d","SchemaName":"s","Privileges":["USAGE"]}]`,
		}})
		want := []string{"AccountType", "Domains", "InstanceID", "PrivilegesList", "ProductName", "SecretName", "UserNamePrefix"}
		if fields := slices.Sorted(maps.Keys(body)); !slices.Equal(fields, want) || body["ProductName"] != "Postgres" {
			t.Errorf("sent %v of %v", fields, body["ProductName"])
		}
		if units := fmt.Sprint(body["PrivilegesList"]); units != "[map[Database:d PrivilegeName:SchemaPrivileges Privileges:[USAGE] SchemaName:s]]" {
			t.Errorf("privileges %v", units)
		}
	})
	t.Run("a key pair", func(t *testing.T) {
		body := sent(t, provider.NewCredential{Product: "ssh-key", Parameters: map[string]string{"project_id": "7"}})
		if fields := slices.Sorted(maps.Keys(body)); !slices.Equal(fields, []string{"ProjectId", "SecretName"}) {
			t.Errorf("sent %v", fields)
		}
	})
}

func TestAScheduleWithoutABeginStartsAnIntervalFromNow(t *testing.T) {
	cloud := &stub{answers: map[string]string{"": `{"Response":{"RequestId":"r"}}`}}
	d := opened(t, cloud)
	if err := d.SetRotation(t.Context(), "orders-db", provider.Rotation{Enabled: true, Interval: provider.Days(30)}); err != nil {
		t.Fatal(err)
	}
	want := time.Now().Add(provider.Days(30)).In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:")
	if !strings.Contains(cloud.bodies[0], `"RotationBeginTime":"`+want[:10]) {
		t.Errorf("sent %s, want a begin on %s", cloud.bodies[0], want)
	}
	if err := d.SetRotation(t.Context(), "orders-db", provider.Rotation{}); err != nil {
		t.Fatal(err)
	}
	if cloud.bodies[1] != `{"EnableRotation":false,"SecretName":"orders-db"}` && cloud.bodies[1] != `{"SecretName":"orders-db","EnableRotation":false}` {
		t.Errorf("switching off sends %s", cloud.bodies[1])
	}
}

func TestWhatACreationCanNotHaveIsRefusedBeforeItIsSent(t *testing.T) {
	change := func(name, value string) func(*provider.NewCredential) {
		return func(c *provider.NewCredential) { c.Parameters[name] = value }
	}
	for name, c := range map[string]struct {
		change func(*provider.NewCredential)
		says   string
	}{
		"a prefix that is too long":             {change("user_name_prefix", "orders-app"), "1 to 8 letters"},
		"a prefix that begins with a digit":     {change("user_name_prefix", "1app"), "start with a letter"},
		"a domain that is a name":               {change("domains", `["db.example"]`), "192.168.0.%"},
		"no domain":                             {change("domains", `[]`), "domains"},
		"a privilege that no table has":         {change("privileges", "orders.items:EVENT"), "CREATE VIEW, SHOW VIEW, TRIGGER"},
		"an encryption that isn't known":        {change("encrypt_type", "2"), "0, 1"},
		"no instance":                           {func(c *provider.NewCredential) { c.InstanceID = "" }, "instance_id"},
		"a rotation that is too frequent":       {func(c *provider.NewCredential) { c.Rotation.Interval = provider.Days(29) }, "30 days to 365 days"},
		"a rotation that is too rare":           {func(c *provider.NewCredential) { c.Rotation.Interval = provider.Days(366) }, "30 days to 365 days"},
		"a key and a cluster for one":           {func(c *provider.NewCredential) { c.KMSKeyID = "k" }, "kms_hsm_cluster_id"},
		"a parameter of another product":        {change("project_id", "0"), "it has account_remark"},
		"a cluster's field for another product": {change("account_type", "L3"), "is no parameter of product"},
	} {
		t.Run(name, func(t *testing.T) {
			n := fullAccount()
			n.Product = "Mysql"
			c.change(&n)
			product, _ := tencent.Kind.CredentialProduct(n.Product)
			err := product.CheckNew(n)
			if provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
	for name, c := range map[string]struct {
		credential provider.NewCredential
		says       string
	}{
		"a software key and a key of KMS": {provider.NewCredential{
			Product: "ssh-key", KMSKeyID: "k", Parameters: map[string]string{"project_id": "0", "encrypt_type": "1"},
		}, "encrypt_type"},
		"a key pair of an instance":     {provider.NewCredential{Product: "ssh-key", InstanceID: "ins-1", Parameters: map[string]string{"project_id": "0"}}, "instance_id"},
		"a project below 0":             {provider.NewCredential{Product: "ssh-key", Parameters: map[string]string{"project_id": "-1"}}, "project_id"},
		"a name of a key with a hyphen": {provider.NewCredential{Product: "ssh-key", Parameters: map[string]string{"project_id": "0", "ssh_key_name": "a-b"}}, "ssh_key_name"},
		"a schedule for a key pair": {provider.NewCredential{
			Product: "ssh-key", Parameters: map[string]string{"project_id": "0"}, Rotation: provider.Rotation{Enabled: true, Interval: provider.Days(30)},
		}, "no rotation"},
		"another database that is a product of its own": {provider.NewCredential{Product: "other-database", InstanceID: "cdb-1", Parameters: map[string]string{
			"user_name_prefix": "app", "domains": `["%"]`, "product_name": "Mysql", "privileges": `[{"PrivilegeName":"GlobalPrivileges","Privileges":["SELECT"]}]`,
		}}, "product=Mysql"},
	} {
		t.Run(name, func(t *testing.T) {
			product, _ := tencent.Kind.CredentialProduct(c.credential.Product)
			if err := product.CheckNew(c.credential); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func TestASecretWithoutTagsIsCreatedWithoutTheField(t *testing.T) {
	cloud := &stub{answers: map[string]string{"": `{"Response":{"RequestId":"r"}}`}}
	if _, err := opened(t, cloud).Create(t.Context(), "app-db", provider.NewSecret{VersionID: "v1", Value: provider.Text("x")}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(cloud.bodies[0], "Tags") {
		t.Errorf("sent %s", cloud.bodies[0])
	}
}
