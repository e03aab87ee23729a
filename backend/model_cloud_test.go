// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// fate is what becomes of one remote call.
type fate string

// The fates. Those with a delay are in time or not, as the caller's patience goes.
const (
	failsBefore  fate = "fails before it takes effect"
	isThrottled  fate = "is throttled"
	isLostBefore fate = "gets no answer and has no effect"
	isLostAfter  fate = "takes effect and its answer is lost"
	hangsBefore  fate = "hangs until its caller gives up"
	hangsAfter   fate = "takes effect and hangs until its caller gives up"
	isLate       fate = "takes effect late"
	answersLate  fate = "is answered late"
	diesBefore   fate = "is the last one before a death, and has no effect"
	diesAfter    fate = "is the last one before a death"
	// outlives is what no engine can prevent: the call arrives when its caller
	// has long given up. What is asked then is less, see world.outlived.
	outlives fate = "takes effect after its caller gave up"
)

// remoteFault is a fate for the nth call from now on, at one place or at any.
type remoteFault struct {
	ref   string
	nth   int
	fate  fate
	delay time.Duration
}

// place is one destination's account, and what was seen there.
type place struct {
	ref    string
	kind   provider.Kind
	region *providertest.Region
	model  providertest.Model
	// outage fails every call while it is set; under world.mu.
	outage *provider.Error
	seen   *sightings
}

// wire carries a node's calls to a place, and is where they go wrong.
type wire struct {
	provider.Destination
	gate provider.Gate
	w    *world
	n    *node
	p    *place
}

// connect gives a destination of a node the faults of the world, with exactly the
// abilities that it has.
func connect(n *node, p *place, gate provider.Gate, d provider.Destination) provider.Destination {
	c := &wire{Destination: d, gate: gate, w: n.w, n: n, p: p}
	labels := wiredLabels{c, wiredRestorer{c}, wiredMover{c}, wiredTagger{c}}
	for _, candidate := range []provider.Destination{
		c,
		labels,
		wiredKeys{labels, wiredKeyChanger{c}},
		wiredPointer{c, wiredOverwriter{c}, wiredDeleter{c}, wiredSwitcher{c}, wiredRestorer{c}, wiredTagger{c}},
	} {
		if provider.AbilitiesOf(candidate) == provider.AbilitiesOf(d) {
			return candidate
		}
	}
	panic(fmt.Sprintf("no wire has the abilities %+v", provider.AbilitiesOf(d)))
}

// call takes a call through the gate of its node and makes it with the fate that
// it has. The effect is what it would do at the place.
func call[T any](ctx context.Context, c *wire, op, name string, effect func(ctx context.Context) (T, error)) (answer T, err error) {
	sent := provider.Call{Operation: op, Writes: providertest.IsWrite(op)}
	err = sent.Send(ctx, c.gate, func(ctx context.Context, heard *provider.Heard) (err error) {
		answer, err = attempt(ctx, c, op, name, effect)
		heard.RequestID = "model"
		return err
	})
	return answer, err
}

func attempt[T any](ctx context.Context, c *wire, op, name string, effect func(ctx context.Context) (T, error)) (answer T, err error) {
	fault, latency := c.w.fateOf(c.p)
	if !pause(ctx, latency) {
		return answer, gaveUp(ctx, op)
	}
	if failure := c.w.failureOf(c.n, c.p); failure != nil {
		return answer, failure
	}
	switch fault.fate {
	case failsBefore:
		return answer, providertest.Failure(provider.ClassUnavailable)
	case isThrottled:
		return answer, providertest.Failure(provider.ClassThrottled)
	case isLostBefore:
		return answer, providertest.LostAnswer()
	case hangsBefore:
		<-ctx.Done()
		return answer, gaveUp(ctx, op)
	case isLate:
		if !pause(ctx, fault.delay) {
			return answer, gaveUp(ctx, op)
		}
	case diesBefore:
		c.n.die()
		return answer, providertest.LostAnswer()
	case outlives:
		<-ctx.Done()
		c.w.late.Go(func() {
			time.Sleep(fault.delay)
			_, _ = happen(context.WithoutCancel(ctx), &wire{w: c.w, p: c.p}, op, name, effect)
		})
		return answer, gaveUp(ctx, op)
	default:
	}
	done, err := happen(ctx, c, op, name, effect)
	switch fault.fate {
	case isLostAfter:
		return answer, providertest.LostAnswer()
	case hangsAfter:
		<-ctx.Done()
		return answer, gaveUp(ctx, op)
	case answersLate:
		if !pause(ctx, fault.delay) {
			return answer, gaveUp(ctx, op)
		}
	case diesAfter:
		c.n.die()
		return answer, providertest.LostAnswer()
	default:
	}
	return done, err
}

// happen lets a call take effect, unless its node is dead by now, and looks at
// what readers get from then on.
func happen[T any](ctx context.Context, c *wire, op, name string, effect func(ctx context.Context) (T, error)) (answer T, err error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.n != nil && c.n.dead.Load() {
		return answer, providertest.LostAnswer()
	}
	answer, err = effect(ctx)
	c.w.remoteCalls++
	if providertest.IsWrite(op) {
		c.w.observeLocked(c.p, name)
		if c.n == nil || c.n.deposed.Load() {
			c.w.noteOutlivedLocked(c.p, name)
		}
	}
	return answer, err
}

// act is call for what answers with nothing but success.
func act(ctx context.Context, c *wire, op, name string, effect func(ctx context.Context) error) error {
	_, err := call(ctx, c, op, name, func(ctx context.Context) (struct{}, error) { return struct{}{}, effect(ctx) })
	return err
}

// pause waits, and tells whether the caller still does.
func pause(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// gaveUp is the error of a call whose caller stopped waiting.
func gaveUp(ctx context.Context, op string) error {
	e := &provider.Error{Class: provider.ClassUnavailable, Operation: op, Message: "interrupted", Ambiguous: providertest.IsWrite(op)}
	return e.Because(ctx.Err())
}

func (c *wire) Describe(ctx context.Context, name string) (provider.Secret, error) {
	return call(ctx, c, providertest.OpDescribe, name, func(ctx context.Context) (provider.Secret, error) {
		return c.Destination.Describe(ctx, name)
	})
}

func (c *wire) Versions(ctx context.Context, name string) ([]provider.Version, error) {
	return call(ctx, c, providertest.OpVersions, name, func(ctx context.Context) ([]provider.Version, error) {
		return c.Destination.Versions(ctx, name)
	})
}

func (c *wire) Read(ctx context.Context, name, versionID string) (provider.Value, error) {
	return call(ctx, c, providertest.OpRead, name, func(ctx context.Context) (provider.Value, error) {
		return c.Destination.Read(ctx, name, versionID)
	})
}

func (c *wire) Create(ctx context.Context, name string, s provider.NewSecret) (provider.Created, error) {
	return call(ctx, c, providertest.OpCreate, name, func(ctx context.Context) (provider.Created, error) {
		return c.Destination.Create(ctx, name, s)
	})
}

func (c *wire) PutVersion(ctx context.Context, name, versionID string, v provider.Value) (string, error) {
	return call(ctx, c, providertest.OpPutVersion, name, func(ctx context.Context) (string, error) {
		return c.Destination.PutVersion(ctx, name, versionID, v)
	})
}

func (c *wire) SetDescription(ctx context.Context, name, description string) error {
	return act(ctx, c, providertest.OpSetDescription, name, func(ctx context.Context) error {
		return c.Destination.SetDescription(ctx, name, description)
	})
}

func (c *wire) Delete(ctx context.Context, name string, window time.Duration) error {
	return act(ctx, c, providertest.OpDelete, name, func(ctx context.Context) error {
		return c.Destination.Delete(ctx, name, window)
	})
}

// The abilities are types of their own, so that a wire has those of its place.
type (
	wiredOverwriter struct{ c *wire }
	wiredDeleter    struct{ c *wire }
	wiredSwitcher   struct{ c *wire }
	wiredRestorer   struct{ c *wire }
	wiredMover      struct{ c *wire }
	wiredTagger     struct{ c *wire }
	wiredKeyChanger struct{ c *wire }

	wiredPointer struct {
		*wire
		wiredOverwriter
		wiredDeleter
		wiredSwitcher
		wiredRestorer
		wiredTagger
	}
	wiredLabels struct {
		*wire
		wiredRestorer
		wiredMover
		wiredTagger
	}
	wiredKeys struct {
		wiredLabels
		wiredKeyChanger
	}
)

func (a wiredOverwriter) Overwrite(ctx context.Context, name, versionID string, v provider.Value) error {
	return act(ctx, a.c, providertest.OpOverwrite, name, func(ctx context.Context) error {
		return provider.Overwrite(ctx, a.c.Destination, name, versionID, v)
	})
}

func (a wiredDeleter) DeleteVersion(ctx context.Context, name, versionID string) error {
	return act(ctx, a.c, providertest.OpDeleteVersion, name, func(ctx context.Context) error {
		return provider.DeleteVersion(ctx, a.c.Destination, name, versionID)
	})
}

func (a wiredSwitcher) Enable(ctx context.Context, name string) error {
	return act(ctx, a.c, providertest.OpEnable, name, func(ctx context.Context) error {
		return provider.Enable(ctx, a.c.Destination, name)
	})
}

func (a wiredSwitcher) Disable(ctx context.Context, name string) error {
	return act(ctx, a.c, providertest.OpDisable, name, func(ctx context.Context) error {
		return provider.Disable(ctx, a.c.Destination, name)
	})
}

func (a wiredRestorer) Restore(ctx context.Context, name string) error {
	return act(ctx, a.c, providertest.OpRestore, name, func(ctx context.Context) error {
		return provider.Restore(ctx, a.c.Destination, name)
	})
}

func (a wiredMover) MoveCurrent(ctx context.Context, name, versionID string) error {
	return act(ctx, a.c, providertest.OpMoveCurrent, name, func(ctx context.Context) error {
		return provider.MoveCurrent(ctx, a.c.Destination, name, versionID)
	})
}

func (a wiredTagger) ChangeTags(ctx context.Context, name string, set map[string]string, remove []string) error {
	return act(ctx, a.c, providertest.OpChangeTags, name, func(ctx context.Context) error {
		return provider.ChangeTags(ctx, a.c.Destination, name, set, remove)
	})
}

func (a wiredKeyChanger) ChangeKey(ctx context.Context, name, kmsKeyID string) error {
	return act(ctx, a.c, providertest.OpChangeKey, name, func(ctx context.Context) error {
		return provider.ChangeKey(ctx, a.c.Destination, name, kmsKeyID)
	})
}
