// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Switches choose between behaviours that Huawei doesn't document, or documents
// in two ways. The zero value is the likeliest of each.
type Switches struct {
	// Answers.
	ErrorShape      string `json:"error_shape,omitempty"`      // "flat" or "nested" for all errors of the service; "" is nested for tags and flat for the rest
	NotFoundIs400   bool   `json:"not_found_is_400,omitempty"` // as the table of codes says; else 404, as the operations say
	NameNotFound    bool   `json:"name_not_found,omitempty"`   // an absent secret is CSMS.0106, not CSMS.0005
	ExistsCode      string `json:"exists_code,omitempty"`      // of CreateSecret for a name in use; "" is CSMS.0201, a guess
	ExistsStatus    int    `json:"exists_status,omitempty"`    // its HTTP status; 0 is 400
	DeniedCode      string `json:"denied_code,omitempty"`      // of a missing permission, status 403; "" is CSMS.0302, a guess
	KMSKeyCodes     bool   `json:"kms_key_codes,omitempty"`    // unusable keys are KMS.0207 (404) and KMS.0209, not CSMS.0401
	KMSTagCodes     bool   `json:"kms_tag_codes,omitempty"`    // tag quota and absent tag are KMS.0409 and KMS.0416 (404), not CSMS codes
	Milliseconds    bool   `json:"milliseconds,omitempty"`     // times aren't cut to whole seconds
	EndMarkerEmpty  bool   `json:"end_marker_empty,omitempty"` // next_marker is "" on a last page that has items
	ListsDescending bool   `json:"lists_descending,omitempty"` // names and version numbers descend in lists
	LatestIsNewest  bool   `json:"latest_is_newest,omitempty"` // version "latest" is the newest one, not SYSCURRENT
	LockKeys        bool   `json:"lock_keys,omitempty"`        // more than five failed signatures in a row lock the access key for five minutes
	UncheckedKey    bool   `json:"unchecked_key,omitempty"`    // UpdateSecret takes a KMS key that doesn't exist or is disabled
	RefuseOverwrite bool   `json:"refuse_overwrite,omitempty"` // a tag key that is in use isn't overwritten
	RefuseManaged   bool   `json:"refuse_managed,omitempty"`   // versions and stages of managed secrets can't be written

	// Names and values.
	DotInName       bool `json:"dot_in_name,omitempty"`      // as older pages have it
	ValueLimit      int  `json:"value_limit,omitempty"`      // 0 is 32768; the user guide says 65536
	CountCharacters bool `json:"count_characters,omitempty"` // the limit counts characters of text, not bytes
	RawBinarySize   bool `json:"raw_binary_size,omitempty"`  // the limit counts binary values before base64
	EmptyText       bool `json:"empty_text,omitempty"`       // secret_string "" is a value, not a missing one
	PastExpiry      bool `json:"past_expiry,omitempty"`      // an expiry in the past is taken

	// Versions and stages.
	VersionLimit      int    `json:"version_limit,omitempty"`       // per secret; 0 is 20
	RejectVersions    bool   `json:"reject_versions,omitempty"`     // a version above the limit is refused, not stored in place of the oldest without a stage
	VersionLimitCode  string `json:"version_limit_code,omitempty"`  // of that refusal; "" is CSMS.0205, a guess
	DropUnstaged      bool   `json:"drop_unstaged,omitempty"`       // a version vanishes as soon as it has no stage
	PreviousStays     bool   `json:"previous_stays,omitempty"`      // an explicit move of SYSCURRENT leaves SYSPREVIOUS where it is
	StageLimit        int    `json:"stage_limit,omitempty"`         // per secret; 0 is 12
	DeleteAbsentStage bool   `json:"delete_absent_stage,omitempty"` // DeleteSecretStage of an absent stage succeeds
	FreeBuiltins      bool   `json:"free_builtins,omitempty"`       // SYSCURRENT and SYSPREVIOUS don't count

	// States.
	DeleteWhilePending bool `json:"delete_while_pending,omitempty"` // DeleteSecret works on a secret that is PENDING_DELETE
	DeleteEnabledOnly  bool `json:"delete_enabled_only,omitempty"`  // both deletions need ENABLED, as in the console
	StagesWhilePending bool `json:"stages_while_pending,omitempty"` // stages of a secret that is PENDING_DELETE can be changed
	TagsWhilePending   bool `json:"tags_while_pending,omitempty"`   // and so can tags
	RestoreKeepsState  bool `json:"restore_keeps_state,omitempty"`  // RestoreSecret brings back the state of before, not ENABLED

	// Managed secrets.
	ManagedValue      string `json:"managed_value,omitempty"`        // what values are written as: "users", "flat" or "binary"; "" is as they were given
	UsersInOneVersion bool   `json:"users_in_one_version,omitempty"` // one version holds both accounts of MultiUser, the current one first
	SingleQuotes      bool   `json:"single_quotes,omitempty"`        // rotation_config is told with ' for ", as in the examples
	PendingStays      bool   `json:"pending_stays,omitempty"`        // a rotation that failed leaves its version, at SYSPENDING
	RotatesTwice      bool   `json:"rotates_twice,omitempty"`        // RotateSecret during a rotation begins another, not CSMS.0110, a guess
	NeedsAgency       bool   `json:"needs_agency,omitempty"`         // CreateSecret is refused without the agencies, not only rotations

	SecretLimit int `json:"secret_limit,omitempty"` // per account and project; 0 is 5000
}

func (s Switches) check() error {
	if !slices.Contains([]string{"", shapeFlat, shapeNested}, s.ErrorShape) {
		return fmt.Errorf("switch error_shape is %q: it must be empty, flat or nested", s.ErrorShape)
	}
	if !slices.Contains([]string{"", valueUsers, valueFlat, valueBinary}, s.ManagedValue) {
		return fmt.Errorf("switch managed_value is %q: it must be empty, users, flat or binary", s.ManagedValue)
	}
	if s.ExistsStatus != 0 && (s.ExistsStatus < 400 || s.ExistsStatus > 599) {
		return fmt.Errorf("switch exists_status is %d: it must be an HTTP status from 400 to 599", s.ExistsStatus)
	}
	if min(s.ValueLimit, s.VersionLimit, s.StageLimit, s.SecretLimit) < 0 {
		return errors.New("switches for limits can't be negative")
	}
	return nil
}

func (s Switches) valueLimit() int   { return cmp.Or(s.ValueLimit, 32768) }
func (s Switches) versionLimit() int { return cmp.Or(s.VersionLimit, 20) }
func (s Switches) stageLimit() int   { return cmp.Or(s.StageLimit, 12) }
func (s Switches) secretLimit() int  { return cmp.Or(s.SecretLimit, 5000) }

func (s Switches) notFound(code string) *emulator.Failure {
	status := http.StatusNotFound
	if s.NotFoundIs400 {
		status = http.StatusBadRequest
	}
	return failWith(status, code, codeTexts[code])
}
