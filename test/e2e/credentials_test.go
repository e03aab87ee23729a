// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// A cloud that refuses the credentials refuses no write: the status says what
// the cloud said and what to do, and once they are corrected the secret arrives.
func TestWrongCredentialsAreSaidAndCorrectedWithoutAWrite(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	cases := 0
	for _, cloud := range r.Clouds {
		service := cloud.Service
		for _, test := range []struct{ field, value, code string }{
			{"access_key_id", "nobody", map[string]string{
				"tencent-ssm": "AuthFailure.SecretIdNotFound", "alicloud-kms": "InvalidAccessKeyId.NotFound", "huawei-csms": "APIGW.0301",
			}[service.Type]},
			{"access_key_secret", "wrong", map[string]string{
				"tencent-ssm": "AuthFailure.SignatureFailure", "alicloud-kms": "SignatureDoesNotMatch", "huawei-csms": "APIGW.0301",
			}[service.Type]},
			{"security_token", "expired", map[string]string{
				"tencent-ssm": "AuthFailure.TokenFailure", "alicloud-kms": "InvalidSecurityToken", "huawei-csms": "APIGW.0301",
			}[service.Type]},
		} {
			t.Run(service.Type+" "+test.field, func(t *testing.T) {
				cases++
				name := secretName + strings.Repeat("x", cases)
				r.Vault.Write("destinations/"+service.Destination, map[string]any{test.field: test.value})
				answer := r.Vault.Write("secrets/"+name, map[string]any{
					"value": "only", "destinations": service.Destination, "wait": harness.Patience.String(),
				})
				if len(answer.Warnings) != 1 || !strings.Contains(answer.Warnings[0], "credentials of the destination") {
					t.Errorf("the warnings of the write are %q", answer.Warnings)
				}
				shown, _ := r.AwaitStateAt(service.Destination, name, "blocked")["error"].(map[string]any)
				code, _ := shown["code"].(string)
				if shown["class"] != "auth" || !strings.HasPrefix(code, test.code) {
					t.Errorf("the class is %v and the code %q, want %s", shown["class"], code, test.code)
				}
				for _, part := range []string{"message", "request_id", "since", "action"} {
					if text, _ := shown[part].(string); text == "" {
						t.Errorf("the status has no %s: %v", part, shown)
					}
				}

				correct := cloud.Settings()
				r.Vault.Write("destinations/"+service.Destination, map[string]any{test.field: correct[test.field]})
				r.AwaitStateAt(service.Destination, name, "in_sync")
				if got := read(t, cloud, name); got != "only" {
					t.Errorf("applications get %q", got)
				}
				if newest := number(t, r.Vault.Read("status/" + name).Data["version"]); newest != 1 {
					t.Errorf("vault is at version %d after one write", newest)
				}
			})
		}
	}
}

// The check says the same before anything is written.
func TestTheCheckOfADestinationTellsWhatIsWrong(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	for _, cloud := range r.Clouds {
		path := "destinations/" + cloud.Service.Destination
		t.Run(cloud.Service.Type, func(t *testing.T) {
			answer := r.Vault.Write(path+"/check", nil).Data
			if ok, told := answer["ok"].(bool); !ok || !told {
				t.Errorf("the check of a good destination says %v", answer)
			}
			r.Vault.Write(path, map[string]any{"access_key_secret": "wrong"})
			answer = r.Vault.Write(path+"/check", nil).Data
			findings, _ := answer["findings"].([]any)
			if ok, told := answer["ok"].(bool); ok || !told || len(findings) == 0 {
				t.Fatalf("the check of a wrong key says %v", answer)
			}
			last, _ := findings[len(findings)-1].(map[string]any)
			if ok, told := last["ok"].(bool); ok || !told || last["class"] != "auth" || last["request_id"] == "" || last["action"] == nil {
				t.Errorf("the finding is %v", last)
			}
		})
	}
}
