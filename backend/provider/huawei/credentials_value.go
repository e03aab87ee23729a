// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// The parts that values of no known shape have.
const (
	partValue  = "value"        // text that isn't a JSON object
	partBinary = "value_base64" // bytes that aren't text
)

// parts takes a managed value apart. Which shape the functions write isn't
// documented for the present types: it may be {"users":[..]} as for the legacy one,
// or one account alone, as text or as bytes. The first user is username and password,
// the next username_2 and password_2. What isn't known keeps its name.
func parts(v provider.Value) map[string]sensitive.String {
	text := v.Reveal()
	found := map[string]sensitive.String{}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil || object == nil {
		if v.IsBinary() && !utf8.ValidString(text) {
			found[partBinary] = sensitive.NewString(base64.StdEncoding.EncodeToString([]byte(text)))
			return found
		}
		found[partValue] = sensitive.NewString(text)
		return found
	}
	var users []map[string]json.RawMessage
	if json.Unmarshal(object["users"], &users) == nil && len(users) > 0 {
		delete(object, "users")
		for i, user := range users {
			suffix := ""
			if i > 0 {
				suffix = "_" + strconv.Itoa(i+1)
			}
			addParts(found, user, suffix)
		}
	}
	addParts(found, object, "")
	return found
}

// commonNames are the names that functions may use for the parts of an account,
// the more telling ones first.
var commonNames = map[string][]string{
	"username": {"username", "user_name", "userName", "name", "user", "account", "account_name", "accountName"},
	"password": {"password", "passwd", "pwd"},
}

// addParts adds the members of an object, those of an account under their common
// names. What is there already stays.
func addParts(to map[string]sensitive.String, object map[string]json.RawMessage, suffix string) {
	renamed := map[string]string{}
	for common, names := range commonNames {
		i := slices.IndexFunc(names, func(name string) bool { _, ok := object[name]; return ok })
		if i >= 0 {
			renamed[names[i]] = common
		}
	}
	for name, raw := range object {
		if common, ok := renamed[name]; ok {
			name = common
		}
		if _, taken := to[name+suffix]; taken {
			continue
		}
		text := string(raw)
		var plain *string
		if json.Unmarshal(raw, &plain) == nil {
			text = at(plain) // null is the empty text
		}
		to[name+suffix] = sensitive.NewString(text)
	}
}
