// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"crypto/rand"
	"math/big"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// flow is work that the service does after it has answered. It goes on until it
// was looked at often enough, and until its time has come.
type flow struct {
	ID        int64
	Work      string
	Scheduled bool      // begun by nobody's call
	Due       time.Time // on the service's clock
	Looks     int       // that still find it running
	Ended     bool
	Failure   string // why it fails, or failed; "" if it doesn't

	hang int // the fault that holds it up, 0 for none; faults end with the process
}

// The kinds of work, and the operations by which faults strike them: a delay is
// time on the service's clock.
const (
	workCreation = "Creation"
	workRotation = "Rotation"
	workDeletion = "Deletion"
)

// keptFlows bounds the flows that a secret remembers.
const keptFlows = 10

// begin starts work on a secret that is being changed.
func (s *Server) begin(next *secret, f flow, at time.Time) flow {
	f.ID, f.Due = newFlowID(), at
	for _, fault := range s.Faults().StrikeWork(emulator.Target{Operation: f.Work, Region: next.Region, Secret: next.Name}) {
		switch fault.Fault.Kind {
		case emulator.Delay:
			f.Due = f.Due.Add(fault.Fault.Duration)
		case emulator.Hang:
			f.hang = fault.ID
		case emulator.Skew:
		case emulator.Error, emulator.HTTP, emulator.Drop:
			f.Failure = "the work failed"
			if fault.Fault.Message != "" {
				f.Failure = fault.Fault.Message
			} else if fault.Fault.Code != "" {
				f.Failure = fault.Fault.Code
			}
		}
	}
	if going := next.Managed.running(); going != nil {
		going.Ended, going.Failure = true, "the secret was deleted"
	}
	next.Managed.Flows = append(next.Managed.Flows, f)
	next.Managed.Flows = slices.Delete(next.Managed.Flows, 0, max(0, len(next.Managed.Flows)-keptFlows))
	return f
}

// newFlowID is as large as those of examples, or larger.
func newFlowID() int64 {
	n, _ := rand.Int(rand.Reader, big.NewInt(1<<40)) // the reader never fails
	return n.Int64() + 1
}

func (s *Server) finished(f *flow, now time.Time) bool {
	_, held := s.Faults().Find(f.hang)
	return f.Looks == 0 && !now.Before(f.Due) && !(f.hang != 0 && held)
}

// settled returns a secret with everything that has happened to it by now, and
// whether that is news. A look brings what is going on closer to its end.
func (s *Server) settled(stored *secret, now time.Time, look bool) (next *secret, news bool) {
	if stored.Managed == nil {
		return stored, false
	}
	next = stored.copy()
	for {
		switch f := next.Managed.running(); {
		case f != nil && s.finished(f, now):
			next.end(f, now)
		case f != nil && look && f.Looks > 0:
			f.Looks--
			return next, true
		case f != nil || !next.rotationDue(now):
			return next, news
		default:
			due := next.Managed.Schedule.Next
			next.Managed.Schedule.Next = due.Add(next.Managed.Schedule.period())
			s.begin(next, flow{Work: workRotation, Scheduled: true}, due)
		}
		news = true
	}
}

func (s *secret) rotationDue(now time.Time) bool {
	schedule := s.Managed.Schedule
	return s.Status == statusEnabled && schedule.Enabled && !now.Before(schedule.Next)
}

// end gives a flow its effect.
func (s *secret) end(f *flow, now time.Time) {
	f.Ended = true
	if f.Scheduled {
		now = f.Due // though nobody looked then
	}
	switch {
	case f.Work == workCreation && f.Failure != "":
		s.Status = statusFailed
		s.Managed.Schedule.disable()
	case f.Failure != "":
	case f.Work == workCreation:
		s.Status = statusEnabled
		s.rotate(now)
	case f.Work == workRotation:
		s.rotate(now)
	case f.Work == workDeletion && s.Status != statusPendingDelete:
		s.DeleteAt = now
	}
}

// settle is settled for a secret that may have been stored; nil if it is gone.
func (c *call) settle(stored *secret, look bool) (*secret, *emulator.Failure) {
	next, news := c.server.settled(stored, c.now, look)
	if !news {
		return stored, nil
	}
	if failure := c.store(next); failure != nil {
		return nil, failure
	}
	if next.Gone(c.now) {
		return nil, secretNotFound()
	}
	return next, nil
}

// settleAll does so for all secrets of the caller in the region.
func (c *call) settleAll() *emulator.Failure {
	for _, stored := range c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now) {
		if _, failure := c.settle(stored, false); failure != nil && failure.Code != codeNotFound {
			return failure
		}
	}
	return nil
}

// settleFor is settleAll behind the back of callers.
func (s *Server) settleFor(account, region string) {
	s.secrets.Lock()
	defer s.secrets.Unlock()
	now := s.Clock().Now()
	for _, stored := range s.secrets.ListLocked(account, region, now) {
		if next, news := s.settled(stored, now, false); news {
			if err := s.secrets.PutLocked(next); err != nil {
				s.Core().Logger.Error("what happened to a secret could not be stored", "secret", next.Name, "error", err)
			}
		}
	}
}

// Find implements emulator.Service.
func (s *Server) Find(ref emulator.Ref) (emulator.Secret, bool) {
	ref = ref.WithAccount()
	s.settleFor(ref.Account, ref.Region)
	return s.Base.Find(ref)
}

// Inspect returns a secret of the example account as it is stored.
func (s *Server) Inspect(region, name string) (emulator.Secret, bool) {
	return s.Find(emulator.Ref{Region: region, Name: name})
}

// List implements emulator.Service.
func (s *Server) List(account, region string) []emulator.Secret {
	s.settleFor(emulator.Ref{Account: account}.WithAccount().Account, region)
	return s.Base.List(account, region)
}

type flowParameters struct {
	FlowID int64 `need:"true"`
}

// The states of a flow.
const (
	taskRunning = iota
	taskSucceeded
	taskFailed
)

// describeAsyncRequestInfo knows the latest flows of each secret that is there.
func describeAsyncRequestInfo(c *call, p flowParameters) (reply, *emulator.Failure) {
	has := func(f flow) bool { return f.ID == p.FlowID }
	found, ok := c.server.secrets.SearchLocked(func(s *secret) bool {
		return s.Account == c.Account.AccountID && s.Region == c.Region && s.Managed != nil && slices.ContainsFunc(s.Managed.Flows, has)
	})
	if !ok {
		return nil, fail(codeNotFound, "The asynchronous request does not exist.")
	}
	next, news := c.server.settled(found, c.now, true)
	if news {
		if failure := c.store(next); failure != nil {
			return nil, failure
		}
	}
	i := slices.IndexFunc(next.Managed.Flows, has)
	if i < 0 { // scheduled rotations have pushed it out just now
		return nil, fail(codeNotFound, "The asynchronous request does not exist.")
	}
	switch f := next.Managed.Flows[i]; {
	case !f.Ended:
		return reply{"TaskStatus": taskRunning, "Description": "running"}, nil
	case f.Failure != "":
		return reply{"TaskStatus": taskFailed, "Description": f.Failure}, nil
	}
	return reply{"TaskStatus": taskSucceeded, "Description": "success"}, nil
}
