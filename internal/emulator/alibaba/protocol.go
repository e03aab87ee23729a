// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

const apiVersion = "2016-01-20"

// exchange is one call in the wire format of Alibaba's RPC interfaces, an
// [emulator.Protocol] for that call alone. Checks come in the order: method,
// access key, time, nonce, signature, token, action and version, region, missing
// parameters, values of parameters, permission, and then the state.
type exchange struct {
	server     *Server
	params     parameters
	unparsable *emulator.Failure
}

// Target reads the parameters.
func (e *exchange) Target(r *emulator.Request) emulator.Target {
	e.params, e.unparsable = parse(r.HTTP, r.Body)
	r.ValueInURL = r.HTTP.URL.Query().Get("SecretData") != ""
	target := emulator.Target{Operation: e.params["Action"], Region: e.params["RegionId"], Secret: e.params["SecretName"]}
	if _, known := operations[target.Operation]; !known {
		target.Operation = ""
	}
	if i := strings.Index(target.Secret, ":secret/"); i >= 0 {
		target.Secret = target.Secret[i+len(":secret/"):] // of an ARN
	}
	target.Secret = cmp.Or(target.Secret, e.params["ResourceId.1"])
	return target
}

// Authenticate verifies the signature.
func (e *exchange) Authenticate(r *emulator.Request) *emulator.Failure {
	switch {
	case r.HTTP.Method != http.MethodGet && r.HTTP.Method != http.MethodPost:
		return fail(codeUnsupportedMethod, "This http method is not supported.")
	case e.unparsable != nil:
		return e.unparsable
	}
	account, failure := e.verify(r)
	r.Account = account
	return failure
}

// Execute finds the operation and runs it.
func (e *exchange) Execute(r *emulator.Request) (any, *emulator.Failure) {
	switch {
	case e.params["Action"] == "":
		return nil, missing("Action")
	case e.params["Version"] == "":
		return nil, missing("Version")
	case e.params["Version"] != apiVersion:
		return nil, invalid("Version")
	case !strings.EqualFold(cmp.Or(e.params["Format"], "JSON"), "JSON"):
		return nil, fail(codeInvalidParameter, "This emulator answers in JSON only.")
	}
	run, known := operations[e.params["Action"]]
	if !known || r.HTTP.URL.Path != "/" {
		return nil, fail(codeUnknownAction, "Specified api is not found, please check your url and method.")
	}
	c := &call{Request: r, server: e.server, switches: e.server.CurrentSwitches(), params: e.params}
	if failure := c.settleRegion(); failure != nil {
		return nil, failure
	}
	return c.perform(run)
}

// Encode makes the JSON of a result or a failure.
func (e *exchange) Encode(r *emulator.Request, result any, failure *emulator.Failure) emulator.Reply {
	status := http.StatusOK
	answer, _ := result.(reply)
	if failure != nil {
		status = cmp.Or(failure.Status, statuses[failure.Code], http.StatusBadRequest)
		answer = reply{"HttpStatus": status, "Code": failure.Code, "Message": failure.Message}
		if failure.Code == codeNoPermission && e.server.CurrentSwitches().AccessDeniedDetail {
			answer["AccessDeniedDetail"] = reply{
				"AuthAction": "kms:" + r.Operation, "AuthPrincipalOwnerId": r.Account.AccountID,
				"AuthPrincipalType": "SubUser", "NoPermissionType": "ImplicitDeny", "PolicyType": "AccountLevelIdentityBasedPolicy",
			}
		}
	}
	if answer == nil {
		answer = reply{}
	}
	answer["RequestId"] = r.ID
	body, err := json.Marshal(answer)
	if err != nil {
		panic(fmt.Sprintf("encode the answer of %s: %v", r.Operation, err)) // a reply holds plain types only
	}
	return emulator.Reply{
		Status: status, ContentType: "application/json;charset=utf-8", Body: body,
		Header: http.Header{"Date": {r.Now.UTC().Format(http.TimeFormat)}},
	}
}

// reply is the object of an answer, by field name.
type reply map[string]any

// call is one API call that is authenticated.
type call struct {
	*emulator.Request
	server   *Server
	switches Switches
	params   parameters
	now      time.Time // when the work is done; unlike Request.Now without skew
}

// settleRegion checks the region that the call names. The real service knows it
// from its host, so no code is documented.
func (c *call) settleRegion() *emulator.Failure {
	if c.Region == "" {
		if c.switches.RegionRequired {
			return missing("RegionId")
		}
		c.Region = c.server.regions[0]
	}
	if !slices.Contains(c.server.regions, c.Region) {
		return invalid("RegionId")
	}
	return nil
}
