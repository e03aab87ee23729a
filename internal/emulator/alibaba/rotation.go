// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// workRotation is what faults call a rotation, asked for or by schedule: a delay
// makes it take so long on the service's clock, a hang lets it last until the
// fault is cleared, and any other fault makes it fail.
const workRotation = "Rotation"

// rotation is one that is under way.
type rotation struct {
	VersionID string // of the new version
	Due       time.Time
	Fault     int  `json:",omitempty"` // it lasts until this fault is cleared
	Fails     bool `json:",omitempty"`
}

// begin starts a rotation.
func (s *Server) begin(next *secret, versionID string, at time.Time) {
	switches := s.CurrentSwitches()
	r := &rotation{VersionID: versionID, Due: at.Add(time.Duration(switches.RotationSeconds) * time.Second)}
	for _, rule := range s.Faults().StrikeWork(emulator.Target{Operation: workRotation, Region: next.Region, Secret: next.Name}) {
		switch rule.Fault.Kind {
		case emulator.Delay:
			r.Due = r.Due.Add(rule.Fault.Duration)
		case emulator.Hang:
			r.Fault = rule.ID
		case emulator.Skew:
		default:
			r.Fails = true
		}
	}
	next.Managed.Pending = r
}

// finish is the end of a rotation that is under way.
func (s *Server) finish(next *secret, at time.Time) {
	m := next.Managed
	r := m.Pending
	m.Pending, next.Updated = nil, at
	if r.Fails {
		// The schedule stops.
		m.Invalid = !s.CurrentSwitches().QuietFailures || m.Enabled
		m.NextRotation = time.Time{}
		return
	}
	current, _ := next.labelled(labelCurrent)
	previous, _ := next.labelled(labelPrevious)
	if m.Spare != "" {
		previous.Data = m.Spare
	}
	value := m.nextValue(next.Type, readLogin(current.Data), readLogin(previous.Data), at)
	next.Versions = append(next.Versions, version{ID: r.VersionID, Data: value, Created: at})
	next.mark(labelCurrent, r.VersionID)
	next.evict(maxVersions)
	m.Spare, m.Invalid, m.LastRotation = "", false, at
	m.schedule(next.Created)
}

// goOn does what the service does by itself and is due: rotations that end, and
// those that the schedule begins. The caller holds the lock.
func (s *Server) goOn(now time.Time) {
	for ref := range maps.Keys(s.managed) {
		found, there := s.secrets.LookupLocked(ref, now)
		if !there || found.Managed == nil {
			delete(s.managed, ref)
			continue
		}
		if found.pendingDeletion() || !s.due(found.Managed, now) {
			continue
		}
		next := found.copy()
		for s.due(next.Managed, now) {
			s.step(next, now)
		}
		if err := s.secrets.PutLocked(next); err != nil {
			s.Core().Logger.Error("a rotation could not be stored", "secret", ref.Name, "error", err)
		}
	}
}

// due tells whether a rotation has to end or begin by now.
func (s *Server) due(m *managed, now time.Time) bool {
	if p := m.Pending; p != nil {
		_, held := s.Faults().Find(p.Fault)
		return !held && !p.Due.After(now)
	}
	return !m.NextRotation.IsZero() && !m.NextRotation.After(now)
}

// step ends or begins one rotation. Of those that were missed while the clock
// went far ahead, only as many are made up for as a secret has versions.
func (s *Server) step(next *secret, now time.Time) {
	m := next.Managed
	if p := m.Pending; p != nil {
		at := p.Due
		if p.Fault != 0 {
			at = now
		}
		s.finish(next, at)
		return
	}
	at := m.NextRotation
	if missed := int64(now.Sub(at) / m.Interval); missed >= maxVersions {
		at = at.Add(time.Duration(missed-maxVersions+1) * m.Interval)
	}
	s.begin(next, "rotation-"+randomText(24), at)
}

// Find returns a secret as it is stored, after what is due by now.
func (s *Server) Find(ref emulator.Ref) (emulator.Secret, bool) {
	s.catchUp()
	return s.Base.Find(ref)
}

// Inspect is Find for a secret of the example account.
func (s *Server) Inspect(region, name string) (emulator.Secret, bool) {
	return s.Find(emulator.Ref{Region: region, Name: name})
}

// List returns the secrets of an account in a region, ordered by name, after
// what is due by now.
func (s *Server) List(account, region string) []emulator.Secret {
	s.catchUp()
	return s.Base.List(account, region)
}

func (s *Server) catchUp() {
	s.secrets.Lock()
	defer s.secrets.Unlock()
	s.goOn(s.Clock().Now())
}

// rotatable returns a copy of a managed secret that isn't to be deleted.
func (c *call) rotatable(name string) (*secret, *emulator.Failure) {
	next, failure := c.editable(name)
	switch {
	case failure != nil:
		return nil, failure
	case next.Managed == nil:
		return nil, fail(cmp.Or(c.switches.WrongTypeCode, codeInvalidParameter), "The operation is for managed secrets only.")
	}
	return next, nil
}

func rotateSecret(c *call, r *reader) work {
	name := r.secretName()
	r.need("VersionId")
	id := r.versionID("VersionId")
	return func() (reply, *emulator.Failure) {
		next, failure := c.rotatable(name)
		if failure != nil {
			return nil, failure
		}
		answer := reply{"Arn": next.arn(), "SecretName": next.Name, "VersionId": id}
		_, repeated := next.find(id)
		switch pending := next.Managed.Pending; {
		case repeated, pending != nil && (pending.VersionID == id || c.switches.RotatingCode == ""):
			return answer, nil // without effect
		case pending != nil:
			return nil, fail(c.switches.RotatingCode, "The secret is rotating.")
		case !c.server.mayRotate(c.Account.AccountID, c.now, c.switches.rotationLimit()):
			return nil, fail(codeThrottled, "The number of rotations within an hour exceeds the limit.")
		}
		c.server.begin(next, id, c.now)
		for c.server.due(next.Managed, c.now) {
			c.server.step(next, c.now)
		}
		return answer, c.store(next)
	}
}

// mayRotate counts a rotation that an account asks for, unless it is over the
// limit of an hour.
func (s *Server) mayRotate(account string, now time.Time, limit int) bool {
	asked := slices.DeleteFunc(s.rotations[account], func(at time.Time) bool { return now.Sub(at).Abs() >= time.Hour })
	s.rotations[account] = asked
	if len(asked) >= limit {
		return false
	}
	s.rotations[account] = append(asked, now)
	return true
}

func updateSecretRotationPolicy(c *call, r *reader) work {
	name := r.secretName()
	r.need("EnableAutomaticRotation")
	enabled := r.flag("EnableAutomaticRotation", false)
	interval := r.interval(enabled)
	return func() (reply, *emulator.Failure) {
		next, failure := c.rotatable(name)
		if failure != nil {
			return nil, failure
		}
		m := next.Managed
		m.Enabled, m.Interval, m.Invalid = enabled, interval, false
		m.schedule(next.Created)
		return reply{"SecretName": next.Name}, c.store(next)
	}
}
