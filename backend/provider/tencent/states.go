// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"slices"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// Which code the service gives to a call that the secret's state forbids isn't
// documented; FailedOperation is likely. A refusal with it is therefore looked
// into by describing the secret.

// requirement is what a call has to do with the secret's state.
type requirement struct {
	done   []provider.State // the call has nothing to do
	needed []provider.State // the call can work
}

var (
	readable = []provider.State{provider.StateEnabled}
	hidden   = []provider.State{provider.StateDisabled}
	leaving  = []provider.State{provider.StatePendingDeletion}
	living   = []provider.State{provider.StateEnabled, provider.StateDisabled}

	enabling  = requirement{done: readable, needed: hidden}
	disabling = requirement{done: hidden, needed: readable}
	deleting  = requirement{done: leaving, needed: hidden}
	restoring = requirement{done: living, needed: leaving}
	writing   = requirement{needed: living}
)

// settle looks into a refused call: nil if there was nothing to do, class
// Conflict if the state forbids it, else err as it is, which is the service's
// own trouble, to try again.
func (d *destination) settle(ctx context.Context, name string, err error, r requirement) error {
	if codeOf(err) != codeFailedOperation {
		return err
	}
	s, describeErr := d.Describe(ctx, name)
	switch {
	case describeErr != nil:
		return describeErr
	case slices.Contains(r.done, s.State):
		return nil
	case slices.Contains(r.needed, s.State):
		return err
	}
	return withMessage(err, "the secret is in state %s, the call needs %s", s.State, r.needed[0])
}

// Enable implements provider.Switcher by EnableSecret.
func (d *destination) Enable(ctx context.Context, name string) error {
	request := ssm.NewEnableSecretRequest()
	request.SecretName = &name
	_, err := call(ctx, d, (*ssm.Client).EnableSecretWithContext, request)
	return d.settle(ctx, name, err, enabling)
}

// Disable implements provider.Switcher by DisableSecret.
func (d *destination) Disable(ctx context.Context, name string) error {
	request := ssm.NewDisableSecretRequest()
	request.SecretName = &name
	_, err := call(ctx, d, (*ssm.Client).DisableSecretWithContext, request)
	return d.settle(ctx, name, err, disabling)
}

// Delete implements provider.Writer by DeleteSecret. A part of a day counts as
// a whole one, so that nothing goes earlier than asked.
func (d *destination) Delete(ctx context.Context, name string, window time.Duration) error {
	_, err := d.delete(ctx, name, window, false)
	return err
}

// delete returns the request id. With cleanKey set the key pair of an SSH secret
// goes too.
func (d *destination) delete(ctx context.Context, name string, window time.Duration, cleanKey bool) (requestID string, err error) {
	const day = 24 * time.Hour
	days := uint64(max(0, window+day-1) / day)
	request := ssm.NewDeleteSecretRequest()
	request.SecretName = &name
	request.RecoveryWindowInDays = &days
	if cleanKey {
		request.CleanSSHKey = &cleanKey
	}
	answer, err := call(ctx, d, (*ssm.Client).DeleteSecretWithContext, request)
	if err == nil {
		return at(answer.Response.RequestId), nil
	}
	err = d.settle(ctx, name, err, deleting)
	if provider.IsNotFound(err) {
		return "", nil
	}
	return "", err
}

// Restore implements provider.Restorer by RestoreSecret.
func (d *destination) Restore(ctx context.Context, name string) error {
	request := ssm.NewRestoreSecretRequest()
	request.SecretName = &name
	_, err := call(ctx, d, (*ssm.Client).RestoreSecretWithContext, request)
	return d.settle(ctx, name, err, restoring)
}
