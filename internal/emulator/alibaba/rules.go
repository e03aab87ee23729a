// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Limits that no switch changes.
const (
	maxValue       = 30720 // bytes
	maxVersions    = 10
	maxLabels      = 8
	maxPage        = 100
	maxVersionID   = 64 // characters, like a label's, for which no limit is documented
	maxTagText     = 128
	maxTagged      = 50 // resources of one call
	maxTagPage     = 200
	maxFilters     = 10
	maxFilterValue = 10
	minWindowDays  = 7
	maxWindowDays  = 30
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_/+=.@-]{1,192}$`)

// createdName reads the name of a new secret.
func (r *reader) createdName(limit int) string {
	name := r.need("SecretName")
	r.check("SecretName", name == "" || nameForm.MatchString(name) && len(name) <= limit && !strings.HasPrefix(name, "acs/"))
	return name
}

// identifier tells whether text can be a version id or a label.
func identifier(text string) bool {
	if utf8.RuneCountInString(text) > maxVersionID {
		return false
	}
	return !strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) })
}

func (r *reader) versionID(name string) string {
	id := r.parameters[name]
	r.check(name, identifier(id))
	return id
}

// value reads SecretData and SecretDataType.
func (r *reader) value(switches Switches) (data string, binary bool) {
	data, given := r.parameters["SecretData"]
	switch {
	case !given:
		r.need("SecretData")
	case data == "" && !switches.EmptyValues, len(data) > maxValue:
		r.check("SecretData", false)
	}
	return data, r.oneOf("SecretDataType", "text", "binary") == "binary"
}

// policy reads Policy, which secrets in a KMS instance can have.
func (r *reader) policy(instance string) {
	policy := r.parameters["Policy"]
	r.check("Policy", policy == "" || instance != "" && json.Valid([]byte(policy)))
}

// labels reads VersionStages: a JSON array, or the object that old pages show.
func (r *reader) labels() []string {
	var labels []string
	var old struct{ VersionStage []string }
	if strings.HasPrefix(strings.TrimSpace(r.parameters["VersionStages"]), "{") {
		r.decode("VersionStages", &old)
		labels = old.VersionStage
	} else {
		r.decode("VersionStages", &labels)
	}
	if len(labels) == 0 {
		return []string{labelCurrent}
	}
	seen := make(map[string]bool)
	for _, label := range labels {
		r.check("VersionStages", label != "" && identifier(label) && !seen[label])
		seen[label] = true
	}
	r.check("VersionStages", !seen[labelCurrent] || !seen[labelPrevious])
	return labels
}

// tag is a tag as the parameters of single resources spell it.
type tag struct{ TagKey, TagValue string }

// tags checks the tags of a call by themselves.
func (r *reader) tags(name string, list []tag, switches Switches) map[string]string {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		_, twice := tags[t.TagKey]
		valid := t.TagValue == "" && switches.LooseTags || tagText(t.TagValue, switches)
		r.check(name, !twice && valid && tagKey(t.TagKey, switches))
		tags[t.TagKey] = t.TagValue
	}
	return tags
}

func tagKey(key string, switches Switches) bool {
	return tagText(key, switches) && !strings.HasPrefix(key, "aliyun") && !strings.HasPrefix(key, "acs:")
}

func tagText(text string, switches Switches) bool {
	if text == "" || utf8.RuneCountInString(text) > maxTagText {
		return false
	}
	return !strings.ContainsFunc(text, func(c rune) bool {
		letter := unicode.IsLetter(c) || unicode.IsDigit(c)
		return !strings.ContainsRune(`/\_-.+=:@`, c) && (!letter || c > unicode.MaxASCII && !switches.LooseTags)
	})
}

// setTags adds tags to those that a secret has.
func (c *call) setTags(s *secret, tags map[string]string) *emulator.Failure {
	for key, value := range tags {
		if was, there := s.Tags[key]; there && was != value && c.switches.TagsNotReplaced {
			return invalid("Tags")
		}
		s.Tags[key] = value
	}
	if len(s.Tags) > c.switches.tagLimit() {
		return fail(orLimit(c.switches.TagLimitCode), "The number of tags exceeds the limit.")
	}
	return nil
}

func (c *call) checkLabels(s *secret) *emulator.Failure {
	if len(s.Labels) > maxLabels {
		return fail(orLimit(c.switches.LabelLimitCode), "The number of version stages exceeds the limit.")
	}
	return nil
}

func orLimit(code string) string {
	if code == "" {
		return codeLimitExceeded
	}
	return code
}
