// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// An adoption is a change like any other: the value and the record are stored, and
// in the record the replica is as the remote secret was seen, with the mark taken
// off by us. What convergence then does is to put the mark on, which is one call.
// So whatever is broken off is completed as any other change is.

// adoptionWait is how long an import waits for the mark of one secret.
const adoptionWait = time.Minute

// errWorking says that the replica is just being worked on.
var errWorking = errors.New("the replica is just being worked on")

// showWayOut adds to a refusal to touch what others made how it is taken over.
func (c *convergence) showWayOut(err error) error {
	var refusal *provider.Error
	if !errors.As(err, &refusal) || refusal.Class != provider.ClassOwnership || c.have.CloudManaged || !c.have.Owner().IsZero() {
		return err
	}
	explained := *refusal
	explained.Message += fmt.Sprintf("; if it is this secret's, take it over at import/%s with match=%s adopt=true", c.o.destination.Ref(), c.name)
	if c.name != c.secret { // otherwise it would be taken for another secret
		explained.Message += " path_template=" + c.secret
	}
	return &explained
}

// bring stores the secret in Vault, and waits for the mark if it is adopted.
func (it *importItem) bring(ctx context.Context) (string, error) {
	if !it.o.destination.Allows(it.secret) {
		return "", verdictf(importRefused, "destination %s doesn't take secret %q: its allowed_paths are %s",
			it.Destination, it.secret, strings.Join(it.o.destination.AllowedPaths, ", "))
	}
	generation, err := it.store(ctx)
	switch {
	case err != nil:
		return "", err
	case it.DryRun && it.Adopt:
		return adoptWould, nil
	case it.DryRun:
		return importWould, nil
	case it.Adopt:
		return it.await(ctx, generation)
	default:
		return importDone, nil
	}
}

// store makes the change, or only checks that it could be made.
func (it *importItem) store(ctx context.Context) (generation uint64, err error) {
	e := it.e
	defer e.lock(it.secret)()
	if it.before, err = e.load(ctx, it.secret); err != nil {
		return 0, err
	}
	if it.before.Deleting {
		return 0, verdictf(importRefused, "secret %q is just being deleted; import it again afterwards", it.secret)
	}
	meta, err := e.store.ReadMetadata(ctx, e.storage, it.secret)
	if err != nil {
		return 0, err
	}
	if meta != nil {
		it.newest, it.live = meta.Current, meta.Newest(time.Now())
	}
	if it.isStored() {
		return it.complete(ctx)
	}
	change, older, err := it.change(ctx)
	if err != nil {
		return 0, err
	}
	if it.DryRun {
		return 0, it.rehearse(ctx, change)
	}
	if err := it.writeOlder(ctx, older); err != nil {
		return 0, err
	}
	changed, err := e.applyLocked(ctx, change)
	if err == nil && kvstore.Failed(changed.Response, nil) {
		err = verdictf(importConflict, "the KV store refused the value: %v", changed.Response.Error())
	}
	if err != nil || len(older) == 0 {
		return changed.Generation, err
	}
	return it.complete(ctx)
}

// isStored tells whether the values were stored before this import was broken off.
func (it *importItem) isStored() bool {
	replica := it.before.Replicas[it.Destination]
	begun := replica != nil && replica.AdoptedBy == it.job || it.before.Importing && !it.Adopt
	return begun && it.live > 0 && !it.fresh() && !it.DryRun
}

// fresh tells whether the versions are still to be written: Vault has none, or some
// of those that an import brought before it was broken off.
func (it *importItem) fresh() bool {
	return it.newest == 0 || it.before.Importing && it.newest < uint64(min(it.Versions, len(it.versions))) //nolint:gosec // small numbers
}

// complete has the replica worked on of a secret that is stored as a whole.
func (it *importItem) complete(ctx context.Context) (generation uint64, err error) {
	e := it.e
	s, err := e.load(ctx, it.secret)
	if err != nil {
		return 0, err
	}
	e.takeUpEarly(ctx, s)
	if s.Importing {
		next := s.clone()
		next.Importing = false
		if len(next.Replicas) > 0 {
			if err := e.begin(ctx, next); err != nil {
				return 0, err
			}
		}
		if err := e.storeSecret(ctx, next); err != nil {
			return 0, err
		}
		e.enqueueAll(next, quota.Bulk)
	}
	return e.activities.generation(it.secret), nil
}

// rehearse finds out whether a change could be made.
func (it *importItem) rehearse(ctx context.Context, c Change) error {
	next, _, err := it.e.prepare(ctx, c, it.before)
	if err != nil {
		return err
	}
	made, err := it.e.reserveAll(ctx, it.before, next)
	it.e.settleClaims(made)
	return err
}

// change is what has to be changed in Vault; older are the shapes of the versions
// that have to be there first.
func (it *importItem) change(ctx context.Context) (c Change, older []shape, err error) {
	c = Change{Name: it.secret, Lane: quota.Bulk}
	byRules, err := it.settle(ctx, &c)
	if err != nil {
		return c, nil, err
	}
	var numbers []plan.VersionNumber
	incarnation, err := it.incarnation()
	if err != nil {
		return c, nil, err
	}
	switch {
	case it.fresh():
		if err := it.chooseShape(ctx, &c, byRules); err != nil {
			return c, nil, err
		}
		older = it.olderShapes()
		for i := range it.picked {
			numbers = append(numbers, plan.VersionNumber{Number: uint64(i) + 1, Incarnation: incarnation})
		}
		it.write(&c, len(older))
	default:
		number, err := it.reconcile(ctx, &c, byRules)
		if err != nil {
			return c, nil, err
		}
		numbers = []plan.VersionNumber{{Number: number, Incarnation: incarnation}}
		if number == 0 {
			numbers[0] = plan.VersionNumber{}
		}
	}
	if !it.Adopt && c.Request == nil {
		return c, nil, verdictf(importSame, "Vault has the value already")
	}
	c.Amend = func(next *Secret) error { return it.amend(next, older, numbers, incarnation) }
	return c, older, nil
}

// write makes the current value the next version, after so many others.
func (it *importItem) write(c *Change, others int) {
	cas := int(it.newest) //nolint:gosec // version numbers are small
	if it.fresh() {
		cas = others
	}
	origin := &logical.Request{Storage: it.e.storage, Operation: logical.CreateOperation}
	c.Data, c.CAS, c.Implied = it.fit.data, &cas, &it.fit.format
	c.Request = kvstore.WriteRequest(origin, it.secret, it.fit.data, &cas)
	if it.fit.explicit {
		c.Settings.Format = &it.fit.format
	}
	if it.fit.note != "" {
		it.notes = append(it.notes, it.fit.note)
	}
}

// reconcile decides about a secret that Vault has already. It returns the version
// that the cloud's value is; 0 if Vault's stays.
func (it *importItem) reconcile(ctx context.Context, c *Change, byRules settingsOfRules) (uint64, error) {
	same, sent, err := it.compare(ctx, c, byRules)
	switch {
	case err != nil:
		return 0, err
	case sent || same && !it.Adopt:
		return it.live, nil
	case it.OnConflict == ConflictReplace:
		if err := it.chooseShape(ctx, c, byRules); err != nil {
			return 0, err
		}
		it.write(c, 0)
		return it.newest + 1, nil
	case it.OnConflict == ConflictKeep && it.live == 0:
		return 0, verdictf(importConflict, "Vault has secret %q without a live version; undelete it, or take the cloud's value with on_conflict=replace", it.secret)
	case it.OnConflict == ConflictKeep && it.Adopt:
		it.notes = append(it.notes, "Vault's value is sent to the cloud")
		return 0, nil
	case it.OnConflict == ConflictKeep:
		return 0, verdictf(importSame, "Vault has another value, which stays")
	case it.live == 0:
		return 0, verdictf(importConflict, "Vault has secret %q without a live version; on_conflict=replace takes the cloud's value as a new one", it.secret)
	case same:
		return 0, verdictf(importConflict, "Vault has the value of secret %q, but sends it in another form: see format and value_key of the secret and its rules; "+
			"on_conflict=keep sends it in that form, replace takes the cloud's", it.secret)
	default:
		return 0, verdictf(importConflict, "Vault has secret %q with another value; on_conflict=replace takes the cloud's as a new version, keep has Vault's stay", it.secret)
	}
}

// compare tells whether Vault has the value, in whatever form, and whether it
// would send the very bytes that the cloud has.
func (it *importItem) compare(ctx context.Context, c *Change, byRules settingsOfRules) (same, sent bool, err error) {
	if it.live == 0 {
		return false, false, nil
	}
	version, err := it.e.store.ReadVersion(ctx, it.e.storage, it.secret, it.live)
	if err != nil || version == nil {
		return false, false, err
	}
	want := it.digest(it.value())
	for _, format := range payload.Formats() {
		value, err := payload.Encode(version.Data, format)
		same = same || err == nil && it.digest(value) == want
	}
	if !it.Adopt {
		return same, false, nil
	}
	s, err := it.changed(c)
	if err != nil {
		return same, false, err
	}
	r, err := it.e.resolve(s, it.o.destination, byRules, it.live, version.CustomMetadata)
	if err != nil {
		return same, false, err
	}
	value, err := r.encode(version.Data)
	return same, err == nil && it.digest(value) == want, nil
}

// incarnation is the one of the secret's versions: a newer one than any that the
// ids in the cloud look like, so that none of them is taken for ours.
func (it *importItem) incarnation() (int, error) {
	have := max(it.before.Incarnation, 1)
	if !it.Adopt || it.o.kind.AssignsVersionIDs() {
		return have, nil
	}
	taken := plan.NewestIncarnation(it.versions)
	if taken < have {
		return have, nil
	}
	for slot, replica := range it.before.Replicas {
		// Elsewhere versions that were destroyed would no longer be recognised.
		other := it.e.replicators.get(slotRef(slot))
		if other != nil && slotRef(slot) != it.Destination && replica.Observed.Exists() && other.current.Load().abilities.DeletesVersions {
			return 0, verdictf(importRefused, "its version ids look like those of this mount, and secret %q has a replica at %s with such ids; import it under another name", it.secret, slotRef(slot))
		}
	}
	return taken + 1, nil
}

// amend puts into the record what the import knows of the replica.
func (it *importItem) amend(next *Secret, older []shape, numbers []plan.VersionNumber, incarnation int) error {
	if len(older) > 0 {
		next.Importing = true // until the current version is stored too
		next.Forms = nil
		for i, s := range append(slices.Clone(older), it.fit.shape) {
			if len(next.Forms) == 0 || next.Forms[len(next.Forms)-1].Format != s.format {
				next.Forms = append(next.Forms, form{From: uint64(i) + 1, Format: s.format})
			}
		}
	}
	if !it.Adopt {
		return nil
	}
	replica := next.Replicas[it.Destination]
	if replica == nil || replica.Refused != nil || replica.RemoteName != it.remoteName {
		return Refusef("destination %s: the settings in force give secret %q no replica with the name %q", it.Destination, it.secret, it.remoteName)
	}
	if it.e.activities.working(it.secret, it.Destination) {
		return errWorking
	}
	if incarnation > 1 {
		next.Incarnation = incarnation
	}
	*replica = Replica{
		RemoteName: it.remoteName, State: StatePending, AdoptedBy: it.job, Term: it.e.term,
		Observed: it.observed(numbers, next.pointer(it.o.destination, it.o.kind)),
	}
	return nil
}

// olderShapes are those of the versions before the current one.
func (it *importItem) olderShapes() []shape {
	older := make([]shape, 0, len(it.values))
	for _, v := range it.values[:len(it.values)-1] {
		all := shapes(v)
		fits := func(s shape) bool {
			encoded, err := payload.Encode(s.readBack(), s.format)
			return err == nil && it.digest(encoded) == it.digest(v)
		}
		older = append(older, all[max(0, slices.IndexFunc(all, fits))])
	}
	return older
}

// writeOlder writes the versions before the current one, of a secret that is new.
// The record says so meanwhile, so that an import that is broken off goes on.
func (it *importItem) writeOlder(ctx context.Context, older []shape) error {
	if len(older) == 0 {
		return nil
	}
	if err := it.checkBegun(ctx); err != nil {
		return err
	}
	begun := it.before.clone()
	begun.Importing = true
	if err := it.e.storeSecret(ctx, begun); err != nil {
		return err
	}
	origin := &logical.Request{Storage: it.e.storage, Operation: logical.CreateOperation}
	for i := int(it.newest); i < len(older); i++ { //nolint:gosec // version numbers are small
		resp, err := it.e.store.Handle(ctx, kvstore.WriteRequest(origin, it.secret, older[i].data, &i))
		if kvstore.Failed(resp, err) {
			return fmt.Errorf("write version %d of secret %q: %w", i+1, it.secret, errors.Join(err, resp.Error()))
		}
	}
	return nil
}

// checkBegun makes sure that the versions that are there are those that the
// import would write.
func (it *importItem) checkBegun(ctx context.Context) error {
	for i := range int(it.newest) { //nolint:gosec // version numbers are small
		version, err := it.e.store.ReadVersion(ctx, it.e.storage, it.secret, uint64(i)+1)
		if err != nil {
			return err
		}
		same := i < len(it.values)-1 && version != nil && slices.ContainsFunc(shapes(it.values[i]), func(s shape) bool {
			have, err1 := payload.Encode(version.Data, payload.JSON)
			want, err2 := payload.Encode(s.readBack(), payload.JSON)
			return err1 == nil && err2 == nil && it.digest(have) == it.digest(want)
		})
		if !same {
			return verdictf(importConflict, "secret %q was begun by an import of other versions that was broken off; delete it with all its versions, and import again", it.secret)
		}
	}
	return nil
}

// await waits until the remote secret carries the mark, or that can't be by itself.
func (it *importItem) await(ctx context.Context, generation uint64) (string, error) {
	e, mark := it.e, owner.For(it.e.mount.ID, it.secret)
	timeout := time.NewTimer(adoptionWait)
	defer timeout.Stop()
	for {
		s, err := e.load(ctx, it.secret)
		if err != nil {
			return "", err
		}
		replica := s.Replicas[it.Destination]
		if replica != nil && replica.Observed.Owner() == mark && replica.Observed.Known {
			return adoptDone, nil
		}
		done, changed := e.activities.settled(it.secret, generation)
		if done {
			break
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
			return "", ctx.Err()
		case <-timeout.C:
		}
		break
	}
	return importPending, it.noteUnfinished(ctx)
}

func (it *importItem) noteUnfinished(ctx context.Context) error {
	status, err := it.e.Status(ctx, it.secret)
	if err != nil || status == nil {
		return err
	}
	for _, r := range status.Replicas {
		if r.Destination != it.Destination || r.Former {
			continue
		}
		note := fmt.Sprintf("it is in Vault, and its replica is %s", r.State)
		if r.Failure != nil {
			note += ": " + r.Failure.Message
		}
		it.notes = append(it.notes, note+"; read status/"+it.secret)
	}
	return nil
}
