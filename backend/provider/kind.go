// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"net/http"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Kind is one type of destination: all that is known before it is opened.
type Kind struct {
	Type  string // as in paths: "tencent-ssm"
	Title string // as in sentences: "Tencent Cloud SSM"

	Limits   Limits
	Settings []Setting // beyond the common ones

	// CurrentVersionID is the default id that always holds the current value,
	// for services without a label for it; "" for the others.
	CurrentVersionID string
	// CurrentLabel is the service's label for the version that readers get who
	// name none; "" where it has none.
	CurrentLabel string

	// Credentials are the kinds of managed credentials that destinations of the type
	// have. Any makes the opened destination a [CredentialIssuer].
	Credentials []CredentialProduct

	// Quotas are the documented rates of the service's calls for a destination
	// opened with the Config; nil for none.
	Quotas func(Config) []Quota
	// OperationsOf are the service's names of the calls that a change takes; nil for
	// those of the contract. See [Kind.Operations].
	OperationsOf func(Change) []string
	// Audit says how the cloud's own audit is asked for calls about a secret; nil
	// where that isn't known.
	Audit func(AuditScope) AuditQuery
	// Account names what the quotas are counted for besides type, endpoint and
	// region, as far as it can be told without a call: destinations with the same
	// name share them. It is no secret.
	Account func(Config) string

	// Prototype is a destination that was never opened. By its interfaces it tells
	// what those of the type can do; no method of it is called.
	Prototype Destination

	// Open makes a destination without any network traffic. An error is class
	// Invalid and names the setting at fault.
	Open func(Config) (Destination, error)
}

// Setting is a setting of a destination that only one kind has. Its value is
// a string, checked by Open.
type Setting struct {
	Name        string
	Description string
	Required    bool
}

// Config is what a destination is opened with.
type Config struct {
	Region   string
	Endpoint Endpoint // zero for the cloud's public endpoint of the region

	AccessKeyID     string
	AccessKeySecret sensitive.String
	SecurityToken   sensitive.String // unset with permanent credentials

	Settings map[string]string // the kind's own, by name

	// Transport carries every call of the destination and is shared by them, so
	// that connections are reused. It enforces TLS and the CA of the destination.
	Transport http.RoundTripper
	// UserAgent names this plugin and its version to the cloud.
	UserAgent string
	// Gate lets each call pass; nil lets all.
	Gate Gate
}

// AssignsVersionIDs tells whether the service numbers versions by itself. Then
// repeating a put whose answer was lost makes another version, so the caller
// has to look first.
func (k Kind) AssignsVersionIDs() bool { return k.Limits.VersionIDBytes == 0 }
