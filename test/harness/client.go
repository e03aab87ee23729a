// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

func newClient(tb testing.TB, url string) *api.Client {
	tb.Helper()
	config := api.DefaultConfig() // reads the environment
	config.Address = url
	config.MaxRetries = 0 // the tests want to see every failure
	config.Timeout = Patience
	client, err := api.NewClient(config)
	if err != nil {
		tb.Fatalf("make a client of vault: %v", err)
	}
	client.ClearNamespace()
	client.ClearToken()
	return client
}

// WithToken returns another client with that token.
func (v *Vault) WithToken(token string) *api.Client {
	v.tb.Helper()
	client := newClient(v.tb, v.URL())
	client.SetToken(token)
	return client
}

// Write writes below the mount and returns the answer, failing the test on an error.
func (v *Vault) Write(path string, data map[string]any) *api.Secret {
	v.tb.Helper()
	answer, err := v.Client.Logical().WriteWithContext(v.tb.Context(), Mount+"/"+path, data)
	if err != nil {
		v.tb.Fatalf("write %s: %v", path, err)
	}
	return answer
}

// Read reads below the mount and fails the test on an error or if nothing is there.
func (v *Vault) Read(path string) *api.Secret {
	v.tb.Helper()
	answer, err := v.Client.Logical().ReadWithContext(v.tb.Context(), Mount+"/"+path)
	if err == nil && answer == nil {
		err = errors.New("nothing is there")
	}
	if err != nil {
		v.tb.Fatalf("read %s: %v", path, err)
	}
	return answer
}

// AwaitAnswer reads below the mount until that succeeds: the first request after
// the plugin was killed may fail, and makes Vault start it again.
func (v *Vault) AwaitAnswer(path string) {
	v.tb.Helper()
	Eventually(v.tb, "read "+path, func() error {
		_, err := v.Client.Logical().ReadWithContext(v.tb.Context(), Mount+"/"+path)
		return err
	})
}

// As returns the same Vault for somebody with that token, to run commands.
func (v *Vault) As(token string) *Vault {
	other := *v
	other.token = token
	return &other
}

// CLI runs the vault command as a person would, and returns what it prints on
// stdout. A failure of the command fails the test.
func (v *Vault) CLI(args ...string) string {
	v.tb.Helper()
	out, err := v.TryCLI("", args...)
	if err != nil {
		v.tb.Fatalf("vault %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// TryCLI runs the vault command with stdin. The error of a failed one holds
// what it printed on stderr.
func (v *Vault) TryCLI(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(v.tb.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.programs.Vault, args...)
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.URL(), "VAULT_TOKEN="+v.token, "VAULT_NAMESPACE=", "HOME="+v.dir, "VAULT_CLI_NO_COLOR=1")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), errors.Join(err, errors.New(strings.TrimSpace(stderr.String())))
	}
	return stdout.String(), nil
}
