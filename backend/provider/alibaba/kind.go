// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package alibaba replicates into the secrets of Alibaba Cloud KMS, API version
// 2016-01-20, with the requests, answers and signature of Alibaba's Go SDK.
//
// What shapes it: callers name versions, and a version is written once; the
// label ACSCurrent says which one readers get, and moves to each new version.
// The service drops the oldest unlabelled version beyond ten. No call takes an
// idempotency token; a repeated write is recognised by looking at what is there.
// Which codes some refusals have isn't documented, so these are looked into as
// well.
//
// The service doesn't decode values: SecretDataType "binary" is a mark only. By
// the convention of this plugin a binary value travels as base64 text with that
// mark, and what is read with it is decoded.
package alibaba

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// currentLabel is the label of the version that readers get who name none.
const currentLabel = "ACSCurrent"

// genericType is the type of secrets whose values callers write.
const genericType = "Generic"

// settingInstance is the setting that only this kind has.
const settingInstance = "kms_instance_id"

// Kind is the destination type for Alibaba Cloud KMS. Its destinations move the
// current label, restore, change tags, list, and check
// themselves and KMS keys. Single versions can't be
// deleted or overwritten there, and secrets can't be disabled.
var Kind = provider.Kind{
	Type:         "alicloud-kms",
	Title:        "Alibaba Cloud KMS",
	Limits:       limits,
	CurrentLabel: currentLabel,
	Settings: []provider.Setting{{
		Name: settingInstance,
		Description: "KMS instance (kst-...) that new secrets are made in; the KMS key must be one of the same instance. " +
			"Empty for the account's default",
	}},
	Credentials: credentialProducts,

	Quotas:       quotasOf,
	OperationsOf: operationsOf,
	Audit:        auditQuery,
	Account:      accountOf,
	Open:         open,
	Prototype:    (*destination)(nil),
}

// maxData is the largest SecretData, in bytes: CreateSecret's page since 2025.
const maxData = 30720

// limits are from the API reference, in its newest edition where they differ:
// CreateSecret for name and value, PutSecretValue for versions, DeleteSecret for
// the window.
var limits = provider.Limits{
	// Editions before 2024 say 64.
	Name:           provider.NameRule{MaxBytes: 192, Punctuation: "_/+=.-@", ReservedPrefixes: []string{"acs/"}},
	VersionIDBytes: 64, // characters; which ones isn't said

	ValueBytes:  maxData,
	BinaryBytes: maxData / 4 * 3, // they are sent as base64
	EmptyValue:  false,           // a guess: SecretData is a required parameter

	Versions:       10,
	EvictsVersions: true, // the oldest one without a label

	DescriptionBytes: 1024, // a guess: no limit is documented
	Tags: provider.TagRule{
		Max:              10, // TagResource's page; newer ones say 20
		KeyChars:         128,
		ValueChars:       128,
		EmptyValue:       false, // a guess
		Punctuation:      `/\_-.+=:@`,
		ReservedPrefixes: []string{"aliyun", "acs:"},
	},
	Window: provider.WindowRule{MinDays: 7, MaxDays: 30, DefaultDays: 30, Immediate: true},
}

// destination is one account and region. It is immutable.
type destination struct {
	region    string
	endpoint  provider.Endpoint // never zero
	instance  string            // KMS instance of new secrets, "" for the account's default
	keyID     string
	keySecret sensitive.String
	token     sensitive.String
	gate      provider.Gate // nil for none
	userAgent string
	web       *http.Client
}

var (
	// regionForm is strict because a region becomes a part of a host name.
	regionForm   = regexp.MustCompile(`^[a-z]{2,16}(-[a-z0-9]{1,16}){1,4}$`)
	instanceForm = regexp.MustCompile(`^kst-[A-Za-z0-9]{1,64}$`)
)

func open(c provider.Config) (provider.Destination, error) {
	for _, required := range []struct{ name, value string }{
		{"region", c.Region},
		{"access_key_id", c.AccessKeyID},
		{"access_key_secret", c.AccessKeySecret.Reveal()},
	} {
		if strings.TrimSpace(required.value) == "" {
			return nil, invalid(required.name + " is empty; an Alibaba Cloud KMS destination needs it")
		}
	}
	instance := c.Settings[settingInstance]
	switch {
	case !regionForm.MatchString(c.Region):
		return nil, invalid("region isn't the id of an Alibaba Cloud region; give one such as cn-hangzhou")
	case instance != "" && !instanceForm.MatchString(instance):
		return nil, invalid(settingInstance + " isn't the id of a KMS instance; give one such as kst-hzz0123456789, or none")
	case c.Transport == nil:
		return nil, invalid("the destination has no transport")
	}
	endpoint := c.Endpoint
	if endpoint.IsZero() {
		endpoint = provider.Endpoint{Scheme: "https", Host: "kms." + c.Region + ".aliyuncs.com"}
	}
	return &destination{
		region: c.Region, endpoint: endpoint, instance: instance,
		keyID: c.AccessKeyID, keySecret: c.AccessKeySecret, token: c.SecurityToken,
		gate: c.Gate, userAgent: c.UserAgent,
		// A redirect isn't followed: the value is in the body.
		web: &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

func invalid(message string) error {
	return &provider.Error{Class: provider.ClassInvalid, Message: message}
}

var (
	_ provider.Destination  = (*destination)(nil)
	_ provider.Restorer     = (*destination)(nil)
	_ provider.CurrentMover = (*destination)(nil)
	_ provider.Tagger       = (*destination)(nil)
	_ provider.TagReader    = (*destination)(nil)
	_ provider.KeyChecker   = (*destination)(nil)
	_ provider.Checker      = (*destination)(nil)
	_ provider.Lister       = (*destination)(nil)
)
