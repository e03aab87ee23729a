// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package remotename

import (
	"fmt"
	"strings"
)

// shortHashChars is what sha256short gives.
const shortHashChars = 12

// function can be called by a template. The order of the arguments is that of
// Vault's own templates: what comes through the pipe is the last one.
type function struct {
	usage   string
	counted bool // the first argument is a number
	texts   int  // how many arguments are texts
	apply   func(count int, texts []string) (string, error)
}

var functions = map[string]function{
	"lowercase": {usage: ".SecretPath | lowercase", texts: 1, apply: func(_ int, texts []string) (string, error) {
		return strings.ToLower(texts[0]), nil
	}},
	"uppercase": {usage: ".SecretPath | uppercase", texts: 1, apply: func(_ int, texts []string) (string, error) {
		return strings.ToUpper(texts[0]), nil
	}},
	"replace": {usage: `.SecretPath | replace "/" "-"`, texts: 3, apply: func(_ int, texts []string) (string, error) {
		return replace(texts[0], texts[1], texts[2])
	}},
	"truncate": {usage: ".SecretPath | truncate 40", counted: true, texts: 1, apply: func(count int, texts []string) (string, error) {
		return truncate(texts[0], count), nil
	}},
	"sha256short": {usage: ".SecretPath | sha256short", texts: 1, apply: func(_ int, texts []string) (string, error) {
		return shortHash(texts[0], shortHashChars), nil
	}},
	"default": {usage: `.NamespacePath | default "root"`, texts: 2, apply: func(_ int, texts []string) (string, error) {
		if texts[1] == "" {
			return texts[0], nil
		}
		return texts[1], nil
	}},
}

// FunctionUsages are examples of how templates use each function, by its name.
func FunctionUsages() map[string]string {
	usages := make(map[string]string, len(functions))
	for name, f := range functions {
		usages[name] = "{{ " + f.usage + " }}"
	}
	return usages
}

// replace replaces each find in text. An empty find is nowhere.
func replace(find, by, text string) (string, error) {
	if find == "" {
		return text, nil
	}
	if err := checkSize(len(text) + strings.Count(text, find)*(len(by)-len(find))); err != nil {
		return "", err
	}
	return strings.ReplaceAll(text, find, by), nil
}

// truncate keeps the first characters of text.
func truncate(text string, characters int) string {
	for i := range text {
		if characters == 0 {
			return text[:i]
		}
		characters--
	}
	return text
}

// call is a function with its arguments.
type call struct {
	function
	name  string
	count int
	args  []expression
}

func (c *call) eval(f *Fields) (string, error) {
	var texts [3]string
	for i, arg := range c.args {
		text, err := arg.eval(f)
		if err != nil {
			return "", err
		}
		texts[i] = text
	}
	result, err := c.apply(c.count, texts[:len(c.args)])
	if err == nil {
		err = checkSize(len(result))
	}
	if err != nil {
		return "", fmt.Errorf("function %q: %w", c.name, err)
	}
	return result, nil
}
