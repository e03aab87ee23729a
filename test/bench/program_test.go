// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// TestProgram measures the plugin's binary, and how long it runs to print its
// version: what every start costs before anything is served. Vault starts a
// plugin several times while it is registered and mounted.
func TestProgram(t *testing.T) {
	plugin := harness.Require(t).Plugin
	progress(t, "binary: size and start-up time")
	file, err := os.Stat(plugin)
	if err != nil {
		t.Fatal(err)
	}
	figures.line("Program/size", 1, bytes(file.Size(), "file-bytes"))

	const runs = 5
	var wall []time.Duration
	for range measured().rounds {
		var wallOfRound, cpuOfRound time.Duration
		for range runs {
			command := exec.CommandContext(t.Context(), plugin, "--version")
			command.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // a plugin with the race detector would sleep
			began := time.Now()
			if err := command.Run(); err != nil {
				t.Fatalf("start the plugin: %v", err)
			}
			wall = append(wall, time.Since(began))
			cpuOfRound += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
			wallOfRound += wall[len(wall)-1]
		}
		figures.line("Program/start", runs, nanoseconds(wallOfRound/runs, "ns/op"), nanoseconds(cpuOfRound/runs, "cpu-ns/op"))
	}
	figures.section("The plugin's binary")
	figures.note("size", megabytes(file.Size()))
	figures.note("time to start and print its version, p50", short(quantile(wall, 0.5)))
}
