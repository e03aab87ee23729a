// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
)

const (
	importPrefix      = "import/"
	fieldPathTemplate = "path_template"
	fieldPrefix       = "prefix"
	fieldAdopt        = "adopt"
	fieldDryRun       = "dry_run"
	fieldOnConflict   = "on_conflict"
	fieldGuard        = "guard"
)

func (b *backend) importPaths() []*framework.Path {
	return []*framework.Path{{
		Pattern:      importPrefix + framework.GenericNameRegex(fieldType) + "/" + framework.GenericNameRegex(fieldName),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "import"},
		Fields: map[string]*framework.FieldSchema{
			fieldType:         {Type: framework.TypeString, Description: "Type of the destination."},
			fieldName:         {Type: framework.TypeString, Description: "Name of the destination."},
			fieldMatch:        {Type: framework.TypeCommaStringSlice, Description: "Globs on remote names: * within a segment, ** across. One exact name is a glob too.", Required: true},
			fieldExclude:      {Type: framework.TypeCommaStringSlice, Description: "Globs on remote names that are left out."},
			fieldPathTemplate: {Type: framework.TypeString, Description: "Template of the secret's name, such as {{ .RemoteName | replace \"-\" \"/\" }}. By default it is the remote name."},
			fieldPrefix:       {Type: framework.TypeString, Description: "What goes before the secret's name, such as team-a/."},
			fieldAdopt:        {Type: framework.TypeBool, Description: "Also take over the remote secrets: they get the mark of this mount, and no version. Without it only the values are copied."},
			fieldDryRun:       {Type: framework.TypeBool, Description: "Only say what would be done with each."},
			fieldOnConflict: {
				Type: framework.TypeString, Default: "skip", AllowedValues: []any{"skip", "fail", "replace", "keep"},
				Description: "What to do where Vault has another value: skip it, fail (end the import), replace Vault's by a new version, keep Vault's, which with adopt is sent to the cloud.",
			},
			fieldVersions:     {Type: framework.TypeInt, Default: 1, Description: "How many versions of each to bring in, the current one among them. Only of secrets that Vault doesn't have."},
			fieldDestinations: {Type: framework.TypeCommaStringSlice, Description: "Further destinations of the secrets, as type/name."},
			fieldGuard:        {Type: framework.TypeString, Description: "Id of a dry run: what isn't as it was then is left alone."},
			fieldWait:         {Type: framework.TypeDurationSecond, Description: "How long to wait for the end before answering. Defaults to the mount's default_wait. The import goes on in any case."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.operation(importSecrets), Responses: responds(jobFields), DisplayAttrs: display("import", "secrets"),
				Summary: "Bring secrets that are in a cloud into Vault, and take them over.",
			},
		},
		HelpSynopsis: "Bring secrets that are in a cloud into Vault, and take them over.",
		HelpDescription: strings.TrimSpace(`
Copies the values of remote secrets into Vault. With adopt the remote secrets get
the mark of this mount, so that the next write continues their history. No version
is made in the cloud. Secrets of types whose value the cloud makes, of other mounts
and those that are scheduled for deletion are never taken.

It runs as a job, which jobs/<id> reports on. Whoever may import writes secrets of
any name that the destination's allowed_paths allow.`),
	}}
}

func importSecrets(ctx context.Context, e *engine.Engine, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	im := engine.Import{Destination: textField(d, fieldType) + "/" + textField(d, fieldName), OnConflict: engine.ConflictSkip, Versions: 1}
	assign(&im.Match, given[[]string](d, fieldMatch))
	assign(&im.Exclude, given[[]string](d, fieldExclude))
	assign(&im.PathTemplate, given[string](d, fieldPathTemplate))
	assign(&im.Prefix, given[string](d, fieldPrefix))
	assign(&im.Adopt, given[bool](d, fieldAdopt))
	assign(&im.DryRun, given[bool](d, fieldDryRun))
	assign(&im.Versions, given[int](d, fieldVersions))
	assign(&im.Destinations, given[[]string](d, fieldDestinations))
	assign(&im.Guard, given[string](d, fieldGuard))
	if way := given[string](d, fieldOnConflict); way != nil {
		im.OnConflict = engine.OnConflict(*way)
	}
	config, err := e.Config(ctx)
	if err != nil {
		return nil, err
	}
	wait := config.Wait()
	if seconds := given[int](d, fieldWait); seconds != nil {
		wait = time.Duration(*seconds) * time.Second
	}
	id, err := e.StartImport(ctx, im, author(req))
	if err != nil {
		return nil, err
	}
	return awaitJob(ctx, e, id, wait)
}

// textField is a field that is a string by its schema.
func textField(d *framework.FieldData, name string) string {
	value, _ := d.Get(name).(string)
	return value
}
