// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func describeSecret(c *call, p nameParameters) (reply, *emulator.Failure) {
	found, failure := c.lookUp(p.SecretName, true)
	if failure != nil {
		return nil, failure
	}
	answer := found.metadata()
	answer["RotationStatus"] = found.schedule().Enabled // a number in ListSecrets
	answer["AdditionalConfig"] = ""
	if found.Type == typeProduct && !c.switches.NoAccountInfo {
		answer["NextRotationTime"] = wallTime(found.schedule().Next) // seconds in ListSecrets
		answer["AccountInfoList"] = found.accounts()
	}
	return answer, c.roleGranted()
}

// schedule is that of the secret's rotations, zero for a custom one.
func (s *secret) schedule() schedule {
	if s.Managed == nil {
		return schedule{}
	}
	return s.Managed.Schedule
}

// metadata is what DescribeSecret and ListSecrets both tell.
func (s *secret) metadata() reply {
	product, encryptType := "default", uint64(0)
	keyName, project := "", int64(0)
	if m := s.Managed; m != nil {
		product, encryptType = m.Product, m.EncryptType
		if m.SSHKey != nil {
			keyName, project = m.SSHKey.Name, m.SSHKey.ProjectID
		}
	}
	keyID := cmp.Or(s.KMSKeyID, defaultKeyID(s.Region))
	if encryptType == 1 {
		keyID = "" // a software key
	}
	return reply{
		"SecretName": s.Name, "Description": s.Description, "KmsKeyId": keyID,
		"CreateUin": s.CreateUin, "Status": s.Status, "DeleteTime": s.deleteTime(), "CreateTime": s.Created.Unix(),
		"SecretType": s.Type, "ProductName": product, "ResourceID": s.ResourceID, "ResourceName": keyName, "ProjectID": project,
		"AssociatedInstanceIDs": []string{}, "TargetUin": 0, "RotationFrequency": s.schedule().Days,
		"EncryptType": encryptType, "EncryptSwitching": false,
	}
}

// deleteTime is 0 unless the secret shows as PendingDelete.
func (s *secret) deleteTime() int64 {
	if s.Status != statusPendingDelete {
		return 0
	}
	return s.DeleteAt.Unix()
}

// defaultKeyID is the key that the service has made for itself in a region, a
// UUID like every key's id.
func defaultKeyID(region string) string {
	d := sha256.Sum256([]byte("default key of " + region))
	return fmt.Sprintf("%x-%x-%x-%x-%x", d[0:4], d[4:6], d[6:8], d[8:10], d[10:16])
}

type listParameters struct {
	Offset           uint64
	Limit            uint64
	OrderType        uint64
	State            uint64
	SearchSecretName string
	TagFilters       []tagFilter
	SecretType       uint64
	ProductName      string
	EncryptType      uint64
	InstanceID       string
}

type tagFilter struct {
	TagKey   string `need:"true"`
	TagValue []string
}

// filterStates are the statuses by the numbers that ListSecrets filters with;
// 0 is all.
var filterStates = map[uint64]string{1: statusEnabled, 2: statusDisabled, 3: statusPendingDelete, 4: statusCreating, 5: statusFailed}

func listSecrets(c *call, p listParameters) (reply, *emulator.Failure) {
	_, stateKnown := filterStates[p.State]
	if p.Limit > maxPage || p.OrderType > 1 || p.SecretType > 4 || p.State != 0 && !stateKnown {
		return nil, fail(codeInvalidValue, "Limit, OrderType, SecretType or State is out of range.")
	}
	if p.State > 3 && p.SecretType != 1 {
		return nil, fail(codeInvalidValue, "This State exists for product secrets only.")
	}
	if failure := c.settleAll(); failure != nil {
		return nil, failure
	}
	all := c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now)
	matching := slices.DeleteFunc(all, func(s *secret) bool { return !p.matches(s, c.switches) })
	slices.SortStableFunc(matching, func(a, b *secret) int {
		if p.OrderType == 0 {
			a, b = b, a
		}
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	page := []reply{}
	from := min(p.Offset, uint64(len(matching)))
	to := min(from+cmp.Or(p.Limit, defaultPage), uint64(len(matching)))
	for _, s := range matching[from:to] {
		page = append(page, s.listed())
	}
	return reply{"TotalCount": len(matching), "SecretMetadatas": page}, nil
}

func (p listParameters) matches(s *secret, switches Switches) bool {
	nameFits := strings.Contains(s.Name, p.SearchSecretName)
	if switches.ExactSearch && p.SearchSecretName != "" {
		nameFits = s.Name == p.SearchSecretName
	}
	stateFits := p.State == 0 || filterStates[p.State] == s.Status
	return nameFits && stateFits && s.Type == p.SecretType && p.fitsProduct(s) && tagsFit(s.Tags, p.TagFilters)
}

// fitsProduct looks at the filters by product, of which several may be given with
// commas, and by instance.
func (p listParameters) fitsProduct(s *secret) bool {
	products := strings.Split(p.ProductName, ",")
	return (s.Type != typeProduct || p.ProductName == "" || s.Managed != nil && slices.Contains(products, s.Managed.Product)) &&
		(p.InstanceID == "" || p.InstanceID == s.ResourceID)
}

// tagsFit tells whether every filter's key is there with one of its values, or
// with any if it names none.
func tagsFit(tags map[string]string, filters []tagFilter) bool {
	for _, f := range filters {
		value, ok := tags[f.TagKey]
		if !ok || len(f.TagValue) > 0 && !slices.Contains(f.TagValue, value) {
			return false
		}
	}
	return true
}

// listed is a secret as a row of ListSecrets.
func (s *secret) listed() reply {
	row := s.metadata()
	plan := s.schedule()
	row["RotationStatus"] = 0 // a bool in DescribeSecret
	row["RotationBeginTime"] = wallTime(plan.Begin)
	row["NextRotationTime"] = 0
	if plan.Enabled {
		row["RotationStatus"], row["NextRotationTime"] = 1, plan.Next.Unix()
	}
	row["KmsKeyType"] = "DEFAULT"
	if s.KMSKeyID != "" && s.KMSKeyID != defaultKeyID(s.Region) {
		row["KmsKeyType"] = "CUSTOMER"
	}
	return row
}

func listSecretVersionIDs(c *call, p nameParameters) (reply, *emulator.Failure) {
	found, failure := c.secret(p.SecretName)
	if failure != nil {
		return nil, failure
	}
	versions := slices.Clone(found.Versions)
	slices.SortStableFunc(versions, func(a, b version) int { return a.Created.Compare(b.Created) })
	if !c.switches.VersionsOldestFirst {
		slices.Reverse(versions)
	}
	rows := []reply{}
	for _, v := range versions {
		rows = append(rows, reply{"VersionId": v.ID, "CreateTime": v.Created.Unix()})
	}
	if len(rows) == 0 && c.switches.NullVersions {
		rows = nil
	}
	return reply{"SecretName": found.Name, "Versions": rows}, nil
}

func getServiceStatus(c *call, _ struct{}) (reply, *emulator.Failure) {
	invalid := 1 // normal
	if c.switches.NotPurchased {
		invalid = 0
	}
	return reply{
		"ServiceEnabled": !c.switches.NotPurchased, "InvalidType": invalid, "AccessKeyEscrowEnabled": false,
		"ExpireTime": c.now.AddDate(1, 0, 0).UTC().Format(time.DateTime), "QPSLimit": 500, "SecretLimit": c.switches.secretLimit(),
		"PayModel": "Prepaid_SSM", "RenewFlag": 0, "ResourceId": "emulator", "ResourceRegion": 0,
		"TotalCount": len(c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now)),
	}, nil
}

func getRegions(c *call, _ struct{}) (reply, *emulator.Failure) {
	return reply{"Regions": c.server.regions}, nil
}
