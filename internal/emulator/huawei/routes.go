// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// createOperation is the one operation whose secret is named in the body.
const createOperation = "CreateSecret"

// rotateOperation is the one operation of secrets whose errors are nested.
const rotateOperation = "RotateSecret"

// route is one API operation.
type route struct {
	operation string // the SDK's name
	action    string // of the permission csms:secret:<action>
	method    string
	path      []string // the segments after /v1/{project_id}/, or after /v1/csms/ for those of an account
	run       func(*call) (any, *emulator.Failure)
}

// routes are the operations that the emulator knows.
var routes = []route{
	at("CreateSecret", "create", "POST secrets", takes(createSecret)),
	at("ListSecrets", "list", "GET secrets", runs(listSecrets)),
	at("ShowSecret", "get", "GET secrets/{secret_name}", runs(showSecret)),
	at("UpdateSecret", "update", "PUT secrets/{secret_name}", takes(updateSecret)),
	at("DeleteSecret", "delete", "DELETE secrets/{secret_name}", runs(deleteSecret)),
	at("DeleteSecretForSchedule", "scheduleDeletion", "POST secrets/{secret_name}/scheduled-deleted-tasks/create", takes(scheduleDeletion)),
	at("RestoreSecret", "restoreSecret", "POST secrets/{secret_name}/scheduled-deleted-tasks/cancel", runs(restoreSecret)),
	at(rotateOperation, "rotate", "POST secrets/{secret_name}/rotate", runs(rotateSecret)),
	at("ListSecretTask", "listTask", "GET csms/tasks", runs(listTasks)), // the action's name is a guess
	at("CreateSecretVersion", "createVersion", "POST secrets/{secret_name}/versions", takes(createVersion)),
	at("ListSecretVersions", "listVersion", "GET secrets/{secret_name}/versions", runs(listVersions)),
	at("ShowSecretVersion", "getVersion", "GET secrets/{secret_name}/versions/{version_id}", runs(showVersion)),
	at("UpdateVersion", "updateVersion", "PUT secrets/{secret_name}/versions/{version_id}", takes(updateVersion)),
	at("UpdateSecretStage", "updateStage", "PUT secrets/{secret_name}/stages/{stage_name}", takes(updateStage)),
	at("ShowSecretStage", "getStage", "GET secrets/{secret_name}/stages/{stage_name}", runs(showStage)),
	at("DeleteSecretStage", "deleteStage", "DELETE secrets/{secret_name}/stages/{stage_name}", runs(deleteStage)),
	at("BatchCreateOrDeleteTags", "batchCreateOrDeleteTags", "POST csms/{secret_id}/tags/action", takes(batchTags)),
	at("CreateSecretTag", "createTag", "POST csms/{secret_id}/tags", takes(createTag)),
	at("DeleteSecretTag", "deleteTag", "DELETE csms/{secret_id}/tags/{key}", runs(deleteTag)),
	at("ListSecretTags", "listTags", "GET csms/{secret_id}/tags", runs(listTags)), // the action's name is a guess
}

// accountRoutes are the operations that belong to no project. The names of the
// actions are guesses.
var accountRoutes = []route{
	at("CreateAgency", "createAgency", "POST agencies", takes(createAgency)),
	at("ShowAgency", "getAgency", "GET agencies", runs(showAgency)),
	at("ShowSecretFunctionTemplates", "getFunctionTemplates", "GET function-templates", runs(showTemplates)),
}

// accountPath stands for a project in the paths of accountRoutes.
const accountPath = "csms"

func at(operation, action, pattern string, run func(*call) (any, *emulator.Failure)) route {
	method, path, _ := strings.Cut(pattern, " ")
	return route{operation, action, method, strings.Split(path, "/"), run}
}

// matched is a route with what the path says. Its zero value matches nothing.
type matched struct {
	route   route
	project string
	values  map[string]string
}

// match finds the route of a path, of which no segment may be empty.
func match(method, path string) matched {
	segments := strings.Split(path, "/")
	if len(segments) < 4 || segments[0] != "" || segments[1] != "v1" {
		return matched{}
	}
	known := routes
	if segments[2] == accountPath {
		known = accountRoutes
	}
	for _, r := range known {
		if values, ok := r.values(segments[3:]); ok && r.method == method {
			return matched{r, segments[2], values}
		}
	}
	return matched{project: segments[2]}
}

// values reads the placeholders of a path that fits the route.
func (r route) values(segments []string) (map[string]string, bool) {
	if len(segments) != len(r.path) {
		return nil, false
	}
	values := make(map[string]string)
	for i, want := range r.path {
		if name, ok := strings.CutPrefix(want, "{"); ok && segments[i] != "" {
			values[strings.TrimSuffix(name, "}")] = segments[i]
		} else if segments[i] != want {
			return nil, false
		}
	}
	return values, true
}

// runs makes an operation of a function that takes no body. One call at a time
// sees the state.
func runs(run func(*call) (any, *emulator.Failure)) func(*call) (any, *emulator.Failure) {
	return func(c *call) (any, *emulator.Failure) {
		c.server.secrets.Lock()
		defer c.server.secrets.Unlock()
		c.now = c.server.Clock().Now()
		return run(c)
	}
}

// takes is runs for an operation with a JSON body.
func takes[B any](run func(*call, B) (any, *emulator.Failure)) func(*call) (any, *emulator.Failure) {
	return func(c *call) (any, *emulator.Failure) {
		var body B
		if err := decode(c.Body, &body); err != nil {
			return nil, fail(codeBodyFormat)
		}
		return runs(func(c *call) (any, *emulator.Failure) { return run(c, body) })(c)
	}
}

// decode reads a request body: one JSON object with members of the struct that
// into points to, in exactly their spelling.
func decode(body []byte, into any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return err
	}
	if members == nil {
		return errors.New("the body is null")
	}
	known := reflect.TypeOf(into).Elem()
	for i := range known.NumField() {
		name, _, _ := strings.Cut(known.Field(i).Tag.Get("json"), ",")
		delete(members, name)
	}
	for name := range members {
		return fmt.Errorf("unknown member %.64q", name)
	}
	return emulator.DecodeStrict(body, into)
}
