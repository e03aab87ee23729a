// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// metaTime is how long what the cloud tells of a schedule is kept in memory, so
// that reading a value costs one call and not two each time.
const metaTime = time.Minute

// CredentialRead is a value as it is handed out.
type CredentialRead struct {
	provider.CredentialValue
	LastRotation time.Time
	NextRotation time.Time
	Interval     time.Duration // of the schedule; 0 without one
	Rotating     bool
	Works        string // which of the values this is, as a sentence
	Cached       bool
}

// cachedValue is what is kept of a credential in memory.
type cachedValue struct {
	read  CredentialRead
	until time.Time // for the value; zero if it isn't kept
	meta  time.Time // for what is told of the schedule
}

// cached returns what is kept, and the epoch that it belongs to.
func (cs *credentials) cached(name string) (kept cachedValue, epoch uint64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.values[name], cs.epochs[name]
}

// keep keeps a value that was read in an epoch, unless it is out of date.
func (cs *credentials) keep(name string, epoch uint64, value cachedValue) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.epochs[name] == epoch && cs.byName[name] != nil {
		cs.values[name] = value
	}
}

// outdate drops what is kept of a credential, and what is just being read.
func (cs *credentials) outdate(name string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.values, name)
	cs.epochs[name]++
}

// ReadCredential returns the value that works now, from the cloud or, if the
// credential allows it, from memory. Requests that come at one time share the
// calls.
func (e *Engine) ReadCredential(ctx context.Context, name string) (*CredentialRead, error) {
	c, err := e.madeCredential(ctx, name)
	if err != nil {
		return nil, err
	}
	kept, epoch := e.credentials.cached(name)
	if time.Now().Before(kept.until) {
		read := kept.read
		read.Cached = true
		return &read, nil
	}
	flight := e.credentials.reads.DoChan(name+"\x00"+strconv.FormatUint(epoch, 10), func() (any, error) {
		// A request that ends must not fail those that wait with it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*provider.CallTimeout)
		defer cancel()
		return c.read(quota.WithLane(ctx, quota.People), e, epoch)
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return nil, result.Err
		}
		read, _ := result.Val.(CredentialRead)
		return &read, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// madeCredential is one that the cloud has made.
type madeCredential struct {
	*ManagedCredential
	issuer  provider.CredentialIssuer
	product provider.CredentialProduct
	remote  string // its name there
}

func (c madeCredential) read(ctx context.Context, e *Engine, epoch uint64) (CredentialRead, error) {
	issuer, name := c.issuer, c.remote
	kept, _ := e.credentials.cached(c.Name)
	read, meta := kept.read, kept.meta
	if !time.Now().Before(meta) {
		found, err := issuer.DescribeCredential(ctx, name)
		if err != nil {
			return read, describeReading(c, err)
		}
		read = CredentialRead{
			LastRotation: utc(found.LastRotation), NextRotation: utc(found.NextRotation),
			Rotating: found.State == provider.CredentialRotating,
		}
		if found.Rotation.Enabled {
			read.Interval = found.Rotation.Interval
		}
		meta = time.Now().Add(metaTime)
	}
	value, err := issuer.ReadCredential(ctx, name)
	if err != nil {
		return read, describeReading(c, err)
	}
	read.CredentialValue, read.Rotating = value, read.Rotating || c.rotates()
	read.Works = works(read, c.product)
	next := cachedValue{read: read}
	if !read.Rotating {
		next.meta = beforeRotation(meta, read.NextRotation)
		if c.CacheTTL > 0 {
			next.until = beforeRotation(time.Now().Add(c.CacheTTL), read.NextRotation)
		}
	}
	if next.until.IsZero() {
		next.read.CredentialValue = provider.CredentialValue{} // nothing of it stays in memory
	}
	e.credentials.keep(c.Name, epoch, next)
	return read, nil
}

// beforeRotation is the time until which something holds, at the latest a moment
// before the next rotation. While that is overdue nothing holds.
func beforeRotation(until, rotation time.Time) time.Time {
	const moment = time.Second
	if rotation.IsZero() || until.Before(rotation.Add(-moment)) {
		return until
	}
	return rotation.Add(-moment)
}

// works says which of the values is answered.
func works(read CredentialRead, product provider.CredentialProduct) string {
	if !read.Rotating {
		return "This is the value that works now; no rotation is under way."
	}
	if product.Rotating != "" {
		return "A rotation is under way. " + product.Rotating
	}
	return "A rotation is under way. This is the value that the cloud gives readers now; read again when it is over."
}

// RemoteError says that the cloud didn't answer a question as hoped for. Its text is
// for the caller and free of secrets.
type RemoteError struct {
	Class   provider.Class
	message string
}

func (e *RemoteError) Error() string { return e.message }

// describeReading says what failed.
func describeReading(c madeCredential, err error) error {
	class := provider.ClassOf(err)
	return &RemoteError{class, fmt.Sprintf("managed credential %q can't be read from destination %s: %v (class %s); %s",
		c.Name, c.Destination, err, class, CredentialAction(class))}
}

// CredentialAction is what a person does about an error of that class that a
// managed credential has met.
func CredentialAction(class provider.Class) string {
	switch class {
	case provider.ClassThrottled, provider.ClassUnavailable, provider.ClassInternal:
		return "it may end by itself; if it lasts, check the destination"
	case provider.ClassAuth:
		return "correct the credentials of the destination"
	case provider.ClassPermission:
		return "allow the call in the cloud's access policy, then write or read it again"
	case provider.ClassNotFound:
		return "what the message names isn't at the cloud: if it is the credential itself, delete it here and write it again"
	case provider.ClassExists, provider.ClassOwnership:
		return "choose another remote_name, or remove what has the name at the cloud if nobody needs it"
	case provider.ClassConflict:
		return "look at it at the cloud: it may be at work, disabled or about to be deleted"
	case provider.ClassLimit:
		return "raise the quota at the cloud or delete what isn't needed there, then write it again"
	case provider.ClassKMS:
		return "make the KMS key usable for the destination's credentials, or use another"
	case provider.ClassInvalid:
		return "change what the message names and write it again"
	default:
		return class.Action()
	}
}

// madeCredential returns a credential that the cloud has made. A *RefusedError
// says that there is none.
func (e *Engine) madeCredential(ctx context.Context, name string) (c madeCredential, err error) {
	if c.ManagedCredential, err = e.loadCredential(ctx, name); err != nil {
		return c, err
	}
	if c.ManagedCredential == nil {
		return c, errNoCredential(name)
	}
	o, err := e.destinationAt(ctx, c.Destination)
	if err != nil {
		return c, err
	}
	if c.product, err = o.product(c.Product); err != nil {
		return c, err
	}
	c.issuer, c.remote = provider.IssuerOf(o.remote), c.ManagedCredential.remote(c.product)
	switch {
	case c.Removal != nil:
		return c, Refusef("managed credential %q is being deleted", name)
	case !c.Progress.Made:
		return c, Refusef("managed credential %q isn't made yet (%s); see managed/%s", name, firstSet(c.Progress.State, StateCreating), name)
	case o.destination.Disabled:
		return c, Refusef("destination %s is disabled; enable it with disabled=false", c.Destination)
	case c.issuer == nil:
		return c, fmt.Errorf("destination %s makes no credentials", c.Destination)
	}
	return c, nil
}

// CredentialSchedule is the schedule as the cloud has it.
type CredentialSchedule struct {
	Wanted       Schedule // as it was set here
	Rotation     provider.Rotation
	LastRotation time.Time
	NextRotation time.Time
	Problem      string // why it stopped, "" if it didn't
	State        provider.CredentialState
}

// ReadRotation asks the cloud for the schedule.
func (e *Engine) ReadRotation(ctx context.Context, name string) (*CredentialSchedule, error) {
	c, err := e.madeCredential(ctx, name)
	if err != nil {
		return nil, err
	}
	found, err := c.issuer.DescribeCredential(quota.WithLane(ctx, quota.People), c.remote)
	if err != nil {
		return nil, describeReading(c, err)
	}
	return &CredentialSchedule{
		Wanted: c.Rotation, Rotation: found.Rotation, LastRotation: utc(found.LastRotation), NextRotation: utc(found.NextRotation),
		Problem: found.RotationProblem, State: found.State,
	}, nil
}

// CredentialHistory asks the cloud for the versions of a credential, newest first.
func (e *Engine) CredentialHistory(ctx context.Context, name string) ([]provider.CredentialVersion, error) {
	c, err := e.madeCredential(ctx, name)
	if err != nil {
		return nil, err
	}
	versions, err := c.issuer.CredentialVersions(quota.WithLane(ctx, quota.People), c.remote)
	if err != nil {
		return nil, describeReading(c, err)
	}
	return versions, nil
}

// CredentialProducts are the products that this plugin knows for a destination, and
// the names that the service says it supports.
func (e *Engine) CredentialProducts(ctx context.Context, ref string) (known []provider.CredentialProduct, supported []string, err error) {
	o, err := e.destinationAt(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	issuer := provider.IssuerOf(o.remote)
	if issuer == nil || len(o.kind.Credentials) == 0 {
		return nil, nil, nil
	}
	supported, err = issuer.Products(quota.WithLane(ctx, quota.People))
	if err != nil {
		class := provider.ClassOf(err)
		return nil, nil, &RemoteError{class, fmt.Sprintf("destination %s doesn't tell its products: %v (class %s); %s", ref, err, class, CredentialAction(class))}
	}
	slices.Sort(supported)
	return o.kind.Credentials, slices.Compact(supported), nil
}
