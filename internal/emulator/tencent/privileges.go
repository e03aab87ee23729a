// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// privilegeUnit is one element of PrivilegesList.
type privilegeUnit struct {
	PrivilegeName string `need:"true"`
	Privileges    []string
	Database      string
	TableName     string
	ColumnName    string

	// Of PostgreSQL, which this emulator doesn't offer.
	SchemaName, SequenceName, ProcedureName, TypeName, FunctionName, ViewName, MatviewName string
}

// privileges are the values that the API reference allows for MySQL, by
// PrivilegeName.
var privileges = map[string][]string{
	"GlobalPrivileges":   slices.Concat(databasePrivileges, []string{"PROCESS", "SHOW DATABASES"}),
	"DatabasePrivileges": databasePrivileges,
	"TablePrivileges": {
		"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW", "SHOW VIEW", "TRIGGER",
	},
	"ColumnPrivileges": {"SELECT", "INSERT", "UPDATE", "REFERENCES"},
}

var databasePrivileges = []string{
	"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES", "LOCK TABLES",
	"EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER",
}

// check tells whether the unit is one of MySQL. That what doesn't belong to a
// unit is refused isn't documented.
func (u privilegeUnit) check() *emulator.Failure {
	allowed, known := privileges[u.PrivilegeName]
	if !known {
		return fail(codeInvalidValue, "PrivilegeName is not one of this product.")
	}
	for _, p := range u.Privileges {
		if !slices.Contains(allowed, p) {
			return fail(codeInvalidValue, "A value of Privileges is not one of "+u.PrivilegeName+".")
		}
	}
	depth := slices.Index([]string{"GlobalPrivileges", "DatabasePrivileges", "TablePrivileges", "ColumnPrivileges"}, u.PrivilegeName)
	for i, name := range []string{u.Database, u.TableName, u.ColumnName} {
		if (name != "") != (i < depth) {
			return fail(codeInvalidValue, "Database, TableName and ColumnName do not fit "+u.PrivilegeName+".")
		}
	}
	if u.SchemaName+u.SequenceName+u.ProcedureName+u.TypeName+u.FunctionName+u.ViewName+u.MatviewName != "" {
		return fail(codeInvalidValue, "A name in PrivilegesList belongs to another product.")
	}
	return nil
}
