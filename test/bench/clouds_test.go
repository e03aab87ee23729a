// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
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
	account     emulator.Account    // zero for the example account
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

// bulk are destinations at Tencent in so many accounts, each with rates of its
// own: together they take secrets as fast as the engine can send them.
func bulk(accounts int) []cloud {
	all := make([]cloud, accounts)
	for i := range all {
		account := emulator.Account{
			AccessKeyID: fmt.Sprintf("bulk-%d", i), AccessKeySecret: fmt.Sprintf("bulk-secret-%d", i), AccountID: strconv.Itoa(200000000000 + i),
		}
		all[i] = cloud{
			label: "Tencent, bulk", slug: "bulk", service: harness.Tencent, ref: fmt.Sprintf("%s/bulk-%d", tencent.ServiceName, i),
			account: account,
			settings: map[string]any{
				"version_history": false, "access_key_id": account.AccessKeyID, "access_key_secret": account.AccessKeySecret,
			},
		}
	}
	return all
}

// documented are the rates that each service documents, as the emulators know
// them: they share no code with the engine, so that a mistake in its numbers
// shows.
var documented = sync.OnceValue(func() map[string][]emulator.Rate {
	ssm, _ := tencent.New(tencent.Options{}) // can't fail: it reads nothing
	kms, _ := alibaba.New(alibaba.Options{})
	csms, _ := huawei.New(huawei.Options{})
	return map[string][]emulator.Rate{
		tencent.ServiceName: ssm.Core().Rates.Documented(),
		alibaba.ServiceName: kms.Core().Rates.Documented(),
		huawei.ServiceName:  csms.Core().Rates.Documented(),
	}
})

// allowed is how many secrets a second the documented rates let through.
func (c cloud) allowed(operation string) float64 {
	needed := map[int]int{} // calls by the rate that they count for
	rates := documented()[c.service.Type]
	for _, call := range c.calls[operation] {
		named := slices.IndexFunc(rates, func(r emulator.Rate) bool { return slices.Contains(r.Operations, call) })
		if named < 0 {
			named = slices.IndexFunc(rates, func(r emulator.Rate) bool { return r.Operations == nil })
		}
		needed[named]++
	}
	least := math.Inf(1)
	for rate, calls := range needed {
		if rate >= 0 {
			least = min(least, float64(rates[rate].PerSecond)/float64(calls))
		}
	}
	return least
}
