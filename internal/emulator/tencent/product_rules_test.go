// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"strings"
	"testing"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestCreateProductSecretEnforcesItsRules(t *testing.T) {
	t.Parallel()
	unit := func(name, database, table, column string, values ...string) []*ssm.ProductPrivilegeUnit {
		u := &ssm.ProductPrivilegeUnit{PrivilegeName: &name}
		for _, v := range values {
			u.Privileges = append(u.Privileges, &v)
		}
		for i, part := range []string{database, table, column} {
			if part != "" {
				*[]**string{&u.Database, &u.TableName, &u.ColumnName}[i] = &part
			}
		}
		return []*ssm.ProductPrivilegeUnit{u}
	}
	type request = ssm.CreateProductSecretRequest
	tests := []struct {
		name   string
		change func(*request)
		want   string
	}{
		{"a legal request succeeds", func(*request) {}, ""},
		{"a prefix of 8 succeeds", func(r *request) { r.UserNamePrefix = p("a2345_78") }, ""},
		{"a prefix of 9 is too long", func(r *request) { r.UserNamePrefix = p("a23456789") }, invalidValue},
		{"a prefix begins with a letter", func(r *request) { r.UserNamePrefix = p("_a") }, invalidValue},
		{"a product must be supported", func(r *request) { r.ProductName = p("Oracle") }, invalidValue},
		{"an instance can't be empty", func(r *request) { r.InstanceID = p("") }, invalidValue},
		{"an instance must be there", func(r *request) { r.InstanceID = nil }, "MissingParameter"},
		{"domains must be there", func(r *request) { r.Domains = nil }, "MissingParameter"},
		{"parts of an address can be any", func(r *request) { r.Domains = []*string{p("192.168.0.%"), p("10.%"), p("10.0.0.1")} }, ""},
		{"a domain is no name", func(r *request) { r.Domains = []*string{p("db.example")} }, invalidValue},
		{"privileges must be there", func(r *request) { r.PrivilegesList = nil }, "MissingParameter"},
		{"a privilege must have a level", func(r *request) { r.PrivilegesList = []*ssm.ProductPrivilegeUnit{{}} }, "MissingParameter"},
		{"a level must be known", func(r *request) { r.PrivilegesList = unit("RowPrivileges", "", "", "") }, invalidValue},
		{"PROCESS is global", func(r *request) { r.PrivilegesList = unit("GlobalPrivileges", "", "", "", "PROCESS", "SHOW DATABASES") }, ""},
		{"PROCESS is of no database", func(r *request) { r.PrivilegesList = unit("DatabasePrivileges", "d", "", "", "PROCESS") }, invalidValue},
		{"EVENT is of no table", func(r *request) { r.PrivilegesList = unit("TablePrivileges", "d", "t", "", "EVENT") }, invalidValue},
		{"DELETE is of no column", func(r *request) { r.PrivilegesList = unit("ColumnPrivileges", "d", "t", "c", "DELETE") }, invalidValue},
		{"columns have four privileges", func(r *request) {
			r.PrivilegesList = unit("ColumnPrivileges", "d", "t", "c", "SELECT", "INSERT", "UPDATE", "REFERENCES")
		}, ""},
		{"a table needs its database", func(r *request) { r.PrivilegesList = unit("TablePrivileges", "", "t", "", "SELECT") }, invalidValue},
		{"a column needs its name", func(r *request) { r.PrivilegesList = unit("ColumnPrivileges", "d", "t", "", "SELECT") }, invalidValue},
		{"a database has no table", func(r *request) { r.PrivilegesList = unit("DatabasePrivileges", "d", "t", "", "SELECT") }, invalidValue},
		{"a schedule needs its begin", func(r *request) { r.RotationBeginTime = nil }, "MissingParameter"},
		{"without a schedule it doesn't", func(r *request) { r.RotationBeginTime, r.EnableRotation = nil, nil }, ""},
		{"a begin has one form", func(r *request) { r.RotationBeginTime = p("2026-01-02T15:04:05Z") }, invalidValue},
		{"a frequency of 365 days succeeds", func(r *request) { r.RotationFrequency = p(int64(365)) }, ""},
		{"a frequency of 366 days is too long", func(r *request) { r.RotationFrequency = p(int64(366)) }, invalidValue},
		{"a frequency of 29 days is too short", func(r *request) { r.RotationFrequency = p(int64(29)) }, invalidValue},
		{"a name has no slash", func(r *request) { r.SecretName = p("a/b") }, invalidValue},
		{"a description has its limit", func(r *request) { r.Description = p(strings.Repeat("x", 2049)) }, invalidValue},
		{"a key must be usable", func(r *request) { r.KmsKeyId = p("unknown") }, "FailedOperation.AccessKmsError"},
		{"a tag key comes once", func(r *request) {
			r.Tags = []*ssm.Tag{{TagKey: p("k"), TagValue: p("1")}, {TagKey: p("k"), TagValue: p("2")}}
		}, "InvalidParameterValue.TagKeysDuplicated"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tencent.Options{})
			r := productRequest("db")
			test.change(r)
			_, err := c.CreateProductSecret(r)
			wantCode(t, err, test.want)
			if left := len(c.server.List("", region)); (left == 1) != (test.want == "") {
				t.Errorf("%d secrets are there", left)
			}
		})
	}
}
