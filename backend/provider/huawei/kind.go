// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package huawei replicates into Huawei Cloud's Cloud Secret Management Service
// (CSMS), API v1, with Huawei's Go SDK.
//
// What shapes it: the service numbers the versions, no call takes an
// idempotency token, and no version can be deleted. Its label SYSCURRENT says
// which version readers get. Secrets are addressed by name, their tags by id.
// Several refusals have no documented code; then the remote is looked at.
package huawei

import (
	"cmp"
	"net/http"
	"regexp"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Kind is the destination type for Huawei Cloud CSMS.
var Kind = provider.Kind{
	Type:   "huawei-csms",
	Title:  "Huawei Cloud CSMS",
	Limits: limits,
	Settings: []provider.Setting{
		{Name: settingProject, Required: true, Description: "Id of the project that holds the secrets, 32 hexadecimal digits; it must belong to the region."},
		{Name: settingEnterprise, Description: "Id of the enterprise project that new secrets belong to. Default: the service's, \"0\"."},
	},
	CurrentLabel: stageCurrent,
	Credentials:  products,
	Quotas:       quotasOf,
	OperationsOf: operationsOf,
	Audit:        auditQuery,
	Account:      accountOf,
	Open:         open,
	Prototype:    (*destination)(nil),
}

// Settings of this kind.
const (
	settingProject    = "project_id"
	settingEnterprise = "enterprise_project_id"
)

// stageCurrent is at the version that readers get who ask for the latest one.
const stageCurrent = "SYSCURRENT"

// maxEncoded is the limit of secret_string, and of secret_binary in base64
// (CreateSecret, 2025-10-16). The user guide says 64 KB; the API's is taken.
const maxEncoded = 32 << 10

// limits are from the pages of API v1 (api-dew: CreateSecret and
// CreateSecretVersion of 2025-10-16, CreateSecretStage of 2026-05-20) and the
// field descriptions of SDK v0.1.207.
var limits = provider.Limits{
	// Older pages allow a dot too.
	Name: provider.NameRule{MaxBytes: 64, Punctuation: "_-"},

	ValueBytes:  maxEncoded,
	BinaryBytes: maxEncoded / 4 * 3,
	EmptyValue:  false, // exactly one of the two fields has to be given

	// That the service drops the oldest version without a stage is a guess: no
	// call deletes a version, and no code for a refusal is documented. If it
	// refuses, PutVersion says so.
	Versions:       20,
	EvictsVersions: true,

	DescriptionBytes: 2048, // of requests; the schema of answers says 255
	Tags: provider.TagRule{
		Max:              20,
		KeyChars:         128,
		ValueChars:       255,
		EmptyValue:       true,
		Punctuation:      "_.:=+-@",
		ValuePunctuation: "/",
		ReservedPrefixes: []string{"_sys_"},
	},
	Window: provider.WindowRule{MinDays: 7, MaxDays: 30, DefaultDays: 30, Immediate: true},
}

// destination is one project. It is immutable.
type destination struct {
	endpoint   string // a URL without path
	project    string
	enterprise string // "" for the default
	keyID      string
	keySecret  sensitive.String
	token      sensitive.String
	gate       provider.Gate // nil for none
	transport  http.RoundTripper
	userAgent  string
}

var (
	// regionForm lets a region become a part of a host name and nothing else.
	regionForm     = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+){1,4}$`)
	projectForm    = regexp.MustCompile(`^[0-9a-zA-Z]{32,64}$`)
	enterpriseForm = regexp.MustCompile(`^[0-9a-zA-Z-]{0,36}$`)
)

func open(c provider.Config) (provider.Destination, error) {
	project, enterprise := c.Settings[settingProject], c.Settings[settingEnterprise]
	for _, required := range []struct{ name, value string }{
		{"region", c.Region},
		{"access_key_id", c.AccessKeyID},
		{"access_key_secret", c.AccessKeySecret.Reveal()},
		{settingProject, project},
	} {
		if strings.TrimSpace(required.value) == "" {
			return nil, invalid(required.name + " is empty; a Huawei Cloud CSMS destination needs it")
		}
	}
	switch {
	case !regionForm.MatchString(c.Region):
		return nil, invalid("region isn't the id of a region, such as cn-north-4")
	case !projectForm.MatchString(project):
		return nil, invalid(settingProject + " isn't the id of a project, which has 32 hexadecimal digits; its name won't do")
	case !enterpriseForm.MatchString(enterprise):
		return nil, invalid(settingEnterprise + " isn't the id of an enterprise project")
	case c.Transport == nil:
		return nil, invalid("the destination has no transport")
	}
	return &destination{
		// CSMS is served by the host of KMS, in every region by this pattern.
		endpoint:   cmp.Or(c.Endpoint.String(), "https://kms."+c.Region+".myhuaweicloud.com"),
		project:    project,
		enterprise: enterprise,
		keyID:      c.AccessKeyID,
		keySecret:  c.AccessKeySecret,
		token:      c.SecurityToken,
		gate:       c.Gate,
		transport:  c.Transport,
		// Without one the SDK makes an id for this machine, keeps it in the home
		// directory, and sends it.
		userAgent: cmp.Or(c.UserAgent, "vault-plugin-secrets-cloudsync"),
	}, nil
}

func invalid(message string) error {
	return &provider.Error{Class: provider.ClassInvalid, Message: message}
}

var (
	_ provider.Destination  = (*destination)(nil)
	_ provider.CurrentMover = (*destination)(nil)
	_ provider.Restorer     = (*destination)(nil)
	_ provider.Tagger       = (*destination)(nil)
	_ provider.TagReader    = (*destination)(nil)
	_ provider.KeyChanger   = (*destination)(nil)
	_ provider.Checker      = (*destination)(nil)
	_ provider.Lister       = (*destination)(nil)

	_ provider.CredentialIssuer = (*destination)(nil)
)
