// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// quotas are the requests per second that KMS's page of performance data gives
// for the shared gateway (2026-03), by account and region. The calls of a group
// share them. The page's lists of members could be seen in part only; a call
// that it may count to either of two groups is in the one with fewer. So
// RestoreSecret is beside the deletions that it undoes, and what isn't known to
// be of "query secret information and get the value" is in group secret.
//
// RotateSecret isn't among them. An account may call it fifty times an hour, which
// as a rate would let the second rotation wait for a minute; what is over is
// refused as throttled and tried again.
var quotas = []provider.Quota{
	{Group: "create_delete", PerSecond: 10, Operations: []string{"CreateSecret", "DeleteSecret", "RestoreSecret"}},
	{Group: "secret", PerSecond: 40, Operations: []string{
		"DescribeSecret", "ListSecrets", "ListSecretVersionIds", "PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage",
		"UpdateSecretRotationPolicy",
	}},
	{Group: "value", PerSecond: 450, Operations: []string{"GetSecretValue"}},
	{Group: "tag", PerSecond: 30, Operations: []string{"TagResources", "UntagResources"}},
	{Group: "key", PerSecond: 50, Operations: []string{"DescribeKey"}},
	{Group: "instance", PerSecond: 50, Operations: []string{"GetKmsInstance"}},
}

// instanceGateway ends the host names of the gateways that KMS instances have
// of their own.
const instanceGateway = ".cryptoservice.kms.aliyuncs.com"

// quotasOf returns none for the gateway of a KMS instance, which answers as fast
// as the instance can. Secrets of an instance that are reached through the
// shared gateway count there.
func quotasOf(c provider.Config) []provider.Quota {
	if onInstanceGateway(c.Endpoint) {
		return nil
	}
	return quotas
}

func onInstanceGateway(e provider.Endpoint) bool {
	host, _, _ := strings.Cut(strings.ToLower(e.Host), ":")
	return strings.HasSuffix(host, instanceGateway)
}

func accountOf(c provider.Config) string { return c.AccessKeyID }
