// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"fmt"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// auditQuery asks CloudAudit by DescribeEvents, version 2019-03-19 (product 1021,
// document 42703): the attributes and the bounds are from there, and so are the
// regions that serve it, of which one is asked for all.
func auditQuery(s provider.AuditScope) provider.AuditQuery {
	query := func(attribute, value string) string {
		return fmt.Sprintf("tccli cloudaudit DescribeEvents --region ap-guangzhou --version 2019-03-19 --StartTime %d --EndTime %d --MaxResults 50 "+
			`--LookupAttributes '[{"AttributeKey":"%s","AttributeValue":"%s"}]'`,
			s.From.Unix(), s.To.Unix(), attribute, value)
	}
	q := provider.AuditQuery{
		Service: "CloudAudit", Command: query("ResourceName", s.Name),
		Note: "at most 30 days at a time, none older than 90 days; if the name finds nothing, ask by request id",
	}
	if s.RequestID != "" {
		q.ByRequest = query("RequestId", s.RequestID)
	}
	return q
}
