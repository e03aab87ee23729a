// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// RotationWork is what faults call the run of a rotation's function, which
// nobody calls over the API: with Error it fails, with the code and message as the
// task tells them; with Delay it takes so long by the service's clock; with Hang it
// goes on until the fault is cleared. Without a fault it takes no time.
const RotationWork = "RotationFunction"

// stagePending is at the version whose password isn't set yet.
const stagePending = "SYSPENDING"

// The states of a task. That of one under way isn't documented.
const (
	taskRunning = "RUNNING" // guess
	taskDone    = "SUCCESS"
	taskFailed  = "FAILED"
)

// Error codes of tasks, all of them guesses.
const (
	taskNoAgency   = "CSMS.0403"
	taskNoFunction = "FSS.1051"
	taskBroken     = "FSS.1422"
)

// keptTasks bounds the history of a secret.
const keptTasks = 2000

// task is one rotation.
type task struct {
	ID, Status string
	Function   string
	SubType    string
	Created    time.Time
	Due        time.Time // when it ends, unless it is held
	Held       int       // fault that holds it, 0 for none
	Code       string    // of its failure, that is to come
	Message    string
	Pending    int // version that it makes, 0 for none so far
}

// running returns the task under way.
func (s *secret) running() *task {
	i := slices.IndexFunc(s.Tasks, func(t task) bool { return t.Status == taskRunning })
	if i < 0 {
		return nil
	}
	return &s.Tasks[i]
}

// present brings a secret up to a time: rotations that have fallen due begin,
// and those whose work is done end. Nothing goes on in the background.
func (s *Server) present(found *secret, now time.Time) *secret {
	if found.Type == typeCommon {
		return found
	}
	next := found.copy()
	for changed := false; ; changed = true {
		if !s.step(next, now) {
			if !changed {
				return found
			}
			break
		}
	}
	if err := s.secrets.PutLocked(next); err != nil {
		s.Core().Logger.Error("a rotation could not be stored", "secret", next.Name, "error", err)
		return found
	}
	return next
}

// step ends or begins one rotation, if one has fallen due.
func (s *Server) step(next *secret, now time.Time) bool {
	if t := next.running(); t != nil {
		if _, held := s.Faults().Find(t.Held); held || now.Before(t.Due) {
			return false
		}
		s.end(next, t)
		return true
	}
	r := next.Rotation
	if next.State != stateEnabled || r.Next.IsZero() || now.Before(r.Next) {
		return false
	}
	s.begin(next, r.Next)
	return true
}

// begin starts the rotation's function.
func (s *Server) begin(next *secret, now time.Time) task {
	settings, _ := next.Rotation.config()
	t := task{ID: newUUID(), Status: taskRunning, Function: next.Rotation.Function, SubType: settings.SubType, Created: now, Due: now}
	switches := s.CurrentSwitches()
	made, possible := switches.rotated(next)
	switch {
	case t.Function == "" && next.Type != typeLegacy:
		t.Code, t.Message = taskNoFunction, "The function does not exist."
	case next.Type != typeLegacy && !s.agencies.granted(next.Account, next.Type):
		t.Code, t.Message = taskNoAgency, "The agency for the rotation function does not exist."
	case !possible:
		t.Code, t.Message = taskBroken, "The function could not read the secret value."
	default:
		next.LastVersion++
		made.Number, made.KMSKeyID, made.Created, made.Expires = next.LastVersion, next.KMSKeyID, now, time.Time{}
		t.Pending = made.Number
		next.Versions = append(next.Versions, made)
		next.move(stagePending, made.Number, now)
	}
	for _, rule := range s.Faults().StrikeWork(emulator.Target{Operation: RotationWork, Region: next.Project, Secret: next.Name}) {
		switch rule.Fault.Kind {
		case emulator.Delay:
			t.Due = t.Due.Add(rule.Fault.Duration)
		case emulator.Hang:
			t.Held = rule.ID
		case emulator.Error, emulator.HTTP, emulator.Drop:
			t.Code, t.Message = cmp.Or(rule.Fault.Code, taskBroken), cmp.Or(rule.Fault.Message, "The function failed.")
		case emulator.Skew:
		}
	}
	next.Rotation.schedule(now)
	next.Tasks = append(next.Tasks[max(0, len(next.Tasks)-keptTasks+1):], t)
	return t
}

// end makes the pending version the current one, or drops it.
func (s *Server) end(next *secret, t *task) {
	next.Stages = slices.DeleteFunc(next.Stages, func(one stage) bool { return one.Name == stagePending })
	next.Updated = t.Due
	if t.Code != "" {
		t.Status = taskFailed
		if !s.CurrentSwitches().PendingStays {
			next.Versions = slices.DeleteFunc(next.Versions, func(v version) bool { return v.Number == t.Pending })
		} else if t.Pending > 0 {
			next.move(stagePending, t.Pending, t.Due)
		}
		return
	}
	t.Status = taskDone
	next.makeCurrent(t.Pending, t.Due)
	next.Rotation.Last = t.Due
	next.dropUnstaged(s.CurrentSwitches().versionLimit())
}

func rotateSecret(c *call) (any, *emulator.Failure) {
	found, failure := c.enabled()
	switch {
	case failure != nil:
		return nil, failure
	case found.Type == typeCommon:
		return nil, failWith(0, codeRequest, "Common secrets do not support rotation.")
	case found.Type != typeLegacy && found.Rotation.Function == "":
		return nil, invalid("the secret has no rotation_func_urn")
	case found.running() != nil && !c.switches.RotatesTwice:
		return nil, failWith(0, codeRotating, "The secret is being rotated.")
	}
	next := found.copy()
	if t := next.running(); t != nil {
		c.server.end(next, t)
	}
	t := c.server.begin(next, c.now)
	if found.Type != typeLegacy {
		return object{"rotation_task_id": t.ID}, c.store(next)
	}
	c.server.end(next, next.running())
	if t.Code != "" {
		return nil, failWith(0, t.Code, t.Message)
	}
	return object{"version_id": versionID(t.Pending), "secret_name": next.Name}, c.store(next)
}

// Find implements emulator.Service by the secret's state at this time.
func (s *Server) Find(ref emulator.Ref) (emulator.Secret, bool) {
	s.secrets.Lock()
	defer s.secrets.Unlock()
	now := s.Clock().Now()
	found, ok := s.secrets.LookupLocked(ref.WithAccount(), now)
	if !ok {
		return emulator.Secret{}, false
	}
	return s.present(found, now).Export(), true
}

// Inspect is Find in the example account.
func (s *Server) Inspect(project, name string) (emulator.Secret, bool) {
	return s.Find(emulator.Ref{Region: project, Name: name})
}

// List implements emulator.Service by the states at this time.
func (s *Server) List(account, project string) []emulator.Secret {
	s.secrets.Lock()
	defer s.secrets.Unlock()
	now := s.Clock().Now()
	account = emulator.Ref{Account: account}.WithAccount().Account
	stored := s.secrets.ListLocked(account, project, now)
	list := make([]emulator.Secret, len(stored))
	for i, one := range stored {
		list[i] = s.present(one, now).Export()
	}
	return list
}
