// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package remotename derives the name of a replica from the name of its secret.
package remotename

import (
	"strings"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Derive returns the remote name for a secret: its own name where the rule
// allows every character. Otherwise "/" becomes "_" (or "-" where "_" isn't
// allowed) and every other forbidden character "-"; a first character that the
// rule refuses gets "s" before it. The result depends on its arguments alone.
// Two secrets may get one name; whoever stores it refuses the second. The
// length is not looked at: [provider.NameRule.Check] tells.
func Derive(secret string, rule provider.NameRule) string {
	separator := byte('-')
	if rule.Allows('_') {
		separator = '_'
	}
	var b strings.Builder
	for i := 0; i < len(secret); {
		c, size := utf8.DecodeRuneInString(secret[i:])
		switch {
		case size == 1 && rule.Allows(secret[i]):
			b.WriteByte(secret[i])
		case c == '/':
			b.WriteByte(separator)
		default:
			b.WriteByte('-')
		}
		i += size
	}
	name := b.String()
	if name != "" && !rule.AllowsFirst(name[0]) {
		name = "s" + name
	}
	return name
}
