// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// parameters are those of a call by name, from the URL and the form together.
type parameters map[string]string

// parse reads a call's parameters. It isn't documented what the service makes
// of a parameter that is given twice; here it is an error.
func parse(r *http.Request, body []byte) (parameters, *emulator.Failure) {
	unparsable := fail(codeUnparsable, "The parameters of the request could not be parsed.")
	if len(body) > emulator.MaxBody {
		return nil, unparsable
	}
	sources := []string{r.URL.RawQuery}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method == http.MethodPost && mediaType == "application/x-www-form-urlencoded" {
		sources = append(sources, string(body))
	}
	all := make(parameters)
	for _, source := range sources {
		values, err := url.ParseQuery(source)
		if err != nil {
			return nil, unparsable
		}
		for name, given := range values {
			_, twice := all[name]
			if twice || len(given) != 1 || !utf8.ValidString(name) || !utf8.ValidString(given[0]) {
				return nil, unparsable
			}
			all[name] = given[0]
		}
	}
	return all, nil
}

// list returns the parameters name.1, name.2 and so on with what their rest is,
// e.g. ".Key", until one has none of the rests.
func (p parameters) list(name string, rests ...string) []map[string]string {
	var items []map[string]string
	for i := 1; ; i++ {
		item := make(map[string]string)
		for _, rest := range rests {
			if value, given := p[name+"."+strconv.Itoa(i)+rest]; given {
				item[rest] = value
			}
		}
		if len(item) == 0 {
			return items
		}
		items = append(items, item)
	}
}

// reader takes an operation's parameters and remembers what is wrong with them.
// A missing parameter is told before one that isn't valid.
type reader struct {
	parameters
	lacking, wrong *emulator.Failure
}

// failure is the first thing that is wrong, nil if nothing is.
func (r *reader) failure() *emulator.Failure {
	if r.lacking != nil {
		return r.lacking
	}
	return r.wrong
}

// need returns a parameter that must be there and not be empty.
func (r *reader) need(name string) string {
	if r.parameters[name] == "" && r.lacking == nil {
		r.lacking = missing(name)
	}
	return r.parameters[name]
}

// check remembers that a parameter isn't valid unless ok.
func (r *reader) check(name string, ok bool) {
	if !ok {
		r.refuse(invalid(name))
	}
}

// refuse remembers a failure, if there is one.
func (r *reader) refuse(failure *emulator.Failure) {
	if r.wrong == nil {
		r.wrong = failure
	}
}

// flag reads true or false; absent and empty are otherwise.
func (r *reader) flag(name string, otherwise bool) bool {
	switch text := r.parameters[name]; text {
	case "":
		return otherwise
	case "true", "false":
		return text == "true"
	}
	r.check(name, false)
	return otherwise
}

// number reads a decimal number from low to high; absent and empty are otherwise.
func (r *reader) number(name string, low, high, otherwise int) int {
	text := r.parameters[name]
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	r.check(name, err == nil && n >= low && n <= high)
	return n
}

// decode reads JSON; absent and empty leave into as it is.
func (r *reader) decode(name string, into any) {
	if text := r.parameters[name]; text != "" {
		r.check(name, json.Unmarshal([]byte(text), into) == nil)
	}
}

// oneOf returns a parameter that must be one of the given ones, the first if
// it is absent or empty.
func (r *reader) oneOf(name string, known ...string) string {
	text := r.parameters[name]
	if text == "" {
		return known[0]
	}
	r.check(name, slices.Contains(known, text))
	return text
}

// secretName reads SecretName: a name, or the ARN of a secret.
func (r *reader) secretName() string {
	name := r.need("SecretName")
	if !strings.HasPrefix(name, "acs:kms:") {
		r.check("SecretName", name == "" || nameForm.MatchString(name))
	}
	return name
}
