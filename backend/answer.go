// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// awaitStatus waits for a secret's replicas, as long as asked for or else as the
// mount says, and returns where they stand; nil for a secret without any.
func awaitStatus(ctx context.Context, e *engine.Engine, name string, generation uint64, wait *int) (*engine.SecretStatus, error) {
	if generation == 0 {
		return nil, nil
	}
	config, err := e.Config(ctx)
	if err != nil {
		return nil, err
	}
	limit := config.Wait()
	if wait != nil {
		limit = time.Duration(*wait) * time.Second
	}
	e.Wait(ctx, name, generation, limit)
	return e.Status(ctx, name)
}

// attention orders states by how much attention they need, most first.
var attention = engine.States()

// overall is the state that needs most attention; "" without replicas.
func overall(status *engine.SecretStatus) engine.State {
	for _, state := range attention {
		for _, r := range status.Replicas {
			if r.State == state {
				return state
			}
		}
	}
	return ""
}

// addStatus puts where the replicas stand into an answer, in short.
func addStatus(resp *logical.Response, status *engine.SecretStatus) {
	if status == nil || len(status.Replicas) == 0 {
		return
	}
	resp.Data["state"] = string(overall(status))
	resp.Data[fieldDestinations] = byDestination(status, func(r engine.ReplicaStatus) map[string]any {
		replica := map[string]any{"state": string(r.State), "remote_name": r.RemoteName}
		if r.VersionID != "" {
			replica["version"], replica["remote_version"] = r.Version, r.VersionID
		}
		if r.Failure != nil {
			replica["error_class"], replica["error"] = string(r.Failure.Class), r.Failure.Message
		}
		return replica
	})
}

// byDestination describes replicas by destination. Those of single keys are
// under keys with the state that needs most attention beside them, and those on
// their way out under a former name are under former.
func byDestination(status *engine.SecretStatus, describe func(engine.ReplicaStatus) map[string]any) map[string]any {
	destinations := map[string]any{}
	at := func(ref string) map[string]any {
		destination, found := destinations[ref].(map[string]any)
		if !found {
			destination = map[string]any{}
			destinations[ref] = destination
		}
		return destination
	}
	for _, r := range status.Replicas {
		destination := at(r.Destination)
		switch {
		case r.Former:
			former, _ := destination["former"].(map[string]any)
			if former == nil {
				former = map[string]any{}
			}
			former[r.RemoteName] = describe(r)
			destination["former"] = former
		case r.Key != "":
			keys, _ := destination["keys"].(map[string]any)
			if keys == nil {
				keys = map[string]any{}
			}
			keys[r.Key] = describe(r)
			destination["keys"] = keys
			state, _ := destination["state"].(string)
			destination["state"] = string(moreUrgent(engine.State(state), r.State))
		default:
			maps.Copy(destination, describe(r))
		}
	}
	return destinations
}

// moreUrgent is the state of the two that needs more attention.
func moreUrgent(a, b engine.State) engine.State {
	for _, state := range attention {
		if state == a || state == b {
			return state
		}
	}
	return b
}

// warnings name each replica that isn't in sync, why, and what happens next.
func warnings(status *engine.SecretStatus) []string {
	if status == nil {
		return nil
	}
	texts := slices.Clone(status.Notes)
	for _, r := range status.Replicas {
		if text := warning(status, r); text != "" {
			texts = append(texts, text)
		}
		for _, note := range r.Notes {
			texts = append(texts, subject(r)+note)
		}
	}
	return texts
}

func warning(status *engine.SecretStatus, r engine.ReplicaStatus) string {
	subject := subject(r)
	switch r.State {
	case engine.StateInSync, engine.StateWithdrawn:
		return ""
	case engine.StateHeld:
		return subject + heldWarning(r)
	case engine.StatePaused:
		return subject + pauseWarning(status, r)
	case engine.StatePending, engine.StateDeleting, engine.StateReleasing:
		return subject + "not yet replicated; that goes on in the background, see status/" + status.Name
	case engine.StateBlocked, engine.StateRetrying:
		text := subject + lagging(r)
		if r.Failure != nil {
			text += fmt.Sprintf(": %s (class %s); %s", r.Failure.Message, r.Failure.Class, r.Failure.Class.Action())
		}
		if r.State == engine.StateRetrying {
			text += "; it is tried again in the background"
		}
		return text
	case engine.StateDrifted:
		return subject + "somebody else changed it in the cloud; see status/" + status.Name + ", and verify/" + status.Name + " with repair=true"
	case engine.StateDisabled:
		return subject + lagging(r) + ": the destination is disabled; enable it with disabled=false"
	default:
		return subject + "is " + string(r.State)
	}
}

// lagging says how far a change came that the destination doesn't have yet.
func lagging(r engine.ReplicaStatus) string {
	if r.Removal != nil {
		return "taken away in Vault, but still there as it was"
	}
	return "stored in Vault, but not replicated"
}

// warned answers with warnings alone, or with nothing without any.
func warned(warnings []string, err error) (*logical.Response, error) {
	if err != nil || len(warnings) == 0 {
		return nil, err
	}
	return &logical.Response{Warnings: warnings}, nil
}

// subject begins a sentence about a replica.
func subject(r engine.ReplicaStatus) string {
	switch {
	case r.Key != "":
		return fmt.Sprintf("destination %s, key %s: ", r.Destination, r.Key)
	case r.Former:
		return fmt.Sprintf("destination %s, former name %s: ", r.Destination, r.RemoteName)
	default:
		return "destination " + r.Destination + ": "
	}
}

func encodeVersion(number uint64, info kvstore.VersionInfo) map[string]any {
	return map[string]any{
		fieldVersion:    number,
		"created_time":  encodeTime(info.CreatedTime),
		"deletion_time": encodeTime(info.DeletionTime),
		"destroyed":     info.Destroyed,
	}
}

// encodeTime gives RFC 3339, "" for the zero time, as the KV engine does.
func encodeTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func encodeSettings(s engine.Settings) map[string]any {
	settings := map[string]any{}
	put := func(name string, value any, isSet bool) {
		if isSet {
			settings[name] = value
		}
	}
	put(fieldDestinations, s.Destinations, len(s.Destinations) > 0)
	put(fieldKMSKeyIDs, s.KMSKeyIDs, len(s.KMSKeyIDs) > 0)
	put(fieldTags, s.Tags, len(s.Tags) > 0)
	put(fieldDescription, s.Description, s.Description != "")
	put(fieldRemoteName, s.RemoteName, s.RemoteName != "")
	put("remote_names", s.RemoteNames, len(s.RemoteNames) > 0)
	put("current_version_ids", s.CurrentVersionIDs, len(s.CurrentVersionIDs) > 0)
	put(fieldFormat, string(s.Format), s.Format != "")
	put(fieldDeletionPolicy, string(s.DeletionPolicy), s.DeletionPolicy != "")
	put(fieldDriftAction, string(s.DriftAction), s.DriftAction != "")
	put(fieldPaused, true, s.Paused)
	return settings
}

// encodeFailure describes why a replica isn't in sync and what to do.
func encodeFailure(f *engine.Failure) map[string]any {
	return map[string]any{
		"class": string(f.Class), "message": f.Message, "code": f.Code, "request_id": f.RequestID,
		"since": encodeTime(f.Time), "action": f.Class.Action(),
	}
}

// encodeFinding describes one result of a destination's check.
func encodeFinding(f provider.Finding) map[string]any {
	finding := map[string]any{"check": f.Check, "ok": f.OK, "message": f.Message}
	if f.Action != "" {
		finding["action"] = f.Action
	}
	if f.Err != nil {
		finding["class"], finding["code"], finding["request_id"] = string(f.Err.Class), f.Err.Code, f.Err.RequestID
	}
	return finding
}
