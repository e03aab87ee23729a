// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package payload_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var update = flag.Bool("update", false, "accept the present output as the golden one")

const canary = "canary-4f1d7c22"

// cases are data whose canonical JSON is a promise: other bytes would make a
// new version of every replica at the next upgrade.
func cases() map[string]map[string]any {
	return map[string]map[string]any{
		"nil":              nil,
		"empty":            {},
		"string":           {"value": "text"},
		"empty string":     {"value": ""},
		"null":             {"value": nil},
		"keys are sorted":  {"b": 1, "a": 2, "B": 3, "": 4, "aa": 5, "é": 6, "_": 7},
		"no HTML escapes":  {"<a href=\"x\">": "a && b > c </script>"},
		"unicode":          {"ключ": "значение", "密码": "秘密", "emoji": "🔑", "combining": "e\u0301"},
		"line separators":  {"value": "\u2028\u2029"},
		"control":          {"value": "\x00\x01\b\f\n\r\t\x1f\x7f\\\"/"},
		"invalid UTF-8":    {"value": "a\xffb\xc3"},
		"nested":           {"z": map[string]any{"b": []any{1, "two", nil, true, map[string]any{"y": 1, "x": 2}}, "a": map[string]any{}}, "a": []any{}},
		"float64":          {"int": 1.0, "frac": 0.1, "large": 1e21, "small": 1e-7, "neg zero": math.Copysign(0, -1), "max": math.MaxFloat64},
		"json.Number":      {"int": json.Number("1"), "frac": json.Number("1.0"), "big": json.Number("123456789012345678901234567890"), "exp": json.Number("1E5")},
		"booleans":         {"t": true, "f": false},
		"map of strings":   {"m": map[string]string{"b": "2", "a": "1"}},
		"a list of one":    {"l": []string{"x"}},
		"an inner newline": {"value": "text\n"},
	}
}

// TestCanonicalJSON compares with testdata/canonical.txt; run with -update to
// accept a change, and think of what it does to existing replicas.
func TestCanonicalJSON(t *testing.T) {
	const golden = "testdata/canonical.txt"
	all := cases()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value, err := payload.Encode(all[name], payload.JSON)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if value.IsBinary() || !value.IsSet() {
			t.Errorf("%s: the value is no text", name)
		}
		b.WriteString(name + "\t" + value.Reveal() + "\n")
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(wanted)) {
		if i >= len(got) || i >= len(wanted) || got[i] != wanted[i] {
			t.Fatalf("line %d of %s differs; if that is meant: go test ./backend/payload -update\ngot\n%s\nwant\n%s", i+1, golden, b.String(), want)
		}
	}
}

func TestEqualDataIsEqualBytes(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	var first provider.Value
	for shift := range keys {
		data, inner := map[string]any{}, map[string]any{}
		for n := range keys {
			i := (n + shift) % len(keys)
			data[keys[i]], inner[keys[i]] = i, keys[i]
		}
		data["inner"] = inner
		value, err := payload.Encode(data, payload.JSON)
		if err != nil {
			t.Fatal(err)
		}
		if !first.IsSet() {
			first = value
		}
		if !value.Equal(first) {
			t.Fatalf("%s differs from %s", value.Reveal(), first.Reveal())
		}
	}
}

func TestDataThatWentThroughStorageIsEqualBytes(t *testing.T) {
	data := map[string]any{"n": json.Number("12345678901234567890"), "s": "<&>", "l": []any{1.5, nil}}
	before, err := payload.Encode(data, payload.JSON)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(before.Reveal()))
	decoder.UseNumber()
	var back map[string]any
	if err := decoder.Decode(&back); err != nil {
		t.Fatal(err)
	}
	after, err := payload.Encode(back, payload.JSON)
	if err != nil || !after.Equal(before) {
		t.Errorf("%s became %s, %v", before.Reveal(), after.Reveal(), err)
	}
}

func TestRawAndBinary(t *testing.T) {
	for name, c := range map[string]struct {
		format payload.Format
		data   map[string]any
		want   string // the content
		fails  string // a part of the error
	}{
		"raw is the string alone":          {payload.Raw, map[string]any{"value": "a <b>\n"}, "a <b>\n", ""},
		"raw may be empty":                 {payload.Raw, map[string]any{"value": ""}, "", ""},
		"raw without the key":              {payload.Raw, map[string]any{"password": canary}, "", `needs data with the one key "value"`},
		"raw with a second key":            {payload.Raw, map[string]any{"value": canary, "x": canary}, "", "the data has 2 keys"},
		"raw with a number":                {payload.Raw, map[string]any{"value": 1}, "", "holds a string"},
		"raw of nothing":                   {payload.Raw, nil, "", "the data has 0 keys"},
		"binary is decoded":                {payload.Binary, map[string]any{"value": "AAECAw=="}, "\x00\x01\x02\x03", ""},
		"binary may be empty":              {payload.Binary, map[string]any{"value": ""}, "", ""},
		"binary without padding":           {payload.Binary, map[string]any{"value": "AAECAw"}, "", "isn't standard base64"},
		"binary in the alphabet of URLs":   {payload.Binary, map[string]any{"value": "-_-_"}, "", "isn't standard base64"},
		"binary that is text":              {payload.Binary, map[string]any{"value": canary}, "", "isn't standard base64"},
		"binary with a second key":         {payload.Binary, map[string]any{"value": "AAEC", "x": canary}, "", "the data has 2 keys"},
		"binary with a list":               {payload.Binary, map[string]any{"value": []any{canary}}, "", "holds a string"},
		"JSON of what isn't data":          {payload.JSON, map[string]any{canary: make(chan int)}, "", "can't be encoded"},
		"JSON of a number that isn't one":  {payload.JSON, map[string]any{"value": json.Number(canary)}, "", "can't be encoded"},
		"JSON of a number beyond all":      {payload.JSON, map[string]any{canary: math.Inf(1)}, "", "can't be encoded"},
		"JSON of what refuses its own":     {payload.JSON, map[string]any{"value": refusing{}}, "", "can't be encoded"},
		"a format that nobody knows":       {"yaml", map[string]any{"value": canary}, "", `format "yaml" is unknown`},
		"a format that nobody chose":       {"", map[string]any{"value": canary}, "", `format "" is unknown`},
		"a date beyond what JSON can hold": {payload.JSON, map[string]any{"value": time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)}, "", "can't be encoded"},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := payload.Encode(c.data, c.format)
			if payload.Fits(c.data, c.format) != (err == nil) {
				t.Error("Fits says otherwise")
			}
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "canary") {
					t.Errorf("%v, want an error that says %q and nothing of the data", err, c.fails)
				}
				return
			}
			if err != nil || value.Reveal() != c.want || value.IsBinary() != (c.format == payload.Binary) || !value.IsSet() {
				t.Errorf("%q, binary %v, error %v", value.Reveal(), value.IsBinary(), err)
			}
		})
	}
}

// refusing quotes the value when it is encoded.
type refusing struct{}

func (refusing) MarshalJSON() ([]byte, error) { return nil, &os.PathError{Op: "read", Path: canary} }

func TestParseFormat(t *testing.T) {
	for _, text := range []string{"", "json", "raw", "binary"} {
		if f, err := payload.ParseFormat(text); err != nil || string(f) != text {
			t.Errorf("%q: %q, %v", text, f, err)
		}
	}
	for _, text := range []string{"JSON", "yaml", " raw", "raw "} {
		if f, err := payload.ParseFormat(text); err == nil || f != "" || !strings.Contains(err.Error(), "json, raw and binary") {
			t.Errorf("%q: %q, %v", text, f, err)
		}
	}
}

func TestDigest(t *testing.T) {
	key, other := []byte("key-1"), []byte("key-2")
	digest := payload.Digest(key, provider.Text("value"))
	for what, same := range map[string]string{
		"the same again": payload.Digest(slices.Clone(key), provider.Text("value")),
	} {
		if same != digest {
			t.Errorf("%s has another digest", what)
		}
	}
	for what, different := range map[string]string{
		"another key":               payload.Digest(other, provider.Text("value")),
		"another value":             payload.Digest(key, provider.Text("value ")),
		"no value":                  payload.Digest(key, provider.Text("")),
		"the bytes as binary":       payload.Digest(key, provider.Binary([]byte("value"))),
		"text that imitates binary": payload.Digest(key, provider.Text("binary\x00value")),
		"binary that imitates text": payload.Digest(key, provider.Binary([]byte("text\x00value"))),
	} {
		if different == digest || len(different) != 32 {
			t.Errorf("%s has the digest %q", what, different)
		}
	}
	if strings.Contains(payload.Digest(key, provider.Text(canary)), "canary") {
		t.Error("a digest shows the value")
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(`{"value":"text"}`, "json")
	f.Add(`{"value":"AAEC"}`, "binary")
	f.Add(`{"value":"\u2028<>&\ud800"}`, "raw")
	f.Add(`{"a":{"b":[1e400,-0,null]},"":1}`, "json")
	f.Fuzz(func(t *testing.T, text, format string) {
		decode := func() map[string]any {
			decoder := json.NewDecoder(strings.NewReader(text))
			decoder.UseNumber()
			var data map[string]any
			if decoder.Decode(&data) != nil {
				return map[string]any{"value": text}
			}
			return data
		}
		data := decode()
		value, err := payload.Encode(data, payload.Format(format))
		again, errAgain := payload.Encode(decode(), payload.Format(format))
		if (err == nil) != (errAgain == nil) || err == nil && !value.Equal(again) {
			t.Fatalf("%v and %v, %q and %q", err, errAgain, value.Reveal(), again.Reveal())
		}
		if err != nil {
			return
		}
		switch payload.Format(format) {
		case payload.JSON:
			if !json.Valid([]byte(value.Reveal())) || strings.HasSuffix(value.Reveal(), "\n") {
				t.Errorf("%q isn't JSON", value.Reveal())
			}
		case payload.Raw:
			if value.Reveal() != data["value"] {
				t.Errorf("%q isn't %q", value.Reveal(), data["value"])
			}
		case payload.Binary:
			back, err := payload.Encode(map[string]any{"value": base64.StdEncoding.EncodeToString([]byte(value.Reveal()))}, payload.Binary)
			if err != nil || !back.Equal(value) || !value.IsBinary() {
				t.Errorf("%q isn't %q, %v", back.Reveal(), value.Reveal(), err)
			}
		}
	})
}
