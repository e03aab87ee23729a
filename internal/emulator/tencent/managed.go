// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"
)

// The types of secrets whose values the service makes and that can be created
// here.
const (
	typeProduct = 1 // an account of a database
	typeSSHKey  = 2
)

// managed is what a secret of the service's own types has beyond a custom one.
type managed struct {
	Product  string // as DescribeSupportedProducts names it
	Instance string // of the product, whose accounts these are

	// Accounts take turns: a rotation gives the other one a new password and
	// makes it the current one.
	Accounts [2]string
	Made     int // values that were made so far

	Domains       []string
	Privileges    []privilegeUnit
	AccountRemark string
	AccountType   string
	HSMCluster    string
	EncryptType   uint64

	Schedule schedule
	Flows    []flow // oldest first; only the last can be going on

	SSHKey *sshKey // of an SSH key pair, else nil
}

// schedule is when values are rotated.
type schedule struct {
	Enabled bool
	Days    int64
	Begin   time.Time // rotations are so many times Days after it
	Next    time.Time // zero while it is switched off
	Latest  time.Time // of whatever rotation, zero before the first
}

// copy returns a record to be changed.
func (m *managed) copy() *managed {
	if m == nil {
		return nil
	}
	next := *m
	next.Flows = slices.Clone(m.Flows)
	return &next
}

// running is the flow that is going on, nil if none is.
func (m *managed) running() *flow {
	if n := len(m.Flows); n > 0 && !m.Flows[n-1].Ended {
		return &m.Flows[n-1]
	}
	return nil
}

// enable sets the schedule to begin at a time, which may be past.
func (s *schedule) enable(begin time.Time, days int64, now time.Time) {
	s.Enabled, s.Begin, s.Days = true, begin, days
	s.Next = begin
	for period := s.period(); !s.Next.After(now); {
		s.Next = s.Next.Add(period)
	}
}

func (s *schedule) disable() { s.Enabled, s.Next = false, time.Time{} }

func (s *schedule) period() time.Duration { return time.Duration(max(s.Days, 1)) * 24 * time.Hour }

// zone is that of the service's times where they are text.
var zone = time.FixedZone("UTC+8", 8*60*60)

// wallTime is a time as the service writes it, "" for none.
func wallTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format(time.DateTime)
}

// newAccounts are the names of the two accounts that a prefix gives.
func newAccounts(prefix string) [2]string {
	suffix := rand.Text()
	return [2]string{prefix + "_SSM_" + suffix[:3], prefix + "_SSM_" + suffix[3:6]}
}

// maxHistory is how many former values are kept.
const maxHistory = 10

// rotate makes another value the current one. The former keeps being readable
// under an id with the time.
func (s *secret) rotate(at time.Time) {
	if n := len(s.Versions); n > 0 {
		s.Versions[n-1].ID = s.historyID(at)
		s.Managed.Schedule.Latest = at
	}
	content, _ := json.Marshal(map[string]string{ // strings always encode
		"UserName": s.Managed.Accounts[s.Managed.Made%2], "Password": rand.Text(),
	})
	s.Managed.Made++
	s.Versions = append(s.Versions, version{ID: currentVersionID, Value: content, Created: at})
	if surplus := len(s.Versions) - 1 - maxHistory; surplus > 0 {
		s.Versions = slices.Delete(s.Versions, 0, surplus)
	}
}

// historyID is free: of two rotations within a second the later one's is of the
// next.
func (s *secret) historyID(at time.Time) string {
	for {
		id := "SSM_Rotate_" + at.In(zone).Format("20060102150405")
		if s.find(id) < 0 {
			return id
		}
		at = at.Add(time.Second)
	}
}

// userName is the account of a version's value.
func (v version) userName() string {
	var value struct{ UserName string }
	_ = json.Unmarshal(v.Value, &value) // a seeded value may be anything
	return value.UserName
}
