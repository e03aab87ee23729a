// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package remotename makes the name of a replica from the name of its secret: a
// [Template] gives a text, and [Normalise] makes it legal at a cloud. Both
// depend on their arguments alone.
package remotename

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Bounds of a template, so that none can take much time or memory.
const (
	maxTemplateBytes = 1024
	maxTextBytes     = 2048 // of what a template or one of its functions gives
)

// The templates of those who give none.
const (
	defaultTemplate       = "{{ .SecretPath }}"
	defaultTemplatePerKey = "{{ .SecretPath }}/{{ .SecretKey }}"
)

// Fields are what a template can name, besides SecretBaseName, which is the last
// segment of SecretPath.
type Fields struct {
	MountPath       string
	MountAccessor   string
	NamespacePath   string
	SecretPath      string
	SecretKey       string // "" unless each key of the secret has a replica of its own
	DestinationType string
	DestinationName string
	// RemoteName is for [Path] alone.
	RemoteName string
}

// Template is a parsed secret_name_template. It may be used by several
// goroutines at once.
type Template struct {
	text  string
	parts []expression
	keyed bool
	known map[string]field
}

// Parse reads a template: text, and {{ }} with fields, functions and pipes in
// the syntax of Go's text/template. An error names what is wrong and lists what
// is possible.
func Parse(text string) (*Template, error) {
	t := &Template{text: text, known: fields}
	if err := t.compile(); err != nil {
		return nil, fmt.Errorf("secret_name_template: %w", err)
	}
	return t, nil
}

var (
	perSecret = mustParse(defaultTemplate)
	perKey    = mustParse(defaultTemplatePerKey)
)

func mustParse(text string) *Template {
	t, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return t
}

// Default is the template of those who give none: the path of the secret, with
// the key after it where each key has a replica of its own.
func Default(eachKey bool) *Template {
	if eachKey {
		return perKey
	}
	return perSecret
}

// String returns the text that was parsed.
func (t *Template) String() string { return t.text }

// CheckKeys tells whether the template names each replica of a secret: it must
// use .SecretKey where each key has a replica of its own, and can't elsewhere.
func (t *Template) CheckKeys(eachKey bool) error {
	switch {
	case eachKey && !t.keyed:
		return errors.New("secret_name_template: with granularity secret-key it must use .SecretKey, or all keys have the same remote name")
	case !eachKey && t.keyed:
		return errors.New("secret_name_template: .SecretKey has a value with granularity secret-key only; use .SecretPath or .SecretBaseName")
	default:
		return nil
	}
}

// Execute returns the remote name for the fields. It fails when the template
// gives nothing, or more than any name could need.
func (t *Template) Execute(f Fields, rule provider.NameRule) (Result, error) {
	full, err := t.expand(&f)
	if err != nil {
		return Result{}, fmt.Errorf("secret_name_template: %w", err)
	}
	if full == "" {
		return Result{}, errors.New("secret_name_template: it gives an empty name; add text or a field that is never empty, such as .SecretPath")
	}
	return Normalise(full, rule), nil
}

func (t *Template) expand(f *Fields) (string, error) {
	if len(t.parts) == 1 {
		return t.parts[0].eval(f)
	}
	var b strings.Builder
	for _, part := range t.parts {
		text, err := part.eval(f)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		if err := checkSize(b.Len()); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func checkSize(size int) error {
	if size > maxTextBytes {
		return fmt.Errorf("it gives more than %d bytes", maxTextBytes)
	}
	return nil
}

// FieldNames are the fields that templates can use, sorted.
func FieldNames() []string { return sortedKeys(fields) }

// FunctionNames are the functions that templates can use, sorted.
func FunctionNames() []string { return sortedKeys(functions) }

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Fill returns the text that a template gives, as it is: for descriptions and
// tags. The error says what is wrong with the template.
func Fill(text string, f Fields) (string, error) {
	t, err := parseText(text)
	if err != nil {
		return "", err
	}
	return t.expand(&f)
}

// CheckText tells whether [Fill] can work with a template.
func CheckText(text string) error {
	_, err := parseText(text)
	return err
}

func parseText(text string) (*Template, error) {
	t := &Template{text: text, known: fields}
	if err := t.compile(); err != nil {
		return nil, err
	}
	if t.keyed {
		return nil, errors.New(".SecretKey has no value here; use .SecretPath or .SecretBaseName")
	}
	return t, nil
}

// Path is a parsed path_template: it makes the name of a secret from the one of a
// remote secret.
type Path struct{ template *Template }

// ParsePath reads a template with the fields RemoteName, DestinationType and
// DestinationName and the functions of all templates.
func ParsePath(text string) (Path, error) {
	t := &Template{text: text, known: pathFields}
	if err := t.compile(); err != nil {
		return Path{}, fmt.Errorf("path_template: %w", err)
	}
	return Path{t}, nil
}

// Execute returns the name for the fields.
func (p Path) Execute(f Fields) (string, error) {
	name, err := p.template.expand(&f)
	if err != nil {
		return "", fmt.Errorf("path_template: %w", err)
	}
	return name, nil
}
