// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	csms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

const project = huawei.ExampleProjectID

// cloud is an emulated CSMS and the official SDK's client of it.
type cloud struct {
	*csms.CsmsClient
	server   *huawei.Server
	endpoint string
}

func start(t *testing.T, options huawei.Options) cloud {
	t.Helper()
	server, endpoint := emulatortest.Huawei(t, options)
	return cloud{clientFor(t, endpoint, emulator.ExampleAccount(), project), server, endpoint}
}

func switched(t *testing.T, switches huawei.Switches) cloud {
	t.Helper()
	return start(t, huawei.Options{Switches: switches})
}

// clientFor makes a client with connections of its own.
func clientFor(t *testing.T, endpoint string, a emulator.Account, project string) *csms.CsmsClient {
	t.Helper()
	connections := &http.Transport{}
	t.Cleanup(connections.CloseIdleConnections)
	return clientOver(t, connections, endpoint, a, project)
}

func clientOver(t *testing.T, transport http.RoundTripper, endpoint string, a emulator.Account, project string) *csms.CsmsClient {
	t.Helper()
	credentials, err := basic.NewCredentialsBuilder().WithAk(a.AccessKeyID).WithSk(a.AccessKeySecret).
		WithSecurityToken(a.SecurityToken).WithProjectId(project).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	settings := config.DefaultHttpConfig().WithUserAgent("emulator-test/1.0").WithHttpRoundTripper(transport)
	client, err := csms.CsmsClientBuilder().WithEndpoint(endpoint).WithCredential(credentials).WithHttpConfig(settings).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	return csms.NewCsmsClient(client)
}

// answered is the status and error code of an SDK call, "" for success.
func answered(err error) string {
	var failure *sdkerr.ServiceResponseError
	if errors.As(err, &failure) {
		return http.StatusText(failure.StatusCode) + " " + failure.ErrorCode
	}
	if err != nil {
		return "not an API error: " + err.Error()
	}
	return ""
}

// What calls end with, by status and code.
const (
	ok            = ""
	invalid       = "Bad Request CSMS.0002"
	badBody       = "Bad Request CSMS.0004"
	notFound      = "Not Found CSMS.0005"
	pending       = "Bad Request CSMS.0103"
	internalStage = "Bad Request CSMS.0105"
	scheduled     = "Bad Request CSMS.0107"
	notScheduled  = "Bad Request CSMS.0108"
	notEnabled    = "Forbidden CSMS.0109"
	exists        = "Bad Request CSMS.0201"
	secretQuota   = "Bad Request CSMS.0202"
	stageLimit    = "Bad Request CSMS.0203"
	stageQuota    = "Bad Request CSMS.0204"
	versionLimit  = "Bad Request CSMS.0205"
	denied        = "Forbidden CSMS.0302"
	keyUnusable   = "Bad Request CSMS.0401"
	unauthorized  = "Unauthorized APIGW.0301"
)

func want(t *testing.T, err error, outcome string) {
	t.Helper()
	if got := answered(err); got != outcome {
		t.Fatalf("the call ended with %q (%v), want %q", got, err, outcome)
	}
}

func p[T any](v T) *T { return &v }

func (c cloud) createWith(body model.CreateSecretRequestBody) (*model.Secret, error) {
	answer, err := c.CreateSecret(&model.CreateSecretRequest{Body: &body})
	if err != nil {
		return nil, err
	}
	return answer.Secret, nil
}

// create makes a text secret, whose version is v1.
func (c cloud) create(t *testing.T, name, value string) *model.Secret {
	t.Helper()
	made, err := c.createWith(model.CreateSecretRequestBody{Name: name, SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (c cloud) show(name string) (*model.Secret, error) {
	answer, err := c.ShowSecret(&model.ShowSecretRequest{SecretName: name})
	if err != nil {
		return nil, err
	}
	return answer.Secret, nil
}

func (c cloud) update(name string, body model.UpdateSecretRequestBody) error {
	_, err := c.UpdateSecret(&model.UpdateSecretRequest{SecretName: name, Body: &body})
	return err
}

func (c cloud) remove(name string) error {
	_, err := c.DeleteSecret(&model.DeleteSecretRequest{SecretName: name})
	return err
}

func (c cloud) schedule(name string, days int32) (*model.Secret, error) {
	answer, err := c.DeleteSecretForSchedule(&model.DeleteSecretForScheduleRequest{
		SecretName: name, Body: &model.DeleteSecretForScheduleRequestBody{RecoveryWindowInDays: days},
	})
	if err != nil {
		return nil, err
	}
	return answer.Secret, nil
}

func (c cloud) restore(name string) error {
	_, err := c.RestoreSecret(&model.RestoreSecretRequest{SecretName: name})
	return err
}

func (c cloud) putWith(name string, body model.CreateSecretVersionRequestBody) (*model.VersionMetadata, error) {
	answer, err := c.CreateSecretVersion(&model.CreateSecretVersionRequest{SecretName: name, Body: &body})
	if err != nil {
		return nil, err
	}
	return answer.VersionMetadata, nil
}

func (c cloud) put(name, value string, stages ...string) error {
	body := model.CreateSecretVersionRequestBody{SecretString: &value}
	if stages != nil {
		body.VersionStages = &stages
	}
	_, err := c.putWith(name, body)
	return err
}

func (c cloud) get(name, versionID string) (*model.Version, error) {
	answer, err := c.ShowSecretVersion(&model.ShowSecretVersionRequest{SecretName: name, VersionId: versionID})
	if err != nil {
		return nil, err
	}
	return answer.Version, nil
}

func (c cloud) expire(name, versionID string, at int64) error {
	_, err := c.UpdateVersion(&model.UpdateVersionRequest{
		SecretName: name, VersionId: versionID, Body: &model.UpdateVersionRequestBody{ExpireTime: at},
	})
	return err
}

func (c cloud) versions(name string) ([]model.VersionMetadata, error) {
	answer, err := c.ListSecretVersions(&model.ListSecretVersionsRequest{SecretName: name})
	if err != nil {
		return nil, err
	}
	return *answer.VersionMetadatas, nil
}

func (c cloud) mark(name, stage, versionID string) error {
	_, err := c.UpdateSecretStage(&model.UpdateSecretStageRequest{
		SecretName: name, StageName: stage, Body: &model.UpdateSecretStageRequestBody{VersionId: versionID},
	})
	return err
}

func (c cloud) stage(name, stage string) (string, error) {
	answer, err := c.ShowSecretStage(&model.ShowSecretStageRequest{SecretName: name, StageName: stage})
	if err != nil {
		return "", err
	}
	return *answer.Stage.VersionId, nil
}

func (c cloud) unmark(name, stage string) error {
	_, err := c.DeleteSecretStage(&model.DeleteSecretStageRequest{SecretName: name, StageName: stage})
	return err
}

func (c cloud) tag(id, key, value string) error {
	_, err := c.CreateSecretTag(&model.CreateSecretTagRequest{
		SecretId: id, Body: &model.CreateSecretTagRequestBody{Tag: &model.TagItem{Key: key, Value: &value}},
	})
	return err
}

func (c cloud) untag(id, key string) error {
	_, err := c.DeleteSecretTag(&model.DeleteSecretTagRequest{SecretId: id, Key: key})
	return err
}

func (c cloud) batch(id, action string, tags ...string) error {
	body := model.BatchCreateOrDeleteTagsRequestBody{Action: action}
	for _, one := range tags {
		key, value, _ := strings.Cut(one, "=")
		body.Tags = append(body.Tags, model.TagItem{Key: key, Value: &value})
	}
	_, err := c.BatchCreateOrDeleteTags(&model.BatchCreateOrDeleteTagsRequest{SecretId: id, Body: &body})
	return err
}

func (c cloud) tags(id string) (string, error) {
	answer, err := c.ListSecretTags(&model.ListSecretTagsRequest{SecretId: id})
	if err != nil {
		return "", err
	}
	var tags []string
	for _, one := range *answer.Tags {
		tags = append(tags, one.Key+"="+*one.Value)
	}
	return strings.Join(tags, ","), nil
}

// marks shows the versions of a secret with their stages, sorted, as in
// "v1 v2:SYSCURRENT".
func (c cloud) marks(t *testing.T, name string) string {
	t.Helper()
	stored, found := c.server.Inspect(project, name)
	if !found {
		t.Fatalf("secret %s is absent", name)
	}
	shown := make([]string, 0, len(stored.Versions))
	for _, v := range stored.Versions {
		slices.Sort(v.Labels)
		shown = append(shown, strings.TrimSuffix(v.ID+":"+strings.Join(v.Labels, "+"), ":"))
	}
	return strings.Join(shown, " ")
}

func TestASecretCanBeWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	made := c.create(t, "app-db", "first <&> value")
	want(t, c.put("app-db", "second"), ok)

	got, err := c.get("app-db", "v1")
	want(t, err, ok)
	if *got.SecretString != "first <&> value" || got.SecretBinary != nil || *got.VersionMetadata.Id != "v1" {
		t.Errorf("read %v", got)
	}
	shown, err := c.show("app-db")
	want(t, err, ok)
	if *shown.Id != *made.Id || *shown.State != "ENABLED" || shown.ScheduledDeleteTime != nil || shown.SecretType.Value() != "COMMON" {
		t.Errorf("shown %v", shown)
	}
	if got := c.marks(t, "app-db"); got != "v1:SYSPREVIOUS v2:SYSCURRENT" {
		t.Errorf("stored is %s", got)
	}
	if n := c.server.Calls().Count("CreateSecretVersion"); n != 1 {
		t.Errorf("%d calls of CreateSecretVersion were counted", n)
	}
}
