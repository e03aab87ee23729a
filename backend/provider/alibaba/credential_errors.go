// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"errors"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// What is said of a rotation that failed. The API has no word for why.
const (
	adviceMonitor  = "the event Secret:RotateSecret:Failure in CloudMonitor says why; mend that, then rotate it or set its schedule again"
	adviceRotation = "the cloud couldn't rotate the credential and has stopped its schedule (AutomaticRotation Invalid); " + adviceMonitor
)

// productAdvice is what a refused creation of a product comes from as a rule.
var productAdvice = map[string]struct {
	where string // what has to be there
	wrong string // what may be wrong
	role  string // what the credentials have to be allowed besides
}{
	productRDS: {
		where: "the RDS instance instance_id and the accounts of initial_credentials",
		wrong: "instance_id, secret_sub_type and initial_credentials (SQL Server 2017 in a cluster edition can't be managed)",
		role:  "ram:CreateServiceLinkedRole, for the role AliyunServiceRoleForKMSSecretsManagerForRDS, unless the account has it",
	},
	productRAM: {
		where: "the RAM user user_name and the access keys of initial_credentials",
		wrong: "user_name and initial_credentials, which have to be all access keys that the RAM user has",
		role:  "the service role AliyunKMSManagedRAMCrendentialsRole, which KMS acts as; make it in the KMS console",
	},
	productECS: {
		where: "the ECS instance instance_id in region_id",
		wrong: "instance_id, region_id, which has to be the destination's, secret_sub_type, which is Password for Windows, and initial_credentials",
		role:  "ram:CreateServiceLinkedRole, for the role AliyunServiceRoleForKMSSecretsManagerForECS, unless the account has it",
	},
	productRedis: {
		where: "the instance instance_id in region_id",
		wrong: "instance_id, region_id, account_name, which has to be free, and account_privilege",
		role:  "ram:CreateServiceLinkedRole for the first one in an account",
	},
	productPolarDB: {
		where: "the cluster instance_id in region_id",
		wrong: "instance_id, region_id, db_type, account_name, which has to be free, account_privilege and db_name",
		role:  "ram:CreateServiceLinkedRole for the first one in an account",
	},
}

// advise says what to do about a refused creation of a credential, where that
// differs from other secrets.
func (d *destination) advise(refused error, p provider.CredentialProduct, n provider.NewCredential) error {
	var e *provider.Error
	if !errors.As(refused, &e) {
		return refused
	}
	told, class := productAdvice[p.Name], e.Class
	words := e.Message // of the service, and general advice
	advice := ""
	switch e.Code {
	case "InvalidParameter", "MissingParameter":
		advice = "check " + told.wrong
	case "Forbidden.ResourceNotFound":
		words = strings.TrimSuffix(words, adviceNoKey)
		advice = "check that in this region there are " + told.where
		if n.KMSKeyID != "" || d.instance != "" {
			advice += ", and the KMS key and kms_instance_id"
		} else {
			class = provider.ClassInvalid
		}
	case codeNoPermission:
		if e.Class == provider.ClassPermission {
			advice = "credentials of product " + p.Name + " also need " + told.role
		}
	case "Rejected.ResourceExist":
		advice = "the name is taken; choose another remote_name, or delete what has it"
		if p.AssignsName {
			advice = "the RAM user's access keys are managed already; delete that credential first"
		}
	case codeInDeleteWindow:
		advice = "what has the name is to be deleted; restore it, delete it at once, or choose another remote_name"
	case "Rejected.LimitExceeded":
		advice = "delete secrets that aren't needed, or raise how many the KMS instance may hold"
	case "UnsupportedOperation", "Rejected.UnsupportedOperation":
		words = strings.TrimSuffix(words, adviceOperation)
		advice = "the region or the KMS instance doesn't have credentials of product " + p.Name + ", or " + adviceOperation
	}
	if advice == "" {
		return refused
	}
	return withMessage(refused, class, strings.TrimPrefix(strings.TrimSuffix(words, "; ")+"; "+advice, "; "))
}
