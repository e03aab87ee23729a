// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// shape is a way to keep a cloud's value in Vault.
type shape struct {
	data   map[string]any
	format payload.Format // that it implies
}

// readBack is the data as the KV store gives it when it is read: with numbers as
// floating point.
func (s shape) readBack() map[string]any {
	stored, err := json.Marshal(s.data)
	var data map[string]any
	if err != nil || json.Unmarshal(stored, &data) != nil {
		return s.data
	}
	return data
}

// shapes are the ways to keep a value, the best one first.
func shapes(v provider.Value) []shape {
	if v.IsBinary() {
		return []shape{{map[string]any{payload.Key: base64.StdEncoding.EncodeToString([]byte(v.Reveal()))}, payload.Binary}}
	}
	text := shape{map[string]any{payload.Key: v.Reveal()}, payload.Raw}
	if object := parseObject(v.Reveal()); object != nil {
		return []shape{{object, payload.JSON}, text}
	}
	return []shape{text}
}

// parseObject reads a JSON object, with numbers as they are written; nil if the
// text is none.
func parseObject(text string) map[string]any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil
	}
	return object
}

// fit is a shape that a replica sends as the bytes that the cloud has already.
type fit struct {
	shape
	explicit bool // the format has to be set on the secret
	note     string
}

// fitting chooses the shape with which the replica needs no version. encode is
// what the settings in force make of data, with the format set on the secret or
// only implied.
func fitting(v provider.Value, same func(provider.Value) bool, encode func(s shape, explicit bool) (provider.Value, error)) (fit, bool) {
	all := shapes(v)
	for i, s := range all {
		for _, explicit := range []bool{false, true} {
			encoded, err := encode(s, explicit)
			if err != nil || !same(encoded) {
				continue
			}
			f := fit{shape: s, explicit: explicit}
			if i > 0 {
				f.note = "it is kept as one text: its JSON isn't in the form that Vault's data is sent in (keys sorted, no spaces, numbers in their shortest form), so as data it would make a version in the cloud"
			}
			return f, true
		}
	}
	return fit{}, false
}
