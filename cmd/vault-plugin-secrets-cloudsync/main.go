// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Command vault-plugin-secrets-cloudsync is the plugin as Vault starts it: one
// process that serves all mounts of the engine.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/plugin"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/version"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var connection api.PluginAPIClientMeta
	flags := connection.FlagSet()
	flags.SetOutput(io.Discard) // run's caller prints the error
	showVersion := flags.Bool("version", false, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		explain(os.Stdout)
		return nil
	case err != nil:
		return err
	case *showVersion:
		fmt.Printf("%s %s (commit %s, %s)\n", name, version.Version, version.Commit, runtime.Version())
		return nil
	case !startedByVault():
		explain(os.Stderr)
		return errors.New("this is a plugin and must be started by vault")
	}
	if err := refuseDebugging(os.Getenv("DEBUG")); err != nil {
		return err
	}
	go endWithParent(os.Getppid(), os.Exit)
	return plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: backend.Factory,
		// Only Vault before 1.12 asks for it; newer ones agree on keys by AutoMTLS.
		TLSProviderFunc: api.VaultPluginTLSProvider(connection.GetTLSConfig()),
	})
}
