// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package tencent replicates into Tencent Cloud Secrets Manager (SSM), API
// version 2019-09-23, with Tencent's Go SDK.
//
// What shapes it: SSM has no latest version of a custom secret, readers name a
// version id; so the current value lives under one fixed id that is overwritten
// in place. It gives tags at creation only, and doesn't return them; the Tag
// service of the cloud changes and lists them. No call takes an idempotency token; a repeated write is recognised
// by looking at what is there. Only a disabled secret can be deleted, and a
// restored one is disabled.
//
// Managed credentials are secrets of other types. There SSM_Current does stand for
// the latest value; a flow makes and rotates it, and nothing tells that a rotation
// is under way but the flow. What the API has got since this version of the SDK
// goes out by the SDK's requests with fields added.
package tencent

import (
	"net/http"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Kind is the destination type for Tencent Cloud SSM.
var Kind = provider.Kind{
	Type:   "tencent-ssm",
	Title:  "Tencent Cloud SSM",
	Limits: limits,
	// The id that CreateSecret itself gives to a first version without one.
	CurrentVersionID: "SSM_Current",
	Credentials:      products(),
	Quotas:           quotasOf,
	OperationsOf:     operationsOf,
	Audit:            auditQuery,
	Account:          accountOf,
	Open:             open,
	Prototype:        (*destination)(nil),
}

// limits are from the field descriptions of API version 2019-09-23, and for
// tags from the rules of the Tag service (product 651, document 13354).
var limits = provider.Limits{
	Name:           provider.NameRule{MaxBytes: 128, Punctuation: "_-", FirstAlphanumeric: true},
	VersionIDBytes: 64,

	// CreateSecret documents 32 KB since 2023-12, without saying whether bytes
	// count before or after base64. It is taken as before.
	ValueBytes: 32 << 10,
	EmptyValue: false, // one of SecretString and SecretBinary must be non-empty

	Versions:       10, // PutSecretValue; no eviction is documented
	EvictsVersions: false,

	DescriptionBytes: 2048,
	Tags: provider.TagRule{
		Max:              50,
		KeyChars:         127,
		ValueChars:       255,
		EmptyValue:       false,
		Punctuation:      "+-=._:/@()[],;><",
		ReservedPrefixes: []string{"qcs:", "project"},
	},
	Window: provider.WindowRule{MinDays: 1, MaxDays: 30, DefaultDays: 30, Immediate: true},
}

// destination is one account and region. It is immutable.
type destination struct {
	region    string
	endpoint  provider.Endpoint
	keyID     string
	keySecret sensitive.String
	token     sensitive.String
	gate      provider.Gate // nil for none
	transport http.RoundTripper
	userAgent string
}

func open(c provider.Config) (provider.Destination, error) {
	for _, required := range []struct{ name, value string }{
		{"region", c.Region},
		{"access_key_id", c.AccessKeyID},
		{"access_key_secret", c.AccessKeySecret.Reveal()},
	} {
		if strings.TrimSpace(required.value) == "" {
			return nil, &provider.Error{Class: provider.ClassInvalid, Message: required.name + " is empty; a Tencent Cloud SSM destination needs it"}
		}
	}
	if c.Transport == nil {
		return nil, &provider.Error{Class: provider.ClassInvalid, Message: "the destination has no transport"}
	}
	return &destination{
		region:    c.Region,
		endpoint:  c.Endpoint,
		keyID:     c.AccessKeyID,
		keySecret: c.AccessKeySecret,
		token:     c.SecurityToken,
		gate:      c.Gate,
		transport: c.Transport,
		userAgent: c.UserAgent,
	}, nil
}

var (
	_ provider.Destination    = (*destination)(nil)
	_ provider.Overwriter     = (*destination)(nil)
	_ provider.VersionDeleter = (*destination)(nil)
	_ provider.Switcher       = (*destination)(nil)
	_ provider.Restorer       = (*destination)(nil)
	_ provider.Tagger         = (*destination)(nil)
	_ provider.TagReader      = (*destination)(nil)
	_ provider.Checker        = (*destination)(nil)
	_ provider.Lister         = (*destination)(nil)
)
