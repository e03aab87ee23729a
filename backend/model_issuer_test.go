// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
)

var _ provider.CredentialIssuer = (*wire)(nil)

func (c *wire) issuer() provider.CredentialIssuer { return provider.IssuerOf(c.Destination) }

func (c *wire) Products(ctx context.Context) ([]string, error) {
	return call(ctx, c, providertest.OpProducts, "", func(ctx context.Context) ([]string, error) {
		return c.issuer().Products(ctx)
	})
}

func (c *wire) CreateCredential(ctx context.Context, name string, n provider.NewCredential) (provider.CredentialTask, error) {
	return call(ctx, c, providertest.OpCreateCredential, name, func(ctx context.Context) (provider.CredentialTask, error) {
		return c.issuer().CreateCredential(ctx, name, n)
	})
}

func (c *wire) FindCredential(ctx context.Context, mark string) (string, error) {
	return call(ctx, c, providertest.OpFindCredential, "", func(ctx context.Context) (string, error) {
		return c.issuer().FindCredential(ctx, mark)
	})
}

func (c *wire) DescribeCredential(ctx context.Context, name string) (provider.Credential, error) {
	return call(ctx, c, providertest.OpDescribeCredential, name, func(ctx context.Context) (provider.Credential, error) {
		return c.issuer().DescribeCredential(ctx, name)
	})
}

func (c *wire) CredentialTask(ctx context.Context, name, taskID string) (provider.TaskStatus, error) {
	return call(ctx, c, providertest.OpCredentialTask, name, func(ctx context.Context) (provider.TaskStatus, error) {
		return c.issuer().CredentialTask(ctx, name, taskID)
	})
}

func (c *wire) ReadCredential(ctx context.Context, name string) (provider.CredentialValue, error) {
	return call(ctx, c, providertest.OpReadCredential, name, func(ctx context.Context) (provider.CredentialValue, error) {
		return c.issuer().ReadCredential(ctx, name)
	})
}

func (c *wire) RotateCredential(ctx context.Context, name, token string) (provider.CredentialTask, error) {
	return call(ctx, c, providertest.OpRotateCredential, name, func(ctx context.Context) (provider.CredentialTask, error) {
		return c.issuer().RotateCredential(ctx, name, token)
	})
}

func (c *wire) SetRotation(ctx context.Context, name string, r provider.Rotation) error {
	return act(ctx, c, providertest.OpSetRotation, name, func(ctx context.Context) error {
		return c.issuer().SetRotation(ctx, name, r)
	})
}

func (c *wire) CredentialVersions(ctx context.Context, name string) ([]provider.CredentialVersion, error) {
	return call(ctx, c, providertest.OpCredentialVersions, name, func(ctx context.Context) ([]provider.CredentialVersion, error) {
		return c.issuer().CredentialVersions(ctx, name)
	})
}

func (c *wire) DeleteCredential(ctx context.Context, name string, window time.Duration, accounts bool) (provider.CredentialTask, error) {
	return call(ctx, c, providertest.OpDeleteCredential, name, func(ctx context.Context) (provider.CredentialTask, error) {
		return c.issuer().DeleteCredential(ctx, name, window, accounts)
	})
}
