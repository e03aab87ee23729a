// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/plugin"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/version"
)

const name = "vault-plugin-secrets-cloudsync"

// startedByVault tells by the variable that Vault sets for every plugin.
func startedByVault() bool {
	return os.Getenv(plugin.HandshakeConfig.MagicCookieKey) == plugin.HandshakeConfig.MagicCookieValue
}

// refuseDebugging returns an error if debug, the value of DEBUG, makes an SDK of
// a cloud print its requests: the words are those that Alibaba's SDK and its
// credentials library look for.
func refuseDebugging(debug string) error {
	for _, word := range []string{"sdk", "credential"} {
		if strings.Contains(debug, word) {
			return fmt.Errorf("the environment variable DEBUG contains %q, which makes a cloud's SDK print credentials and values; "+
				"start vault without it", word)
		}
	}
	return nil
}

// endWithParent calls exit soon after the process parent, Vault, has ended. A
// Vault that is killed leaves its plugins running (go-plugin 1.7): they would
// keep credentials in memory, and calls to the clouds on their way, beside the
// plugin of the next Vault.
func endWithParent(parent int, exit func(code int)) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			exit(1)
			return
		}
	}
}

const explanation = `%[1]s %[2]s is a secrets engine for Vault. Vault starts it; it does nothing by itself.

Copy it into the plugin_directory of Vault's configuration, on every node, then
register and mount it once:

  vault plugin register -version=%[2]s \
    -sha256="$(sha256sum '%[3]s' | cut -d' ' -f1)" \
    secret %[1]s
  vault secrets enable -path=cloudsync %[1]s
  vault kv enable-versioning cloudsync/
  vault path-help cloudsync/

`

func explain(w io.Writer) {
	path, err := os.Executable()
	if err != nil {
		path = name
	}
	_, _ = fmt.Fprintf(w, explanation, name, version.Version, path)
}
