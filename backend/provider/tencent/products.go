// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Names of products here that aren't the service's own.
const (
	productOther  = "other-database"
	productSSHKey = "ssh-key"
)

// Names of fields.
const (
	fieldPrefix        = "user_name_prefix"
	fieldDomains       = "domains"
	fieldPrivileges    = "privileges"
	fieldProductName   = "product_name"
	fieldAccountRemark = "account_remark"
	fieldAccountType   = "account_type"
	fieldHSMCluster    = "kms_hsm_cluster_id"
	fieldEncryptType   = "encrypt_type"
	fieldProjectID     = "project_id"
	fieldSSHKeyName    = "ssh_key_name"
)

// The facts about products are from the field descriptions of CreateProductSecret
// and CreateSSHKeyPairSecret. The service has secrets of two more types: of API
// keys, which are for accounts on a list of its own, and of Redis. How a value of
// these is read and changed isn't documented, so they aren't offered.
var (
	commonFields = []provider.CredentialField{
		{Name: fieldHSMCluster, Type: provider.FieldString, Description: "Dedicated KMS cluster, used where no kms_key_id is given."},
		{Name: fieldEncryptType, Type: provider.FieldInt, Allowed: []string{"0", "1"}, Description: "0 encrypts under a KMS key, 1 under a software key. Tencent's default is 0."},
	}
	accountFields = append([]provider.CredentialField{
		{
			Name: fieldPrefix, Type: provider.FieldString, Required: true,
			Description: "Beginning of the names of the two accounts, which take turns: app gives app_SSM_x1y. Up to 8 letters, digits and _, a letter first.",
		},
		{
			Name: fieldDomains, Type: provider.FieldList, Required: true,
			Description: "Addresses that the accounts may log in from, % for any: %, or 192.168.0.%.",
		},
		{Name: fieldAccountRemark, Type: provider.FieldString, Description: "Remark on the accounts at the database. Tencent has it since 2026-01."},
	}, commonFields...)

	databases = provider.CredentialProduct{
		Name: "Mysql", Title: "account of TencentDB for MySQL, TDSQL for MySQL or TDSQL-C for MySQL",
		Names: []string{"Tdsql-mysql", "Tdsql_C_Mysql"},
		Fields: append([]provider.CredentialField{{
			Name: fieldPrivileges, Type: provider.FieldJSON, Required: true,
			Description: `What the accounts may do: "*.*:SELECT,INSERT orders.*:ALL orders.t1:SELECT orders.t1.c1:SELECT", the same as JSON {"orders.*": ["SELECT"]}, or the API's PrivilegesList as JSON.`,
		}}, accountFields...),
		Check: checkDatabase,
	}
	otherDatabases = provider.CredentialProduct{
		Name: productOther, Title: "account of another database that Tencent supports",
		Fields: append([]provider.CredentialField{
			{Name: fieldProductName, Type: provider.FieldString, Required: true, Description: "ProductName of Tencent's API, as managed-products lists it."},
			{Name: fieldPrivileges, Type: provider.FieldJSON, Required: true, Description: "The API's PrivilegesList as JSON. Tencent alone checks the values."},
			{Name: fieldAccountType, Type: provider.FieldString, Allowed: []string{"L3"}, Description: "Type of the accounts, for SQL Server only."},
		}, accountFields...),
		Check: checkOtherDatabase,
	}
	sshKeys = provider.CredentialProduct{
		Name: productSSHKey, Title: "SSH key pair for Cloud Virtual Machines",
		Fields: append([]provider.CredentialField{
			{Name: fieldProjectID, Type: provider.FieldInt, Required: true, Description: "Project that the key pair belongs to, 0 for the default one."},
			{Name: fieldSSHKeyName, Type: provider.FieldString, Description: "Name of the key pair: up to 25 letters, digits and _, a letter or digit first. Tencent's default is a name of its own."},
		}, commonFields...),
		Check:           checkSSHKey,
		DeletesAccounts: true,
		Deletion:        "The key pair stays at the servers and in their list of keys, unless it is to be removed too. Tencent refuses that while it is bound to a server.",
		Window:          provider.WindowRule{Immediate: true},
	}
)

// products are the kinds of managed credentials.
func products() []provider.CredentialProduct {
	list := []provider.CredentialProduct{databases, otherDatabases, sshKeys}
	for i := range list {
		if list[i].Name == productSSHKey {
			continue
		}
		p := &list[i]
		p.InstanceRequired, p.Rotates, p.SetsBegin = true, true, true
		p.ShortestRotation, p.LongestRotation, p.RotationUnit = provider.Days(30), provider.Days(365), provider.Days(1)
		p.Window = limits.Window
		p.DeletesAccounts = true
		p.Deletion = "Both database accounts stay at the instance with their last passwords, unless they are to be removed too; otherwise remove them there."
	}
	return list
}

var (
	prefixForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,7}$`)
	domainForm  = regexp.MustCompile(`^[0-9.%]+$`)
	keyNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]{0,24}$`)
)

func checkDatabase(c provider.NewCredential) error {
	if err := checkAccount(c); err != nil {
		return err
	}
	_, err := parsePrivileges(c.Parameters[fieldPrivileges])
	return err
}

func checkOtherDatabase(c provider.NewCredential) error {
	if err := checkAccount(c); err != nil {
		return err
	}
	if name := c.Parameters[fieldProductName]; databases.Spelling(name) == name {
		return fmt.Errorf("product_name %s is a product of its own; write product=%s and leave product_name out", name, name)
	}
	_, err := parseOtherPrivileges(c.Parameters[fieldPrivileges])
	return err
}

func checkAccount(c provider.NewCredential) error {
	if prefix := c.Parameters[fieldPrefix]; !prefixForm.MatchString(prefix) {
		return fmt.Errorf("user_name_prefix %q: it must have 1 to 8 letters, digits and _, and start with a letter", prefix)
	}
	domains, err := domainsOf(c)
	if err != nil {
		return err
	}
	for _, domain := range domains {
		if !domainForm.MatchString(domain) {
			return fmt.Errorf("domains: %q is no address; possible are %%, 10.0.0.7 and 192.168.0.%%", domain)
		}
	}
	return checkKey(c)
}

func domainsOf(c provider.NewCredential) ([]string, error) {
	var domains []string
	if json.Unmarshal([]byte(c.Parameters[fieldDomains]), &domains) != nil {
		return nil, errors.New("domains isn't a list of texts")
	}
	return domains, nil
}

// checkKey looks at settings of which one makes the other meaningless.
func checkKey(c provider.NewCredential) error {
	if c.KMSKeyID == "" {
		return nil
	}
	if c.Parameters[fieldHSMCluster] != "" {
		return errors.New("kms_hsm_cluster_id is used only without kms_key_id; leave one of them out")
	}
	if c.Parameters[fieldEncryptType] == "1" {
		return errors.New("encrypt_type 1 encrypts under a software key; leave kms_key_id out, or write encrypt_type=0")
	}
	return nil
}

func checkSSHKey(c provider.NewCredential) error {
	if c.InstanceID != "" {
		return errors.New("an SSH key pair belongs to no instance; leave instance_id out, and bind the key to servers in Tencent's console")
	}
	if n, err := strconv.ParseInt(c.Parameters[fieldProjectID], 10, 64); err != nil || n < 0 {
		return fmt.Errorf("project_id %q: it must be a number from 0", c.Parameters[fieldProjectID])
	}
	if name := c.Parameters[fieldSSHKeyName]; name != "" && !keyNameForm.MatchString(name) {
		return fmt.Errorf("ssh_key_name %q: it must have 1 to 25 letters, digits and _, and start with a letter or digit", name)
	}
	return checkKey(c)
}

// productNamed is the name here of what the service calls productName, and whether
// it needs that name besides.
func productNamed(productName string) (product string, other bool) {
	for _, name := range append([]string{databases.Name}, databases.Names...) {
		if strings.EqualFold(name, productName) {
			return name, false
		}
	}
	return productOther, true
}
