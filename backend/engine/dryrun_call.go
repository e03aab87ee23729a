// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// PlannedCall is one step of a convergence: one call that changes something at a
// service, or the few that it takes there.
type PlannedCall struct {
	Action     plan.Action
	Operations []string // as the service names its calls
	RemoteName string

	VersionID string // that it is about; "" if about none, or if the service gives the id
	Assigned  bool   // the service gives the new version its id
	Version   uint64 // of Vault, whose value readers of the remote version get; 0 if it is about none
	SendsData bool
	Label     string // that the version gets

	Description string // new one, with the mark
	SetTags     map[string]string
	RemoveTags  []string
	KMSKeyID    string
	Window      time.Duration // of a deletion; 0 is at once
}

// calls are the remote calls of steps.
func (c *convergence) calls(steps []plan.Step) []PlannedCall {
	calls := make([]PlannedCall, 0, len(steps))
	for _, step := range steps {
		calls = append(calls, c.plannedCall(step))
	}
	return calls
}

func (c *convergence) plannedCall(step plan.Step) PlannedCall {
	call := PlannedCall{
		Action: step.Action, RemoteName: c.name, VersionID: step.VersionID, Version: step.Version.Number,
		SendsData: step.SendsValue(), Description: step.Description,
		SetTags: step.SetTags, RemoveTags: step.RemoveTags, KMSKeyID: step.KMSKeyID, Window: step.After,
	}
	switch step.Action {
	case plan.Create:
		call.SetTags, call.KMSKeyID = c.want.Tags, c.want.KMSKeyID
		fallthrough
	case plan.PutVersion:
		call.Label = c.o.kind.CurrentLabel
		if call.Assigned = c.o.kind.AssignsVersionIDs(); call.Assigned {
			call.VersionID = ""
		}
	case plan.MoveCurrent:
		call.Label = c.o.kind.CurrentLabel
	default:
	}
	call.Operations = c.o.kind.Operations(provider.Change{
		Method: methods[step.Action], Window: step.After, SetTags: len(call.SetTags), RemoveTags: len(call.RemoveTags),
	})
	return call
}

// methods are those of the contract with a provider, by action.
var methods = map[plan.Action]string{
	plan.Create: provider.MethodCreate, plan.PutVersion: provider.MethodPutVersion, plan.Overwrite: provider.MethodOverwrite,
	plan.DeleteVersion: provider.MethodDeleteVersion, plan.SetDescription: provider.MethodSetDescription,
	plan.Enable: provider.MethodEnable, plan.Disable: provider.MethodDisable, plan.Restore: provider.MethodRestore,
	plan.Delete: provider.MethodDelete, plan.MoveCurrent: provider.MethodMoveCurrent,
	plan.ChangeTags: provider.MethodChangeTags, plan.ChangeKey: provider.MethodChangeKey,
}

// Lines tell a plan in words, a line for each call.
func (p *Plan) Lines() []string {
	var lines []string
	for _, r := range p.Replicas {
		lines = append(lines, r.lines()...)
	}
	if p.Idle() {
		lines = append(lines, fmt.Sprintf("secret %s: nothing to do", p.Secret))
	}
	for _, note := range p.Notes {
		lines = append(lines, "note: "+note)
	}
	return lines
}

func (r *PlannedReplica) lines() []string {
	subject := r.Destination
	switch {
	case r.Key != "":
		subject += ", key " + r.Key
	case r.Former:
		subject += ", former name " + r.RemoteName
	}
	subject += ": "
	var lines []string
	for _, call := range r.Calls {
		lines = append(lines, subject+call.String())
	}
	switch {
	case r.Refused != nil && len(r.Calls) > 0:
		lines = append(lines, fmt.Sprintf("%sthen blocked (%s): %s", subject, r.Refused.Class, r.Refused.Message))
	case r.Refused != nil:
		lines = append(lines, fmt.Sprintf("%sno call: blocked (%s): %s", subject, r.Refused.Class, r.Refused.Message))
	}
	if r.Drifted {
		lines = append(lines, subject+"the remote secret isn't what this mount last made or saw; the above follows a look at it, which a convergence takes only when it has a reason to")
	}
	for _, cause := range r.Waits {
		lines = append(lines, subject+"waits: "+cause)
	}
	for _, note := range r.Notes {
		lines = append(lines, subject+"note: "+note)
	}
	return lines
}

// String is the call as an operator would tell it.
func (c *PlannedCall) String() string {
	return strings.Join(c.Operations, ", ") + " " + c.RemoteName + ": " + strings.Join(c.parts(), "; ")
}

func (c *PlannedCall) parts() []string {
	id := c.VersionID
	if c.Assigned {
		id = "with an id assigned by the service"
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch c.Action {
	case plan.Create:
		add("make the remote secret, version %s with the value of version %d", id, c.Version)
	case plan.PutVersion:
		add("add version %s with the value of version %d", id, c.Version)
	case plan.Overwrite:
		add("put the value of version %d in place of that of version %s", c.Version, id)
	case plan.DeleteVersion:
		add("delete version %s for good", id)
	case plan.SetDescription:
		if _, mark := owner.Split(c.Description); mark.IsZero() {
			add("take this mount's mark off the description, and leave the secret as it is")
		} else {
			add("set the description to %q", c.Description)
		}
	case plan.MoveCurrent:
		add("move the label %s to version %s, which holds the value of version %d; no value is sent", c.Label, id, c.Version)
	case plan.ChangeKey:
		add("encrypt later versions under the key %s", c.KMSKeyID)
	default:
		if text := c.plain(); text != "" {
			add("%s", text)
		}
	}
	if c.Label != "" && c.Action != plan.MoveCurrent {
		add("it gets the label %s", c.Label)
	}
	if len(c.SetTags) > 0 {
		add("set tags %s", pairs(c.SetTags))
	}
	if len(c.RemoveTags) > 0 {
		add("remove tags %s", strings.Join(c.RemoveTags, ", "))
	}
	if c.Action == plan.Create && c.KMSKeyID != "" {
		add("under the key %s", c.KMSKeyID)
	}
	return parts
}

// plain tells of a call that needs no more than its name.
func (c *PlannedCall) plain() string {
	switch {
	case c.Action == plan.Enable:
		return "let it be read again"
	case c.Action == plan.Disable:
		return "stop it from being read"
	case c.Action == plan.Restore:
		return "cancel its deletion"
	case c.Action == plan.Delete && c.Window == 0:
		return "delete it at once, which can't be undone"
	case c.Action == plan.Delete:
		return fmt.Sprintf("delete it after %d days, until when it can be restored", int(c.Window/provider.Days(1)))
	default:
		return ""
	}
}

func pairs(tags map[string]string) string {
	texts := make([]string, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		texts = append(texts, key+"="+tags[key])
	}
	return strings.Join(texts, ", ")
}
