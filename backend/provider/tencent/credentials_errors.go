// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"

const (
	adviceInstance = "look at the instance of instance_id: it has to be one of this product in the destination's region, and running"
	adviceFields   = "compare product, instance_id, user_name_prefix, domains and privileges with what the instance allows"
	adviceLate     = "this endpoint's API doesn't know a parameter yet; leave account_remark, account_type, kms_hsm_cluster_id and encrypt_type out"
)

// creating are the calls that make credentials.
var creating = map[string]map[string]verdict{
	"CreateProductSecret":    creationVerdicts,
	"CreateSSHKeyPairSecret": keyVerdicts,
}

// creationVerdicts are on codes that mean something else, or can be explained
// better, when a database account is made. The API reference lists nearly every
// code of the service for it and explains none, so what they speak of is taken
// from their names: what is absent, busy or sold out is then the instance, since
// there is no secret yet.
var creationVerdicts = map[string]verdict{
	codeFailedOperation:                          {provider.ClassUnavailable, adviceInstance},
	"InvalidParameter":                           {provider.ClassInvalid, adviceFields},
	"InvalidParameterValue":                      {provider.ClassInvalid, adviceFields},
	"InvalidParameterValue.TagKeysDuplicated":    {provider.ClassInvalid, "give each tag once; keys that differ in case only may count as one"},
	"LimitExceeded":                              {provider.ClassLimit, "the region's number of secrets or the instance's number of accounts is used up; delete what isn't needed or raise the quota"},
	"MissingParameter":                           {provider.ClassInvalid, adviceFields},
	"OperationDenied":                            {provider.ClassPermission, "the account may not make credentials for this product; grant Secrets Manager its service role SSM_QCSRole, or ask Tencent to allow the product"},
	"OperationDenied.AutoRotatedResource":        {provider.ClassOwnership, "the name belongs to a secret that the cloud manages already; choose another remote_name"},
	"ResourceInUse":                              {provider.ClassConflict, "the instance is busy with another task, or has accounts of this user_name_prefix; wait for it, or choose another prefix"},
	"ResourceInUse.SecretExists":                 {provider.ClassExists, "the region has a secret of this name, perhaps in its recovery window; choose another remote_name, or have it deleted"},
	codeVersionIDExists:                          {provider.ClassExists, "the region has a secret of this name; choose another remote_name, or have it deleted"},
	"ResourceInsufficient":                       {provider.ClassLimit, "the account has no more secrets or the instance no more accounts to give; raise the quota, or delete what isn't needed"},
	"ResourceNotFound":                           {provider.ClassInvalid, adviceInstance},
	"ResourceUnavailable":                        {provider.ClassConflict, adviceInstance},
	"ResourceUnavailable.ResourceDisabled":       {provider.ClassConflict, adviceInstance},
	"ResourceUnavailable.ResourcePendingDeleted": {provider.ClassConflict, "the instance, or a secret of this name, is going to be deleted; choose another instance_id or remote_name"},
	"ResourceUnavailable.ResourceUninitialized":  {provider.ClassConflict, "the instance isn't initialized; do so in its console, or wait until it is"},
	"ResourcesSoldOut":                           {provider.ClassLimit, "the region has no more of this resource; try another region, or ask Tencent"},
	"UnauthorizedOperation":                      {provider.ClassPermission, "allow ssm:CreateProductSecret in the access policy of the key's account, on every secret of the main account"},
	"UnknownParameter":                           {provider.ClassInvalid, adviceLate},
	"UnsupportedOperation":                       {provider.ClassInvalid, "the instance's engine or version has no managed accounts; choose a product of managed-products, and an instance of it"},
}

// keyVerdicts are for key pairs, of which less is documented.
var keyVerdicts = map[string]verdict{
	"InvalidParameter":           {provider.ClassInvalid, "compare project_id and ssh_key_name with the projects and key pairs of the account"},
	"InvalidParameterValue":      {provider.ClassInvalid, "compare project_id and ssh_key_name with the projects and key pairs of the account"},
	"LimitExceeded":              {provider.ClassLimit, "the region's number of secrets or of key pairs is used up; delete what isn't needed or raise the quota"},
	"ResourceInUse.SecretExists": creationVerdicts["ResourceInUse.SecretExists"],
	"UnauthorizedOperation":      {provider.ClassPermission, "allow ssm:CreateSSHKeyPairSecret in the access policy of the key's account, on every secret of the main account"},
	"UnknownParameter":           {provider.ClassInvalid, adviceLate},
}

// judgeOf finds the verdict on a code that an operation was answered with.
func judgeOf(operation, code string) verdict {
	if v, ok := creating[operation][code]; ok {
		return v
	}
	return judge(code)
}
