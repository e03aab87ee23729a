// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package remotename

import (
	"errors"
	"fmt"
	"strings"
	"text/template/parse"
)

// expression is a piece of a template that gives a text.
type expression interface {
	eval(f *Fields) (string, error)
}

type literal string

func (l literal) eval(*Fields) (string, error) { return string(l), nil }

type field func(f *Fields) string

func (get field) eval(f *Fields) (string, error) {
	text := get(f)
	return text, checkSize(len(text))
}

// fields are the names that can follow a dot.
var fields = map[string]field{
	"MountPath":       func(f *Fields) string { return strings.Trim(f.MountPath, "/") },
	"MountAccessor":   func(f *Fields) string { return f.MountAccessor },
	"NamespacePath":   func(f *Fields) string { return strings.Trim(f.NamespacePath, "/") },
	"SecretPath":      func(f *Fields) string { return f.SecretPath },
	"SecretBaseName":  func(f *Fields) string { return f.SecretPath[strings.LastIndexByte(f.SecretPath, '/')+1:] },
	"SecretKey":       func(f *Fields) string { return f.SecretKey },
	"DestinationType": func(f *Fields) string { return f.DestinationType },
	"DestinationName": func(f *Fields) string { return f.DestinationName },
}

// pathFields are those of a path_template.
var pathFields = map[string]field{
	"RemoteName":      func(f *Fields) string { return f.RemoteName },
	"DestinationType": fields["DestinationType"],
	"DestinationName": fields["DestinationName"],
}

// compile takes the text apart. It is read by the parser of text/template but
// not executed by that package: only what is listed here exists, arguments are
// checked before anything is stored, and nothing can grow without bound.
func (t *Template) compile() error {
	if len(t.text) > maxTemplateBytes {
		return fmt.Errorf("it has %d bytes, the limit is %d", len(t.text), maxTemplateBytes)
	}
	tree := parse.New("secret_name_template")
	tree.Mode = parse.SkipFuncCheck
	named := map[string]*parse.Tree{}
	if _, err := tree.Parse(t.text, "", "", named); err != nil {
		// The parser's error begins with the name that the caller's has too.
		return errors.New(strings.TrimPrefix(err.Error(), "template: secret_name_template:"))
	}
	if len(named) > 1 {
		return unsupported("{{define}}")
	}
	for _, node := range tree.Root.Nodes {
		var part expression
		var err error
		switch node := node.(type) {
		case *parse.TextNode:
			part = literal(node.Text)
		case *parse.ActionNode:
			part, err = t.pipe(node.Pipe)
		default:
			err = unsupported(node.String())
		}
		if err != nil {
			return err
		}
		t.parts = append(t.parts, part)
	}
	if len(t.parts) == 0 {
		return errors.New("it is empty")
	}
	return nil
}

func unsupported(what string) error {
	const longest = 40
	if len(what) > longest {
		what = strings.ToValidUTF8(what[:longest], "") + "..."
	}
	return fmt.Errorf("%s isn't supported; possible are text, fields and functions", what)
}

// pipe compiles commands that each get the result of the one before as their
// last argument.
func (t *Template) pipe(pipe *parse.PipeNode) (expression, error) {
	if len(pipe.Decl) > 0 {
		return nil, unsupported(pipe.String())
	}
	var result expression
	for _, command := range pipe.Cmds {
		var err error
		if result, err = t.command(command.Args, result); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// command compiles a function with its arguments, or a single text. A piped
// value may be nil.
func (t *Template) command(args []parse.Node, piped expression) (expression, error) {
	if name, ok := args[0].(*parse.IdentifierNode); ok {
		return t.call(name.Ident, args[1:], piped)
	}
	if len(args) > 1 || piped != nil {
		return nil, fmt.Errorf("%s isn't a function and takes no arguments; possible functions are %s", args[0], strings.Join(FunctionNames(), ", "))
	}
	return t.operand(args[0])
}

// operand compiles one text: a string, a field, a function without arguments or a
// pipe in parentheses.
func (t *Template) operand(node parse.Node) (expression, error) {
	switch node := node.(type) {
	case *parse.StringNode:
		return literal(node.Text), nil
	case *parse.FieldNode:
		name := strings.Join(node.Ident, ".")
		get, ok := t.known[name]
		if !ok {
			return nil, fmt.Errorf("field .%s is unknown, possible are .%s", name, strings.Join(sortedKeys(t.known), ", ."))
		}
		t.keyed = t.keyed || name == "SecretKey"
		return get, nil
	case *parse.IdentifierNode:
		return t.call(node.Ident, nil, nil)
	case *parse.PipeNode:
		return t.pipe(node)
	default:
		return nil, unsupported(node.String())
	}
}

func (t *Template) call(name string, args []parse.Node, piped expression) (expression, error) {
	fn, ok := functions[name]
	if !ok {
		return nil, fmt.Errorf("function %q is unknown, possible are %s", name, strings.Join(FunctionNames(), ", "))
	}
	c := &call{function: fn, name: name}
	if fn.counted {
		number, ok := first(args).(*parse.NumberNode)
		if !ok || !number.IsInt || number.Int64 < 1 || number.Int64 > maxTextBytes {
			return nil, fmt.Errorf("function %q needs a number from 1 to %d first: {{ %s }}", name, maxTextBytes, fn.usage)
		}
		c.count, args = int(number.Int64), args[1:]
	}
	for _, arg := range args {
		text, err := t.operand(arg)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, text)
	}
	if piped != nil {
		c.args = append(c.args, piped)
	}
	if len(c.args) != fn.texts {
		return nil, fmt.Errorf("function %q has %d texts and needs %d: {{ %s }}", name, len(c.args), fn.texts, fn.usage)
	}
	return c, nil
}

func first(args []parse.Node) parse.Node {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}
