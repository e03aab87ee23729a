// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package sensitive holds what must never be printed: credentials and the
// values of secrets.
//
// A String keeps its text behind a pointer. fmt does not call String methods
// on unexported fields, so a plain string type would show through a struct that
// holds it; a pointer shows an address at worst. Encoding one is an error
// rather than a placeholder, so that a value can be neither leaked nor silently
// lost in a record.
package sensitive

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"
)

const placeholder = "[redacted]"

// errEncode is returned by every encoder.
var errEncode = errors.New("a sensitive value can't be encoded, use Reveal where it has to be written")

// String is text that never prints. The zero value is unset. It is immutable
// and safe for concurrent use.
type String struct{ text *string }

// NewString keeps s. An empty s gives a String that is set, to the empty text.
func NewString(s string) String { return String{text: &s} }

// Reveal returns the text, "" when unset. Only code that signs, sends or
// stores calls it.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet tells whether a text was given, the empty one included.
func (s String) IsSet() bool { return s.text != nil }

// Equal compares in constant time for texts of one length.
func (s String) Equal(other String) bool {
	return s.IsSet() == other.IsSet() &&
		subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns a placeholder.
func (s String) String() string { return placeholder }

// GoString returns a placeholder.
func (s String) GoString() string { return placeholder }

// Format writes a placeholder for every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// MarshalText refuses, and with it encoding/json.
func (s String) MarshalText() ([]byte, error) { return nil, errEncode }

// quotable is the length from which a shared run of characters counts as a
// quotation. Shorter runs occur by chance in any sentence.
const quotable = 8

// Scrub returns message, or a sentence that says why it is withheld when the
// message quotes one of the secrets, whole or in a run of eight bytes or more.
// It is meant for the texts of remote services, which sometimes echo what they
// were sent.
func Scrub(message string, secrets ...String) string {
	const longest = 1024
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "..."
	}
	for _, s := range secrets {
		if quotes(message, s.Reveal()) {
			return "(the service's text is withheld because it quotes a secret)"
		}
	}
	return message
}

func quotes(message, secret string) bool {
	if secret == "" {
		return false
	}
	if len(secret) < quotable {
		// Too short to look for pieces of; a whole one of three bytes or more
		// is still recognisable.
		return len(secret) > 2 && strings.Contains(message, secret)
	}
	for i := 0; i+quotable <= len(message); i++ {
		if strings.Contains(secret, message[i:i+quotable]) {
			return true
		}
	}
	return false
}
