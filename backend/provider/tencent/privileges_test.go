// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// accountWith is a database account with privileges.
func accountWith(privileges string) provider.NewCredential {
	c := newAccount()
	c.Parameters["privileges"] = privileges
	return c
}

const (
	everyDatabase = "SELECT INSERT UPDATE DELETE CREATE DROP REFERENCES INDEX ALTER CREATE TEMPORARY TABLES LOCK TABLES " +
		"EXECUTE CREATE VIEW SHOW VIEW CREATE ROUTINE ALTER ROUTINE EVENT TRIGGER"
	everyTable  = "SELECT INSERT UPDATE DELETE CREATE DROP REFERENCES INDEX ALTER CREATE VIEW SHOW VIEW TRIGGER"
	everyColumn = "SELECT INSERT UPDATE REFERENCES"
)

func TestPrivilegesHaveThreeForms(t *testing.T) {
	const (
		global   = "map[PrivilegeName:GlobalPrivileges Privileges:[%s]]"
		database = "map[Database:orders PrivilegeName:DatabasePrivileges Privileges:[%s]]"
		table    = "map[Database:orders PrivilegeName:TablePrivileges Privileges:[%s] TableName:items]"
		column   = "map[ColumnName:price Database:orders PrivilegeName:ColumnPrivileges Privileges:[%s] TableName:items]"
	)
	for name, c := range map[string]struct{ text, want string }{
		"everywhere":                           {"*.*:SELECT", fmt.Sprintf(global, "SELECT")},
		"a database":                           {"orders.*:SELECT,INSERT", fmt.Sprintf(database, "SELECT INSERT")},
		"a table":                              {"orders.items:SELECT", fmt.Sprintf(table, "SELECT")},
		"a column":                             {"orders.items.price:UPDATE", fmt.Sprintf(column, "UPDATE")},
		"small letters":                        {"*.*:select", fmt.Sprintf(global, "SELECT")},
		"a privilege of two words":             {"*.*:SHOW DATABASES,SELECT", fmt.Sprintf(global, "SHOW DATABASES SELECT")},
		"two words before the next scope":      {"orders.*:SELECT,LOCK TABLES orders.items:INSERT", fmt.Sprintf(database, "SELECT LOCK TABLES") + " " + fmt.Sprintf(table, "INSERT")},
		"two words as one":                     {"*.*:SHOW_DATABASES", fmt.Sprintf(global, "SHOW DATABASES")},
		"lines":                                {"*.*:SELECT\n\torders.*:INSERT\n", fmt.Sprintf(global, "SELECT") + " " + fmt.Sprintf(database, "INSERT")},
		"a privilege given twice":              {"*.*:SELECT,SELECT", fmt.Sprintf(global, "SELECT")},
		"all of everywhere":                    {"*.*:ALL", fmt.Sprintf(global, everyDatabase+" PROCESS SHOW DATABASES")},
		"all of a database":                    {"orders.*:ALL", fmt.Sprintf(database, everyDatabase)},
		"all of a table":                       {"orders.items:all", fmt.Sprintf(table, everyTable)},
		"all of a column":                      {"orders.items.price:ALL", fmt.Sprintf(column, everyColumn)},
		"an object":                            {`{"orders.*":["SELECT"],"*.*":["PROCESS"]}`, fmt.Sprintf(global, "PROCESS") + " " + fmt.Sprintf(database, "SELECT")},
		"the list of the API":                  {`[{"PrivilegeName":"TablePrivileges","Database":"orders","TableName":"items","Privileges":["SELECT"]}]`, fmt.Sprintf(table, "SELECT")},
		"the list, of a name with a dot":       {`[{"PrivilegeName":"DatabasePrivileges","Database":"a.b","Privileges":["ALL"]}]`, strings.Replace(fmt.Sprintf(database, everyDatabase), "orders", "a.b", 1)},
		"a database with a hyphen in its name": {"my-db.*:SELECT", strings.Replace(fmt.Sprintf(database, "SELECT"), "orders", "my-db", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(sent(t, accountWith(c.text))["PrivilegesList"]); got != "["+c.want+"]" {
				t.Errorf("sent %s,\nwant [%s]", got, c.want)
			}
		})
	}
}

func TestPrivilegesThatMakeNoSenseAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"nothing":                                {" ", "privileges is empty"},
		"an empty list":                          {"[]", "privileges is empty"},
		"no scope":                               {"SELECT", "no scope before it"},
		"half a scope":                           {"orders:SELECT", "database.table.column"},
		"too much of a scope":                    {"a.b.c.d:SELECT", "database.table.column"},
		"any database's table":                   {"*.items:SELECT", "database.table.column"},
		"an empty part":                          {"orders.:SELECT", "database.table.column"},
		"no privileges":                          {"orders.*:", "allowed are SELECT"},
		"an empty list of privileges":            {`{"orders.*":[]}`, "has none; allowed are SELECT"},
		"PROCESS of a database":                  {"orders.*:PROCESS", "EVENT, TRIGGER, and ALL"},
		"EVENT of a table":                       {"orders.items:EVENT", "SHOW VIEW, TRIGGER, and ALL"},
		"DELETE of a column":                     {"orders.items.price:DELETE", "allowed are SELECT, INSERT, UPDATE, REFERENCES, and ALL"},
		"a privilege that nobody knows":          {"*.*:FLY", `"FLY"; allowed are SELECT`},
		"a scope given twice":                    {"*.*:SELECT *.*:INSERT", "*.* comes twice"},
		"a scope given twice in the list":        {`[{"PrivilegeName":"GlobalPrivileges","Privileges":["SELECT"]},{"PrivilegeName":"GlobalPrivileges","Privileges":["INSERT"]}]`, "*.* comes twice"},
		"a level that nobody knows":              {`[{"PrivilegeName":"RowPrivileges","Privileges":["SELECT"]}]`, "GlobalPrivileges, DatabasePrivileges, TablePrivileges, ColumnPrivileges"},
		"a level of another product":             {`[{"PrivilegeName":"SchemaPrivileges","SchemaName":"s","Privileges":["SELECT"]}]`, "allowed are GlobalPrivileges"},
		"a table without its database":           {`[{"PrivilegeName":"TablePrivileges","TableName":"t","Privileges":["SELECT"]}]`, "needs Database"},
		"a column without its name":              {`[{"PrivilegeName":"ColumnPrivileges","Database":"d","TableName":"t","Privileges":["SELECT"]}]`, "needs ColumnName"},
		"everywhere with a database":             {`[{"PrivilegeName":"GlobalPrivileges","Database":"d","Privileges":["SELECT"]}]`, "takes no Database"},
		"a schema in MySQL":                      {`[{"PrivilegeName":"GlobalPrivileges","SchemaName":"s","Privileges":["SELECT"]}]`, "only other products"},
		"a misspelt field":                       {`[{"PrivilegName":"GlobalPrivileges"}]`, "PrivilegName"},
		"broken JSON":                            {`[{"PrivilegeName"`, "not a list such as"},
		"something after the JSON":               {`{"*.*":["SELECT"]} x`, "follows"},
		"an object that isn't one of privileges": {`{"*.*":"SELECT"}`, "not an object from scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			product := kindProduct(t, "Mysql")
			err := product.CheckNew(accountWith(c.text))
			if provider.ClassOf(err) != provider.ClassInvalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
			d := opened(t, &stub{}) // which nothing may reach
			if _, err := d.CreateCredential(t.Context(), "orders-db", accountWith(c.text)); provider.ClassOf(err) != provider.ClassInvalid {
				t.Errorf("sent all the same: %v", err)
			}
		})
	}
}

func TestPrivilegesOfOtherDatabasesAreTheAPIsList(t *testing.T) {
	product := kindProduct(t, "other-database")
	for name, c := range map[string]struct{ text, says string }{
		"a level of PostgreSQL":     {`[{"PrivilegeName":"FunctionPrivileges","FunctionName":"f","Privileges":["EXECUTE"]}]`, ""},
		"values that nobody knows":  {`[{"PrivilegeName":"GlobalPrivileges","Privileges":["READ_ONLY"]}]`, ""},
		"the compact form":          {"*.*:SELECT", "not a list such as"},
		"a level that nobody knows": {`[{"PrivilegeName":"RowPrivileges","Privileges":["SELECT"]}]`, "MatviewPrivileges"},
		"no values":                 {`[{"PrivilegeName":"GlobalPrivileges"}]`, "has none"},
		"an empty list":             {`[]`, "privileges is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			n := accountWith(c.text)
			n.Product, n.Parameters["product_name"] = "other-database", "MongoDB"
			err := product.CheckNew(n)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}
