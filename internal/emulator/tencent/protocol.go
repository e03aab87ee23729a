// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

const apiVersion = "2019-09-23"

// protocol is the wire format of Tencent's API 3.0. Checks come in the order:
// method and size, signature, action and version, region, shape of the
// parameters, permission, and then the operation's own.
type protocol struct{ server *Server }

// Target reads action, region and secret name.
func (p protocol) Target(r *emulator.Request) emulator.Target {
	target := emulator.Target{Operation: r.HTTP.Header.Get("X-TC-Action"), Region: r.HTTP.Header.Get("X-TC-Region")}
	if _, known := operations[target.Operation]; !known {
		target.Operation = ""
	}
	var named struct{ SecretName string }
	if json.Unmarshal(r.Body, &named) == nil {
		target.Secret = named.SecretName
	}
	return target
}

// Authenticate verifies the signature.
func (p protocol) Authenticate(r *emulator.Request) *emulator.Failure {
	switch {
	case r.HTTP.Method != http.MethodPost:
		return fail(codeUnsupportedProtocol, "This emulator takes POST requests only.")
	case len(r.Body) > emulator.MaxBody:
		return fail(codeTooLarge, "The request is larger than 10 MB.")
	}
	account, failure := verify(r, p.server.Accounts())
	r.Account = account
	return failure
}

// Execute finds the operation and runs it.
func (p protocol) Execute(r *emulator.Request) (any, *emulator.Failure) {
	action := r.HTTP.Header.Get("X-TC-Action")
	switch {
	case action == "":
		return nil, missing("Action")
	case r.HTTP.Header.Get("X-TC-Version") == "":
		return nil, missing("Version")
	case r.HTTP.Header.Get("X-TC-Version") != apiVersion:
		return nil, fail(codeNoSuchVersion, "The specified API version does not exist.")
	}
	op, known := operations[action]
	if !known {
		return nil, fail(codeInvalidAction, "The specified action does not exist in this version of the API.")
	}
	c := &call{Request: r, server: p.server, switches: p.server.CurrentSwitches()}
	if failure := c.settleRegion(); failure != nil {
		return nil, failure
	}
	return op(c)
}

// Encode wraps result or failure in the envelope, with HTTP status 200 for both.
func (p protocol) Encode(r *emulator.Request, result any, failure *emulator.Failure) emulator.Reply {
	status := http.StatusOK
	response, _ := result.(reply)
	if failure != nil {
		response = reply{"Error": reply{"Code": failure.Code, "Message": failure.Message}}
		if failure.Status != 0 {
			status = failure.Status
		}
	}
	if response == nil {
		response = reply{}
	}
	response["RequestId"] = r.ID
	body, err := json.Marshal(reply{"Response": response})
	if err != nil {
		panic(fmt.Sprintf("encode the answer of %s: %v", r.Operation, err)) // a reply holds plain types only
	}
	return emulator.Reply{Status: status, ContentType: "application/json", Body: body}
}

// reply is the object of an answer, by field name.
type reply map[string]any

// call is one API call that is authenticated.
type call struct {
	*emulator.Request
	server   *Server
	switches Switches
	now      time.Time // when the work is done; unlike Request.Now without skew
}

// settleRegion checks the region that the call names.
func (c *call) settleRegion() *emulator.Failure {
	if c.Region == "" {
		if !c.switches.RegionOptional {
			return missing("Region")
		}
		c.Region = c.server.regions[0]
	}
	for _, region := range c.server.regions {
		if region == c.Region {
			return nil
		}
	}
	return fail(codeUnsupportedRegion, "The product isn't available in this region.")
}

// permit asks the access key's permissions.
func (c *call) permit() *emulator.Failure {
	if c.Account.Allows(c.Operation) {
		return nil
	}
	return fail(codeUnauthorized, fmt.Sprintf(
		"[request id:%s]you are not authorized to perform operation (ssm:%s)\nresource (qcs::ssm:%s:uin/%s:secret/*) has no permission",
		c.ID, c.Operation, c.Region, c.Account.AccountID))
}

func missing(parameter string) *emulator.Failure {
	return fail(codeMissingParameter, fmt.Sprintf("The request is missing a required parameter `%s`.", parameter))
}
