// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Read reads a secret as an application in the cloud does: with the cloud's own
// SDK, in a process that has the account's key and knows nothing of Vault.
func (e *Emulator) Read(name string) (string, error) {
	ctx, cancel := context.WithTimeout(e.tb.Context(), Patience)
	defer cancel()
	args := []string{"-cloud", e.Service.Type, "-region", e.Service.Region, "-endpoint", e.endpoint, "-name", name}
	if e.Service.settings["project_id"] != nil {
		args = append(args, "-project", e.Service.scope)
	}
	cmd := exec.CommandContext(ctx, e.programs.cloudRead(), args...)
	key := e.Service.credentials
	cmd.Env = slices.Concat(os.Environ(), []string{
		"GORACE=atexit_sleep_ms=0",
		key.id + "=" + e.Account.AccessKeyID, key.secret + "=" + e.Account.AccessKeySecret, key.token + "=" + e.Account.SecurityToken,
	})
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}
