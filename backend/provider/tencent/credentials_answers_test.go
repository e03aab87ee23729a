// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

func TestKeyPairsAreReadHoweverTheyAreGiven(t *testing.T) {
	const private, public = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n", "ssh-rsa AAAAB3NzaC1yc2E"
	encoded := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct {
		private, public string
		class           provider.Class
	}{
		"as they are": {private, public, ""},
		"in base64":   {encoded(private), encoded(public), ""},
		"swapped":     {public, private, ""},
		"not at all":  {"", "", provider.ClassInternal},
	} {
		t.Run(name, func(t *testing.T) {
			d := opened(t, &stub{answers: map[string]string{
				"GetSecretValue":     apiError("FailedOperation", "not for key pairs"),
				"DescribeSecret":     `{"Response":{"Status":"Enabled","SecretType":2,"ResourceName":"login","RequestId":"r"}}`,
				"GetSSHKeyPairValue": fmt.Sprintf(`{"Response":{"PrivateKey":%q,"PublicKey":%q,"SSHKeyName":"login","RequestId":"r"}}`, c.private, c.public),
			}})
			v, err := d.ReadCredential(t.Context(), "login")
			if c.class != "" {
				if provider.ClassOf(err) != c.class {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || v.Fields["private_key"].Reveal() != private || v.Fields["public_key"].Reveal() != public || v.VersionID != "login" {
				t.Errorf("read version %s, %d fields (%v)", v.VersionID, len(v.Fields), err)
			}
		})
	}
}

func TestACleanDeletionTakesTheKeyPairAlong(t *testing.T) {
	for accounts, want := range map[bool]bool{true: true, false: false} {
		cloud := &stub{answers: map[string]string{
			"DescribeSecret": `{"Response":{"Status":"Disabled","SecretType":2,"RequestId":"r"}}`, "": `{"Response":{"RequestId":"r"}}`,
		}}
		if _, err := opened(t, cloud).DeleteCredential(t.Context(), "login", 0, accounts); err != nil {
			t.Fatal(err)
		}
		if last := cloud.bodies[len(cloud.bodies)-1]; strings.Contains(last, `"CleanSSHKey":true`) != want {
			t.Errorf("with %t %s is sent", accounts, last)
		}
	}
}

func TestTheAccountsOfADatabaseAreDroppedOnlyWhenAsked(t *testing.T) {
	for accounts, want := range map[bool]string{
		true:  `{"DeleteMode":1,"RecoveryWindowInDays":7,"SecretName":"db"}`,
		false: `{"RecoveryWindowInDays":7,"SecretName":"db"}`,
	} {
		cloud := &stub{answers: map[string]string{
			"DescribeSecret": `{"Response":{"Status":"Disabled","SecretType":1,"ProductName":"Mysql","RequestId":"r"}}`,
			"":               `{"Response":{"RequestId":"r","FlowID":17}}`,
		}}
		task, err := opened(t, cloud).DeleteCredential(t.Context(), "db", provider.Days(7), accounts)
		if err != nil || (task.ID == "17") != accounts {
			t.Errorf("with %t the task is %+v (%v)", accounts, task, err)
		}
		var body map[string]any
		if err := json.Unmarshal([]byte(cloud.bodies[len(cloud.bodies)-1]), &body); err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(body); string(got) != want {
			t.Errorf("with %t %s is sent, want %s", accounts, got, want)
		}
	}
}

func TestAnAnswerWithoutACredentialIsNoneAndQuotesNothing(t *testing.T) {
	for name, value := range map[string]string{
		"text": "canary-0123456789", "another object": `{"user":"canary-0123456789"}`, "no password": `{"UserName":"canary-0123456789"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := opened(t, &stub{answers: map[string]string{
				"GetSecretValue": fmt.Sprintf(`{"Response":{"SecretString":%q,"RequestId":"r"}}`, value),
				"DescribeSecret": `{"Response":{"Status":"Enabled","SecretType":1,"ProductName":"Mysql","RequestId":"r"}}`,
			}})
			_, err := d.ReadCredential(t.Context(), "db")
			if provider.ClassOf(err) != provider.ClassInternal || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestCredentialsOfOtherProductsAndStates(t *testing.T) {
	describe := func(fields string) (provider.Credential, error) {
		return opened(t, &stub{answers: map[string]string{
			"": `{"Response":{"RequestId":"r"}}`, "DescribeSecret": `{"Response":{` + fields + `,"RequestId":"r"}}`,
		}}).DescribeCredential(t.Context(), "db")
	}
	c, err := describe(`"Status":"Enabled","SecretType":1,"ProductName":"MongoDB","ResourceID":"cmgo-1"`)
	if err != nil || c.Product != "other-database" || c.Parameters["product_name"] != "MongoDB" || c.InstanceID != "cmgo-1" {
		t.Errorf("described as %+v (%v)", c, err)
	}
	if c, err = describe(`"Status":"Initializing","SecretType":1`); err != nil || c.State != provider.CredentialCreating {
		t.Errorf("described as %s (%v)", c.State, err)
	}
	if _, err = describe(`"Status":"Frozen","SecretType":1`); provider.ClassOf(err) != provider.ClassUnavailable || !strings.Contains(err.Error(), "Frozen") {
		t.Errorf("error %v", err)
	}
	d := opened(t, &stub{answers: map[string]string{"": `{"Response":{"Products":["Mysql",null,"Mysql","MongoDB"],"TotalCount":3,"RequestId":"r"}}`}})
	if names, err := d.Products(t.Context()); err != nil || !slices.Equal(names, []string{"Mysql", "MongoDB", "other-database", "ssh-key"}) {
		t.Errorf("products %v (%v)", names, err)
	}
	if _, err := d.CredentialTask(t.Context(), "db", "x"); !provider.IsNotFound(err) {
		t.Errorf("a task of another service: %v", err)
	}
}

func TestTheHistoryTellsAccountsAndTimesAsFarAsItCan(t *testing.T) {
	const second = "2026-03-01T20:30:00Z"
	for name, c := range map[string]struct{ accounts, want string }{
		"with times as text":        {`[{"AccountName":"app_SSM_a","Host":["%"],"Version":"SSM_Current","RotatedTime":"2026-03-02 04:30:00"}]`, "SSM_Current app_SSM_a " + second},
		"with times in seconds":     {`[{"AccountName":"app_SSM_a","Version":"SSM_Current","RotatedTime":1772397000}]`, "SSM_Current app_SSM_a " + second},
		"without times":             {`[{"AccountName":"app_SSM_a","Version":"SSM_Current"}]`, "SSM_Current app_SSM_a -"},
		"without accounts":          {`null`, "SSM_Current  -"},
		"with something else":       {`{"a":[1]}`, "SSM_Current  -"},
		"of a version not in there": {`[{"AccountName":"app_SSM_a","Version":"SSM_Rotate_1"}]`, "SSM_Current  -"},
	} {
		t.Run(name, func(t *testing.T) {
			d := opened(t, &stub{answers: map[string]string{"": `{"Response":{"VersionIDs":["SSM_Rotate_20260302043000"],"TotalCount":1,"AccountInfoList":` + c.accounts + `,"RequestId":"r"}}`}})
			versions, err := d.CredentialVersions(t.Context(), "db")
			if err != nil || len(versions) != 2 || versions[1].ID != "SSM_Rotate_20260302043000" {
				t.Fatalf("versions %+v (%v)", versions, err)
			}
			at := "-"
			if !versions[0].CreatedTime.IsZero() {
				at = versions[0].CreatedTime.Format(time.RFC3339)
			}
			if got := versions[0].ID + " " + versions[0].Username + " " + at; got != c.want {
				t.Errorf("the newest is %q, want %q", got, c.want)
			}
		})
	}
}
