// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/control"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// asProgram makes the test binary run as the program.
const asProgram = "CLOUD_EMULATOR_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is the emulator as another process.
type process struct {
	*exec.Cmd
	ready
	log *bytes.Buffer // complete after Wait
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), self, args...), log: new(bytes.Buffer)}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stderr = p.log
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		_ = p.Wait()
		t.Fatalf("no ready line: %v; it logged: %s", err, p.log)
	}
	if err := json.Unmarshal(line, &p.ready); err != nil {
		t.Fatalf("ready line %s: %v", line, err)
	}
	return p
}

func (p *process) client(t *testing.T, a emulator.Account) *ssm.Client {
	t.Helper()
	settings := profile.NewClientProfile()
	settings.HttpProfile.Scheme = "http"
	settings.HttpProfile.Endpoint = strings.TrimPrefix(p.Endpoints[tencent.ServiceName], "http://")
	client, err := ssm.NewClient(common.NewCredential(a.AccessKeyID, a.AccessKeySecret), "ap-guangzhou", settings)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func create(client *ssm.Client, name string) error {
	r := ssm.NewCreateSecretRequest()
	value := "canary-value of " + name
	r.SecretName, r.SecretString = &name, &value
	_, err := client.CreateSecret(r)
	return err
}

func TestAKilledEmulatorHasItsAcknowledgedStateAfterARestart(t *testing.T) {
	t.Parallel()
	args := []string{"-data-dir", t.TempDir(), "-control", "127.0.0.1:0"}
	first := startProcess(t, args...)
	acknowledged := make(chan string, 1000)
	go func() {
		defer close(acknowledged)
		client := first.client(t, emulator.ExampleAccount())
		for i := 0; ; i++ {
			name := fmt.Sprintf("s%d", i)
			if create(client, name) != nil {
				return
			}
			acknowledged <- name
		}
	}()
	var names []string
	for name := range acknowledged {
		if names = append(names, name); len(names) == 20 {
			if err := first.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = first.Wait()

	second := startProcess(t, args...)
	api := control.NewClient(second.Control, tencent.ServiceName)
	for _, name := range names {
		secret, found, err := api.Find(t.Context(), emulator.Ref{Region: "ap-guangzhou", Name: name})
		if err != nil || !found || secret.Versions[0].Text != "canary-value of "+name {
			t.Errorf("%s: found %v, %v", name, found, err)
		}
	}
	if stored, err := api.List(t.Context(), "", "ap-guangzhou"); err != nil || len(stored) > len(names)+1 {
		t.Errorf("%d secrets are stored of %d acknowledged (%v)", len(stored), len(names), err)
	}
}

func TestTheProcessTakesCredentialsFromAFileAndEndsOnASignal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "credentials.json")
	content := `{"accounts":[{"access_key_id":"mine","access_key_secret":"canary-key","denied":["DescribeSecret"]}]}`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, "-credentials", file)
	if p.Control != "" {
		t.Errorf("the control API is on without being asked for: %s", p.Control)
	}
	if err := create(p.client(t, emulator.Account{AccessKeyID: "mine", AccessKeySecret: "canary-key"}), "s"); err != nil {
		t.Error(err)
	}
	if err := create(p.client(t, emulator.ExampleAccount()), "s"); err == nil {
		t.Error("the example account works beside a credentials file")
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	if log := p.log.String(); !strings.Contains(log, "CreateSecret") || strings.Contains(log, "canary") {
		t.Errorf("the log lacks the call or shows a secret: %s", log)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"an address of all interfaces", []string{"-tencent-ssm", "0.0.0.0:0"}, "loopback"},
		{"an address without a host", []string{"-tencent-ssm", ":0"}, "loopback"},
		{"another service's address of all interfaces", []string{"-huawei-csms", "0.0.0.0:0"}, "loopback"},
		{"a host name, which may mean anything", []string{"-control", "localhost:0"}, "loopback"},
		{"a public control address", []string{"-control", "192.0.2.1:0"}, "loopback"},
		{"an address without a port", []string{"-tencent-ssm", "127.0.0.1"}, "port"},
		{"an unknown flag", []string{"-tencent"}, "-h"},
		{"an argument", []string{"start"}, "flags only"},
		{"an unknown rate", []string{"-rates", "slow"}, "documented"},
		{"a negative rate", []string{"-rates", "-1"}, "factor"},
		{"an unknown level", []string{"-log-level", "loud"}, "loud"},
		{"an absent credentials file", []string{"-credentials", filepath.Join(dir, "absent")}, "credentials"},
		{"an empty credentials file", []string{"-credentials", write("empty", "{}")}, "no accounts"},
		{"a misspelt credentials file", []string{"-credentials", write("misspelt", `{"accounts":[{"key":"canary"}]}`)}, "key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // what is wrongly accepted ends at once
			err := run(ctx, test.args, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("ended with %v, want something about %q", err, test.want)
			}
		})
	}
}

func TestTheHelpExplainsEveryFlag(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, io.Discard, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("ended with %v", err)
	}
	for _, word := range []string{"-tencent-ssm", "-alicloud-kms", "-huawei-csms", "-control", "-data-dir", "-credentials", "-log-level", "-rates", emulator.ExampleAccount().AccessKeyID} {
		if !strings.Contains(help.String(), word) {
			t.Errorf("the help doesn't name %s", word)
		}
	}
}

func TestTheProcessEnforcesTheDocumentedRatesWhenTold(t *testing.T) {
	t.Parallel()
	for flagged, want := range map[string]float64{"off": 0, "documented": 1, "0.5": 0.5} {
		p := startProcess(t, "-rates", flagged, "-control", "127.0.0.1:0")
		for service := range p.Endpoints {
			if rates, err := control.NewClient(p.Control, service).Rates(t.Context()); err != nil || rates.Factor != want {
				t.Errorf("-rates %s: %s has the factor %v, %v", flagged, service, rates.Factor, err)
			}
		}
	}
}
