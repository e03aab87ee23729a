// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
)

func TestOnlyTheGatewayOfAnInstanceHasNoQuotas(t *testing.T) {
	t.Parallel()
	for endpoint, limited := range map[string]bool{
		"":                             true,
		"kms.cn-hangzhou.aliyuncs.com": true,
		"https://kms-vpc.cn-beijing.aliyuncs.com":                       true,
		"kst-hzz0123456789.cryptoservice.kms.aliyuncs.com":              false,
		"https://KST-HZZ0123456789.cryptoservice.kms.aliyuncs.com:8443": false,
	} {
		at, err := provider.ParseEndpoint(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		c := provider.Config{Region: "cn-hangzhou", Endpoint: at, Settings: map[string]string{"kms_instance_id": "kst-hzz0123456789"}}
		if got := alibaba.Kind.Quotas(c); (len(got) > 0) != limited {
			t.Errorf("endpoint %q: %d quotas", endpoint, len(got))
		}
	}
}
