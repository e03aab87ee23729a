// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// world is a secret in a Vault, its remote in a cloud in memory, and what is
// remembered of the remote.
type world struct {
	*rapid.T
	service
	vault  vault
	region *providertest.Region
	remote provider.Destination
	have   plan.Observed

	foreign  map[string]provider.Value // version ids that somebody else added
	tampered bool                      // the memory may be wrong
	forgot   bool                      // nothing is remembered of a remote that may be there
}

// vault is what Vault holds of the secret.
type vault struct {
	versions    []version // number 1 first
	incarnation int
	text        string
	format      string
	removal     plan.Presence // what a secret without versions leaves behind
	atOnce      bool
}

type version struct {
	content            string
	deleted, destroyed bool
}

func newWorld(t *rapid.T, s service, model providertest.Model) *world {
	w := &world{
		T: t, service: s,
		vault:   vault{incarnation: 1, text: "text", format: "json", removal: plan.Deleted},
		have:    plan.Observed{Known: true},
		foreign: map[string]provider.Value{},
	}
	w.connect(model)
	return w
}

// connect gives the world an empty cloud.
func (w *world) connect(model providertest.Model) {
	cloud := providertest.NewMemory(model)
	remote, err := cloud.Kind().Open(provider.Config{Region: "r", AccessKeyID: "id", AccessKeySecret: sensitive.NewString("secret")})
	if err != nil {
		w.Fatal(err)
	}
	w.remote, w.region = remote, cloud.Region("r")
}

// twin is a world like this one.
func (w *world) twin(model providertest.Model) *world {
	other := *w
	other.foreign = maps.Clone(w.foreign)
	other.connect(model)
	if remote, exists := w.region.Secret("db"); exists {
		other.region.Seed(remote)
	}
	return &other
}

// contents are the state of the remote, what readers get, and which values the
// history has: under which ids depends on what was known when they were put.
func (w *world) contents() map[string]string {
	remote, _ := w.region.Secret("db")
	all := map[string]string{"state": string(remote.State), "description": remote.Description}
	for _, v := range remote.Versions {
		if remote.State == provider.StateDisabled {
			break // nobody reads it, and what may hold a destroyed value may go
		}
		switch {
		case v.ID == w.pointer:
			all["pointer"] = v.Value.Reveal()
		case contentOf(v.Value) == contentOf(w.read(remote)):
			// Readers have it; equal content needs no version beside it, and an
			// older one may keep its form.
		default:
			all["history has "+contentOf(v.Value)] = "yes"
		}
	}
	return all
}

// contentOf is what a value holds in whatever form.
func contentOf(v provider.Value) string {
	content, _, _ := strings.Cut(v.Reveal(), " as ")
	return content
}

// want is the desired state, and the value that goes with it.
func (w *world) want() (plan.Desired, provider.Value) {
	v := w.vault
	want := plan.Desired{
		Presence: v.removal, Owner: mine, Description: mine.Append(v.text),
		PointerID: w.pointer, History: w.history, DeleteAfter: window, Destroyed: map[uint64]bool{},
	}
	if len(v.versions) == 0 {
		if v.atOnce {
			want.DeleteAfter = 0
		}
		return want, provider.Value{}
	}
	want.Presence = plan.Withdrawn
	want.Version.Incarnation = v.incarnation
	want.Newest = uint64(len(v.versions))
	var value provider.Value
	for i, version := range v.versions {
		number := uint64(i + 1)
		switch {
		case version.destroyed:
			want.Destroyed[number] = true
		case !version.deleted:
			want.Presence = plan.Live
			want.Version = plan.VersionNumber{Number: number, Incarnation: v.incarnation}
			value = provider.Text(version.content + " as " + v.format)
			want.Digest = "digest of " + value.Reveal()
		}
	}
	return want, value
}

// errBroken is a convergence that is broken off.
var errBroken = errors.New("broken off")

// rounds is how many plans one convergence may take.
const rounds = 6

// converge plans and acts until nothing is left to do, or for some steps only.
// After a crash the last step has taken effect and nothing is remembered.
func (w *world) converge(steps int, crash bool) error {
	want, value := w.want()
	before := w.have
	w.have.Looked = false
	for range rounds {
		remembered := fmt.Sprintf("%+v", w.have)
		p := plan.Make(want, w.have, w.can, w.limits)
		if now := fmt.Sprintf("%+v", w.have); now != remembered {
			w.Fatalf("planning changed what was observed from %s to %s", remembered, now)
		}
		switch {
		case p.Refusal != nil:
			return p.Refusal
		case p.Look:
			w.look()
			continue
		case len(p.Steps) == 0:
			return nil
		}
		for _, step := range p.Steps {
			if steps == 0 {
				return errBroken
			}
			steps--
			atOnce := step.Action == plan.Delete && step.After == 0 && w.have.State == provider.StatePendingDeletion
			id, err := w.perform(value, step)
			if crash && steps == 0 {
				w.have = before
				w.have.Known = false
				return errBroken
			}
			if err != nil {
				if w.have.Looked {
					return fmt.Errorf("%s after a look: %w", stepWords(step), err)
				}
				w.have.Known = false
				break
			}
			w.have = plan.Done(want, w.have, step, id)
			if atOnce {
				want.RestoreFirst = true
				break
			}
		}
	}
	return errors.New("it doesn't settle")
}

func (w *world) look() {
	found, err := w.remote.Describe(w.Context(), "db")
	if provider.IsNotFound(err) {
		w.have = plan.Absent()
		return
	}
	versions, err := w.remote.Versions(w.Context(), "db")
	if err != nil {
		w.Fatal(err)
	}
	var service plan.Service
	if w.pointer == "" {
		service.CurrentLabel = providertest.LabelCurrent
	}
	w.have = plan.Seen(found, versions, w.have, service)
	w.identify()
}

// identify finds out by reading which form of its value the wanted version holds,
// as the engine does after a look.
func (w *world) identify() {
	want, value := w.want()
	if want.Presence != plan.Live {
		return
	}
	content, _, _ := strings.Cut(value.Reveal(), " as ")
	for _, v := range w.have.Versions {
		candidate := v.Version.Same(want.Version) || w.reading.AssignsIDs && v.Version.Number == 0
		if !candidate || v.Digest != "" {
			continue
		}
		kept, err := w.remote.Read(w.Context(), "db", v.ID)
		if err == nil && strings.HasPrefix(kept.Reveal(), content+" as ") {
			w.have = w.have.Identified(v.ID, want.Version, "digest of "+kept.Reveal())
		}
	}
}

// perform makes one remote call, and checks what no call may do.
func (w *world) perform(value provider.Value, step plan.Step) (id string, err error) {
	ctx := w.Context()
	before, existed := w.region.Secret("db")
	switch step.Action {
	case plan.Create:
		var created provider.Created
		created, err = w.remote.Create(ctx, "db", provider.NewSecret{VersionID: step.VersionID, Value: value, Description: step.Description})
		id = created.VersionID
	case plan.PutVersion:
		id, err = w.remote.PutVersion(ctx, "db", step.VersionID, value)
	case plan.Overwrite:
		err = provider.Overwrite(ctx, w.remote, "db", step.VersionID, value)
	case plan.DeleteVersion:
		err = provider.DeleteVersion(ctx, w.remote, "db", step.VersionID)
	case plan.SetDescription:
		err = w.remote.SetDescription(ctx, "db", step.Description)
	case plan.Enable:
		err = provider.Enable(ctx, w.remote, "db")
	case plan.Disable:
		err = provider.Disable(ctx, w.remote, "db")
	case plan.Restore:
		err = provider.Restore(ctx, w.remote, "db")
	case plan.MoveCurrent:
		err = provider.MoveCurrent(ctx, w.remote, "db", step.VersionID)
	case plan.Delete:
		err = w.remote.Delete(ctx, "db", step.After)
	default:
		w.Fatalf("an unknown step: %s", stepWords(step))
	}
	after, _ := w.region.Secret("db")
	_, mark := owner.Split(before.Description)
	if existed && mark != mine && !reflect.DeepEqual(before, after) {
		w.Fatalf("%s changed a secret that isn't ours from %+v to %+v", stepWords(step), before, after)
	}
	if err == nil {
		w.checkOrder(value, step, after)
	}
	return id, err
}

// checkOrder demands that history comes before pointer, that reading is enabled
// last, and that foreign versions stay. Who is deceived about the remote can't
// know the order.
func (w *world) checkOrder(value provider.Value, step plan.Step, remote providertest.Stored) {
	holds := slices.ContainsFunc(remote.Versions, func(v providertest.StoredVersion) bool {
		return v.ID != w.pointer && v.Value.Equal(value)
	})
	readable := remote.State == provider.StateEnabled
	if !w.tampered && readable && step.SendsValue() && step.VersionID == w.pointer && w.pointer != "" && w.history && !holds {
		w.Fatalf("%s comes before the history", stepWords(step))
	}
	if !w.tampered && step.Action == plan.Enable && !w.read(remote).Equal(value) {
		w.Fatal("reading is enabled before the value is there")
	}
	if step.Action == plan.Delete {
		return
	}
	for id, value := range w.foreign {
		if kept, _ := remote.Version(id); !kept.Value.Equal(value) {
			w.Fatalf("%s took the foreign version %s", stepWords(step), id)
		}
	}
}

// read is what a reader gets who names no version but the pointer.
func (w *world) read(remote providertest.Stored) provider.Value {
	for _, v := range remote.Versions {
		if v.ID == w.pointer || slices.Contains(v.Labels, providertest.LabelCurrent) {
			return v.Value
		}
	}
	return provider.Value{}
}

// settle converges to the end and demands that the world is as wanted.
func (w *world) settle() {
	want, value := w.want()
	// A creation finds out by itself; nothing else is tried on what was never made.
	if w.tampered || w.forgot && want.Presence != plan.Live {
		w.have.Known = false
	}
	w.tampered, w.forgot = false, false
	if err := w.converge(-1, false); err != nil {
		w.Fatal(err)
	}
	remote, exists := w.region.Secret("db")
	readable := exists && remote.State == provider.StateEnabled
	switch want.Presence {
	case plan.Live:
		w.checkLive(want, value, remote)
	case plan.Withdrawn:
		if readable {
			w.Fatalf("a withdrawn secret can be read: %+v", remote.Secret)
		}
	case plan.Deleted:
		_, mark := owner.Split(remote.Description)
		if exists && (want.DeleteAfter == 0 && mark == want.Owner && w.have.Looked || remote.State != provider.StatePendingDeletion) {
			w.Fatalf("a deleted secret is %s", remote.State)
		}
		w.buried(exists)
	case plan.Released:
		if _, mark := owner.Split(remote.Description); !mark.IsZero() && remote.State != provider.StatePendingDeletion {
			w.Fatalf("a released secret is marked: %s", remote.Description)
		}
		w.region.Remove("db")
		w.buried(false)
	}
}

func (w *world) checkLive(want plan.Desired, value provider.Value, remote providertest.Stored) {
	if remote.State != provider.StateEnabled || remote.Description != want.Description {
		w.Fatalf("the remote is %+v", remote.Secret)
	}
	if !w.read(remote).Equal(value) {
		w.Fatalf("readers get %q, not %q", w.read(remote).Reveal(), value.Reveal())
	}
	content, _, _ := strings.Cut(value.Reveal(), " as ")
	if kept, found := remote.Version(want.Version.ID()); w.pointer != "" && w.history && found && !strings.HasPrefix(kept.Value.Reveal(), content+" as ") {
		w.Fatalf("the history has %q as %s, not %q", kept.Value.Reveal(), want.Version.ID(), value.Reveal())
	}
	for _, v := range remote.Versions {
		number := plan.ParseVersionID(v.ID)
		if w.can.DeletesVersions && number.Incarnation == w.vault.incarnation && want.Destroyed[number.Number] {
			w.Fatalf("%s was destroyed and is still there", v.ID)
		}
	}
}

// buried forgets a replica that is no longer wanted, as the engine does.
func (w *world) buried(exists bool) {
	w.have = plan.Observed{Known: true}
	if !exists {
		clear(w.foreign)
	}
}

// breakOff converges for some steps.
func (w *world) breakOff(t *rapid.T) {
	err := w.converge(rapid.IntRange(0, 4).Draw(t, "steps"), rapid.Bool().Draw(t, "crash"))
	if err != nil && !errors.Is(err, errBroken) && !w.tampered {
		w.Fatal(err)
	}
}

func (w *world) write(t *rapid.T) {
	content := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "content")
	w.vault.versions = append(w.vault.versions, version{content: content})
}

// edit changes one version of the vault.
func (w *world) edit(t *rapid.T, change func(*version)) {
	if len(w.vault.versions) == 0 {
		return
	}
	change(&w.vault.versions[rapid.IntRange(0, len(w.vault.versions)-1).Draw(t, "version")])
}

// editAll changes all versions of the vault.
func (w *world) editAll(change func(*version)) {
	for i := range w.vault.versions {
		change(&w.vault.versions[i])
	}
}

// remove deletes the secret with all its versions.
func (w *world) remove(t *rapid.T) {
	if len(w.vault.versions) == 0 {
		return
	}
	w.vault.versions = nil
	w.vault.incarnation++
	w.vault.removal = rapid.SampledFrom([]plan.Presence{plan.Deleted, plan.Released}).Draw(t, "removal")
	w.vault.atOnce = rapid.Bool().Draw(t, "at once")
	w.settle()
}

func (w *world) forget(*rapid.T) { w.have, w.forgot = plan.Observed{Known: true}, true }

func (w *world) describe(t *rapid.T) {
	w.vault.text = rapid.SampledFrom([]string{"", "text", "other"}).Draw(t, "text")
}

// tamper changes the remote behind everybody's back.
func (w *world) tamper(t *rapid.T) {
	remote, exists := w.region.Secret("db")
	if !exists {
		return
	}
	w.tampered = true
	switch rapid.SampledFrom([]string{"state", "remove", "add", "describe"}).Draw(t, "tamper") {
	case "state":
		remote.State = rapid.SampledFrom([]provider.State{provider.StateEnabled, provider.StateDisabled}).Draw(t, "state")
	case "remove":
		if len(remote.Versions) > 0 {
			i := rapid.IntRange(0, len(remote.Versions)-1).Draw(t, "version")
			delete(w.foreign, remote.Versions[i].ID)
			remote.Versions = slices.Delete(remote.Versions, i, i+1)
		}
	case "add":
		id := fmt.Sprintf("theirs-%d", len(w.foreign))
		// Eight leave room for one version and the pointer.
		if _, taken := remote.Version(id); !taken && len(w.foreign) < 8 && len(remote.Versions) < w.limits.Versions {
			w.foreign[id] = provider.Text("theirs")
			remote.Versions = append(remote.Versions, providertest.StoredVersion{Version: provider.Version{ID: id}, Value: w.foreign[id]})
		}
	case "describe":
		remote.Description = mine.Append("theirs")
	}
	w.region.Seed(remote)
}

// TestAnySequenceSettles lets secrets live at services of both kinds, with
// convergences that are broken off anywhere, and demands after each that is not
// that readers get what they should.
func TestAnySequenceSettles(t *testing.T) {
	t.Run("with a pointer", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t, tencent, providertest.Overwriting())
			t.Repeat(w.pointerActions())
			w.settle()
		})
	})
	t.Run("with labels", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t, labels, providertest.LabelMoving())
			t.Repeat(w.versionActions())
			w.settle()
		})
	})
	t.Run("with labels and ids of the service", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t, assigned, providertest.IDAssigning())
			t.Repeat(w.versionActions())
			w.settle()
		})
	})
}

// TestBreakingOffChangesNothing demands that a convergence that is broken off
// after any step, or dies with it, ends as one that isn't.
func TestBreakingOffChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := providertest.Overwriting()
		w := newWorld(t, tencent, model)
		actions := w.pointerActions()
		delete(actions, "tamper")
		t.Repeat(actions)
		twin := w.twin(model)
		w.settle()
		twin.breakOff(t)
		twin.settle()
		if whole, broken := w.contents(), twin.contents(); !maps.Equal(whole, broken) {
			t.Fatalf("\nwhole  %v\nbroken %v", whole, broken)
		}
	})
}

// TestWhatIsntOursIsNeverTouched lets somebody else own the remote.
func TestWhatIsntOursIsNeverTouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, tencent, providertest.Overwriting())
		w.history = rapid.Bool().Draw(t, "history")
		theirs := providertest.Stored{
			Secret: provider.Secret{
				Name: "db", Type: "custom", Description: "theirs",
				State: rapid.SampledFrom([]provider.State{provider.StateEnabled, provider.StateDisabled, provider.StatePendingDeletion, provider.StateOther}).Draw(t, "state"),
			},
			Versions: []providertest.StoredVersion{{Version: provider.Version{ID: pointerID}, Value: provider.Text("theirs")}},
		}
		theirs.DeletionTime = time.Now().Add(window)
		switch rapid.SampledFrom([]string{"no mark", "another mount", "another secret", "cloud-managed"}).Draw(t, "owner") {
		case "another mount":
			theirs.Description = owner.For("mount-2", "team/db").Append("theirs")
		case "another secret":
			theirs.Description = owner.For("mount-1", "team/other").Append("theirs")
		case "cloud-managed":
			theirs.CloudManaged = true
		}
		w.region.Seed(theirs)
		before, _ := w.region.Secret("db")
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			w.write(t)
			w.edit(t, func(v *version) { v.deleted = true })
			if rapid.Bool().Draw(t, "remove") {
				w.vault.versions = nil
				w.vault.removal = rapid.SampledFrom([]plan.Presence{plan.Deleted, plan.Released}).Draw(t, "removal")
			}
			if rapid.Bool().Draw(t, "doubt") {
				w.have.Known = false
			}
			want, _ := w.want()
			err := w.converge(-1, false)
			if class := provider.ClassOf(err); want.Presence == plan.Live && class != provider.ClassOwnership {
				t.Fatalf("a live secret gives %v", err)
			}
			if after, _ := w.region.Secret("db"); !reflect.DeepEqual(before, after) {
				t.Fatalf("it was changed from %+v to %+v", before, after)
			}
		}
	})
}

func (w *world) pointerActions() map[string]func(*rapid.T) {
	actions := w.versionActions()
	actions["tamper"] = w.tamper
	actions["history"] = func(t *rapid.T) { w.history = rapid.Bool().Draw(t, "history") }
	return actions
}

func (w *world) versionActions() map[string]func(*rapid.T) {
	actions := w.actions()
	maps.Copy(actions, map[string]func(*rapid.T){
		"delete":   func(t *rapid.T) { w.edit(t, func(v *version) { v.deleted = true }) },
		"undelete": func(t *rapid.T) { w.edit(t, func(v *version) { v.deleted = false }) },
		"destroy":  func(t *rapid.T) { w.edit(t, func(v *version) { v.destroyed = true }) },
		"reformat": func(t *rapid.T) { w.vault.format = rapid.SampledFrom([]string{"json", "raw"}).Draw(t, "format") },
	})
	return actions
}

func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"write":        w.write,
		"write more":   w.write,
		"withdraw":     func(*rapid.T) { w.editAll(func(v *version) { v.deleted = true }) },
		"bring back":   func(*rapid.T) { w.editAll(func(v *version) { v.deleted = false }) },
		"remove":       w.remove,
		"describe":     w.describe,
		"forget":       w.forget,
		"break off":    w.breakOff,
		"settle":       func(*rapid.T) { w.settle() },
		"settle again": func(*rapid.T) { w.settle() },
	}
}
