// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// product is one of the cloud's services, of which several are at one address.
type product struct {
	name       string // in host names, signatures and permissions
	version    string // of its API
	operations map[string]operation
	regional   bool // a call has to name a region
}

// Names of services.
const (
	ssmName = "ssm"
	tagName = "tag"
)

var (
	ssmProduct = &product{name: ssmName, version: "2019-09-23", operations: operations, regional: true}
	tagProduct = &product{name: tagName, version: "2018-08-13", operations: tagOperations}
)

// productOf is the service that a call means: by its host where that is one of
// the cloud's names, else by what it is signed for.
func productOf(r *http.Request) *product {
	auth, _ := parseAuthorization(r.Header.Get("Authorization"))
	first, _, named := strings.Cut(r.Host, ".")
	for _, p := range []*product{ssmProduct, tagProduct} {
		if named && first == p.name {
			return p
		}
	}
	if auth.service == tagName {
		return tagProduct
	}
	return ssmProduct
}

// protocol is the wire format of Tencent's API 3.0. Checks come in the order:
// method and size, signature, action and version, region, shape of the
// parameters, permission, and then the operation's own.
type protocol struct{ server *Server }

// Target reads action, region and secret name.
func (p protocol) Target(r *emulator.Request) emulator.Target {
	target := emulator.Target{Operation: r.HTTP.Header.Get("X-TC-Action"), Region: r.HTTP.Header.Get("X-TC-Region")}
	if _, known := productOf(r.HTTP).operations[target.Operation]; !known {
		target.Operation = ""
	}
	var named struct {
		SecretName  string
		Resource    string   // of the Tag service
		ResourceIds []string //nolint:revive // the API's spelling
	}
	if json.Unmarshal(r.Body, &named) == nil {
		target.Secret = named.SecretName
		for _, resource := range append(named.ResourceIds, named.Resource) {
			if i := strings.LastIndexByte(resource, '/'); i >= 0 {
				target.Secret = resource[i+1:]
			}
		}
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
	action, meant := r.HTTP.Header.Get("X-TC-Action"), productOf(r.HTTP)
	switch {
	case action == "":
		return nil, missing("Action")
	case r.HTTP.Header.Get("X-TC-Version") == "":
		return nil, missing("Version")
	case r.HTTP.Header.Get("X-TC-Version") != meant.version:
		return nil, fail(codeNoSuchVersion, "The specified API version does not exist.")
	}
	op, known := meant.operations[action]
	if !known {
		return nil, fail(codeInvalidAction, "The specified action does not exist in this version of the API.")
	}
	c := &call{Request: r, product: meant, server: p.server, switches: p.server.CurrentSwitches()}
	if meant.regional {
		if failure := c.settleRegion(); failure != nil {
			return nil, failure
		}
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
	product  *product
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
		"[request id:%s]you are not authorized to perform operation (%s:%s)\nresource (qcs::%s:%s:uin/%s:secret/*) has no permission",
		c.ID, c.product.name, c.Operation, c.product.name, c.Region, c.Account.AccountID))
}

func missing(parameter string) *emulator.Failure {
	return fail(codeMissingParameter, fmt.Sprintf("The request is missing a required parameter `%s`.", parameter))
}
