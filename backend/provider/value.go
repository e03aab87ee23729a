// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Value is what a version of a secret holds: text, or bytes in the service's
// binary form. It never prints. The zero Value is unset.
type Value struct {
	content sensitive.String
	binary  bool
}

// Text is a value of UTF-8 text.
func Text(s string) Value { return Value{content: sensitive.NewString(s)} }

// Binary is a value of bytes. A provider encodes them as its service wants.
func Binary(b []byte) Value { return Value{content: sensitive.NewString(string(b)), binary: true} }

// IsBinary tells whether the value has the binary form.
func (v Value) IsBinary() bool { return v.binary }

// IsSet tells a value from the zero Value.
func (v Value) IsSet() bool { return v.content.IsSet() }

// Reveal returns the text or the raw bytes. Only requests and digests use it.
func (v Value) Reveal() string { return v.content.Reveal() }

// Sensitive returns the content for [sensitive.Scrub].
func (v Value) Sensitive() sensitive.String { return v.content }

// Len is the size in bytes, before any encoding.
func (v Value) Len() int { return len(v.content.Reveal()) }

// Equal tells whether both have the same form and content.
func (v Value) Equal(other Value) bool {
	return v.binary == other.binary && v.content.Equal(other.content)
}

// ValidText tells whether a text value is UTF-8; a binary one is always valid.
func (v Value) ValidText() bool { return v.binary || utf8.ValidString(v.content.Reveal()) }
