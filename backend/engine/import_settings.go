// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

// settingsOfRules are those of the rules that send a secret to the destination.
type settingsOfRules = rule.Settings

// settle works out the settings with which the replica is the remote secret as it
// is: what rules and the destination give already isn't repeated on the secret.
func (it *importItem) settle(ctx context.Context, c *Change) (settingsOfRules, error) {
	set, err := it.e.ruleSet(ctx)
	if err != nil {
		return rule.Settings{}, err
	}
	own := slices.Concat(it.before.Settings.Destinations, it.Destinations)
	byRule := slices.Contains(sentTo(set, it.secret), it.Destination)
	switch {
	case it.Adopt && !byRule:
		own = append(own, it.Destination)
	case !it.Adopt && byRule:
		it.notes = append(it.notes, fmt.Sprintf("a rule sends it to %s, where its replica is blocked until it is adopted", it.Destination))
	}
	own = slices.Compact(slices.Sorted(slices.Values(own)))
	if !slices.Equal(own, it.before.Settings.Destinations) {
		c.Settings.Destinations = &own
	}
	if !it.Adopt {
		return rule.Settings{}, nil
	}
	return it.settleAdopted(ctx, c)
}

func (it *importItem) settleAdopted(ctx context.Context, c *Change) (settingsOfRules, error) {
	ref, d := it.Destination, it.o.destination
	if replica := it.before.Replicas[ref]; replica != nil && replica.Removal == nil && replica.RemoteName != it.remoteName && replica.Observed.Exists() {
		return rule.Settings{}, verdictf(importRefused, "secret %q is at destination %s already, as %q", it.secret, ref, replica.RemoteName)
	}
	s, err := it.changed(c)
	if err != nil {
		return rule.Settings{}, err
	}
	byRules, err := it.e.byRules(ctx, s, ref)
	if err != nil {
		return rule.Settings{}, err
	}
	r, err := it.e.resolve(s, d, byRules, newestVersion, nil)
	if err != nil {
		return rule.Settings{}, err
	}
	if r.perKey() {
		return rule.Settings{}, verdictf(importRefused, "a rule or the destination makes a replica of each key of secret %q (granularity secret-key), so no remote secret can be adopted for it", it.secret)
	}
	if r.remoteName != it.remoteName {
		c.Settings.RemoteNameAt = map[string]string{ref: it.remoteName}
	}
	if err := it.keepDescription(c, r); err != nil {
		return rule.Settings{}, err
	}
	if key := valueOf(r.settings.KMSKeyID); it.o.abilities.ChangesKey && key != "" && it.remote.KMSKeyID != "" && key != it.remote.KMSKeyID {
		c.Settings.KMSKeyAt = map[string]string{ref: it.remote.KMSKeyID}
		it.notes = append(it.notes, "it stays under its KMS key, although the settings in force name another; kms_key_ids of the secret says so")
	}
	if pointer := s.pointer(d, it.o.kind); pointer != "" && pointer != it.current().ID {
		c.Settings.CurrentVersionAt = map[string]string{ref: it.current().ID}
		it.notes = append(it.notes, fmt.Sprintf("its readers name version %s, which from now on always holds the current value", it.current().ID))
	}
	return byRules, it.checkRoom()
}

// keepDescription sets the description on the secret, if nothing else gives it.
func (it *importItem) keepDescription(c *Change, r resolved) error {
	text := it.remote.Text
	if text == "" || it.before.Settings.Description != "" || r.description == owner.For(it.e.mount.ID, it.secret).Append(text) {
		return nil
	}
	if owner.Imitates(text) {
		return verdictf(importRefused, "its description holds what looks like a mark; change the description at the cloud first")
	}
	kept := strings.ReplaceAll(text, "{{", `{{"{{"}}`) // it is no template
	c.Settings.Description = &kept
	return nil
}

// checkRoom refuses what is so full of versions that the next one would have no
// place: only those that are in Vault may be removed for it.
func (it *importItem) checkRoom() error {
	limits := it.o.kind.Limits
	if limits.Versions == 0 || limits.EvictsVersions || it.o.destination.NoVersionHistory {
		return nil
	}
	inVault := 0
	if it.fresh() {
		inVault = min(it.Versions, len(it.versions)) - 1
	}
	if len(it.versions)+1-inVault <= limits.Versions {
		return nil
	}
	return verdictf(importRefused, "it holds %d versions and the service allows %d, so the next one would have no room, since nothing is removed that Vault doesn't have; "+
		"bring in more of them with versions, or delete some at the cloud", len(it.versions), limits.Versions)
}

// changed is the secret with the settings that the import gives it so far.
func (it *importItem) changed(c *Change) (*Secret, error) {
	s := it.before.clone()
	settings, err := c.Settings.apply(s.Settings, []string{it.Destination})
	s.Name, s.Settings = it.secret, settings
	return s, err
}

// chooseShape decides how the current value is kept in Vault.
func (it *importItem) chooseShape(_ context.Context, c *Change, byRules settingsOfRules) error {
	if !it.Adopt {
		it.fit = fit{shape: shapes(it.value())[0]}
		return nil
	}
	s, err := it.changed(c)
	if err != nil {
		return err
	}
	want := it.digest(it.value())
	same := func(v provider.Value) bool { return it.digest(v) == want }
	fitted, found := fitting(it.value(), same, func(kept shape, explicit bool) (provider.Value, error) {
		tried := s.clone()
		tried.Forms = []form{{From: 1, Format: kept.format}}
		if explicit {
			tried.Settings.Format = kept.format
		}
		r, err := it.e.resolve(tried, it.o.destination, byRules, newestVersion, nil)
		if err != nil {
			return provider.Value{}, err
		}
		return r.encode(kept.readBack())
	})
	it.fit = fitted
	if !found {
		return verdictf(importRefused, "with the settings in force (format, value_key) Vault would send its value in another form, which would make a version in the cloud; change them, or import without adopt")
	}
	return nil
}
