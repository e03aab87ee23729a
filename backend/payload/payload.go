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
	switch f {
	case JSON:
		return encodeJSON(data)
	case Raw:
		text, err := onlyString(data, f)
		return provider.Text(text), err
	case Binary:
		text, err := onlyString(data, f)
		if err != nil {
			return provider.Value{}, err
		}
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			// The decoder's error names an offset only, but even that isn't needed.
			return provider.Value{}, fmt.Errorf("format binary: key %q isn't standard base64", Key)
		}
		return provider.Binary(decoded), nil
	default:
		return provider.Value{}, fmt.Errorf("format %q is unknown", f)
	}
}

// Fits tells whether data has the form that f needs.
func Fits(data map[string]any, f Format) bool {
	_, err := Encode(data, f)
	return err == nil
}

// encodeJSON gives canonical text: keys sorted, no spaces, no HTML escapes.
func encodeJSON(data map[string]any) (provider.Value, error) {
	if data == nil {
		data = map[string]any{}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return provider.Value{}, errors.New("format json: the data can't be encoded")
	}
	return provider.Text(string(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))), nil
}

func onlyString(data map[string]any, f Format) (string, error) {
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
