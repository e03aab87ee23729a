// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// kvCommands are a life of a secret, and mistakes on the way, as people type it.
// MOUNT stands for the mount, and > takes what follows as standard input.
const kvCommands = `
kv get -mount=MOUNT team-a/db
kv put -mount=MOUNT team-a/db user=app password=1
kv put -mount=MOUNT -cas=0 team-a/db password=2
kv put -mount=MOUNT -cas=1 team-a/db password=2
kv put -mount=MOUNT team-a/db - > {"password":"3","port":5432,"nested":{"a":[1,null,"x"]}}
kv put -mount=MOUNT team-a/db
kv get -mount=MOUNT team-a/db
kv get -mount=MOUNT -version=1 team-a/db
kv get -mount=MOUNT -version=9 team-a/db
kv get -mount=MOUNT -field=password team-a/db
kv get -mount=MOUNT -field=absent team-a/db
kv get MOUNT/team-a/db
kv get -mount=MOUNT team-a/absent
kv patch -mount=MOUNT team-a/db password=4
kv patch -mount=MOUNT -method=rw team-a/db password=5
kv patch -mount=MOUNT -cas=1 team-a/db password=6
kv patch -mount=MOUNT -remove-data=port team-a/db
kv patch -mount=MOUNT team-a/absent password=1
kv rollback -mount=MOUNT -version=1 team-a/db
kv rollback -mount=MOUNT -version=99 team-a/db
kv rollback -mount=MOUNT -version=1 team-a/absent
read MOUNT/subkeys/team-a/db
read MOUNT/data/team-a/db
kv delete -mount=MOUNT team-a/db
kv get -mount=MOUNT team-a/db
kv patch -mount=MOUNT team-a/db password=7
kv undelete -mount=MOUNT -versions=7 team-a/db
kv get -mount=MOUNT team-a/db
kv delete -mount=MOUNT -versions=1,2 team-a/db
kv undelete -mount=MOUNT -versions=2 team-a/db
kv destroy -mount=MOUNT -versions=3,4 team-a/db
kv get -mount=MOUNT -version=3 team-a/db
kv rollback -mount=MOUNT -version=3 team-a/db
kv undelete -mount=MOUNT -versions=3 team-a/db
kv undelete -mount=MOUNT -versions=1 team-a/absent
kv destroy -mount=MOUNT -versions=1 team-a/absent
kv delete -mount=MOUNT team-a/absent
kv metadata get -mount=MOUNT team-a/db
kv metadata put -mount=MOUNT -max-versions=3 -custom-metadata=owner=me -delete-version-after=24h team-a/db
kv metadata patch -mount=MOUNT -custom-metadata=more=yes -remove-custom-metadata=owner team-a/db
kv metadata get -mount=MOUNT team-a/db
kv metadata get -mount=MOUNT team-a/absent
kv metadata put -mount=MOUNT -cas-required=true team-a/db
kv put -mount=MOUNT team-a/db password=8
kv put -mount=MOUNT -cas=99 team-a/db password=8
kv metadata put -mount=MOUNT -cas-required=false -max-versions=0 -delete-version-after=0s team-a/db
kv put -mount=MOUNT team-a/db password=9
kv metadata get -mount=MOUNT team-a/db
kv metadata put -mount=MOUNT -custom-metadata=only=metadata team-a/later
kv get -mount=MOUNT team-a/later
kv list -mount=MOUNT
kv list -mount=MOUNT team-a
kv list -mount=MOUNT absent
delete MOUNT/data/team-a/db
write MOUNT/data/team-a/db options=wrong
write MOUNT/data/team-a/db value=outside-of-data
write MOUNT/delete/team-a/db versions=1
write MOUNT/destroy/team-a/db versions=zero
kv metadata delete -mount=MOUNT team-a/db
kv get -mount=MOUNT team-a/db
kv metadata get -mount=MOUNT team-a/db
kv metadata delete -mount=MOUNT team-a/db
kv put -mount=MOUNT team-a/db password=anew
kv list -mount=MOUNT team-a
kv put MOUNT/team-a/app password=1
kv patch MOUNT/team-a/app password=2
kv get MOUNT/team-a/app
kv get -version=1 MOUNT/team-a/app
kv rollback -version=1 MOUNT/team-a/app
kv delete MOUNT/team-a/app
kv undelete -versions=3 MOUNT/team-a/app
kv delete -versions=1 MOUNT/team-a/app
kv destroy -versions=2 MOUNT/team-a/app
kv metadata put -custom-metadata=owner=me MOUNT/team-a/app
kv metadata patch -max-versions=2 MOUNT/team-a/app
kv metadata get MOUNT/team-a/app
kv list MOUNT/team-a
kv list MOUNT/
kv metadata delete MOUNT/team-a/app
kv get MOUNT/team-a/app
read MOUNT/team-a/db
`

// The KV commands can't tell the mount from Vault's own KV v2 engine: they print
// the same and end in the same way, whether a secret has destinations or not.
func TestTheKVCommandsAnswerAsOnVaultsOwnEngine(t *testing.T) {
	for _, test := range []struct {
		name      string
		format    string
		replicate bool
	}{{"a secret in Vault alone", "json", false}, {"a replicated secret", "json", true}, {"as a table", "table", false}} {
		t.Run(test.name, func(t *testing.T) {
			r := harness.Start(t, harness.Dev, harness.Services...)
			r.Vault.MountKV()
			for command := range strings.Lines(strings.TrimSpace(kvCommands)) {
				command = strings.TrimSpace(command)
				want, got := runKV(t, r.Vault, command, harness.KVMount, test.format), runKV(t, r.Vault, command, harness.Mount, test.format)
				if got != want {
					t.Errorf("vault %s\ngives\n%s\nwhere Vault's own engine gives\n%s", command, got, want)
				}
				if test.replicate && strings.HasPrefix(command, "kv put") && !strings.HasPrefix(got, "2 ") {
					r.Vault.Write("secrets/"+secretName, map[string]any{"destinations": r.Destinations()})
				}
			}
			if test.replicate {
				r.AwaitState(secretName, "in_sync")
				r.AwaitCurrent(secretName, `{"password":"anew"}`)
			}
		})
	}
}

// runKV runs a command and returns exit code and outputs, without what differs
// between any two mounts and moments.
func runKV(t *testing.T, v *harness.Vault, command, mount, format string) string {
	t.Helper()
	command, stdin, _ := strings.Cut(strings.ReplaceAll(command, "MOUNT", mount), " > ")
	args := strings.Fields(command)
	if !strings.HasPrefix(command, "kv metadata delete") { // which has no such flag
		// Flags go before the first argument, which is the name.
		at := slices.IndexFunc(args, func(word string) bool { return strings.HasPrefix(word, "-") || strings.Contains(word, "/") })
		args = slices.Insert(args, at, "-format="+format)
	}
	out, err := v.TryCLI(stdin, args...)
	code := "0"
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = strconv.Itoa(exit.ExitCode())
		out += "\n" + err.Error()
	case err != nil:
		t.Fatalf("vault %s: %v", command, err)
	}
	return code + " " + normalise(out, mount)
}

var normal = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`"request_id": "[^"]+"`), `"request_id": "ID"`},
	{regexp.MustCompile(` *"client_id": "[^"]+",\n`), ""}, // Vault doesn't tell it to engines that are processes of their own
	{regexp.MustCompile(`"?client_id"?:\S+?[ ,]`), ""},    // as above, in a table
	{regexp.MustCompile(`=+ (\w+ Path) =+`), "= $1 ="},    // as long as the mount's name
	{regexp.MustCompile(`"mount_type": "[^"]+"`), `"mount_type": "TYPE"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`http://[0-9.:]+`), "URL"},
}

func normalise(text, mount string) string {
	for _, n := range normal {
		text = n.what.ReplaceAllString(text, n.by)
	}
	return strings.ReplaceAll(text, mount+"/", "MOUNT/")
}
