// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// sightings are what was seen at a place over time; under world.mu.
type sightings struct {
	values  map[[2]string]string // by remote name and version id: the value that it ever held
	served  map[string][]serving // by remote name: what readers got, in order
	foreign map[string]providertest.Stored
	// left are the remote secrets that may stay readable: those that were released
	// or forgotten at some time. Those given away for good aren't taken back.
	left, given map[string]bool
	forgotten   bool // the destination was deleted, which leaves everything there
	wrong       []string
}

// serving is a value that readers began to get.
type serving struct {
	value string
	since time.Time
}

func newSightings() *sightings {
	return &sightings{
		values: map[[2]string]string{}, served: map[string][]serving{},
		foreign: map[string]providertest.Stored{}, left: map[string]bool{}, given: map[string]bool{},
	}
}

var valueText = regexp.MustCompile(`t[0-9]{7}`)

// plain is the value that was written, in whatever form it arrived: each value in
// a world is another text of that form, and base64.
func plain(v provider.Value) string {
	text := v.Reveal()
	if v.IsBinary() {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return valueText.FindString(text)
}

// isPointer tells whether a version id always holds the current value.
func (p *place) isPointer(id string) bool {
	return p.model.Abilities.Overwrites && plan.ParseVersionID(id).Number == 0
}

// readable is what readers at the place get who name no version; nil for nothing.
func (p *place) readable(name, pointer string) *provider.Value {
	secret, found := p.region.Secret(name)
	if !found || secret.State != provider.StateEnabled {
		return nil
	}
	for _, v := range secret.Versions {
		if v.ID == pointer || slices.Contains(v.Labels, providertest.LabelCurrent) {
			return &v.Value
		}
	}
	return nil
}

// observeLocked looks at what a call left. The caller holds world.mu.
func (w *world) observeLocked(p *place, name string) {
	secret, _ := p.region.Secret(name)
	for _, v := range secret.Versions {
		key, value := [2]string{name, v.ID}, plain(v.Value)
		if p.isPointer(v.ID) || value == "" {
			continue
		}
		if before := p.seen.values[key]; before != "" && before != value {
			p.seen.wrong = append(p.seen.wrong, fmt.Sprintf("%s: %s version %s held %s and then %s", p.ref, name, v.ID, before, value))
		}
		p.seen.values[key] = value
	}
	got := p.readable(name, p.kind.CurrentVersionID)
	if got == nil {
		return
	}
	served := p.seen.served[name]
	if n := len(served); n == 0 || served[n-1].value != plain(*got) {
		p.seen.served[name] = append(served, serving{plain(*got), time.Now()})
	}
}

// noteOutlivedLocked notes that a call changed a remote secret when nobody waited any
// more. The caller holds world.mu.
func (w *world) noteOutlivedLocked(p *place, name string) {
	if w.outlived[p] == nil {
		w.outlived[p] = map[string]bool{}
	}
	w.outlived[p][name] = true
}

// truth is a secret as Vault has it.
type truth struct {
	name         string
	live, newest uint64 // the highest version that is live, and that there ever was
	versions     map[uint64]bool
	destroyed    map[uint64]bool
	written      string // the parameter in whose form the live version is
	value        string // of the live version
	settings     map[string]any
	named        []string // destinations that it names itself
	destinations []string // where it goes, by its own settings and by rules
	ruled        []ruled
	replicas     map[string]any // of status/
}

// ruled is what a rule in force asks for a secret.
type ruled struct {
	destinations []string
	tags         map[string]string
}

// ruled are the rules in force that match a name.
func (w *world) ruled(name string) (matching []ruled) {
	for _, rule := range modelRules {
		data := w.look("rules/"+rule, nil)
		globs, _ := data["match"].([]string)
		if !slices.ContainsFunc(globs, func(glob string) bool { return doublestar.MatchUnvalidated(glob, name) }) {
			continue
		}
		r := ruled{}
		r.destinations, _ = data["destinations"].([]string)
		r.tags, _ = data["tags"].(map[string]string)
		matching = append(matching, r)
	}
	return matching
}

func (w *world) truth(name string) truth {
	v := truth{name: name, versions: map[uint64]bool{}, destroyed: map[uint64]bool{}, settings: map[string]any{}}
	if meta := w.look("metadata/"+name, nil); meta["versions"] != nil {
		versions, _ := meta["versions"].(map[string]any)
		for text, raw := range versions {
			number, _ := strconv.ParseUint(text, 10, 64)
			info, _ := raw.(map[string]any)
			v.newest = max(v.newest, number)
			gone, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(info["deletion_time"]))
			v.destroyed[number], _ = info["destroyed"].(bool)
			v.versions[number] = !v.destroyed[number] && (gone.IsZero() || gone.After(time.Now()))
			if v.versions[number] && number > v.live {
				v.live = number
			}
		}
	}
	if status := w.look("status/"+name, nil); status != nil {
		v.settings, _ = status["settings"].(map[string]any)
		v.replicas, _ = status["destinations"].(map[string]any)
	}
	v.destinations, _ = v.settings["destinations"].([]string)
	v.named = v.destinations
	v.ruled = w.ruled(name)
	if v.newest > 0 {
		for _, rule := range v.ruled {
			for _, ref := range rule.destinations {
				if !slices.Contains(v.destinations, ref) {
					v.destinations = append(slices.Clone(v.destinations), ref)
				}
			}
		}
	}
	if v.live > 0 {
		v.written, v.value = w.version(name, v.live)
	}
	return v
}

// version reads a version of a secret: the parameter in whose form it is, and its
// value.
func (w *world) version(name string, number uint64) (written, value string) {
	// A deletion that the KV library broke off leaves versions that can't be read.
	data, _ := w.tryLook("secrets/"+name, map[string]any{"version": int(number)}) //nolint:gosec // numbers are small
	for _, form := range []string{"value", "binary", "data"} {
		if got := data[form]; got != nil {
			return form, valueText.FindString(fmt.Sprint(got))
		}
	}
	return "", ""
}

// sent is what a place should hold of the live version.
func (w *world) sent(p *place, v truth) provider.Value {
	format, _ := v.settings["format"].(string)
	if format == "" {
		format, _ = w.look("destinations/"+p.ref, nil)["format"].(string)
	}
	if format == "" {
		format = map[string]string{"value": "raw", "binary": "binary", "data": "json"}[v.written]
	}
	switch format {
	case "raw":
		return provider.Text(v.value)
	case "binary":
		decoded, _ := base64.StdEncoding.DecodeString(v.value)
		return provider.Binary(decoded)
	default:
		return provider.Text(fmt.Sprintf(`{"value":%q}`, v.value))
	}
}

// disagreements are how Vault and the clouds differ from what is promised. It
// knows nothing of how the promise is kept.
func (w *world) disagreements() (wrong []string) {
	truths := map[string]truth{}
	for _, name := range w.names {
		truths[name] = w.truth(name)
	}
	for _, p := range w.places {
		for _, name := range w.names {
			for _, text := range w.compare(p, truths[name]) {
				wrong = append(wrong, p.ref+": "+name+" "+text)
			}
		}
		for _, text := range w.strays(p, truths) {
			wrong = append(wrong, p.ref+": "+text)
		}
		wrong = append(wrong, p.seen.wrong...)
		for name, before := range p.seen.foreign {
			if now, _ := p.region.Secret(name); !reflect.DeepEqual(now, before) {
				wrong = append(wrong, fmt.Sprintf("%s: %s is somebody else's and was changed from %+v to %+v", p.ref, name, before, now))
			}
		}
	}
	return wrong
}

// compare tells how one replica isn't what it should be.
func (w *world) compare(p *place, v truth) (wrong []string) {
	replica, _ := v.replicas[p.ref].(map[string]any)
	wanted := slices.Contains(v.destinations, p.ref)
	switch {
	case wanted != (replica != nil):
		return []string{fmt.Sprintf("is wanted: %t, but its replica is %v", wanted, replica)}
	case !wanted:
		return nil
	}
	remote, _ := replica["remote_name"].(string)
	if p.mayBeBlocked(remote, replica) {
		return nil
	}
	got := p.readable(remote, p.kind.CurrentVersionID)
	if v.live == 0 {
		secret, _ := p.region.Secret(remote)
		if _, mark := owner.Split(secret.Description); p.seen.left[remote] && mark != w.mark(v.name) {
			got = nil // it was given up before, and nothing has made the name its own since
		}
		if replica["state"] != "withdrawn" || got != nil {
			wrong = append(wrong, fmt.Sprintf("has no live version; its replica is %v (%v), readers get %v", replica["state"], replica["error"], shown(got)))
		}
		return wrong
	}
	if v.written == "" {
		return nil
	}
	if want := w.sent(p, v); got == nil || !got.Equal(want) {
		wrong = append(wrong, fmt.Sprintf("is at version %d, %s; readers get %v", v.live, shown(&want), shown(got)))
	}
	if replica["state"] != "in_sync" || replica["version"] != v.live {
		wrong = append(wrong, fmt.Sprintf("is at version %d; its replica is %v at version %v (%v)", v.live, replica["state"], replica["version"], replica["error"]))
	}
	secret, _ := p.region.Secret(remote)
	text, mark := owner.Split(secret.Description)
	if mark != w.mark(v.name) || text != fmt.Sprint(firstOf(v.settings["description"], "")) {
		wrong = append(wrong, fmt.Sprintf("has the description %v; its replica has %q", v.settings["description"], secret.Description))
	}
	if tags := v.tags(p); p.model.Abilities.ChangesTags && !w.outlived[p][secret.Name] && !maps.Equal(tags, w.ownTags(p, secret)) {
		wrong = append(wrong, fmt.Sprintf("has the tags %v; its replica has %v", tags, secret.Tags))
	}
	return append(wrong, w.surplus(p, v, secret)...)
}

// tags are those that the secret should have at a place: its own, before those of
// the rules that send it there.
func (v truth) tags(p *place) map[string]string {
	tags := map[string]string{}
	for _, rule := range v.ruled {
		if slices.Contains(rule.destinations, p.ref) {
			maps.Copy(tags, rule.tags)
		}
	}
	own, _ := v.settings["tags"].(map[string]string)
	maps.Copy(tags, own)
	return tags
}

// ownTags are the tags at a remote but for those of its destination.
func (w *world) ownTags(p *place, secret providertest.Stored) map[string]string {
	tags := maps.Clone(secret.Tags)
	custom, _ := w.look("destinations/"+p.ref, nil)["custom_tags"].(map[string]string)
	for key, value := range custom {
		if tags[key] == value {
			delete(tags, key)
		}
	}
	return tags
}

// surplus are versions at the remote that shouldn't be there: destroyed ones, where
// the service can delete a version, and more than one for one content.
func (w *world) surplus(p *place, v truth, secret providertest.Stored) (wrong []string) {
	held := map[string][]string{}
	newest := 0
	for _, version := range secret.Versions {
		newest = max(newest, plan.ParseVersionID(version.ID).Incarnation)
	}
	for _, version := range secret.Versions {
		if p.isPointer(version.ID) {
			continue
		}
		number := plan.ParseVersionID(version.ID)
		if p.model.Abilities.DeletesVersions && number.Incarnation == newest && v.destroyed[number.Number] {
			wrong = append(wrong, fmt.Sprintf("has destroyed version %d, but its replica holds it", number.Number))
		}
		held[version.Value.Reveal()] = append(held[version.Value.Reveal()], version.ID)
	}
	for value, ids := range held {
		if len(ids) > 1+w.repeats[v.name] && !w.outlived[p][secret.Name] {
			wrong = append(wrong, fmt.Sprintf("holds %s %d times, as %v", value, len(ids), ids))
		}
	}
	return wrong
}

// mayBeBlocked tells whether a replica is rightly in need of a person: its remote
// isn't this mount's, or was given away.
func (p *place) mayBeBlocked(remote string, replica map[string]any) bool {
	failure, _ := replica["error"].(map[string]any)
	_, foreign := p.seen.foreign[remote]
	if replica["state"] != "blocked" || failure["class"] != string(provider.ClassOwnership) {
		return false
	}
	secret, _ := p.region.Secret(remote)
	_, mark := owner.Split(secret.Description)
	return foreign || mark.IsZero() && p.seen.given[remote]
}

func (w *world) mark(name string) owner.Mark {
	id, _ := w.look("status", nil)["mount_id"].(string)
	return owner.For(id, name)
}

// strays are remote secrets that can be read although nobody wants them there.
func (w *world) strays(p *place, truths map[string]truth) (wrong []string) {
	expected := map[string]bool{}
	for _, v := range truths {
		if replica, _ := v.replicas[p.ref].(map[string]any); replica != nil {
			expected[fmt.Sprint(replica["remote_name"])] = true
		}
	}
	for _, name := range p.region.Names() {
		secret, _ := p.region.Secret(name)
		_, foreign := p.seen.foreign[name]
		_, mark := owner.Split(secret.Description)
		allowed := foreign || expected[name] || w.outlived[p][name] || p.seen.forgotten || mark.IsZero() && p.seen.left[name]
		if !allowed && secret.State == provider.StateEnabled {
			wrong = append(wrong, fmt.Sprintf("the remote %s isn't wanted and can be read: %q", name, secret.Description))
		}
	}
	return wrong
}

func shown(v *provider.Value) string {
	if v == nil {
		return "nothing"
	}
	return strconv.Quote(v.Reveal())
}

func firstOf(values ...any) any {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}

// claimable tells which remote names without a replica can't be taken by another
// secret. It makes secrets, so it comes last.
func (w *world) claimable() (wrong []string) {
	for _, p := range w.places {
		if w.look("destinations/"+p.ref, nil) == nil {
			continue
		}
		for _, name := range w.names {
			if w.truth(name).replicas[p.ref] != nil {
				continue
			}
			probe := "probe-" + strings.ReplaceAll(p.ref+"-"+name, "/", "-")
			d := w.node.request(logical.UpdateOperation, "secrets/"+probe, map[string]any{"value": "probe", "destinations": p.ref, "remote_name": remotename.Derive(name, p.kind.Limits.Name)})
			if !d.answered {
				wrong = append(wrong, fmt.Sprintf("%s: the remote name %s isn't free: %v %v", p.ref, name, d.resp, d.err))
			}
		}
	}
	return wrong
}
