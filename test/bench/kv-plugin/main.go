// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Command kv-plugin is the KV v2 library as an external plugin and nothing else:
// what a write costs when a plugin stores it and does no more. Only the
// benchmarks build it.
package main

import (
	"context"
	"fmt"
	"os"

	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	if err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: factory}); err != nil {
		fmt.Fprintf(os.Stderr, "kv-plugin: %v\n", err)
		os.Exit(1)
	}
}

// factory makes the engine on throw-away storage while Vault only asks what the
// plugin is.
func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	if conf.BackendUUID == "" {
		asked := *conf
		asked.BackendUUID, asked.StorageView = "asked", &logical.InmemStorage{}
		conf = &asked
	}
	return kv.VersionedKVFactory(ctx, conf)
}
