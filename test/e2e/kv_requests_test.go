// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// methodList is Vault's own method for lists.
const methodList = "LIST"

// What requests are made of. N stands for a small number, another one each time.
var (
	// oddNames are names, escaped as they stand in a URL, that may be taken for
	// something else on the way.
	oddNames = []string{
		"a%20b", "a+b", "%20lead", "trail%20", "caf%C3%A9", "%E5%AF%86%E9%92%A5", "%F0%9F%94%91", "a%25b", "a%2525b", "a%3Fb", "a%23b", "a%26b=c",
		"a%2Fb", "%2Fa", "a%2F", "a%2F%2Fb", "a%5Cb", "a.b", ".a", "a.", "...", ".", "..", "%2E%2E", "a/./b", "a/../b", "a//b", "/a", "a/", "a/b/",
		"a;b", "a:b", "a@b", "a%22b", "a'b", "a%3Cb%3E", "a%7Bb%7D", "a%5Bb%5D", "a*b", "*", "+", "~", "%7E", "A", "a%00b", "a%0Ab", "a%09b",
		"a%E2%80%8Bb", "%EF%BF%BD", "versions", "a/versions", "versions/1", "a/versions/b", "a/versions/1", "data", "data/a", "metadata/a", "config",
		"secrets/a", "0", "-1", "true",
		strings.Repeat("n", 512), strings.Repeat("n", 513), strings.Repeat("long/", 300) + "n", strings.Repeat("%E5%AF%86", 200),
	}

	goodData = []string{
		`{"data":{"user":"app","password":"N"}}`, `{"data":{"password":"N"},"options":{"cas":0}}`, `{"data":{"password":"N"},"options":{"cas":N}}`,
		`{"data":{"nested":{"a":{"b":{"c":N}},"list":[1,null,{"x":"y"}]},"port":5432,"flag":false,"none":null}}`,
		`{"data":{"":"empty key","a b":"space","ключ":"знач\u0000ение","quote\"":"<&>\u2028"}}`, `{"options":{},"data":{"password":"N"}}`,
		`{"data":{"big":12345678901234567890,"float":1.0,"exp":1e3,"small":-0.0000001,"minus":-0}}`,
	}
	oddData = []string{
		``, `{}`, `{"data":{}}`, `{"data":null}`, `{"data":"text"}`, `{"data":"{\"a\":\"b\"}"}`, `{"data":""}`, `{"data":true}`, `{"data":[]}`,
		`{"data":["a"]}`, `{"data":[{"a":"b"}]}`,
		`{"password":"outside"}`, `{"data":{"a":"b"},"more":1}`, `{"data":{"a":"b"},"path":"other"}`, `{"data":{"a":"b"},"version":1}`,
		`{"data":{"a":"b"},"tags":"a=b"}`,
		`{"data":{"a":"b"},"wait":0,"destinations":"x/y"}`, `{"Data":{"a":"b"}}`, `{"data":{"a":"b"},"data":{"c":"d"}}`,
		`{"data":{"a":"b"},"options":null}`, `{"data":{"a":"b"},"options":"cas=1"}`, `{"data":{"a":"b"},"options":[]}`,
		`{"data":{"a":"b"},"options":{"cas":null}}`,
		`{"data":{"a":"b"},"options":{"cas":"1"}}`, `{"data":{"a":"b"},"options":{"cas":"x"}}`, `{"data":{"a":"b"},"options":{"cas":-1}}`,
		`{"data":{"a":"b"},"options":{"cas":true}}`, `{"data":{"a":"b"},"options":{"other":1}}`, `{"data":{"a":"b"},"cas":1}`,
		`{`, `[]`, `null`, `"text"`, `1`, `{"data":{"a":"b"}} trailing`, `{"data":{"a":1e999}}`, "\ufeff" + `{"data":{"a":"b"}}`,
		"{\"data\":{\"a\":\"\xff\"}}", `data=a`,
		`{"data":` + strings.Repeat(`{"a":`, 60) + `1` + strings.Repeat(`}`, 60) + `}`,
		`{"data":` + strings.Repeat(`{"a":`, 600) + `1` + strings.Repeat(`}`, 600) + `}`,
		`{"data":{"long":"` + strings.Repeat("x", 70<<10) + `"}}`,
	}

	goodPatches = []string{
		`{"data":{"password":"N"}}`, `{"data":{"user":null}}`, `{"data":{"nested":{"a":null,"list":[N]}}}`, `{"data":{"more":{"deep":{"er":"N"}}}}`,
		`{"data":{"password":"N"},"options":{"cas":N}}`, `{"data":{"port":{"was":"number"}}}`, `{"data":{}}`,
	}

	goodMetadata = []string{
		`{"max_versions":N}`, `{"max_versions":0}`, `{"cas_required":true}`, `{"cas_required":false}`, `{"delete_version_after":"5h"}`,
		`{"delete_version_after":"0s"}`,
		`{"delete_version_after":7200}`, `{"custom_metadata":{"owner":"team-N"}}`, `{"custom_metadata":{"a":"1","b":"2"}}`, `{"custom_metadata":{}}`,
		`{"max_versions":3,"cas_required":false,"delete_version_after":"48h","custom_metadata":{"all":"N"}}`,
	}
	oddMetadata = []string{
		``, `{}`, `null`, `[]`, `{`, `{"max_versions":"3"}`, `{"max_versions":"x"}`, `{"max_versions":-1}`, `{"max_versions":null}`,
		`{"max_versions":4294967297}`,
		`{"cas_required":"true"}`, `{"cas_required":"x"}`, `{"cas_required":1}`, `{"cas_required":null}`, `{"cas_required":[]}`,
		`{"delete_version_after":"x"}`, `{"delete_version_after":-1}`, `{"delete_version_after":"-1s"}`, `{"delete_version_after":null}`,
		`{"delete_version_after":"1d"}`, `{"delete_version_after":{}}`,
		`{"custom_metadata":null}`, `{"custom_metadata":"a=b"}`, `{"custom_metadata":["a"]}`, `{"custom_metadata":{"a":1}}`,
		`{"custom_metadata":{"a":null}}`, `{"custom_metadata":{"a":{"b":1}}}`,
		`{"custom_metadata":{"a":true}}`, `{"custom_metadata":{"":"x"}}`, `{"custom_metadata":{"a":""}}`, `{"custom_metadata":{"a":"b\u0007"}}`,
		`{"custom_metadata":{"a\u0007":"b"}}`,
		`{"custom_metadata":{"a":"` + strings.Repeat("x", 513) + `"}}`, `{"custom_metadata":{"` + strings.Repeat("x", 129) + `":"a"}}`, manyKeys(64),
		manyKeys(65),
		`{"unknown":1}`, `{"max_versions":2,"unknown":1}`, `{"max_versions":2,"path":"other"}`, `{"versions":[1]}`, `{"data":{"a":"b"}}`,
	}

	goodVersions = []string{`{"versions":[N]}`, `{"versions":[1,2]}`, `{"versions":[N,N]}`, `{"versions":"1,N"}`, `{"versions":N}`, `{"versions":["N"]}`}
	oddVersions  = []string{
		``, `{}`, `null`, `{`, `{"versions":[]}`, `{"versions":null}`, `{"versions":""}`, `{"versions":"x"}`, `{"versions":"1,x"}`,
		`{"versions":[99]}`, `{"versions":[-1]}`, `{"versions":[0]}`,
		`{"versions":[1,1]}`, `{"versions":true}`, `{"versions":{}}`, `{"versions":[[1]]}`, `{"version":1}`, `{"versions":[1],"more":1}`,
		`{"versions":[1],"path":"other"}`,
	}

	dataQueries = []string{
		"?version=N", "?version=0", "?version=", "?version=-1", "?version=x", "?version=1.5", "?version=99", "?Version=1",
		"?other=1", "?version=1&other=1", "?path=other", "?list=true", "?list=x", "?depth=1", "?help=1", "?version=18446744073709551616",
	}
	outlineQueries = []string{
		"?depth=N", "?depth=0", "?depth=-1", "?depth=x", "?version=N", "?version=N&depth=1", "?version=0", "?version=x", "?version=99", "?version=-1",
		"?other=1", "?depth=1.5",
	}
	listQueries = []string{"", "?list=true", "?exclude_deleted=true", "?exclude_deleted=false", "?exclude_deleted=x", "?after=a&limit=1", "?other=1", "?path=other"}

	// strayPaths lead nowhere in the KV v2 engine.
	strayPaths = []string{
		"", "data", "metadata", "delete", "undelete", "destroy", "subkeys", "data/", "metadata/", "delete/", "undelete/", "destroy/", "subkeys/",
		"db", "team-a/db", "config/", "config/a",
		"datas/a", "Data/a", "detailed-metadata/", "detailed-metadata/a", "versions/a", "upgrade", "data%2Fa", "%64ata/a", "v2/data/a",
		"kv/v2/config", "+", "*", "data/*", "data/+",
	}
	oddMethods = []string{http.MethodHead, http.MethodPut, http.MethodOptions, "RECOVER", "SCAN", "get"}
)

func manyKeys(n int) string {
	pairs := make([]string, n)
	for i := range pairs {
		pairs[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	return `{"custom_metadata":{` + strings.Join(pairs, ",") + `}}`
}

// generator makes the requests of one sequence: a few secrets that are written,
// read, deleted and mistaken, by root or by somebody who may do only a part.
type generator struct {
	*rand.Rand
	folder string
	names  []string
}

// newGenerator is the same for the same seed. The secrets are below folder.
func newGenerator(seed uint64, folder string) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), folder: folder} //nolint:gosec // a test has to come out the same again
	g.names = []string{folder + "/db", folder + "/db", folder + "/db", folder + "/db/replica"}
	if g.IntN(3) == 0 {
		g.names = append(g.names, folder+"/"+pick(g, oddNames))
	}
	return g
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// mostly is an element of good, and sometimes one of odd.
func (g *generator) mostly(good, odd []string) string {
	if len(odd) > 0 && g.IntN(4) == 0 {
		return pick(g, odd)
	}
	return pick(g, good)
}

// fill puts numbers in the place of N, where it stands for one.
func (g *generator) fill(text string) string {
	for _, around := range [][2]string{{"[", "]"}, {"[", ","}, {",", "]"}, {":", "}"}, {":", ","}, {`"`, `"`}, {"-", `"`}, {",", `"`}, {"=", "&"}} {
		for strings.Contains(text, around[0]+"N"+around[1]) {
			text = strings.Replace(text, around[0]+"N"+around[1], around[0]+strconv.Itoa(1+g.IntN(4))+around[1], 1)
		}
	}
	if base, ends := strings.CutSuffix(text, "=N"); ends {
		return base + "=" + strconv.Itoa(1+g.IntN(4))
	}
	return text
}

// sequence makes n requests. The first ones write, so that there is something.
func (g *generator) sequence(n int) []wireRequest {
	requests := make([]wireRequest, 0, n)
	for i := range n {
		r := g.request(i < 2)
		if g.IntN(4) == 0 {
			r.caller = pick(g, slices.Sorted(maps.Keys(wireCallers)))
		}
		r.wrap = g.IntN(40) == 0 && r.method != methodList
		requests = append(requests, r)
	}
	return requests
}

func (g *generator) request(first bool) wireRequest {
	name := pick(g, g.names)
	if first {
		return wireRequest{method: http.MethodPost, path: "data/" + name, body: g.fill(g.mostly(goodData, oddData))}
	}
	switch g.IntN(24) {
	case 0, 1, 2, 3:
		return wireRequest{method: http.MethodPost, path: "data/" + name, body: g.fill(g.mostly(goodData, oddData))}
	case 4, 5, 6:
		return wireRequest{method: http.MethodPatch, path: "data/" + name, body: g.fill(g.mostly(goodPatches, oddData))}
	case 7, 8, 9:
		return wireRequest{method: http.MethodGet, path: "data/" + name + g.fill(g.mostly([]string{"", "?version=N"}, dataQueries))}
	case 10:
		return wireRequest{method: http.MethodDelete, path: "data/" + name}
	case 11:
		return wireRequest{method: http.MethodGet, path: "subkeys/" + name + g.fill(pick(g, outlineQueries))}
	case 12, 13:
		return wireRequest{method: pick(g, []string{http.MethodPost, http.MethodPatch}), path: "metadata/" + name, body: g.fill(g.mostly(goodMetadata, oddMetadata))}
	case 14, 15:
		return wireRequest{method: http.MethodGet, path: "metadata/" + name}
	case 16:
		return wireRequest{method: methodList, path: "metadata/" + g.folder + g.mostly([]string{"", "/"}, listQueries)}
	case 17, 18, 19, 20, 21:
		return wireRequest{method: http.MethodPost, path: pick(g, []string{"delete/", "undelete/", "destroy/"}) + name, body: g.fill(g.mostly(goodVersions, oddVersions))}
	case 22:
		return wireRequest{method: http.MethodDelete, path: "metadata/" + name}
	default:
		return g.mistake(name)
	}
}

// mistake is a request that the engine doesn't serve, or not in this way.
func (g *generator) mistake(name string) wireRequest {
	kind := pick(g, []string{"data/", "metadata/", "delete/", "undelete/", "destroy/", "subkeys/"})
	switch g.IntN(4) {
	case 0:
		return wireRequest{method: pick(g, oddMethods), path: kind + name, body: g.fill(pick(g, goodData))}
	case 1:
		// Not a list, which would show what other sequences do.
		return wireRequest{method: pick(g, []string{http.MethodGet, http.MethodPost, http.MethodDelete}), path: pick(g, strayPaths), body: `{"data":{}}`}
	case 2:
		return wireRequest{
			method: pick(g, []string{http.MethodPost, http.MethodPatch}), path: kind + name, body: g.fill(pick(g, goodData)),
			form: pick(g, []string{
				"application/json", "application/x-www-form-urlencoded", "text/plain", "application/merge-patch+json; charset=utf-8",
				"a/b/c",
			}),
		}
	default:
		return wireRequest{method: pick(g, []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete, methodList}), path: kind + name, body: g.fill(pick(g, goodVersions))}
	}
}
