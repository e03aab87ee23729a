// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package payload_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

func TestEachKeyIsAValue(t *testing.T) {
	data := map[string]any{
		"user": "app", "empty": "", "port": json.Number("5432"), "ratio": json.Number("1.0"), "tls": true, "nothing": nil,
		"hosts": []any{"b", "a"}, "options": map[string]any{"z": "<&>", "a": json.Number("1e3")}, "json": `{"b": 1}`, "db/url": "x", "": "no name",
	}
	for name, c := range map[string]struct {
		include, exclude []string
		want             map[string]string
	}{
		"all": {nil, nil, map[string]string{
			"user": "app", "empty": "", "port": "5432", "ratio": "1.0", "tls": "true", "nothing": "null",
			"hosts": `["b","a"]`, "options": `{"a":1e3,"z":"<&>"}`, "json": `{"b": 1}`, "db/url": "x", "": "no name",
		}},
		"some":                         {[]string{"user", "po*"}, nil, map[string]string{"user": "app", "port": "5432"}},
		"all but some":                 {nil, []string{"*[a-z]*", "db/url"}, map[string]string{"": "no name"}},
		"excludes win":                 {[]string{"user", "port"}, []string{"user"}, map[string]string{"port": "5432"}},
		"a slash is no separator":      {[]string{"db*"}, nil, map[string]string{"db/url": "x"}},
		"it can be named":              {[]string{"*/url"}, nil, map[string]string{"db/url": "x"}},
		"alternatives":                 {[]string{"{tls,port}"}, nil, map[string]string{"tls": "true", "port": "5432"}},
		"none":                         {[]string{"absent"}, nil, map[string]string{}},
		"a star is also for no letter": {[]string{"*"}, []string{"?*"}, map[string]string{"": "no name"}},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := payload.Split(data, c.include, c.exclude)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for key, value := range values {
				if value.IsBinary() || !value.IsSet() {
					t.Errorf("%s is no text", key)
				}
				got[key] = value.Reveal()
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSplitRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		data             map[string]any
		include, exclude []string
		says             string
	}{
		"a glob to include":    {nil, []string{"a", "b["}, nil, `include_keys: "b[" isn't a valid glob`},
		"a glob to exclude":    {nil, nil, []string{""}, `exclude_keys: "" isn't a valid glob`},
		"what isn't data":      {map[string]any{canary: make(chan int)}, nil, nil, "can't be encoded"},
		"a number that is not": {map[string]any{"n": json.Number(canary)}, nil, nil, "can't be encoded"},
		"what refuses its own": {map[string]any{"n": refusing{}}, nil, nil, "can't be encoded"},
	} {
		if values, err := payload.Split(c.data, c.include, c.exclude); err == nil || values != nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want an error that says %q and nothing of the data", name, err, c.says)
		}
	}
	if values, err := payload.Split(map[string]any{"a": "x", "b": make(chan int)}, []string{"a"}, nil); err != nil || len(values) != 1 {
		t.Errorf("what isn't chosen needs no value: %v, %v", values, err)
	}
	if values, err := payload.Split(nil, nil, nil); err != nil || len(values) != 0 {
		t.Errorf("no data: %v, %v", values, err)
	}
}

// TestSplitGolden compares with testdata/split.txt; run with -update to accept a
// change, and think of what it does to existing replicas.
func TestSplitGolden(t *testing.T) {
	var b strings.Builder
	all := cases()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		values, err := payload.Split(all[name], nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(&b, "%s\t%q\t%q\n", name, key, values[key].Reveal())
		}
	}
	const golden = "testdata/split.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != b.String() {
		t.Errorf("%s differs; if that is meant: go test ./backend/payload -update\n%v, got\n%s", golden, err, b.String())
	}
}

func TestValueOfAnotherKey(t *testing.T) {
	data := map[string]any{"password": canary, "p12": "AAEC", "empty": "", "port": json.Number("1"), "value": "v"}
	for name, c := range map[string]struct {
		format payload.Format
		key    string
		want   provider.Value
		fails  string
	}{
		"raw":                     {payload.Raw, "password", provider.Text(canary), ""},
		"raw of the default key":  {payload.Raw, "value", provider.Text("v"), ""},
		"raw may be empty":        {payload.Raw, "empty", provider.Text(""), ""},
		"binary":                  {payload.Binary, "p12", provider.Binary([]byte{0, 1, 2}), ""},
		"binary may be empty":     {payload.Binary, "empty", provider.Binary(nil), ""},
		"binary that is text":     {payload.Binary, "password", provider.Value{}, `key "password" isn't standard base64`},
		"a key that isn't there":  {payload.Raw, "pasword", provider.Value{}, `format raw needs the key "pasword", which the data hasn't`},
		"a number":                {payload.Raw, "port", provider.Value{}, `format raw needs a string under the key "port"`},
		"json":                    {payload.JSON, "password", provider.Value{}, "format json sends the whole data"},
		"a format that isn't one": {"yaml", "password", provider.Value{}, `format "yaml" is unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := payload.EncodeKey(data, c.format, c.key)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "canary") || got.IsSet() {
					t.Errorf("%v, want an error that says %q and nothing of the data", err, c.fails)
				}
				return
			}
			if err != nil || !got.Equal(c.want) {
				t.Errorf("%q, binary %v, error %v", got.Reveal(), got.IsBinary(), err)
			}
		})
	}
}

func TestParseGranularity(t *testing.T) {
	for _, text := range []string{"", "secret-path", "secret-key"} {
		if g, err := payload.ParseGranularity(text); err != nil || string(g) != text {
			t.Errorf("%q: %q, %v", text, g, err)
		}
	}
	if g, err := payload.ParseGranularity("key"); err == nil || g != "" || !strings.Contains(err.Error(), "secret-path and secret-key") {
		t.Errorf("%q, %v", g, err)
	}
}

func decoded(text string) (map[string]any, bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var data map[string]any
	return data, decoder.Decode(&data) == nil && data != nil
}

// copied is equal data in maps that were filled in another order.
func copied(value any) any {
	switch value := value.(type) {
	case map[string]any:
		other := make(map[string]any, 2*len(value))
		for _, key := range slices.Backward(slices.Sorted(maps.Keys(value))) {
			other[key] = copied(value[key])
		}
		return other
	case []any:
		other := make([]any, 0, len(value))
		for _, v := range value {
			other = append(other, copied(v))
		}
		return other
	default:
		return value
	}
}

// Canonical text is read and written without a change, and equal data gives
// equal text.
func FuzzCanonical(f *testing.F) {
	for _, data := range cases() {
		text, err := payload.Encode(data, payload.JSON)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text.Reveal(), "*", "a*")
	}
	f.Add(`{"a":1E400,"\ud800":-0.0,"A":[{"b":1,"a":2}],"a":2}`, "[a-z]", "")
	f.Add(`{"db/url":"x","":"<>&\u2028"}`, "db*", "{x,y}")
	f.Fuzz(func(t *testing.T, text, include, exclude string) {
		data, ok := decoded(text)
		if !ok {
			return
		}
		encode := func(data map[string]any) string {
			value, err := payload.Encode(data, payload.JSON)
			if err != nil {
				t.Fatal(err)
			}
			return value.Reveal()
		}
		first := encode(data)
		back, ok := decoded(first)
		if !ok || encode(back) != first || !reflect.DeepEqual(back, data) {
			t.Errorf("%q became %q and then %q", text, first, encode(back))
		}
		other, _ := copied(data).(map[string]any)
		if encode(other) != first {
			t.Errorf("%q gives %q; filled in another order %q", text, first, encode(other))
		}
		checkSplit(t, data, other, include, exclude)
	})
}

func checkSplit(t *testing.T, data, other map[string]any, include, exclude string) {
	t.Helper()
	all, err := payload.Split(data, nil, nil)
	if err != nil || len(all) != len(data) {
		t.Fatalf("%d values of %d keys, %v", len(all), len(data), err)
	}
	for key, value := range all {
		if text, ok := data[key].(string); ok {
			if value.Reveal() != text {
				t.Errorf("%q became %q", text, value.Reveal())
			}
			continue
		}
		decoder := json.NewDecoder(strings.NewReader(value.Reveal()))
		decoder.UseNumber()
		var back any
		if err := decoder.Decode(&back); err != nil || !reflect.DeepEqual(back, data[key]) {
			t.Errorf("%v became %q, %v", data[key], value.Reveal(), err)
		}
	}
	if again, err := payload.Split(other, nil, nil); err != nil || !reflect.DeepEqual(again, all) {
		t.Errorf("equal data gives %d other values, %v", len(again), err)
	}
	included, err1 := payload.Split(data, []string{include}, nil)
	excluded, err2 := payload.Split(data, nil, []string{include})
	if (err1 == nil) != (err2 == nil) || err1 == nil && len(included)+len(excluded) != len(data) {
		t.Errorf("%q includes %d and excludes all but %d of %d; %v, %v", include, len(included), len(excluded), len(data), err1, err2)
	}
	both, err := payload.Split(data, []string{include}, []string{exclude})
	if err == nil && len(both) > len(included) {
		t.Errorf("excluding %q adds keys", exclude)
	}
}

func BenchmarkSplit(b *testing.B) {
	data := settings(32 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := payload.Split(data, []string{"setting-*"}, []string{"*-0001"}); err != nil {
			b.Fatal(err)
		}
	}
}
