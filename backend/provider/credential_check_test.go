// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

func TestCheckNewCredential(t *testing.T) {
	product := provider.CredentialProduct{
		Name: "Db", Title: "accounts of Db", Names: []string{"Db-2"}, InstanceRequired: true,
		Fields: []provider.CredentialField{
			{Name: "prefix", Type: provider.FieldString, Required: true, Description: "what names begin with"},
			{Name: "hosts", Type: provider.FieldList, Allowed: []string{"a", "b"}},
			{Name: "size", Type: provider.FieldInt},
			{Name: "tls", Type: provider.FieldBool},
		},
		ShortestRotation: 6 * time.Hour, LongestRotation: provider.Days(365), RotationUnit: time.Hour,
	}
	good := func() provider.NewCredential {
		return provider.NewCredential{Product: "Db", InstanceID: "i-1", Parameters: map[string]string{"prefix": "app"}}
	}
	for name, c := range map[string]struct {
		change func(p *provider.CredentialProduct, c *provider.NewCredential)
		want   string // in the error; "" for none
	}{
		"a complete one is taken":               {func(*provider.CredentialProduct, *provider.NewCredential) {}, ""},
		"an instance that is missing is named":  {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.InstanceID = "" }, "instance_id"},
		"a field of another product is refused": {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Parameters["x"] = "1" }, "hosts, prefix, size, tls"},
		"a required field that is missing":      {func(_ *provider.CredentialProduct, c *provider.NewCredential) { delete(c.Parameters, "prefix") }, "needs prefix: what names begin with"},
		"a required field that is empty":        {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Parameters["prefix"] = "" }, "prefix is empty"},
		"a number that is none":                 {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Parameters["size"] = "many" }, "whole number"},
		"a truth value that is none":            {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Parameters["tls"] = "yes" }, "neither true nor false"},
		"a list that is none":                   {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Parameters["hosts"] = "a" }, "list"},
		"an item that isn't allowed":            {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Parameters["hosts"] = `["a","c"]` }, "allowed are a, b"},
		"initial credentials that aren't wanted": {func(_ *provider.CredentialProduct, c *provider.NewCredential) {
			c.Initial = sensitive.NewString("canary")
		}, "takes no initial_credentials"},
		"initial credentials that are missing": {func(p *provider.CredentialProduct, _ *provider.NewCredential) { p.InitialValue = true }, "initial_credentials"},
		"a schedule without an interval":       {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Rotation.Enabled = true }, "from 6h to 365 days"},
		"a schedule that is too short":         {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Rotation.Interval = 90 * time.Second }, "every 1m30s"},
		"a schedule that isn't a multiple": {func(_ *provider.CredentialProduct, c *provider.NewCredential) {
			c.Rotation.Interval = 390 * time.Minute
		}, "6h30m isn't a multiple of 1h"},
		"a begin that can't be chosen": {func(_ *provider.CredentialProduct, c *provider.NewCredential) { c.Rotation.Begin = time.Unix(1, 0) }, "rotation_begin_time"},
		"a product without schedules": {func(p *provider.CredentialProduct, c *provider.NewCredential) {
			p.ShortestRotation, p.LongestRotation, c.Rotation.Interval = 0, 0, time.Hour
		}, "no rotation by schedule"},
	} {
		t.Run(name, func(t *testing.T) {
			p, n := product, good()
			c.change(&p, &n)
			err := p.CheckNew(n)
			switch {
			case c.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || !strings.Contains(err.Error(), c.want) || provider.ClassOf(err) != provider.ClassInvalid:
				t.Errorf("error %v of class %s, want one with %q", err, provider.ClassOf(err), c.want)
			case strings.Contains(err.Error(), "canary"):
				t.Errorf("the error quotes a secret: %v", err)
			}
		})
	}
	kind := provider.Kind{Credentials: []provider.CredentialProduct{product}}
	if p, found := kind.CredentialProduct("db-2"); !found || p.Spelling("db-2") != "Db-2" || p.Spelling("DB") != "Db" {
		t.Errorf("another spelling finds %v, %s", found, p.Spelling("db-2"))
	}
	if _, found := kind.CredentialProduct("other"); found {
		t.Error("a product that there isn't is found")
	}
}
