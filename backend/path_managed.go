// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

const managedPrefix = "managed/"

const (
	fieldProduct            = "product"
	fieldInstanceID         = "instance_id"
	fieldEnableRotation     = "enable_rotation"
	fieldRotationFrequency  = "rotation_frequency"
	fieldRotationBeginTime  = "rotation_begin_time"
	fieldReplicateTo        = "replicate_to"
	fieldPollInterval       = "poll_interval"
	fieldCredentialCacheTTL = "credential_cache_ttl"
	fieldInitialCredentials = "initial_credentials"
	fieldDeleteAccounts     = "delete_accounts"
	fieldTTL                = "ttl"
)

var managedName = &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the managed credential: segments separated by /, at most 512 bytes. The segments \"credentials\", \"rotate\", \"rotation\" and \"history\" are reserved."}

// rotationFields are the parameters of a schedule.
func rotationFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldEnableRotation:    {Type: framework.TypeBool, Description: "Whether the cloud rotates the credential by schedule."},
		fieldRotationFrequency: {Type: framework.TypeString, Description: "How often: a number of days, or a duration such as 12h where the cloud allows less than a day."},
		fieldRotationBeginTime: {Type: framework.TypeString, Description: "When the first rotation is, as RFC 3339 with its time zone, such as 2030-01-31T03:00:00+08:00. Where the cloud takes one."},
	}
}

// managedFields are the parameters of a managed credential: the common ones and
// those of every product.
func managedFields(kinds []provider.Kind) map[string]*framework.FieldSchema {
	fields := rotationFields()
	fields[fieldName] = managedName
	fields[fieldDestination] = &framework.FieldSchema{Type: framework.TypeString, Description: "Where the credential is made, as type/name. Fixed once it is made."}
	fields[fieldProduct] = &framework.FieldSchema{Type: framework.TypeString, Description: "What kind of credential; managed-products/<type>/<name> lists them. Fixed once it is made."}
	fields[fieldInstanceID] = &framework.FieldSchema{Type: framework.TypeString, Description: "The instance of the cloud that the credential is for. Fixed once it is made."}
	fields[fieldKMSKeyID] = &framework.FieldSchema{Type: framework.TypeString, Description: "KMS key that the cloud encrypts the value with. Fixed once it is made."}
	fields[fieldRemoteName] = &framework.FieldSchema{Type: framework.TypeString, Description: "Exact name at the cloud. By default it is derived from the name. Fixed once it is made."}
	fields[fieldDescription] = &framework.FieldSchema{Type: framework.TypeString, Description: "Description at the cloud. The ownership mark is appended to it."}
	fields[fieldTags] = &framework.FieldSchema{Type: framework.TypeKVPairs, Description: "Tags at the cloud, beside those of the destination."}
	fields[fieldReplicateTo] = &framework.FieldSchema{Type: framework.TypeString, Description: "A secret of this mount that gets each value as a new version, and with it the destinations of that secret. Its values are stored in Vault. Empty for none."}
	fields[fieldPollInterval] = &framework.FieldSchema{Type: framework.TypeDurationSecond, Description: "How often the cloud is asked for a new value, where replicate_to is set. Each time is one call. Defaults to 5m; at least 10s."}
	fields[fieldCredentialCacheTTL] = &framework.FieldSchema{Type: framework.TypeDurationSecond, Description: "How long a value that was read may be answered from memory. 0, the default, asks the cloud each time."}
	fields[fieldInitialCredentials] = &framework.FieldSchema{Type: framework.TypeString, Description: "The present credentials of the account, as JSON, for products that want them. They are handed on to the cloud and never stored.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}}
	fields[fieldWait] = &framework.FieldSchema{Type: framework.TypeDurationSecond, Description: "How long to wait for the cloud before answering. 0 answers at once. Defaults to the mount's default_wait.", DisplayAttrs: waitField.DisplayAttrs}
	for name, described := range productFields(kinds) {
		fields[name] = described
	}
	return fields
}

// productFields are the parameters that only some products have, each with what it
// means for which.
func productFields(kinds []provider.Kind) map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{}
	meanings := map[string][]string{} // by name, in the order of kinds
	products := map[string][]string{} // by name and meaning
	for _, kind := range kinds {
		for _, product := range kind.Credentials {
			for _, f := range product.Fields {
				fields[f.Name] = &framework.FieldSchema{Type: productFieldType(f.Type)}
				if !slices.Contains(meanings[f.Name], f.Description) {
					meanings[f.Name] = append(meanings[f.Name], f.Description)
				}
				key := f.Name + f.Description
				if of := kind.Type + " " + product.Name; !slices.Contains(products[key], of) {
					products[key] = append(products[key], of)
				}
			}
		}
	}
	for name, field := range fields {
		var texts []string
		for _, meaning := range meanings[name] {
			texts = append(texts, strings.Join(products[name+meaning], ", ")+": "+meaning)
		}
		field.Description = strings.Join(texts, " ")
	}
	return fields
}

func productFieldType(t provider.FieldType) framework.FieldType {
	switch t {
	case provider.FieldInt:
		return framework.TypeInt64
	case provider.FieldBool:
		return framework.TypeBool
	case provider.FieldList:
		return framework.TypeCommaStringSlice
	default:
		return framework.TypeString
	}
}

func (b *backend) managedPaths() []*framework.Path {
	fields := managedFields(b.kinds)
	parameters := slices.Sorted(maps.Keys(fields))
	fields[fieldDeletionPolicy] = &framework.FieldSchema{Type: framework.TypeString, Query: true, Description: "For deleting: schedule (after the cloud's recovery window), force (at once), retain (leave it, without the mark). Defaults to schedule.", AllowedValues: []any{"schedule", "force", "retain"}}
	fields[fieldRecoveryWindowDays] = &framework.FieldSchema{Type: framework.TypeInt, Query: true, Description: "For deleting with schedule: days until it is gone for good. Defaults to the destination's, within what the product allows."}
	fields[fieldDeleteAccounts] = &framework.FieldSchema{Type: framework.TypeBool, Query: true, Description: "For deleting: have the cloud remove the accounts too, where it can."}
	write := &framework.PathOperation{
		Callback: b.operation(writeManaged(b.kinds), parameters...), Responses: responds(managedWritten()),
		DisplayAttrs: display("write", "managed-credential"),
		Summary:      "Have a cloud make a credential, or change what can be changed of one.",
	}
	return append(b.managedBelow(), &framework.Path{
		Pattern:        managedPrefix + framework.MatchAllRegex(fieldName),
		DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "managed-credential"},
		Fields:         fields,
		ExistenceCheck: b.existence(managedExists),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.CreateOperation: write,
			logical.UpdateOperation: write,
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(readManaged, fieldName), Responses: responds(managedAnswer), DisplayAttrs: display("read", "managed-credential"),
				Summary: "Where a managed credential stands, and how it is set up; never its value.",
			},
			logical.DeleteOperation: &framework.PathOperation{
				Callback:     b.operation(deleteManaged, fieldName, fieldWait, fieldDeletionPolicy, fieldRecoveryWindowDays, fieldDeleteAccounts),
				Responses:    responds(nil),
				DisplayAttrs: display("delete", "managed-credential"),
				Summary:      "Delete a managed credential at its cloud.",
			},
			logical.ListOperation: &framework.PathOperation{
				Callback: b.operation(listManaged, fieldName), Responses: listed(), DisplayAttrs: display("list", "managed-credentials"),
				Summary: "List managed credentials and folders below a folder.",
			},
		},
		HelpSynopsis: "Credentials that a cloud makes and rotates: database accounts, access keys, logins.",
		HelpDescription: strings.TrimSpace(`
A managed credential is made, kept and rotated by a cloud. This path has it made
and says where it stands; its value is read at managed/<name>/credentials and
never stored in Vault, unless replicate_to asks for it.

A write waits until the cloud is done, and says so if it isn't yet. What it
takes besides the common parameters depends on the product:
managed-products/<type>/<name> tells.`),
	})
}

// managedAnswer describes a managed credential.
var managedAnswer = map[string]*framework.FieldSchema{
	fieldState:              field(framework.TypeString, "ready, creating, rotating, rotation_failed (the value from before works), retrying, blocked, deleting, held, disabled, paused or pending."),
	fieldDestination:        field(framework.TypeString, "Where it is made."),
	fieldProduct:            field(framework.TypeString, "What kind of credential it is."),
	fieldInstanceID:         field(framework.TypeString, "The instance that it is for."),
	fieldRemoteName:         field(framework.TypeString, "Its name at the cloud; empty while the cloud hasn't made one up."),
	"parameters":            field(framework.TypeMap, "The product's own parameters, as they were given."),
	fieldKMSKeyID:           field(framework.TypeString, "KMS key that was asked for."),
	fieldDescription:        field(framework.TypeString, "Description, without the mark."),
	fieldTags:               field(framework.TypeMap, "Tags that were given."),
	fieldEnableRotation:     field(framework.TypeBool, "Whether the cloud was asked to rotate by schedule."),
	fieldRotationFrequency:  field(framework.TypeString, "How often it was asked to."),
	fieldRotationBeginTime:  field(framework.TypeString, "The first rotation that was asked for, in UTC."),
	"last_rotation":         field(framework.TypeString, "The last rotation that is known of; empty if none is."),
	"next_rotation":         field(framework.TypeString, "The next rotation as of the last look; empty if none is known."),
	fieldReplicateTo:        field(framework.TypeString, "The secret that gets each value."),
	fieldPollInterval:       field(framework.TypeInt64, "Seconds between looks at the value, with replicate_to."),
	fieldCredentialCacheTTL: field(framework.TypeInt64, "Seconds that a value may be answered from memory."),
	"replicated":            field(framework.TypeMap, "What replicate_to has: version and time; missing without."),
	"next_look":             field(framework.TypeString, "When the value is looked at next, with replicate_to."),
	"created_time":          field(framework.TypeString, "When the cloud made it; empty if it doesn't tell."),
	"deletion":              field(framework.TypeString, "What deleting it leaves at the cloud."),
	"error":                 field(framework.TypeMap, "What is in the way; missing if nothing is."),
	"rotation_error":        field(framework.TypeMap, "Why the last rotation failed; missing if it didn't."),
	"attempts":              field(framework.TypeInt, "Tries that failed in a row."),
	"next_retry":            field(framework.TypeString, "When it is tried again; empty if it isn't."),
	"request_ids":           field(framework.TypeStringSlice, "The cloud's ids of the last calls, for its support."),
}

// managedWritten describes the answer of what changes a managed credential: where
// it stands.
func managedWritten() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{}
	for _, name := range []string{fieldState, fieldRemoteName, "last_rotation", "next_rotation", "error", "rotation_error", "request_ids"} {
		fields[name] = managedAnswer[name]
	}
	return fields
}

func managedExists(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (bool, error) {
	return e.CredentialExists(ctx, d.Get(fieldName).(string))
}

func readManaged(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	status, err := e.CredentialStatus(ctx, d.Get(fieldName).(string))
	if err != nil || status == nil {
		return nil, err
	}
	return &logical.Response{Data: encodeManaged(status)}, nil
}

func encodeManaged(s *engine.CredentialStatus) map[string]any {
	p := s.Progress
	parameters := map[string]any{}
	for name, text := range s.Parameters {
		parameters[name] = text
	}
	data := map[string]any{
		fieldState: string(s.State), fieldDestination: s.Destination, fieldProduct: s.Product, fieldInstanceID: s.InstanceID,
		fieldRemoteName: s.Remote, "parameters": parameters, fieldKMSKeyID: s.KMSKeyID, fieldDescription: s.Description,
		fieldTags: mapOf(s.Tags), fieldReplicateTo: s.ReplicateTo,
		fieldPollInterval: int64(s.PollInterval / time.Second), fieldCredentialCacheTTL: int64(s.CacheTTL / time.Second),
		fieldEnableRotation: s.Rotation.Enabled, fieldRotationFrequency: encodeFrequency(s.Rotation.Interval),
		fieldRotationBeginTime: encodeTime(s.Rotation.Begin),
		"last_rotation":        encodeTime(p.LastRotation), "next_rotation": encodeTime(p.NextRotation), "created_time": encodeTime(p.CreatedTime),
		"deletion": s.Deletion, "attempts": s.Attempts, "next_retry": encodeTime(s.NextRetry), "next_look": encodeTime(s.NextLook),
		"request_ids": listOf(p.RequestIDs),
	}
	if s.Failure != nil {
		data["error"] = encodeCredentialFailure(s.Failure)
	}
	if p.NotRotated != nil {
		data["rotation_error"] = encodeCredentialFailure(p.NotRotated)
	}
	if p.Passed != nil {
		data["replicated"] = map[string]any{fieldVersion: p.Passed.Version, "time": encodeTime(p.Passed.Time)}
	}
	return data
}

// encodeCredentialFailure describes why a credential isn't as it should be, and
// what to do.
func encodeCredentialFailure(f *engine.Failure) map[string]any {
	failure := encodeFailure(f)
	failure["action"] = engine.CredentialAction(f.Class)
	return failure
}

func mapOf(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// encodeFrequency is in days where it is whole ones, as it can be written.
func encodeFrequency(interval time.Duration) string {
	day := provider.Days(1)
	switch {
	case interval == 0:
		return ""
	case interval%day == 0:
		return fmt.Sprint(int64(interval / day))
	default:
		return interval.String()
	}
}

// answerManaged waits for a credential and tells where it stands.
func answerManaged(ctx context.Context, e *engine.Engine, d *framework.FieldData, name string, generation uint64) (*engine.CredentialStatus, error) {
	config, err := e.Config(ctx)
	if err != nil {
		return nil, err
	}
	limit := config.Wait()
	if wait := given[int](d, fieldWait); wait != nil {
		limit = time.Duration(*wait) * time.Second
	}
	e.WaitCredential(ctx, name, generation, limit)
	return e.CredentialStatus(ctx, name)
}

// managedWarning says what isn't done; "" if all is.
func managedWarning(s *engine.CredentialStatus) string {
	subject := fmt.Sprintf("managed credential %q at destination %s ", s.Name, s.Destination)
	look := "; see managed/" + s.Name
	switch s.State {
	case engine.StateReady:
		return ""
	case engine.StateRotationFailed:
		return subject + "has its value from before, which still works; the rotation failed: " + reasonOf(s.Progress.NotRotated)
	case engine.StateBlocked:
		return subject + "needs you: " + reasonOf(s.Failure)
	case engine.StateRetrying:
		return subject + "isn't there yet and is tried again in the background: " + reasonOf(s.Failure) + look
	case engine.StateHeld:
		return subject + "is still there: its deletion is held for review, since more are asked for at the destination than max_deletions_per_hour; " +
			"let it go on with release-held/" + s.Destination + ", or write the credential again to keep it"
	case engine.StatePaused:
		return subject + "waits: " + pausedWarning(s)
	case engine.StateDisabled:
		return subject + "waits: the destination is disabled; enable it with disabled=false"
	default:
		return subject + "is " + string(s.State) + "; that goes on in the background" + look
	}
}

// pausedWarning says what is paused and how to go on.
func pausedWarning(s *engine.CredentialStatus) string {
	if slices.Contains(s.Paused, engine.PausedMount) {
		return "the mount is paused; go on with paused=false at config"
	}
	return "the destination is paused; go on with paused=false at destinations/" + s.Destination
}

func reasonOf(f *engine.Failure) string {
	if f == nil {
		return "no reason is known"
	}
	return fmt.Sprintf("%s (class %s); %s", f.Message, f.Class, engine.CredentialAction(f.Class))
}

func listManaged(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	folder := d.Get(fieldName).(string)
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	all, err := e.ListCredentials(ctx)
	if err != nil {
		return nil, err
	}
	var keys []string
	info := map[string]any{}
	for _, c := range all {
		rest, below := strings.CutPrefix(c.Name, folder)
		if !below {
			continue
		}
		if segment, _, deeper := strings.Cut(rest, "/"); deeper {
			keys = append(keys, segment+"/")
			continue
		}
		keys = append(keys, rest)
		info[rest] = map[string]any{fieldState: string(c.State), fieldDestination: c.Destination, fieldProduct: c.Product}
	}
	slices.SortFunc(keys, cmp.Compare[string])
	return logical.ListResponseWithInfo(slices.Compact(keys), info), nil
}
