// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Switches choose between behaviours that Alibaba doesn't document. The zero
// value is the likeliest of each, or the strictest. Codes must be ones that the
// emulator knows; they are answered with their usual HTTP status.
type Switches struct {
	// Codes by situation.
	VersionConflictCode  string `json:"version_conflict_code,omitempty"`  // PutSecretValue of an existing version with another value; "" is Rejected.ResourceExist
	VersionNotFoundCode  string `json:"version_not_found_code,omitempty"` // an unknown version or label; "" is Forbidden.ResourceNotFound
	PendingDeletionCode  string `json:"pending_deletion_code,omitempty"`  // values and labels of a secret that is to be deleted; "" is Rejected.ResourceInDeleteWindow
	WrongTypeCode        string `json:"wrong_type_code,omitempty"`        // what managed secrets can't do; "" is InvalidParameter
	TagLimitCode         string `json:"tag_limit_code,omitempty"`         // too many tags; "" is Rejected.LimitExceeded
	LabelLimitCode       string `json:"label_limit_code,omitempty"`       // too many stage labels; "" is Rejected.LimitExceeded
	UnusableKeyCode      string `json:"unusable_key_code,omitempty"`      // values under a disabled key; "" is Rejected.Disabled or Rejected.PendingDeletion
	TokenExpiredCode     bool   `json:"token_expired_code,omitempty"`     // an expired token is InvalidSecurityToken.Expired, not InvalidAccessKeyId.NotFound
	TimestampExpiredCode bool   `json:"timestamp_expired_code,omitempty"` // a call from another time is InvalidTimeStamp.Expired, not IllegalTimestamp
	AccessDeniedDetail   bool   `json:"access_denied_detail,omitempty"`   // denials have the member AccessDeniedDetail

	// Calls.
	NonceRequired  bool   `json:"nonce_required,omitempty"`  // calls need a SignatureNonce
	RegionRequired bool   `json:"region_required,omitempty"` // calls need a RegionId; the tag operations for several resources always do
	AccountStatus  string `json:"account_status,omitempty"`  // "" is Enabled; NotEnabled, InDebt and Suspended refuse calls

	// Creation and values.
	IdempotentCreate  bool `json:"idempotent_create,omitempty"`   // creating a secret again with the same version and value succeeds
	EmptyValues       bool `json:"empty_values,omitempty"`        // SecretData can be empty
	KeyRequired       bool `json:"key_required,omitempty"`        // there is no default key: CreateSecret without EncryptionKeyId is refused
	ShowDefaultKey    bool `json:"show_default_key,omitempty"`    // DescribeSecret names the default key
	CompareDataType   bool `json:"compare_data_type,omitempty"`   // a repeated version with another SecretDataType is a conflict
	RepeatMovesLabels bool `json:"repeat_moves_labels,omitempty"` // PutSecretValue of an existing version with the same value moves labels
	EvictedIDsTaken   bool `json:"evicted_ids_taken,omitempty"`   // the id of an evicted version can't be used again
	BothMustMatch     bool `json:"both_must_match,omitempty"`     // VersionId isn't preferred to VersionStage: they must mean one version
	VersionCreateTime bool `json:"version_create_time,omitempty"` // GetSecretValue tells when the version was made, not the secret

	// Life.
	ReadableInWindow      bool `json:"readable_in_window,omitempty"`      // values of a secret that is to be deleted can be read
	ForceInWindow         bool `json:"force_in_window,omitempty"`         // a secret that is to be deleted can be deleted at once
	StrictForce           bool `json:"strict_force,omitempty"`            // RecoveryWindowInDays beside ForceDeleteWithoutRecovery=true is refused
	DeletionLag           int  `json:"deletion_lag,omitempty"`            // seconds that a secret deleted at once shows as to be deleted and holds its name
	KeepsEmptyDescription bool `json:"keeps_empty_description,omitempty"` // UpdateSecret with an empty Description changes nothing

	// Managed secrets.
	RotationSeconds int    `json:"rotation_seconds,omitempty"` // how long a rotation takes; 0 is no time
	RotatingCode    string `json:"rotating_code,omitempty"`    // RotateSecret while another rotation is under way; "" is success without an effect, as documented for RAM
	QuietFailures   bool   `json:"quiet_failures,omitempty"`   // a failed rotation makes AutomaticRotation Invalid only if there is a schedule
	RAMNameOfUser   bool   `json:"ram_name_of_user,omitempty"` // the name of a RAM secret follows from the user, who can then have one only
	RotationLimit   int    `json:"rotation_limit,omitempty"`   // of RotateSecret per hour and account; 0 is 50

	// Lists and tags.
	NewestFirst     bool `json:"newest_first,omitempty"`      // secrets and versions are listed by time, the newest first; else by name, and versions as made
	FilterContains  bool `json:"filter_contains,omitempty"`   // filters match parts of names and descriptions
	FiltersOr       bool `json:"filters_or,omitempty"`        // one matching filter is enough
	LooseTags       bool `json:"loose_tags,omitempty"`        // tags can be empty values and have letters of all scripts
	TagsNotReplaced bool `json:"tags_not_replaced,omitempty"` // giving a tag key another value is refused

	// Limits.
	NameLimit   int `json:"name_limit,omitempty"`   // characters; 0 is 192, old pages say 64
	TagLimit    int `json:"tag_limit,omitempty"`    // per secret; 0 is 20, some pages say 10
	SecretLimit int `json:"secret_limit,omitempty"` // per account and region; 0 is none
	VersionPage int `json:"version_page,omitempty"` // default page of ListSecretVersionIds; 0 is 20, old pages say 10
}

func (s Switches) check() error {
	for _, code := range []string{
		s.VersionConflictCode, s.VersionNotFoundCode, s.PendingDeletionCode, s.WrongTypeCode,
		s.TagLimitCode, s.LabelLimitCode, s.UnusableKeyCode, s.RotatingCode,
	} {
		_, known := statuses[code]
		if code != "" && !known && !slices.Contains([]string{codeInvalidParameter, codeLimitExceeded, codeUnsupported}, code) {
			return fmt.Errorf("switch for a code is %q: it must be a code that the emulator knows", code)
		}
	}
	if _, known := accountStatuses[s.accountStatus()]; !known {
		return fmt.Errorf("switch account_status is %q: it must be Enabled, NotEnabled, InDebt or Suspended", s.AccountStatus)
	}
	if min(s.DeletionLag, s.NameLimit, s.TagLimit, s.SecretLimit, s.VersionPage, s.RotationSeconds, s.RotationLimit) < 0 {
		return errors.New("switches for limits and times can't be negative")
	}
	return nil
}

func (s Switches) nameLimit() int        { return cmp.Or(s.NameLimit, 192) }
func (s Switches) tagLimit() int         { return cmp.Or(s.TagLimit, 20) }
func (s Switches) rotationLimit() int    { return cmp.Or(s.RotationLimit, 50) }
func (s Switches) versionPage() int      { return cmp.Or(s.VersionPage, 20) }
func (s Switches) accountStatus() string { return cmp.Or(s.AccountStatus, statusEnabled) }

func (s Switches) versionNotFound() *emulator.Failure {
	return fail(cmp.Or(s.VersionNotFoundCode, codeNotFound), "Resource not found")
}

func (s Switches) pendingDeletion() *emulator.Failure {
	return fail(cmp.Or(s.PendingDeletionCode, codeInDeleteWindow), "secret in delete period")
}
