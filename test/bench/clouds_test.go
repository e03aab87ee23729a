// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"math"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// What is done to a secret.
const (
	create = "create"
	update = "update"
)

var operations = []string{create, update}

// cloud is a destination, with what its service allows.
type cloud struct {
	label, slug string
	service     harness.Service
	ref         string              // of the destination
	settings    map[string]any      // beside those of the service
	calls       map[string][]string // that create and update need
}

var (
	tencentCloud = cloud{
		label: "Tencent", slug: "tencent", service: harness.Tencent, ref: harness.Tencent.Destination,
		calls: map[string][]string{create: {"CreateSecret", "PutSecretValue"}, update: {"PutSecretValue", "UpdateSecret"}},
	}
	tencentSingle = cloud{
		label: "Tencent, no history", slug: "tencent-single", service: harness.Tencent,
		ref: tencent.ServiceName + "/single", settings: map[string]any{"version_history": false},
		calls: map[string][]string{create: {"CreateSecret"}, update: {"UpdateSecret"}},
	}
	alibabaCloud = cloud{
		label: "Alibaba", slug: "alibaba", service: harness.Alibaba, ref: harness.Alibaba.Destination,
		calls: map[string][]string{create: {"CreateSecret"}, update: {"PutSecretValue"}},
	}
	huaweiCloud = cloud{
		label: "Huawei", slug: "huawei", service: harness.Huawei, ref: harness.Huawei.Destination,
		calls: map[string][]string{create: {"CreateSecret"}, update: {"CreateSecretVersion"}},
	}
	clouds = []cloud{tencentCloud, tencentSingle, alibabaCloud, huaweiCloud}
)

// dedicated is an Alibaba destination that has a KMS instance of its own, whose
// gateway has no documented rate: by it a mount fills as fast as the engine can.
var dedicated = cloud{
	label: "Alibaba, dedicated", slug: "alibaba-dedicated", service: harness.Alibaba,
	ref: alibaba.ServiceName + "/dedicated", settings: map[string]any{"kms_instance_id": alibaba.ExampleInstanceID},
}

// quota is how many calls of some operations together are allowed per second;
// of all that have none of their own, if it names none.
type quota struct {
	perSecond  float64
	operations []string
}

// quotas are those that the clouds document, each account and region for
// itself, for the calls that creating and updating need. They stand here once
// more, since a figure that the engine's own numbers were the measure of would
// not show a mistake in them.
var quotas = map[string][]quota{
	tencent.ServiceName: {{100, []string{"CreateSecret"}}, {100, []string{"PutSecretValue"}}, {50, []string{"UpdateSecret"}}},
	alibaba.ServiceName: {{10, []string{"CreateSecret"}}, {40, []string{"PutSecretValue"}}},
	huawei.ServiceName:  {{20, nil}},
}

// throttling are the codes by which the services say that it was too much.
var throttling = []string{"RequestLimitExceeded", "Rejected.Throttling", "APIGW.0308"}

// allowed is how many secrets a second the quotas let through.
func (c cloud) allowed(operation string) float64 {
	least := math.Inf(1)
	for _, q := range quotas[c.service.Type] {
		needed := 0
		for _, call := range c.calls[operation] {
			if len(q.operations) == 0 || slices.Contains(q.operations, call) {
				needed++
			}
		}
		if needed > 0 {
			least = min(least, q.perSecond/float64(needed))
		}
	}
	return least
}
