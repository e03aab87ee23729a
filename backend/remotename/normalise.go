// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package remotename

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Change says what was done to a name to make it legal.
type Change string

// The changes, from none to most.
const (
	Unchanged  Change = "unchanged"
	Normalised Change = "normalised" // characters were replaced, or a start added
	Shortened  Change = "shortened"  // cut, with a hash at the end; possibly normalised too
)

// Result is a remote name, and how it came about.
type Result struct {
	Name   string // legal by the rule
	Full   string // what the template gave
	Change Change
}

// hashChars is how much of the hash a shortened name has: 64 bits, so that
// among a million shortened names two equal ones are less likely than one in
// ten million.
const hashChars = 16

// Normalise makes a legal name of full, always the same one. A legal name stays
// as it is. Otherwise "/" becomes "_" ("-" where "_" isn't allowed) and every
// other forbidden character "-"; a first character that the rule refuses gets
// "s" before it, and a reserved prefix "s_"; a name that is too long is cut and
// ends in the start of the SHA-256 of full. The empty name becomes "s".
//
// Two names may become one, as a/b and a_b do; whoever stores it refuses the
// second.
func Normalise(full string, rule provider.NameRule) Result {
	result := Result{Name: full, Full: full, Change: Unchanged}
	if rule.Check(full) == nil {
		return result
	}
	name := replaceForbidden(full, rule)
	if name == "" || !rule.AllowsFirst(name[0]) {
		name = "s" + name
	}
	if reserved(name, rule) {
		name = "s" + separator(rule) + name
	}
	result.Change = Normalised
	if len(name) > rule.MaxBytes {
		name = shorten(name, full, rule.MaxBytes)
		result.Change = Shortened
	}
	result.Name = name
	return result
}

// Derive returns what [Normalise] makes of the name of a secret, but without a
// limit of length and with what is reserved or empty left as it is:
// [provider.NameRule.Check] tells.
func Derive(secret string, rule provider.NameRule) string {
	name := replaceForbidden(secret, rule)
	if name != "" && !rule.AllowsFirst(name[0]) {
		name = "s" + name
	}
	return name
}

// replaceForbidden replaces each character that the rule forbids, and each byte
// that is no character, by one that it allows.
func replaceForbidden(name string, rule provider.NameRule) string {
	slash := separator(rule)
	var b strings.Builder
	b.Grow(len(name))
	for i := 0; i < len(name); {
		c, size := utf8.DecodeRuneInString(name[i:])
		switch {
		case rule.Allows(name[i]):
			b.WriteByte(name[i])
		case c == '/':
			b.WriteString(slash)
		default:
			b.WriteByte('-')
		}
		i += size
	}
	return b.String()
}

func separator(rule provider.NameRule) string {
	if rule.Allows('_') {
		return "_"
	}
	return "-"
}

func reserved(name string, rule provider.NameRule) bool {
	for _, prefix := range rule.ReservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// shorten cuts name to limit bytes, of which the last are a hash of full.
func shorten(name, full string, limit int) string {
	hash := shortHash(full, hashChars)
	if limit <= len(hash)+1 {
		return hash[:min(limit, len(hash))]
	}
	return name[:limit-len(hash)-1] + "-" + hash
}

// shortHash is the start of the SHA-256 of text, in lower-case hex.
func shortHash(text string, chars int) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:chars]
}
