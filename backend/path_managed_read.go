// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// managedBelow are the paths below a managed credential, and that of the products.
func (b *backend) managedBelow() []*framework.Path {
	below := func(path string) string { return managedPrefix + `(?P<` + fieldName + `>.+)/` + path + "$" }
	schedule := rotationFields()
	schedule[fieldName] = managedName
	schedule[fieldWait] = managedFields(nil)[fieldWait]
	return []*framework.Path{
		{
			Pattern:      below("credentials"),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "managed-credential-value"},
			Fields: map[string]*framework.FieldSchema{fieldName: managedName, fieldTTL: {
				Type: framework.TypeBool, Default: true, Query: true,
				Description: "Whether to answer ttl and rotation_period, by which Vault Agent and others know when to read again.",
			}},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readCredentials), Responses: responds(credentialAnswer),
					DisplayAttrs: display("read", "managed-credential-value"),
					Summary:      "The value of a managed credential that works now, from the cloud.",
				},
			},
			HelpSynopsis:    "The value that works now.",
			HelpDescription: "Reads the value through from the cloud: username and password, an access key, or a key pair. It isn't stored in Vault. During a rotation the answer is the value that works, and says so.",
		},
		{
			Pattern:      below("rotate"),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "managed-credential-rotation"},
			Fields:       map[string]*framework.FieldSchema{fieldName: managedName, fieldWait: schedule[fieldWait]},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(rotateManaged), Responses: responds(managedWritten()), DisplayAttrs: display("rotate", "managed-credential"),
					Summary: "Have the cloud change the value now.",
				},
			},
			HelpSynopsis:    "Have the cloud change the value now.",
			HelpDescription: "Asks the cloud for another value, once, whatever happens to answers and to Vault meanwhile, and waits until it works. A rotation that is under way is joined.",
		},
		{
			Pattern:      below("rotation"),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "managed-credential-schedule"},
			Fields:       schedule,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readRotation, fieldName), Responses: responds(rotationAnswer),
					DisplayAttrs: display("read", "managed-credential-schedule"),
					Summary:      "The schedule as the cloud has it.",
				},
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.operation(writeRotation), Responses: responds(managedWritten()), DisplayAttrs: display("write", "managed-credential-schedule"),
					Summary: "Switch the schedule on or off, or change it.",
				},
			},
			HelpSynopsis:    "When the cloud rotates the credential by itself.",
			HelpDescription: "Reading asks the cloud for the schedule, the last and the next rotation, and why it stopped if it did. Writing changes it; what isn't given stays.",
		},
		{
			Pattern:      below("history"),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "managed-credential-history"},
			Fields:       map[string]*framework.FieldSchema{fieldName: managedName},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.operation(readHistory), DisplayAttrs: display("read", "managed-credential-history"),
					Responses: responds(map[string]*framework.FieldSchema{"versions": field(framework.TypeSlice, "The versions that the cloud tells of, newest first: version, username, labels, created_time. Never a value.")}),
					Summary:   "The versions that the cloud tells of.",
				},
			},
			HelpSynopsis:    "The versions that the cloud tells of.",
			HelpDescription: "Lists what the cloud knows of the credential's values, newest first, and never the values.",
		},
		b.productsPath(),
	}
}

func (b *backend) productsPath() *framework.Path {
	return &framework.Path{
		Pattern:      "managed-products/" + framework.GenericNameRegex(fieldType) + "/" + framework.GenericNameRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "managed-products"},
		Fields: map[string]*framework.FieldSchema{
			fieldType: {Type: framework.TypeString, Description: "Type of the destination."},
			fieldName: {Type: framework.TypeString, Description: "Name of the destination."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.operation(readProducts), DisplayAttrs: display("read", "managed-products"),
				Responses: responds(map[string]*framework.FieldSchema{
					"products":  field(framework.TypeMap, "By name: what can be made, with its parameters, its rotation and what deleting it leaves."),
					"supported": field(framework.TypeStringSlice, "The names that the cloud says it supports, those included that this plugin doesn't know."),
				}),
				Summary: "What managed credentials a destination can have.",
			},
		},
		HelpSynopsis:    "What managed credentials a destination can have.",
		HelpDescription: "Asks the cloud which products it supports, and tells for each what a creation takes.",
	}
}

var credentialAnswer = map[string]*framework.FieldSchema{
	"username":          field(framework.TypeString, "User name, for accounts."),
	"password":          field(framework.TypeString, "Password, for accounts."),
	"access_key_id":     field(framework.TypeString, "Id, for access keys."),
	"access_key_secret": field(framework.TypeString, "Secret, for access keys."),
	"private_key":       field(framework.TypeString, "Private key, for key pairs."),
	"public_key":        field(framework.TypeString, "Public key, for key pairs."),
	fieldVersion:        field(framework.TypeString, "The cloud's id of the version."),
	"labels":            field(framework.TypeStringSlice, "The cloud's labels of the version."),
	"created_time":      field(framework.TypeString, "When the version was made; empty if the cloud doesn't tell."),
	"last_rotation":     field(framework.TypeString, "The last rotation; empty if none is known."),
	"next_rotation":     field(framework.TypeString, "The next rotation by schedule; empty if none is known."),
	"rotating":          field(framework.TypeBool, "Whether a rotation is under way."),
	"works":             field(framework.TypeString, "Which of the values this is, as a sentence."),
	"cached":            field(framework.TypeBool, "Whether it comes from memory."),
	fieldTTL:            field(framework.TypeInt64, "Seconds until the next rotation; missing if none is known."),
	"rotation_period":   field(framework.TypeInt64, "Seconds between rotations; missing without a schedule."),
}

var rotationAnswer = map[string]*framework.FieldSchema{
	fieldEnableRotation:    field(framework.TypeBool, "Whether the cloud rotates by schedule."),
	fieldRotationFrequency: field(framework.TypeString, "How often: days, or a duration."),
	fieldRotationBeginTime: field(framework.TypeString, "When the first rotation was to be, in UTC; empty if nobody chose."),
	"last_rotation":        credentialAnswer["last_rotation"],
	"next_rotation":        credentialAnswer["next_rotation"],
	"problem":              field(framework.TypeString, "Why the schedule stopped; empty if it didn't."),
	fieldState:             field(framework.TypeString, "The credential's state at the cloud."),
}

// soonest is the ttl while a rotation is due or under way: read again soon, but
// not all the time.
const soonest = 10 * time.Second

func readCredentials(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	read, err := e.ReadCredential(ctx, d.Get(fieldName).(string))
	var none engine.NoCredentialError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data := map[string]any{}
	for name, text := range read.Fields {
		data[name] = text.Reveal()
	}
	data[fieldVersion], data["labels"], data["created_time"] = read.VersionID, listOf(read.Labels), encodeTime(read.CreatedTime)
	data["last_rotation"], data["next_rotation"] = encodeTime(read.LastRotation), encodeTime(read.NextRotation)
	data["rotating"], data["works"], data["cached"] = read.Rotating, read.Works, read.Cached
	if d.Get(fieldTTL).(bool) && !read.NextRotation.IsZero() {
		ttl := max(time.Until(read.NextRotation), soonest)
		if read.Rotating {
			ttl = soonest
		}
		data[fieldTTL] = int64(ttl / time.Second)
		if read.Interval > 0 {
			data["rotation_period"] = int64(read.Interval / time.Second)
		}
	}
	return &logical.Response{Data: data}, nil
}

func rotateManaged(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	generation, err := e.RotateCredential(ctx, name)
	if err != nil {
		return nil, err
	}
	return answered(ctx, e, d, name, generation)
}

func readRotation(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	schedule, err := e.ReadRotation(ctx, d.Get(fieldName).(string))
	var none engine.NoCredentialError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		fieldEnableRotation: schedule.Rotation.Enabled, fieldRotationFrequency: encodeFrequency(schedule.Rotation.Interval),
		fieldRotationBeginTime: encodeTime(schedule.Wanted.Begin),
		"last_rotation":        encodeTime(schedule.LastRotation), "next_rotation": encodeTime(schedule.NextRotation),
		"problem": schedule.Problem, fieldState: string(schedule.State),
	}}, nil
}

func writeRotation(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	exists, err := e.CredentialExists(ctx, name)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, engine.Refusef("managed credential %q doesn't exist; write it at managed/%s first", name, name)
	}
	schedule, err := decodeSchedule(d)
	if err != nil {
		return nil, err
	}
	if schedule == (scheduleGiven{}) {
		return nil, engine.Refusef("nothing to change: give enable_rotation, rotation_frequency or rotation_begin_time")
	}
	generation, err := e.PutCredential(ctx, engine.CredentialChange{Name: name, Enabled: schedule.enabled, Interval: schedule.interval, Begin: schedule.begin})
	if err != nil {
		return nil, err
	}
	return answered(ctx, e, d, name, generation)
}

func readHistory(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	versions, err := e.CredentialHistory(ctx, d.Get(fieldName).(string))
	var none engine.NoCredentialError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(versions))
	for _, v := range versions {
		list = append(list, map[string]any{
			fieldVersion: v.ID, "username": v.Username, "labels": listOf(v.Labels), "created_time": encodeTime(v.CreatedTime),
		})
	}
	return &logical.Response{Data: map[string]any{"versions": list}}, nil
}

func readProducts(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	known, supported, err := e.CredentialProducts(ctx, d.Get(fieldType).(string)+"/"+d.Get(fieldName).(string))
	if err != nil {
		return nil, err
	}
	products := map[string]any{}
	for _, p := range known {
		fits := func(name string) bool {
			return slices.ContainsFunc(append([]string{p.Name}, p.Names...), func(n string) bool { return strings.EqualFold(n, name) })
		}
		products[p.Name] = encodeProduct(p, slices.ContainsFunc(supported, fits))
	}
	return &logical.Response{Data: map[string]any{"products": products, "supported": listOf(supported)}}, nil
}

// encodeProduct describes a product, and whether the cloud says it supports it.
func encodeProduct(p provider.CredentialProduct, supported bool) map[string]any {
	fields := map[string]any{}
	for _, f := range p.Fields {
		fields[f.Name] = map[string]any{"type": string(f.Type), "required": f.Required, "description": f.Description, "allowed": listOf(f.Allowed)}
	}
	return map[string]any{
		"title": p.Title, "names": listOf(p.Names), "supported": supported, "parameters": fields,
		"instance_required": p.InstanceRequired, "initial_credentials": p.InitialValue,
		"name_prefix": p.NamePrefix, "assigns_name": p.AssignsName,
		"rotates": p.Rotates, "shortest_rotation": encodeFrequency(p.ShortestRotation), "longest_rotation": encodeFrequency(p.LongestRotation),
		"sets_begin_time": p.SetsBegin, "deletes_accounts": p.DeletesAccounts, "deletion": p.Deletion,
		"recovery_window_days": map[string]any{
			"shortest": p.Window.MinDays, "longest": p.Window.MaxDays, "default": p.Window.DefaultDays, "at_once": p.Window.Immediate,
		},
	}
}
