// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package owner marks remote secrets as made by one mount.
//
// The mark is appended to the description, the one field that every cloud
// returns with a single call and that people don't sort or bill by:
//
//	what people wrote [vault-cloudsync mount=4f1c... secret=team-a/db]
//
// A secret without a mark, or with another mount's, isn't ours.
package owner

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

const (
	opening  = "[vault-cloudsync mount="
	between  = " secret="
	closing  = "]"
	hashSign = "sha256:"

	// longestName is how much of the description a secret's name may take.
	// Longer ones are marked by their hash, which can be checked but not read;
	// so are those that look like a hash.
	longestName = 128
)

// Mark names the mount and the secret that a remote secret is a replica of.
// The zero Mark belongs to nobody.
type Mark struct {
	Mount  string // the mount's id
	Secret string // the secret's name, or a hash of it; see For
}

// For returns the mark of a secret of a mount.
func For(mount, secret string) Mark {
	name := escape(secret)
	if len(name) > longestName || strings.HasPrefix(name, hashSign) {
		sum := sha256.Sum256([]byte(secret))
		name = hashSign + hex.EncodeToString(sum[:16])
	}
	return Mark{Mount: mount, Secret: name}
}

// IsZero tells whether there is no mark.
func (m Mark) IsZero() bool { return m == Mark{} }

// String is the mark in words, for messages.
func (m Mark) String() string {
	if m.IsZero() {
		return "nobody"
	}
	return "mount " + m.Mount + ", secret " + m.SecretName()
}

// SecretName is the secret's name as far as the mark tells it.
func (m Mark) SecretName() string {
	if name, err := url.PathUnescape(m.Secret); err == nil {
		return name
	}
	return m.Secret
}

// Append returns description with the mark at its end.
func (m Mark) Append(description string) string {
	mark := opening + m.Mount + between + m.Secret + closing
	if description == "" {
		return mark
	}
	return description + " " + mark
}

// Split takes a description apart. Without a mark at its end it returns the
// whole text and the zero Mark.
func Split(description string) (text string, mark Mark) {
	start := strings.LastIndex(description, opening)
	if start < 0 || !strings.HasSuffix(description, closing) {
		return description, Mark{}
	}
	inner := description[start+len(opening) : len(description)-len(closing)]
	mount, secret, found := strings.Cut(inner, between)
	if !found || mount == "" || secret == "" || strings.ContainsAny(inner, "[]") {
		return description, Mark{}
	}
	return strings.TrimSuffix(description[:start], " "), Mark{Mount: mount, Secret: secret}
}

// Imitates tells whether people's text holds what could be taken for a mark.
func Imitates(text string) bool { return strings.Contains(text, opening) }

// escape makes a name safe between brackets and readable in most cases: it
// percent-encodes what could end the mark, spaces and control characters.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c == '%' || c == '[' || c == ']' || c == 0x7f {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
