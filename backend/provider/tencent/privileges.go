// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// privilegeUnit is one element of PrivilegesList, with the fields for PostgreSQL
// that the API got in 2026-01, later than this SDK version.
type privilegeUnit struct {
	PrivilegeName string
	Privileges    []string
	Database      string
	TableName     string
	ColumnName    string
	SchemaName    string
	SequenceName  string
	ProcedureName string
	TypeName      string
	FunctionName  string
	ViewName      string
	MatviewName   string
}

// wireUnit is such an element as it is sent: the SDK's JSON leaves out what is
// nil, and not what is empty.
type wireUnit struct {
	PrivilegeName string
	Privileges    []string
	Database      *string `json:",omitempty"`
	TableName     *string `json:",omitempty"`
	ColumnName    *string `json:",omitempty"`
	SchemaName    *string `json:",omitempty"`
	SequenceName  *string `json:",omitempty"`
	ProcedureName *string `json:",omitempty"`
	TypeName      *string `json:",omitempty"`
	FunctionName  *string `json:",omitempty"`
	ViewName      *string `json:",omitempty"`
	MatviewName   *string `json:",omitempty"`
}

func (u *privilegeUnit) wire() wireUnit {
	return wireUnit{
		PrivilegeName: u.PrivilegeName, Privileges: u.Privileges,
		Database: optional(u.Database), TableName: optional(u.TableName), ColumnName: optional(u.ColumnName),
		SchemaName: optional(u.SchemaName), SequenceName: optional(u.SequenceName), ProcedureName: optional(u.ProcedureName),
		TypeName: optional(u.TypeName), FunctionName: optional(u.FunctionName), ViewName: optional(u.ViewName), MatviewName: optional(u.MatviewName),
	}
}

// level is a value of PrivilegeName and what belongs to it.
type level struct {
	name    string
	allowed []string // values of Privileges; nil where they aren't documented
}

// mysqlLevels are by how many names a unit has: database, table, column. The
// values are from the field description of ProductPrivilegeUnit.
var mysqlLevels = []level{
	{"GlobalPrivileges", append(slices.Clone(databasePrivileges), "PROCESS", "SHOW DATABASES")},
	{"DatabasePrivileges", databasePrivileges},
	{"TablePrivileges", []string{
		"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW", "SHOW VIEW", "TRIGGER",
	}},
	{"ColumnPrivileges", []string{"SELECT", "INSERT", "UPDATE", "REFERENCES"}},
}

var databasePrivileges = []string{
	"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE TEMPORARY TABLES", "LOCK TABLES",
	"EXECUTE", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER",
}

// otherLevels are the values of PrivilegeName for other products.
var otherLevels = []string{
	"SchemaPrivileges", "SequencePrivileges", "ProcedurePrivileges", "TypePrivileges", "FunctionPrivileges", "ViewPrivileges", "MatviewPrivileges",
}

// allPrivileges stands for every value that its level allows.
const allPrivileges = "ALL"

// parsePrivileges reads the field privileges for MySQL. It has one of three
// forms: the API's list; an object from a scope such as "orders.*" to a list of
// privileges; or the compact form, scopes with their privileges:
//
//	*.*:SELECT,INSERT orders.*:ALL orders.t1:SELECT orders.t1.c1:SELECT
func parsePrivileges(text string) ([]privilegeUnit, error) {
	units, err := readPrivileges(text)
	if err != nil {
		return nil, err
	}
	if len(units) == 0 {
		return nil, errors.New("privileges is empty: the account would be allowed nothing")
	}
	seen := map[string]bool{}
	for i := range units {
		if err := units[i].complete(); err != nil {
			return nil, err
		}
		where := units[i].scope()
		if seen[where] {
			return nil, fmt.Errorf("privileges: %s comes twice; give its privileges in one place", where)
		}
		seen[where] = true
	}
	return units, nil
}

func readPrivileges(text string) ([]privilegeUnit, error) {
	switch text = strings.TrimSpace(text); {
	case strings.HasPrefix(text, "["):
		return readUnits(text)
	case strings.HasPrefix(text, "{"):
		var scopes map[string][]string
		if err := decodeWhole(text, &scopes); err != nil {
			return nil, fmt.Errorf(`privileges: not an object from scopes to lists of privileges, such as {"orders.*": ["SELECT"]}: %w`, err)
		}
		var units []privilegeUnit
		for _, scope := range slices.Sorted(maps.Keys(scopes)) {
			unit, err := unitOf(scope, scopes[scope])
			if err != nil {
				return nil, err
			}
			units = append(units, unit)
		}
		return units, nil
	}
	return readCompact(text)
}

// readUnits reads the API's own form.
func readUnits(text string) ([]privilegeUnit, error) {
	var units []privilegeUnit
	if err := decodeWhole(text, &units); err != nil {
		const example = `[{"PrivilegeName": "DatabasePrivileges", "Database": "orders", "Privileges": ["SELECT"]}]`
		return nil, fmt.Errorf("privileges: not a list such as %s: %w", example, err)
	}
	return units, nil
}

func decodeWhole(text string, into any) error {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// readCompact reads scopes with privileges. A privilege may have spaces, or _ in
// their place, so an item goes on until the next one's colon.
func readCompact(text string) ([]privilegeUnit, error) {
	var items []string
	for _, word := range strings.Fields(text) {
		if strings.Contains(word, ":") {
			items = append(items, word)
			continue
		}
		if len(items) == 0 {
			return nil, fmt.Errorf("privileges: %q has no scope before it; write for example orders.*:SELECT,INSERT", word)
		}
		items[len(items)-1] += " " + word
	}
	var units []privilegeUnit
	for _, item := range items {
		scope, list, _ := strings.Cut(item, ":")
		unit, err := unitOf(scope, strings.Split(list, ","))
		if err != nil {
			return nil, err
		}
		units = append(units, unit)
	}
	return units, nil
}

// unitOf makes a unit of a scope: *.*, database.*, database.table or
// database.table.column.
func unitOf(scope string, privileges []string) (privilegeUnit, error) {
	unit := privilegeUnit{Privileges: slices.Clone(privileges)}
	parts := strings.Split(scope, ".")
	switch {
	case scope == "*.*":
		parts = nil
	case len(parts) == 2 && parts[1] == "*":
		parts = parts[:1]
	case len(parts) < 2 || len(parts) > 3:
		parts = []string{""}
	}
	for _, part := range parts {
		if part == "" || strings.Contains(part, "*") {
			return unit, fmt.Errorf("privileges: scope %q; possible are *.*, database.*, database.table and database.table.column. "+
				"Names with dots or colons need the form of a list", scope)
		}
	}
	for i, part := range parts {
		*[]*string{&unit.Database, &unit.TableName, &unit.ColumnName}[i] = part
	}
	unit.PrivilegeName = mysqlLevels[len(parts)].name
	return unit, nil
}

// complete checks the unit against what MySQL has, and spells its privileges as
// the API does.
func (u *privilegeUnit) complete() error {
	depth := slices.IndexFunc(mysqlLevels, func(l level) bool { return l.name == u.PrivilegeName })
	if depth < 0 {
		return fmt.Errorf("privileges: PrivilegeName %q; allowed are %s", u.PrivilegeName, strings.Join(levelNames(), ", "))
	}
	for i, part := range []struct{ field, value string }{{"Database", u.Database}, {"TableName", u.TableName}, {"ColumnName", u.ColumnName}} {
		switch {
		case part.value == "" && i < depth:
			return fmt.Errorf("privileges: %s needs %s", u.PrivilegeName, part.field)
		case part.value != "" && i >= depth:
			return fmt.Errorf("privileges: %s takes no %s", u.PrivilegeName, part.field)
		}
	}
	if u.SchemaName+u.SequenceName+u.ProcedureName+u.TypeName+u.FunctionName+u.ViewName+u.MatviewName != "" {
		return fmt.Errorf("privileges: %s has a name that only other products have", u.scope())
	}
	allowed := mysqlLevels[depth].allowed
	var spelled []string
	for _, p := range u.Privileges {
		p = strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(p), "_", " "))
		switch {
		case p == allPrivileges:
			spelled = append(spelled, allowed...)
		case !slices.Contains(allowed, p):
			return fmt.Errorf("privileges: %s can't have %q; allowed are %s, and ALL for all of these", u.scope(), p, strings.Join(allowed, ", "))
		default:
			spelled = append(spelled, p)
		}
	}
	u.Privileges = nil
	for _, p := range spelled {
		if !slices.Contains(u.Privileges, p) {
			u.Privileges = append(u.Privileges, p)
		}
	}
	if len(u.Privileges) == 0 {
		return fmt.Errorf("privileges: %s has none; allowed are %s, and ALL for all of these", u.scope(), strings.Join(allowed, ", "))
	}
	return nil
}

func levelNames() []string {
	names := make([]string, 0, len(mysqlLevels)+len(otherLevels))
	for _, l := range mysqlLevels {
		names = append(names, l.name)
	}
	return names
}

// scope is the unit's place as the compact form has it.
func (u *privilegeUnit) scope() string {
	switch u.PrivilegeName {
	case mysqlLevels[0].name:
		return "*.*"
	case mysqlLevels[1].name:
		return u.Database + ".*"
	case mysqlLevels[2].name:
		return u.Database + "." + u.TableName
	}
	return u.Database + "." + u.TableName + "." + u.ColumnName
}

// parseOtherPrivileges reads the API's list for a product whose privileges aren't
// documented well enough to be checked. Only the levels are.
func parseOtherPrivileges(text string) ([]privilegeUnit, error) {
	units, err := readUnits(text)
	if err != nil {
		return nil, err
	}
	known := append(levelNames(), otherLevels...)
	for _, u := range units {
		switch {
		case !slices.Contains(known, u.PrivilegeName):
			return nil, fmt.Errorf("privileges: PrivilegeName %q; allowed are %s", u.PrivilegeName, strings.Join(known, ", "))
		case len(u.Privileges) == 0:
			return nil, fmt.Errorf("privileges: %s has none", u.PrivilegeName)
		}
	}
	if len(units) == 0 {
		return nil, errors.New("privileges is empty: the account would be allowed nothing")
	}
	return units, nil
}
