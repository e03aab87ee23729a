// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"cmp"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// product returns a product secret, in whatever status.
func (c *call) productSecret(name string) (*secret, *emulator.Failure) {
	found, failure := c.secret(name)
	switch {
	case failure != nil:
		return nil, failure
	case found.Type != typeProduct:
		return nil, fail(codeFailedOperation, "The operation is for product secrets.")
	}
	return found, nil
}

func rotateProductSecret(c *call, p nameParameters) (reply, *emulator.Failure) {
	found, failure := c.productSecret(p.SecretName)
	if failure != nil {
		return nil, failure
	}
	if failure := cmp.Or(readable(found), c.keyUsable(found.KMSKeyID)); failure != nil {
		return nil, failure
	}
	switch {
	case !found.Managed.Schedule.Enabled && !c.switches.RotatesUnscheduled:
		return nil, fail(codeRotationForbidden, "The rotation of the secret is switched off.")
	case found.Managed.running() != nil:
		return nil, fail(codeFailedOperation, "The secret is being rotated.")
	}
	next := found.copy()
	started := c.server.begin(next, flow{Work: workRotation, Looks: c.switches.flowLooks()}, c.now)
	return reply{"FlowID": started.ID}, c.store(next)
}

type rotationParameters struct {
	SecretName        string `need:"true"`
	EnableRotation    bool   `need:"true"`
	Frequency         *int64
	RotationBeginTime string
}

func updateRotationStatus(c *call, p rotationParameters) (reply, *emulator.Failure) {
	found, failure := c.productSecret(p.SecretName)
	if failure != nil {
		return nil, failure
	}
	if failure := readable(found); failure != nil {
		return nil, failure
	}
	next := found.copy()
	days := p.Frequency
	if days == nil && next.Managed.Schedule.Days >= minRotationDays {
		days = &next.Managed.Schedule.Days
	}
	wanted, failure := c.schedule(p.EnableRotation, cmp.Or(p.RotationBeginTime, wallTime(c.now)), days)
	if failure != nil {
		return nil, failure
	}
	wanted.Latest = next.Managed.Schedule.Latest
	next.Managed.Schedule = wanted
	return reply{}, c.store(next)
}

func describeRotationDetail(c *call, p nameParameters) (reply, *emulator.Failure) {
	found, failure := c.productSecret(p.SecretName)
	if failure != nil {
		return nil, failure
	}
	s := found.Managed.Schedule
	answer := reply{"EnableRotation": s.Enabled, "Frequency": s.Days, "LatestRotateTime": nil, "NextRotateBeginTime": nil}
	if !s.Latest.IsZero() {
		answer["LatestRotateTime"] = wallTime(s.Latest)
	}
	if s.Enabled {
		answer["NextRotateBeginTime"] = wallTime(s.Next)
	}
	return answer, nil
}

// describeRotationHistory tells the former values, newest first.
func describeRotationHistory(c *call, p nameParameters) (reply, *emulator.Failure) {
	found, failure := c.productSecret(p.SecretName)
	if failure != nil {
		return nil, failure
	}
	ids := []string{}
	for i := len(found.Versions) - 2; i >= 0; i-- {
		ids = append(ids, found.Versions[i].ID)
	}
	answer := reply{"VersionIDs": ids, "TotalCount": len(ids)}
	if !c.switches.NoAccountInfo {
		answer["AccountInfoList"] = found.accounts()
	}
	return answer, nil
}

// accounts are the database accounts of all versions, newest first.
func (s *secret) accounts() []reply {
	rows := []reply{}
	for i := len(s.Versions) - 1; i >= 0; i-- {
		v := s.Versions[i]
		rows = append(rows, reply{
			"AccountName": v.userName(), "Host": s.Managed.Domains, "Version": v.ID, "RotatedTime": wallTime(v.Created),
		})
	}
	return rows
}
