// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var periodForm = regexp.MustCompile(`^([0-9]{1,9})([dhms])$`)

var periodUnits = []struct {
	letter string
	length time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// period writes a rotation_period, in the largest unit that it is whole in.
func period(interval time.Duration) string {
	for _, unit := range periodUnits {
		if interval%unit.length == 0 {
			return strconv.FormatInt(int64(interval/unit.length), 10) + unit.letter
		}
	}
	return strconv.FormatInt(int64(interval/time.Second), 10) + "s"
}

// periodOf reads a rotation_period; 0 for none, and for what isn't one.
func periodOf(text string) time.Duration {
	found := periodForm.FindStringSubmatch(strings.TrimSpace(text))
	if found == nil {
		return 0
	}
	count, err := strconv.Atoi(found[1])
	for _, unit := range periodUnits {
		if err == nil && unit.letter == found[2] && time.Duration(count) <= provider.Days(1000)/unit.length {
			return time.Duration(count) * unit.length
		}
	}
	return 0
}

// scheduleAdvice is what to do about refusals of a schedule, by code.
var scheduleAdvice = map[string]string{
	"CSMS.0002": "a schedule needs a function (rotation_func_urn at the creation) and an interval from 6 hours to 365 days",
}

// SetRotation implements provider.CredentialIssuer by UpdateSecret.
func (d *destination) SetRotation(ctx context.Context, name string, r provider.Rotation) error {
	body := &model.UpdateSecretRequestBody{AutoRotation: &r.Enabled}
	if r.Enabled {
		every := period(r.Interval)
		body.RotationPeriod = &every
	}
	return advised(d.update(ctx, name, body), scheduleAdvice)
}

// rotationAdvice is what to do about refusals of a rotation, by code.
var rotationAdvice = map[string]string{
	"CSMS.0002": "the credential may have no function; delete it, and write it again with rotation_func_urn",
	"CSMS.0003": "only credentials that the service manages are rotated, and not while one is being rotated",
	"CSMS.0109": "it is frozen or disabled; settle the account or enable it in the console, then rotate again",
	"CSMS.0302": "allow csms:secret:rotate, rds:password:update, kms:cmk:createGrant and kms:cmk:retireGrant to the destination's user",
}

// RotateCredential implements provider.CredentialIssuer by RotateSecret, which
// takes no token, and whose effect during a rotation isn't documented. So it looks
// by ListSecretTask first and joins the rotation that is under way, which is also
// what a call finds that is repeated soon after its answer was lost. Later the
// versions tell: each rotation that succeeded has made one.
func (d *destination) RotateCredential(ctx context.Context, name, _ string) (provider.CredentialTask, error) {
	task := provider.CredentialTask{Name: name}
	last, err := d.lastTask(ctx, name)
	if err != nil {
		return task, err
	}
	if last.running() {
		task.ID = at(last.TaskId)
		return task, nil
	}
	answer, requestID, err := rotateSecret.heard(ctx, d, &model.RotateSecretRequest{SecretName: name})
	if err != nil {
		return task, advised(err, rotationAdvice)
	}
	task.RequestID = requestID
	switch {
	case at(answer.RotationTaskId) != "":
		task.ID = *answer.RotationTaskId
	case at(answer.VersionId) == "": // of the legacy type, which is done by then
		return task, rotateSecret.lacking(d, "task id")
	}
	return task, nil
}

// CredentialTask implements provider.CredentialIssuer by ListSecretTask.
func (d *destination) CredentialTask(ctx context.Context, name, taskID string) (provider.TaskStatus, error) {
	answer, err := listSecretTask.call(ctx, d, &model.ListSecretTaskRequest{TaskId: &taskID})
	if err != nil {
		return provider.TaskStatus{}, err
	}
	if noTasks(answer) {
		return provider.TaskStatus{}, listSecretTask.lacking(d, "tasks")
	}
	for _, t := range at(answer.Tasks) {
		if at(t.TaskId) == taskID && cmp.Or(at(t.SecretName), name) == name {
			return d.status(t), nil
		}
	}
	return provider.TaskStatus{}, &provider.Error{
		Class: provider.ClassNotFound, Operation: listSecretTask.name, Message: "the service knows no task " + taskID + " of the credential",
	}
}

// status reads a task. Only the states at its end are documented.
func (d *destination) status(t model.SecretTask) provider.TaskStatus {
	switch strings.ToUpper(at(t.TaskStatus)) {
	case "SUCCESS":
		return provider.TaskStatus{State: provider.TaskSucceeded}
	case "FAILED":
		reason := withoutPasswords(listSecretTask.failed(d).Scrub(strings.Join(strings.Fields(at(t.TaskErrorMsg)), " ")))
		return provider.TaskStatus{
			State: provider.TaskFailed, Code: listSecretTask.failed(d).Scrub(at(t.TaskErrorCode)),
			Message: cmp.Or(reason, "the service gives no reason") + "; " + taskAdvice(reason, at(t.RotationFuncUrn)),
		}
	default:
		return provider.TaskStatus{State: provider.TaskRunning}
	}
}

// taskAdvice is what to do about a rotation that failed. The one known cause is
// from the FAQ of DEW (dew_01_0374).
func taskAdvice(reason, function string) string {
	if strings.Contains(reason, "API does not exist or has not been published") {
		return "the function calls an endpoint that the region doesn't have, as the template for TaurusDB does with https://gaussdb.<region>..; " +
			"correct it in the function's source, then rotate again"
	}
	return "look at the log of the function " + cmp.Or(function, "in FunctionGraph") +
		", and whether it reaches the instance, the account exists, and the agencies are there (create_agency); then rotate again"
}

// quoted is what functions that set passwords may quote in their errors.
var quoted = regexp.MustCompile(`(?i)((?:identified\s+by|password|passwd|pwd)["']?\s*[:=]?\s*(?:password)?\s*)('[^']*'|"[^"]*")`)

func withoutPasswords(text string) string { return quoted.ReplaceAllString(text, "$1[redacted]") }

// secretTask is one rotation. Its zero value is none.
type secretTask struct{ model.SecretTask }

// mostRunning is how long a rotation can be under way. A function has fifteen
// minutes at most, and may be tried again.
const mostRunning = 2 * time.Hour

func (t secretTask) running() bool {
	status := strings.ToUpper(at(t.TaskStatus))
	return at(t.TaskId) != "" && status != "SUCCESS" && status != "FAILED" && time.Since(t.begun()) < mostRunning
}

// begun reads the time of the task. Unlike those of secrets it isn't known from
// what clients rely on, so it may be in seconds as the documentation says.
func (t secretTask) begun() time.Time {
	const firstInMilliseconds = 100_000_000_000 // the year 5138 in seconds
	if at(t.TaskTime) < firstInMilliseconds {
		return time.Unix(at(t.TaskTime), 0)
	}
	return time.UnixMilli(*t.TaskTime)
}

// taskPage is how many tasks are asked for at once. A secret that is rotated every
// six hours has them in two months; with long messages they stay below maxAnswer.
const taskPage = 200

// lastTask returns the newest rotation by ListSecretTask: the one under way if
// there is one. The order of the list isn't documented. Where the first page has
// the newest first, those behind it aren't asked for.
func (d *destination) lastTask(ctx context.Context, name string) (secretTask, error) {
	limit := int32(taskPage)
	var last secretTask
	for marker := ""; ; {
		request := &model.ListSecretTaskRequest{SecretName: &name, Limit: &limit}
		if marker != "" {
			request.Marker = &marker
		}
		answer, err := listSecretTask.call(ctx, d, request)
		if err != nil {
			return secretTask{}, err
		}
		if noTasks(answer) {
			return secretTask{}, listSecretTask.lacking(d, "tasks")
		}
		tasks := at(answer.Tasks)
		for _, t := range tasks {
			if next := (secretTask{t}); newer(next, last) {
				last = next
			}
		}
		next := at(answer.NextMarker)
		if len(tasks) < taskPage || next == "" || next == marker || descending(tasks) {
			return last, nil
		}
		marker = next
	}
}

// noTasks tells whether an answer isn't one about tasks. A list of none may be null,
// but not without the count of it.
func noTasks(answer *model.ListSecretTaskResponse) bool {
	return answer.Tasks == nil && answer.Total == nil
}

// newer prefers rotations that are under way, and of these the newest.
func newer(a, b secretTask) bool {
	if a.running() != b.running() {
		return a.running()
	}
	return !a.begun().Before(b.begun())
}

func descending(tasks []model.SecretTask) bool {
	return len(tasks) > 1 && secretTask{tasks[0]}.begun().After(secretTask{tasks[len(tasks)-1]}.begun())
}
