// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

const (
	active = `{"Response":{"ServiceEnabled":true,"InvalidType":1,"AccessKeyEscrowEnabled":false,"SecretLimit":1000,"TotalCount":12,"RequestId":"r"}}`
	empty  = `{"Response":{"RequestId":"r"}}`
)

// Each case changes one answer of a service where all is well, and names the
// findings that aren't.
func TestCheck(t *testing.T) {
	absent, denied := apiError("ResourceNotFound", "absent"), apiError("UnauthorizedOperation", "not authorized")
	status := func(answer string) map[string]string { return map[string]string{"GetServiceStatus": answer} }
	all := []string{"GetServiceStatus", "DescribeSecret", "ListSecrets"}
	alone := all[:1]

	for name, c := range map[string]struct {
		answers map[string]string
		wrong   string // the check that fails; "" if none does
		action  string // what its action speaks of
		message string
		made    []string
	}{
		"all is well":                      {nil, "", "", "", all},
		"without quota fields all is well": {status(`{"Response":{"ServiceEnabled":true,"InvalidType":1}}`), "", "", "", all},
		"the key id is wrong":              {status(apiError("AuthFailure.SecretIdNotFound", "")), "credentials", "access_key_id", "", alone},
		"the secret is wrong":              {status(apiError("AuthFailure.SignatureFailure", "")), "credentials", "access_key_secret", "", alone},
		"the token is expired":             {status(apiError("AuthFailure.TokenFailure", "")), "credentials", "security_token", "", alone},
		"the clock is off":                 {status(apiError("AuthFailure.SignatureExpire", "")), "credentials", "clock", "", alone},
		"the service isn't activated":      {status(`{"Response":{"ServiceEnabled":false,"InvalidType":0}}`), "service", "activate", "isn't activated", all},
		"the account is overdue":           {status(`{"Response":{"ServiceEnabled":false,"InvalidType":2}}`), "service", "settle", "suspended", all},
		"the resources were released":      {status(`{"Response":{"ServiceEnabled":false,"InvalidType":3}}`), "service", "again", "released", all},
		"the service is refused":           {status(apiError("ResourceUnavailable.NotPurchased", "")), "service", "activate", "", all},
		"the status may not be read":       {status(denied), "permission ssm:GetServiceStatus", "ssm:GetServiceStatus", "", all},
		"the service throttles":            {status(apiError("RequestLimitExceeded", "")), "", "", "", all},
		"no secret is left of the quota":   {status(strings.Replace(active, "12", "1000", 1)), "quota", "quota", "1000 of 1000", all},
		"describing is denied":             {map[string]string{"DescribeSecret": denied}, "permission ssm:DescribeSecret", "ssm:DescribeSecret", "", all},
		"listing is denied":                {map[string]string{"ListSecrets": denied}, "permission ssm:ListSecrets", "import", "", all},
		"the endpoint isn't this API":      {status("<html>welcome"), "endpoint", "", "", alone},
		"the endpoint is another service":  {status(apiError("InvalidAction", "")), "endpoint", "endpoint", "", alone},
		"the region doesn't have it":       {status(apiError("UnsupportedRegion", "")), "endpoint", "region", "", alone},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &stub{answers: map[string]string{"GetServiceStatus": active, "DescribeSecret": absent, "ListSecrets": empty}}
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
			var made []string
			for _, r := range cloud.asked {
				made = append(made, r.Header.Get("X-TC-Action"))
			}
			if !slices.Equal(made, c.made) {
				t.Errorf("calls %v, want %v", made, c.made)
			}
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	for _, last := range []string{"GetServiceStatus", "DescribeSecret", "ListSecrets"} {
		t.Run("while "+last+" is under way", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cloud := &stub{answers: map[string]string{"": active}}
			d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("X-TC-Action") == last {
					cancel()
				}
				return cloud.RoundTrip(r)
			}))
			findings, err := d.Check(ctx)
			if !errors.Is(err, context.Canceled) || findings != nil {
				t.Errorf("findings %v, error %v", findings, err)
			}
			if n := len(cloud.asked); cloud.asked[n-1].Header.Get("X-TC-Action") != last {
				t.Error("it made another call after the end")
			}
		})
	}
}
