// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

func rotate(t *testing.T, d full) provider.CredentialTask {
	t.Helper()
	task, err := d.RotateCredential(t.Context(), "orders-db", "token-1")
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func work(kind emulator.Kind) emulator.Fault {
	return emulator.Fault{Kind: kind, Operation: emulated.RotationWork, Count: 1, Code: "FSS.0500", Message: "the words of the function"}
}

// The version "latest" may be the newest one, whose password isn't set yet.
func TestWhatIsReadWorksDuringARotation(t *testing.T) {
	for name, switches := range map[string]emulated.Switches{
		"when latest is the current version": {}, "when latest is the newest version": {LatestIsNewest: true},
		"when versions that failed stay": {LatestIsNewest: true, PendingStays: true, ManagedValue: "binary"},
	} {
		t.Run(name, func(t *testing.T) {
			server, d := issuing(t, switches)
			create(t, d, "orders-db", newCredential("create_agency=true"))
			rule := emulatortest.AddFault(t, server, work(emulator.Hang))
			task := rotate(t, d)
			if got := login(t, d, "orders-db"); got != "app:"+exampleValue {
				t.Error("during the rotation another value is read than the one that works")
			}
			if c, err := d.DescribeCredential(t.Context(), "orders-db"); err != nil || c.State != provider.CredentialRotating {
				t.Errorf("it is %+v, %v", c, err)
			}
			if again := rotate(t, d); again.ID != task.ID {
				t.Errorf("a second rotation has begun: task %s beside %s", again.ID, task.ID)
			}
			server.Faults().Clear(rule.ID)
			if got := login(t, d, "orders-db"); got == "app:"+exampleValue || !strings.HasPrefix(got, "app:") {
				t.Error("after the rotation the old value is read")
			}
			if status, err := d.CredentialTask(t.Context(), "orders-db", task.ID); err != nil || status.State != provider.TaskSucceeded {
				t.Errorf("the task is %+v, %v", status, err)
			}
			emulatortest.AddFault(t, server, work(emulator.Error))
			before, seen := login(t, d, "orders-db"), versionsOf(t, d)
			rotate(t, d)
			if login(t, d, "orders-db") != before || versionsOf(t, d) != seen {
				t.Errorf("a rotation that failed shows: versions %s, before %s", versionsOf(t, d), seen)
			}
		})
	}
}

func versionsOf(t *testing.T, d full) string {
	t.Helper()
	versions, err := d.CredentialVersions(t.Context(), "orders-db")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(versions)
}

// During a read the service may move the stage.
func TestTheStageThatMovesWhileItIsRead(t *testing.T) {
	shown := func(id, stages string) reply {
		return reply{body: `{"version":{"secret_string":"{}","version_metadata":{"id":"` + id + `","version_stages":[` + stages + `]}}}`}
	}
	for _, c := range []struct {
		name  string
		reply reply
		class provider.Class // "" for success
		calls int
	}{
		{"it is where it should be", shown("v2", `"SYSCURRENT"`), "", 1},
		{"no stages are told", shown("v2", ``), "", 3},
		{"it is always elsewhere", shown("v2", `"SYSPREVIOUS"`), provider.ClassUnavailable, 6},
		{"no metadata are told", reply{body: `{"version":{"secret_string":"{}"}}`}, provider.ClassUnavailable, 1},
		{"nothing may be read", apiError(400, "CSMS.0103", "words"), provider.ClassConflict, 1},
	} {
		cloud := &stub{answers: map[string]reply{"ShowSecretVersion": c.reply}}
		_, err := opened(t, cloud).ReadCredential(t.Context(), "orders-db")
		if (err == nil) != (c.class == "") || err != nil && provider.ClassOf(err) != c.class || len(cloud.asked) != c.calls {
			t.Errorf("%s: calls %v, error %v", c.name, cloud.made(), err)
		}
	}
	cloud := &stub{answers: map[string]reply{"ShowSecretVersion": shown("v3", `"SYSPENDING"`), "ShowSecretStage": {body: `{"stage":{}}`}}}
	if _, err := opened(t, cloud).ReadCredential(t.Context(), "orders-db"); provider.ClassOf(err) != provider.ClassUnavailable {
		t.Errorf("a stage without a version: %v", err)
	}
}

func TestARotationWhoseAnswerIsLostTakesPlaceOnce(t *testing.T) {
	server, d := issuing(t, emulated.Switches{RotatesTwice: true})
	create(t, d, "orders-db", newCredential("create_agency=true"))
	rule := emulatortest.AddFault(t, server, work(emulator.Hang))
	emulatortest.AddFault(t, server, emulator.LostReply("RotateSecret"))
	_, err := d.RotateCredential(t.Context(), "orders-db", "token-1")
	if e := failure(t, err); !e.Ambiguous {
		t.Errorf("error %v", err)
	}
	task := rotate(t, d) // joins
	server.Faults().Clear(rule.ID)
	if status, err := d.CredentialTask(t.Context(), "orders-db", task.ID); err != nil || status.State != provider.TaskSucceeded {
		t.Errorf("the task is %+v, %v", status, err)
	}
	if versions, err := d.CredentialVersions(t.Context(), "orders-db"); err != nil || len(versions) != 2 || versions[0].ID != "v2" || versions[0].Labels[0] != "SYSCURRENT" {
		t.Errorf("versions %+v, %v", versions, err)
	}
}

func TestARotationThatFailsSaysWhyAndWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name, message, says string
		not                 string
	}{
		{"the function's words", "access denied for user", "access denied for user; look at the log of the function " + functionURN, ""},
		{
			"an endpoint that the region doesn't have", "The API does not exist or has not been published in the environment.",
			"correct it in the function's source", "look at the log",
		},
		{"a statement with a password", `near "ALTER USER app IDENTIFIED BY 'canary-1234'": syntax`, "IDENTIFIED BY [redacted]", "canary"},
		{"an assignment of a password", `bad call: {"password": "canary-1234"}`, "[redacted]", "canary"},
		{"no words", "", "no reason", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := fmt.Sprintf(`{"total":1,"tasks":[{"task_id":%q,"task_status":"FAILED","task_time":1,"rotation_func_urn":%q,"task_error_code":"FSS.0500","task_error_msg":%q}]}`,
				exampleTask, functionURN, c.message)
			d := opened(t, &stub{answers: map[string]reply{
				"ListSecretTask": {body: body},
				"ShowSecret":     {body: `{"secret":{"state":"ENABLED","secret_type":"RDS-FG"}}`},
			}})
			status, err := d.CredentialTask(t.Context(), "orders-db", exampleTask)
			if err != nil || status.State != provider.TaskFailed || status.Code != "FSS.0500" || !strings.Contains(status.Message, c.says) ||
				c.not != "" && strings.Contains(status.Message, c.not) {
				t.Errorf("the task is %+v, %v", status, err)
			}
			shown, err := d.DescribeCredential(t.Context(), "orders-db")
			if err != nil || !strings.Contains(shown.RotationProblem, status.Message) || shown.State != provider.CredentialReady {
				t.Errorf("it is %+v, %v", shown, err)
			}
		})
	}
	t.Run("as for missing agencies", func(t *testing.T) {
		_, d := issuing(t, emulated.Switches{})
		create(t, d, "orders-db", newCredential())
		task := rotate(t, d)
		status, err := d.CredentialTask(t.Context(), "orders-db", task.ID)
		if err != nil || status.State != provider.TaskFailed || !strings.Contains(status.Message, "create_agency") || status.Code == "" {
			t.Errorf("the task is %+v, %v", status, err)
		}
	})
}

func TestATaskIsTheCredentials(t *testing.T) {
	task := func(members string) reply { return reply{body: `{"total":1,"tasks":[{` + members + `}]}`} }
	for _, c := range []struct {
		name  string
		reply reply
		want  provider.TaskState // "" for not found
	}{
		{"its end", task(`"task_id":"` + exampleTask + `","secret_name":"orders-db","task_status":"SUCCESS"`), provider.TaskSucceeded},
		{"a state that nobody documents", task(`"task_id":"` + exampleTask + `","task_status":"DOING"`), provider.TaskRunning},
		{"no state", task(`"task_id":"` + exampleTask + `"`), provider.TaskRunning},
		{"one of another secret", task(`"task_id":"` + exampleTask + `","secret_name":"other","task_status":"SUCCESS"`), ""},
		{"another task", task(`"task_id":"x","task_status":"SUCCESS"`), ""},
		{"none", reply{body: `{"total":0,"tasks":[]}`}, ""},
		{"none at all", reply{body: `{"total":0,"tasks":null}`}, ""},
	} {
		status, err := opened(t, always(c.reply)).CredentialTask(t.Context(), "orders-db", exampleTask)
		if status.State != c.want || (c.want == "") != provider.IsNotFound(err) {
			t.Errorf("%s: %+v, %v", c.name, status, err)
		}
	}
}

// The order of tasks, and the unit of their times, aren't documented.
func TestTheRotationUnderWayIsFoundInEachOrder(t *testing.T) {
	now := time.Now()
	row := func(id, status string, at int64) string {
		return fmt.Sprintf(`{"task_id":%q,"task_status":%q,"task_time":%d}`, id, status, at)
	}
	for _, c := range []struct {
		name  string
		tasks []string
		want  string // the task that a rotation joins, "" for a new one
	}{
		{"none", nil, ""},
		{"the first", []string{row("a", "DOING", now.UnixMilli()), row("b", "SUCCESS", now.UnixMilli()-1000)}, "a"},
		{"the last", []string{row("b", "SUCCESS", now.UnixMilli()-1000), row("a", "DOING", now.UnixMilli())}, "a"},
		{"before others", []string{row("a", "DOING", now.UnixMilli()-1000), row("b", "FAILED", now.UnixMilli())}, "a"},
		{"with a time in seconds", []string{row("a", "DOING", now.Unix())}, "a"},
		{"one that nobody ended", []string{row("a", "DOING", now.Add(-3*time.Hour).UnixMilli())}, ""},
		{"only ended ones", []string{row("a", "SUCCESS", now.UnixMilli()), row("b", "FAILED", now.UnixMilli())}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := &stub{answers: map[string]reply{
				"ListSecretTask": {body: fmt.Sprintf(`{"total":%d,"tasks":[%s],"next_marker":"x"}`, len(c.tasks), strings.Join(c.tasks, ","))},
				"RotateSecret":   {body: `{"rotation_task_id":"new"}`},
			}}
			task, err := opened(t, cloud).RotateCredential(t.Context(), "orders-db", "token-1")
			want, calls := c.want, 1
			if want == "" {
				want, calls = "new", 2
			}
			if err != nil || task.ID != want || len(cloud.asked) != calls {
				t.Errorf("task %+v, %v by %v", task, err, cloud.made())
			}
		})
	}
}

// Each rotation leaves a task, so that there are many pages in the end.
func TestOnlyNeededPagesOfTasksAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		switches emulated.Switches
		pages    int
	}{
		"the oldest first":               {emulated.Switches{}, 2},
		"the newest first":               {emulated.Switches{ListsDescending: true}, 1},
		"without a marker after the end": {emulated.Switches{EndMarkerEmpty: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			server, d := issuing(t, c.switches)
			n := newCredential("create_agency=true")
			n.Rotation = provider.Rotation{Enabled: true, Interval: 6 * time.Hour}
			create(t, d, "orders-db", n)
			elapse(server, 6*time.Hour*210+time.Hour)
			emulatortest.AddFault(t, server, work(emulator.Error))
			rotate(t, d)
			server.Calls().Reset()
			found, err := d.DescribeCredential(t.Context(), "orders-db")
			if err != nil || !found.Rotation.Enabled || found.Rotation.Interval != 6*time.Hour || found.NextRotation.IsZero() || found.LastRotation.IsZero() {
				t.Errorf("it is %+v, %v", found, err)
			}
			if pages := server.Calls().Count("ListSecretTask"); pages != c.pages {
				t.Errorf("%d pages were read, want %d", pages, c.pages)
			}
		})
	}
}

func TestAScheduleIsToldAsItIs(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1d": 24 * time.Hour, "24h": 24 * time.Hour, "36h": 36 * time.Hour, "390m": 390 * time.Minute, "21601s": 21601 * time.Second,
		"365d": provider.Days(365), "": 0, "d": 0, "1w": 0, "-1d": 0, "999999999d": 0, "99999999999999999999s": 0,
	} {
		d := opened(t, &stub{answers: map[string]reply{"ShowSecret": {body: fmt.Sprintf(
			`{"secret":{"state":"ENABLED","secret_type":"RDS-FG","auto_rotation":true,"rotation_period":%q,"next_rotation_time":1795000000000}}`, text)}}})
		if c, err := d.DescribeCredential(t.Context(), "orders-db"); err != nil || c.Rotation.Interval != want || c.NextRotation.Unix() != 1795000000 {
			t.Errorf("%q is told as %v, %v", text, c.Rotation, err)
		}
	}
	server, d := issuing(t, emulated.Switches{})
	create(t, d, "orders-db", newCredential())
	for _, interval := range []time.Duration{6 * time.Hour, 390 * time.Minute, 21601 * time.Second, provider.Days(365)} {
		if err := d.SetRotation(t.Context(), "orders-db", provider.Rotation{Enabled: true, Interval: interval}); err != nil {
			t.Error(err)
		}
		if c, err := d.DescribeCredential(t.Context(), "orders-db"); err != nil || c.Rotation.Interval != interval || !c.Rotation.Enabled {
			t.Errorf("%v is told as %v, %v", interval, c.Rotation, err)
		}
	}
	if n := server.Calls().Count("UpdateSecret"); n != 4 {
		t.Errorf("%d calls for four schedules", n)
	}
}

func TestACredentialOfEachAgeIsDescribed(t *testing.T) {
	for _, c := range []struct{ name, kind, config, state, instance, subType string }{
		{"today's", "RDS-FG", `{"InstanceId":"i","SecretSubType":"MultiUser"}`, "ENABLED", "i", "MultiUser"},
		{"with the quotes of the examples", "GaussDB-FG", `{'InstanceId':'i','SecretSubType':'SingleUser'}`, "FROZEN", "i", "SingleUser"},
		{"the legacy one", "RDS", `{"RDSInstanceId":"i","SecretSubType":"SingleUser"}`, "DISABLED", "i", "SingleUser"},
		{"the legacy one as it was asked for", "RDS", `{"rds_instance_id":"i","Secret_sub_type":"MultiUser"}`, "PENDING_DELETE", "i", "MultiUser"},
		{"one that nobody documents", "TaurusDB", `?`, "ENABLED", "", ""},
	} {
		body := fmt.Sprintf(`{"secret":{"state":%q,"secret_type":%q,"rotation_config":%q,"rotation_func_urn":"urn","event_subscriptions":[""],`+
			`"next_rotation_time":1795000000000,"scheduled_delete_time":1795000000000,"kms_key_id":"k","description":"d","create_time":1795000000000}}`, c.state, c.kind, c.config)
		got, err := opened(t, &stub{answers: map[string]reply{"ShowSecret": {body: body}}}).DescribeCredential(t.Context(), "orders-db")
		state := map[string]provider.CredentialState{
			"ENABLED": provider.CredentialReady, "FROZEN": provider.CredentialDisabled,
			"DISABLED": provider.CredentialDisabled, "PENDING_DELETE": provider.CredentialPendingDeletion,
		}[c.state]
		_, events := got.Parameters["event_subscriptions"]
		if err != nil || got.Name != "orders-db" || got.Type != c.kind || got.Product != c.kind || got.InstanceID != c.instance || got.State != state ||
			got.Parameters["secret_sub_type"] != c.subType || got.Parameters["rotation_func_urn"] != "urn" || got.Parameters["rotation_config"] != c.config || events ||
			!got.NextRotation.IsZero() || got.Rotation.Enabled || got.DeletionTime.IsZero() != (c.state != "PENDING_DELETE") || got.Description != "d" || got.KMSKeyID != "k" {
			t.Errorf("%s: it is %+v, %v", c.name, got, err)
		}
	}
}

func TestAccountsAreNeverDeleted(t *testing.T) {
	cloud := &stub{}
	_, err := opened(t, cloud).DeleteCredential(t.Context(), "orders-db", 0, true)
	if e := failure(t, err); e.Class != provider.ClassInvalid || len(cloud.asked) > 0 || !strings.Contains(e.Message, "database") {
		t.Errorf("calls %v, error %v", cloud.made(), err)
	}
	d := opened(t, cloud)
	if names, err := d.Products(t.Context()); err != nil || strings.Join(names, " ") != "RDS-FG GaussDB-FG" {
		t.Errorf("products %v, %v", names, err)
	}
	_, err = d.CreateCredential(t.Context(), "orders-db", provider.NewCredential{Product: "Mysql"})
	var e *provider.Error
	if !errors.As(err, &e) || e.Class != provider.ClassInvalid || len(cloud.asked) > 0 {
		t.Errorf("a product of another cloud: %v", err)
	}
}
