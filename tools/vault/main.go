// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Command vault is an unmodified HashiCorp Vault, built from its published
// module so that development and tests need no download besides Go modules.
//
// Vault is licensed under the Business Source License. This module exists
// apart from the plugin's own so that the plugin never links it; the resulting
// binary is for development and tests only and is never distributed.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:]))
}
