// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/alibaba"
)

func TestAKeyIsCheckedByWhatItIs(t *testing.T) {
	for name, test := range map[string]struct {
		state, spec, usage, instance string
		class                        provider.Class // "" for a usable key
		says                         string
	}{
		"an enabled AES key of the instance": {"Enabled", "Aliyun_AES_256", "ENCRYPT/DECRYPT", "kst-ours", "", ""},
		"an SM4 key":                         {"Enabled", "Aliyun_SM4", "ENCRYPT/DECRYPT", "kst-ours", "", ""},
		"a disabled key":                     {"Disabled", "Aliyun_AES_256", "ENCRYPT/DECRYPT", "kst-ours", provider.ClassKMS, "Disabled"},
		"a key to be deleted":                {"PendingDeletion", "Aliyun_AES_256", "ENCRYPT/DECRYPT", "kst-ours", provider.ClassKMS, "PendingDeletion"},
		"an asymmetric key":                  {"Enabled", "RSA_2048", "ENCRYPT/DECRYPT", "kst-ours", provider.ClassKMS, "RSA_2048"},
		"a key for signatures":               {"Enabled", "EC_P256", "SIGN/VERIFY", "kst-ours", provider.ClassKMS, "SIGN/VERIFY"},
		"a key of another instance":          {"Enabled", "Aliyun_AES_256", "ENCRYPT/DECRYPT", "kst-theirs", provider.ClassKMS, "kst-ours"},
		"an answer without a key":            {class: provider.ClassUnavailable},
	} {
		answer := `{"KeyMetadata":{},"RequestId":"r"}`
		if test.state != "" {
			answer = fmt.Sprintf(`{"KeyMetadata":{"KeyId":"the-key","KeyState":%q,"KeySpec":%q,"KeyUsage":%q,"DKMSInstanceId":%q},"RequestId":"r"}`,
				test.state, test.spec, test.usage, test.instance)
		}
		c := exampleConfig(&stub{answers: map[string]string{"DescribeKey": answer}})
		c.Settings = map[string]string{"kms_instance_id": "kst-ours"}
		d, err := alibaba.Kind.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		checked, err := provider.CheckKey(t.Context(), d, "the-key")
		if !checked || (err != nil) != (test.class != "") {
			t.Fatalf("%s: checked %t, %v", name, checked, err)
		}
		if err != nil && (provider.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: class %s: %v", name, provider.ClassOf(err), err)
		}
	}
}

func TestADeniedLookAtAKeyIsNoFaultOfTheKey(t *testing.T) {
	denied := `{"Code":"Forbidden.NoPermission","Message":"This operation for key-hzz0123 is forbidden by permission system.","RequestId":"r"}`
	d, err := alibaba.Kind.Open(exampleConfig(&stub{status: 403, answers: map[string]string{"DescribeKey": denied}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.CheckKey(t.Context(), d, "key-hzz0123"); provider.ClassOf(err) != provider.ClassPermission || !strings.Contains(err.Error(), "kms:DescribeKey") {
		t.Errorf("class %s: %v", provider.ClassOf(err), err)
	}
}
