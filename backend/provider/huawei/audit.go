// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"fmt"
	"net/url"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// auditQuery asks CTS by ListTraces (api-cts, cts_api_0311): names and times, in
// milliseconds, are from there. Under which service it files CSMS isn't documented
// for certain, so it isn't asked for.
func auditQuery(s provider.AuditScope) provider.AuditQuery {
	return provider.AuditQuery{
		Service: "CTS",
		Command: fmt.Sprintf("GET https://cts.%s.myhuaweicloud.com/v3/%s/traces?trace_type=system&from=%d&to=%d&resource_name=%s",
			s.Region, s.Settings[settingProject], s.From.UnixMilli(), s.To.UnixMilli(), url.QueryEscape(s.Name)),
		Note: "of the last seven days; older ones are where a tracker transfers them to. The calls are filed as createSecret, createSecretVersion, updateSecret, updateSecretStage, scheduleDelSecret and the like",
	}
}
