// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sequence is a list of requests that are sent in order, for secrets of its own.
type sequence struct {
	name     string
	folder   string
	requests []wireRequest
}

// generated makes n sequences and leaves out the first ones. They are the same
// each time, so that a failure comes back, unless the environment asks for others.
func generated(t *testing.T, without, n uint64) []sequence {
	t.Helper()
	first, n := setting(t, "KV_SEED", without+1), setting(t, "KV_SEQUENCES", n)
	t.Logf("the seeds are %d to %d; KV_SEED=.. KV_SEQUENCES=1 repeats one", first, first+n-1)
	sequences := make([]sequence, n)
	for i := range sequences {
		seed := first + uint64(i)
		folder := fmt.Sprintf("s%d/in", seed) // not at the top, which a name such as .. would show
		sequences[i] = sequence{fmt.Sprintf("seed %d", seed), folder, newGenerator(seed, folder).sequence(sequenceLength)}
	}
	return sequences
}

// pluginSequences are answered in another way by an engine that is built in.
var pluginSequences = []sequence{
	{name: "numbers reach a plugin as floating point, and it cuts off what isn't whole", requests: []wireRequest{
		{method: http.MethodPost, path: "data/plugin/cas", body: `{"data":{"a":"b"},"options":{"cas":0.5}}`},
		{method: http.MethodPost, path: "metadata/plugin/cas", body: `{"max_versions":1.5}`},
		{method: http.MethodPost, path: "delete/plugin/cas", body: `{"versions":[1.5]}`},
	}},
	{name: "numbers reach a plugin as floating point, and large ones pass for others", requests: []wireRequest{
		{method: http.MethodPost, path: "data/plugin/large", body: `{"data":{"a":"b"},"options":{"cas":18446744073709551616}}`},
		{method: http.MethodPost, path: "data/plugin/large", body: `{"data":{"a":"b"}}`},
		{method: http.MethodPost, path: "delete/plugin/large", body: `{"versions":[18446744073709551616]}`},
	}},
	{name: "an error names the type that a number has in a plugin", requests: []wireRequest{
		{method: http.MethodPost, path: "data/plugin/type", body: `{"data":1}`},
	}},
	{name: "an error names the type that a parameter given twice has in a plugin", requests: []wireRequest{
		{method: http.MethodPost, path: "data/plugin/twice", body: `{"data":{"a":"b"}}`},
		{method: http.MethodGet, path: "data/plugin/twice?version=1&version=2"},
	}},
	{name: "a name that isn't UTF-8 doesn't reach a plugin", requests: []wireRequest{
		{method: http.MethodGet, path: "data/plugin/%FF"},
		{method: http.MethodPost, path: "data/plugin/a%C3%28", body: `{"data":{"a":"b"}}`},
	}},
	{name: "Vault doesn't wrap a list that comes from a plugin", requests: []wireRequest{
		{method: http.MethodPost, path: "data/plugin/listed", body: `{"data":{"a":"b"}}`},
		{method: methodList, path: "metadata/plugin", wrap: true},
	}},
}

// replicaSequences are answered in another way for a secret that has destinations.
var replicaSequences = []sequence{
	{name: "a value that a cloud doesn't take is refused before anything is stored", folder: "large", requests: []wireRequest{
		{method: http.MethodPost, path: "data/large", body: `{"data":{"long":"` + strings.Repeat("x", 70<<10) + `"}}`},
	}},
}

// nameSequences are a life of a secret of each odd name.
func nameSequences() []sequence {
	sequences := make([]sequence, 0, len(oddNames))
	for i, odd := range oddNames {
		folder := fmt.Sprintf("n%d/in", i) // as above
		name := folder + "/" + odd
		sequences = append(sequences, sequence{name: odd, requests: []wireRequest{
			{method: http.MethodGet, path: "data/" + name},
			{method: http.MethodPost, path: "data/" + name, body: `{"data":{"a":"1"}}`},
			{method: http.MethodPost, path: "data/" + name, body: `{"data":{"a":"2"}}`, caller: "maker"},
			{method: http.MethodPatch, path: "data/" + name, body: `{"data":{"b":"2"}}`},
			{method: http.MethodGet, path: "data/" + name},
			{method: http.MethodGet, path: "subkeys/" + name},
			{method: http.MethodPost, path: "metadata/" + name, body: `{"max_versions":5,"custom_metadata":{"a":"b"}}`},
			{method: http.MethodGet, path: "metadata/" + name},
			{method: methodList, path: "metadata/" + folder},
			{method: methodList, path: "metadata/" + name},
			{method: http.MethodPost, path: "delete/" + name, body: `{"versions":[1]}`},
			{method: http.MethodPost, path: "undelete/" + name, body: `{"versions":[1]}`},
			{method: http.MethodPost, path: "destroy/" + name, body: `{"versions":[1]}`},
			{method: http.MethodDelete, path: "data/" + name},
			{method: http.MethodGet, path: "data/" + name},
			{method: http.MethodPatch, path: "metadata/" + name, body: `{"custom_metadata":{"a":null}}`},
			{method: http.MethodDelete, path: "metadata/" + name},
			{method: http.MethodGet, path: "metadata/" + name},
			{method: methodList, path: "metadata/" + folder},
		}})
	}
	return sequences
}

// bodySequences send each body to each path that takes one, and look at what
// came of it.
func bodySequences() []sequence {
	g := newGenerator(1, "bodies")
	all := slices.Concat(goodData, oddData, goodPatches, goodMetadata, oddMetadata, goodVersions, oddVersions)
	sequences := make([]sequence, 0, len(all))
	for i, body := range all {
		name := "bodies/" + strconv.Itoa(i)
		requests := []wireRequest{{method: http.MethodPost, path: "data/" + name, body: `{"data":{"a":"1"}}`}}
		for _, kind := range []string{"data/", "metadata/", "delete/", "undelete/", "destroy/", "subkeys/"} {
			requests = append(requests,
				wireRequest{method: http.MethodPost, path: kind + name, body: g.fill(body)},
				wireRequest{method: http.MethodPatch, path: kind + name, body: g.fill(body)},
				wireRequest{method: http.MethodPost, path: kind + name, body: g.fill(body), form: "application/x-www-form-urlencoded"},
			)
		}
		requests = append(requests, wireRequest{method: http.MethodGet, path: "data/" + name}, wireRequest{method: http.MethodGet, path: "metadata/" + name})
		sequences = append(sequences, sequence{name: clip(body, 60), requests: requests})
	}
	return sequences
}

// querySequences ask with each query.
func querySequences() []sequence {
	g := newGenerator(1, "queries")
	var sequences []sequence
	for i, query := range slices.Concat(dataQueries, outlineQueries, listQueries) {
		folder := "queries/" + strconv.Itoa(i)
		requests := []wireRequest{
			{method: http.MethodPost, path: "data/" + folder + "/a", body: `{"data":{"a":{"b":{"c":1}}}}`},
			{method: http.MethodPost, path: "data/" + folder + "/a", body: `{"data":{"a":{"b":{"d":1}}}}`},
			{method: http.MethodPost, path: "data/" + folder + "/b/c", body: `{"data":{"a":"b"}}`},
			{method: http.MethodPost, path: "data/" + folder + "/d", body: `{"data":{"a":"b"}}`},
			{method: http.MethodDelete, path: "data/" + folder + "/d"},
		}
		for _, method := range []string{http.MethodGet, methodList, http.MethodHead, http.MethodPost, http.MethodDelete} {
			for _, path := range []string{"data/" + folder + "/a", "subkeys/" + folder + "/a", "metadata/" + folder + "/", "metadata/" + folder, "metadata/" + folder + "/a"} {
				requests = append(requests, wireRequest{method: method, path: path + g.fill(query)})
			}
		}
		sequences = append(sequences, sequence{name: "query " + query, requests: requests})
	}
	return sequences
}

// straySequences send each method where the engine serves nothing.
func straySequences() []sequence {
	sequences := make([]sequence, 0, len(strayPaths))
	for _, path := range strayPaths {
		var requests []wireRequest
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete, methodList, http.MethodHead} {
			body := ""
			if method == http.MethodPost || method == http.MethodPatch {
				body = `{"data":{"a":"b"},"a":"b"}`
			}
			for _, caller := range []string{"", "curator", "stranger"} {
				requests = append(requests, wireRequest{method: method, path: path, body: body, caller: caller})
			}
		}
		sequences = append(sequences, sequence{name: "path " + path, requests: requests})
	}
	return sequences
}

// configSequences change the mount's settings, see what comes of that, and undo
// it.
func configSequences() []sequence {
	bodies := []string{
		`{"max_versions":2}`, `{"max_versions":0}`, `{"max_versions":"x"}`, `{"max_versions":-1}`, `{"max_versions":null}`, `{"cas_required":true}`, `{"cas_required":"x"}`,
		`{"delete_version_after":"5h"}`, `{"delete_version_after":3600}`, `{"delete_version_after":"x"}`, `{"delete_version_after":"-1s"}`, `{"delete_version_after":"0s"}`,
		``, `{}`, `null`, `{`, `[]`, `{"unknown":1}`, `{"max_versions":3,"cas_required":false,"delete_version_after":"72h"}`,
	}
	sequences := make([]sequence, 0, len(bodies))
	for i, body := range bodies {
		name := "config/" + strconv.Itoa(i)
		requests := []wireRequest{{method: http.MethodPost, path: "config", body: body}, {method: http.MethodGet, path: "config"}}
		for range 4 {
			requests = append(requests, wireRequest{method: http.MethodPost, path: "data/" + name, body: `{"data":{"a":"b"}}`})
		}
		sequences = append(sequences, sequence{name: "config " + body, requests: append(requests,
			wireRequest{method: http.MethodPost, path: "data/" + name, body: `{"data":{"a":"c"},"options":{"cas":4}}`},
			wireRequest{method: http.MethodPost, path: "metadata/" + name, body: `{"cas_required":false,"max_versions":1,"delete_version_after":"1h"}`},
			wireRequest{method: http.MethodPatch, path: "data/" + name, body: `{"data":{"d":"e"}}`},
			wireRequest{method: http.MethodGet, path: "metadata/" + name},
			wireRequest{method: http.MethodGet, path: "data/" + name},
			wireRequest{method: methodList, path: "metadata/"},
			wireRequest{method: http.MethodPatch, path: "config", body: body},
			wireRequest{method: http.MethodDelete, path: "config"},
			wireRequest{method: methodList, path: "config"},
			wireRequest{method: http.MethodPut, path: "config", body: body, caller: "curator"},
			wireRequest{method: http.MethodGet, path: "config?other=1"},
			wireRequest{method: http.MethodPost, path: "config", body: `{"max_versions":0,"cas_required":false,"delete_version_after":"0s"}`},
			wireRequest{method: http.MethodGet, path: "config"},
		)})
	}
	return sequences
}
