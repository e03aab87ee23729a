// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// action is one thing that happens in a run. It is a value, so that a run can be
// repeated with some of its actions left out.
type action struct {
	kind  kind
	name  string // of the secret it is about
	step  step   // the request, if it is one
	value string // that it writes; "" for none
	// versions are those that it names.
	versions []int
	ref      string         // the place it is about
	class    provider.Class // of an outage
	async    bool           // the next action doesn't wait for it
	faults   []remoteFault
	accesses []storageFault
	pause    time.Duration // after it; negative to wait until nothing moves
}

// kind is what an action does.
type kind string

// The kinds of actions: what happens to nodes and places, and what requests do to
// a secret as far as it matters for what may be expected afterwards.
const (
	restarts  kind = "restart"
	dies      kind = "death"
	takesOver kind = "takeover"
	breaks    kind = "outage"
	mends     kind = "end of outage"
	waits     kind = "pause"

	writes     kind = "write"
	brings     kind = "rollback"
	deletes    kind = "delete the newest version"
	deletesOne kind = "delete a version"
	undeletes  kind = "undelete"
	destroys   kind = "destroy"
	removes    kind = "remove"
	changes    kind = "settings"
	expires    kind = "expiry"
	configures kind = "configuration"
	forgets    kind = "forget a destination"
	reads      kind = "read"
)

func (a action) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", a.kind, a.name)
	if a.step.path != "" {
		fmt.Fprintf(&b, " %s %s %v", a.step.operation, a.step.path, a.step.data)
	}
	if a.ref != "" {
		fmt.Fprintf(&b, " %s %s", a.ref, a.class)
	}
	if a.async {
		b.WriteString(", not waited for")
	}
	for _, f := range a.faults {
		fmt.Fprintf(&b, "; call %d at %q %s (%v)", f.nth, f.ref, f.fate, f.delay)
	}
	for _, f := range a.accesses {
		fmt.Fprintf(&b, "; storage access %d %s", f.nth, f.fate)
	}
	if a.pause != 0 {
		fmt.Fprintf(&b, "; then %v", a.pause)
	}
	return b.String()
}

// generator makes the actions of a run.
type generator struct {
	*rand.Rand
	names   []string
	refs    []string // that exist from the beginning
	serial  int      // of values
	faulty  float64  // how likely an action brings a fault
	lossy   bool     // storage accesses may take effect and fail
	outlive bool     // calls may take effect after their callers gave up
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// newValue is a value that no other action writes.
func (g *generator) newValue() string {
	g.serial++
	return fmt.Sprintf("t%07d", g.serial)
}

// someRefs is a list of destinations, rarely an empty one.
func (g *generator) someRefs() string {
	var chosen []string
	for _, ref := range g.refs {
		if g.chance(0.7) {
			chosen = append(chosen, ref)
		}
	}
	return strings.Join(chosen, ",")
}

func (g *generator) actions(n int) []action {
	list := make([]action, 0, n)
	for _, name := range g.names[:2] {
		first := g.write(name)
		first.step = update("secrets/"+name, map[string]any{"value": first.value, "destinations": strings.Join(g.refs, ",")})
		list = append(list, first)
	}
	for len(list) < n {
		a := g.action()
		a.pause = g.pause()
		if g.chance(g.faulty) {
			g.spoil(&a)
		}
		list = append(list, a)
	}
	return list
}

func (g *generator) pause() time.Duration {
	switch p := g.Float64(); {
	case p < 0.5:
		return 0
	case p < 0.7:
		return -1
	case p < 0.9:
		return time.Duration(g.Int64N(int64(200 * time.Millisecond)))
	case p < 0.98:
		return time.Duration(g.Int64N(int64(40 * time.Second)))
	default:
		return time.Duration(g.Int64N(int64(40 * time.Minute)))
	}
}

// spoil brings faults into an action.
func (g *generator) spoil(a *action) {
	if g.chance(0.6) {
		fates := []fate{failsBefore, isThrottled, isLostBefore, isLostAfter, hangsBefore, hangsAfter, isLate, answersLate, diesBefore, diesAfter}
		if g.outlive {
			fates = append(fates, outlives, outlives, outlives)
		}
		a.faults = append(a.faults, remoteFault{
			ref: pick(g, "", pick(g, g.refs...)), nth: 1 + g.IntN(5), fate: pick(g, fates...),
			delay: pick(g, 20*time.Millisecond, time.Second, 15*time.Second, 45*time.Second),
		})
	}
	if g.chance(0.5) {
		fates := []fate{stumbles, diesBefore, diesAfter}
		if g.lossy {
			fates = append(fates, getsLost, getsLost)
		}
		a.accesses = append(a.accesses, storageFault{nth: 1 + g.IntN(30), fate: pick(g, fates...)})
	}
}

func (g *generator) action() action {
	name := pick(g, g.names...)
	switch p := g.IntN(100); {
	case p < 34:
		return g.write(name)
	case p < 42:
		return g.settings(name)
	case p < 62:
		return g.versionwise(name)
	case p < 68:
		return action{kind: removes, name: name, async: g.chance(0.3), step: remove(pick(g, "secrets/", "metadata/") + name)}
	case p < 74:
		return g.configuration()
	case p < 80:
		return g.outage()
	case p < 84:
		return action{kind: restarts}
	case p < 87:
		return action{kind: dies}
	case p < 90:
		return action{kind: takesOver}
	case p < 94:
		return action{kind: reads, name: name, step: step{logical.ReadOperation, pick(g, "status/"+name, "secrets/"+name, "status"), nil}}
	case p < 97:
		return action{kind: reads, name: name, step: update("sync/"+name, map[string]any{"wait": g.IntN(3)})}
	default:
		return action{kind: waits}
	}
}

func (g *generator) write(name string) action {
	a := action{kind: writes, name: name, value: g.newValue(), async: g.chance(0.4)}
	switch pick(g, "secrets", "secrets", "secrets", "data", "data", "patch", "patch data") {
	case "data":
		a.step = update("data/"+name, map[string]any{"data": value(a.value)})
	case "patch":
		a.step = patch("secrets/"+name, map[string]any{"data": value(a.value)})
	case "patch data":
		a.step = patch("data/"+name, map[string]any{"data": value(a.value)})
	default:
		data := map[string]any{"wait": pick(g, 0, 0, 0, 3)}
		switch pick(g, "value", "value", "data", "binary") {
		case "data":
			data["data"] = value(a.value)
		case "binary":
			data["binary"] = a.value
		default:
			data["value"] = a.value
		}
		if g.chance(0.15) {
			data["cas"] = g.IntN(4)
		}
		if g.chance(0.5) {
			g.addSettings(data)
		}
		a.step = update("secrets/"+name, data)
	}
	return a
}

func (g *generator) settings(name string) action {
	data := map[string]any{"wait": 0}
	g.addSettings(data)
	return action{kind: changes, name: name, step: update("secrets/"+name, data), async: g.chance(0.3)}
}

func (g *generator) addSettings(data map[string]any) {
	if g.chance(0.5) {
		data["destinations"] = g.someRefs()
		data["delete"] = g.chance(0.3)
	}
	if g.chance(0.15) {
		data["paused"] = g.chance(0.4)
	}
	if g.chance(0.3) {
		data["description"] = fmt.Sprintf("description %d", g.IntN(1000))
	}
	if g.chance(0.3) {
		data["tags"] = map[string]any{pick(g, "a", "b"): fmt.Sprint(g.IntN(3))}
	}
	if g.chance(0.2) {
		data["deletion_policy"] = pick(g, "schedule", "force", "retain")
	}
	if g.chance(0.15) {
		data["format"] = pick(g, "", "json", "raw")
	}
	if g.chance(0.05) {
		data["remote_name"] = pick(g, "", "alias-1", "alias-2")
	}
}

// versionwise is about single versions.
func (g *generator) versionwise(name string) action {
	number := 1 + g.IntN(5)
	a := action{name: name, versions: []int{number}, async: g.chance(0.3)}
	versions := map[string]any{"versions": fmt.Sprint(number)}
	switch pick(g, deletes, deletes, deletesOne, undeletes, undeletes, destroys, destroys, brings, expires) {
	case deletes:
		a.kind, a.step = deletes, remove("data/"+name)
	case deletesOne:
		a.kind, a.step = deletesOne, update("delete/"+name, versions)
	case undeletes:
		a.kind, a.step = undeletes, update("undelete/"+name, versions)
	case destroys:
		a.kind, a.step = destroys, update("destroy/"+name, versions)
		if g.chance(0.5) {
			a.step = remove(fmt.Sprintf("secrets/%s/versions/%d", name, number))
		}
	case brings:
		a.kind, a.step = brings, update("rollback/"+name, map[string]any{"version": number})
	default:
		a.kind, a.step = expires, update("metadata/"+name, map[string]any{"delete_version_after": pick(g, "0s", "90s", "20m")})
	}
	return a
}

// configuration changes the mount or a destination.
func (g *generator) configuration() action {
	ref := pick(g, g.refs...)
	a := action{kind: configures, ref: ref}
	switch pick(g, "pause", "resume", "disable", "enable", "policy", "forget", "make", "delete", "tags", "format", "endpoint", "brake", "release", "stop", "go on") {
	case "pause":
		a.step = update("config", map[string]any{"paused": true})
	case "resume":
		a.step = update("config", map[string]any{"paused": false})
	case "disable":
		a.step = update("destinations/"+ref, map[string]any{"disabled": true})
	case "enable":
		a.step = update("destinations/"+ref, map[string]any{"disabled": false})
	case "brake":
		a.step = update("destinations/"+ref, map[string]any{"max_deletions_per_hour": pick(g, 0, 1, 50, -1)})
	case "release":
		a.step = update("release-held/"+ref, nil)
	case "stop":
		a.step = update("destinations/"+ref, map[string]any{"paused": true})
	case "go on":
		a.step = update("destinations/"+ref, map[string]any{"paused": false})
	case "tags":
		a.step = update("destinations/"+ref, map[string]any{"custom_tags": map[string]any{"team": fmt.Sprint(g.IntN(3))}})
	case "format":
		a.step = update("destinations/"+ref, map[string]any{"format": pick(g, "", "json")})
	case "endpoint":
		a.step = update("destinations/"+ref, map[string]any{"endpoint": fmt.Sprintf("https://host-%d.example", g.IntN(3))})
	case "policy":
		a.step = update("destinations/"+ref, map[string]any{"deletion_policy": pick(g, "schedule", "force")})
	case "forget":
		a.kind, a.step = forgets, step{logical.DeleteOperation, "destinations/" + ref, map[string]any{"force": true}}
	case "delete":
		a.step = remove("destinations/" + ref)
	default:
		_, region, _ := strings.Cut(ref, "/")
		a.step = update("destinations/"+ref, map[string]any{"region": region, "access_key_id": "id", "access_key_secret": testKeySecret})
	}
	return a
}

// outage begins or ends one at a place.
func (g *generator) outage() action {
	a := action{kind: mends, ref: pick(g, g.refs...)}
	if g.chance(0.6) {
		a.kind = breaks
		a.class = pick(g, provider.ClassUnavailable, provider.ClassUnavailable, provider.ClassThrottled, provider.ClassPermission, provider.ClassAuth, provider.ClassLimit, provider.ClassKMS)
	}
	return a
}
