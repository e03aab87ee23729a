// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// documented returns the rows below a line of docs/alicloud-kms.md that begins with
// head, cell by cell.
func documented(t *testing.T, head string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "alicloud-kms.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut(string(text), "\n"+head)
	if !found {
		t.Fatalf("no line begins with %q", head)
	}
	var rows [][]string
	for _, line := range strings.Split(below, "\n")[2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "| "), " | ") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}

// quoted are the words in backquotes.
func quoted(text string) []string {
	var words []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
}

// remedies are words that the error about a refused creation has to have, by code.
var remedies = map[string][]string{
	"InvalidParameter":                   {"check", "initial_credentials", "instance_id"},
	"MissingParameter":                   {"check", "initial_credentials", "instance_id"},
	"Forbidden.ResourceNotFound":         {"in this region", "instance_id"},
	"Forbidden.NoPermission":             {"allow kms:CreateSecret", "ram:CreateServiceLinkedRole", "AliyunServiceRoleForKMSSecretsManagerForRDS"},
	"Rejected.ResourceExist":             {"remote_name"},
	"Rejected.ResourceInDeleteWindow":    {"restore", "remote_name"},
	"Rejected.LimitExceeded":             {"delete", "KMS instance"},
	"Rejected.Throttling":                nil,
	"InternalFailure":                    nil,
	"ServiceUnavailableTemporary":        nil,
	"Forbidden.KeyNotFound":              {"KMS key"},
	"Rejected.Disabled":                  {"KMS key"},
	"Rejected.PendingDeletion":           {"KMS key"},
	"Forbidden.DKMSInstanceNotFound":     {"kms_instance_id"},
	"Forbidden.DKMSInstanceStateInvalid": {"kms_instance_id"},
	"UnsupportedOperation":               {"Rds", "endpoint"},
}

func TestEachDocumentedRefusalOfACreationSaysWhatToDo(t *testing.T) {
	explained := map[string]bool{}
	for _, row := range documented(t, "| code | class | what to do |") {
		classes := quoted(row[1])
		for _, code := range quoted(row[0]) {
			explained[code] = true
			want, known := remedies[code]
			if !known {
				t.Errorf("%s is explained, and nothing is known of it here", code)
			}
			server, d := emulate(t, emulated.Switches{})
			emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Operation: "CreateSecret", Code: code, Message: "the words of the cloud"})
			for i, key := range []string{"", emulator.ExampleKMSKeyID} {
				n := exampleCredentials["one database account"]
				n.KMSKeyID = key
				_, err := issuing(t, d).CreateCredential(t.Context(), "app/new", n)
				e := failure(t, err)
				if class := classes[min(i, len(classes)-1)]; string(e.Class) != class {
					t.Errorf("%s has class %s, the page says %s: %v", code, e.Class, class, err)
				}
				if e.Code != code || e.RequestID == "" || e.Operation != "CreateSecret" || !strings.HasPrefix(e.Message, "the words of the cloud") {
					t.Errorf("%s: the error lacks something: %v", code, err)
				}
				for _, word := range want {
					if !strings.Contains(e.Message, word) {
						t.Errorf("%s: %q doesn't speak of %q", code, e.Message, word)
					}
				}
				if e.Class.Action() == "" || e.Ambiguous != (e.Class == provider.ClassUnavailable) {
					t.Errorf("%s: action %q, ambiguous %t", code, e.Class.Action(), e.Ambiguous)
				}
			}
		}
	}
	for code := range remedies {
		if !explained[code] {
			t.Errorf("%s isn't explained", code)
		}
	}
}

// What has to be looked at differs by product.
func TestARefusalSpeaksOfTheProduct(t *testing.T) {
	for what, words := range map[string][]string{
		"two database accounts": {"RDS instance", "accounts of initial_credentials"},
		"a RAM user":            {"user_name", "access keys"},
		"a server's key":        {"ECS instance", "region_id"},
		"a Redis account":       {"instance_id", "region_id"},
		"a PolarDB account":     {"cluster", "region_id"},
	} {
		server, d := emulate(t, emulated.Switches{})
		emulatortest.AddFault(t, server, emulator.Fails("CreateSecret", "Forbidden.ResourceNotFound"))
		_, err := issuing(t, d).CreateCredential(t.Context(), "acs/ecs/new", exampleCredentials[what])
		for _, word := range words {
			if e := failure(t, err); !strings.Contains(e.Message, word) || strings.Contains(e.Message, "default, doesn't exist") {
				t.Errorf("%s: %v doesn't speak of %q", what, err, word)
			}
		}
	}
	server, d := emulate(t, emulated.Switches{RAMNameOfUser: true})
	create := func() error {
		_, err := issuing(t, d).CreateCredential(t.Context(), "x", exampleCredentials["a RAM user"])
		return err
	}
	if err := create(); err != nil {
		t.Fatal(err)
	}
	if err := create(); provider.ClassOf(err) != provider.ClassExists || !strings.Contains(err.Error(), "managed already") {
		t.Errorf("a user for the second time: %v", err)
	}
	// The key's own permission isn't the type's.
	emulatortest.AddFault(t, server, emulator.Fault{
		Kind: emulator.Error, Operation: "CreateSecret", Code: "Forbidden.NoPermission", Message: "This operation for key-x is forbidden by permission system",
	})
	if err := create(); provider.ClassOf(err) != provider.ClassKMS || strings.Contains(err.Error(), "service role") {
		t.Errorf("a key that may not be used: %v", err)
	}
}

func TestEachMethodMakesTheCallsThatThePageSays(t *testing.T) {
	rows := map[string][]string{}
	for _, row := range documented(t, "| of a managed credential | calls |") {
		rows[row[0]] = quoted(row[1])
	}
	server, d := emulate(t, emulated.Switches{})
	issuer, name := issuing(t, d), "app/credential"
	var task provider.CredentialTask
	steps := []struct {
		row  string
		make func() error
	}{
		{"creation", func() error { issued(t, d, "one database account"); return nil }},
		{"state", func() error { _, err := issuer.DescribeCredential(t.Context(), name); return err }},
		{"credentials", func() error { _, err := issuer.ReadCredential(t.Context(), name); return err }},
		{"rotation", func() (err error) { task, err = issuer.RotateCredential(t.Context(), name, "t"); return err }},
		{"looking how it goes", func() error { _, err := issuer.CredentialTask(t.Context(), name, task.ID); return err }},
		{"looking while it goes on", func() error {
			_, err := issuer.CredentialTask(t.Context(), name, strings.Replace(task.ID, "t@", "other@", 1))
			return err
		}},
		{"schedule", func() error { return issuer.SetRotation(t.Context(), name, provider.Rotation{}) }},
		{"history", func() error { _, err := issuer.CredentialVersions(t.Context(), name); return err }},
		{"deletion", func() error { _, err := issuer.DeleteCredential(t.Context(), name, 0, false); return err }},
		{"finding a RAM credential again", func() error {
			seed(t, server, emulator.Secret{Type: "RAMCredentials", Ref: emulator.Ref{Name: "acs/ram/user/x"}, Description: "[mark]"})
			_, err := issuer.FindCredential(t.Context(), "[mark]")
			return err
		}},
	}
	for _, step := range steps {
		server.Calls().Reset()
		if err := step.make(); err != nil {
			t.Errorf("%s: %v", step.row, err)
		}
		if got := emulatortest.Operations(server); !slices.Equal(got, rows[step.row]) {
			t.Errorf("%s made the calls %v, the page says %v", step.row, got, rows[step.row])
		}
		delete(rows, step.row)
	}
	if len(rows) > 0 {
		t.Errorf("nothing is known of %v", slices.Sorted(maps.Keys(rows)))
	}
}

func TestEachProductAndItsParametersAreInThePage(t *testing.T) {
	rows := map[string][]string{}
	for _, row := range documented(t, "| product | what it is |") {
		rows[strings.Trim(row[0], "`")] = quoted(row[2])
	}
	common := []string{"custom_data", "policy", "extended_config"}
	for _, p := range alibaba.Kind.Credentials {
		for _, field := range p.Fields {
			// What has one possible value only needn't be given.
			told := slices.Contains(rows[p.Name], field.Name) || slices.Contains(common, field.Name)
			if !told && (len(field.Allowed) != 1 || field.Required) {
				t.Errorf("product %s: %s isn't in the page", p.Name, field.Name)
			}
		}
		if p.InstanceRequired != slices.Contains(rows[p.Name], "instance_id") {
			t.Errorf("product %s: instance_id", p.Name)
		}
		delete(rows, p.Name)
	}
	if len(rows) > 0 {
		t.Errorf("products that don't exist: %v", rows)
	}
}
