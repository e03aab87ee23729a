// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// What nobody may see. The words have letters and digits only, so that no
// escaping hides them.
const (
	canary      = "canaryvalue7f3a1e5c9b"
	canaryKey   = "canarykey4d2b8f6a0c"
	canaryToken = "canarytoken9e1c3a5b7d"
	canaryWrong = "canarywrong2f4e6d8c0b"
)

// hunt looks for the canaries in what people and programs get to see.
type hunt struct {
	t     *testing.T
	r     harness.Replication
	shown map[string][]byte // by where
	// issued are what clouds have made, and what they were given for it.
	issued map[string]string
}

// Known values and credentials go through success, refusal, every kind of
// failure and a crash, and are then looked for wherever they must not be.
func TestNoValueAndNoCredentialIsShown(t *testing.T) {
	h := &hunt{t: t, r: harness.Start(t, harness.Raft, harness.Services...), shown: map[string][]byte{}}
	h.r.Vault.CLI("audit", "enable", "file", "file_path="+filepath.Join(filepath.Dir(h.r.Vault.DataDir()), "audit.log"))
	for _, cloud := range h.r.Clouds {
		cloud.Account = emulator.Account{AccessKeyID: "temporary", AccessKeySecret: canaryKey, SecurityToken: canaryToken}
		if err := cloud.Control.PutAccount(t.Context(), cloud.Account); err != nil {
			t.Fatal(err)
		}
		h.r.Vault.Write("destinations/"+cloud.Service.Destination, cloud.Settings())
	}

	h.succeed()
	h.beRefused()
	h.fail()
	h.issue()
	h.overviews()
	h.look("the processes", processes(t, h.r.Vault.PluginPIDs()))
	h.r.Vault.KillPlugin()
	h.r.AwaitState(secretName, "in_sync")
	h.paths()
	for _, cloud := range h.r.Clouds {
		if calls := cloud.Calls(); calls.ValuesInURL != 0 || calls.Total == 0 {
			t.Errorf("%s got %d of %d calls with a value in the URL", cloud.Service.Type, calls.ValuesInURL, calls.Total)
		}
		log, err := os.ReadFile(cloud.LogPath())
		if err != nil || !bytes.Contains(log, []byte(cloud.Service.RemoteName(secretName))) {
			t.Errorf("the log of %s tells of no call (%v)", cloud.Service.Type, err)
		}
		h.look("the log of "+cloud.Service.Type, log)
	}
	h.r.Vault.Stop()
	h.files()
	h.report()
}

func (h *hunt) look(where string, text []byte) { h.shown[where] = append(h.shown[where], text...) }

// write keeps what is answered, be it a success or a failure.
func (h *hunt) write(what, path string, body map[string]any) {
	h.t.Helper()
	answer, err := h.r.Vault.Client.Logical().WriteWithContext(h.t.Context(), "cloudsync/"+path, body)
	encoded, _ := json.Marshal(answer)
	h.look("the answer to "+what, fmt.Appendf(encoded, "%v", err))
}

func (h *hunt) succeed() {
	h.write("a write", "secrets/"+secretName, map[string]any{"data": map[string]any{"password": canary}, "destinations": h.r.Destinations(), "tags": "env=prod"})
	h.write("a write of text", "secrets/text", map[string]any{"value": canary, "destinations": h.r.Destinations()})
	encoded := base64.StdEncoding.EncodeToString([]byte(canary))
	h.write("a write of bytes", "secrets/bytes", map[string]any{"binary": encoded, "destinations": h.r.Destinations()})
	h.write("a write by KV", "data/"+secretName, map[string]any{"data": map[string]any{"password": canary + "2"}})
	h.r.AwaitState("text", "in_sync")
	h.r.AwaitCurrent("text", canary)
	h.r.AwaitState(secretName, "in_sync")
	h.r.AwaitCurrent(secretName, `{"password":"`+canary+`2"}`)
}

// overviews are what tells of all secrets at once, while some have failed.
func (h *hunt) overviews() {
	for _, path := range []string{"metrics", "info", "keys", "status", "status?list=true", "status?list=true&state=in_sync"} {
		request := h.r.Vault.Client.NewRequest("GET", "/v1/cloudsync/"+strings.Split(path, "?")[0])
		if _, query, asked := strings.Cut(path, "?"); asked {
			request.Params, _ = url.ParseQuery(query)
		}
		answer, err := h.r.Vault.Client.RawRequestWithContext(h.t.Context(), request) //nolint:staticcheck // metrics aren't JSON
		if answer == nil {
			h.t.Fatalf("read %s: %v", path, err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		h.look("the answer of "+path, text)
	}
}

func (h *hunt) beRefused() {
	data := map[string]any{"password": canary}
	for what, body := range map[string]map[string]any{
		"a value too large":         {"value": canary + strings.Repeat("v", 1<<16)},
		"two forms of a value":      {"data": data, "value": canary},
		"bad base64":                {"binary": canary + "!"},
		"data that is no map":       {"data": canary},
		"an unknown parameter":      {"data": data, "password": canary},
		"an unknown destination":    {"data": data, "destinations": "tencent-ssm/nowhere"},
		"a failed check-and-set":    {"data": data, "cas": 99},
		"a format that doesn't fit": {"data": map[string]any{"other": canary}, "format": "raw"},
	} {
		h.write(what, "secrets/"+secretName, body)
	}
	h.write("a value too large by KV", "data/"+secretName, map[string]any{"data": map[string]any{"password": canary + strings.Repeat("v", 1<<16)}})
	h.write("a patch that is none", "secrets/"+secretName, map[string]any{"data": []any{canary}})
	h.write("a destination with a bad region", "destinations/alicloud-kms/bad", map[string]any{
		"region": "no region", "access_key_id": "x", "access_key_secret": canaryKey, "security_token": canaryToken,
	})
	h.write("a key in an endpoint", "destinations/alicloud-kms/bad", map[string]any{
		"region": "cn-hangzhou", "access_key_id": "x", "access_key_secret": canaryKey, "endpoint": "https://user:" + canaryKey + "@kms.example.com",
	})
}

// issue has each cloud make a credential and rotate it, and reads all but the value.
func (h *hunt) issue() {
	h.issued = map[string]string{"the initial password": "canary-Initial-1"}
	for _, at := range issuings(h.t) {
		name := "managed-" + at.service.Type
		path := "managed/" + name
		h.look("the command that makes "+name, []byte(h.r.Vault.CLI(at.write(name, "wait=0", "credential_cache_ttl=1h")...)))
		awaitCredential(h.t, h.r.Vault, name, "ready")
		for _, what := range []string{"first", "second"} {
			password, _ := credentialNow(h.r.Vault, name)["password"].(string)
			if len(password) < 8 {
				h.t.Fatalf("%s has a password of %d letters", name, len(password))
			}
			h.issued["the "+what+" password of "+name] = password
			h.write("a rotation of "+name, path+"/rotate", map[string]any{"wait": "0"})
			awaitCredential(h.t, h.r.Vault, name, "ready")
		}
		h.write("a refusal to "+name, path, map[string]any{"initial_credentials": `{"password":"canary-Initial-1"}`})
		for _, below := range []string{"", "/rotation", "/history"} {
			answer, err := json.Marshal(h.r.Vault.Read(path + below))
			if err != nil {
				h.t.Fatal(err)
			}
			h.look(path+below, answer)
		}
	}
}

// puts are the calls that carry the value of a new version.
var puts = map[string]string{"tencent-ssm": "PutSecretValue", "alicloud-kms": "PutSecretValue", "huawei-csms": "CreateSecretVersion"}

// fail lets each cloud answer in all the ways that might quote what it was sent.
// Alibaba Cloud does so by itself: with a wrong key it repeats the whole call.
func (h *hunt) fail() {
	quoted := "what was sent is " + canary + " by " + canaryKey + " and " + canaryToken
	for i, fault := range []emulator.Fault{
		{Kind: emulator.Error, Code: "InternalError", Message: quoted, Count: 1},
		{Kind: emulator.Error, Code: "InvalidParameter", Message: quoted, Count: 1},
		{Kind: emulator.HTTP, Body: quoted, Count: 1},
		{Kind: emulator.HTTP, Body: `{"Code":"X","Message":"` + quoted + `"}`, Status: 400, Count: 1},
		{Kind: emulator.Drop, AfterEffect: true, Count: 1},
	} {
		for _, cloud := range h.r.Clouds {
			fault.Operation = puts[cloud.Service.Type]
			cloud.Break(fault)
		}
		h.write("a write that fails", "secrets/"+secretName, map[string]any{"data": map[string]any{"password": canary, "n": i}, "wait": "1s"})
		h.status()
		for _, cloud := range h.r.Clouds {
			cloud.Repair()
		}
		h.write("a sync", "sync/"+secretName, nil)
		h.r.AwaitState(secretName, "in_sync")
	}
	for _, cloud := range h.r.Clouds {
		path := "destinations/" + cloud.Service.Destination
		h.write("a wrong key", path, map[string]any{"access_key_secret": canaryWrong})
		h.write("the check of a wrong key", path+"/check", nil)
	}
	h.write("a write by a wrong key", "secrets/"+secretName, map[string]any{"data": map[string]any{"password": canary}})
	h.write("a new secret by a wrong key", "secrets/new", map[string]any{"data": map[string]any{"password": canary}, "destinations": h.r.Destinations()})
	h.r.AwaitState("new", "blocked")
	h.status()
	for _, cloud := range h.r.Clouds {
		h.r.Vault.Write("destinations/"+cloud.Service.Destination, cloud.Settings())
	}
	h.r.AwaitState("new", "in_sync")
}

func (h *hunt) status() {
	for _, secret := range []string{secretName, "new"} {
		answer, err := h.r.Vault.Client.Logical().ReadWithContext(h.t.Context(), "cloudsync/status/"+secret)
		encoded, _ := json.Marshal(answer)
		h.look("the status of "+secret, fmt.Appendf(encoded, "%v", err))
	}
}

// paths reads all that isn't the value itself.
func (h *hunt) paths() {
	h.status()
	paths := []string{"status", "config", "metadata/" + secretName, "subkeys/" + secretName}
	for _, destination := range h.r.Destinations() {
		paths = append(paths, "destinations/"+destination)
	}
	for _, path := range paths {
		answer, err := json.Marshal(h.r.Vault.Read(path))
		if err != nil {
			h.t.Fatal(err)
		}
		h.look(path, answer)
	}
}

// processes is what every user of the machine sees of processes, and the
// environment of some.
func processes(t *testing.T, pids []int) []byte {
	t.Helper()
	if len(pids) == 0 {
		t.Error("no plugin is running")
	}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, pid := range pids {
		files = append(files, fmt.Sprintf("/proc/%d/environ", pid))
	}
	var all []byte
	for _, file := range files {
		text, _ := os.ReadFile(file) // it may have ended meanwhile
		all = append(all, text...)
	}
	if !bytes.Contains(all, []byte(harness.PluginName)) {
		t.Error("the list of processes lacks the plugin")
	}
	return all
}

// files looks at everything that Vault has written: logs at trace level, audit
// log and storage.
func (h *hunt) files() {
	dir := os.DirFS(filepath.Dir(h.r.Vault.DataDir()))
	err := fs.WalkDir(dir, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "plugins":
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := fs.ReadFile(dir, path)
		h.look(path, text)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for path, says := range map[string]string{
		"audit.log": "cloudsync/secrets/" + secretName, "vault.log": "[TRACE]", "data/vault.db": "logical/",
	} {
		if !bytes.Contains(h.shown[path], []byte(says)) {
			h.t.Errorf("%s has %d bytes without %q", path, len(h.shown[path]), says)
		}
	}
}

func (h *hunt) report() {
	for where, text := range h.shown {
		secrets := map[string]string{
			"the value": canary, "the access key's secret": canaryKey, "the session token": canaryToken, "a former key": canaryWrong,
		}
		maps.Copy(secrets, h.issued)
		for what, secret := range secrets {
			for form, word := range forms(secret) {
				if bytes.Contains(text, []byte(word)) {
					at := bytes.Index(text, []byte(word))
					h.t.Errorf("%s shows %s %s: %.300q", where, what, form, text[max(0, at-150):])
				}
			}
		}
	}
}

// forms are how a word might be written; a hash of it would let others guess.
func forms(secret string) map[string]string {
	digest := sha256.Sum256([]byte(secret))
	all := map[string]string{
		"in clear": secret, "in hex": hex.EncodeToString([]byte(secret)),
		"as hash in hex": hex.EncodeToString(digest[:]), "as hash in base64": base64.StdEncoding.EncodeToString(digest[:]),
	}
	for offset := range 3 { // what base64 makes of it in the middle of something
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", offset) + secret))
		all[fmt.Sprintf("in base64 at %d", offset)] = encoded[4 : len(encoded)-4]
	}
	return all
}
