// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// CredentialChange is what a request gives of a managed credential. What is nil
// stays as it is.
type CredentialChange struct {
	Name string

	// Fixed once the credential is made.
	Destination, Product, InstanceID, KMSKeyID, RemoteName *string
	// Parameters are those of the product's own that are given.
	Parameters map[string]string
	// Initial are the present credentials, where the product wants them.
	Initial sensitive.String

	Description  *string
	Tags         *map[string]string
	Enabled      *bool
	Interval     *time.Duration
	Begin        *time.Time
	ReplicateTo  *string
	PollInterval *time.Duration
	CacheTTL     *time.Duration
}

const (
	// defaultPoll is how often the value of a credential is looked at that is passed
	// on to a secret, shortestPoll the most often that can be asked for.
	defaultPoll  = 5 * time.Minute
	shortestPoll = 10 * time.Second
	// longestCache bounds how long a value is kept in memory.
	longestCache = time.Hour
)

// PutCredential creates a managed credential or changes it, and returns the
// generation to wait for. A *RefusedError means that nothing was stored. The work
// goes on after it returns.
func (e *Engine) PutCredential(ctx context.Context, c CredentialChange) (generation uint64, err error) {
	if err := CheckCredentialName(c.Name); err != nil {
		return 0, err
	}
	defer e.credentials.lock(c.Name)()
	before, err := e.loadCredential(ctx, c.Name)
	if err != nil {
		return 0, err
	}
	next, o, err := e.prepareCredential(ctx, c, before)
	if err != nil {
		return 0, err
	}
	e.credentials.outdate(c.Name)
	if err := e.storeCredential(ctx, next); err != nil {
		e.relearnCredential(before, next)
		return 0, err
	}
	o.refused.Store(nil) // a person asks: try again
	generation = e.credentials.begin(next, func(w *credentialWork) {
		w.state = firstSet(next.Progress.State, StatePending)
		w.untried = w.untried || before == nil
		if c.Initial.IsSet() {
			w.initial = c.Initial
		}
	})
	e.enqueueCredential(next.Destination, next.Name, quota.People)
	return generation, nil
}

// prepareCredential works out the record after a change, and refuses what can't
// succeed. The caller holds the credential's lock.
func (e *Engine) prepareCredential(ctx context.Context, c CredentialChange, before *ManagedCredential) (*ManagedCredential, *opened, error) {
	next := &ManagedCredential{Name: c.Name}
	if before != nil {
		next = before.clone()
	}
	if next.Removal != nil && next.Progress.Held != nil {
		next.Removal, next.Progress.Held, next.Progress.State = nil, nil, StatePending // it is wanted again
	}
	if next.Removal != nil {
		return nil, nil, Refusef("managed credential %q is being deleted; write it again when it is gone", c.Name)
	}
	if err := c.apply(next); err != nil {
		return nil, nil, err
	}
	o, product, err := e.credentialPlace(ctx, before, next)
	if err != nil {
		return nil, nil, err
	}
	if err := e.checkCredential(next, o, product, c.Initial); err != nil {
		return nil, nil, err
	}
	if err := e.checkCredentialTarget(ctx, next); err != nil {
		return nil, nil, err
	}
	if before == nil {
		next.Progress.State = StateCreating
		return next, o, e.checkCredentialRemote(ctx, next, product)
	}
	if next.begun() {
		return next, o, nil
	}
	w, _ := e.credentials.snapshot(c.Name)
	if !next.sameRequest(before) {
		if w.running {
			return nil, nil, Refusef("the cloud is just being asked for managed credential %q; look at managed/%s and try again in a moment", c.Name, c.Name)
		}
		next.Progress.Outdated = next.Progress.Outdated || !w.untried
	}
	next.Progress.State, next.Progress.Failure, next.Progress.NotMade = StateCreating, nil, nil
	return next, o, nil
}

// relearnCredential works on a credential of which it isn't known whether its
// change is in storage.
func (e *Engine) relearnCredential(before, next *ManagedCredential) {
	if before == nil {
		before = next
	}
	e.credentials.begin(before, nil)
	e.enqueueCredential(before.Destination, before.Name, quota.Retry)
}

// loadCredential returns a credential's record, nil if there is none.
func (e *Engine) loadCredential(ctx context.Context, name string) (*ManagedCredential, error) {
	c, err := managed.Get(ctx, e.storage, e.mount.id(name))
	if err != nil || c == nil {
		return nil, err
	}
	if c.Name != name {
		return nil, errors.New("the record of a managed credential holds another's name")
	}
	return c, nil
}

func (e *Engine) storeCredential(ctx context.Context, c *ManagedCredential) error {
	return managed.Put(ctx, e.storage, e.mount.id(c.Name), c)
}

// apply puts what is given into the credential, and refuses what can't change.
func (c CredentialChange) apply(to *ManagedCredential) error {
	fixed := []struct {
		name  string
		given *string
		field *string
	}{
		{"destination", c.Destination, &to.Destination},
		{"product", c.Product, &to.Product},
		{"instance_id", c.InstanceID, &to.InstanceID},
		{"kms_key_id", c.KMSKeyID, &to.KMSKeyID},
		{"remote_name", c.RemoteName, &to.NamedBy},
	}
	begun := to.begun()
	for _, f := range fixed {
		same := f.given == nil || *f.given == *f.field || f.name == "product" && strings.EqualFold(*f.given, *f.field)
		if same {
			continue
		}
		placed := f.name == "destination" && *f.field != "" || f.name == "remote_name" && to.RemoteName != ""
		if begun || placed {
			return unchangeable(to.Name, f.name)
		}
		*f.field = *f.given
	}
	for _, name := range slices.Sorted(maps.Keys(c.Parameters)) {
		if begun && to.Parameters[name] != c.Parameters[name] {
			return unchangeable(to.Name, name)
		}
		if to.Parameters == nil {
			to.Parameters = map[string]string{}
		}
		to.Parameters[name] = c.Parameters[name]
	}
	if begun && c.Initial.IsSet() {
		return unchangeable(to.Name, "initial_credentials")
	}
	set(&to.Description, c.Description)
	set(&to.Rotation.Enabled, c.Enabled)
	set(&to.Rotation.Interval, c.Interval)
	set(&to.Rotation.Begin, c.Begin)
	set(&to.ReplicateTo, c.ReplicateTo)
	set(&to.PollInterval, c.PollInterval)
	set(&to.CacheTTL, c.CacheTTL)
	if c.Tags != nil {
		to.Tags = maps.Clone(*c.Tags)
	}
	return nil
}

func unchangeable(name, field string) error {
	return Refusef("%s can't be changed once the cloud has begun with managed credential %q; write another credential, let its readers move, and delete this one", field, name)
}

// begun tells whether the cloud has begun with the credential, so that what is
// fixed can't be taken back.
func (c *ManagedCredential) begun() bool { return c.Progress.Made || c.Progress.Task != "" }

// sameRequest tells whether the cloud would be asked for the same.
func (c *ManagedCredential) sameRequest(other *ManagedCredential) bool {
	return c.Product == other.Product && c.InstanceID == other.InstanceID && c.KMSKeyID == other.KMSKeyID && maps.Equal(c.Parameters, other.Parameters)
}

// credentialPlace finds destination and product of a credential, and fills in its
// remote name.
func (e *Engine) credentialPlace(ctx context.Context, before, next *ManagedCredential) (*opened, provider.CredentialProduct, error) {
	var product provider.CredentialProduct
	if next.Destination == "" || next.Product == "" {
		return nil, product, Refusef("a managed credential needs destination, as type/name, and product; managed-products/type/name tells which there are")
	}
	o, err := e.destinationAt(ctx, next.Destination)
	if err != nil {
		return nil, product, err
	}
	if product, err = o.product(next.Product); err != nil {
		return nil, product, err
	}
	next.Product = product.Spelling(next.Product)
	d := o.destination
	if before == nil && !d.Allows(next.Name) {
		return nil, product, Refusef("destination %s doesn't take %q: it isn't among its allowed_paths %s", d.Ref(), next.Name, strings.Join(d.AllowedPaths, ", "))
	}
	if !next.begun() {
		if err := e.nameCredential(next, o, product); err != nil {
			return nil, product, err
		}
	}
	return o, product, nil
}

// checkCredential refuses what could never succeed.
func (e *Engine) checkCredential(next *ManagedCredential, o *opened, product provider.CredentialProduct, initial sensitive.String) error {
	if err := next.checkTimes(); err != nil {
		return err
	}
	n, err := e.newCredential(next, o)
	if err != nil {
		return err
	}
	n.Initial = initial
	if w, known := e.credentials.snapshot(next.Name); known && !initial.IsSet() {
		n.Initial = w.initial
	}
	if next.begun() {
		err = product.CheckRotation(n.Rotation)
	} else {
		err = product.CheckNew(n)
	}
	if err == nil {
		err = o.kind.Limits.CheckDescription(n.Description)
	}
	if err == nil {
		err = o.kind.Limits.Tags.Check(n.Tags)
	}
	if err != nil {
		return Refusef("destination %s: %v", next.Destination, err)
	}
	return nil
}

func (c *ManagedCredential) checkTimes() error {
	switch {
	case c.PollInterval != 0 && c.PollInterval < shortestPoll:
		return Refusef("poll_interval is %s, the shortest possible is %s: each look is a call that counts against the cloud's quota", c.PollInterval, shortestPoll)
	case c.CacheTTL < 0 || c.CacheTTL > longestCache:
		return Refusef("credential_cache_ttl is %s, possible are 0 to %s", c.CacheTTL, longestCache)
	case c.Rotation.Enabled && !c.Rotation.Begin.IsZero() && c.Rotation.Begin.Before(time.Unix(0, 0)):
		return Refusef("rotation_begin_time lies before 1970")
	}
	return nil
}

// product is a product of managed credentials of the destination.
func (o *opened) product(name string) (provider.CredentialProduct, error) {
	product, found := o.kind.CredentialProduct(name)
	if found {
		return product, nil
	}
	if len(o.kind.Credentials) == 0 {
		return product, Refusef("destination %s: %s has no managed credentials that this plugin knows", o.destination.Ref(), o.kind.Title)
	}
	var names []string
	for _, p := range o.kind.Credentials {
		names = append(append(names, p.Name), p.Names...)
	}
	slices.Sort(names)
	return product, Refusef("destination %s: product %q is unknown, possible are %s", o.destination.Ref(), abbreviate(name), strings.Join(names, ", "))
}

// nameCredential works out the remote name.
func (e *Engine) nameCredential(c *ManagedCredential, o *opened, product provider.CredentialProduct) error {
	rule := o.kind.Limits.Name
	switch {
	case product.AssignsName && c.NamedBy != "":
		return Refusef("product %s: the cloud makes the name up; leave remote_name out", c.Product)
	case product.AssignsName:
		c.RemoteName = ""
		return nil
	case c.NamedBy != "":
		c.RemoteName = c.NamedBy
		if !strings.HasPrefix(c.RemoteName, product.NamePrefix) {
			return Refusef("product %s: remote_name has to begin with %s", c.Product, product.NamePrefix)
		}
	default:
		room := rule
		room.MaxBytes -= len(product.NamePrefix)
		named := remotename.Normalise(c.Name, room)
		c.RemoteName = product.NamePrefix + named.Name
	}
	rule.ReservedPrefixes = slices.DeleteFunc(slices.Clone(rule.ReservedPrefixes), func(prefix string) bool {
		return product.NamePrefix != "" && strings.HasPrefix(product.NamePrefix, prefix)
	})
	if err := rule.Check(c.RemoteName); err != nil {
		return Refusef("destination %s: %v (remote name %q); set remote_name to a name that fits", c.Destination, err, abbreviate(c.RemoteName))
	}
	return nil
}

// newCredential is what the cloud is asked for, but for the initial credentials.
func (e *Engine) newCredential(c *ManagedCredential, o *opened) (provider.NewCredential, error) {
	d := o.destination
	if owner.Imitates(c.Description) {
		return provider.NewCredential{}, Refusef("description: it holds an ownership mark, which is this engine's to write")
	}
	fields := remotename.Fields{
		MountPath: e.place.Load().MountPath, MountAccessor: e.place.Load().MountAccessor,
		SecretPath: c.Name, DestinationType: d.Type, DestinationName: d.Name,
	}
	texts := map[string]string{}
	maps.Copy(texts, d.Defaults.Tags)
	maps.Copy(texts, c.Tags)
	tags := map[string]string{}
	for key, text := range texts {
		filled, err := (resolved{fields: fields}).text("tag "+key, text)
		if err != nil {
			return provider.NewCredential{}, Refusef("destination %s: %v", d.Ref(), err)
		}
		tags[key] = filled
	}
	description, err := (resolved{fields: fields}).text("description", firstSet(c.Description, valueOf(d.Defaults.Description)))
	if err != nil {
		return provider.NewCredential{}, Refusef("destination %s: %v", d.Ref(), err)
	}
	return provider.NewCredential{
		Product: c.Product, InstanceID: c.InstanceID, Parameters: c.Parameters,
		Description: e.credentialOwner(c.Name).Append(description), Tags: tags,
		KMSKeyID: firstSet(c.KMSKeyID, valueOf(d.Defaults.KMSKeyID)), Rotation: c.Rotation.provider(),
	}, nil
}

// provider is the schedule for the cloud. From a begin that has passed it goes on
// in whole intervals: what a cloud does about one isn't documented, and it might
// rotate at once.
func (s Schedule) provider() provider.Rotation {
	begin, now := s.Begin, time.Now()
	if s.Interval > 0 && !begin.IsZero() && begin.Before(now) {
		begin = now.Add(s.Interval - now.Sub(begin)%s.Interval)
	}
	return provider.Rotation{Enabled: s.Enabled, Interval: s.Interval, Begin: begin}
}

// checkCredentialRemote refuses a remote name that something else of this mount
// has. What others have is found out at the cloud.
func (e *Engine) checkCredentialRemote(ctx context.Context, c *ManagedCredential, product provider.CredentialProduct) error {
	if product.AssignsName {
		return nil
	}
	holder, err := e.holder(ctx, e.claimID(c.Destination, c.RemoteName), c.Destination, c.RemoteName)
	if err != nil {
		return err
	}
	if holder != "" {
		return Refusef("destination %s: the remote name %q is taken by secret %q; set remote_name to another name", c.Destination, c.RemoteName, holder)
	}
	return e.eachCredential(ctx, func(other *ManagedCredential) error {
		if other.Name != c.Name && other.Destination == c.Destination && firstSet(other.Progress.RemoteName, other.RemoteName) == c.RemoteName {
			return Refusef("destination %s: the remote name %q is taken by managed credential %q; set remote_name to another name", c.Destination, c.RemoteName, other.Name)
		}
		return nil
	})
}

// eachCredential calls visit for every managed credential.
func (e *Engine) eachCredential(ctx context.Context, visit func(c *ManagedCredential) error) error {
	ids, err := managed.List(ctx, e.storage, "")
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, err := managed.Get(ctx, e.storage, id)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		if err := visit(c); err != nil {
			return err
		}
	}
	return nil
}

// checkCredentialTarget refuses to pass a credential on to a secret that is in use
// by something else.
func (e *Engine) checkCredentialTarget(ctx context.Context, c *ManagedCredential) error {
	if c.ReplicateTo == "" || c.Progress.Passed != nil && c.Progress.Passed.Secret == c.ReplicateTo {
		return nil
	}
	if err := CheckName(c.ReplicateTo); err != nil {
		return Refusef("replicate_to: %v", err)
	}
	meta, err := e.ReadMetadata(ctx, c.ReplicateTo)
	if err != nil {
		return err
	}
	if meta != nil {
		return Refusef("replicate_to: secret %q is there already and not from this credential; choose a name that is free, or delete the secret first", c.ReplicateTo)
	}
	return e.eachCredential(ctx, func(other *ManagedCredential) error {
		if other.Name != c.Name && other.ReplicateTo == c.ReplicateTo {
			return Refusef("replicate_to: managed credential %q is passed on to secret %q already; choose another name", other.Name, c.ReplicateTo)
		}
		return nil
	})
}
