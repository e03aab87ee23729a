// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
)

// Take says whose value is to win where a remote is ahead of Vault.
type Take string

// Whose value it is.
const (
	TakeVault  Take = "vault"  // Vault's is sent
	TakeRemote Take = "remote" // the remote's becomes a new version in Vault
)

// ParseTake reads a Take.
func ParseTake(text string) (Take, error) {
	switch take := Take(text); take {
	case TakeVault, TakeRemote:
		return take, nil
	default:
		return "", Refusef("take=%q isn't one of vault and remote: vault sends what Vault has, remote makes the remote's value a new version in Vault", text)
	}
}

// Decision is what somebody decides about a secret whose remotes may be ahead of
// Vault.
type Decision struct {
	Name string
	// Destination is where it holds, "" for each; of TakeRemote it is the one whose
	// value wins everywhere.
	Destination string
	Take        Take
	Request     *logical.Request // of who decides
}

// Decided is what came of a decision.
type Decided struct {
	Ahead      []string // the slots that were ahead of Vault, sorted
	Confirmed  int      // how many others are as Vault knows them
	Version    uint64   // in Vault, which the remote's value was made; 0 if none was
	Generation uint64   // to wait for
}

// comparison is what a remote was found like.
type comparison struct {
	slot  string
	c     *convergence
	seen  plan.Observed
	ahead bool
	taken bool // its value is the one that wins
}

// Decide reads the remotes of a secret, and settles what becomes of those that
// are ahead of Vault; the others count as seen. It makes no remote change itself,
// and works while the mount is paused. Repeating it after a failure is safe.
func (e *Engine) Decide(ctx context.Context, d Decision) (Decided, error) {
	found, err := e.compareAll(ctx, d)
	if err != nil {
		return Decided{}, err
	}
	var decided Decided
	var taken []*comparison
	for i := range found {
		f := &found[i]
		if !f.ahead {
			decided.Confirmed++
			continue
		}
		decided.Ahead = append(decided.Ahead, f.slot)
		switch {
		case d.Take != TakeRemote, d.Destination != "" && slotRef(f.slot) != d.Destination:
			continue
		case len(taken) > 0 && slotRef(taken[0].slot) != slotRef(f.slot):
			return Decided{}, Refusef("secret %q is behind several remote secrets, at %s and %s: say with destination= whose value to take; the others then get it too", d.Name, slotRef(taken[0].slot), slotRef(f.slot))
		}
		f.taken = true
		taken = append(taken, f)
	}
	if d.Take == TakeRemote && len(taken) == 0 && len(decided.Ahead) > 0 {
		return Decided{}, Refusef("the remote secret of %q at %s isn't ahead of Vault; ahead are those at %s", d.Name, d.Destination, strings.Join(decided.Ahead, ", "))
	}
	var number uint64
	if d.Take == TakeRemote && len(taken) > 0 {
		if number, err = e.takeRemote(ctx, d, taken); err != nil {
			return Decided{}, err
		}
		decided.Version = number
	}
	decided.Generation, err = e.settleDecision(ctx, d, found)
	return decided, err
}

// compareAll reads the remotes of a secret that this engine doesn't know yet.
func (e *Engine) compareAll(ctx context.Context, d Decision) ([]comparison, error) {
	s, err := e.load(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	var found []comparison
	for _, slot := range s.slots() {
		replica := s.Replicas[slot]
		elsewhere := d.Destination != "" && slotRef(slot) != d.Destination
		if elsewhere && d.Take == TakeVault || replica.Refused != nil || replica.Term == e.term && !replica.isAhead() {
			continue
		}
		f, err := e.compareOne(ctx, s, slot)
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

func (e *Engine) compareOne(ctx context.Context, s *Secret, slot string) (comparison, error) {
	f := comparison{slot: slot}
	r, err := e.replicator(ctx, slotRef(slot))
	if err != nil {
		return f, err
	}
	if r == nil {
		return f, Refusef("destination %s doesn't exist any more", slotRef(slot))
	}
	values := e.readOnce()
	meta, err := e.store.ReadMetadata(ctx, values, s.Name)
	if err != nil {
		return f, err
	}
	replica := s.Replicas[slot]
	progress, _ := e.activities.snapshot(s.Name)
	f.c = e.convergence(r.current.Load(), values, s, meta, slot, progress[slot].doubt > 0)
	if err := e.desire(ctx, f.c, s, replica, meta); err != nil && !isRefusal(err) {
		return f, err
	}
	if err := f.c.look(ctx); err != nil {
		return f, err
	}
	f.seen = f.c.have
	f.c.remembered = &replica.Observed
	if replica.isAhead() {
		f.ahead = true // also if the remote is gone by now
		return f, nil
	}
	before := replica.Observed
	if err = f.c.recognise(ctx); err == nil && f.c.doubtful && f.seen.State == provider.StateEnabled && f.seen.Owner() == f.c.want.Owner {
		err = f.c.explain(ctx, before, f.seen.ReadersGet(f.c.want.PointerID), false)
	}
	if f.ahead, _ = isAhead(err); f.ahead {
		return f, nil
	}
	return f, err
}

func isRefusal(err error) bool {
	var refusal *RefusedError
	return errors.As(err, &refusal)
}

// takeRemote makes what readers of remotes at one destination get a new version in
// Vault, unless its newest is that, and notes in each that the remote holds it. There
// are several only with a replica of each key.
func (e *Engine) takeRemote(ctx context.Context, d Decision, taken []*comparison) (uint64, error) {
	values, ids, same := make([]provider.Value, len(taken)), make([]string, len(taken)), true
	for i, f := range taken {
		var err error
		if ids[i], values[i], err = f.readersGet(ctx); err != nil {
			return 0, err
		}
		same = same && payload.Digest(e.mount.digestKey(), values[i]) == f.c.want.Digest
	}
	s, err := e.load(ctx, d.Name)
	if err != nil {
		return 0, err
	}
	meta, err := e.ReadMetadata(ctx, d.Name)
	if err != nil {
		return 0, err
	}
	var current, live uint64
	if meta != nil {
		current, live = meta.Current, meta.Newest(time.Now())
	}
	if !same {
		data, format, err := e.dataOf(ctx, s, taken, values, live)
		if err != nil {
			return 0, err
		}
		if current, err = e.writeTaken(ctx, d, taken[0], data, format, current); err != nil {
			return 0, err
		}
	}
	number := plan.VersionNumber{Number: current, Incarnation: max(s.Incarnation, 1) + 1}
	for i, f := range taken {
		digest := payload.Digest(e.mount.digestKey(), values[i])
		f.seen = f.seen.Identified(ids[i], number, digest)
		if f.seen.Current.ID != ids[i] {
			f.seen.Current = plan.Current{ID: ids[i], Version: number, Digest: digest}
		}
	}
	return current, nil
}

// readersGet reads the version that readers of the remote get.
func (f *comparison) readersGet(ctx context.Context) (id string, value provider.Value, err error) {
	switch id = f.seen.ReadersGet(f.c.want.PointerID); {
	case !f.seen.Exists():
		return "", value, Refusef("the remote secret %q at %s isn't there any more, so it has no value to take; take=vault makes it anew", f.c.name, f.slot)
	case f.seen.CloudManaged || f.seen.Owner() != f.c.want.Owner:
		return "", value, Refusef("the remote secret %q at %s isn't this secret's any more: it doesn't carry its mark; take it over with import/%s match=%s adopt=true, or send Vault's value under another remote_name",
			f.c.name, f.slot, slotRef(f.slot), f.c.name)
	case id == "":
		return "", value, Refusef("the remote secret %q at %s has no version that could be taken", f.c.name, f.slot)
	}
	err = f.c.call(quota.WithLane(ctx, quota.People), func(ctx context.Context) (err error) {
		value, err = f.c.o.remote.Read(ctx, f.c.name, id)
		return err
	})
	return id, value, err
}

// writeTaken makes data a new version of the secret and returns its number.
func (e *Engine) writeTaken(ctx context.Context, d Decision, f *comparison, data map[string]any, format payload.Format, current uint64) (uint64, error) {
	cas := int(current) //nolint:gosec // version numbers are small
	changed, err := e.Apply(ctx, Change{
		Name: d.Name, Data: data, Implied: &format, CAS: &cas, Request: kvstore.WriteRequest(d.Request, d.Name, data, &cas),
	})
	if err != nil {
		return 0, err
	}
	if kvstore.Failed(changed.Response, nil) {
		return 0, Refusef("the value of the remote secret %q at %s can't be written to secret %q: %v", f.c.name, f.slot, d.Name, changed.Response.Error())
	}
	return kvstore.WrittenVersion(changed.Response), nil
}

// dataOf is the data of a new version that has the remotes' values in it, and the
// format that it implies. What else the live version has stays.
func (e *Engine) dataOf(ctx context.Context, s *Secret, taken []*comparison, values []provider.Value, live uint64) (map[string]any, payload.Format, error) {
	keys := make([]string, len(taken))
	for i, f := range taken {
		keys[i], _ = slotKey(f.slot)
	}
	if d := taken[0].c.o.destination; keys[0] == "" {
		byRules, err := e.byRules(ctx, s, d.Ref())
		if err != nil {
			return nil, "", err
		}
		r, err := e.resolve(s, d, byRules, newestVersion, nil)
		if err != nil {
			return nil, "", err
		}
		keys[0] = valueOf(r.settings.ValueKey)
	}
	if keys[0] == "" {
		data, format := decodeValue(values[0])
		return data, format, nil
	}
	version, err := e.ReadVersion(ctx, s.Name, live)
	if err != nil {
		return nil, "", err
	}
	data := map[string]any{}
	if version != nil {
		data = maps.Clone(version.Data)
	}
	for i, key := range keys {
		data[key] = values[i].Reveal()
		if values[i].IsBinary() {
			data[key] = base64.StdEncoding.EncodeToString([]byte(values[i].Reveal()))
		}
	}
	return data, payload.JSON, nil
}

// decodeValue is the data that a remote value stands for, and the format in which
// that gives the value again, apart from spaces and the order of keys.
func decodeValue(value provider.Value) (map[string]any, payload.Format) {
	if value.IsBinary() {
		return map[string]any{payload.Key: base64.StdEncoding.EncodeToString([]byte(value.Reveal()))}, payload.Binary
	}
	decoder := json.NewDecoder(strings.NewReader(value.Reveal()))
	decoder.UseNumber()
	var data map[string]any
	if err := decoder.Decode(&data); err == nil && data != nil && !decoder.More() {
		return data, payload.JSON
	}
	return map[string]any{payload.Key: value.Reveal()}, payload.Raw
}

// settleDecision stores what was found, and has the replicas worked on that were
// ahead. Their versions get another incarnation, so that no id ever stands for two
// values.
func (e *Engine) settleDecision(ctx context.Context, d Decision, found []comparison) (generation uint64, err error) {
	if len(found) == 0 {
		return 0, nil
	}
	defer e.lock(d.Name)()
	before, err := e.load(ctx, d.Name)
	if err != nil {
		return 0, err
	}
	s := before.clone()
	var ahead []string
	for _, f := range found {
		replica := s.Replicas[f.slot]
		if replica == nil || replica.RemoteName != f.c.name || replica.Term == e.term && !replica.isAhead() {
			continue // gone, renamed or settled meanwhile
		}
		replica.Term = e.term
		if !f.ahead {
			continue
		}
		ahead = append(ahead, f.slot)
		replica.Ahead, replica.Undecided, replica.Failure, replica.Drift, replica.State = false, false, nil, nil, StatePending
		replica.Observed = f.seen
		replica.Observed.Looked = false
		replica.Observed.Known = f.taken && f.seen.Current.Digest != ""
	}
	if len(ahead) > 0 {
		s.Incarnation = max(s.Incarnation, 1) + 1
	}
	if s.equal(before) {
		return 0, nil
	}
	if len(ahead) == 0 {
		return 0, e.storeSecret(ctx, s)
	}
	if err := e.begin(because(ctx, ReasonDecision), s); err != nil {
		return 0, err
	}
	if err := e.storeSecret(ctx, s); err != nil {
		e.enqueueAll(before, quota.Retry)
		return 0, err
	}
	for _, slot := range ahead {
		e.activities.report(d.Name, slot, func(p *progress) { p.state, p.failure, p.doubt = StatePending, nil, 0 })
	}
	generation = e.activities.renew(d.Name)
	e.enqueueAll(s, quota.People)
	return generation, nil
}

// undecided are the names of the secrets with outstanding work of which a remote
// was found ahead of Vault, sorted.
func (e *Engine) undecided(ctx context.Context) ([]string, error) {
	var names []string
	for _, name := range e.activities.names() {
		s, err := e.peek(ctx, name)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		for _, replica := range s.Replicas {
			if replica.isAhead() {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names, nil
}
