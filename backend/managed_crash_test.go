// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// credentialOperation is what is interrupted in the life of a managed credential.
type credentialOperation struct {
	begun bool // the credential is there before
	do    []step
	// check tells what is wrong once all has come to an end. The operation was
	// answered with success or not, the record is nil if there is none, and found are
	// the credentials at the cloud.
	check func(answered bool, record map[string]any, found []providertest.Stored) string
}

// key is a credential whose name the cloud makes up.
var key = map[string]any{"destination": "memory/main", "product": "key", "replicate_to": "copy"}

var credentialOperations = map[string]credentialOperation{
	"making a credential":                          {do: []step{update("managed/c", issuedAtOnce(nil))}, check: isMade(1)},
	"making one whose name the cloud makes up":     {do: []step{update("managed/c", key)}, check: isMade(1)},
	"rotating it":                                  {begun: true, do: []step{update("managed/c/rotate", nil)}, check: isMade(2)},
	"making and rotating one at once":              {do: []step{update("managed/c", issuedAtOnce(map[string]any{"wait": "10m"})), update("managed/c/rotate", nil)}, check: isMade(2)},
	"changing schedule, description and tags":      {begun: true, do: []step{update("managed/c", map[string]any{"rotation_frequency": 3, "enable_rotation": true, "description": "new", "tags": "a=b"})}, check: isChanged},
	"deleting it with its accounts":                {begun: true, do: []step{{logical.DeleteOperation, "managed/c", map[string]any{"deletion_policy": "force", "delete_accounts": true}}}, check: isGone},
	"deleting it later":                            {begun: true, do: []step{{logical.DeleteOperation, "managed/c", nil}}, check: isGone},
	"deleting it later and writing it again":       {begun: true, do: []step{{logical.DeleteOperation, "managed/c", map[string]any{"wait": "10m"}}, update("managed/c", issuedAtOnce(nil))}, check: isBack},
	"leaving it at the cloud":                      {begun: true, do: []step{{logical.DeleteOperation, "managed/c", map[string]any{"deletion_policy": "retain"}}}, check: isGone},
	"passing it on to a secret, after it was made": {begun: true, do: []step{update("managed/c", map[string]any{"replicate_to": "copy"})}, check: isMade(1)},
}

func issuedAtOnce(more map[string]any) map[string]any {
	data := issued(map[string]any{"wait": 0, "replicate_to": "copy", "tags": "team=a"})
	maps.Copy(data, more)
	return data
}

// isMade: there is exactly one credential with so many values, if the operation was
// answered, and at most so many otherwise.
func isMade(values int) func(bool, map[string]any, []providertest.Stored) string {
	return func(answered bool, record map[string]any, found []providertest.Stored) string {
		switch {
		case record == nil && (answered || len(found) > 0):
			return fmt.Sprintf("there is no record, answered %t, and the cloud has %v", answered, found)
		case record == nil:
			return ""
		case len(found) != 1:
			return fmt.Sprintf("the cloud has %d credentials", len(found))
		case record["state"] != "ready" || found[0].Credential.State != provider.CredentialReady:
			return fmt.Sprintf("it is %v, at the cloud %v", record, found[0].Credential.State)
		case len(found[0].Credential.Values) > values || answered && len(found[0].Credential.Values) < values:
			return fmt.Sprintf("the cloud has %d values, want %d", len(found[0].Credential.Values), values)
		}
		return ""
	}
}

func isChanged(answered bool, record map[string]any, found []providertest.Stored) string {
	if wrong := isMade(1)(true, record, found); wrong != "" {
		return wrong
	}
	c := found[0]
	changed := c.Credential.Rotation.Interval == provider.Days(3) && c.Tags["a"] == "b" && c.Tags["team"] == ""
	if wanted := record["rotation_frequency"] == "3"; changed != wanted || answered && !changed {
		return fmt.Sprintf("the record is %v, the cloud has %+v with %v", record, c.Credential.Rotation, c.Tags)
	}
	return ""
}

func isGone(answered bool, record map[string]any, found []providertest.Stored) string {
	live := slices.DeleteFunc(slices.Clone(found), func(s providertest.Stored) bool {
		return s.State == provider.StatePendingDeletion || s.Description == ""
	})
	switch {
	case record == nil && len(live) > 0, record != nil && (answered || len(live) == 0):
		return fmt.Sprintf("answered %t: the record is %v, and the cloud has %v", answered, record, live)
	}
	return ""
}

func isBack(answered bool, record map[string]any, found []providertest.Stored) string {
	if !answered && record == nil {
		return isGone(false, record, found)
	}
	return isMade(1)(answered, record, found)
}

func TestAFaultAnywhereLeavesOneManagedCredential(t *testing.T) {
	restart := func(w *world) { w.restart() }
	takeover := func(w *world) { w.depose(time.Minute) }
	ways := map[string]interruption{
		"a call fails before it takes effect":             {remote: failsBefore},
		"a call is throttled":                             {remote: isThrottled},
		"a call gets no answer and has no effect":         {remote: isLostBefore},
		"a call takes effect and its answer is lost":      {remote: isLostAfter},
		"a call hangs":                                    {remote: hangsBefore},
		"a call takes effect and hangs":                   {remote: hangsAfter},
		"a call takes effect and hangs until a restart":   {remote: hangsAfter, meanwhile: restart},
		"a call hangs until a restart":                    {remote: hangsBefore, meanwhile: restart},
		"a call is answered late, after a restart":        {remote: answersLate, delay: 10 * time.Second, meanwhile: restart},
		"a call is answered after another node took over": {remote: answersLate, delay: 10 * time.Second, meanwhile: takeover},
		"a call is the last before a death":               {remote: diesAfter},
		"a call is the last before a death, unheard":      {remote: diesBefore},
	}
	for _, way := range []fate{diesBefore, diesAfter, stumbles, getsLost} {
		ways["an access "+string(way)] = interruption{storage: way}
	}
	cloudNames := slices.Sorted(maps.Keys(clouds))
	for i, way := range slices.Sorted(maps.Keys(ways)) {
		for j, name := range slices.Sorted(maps.Keys(credentialOperations)) {
			for k, cloud := range cloudNames {
				if (i+j)%len(cloudNames) != k && !thorough() {
					continue
				}
				t.Run(name+" at "+cloud+", when "+way, func(t *testing.T) {
					t.Parallel()
					for n := 1; credentialInterrupted(t, clouds[cloud](), n, ways[way], credentialOperations[name]); n++ {
					}
				})
			}
		}
	}
}

// credentialInterrupted carries out the operation with a fault at the nth storage
// access or remote call, and tells whether there was one.
func credentialInterrupted(t *testing.T, model providertest.Model, n int, how interruption, operation credentialOperation) (struck bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, model)
		w.names = []string{"copy"}
		region := w.places[0].region
		region.SlowTasks(3 * time.Second)
		if operation.begun {
			w.node.must(logical.UpdateOperation, "managed/c", issuedAtOnce(map[string]any{"wait": "1h"}))
		}
		w.mu.Lock()
		if how.storage != "" {
			w.storageFaults = []storageFault{{nth: n, fate: how.storage}}
		} else {
			w.remoteFaults = []remoteFault{{nth: n, fate: how.remote, delay: how.delay}}
		}
		w.mu.Unlock()
		answered := w.carryOut(operation.do)
		if how.meanwhile != nil {
			synctest.Wait()
			how.meanwhile(w)
		}
		// Only what belongs to the operation is interrupted, not what is looked at later.
		time.Sleep(2 * time.Minute)
		w.mu.Lock()
		struck = w.struck > 0
		w.mu.Unlock()
		wrong := w.calm()
		record := w.credentialAtRest()
		var found []providertest.Stored
		for _, name := range region.Names() {
			if s, _ := region.Secret(name); s.Credential != nil {
				found = append(found, s)
			}
		}
		if text := operation.check(answered, record, found); text != "" {
			wrong = append(wrong, text)
		}
		if text := w.copied(record, found); text != "" {
			wrong = append(wrong, text)
		}
		for _, text := range wrong {
			t.Error(text)
		}
		if t.Failed() {
			t.Fatalf("with fault %d of %+v\n%v\n%s", n, how, region.Calls(), w.logs)
		}
	})
	return struck && !t.Failed()
}

// credentialAtRest waits until nothing more is done about the credential, and
// returns what is told of it; nil if it is gone.
func (w *world) credentialAtRest() map[string]any {
	var record map[string]any
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		synctest.Wait()
		w.revive()
		record = w.look("managed/c", nil)
		if record == nil || record["state"] == "ready" {
			break
		}
		time.Sleep(time.Minute)
	}
	time.Sleep(2 * time.Hour) // nothing may come after
	synctest.Wait()
	return w.look("managed/c", nil)
}

// copied tells what is wrong with the secret that the credential is passed on to:
// it has the value that works now, and each value once.
func (w *world) copied(record map[string]any, found []providertest.Stored) string {
	if record == nil || record["replicate_to"] != "copy" || len(found) != 1 {
		return ""
	}
	held := w.look("data/copy", nil)
	data, _ := held["data"].(map[string]any)
	values := found[0].Credential.Values
	if data["password"] != values[0].Password {
		return fmt.Sprintf("the secret has %v, the cloud %v", data, values)
	}
	meta := w.look("metadata/copy", nil)
	if version, _ := meta["current_version"].(uint64); version > uint64(len(values)) {
		return fmt.Sprintf("the secret has %d versions of %d values", version, len(values))
	}
	return ""
}
