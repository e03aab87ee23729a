// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// taskQuery is which tasks a call asks for.
type taskQuery struct {
	id, name, status, marker string
	limit                    int
}

func (c *call) taskQuery() (taskQuery, *emulator.Failure) {
	query := c.HTTP.URL.Query()
	limit, failure := c.limit()
	q := taskQuery{query.Get("task_id"), query.Get("secret_name"), query.Get("status"), query.Get("marker"), limit}
	switch {
	case failure != nil:
		return q, failure
	case q.id != "" && q.name+q.status+q.marker != "":
		return q, invalid("task_id can't be given with other parameters")
	case q.id != "" && !idForm.MatchString(q.id):
		return q, invalid("task_id is a UUID")
	case q.status != "" && q.status != taskDone && q.status != taskFailed:
		return q, invalid("status is SUCCESS or FAILED")
	}
	return q, nil
}

func (q taskQuery) matches(s *secret, t task) bool {
	return (q.name == "" || s.Name == q.name) && (q.id == "" || t.ID == q.id) && (q.status == "" || t.Status == q.status)
}

// secretTask is a task with the secret that it rotates.
type secretTask struct {
	of *secret
	task
}

// tasksFor returns the tasks of the project that are asked for, oldest first.
func (c *call) tasksFor(q taskQuery) []secretTask {
	var found []secretTask
	for _, s := range c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now) {
		s = c.server.present(s, c.now)
		for _, t := range s.Tasks {
			if q.matches(s, t) {
				found = append(found, secretTask{s, t})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b secretTask) int {
		if c.switches.ListsDescending {
			a, b = b, a
		}
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return found
}

func listTasks(c *call) (any, *emulator.Failure) {
	q, failure := c.taskQuery()
	if failure != nil {
		return nil, failure
	}
	rest := c.tasksFor(q)
	total := len(rest)
	if q.marker != "" {
		rest = rest[slices.IndexFunc(rest, func(one secretTask) bool { return one.ID == q.marker })+1:]
	}
	page := rest[:min(q.limit, len(rest))]
	tasks, marker := make([]object, len(page)), ""
	for i, one := range page {
		tasks[i], marker = c.taskView(one), one.ID
	}
	if len(page) == len(rest) && c.switches.EndMarkerEmpty {
		marker = ""
	}
	return object{"total": total, "tasks": tasks, "next_marker": marker}, nil
}

// taskView is a task in answers. What the example calls operate_type is the
// sub-type in other letters.
func (c *call) taskView(t secretTask) object {
	view := object{
		"task_id": t.ID, "secret_name": t.of.Name, "rotation_func_urn": t.Function, "task_status": t.Status,
		"operate_type": map[string]string{singleUser: "SINGLE_USER", multiUser: "MULTI_USER"}[t.SubType],
		"task_time":    c.milliseconds(t.Created), "attempt_nums": 1,
	}
	if t.Status == taskFailed {
		view["task_error_code"], view["task_error_msg"] = t.Code, t.Message
	}
	return view
}
