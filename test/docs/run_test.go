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
	// the demo's cloud
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "$$CLOUD"},
	// the public endpoint
	{regexp.MustCompile(`(destinations/tencent-ssm/\S+) region=(\S+)( \\)?$`), "$1 endpoint=$$CLOUD region=$2$3"},
	{regexp.MustCompile(`^cloud-read (-cloud \S+ -region \S+) -name`), "cloud-read $1 -endpoint $$CLOUD -name"},
	// the binary, which is built, and where Vault looks for it
	{regexp.MustCompile(`^make build$`), "true"},
	{regexp.MustCompile(`\bbin/vault-plugin-secrets-cloudsync`), "$$PLUGIN"},
	{regexp.MustCompile(`/etc/vault/plugins\b`), "$$PLUGIN_DIR"},
}

// fresh are the sections that begin with a Vault without the plugin mounted.
var fresh = map[string]bool{"": true, "## Install it in your Vault": true}

// running is a section being executed.
type running struct {
	t   *testing.T
	dir string
	env []string
}

func TestTheExamplesRun(t *testing.T) {
	programs := harness.Require(t)
	for _, name := range []string{"README.md", "docs/application-teams.md", "docs/operations.md"} {
		var order []string
		sections := map[string][]block{}
		for _, b := range readPage(t, name).blocks {
			if sections[b.section] == nil {
				order = append(order, b.section)
			}
			sections[b.section] = append(sections[b.section], b)
		}
		if name == "docs/application-teams.md" { // one story
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

// begin starts Vault and cloud and prepares the folder that the demo works in.
func begin(t *testing.T, programs harness.Programs, fresh bool) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir()}
	var vault *harness.Vault
	var cloud *harness.Emulator
	if fresh {
		vault, cloud = harness.StartVault(t, programs, harness.Dev), harness.StartEmulator(t, programs)
	} else {
		both := harness.Start(t, harness.Dev)
		vault, cloud = both.Vault, both.Cloud
	}
	r.env = append(os.Environ(),
		"PATH="+filepath.Dir(programs.Plugin)+":"+filepath.Dir(programs.Vault)+":"+os.Getenv("PATH"),
		"HOME="+r.dir, "VAULT_ADDR="+vault.URL(), "VAULT_TOKEN="+vault.Token(), "VAULT_NAMESPACE=", "VAULT_CLI_NO_COLOR=1",
		"CLOUD="+cloud.Endpoint(), "PLUGIN="+programs.Plugin, "PLUGIN_DIR="+filepath.Join(filepath.Dir(vault.DataDir()), "plugins"),
		"TENCENTCLOUD_SECRET_ID="+cloud.Account.AccessKeyID, "TENCENTCLOUD_SECRET_KEY="+cloud.Account.AccessKeySecret,
	)
	r.file("key", cloud.Account.AccessKeySecret)
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
			list[len(list)-1].text += "\n" + replace(text)
		case isCommand:
			list = append(list, command{where: fmt.Sprintf("%s:%d", b.page, b.number+i), text: replace(start)})
		case len(list) == 0:
			t.Fatalf("%s: output without a command", b.where())
		default:
			list[len(list)-1].shown = append(list[len(list)-1].shown, text)
		}
		continued = (continued || isCommand) && strings.HasSuffix(text, `\`)
	}
	return list
}

func replace(text string) string {
	for _, r := range replaced {
		text = r.what.ReplaceAllString(text, r.by)
	}
	return text
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

// The example in Go compiles and reads what the examples before it wrote.
func (r *running) readWithGo(b block) {
	r.t.Helper()
	source := strings.Join(b.lines, "\n")
	const settings = "settings := profile.NewClientProfile()\n"
	if !strings.Contains(source, settings) {
		r.t.Fatalf("%s: the example no longer has the line %q", b.where(), settings)
	}
	source = strings.Replace(source, settings, settings+
		"\tsettings.HttpProfile.Scheme, settings.HttpProfile.Endpoint, _ = strings.Cut(os.Getenv(\"CLOUD\"), \"://\")\n", 1)
	source = strings.Replace(source, "\t\"os\"\n", "\t\"os\"\n\t\"strings\"\n", 1)
	r.file("read.go", source)
	cmd := exec.CommandContext(r.t.Context(), "go", "run", filepath.Join(r.dir, "read.go")) // the module's dependencies
	cmd.Env = slices.Concat(r.env, []string{"HOME=" + os.Getenv("HOME")})
	output, err := cmd.CombinedOutput()
	if err != nil || string(output) != "app\n" {
		r.t.Errorf("%s: the example prints %q, %v", b.where(), output, err)
	}
}

// The SDK for Python isn't a dependency of anything here, so its example is only
// compiled.
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
