// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"maps"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

const (
	fieldSecretNameTemplate = "secret_name_template"
	fieldValueKey           = "value_key"
	fieldGranularity        = "granularity"
	fieldIncludeKeys        = "include_keys"
	fieldExcludeKeys        = "exclude_keys"
	fieldCustomMetadataTags = "custom_metadata_tags"
	fieldDriftAction        = "drift_action"
)

// driftActionHelp describes the parameter on all levels.
const driftActionHelp = "What happens when somebody else changed a replica in the cloud: report (say so), repair (make it again what it should be), ignore (don't look, unless asked to). Defaults to report."

var driftActions = []any{string(engine.DriftReport), string(engine.DriftRepair), string(engine.DriftIgnore)}

// settingsFields are the parameters for how replicas should look, which rules
// and destinations have in common; tags is the name of the one for tags.
func settingsFields(tags string) map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldKMSKeyID:           {Type: framework.TypeString, Description: "KMS key of new remote secrets. Empty to leave it to what is less specific, and in the end to the cloud."},
		tags:                    {Type: framework.TypeKVPairs, Description: "Tags of the remote secrets. A value may be a template, such as {{ .SecretBaseName }}."},
		fieldDescription:        {Type: framework.TypeString, Description: "Description of the remote secrets, possibly a template. The ownership mark is appended to it."},
		fieldFormat:             {Type: framework.TypeString, Description: "What clouds store: json, raw or binary. Empty to follow how a value was written.", AllowedValues: []any{"json", "raw", "binary"}},
		fieldValueKey:           {Type: framework.TypeString, Description: "The key of the data that is sent alone with format raw or binary. Without it that is the only key, value."},
		fieldGranularity:        {Type: framework.TypeString, Description: "secret-path makes one remote secret of a secret, secret-key one of each key of its data.", AllowedValues: []any{"secret-path", "secret-key"}},
		fieldIncludeKeys:        {Type: framework.TypeCommaStringSlice, Description: "Globs on the keys that are sent with granularity secret-key. Without any, all are."},
		fieldExcludeKeys:        {Type: framework.TypeCommaStringSlice, Description: "Globs on the keys that aren't sent with granularity secret-key."},
		fieldSecretNameTemplate: {Type: framework.TypeString, Description: "Template of remote names, such as {{ .MountPath }}-{{ .SecretPath | lowercase }}. The result is made legal for the cloud; by default it is the secret's name."},
		fieldDeletionPolicy:     {Type: framework.TypeString, Description: "What deleting a secret does to its replicas: schedule (delete after the cloud's recovery window), force (at once), retain (leave them, without the mark).", AllowedValues: []any{"schedule", "force", "retain"}},
		fieldDriftAction:        {Type: framework.TypeString, Description: driftActionHelp, AllowedValues: driftActions},
		fieldCustomMetadataTags: {Type: framework.TypeCommaStringSlice, Description: "Keys of a secret's custom metadata that become tags of its replicas."},
	}
}

// decodeSettings applies the given parameters; an empty one leaves the setting
// to what is less important.
func decodeSettings(d *framework.FieldData, tags string, s *rule.Settings) error {
	decodeText(d, fieldKMSKeyID, &s.KMSKeyID)
	decodeText(d, fieldDescription, &s.Description)
	decodeText(d, fieldFormat, &s.Format)
	decodeText(d, fieldValueKey, &s.ValueKey)
	decodeText(d, fieldGranularity, &s.Granularity)
	decodeText(d, fieldSecretNameTemplate, &s.SecretNameTemplate)
	decodeText(d, fieldDeletionPolicy, &s.DeletionPolicy)
	decodeText(d, fieldDriftAction, &s.DriftAction)
	decodeList(d, fieldIncludeKeys, &s.IncludeKeys)
	decodeList(d, fieldExcludeKeys, &s.ExcludeKeys)
	decodeList(d, fieldCustomMetadataTags, &s.CustomMetadataTags)
	if pairs := given[map[string]string](d, tags); pairs != nil {
		s.Tags = nil
		if len(*pairs) > 0 {
			s.Tags = maps.Clone(*pairs)
		}
	}
	if err := s.Check(); err != nil {
		return engine.Refusef("%v", err)
	}
	return nil
}

func decodeText[T ~string](d *framework.FieldData, name string, target **T) {
	text := given[string](d, name)
	if text == nil {
		return
	}
	*target = nil
	if trimmed := strings.TrimSpace(*text); trimmed != "" {
		value := T(trimmed)
		*target = &value
	}
}

func decodeList(d *framework.FieldData, name string, target *[]string) {
	if list := given[[]string](d, name); list != nil {
		*target = nil
		if len(*list) > 0 {
			*target = *list
		}
	}
}

// encodeDefaults puts every setting into an answer, also those that aren't set,
// in the form in which it can be written.
func encodeDefaults(s rule.Settings, tags string, to map[string]any) {
	to[fieldKMSKeyID] = textOf(s.KMSKeyID)
	to[tags] = map[string]string{}
	if len(s.Tags) > 0 {
		to[tags] = s.Tags
	}
	to[fieldDescription] = textOf(s.Description)
	to[fieldFormat] = textOf(s.Format)
	to[fieldValueKey] = textOf(s.ValueKey)
	to[fieldGranularity] = textOf(s.Granularity)
	to[fieldIncludeKeys] = listOf(s.IncludeKeys)
	to[fieldExcludeKeys] = listOf(s.ExcludeKeys)
	to[fieldSecretNameTemplate] = textOf(s.SecretNameTemplate)
	to[fieldDeletionPolicy] = textOf(s.DeletionPolicy)
	to[fieldDriftAction] = textOf(s.DriftAction)
	to[fieldCustomMetadataTags] = listOf(s.CustomMetadataTags)
}

// listOf is a list that JSON shows as one, also without elements.
func listOf(list []string) []string { return append([]string{}, list...) }

func textOf[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}
