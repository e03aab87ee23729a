// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
)

// announce publishes an event of the engine on Vault's event bus, if there is
// one. Vault puts the mount in front of the paths; who subscribes needs the
// capability for that of the secret's status.
func (b *backend) announce(ctx context.Context, event engine.Event) error {
	if event.Credential != "" {
		return b.announceCredential(ctx, event)
	}
	path := "status/" + event.Secret
	metadata := []string{
		logical.EventMetadataPath, path,
		logical.EventMetadataDataPath, path,
		logical.EventMetadataOperation, event.Operation,
		"secret", event.Secret,
		fieldDestination, event.Destination,
		fieldState, string(event.State),
		"error_class", string(event.Class),
		fieldVersion, strconv.FormatUint(event.Version, 10),
	}
	if event.Key != "" {
		metadata = append(metadata, "key", event.Key)
	}
	if len(event.Drift) > 0 {
		metadata = append(metadata, "drift", joinKinds(event.Drift))
	}
	return b.sendEvent(ctx, event, metadata)
}

// announceCredential publishes an event of a managed credential; who subscribes
// needs the capability for its path.
func (b *backend) announceCredential(ctx context.Context, event engine.Event) error {
	path := managedPrefix + event.Credential
	return b.sendEvent(ctx, event, []string{
		logical.EventMetadataPath, path,
		logical.EventMetadataDataPath, path,
		logical.EventMetadataOperation, event.Operation,
		"credential", event.Credential,
		fieldDestination, event.Destination,
		fieldState, string(event.State),
		"error_class", string(event.Class),
	})
}

func (b *backend) sendEvent(ctx context.Context, event engine.Event, metadata []string) error {
	err := logical.SendEvent(ctx, b, string(event.Kind), metadata...)
	if errors.Is(err, framework.ErrNoEvents) {
		return nil
	}
	return err
}

func joinKinds(kinds []plan.DriftKind) string {
	words := make([]string, len(kinds))
	for i, kind := range kinds {
		words[i] = string(kind)
	}
	return strings.Join(words, ",")
}
