// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// The types of managed secrets, whose values the service writes.
const (
	typeRDS     = "Rds"
	typeRAM     = "RAMCredentials"
	typeECS     = "ECS"
	typeRedis   = "Redis"
	typePolarDB = "PolarDB"
)

// The kinds of managed secrets within the types.
const (
	subSingleUser = "SingleUser"
	subDoubleUser = "DoubleUsers"
	subAccessKey  = "RamUserAccessKey"
	subPassword   = "Password"
	subSSHKey     = "SSHKey"
)

// Members of ExtendedConfig that the emulator itself looks at.
const (
	configSubType = "SecretSubType"
	configCustom  = "CustomData"
	configAccount = "AccountName"
	configClone   = "CloneAccountName"
)

// autoText stands for a name or a value that the service makes up.
const autoText = "$Auto"

// managedType is what one type of managed secret is created with.
type managedType struct {
	subTypes           []string
	required, optional []string            // members of ExtendedConfig besides the two that all have
	values             map[string][]string // that some members are limited to
	auto               bool                // the service makes the first value
}

var managedTypes = map[string]managedType{
	typeRDS: {subTypes: []string{subSingleUser, subDoubleUser}, required: []string{"DBInstanceId"}},
	typeRAM: {subTypes: []string{subAccessKey}, required: []string{"UserName"}},
	typeECS: {subTypes: []string{subPassword, subSSHKey}, required: []string{"RegionId", "InstanceId"}},
	typeRedis: {
		subTypes: []string{subDoubleUser},
		required: []string{"RegionId", "InstanceId", configAccount, configClone, "AccountPrivilege"}, auto: true,
	},
	typePolarDB: {
		subTypes: []string{subDoubleUser},
		required: []string{"RegionId", "DBClusterId", "DBType", configAccount},
		optional: []string{configClone, "AccountType", "AccountPrivilege", "DBName"},
		values:   map[string][]string{"DBType": {"MySQL", "PostgreSQL"}, "AccountType": {"Normal"}}, auto: true,
	},
}

// typeNames are those of the managed types, in order.
func typeNames() []string { return slices.Sorted(maps.Keys(managedTypes)) }

// managed is what only a managed secret has.
type managed struct {
	Config map[string]any // ExtendedConfig
	// Spare is the login of a second account that was imported too, until the
	// first rotation turns to it.
	Spare string `json:",omitempty"`

	Enabled      bool          // the schedule is on
	Interval     time.Duration // of the schedule, also when it is off; 0 if it never had one
	Invalid      bool          // the latest rotation failed
	LastRotation time.Time     // zero if there was none
	NextRotation time.Time     // zero if none is scheduled
	Pending      *rotation     `json:",omitempty"` // under way
}

func (m *managed) copy() *managed {
	next := *m
	next.Config = maps.Clone(m.Config)
	if m.Pending != nil {
		pending := *m.Pending
		next.Pending = &pending
	}
	return &next
}

func (m *managed) subType() string { return m.text(configSubType) }

// text is a member of ExtendedConfig, "" if it isn't there.
func (m *managed) text(member string) string {
	text, _ := m.Config[member].(string)
	return text
}

// automaticRotation is the service's word for how the schedule fares.
func (m *managed) automaticRotation() string {
	switch {
	case m.Invalid:
		return "Invalid"
	case m.Enabled:
		return statusEnabled
	}
	return "Disabled"
}

// schedule sets when the next rotation falls due: an interval after the last
// one, or after the creation.
func (m *managed) schedule(created time.Time) {
	m.NextRotation = time.Time{}
	if m.Enabled && !m.Invalid {
		m.NextRotation = timeOr(m.LastRotation, created).Add(m.Interval)
	}
}

// describe adds what calls tell of a managed secret to their answers.
func (m *managed) describe(answer reply, withConfig bool) {
	answer["AutomaticRotation"] = m.automaticRotation()
	if m.Enabled && !m.Invalid {
		answer["RotationInterval"] = strconv.FormatInt(int64(m.Interval/time.Second), 10) + "s"
		answer["NextRotationDate"] = timeText(m.NextRotation)
	}
	if !m.LastRotation.IsZero() {
		answer["LastRotationDate"] = timeText(m.LastRotation)
	}
	if withConfig {
		text, _ := json.Marshal(m.Config) // what was JSON is JSON again
		answer["ExtendedConfig"] = string(text)
	}
}

// The bounds of RotationInterval.
const (
	minInterval = 6 * time.Hour
	maxInterval = 8760 * time.Hour
)

// interval reads RotationInterval, which has to be there for a schedule and
// counts for nothing without one.
func (r *reader) interval(enabled bool) time.Duration {
	if !enabled {
		return 0
	}
	text := r.need("RotationInterval")
	units := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second}
	unit := units[text[max(0, len(text)-1):]]
	n, err := strconv.ParseInt(text[:max(0, len(text)-1)], 10, 32)
	valid := err == nil && unit > 0 && n > 0 && n <= int64(maxInterval/unit) && time.Duration(n)*unit >= minInterval
	r.check("RotationInterval", text == "" || valid)
	return time.Duration(n) * unit
}

// extendedConfig reads ExtendedConfig for a type.
func (r *reader) extendedConfig(kind managedType) map[string]any {
	const name, longest = "ExtendedConfig", 1024
	text := r.need(name)
	config := map[string]any{}
	r.decode(name, &config)
	if text == "" || r.wrong != nil {
		return config
	}
	r.check(name, len([]rune(text)) <= longest)
	known := append(append([]string{configSubType, configCustom}, kind.required...), kind.optional...)
	for member, value := range config {
		given, isText := value.(string)
		allowed, limited := kind.values[member]
		r.check(name, slices.Contains(known, member) && (isText || member == configCustom))
		r.check(name, !limited || slices.Contains(allowed, given))
	}
	subType, _ := config[configSubType].(string)
	r.check(name, slices.Contains(kind.subTypes, subType))
	for _, member := range kind.required {
		given, _ := config[member].(string)
		r.check(name, given != "")
	}
	r.customData(name, config)
	return config
}

// customData checks CustomData, and makes it {} if it isn't there.
func (r *reader) customData(name string, config map[string]any) {
	const pairs = 10
	switch custom := config[configCustom].(type) {
	case nil:
		config[configCustom] = map[string]any{}
	case map[string]any:
		r.check(name, len(custom) <= pairs)
	default:
		r.check(name, false)
	}
}

// managedName reads the name of a new managed secret.
func (r *reader) managedName(kind string, limit int) string {
	name := r.need("SecretName")
	switch kind {
	case typeRAM:
		r.check("SecretName", name == "" || name == autoText)
	case typeECS:
		legal := nameForm.MatchString(name) && len(name) <= limit
		r.check("SecretName", name == "" || legal && strings.HasPrefix(name, "acs/ecs/") && name != "acs/ecs/")
	default:
		return r.createdName(limit)
	}
	return name
}

// createManaged is CreateSecret for a managed type.
func createManaged(c *call, r *reader, kind string) work {
	rules := managedTypes[kind]
	name := r.managedName(kind, c.switches.nameLimit())
	r.need("VersionId")
	r.check("SecretDataType", r.oneOf("SecretDataType", "text", "binary") == "text")
	enabled := r.flag("EnableAutomaticRotation", false)
	m := &managed{Enabled: enabled, Interval: r.interval(enabled), Config: r.extendedConfig(rules)}
	first := r.firstLogins(kind, m, rules.auto)
	next := &secret{
		Account: c.Account.AccountID, Region: c.Region, Name: name, Type: kind, Managed: m,
		Description: r.parameters["Description"], KMSKeyID: r.parameters["EncryptionKeyId"], Instance: r.parameters["DKMSInstanceId"],
		Labels: map[string]string{labelCurrent: r.parameters["VersionId"]},
	}
	id := r.versionID("VersionId")
	var list []tag
	r.decode("Tags", &list)
	tags := r.tags("Tags", list, c.switches)
	r.policy(next.Instance)
	return func() (reply, *emulator.Failure) {
		made := next.copy()
		if failure := c.mayManage(kind); failure != nil {
			return nil, failure
		}
		if kind == typeRAM {
			made.Name = c.ramName(m.text("UserName"))
		}
		made.Versions = []version{{ID: id, Data: made.Managed.firstValue(kind, first, c.now)}}
		made.Managed.schedule(c.now)
		answer, failure := c.create(made, tags)
		if failure != nil {
			return nil, failure
		}
		made.Managed.describe(answer, true)
		c.server.managed[made.Ref()] = true
		return answer, nil
	}
}

// mayManage checks what the first secret of a type asks for: the caller then has
// the service's role made.
func (c *call) mayManage(kind string) *emulator.Failure {
	if kind != typeRDS && kind != typeECS || c.Account.Allows("CreateServiceLinkedRole") {
		return nil
	}
	_, role := c.server.secrets.SearchLocked(func(s *secret) bool { return s.Account == c.Account.AccountID && s.Type == kind })
	if role {
		return nil
	}
	return noPermission()
}

// ramName makes the name of a secret for a RAM user. Its form isn't documented.
func (c *call) ramName(user string) string {
	name := "acs/ram/user/" + user
	if c.switches.RAMNameOfUser {
		return name
	}
	return name + "-" + randomText(8)
}
