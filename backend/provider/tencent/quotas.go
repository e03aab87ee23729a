// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"

// quotas are the documented requests per second (product 1078, document 38633,
// 2025-10; the Chinese pages agree), each for one operation. By what they are
// counted isn't said; it is taken as by account and region, and an account is
// known by its access key.
var quotas = []provider.Quota{
	{Group: "get_secret_value", PerSecond: 300, Operations: []string{"GetSecretValue"}},
	{Group: "create_secret", PerSecond: 100, Operations: []string{"CreateSecret"}},
	{Group: "put_secret_value", PerSecond: 100, Operations: []string{"PutSecretValue"}},
	{Group: "update_secret", PerSecond: 50, Operations: []string{"UpdateSecret"}},
	{Group: "delete_secret", PerSecond: 50, Operations: []string{"DeleteSecret"}},
	{Group: "delete_secret_version", PerSecond: 50, Operations: []string{"DeleteSecretVersion"}},
	{Group: "enable_secret", PerSecond: 50, Operations: []string{"EnableSecret"}},
	{Group: "disable_secret", PerSecond: 50, Operations: []string{"DisableSecret"}},
	{Group: "restore_secret", PerSecond: 50, Operations: []string{"RestoreSecret"}},
	{Group: "get_service_status", PerSecond: 50, Operations: []string{"GetServiceStatus"}},
	{Group: "describe_secret", PerSecond: 40, Operations: []string{"DescribeSecret"}},
	{Group: "list_secret_version_ids", PerSecond: 40, Operations: []string{"ListSecretVersionIds"}},
	{Group: "list_secrets", PerSecond: 30, Operations: []string{"ListSecrets"}},
	{Group: "update_description", PerSecond: 20, Operations: []string{"UpdateDescription"}},
	{Group: "create_product_secret", PerSecond: 20, Operations: []string{"CreateProductSecret"}},
	{Group: "create_ssh_key_pair_secret", PerSecond: 20, Operations: []string{"CreateSSHKeyPairSecret"}},
	{Group: "get_ssh_key_pair_value", PerSecond: 20, Operations: []string{"GetSSHKeyPairValue"}},
	{Group: "describe_async_request_info", PerSecond: 20, Operations: []string{"DescribeAsyncRequestInfo"}},
	{Group: "describe_rotation_detail", PerSecond: 20, Operations: []string{"DescribeRotationDetail"}},
	{Group: "describe_rotation_history", PerSecond: 20, Operations: []string{"DescribeRotationHistory"}},
	{Group: "describe_supported_products", PerSecond: 20, Operations: []string{"DescribeSupportedProducts"}},
	{Group: "rotate_product_secret", PerSecond: 20, Operations: []string{"RotateProductSecret"}},
	{Group: "update_rotation_status", PerSecond: 20, Operations: []string{"UpdateRotationStatus"}},
	{Group: "modify_resource_tags", PerSecond: 20, Operations: []string{"ModifyResourceTags"}},
	// Of this one no rate is known. The least of the others is taken.
	{Group: "describe_resource_tags", PerSecond: 20, Operations: []string{"DescribeResourceTagsByResourceIds"}},
}

func quotasOf(provider.Config) []provider.Quota { return quotas }

func accountOf(c provider.Config) string { return c.AccessKeyID }
