// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/version"
)

const (
	fieldState       = "state"
	fieldDestination = "destination"
	fieldAfter       = "after"
	fieldLimit       = "limit"
	fieldNext        = "next"

	defaultLimit = 100
	mostListed   = 1000
)

func (b *backend) statusPaths() []*framework.Path {
	return []*framework.Path{
		{
			Pattern:      "status/?",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "status"},
			Fields: map[string]*framework.FieldSchema{
				fieldState: {
					Type: framework.TypeString, Query: true,
					Description: "List only secrets with a replica in this state. By default those that aren't in sync or withdrawn.",
				},
				fieldDestination: {Type: framework.TypeString, Query: true, Description: "List only secrets with such a replica at this destination, as type/name."},
				fieldAfter:       {Type: framework.TypeString, Query: true, Description: "List names after this one; the next of the page before."},
				fieldLimit:       {Type: framework.TypeInt, Query: true, Default: defaultLimit, Description: "Most names of a page, up to 1000. Defaults to 100."},
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readOverview, none...), Responses: responds(overviewFields), DisplayAttrs: display("read", "status"),
					Summary: "The mount at a glance.",
				},
				logical.ListOperation: &framework.PathOperation{
					Callback: b.operation(listStatus), Responses: responds(statusListFields), DisplayAttrs: display("list", "status"),
					Summary: "The secrets with a replica in a state.",
				},
			},
			HelpSynopsis:    "The mount at a glance, and the secrets that need attention.",
			HelpDescription: "Reading counts replicas by destination and state, and tells how each destination does, how much work is outstanding and since when. Listing gives the names of the secrets that have a replica in a state, a page at a time.",
		},
		{
			Pattern:      "status/" + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "secret-status"},
			Fields: map[string]*framework.FieldSchema{fieldName: secretName, fieldWait: {
				Type: framework.TypeDurationSecond, Query: true,
				Description: "How long to wait until the replicas are in sync or can't go on by themselves. By default it doesn't wait.",
			}},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readStatus), Responses: responds(statusFields), DisplayAttrs: display("read", "secret-status"),
					Summary: "Where a secret stands at each of its destinations; never its value.",
				},
			},
			HelpSynopsis:    "Where a secret stands at each of its destinations.",
			HelpDescription: "Tells everything about the replicas of a secret: state, error with the cloud's code and request id and what to do, attempts, next retry, remote name, versions, key, tags. It never holds the value.",
		},
		{
			Pattern:      "sync/" + framework.MatchAllRegex(fieldName),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "sync"},
			Fields:       map[string]*framework.FieldSchema{fieldName: secretName, fieldWait: waitField},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(syncSecret), Responses: responds(statusFields), DisplayAttrs: display("sync", "secret"),
					Summary: "Converge a secret's replicas now, also those that are blocked.",
				},
			},
			HelpSynopsis:    "Converge a secret's replicas now.",
			HelpDescription: "Tries every replica of the secret at once, also those that wait for a retry or are blocked, and answers with the status after waiting. A replica that is in sync costs no remote call.",
		},
	}
}

var overviewFields = map[string]*framework.FieldSchema{
	fieldDestinations:      field(framework.TypeMap, "By destination: how many replicas are in each state. in_sync includes withdrawn ones."),
	"health":               field(framework.TypeMap, "By destination: how it does."),
	"states":               field(framework.TypeMap, "By state: how many replicas are in it, at all destinations."),
	"replicas":             field(framework.TypeInt, "Replicas at all destinations."),
	"outstanding":          field(framework.TypeInt, "Replicas that aren't in sync."),
	"queue_depth":          field(framework.TypeInt, "Replicas that wait for a worker right now."),
	"oldest_pending_since": field(framework.TypeString, "When the oldest outstanding change was made; empty if nothing is outstanding."),
	"oldest_pending_age":   field(framework.TypeInt64, "Age of the oldest outstanding change in seconds."),
	"taking_up":            field(framework.TypeBool, "Whether the work of before the start isn't all known yet; until then counts may show it as in sync."),
	"managed":              field(framework.TypeMap, "By destination: how many managed credentials are in each state; missing where there are none."),
	"sweeps":               field(framework.TypeMap, "Changes of rules and destinations that secrets are still to follow, by path: since when, how many were examined, how many are affected."),
	"paused":               field(framework.TypeBool, "Whether remote changes are paused."),
	"pause_reason":         field(framework.TypeString, "Why the mount paused itself; empty if somebody else did."),
	"replicating":          field(framework.TypeBool, "Whether this node is the one that calls the clouds."),
	"mount_id":             field(framework.TypeString, "The id in the ownership marks of this mount."),
	"plugin_version":       field(framework.TypeString, "Version of the running plugin."),
	"plugin_commit":        field(framework.TypeString, "Commit that the running plugin was built from."),
	"destination_types":    field(framework.TypeStringSlice, "The types of destinations that this version knows."),
}

var statusListFields = map[string]*framework.FieldSchema{
	"keys":     field(framework.TypeStringSlice, "The names of the secrets, in order; missing in an empty page."),
	"key_info": field(framework.TypeMap, "By name: where the replicas of the secret stand."),
	fieldNext:  field(framework.TypeString, "What after has to be for the next page; missing at the end."),
}

var statusFields = map[string]*framework.FieldSchema{
	"state":           writtenFields["state"],
	"settings":        secretFields["settings"],
	fieldVersion:      field(framework.TypeInt64, "The newest live version in Vault; 0 if there is none."),
	"tombstones":      field(framework.TypeSlice, "Remote secrets of it that were deleted and can be restored until the cloud deletes them for good."),
	"pending_since":   field(framework.TypeString, "When the oldest outstanding change was made; empty if nothing is outstanding."),
	fieldDestinations: field(framework.TypeMap, "By destination: everything about the replica."),
}

func readOverview(ctx context.Context, e *engine.Engine, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	overview, err := e.Overview(ctx)
	if err != nil {
		return nil, err
	}
	destinations, health, states := map[string]any{}, map[string]any{}, map[string]int{}
	replicas, outstanding, queued := 0, 0, 0
	managed := map[string]any{}
	for ref, d := range overview.Destinations {
		if len(d.Credentials) > 0 {
			credentials := map[string]any{}
			for state, n := range d.Credentials {
				credentials[string(state)] = n
			}
			managed[ref] = credentials
		}
		counts := map[string]any{}
		for state, n := range d.Replicas {
			counts[string(state)] = n
			states[string(state)] += n
			replicas += n
			if state != engine.StateInSync {
				outstanding += n
			}
		}
		for _, n := range d.Queue {
			queued += n
		}
		destinations[ref], health[ref] = counts, encodeHealth(d)
	}
	return &logical.Response{Data: map[string]any{
		fieldDestinations: destinations, "health": health, "states": states, "replicas": replicas,
		"queue_depth": queued, "outstanding": outstanding,
		"oldest_pending_since": encodeTime(overview.PendingSince), "oldest_pending_age": age(overview.PendingSince),
		"taking_up": overview.TakingUp, "managed": managed, "sweeps": encodeSweeps(overview.Sweeps),
		"paused": overview.Paused, "pause_reason": overview.PauseReason, "replicating": e.Started(), "mount_id": overview.MountID,
		"plugin_version": version.Version, "plugin_commit": version.Commit, "destination_types": slices.Sorted(maps.Keys(e.Kinds())),
	}}, nil
}

// encodeSweeps describes changes that secrets are still to follow.
func encodeSweeps(sweeps map[string]engine.SweepStatus) map[string]any {
	encoded := map[string]any{}
	for path, s := range sweeps {
		encoded[path] = encodeSweep(s)
	}
	return encoded
}

func encodeSweep(s engine.SweepStatus) map[string]any {
	return map[string]any{"since": encodeTime(s.Since), "examined": s.Examined, "affected": s.Affected}
}

// age is the age of a time in seconds, 0 for none.
func age(since time.Time) int64 {
	if since.IsZero() {
		return 0
	}
	return int64(time.Since(since) / time.Second)
}

// encodeHealth describes how a destination does.
func encodeHealth(d engine.DestinationStatus) map[string]any {
	queue := map[string]any{}
	for _, lane := range quota.Lanes() {
		queue[lane.String()] = d.Queue[lane]
	}
	health := map[string]any{
		"queue": queue, "disabled": d.Disabled, "paused": d.Paused,
		"held_since": encodeTime(d.HeldSince), "deletions_last_hour": d.Deletions, "max_deletions_per_hour": d.MaxDeletionsPerHour,
		"away": d.Away != nil, "credentials_refused": d.Refused != nil,
		"away_since": encodeTime(d.AwaySince), "slowed_rates": d.Slowed, "throttled_calls": d.Throttled,
		"oldest_pending_since": encodeTime(d.PendingSince), "oldest_pending_age": age(d.PendingSince),
	}
	if failure := cmp.Or(d.Refused, d.Away); failure != nil {
		health["error"] = encodeFailure(failure)
	}
	return health
}

func listStatus(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	limit := d.Get(fieldLimit).(int)
	if limit < 1 || limit > mostListed {
		return nil, engine.Refusef("limit is %d; it has to be from 1 to %d", limit, mostListed)
	}
	query := engine.Query{Destination: d.Get(fieldDestination).(string), After: d.Get(fieldAfter).(string), Limit: limit}
	query.State = engine.State(d.Get(fieldState).(string))
	listing, err := e.List(ctx, query)
	if err != nil {
		return nil, err
	}
	info := map[string]any{}
	for name, replicas := range listing.Replicas {
		byDestination := map[string]any{}
		for ref, r := range replicas {
			replica := map[string]any{fieldState: string(r.State)}
			if r.Class != "" {
				replica["error_class"] = string(r.Class)
			}
			byDestination[ref] = replica
		}
		info[name] = map[string]any{fieldDestinations: byDestination}
	}
	resp := logical.ListResponseWithInfo(listing.Names, info)
	if listing.Next != "" {
		resp.Data[fieldNext] = listing.Next
	}
	return resp, nil
}

func readStatus(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	if seconds := given[int](d, fieldWait); seconds != nil {
		if err := e.Await(ctx, name, time.Duration(*seconds)*time.Second); err != nil {
			return nil, err
		}
	}
	status, err := e.Status(ctx, name)
	if err != nil || status == nil {
		return nil, err
	}
	resp, err := encodeStatus(ctx, e, status)
	if err != nil {
		return nil, err
	}
	for _, note := range status.Notes {
		resp.AddWarning(note)
	}
	return resp, nil
}

func syncSecret(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	changed, err := e.Sync(ctx, name)
	if err != nil {
		return nil, err
	}
	status, err := awaitStatus(ctx, e, name, changed.Generation, given[int](d, fieldWait))
	if err != nil || status == nil {
		return nil, err
	}
	resp, err := encodeStatus(ctx, e, status)
	if err != nil {
		return nil, err
	}
	for _, text := range warnings(status) {
		resp.AddWarning(text)
	}
	return resp, nil
}

func encodeStatus(ctx context.Context, e *engine.Engine, status *engine.SecretStatus) (*logical.Response, error) {
	meta, err := e.ReadMetadata(ctx, status.Name)
	if err != nil {
		return nil, err
	}
	var newest uint64
	if meta != nil {
		newest = meta.Newest(time.Now())
	}
	replicas := byDestination(status, func(r engine.ReplicaStatus) map[string]any {
		replica := encodeReplica(r)
		replica["lag"] = status.Lag(r, newest)
		return replica
	})
	return &logical.Response{Data: map[string]any{
		"state": string(overall(status)), fieldVersion: newest, "settings": encodeSettings(status.Settings),
		"pending_since": encodeTime(status.PendingSince), fieldDestinations: replicas, "tombstones": encodeTombstones(status.Tombstones),
	}}, nil
}

func encodeTombstones(tombstones []engine.Tombstone) []any {
	encoded := make([]any, len(tombstones))
	for i, t := range tombstones {
		tombstone := map[string]any{fieldDestination: t.Destination, "remote_name": t.RemoteName, "deletion_time": encodeTime(t.DeletionTime)}
		if t.Key != "" {
			tombstone["key"] = t.Key
		}
		encoded[i] = tombstone
	}
	return encoded
}

func encodeReplica(r engine.ReplicaStatus) map[string]any {
	replica := map[string]any{
		"state": string(r.State), "paused_by": pauseLevels(r), "remote_name": r.RemoteName,
		"held_since": "", "removal": "", "deletion_time": encodeTime(r.DeletionTime),
		"version": r.Version, "remote_version": r.VersionID, "labels": append([]string{}, r.Labels...), "versions": encodeRemoteVersions(r),
		"attempts": r.Attempts, "next_retry": encodeTime(r.NextRetry), "last_sync": encodeTime(r.LastSync), "last_verification": encodeTime(r.LastVerification),
		"kms_key_id": r.KMSKeyID, "tags": r.Tags, "request_ids": append([]string{}, r.RequestIDs...),
	}
	if r.Held != nil {
		replica["held_since"] = encodeTime(r.Held.Since)
	}
	if r.Removal != nil {
		replica["removal"] = string(r.Removal.Policy)
	}
	if r.Failure != nil {
		replica["error"] = encodeFailure(r.Failure)
	}
	if r.Drift != nil {
		replica["drift"] = map[string]any{"since": encodeTime(r.Drift.Since), "findings": encodeFindings(r.Drift.Findings)}
	}
	if len(r.Notes) > 0 {
		replica["notes"] = r.Notes
	}
	return replica
}

// encodeRemoteVersions maps remote version ids to what they are.
func encodeRemoteVersions(r engine.ReplicaStatus) map[string]any {
	ids := map[string]any{}
	for _, v := range r.Versions {
		shown := map[string]any{}
		if v.Version.Number > 0 {
			shown["version"], shown["incarnation"] = v.Version.Number, max(v.Version.Incarnation, 1)
		}
		if v.ID == r.VersionID {
			shown["current"] = true
			if len(r.Labels) > 0 {
				shown["labels"] = r.Labels
			}
		}
		ids[v.ID] = shown
	}
	return ids
}
