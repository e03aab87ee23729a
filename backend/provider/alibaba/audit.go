// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"fmt"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// auditQuery asks ActionTrail by LookupEvents, version 2020-07-06. A request id
// isn't among the attributes that it can be asked for; each event has one.
func auditQuery(s provider.AuditScope) provider.AuditQuery {
	return provider.AuditQuery{
		Service: "ActionTrail",
		Command: fmt.Sprintf("aliyun actiontrail LookupEvents --region %s --StartTime %s --EndTime %s --LookupAttribute.1.Key ResourceName --LookupAttribute.1.Value %s",
			s.Region, s.From.UTC().Format(time.RFC3339), s.To.UTC().Format(time.RFC3339), s.Name),
		Note: "each event has its requestId; if the name finds nothing, ask with Key EventName and the operation as Value",
	}
}
