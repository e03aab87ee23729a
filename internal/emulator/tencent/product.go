// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// supportedProducts are those that the documentation has known for long. Names of
// newer ones aren't confirmed.
var supportedProducts = []string{"Mysql", "Tdsql-mysql", "Tdsql_C_Mysql"}

func describeSupportedProducts(*call, struct{}) (reply, *emulator.Failure) {
	return reply{"Products": supportedProducts, "TotalCount": len(supportedProducts)}, nil
}

// Rules of product secrets.
const (
	minRotationDays     = 30
	maxRotationDays     = 365
	defaultRotationDays = 1 // by the text of CreateProductSecret
)

var (
	prefixForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,7}$`)
	domainForm = regexp.MustCompile(`^(%|[0-9]{1,3}(\.([0-9]{1,3}|%)){1,3})$`)
)

type productParameters struct {
	SecretName        string          `need:"true"`
	UserNamePrefix    string          `need:"true"`
	ProductName       string          `need:"true"`
	InstanceID        string          `need:"true"`
	Domains           []string        `need:"true"`
	PrivilegesList    []privilegeUnit `need:"true"`
	Description       string
	KmsKeyId          string //nolint:revive // the API's spelling
	Tags              []tag
	EnableRotation    bool
	RotationBeginTime string
	RotationFrequency *int64
	KmsHsmClusterId   string //nolint:revive // the API's spelling
	AccountRemark     string
	AccountType       string
	EncryptType       uint64
}

func createProductSecret(c *call, p productParameters) (reply, *emulator.Failure) {
	if failure := p.check(); failure != nil {
		return nil, failure
	}
	schedule, failure := c.schedule(p.EnableRotation, p.RotationBeginTime, p.RotationFrequency)
	if failure != nil {
		return nil, failure
	}
	next, failure := c.newManaged(managedParameters{
		p.SecretName, p.Description, p.KmsKeyId, p.Tags, p.EncryptType,
	}, typeProduct)
	if failure != nil {
		return nil, failure
	}
	next.Status, next.ResourceID = statusCreating, p.InstanceID
	next.Managed = &managed{
		Product: p.ProductName, Instance: p.InstanceID, Accounts: newAccounts(p.UserNamePrefix),
		Domains: p.Domains, Privileges: p.PrivilegesList, AccountRemark: p.AccountRemark, AccountType: p.AccountType,
		HSMCluster: p.KmsHsmClusterId, EncryptType: p.EncryptType, Schedule: schedule,
	}
	answer := c.saveTags(next)
	started := c.server.begin(next, flow{Work: workCreation, Looks: c.switches.flowLooks()}, c.now)
	answer["SecretName"], answer["FlowID"] = next.Name, started.ID
	return answer, c.store(next)
}

// check looks at what only product secrets have.
func (p productParameters) check() *emulator.Failure {
	switch {
	case !prefixForm.MatchString(p.UserNamePrefix):
		return fail(codeInvalidValue, "UserNamePrefix must have 1 to 8 letters, digits and underscores, and start with a letter.")
	case !slices.Contains(supportedProducts, p.ProductName):
		return fail(codeInvalidValue, "ProductName is not a supported product.")
	case p.InstanceID == "":
		return fail(codeInvalidValue, "InstanceID is empty.")
	case len(p.Domains) == 0 || len(p.PrivilegesList) == 0:
		return fail(codeInvalidValue, "Domains and PrivilegesList must not be empty.")
	case p.AccountType != "" && p.AccountType != "L3":
		return fail(codeInvalidValue, "AccountType must be L3.")
	}
	for _, domain := range p.Domains {
		if !domainForm.MatchString(domain) {
			return fail(codeInvalidValue, "A value of Domains is not an IP address, in which % may stand for parts.")
		}
	}
	for _, unit := range p.PrivilegesList {
		if failure := unit.check(); failure != nil {
			return failure
		}
	}
	return nil
}

// schedule reads the three parameters of a schedule.
func (c *call) schedule(enabled bool, begin string, days *int64) (schedule, *emulator.Failure) {
	frequency := int64(defaultRotationDays)
	if days != nil {
		frequency = *days
		if frequency < minRotationDays || frequency > maxRotationDays {
			return schedule{}, fail(codeInvalidValue, "The rotation frequency must lie between 30 and 365 days.")
		}
	}
	s := schedule{Days: frequency}
	if !enabled {
		return s, nil
	}
	if begin == "" {
		return s, missing("RotationBeginTime")
	}
	at, err := time.ParseInLocation(time.DateTime, begin, zone)
	if err != nil {
		return s, fail(codeInvalidValue, "RotationBeginTime must have the form 2006-01-02 15:04:05.")
	}
	s.enable(at, frequency, c.now)
	return s, nil
}

// managedParameters are what the creations of all types have in common.
type managedParameters struct {
	name, description, keyID string
	tags                     []tag
	encryptType              uint64
}

// newManaged checks them, and that the name is free.
func (c *call) newManaged(p managedParameters, secretType uint64) (*secret, *emulator.Failure) {
	if failure := cmp.Or(c.checkName(p.name), checkDescription(p.description)); failure != nil {
		return nil, failure
	}
	if p.encryptType > 1 {
		return nil, fail(codeInvalidValue, "EncryptType must be 0 or 1.")
	}
	tags, failure := c.tags(p.tags)
	if failure != nil {
		return nil, failure
	}
	if failure := c.keyUsable(p.keyID); failure != nil {
		return nil, failure
	}
	next := &secret{
		Account: c.Account.AccountID, Region: c.Region, Name: p.name,
		Type: secretType, Status: statusEnabled, Description: p.description, KMSKeyID: p.keyID, Tags: tags,
		CreateUin: uinOf(c.Account.AccountID), Created: c.now,
	}
	return next, c.room(next)
}

// room tells whether a new secret has a free name and is below the limit.
func (c *call) room(next *secret) *emulator.Failure {
	if _, taken := c.server.secrets.LookupLocked(next.Ref(), c.now); taken {
		return fail(codeSecretExists, "The secret exists already.")
	}
	if len(c.server.secrets.ListLocked(next.Account, next.Region, c.now)) >= c.switches.secretLimit() {
		return fail(codeLimitExceeded, "The number of secrets has reached its limit.")
	}
	return nil
}

// saveTags tells what became of the tags of a new secret.
func (c *call) saveTags(next *secret) reply {
	switch {
	case len(next.Tags) == 0:
		return reply{"TagCode": 0, "TagMsg": "no tags to save"}
	case c.switches.TagCode != 0:
		next.Tags = nil
		return reply{"TagCode": c.switches.TagCode, "TagMsg": "tags not saved"}
	}
	return reply{"TagCode": 0, "TagMsg": "ok"}
}
