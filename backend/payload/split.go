// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package payload

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Split returns a value for each key of the data: a string as it is, also an
// empty one, and anything else as canonical JSON text. Only keys that match one
// of the include globs are there, all without any, and none that matches one of
// the exclude globs. An error never quotes the data.
func Split(data map[string]any, include, exclude []string) (map[string]provider.Value, error) {
	chosen, err := keyFilter(include, exclude)
	if err != nil {
		return nil, err
	}
	values := make(map[string]provider.Value, len(data))
	for key, value := range data {
		if !chosen(key) {
			continue
		}
		text, ok := value.(string)
		if !ok {
			if text, err = canonical(value); err != nil {
				return nil, errors.New("granularity secret-key: the value of a key can't be encoded")
			}
		}
		values[key] = provider.Text(text)
	}
	return values, nil
}

// keyFilter returns a function that tells which keys are chosen.
func keyFilter(include, exclude []string) (func(key string) bool, error) {
	included, err := keyGlobs("include_keys", include)
	if err != nil {
		return nil, err
	}
	excluded, err := keyGlobs("exclude_keys", exclude)
	if err != nil {
		return nil, err
	}
	return func(key string) bool {
		return (len(included) == 0 || matchesAny(included, key)) && !matchesAny(excluded, key)
	}, nil
}

// A slash in a key separates nothing, so * has to match it; to doublestar it is
// another character.
var slashless = strings.NewReplacer("/", "\x00")

func keyGlobs(name string, texts []string) ([]string, error) {
	globs := make([]string, 0, len(texts))
	for _, text := range texts {
		if text == "" || !doublestar.ValidatePattern(text) {
			return nil, fmt.Errorf("%s: %q isn't a valid glob; * stands for any characters", name, text)
		}
		globs = append(globs, slashless.Replace(text))
	}
	return globs, nil
}

func matchesAny(globs []string, key string) bool {
	key = slashless.Replace(key)
	for _, glob := range globs {
		if doublestar.MatchUnvalidated(glob, key) {
			return true
		}
	}
	return false
}
