// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// absentAnswer is what a check meets where all is well.
var absentAnswer = apiError(404, "CSMS.0005", "The resource does not exist.")

// dated gives an answer of a service whose clock is off by so much.
func dated(r reply, off time.Duration) reply {
	r.header = http.Header{"Date": {time.Now().Add(off).UTC().Format(http.TimeFormat)}}
	return r
}

// Each case changes one answer of a service where all is well, and names the
// finding that isn't.
func TestCheck(t *testing.T) {
	all := []string{"ShowSecret", "ListSecrets"}
	alone := all[:1]
	badKey := apiError(401, "APIGW.0301", "Incorrect IAM authentication information: signature expired")
	show := func(r reply) map[string]reply { return map[string]reply{"ShowSecret": r} }

	for name, c := range map[string]struct {
		answers map[string]reply
		wrong   []string // the checks that fail, in order
		action  string   // what the first one's action speaks of
		message string
		made    []string
	}{
		"all is well":                       {nil, nil, "", "", all},
		"the secret is there":               {show(good["ShowSecret"]), nil, "", "", all},
		"the absence comes with 400":        {show(apiError(400, "CSMS.0106", "absent")), nil, "", "", all},
		"the clocks agree":                  {show(dated(absentAnswer, time.Second)), nil, "", "", all},
		"the clock is a little off":         {show(dated(absentAnswer, 10*time.Minute)), nil, "", "", all},
		"the service throttles":             {show(apiError(429, "APIGW.0308", "slow down")), []string{"permission csms:secret:get"}, "nothing", "", all},
		"the key is wrong":                  {show(badKey), []string{"credentials"}, "access_key_id", "expired", alone},
		"the clock is behind":               {show(dated(badKey, 20*time.Minute)), []string{"clock", "credentials"}, "NTP", "20m0s behind", alone},
		"the clock is ahead":                {show(dated(badKey, -time.Hour)), []string{"clock", "credentials"}, "NTP", "1h0m0s ahead", alone},
		"the token is expired":              {show(apiError(401, "APIGW.0307", "x")), []string{"credentials"}, "security_token", "", alone},
		"Keystone refuses":                  {show(keystone(401)), []string{"credentials"}, "credentials", "401", alone},
		"the project is another's":          {show(apiError(403, "KMS.0321", "x")), []string{"project_id"}, "project_id", "", alone},
		"the project is suspended":          {show(apiError(403, "APIGW.0310", "x")), []string{"project_id"}, "project_id", "", alone},
		"showing is denied":                 {show(apiError(403, "CSMS.0302", "x")), []string{"permission csms:secret:get"}, "csms:secret:get", "", all},
		"the address isn't allowed":         {show(apiError(403, "APIGW.0402", "x")), []string{"permission csms:secret:get"}, "IP address", "", all},
		"listing is denied":                 {map[string]reply{"ListSecrets": apiError(403, "CSMS.0302", "x")}, []string{"permission csms:secret:list"}, "import", "", all},
		"the endpoint isn't this API":       {show(reply{status: 404, body: "<html>"}), []string{"endpoint"}, "endpoint", "404", alone},
		"the endpoint is another service":   {show(apiError(404, "APIGW.0101", "x")), []string{"endpoint"}, "endpoint", "", alone},
		"the endpoint answers with welcome": {show(reply{body: "<html>"}), []string{"endpoint"}, "endpoint", "200", alone},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &stub{answers: c.answers}
			if _, ok := c.answers["ShowSecret"]; !ok {
				cloud.answers = map[string]reply{"ShowSecret": absentAnswer, "ListSecrets": c.answers["ListSecrets"]}
				if c.answers == nil {
					delete(cloud.answers, "ListSecrets")
				}
			}
			findings, err := opened(t, cloud).Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wrong := slices.DeleteFunc(slices.Clone(findings), func(f provider.Finding) bool { return f.OK })
			var checks []string
			for _, f := range wrong {
				checks = append(checks, f.Check)
				if f.Action == "" || f.Message == "" {
					t.Errorf("finding %+v", f)
				}
			}
			if !slices.Equal(checks, c.wrong) {
				t.Errorf("it finds fault with %+v", wrong)
			} else if len(wrong) > 0 && (!strings.Contains(wrong[0].Action, c.action) || !strings.Contains(wrong[0].Message, c.message)) {
				t.Errorf("finding %+v", wrong[0])
			}
			if !slices.Equal(cloud.made(), c.made) {
				t.Errorf("calls %v, want %v", cloud.made(), c.made)
			}
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	for i, last := range []string{"ShowSecret", "ListSecrets"} {
		t.Run("while "+last+" is under way", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cloud := &stub{answers: map[string]reply{"ShowSecret": absentAnswer}}
			d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				if operationOf(r) == last {
					cancel()
				}
				return cloud.RoundTrip(r)
			}))
			findings, err := d.Check(ctx)
			if !errors.Is(err, context.Canceled) || findings != nil {
				t.Errorf("findings %v, error %v", findings, err)
			}
			if len(cloud.asked) != i+1 {
				t.Error("it made another call after the end")
			}
		})
	}
}

func TestOpening(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *provider.Config)
		says   string // "" for success
	}{
		"all is given":                  {func(*provider.Config) {}, ""},
		"no enterprise project":         {func(c *provider.Config) { delete(c.Settings, "enterprise_project_id") }, ""},
		"a region of another kind":      {func(c *provider.Config) { c.Region = "my-kualalumpur-1" }, ""},
		"no region":                     {func(c *provider.Config) { c.Region = " " }, "region is empty"},
		"a region that is a host":       {func(c *provider.Config) { c.Region = "x.evil.example/" }, "region isn't"},
		"a region with a line break":    {func(c *provider.Config) { c.Region = "cn-north-4\n" }, "region isn't"},
		"a region in capitals":          {func(c *provider.Config) { c.Region = "CN-North-4" }, "region isn't"},
		"no project":                    {func(c *provider.Config) { delete(c.Settings, "project_id") }, "project_id is empty"},
		"no settings":                   {func(c *provider.Config) { c.Settings = nil }, "project_id is empty"},
		"a project's name":              {func(c *provider.Config) { c.Settings["project_id"] = "cn-north-4" }, "project_id isn't"},
		"a project that is a path":      {func(c *provider.Config) { c.Settings["project_id"] = strings.Repeat("../", 12) }, "project_id isn't"},
		"an odd enterprise project":     {func(c *provider.Config) { c.Settings["enterprise_project_id"] = "a b" }, "enterprise_project_id isn't"},
		"no transport":                  {func(c *provider.Config) { c.Transport = nil }, "no transport"},
		"an access key of spaces":       {func(c *provider.Config) { c.AccessKeyID = "  " }, "access_key_id is empty"},
		"a secret that is set but \"\"": {func(c *provider.Config) { c.AccessKeySecret = sensitive.NewString("") }, "access_key_secret is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := exampleConfig(&stub{})
			c.change(&settings)
			_, err := huawei.Kind.Open(settings)
			if c.says == "" && err != nil || c.says != "" && (provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("it makes no call", func(t *testing.T) {
		cloud := &stub{}
		opened(t, cloud)
		if len(cloud.asked) != 0 {
			t.Errorf("calls: %v", cloud.made())
		}
	})
	t.Run("without a user agent the SDK's own stays out", func(t *testing.T) {
		cloud := &stub{}
		settings := exampleConfig(cloud)
		settings.UserAgent = ""
		if _, err := openedWith(t, settings).Describe(t.Context(), "app-db"); err != nil {
			t.Fatal(err)
		}
		if sent := cloud.asked[0].Header.Get("User-Agent"); sent != "huaweicloud-usdk-go/3.0; vault-plugin-secrets-cloudsync" {
			t.Errorf("the user agent is %q", sent)
		}
	})
	t.Run("printing a destination shows no credentials", func(t *testing.T) {
		d := opened(t, &stub{})
		text := fmt.Sprintf("%v %+v %#v %s", d.Destination, d.Destination, d.Destination, d.Destination)
		if strings.Contains(text, exampleSecret) || strings.Contains(text, exampleToken) {
			t.Error("it does")
		}
	})
}
