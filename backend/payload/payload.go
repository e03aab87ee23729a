// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package payload turns the data of a secret into what a cloud stores.
//
// The same data gives the same bytes, always: equal content must never make a
// new version at a cloud.
package payload

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Key is the one key of the data that the formats raw and binary send.
const Key = "value"

// Format says how data becomes a value.
type Format string

// The formats.
const (
	JSON   Format = "json"   // the whole map as canonical JSON text
	Raw    Format = "raw"    // the string under Key, alone
	Binary Format = "binary" // the bytes that are base64 under Key, in the cloud's binary form
)

// Formats are all formats.
func Formats() []Format { return []Format{JSON, Raw, Binary} }

// ParseFormat reads a format; "" stays "".
func ParseFormat(text string) (Format, error) {
	switch f := Format(text); f {
	case "", JSON, Raw, Binary:
		return f, nil
	default:
		return "", fmt.Errorf("format %q is unknown, possible are json, raw and binary", text)
	}
}

// Encode returns data in the format f. An error says how the data doesn't fit,
// and never quotes it.
func Encode(data map[string]any, f Format) (provider.Value, error) {
	if f == JSON {
		return encodeJSON(data)
	}
	text, err := onlyString(data, f)
	if err != nil {
		return provider.Value{}, err
	}
	return encodeString(text, f, Key)
}

// EncodeKey returns what data has under key in the format raw or binary, whatever
// else it has. An error names the key, which is a setting, and nothing of the
// data.
func EncodeKey(data map[string]any, f Format, key string) (provider.Value, error) {
	if f == JSON {
		return provider.Value{}, fmt.Errorf("format json sends the whole data and not the key %q alone; use format raw or binary", key)
	}
	if f != Raw && f != Binary {
		return provider.Value{}, unknown(f)
	}
	value, found := data[key]
	if !found {
		return provider.Value{}, fmt.Errorf("format %s needs the key %q, which the data hasn't; write it or choose another value_key", f, key)
	}
	text, ok := value.(string)
	if !ok {
		return provider.Value{}, fmt.Errorf("format %s needs a string under the key %q; write one or choose another value_key", f, key)
	}
	return encodeString(text, f, key)
}

func encodeString(text string, f Format, key string) (provider.Value, error) {
	switch f {
	case Raw:
		return provider.Text(text), nil
	case Binary:
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			// The decoder's error names an offset only, but even that isn't needed.
			return provider.Value{}, fmt.Errorf("format binary: key %q isn't standard base64", key)
		}
		return provider.Binary(decoded), nil
	default:
		return provider.Value{}, unknown(f)
	}
}

func unknown(f Format) error { return fmt.Errorf("format %q is unknown", f) }

// Fits tells whether data has the form that f needs.
func Fits(data map[string]any, f Format) bool {
	_, err := Encode(data, f)
	return err == nil
}

func encodeJSON(data map[string]any) (provider.Value, error) {
	if data == nil {
		data = map[string]any{}
	}
	text, err := canonical(data)
	if err != nil {
		return provider.Value{}, errors.New("format json: the data can't be encoded")
	}
	return provider.Text(text), nil
}

// canonical is the JSON text of a value: keys sorted, no spaces, no HTML escapes,
// numbers as they were written.
func canonical(value any) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))), nil
}

func onlyString(data map[string]any, f Format) (string, error) {
	if f != Raw && f != Binary {
		return "", unknown(f)
	}
	text, ok := data[Key].(string)
	if !ok || len(data) != 1 {
		return "", fmt.Errorf("format %s needs data with the one key %q that holds a string; the data has %d keys", f, Key, len(data))
	}
	return text, nil
}

// Digest is a keyed hash of a value, for telling whether two are equal without
// keeping either. Without the key it says nothing about the value.
func Digest(key []byte, v provider.Value) string {
	mac := hmac.New(sha256.New, key)
	if v.IsBinary() {
		mac.Write([]byte("binary\x00"))
	} else {
		mac.Write([]byte("text\x00"))
	}
	mac.Write([]byte(v.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
