// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/vault/api"
)

// Storage is where a Vault keeps its data.
type Storage string

// The storages. A Vault built by tools/vault has no others that keep data.
const (
	Dev  Storage = "dev"  // memory: gone with the process
	Raft Storage = "raft" // integrated storage, in files
)

// devToken is the root token of a Vault in dev mode.
const devToken = "root"

// Vault is a real Vault server on loopback, initialised and unsealed. Its
// methods are for one goroutine; the client may be used by several.
type Vault struct {
	Client *api.Client // with the root token, and without retries

	tb       testing.TB
	programs Programs
	storage  Storage
	node     string // its name in the cluster
	address  string // host:port
	dir      string
	process  *process
	token    string
	unseal   string // the key; "" in dev mode

	clustered bool // there are other nodes, which may be active in its place
}

// StartVault starts a Vault with the plugin in its catalog, and waits until it
// is unsealed and active. It logs at trace level, since whatever must not be
// logged must not be there at any level.
func StartVault(tb testing.TB, programs Programs, storage Storage) *Vault {
	tb.Helper()
	v := launch(tb, programs, storage, "node-1")
	if storage == Dev {
		v.token = devToken
	} else {
		v.initialise()
	}
	v.Client.SetToken(v.token)
	v.Unseal()
	v.RegisterPlugin(PluginName, "")
	return v
}

// launch starts a Vault with the plugin installed, and waits until it answers.
func launch(tb testing.TB, programs Programs, storage Storage, node string) *Vault {
	tb.Helper()
	v := &Vault{tb: tb, programs: programs, storage: storage, node: node, address: freeAddress(tb), dir: directory(tb, "vault")}
	for _, name := range []string{"plugins", "data", "tmp"} {
		if err := os.Mkdir(filepath.Join(v.dir, name), 0o700); err != nil {
			tb.Fatalf("prepare the files of vault: %v", err)
		}
	}
	v.InstallPlugin(programs.Plugin, PluginName)
	v.process = &process{
		tb: tb, name: "vault", path: programs.Vault, args: v.arguments(), dir: v.dir,
		// A home of its own, so that nobody's token file is read or written, and a
		// place for the sockets that a killed plugin leaves behind.
		env: []string{"HOME=" + v.dir, "TMPDIR=" + filepath.Join(v.dir, "tmp")},
	}
	v.Client = newClient(tb, v.URL())
	v.process.start()
	tb.Cleanup(v.endPlugins)
	v.awaitAnswer()
	return v
}

// URL is where the Vault is reached.
func (v *Vault) URL() string { return "http://" + v.address }

// Token is the root token.
func (v *Vault) Token() string { return v.token }

// LogPath is the file with everything that Vault and the plugin have logged,
// over all restarts.
func (v *Vault) LogPath() string { return v.process.logPath() }

// DataDir is where Vault keeps its storage; empty in dev mode.
func (v *Vault) DataDir() string { return filepath.Join(v.dir, "data") }

func (v *Vault) arguments() []string {
	if v.storage == Dev {
		return []string{
			"server", "-dev", "-dev-no-store-token", "-dev-root-token-id=" + devToken, "-dev-listen-address=" + v.address,
			"-dev-plugin-dir=" + v.pluginDir(), "-log-level=trace",
		}
	}
	path := filepath.Join(v.dir, "vault.hcl")
	if err := os.WriteFile(path, []byte(v.configuration(freeAddress(v.tb))), 0o600); err != nil {
		v.tb.Fatalf("write the configuration of vault: %v", err)
	}
	return []string{"server", "-config=" + path, "-log-level=trace"}
}

func (v *Vault) configuration(clusterAddress string) string {
	return fmt.Sprintf(`
storage "raft" {
  path    = %q
  node_id = %q

  # Elect a leader, and let a new node vote, quickly.
  performance_multiplier       = 1
  autopilot_reconcile_interval = "250ms"
  autopilot_update_interval    = "250ms"
}
listener "tcp" {
  address         = %q
  cluster_address = %q
  tls_disable     = true
}
api_addr         = %q
cluster_addr     = %q
plugin_directory = %q
disable_mlock    = true
`, v.DataDir(), v.node, v.address, clusterAddress, v.URL(), "https://"+clusterAddress, v.pluginDir())
}

func (v *Vault) awaitAnswer() {
	v.tb.Helper()
	v.process.ready(func() error {
		_, err := v.Client.Sys().HealthWithContext(v.tb.Context())
		return err
	})
}

func (v *Vault) initialise() {
	v.tb.Helper()
	made, err := v.Client.Sys().InitWithContext(v.tb.Context(), &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		v.tb.Fatalf("initialise vault: %v\n%s", err, v.process.lastLines())
	}
	v.token, v.unseal = made.RootToken, made.KeysB64[0]
}

// Unseal unseals and waits until the Vault is active, or, as a node of a
// cluster, until it is unsealed.
func (v *Vault) Unseal() {
	v.tb.Helper()
	if v.unseal != "" {
		if _, err := v.Client.Sys().UnsealWithContext(v.tb.Context(), v.unseal); err != nil {
			v.tb.Fatalf("unseal vault: %v\n%s", err, v.process.lastLines())
		}
	}
	v.process.ready(func() error {
		health, err := v.Client.Sys().HealthWithContext(v.tb.Context())
		if err == nil && (health.Sealed || health.Standby && !v.clustered) {
			err = fmt.Errorf("it is sealed: %t, standby: %t", health.Sealed, health.Standby)
		}
		return err
	})
}

// Seal seals the Vault.
func (v *Vault) Seal() {
	v.tb.Helper()
	if err := v.Client.Sys().SealWithContext(v.tb.Context()); err != nil {
		v.tb.Fatalf("seal vault: %v", err)
	}
}

// Kill ends Vault alone with SIGKILL. Its plugin processes run on without it,
// as they do in real life, until the test ends.
func (v *Vault) Kill() { v.process.kill() }

// Crash ends Vault and its plugin processes with SIGKILL, as a crash of the
// machine does.
func (v *Vault) Crash() {
	plugins := v.PluginPIDs()
	v.process.kill()
	v.killPIDs(plugins)
}

// Stop ends Vault with SIGTERM, as an operator does.
func (v *Vault) Stop() { v.process.stop() }

// Start starts Vault again after Kill, Crash or Stop, on the same address and storage,
// and unseals it. In dev mode nothing would be left, so that is a failure.
func (v *Vault) Start() {
	v.tb.Helper()
	if v.storage == Dev {
		v.tb.Fatal("start vault again: in dev mode it has forgotten everything; use Raft")
	}
	v.process.start()
	v.awaitAnswer()
	v.Unseal()
}
