// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func TestAMarkedSecretThatVaultLostIsBroughtBackUnderItsName(t *testing.T) {
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			mark := owner.For(fmt.Sprint(m.read("status").Data["mount_id"]), "team/lost")
			c.seed(t, "lost", func(s *emulator.Secret) {
				s.Description, s.Versions = mark.Append("kept"), kinds.versions("one", "two")
			})
			before := fmt.Sprint(c.at("lost").stored(t))
			report := m.imported(c.destination, map[string]any{"match": "lost", "adopt": true})
			if report["lost"]["result"] != "refused" || !strings.Contains(fmt.Sprint(report["lost"]), "team/lost") {
				t.Errorf("under another name it is %v", report["lost"])
			}
			report = m.imported(c.destination, map[string]any{"match": "lost", "adopt": true, "prefix": "team"})
			if report["lost"]["result"] != "refused" {
				t.Errorf("the prefix has no slash, and it is %v", report["lost"])
			}
			report = m.imported(c.destination, map[string]any{"match": "lost", "adopt": true, "prefix": "team/"})
			if report["lost"]["result"] != "adopted" {
				t.Errorf("it is %v", report["lost"])
			}
			if got := fmt.Sprint(c.at("lost").stored(t)); got != before {
				t.Errorf("it was changed: %s", got)
			}
			m.write("secrets/team/lost", map[string]any{"value": "three"})
			if got := c.readBy(t, "lost", "v2"); got != "three" {
				t.Errorf("after a write readers get %q", got)
			}
		})
	}
}

func TestAnImportCanSendSecretsToFurtherDestinations(t *testing.T) {
	from, to := emulatedClouds["Tencent"](t), emulatedClouds["Huawei"](t)
	m := mountOn(t, from)
	account := emulator.ExampleAccount()
	to.settings["access_key_id"], to.settings["access_key_secret"] = account.AccessKeyID, account.AccessKeySecret
	m.write("destinations/"+to.destination, to.settings)
	from.seed(t, "s", func(s *emulator.Secret) { s.Versions = estates["Tencent"].versions("moved") })
	for _, adopt := range []bool{false, true} {
		want := map[bool]string{false: "imported", true: "adopted"}[adopt]
		report := m.imported(from.destination, map[string]any{"match": "s", "adopt": adopt, "destinations": to.destination})
		if report["s"]["result"] != want {
			t.Errorf("it is %v", report["s"])
		}
		m.awaitSettled()
		if got := to.readBy(t, "s", ""); got != "moved" {
			t.Errorf("the other cloud has %q", got)
		}
	}
	m.refuse("import/"+from.destination, map[string]any{"match": "s", "destinations": "huawei-csms/none"})
}

func TestNoValueIsInWhatAnImportStoresOrSays(t *testing.T) {
	const canary = "canary-of-the-estate"
	for cloud, open := range emulatedClouds {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			c, kinds := open(t), estates[cloud]
			m := mountOn(t, c)
			c.seed(t, "text", func(s *emulator.Secret) { s.Versions = kinds.versions("old "+canary, canary) })
			c.seed(t, "object", func(s *emulator.Secret) { s.Versions = kinds.versions(`{"` + canary + `": "` + canary + `"}`) })
			c.seed(t, "other", func(s *emulator.Secret) { s.Versions = kinds.versions(canary) })
			m.write("secrets/other", map[string]any{"value": "another " + canary})
			said := []any{m.runImport(c.destination, map[string]any{"match": "*", "adopt": true, "dry_run": true})}
			said = append(said, m.runImport(c.destination, map[string]any{"match": "*", "adopt": true, "versions": 2}))
			for _, job := range said {
				answer, _ := job.(map[string]any)
				said = append(said, m.reportOf(answer["id"]))
			}
			if strings.Contains(fmt.Sprint(said...), canary) || strings.Contains(m.logs.String(), canary) {
				t.Errorf("an answer or the log has a value: %v\n%s", said, m.logs)
			}
			for key, stored := range m.storage.dump(t) {
				if strings.HasPrefix(key, "kv/") {
					continue
				}
				if strings.Contains(stored, canary) {
					t.Errorf("%s has a value", key)
				}
			}
		})
	}
}

func TestParametersOfAnImportThatMakeNoSense(t *testing.T) {
	c := emulatedClouds["Tencent"](t)
	m := mountOn(t, c)
	c.seed(t, "s", func(s *emulator.Secret) { s.Versions = estates["Tencent"].versions("v") })
	wet := m.runImport(c.destination, map[string]any{"match": "none"})
	for what, test := range map[string]struct {
		parameters map[string]any
		says       string
	}{
		"nothing to match":            {map[string]any{}, "match is empty"},
		"a broken glob":               {map[string]any{"match": "[a"}, "glob"},
		"a broken template":           {map[string]any{"match": "*", "path_template": "{{ .SecretPath }}"}, ".RemoteName"},
		"no versions":                 {map[string]any{"match": "*", "versions": 0}, "versions"},
		"an unknown way":              {map[string]any{"match": "*", "on_conflict": "both"}, "on_conflict"},
		"an unknown guard":            {map[string]any{"match": "*", "guard": "import-x"}, "no job"},
		"a guard that was no dry run": {map[string]any{"match": "*", "guard": wet["id"]}, "dry run"},
		"an unknown parameter":        {map[string]any{"match": "*", "adpot": true}, "adpot"},
	} {
		t.Run(what, func(t *testing.T) {
			parameters := maps.Clone(test.parameters)
			if text := m.refuse("import/"+c.destination, parameters); !strings.Contains(text, test.says) {
				t.Errorf("it says %s", text)
			}
		})
	}
	m.refuse("import/tencent-ssm/none", map[string]any{"match": "*"})
}

func TestAnImportThatFailsAtTheFirstConflict(t *testing.T) {
	c := emulatedClouds["Alibaba"](t)
	m := mountOn(t, c)
	for i := range 40 {
		c.seed(t, fmt.Sprintf("s%02d", i), func(s *emulator.Secret) { s.Versions = estates["Alibaba"].versions("cloud's") })
	}
	m.write("secrets/s03", map[string]any{"value": "vault's"})
	job := m.runImport(c.destination, map[string]any{"match": "*", "adopt": true, "on_conflict": "fail"})
	report := m.reportOf(job["id"])
	if job["state"] != "failed" || !strings.Contains(fmt.Sprint(job["error"]), "s03") || report["s03"]["result"] != "conflict" {
		t.Errorf("the job is %v", job)
	}
	if len(report) == 40 {
		t.Error("it went on to the end")
	}
	for name, item := range report {
		marked := strings.Contains(c.at(name).stored(t).Description, "vault-cloudsync")
		if marked != (item["result"] == "adopted") {
			t.Errorf("%s is %v, marked %t", name, item, marked)
		}
	}
}
