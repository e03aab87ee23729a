// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"crypto/rand"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// The types of secrets that the service rotates. The legacy one can't be made
// any more, but there may be some.
const (
	typeRDS     = "RDS-FG"
	typeGaussDB = "GaussDB-FG"
	typeLegacy  = "RDS"
)

// The sub-types, as in rotation_config.
const (
	singleUser = "SingleUser"
	multiUser  = "MultiUser"
)

// Limits of rotations.
const (
	maxRotationConfig = 1024 // characters
	maxRotationPeriod = 50   // characters
	shortestPeriod    = 6 * time.Hour
	longestPeriod     = 8760 * time.Hour
)

var (
	periodForm   = regexp.MustCompile(`^([0-9]{1,9})([dhms])$`)
	functionForm = regexp.MustCompile(`^urn:fss:[^:\s]+:[^:\s]+:function:[^:\s]+:[^:\s]+:[^:\s]+$`)
)

// rotation is what a managed secret is rotated by. Its zero value belongs to
// secrets that aren't.
type rotation struct {
	Auto     bool
	Period   string // as it was given
	Config   string // as it was given
	Function string // its URN
	Last     time.Time
	Next     time.Time // zero if none is scheduled
}

func (r rotation) empty() bool { return !r.Auto && r.Period+r.Config+r.Function == "" }

// period reads a rotation_period.
func period(text string) (time.Duration, bool) {
	parts := periodForm.FindStringSubmatch(text)
	if parts == nil || len(text) > maxRotationPeriod {
		return 0, false
	}
	count, err := strconv.Atoi(parts[1])
	unit := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second}[parts[2]]
	if err != nil || time.Duration(count) > longestPeriod/unit {
		return 0, false
	}
	length := time.Duration(count) * unit
	return length, length >= shortestPeriod
}

// config is a rotation_config. That of the legacy type has another name for the
// instance.
type config struct {
	Instance string `json:"InstanceId,omitempty"`
	Legacy   string `json:"RDSInstanceId,omitempty"`
	SubType  string `json:"SecretSubType"`
}

func (r rotation) config() (config, bool) {
	var c config
	err := json.Unmarshal([]byte(r.Config), &c)
	return c, err == nil && c.Instance != "" && (c.SubType == singleUser || c.SubType == multiUser)
}

// check tells whether a managed secret can be rotated so.
func (r rotation) check() *emulator.Failure {
	_, wellFormed := r.config()
	_, legal := period(r.Period)
	switch {
	case !wellFormed || len(r.Config) > maxRotationConfig:
		return invalid(`rotation_config is {"InstanceId":"","SecretSubType":"SingleUser or MultiUser"}, of at most 1024 characters`)
	case r.Period != "" && !legal:
		return invalid("rotation_period is a number with d, h, m or s, from 6 to 8760 hours")
	case r.Function != "" && !functionForm.MatchString(r.Function):
		return invalid("rotation_func_urn is the URN of a function")
	case r.Auto && (r.Period == "" || r.Function == ""):
		return invalid("auto_rotation needs rotation_period and rotation_func_urn")
	}
	return nil
}

// schedule counts the period from a rotation, or from now for the first.
func (r *rotation) schedule(from time.Time) {
	r.Next = time.Time{}
	if length, ok := period(r.Period); ok && r.Auto {
		r.Next = from.Add(length)
	}
}

// managedType tells whether secrets of the type can be made besides common ones.
func managedType(name string) bool { return name == typeRDS || name == typeGaussDB }

// account is a login of a database.
type account struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// accounts are the logins that a value holds, in the shape that is documented
// for the legacy type, or in that of a single one.
func accounts(v version) ([]account, bool) {
	var value struct {
		account
		Users []account `json:"users"`
	}
	if err := json.Unmarshal(v.Value, &value); err != nil {
		return nil, false
	}
	users := value.Users
	if users == nil {
		users = []account{value.account}
	}
	for _, u := range users {
		if u.Name == "" || u.Password == "" {
			return nil, false
		}
	}
	return users, len(users) > 0
}

// The shapes that the rotation's function may write values in.
const (
	valueUsers  = "users"
	valueFlat   = "flat"
	valueBinary = "binary"
)

// holding returns a version like v with a value that holds users.
func (s Switches) holding(v version, users []account) version {
	shape := s.ManagedValue
	if flat := !strings.Contains(string(v.Value), `"users"`); shape == "" && flat {
		shape = valueFlat
	}
	var content any = object{"users": users}
	if shape == valueFlat && len(users) == 1 {
		content = users[0]
	}
	v.Value, _ = json.Marshal(content) // plain types always encode
	v.Binary = v.Binary || shape == valueBinary
	return v
}

// managedVersions are the versions that a managed secret begins with: one, or
// one for each of two users. The first is the current one.
func (c *call) managedVersions(first version, r rotation) ([]version, *emulator.Failure) {
	users, ok := accounts(first)
	settings, _ := r.config()
	wanted := map[string]int{singleUser: 1, multiUser: 2}[settings.SubType]
	if !ok || len(users) != wanted {
		return nil, invalid(`the value is {"users":[{"name":"","password":""}]}, with one user for SingleUser and two for MultiUser`)
	}
	if wanted == 1 || c.switches.UsersInOneVersion {
		return []version{c.switches.holding(first, users)}, nil
	}
	return []version{c.switches.holding(first, users[:1]), c.switches.holding(first, users[1:])}, nil
}

// rotated is the value that follows in a secret: that of its one account, or of
// the one that isn't the current one, with a new password.
func (s Switches) rotated(of *secret) (version, bool) {
	basis, users := of.staging(stageCurrent)
	if len(users) == 0 {
		return version{}, false
	}
	if len(users) == 2 {
		users = []account{users[1], users[0]}
	} else if other, idle := of.staging(stagePrevious); len(idle) == 1 && idle[0].Name != users[0].Name {
		basis, users = other, idle
	}
	users[0].Password = rand.Text()
	return s.holding(basis, users), true
}

// staging returns the version that a stage marks, and the accounts in it.
func (s *secret) staging(name string) (version, []account) {
	marked, _ := s.stage(name)
	i := s.find(marked.Version)
	if i < 0 {
		return version{}, nil
	}
	users, _ := accounts(s.Versions[i])
	return s.Versions[i], users
}

// seededRotation is how a secret of a type is rotated that somebody else made
// for an instance, by hand alone.
func seededRotation(secretType, instance string) rotation {
	c := config{Instance: instance, SubType: singleUser}
	if secretType == typeLegacy {
		c = config{Legacy: instance, SubType: singleUser}
	}
	encoded, _ := json.Marshal(c) // plain fields always encode
	return rotation{Config: string(encoded)}
}

// shownConfig is a rotation_config in answers, whose examples have other quotes
// than JSON.
func (s Switches) shownConfig(text string) string {
	if s.SingleQuotes {
		return strings.ReplaceAll(text, `"`, "'")
	}
	return text
}

// showRotation adds to a secret in an answer how it is rotated.
func (c *call) showRotation(view object, r rotation) {
	view["auto_rotation"] = r.Auto
	if r.empty() {
		return
	}
	view["rotation_period"], view["rotation_func_urn"] = r.Period, r.Function
	view["rotation_config"] = c.switches.shownConfig(r.Config)
	view["rotation_time"], view["next_rotation_time"] = c.orNull(r.Last), c.orNull(r.Next)
}
