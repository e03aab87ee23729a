// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func describeKey(c *call, r *reader) work {
	id := r.need("KeyId")
	return func() (reply, *emulator.Failure) {
		id = strings.TrimPrefix(id, "acs:kms:"+c.Region+":"+c.Account.AccountID+":key/")
		if strings.HasPrefix(id, "alias/") {
			return nil, fail(codeAliasNotFound, "The specified Alias is not found.")
		}
		key, found := c.server.KMSKeys().Find(c.Region, id)
		if !found {
			return nil, fail(codeKeyNotFound, "The specified Key is not found.")
		}
		state := statusEnabled
		switch {
		case key.PendingDeletion:
			state = "PendingDeletion"
		case key.Disabled:
			state = "Disabled"
		}
		metadata := reply{
			"KeyId": key.ID, "Arn": "acs:kms:" + c.Region + ":" + c.Account.AccountID + ":key/" + key.ID, "KeyState": state,
			"KeySpec": "Aliyun_AES_256", "KeyUsage": "ENCRYPT/DECRYPT", "Origin": "Aliyun_KMS", "ProtectionLevel": "SOFTWARE",
			"Creator": c.Account.AccountID, "Description": "", "AutomaticRotation": "Disabled", "DeletionProtection": "Disabled",
		}
		if key.Instance != "" {
			metadata["DKMSInstanceId"] = key.Instance
		}
		return reply{"KeyMetadata": metadata}, nil
	}
}

func describeRegions(c *call, _ *reader) work {
	return func() (reply, *emulator.Failure) {
		rows := make([]reply, 0, len(c.server.regions))
		for _, region := range c.server.regions {
			rows = append(rows, reply{"RegionId": region})
		}
		return reply{"Regions": reply{"Region": rows}}, nil
	}
}

func describeAccountKMSStatus(c *call, _ *reader) work {
	return func() (reply, *emulator.Failure) {
		return reply{"AccountStatus": c.switches.accountStatus()}, nil
	}
}
