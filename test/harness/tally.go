// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Tally is what a load has led to. Each list has a line for what is wrong.
type Tally struct {
	Secrets, Versions, Writes, Tries, Sightings int

	Refused   []string // writes that can't be refused for what they are
	Lost      []string // answered with success, and not in Vault as answered
	Wrong     []string // replicas without the newest live version of Vault, or with what nobody wrote
	Doubled   []string // versions of Vault that a cloud has twice
	Reordered []string // older versions that came after newer ones

	failures map[string]int
}

// Sound tells whether nothing is wrong.
func (y *Tally) Sound() bool {
	return len(y.Refused)+len(y.Lost)+len(y.Wrong)+len(y.Doubled)+len(y.Reordered) == 0
}

// String is one line of figures.
func (y *Tally) String() string {
	return fmt.Sprintf("%d writes answered of %d tried, %d versions of %d secrets, %d values seen in the clouds: "+
		"%d refused, %d lost, %d wrong, %d doubled, %d reordered; failures: %v",
		y.Writes, y.Tries, y.Versions, y.Secrets, y.Sightings,
		len(y.Refused), len(y.Lost), len(y.Wrong), len(y.Doubled), len(y.Reordered), y.failures)
}

// Report fails the test with everything that is wrong.
func (y *Tally) Report(tb testing.TB) {
	tb.Helper()
	tb.Log(y)
	for what, lines := range map[string][]string{
		"refused": y.Refused, "lost": y.Lost, "wrong": y.Wrong, "doubled": y.Doubled, "reordered": y.Reordered,
	} {
		for i, line := range lines {
			if i == shownLines {
				tb.Errorf("%s: and %d more", what, len(lines)-i)
				break
			}
			tb.Errorf("%s: %s", what, line)
		}
	}
}

// history is the versions of a secret in Vault.
type history struct {
	newest int
	values map[int]string // as replicas have them, by version
}

// find returns the first version after another one that has this value, else the
// last version that has it, 0 for none. There can be several: Vault itself
// repeats a request when the plugin dies during it.
func (h history) find(value string, after int) int {
	found := 0
	for _, number := range slices.Sorted(maps.Keys(h.values)) {
		if h.values[number] != value {
			continue
		}
		if found = number; number > after {
			break
		}
	}
	return found
}

// Check ends the load, waits until everything is replicated, and compares what
// the clients were told with Vault, and Vault with the clouds.
func (l *Load) Check(v *Vault) *Tally {
	l.tb.Helper()
	l.Stop()
	Eventually(l.tb, "replication of what was written", func() error {
		overview, err := l.get(v, "status", nil)
		if err == nil && fmt.Sprint(overview["outstanding"]) != "0" {
			err = fmt.Errorf("outstanding is %v, by state %v", overview["outstanding"], overview["destinations"])
		}
		return err
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	y := &Tally{Secrets: len(l.secrets), Writes: len(l.answered), Tries: l.tries, Refused: l.refusals, failures: l.failures}
	secrets := map[string]history{}
	for secret := range l.secrets {
		h, err := l.history(v, secret)
		if err != nil {
			l.tb.Fatalf("read %s: %v", secret, err)
		}
		secrets[secret] = h
		y.Versions += len(h.values)
	}
	for _, w := range l.answered {
		if got := secrets[w.secret].values[w.version]; got != text(w.value) {
			y.Lost = append(y.Lost, fmt.Sprintf("version %d of %s was answered as %s, vault has %q", w.version, w.secret, w.value, got))
		}
	}
	for _, cloud := range l.clouds {
		y.checkCloud(cloud, secrets)
		y.checkSightings(cloud, l.sightings[cloud], secrets)
	}
	return y
}

// text is the value of a try as replicas have it.
func text(value string) string { return fmt.Sprintf(`{"n":%q}`, value) }

// get reads below the mount; nil when nothing is there.
func (l *Load) get(v *Vault, path string, parameters map[string][]string) (map[string]any, error) {
	answer, err := v.Client.Logical().ReadWithDataWithContext(l.tb.Context(), l.mount+"/"+path, parameters)
	if err != nil || answer == nil {
		return nil, err
	}
	return answer.Data, nil
}

func (l *Load) history(v *Vault, secret string) (history, error) {
	h := history{values: map[int]string{}}
	metadata, err := l.get(v, "metadata/"+secret, nil)
	if err != nil || metadata == nil {
		return h, err // nil: no try has come so far
	}
	versions, _ := metadata["versions"].(map[string]any)
	for key := range versions {
		number, err := strconv.Atoi(key)
		if err != nil {
			return h, err
		}
		version, err := l.get(v, "data/"+secret, map[string][]string{"version": {key}})
		if err != nil {
			return h, err
		}
		if version["data"] == nil {
			return h, errors.New("a version isn't live, though nobody has deleted any")
		}
		value, err := json.Marshal(version["data"])
		if err != nil {
			return h, err
		}
		h.values[number] = string(value)
		h.newest = max(h.newest, number)
	}
	return h, nil
}

// checkCloud compares all secrets of a cloud with Vault.
func (y *Tally) checkCloud(cloud *Emulator, secrets map[string]history) {
	there := map[string]emulator.Secret{}
	for _, secret := range cloud.Secrets() {
		there[secret.Name] = secret
	}
	for name, h := range secrets {
		where := name + " at " + cloud.Service.Type
		secret, found := there[cloud.Service.RemoteName(name)]
		if !found && h.newest == 0 {
			continue // no try has come as far as to Vault
		}
		if got := cloud.Service.currentText(secret); got != h.values[h.newest] {
			y.Wrong = append(y.Wrong, fmt.Sprintf("%s is %q, vault has %q as version %d", where, got, h.values[h.newest], h.newest))
		}
		y.checkHistory(cloud.Service, where, secret, h)
	}
}

// checkHistory compares the versions that a cloud holds with those of Vault.
func (y *Tally) checkHistory(service Service, where string, secret emulator.Secret, h history) {
	latest, seen := 0, map[int]string{}
	for _, version := range secret.Versions {
		if version.ID == service.current {
			continue // a copy of the newest
		}
		number := h.find(version.Text, latest)
		if service.namesVersions {
			number, _ = strconv.Atoi(strings.TrimPrefix(version.ID, "v"))
		}
		if number == 0 || h.values[number] != version.Text {
			y.Wrong = append(y.Wrong, fmt.Sprintf("%s has %q as %s, in vault version %d has %q", where, version.Text, version.ID, number, h.values[number]))
			continue
		}
		if before, twice := seen[number]; twice {
			y.Doubled = append(y.Doubled, fmt.Sprintf("%s has version %d as %s and %s", where, number, before, version.ID))
		} else if number < latest {
			y.Reordered = append(y.Reordered, fmt.Sprintf("%s got version %d after %d", where, number, latest))
		}
		seen[number], latest = version.ID, max(latest, number)
	}
}

// checkSightings makes sure that readers never got an older version after a
// newer one.
func (y *Tally) checkSightings(cloud *Emulator, sightings []sighting, secrets map[string]history) {
	latest := map[string]int{}
	for _, s := range sightings {
		number := secrets[s.secret].find(s.text, latest[s.secret]-1)
		where := s.secret + " at " + cloud.Service.Type
		switch {
		case number == 0:
			y.Wrong = append(y.Wrong, fmt.Sprintf("readers of %s got %q, which vault hasn't", where, strings.TrimSpace(s.text)))
		case number < latest[s.secret]:
			y.Reordered = append(y.Reordered, fmt.Sprintf("readers of %s got version %d after %d", where, number, latest[s.secret]))
		}
		latest[s.secret] = max(latest[s.secret], number)
	}
	y.Sightings += len(sightings)
}
