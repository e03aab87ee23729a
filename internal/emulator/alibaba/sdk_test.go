// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	alierrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

const region = "cn-hangzhou"

// The SDK makes this map when it is first asked for, without a lock.
var _ = kms.GetEndpointMap()

// cloud is an emulated KMS and the official SDK's client of it.
type cloud struct {
	*kms.Client
	server   *alibaba.Server
	endpoint string
}

func start(t *testing.T, options alibaba.Options) cloud {
	t.Helper()
	server, endpoint := emulatortest.Alibaba(t, options)
	return cloud{clientFor(t, endpoint, emulator.ExampleAccount(), region), server, endpoint}
}

// plain hides a transport's type, since the SDK changes one that it knows.
type plain struct{ http.RoundTripper }

// clientFor makes a client with connections of its own.
func clientFor(t *testing.T, endpoint string, a emulator.Account, region string) *kms.Client {
	t.Helper()
	connections := &http.Transport{}
	t.Cleanup(connections.CloseIdleConnections)
	return clientOver(t, plain{connections}, endpoint, a, region)
}

func clientOver(t *testing.T, transport http.RoundTripper, endpoint string, a emulator.Account, region string) *kms.Client {
	t.Helper()
	config := sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false)
	config.Transport = transport
	var provider credentials.CredentialsProvider = credentials.NewStaticAKCredentialsProvider(a.AccessKeyID, a.AccessKeySecret)
	if a.SecurityToken != "" {
		provider = credentials.NewStaticSTSCredentialsProvider(a.AccessKeyID, a.AccessKeySecret, a.SecurityToken)
	}
	client, err := kms.NewClientWithOptions(region, config, provider)
	if err != nil {
		t.Fatal(err)
	}
	client.Domain = strings.TrimPrefix(endpoint, "http://")
	client.SetCloseTrace(true)
	return client
}

// as returns the same cloud for another access key or region.
func (c cloud) as(t *testing.T, a emulator.Account, region string) cloud {
	t.Helper()
	if err := c.server.Account(a); err != nil {
		t.Fatal(err)
	}
	return cloud{clientFor(t, c.endpoint, a, region), c.server, c.endpoint}
}

// codeStatuses are the HTTP statuses of the codes that tests see.
var codeStatuses = map[string]int{
	"MissingParameter": 400, "InvalidParameter": 400, "IllegalTimestamp": 400, "InvalidTimeStamp.Expired": 400,
	"SignatureDoesNotMatch": 400, "IncompleteSignature": 400, "SignatureNonceUsed": 400, "ParseRequestParameterException": 400,
	"InvalidSecurityToken.Expired": 400, "InvalidSecurityToken.Malformed": 400, "InvalidSecurityToken.MismatchWithAccessKey": 400,
	"Rejected.LimitExceeded": 400, "UnsupportedOperation": 400, "Throttling": 400, "Throttling.User": 400,
	"DryRunOperationError": 400, "ValidationError": 400, "AccessDeniedError": 400,
	"Forbidden.NoPermission": 403, "Forbidden.KmsServiceNotEnabled": 403, "Forbidden.InDebt": 403, "Forbidden.InDebtOverdue": 403,
	"Forbidden.DKMSInstanceNotFound": 403, "UnsupportedHTTPMethod": 403,
	"InvalidAccessKeyId.NotFound": 404, "InvalidAction.NotFound": 404, "Forbidden.ResourceNotFound": 404,
	"Forbidden.KeyNotFound": 404, "Forbidden.AliasNotFound": 404,
	"Rejected.ResourceExist": 409, "Rejected.ResourceInDeleteWindow": 409, "Rejected.ResourceInUse": 409,
	"Rejected.Disabled": 409, "Rejected.PendingDeletion": 409,
	"Rejected.Throttling": 429, "InternalFailure": 500, "ServiceUnavailableTemporary": 503,
}

// code is the error code of an SDK call, "" for success.
func code(err error) string {
	var failure *alierrors.ServerError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &failure):
		return "not an API error: " + err.Error()
	case failure.HttpStatus() != codeStatuses[failure.ErrorCode()]:
		return failure.ErrorCode() + " with status " + http.StatusText(failure.HttpStatus())
	case failure.RequestId() == "" || failure.Message() == "":
		return failure.ErrorCode() + " without a request id or a message"
	}
	return failure.ErrorCode()
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Fatalf("the call ended with %q (%v), want %q", got, err, want)
	}
}

// create makes a text secret with the version v1.
func (c cloud) create(t *testing.T, name, value string) {
	t.Helper()
	_, err := c.createWith(name, value, func(*kms.CreateSecretRequest) {})
	wantCode(t, err, "")
}

// createWith sends the value in the body, as the provider does.
func (c cloud) createWith(name, value string, set func(*kms.CreateSecretRequest)) (*kms.CreateSecretResponse, error) {
	r := kms.CreateCreateSecretRequest()
	r.SecretName, r.VersionId = name, "v1"
	r.FormParams["SecretData"] = value
	set(r)
	return c.CreateSecret(r)
}

func (c cloud) put(name, versionID, value string, labels ...string) error {
	r := kms.CreatePutSecretValueRequest()
	r.SecretName, r.VersionId = name, versionID
	r.FormParams["SecretData"] = value
	if len(labels) > 0 {
		r.VersionStages = `["` + strings.Join(labels, `","`) + `"]`
	}
	_, err := c.PutSecretValue(r)
	return err
}

func (c cloud) get(name, versionID, label string) (*kms.GetSecretValueResponse, error) {
	r := kms.CreateGetSecretValueRequest()
	r.SecretName, r.VersionId, r.VersionStage = name, versionID, label
	return c.GetSecretValue(r)
}

func (c cloud) describe(name string) (*kms.DescribeSecretResponse, error) {
	r := kms.CreateDescribeSecretRequest()
	r.SecretName, r.FetchTags = name, "true"
	return c.DescribeSecret(r)
}

func (c cloud) update(name, description string) error {
	r := kms.CreateUpdateSecretRequest()
	r.SecretName, r.QueryParams["Description"] = name, description
	_, err := c.UpdateSecret(r)
	return err
}

func (c cloud) stage(name, label, to, from string) error {
	r := kms.CreateUpdateSecretVersionStageRequest()
	r.SecretName, r.VersionStage, r.MoveToVersion, r.RemoveFromVersion = name, label, to, from
	_, err := c.UpdateSecretVersionStage(r)
	return err
}

func (c cloud) versions(name string) (*kms.ListSecretVersionIdsResponse, error) {
	r := kms.CreateListSecretVersionIdsRequest()
	r.SecretName, r.IncludeDeprecated = name, "true"
	return c.ListSecretVersionIds(r)
}

func (c cloud) deleteAfter(name, days string) error {
	r := kms.CreateDeleteSecretRequest()
	r.SecretName, r.RecoveryWindowInDays = name, days
	_, err := c.DeleteSecret(r)
	return err
}

func (c cloud) deleteNow(name string) error {
	r := kms.CreateDeleteSecretRequest()
	r.SecretName, r.ForceDeleteWithoutRecovery = name, "true"
	_, err := c.DeleteSecret(r)
	return err
}

func (c cloud) restore(name string) error {
	r := kms.CreateRestoreSecretRequest()
	r.SecretName = name
	_, err := c.RestoreSecret(r)
	return err
}

func (c cloud) tag(name, tags string) error {
	r := kms.CreateTagResourceRequest()
	r.SecretName, r.Tags = name, tags
	_, err := c.TagResource(r)
	return err
}

func (c cloud) untag(name, keys string) error {
	r := kms.CreateUntagResourceRequest()
	r.SecretName, r.TagKeys = name, keys
	_, err := c.UntagResource(r)
	return err
}

// raw calls any action with any parameters.
func (c cloud) raw(action string, parameters map[string]string) error {
	r := requests.NewCommonRequest()
	r.Domain, r.Version, r.ApiName, r.Method, r.Scheme = c.Domain, "2016-01-20", action, http.MethodPost, "HTTP"
	for name, value := range parameters {
		r.QueryParams[name] = value
	}
	_, err := c.ProcessCommonRequest(r)
	return err
}

// stored returns the secret of a name, which must be there.
func (c cloud) stored(t *testing.T, name string) emulator.Secret {
	t.Helper()
	secret, ok := c.server.Inspect(region, name)
	if !ok {
		t.Fatalf("the secret %q isn't there", name)
	}
	return secret
}

// layout is "v1 v2:ACSPrevious v3:ACSCurrent".
func (c cloud) layout(t *testing.T, name string) string {
	t.Helper()
	secret := c.stored(t, name)
	words := make([]string, 0, len(secret.Versions))
	for _, v := range secret.Versions {
		words = append(words, strings.TrimSuffix(v.ID+":"+strings.Join(v.Labels, "+"), ":"))
	}
	return strings.Join(words, " ")
}

func TestASecretCanBeWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	value := "first <&> +%~* é value"
	created, err := c.createWith("app/db", value, func(r *kms.CreateSecretRequest) {
		r.Description, r.Tags = "words", `[{"TagKey":"team","TagValue":"a"}]`
	})
	wantCode(t, err, "")
	if created.Arn != "acs:kms:cn-hangzhou:100000000001:secret/app/db" || created.SecretName != "app/db" ||
		created.VersionId != "v1" || created.SecretType != "Generic" || created.RequestId == "" {
		t.Errorf("created %+v", created)
	}
	wantCode(t, c.put("app/db", "v2", "second"), "")

	got, err := c.get("app/db", "v1", "")
	wantCode(t, err, "")
	if got.SecretData != value || got.SecretDataType != "text" || got.VersionId != "v1" || got.SecretType != "Generic" ||
		!slices.Equal(got.VersionStages.VersionStage, []string{"ACSPrevious"}) || got.AutomaticRotation != "" {
		t.Errorf("read %+v", got)
	}
	got, err = c.get(created.Arn, "", "")
	wantCode(t, err, "")
	if got.SecretData != "second" || got.SecretName != "app/db" {
		t.Errorf("read %+v by ARN", got)
	}
	described, err := c.describe("app/db")
	wantCode(t, err, "")
	if described.Description != "words" || described.Tags.Tag[0].TagValue != "a" || described.PlannedDeleteTime != "" ||
		described.EncryptionKeyId != "" || described.CreateTime == "" || described.UpdateTime == "" {
		t.Errorf("described %+v", described)
	}
	if n := c.server.Calls().Count("PutSecretValue"); n != 1 || c.server.Calls().ValuesInURL() != 0 {
		t.Errorf("%d calls of PutSecretValue were counted, %d values in URLs", n, c.server.Calls().ValuesInURL())
	}
}

func TestAValueInTheURLIsCounted(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	r := kms.CreateCreateSecretRequest()
	r.SecretName, r.VersionId, r.SecretData = "s", "v1", "canary" // the way the SDK does by itself
	_, err := c.CreateSecret(r)
	wantCode(t, err, "")
	wantCode(t, c.put("s", "v2", "value"), "")
	calls := c.server.Calls().List()
	if c.server.Calls().ValuesInURL() != 1 || !calls[0].ValueInURL || calls[1].ValueInURL {
		t.Errorf("counted %d, logged %+v", c.server.Calls().ValuesInURL(), calls)
	}
	c.server.Calls().Reset()
	if c.server.Calls().ValuesInURL() != 0 {
		t.Error("the counter outlives a reset")
	}
}

func (c cloud) regions() (*kms.DescribeRegionsResponse, error) {
	return c.DescribeRegions(kms.CreateDescribeRegionsRequest())
}
