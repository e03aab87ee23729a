// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// The values of the first two versions, as clouds get them.
const (
	firstValue  = `{"n":"1"}`
	secondValue = `{"n":"2"}`
)

// remains is what a cloud has of a secret.
type remains struct {
	emulator.Secret
	there   bool
	current string // what readers get who name no version
}

func (s remains) pending() bool  { return strings.Contains(strings.ToLower(s.State), "pending") }
func (s remains) disabled() bool { return strings.EqualFold(s.State, "disabled") }
func (s remains) readable() bool { return s.there && !s.pending() && !s.disabled() }
func (s remains) marked() bool   { return strings.Contains(s.Description, mark) }

func (s remains) holds(value string) bool {
	return slices.ContainsFunc(s.Versions, func(v emulator.Version) bool { return v.Text == value })
}

// The outcomes at a cloud, in the words of the page.
const (
	scheduled        = "scheduled for deletion"
	gone             = "deleted at once"
	disabled         = "disabled"
	disabledRemoved  = "disabled, the version is removed"
	before           = "readers get the version before"
	beforeRemoved    = "readers get the version before, the destroyed one is removed"
	beforeHeld       = "readers get the version before, the destroyed one is still held"
	asItIs           = "stays as it is"
	removed          = "stays, the version is removed"
	held             = "stays, the version is still held"
	restored         = "readers get the value again"
	unmarked         = "stays, without the mark"
	unmarkedDisabled = "stays disabled, without the mark"
	unmarkedRestored = "restored, without the mark"
	stillTheirs      = "stays theirs"
	stillMarked      = "stays, with the mark"
	updated          = "restored and updated"
)

var outcomes = map[string]func(s remains) bool{
	scheduled:        func(s remains) bool { return s.there && s.pending() && !s.DeletionTime.IsZero() },
	gone:             func(s remains) bool { return !s.there },
	disabled:         func(s remains) bool { return s.there && s.disabled() && s.marked() },
	disabledRemoved:  func(s remains) bool { return s.there && s.disabled() && s.marked() && !s.holds(firstValue) },
	before:           func(s remains) bool { return s.readable() && s.marked() && s.current == firstValue },
	beforeRemoved:    func(s remains) bool { return s.readable() && s.current == firstValue && !s.holds(secondValue) },
	beforeHeld:       func(s remains) bool { return s.readable() && s.current == firstValue && s.holds(secondValue) },
	asItIs:           func(s remains) bool { return s.readable() && s.marked() && s.current == secondValue },
	removed:          func(s remains) bool { return s.readable() && s.current == secondValue && !s.holds(firstValue) },
	held:             func(s remains) bool { return s.readable() && s.current == secondValue && s.holds(firstValue) },
	restored:         func(s remains) bool { return s.readable() && s.marked() && s.current == firstValue },
	unmarked:         func(s remains) bool { return s.readable() && !s.marked() && s.current == firstValue },
	unmarkedDisabled: func(s remains) bool { return s.there && s.disabled() && !s.marked() },
	unmarkedRestored: func(s remains) bool { return s.readable() && !s.marked() && s.current == firstValue },
	stillMarked:      func(s remains) bool { return s.readable() && s.marked() && s.current == firstValue },
	updated:          func(s remains) bool { return s.readable() && s.marked() && s.current == secondValue },
	stillTheirs:      func(s remains) bool { return s.there && s.pending() && s.Description == "theirs" },
}

// The outcomes in Vault, in the words of the page.
const (
	noSecret      = "the secret is gone"
	tombstoned    = "the secret is gone, `tombstones` says until when it can be restored"
	noReplica     = "the replica is given up"
	noReplicaTomb = "the replica is gone, `tombstones` says until when it can be restored"
	inSync        = "`in_sync`"
	withdrawn     = "`withdrawn`"
	blocked       = "`blocked`, class `ownership`"
	refused       = "refused while there are replicas"
)

// stands checks where a secret stands in Vault.
func stands(t *testing.T, r harness.Replication, name, want string, destinations []string) error {
	answer, err := r.Vault.Client.Logical().ReadWithContext(t.Context(), harness.Mount+"/status/"+name)
	if err != nil {
		return err
	}
	var replicas map[string]any
	var tombstones []any
	if answer != nil {
		replicas, _ = answer.Data["destinations"].(map[string]any)
		tombstones, _ = answer.Data["tombstones"].([]any)
	}
	for _, destination := range destinations {
		replica, _ := replicas[destination].(map[string]any)
		failure, _ := replica["error"].(map[string]any)
		state := map[string]string{inSync: "in_sync", refused: "in_sync", withdrawn: "withdrawn", blocked: "blocked"}[want]
		switch {
		case state == "" && replica != nil:
			return fmt.Errorf("its replica at %s is %v", destination, replica)
		case state != "" && replica["state"] != state:
			return fmt.Errorf("its replica at %s isn't %s: %v", destination, state, replica)
		case want == withdrawn && (replica["deletion_time"] == "") != strings.HasPrefix(destination, harness.Tencent.Type):
			return fmt.Errorf("it is deleted at %s at %q", destination, replica["deletion_time"])
		case want == blocked && failure["class"] != "ownership":
			return fmt.Errorf("it is blocked at %s by %v", destination, failure)
		}
	}
	if (want == tombstoned || want == noReplicaTomb) && len(tombstones) != len(destinations) {
		return fmt.Errorf("its tombstones are %v", tombstones)
	}
	for _, raw := range tombstones {
		tombstone, _ := raw.(map[string]any)
		at, _ := tombstone["deletion_time"].(string)
		if due, err := time.Parse(time.RFC3339Nano, at); err != nil || time.Until(due) < 6*24*time.Hour {
			return fmt.Errorf("the tombstone %v has no time, or too early a one", tombstone)
		}
	}
	if want != noSecret && want != tombstoned {
		return nil
	}
	meta, err := r.Vault.Client.Logical().ReadWithContext(t.Context(), harness.Mount+"/metadata/"+name)
	if err == nil && meta != nil {
		err = errors.New("it is still in Vault")
	}
	return err
}

// look is what a cloud has of a secret.
func look(cloud *harness.Emulator, name string) remains {
	secret, there := cloud.Secret(cloud.Service.RemoteName(name))
	s := remains{Secret: secret, there: there}
	if there {
		s.current = cloud.Current(cloud.Service.RemoteName(name))
	}
	return s
}

// Each row of the page's table happens to a secret of its own, in one Vault with all
// clouds, and each of its cells is looked at.
func TestWhatEachWayOfDeletingDoes(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	for i, row := range deletionRows {
		t.Run(row.operation, func(t *testing.T) {
			x := &deleting{T: t, r: r, name: fmt.Sprintf("row-%d", i+1), destinations: r.Destinations()}
			row.do(x)
			for j, cloud := range r.Clouds {
				want := row.at[j]
				harness.Eventually(t, cloud.Service.Type+": "+want, func() error {
					if s := look(cloud, x.name); !outcomes[want](s) {
						return fmt.Errorf("it has %+v, %t, and readers get %q", s.Secret, s.there, s.current)
					}
					return nil
				})
			}
			harness.Eventually(t, "in Vault: "+row.here, func() error { return stands(t, r, x.name, row.here, x.destinations) })
		})
	}
}

func TestThePageOnDeletionHasTheTestedTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/deletion.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	inTable := false
	for line := range strings.Lines(string(text)) {
		var cells []string
		for _, cell := range strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		switch {
		case len(cells) != 5:
			inTable = false
		case slices.Equal(cells, []string{"operation", "in Vault", "Tencent", "Alibaba", "Huawei"}):
			inTable = true
		case inTable && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	for i, row := range deletionRows {
		want := append([]string{row.operation, row.here}, row.at[:]...)
		if i >= len(rows) || !slices.Equal(rows[i], want) {
			t.Errorf("row %d of the page should be\n| %s |", i+1, strings.Join(want, " | "))
		}
	}
	if len(rows) != len(deletionRows) {
		t.Errorf("the page has %d rows, the test %d", len(rows), len(deletionRows))
	}
}

// A bad change of a rule asks for the deletion of everything.
func TestAMassDeletionStopsAtTheLimitAndIsTakenBack(t *testing.T) {
	const all, limit = 60, 5
	r := harness.Start(t, harness.Dev, harness.Services...)
	for _, cloud := range r.Clouds {
		r.Vault.Write("destinations/"+cloud.Service.Destination, map[string]any{"max_deletions_per_hour": limit})
	}
	r.Vault.Write("config", map[string]any{"default_wait": 0})
	rule := map[string]any{"match": "**", "destinations": r.Destinations()}
	r.Vault.Write("rules/all", rule)
	for i := range all {
		r.Vault.Write(fmt.Sprintf("data/s%d", i), map[string]any{"data": map[string]any{"n": "1"}})
	}
	readable := func(want int) {
		t.Helper()
		for _, cloud := range r.Clouds {
			harness.Eventually(t, fmt.Sprintf("%d secrets at %s", want, cloud.Service.Type), func() error {
				n := 0
				for _, secret := range cloud.Secrets() {
					if (remains{Secret: secret, there: true}).readable() {
						n++
					}
				}
				if n != want {
					return fmt.Errorf("there are %d", n)
				}
				return nil
			})
		}
	}
	counted := func(state string, want int) {
		t.Helper()
		harness.Eventually(t, fmt.Sprintf("%d replicas %s", want, state), func() error {
			states, _ := r.Vault.Read("status").Data["states"].(map[string]any)
			if got := fmt.Sprint(states[state]); got != fmt.Sprint(want) {
				return fmt.Errorf("they are %v", states)
			}
			return nil
		})
	}
	clouds := len(r.Clouds)
	readable(all)
	if _, err := r.Vault.Client.Logical().DeleteWithDataWithContext(t.Context(), harness.Mount+"/rules/all", map[string][]string{"delete": {"true"}}); err != nil {
		t.Fatal(err)
	}
	counted("held", clouds*(all-limit))
	readable(all - limit)
	r.Vault.Write("rules/all", rule)
	counted("in_sync", clouds*all)
	readable(all)
}
