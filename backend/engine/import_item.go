// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// importItem is one remote secret on its way into Vault. Its values are in memory
// alone.
type importItem struct {
	*importWork
	candidate
	o      *opened
	job    string
	remote RemoteSecret
	// versions are those of the remote secret, picked the ones that are brought in,
	// the current one last; values are theirs.
	versions []provider.Version
	picked   []provider.Version
	values   []provider.Value

	before *Secret // in Vault; an empty record if there is none
	live   uint64  // the live version in Vault, 0 without one
	newest uint64  // the highest version in Vault ever
	fit    fit     // of the current value
	notes  []string
}

// verdict is an end of an item before anything is done.
type verdict struct{ result, message string }

func (v verdict) Error() string { return v.message }

func verdictf(result, format string, args ...any) error {
	return verdict{result, fmt.Sprintf(format, args...)}
}

// mostImportTries is how often in a row a destination may fail to answer for the
// same secrets, before the first of them counts as failed.
const mostImportTries = 6

// one brings in one remote secret. An error is for the whole import: the
// destination doesn't answer, or our storage fails.
func (w *importWork) one(ctx context.Context, run *jobRun, c candidate) (JobItem, error) {
	it := &importItem{importWork: w, candidate: c, job: run.id}
	item := JobItem{Subject: c.remoteName, Details: map[string]any{"secret": c.secret}}
	result, err := it.work(ctx)
	var judged verdict
	var refusal *RefusedError
	var remote *provider.Error
	switch {
	case err == nil:
		item.Result = result
	case ctx.Err() != nil:
		return item, ctx.Err()
	case errors.As(err, &judged):
		item.Result, item.Message = judged.result, judged.message
	case errors.As(err, &refusal):
		item.Result, item.Message = importRefused, refusal.message
	case errors.As(err, &remote):
		again := remote.Class == provider.ClassUnavailable || remote.Class == provider.ClassThrottled
		if again && w.tries < mostImportTries {
			return item, err
		}
		item.Result, item.Message = importFailed, err.Error()
		item.Details["class"], item.Details["code"], item.Details["request_id"] = string(remote.Class), remote.Code, remote.RequestID
	default:
		return item, err
	}
	it.describe(&item)
	return item, nil
}

// describe adds what was found out to a result.
func (it *importItem) describe(item *JobItem) {
	for _, note := range it.notes {
		if item.Message != "" {
			item.Message += "; "
		}
		item.Message += note
	}
	if len(it.values) > 0 {
		item.Details["versions"] = len(it.versions)
		item.Details["current_version_id"] = it.current().ID
		if it.fit.format != "" {
			item.Details["form"] = valueField(it.fit.format)
		}
		if it.DryRun && (item.Result == importWould || item.Result == adoptWould) {
			item.Details["fingerprint"] = it.fingerprint()
		}
	}
}

// work looks at the remote secret and at Vault, decides, and does it.
func (it *importItem) work(ctx context.Context) (string, error) {
	if err := it.look(ctx); err != nil {
		return "", err
	}
	if it.illegal != "" {
		return "", verdictf(importRefused, "%s; choose another name with path_template or prefix, or exclude it", it.illegal)
	}
	if it.remote.Owner == RemoteOurs && owner.For(it.e.mount.ID, it.secret) != it.remote.Mark {
		return "", verdictf(importRefused, "its mark says that it is secret %q of this mount; import it under that name", it.remote.Mark.SecretName())
	}
	if err := it.read(ctx); err != nil {
		return "", err
	}
	if it.guard != nil {
		switch seen, found := it.guard[it.remoteName]; {
		case !found:
			return "", verdictf(importChanged, "the dry run %s didn't plan it", it.Guard)
		case seen != it.fingerprint():
			return "", verdictf(importChanged, "it isn't as the dry run %s saw it; make a new one", it.Guard)
		}
	}
	return it.bring(ctx)
}

// look finds out whose the remote secret is, and ends with what is never taken.
func (it *importItem) look(ctx context.Context) error {
	o, err := it.e.destinationAt(ctx, it.Destination)
	if err != nil {
		return err
	}
	it.o = o
	var described provider.Secret
	err = callRemote(ctx, func(ctx context.Context) (err error) {
		described, err = o.remote.Describe(ctx, it.remoteName)
		return err
	})
	if provider.IsNotFound(err) {
		return verdictf(importSkipped, "it isn't in the cloud any more")
	}
	if err != nil {
		return err
	}
	described.Name = it.remoteName
	it.remote = it.e.owned(ctx, o, described)
	switch s := it.remote; {
	case s.Owner == RemoteOurs && s.InVault:
		return it.alreadyOurs(ctx)
	case s.CloudManaged:
		return verdictf(importSkipped, "it is of the cloud-managed type %s, whose value the cloud makes", s.Type)
	case s.Owner == RemoteAnotherMount:
		return verdictf(importSkipped, "it belongs to %s", s.Mark)
	case s.Tombstone():
		return verdictf(importSkipped, "it is scheduled for deletion on %s; restore it at the cloud first if it is needed", s.DeletionTime.Format(time.RFC3339))
	case s.State != provider.StateEnabled:
		return verdictf(importSkipped, "it is %s, so its value can't be read; enable it at the cloud first", s.State)
	}
	return nil
}

// alreadyOurs tells apart what this import did before it was broken off from what
// was there.
func (it *importItem) alreadyOurs(ctx context.Context) error {
	s, err := it.e.load(ctx, it.remote.SecretName)
	if err != nil {
		return err
	}
	if it.remote.CloudManaged {
		return verdictf(importSkipped, "it is %s of this mount, whose value the cloud makes", it.remote.SecretName)
	}
	replica := s.Replicas[s.named(it.Destination, it.remoteName)]
	if replica != nil && replica.AdoptedBy == it.job {
		return verdict{result: adoptDone}
	}
	return verdictf(importSame, "it is the replica of secret %q already", it.remote.SecretName)
}

// read reads the versions that are wanted.
func (it *importItem) read(ctx context.Context) error {
	err := callRemote(ctx, func(ctx context.Context) (err error) {
		it.versions, err = it.o.remote.Versions(ctx, it.remoteName)
		return err
	})
	if err != nil {
		return err
	}
	current := it.currentOf(it.versions)
	if current < 0 {
		return verdictf(importSkipped, "it has no version that readers get")
	}
	others := slices.Delete(slices.Clone(it.versions), current, current+1)
	it.picked = slices.Concat(others[max(0, len(others)-(it.Versions-1)):], it.versions[current:current+1])
	if it.DryRun {
		it.picked = it.picked[len(it.picked)-1:]
	}
	for _, v := range it.picked {
		var value provider.Value
		err := callRemote(ctx, func(ctx context.Context) (err error) {
			value, err = it.o.remote.Read(ctx, it.remoteName, v.ID)
			return err
		})
		if err != nil {
			return fmt.Errorf("read version %s: %w", v.ID, err)
		}
		it.values = append(it.values, value)
	}
	return nil
}

// currentOf is the index of the version that readers get: by the service's label,
// under the id that is kept for it, or else the newest; -1 if there is none.
func (it *importItem) currentOf(versions []provider.Version) int {
	label := it.o.kind.CurrentLabel
	if label != "" {
		return slices.IndexFunc(versions, func(v provider.Version) bool { return slices.Contains(v.Labels, label) })
	}
	pointer := it.o.destination.pointer(it.o.kind)
	if i := slices.IndexFunc(versions, func(v provider.Version) bool { return v.ID == pointer }); i >= 0 {
		return i
	}
	return len(versions) - 1
}

func (it *importItem) current() provider.Version { return it.picked[len(it.picked)-1] }

func (it *importItem) value() provider.Value { return it.values[len(it.values)-1] }

func (it *importItem) digest(v provider.Value) string {
	return payload.Digest(it.e.mount.digestKey(), v)
}

// fingerprint identifies the remote secret, the value that readers get included,
// and where it goes. It says nothing of the value, and differs for equal values of
// two secrets.
func (it *importItem) fingerprint() string {
	mac := hmac.New(sha256.New, it.e.mount.Key)
	part := func(text string) { _, _ = fmt.Fprintf(mac, "%d:%s", len(text), text) } // never fails
	for _, text := range []string{"import", it.Destination, it.remoteName, it.secret, it.remote.CreatedTime.String(), it.current().ID, it.digest(it.value())} {
		part(text)
	}
	ids := make([]string, len(it.versions))
	for i, v := range it.versions {
		ids[i] = v.ID
	}
	slices.Sort(ids)
	for _, id := range ids {
		part(id)
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// observed is what the replica is once it is marked: version i of those that are
// brought in is the Vault version numbers[i].
func (it *importItem) observed(numbers []plan.VersionNumber, pointer string) plan.Observed {
	service := plan.Service{AssignsIDs: it.o.kind.AssignsVersionIDs(), CurrentLabel: it.o.kind.CurrentLabel}
	seen := plan.Seen(it.remote.Secret, it.versions, plan.Observed{}, service)
	seen.Looked, seen.Unmarked = false, it.remote.Mark.IsZero()
	for i, v := range it.picked[len(it.picked)-len(numbers):] {
		number, digest := numbers[i], it.digest(it.values[len(it.values)-len(numbers)+i])
		if v.ID == pointer { // it holds whatever is current
			seen = seen.Identified(v.ID, plan.VersionNumber{}, digest)
			seen.Current = plan.Current{ID: v.ID, Version: number, Digest: digest}
			continue
		}
		seen = seen.Identified(v.ID, number, digest)
	}
	return seen.Trimmed(it.o.kind.Limits)
}
