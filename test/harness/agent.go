// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Agent is a real Vault Agent, which logs in by AppRole and keeps files as its
// templates say.
type Agent struct {
	vault *Vault
	dir   string
}

// StartAgent starts a Vault Agent whose role has that policy alone. It renders
// each template into a file of that name, and looks for new values every second.
func (v *Vault) StartAgent(policy string, templates map[string]string) *Agent {
	v.tb.Helper()
	a := &Agent{vault: v, dir: directory(v.tb, "agent")}
	var config strings.Builder
	config.WriteString(v.autoAuth(a.dir, "agent", policy))
	config.WriteString("template_config {\n  static_secret_render_interval = \"1s\"\n  exit_on_retry_failure = true\n}\n")
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		fmt.Fprintf(&config, "template {\n  contents = %q\n  destination = %q\n  error_on_missing_key = true\n}\n", templates[name], a.path(name))
	}
	p := v.client("agent", a.dir, config.String())
	p.ready(func() error {
		for name := range templates {
			if _, err := os.Stat(a.path(name)); err != nil {
				return err
			}
		}
		return nil
	})
	return a
}

func (a *Agent) path(name string) string { return filepath.Join(a.dir, "rendered-"+name) }

// AwaitText waits until the file that a template is rendered into has that text.
func (a *Agent) AwaitText(name, want string) {
	a.vault.tb.Helper()
	Eventually(a.vault.tb, "the file "+name+" of the agent", func() error {
		text, err := os.ReadFile(a.path(name))
		if err == nil && string(text) != want {
			err = fmt.Errorf("it holds %q instead of %q", text, want)
		}
		return err
	})
}

// StartProxy starts a Vault Proxy, which gives its own token, of a role with that
// policy alone, to whoever comes without one. It returns a client that does.
func (v *Vault) StartProxy(policy string) *api.Client {
	v.tb.Helper()
	dir, address := directory(v.tb, "proxy"), freeAddress(v.tb)
	p := v.client("proxy", dir, v.autoAuth(dir, "proxy", policy)+fmt.Sprintf(
		"api_proxy {\n  use_auto_auth_token = true\n}\nlistener \"tcp\" {\n  address = %q\n  tls_disable = true\n}\n", address))
	client := newClient(v.tb, "http://"+address)
	p.ready(func() error {
		answer, err := client.Logical().ReadRawWithContext(v.tb.Context(), "auth/token/lookup-self")
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", answer.Status)
		}
		return nil
	})
	return client
}

// client starts the vault command as a client that stays, with a configuration.
func (v *Vault) client(command, dir, config string) *process {
	v.tb.Helper()
	path := filepath.Join(dir, command+".hcl")
	config += fmt.Sprintf("vault {\n  address = %q\n}\n", v.URL())
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		v.tb.Fatalf("write the configuration of vault %s: %v", command, err)
	}
	p := &process{
		tb: v.tb, name: command, path: v.programs.Vault, args: []string{command, "-config=" + path}, dir: dir,
		env: []string{"HOME=" + dir, "VAULT_ADDR=" + v.URL(), "VAULT_TOKEN=", "VAULT_NAMESPACE="},
	}
	p.start()
	return p
}

// autoAuth makes an AppRole and returns the configuration that logs in with it.
func (v *Vault) autoAuth(dir, role, policy string) string {
	v.tb.Helper()
	check := func(what string, err error) {
		if err != nil {
			v.tb.Fatalf("%s for vault %s: %v", what, role, err)
		}
	}
	ctx, mount := v.tb.Context(), "approle-"+role
	check("enable AppRole", v.Client.Sys().EnableAuthWithOptionsWithContext(ctx, mount, &api.EnableAuthOptions{Type: "approle"}))
	check("write a policy", v.Client.Sys().PutPolicyWithContext(ctx, role, policy))
	base := "auth/" + mount + "/role/" + role
	_, err := v.Client.Logical().WriteWithContext(ctx, base, map[string]any{"token_policies": role})
	check("write a role", err)
	id, err := v.Client.Logical().ReadWithContext(ctx, base+"/role-id")
	check("read the role's id", err)
	secret, err := v.Client.Logical().WriteWithContext(ctx, base+"/secret-id", nil)
	check("make a secret id", err)
	idPath, secretPath := filepath.Join(dir, "role-id"), filepath.Join(dir, "secret-id")
	check("store the role's id", os.WriteFile(idPath, fmt.Append(nil, id.Data["role_id"]), 0o600))
	check("store the secret id", os.WriteFile(secretPath, fmt.Append(nil, secret.Data["secret_id"]), 0o600))
	return fmt.Sprintf(`
auto_auth {
  method "approle" {
    mount_path = %q
    config = {
      role_id_file_path                   = %q
      secret_id_file_path                 = %q
      remove_secret_id_file_after_reading = false
    }
  }
}
`, "auth/"+mount, idPath, secretPath)
}
