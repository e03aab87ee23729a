// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"net/http"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// makeCurrent moves SYSCURRENT, and SYSPREVIOUS after it.
func (s *secret) makeCurrent(number int, now time.Time) {
	before, ok := s.stage(stageCurrent)
	s.move(stageCurrent, number, now)
	if ok && before.Version != number {
		s.move(stagePrevious, before.Version, now)
	}
}

// mark moves stages to a version. One that is named goes where it is said, also
// if it is SYSPREVIOUS.
func (c *call) mark(next *secret, number int, stages []string) {
	if slices.Contains(stages, stageCurrent) && !c.switches.PreviousStays {
		next.makeCurrent(number, c.now)
	}
	for _, name := range stages {
		next.move(name, number, c.now)
	}
}

// checkStages checks the stages of one call by themselves.
func checkStages(stages []string) *emulator.Failure {
	if len(stages) > stagesPerCall {
		return fail(codeStageQuota)
	}
	for i, name := range stages {
		if failure := checkStage(name); failure != nil {
			return failure
		}
		if slices.Contains(stages[:i], name) {
			return invalid("a stage is named twice")
		}
	}
	return nil
}

// stagesFit keeps the secret within its number of stages.
func (c *call) stagesFit(next *secret) *emulator.Failure {
	count := 0
	for _, one := range next.Stages {
		if !c.switches.FreeBuiltins || !builtin(one.Name) {
			count++
		}
	}
	if count > c.switches.stageLimit() {
		return fail(codeStageLimit)
	}
	return nil
}

func builtin(stage string) bool { return stage == stageCurrent || stage == stagePrevious }

// staged returns a copy of the secret to change stages of, and the stage's name.
func (c *call) staged() (*secret, string, *emulator.Failure) {
	found, failure := c.secret()
	if failure != nil {
		return nil, "", failure
	}
	name := c.values["stage_name"]
	if failure := checkStage(name); failure != nil {
		return nil, "", failure
	}
	if found.State == statePendingDelete && !c.switches.StagesWhilePending {
		return nil, "", fail(codePendingDelete)
	}
	return found.copy(), name, c.manageable(found)
}

type stageUpdate struct {
	VersionID string `json:"version_id"`
}

// updateStage makes the stage if there is none of that name.
func updateStage(c *call, b stageUpdate) (any, *emulator.Failure) {
	next, name, failure := c.staged()
	if failure != nil {
		return nil, failure
	}
	number, ok := versionNumber(b.VersionID)
	switch {
	case !ok:
		return nil, invalid("version_id is v1, v2 and so on")
	case next.find(number) < 0:
		return nil, c.switches.notFound(codeNotFound)
	}
	c.mark(next, number, []string{name})
	if failure := c.stagesFit(next); failure != nil {
		return nil, failure
	}
	if c.switches.DropUnstaged {
		next.dropUnstaged(0)
	}
	return c.showingStage(next, name), c.store(next)
}

func showStage(c *call) (any, *emulator.Failure) {
	found, failure := c.secret()
	if failure != nil {
		return nil, failure
	}
	name := c.values["stage_name"]
	if failure := checkStage(name); failure != nil {
		return nil, failure
	}
	if _, ok := found.stage(name); !ok {
		return nil, c.switches.notFound(codeNotFound)
	}
	return c.showingStage(found, name), nil
}

func (c *call) showingStage(s *secret, name string) object {
	shown, _ := s.stage(name)
	return object{"stage": object{
		"name": shown.Name, "update_time": c.milliseconds(shown.Moved), "secret_name": s.Name, "version_id": versionID(shown.Version),
	}}
}

func deleteStage(c *call) (any, *emulator.Failure) {
	next, name, failure := c.staged()
	switch {
	case failure != nil:
		return nil, failure
	case builtin(name):
		return nil, fail(codeInternalStage)
	}
	if _, ok := next.stage(name); !ok && !c.switches.DeleteAbsentStage {
		return nil, c.switches.notFound(codeNotFound)
	}
	next.Stages = slices.DeleteFunc(next.Stages, func(one stage) bool { return one.Name == name })
	if c.switches.DropUnstaged {
		next.dropUnstaged(0)
	}
	return noBody(http.StatusNoContent), c.store(next)
}
