// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// Blocks that start with ```console run are executed by bash, section by section,
// each section with a Vault and a cloud of its own. A line with $ is a command,
// the lines up to the next one are its output; no lines mean any output, a line
// ... any number of lines, and ... in a line any text. With the word fails, each
// command has to fail. A block with file=NAME is a file that later blocks use;
// with append it goes to the end of it.
//
// What a reader has and the test hasn't is replaced.
var replaced = []struct {
	what *regexp.Regexp
	by   string
}{
	// the binary, which is built, and where Vault looks for it
	{regexp.MustCompile(`^make build$`), "true"},
	{regexp.MustCompile(`\bbin/vault-plugin-secrets-cloudsync`), "$$PLUGIN"},
	{regexp.MustCompile(`/etc/vault/plugins\b`), "$$PLUGIN_DIR"},
}

// demoEndpoint is where a cloud of the demo answers.
var demoEndpoint = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func replace(command string) string {
	for _, r := range replaced {
		command = r.what.ReplaceAllString(command, r.by)
	}
	c, found := named(command)
	if !found {
		return command
	}
	endpoint := "$" + c.variable()
	command = demoEndpoint.ReplaceAllLiteralString(command, endpoint)
	if strings.Contains(command, endpoint) {
		return command
	}
	// It goes to the public endpoint.
	if strings.HasPrefix(command, "cloud-read ") {
		return strings.Replace(command, " -name ", " -endpoint "+endpoint+" -name ", 1)
	}
	return strings.Replace(command, " region=", " endpoint="+endpoint+" region=", 1)
}

// fresh are the sections that begin with a Vault without the plugin mounted.
var fresh = map[string]bool{"": true, "## Install it in your Vault": true}

// stories are the pages whose sections go on from each other, with one Vault.
var stories = map[string]bool{"docs/application-teams.md": true, "docs/rules-and-names.md": true}

// running is a section being executed.
type running struct {
	t   *testing.T
	dir string
	env []string
}

func TestTheExamplesRun(t *testing.T) {
	programs := harness.Require(t)
	for _, name := range []string{"README.md", "docs/application-teams.md", "docs/rules-and-names.md", "docs/operations.md", "docs/managed-credentials.md", "docs/alicloud-kms.md", "docs/huawei-csms.md"} {
		var order []string
		sections := map[string][]block{}
		for _, b := range readPage(t, name).blocks {
			if sections[b.section] == nil {
				order = append(order, b.section)
			}
			sections[b.section] = append(sections[b.section], b)
		}
		if stories[name] {
			order = []string{"all"}
			sections["all"] = readPage(t, name).blocks
		}
		for _, section := range order {
			if !hasRun(sections[section]) {
				continue
			}
			t.Run(name+" "+strings.Trim(section, "# "), func(t *testing.T) {
				r := begin(t, programs, fresh[section])
				for _, b := range sections[section] {
					r.block(b)
				}
			})
		}
	}
}

func hasRun(blocks []block) bool {
	for _, b := range blocks {
		if b.told("run") {
			return true
		}
	}
	return false
}

// begin starts Vault and the clouds and prepares the folder that the demo works
// in.
func begin(t *testing.T, programs harness.Programs, fresh bool) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir()}
	account := emulator.ExampleAccount()
	vault := harness.StartVault(t, programs, harness.Dev)
	if !fresh {
		vault.MountPlugin()
	}
	r.env = append(os.Environ(),
		"PATH="+filepath.Dir(programs.Plugin)+":"+filepath.Dir(programs.Vault)+":"+os.Getenv("PATH"),
		"HOME="+r.dir, "VAULT_ADDR="+vault.URL(), "VAULT_TOKEN="+vault.Token(), "VAULT_NAMESPACE=", "VAULT_CLI_NO_COLOR=1",
		"PLUGIN="+programs.Plugin, "PLUGIN_DIR="+filepath.Join(filepath.Dir(vault.DataDir()), "plugins"),
		"TENCENTCLOUD_SECRET_ID="+account.AccessKeyID, "TENCENTCLOUD_SECRET_KEY="+account.AccessKeySecret,
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+account.AccessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+account.AccessKeySecret,
		"HUAWEICLOUD_SDK_AK="+account.AccessKeyID, "HUAWEICLOUD_SDK_SK="+account.AccessKeySecret,
		"HUAWEICLOUD_SDK_PROJECT_ID="+huawei.ExampleProjectID,
	)
	for _, c := range clouds {
		_, endpoint := c.emulate(t)
		r.env = append(r.env, c.variable()+"="+endpoint)
		if !fresh {
			vault.Write("destinations/"+c.ref(), c.destination(endpoint))
		}
	}
	if err := os.CopyFS(filepath.Join(r.dir, "bootstrap"), os.DirFS(filepath.Join(root, "bootstrap"))); err != nil {
		t.Fatal(err)
	}
	r.file("key", account.AccessKeySecret)
	r.file("db.json", `{"user":"app","password":"correct horse"}`+"\n")
	return r
}

func (r *running) file(name, content string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// block does what the words after its fence say.
func (r *running) block(b block) {
	r.t.Helper()
	content := strings.Join(b.lines, "\n") + "\n"
	if name := b.file(); name != "" {
		if b.told("append") {
			before, err := os.ReadFile(filepath.Join(r.dir, name))
			if err != nil {
				r.t.Fatalf("%s: %v", b.where(), err)
			}
			content = string(before) + content
		}
		r.file(name, content)
	}
	if b.is("go") {
		r.readWithGo(b)
	}
	if b.is("python") {
		r.compilePython(b)
	}
	if !b.told("run") {
		return
	}
	for _, c := range commands(r.t, b) {
		r.command(c, b.told("fails"))
	}
}

// command is one command with the output that the page shows.
type command struct {
	where string
	text  string
	shown []string
}

func commands(t *testing.T, b block) []command {
	t.Helper()
	var list []command
	continued := false
	for i, text := range b.lines {
		start, isCommand := strings.CutPrefix(text, "$ ")
		switch {
		case continued:
			list[len(list)-1].text += "\n" + text
		case isCommand:
			list = append(list, command{where: fmt.Sprintf("%s:%d", b.page, b.number+i), text: start})
		case len(list) == 0:
			t.Fatalf("%s: output without a command", b.where())
		default:
			list[len(list)-1].shown = append(list[len(list)-1].shown, text)
		}
		continued = (continued || isCommand) && strings.HasSuffix(text, `\`)
	}
	for i := range list {
		list[i].text = replace(list[i].text)
	}
	return list
}

// command runs a command after those before it: variables are kept in a file.
func (r *running) command(c command, fails bool) {
	r.t.Helper()
	if _, err := exec.LookPath("curl"); err != nil && strings.HasPrefix(c.text, "curl ") {
		r.t.Logf("%s: not run, since there is no curl", c.where)
		return
	}
	script := "set -uo pipefail\nif [[ -e .env ]]; then source ./.env; fi\n" + c.text + "\ncode=$?\n" +
		"declare -p | grep -Ev '^declare -[a-zA-Z]*(r|A|a)[a-zA-Z]* |^declare -- (BASH|code|_=)' >.env\nexit $code\n"
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Env = r.dir, r.env
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if fails != (err != nil) {
		r.t.Fatalf("%s: %s\n%v\n%s", c.where, c.text, err, &output)
	}
	if !shows(c.shown, strings.Split(strings.TrimRight(output.String(), "\n"), "\n")) {
		r.t.Errorf("%s: %s\nprints\n%s\nthe page shows\n%s", c.where, c.text, &output, strings.Join(c.shown, "\n"))
	}
}

// shows tells whether the lines of a page stand for the output.
func shows(page, output []string) bool {
	if len(page) == 0 {
		return true
	}
	var pattern strings.Builder
	for _, text := range page {
		if text == "..." {
			pattern.WriteString(`(.*\n)*`)
			continue
		}
		parts := strings.Split(text, "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern.WriteString(strings.Join(parts, ".*") + `[ \t]*\n`)
	}
	return regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(strings.Join(output, "\n") + "\n")
}

func TestShows(t *testing.T) {
	output := []string{"one", "two 2026", "three"}
	for _, test := range []struct {
		page string
		want bool
	}{
		{"one\ntwo 2026\nthree", true},
		{"one\n...", true},
		{"...\ntwo ...\n...", true},
		{"...", true},
		{"one", false},
		{"...\ntwo\n...", false},
		{"two ...\nthree", false},
	} {
		if got := shows(strings.Split(test.page, "\n"), output); got != test.want {
			t.Errorf("%q: %t", test.page, got)
		}
	}
}

// The commands of the README's first example are those of the demo.
func TestTheReadmeShowsTheDemo(t *testing.T) {
	demo, err := os.ReadFile(filepath.Join(root, "scripts", "demo"))
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	joined := strings.ReplaceAll(string(demo), "\\\n\t", "")
	for _, text := range strings.Split(joined, "\n") {
		if command, found := strings.CutPrefix(text, "show "); found {
			quoted := regexp.QuoteMeta(strings.ReplaceAll(command, `"`, ""))
			shown = append(shown, regexp.MustCompile(`\\\$[A-Za-z_]+`).ReplaceAllString(quoted, `\S+`))
		}
	}
	everything := regexp.MustCompile("^(" + strings.Join(shown, "|") + ")$")
	examples := 0
	for _, b := range readPage(t, "README.md").blocks {
		for _, text := range b.lines {
			command, found := strings.CutPrefix(text, "$ ")
			if !found || b.section != "" || !b.told("run") {
				continue
			}
			examples++
			if !everything.MatchString(command) {
				t.Errorf("README.md shows %q, the demo runs only\n%s", command, strings.Join(shown, "\n"))
			}
		}
	}
	if examples == 0 {
		t.Error("README.md has no example of the demo")
	}
}

// redirected takes the examples in Go to the emulated clouds, by file: the line
// that it needs and what that becomes.
var redirected = map[string][2]string{
	"read-tencent.go": {
		"settings := profile.NewClientProfile()\n",
		"settings := profile.NewClientProfile()\n" +
			"settings.HttpProfile.Scheme, settings.HttpProfile.Endpoint = \"http\", os.Getenv(\"CLOUD_tencent_ssm\")[len(\"http://\"):]\n",
	},
	"read-alibaba.go": {
		"request.Scheme = \"HTTPS\"\n",
		"request.Scheme, request.Domain = \"HTTP\", os.Getenv(\"CLOUD_alicloud_kms\")[len(\"http://\"):]\n",
	},
	"read-huawei.go": {
		"WithEndpoint(\"https://kms.cn-north-4.myhuaweicloud.com\")",
		"WithEndpoint(os.Getenv(\"CLOUD_huawei_csms\"))",
	},
}

// The examples in Go compile and read what the examples before them wrote.
func (r *running) readWithGo(b block) {
	r.t.Helper()
	source, change := strings.Join(b.lines, "\n"), redirected[b.file()]
	if change[0] == "" || strings.Count(source, change[0]) != 1 {
		r.t.Fatalf("%s: the example no longer has the line %q", b.where(), change[0])
	}
	r.file(b.file(), strings.Replace(source, change[0], change[1], 1))
	cmd := exec.CommandContext(r.t.Context(), "go", "run", filepath.Join(r.dir, b.file())) // the module's dependencies
	cmd.Env = slices.Concat(r.env, []string{"HOME=" + os.Getenv("HOME")})
	output, err := cmd.CombinedOutput()
	if err != nil || string(output) != "app\n" {
		r.t.Errorf("%s: the example prints %q, %v", b.where(), output, err)
	}
}

// The SDKs for Python aren't dependencies of anything here, so their examples are
// only compiled.
func (r *running) compilePython(b block) {
	r.t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		return
	}
	cmd := exec.CommandContext(r.t.Context(), python, "-m", "py_compile", filepath.Join(r.dir, b.file()))
	if output, err := cmd.CombinedOutput(); err != nil {
		r.t.Errorf("%s: %v\n%s", b.where(), err, output)
	}
}
