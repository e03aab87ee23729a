// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// operation reads and checks the parameters of one call, and returns the work
// to be done when the caller has the permission.
type operation func(*call, *reader) work

// work does a call's work. The server is locked meanwhile.
type work func() (reply, *emulator.Failure)

// operations are the calls that the emulator knows, by action name.
var operations = map[string]operation{
	"CreateSecret":               createSecret,
	"PutSecretValue":             putSecretValue,
	"GetSecretValue":             getSecretValue,
	"DescribeSecret":             describeSecret,
	"UpdateSecret":               updateSecret,
	"ListSecrets":                listSecrets,
	"ListSecretVersionIds":       listSecretVersionIDs,
	"UpdateSecretVersionStage":   updateSecretVersionStage,
	"UpdateSecretRotationPolicy": updateSecretRotationPolicy,
	"DeleteSecret":               deleteSecret,
	"RestoreSecret":              restoreSecret,
	"RotateSecret":               rotateSecret,
	"TagResource":                tagResource,
	"UntagResource":              untagResource,
	"ListResourceTags":           listResourceTags,
	"TagResources":               tagResources,
	"UntagResources":             untagResources,
	"ListTagResources":           listTagResources,
	"DescribeKey":                describeKey,
	"DescribeRegions":            describeRegions,
	"DescribeAccountKmsStatus":   describeAccountKMSStatus,
	"GetRandomPassword":          getRandomPassword,
}

// The answers of DescribeAccountKmsStatus.
const statusEnabled = "Enabled"

// accountStatuses are the codes that calls are refused with, by the status of
// the account. InDebt and Suspended are matched by their names only.
var accountStatuses = map[string]string{
	statusEnabled: "", "NotEnabled": codeNotEnabled, "InDebt": codeInDebt, "Suspended": codeSuspended,
}

// perform runs an operation, for the answer's sake only if it is a dry run.
func (c *call) perform(run operation) (any, *emulator.Failure) {
	if c.Operation != "GetSecretValue" || c.params["DryRun"] != "true" {
		return c.attempt(run)
	}
	switch _, failure := c.attempt(run); {
	case failure == nil:
		return nil, fail(codeDryRunFine, "The request would have succeeded.")
	case failure.Code == codeNoPermission:
		return nil, fail(codeDryRunDenied, failure.Message)
	default:
		return nil, fail(codeDryRunInvalid, failure.Message)
	}
}

func (c *call) attempt(run operation) (any, *emulator.Failure) {
	parameters := &reader{parameters: c.params}
	do := run(c, parameters)
	if failure := cmp.Or(parameters.failure(), c.permit()); failure != nil {
		return nil, failure
	}
	c.server.secrets.Lock()
	defer c.server.secrets.Unlock()
	c.now = c.server.Clock().Now()
	c.server.goOn(c.now)
	answer, failure := do()
	return answer, failure
}

// permit asks for the state of the account and the access key's permissions.
func (c *call) permit() *emulator.Failure {
	if c.Operation == "DescribeRegions" {
		return nil // needs no permission
	}
	if !c.Account.Allows(c.Operation) {
		return noPermission()
	}
	code := accountStatuses[c.switches.accountStatus()]
	if code == "" || c.Operation == "DescribeAccountKmsStatus" {
		return nil
	}
	return fail(code, "The account cannot use KMS.")
}

// secret returns a secret of the caller's account by its name or ARN.
func (c *call) secret(nameOrARN string) (*secret, *emulator.Failure) {
	name := nameOrARN
	if parts := strings.SplitN(nameOrARN, ":", 5); len(parts) == 5 {
		if parts[3] != c.Account.AccountID {
			return nil, noPermission() // no secret here is shared with other accounts
		}
		name = strings.TrimPrefix(parts[4], "secret/")
		if parts[2] != c.Region || name == parts[4] {
			return nil, notFound()
		}
	}
	found, ok := c.server.secrets.LookupLocked(emulator.Ref{Account: c.Account.AccountID, Region: c.Region, Name: name}, c.now)
	if !ok {
		return nil, notFound()
	}
	return found, nil
}

// editable returns a copy of a secret that isn't to be deleted.
func (c *call) editable(name string) (*secret, *emulator.Failure) {
	found, failure := c.secret(name)
	switch {
	case failure != nil:
		return nil, failure
	case found.pendingDeletion():
		return nil, fail(codeInDeleteWindow, "secret in delete period")
	}
	return found.copy(), nil
}

// writable returns a copy of a generic secret whose versions can be changed.
func (c *call) writable(name string) (*secret, *emulator.Failure) {
	found, failure := c.secret(name)
	switch {
	case failure != nil:
		return nil, failure
	case found.Type != typeGeneric:
		return nil, fail(cmp.Or(c.switches.WrongTypeCode, codeInvalidParameter), "The operation is for secrets of type Generic only.")
	case found.pendingDeletion():
		return nil, c.switches.pendingDeletion()
	}
	return found.copy(), nil
}

// store makes next the state of its secret.
func (c *call) store(next *secret) *emulator.Failure {
	next.Updated = c.now
	return c.server.secrets.TryPutLocked(next, fail(codeInternal, "The change could not be stored."))
}

// keyUsable tells whether the caller may do what cryptography needs with a key,
// and whether the key works. The default key, "", always does.
func (c *call) keyUsable(id, permission string) *emulator.Failure {
	if id == "" {
		return nil
	}
	// With a temporary key, reading needs no permission for the key.
	if !c.Account.Allows(permission) && (permission != "Decrypt" || c.Account.SecurityToken == "") {
		return fail(codeNoPermission, fmt.Sprintf("This operation for %s is forbidden by permission system", id))
	}
	key, found := c.server.KMSKeys().Find(c.Region, id)
	switch {
	case strings.HasPrefix(id, "alias/"):
		return fail(codeAliasNotFound, "The specified Alias is not found.")
	case !found:
		return fail(codeKeyNotFound, "The specified Key is not found.")
	case key.PendingDeletion:
		return fail(cmp.Or(c.switches.UnusableKeyCode, codeKeyPendingDelete), "The key is pending deletion.")
	case key.Disabled:
		return fail(cmp.Or(c.switches.UnusableKeyCode, codeKeyDisabled), "The key is disabled.")
	}
	return nil
}

// page cuts one page out of a list.
func page[T any](all []T, number, size int) []T {
	from := min((number-1)*size, len(all))
	return slices.Clone(all[from:min(from+size, len(all))])
}
