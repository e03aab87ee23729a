// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

// The values that operations write, each another.
const (
	one   = "t0000001"
	two   = "t0000002"
	three = "t0000003"
)

// faultyOperation is one that is interrupted at every storage access and every
// remote call in turn. Before it the secret "s" is at memory/main, in sync, at
// version 1 with the value one.
type faultyOperation struct {
	before func(w *world) // what else there is before it
	do     []step         // one after the other, until one fails
	// s is what Vault must have of s once the operation was answered with success:
	// a value, "" for no live version, or anything if it is unset.
	s *string
	// new is the value of the secret "new", likewise.
	new string
}

// step is one request.
type step struct {
	operation logical.Operation
	path      string
	data      map[string]any
}

func update(path string, data map[string]any) step {
	return step{logical.UpdateOperation, path, data}
}

func patch(path string, data map[string]any) step {
	return step{logical.PatchOperation, path, data}
}

func remove(path string) step { return step{logical.DeleteOperation, path, nil} }

func value(text string) map[string]any { return map[string]any{"value": text} }

// text is what Vault must have of s.
func text(value string) *string { return &value }

// doBefore makes requests before the operation and lets them come to an end.
func doBefore(steps ...step) func(w *world) {
	return func(w *world) {
		for _, s := range steps {
			w.node.must(s.operation, s.path, s.data)
		}
		w.settle(patience)
	}
}

var faultyOperations = map[string]faultyOperation{
	// secrets/
	"a new secret":        {do: []step{update("secrets/new", map[string]any{"value": two, "destinations": "memory/main"})}, new: two},
	"a new secret as map": {do: []step{update("secrets/new", map[string]any{"data": value(two), "destinations": "memory/main", "tags": "a=b", "description": "d"})}, new: two},
	"a new version":       {do: []step{update("secrets/s", value(two))}, s: text(two)},
	"a version as map":    {do: []step{update("secrets/s", map[string]any{"data": value(two)})}, s: text(two)},
	"a binary version":    {do: []step{update("secrets/s", map[string]any{"binary": two})}, s: text(two)},
	"a checked version":   {do: []step{update("secrets/s", map[string]any{"value": two, "cas": 1})}, s: text(two)},
	"a new version with settings": {
		do: []step{update("secrets/s", map[string]any{"value": two, "description": "changed", "tags": "a=b"})}, s: text(two),
	},
	"settings alone": {do: []step{update("secrets/s", map[string]any{"description": "changed", "tags": "a=b", "format": "json"})}, s: text(one)},
	"a patch":        {do: []step{patch("secrets/s", map[string]any{"data": value(two)})}, s: text(two)},
	"a deleted secret": {
		do: []step{remove("secrets/s")},
	},
	"a secret deleted at once": {before: doBefore(update("secrets/s", map[string]any{"deletion_policy": "force"})), do: []step{remove("secrets/s")}},
	"a secret deleted and retained": {
		before: func(w *world) {
			doBefore(update("secrets/s", map[string]any{"deletion_policy": "retain"}))(w)
			leaving(w)
		},
		do: []step{remove("secrets/s")},
	},
	"a deletion and a new beginning": {
		do: []step{remove("metadata/s"), update("secrets/s", map[string]any{"value": two, "destinations": "memory/main"})}, s: text(two),
	},
	"a destroyed newest version":    {before: doBefore(update("secrets/s", value(two))), do: []step{remove("secrets/s/versions/2")}, s: text(one)},
	"a destroyed older version":     {before: doBefore(update("secrets/s", value(two))), do: []step{remove("secrets/s/versions/1")}, s: text(two)},
	"a destroyed only version":      {do: []step{remove("secrets/s/versions/1")}, s: text("")},
	"a rollback":                    {before: rolledBack, do: []step{update("rollback/s", map[string]any{"version": 1})}, s: text(one)},
	"a destination taken away":      {before: leaving, do: []step{update("secrets/s", map[string]any{"destinations": ""})}, s: text(one)},
	"a destination taken and given": {before: leaving, do: []step{update("secrets/s", map[string]any{"destinations": ""}), update("secrets/s", map[string]any{"destinations": "memory/main"})}, s: text(one)},
	"a destination given back": {
		before: func(w *world) { leaving(w); doBefore(update("secrets/s", map[string]any{"destinations": ""}))(w) },
		do:     []step{update("secrets/s", map[string]any{"value": two, "destinations": "memory/main"})}, s: text(two),
	},
	"a second destination": {
		before: func(w *world) { w.node.write("destinations/memory/two", w.destination(w.place("memory/two"))) },
		do:     []step{update("secrets/s", map[string]any{"value": two, "destinations": "memory/main,memory/two"})}, s: text(two),
	},
	"another name before the replica is made": {
		before: func(w *world) {
			w.places[0].region.Seed(providertest.Stored{Secret: provider.Secret{Name: "new", Description: "theirs"}})
			w.places[0].seen.foreign["new"], _ = w.places[0].region.Secret("new")
			doBefore(update("secrets/new", map[string]any{"value": two, "destinations": "memory/main"}))(w)
		},
		do: []step{update("secrets/new", map[string]any{"remote_name": "newer"})}, new: two,
	},

	// The KV engine's paths.
	"a version through data/":    {do: []step{update("data/s", map[string]any{"data": value(two)})}, s: text(two)},
	"a patch through data/":      {do: []step{patch("data/s", map[string]any{"data": value(two)})}, s: text(two)},
	"a deleted newest version":   {do: []step{remove("data/s")}, s: text("")},
	"an older version comes up":  {before: doBefore(update("secrets/s", value(two))), do: []step{remove("data/s")}, s: text(one)},
	"a deleted version":          {before: doBefore(update("secrets/s", value(two))), do: []step{update("delete/s", map[string]any{"versions": "2"})}, s: text(one)},
	"an undeleted version":       {before: doBefore(remove("data/s")), do: []step{update("undelete/s", map[string]any{"versions": "1"})}, s: text(one)},
	"an undeleted newer version": {before: doBefore(update("secrets/s", value(two)), remove("data/s")), do: []step{update("undelete/s", map[string]any{"versions": "2"})}, s: text(two)},
	"a write to a withdrawn one": {before: doBefore(remove("data/s")), do: []step{update("data/s", map[string]any{"data": value(two)})}, s: text(two)},
	"a destroyed version":        {before: doBefore(update("secrets/s", value(two))), do: []step{update("destroy/s", map[string]any{"versions": "1,2"})}, s: text("")},
	"metadata":                   {do: []step{update("metadata/s", map[string]any{"custom_metadata": map[string]any{"a": "b"}, "max_versions": 3})}, s: text(one)},
	"metadata of a new secret":   {do: []step{update("metadata/new", map[string]any{"max_versions": 3}), update("secrets/new", map[string]any{"value": two, "destinations": "memory/main"})}, new: two},
	"patched metadata":           {do: []step{patch("metadata/s", map[string]any{"custom_metadata": map[string]any{"a": "b"}})}, s: text(one)},
	"deleted metadata":           {do: []step{remove("metadata/s")}},

	// The mount and its destinations.
	"a pause":                      {do: []step{update("config", map[string]any{"paused": true}), update("secrets/s", value(two))}, s: text(two)},
	"the end of a pause by resume": {before: paused, do: []step{update("resume", nil)}, s: text(two)},
	"a paused secret":              {do: []step{update("secrets/s", map[string]any{"value": two, "paused": true}), update("secrets/s", map[string]any{"paused": false})}, s: text(two)},
	"a paused destination":         {do: []step{update("destinations/memory/main", map[string]any{"paused": true}), update("secrets/s", value(two)), update("destinations/memory/main", map[string]any{"paused": false})}, s: text(two)},
	"a deletion that is held":      {before: doBefore(braked), do: []step{remove("secrets/s")}},
	"a withdrawal that is held":    {before: doBefore(braked), do: []step{remove("data/s")}, s: text("")},
	"a held deletion that goes on": {before: doBefore(braked, remove("secrets/s")), do: []step{update("release-held/memory/main", nil)}},
	"a held deletion and a new beginning": {
		before: doBefore(braked, remove("secrets/s")),
		do:     []step{update("secrets/s", map[string]any{"value": two, "destinations": "memory/main"})}, s: text(two),
	},
	"a held withdrawal that is taken back": {before: doBefore(braked, remove("data/s")), do: []step{update("undelete/s", map[string]any{"versions": "1"})}, s: text(one)},
	"a destination taken away with delete": {do: []step{update("secrets/s", map[string]any{"destinations": "", "delete": true})}, s: text(one)},
	"a rule deleted with delete":           {before: sentByRule, do: []step{{logical.DeleteOperation, "rules/all", map[string]any{"delete": true}}}},
	"the end of a pause":                   {before: paused, do: []step{update("config", map[string]any{"paused": false})}, s: text(two)},
	"a new destination":                    {do: []step{{path: "two"}, update("secrets/s", map[string]any{"destinations": "memory/main,memory/two"})}, s: text(one)},
	"tags of a destination":                {do: []step{update("destinations/memory/main", map[string]any{"custom_tags": "a=b"})}, s: text(one)},
	"a form of a destination":              {do: []step{update("destinations/memory/main", map[string]any{"format": "json"})}, s: text(one)},
	"a moved destination":                  {do: []step{update("destinations/memory/main", map[string]any{"endpoint": "https://elsewhere.example"})}, s: text(one)},
	"a disabled destination":               {do: []step{update("destinations/memory/main", map[string]any{"disabled": true}), update("secrets/s", value(two))}, s: text(two)},
	"an enabled destination": {
		before: doBeforeAtOnce(update("destinations/memory/main", map[string]any{"disabled": true}), update("secrets/s", value(two))),
		do:     []step{update("destinations/memory/main", map[string]any{"disabled": false})}, s: text(two),
	},
	"a deleted destination": {
		before: func(w *world) { w.node.write("destinations/memory/two", w.destination(w.place("memory/two"))) },
		do:     []step{remove("destinations/memory/two")}, s: text(one),
	},
	"a forgotten destination":           {before: forgetting, do: []step{{logical.DeleteOperation, "destinations/memory/main", map[string]any{"force": true}}}, s: text(one)},
	"a destination forgotten and given": {before: forgetting, do: []step{{logical.DeleteOperation, "destinations/memory/main", map[string]any{"force": true}}, {path: "main"}, update("secrets/s", map[string]any{"value": two, "destinations": "memory/main"})}, s: text(two)},
	"a sync": {
		before: func(w *world) {
			w.places[0].outage = providertest.Failure(provider.ClassPermission)
			w.node.write("secrets/s", value(two))
			w.places[0].outage = nil
		},
		do: []step{update("sync/s", nil)}, s: text(two),
	},
}

// braked lets no deletion at memory/main go on by itself.
var braked = update("destinations/memory/main", map[string]any{"max_deletions_per_hour": 0})

// sentByRule has another secret sent by a rule.
func sentByRule(w *world) {
	doBefore(update("rules/all", map[string]any{"match": "new", "destinations": "memory/main"}), update("secrets/new", value(three)))(w)
}

func doBeforeAtOnce(steps ...step) func(w *world) {
	return func(w *world) {
		for _, s := range steps {
			w.node.must(s.operation, s.path, s.data)
		}
	}
}

func paused(w *world) {
	doBeforeAtOnce(update("config", map[string]any{"paused": true}), update("secrets/s", value(two)))(w)
}

func rolledBack(w *world) {
	doBefore(update("secrets/s", value(two)))(w)
	w.repeats["s"]++
}

// leaving notes that the remote of s may end up released. One whose release was
// broken off can't be told from one that somebody else took over.
func leaving(w *world) { w.places[0].seen.left["s"], w.places[0].seen.given["s"] = true, true }

func forgetting(w *world) {
	leaving(w)
	w.places[0].seen.forgotten = true
	w.repeats["s"]++
}
