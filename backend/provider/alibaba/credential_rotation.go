// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// longestRotation is how long a rotation of which nothing is heard counts as
// under way. It is done at once as a rule, and more than two minutes hint at
// trouble, the documents say.
const longestRotation = 15 * time.Minute

// rotationTask is a rotation that was asked for: the id of its version, when it was
// by the service's clock, and what the service told of the credential before.
type rotationTask struct {
	versionID string
	asked     time.Time
	last      time.Time // rotation before; zero if there was none
	invalid   bool      // the last one had failed
}

func (t rotationTask) id() string {
	return fmt.Sprintf("%s@%d@%s@%t", t.versionID, t.asked.Unix(), t.last.Format(time.RFC3339), t.invalid)
}

func parseTask(id string) (t rotationTask, valid bool) {
	parts := strings.Split(id, "@")
	if len(parts) != 4 || parts[0] == "" {
		return t, false
	}
	asked, err := strconv.ParseInt(parts[1], 10, 64)
	t = rotationTask{parts[0], time.Unix(asked, 0), parseTime(parts[2]), parts[3] == "true"}
	return t, err == nil
}

// serviceTime is the service's time of an answer, or ours if it doesn't tell.
func serviceTime(header http.Header) time.Time {
	if at, err := http.ParseTime(header.Get("Date")); err == nil {
		return at
	}
	return time.Now().Truncate(time.Second)
}

// RotateCredential implements provider.CredentialIssuer by RotateSecret, after a look
// by DescribeSecret: what had failed before mustn't be taken for the failure of
// this rotation. The token becomes the id of the new version, and the service
// ignores an id that is there. While another rotation is under way the call
// succeeds and has no effect.
func (d *destination) RotateCredential(ctx context.Context, name, token string) (provider.CredentialTask, error) {
	none := provider.CredentialTask{}
	before, _, err := d.describeCredential(ctx, name)
	if err != nil {
		return none, err
	}
	request := kms.CreateRotateSecretRequest()
	request.SecretName = name
	request.VersionId = token
	answer := kms.CreateRotateSecretResponse()
	header, err := d.exchange(ctx, request, answer)
	if err != nil {
		return none, d.explainCredential(ctx, name, err)
	}
	task := rotationTask{token, serviceTime(header), parseTime(before.LastRotationDate), before.AutomaticRotation == rotationInvalid}
	return provider.CredentialTask{Name: name, ID: task.id(), RequestID: answer.RequestId}, nil
}

// CredentialTask implements provider.CredentialIssuer by ListSecretVersionIds, and
// by DescribeSecret while the version isn't there. The service has no call about
// a rotation itself.
func (d *destination) CredentialTask(ctx context.Context, name, taskID string) (provider.TaskStatus, error) {
	task, valid := parseTask(taskID)
	if !valid {
		return provider.TaskStatus{}, &provider.Error{Class: provider.ClassNotFound, Message: "there is no such rotation; look at the versions"}
	}
	versions, err := d.CredentialVersions(ctx, name)
	if err != nil {
		return provider.TaskStatus{}, err
	}
	if task.madeIn(versions) {
		return provider.TaskStatus{State: provider.TaskSucceeded}, nil
	}
	answer, header, err := d.describeCredential(ctx, name)
	if err != nil {
		return provider.TaskStatus{}, err
	}
	return task.status(answer, serviceTime(header)), nil
}

// madeIn tells whether the rotation's version is, or was, a current one. It isn't
// documented whether a version shows before it is.
func (t rotationTask) madeIn(versions []provider.CredentialVersion) bool {
	is := func(v provider.CredentialVersion) bool { return v.ID == t.versionID }
	current := func(v provider.CredentialVersion) bool { return slices.Contains(v.Labels, currentLabel) }
	i := slices.IndexFunc(versions, is)
	return i >= 0 && (len(versions[i].Labels) > 0 || i > slices.IndexFunc(versions, current))
}

// status goes by what the service tells of a credential without the version.
func (t rotationTask) status(answer *kms.DescribeSecretResponse, now time.Time) provider.TaskStatus {
	failed := answer.AutomaticRotation == rotationInvalid && (!t.invalid || parseTime(answer.UpdateTime).After(t.asked))
	switch {
	case failed:
		return provider.TaskStatus{State: provider.TaskFailed, Message: adviceRotation}
	case !parseTime(answer.LastRotationDate).Equal(t.last):
		return provider.TaskStatus{State: provider.TaskSucceeded} // it was taken for one that was under way
	case now.Sub(t.asked) >= longestRotation:
		return provider.TaskStatus{
			State:   provider.TaskFailed,
			Message: "the service took the rotation and has made no new version within " + longestRotation.String() + "; " + adviceMonitor,
		}
	}
	return provider.TaskStatus{State: provider.TaskRunning}
}
