// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// protocol is the wire format of Huawei's REST APIs. Checks come in the order:
// size, signature, route, project, permission, shape of the body, and then the
// operation's own.
type protocol struct{ server *Server }

// Target reads operation, project and secret name. Request ids have no dashes
// in this cloud.
func (p protocol) Target(r *emulator.Request) emulator.Target {
	r.ID = strings.ReplaceAll(r.ID, "-", "")
	m := match(r.HTTP.Method, r.HTTP.URL.Path)
	if m.project == accountPath {
		return emulator.Target{Operation: m.route.operation}
	}
	return emulator.Target{Operation: m.route.operation, Region: m.project, Secret: p.secretName(r, m)}
}

// secretName finds out the name of the secret that a call is about.
func (p protocol) secretName(r *emulator.Request, m matched) string {
	if id := m.values["secret_id"]; id != "" {
		p.server.secrets.Lock()
		defer p.server.secrets.Unlock()
		if found, ok := p.server.secrets.SearchLocked(func(s *secret) bool { return s.ID == id }); ok {
			return found.Name
		}
		return ""
	}
	if m.route.operation == createOperation {
		var named struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(r.Body, &named) == nil {
			return named.Name
		}
	}
	return m.values["secret_name"]
}

// Authenticate verifies the signature.
func (p protocol) Authenticate(r *emulator.Request) *emulator.Failure {
	if len(r.Body) > emulator.MaxBody {
		return failWith(http.StatusRequestEntityTooLarge, codeTooLarge, "Request entity too large.")
	}
	account, failure := p.server.verify(r)
	r.Account = account
	return failure
}

// Execute finds the operation and runs it.
func (p protocol) Execute(r *emulator.Request) (any, *emulator.Failure) {
	m := match(r.HTTP.Method, r.HTTP.URL.Path)
	if m.route.run == nil {
		return nil, fail(codeNoSuchAPI)
	}
	if m.project == accountPath {
		return p.run(r, m)
	}
	if !slices.Contains(p.server.projects, m.project) {
		return nil, fail(codeNoProject)
	}
	if project := r.HTTP.Header.Get(projectHeader); project != "" && project != m.project {
		return nil, fail(codeWrongProject)
	}
	return p.run(r, m)
}

// run makes the call if the key may.
func (p protocol) run(r *emulator.Request, m matched) (any, *emulator.Failure) {
	c := &call{Request: r, server: p.server, switches: p.server.CurrentSwitches(), values: m.values}
	if !r.Account.Allows(r.Operation) {
		code := c.switches.DeniedCode
		if code == "" {
			code = codeDenied
		}
		return nil, failWith(http.StatusForbidden, code, "Policy doesn't allow csms:secret:"+m.route.action+" to be performed.")
	}
	return m.route.run(c)
}

// Encode writes the result as JSON, nothing for a result without body, or an
// error body.
func (p protocol) Encode(r *emulator.Request, result any, failure *emulator.Failure) emulator.Reply {
	reply := emulator.Reply{
		Status: http.StatusOK, ContentType: "application/json",
		Header: http.Header{"X-Request-Id": {r.ID}, "Server": {"api-gateway"}},
	}
	if failure != nil {
		reply.Status = statusOf(failure)
		result = p.server.CurrentSwitches().errorBody(r.Operation, r.ID, failure)
	}
	if empty, ok := result.(noBody); ok {
		reply.Status = int(empty)
		return reply
	}
	body, err := json.Marshal(result)
	if err != nil {
		panic(fmt.Sprintf("encode the answer of %s: %v", r.Operation, err)) // an object holds plain types only
	}
	reply.Body = body
	return reply
}

// object is a JSON object of an answer.
type object map[string]any

// noBody is the result of an operation that answers with a status alone.
type noBody int

// call is one API call that is authenticated.
type call struct {
	*emulator.Request
	server   *Server
	switches Switches
	values   map[string]string // by the placeholders of the route
	now      time.Time         // when the work is done; unlike Request.Now without skew
}
