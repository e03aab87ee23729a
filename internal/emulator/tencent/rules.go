// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Limits that no switch changes.
const (
	maxDescription = 2048 // bytes
	maxWindowDays  = 30
	maxPage        = 200
	defaultPage    = 20
	maxTags        = 50
	maxTagKey      = 127 // characters
	maxTagValue    = 255 // characters
)

var (
	nameForm             = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)
	versionIDForm        = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
	dotlessVersionIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
)

func (c *call) checkName(name string) *emulator.Failure {
	if !nameForm.MatchString(name) {
		return fail(codeInvalidValue, "SecretName must have 1 to 128 letters, digits, hyphens and underscores, and start with a letter or digit.")
	}
	return nil
}

func (c *call) checkVersionID(id string) *emulator.Failure {
	form := versionIDForm
	if c.switches.NoDotInVersionID {
		form = dotlessVersionIDForm
	}
	if !form.MatchString(id) {
		return fail(codeInvalidValue, "VersionId must have 1 to 64 letters, digits, hyphens, underscores and dots, and start with a letter or digit.")
	}
	return nil
}

func checkDescription(text string) *emulator.Failure {
	if len(text) > maxDescription {
		return fail(codeInvalidValue, fmt.Sprintf("Description has %d bytes, the limit is %d.", len(text), maxDescription))
	}
	return nil
}

// value reads the two value parameters, of which exactly one is not empty.
func (c *call) value(text, encoded string) (content []byte, binary bool, failure *emulator.Failure) {
	switch {
	case (text == "") == (encoded == ""):
		return nil, false, fail(codeInvalidValue, "Exactly one of SecretString and SecretBinary must be given.")
	case text != "":
		content = []byte(text)
	default:
		decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil {
			return nil, false, fail(codeInvalidValue, "SecretBinary is not valid base64.")
		}
		content, binary = decoded, true
	}
	size := len(content)
	if binary && c.switches.EncodedBinarySize {
		size = len(encoded)
	}
	if limit := c.switches.valueLimit(); size > limit {
		return nil, false, fail(codeInvalidValue, fmt.Sprintf("The value has %d bytes, the limit is %d.", size, limit))
	}
	return content, binary, nil
}

// tag is one tag as parameters and tag filters spell it.
type tag struct {
	TagKey   string `need:"true"`
	TagValue string `need:"true"`
}

func (c *call) tags(list []tag) (map[string]string, *emulator.Failure) {
	if len(list) > maxTags {
		return nil, fail(codeInvalidValue, fmt.Sprintf("%d tags were given, the limit is %d.", len(list), maxTags))
	}
	tags := make(map[string]string, len(list))
	for _, t := range list {
		if _, twice := tags[t.TagKey]; twice {
			return nil, fail(codeTagsDuplicated, "A tag key was given twice.")
		}
		if !tagText(t.TagKey, maxTagKey) || reservedTagKey(t.TagKey) || !tagText(t.TagValue, maxTagValue) {
			return nil, fail(codeInvalidValue, "A tag key or value is empty, too long, reserved or has a character that is not allowed.")
		}
		tags[t.TagKey] = t.TagValue
	}
	if len(tags) > 0 && c.switches.TagsMissing {
		return nil, fail(codeTagsNotExisted, "A tag does not exist.")
	}
	return tags, nil
}

func tagText(text string, limit int) bool {
	if text == "" || utf8.RuneCountInString(text) > limit || strings.TrimSpace(text) != text {
		return false
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" +-=._:/@()[],;><", r) {
			return false
		}
	}
	return true
}

func reservedTagKey(key string) bool {
	return strings.HasPrefix(key, "qcs:") || strings.HasPrefix(key, "project")
}
