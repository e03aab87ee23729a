// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// The products, by the API's names for the types of secrets.
const (
	productRDS     = "Rds"
	productRAM     = "RAMCredentials"
	productECS     = "ECS"
	productRedis   = "Redis"
	productPolarDB = "PolarDB"
)

// The sub-types.
const (
	subSingleUser  = "SingleUser"
	subDoubleUsers = "DoubleUsers"
	subAccessKey   = "RamUserAccessKey"
	subPassword    = "Password"
	subSSHKey      = "SSHKey"
)

// Fields of more than one meaning; the others are members of ExtendedConfig.
const (
	fieldSubType  = "secret_sub_type"
	fieldRegion   = "region_id"
	fieldAccount  = "account_name"
	fieldClone    = "clone_account_name"
	fieldCustom   = "custom_data"
	fieldPolicy   = "policy"
	fieldExtended = "extended_config"
	memberCustom  = "CustomData"
)

// configMembers are the members of ExtendedConfig by field.
var configMembers = map[string]string{
	fieldSubType: "SecretSubType", fieldRegion: "RegionId", "user_name": "UserName",
	fieldAccount: "AccountName", fieldClone: "CloneAccountName", "account_privilege": "AccountPrivilege",
	"account_type": "AccountType", "db_type": "DBType", "db_name": "DBName", fieldCustom: memberCustom,
}

// instanceMembers are the members of ExtendedConfig that name the instance, by
// product.
var instanceMembers = map[string]string{
	productRDS: "DBInstanceId", productECS: "InstanceId", productRedis: "InstanceId", productPolarDB: "DBClusterId",
}

const (
	maxConfig = 1024 // characters
	maxCustom = 10   // pairs
)

var (
	customField = provider.CredentialField{
		Name: fieldCustom, Type: provider.FieldJSON,
		Description: "Data of your own that is kept beside the credential and isn't secret: a JSON object with 10 pairs at most.",
	}
	extendedField = provider.CredentialField{
		Name: fieldExtended, Type: provider.FieldJSON,
		Description: "Further members of the API's ExtendedConfig, as a JSON object, for those that have no field of their own here.",
	}
	policyField = provider.CredentialField{
		Name: fieldPolicy, Type: provider.FieldJSON,
		Description: "The secret's own policy, as JSON. Only secrets in a KMS instance have one; the cloud's default otherwise.",
	}
	regionField = provider.CredentialField{
		Name: fieldRegion, Type: provider.FieldString,
		Description: "Region of the instance. The destination's region if it isn't given.",
	}
	accountField = provider.CredentialField{
		Name: fieldAccount, Type: provider.FieldString, Required: true,
		Description: "Name of the account that the cloud makes.",
	}
)

// onlySubType is the field of products that have one only.
func onlySubType(subType string) provider.CredentialField {
	return provider.CredentialField{
		Name: fieldSubType, Type: provider.FieldString, Allowed: []string{subType},
		Description: "Sub-type of the secret. There is one, so it needn't be given.",
	}
}

// product completes what the products have in common.
func product(p provider.CredentialProduct, fields ...provider.CredentialField) provider.CredentialProduct {
	p.Fields = slices.Concat(fields, []provider.CredentialField{customField, extendedField, policyField})
	p.Check = func(n provider.NewCredential) error { return checkCredential(p.Name, p.InitialValue, n) }
	p.InstanceRequired = instanceMembers[p.Name] != ""
	p.ShortestRotation, p.LongestRotation, p.RotationUnit = 6*time.Hour, provider.Days(365), time.Second
	p.Rotates, p.RotatesOnce = true, true
	p.Window = limits.Window
	return p
}

// credentialProducts are the managed types of CreateSecret's page.
var credentialProducts = []provider.CredentialProduct{
	product(
		provider.CredentialProduct{
			Name: productRDS, Title: "accounts of ApsaraDB RDS", InitialValue: true,
			Deletion: "The database accounts stay as they are, with the passwords that they have; the rotation ends.",
		},
		provider.CredentialField{
			Name: fieldSubType, Type: provider.FieldString, Required: true, Allowed: []string{subSingleUser, subDoubleUsers},
			Description: "SingleUser resets the password of one account, whose current value may fail for a moment. " +
				"DoubleUsers alternates between two accounts, so that the current value always works.",
		},
	),
	product(
		provider.CredentialProduct{
			Name: productRAM, Title: "access keys of RAM users", InitialValue: true, AssignsName: true,
			Deletion: "The RAM user and its access keys stay as they are; the rotation ends.",
		},
		onlySubType(subAccessKey),
		provider.CredentialField{
			Name: "user_name", Type: provider.FieldString, Required: true,
			Description: "Name of the RAM user. The keys of an account itself can't be managed.",
		},
	),
	product(
		provider.CredentialProduct{
			Name: productECS, Title: "logins of ECS instances", InitialValue: true, NamePrefix: "acs/ecs/",
			Deletion: "The password or key stays valid on the instance; the rotation ends.",
		},
		provider.CredentialField{
			Name: fieldSubType, Type: provider.FieldString, Required: true, Allowed: []string{subPassword, subSSHKey},
			Description: "Password, or SSHKey, which Windows instances don't have.",
		},
		regionField,
	),
	product(
		provider.CredentialProduct{
			Name: productRedis, Title: "accounts of Tair and Redis",
			Deletion: "Both accounts stay in the instance, with the passwords that they have; the rotation ends.",
		},
		onlySubType(subDoubleUsers), regionField, accountField,
		provider.CredentialField{
			Name: fieldClone, Type: provider.FieldString,
			Description: "Name of the second account: account_name with _clone, which is also what it is if it isn't given.",
		},
		provider.CredentialField{
			Name: "account_privilege", Type: provider.FieldString, Required: true,
			Description: "What the accounts may do, in the words of the instance's API.",
		},
	),
	product(
		provider.CredentialProduct{
			Name: productPolarDB, Title: "accounts of PolarDB",
			Deletion: "Both accounts stay in the cluster, with the passwords that they have; the rotation ends.",
		},
		onlySubType(subDoubleUsers), regionField, accountField,
		provider.CredentialField{
			Name: "db_type", Type: provider.FieldString, Required: true, Allowed: []string{"MySQL", "PostgreSQL"},
			Description: "Kind of database.",
		},
		provider.CredentialField{Name: fieldClone, Type: provider.FieldString, Description: "Name of the second account."},
		provider.CredentialField{Name: "account_type", Type: provider.FieldString, Allowed: []string{"Normal"}, Description: "Type of the accounts."},
		provider.CredentialField{
			Name: "account_privilege", Type: provider.FieldString,
			Description: "What the accounts may do, in the words of PolarDB's API. For MySQL only.",
		},
		provider.CredentialField{Name: "db_name", Type: provider.FieldString, Description: "Database that the accounts may use. For MySQL only."},
	),
}

// checkCredential tells whether the parts that creation is sent fit together.
func checkCredential(product string, initial bool, n provider.NewCredential) error {
	if _, err := extendedConfig(product, n, "cn-hangzhou"); err != nil {
		return err
	}
	if policy := n.Parameters[fieldPolicy]; policy != "" && !isObject(policy) {
		return fmt.Errorf("%s isn't a JSON object", fieldPolicy)
	}
	if !initial {
		return nil
	}
	_, err := initialLogins(product, n)
	return err
}

// extendedConfig is the ExtendedConfig of a new credential.
func extendedConfig(product string, n provider.NewCredential, region string) (string, error) {
	config := map[string]any{}
	if member := instanceMembers[product]; member != "" {
		config[member] = n.InstanceID
	} else if n.InstanceID != "" {
		return "", fmt.Errorf("product %s belongs to no instance; leave instance_id out", product)
	}
	given := withDefaults(product, n.Parameters, region)
	for field, text := range given {
		if member, known := configMembers[field]; known && field != fieldCustom {
			config[member] = text
		}
	}
	if product == productRedis && given[fieldClone] != given[fieldAccount]+"_clone" {
		return "", fmt.Errorf("%s has to be %s with _clone for product %s", fieldClone, fieldAccount, product)
	}
	if text := n.Parameters[fieldCustom]; text != "" {
		var custom map[string]any
		if json.Unmarshal([]byte(text), &custom) != nil || custom == nil || len(custom) > maxCustom {
			return "", fmt.Errorf("%s isn't a JSON object with at most %d pairs", fieldCustom, maxCustom)
		}
		config[memberCustom] = custom
	}
	if err := addMembers(config, n.Parameters[fieldExtended]); err != nil {
		return "", err
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	if size := utf8.RuneCount(encoded); size > maxConfig {
		return "", fmt.Errorf("the fields of the credential have %d characters as ExtendedConfig, the limit is %d", size, maxConfig)
	}
	return string(encoded), nil
}

// withDefaults are the fields with what needn't be given.
func withDefaults(product string, given map[string]string, region string) map[string]string {
	defaults := map[string]string{}
	switch product {
	case productRAM:
		defaults[fieldSubType] = subAccessKey
	case productECS:
		defaults[fieldRegion] = region
	case productRedis:
		defaults[fieldSubType], defaults[fieldRegion] = subDoubleUsers, region
		defaults[fieldClone] = given[fieldAccount] + "_clone"
	case productPolarDB:
		defaults[fieldSubType], defaults[fieldRegion] = subDoubleUsers, region
	}
	for field, text := range given {
		if text != "" {
			defaults[field] = text
		}
	}
	return defaults
}

// addMembers adds the members of an object that the user gave to the config.
func addMembers(config map[string]any, text string) error {
	if text == "" {
		return nil
	}
	var members map[string]any
	if json.Unmarshal([]byte(text), &members) != nil || members == nil {
		return fmt.Errorf("%s isn't a JSON object", fieldExtended)
	}
	for _, member := range slices.Sorted(maps.Keys(members)) {
		was, there := config[member]
		if there && !sameJSON(was, members[member]) {
			return fmt.Errorf("%s has another %s than the field for it", fieldExtended, member)
		}
		config[member] = members[member]
	}
	return nil
}

func sameJSON(a, b any) bool {
	first, _ := json.Marshal(a) // what was decoded from JSON encodes
	second, _ := json.Marshal(b)
	return bytes.Equal(first, second)
}

func isObject(text string) bool {
	var object map[string]any
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}

// describedConfig are instance and fields that an ExtendedConfig tells.
func describedConfig(product, text string) (instance string, parameters map[string]string) {
	var config map[string]any
	if json.Unmarshal([]byte(text), &config) != nil {
		return "", nil
	}
	parameters = map[string]string{}
	for field, member := range configMembers {
		value, there := config[member]
		delete(config, member)
		custom, isObject := value.(map[string]any)
		if there && (!isObject || len(custom) > 0) {
			parameters[field] = plain(value)
		}
	}
	member := instanceMembers[product]
	instance, _ = config[member].(string)
	delete(config, member)
	if len(config) > 0 {
		parameters[fieldExtended] = plain(config)
	}
	return instance, parameters
}

// plain is a text as it is, and anything else as JSON.
func plain(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	encoded, _ := json.Marshal(value)
	return strings.TrimSpace(string(encoded))
}
