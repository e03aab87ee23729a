// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Each case changes one answer of a service where all is well, and names the
// findings that aren't.
func TestCheck(t *testing.T) {
	denied := apiError("Forbidden.NoPermission", "This operation is forbidden by permission system.")
	probe := func(answer string) map[string]string { return map[string]string{"DescribeSecret": answer} }
	instance := func(answer string) map[string]string { return map[string]string{"GetKmsInstance": answer} }
	all := []string{"DescribeSecret", "ListSecrets", "GetKmsInstance"}
	alone := all[:1]

	for name, c := range map[string]struct {
		answers map[string]string
		wrong   string // the check that fails; "" if none does
		action  string // what its action speaks of
		message string
		made    []string
	}{
		"all is well":                     {nil, "", "", "", all},
		"the probe's secret is there":     {probe(done), "", "", "", all},
		"the key id is wrong":             {probe(apiError("InvalidAccessKeyId.NotFound", "")), "credentials", "access_key_id", "", alone},
		"the secret is wrong":             {probe(apiError("SignatureDoesNotMatch", "")), "credentials", "access_key_secret", "", alone},
		"the token is expired":            {probe(apiError("InvalidSecurityToken.Expired", "")), "credentials", "security_token", "", alone},
		"the key is disabled":             {probe(apiError("Forbidden.AccessKey", "")), "credentials", "enable", "", alone},
		"the clock is off":                {probe(apiError("IllegalTimestamp", "")), "credentials", "clock", "", alone},
		"the service isn't activated":     {probe(apiError("Forbidden.KmsServiceNotEnabled", "")), "service", "activate", "", alone},
		"the account is overdue":          {probe(apiError("Forbidden.InDebtOverdue", "")), "service", "settle", "", alone},
		"the service throttles":           {probe(apiError("Rejected.Throttling", "")), "", "", "", all},
		"describing is denied":            {probe(denied), "permission kms:DescribeSecret", "kms:DescribeSecret", "", all},
		"listing is denied":               {map[string]string{"ListSecrets": denied}, "permission kms:ListSecrets", "import", "", all},
		"the endpoint isn't this API":     {probe("<html>welcome"), "endpoint", "", "", alone},
		"the endpoint is another service": {probe(apiError("InvalidAction.NotFound", "")), "endpoint", "endpoint", "", alone},
		"the service is down":             {probe(apiError("InternalFailure", "")), "endpoint", "", "", alone},
		"the instance isn't there":        {instance(apiError("Forbidden.ResourceNotFound", "")), "KMS instance", "kms_instance_id", "", all},
		"the instance isn't enabled":      {instance(`{"RequestId":"r","KmsInstance":{"Status":"Uninitialized"}}`), "KMS instance", "enabled", "Uninitialized", all},
		"the instance's id is wrong":      {instance(apiError("InvalidParameter", "")), "KMS instance", "", "", all},
		"the instance may not be seen":    {instance(denied), "", "", "", all},
		"the call isn't offered":          {instance(apiError("InvalidAction.NotFound", "")), "", "", "", all},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &stub{answers: map[string]string{
				"DescribeSecret": apiError("Forbidden.ResourceNotFound", "Resource not found"), "ListSecrets": `{"RequestId":"r"}`,
				"GetKmsInstance": `{"RequestId":"r","KmsInstance":{"Status":"Connected","SecretNum":"1000"}}`,
			}}
			for action, answer := range c.answers {
				cloud.answers[action] = answer
			}
			findings, err := opened(t, cloud).Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wrong := slices.DeleteFunc(slices.Clone(findings), func(f provider.Finding) bool { return f.OK })
			switch {
			case c.wrong == "" && len(wrong) > 0 || c.wrong != "" && len(wrong) != 1:
				t.Errorf("it finds fault with %+v", wrong)
			case c.wrong != "" && (wrong[0].Check != c.wrong || !strings.Contains(wrong[0].Action, c.action) ||
				wrong[0].Action == "" || !strings.Contains(wrong[0].Message, c.message)):
				t.Errorf("finding %+v", wrong[0])
			}
			if made := cloud.actions(); !slices.Equal(made, c.made) {
				t.Errorf("calls %v, want %v", made, c.made)
			}
		})
	}
}

func TestCheckComparesClocks(t *testing.T) {
	for ahead, says := range map[time.Duration]string{
		0: "", time.Minute: "", -time.Minute: "", 10 * time.Minute: "ahead of", -10 * time.Minute: "behind",
	} {
		cloud := &stub{
			header:  http.Header{"Date": {time.Now().Add(-ahead).UTC().Format(http.TimeFormat)}},
			answers: map[string]string{"DescribeSecret": apiError("Forbidden.ResourceNotFound", ""), "": `{"RequestId":"r"}`},
		}
		findings, err := opened(t, cloud).Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(findings, func(f provider.Finding) bool { return f.Check == "clock" })
		if i < 0 || findings[i].OK != (says == "") || !strings.Contains(findings[i].Message, says) {
			t.Errorf("%s ahead: %+v", ahead, findings)
		}
	}
}

func TestCheckKnowsTheGatewayOfAnInstance(t *testing.T) {
	c := exampleConfig(&stub{answers: map[string]string{"": done}})
	c.Endpoint = provider.Endpoint{Scheme: "https", Host: "kst-example.cryptoservice.kms.aliyuncs.com"}
	findings, err := openedAs(t, c).Check(t.Context())
	if err != nil || findings[0].OK || !strings.Contains(findings[0].Action, "kms-vpc") {
		t.Errorf("%+v, %v", findings, err)
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	for _, last := range []string{"DescribeSecret", "ListSecrets", "GetKmsInstance"} {
		t.Run("while "+last+" is under way", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cloud := &stub{answers: map[string]string{"": done}}
			d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				answer, err := cloud.RoundTrip(r)
				if made := cloud.actions(); made[len(made)-1] == last {
					cancel()
				}
				return answer, err
			}))
			findings, err := d.Check(ctx)
			if !errors.Is(err, context.Canceled) || findings != nil {
				t.Errorf("findings %v, error %v", findings, err)
			}
			if made := cloud.actions(); made[len(made)-1] != last {
				t.Error("it made another call after the end")
			}
		})
	}
	t.Run("that has ended before, it makes no call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		cloud := &stub{}
		if _, err := opened(t, cloud).Check(ctx); !errors.Is(err, context.Canceled) || len(cloud.asked) != 0 {
			t.Errorf("%v after %v", err, cloud.actions())
		}
	})
}
