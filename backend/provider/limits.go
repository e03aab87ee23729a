// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits are a service's rules as data, so that a write that can never succeed
// is refused before anything is stored. The Check methods return nil or an
// *Error of class Invalid whose message names limit and actual size, never a
// value.
type Limits struct {
	Name NameRule
	// VersionIDBytes is the longest version id; 0 where the service assigns ids.
	VersionIDBytes int

	ValueBytes  int  // the largest value
	BinaryBytes int  // the largest binary value before encoding, 0 for ValueBytes
	EmptyValue  bool // whether a value may be empty

	// Versions is how many versions a secret can have, 0 for no limit.
	Versions int
	// EvictsVersions is set where the service drops the oldest version by
	// itself; elsewhere the engine removes it first.
	EvictsVersions bool

	DescriptionBytes int
	Tags             TagRule
	Window           WindowRule
}

// NameRule says which names a secret may have: ASCII letters and digits, and
// Punctuation.
type NameRule struct {
	MaxBytes    int
	Punctuation string
	// FirstAlphanumeric demands a letter or digit at the start.
	FirstAlphanumeric bool
	ReservedPrefixes  []string
}

// TagRule says which tags a secret may have. Sizes are in characters.
type TagRule struct {
	Max              int
	KeyChars         int
	ValueChars       int
	EmptyValue       bool
	Punctuation      string   // allowed beside letters, digits and inner spaces
	ValuePunctuation string   // allowed in values besides
	ReservedPrefixes []string // of keys
}

// WindowRule says how a deletion can be scheduled.
type WindowRule struct {
	MinDays, MaxDays, DefaultDays int
	Immediate                     bool // deletion at once is possible too
}

func invalidf(format string, args ...any) error {
	return &Error{Class: ClassInvalid, Message: fmt.Sprintf(format, args...)}
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Allows tells whether the byte c may stand in a name.
func (r NameRule) Allows(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte(r.Punctuation, c) >= 0
}

// AllowsFirst tells whether the byte c may start a name.
func (r NameRule) AllowsFirst(c byte) bool {
	return isAlphanumeric(c) || !r.FirstAlphanumeric && r.Allows(c)
}

// Check tells whether name is legal.
func (r NameRule) Check(name string) error {
	switch {
	case name == "":
		return invalidf("the remote name is empty")
	case len(name) > r.MaxBytes:
		return invalidf("the remote name has %d bytes, the limit is %d", len(name), r.MaxBytes)
	case !r.AllowsFirst(name[0]):
		return invalidf("the remote name must start with a letter or digit, not %q", name[:1])
	}
	for _, prefix := range r.ReservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return invalidf("the remote name starts with %q, which is reserved by the cloud", prefix)
		}
	}
	for i := range len(name) {
		if !r.Allows(name[i]) {
			char, _ := utf8.DecodeRuneInString(name[i:])
			return invalidf("the remote name contains %q, allowed are letters, digits and %q", char, r.Punctuation)
		}
	}
	return nil
}

// Largest is the size of the largest value of that form.
func (l Limits) Largest(binary bool) int {
	if binary && l.BinaryBytes > 0 {
		return l.BinaryBytes
	}
	return l.ValueBytes
}

// CheckValue tells whether v can be stored.
func (l Limits) CheckValue(v Value) error {
	switch {
	case v.Len() > l.Largest(v.IsBinary()):
		return invalidf("it has %d bytes, the limit is %d", v.Len(), l.Largest(v.IsBinary()))
	case v.Len() == 0 && !l.EmptyValue:
		return invalidf("it is empty, and the service stores no empty values")
	case !v.ValidText():
		return invalidf("it isn't UTF-8 text; send it as binary")
	}
	return nil
}

// CheckDescription tells whether text fits, the ownership mark included.
func (l Limits) CheckDescription(text string) error {
	if len(text) > l.DescriptionBytes {
		return invalidf("the description has %d bytes with the ownership mark, the limit is %d", len(text), l.DescriptionBytes)
	}
	return nil
}

// Check tells whether tags are legal, as a set and each for itself. The first
// fault in the order of keys is reported.
func (r TagRule) Check(tags map[string]string) error {
	if len(tags) > r.Max {
		return invalidf("%d tags, the limit is %d", len(tags), r.Max)
	}
	keys := make([]string, 0, len(tags))
	for key := range tags {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if key == "" {
			return invalidf("a tag has an empty key")
		}
		if err := checkTagText("key", key, key, tagText{r.KeyChars, r.Punctuation}); err != nil {
			return err
		}
		for _, prefix := range r.ReservedPrefixes {
			if strings.HasPrefix(key, prefix) {
				return invalidf("tag %q: keys that start with %q are reserved by the cloud", key, prefix)
			}
		}
		if tags[key] == "" && !r.EmptyValue {
			return invalidf("tag %q: the value is empty", key)
		}
		if err := checkTagText("value", key, tags[key], tagText{r.ValueChars, r.Punctuation + r.ValuePunctuation}); err != nil {
			return err
		}
	}
	return nil
}

// tagText is what a key or a value may be.
type tagText struct {
	chars       int
	punctuation string
}

func checkTagText(part, key, text string, rule tagText) error {
	if n := utf8.RuneCountInString(text); n > rule.chars {
		return invalidf("tag %q: the %s has %d characters, the limit is %d", key, part, n, rule.chars)
	}
	if strings.TrimSpace(text) != text {
		return invalidf("tag %q: the %s starts or ends with a space", key, part)
	}
	for _, c := range text {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != ' ' && !strings.ContainsRune(rule.punctuation, c) {
			return invalidf("tag %q: the %s contains %q, allowed are letters, digits, inner spaces and %s", key, part, c, rule.punctuation)
		}
	}
	return nil
}

// Check tells whether a deletion can be scheduled days ahead; 0 is at once.
func (r WindowRule) Check(days int) error {
	if days == 0 && r.Immediate || days >= r.MinDays && days <= r.MaxDays {
		return nil
	}
	return invalidf("a recovery window of %d days, possible are %d to %d", days, r.MinDays, r.MaxDays)
}

// Days is a recovery window as a duration.
func Days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
