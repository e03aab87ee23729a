// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// RemoteOwner says whose a remote secret is.
type RemoteOwner string

// The owners.
const (
	RemoteOurs         RemoteOwner = "ours"          // carries this mount's mark
	RemoteAnotherMount RemoteOwner = "another_mount" // carries another mount's
	RemoteCloudManaged RemoteOwner = "cloud_managed" // no mark, and the cloud makes its value
	RemoteUnmanaged    RemoteOwner = "unmanaged"     // no mark
)

// RemoteOwners are all owners.
func RemoteOwners() []RemoteOwner {
	return []RemoteOwner{RemoteOurs, RemoteAnotherMount, RemoteCloudManaged, RemoteUnmanaged}
}

// RemoteSecret is a secret that is in the cloud.
type RemoteSecret struct {
	provider.Secret
	Text  string     // the description without the mark
	Mark  owner.Mark // the zero one if there is none
	Owner RemoteOwner
	// SecretName is the secret in Vault that has the name; for one of another mount
	// what its mark says. InVault is set when there is a replica under the name.
	SecretName string
	InVault    bool
	Versions   []provider.Version // if they were asked for
	// Failure is why it can't be told more.
	Failure *Failure
}

// InventoryQuery asks for what is in the cloud.
type InventoryQuery struct {
	Destination string
	Owner       RemoteOwner // "" for all
	Versions    bool        // also the versions, for a call each
	After       string      // the Next of the page before
	Limit       int         // look at so many at most
}

// Inventory is a page of what is in the cloud, in the order of the service.
type Inventory struct {
	Secrets []RemoteSecret
	Next    string // "" at the end. A page may be short, or empty, before it
}

// pagePosition is where a page begins: behind some rows of a page of the
// service's.
type pagePosition struct {
	Token string `json:"t,omitempty"`
	Skip  int    `json:"s,omitempty"`
}

func (p pagePosition) encode() string {
	text, _ := json.Marshal(p) // of a text and a number
	return base64.RawURLEncoding.EncodeToString(text)
}

func parsePagePosition(text string) (p pagePosition, err error) {
	if text == "" {
		return p, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(decoded, &p)
	}
	if err != nil || p.Skip < 0 {
		return p, Refusef("after isn't the next of a page before; leave it out for the first page")
	}
	return p, nil
}

// Inventory returns a page of what is in the cloud. It reads, and changes nothing.
func (e *Engine) Inventory(ctx context.Context, q InventoryQuery) (*Inventory, error) {
	if !e.Started() {
		return nil, Refusef("this node doesn't replicate, so it makes no calls; ask the active node of the primary cluster")
	}
	from, err := parsePagePosition(q.After)
	if err != nil {
		return nil, err
	}
	o, lister, err := e.listerAt(ctx, q.Destination)
	if err != nil {
		return nil, err
	}
	ctx = quota.WithLane(ctx, quota.Retry) // after what people write
	page := &Inventory{}
	var rows []provider.Secret
	for len(rows) < q.Limit {
		var listed []provider.Secret
		var next string
		err := callRemote(ctx, func(ctx context.Context) (err error) {
			listed, next, err = lister.List(ctx, from.Token)
			return err
		})
		if err != nil {
			return nil, listFailure(q, err)
		}
		listed = listed[min(from.Skip, len(listed)):]
		if room := q.Limit - len(rows); len(listed) > room {
			rows = append(rows, listed[:room]...)
			page.Next = pagePosition{Token: from.Token, Skip: from.Skip + room}.encode()
			break
		}
		rows = append(rows, listed...)
		if next == "" {
			page.Next = ""
			break
		}
		from = pagePosition{Token: next}
		page.Next = from.encode()
	}
	seen := make([]RemoteSecret, len(rows))
	each(len(rows), inventoryWorkers, func(i int) {
		seen[i] = e.assess(ctx, o, rows[i], q.Versions)
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, s := range seen {
		if q.Owner == "" || q.Owner == s.Owner {
			page.Secrets = append(page.Secrets, s)
		}
	}
	return page, nil
}

// listFailure lets people know about a page token that the service refuses.
func listFailure(q InventoryQuery, err error) error {
	if q.After != "" && provider.ClassOf(err) == provider.ClassInvalid {
		return Refusef("destination %s: %v", q.Destination, err)
	}
	return fmt.Errorf("list the secrets of destination %s: %w", q.Destination, err)
}

// inventoryWorkers is how many secrets of a page are described at once.
const inventoryWorkers = 16

// each calls work for 0 to n-1, for some at once.
func each(n, workers int, work func(i int)) {
	next := make(chan int)
	var group sync.WaitGroup
	for range min(workers, n) {
		group.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

// listerAt returns a destination that can take inventory. A *RefusedError says
// that it can't.
func (e *Engine) listerAt(ctx context.Context, ref string) (*opened, provider.Lister, error) {
	o, err := e.destinationAt(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	lister, ok := o.remote.(provider.Lister)
	switch {
	case !ok:
		return nil, nil, Refusef("destination %s: %s can't list its secrets", ref, o.kind.Title)
	case o.destination.Disabled:
		return nil, nil, Refusef("destination %s is disabled; enable it first", ref)
	}
	return o, lister, nil
}

// assess finds out what there is to know of a listed secret. Rows that are short
// of a description cost a call.
func (e *Engine) assess(ctx context.Context, o *opened, row provider.Secret, versions bool) RemoteSecret {
	var failed error
	if row.Brief {
		err := callRemote(ctx, func(ctx context.Context) error {
			described, err := o.remote.Describe(ctx, row.Name)
			if err == nil {
				row = described
			}
			return err
		})
		failed = err
	}
	s := e.owned(ctx, o, row)
	if versions && failed == nil {
		failed = callRemote(ctx, func(ctx context.Context) (err error) {
			s.Versions, err = o.remote.Versions(ctx, row.Name)
			return err
		})
	}
	if failed != nil {
		s.Failure = e.failure(failed)
	}
	return s
}

// owned tells whose a remote secret is, by its mark and by what is in Vault.
func (e *Engine) owned(ctx context.Context, o *opened, row provider.Secret) RemoteSecret {
	s := RemoteSecret{Secret: row}
	s.Text, s.Mark = owner.Split(row.Description)
	holding, err := e.Lookup(ctx, o.destination.Ref(), row.Name)
	if err == nil && holding.Secret != "" {
		s.InVault, s.SecretName = true, holding.Secret
	}
	switch {
	case s.Mark.Mount == e.mount.ID:
		s.Owner = RemoteOurs
		if !s.InVault || owner.For(e.mount.ID, s.SecretName) != s.Mark {
			s.SecretName = s.Mark.SecretName()
			s.InVault = e.isCredentialAt(ctx, o, s)
		}
	case !s.Mark.IsZero():
		s.Owner, s.SecretName, s.InVault = RemoteAnotherMount, s.Mark.SecretName(), false
	case row.CloudManaged:
		s.Owner = RemoteCloudManaged
	default:
		s.Owner = RemoteUnmanaged
	}
	return s
}

// isCredentialAt tells whether a marked remote secret is a managed credential that
// Vault has.
func (e *Engine) isCredentialAt(ctx context.Context, o *opened, s RemoteSecret) bool {
	name, managed := strings.CutPrefix(s.Mark.SecretName(), managedMark)
	if !managed {
		return false
	}
	c, err := e.loadCredential(ctx, name)
	return err == nil && c != nil && c.Destination == o.destination.Ref() && firstSet(c.Progress.RemoteName, c.RemoteName) == s.Name
}

// Tombstone tells whether the secret is only there to be restored.
func (s RemoteSecret) Tombstone() bool { return s.State == provider.StatePendingDeletion }

// callRemote makes one remote call, and again if it was throttled.
func callRemote(ctx context.Context, remote func(context.Context) error) error {
	for attempt := 0; ; attempt++ {
		err := remote(ctx)
		var refused *provider.Error
		again := errors.As(err, &refused) && refused.Class == provider.ClassThrottled && !refused.Ambiguous
		if !again || attempt == mostThrottled || ctx.Err() != nil {
			return err
		}
	}
}
