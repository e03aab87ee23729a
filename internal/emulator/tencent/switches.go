// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"
	"errors"
	"fmt"
)

// Switches choose between behaviours that Tencent doesn't document. The zero
// value is the likeliest of each.
type Switches struct {
	StrictSwitching     bool `json:"strict_switching,omitempty"`      // enabling an enabled or disabling a disabled secret is FailedOperation, not success
	OmitUnusedValue     bool `json:"omit_unused_value,omitempty"`     // GetSecretValue leaves the unused field out instead of sending ""
	NullVersions        bool `json:"null_versions,omitempty"`         // no versions are null instead of []
	VersionsOldestFirst bool `json:"versions_oldest_first,omitempty"` // ListSecretVersionIds ascends by creation time
	UpdateMovesTime     bool `json:"update_moves_time,omitempty"`     // UpdateSecret sets the version's CreateTime
	NoEmptyDescription  bool `json:"no_empty_description,omitempty"`  // UpdateDescription refuses ""
	NoDotInVersionID    bool `json:"no_dot_in_version_id,omitempty"`  // as the English pages have it
	EncodedBinarySize   bool `json:"encoded_binary_size,omitempty"`   // the limit counts binary values in base64
	RegionOptional      bool `json:"region_optional,omitempty"`       // calls without X-TC-Region use the first region
	ExactSearch         bool `json:"exact_search,omitempty"`          // SearchSecretName matches whole names only
	SecretNotExistCode  bool `json:"secret_not_exist_code,omitempty"` // GetSecretValue of an absent secret is ResourceNotFound.SecretNotExist
	StrictTagRemoval    bool `json:"strict_tag_removal,omitempty"`    // removing a tag that a secret doesn't have is FailedOperation
	KMSUnauthorized     bool `json:"kms_unauthorized,omitempty"`      // an unusable key is UnauthorizedOperation.AccessKmsError

	RotatesUnscheduled bool `json:"rotates_unscheduled,omitempty"` // RotateProductSecret works while the schedule is off, instead of RotationForbidden
	KeepsFailed        bool `json:"keeps_failed,omitempty"`        // a secret whose creation failed can't be deleted: ResourceUninitialized
	NoAccountInfo      bool `json:"no_account_info,omitempty"`     // answers lack what the API got in 2026: AccountInfoList, NextRotationTime
	EncodedKeys        bool `json:"encoded_keys,omitempty"`        // GetSSHKeyPairValue gives the keys in base64, as its text says

	NotPurchased bool `json:"not_purchased,omitempty"` // the service isn't activated
	RoleMissing  bool `json:"role_missing,omitempty"`  // the service role is missing: OperationDenied.RoleNotExist
	TagsMissing  bool `json:"tags_missing,omitempty"`  // tags must exist before CreateSecret and don't: TagsNotExisted
	TagCode      int  `json:"tag_code,omitempty"`      // 1 or 2: CreateSecret succeeds, and its tags are not set

	ValueLimit   int `json:"value_limit,omitempty"`   // bytes; 0 is 32768, it was 4096 until 2023-12
	VersionLimit int `json:"version_limit,omitempty"` // per secret; 0 is 10
	SecretLimit  int `json:"secret_limit,omitempty"`  // per account and region; 0 is 1000

	// FlowLooks is how often DescribeAsyncRequestInfo and DescribeSecret find a
	// creation or rotation still going on; 0 is 2. Faults of kind delay for the
	// operations Creation, Rotation and Deletion make it last on the clock, of
	// kind error they let it fail, and of kind hang they hold it up.
	FlowLooks int `json:"flow_looks,omitempty"`

	// DeletionLag is for how many seconds a secret that was deleted at once
	// still shows as Disabled and holds its name.
	DeletionLag int `json:"deletion_lag,omitempty"`
}

func (s Switches) check() error {
	if s.TagCode < 0 || s.TagCode > 2 {
		return fmt.Errorf("switch tag_code is %d: it must be 0, 1 or 2", s.TagCode)
	}
	if min(s.ValueLimit, s.VersionLimit, s.SecretLimit, s.FlowLooks, s.DeletionLag) < 0 {
		return errors.New("switches for limits, looks and lag can't be negative")
	}
	return nil
}

func (s Switches) valueLimit() int   { return cmp.Or(s.ValueLimit, 32768) }
func (s Switches) versionLimit() int { return cmp.Or(s.VersionLimit, 10) }
func (s Switches) secretLimit() int  { return cmp.Or(s.SecretLimit, 1000) }
func (s Switches) flowLooks() int    { return cmp.Or(s.FlowLooks, 2) }
