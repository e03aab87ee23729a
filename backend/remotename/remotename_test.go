// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package remotename_test

import (
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/remotename"
)

// aSecret is what the templates of the tests are executed with.
var aSecret = remotename.Fields{
	MountPath: "path/to/cloudsync/", MountAccessor: "cloudsync_1234", NamespacePath: "ns1/ns2/",
	SecretPath: "path/to/Secret1", SecretKey: "foo", DestinationType: "tencent-ssm", DestinationName: "prod-gz",
}

func TestTemplatesNameASecret(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"text alone":                              {"fixed", "fixed"},
		"the path":                                {"{{ .SecretPath }}", "path/to/Secret1"},
		"text around a field":                     {"prefix-{{ .SecretPath }}.x", "prefix-path/to/Secret1.x"},
		"the last segment":                        {"{{ .SecretBaseName | uppercase }}", "SECRET1"},
		"accessor and key":                        {"{{ .MountAccessor }}_{{ .SecretKey }}", "cloudsync_1234_foo"},
		"replace in the order of a pipe":          {`{{ .SecretPath | replace "/" "_" }}`, "path_to_Secret1"},
		"replace in the order of a call":          {`{{ replace "/" "_" .SecretPath }}`, "path_to_Secret1"},
		"replace of nothing":                      {`{{ .SecretPath | replace "" "_" }}`, "path/to/Secret1"},
		"the template of Vault Enterprise's docs": {"vault_{{ .MountAccessor | lowercase }}_{{ .SecretPath | lowercase }}", "vault_cloudsync_1234_path/to/secret1"},
		"paths have no slash at the end":          {"{{ .MountPath }}/{{ .NamespacePath }}", "path/to/cloudsync/ns1/ns2"},
		"the destination":                         {"{{.DestinationType}}-{{.DestinationName}}", "tencent-ssm-prod-gz"},
		"truncate keeps the start":                {"{{ .SecretPath | truncate 4 }}", "path"},
		"truncate counts characters":              {`{{ "密码库" | truncate 2 }}`, "密码"},
		"truncate of what is shorter":             {"{{ .SecretKey | truncate 99 }}", "foo"},
		"a short hash":                            {"{{ .SecretPath | sha256short }}", "3f0f66137055"},
		"default of what is set":                  {`{{ .NamespacePath | default "root" }}`, "ns1/ns2"},
		"default of what isn't":                   {`{{ "" | default "root" }}`, "root"},
		"default by a field":                      {`{{ "" | default .SecretKey }}`, "foo"},
		"pipes in parentheses":                    {`{{ replace (.SecretKey | lowercase) (.SecretKey | uppercase) "a-foo" }}`, "a-FOO"},
		"a raw string":                            {"{{ .SecretPath | replace `/` `.` }}", "path.to.Secret1"},
		"spaces can be trimmed":                   {"a  {{- .SecretKey -}}  b", "afoob"},
		"a comment":                               {"a{{/* why */}}b", "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := remotename.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tmpl.Execute(aSecret, alibaba)
			if err != nil || got.Full != c.want {
				t.Errorf("%s gives %q, %v; want %q", c.text, got.Full, err, c.want)
			}
			if tmpl.String() != c.text {
				t.Errorf("%q became %q", c.text, tmpl)
			}
		})
	}
}

func TestTemplatesThatAreRefusedSayWhatIsPossible(t *testing.T) {
	const allFields = ".DestinationName, .DestinationType, .MountAccessor, .MountPath, .NamespacePath, .SecretBaseName, .SecretKey, .SecretPath"
	const allFunctions = "default, lowercase, replace, sha256short, truncate, uppercase"
	for name, c := range map[string]struct{ text, says string }{
		"nothing":                           {"", "it is empty"},
		"a comment alone":                   {"{{/* */}}", "it is empty"},
		"too long":                          {strings.Repeat("x", 1025), "it has 1025 bytes, the limit is 1024"},
		"a field that isn't there":          {"{{ .NamespaceID }}", "field .NamespaceID is unknown, possible are " + allFields},
		"a field of a field":                {"{{ .SecretPath.Name }}", "field .SecretPath.Name is unknown, possible are " + allFields},
		"a function that isn't there":       {"{{ .SecretPath | base64 }}", `function "base64" is unknown, possible are ` + allFunctions},
		"a function of Go's":                {`{{ printf "%1000000s" .SecretPath }}`, `function "printf" is unknown, possible are ` + allFunctions},
		"a call":                            {"{{ call .SecretPath }}", `function "call" is unknown`},
		"a loop":                            {"{{range .SecretPath}}x{{end}}", "isn't supported; possible are text, fields and functions"},
		"a condition":                       {"{{if .SecretPath}}x{{end}}", "isn't supported"},
		"with":                              {"{{with .SecretPath}}x{{end}}", "isn't supported"},
		"a template":                        {`{{template "x"}}`, "isn't supported"},
		"a definition":                      {`{{define "x"}}{{end}}x`, "{{define}} isn't supported"},
		"a block":                           {`{{block "x" .}}{{end}}x`, "isn't supported"},
		"an assignment":                     {"{{$x := .SecretPath}}", "isn't supported"},
		"a variable":                        {"{{$x := .SecretPath}}{{$x}}", "isn't supported"},
		"the root variable":                 {"{{$.SecretPath}}", "isn't supported"},
		"all fields at once":                {"{{ . }}", "isn't supported"},
		"a number as a text":                {"{{ 5 }}", "5 isn't supported"},
		"a boolean":                         {"{{ true }}", "isn't supported"},
		"nil":                               {"{{ nil }}", "nil"},
		"an open action":                    {"{{ .SecretPath", "unclosed action"},
		"arguments of a field":              {"{{ .SecretPath 5 }}", ".SecretPath isn't a function"},
		"a pipe into a field":               {"{{ .SecretPath | .SecretKey }}", ".SecretKey isn't a function"},
		"too few texts":                     {`{{ .SecretPath | replace "/" }}`, `function "replace" has 2 texts and needs 3: {{ .SecretPath | replace "/" "-" }}`},
		"too many texts":                    {"{{ lowercase .SecretPath .SecretKey }}", `function "lowercase" has 2 texts and needs 1`},
		"truncate without a number":         {"{{ .SecretPath | truncate }}", `function "truncate" needs a number from 1 to 2048 first`},
		"truncate to nothing":               {"{{ .SecretPath | truncate 0 }}", `function "truncate" needs a number`},
		"truncate by a text":                {`{{ .SecretPath | truncate "5" }}`, `function "truncate" needs a number`},
		"truncate by a half":                {"{{ .SecretPath | truncate 1.5 }}", `function "truncate" needs a number`},
		"truncate by a piped number":        {"{{ 5 | truncate 5 }}", "5 isn't supported"},
		"a function as an argument of none": {"{{ lowercase uppercase }}", `function "uppercase" has 0 texts`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := remotename.Parse(c.text); err == nil || !strings.HasPrefix(err.Error(), "secret_name_template: ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error that says %q", err, c.says)
			}
		})
	}
}

func TestTemplatesCannotGrowWithoutBound(t *testing.T) {
	deep := ".SecretPath"
	for range 30 {
		deep = "(replace `a` `aaaaaaaaaa` " + deep + ")"
	}
	long := aSecret
	long.SecretPath = strings.Repeat("a", 512)
	huge := aSecret
	huge.SecretPath = strings.Repeat("ⱥ", 1000)
	letters := aSecret
	letters.SecretPath = strings.Repeat("Ⱥ", 1000)
	for name, c := range map[string]struct {
		text   string
		fields remotename.Fields
		says   string
	}{
		"by replacing":               {"{{ " + deep + " }}", long, `function "replace": it gives more than 2048 bytes`},
		"by repetition":              {strings.Repeat("{{.SecretPath}}", 5), long, "it gives more than 2048 bytes"},
		"by a field":                 {"{{.SecretPath | truncate 1}}", huge, "it gives more than 2048 bytes"},
		"by letters that grow":       {"{{.SecretPath | lowercase}}", letters, `function "lowercase": it gives more than 2048 bytes`},
		"and a name is never empty":  {"{{.NamespacePath}}", remotename.Fields{SecretPath: "a"}, "it gives an empty name"},
		"not even one that is empty": {`{{""}}`, aSecret, "it gives an empty name"},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := remotename.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := tmpl.Execute(c.fields, alibaba); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q, %v, want an error that says %q", got.Full, err, c.says)
			}
		})
	}
}

func TestTemplatesNameEachKeyWhereEachHasAReplica(t *testing.T) {
	for text, keyed := range map[string]bool{
		"{{ .SecretPath }}":                          false,
		"{{ .SecretPath }}-{{ .SecretKey }}":         true,
		"{{ .SecretPath | replace `/` .SecretKey }}": true,
	} {
		tmpl, err := remotename.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if perKey, perSecret := tmpl.CheckKeys(true), tmpl.CheckKeys(false); (perKey == nil) != keyed || (perSecret == nil) == keyed {
			t.Errorf("%s: %v for each key, %v for the secret", text, perKey, perSecret)
		}
	}
	for _, eachKey := range []bool{true, false} {
		if err := remotename.Default(eachKey).CheckKeys(eachKey); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		eachKey  bool
		ali, ten string
	}{{false, "path/to/Secret1", "path_to_Secret1"}, {true, "path/to/Secret1/foo", "path_to_Secret1_foo"}} {
		atAlibaba, err1 := remotename.Default(c.eachKey).Execute(aSecret, alibaba)
		atTencent, err2 := remotename.Default(c.eachKey).Execute(aSecret, tencent)
		if err1 != nil || err2 != nil || atAlibaba.Name != c.ali || atTencent.Name != c.ten {
			t.Errorf("each key %v: %q, %v and %q, %v", c.eachKey, atAlibaba.Name, err1, atTencent.Name, err2)
		}
	}
}

// goFunctions are the functions as text/template takes them.
var goFunctions = template.FuncMap{
	"lowercase":   strings.ToLower,
	"uppercase":   strings.ToUpper,
	"sha256short": func(string) string { return "hash" },
	"replace": func(find, by, text string) string {
		if find == "" {
			return text
		}
		return strings.ReplaceAll(text, find, by)
	},
	"truncate": func(n int, text string) string {
		runes := []rune(text)
		return string(runes[:min(n, len(runes))])
	},
	"default": func(other, text string) string {
		if text == "" {
			return other
		}
		return text
	},
}

// What Parse accepts, Go's own engine accepts too, with the same result.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		"{{ .SecretPath }}", `a{{ .SecretPath | replace "/" "_" | truncate 10 }}b`, "{{- lowercase (uppercase .MountPath) -}}  ",
		"{{ .SecretKey | default `x` }}", "{{range .}}{{end}}", `{{define "x"}}`, "{{ truncate 3 .NamespacePath }}{{/* c */}}", "{{ truncate 'a' .SecretPath }}",
		"{{ 1e1 | truncate 0x5 }}", "{{(((((((.SecretPath)))))))}}", "{{ .SecretPath | truncate 10.0 }}",
	} {
		f.Add(text, "team-a/db", "password")
	}
	f.Fuzz(func(t *testing.T, text, path, key string) {
		tmpl, err := remotename.Parse(text)
		if err != nil {
			return
		}
		fields := remotename.Fields{
			MountPath: "cloudsync", MountAccessor: "cloudsync_1234", NamespacePath: "ns1", SecretPath: strings.ToValidUTF8(path, ""),
			SecretKey: strings.ToValidUTF8(key, ""), DestinationType: "tencent-ssm", DestinationName: "prod",
		}
		result, err := tmpl.Execute(fields, huawei)
		if err != nil {
			return
		}
		if err := huawei.Check(result.Name); err != nil {
			t.Errorf("%q gives %q: %v", text, result.Name, err)
		}
		if again, err := tmpl.Execute(fields, huawei); err != nil || again != result {
			t.Errorf("%q gives %v, then %v, %v", text, result, again, err)
		}
		if strings.Contains(text, "sha256short") {
			return
		}
		reference, err := template.New("").Funcs(goFunctions).Parse(text)
		if err != nil {
			t.Fatalf("%q is accepted; Go says %v", text, err)
		}
		var want strings.Builder
		base := fields.SecretPath[strings.LastIndexByte(fields.SecretPath, '/')+1:]
		err = reference.Execute(&want, struct {
			remotename.Fields
			SecretBaseName string
		}{fields, base})
		if err != nil || want.String() != result.Full {
			t.Errorf("%q gives %q; Go gives %q, %v", text, result.Full, want.String(), err)
		}
	})
}

func TestTheNamesAreListed(t *testing.T) {
	if names := remotename.FieldNames(); len(names) != 8 || !slices.IsSorted(names) {
		t.Errorf("fields %v", names)
	}
	if names := remotename.FunctionNames(); len(names) != len(goFunctions) || !slices.IsSorted(names) {
		t.Errorf("functions %v", names)
	}
}

func BenchmarkExecute(b *testing.B) {
	tmpl, err := remotename.Parse(`vault-{{ .MountAccessor | lowercase }}-{{ .SecretPath | replace "/" "-" | truncate 40 }}`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Execute(aSecret, huawei); err != nil {
			b.Fatal(err)
		}
	}
}
