// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// currentVersionID stands for the value of a product secret that works now.
const currentVersionID = "SSM_Current"

// DescribeCredential implements provider.CredentialIssuer by DescribeSecret, and
// DescribeRotationDetail for a database account that is ready.
func (d *destination) DescribeCredential(ctx context.Context, name string) (provider.Credential, error) {
	r, err := d.describeManaged(ctx, name)
	if err != nil {
		return provider.Credential{}, err
	}
	c, err := credential(name, r)
	if err != nil || at(r.SecretType) != typeProduct || c.State != provider.CredentialReady {
		return c, err
	}
	request := ssm.NewDescribeRotationDetailRequest()
	request.SecretName = &name
	answer, err := call(ctx, d, (*ssm.Client).DescribeRotationDetailWithContext, request)
	if err != nil {
		return provider.Credential{}, err
	}
	detail := answer.Response
	c.Rotation = rotation(at(detail.EnableRotation), at(detail.Frequency))
	c.LastRotation = chinaTime(at(detail.LatestRotateTime))
	if c.Rotation.Enabled {
		c.NextRotation = chinaTime(at(detail.NextRotateBeginTime))
	}
	return c, nil
}

// describeManaged refuses a secret whose value callers write.
func (d *destination) describeManaged(ctx context.Context, name string) (*ssm.DescribeSecretResponseParams, error) {
	request := ssm.NewDescribeSecretRequest()
	request.SecretName = &name
	answer, err := call(ctx, d, (*ssm.Client).DescribeSecretWithContext, request)
	if err != nil {
		return nil, err
	}
	if at(answer.Response.SecretType) == 0 {
		return nil, &provider.Error{
			Class: provider.ClassConflict, Operation: request.GetAction(), RequestID: at(answer.Response.RequestId),
			Message: "the secret isn't a managed credential: its value is written by callers",
		}
	}
	return answer.Response, nil
}

// credentialStates are by Status. One of the service's examples has Initializing.
var credentialStates = map[string]provider.CredentialState{
	"Creating":      provider.CredentialCreating,
	"Initializing":  provider.CredentialCreating,
	"Enabled":       provider.CredentialReady,
	"Disabled":      provider.CredentialDisabled,
	"Failed":        provider.CredentialFailed,
	"PendingDelete": provider.CredentialPendingDeletion,
}

func credential(name string, r *ssm.DescribeSecretResponseParams) (provider.Credential, error) {
	s := secret(metadata{
		name: name, description: r.Description, keyID: r.KmsKeyId, status: r.Status,
		created: r.CreateTime, due: r.DeleteTime, secretType: r.SecretType,
	})
	state, known := credentialStates[at(r.Status)]
	if !known {
		return provider.Credential{}, &provider.Error{
			Class: provider.ClassUnavailable, Operation: "DescribeSecret", RequestID: at(r.RequestId),
			Message: "the service tells a state of the credential that isn't documented: " + at(r.Status),
		}
	}
	c := provider.Credential{
		Name: name, State: state, Type: s.Type, Description: s.Description, KMSKeyID: s.KMSKeyID,
		CreatedTime: s.CreatedTime, DeletionTime: s.DeletionTime,
		Rotation: rotation(at(r.RotationStatus), at(r.RotationFrequency)),
	}
	if at(r.SecretType) == typeSSHKey {
		c.Product = productSSHKey
		c.Parameters = map[string]string{fieldSSHKeyName: at(r.ResourceName), fieldProjectID: strconv.FormatInt(at(r.ProjectID), 10)}
		return c, nil
	}
	product, other := productNamed(at(r.ProductName))
	c.Product, c.InstanceID = product, at(r.ResourceID)
	if other {
		c.Parameters = map[string]string{fieldProductName: at(r.ProductName)}
	}
	return c, nil
}

func rotation(enabled bool, days int64) provider.Rotation {
	if !enabled {
		return provider.Rotation{}
	}
	return provider.Rotation{Enabled: true, Interval: time.Duration(days) * provider.Days(1)}
}

// ReadCredential implements provider.CredentialIssuer by GetSecretValue. What
// gives no account is described, and a key pair read by GetSSHKeyPairValue.
func (d *destination) ReadCredential(ctx context.Context, name string) (provider.CredentialValue, error) {
	request := ssm.NewGetSecretValueRequest()
	current := currentVersionID
	request.SecretName, request.VersionId = &name, &current
	answer, err := call(ctx, d, (*ssm.Client).GetSecretValueWithContext, request)
	if err == nil {
		if value, ok := account(answer.Response); ok {
			return value, nil
		}
		err = &provider.Error{
			Class: provider.ClassInternal, Operation: request.GetAction(), RequestID: at(answer.Response.RequestId),
			Message: "the value isn't an object of UserName and Password, as database accounts have it",
		}
	} else if class := provider.ClassOf(err); codeOf(err) != codeFailedOperation &&
		class != provider.ClassNotFound && class != provider.ClassConflict && class != provider.ClassInvalid {
		return provider.CredentialValue{}, err
	}
	return d.readOther(ctx, name, err)
}

// readOther reads what GetSecretValue didn't answer with an account.
func (d *destination) readOther(ctx context.Context, name string, refused error) (provider.CredentialValue, error) {
	r, err := d.describeManaged(ctx, name)
	if err != nil {
		return provider.CredentialValue{}, err
	}
	c, err := credential(name, r)
	switch {
	case err != nil:
		return provider.CredentialValue{}, err
	case c.State != provider.CredentialReady:
		return provider.CredentialValue{}, withMessage(refused, "the credential is in state %s, and can be read when it is %s", c.State, provider.CredentialReady)
	case at(r.SecretType) != typeSSHKey:
		return provider.CredentialValue{}, refused
	}
	request := ssm.NewGetSSHKeyPairValueRequest()
	request.SecretName = &name
	answer, err := call(ctx, d, (*ssm.Client).GetSSHKeyPairValueWithContext, request)
	if err != nil {
		return provider.CredentialValue{}, err
	}
	return keyPair(answer.Response)
}

// account reads the value of a product secret.
func account(r *ssm.GetSecretValueResponseParams) (provider.CredentialValue, bool) {
	var value struct{ UserName, Password string }
	if json.Unmarshal([]byte(at(r.SecretString)), &value) != nil || value.UserName == "" || value.Password == "" {
		return provider.CredentialValue{}, false
	}
	id := at(r.VersionId)
	if id == "" {
		id = currentVersionID
	}
	return provider.CredentialValue{
		VersionID: id, Labels: []string{currentVersionID},
		Fields: map[string]sensitive.String{"username": sensitive.NewString(value.UserName), "password": sensitive.NewString(value.Password)},
	}, true
}

// keyPair reads the value of a key pair. The service's text says that keys are in
// base64, its examples show them as they are, and some with the two swapped.
func keyPair(r *ssm.GetSSHKeyPairValueResponseParams) (provider.CredentialValue, error) {
	private, public := plainKey(at(r.PrivateKey)), plainKey(at(r.PublicKey))
	if strings.Contains(public, "PRIVATE KEY") {
		private, public = public, private
	}
	if !strings.Contains(private, "PRIVATE KEY") || public == "" {
		return provider.CredentialValue{}, &provider.Error{
			Class: provider.ClassInternal, Operation: "GetSSHKeyPairValue", RequestID: at(r.RequestId), Message: "the value isn't a key pair",
		}
	}
	return provider.CredentialValue{
		VersionID: at(r.SSHKeyName),
		Fields:    map[string]sensitive.String{"private_key": sensitive.NewString(private), "public_key": sensitive.NewString(public)},
	}, nil
}

func plainKey(text string) string {
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		return string(decoded)
	}
	return text
}

// DeleteCredential implements provider.CredentialIssuer. Only a disabled secret
// can be deleted, so an enabled one is disabled before: up to three calls.
func (d *destination) DeleteCredential(ctx context.Context, name string, window time.Duration, accounts bool) (provider.CredentialTask, error) {
	done := provider.CredentialTask{Name: name}
	r, err := d.describeManaged(ctx, name)
	if provider.IsNotFound(err) {
		return done, nil
	}
	if err != nil {
		return provider.CredentialTask{}, err
	}
	c, err := credential(name, r)
	if err != nil {
		return provider.CredentialTask{}, err
	}
	if c.Product == productSSHKey && window > 0 {
		return provider.CredentialTask{}, &provider.Error{Class: provider.ClassInvalid, Message: "an SSH key pair can only be deleted at once; leave the recovery window out"}
	}
	switch c.State {
	case provider.CredentialPendingDeletion:
		return done, nil
	case provider.CredentialCreating:
		return provider.CredentialTask{}, &provider.Error{Class: provider.ClassConflict, Message: "the credential is still being created; it can be deleted when that has ended"}
	case provider.CredentialReady:
		if err := d.Disable(ctx, name); provider.IsNotFound(err) {
			return done, nil
		} else if err != nil {
			return provider.CredentialTask{}, err
		}
	case provider.CredentialRotating, provider.CredentialFailed, provider.CredentialDisabled:
	}
	if accounts && c.Product != productSSHKey && c.State != provider.CredentialFailed {
		task, err := d.deleteWithAccounts(ctx, name, window)
		return task, provider.Partly(c.State == provider.CredentialReady, err)
	}
	requestID, err := d.delete(ctx, name, window, c.Product == productSSHKey && accounts)
	if c.State == provider.CredentialFailed && provider.ClassOf(err) == provider.ClassConflict {
		err = withMessage(err, "the service keeps the credential, whose creation failed; delete it in Tencent's console")
	}
	done.RequestID = requestID
	return done, provider.Partly(c.State == provider.CredentialReady, err)
}
