// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Limits that no switch changes.
const (
	maxDescription       = 2048 // bytes
	minWindowDays        = 7
	maxWindowDays        = 30
	maxPage              = 1000
	defaultPage          = 50
	maxEnterpriseProject = 36
	maxTags              = 20
	maxTagKey            = 128 // characters
	maxTagValue          = 255 // characters
	maxExpiry            = 9999999999999
	stagesPerCall        = 12
)

// defaultEnterpriseProject is what secrets belong to that name no other.
const defaultEnterpriseProject = "0"

var (
	nameForm       = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	dottedNameForm = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,64}$`)
	eventForm      = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	versionIDForm  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)
	idForm         = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

func (c *call) checkName(name string) *emulator.Failure {
	form := nameForm
	if c.switches.DotInName {
		form = dottedNameForm
	}
	if !form.MatchString(name) {
		return invalid("a secret's name matches " + form.String())
	}
	return nil
}

func checkStage(name string) *emulator.Failure {
	if !nameForm.MatchString(name) {
		return invalid("a stage's name matches " + nameForm.String())
	}
	return nil
}

func checkDescription(text string) *emulator.Failure {
	if len(text) > maxDescription {
		return invalid(fmt.Sprintf("description has %d bytes, the limit is %d", len(text), maxDescription))
	}
	return nil
}

// value is the content of a version in a request body.
type value struct {
	text, encoded *string
}

// read decodes the value, of which exactly one form must be given.
func (c *call) read(v value) (version, *emulator.Failure) {
	made := version{Created: c.now}
	text := v.text != nil && (*v.text != "" || c.switches.EmptyText)
	made.Binary = v.encoded != nil && *v.encoded != ""
	if text == made.Binary {
		return made, invalid("exactly one of secret_string and secret_binary must be given")
	}
	var size int
	if made.Binary {
		decoded, err := base64.StdEncoding.Strict().DecodeString(*v.encoded)
		if err != nil || strings.ContainsAny(*v.encoded, "\r\n") {
			return made, invalid("secret_binary is not base64")
		}
		made.Value, size = decoded, len(*v.encoded)
		if c.switches.RawBinarySize {
			size = len(decoded)
		}
	} else {
		made.Value, size = []byte(*v.text), len(*v.text)
		if c.switches.CountCharacters {
			size = utf8.RuneCountInString(*v.text)
		}
	}
	if limit := c.switches.valueLimit(); size > limit {
		return made, invalid(fmt.Sprintf("the value has a size of %d, the limit is %d", size, limit))
	}
	return made, nil
}

// expiry reads an expiry in milliseconds; 0 is none.
func (c *call) expiry(milliseconds int64) (time.Time, *emulator.Failure) {
	if milliseconds < 0 || milliseconds > maxExpiry {
		return time.Time{}, invalid(fmt.Sprintf("expire_time must lie between 0 and %d milliseconds", maxExpiry))
	}
	if milliseconds == 0 {
		return time.Time{}, nil
	}
	at := time.UnixMilli(milliseconds)
	if !at.After(c.now) && !c.switches.PastExpiry {
		return time.Time{}, invalid("expire_time must lie in the future")
	}
	return at, nil
}

// events checks the subscriptions of a secret; that the event exists isn't.
func events(names []string) *emulator.Failure {
	if len(names) > 1 || slices.ContainsFunc(names, func(name string) bool { return !eventForm.MatchString(name) }) {
		return invalid("event_subscriptions has one event name at most")
	}
	return nil
}

// keyUsable tells whether the service can use a KMS key, "" for its own.
func (c *call) keyUsable(id string) *emulator.Failure {
	keys := c.server.KMSKeys()
	if id == "" || id == defaultKeyID(c.Region) || keys.Usable(c.Region, id) {
		return nil
	}
	if !c.switches.KMSKeyCodes {
		return fail(codeKey)
	}
	if key, ok := keys.Find(c.Region, id); ok && key.Disabled {
		return fail(codeKMSKeyDisabled)
	}
	return fail(codeKMSKeyNotFound)
}

// tag is one tag as bodies and answers spell it.
type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (t tag) check() *emulator.Failure {
	if t.Key == "" || !tagText(t.Key, maxTagKey, "_.:=+-@") || strings.HasPrefix(t.Key, "_sys_") {
		return invalid("a tag key is empty, too long, reserved, or has a character that is not allowed")
	}
	if !tagText(t.Value, maxTagValue, "_.:=+-@/") {
		return invalid("a tag value is too long, or has a character that is not allowed")
	}
	return nil
}

func tagText(text string, limit int, marks string) bool {
	if utf8.RuneCountInString(text) > limit || strings.TrimSpace(text) != text {
		return false
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.Is(unicode.N, r) && !unicode.Is(unicode.Z, r) && !strings.ContainsRune(marks, r) {
			return false
		}
	}
	return true
}
