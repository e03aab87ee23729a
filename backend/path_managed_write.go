// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// decodeManaged lets what is JSON be given as JSON, as text, and as a file on the
// command line: the fields that take it are texts.
func decodeManaged(req *logical.Request, kinds []provider.Kind) error {
	if !strings.HasPrefix(req.Path, managedPrefix) {
		return nil
	}
	texts := map[string]bool{fieldInitialCredentials: true, fieldRotationFrequency: true}
	for _, kind := range kinds {
		for _, product := range kind.Credentials {
			for _, f := range product.Fields {
				texts[f.Name] = texts[f.Name] || f.Type == provider.FieldJSON || f.Type == provider.FieldString
			}
		}
	}
	for name := range texts {
		switch value := req.Data[name].(type) {
		case map[string]any, []any:
			text, err := json.Marshal(value)
			if err != nil {
				return fmt.Errorf("%s isn't JSON", name)
			}
			req.Data[name] = string(text)
		case json.Number:
			req.Data[name] = value.String()
		}
	}
	return nil
}

func writeManaged(kinds []provider.Kind) handler {
	return func(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
		name := d.Get(fieldName).(string)
		change := engine.CredentialChange{
			Name: name, Destination: given[string](d, fieldDestination), Product: given[string](d, fieldProduct),
			InstanceID: given[string](d, fieldInstanceID), KMSKeyID: given[string](d, fieldKMSKeyID), RemoteName: given[string](d, fieldRemoteName),
			Description: given[string](d, fieldDescription), Tags: given[map[string]string](d, fieldTags),
			ReplicateTo:  given[string](d, fieldReplicateTo),
			PollInterval: seconds(d, fieldPollInterval), CacheTTL: seconds(d, fieldCredentialCacheTTL),
		}
		if text := given[string](d, fieldInitialCredentials); text != nil {
			if !json.Valid([]byte(*text)) {
				return nil, engine.Refusef("initial_credentials isn't JSON")
			}
			change.Initial = sensitive.NewString(*text)
		}
		var err error
		if change.Parameters, err = productParameters(d, kinds); err != nil {
			return nil, err
		}
		schedule, err := decodeSchedule(d)
		if err != nil {
			return nil, err
		}
		change.Enabled, change.Interval, change.Begin = schedule.enabled, schedule.interval, schedule.begin
		generation, err := e.PutCredential(ctx, change)
		if err != nil {
			return nil, err
		}
		return answered(ctx, e, d, name, generation)
	}
}

// answered answers with where a credential stands after waiting.
func answered(ctx context.Context, e *engine.Engine, d *framework.FieldData, name string, generation uint64) (*logical.Response, error) {
	status, err := answerManaged(ctx, e, d, name, generation)
	if err != nil {
		// The request itself succeeded and must not be answered as a failure.
		return &logical.Response{Warnings: []string{fmt.Sprintf("the change is stored, but where the credential stands can't be read: %v", err)}}, nil
	}
	if status == nil {
		return nil, nil
	}
	resp := &logical.Response{Data: map[string]any{}}
	all := encodeManaged(status)
	for field := range managedWritten() {
		if value, has := all[field]; has {
			resp.Data[field] = value
		}
	}
	if warning := managedWarning(status); warning != "" {
		resp.AddWarning(warning)
	}
	if f := status.Progress.TagsFailure; f != nil {
		resp.AddWarning("the cloud made the credential without its tags: " + reasonOf(f))
	}
	return resp, nil
}

func seconds(d *framework.FieldData, name string) *time.Duration {
	n := given[int](d, name)
	if n == nil {
		return nil
	}
	duration := time.Duration(*n) * time.Second
	return &duration
}

// productParameters are the parameters of products that a request gives, as texts.
func productParameters(d *framework.FieldData, kinds []provider.Kind) (map[string]string, error) {
	parameters := map[string]string{}
	for _, kind := range kinds {
		for _, product := range kind.Credentials {
			for _, f := range product.Fields {
				raw, isGiven := d.GetOk(f.Name)
				if !isGiven {
					continue
				}
				switch value := raw.(type) {
				case string:
					parameters[f.Name] = value
				case int64:
					parameters[f.Name] = strconv.FormatInt(value, 10)
				case bool:
					parameters[f.Name] = strconv.FormatBool(value)
				case []string:
					text, err := json.Marshal(listOf(value))
					if err != nil {
						return nil, engine.Refusef("%s isn't a list of texts", f.Name)
					}
					parameters[f.Name] = string(text)
				}
			}
		}
	}
	return parameters, nil
}

// scheduleGiven is what a request gives of a schedule.
type scheduleGiven struct {
	enabled  *bool
	interval *time.Duration
	begin    *time.Time
}

func decodeSchedule(d *framework.FieldData) (s scheduleGiven, err error) {
	s.enabled = given[bool](d, fieldEnableRotation)
	if text := given[string](d, fieldRotationFrequency); text != nil {
		interval, err := parseFrequency(*text)
		if err != nil {
			return s, err
		}
		s.interval = &interval
	}
	if text := given[string](d, fieldRotationBeginTime); text != nil {
		var begin time.Time
		if *text != "" {
			if begin, err = time.Parse(time.RFC3339, strings.TrimSpace(*text)); err != nil {
				return s, engine.Refusef("rotation_begin_time %q isn't a time with its zone as in RFC 3339, such as 2030-01-31T03:00:00+08:00", *text)
			}
		}
		begin = begin.UTC()
		s.begin = &begin
	}
	return s, nil
}

// parseFrequency reads a number of days, or a duration.
func parseFrequency(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	const most = 100 * 365
	if days, err := strconv.Atoi(text); err == nil {
		if days <= 0 || days > most {
			return 0, engine.Refusef("rotation_frequency of %d days isn't possible", days)
		}
		return provider.Days(days), nil
	}
	interval, err := parseutil.ParseDurationSecond(text)
	if err != nil || interval <= 0 || interval > provider.Days(most) {
		return 0, engine.Refusef("rotation_frequency %q is neither a number of days nor a duration such as 12h", text)
	}
	return interval, nil
}

func deleteManaged(ctx context.Context, e *engine.Engine, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get(fieldName).(string)
	before, err := e.CredentialStatus(ctx, name)
	if err != nil || before == nil {
		return nil, err
	}
	policy, err := engine.ParseDeletionPolicy(d.Get(fieldDeletionPolicy).(string))
	if err != nil {
		return nil, engine.Refusef("%v", err)
	}
	generation, err := e.DeleteCredential(ctx, name, policy, given[int](d, fieldRecoveryWindowDays), d.Get(fieldDeleteAccounts).(bool))
	if err != nil {
		return nil, err
	}
	status, err := answerManaged(ctx, e, d, name, generation)
	if err != nil {
		return nil, err
	}
	resp := &logical.Response{}
	if status != nil {
		resp.AddWarning(managedWarning(status))
	}
	if before.Progress.Made && policy != engine.DeleteRetain && !d.Get(fieldDeleteAccounts).(bool) && before.Deletion != "" {
		resp.AddWarning(before.Deletion)
	}
	if before.ReplicateTo != "" {
		resp.AddWarning(fmt.Sprintf("secret %q keeps the last value that it got; delete it too if nobody needs it", before.ReplicateTo))
	}
	if len(resp.Warnings) == 0 {
		return nil, nil
	}
	return resp, nil
}

// knownTypes are the types of fields that several products have, for the check
// that they agree.
func knownTypes(kinds []provider.Kind) map[string][]provider.FieldType {
	types := map[string][]provider.FieldType{}
	for _, kind := range kinds {
		for _, product := range kind.Credentials {
			for _, f := range product.Fields {
				if !slices.Contains(types[f.Name], f.Type) {
					types[f.Name] = append(types[f.Name], f.Type)
				}
			}
		}
	}
	maps.DeleteFunc(types, func(_ string, of []provider.FieldType) bool { return len(of) < 2 })
	return types
}
