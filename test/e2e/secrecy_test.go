// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// A known value and the credentials go through success, refusal and crash, and
// are then looked for wherever they must not be.
func TestNoValueAndNoCredentialIsShown(t *testing.T) {
	const canary = "canary-7f3a1e5c9b"
	r := harness.Start(t, harness.Raft)
	r.Write(secretName, map[string]any{"password": canary})
	r.Cloud.Break(emulator.Fails("PutSecretValue", "InternalError"))
	r.Vault.Write("secrets/"+secretName, map[string]any{"data": map[string]any{"password": canary + "-second"}})
	r.Vault.KillPlugin()
	r.AwaitState(secretName, "in_sync")
	shown := map[string][]byte{}
	for _, path := range []string{"status/" + secretName, "destinations/" + harness.Destination} {
		answer, err := json.Marshal(r.Vault.Read(path).Data)
		if err != nil {
			t.Fatal(err)
		}
		shown[path] = answer
	}
	r.Vault.Stop()
	for _, path := range []string{r.Vault.LogPath(), r.Cloud.LogPath()} {
		log, err := os.ReadFile(path)
		if err != nil || len(log) == 0 {
			t.Fatalf("%s is empty (%v)", path, err)
		}
		shown[path] = log
	}
	for where, text := range shown {
		for what, secret := range map[string]string{"the value": canary, "the access key's secret": r.Cloud.Account.AccessKeySecret} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s shows %s", where, what)
			}
		}
	}
}
