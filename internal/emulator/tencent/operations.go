// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// operation runs one API operation.
type operation func(*call) (reply, *emulator.Failure)

// operations are the calls that the emulator knows, by action name.
var operations = map[string]operation{
	"CreateSecret":         takes(createSecret),
	"PutSecretValue":       takes(putSecretValue),
	"UpdateSecret":         takes(updateSecret),
	"GetSecretValue":       takes(getSecretValue),
	"DescribeSecret":       takes(describeSecret),
	"ListSecrets":          takes(listSecrets),
	"ListSecretVersionIds": takes(listSecretVersionIDs),
	"UpdateDescription":    takes(updateDescription),
	"DeleteSecret":         takes(deleteSecret),
	"RestoreSecret":        takes(restoreSecret),
	"EnableSecret":         takes(enableSecret),
	"DisableSecret":        takes(disableSecret),
	"DeleteSecretVersion":  takes(deleteSecretVersion),
	"GetServiceStatus":     takes(getServiceStatus),
	"GetRegions":           takes(getRegions),

	"CreateProductSecret":       takes(createProductSecret),
	"CreateSSHKeyPairSecret":    takes(createSSHKeyPairSecret),
	"GetSSHKeyPairValue":        takes(getSSHKeyPairValue),
	"RotateProductSecret":       takes(rotateProductSecret),
	"UpdateRotationStatus":      takes(updateRotationStatus),
	"DescribeRotationDetail":    takes(describeRotationDetail),
	"DescribeRotationHistory":   takes(describeRotationHistory),
	"DescribeAsyncRequestInfo":  takes(describeAsyncRequestInfo),
	"DescribeSupportedProducts": takes(describeSupportedProducts),
}

// takes makes an operation of a function by the parameters that it takes: it
// decodes them, asks for permission, and lets one call at a time see the state.
func takes[P any](run func(*call, P) (reply, *emulator.Failure)) operation {
	return func(c *call) (reply, *emulator.Failure) {
		var parameters P
		if failure := decode(c.Body, &parameters); failure != nil {
			return nil, failure
		}
		if failure := c.permit(); failure != nil {
			return nil, failure
		}
		if c.switches.NotPurchased && c.product.name == ssmName && c.Operation != "GetServiceStatus" && c.Operation != "GetRegions" {
			return nil, fail(codeNotPurchased, "The service is not purchased.")
		}
		c.server.secrets.Lock()
		defer c.server.secrets.Unlock()
		c.now = c.server.Clock().Now()
		return run(c, parameters)
	}
}

// secret returns the named secret of the caller's account.
func (c *call) secret(name string) (*secret, *emulator.Failure) { return c.lookUp(name, false) }

// lookUp does so, and tells what is going on with the secret that it was looked at.
func (c *call) lookUp(name string, look bool) (*secret, *emulator.Failure) {
	if failure := c.checkName(name); failure != nil {
		return nil, failure
	}
	found, ok := c.server.secrets.LookupLocked(emulator.Ref{Account: c.Account.AccountID, Region: c.Region, Name: name}, c.now)
	if !ok {
		return nil, secretNotFound()
	}
	return c.settle(found, look)
}

func secretNotFound() *emulator.Failure { return fail(codeNotFound, "The secret does not exist.") }

// writable returns a copy of a custom secret whose versions can be changed.
func (c *call) writable(name string) (*secret, *emulator.Failure) {
	found, failure := c.secret(name)
	switch {
	case failure != nil:
		return nil, failure
	case found.Type != typeCustom:
		return nil, fail(codeAutoRotated, "The secret is managed by the service, its value cannot be written.")
	case found.Status == statusPendingDelete:
		return nil, fail(codeFailedOperation, "The secret is going to be deleted, restore it first.")
	}
	return found.copy(), c.keyUsable(found.KMSKeyID)
}

// store makes next the state of its secret.
func (c *call) store(next *secret) *emulator.Failure {
	return c.server.secrets.TryPutLocked(next, fail(codeInternal, "The change could not be stored."))
}

// keyUsable tells whether the service can use a KMS key, "" for its own.
func (c *call) keyUsable(id string) *emulator.Failure {
	if id == "" || id == defaultKeyID(c.Region) || c.server.KMSKeys().Usable(c.Region, id) {
		return nil
	}
	code := codeKMS
	if c.switches.KMSUnauthorized {
		code = codeKMSUnauthorized
	}
	return fail(code, "The KMS key cannot be used.")
}
