// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// cloud is a type of destination as the pages have it.
type cloud struct {
	kind     string // as in paths
	name     string // of the destination in the pages
	page     string // that describes it
	provider string // folder of its provider
	settings map[string]any
	emulate  func(t testing.TB) (emulator.Service, string)

	call       *regexp.Regexp                  // of the API, in the provider's code
	actions    func(operation string) []string // that a policy has to allow for it
	keyActions []string                        // that the cloud asks for on the KMS key
}

var clouds = []cloud{
	{
		kind: "tencent-ssm", name: "gz", page: "docs/tencent-ssm.md", provider: "tencent",
		settings: map[string]any{"region": "ap-guangzhou"},
		emulate: func(t testing.TB) (emulator.Service, string) {
			t.Helper()
			return emulatortest.Tencent(t, tencent.Options{})
		},
		call: regexp.MustCompile(`(?:ssm|tag)\.New(\w+)Request\(`),
		actions: func(operation string) []string {
			if slices.Contains(tagOperations, operation) {
				return []string{"tag:" + operation}
			}
			return []string{"ssm:" + operation}
		},
	},
	{
		kind: "alicloud-kms", name: "hz", page: "docs/alicloud-kms.md", provider: "alibaba",
		settings: map[string]any{"region": "cn-hangzhou"},
		emulate: func(t testing.TB) (emulator.Service, string) {
			t.Helper()
			return emulatortest.Alibaba(t, alibaba.Options{})
		},
		call: regexp.MustCompile(`kms\.Create(\w+)Request\(`),
		actions: func(operation string) []string {
			if operation == "CreateSecret" { // the first of a managed type makes a role
				return []string{"kms:CreateSecret", "ram:CreateServiceLinkedRole"}
			}
			return []string{"kms:" + operation}
		},
		keyActions: []string{"kms:GenerateDataKey", "kms:Decrypt"},
	},
	{
		kind: "huawei-csms", name: "bj", page: "docs/huawei-csms.md", provider: "huawei",
		settings: map[string]any{"region": "cn-north-4", "project_id": huawei.ExampleProjectID},
		emulate: func(t testing.TB) (emulator.Service, string) {
			t.Helper()
			return emulatortest.Huawei(t, huawei.Options{})
		},
		call: regexp.MustCompile(`(?:reading|writing)\("(\w+)",`),
		actions: func(operation string) []string {
			actions, known := huaweiActions[operation]
			if !known {
				return []string{"unknown: " + operation}
			}
			return actions
		},
		keyActions: []string{"kms:cmk:createDataKey", "kms:cmk:decryptDataKey"},
	},
}

// tagOperations are the calls that go to Tencent's Tag service.
var tagOperations = []string{"DescribeResourceTagsByResourceIds", "ModifyResourceTags"}

// huaweiActions are the names that Huawei's permission tables give to the calls.
// ListSecretTags, ListSecretTask and the agencies aren't in them.
var huaweiActions = map[string][]string{
	"ShowSecret":              {"csms:secret:get"},
	"ShowSecretVersion":       {"csms:secret:getVersion"},
	"ListSecretVersions":      {"csms:secret:listVersion"},
	"ListSecretTags":          nil,
	"ListSecrets":             {"csms:secret:list"},
	"CreateSecret":            {"csms:secret:create"},
	"CreateSecretVersion":     {"csms:secret:createVersion"},
	"UpdateSecret":            {"csms:secret:update"},
	"UpdateSecretStage":       {"csms:secret:updateStage"},
	"BatchCreateOrDeleteTags": {"csms:secret:batchCreateOrDeleteTags"},
	"DeleteSecret":            {"csms:secret:delete"},
	"DeleteSecretForSchedule": {"csms:secret:scheduleDeletion"},
	"RestoreSecret":           {"csms:secret:restoreSecret"},
	"ShowSecretStage":         {"csms:secret:getStage"},
	"RotateSecret":            {"csms:secret:rotate", "rds:password:update", "kms:cmk:createGrant", "kms:cmk:retireGrant"},
	"ListSecretTask":          nil,
	"ShowAgency":              nil,
	"CreateAgency":            nil,
}

// ref is a destination there, as secrets name it.
func (c cloud) ref() string { return c.kind + "/" + c.name }

// destination is what is written for the emulated one at the endpoint.
func (c cloud) destination(endpoint string) map[string]any {
	account := emulator.ExampleAccount()
	written := maps.Clone(c.settings)
	written["endpoint"] = endpoint
	written["access_key_id"], written["access_key_secret"] = account.AccessKeyID, account.AccessKeySecret
	return written
}

// variable is the environment variable with the endpoint of the emulated one.
func (c cloud) variable() string { return "CLOUD_" + strings.ReplaceAll(c.kind, "-", "_") }

// named returns the cloud whose type a command has, and whether it has one.
func named(command string) (cloud, bool) {
	for _, c := range clouds {
		if strings.Contains(command, "destinations/"+c.kind+"/") || strings.Contains(command, "-cloud "+c.kind+" ") {
			return c, true
		}
	}
	return cloud{}, false
}
