// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule

import "fmt"

// Names returns a function that tells which names match, by globs as rules have
// them. Without any in match all names do.
func Names(match, exclude []string) (func(name string) bool, error) {
	if len(match) == 0 {
		match = []string{"**"}
	}
	parsed := map[string][]glob{}
	for what, texts := range map[string][]string{"match": match, "exclude": exclude} {
		for _, text := range texts {
			globs, err := parseGlobs(text)
			if err != nil {
				return nil, fmt.Errorf("%s %q: %w", what, text, err)
			}
			parsed[what] = append(parsed[what], globs...)
		}
	}
	return func(name string) bool {
		return matchesAny(parsed["match"], name) && !matchesAny(parsed["exclude"], name)
	}, nil
}
