// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// wireRequest is a request as it goes over the wire, below a mount.
type wireRequest struct {
	method string
	path   string // below the mount, escaped, with the query
	body   string
	// form is the content type, if it isn't the one that is usual for the method.
	form   string
	wrap   bool   // asks for the answer to be wrapped
	caller string // of wireCallers, "" for the root token
}

// String is the request as a person would note it down.
func (r wireRequest) String() string {
	text := r.method + " " + r.path
	if r.body != "" {
		text += " " + clip(r.body, 200)
	}
	if r.form != "" {
		text += " (" + r.form + ")"
	}
	if r.wrap {
		text += " (wrapped)"
	}
	if r.caller != "" {
		text += " as " + r.caller
	}
	return text
}

func clip(text string, shown int) string {
	if len(text) <= shown {
		return text
	}
	return fmt.Sprintf("%s... (%d bytes)", text[:shown], len(text))
}

// kind is the first segment of the path.
func (r wireRequest) kind() string {
	path, _, _ := strings.Cut(r.path, "?")
	kind, _, _ := strings.Cut(path, "/")
	return kind
}

// wireAnswer is what came back, without what differs between any two mounts and
// moments.
type wireAnswer struct {
	status   int
	form     string // content type
	location string // of a redirect
	text     string // the body, unless it is a JSON object
	body     map[string]any
}

func (a wireAnswer) String() string {
	text := a.text
	if a.body != nil {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(a.body)
		text = b.String()
	}
	return fmt.Sprintf("%d %s %s\n%s", a.status, a.form, a.location, strings.TrimSpace(text))
}

// wireCallers are who asks beside root: what each may do on a mount, as policies
// say it.
var wireCallers = map[string]string{
	"reader":   `path "MOUNT/data/*" { capabilities = ["read"] } path "MOUNT/metadata/*" { capabilities = ["list"] }`,
	"writer":   `path "MOUNT/data/*" { capabilities = ["create", "update"] }`,
	"maker":    `path "MOUNT/data/*" { capabilities = ["create"] } path "MOUNT/metadata/*" { capabilities = ["create"] }`,
	"changer":  `path "MOUNT/+/*" { capabilities = ["update", "patch"] }`,
	"patcher":  `path "MOUNT/data/*" { capabilities = ["patch"] }`,
	"deleter":  `path "MOUNT/data/*" { capabilities = ["delete"] } path "MOUNT/delete/*" { capabilities = ["update"] }`,
	"curator":  `path "MOUNT/metadata/*" { capabilities = ["create", "read", "update", "patch", "list", "delete"] }`,
	"outliner": `path "MOUNT/subkeys/*" { capabilities = ["read"] }`,
	"limited": `path "MOUNT/data/*" { capabilities = ["create", "update"] allowed_parameters = { "data" = [] } }
		path "MOUNT/metadata/*" { capabilities = ["create", "update"] denied_parameters = { "max_versions" = ["1", "2"] } }`,
	"bound":    `path "MOUNT/data/*" { capabilities = ["create", "update", "read"] required_parameters = ["options"] }`,
	"stranger": `path "MOUNT/data/elsewhere/*" { capabilities = ["read"] }`,
}

// wire sends requests to the mounts of one Vault.
type wire struct {
	t      *testing.T
	url    string
	client *http.Client
	tokens map[string]string // by caller
}

// newWire makes the callers, who may do the same on each of the mounts.
func newWire(t *testing.T, v *harness.Vault, mounts ...string) *wire {
	t.Helper()
	w := &wire{t: t, url: v.URL(), tokens: map[string]string{"": v.Token()}, client: &http.Client{
		Timeout:       harness.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for caller, policy := range wireCallers {
		var all strings.Builder
		for _, mount := range mounts {
			all.WriteString(strings.ReplaceAll(policy, "MOUNT", mount) + "\n")
		}
		w.tokens[caller] = tokenFor(t, v, "wire-"+caller, all.String())
	}
	return w
}

// send sends the request to a mount.
func (w *wire) send(mount string, r wireRequest) (wireAnswer, error) {
	request, err := http.NewRequestWithContext(w.t.Context(), r.method, w.url+"/v1/"+mount+"/"+r.path, strings.NewReader(r.body))
	if err != nil {
		return wireAnswer{}, err
	}
	request.Header.Set("X-Vault-Token", w.tokens[r.caller])
	switch {
	case r.form != "":
		request.Header.Set("Content-Type", r.form)
	case r.method == http.MethodPatch:
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	if r.wrap {
		request.Header.Set("X-Vault-Wrap-TTL", "60s")
	}
	response, err := w.client.Do(request)
	if err != nil {
		return wireAnswer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return wireAnswer{}, err
	}
	answer := wireAnswer{
		status: response.StatusCode, form: response.Header.Get("Content-Type"),
		location: strings.ReplaceAll(response.Header.Get("Location"), mount+"/", "MOUNT/"),
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	if err := decoder.Decode(&answer.body); err != nil || answer.body == nil {
		answer.body, answer.text = nil, strings.ReplaceAll(string(content), mount+"/", "MOUNT/")
		return answer, nil
	}
	answer.body, _ = neutral("", answer.body, mount).(map[string]any)
	return answer, nil
}

// named are fields whose content is another one in each answer, or each mount.
var named = map[string]string{
	"request_id": "ID", "mount_type": "TYPE", "token": "TOKEN", "accessor": "TOKEN", "wrapped_accessor": "TOKEN",
}

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)

// neutral takes out of a decoded answer what differs between any two mounts and
// moments. Of a time it keeps whether it has passed, or in how many hours it will.
func neutral(name string, value any, mount string) any {
	switch value := value.(type) {
	case map[string]any:
		for key, element := range value {
			value[key] = neutral(key, element, mount)
		}
	case []any:
		for i, element := range value {
			value[i] = neutral("", element, mount)
		}
	case string:
		if by := named[name]; by != "" && value != "" {
			return by
		}
		if timestamp.MatchString(value) {
			at, err := time.Parse(time.RFC3339Nano, value)
			if hours := time.Until(at).Round(time.Hour); err == nil && hours > 0 {
				return "in " + hours.String()
			}
			return "PAST"
		}
		return strings.ReplaceAll(value, mount+"/", "MOUNT/")
	}
	return value
}

// tokenFor makes a token that has one policy alone, under a name of its own.
func tokenFor(t *testing.T, v *harness.Vault, name, policy string) string {
	t.Helper()
	if err := v.Client.Sys().PutPolicyWithContext(t.Context(), name, policy); err != nil {
		t.Fatal(err)
	}
	made, err := v.Client.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
		Policies: []string{name}, NoDefaultPolicy: true, NoParent: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.Auth.ClientToken
}
