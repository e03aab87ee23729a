// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

const readTeamA = `path "cloudsync/data/team-a/*" { capabilities = ["read"] }`

// templates are the ways in which people write them: for the current version, for
// a fixed one, and for all secrets of a folder. The path has to be that of the API:
// the template engine puts data/ into it for mounts whose type is kv alone.
var templates = map[string]string{
	"current": `{{ with secret "cloudsync/data/team-a/db" }}{{ .Data.data.password }} at {{ .Data.metadata.version }}{{ end }}`,
	"version": `{{ with secret "cloudsync/data/team-a/db?version=1" }}{{ .Data.data.password }}{{ end }}`,
	"folder":  `{{ range secrets "cloudsync/metadata/team-a/" }}{{ . }} {{ end }}`,
	"json":    `{{ with secret "cloudsync/data/team-a/db" }}{{ .Data.data | toJSON }}{{ end }}`,
}

func TestVaultAgentRendersWhatIsWritten(t *testing.T) {
	for _, test := range []struct {
		name      string
		replicate bool
	}{{"a secret in Vault alone", false}, {"a replicated secret", true}} {
		t.Run(test.name, func(t *testing.T) {
			r := harness.Start(t, harness.Dev)
			r.Vault.CLI("kv", "put", "-mount=cloudsync", secretName, "password=one")
			if test.replicate {
				r.Vault.Write("secrets/"+secretName, map[string]any{"destinations": r.Destinations()})
			}
			agent := r.Vault.StartAgent(readTeamA+` path "cloudsync/metadata/team-a/*" { capabilities = ["list"] }`, templates)
			for _, step := range []struct {
				by   []string
				want map[string]string
			}{
				{nil, map[string]string{"current": "one at 1", "version": "one", "folder": "db ", "json": `{"password":"one"}`}},
				{
					[]string{"kv", "put", "-mount=cloudsync", secretName, "password=two"},
					map[string]string{"current": "two at 2", "version": "one", "json": `{"password":"two"}`},
				},
				{
					[]string{"kv", "patch", "-mount=cloudsync", secretName, "user=app"},
					map[string]string{"current": "two at 3", "json": `{"password":"two","user":"app"}`},
				},
				{[]string{"kv", "rollback", "-mount=cloudsync", "-version=1", secretName}, map[string]string{"current": "one at 4"}},
				{[]string{"write", "cloudsync/secrets/team-a/more", "value=other"}, map[string]string{"folder": "db more "}},
			} {
				if step.by != nil {
					r.Vault.CLI(step.by...)
				}
				for name, want := range step.want {
					agent.AwaitText(name, want)
				}
			}
			if test.replicate {
				r.AwaitCurrent(secretName, `{"password":"one"}`)
			}
		})
	}
}

// An application that has no token of its own writes and reads by the proxy.
func TestVaultProxyPassesKVOn(t *testing.T) {
	r := harness.Start(t, harness.Dev)
	client := r.Vault.StartProxy(`path "cloudsync/data/team-a/*" { capabilities = ["create", "update", "patch", "read"] }`)
	r.Write(secretName, map[string]any{"password": "one"})
	kv, ctx := client.KVv2(harness.Mount), t.Context()
	if _, err := kv.Put(ctx, secretName, map[string]any{"password": "two"}); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Patch(ctx, secretName, map[string]any{"user": "app"}); err != nil {
		t.Fatal(err)
	}
	got, err := kv.Get(ctx, secretName)
	if err != nil {
		t.Fatal(err)
	}
	if got.Data["password"] != "two" || got.Data["user"] != "app" || got.VersionMetadata.Version != 3 {
		t.Errorf("the proxy gives %v at version %d", got.Data, got.VersionMetadata.Version)
	}
	r.AwaitCurrent(secretName, `{"password":"two","user":"app"}`)
}
