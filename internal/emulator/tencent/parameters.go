// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// decode reads a request body into the struct that into points to, as strictly
// as the gateway: every parameter must be one of the struct's fields, of exactly
// its JSON type, and those tagged need:"true" must be there. Null counts as
// absent. A pointer field tells an absent parameter from a zero.
func decode(body []byte, into any) *emulator.Failure {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	target := reflect.ValueOf(into).Elem()
	if failure := fits(body, target.Type(), ""); failure != nil {
		return failure
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fail(codeInvalidParameter, "The request body is not valid.")
	}
	return nil
}

// fits checks raw against a type: structs, slices, strings, bools and integers.
// path names the parameter, "" for the body itself.
func fits(raw json.RawMessage, t reflect.Type, path string) *emulator.Failure {
	switch t.Kind() {
	case reflect.Pointer:
		return fits(raw, t.Elem(), path)
	case reflect.Struct:
		return fitsStruct(raw, t, path)
	case reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) != nil {
			return wrongType(path, "list")
		}
		for i, item := range items {
			if failure := fits(item, t.Elem(), fmt.Sprintf("%s.%d", path, i)); failure != nil {
				return failure
			}
		}
		return nil
	}
	if isNull(raw) || json.Unmarshal(raw, reflect.New(t).Interface()) != nil {
		return wrongType(path, t.Kind().String())
	}
	return nil
}

func fitsStruct(raw json.RawMessage, t reflect.Type, path string) *emulator.Failure {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		if path == "" {
			return fail(codeInvalidParameter, "The request body is not a JSON object.")
		}
		return wrongType(path, "object")
	}
	prefix := path
	if prefix != "" {
		prefix += "."
	}
	known := 0
	for i := range t.NumField() {
		field := t.Field(i)
		value, given := members[field.Name]
		if given {
			known++
		}
		switch {
		case given && !isNull(value):
			if failure := fits(value, field.Type, prefix+field.Name); failure != nil {
				return failure
			}
		case field.Tag.Get("need") == "true":
			return missing(prefix + field.Name)
		}
	}
	if known < len(members) {
		return unknownMember(members, t, prefix)
	}
	return nil
}

func unknownMember(members map[string]json.RawMessage, t reflect.Type, prefix string) *emulator.Failure {
	for name := range members {
		if _, ok := t.FieldByName(name); !ok {
			// The name is the caller's and may be anything, so it is cut.
			return fail(codeUnknownParameter, fmt.Sprintf("The parameter `%s%.64s` is not recognized.", prefix, name))
		}
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

func wrongType(parameter, want string) *emulator.Failure {
	return fail(codeInvalidParameter, fmt.Sprintf("The value type of parameter `%s` is not valid, input type should be `%s`",
		parameter, strings.TrimSuffix(want, "64")))
}
